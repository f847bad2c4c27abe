//! Files of public keys, as sshd(8) reads them below AUTHORIZED_KEYS FILE FORMAT.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The largest file of keys.
const LIMIT: u64 = 256 << 10;

/// The algorithms of OpenSSH that are not withdrawn. The blob of a key begins with the same name.
const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Why a file has no keys to use: a message and a hint.
pub(crate) type Refused = (String, String);

/// The keys of a file of the host, each a line.
pub(crate) fn read(path: &str) -> Result<Vec<String>, Refused> {
    let refuse = |why: String| {
        (
            format!("--ssh-key {path}: {why}"),
            "give the file of a public key: ssh-keygen -t ed25519 makes a pair, FILE and FILE.pub".to_owned(),
        )
    };
    let meta = std::fs::metadata(path).map_err(|e| refuse(e.to_string()))?;
    if !meta.is_file() || meta.len() > LIMIT {
        return Err(refuse("it is not a file of public keys".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
    parse(&String::from_utf8_lossy(&bytes)).map_err(|why| match why.as_str() {
        PRIVATE => (
            format!("--ssh-key {path}: {PRIVATE}"),
            format!("never give that away; the public one is usually {path}.pub"),
        ),
        _ => refuse(why),
    })
}

const PRIVATE: &str = "this is a PRIVATE key";

/// The keys in a text, one a line; comments and empty lines are left out.
fn parse(text: &str) -> Result<Vec<String>, String> {
    if text.contains("PRIVATE KEY") || text.starts_with("PuTTY-User-Key-File") {
        return Err(PRIVATE.to_owned());
    }
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    let keys: Vec<String> = lines
        .map(|line| check(line).map(|()| line.to_owned()))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err("there is no key in it".to_owned());
    }
    Ok(keys)
}

/// `[OPTIONS] ALGORITHM BASE64 [COMMENT]`.
fn check(line: &str) -> Result<(), String> {
    if line.contains(|c: char| c.is_control() && c != '\t') {
        return Err("a line has a control character".to_owned());
    }
    let words = words(line);
    let Some(at) = words.iter().take(2).position(|w| ALGORITHMS.contains(w)) else {
        return Err("a line is no public key of a kind that OpenSSH takes".to_owned());
    };
    let (algorithm, blob) = (words[at], words.get(at + 1).copied().unwrap_or_default());
    let blob = STANDARD
        .decode(blob)
        .map_err(|_| format!("its {algorithm} key is cut off or damaged"))?;
    // RFC 4253, 6.6: strings with their length before them, the first the algorithm.
    let mut strings = Vec::new();
    let mut rest = blob.as_slice();
    while !rest.is_empty() {
        let (string, after) = string(rest).ok_or(format!("its {algorithm} key is cut off or damaged"))?;
        strings.push(string);
        rest = after;
    }
    if strings.first() != Some(&algorithm.as_bytes()) || strings.len() < 2 {
        return Err(format!("its key is not what `{algorithm}` before it says"));
    }
    if algorithm == "ssh-ed25519" && (strings.len() != 2 || strings[1].len() != 32) {
        return Err(format!("its {algorithm} key is cut off or damaged"));
    }
    Ok(())
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

/// Words with spaces between; those between double quotes do not separate.
fn words(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        !quoted && c.is_ascii_whitespace()
    })
    .filter(|w| !w.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOQPdzfjokyC+LdBfDM348JkpzR0iUCl220AgUKYvlta me@here";

    #[test]
    fn public_keys() {
        assert_eq!(parse(&format!("# mine\n\n{KEY}\n")).unwrap(), [KEY]);
        let with = format!("from=\"10.0.0.0/8\",command=\"echo hello there\" {KEY}");
        assert_eq!(parse(&with).unwrap(), [with.as_str()]);
        assert_eq!(parse(&format!("{KEY}\n{with}\n")).unwrap().len(), 2);
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, why) in [
            ("", "no key in it"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "PRIVATE key"),
            ("-----BEGIN RSA PRIVATE KEY-----\n", "PRIVATE key"),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", "PRIVATE key"),
            ("root:x:0:0::/root:/bin/sh\n", "no public key"),
            ("ssh-ed25519\n", "not what"),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3z me\n", "damaged"),
            ("ssh-ed25519 !!!! me\n", "damaged"),
            (
                "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOQPdzfjokyC+LdBfDM348JkpzR0iUCl220AgUKYvlta\n",
                "not what",
            ),
            ("ssh-dss AAAAB3NzaC1kc3M= me\n", "no public key"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
