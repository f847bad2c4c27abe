//! Changes to files of users and groups, as bytes. What is not changed stays as it is, comments and broken lines too.

use crate::{LineError, User, passwd_line, valid_name};

/// The text with a line at its end, which begins after a line end whether the text has one or not.
#[must_use]
pub fn with_line(text: &[u8], line: &str) -> Vec<u8> {
    let mut out = text.to_vec();
    if out.last().is_some_and(|last| *last != b'\n') {
        out.push(b'\n');
    }
    out.extend_from_slice(line.as_bytes());
    if !line.ends_with('\n') {
        out.push(b'\n');
    }
    out
}

/// The text without every line whose first field is `name`.
#[must_use]
pub fn without_entry(text: &[u8], name: &str) -> Vec<u8> {
    lines(text)
        .filter(|line| !is_of(line, name))
        .flatten()
        .copied()
        .collect()
}

/// Field `index` (from 0) of the first line of `name`.
#[must_use]
pub fn field(text: &[u8], name: &str, index: usize) -> Option<String> {
    let line = lines(text).find(|line| is_of(line, name))?;
    let field = line.trim_ascii_end().split(|b| *b == b':').nth(index)?;
    Some(String::from_utf8_lossy(field).into_owned())
}

/// The text with another value in field `index` (from 0) of the first line of `name`; none where there is no such field,
/// or the value would break the line.
#[must_use]
pub fn with_field(text: &[u8], name: &str, index: usize, value: &str) -> Option<Vec<u8>> {
    if value.contains(|c: char| c == ':' || c.is_control()) {
        return None;
    }
    let mut done = false;
    let mut out = Vec::with_capacity(text.len() + value.len());
    for line in lines(text) {
        if done || !is_of(line, name) {
            out.extend_from_slice(line);
            continue;
        }
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let mut fields: Vec<&[u8]> = content.split(|b| *b == b':').collect();
        *fields.get_mut(index)? = value.as_bytes();
        out.extend(fields.join(&b':'));
        out.extend_from_slice(&line[content.len()..]);
        done = true;
    }
    done.then_some(out)
}

/// The text of a `group` (or Linux's `gshadow`) with a member more in a group; none where there is no such group, or the
/// name cannot be one.
#[must_use]
pub fn with_member(text: &[u8], group: &str, member: &str) -> Option<Vec<u8>> {
    let members = field(text, group, MEMBERS)?;
    if !valid_name(member) {
        return None;
    }
    if names(&members).any(|m| m == member) {
        return Some(text.to_vec());
    }
    let all: Vec<&str> = names(&members).chain([member]).collect();
    with_field(text, group, MEMBERS, &all.join(","))
}

/// The text of a `group` (or `gshadow`) with `member` in no group's list.
#[must_use]
pub fn without_member(text: &[u8], member: &str) -> Vec<u8> {
    let groups: Vec<String> = lines(text)
        .filter_map(|line| line.split(|b| *b == b':').next())
        .filter_map(|name| String::from_utf8(name.to_vec()).ok())
        .collect();
    groups.iter().fold(text.to_vec(), |text, group| {
        without_member_of(&text, group, member)
    })
}

/// The text of a `group` (or `gshadow`) with `member` not in the list of this group.
#[must_use]
pub fn without_member_of(text: &[u8], group: &str, member: &str) -> Vec<u8> {
    let members = field(text, group, MEMBERS).filter(|m| names(m).any(|n| n == member));
    let left = members.and_then(|members| {
        let left: Vec<&str> = names(&members).filter(|m| *m != member).collect();
        with_field(text, group, MEMBERS, &left.join(","))
    });
    left.unwrap_or_else(|| text.to_vec())
}

/// A line of FreeBSD's `master.passwd`, with its line end. `change` is when the password has to be changed, in seconds
/// since 1970: 0 for never, a past one for the next login (passwd(5)).
///
/// # Errors
/// As [`passwd_line`]; a password field that breaks the line.
pub fn master_line(user: &User, password: &str, change: u64) -> Result<String, LineError> {
    // Checks every field, and has them in the same order.
    let line = passwd_line(user)?;
    let password = checked_password(password, user)?;
    let rest = line
        .strip_prefix(&format!("{}:x:{}:{}:", user.name, user.uid, user.gid))
        .unwrap_or_default()
        .to_owned();
    Ok(format!(
        "{}:{password}:{}:{}::{change}:0:{rest}",
        user.name, user.uid, user.gid
    ))
}

