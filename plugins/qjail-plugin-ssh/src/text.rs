//! The three text files that are changed a line at a time. What qjail adds bears a line that says so, and is found by it.

/// Stands before each line that qjail has added.
const MARK: &str = "# by qjail (create -c, config -h)";

/// `rc.conf` with sshd switched on or off, the last word counting as in rc.conf(5).
pub(crate) fn sshd_enable(text: &str, on: bool) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let (wanted, key) = (
        if on {
            "sshd_enable=\"YES\""
        } else {
            "sshd_enable=\"NO\""
        },
        "sshd_enable=",
    );
    match lines.iter().rposition(|l| l.starts_with(key)) {
        Some(at) if is_yes(&lines[at][key.len()..]) == on => return text.to_owned(),
        Some(at) => lines[at] = wanted,
        None if on => lines.push(wanted),
        None => return text.to_owned(),
    }
    joined(&lines)
}

/// As checkyesno of rc.subr(8).
fn is_yes(value: &str) -> bool {
    let value = value.trim_start_matches(['"', '\'']);
    let word: String = value.chars().take_while(char::is_ascii_alphanumeric).collect();
    ["yes", "true", "on", "1"].contains(&word.to_ascii_lowercase().as_str())
}

/// `sshd_config` with `UseDNS no`: of several lines the first counts, and below `Match` it may not stand (sshd_config(5)).
pub(crate) fn use_dns_no(text: &str) -> String {
    let word = |line: &str, n: usize| {
        let words = line.split(|c: char| c.is_ascii_whitespace() || c == '=');
        words
            .filter(|w| !w.is_empty())
            .nth(n)
            .map(|w| w.trim_matches('"').to_ascii_lowercase())
    };
    let mut lines: Vec<&str> = text.lines().collect();
    let at = lines
        .iter()
        .position(|l| matches!(word(l, 0).as_deref(), Some("usedns" | "match")));
    match at {
        Some(at)
            if word(lines[at], 0).as_deref() == Some("usedns")
                && word(lines[at], 1).as_deref() == Some("no") =>
        {
            return text.to_owned();
        }
        at => {
            let at = at.unwrap_or(lines.len());
            lines.splice(at..at, [MARK, "UseDNS no"]);
        }
    }
    joined(&lines)
}

/// PAM's `su` with root's rights for a group without asking for a password: root has none (pam_wheel(8)).
pub(crate) fn trust_group(text: &str, group: &str) -> String {
    let rule = format!("auth sufficient pam_wheel.so trust use_uid group={group}");
    if text.lines().any(|l| l == rule) {
        return text.to_owned();
    }
    let mut lines: Vec<&str> = text.lines().collect();
    let root_ok = lines
        .iter()
        .position(|l| is_auth_line(l) && l.contains("pam_rootok.so"));
    let at = match root_ok {
        Some(at) => at + 1,
        None => lines.iter().position(is_auth_line).unwrap_or(lines.len()),
    };
    lines.splice(at..at, [MARK, rule.as_str()]);
    joined(&lines)
}

/// Whether a line of PAM's is about who somebody is, or takes lines about that from another file.
fn is_auth_line(line: &&str) -> bool {
    let line = line.trim_start();
    line.starts_with("auth") || line.starts_with("@include")
}

/// The text without what qjail has added.
pub(crate) fn without_ours(text: &str) -> String {
    let mut out = Vec::new();
    let mut lines = text.lines().peekable();
    let ours =
        |l: &str| l == "UseDNS no" || l.starts_with("auth sufficient pam_wheel.so trust use_uid group=");
    let mut found = false;
    while let Some(line) = lines.next() {
        if line == MARK && lines.peek().is_some_and(|l| ours(l)) {
            lines.next();
            found = true;
        } else {
            out.push(line);
        }
    }
    if found { joined(&out) } else { text.to_owned() }
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|l| [l, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_sshd_counts() {
        assert_eq!(sshd_enable("a=1", true), "a=1\nsshd_enable=\"YES\"\n");
        assert_eq!(
            sshd_enable("sshd_enable=\"NO\"\nb=2\n", true),
            "sshd_enable=\"YES\"\nb=2\n"
        );
        for on in [
            "sshd_enable=\"YES\"\n",
            "sshd_enable=yes # so\n",
            "sshd_enable='On'",
        ] {
            assert_eq!(sshd_enable(on, true), on);
            assert!(sshd_enable(on, false).starts_with("sshd_enable=\"NO\"\n"));
        }
        assert_eq!(sshd_enable("a=1", false), "a=1");
    }

    #[test]
    fn use_dns_stands_before_matches_and_once() {
        let ours = format!("{MARK}\nUseDNS no\n");
        for (before, after) in [
            ("Port 22\n", format!("Port 22\n{ours}")),
            (
                "Port 22\nMatch User x\n  X11Forwarding no\n",
                format!("Port 22\n{ours}Match User x\n  X11Forwarding no\n"),
            ),
            ("usedns yes\n", format!("{ours}usedns yes\n")),
        ] {
            assert_eq!(use_dns_no(before), after);
            assert_eq!(use_dns_no(&after), after);
            assert_eq!(without_ours(&after), before);
        }
        for kept in ["UseDNS no\nMatch all\n", "  usedns=no", "UseDNS \"no\"\n"] {
            assert_eq!(use_dns_no(kept), kept);
            assert_eq!(without_ours(kept), kept);
        }
    }

    #[test]
    fn su_trusts_after_root() {
        let debian = "# The PAM file\nauth       sufficient pam_rootok.so\n# auth required pam_wheel.so\n@include common-auth\n";
        let trusting = trust_group(debian, "sudo");
        assert!(
            trusting.contains("pam_rootok.so\n# by qjail (create -c, config -h)\nauth sufficient pam_wheel.so trust use_uid group=sudo\n# auth"),
            "{trusting}"
        );
        assert_eq!(trust_group(&trusting, "sudo"), trusting);
        assert_eq!(without_ours(&trusting), debian);
        let bare = trust_group("#%PAM-1.0\nauth include system\n", "wheel");
        assert!(bare.ends_with("group=wheel\nauth include system\n"), "{bare}");
    }
}
