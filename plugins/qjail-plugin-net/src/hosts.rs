//! The lines of a Linux jail's hosts(5) that `create` wrote for its addresses: they follow when these change.

use std::net::IpAddr;

use qjail_fs::{RelPath, Root};
use qjail_plugin_api::{At, HookRequest, IfExists, Plan, Step};

use crate::choose::Choice;
use crate::config::addresses_now;
use crate::world::World;

/// The file, below the jail's root.
const FILE: &str = "etc/hosts";
/// The longest file that is looked at.
const LIMIT: u64 = 1 << 20;

/// Adds the step that writes the file anew where it still has the old lines. What the jail's root has put in its place is
/// left alone, and nothing is followed: a warning tells.
pub(crate) fn follow(world: &World, request: &HookRequest, choice: &Choice, plan: &mut Plan) {
    let name = &request.jail.name;
    if world.freebsd {
        return;
    }
    let old: Vec<IpAddr> = addresses_now(world, name).into_iter().map(|s| s.addr).collect();
    let new: Vec<IpAddr> = choice.addresses.iter().map(|(_, s)| s.addr).collect();
    if old == new {
        return;
    }
    let root = std::path::Path::new(&request.context.jails_dir).join(name);
    let Ok(path) = RelPath::new(FILE) else { return };
    let read = Root::open(&root).and_then(|root| root.read_to_string(&path, LIMIT));
    match read {
        Ok(text) => plan
            .steps
            .extend(changed(&text, name, &old, &new).map(|content| Step::WriteFile {
                at: At::jail(FILE),
                content,
                mode: None,
                if_exists: IfExists::Replace,
            })),
        Err(e) if e.is_not_found() => {}
        Err(e) => plan
            .warnings
            .push(format!("{FILE} of {name} is left as it is: {e}")),
    }
}

/// The text with the lines of the new addresses in place of those of the old; none where there are no such lines.
fn changed(text: &str, name: &str, old: &[IpAddr], new: &[IpAddr]) -> Option<String> {
    let line = |addr: &IpAddr| format!("{addr}\t{name}");
    let is_old = |l: &str| old.iter().any(|a| line(a) == l);
    let named = |l: &str| l.split_whitespace().skip(1).any(|w| w == name);
    let first = text.lines().position(is_old);
    if first.is_none() && (!old.is_empty() || text.lines().any(named)) {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    for (at, l) in text.lines().enumerate() {
        if first == Some(at) {
            lines.extend(new.iter().map(line));
        }
        if !is_old(l) {
            lines.push(l.to_owned());
        }
    }
    if first.is_none() {
        lines.extend(new.iter().map(line));
    }
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_their_addresses() {
        let ip = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<IpAddr>>();
        let text = "127.0.0.1\tlocalhost\n10.0.0.2\tweb\nfd00::2\tweb\n10.0.0.9\tdb\n";
        let (old, new) = (ip(&["10.0.0.2", "fd00::2"]), ip(&["10.0.0.3"]));
        assert_eq!(
            changed(text, "web", &old, &new).as_deref(),
            Some("127.0.0.1\tlocalhost\n10.0.0.3\tweb\n10.0.0.9\tdb\n")
        );
        assert_eq!(
            changed(text, "web", &old, &[]).as_deref(),
            Some("127.0.0.1\tlocalhost\n10.0.0.9\tdb\n")
        );
        // Somebody has written lines of their own: they stay.
        assert_eq!(changed("10.0.0.2 web www\n", "web", &old, &new), None);
        assert_eq!(changed("10.0.0.9 web\n", "web", &[], &new), None);
        assert_eq!(
            changed("127.0.0.1\tlocalhost\n", "web", &[], &new).as_deref(),
            Some("127.0.0.1\tlocalhost\n10.0.0.3\tweb\n")
        );
    }
}
