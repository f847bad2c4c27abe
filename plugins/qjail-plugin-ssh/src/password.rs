//! Passwords: made at random, and as hashes that crypt(3) of both systems knows.

use qjail_plugin_api::PluginError;
use sha_crypt::{PasswordHasher, ShaCrypt};

/// Letters and digits that nobody takes for others.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// So many of them: 100 bits.
const LENGTH: usize = 20;
/// Bytes of salt; they become 16 characters, the most that `$6$` takes.
const SALT: usize = 12;

/// A password that nobody can guess.
pub(crate) fn random() -> Result<String, PluginError> {
    let mut bytes = [0; LENGTH];
    fill(&mut bytes)?;
    // 32 of them: every byte's lower five bits are one as likely as another.
    Ok(bytes
        .iter()
        .map(|b| char::from(ALPHABET[usize::from(b & 31)]))
        .collect())
}

/// The hash `$6$SALT$…` (SHA-512) of a password, with a salt of its own.
pub(crate) fn hash(password: &str) -> Result<String, PluginError> {
    let mut salt = [0; SALT];
    fill(&mut salt)?;
    hash_with(password, &salt)
}

fn hash_with(password: &str, salt: &[u8]) -> Result<String, PluginError> {
    let hash = ShaCrypt::SHA512
        .hash_password_with_salt(password.as_bytes(), salt)
        .map_err(|e| PluginError::new(format!("make the hash of a password: {e}")))?;
    // 5000 rounds are what is meant where nothing is said.
    Ok(hash.as_str().replacen("rounds=5000$", "", 1))
}

fn fill(bytes: &mut [u8]) -> Result<(), PluginError> {
    getrandom::fill(bytes).map_err(|e| PluginError::new(format!("ask the system for random bytes: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_crypt_makes() {
        // openssl passwd -6 -salt ................ jail1
        assert_eq!(
            hash_with("jail1", &[0; SALT]).unwrap(),
            "$6$................$exiZsDxriESI5tUQprvwuNlK5j4GSnm5ib/4kJbAFyKcQLV87ZQVeCrl9sX982kKKURTRPDxC2XdPI6ExyvU50"
        );
        let (one, two) = (hash("x").unwrap(), hash("x").unwrap());
        assert!(
            one.starts_with("$6$") && one.len() == 106 && one != two,
            "{one} {two}"
        );
    }

    #[test]
    fn random_passwords_differ() {
        let (one, two) = (random().unwrap(), random().unwrap());
        assert!(one.len() == LENGTH && one != two);
        assert!(one.bytes().all(|b| ALPHABET.contains(&b)));
    }
}