/// A line of Linux's `shadow`, with its line end. `changed` is the day of the last change since 1970; 0 means that the
/// password must be changed at the next login (shadow(5)).
///
/// # Errors
/// A name or password field that breaks the line.
pub fn shadow_line(user: &User, password: &str, changed: u64) -> Result<String, LineError> {
    passwd_line(user)?;
    let password = checked_password(password, user)?;
    Ok(format!("{}:{password}:{changed}:0:99999:7:::\n", user.name))
}

/// The field of a group's members.
const MEMBERS: usize = 3;

fn checked_password<'a>(password: &'a str, user: &User) -> Result<&'a str, LineError> {
    if password.contains(|c: char| c == ':' || c.is_control()) {
        return Err(LineError::Field {
            field: "password",
            name: user.name.clone(),
        });
    }
    Ok(password)
}

fn names(members: &str) -> impl Iterator<Item = &str> {
    members.split(',').map(str::trim).filter(|m| !m.is_empty())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|b| *b == b'\n')
}

fn is_of(line: &[u8], name: &str) -> bool {
    line.strip_prefix(name.as_bytes())
        .is_some_and(|rest| rest.first() == Some(&b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &[u8] = b"# note\nroot:x:0:\nsudo:x:27:\nusers:x:100:me, you\n+:::\nbroken\nlast:x:5:you";

    #[test]
    fn members_come_and_go_and_the_rest_stays() {
        let with = with_member(GROUP, "sudo", "web").unwrap();
        let with = with_member(&with, "users", "web").unwrap();
        assert_eq!(
            String::from_utf8_lossy(&with),
            "# note\nroot:x:0:\nsudo:x:27:web\nusers:x:100:me,you,web\n+:::\nbroken\nlast:x:5:you"
        );
        assert_eq!(with_member(&with, "sudo", "web").unwrap(), with);
        assert_eq!(with_member(GROUP, "wheel", "web"), None);
        assert_eq!(with_member(GROUP, "sudo", "a:b"), None);
        let without = without_member(&with, "web");
        assert_eq!(
            String::from_utf8_lossy(&without),
            "# note\nroot:x:0:\nsudo:x:27:\nusers:x:100:me,you\n+:::\nbroken\nlast:x:5:you"
        );
        assert_eq!(without_member(GROUP, "nobody"), GROUP);
    }

    #[test]
    fn entries() {
        let text = with_line(GROUP, "web:x:1000:");
        assert!(text.ends_with(b"last:x:5:you\nweb:x:1000:\n"));
        assert_eq!(without_entry(&text, "web"), [GROUP, b"\n"].concat());
        assert_eq!(field(GROUP, "sudo", 2).as_deref(), Some("27"));
        assert_eq!(field(GROUP, "su", 2), None);
        assert_eq!(field(GROUP, "broken", 1), None);
        assert_eq!(with_field(GROUP, "sudo", 9, "x"), None);
        assert_eq!(with_field(GROUP, "sudo", 1, "x\ny"), None);
    }

    #[test]
    fn lines_of_passwords() {
        let user = User {
            name: "tom".into(),
            uid: 1001,
            gid: 0,
            gecos: "Jail".into(),
            home: "/home/tom".into(),
            shell: "/bin/csh".into(),
        };
        // What `pw useradd tom -p 12-12-12 -c Jail -m -g wheel -s csh` makes on FreeBSD 13.2.
        assert_eq!(
            master_line(&user, "$6$SALT$HASH", 1_355_270_400).unwrap(),
            "tom:$6$SALT$HASH:1001:0::1355270400:0:Jail:/home/tom:/bin/csh\n"
        );
        assert_eq!(shadow_line(&user, "*", 0).unwrap(), "tom:*:0:0:99999:7:::\n");
        assert!(shadow_line(&user, "a:b", 0).is_err());
        assert!(master_line(&user, "a\n", 0).is_err());
    }
}
