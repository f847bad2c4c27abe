//! The files of a jail that say who is who in it. What looks a user up there, login(1) or a command of `exec.start`, waits
//! for ever for a FIFO in the place of one: jails whose root has put something there are neither started nor logged in to.

use qjail_fs::Kind;
use qjail_plugin_api::Place;

use crate::places::{Places, rel};
use crate::{Error, Result};

/// Those of both systems: passwd(5), group(5), shadow(5), and the databases of FreeBSD's pwd_mkdb(8).
const ACCOUNTS: [&str; 6] = [
    "etc/passwd",
    "etc/group",
    "etc/shadow",
    "etc/master.passwd",
    "etc/pwd.db",
    "etc/spwd.db",
];

/// Refuses a jail where one of them is there and no plain file.
///
/// # Errors
/// What is there instead, or on the way to it.
pub(crate) fn require_plain(places: &Places) -> Result<()> {
    // Of a jail without a directory the start itself tells.
    let Ok(root) = places.open(Place::Jail) else {
        return Ok(());
    };
    for file in ACCOUNTS {
        let why = match root.metadata(&rel(file)?) {
            Ok(meta) => meta
                .filter(|m| m.kind != Kind::File)
                .map(|m| format!("{file} of the jail is a {}, not a regular file", m.kind)),
            Err(e) if e.is_not_found() => None,
            Err(e) => Some(format!("{file} of the jail: {}", e.kind())),
        };
        if let Some(why) = why {
            let at = places.jail_root().unwrap_or_default();
            return Err(Error::new(why).hint(format!("put a regular file in its place, below {at}")));
        }
    }
    Ok(())
}
