//! rc.conf(5) through sysrc(8).

use super::command::{Invocation, SYSRC};
use crate::{RcChange, Result, SysError};

/// Asks for a value. `-i`: a variable that no file knows is no error.
pub(crate) fn ask(variable: &str) -> Result<Invocation> {
    check("read", variable, "")?;
    Ok(Invocation::new(SYSRC, &["-i", "-n", variable]))
}

/// The value in the answer; none where it is empty, as `cloned_interfaces` is in /etc/defaults/rc.conf.
pub(crate) fn value(answer: &str) -> Option<String> {
    let value = answer.strip_suffix('\n').unwrap_or(answer);
    (!value.is_empty()).then(|| value.to_owned())
}

/// The command that makes a change; none where `now` is as it should be. sysrc(8) would write the line all the same: an
/// empty one for a word to remove from a variable that is not set.
pub(crate) fn change(variable: &str, change: &RcChange, now: Option<&str>) -> Result<Option<Invocation>> {
    let has = |word: &str| now.is_some_and(|n| n.split_whitespace().any(|w| w == word));
    let text = match change {
        RcChange::Set(value) | RcChange::Add(value) | RcChange::Remove(value) => value.as_str(),
        RcChange::Unset => "",
    };
    check("change", variable, text)?;
    let argument = match change {
        RcChange::Set(value) if now == Some(value) => return Ok(None),
        RcChange::Set(value) => format!("{variable}={value}"),
        RcChange::Add(word) if has(word) => return Ok(None),
        RcChange::Add(word) => format!("{variable}+={word}"),
        RcChange::Remove(word) if !has(word) => return Ok(None),
        RcChange::Remove(word) => format!("{variable}-={word}"),
        RcChange::Unset if now.is_none() => return Ok(None),
        RcChange::Unset => return Ok(Some(Invocation::new(SYSRC, &["-x", variable]))),
    };
    Ok(Some(Invocation::new(SYSRC, &[&argument])))
}

/// rc.conf(5) is read by a shell as root: nothing that it would expand goes into it.
fn check(what: &str, variable: &str, value: &str) -> Result<()> {
    let name = variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let fail = |why: String| Err(SysError::new(format!("{what} {variable} of rc.conf"), why));
    if !name {
        return fail("this is not the name of a variable".to_owned());
    }
    match value.chars().find(|c| c.is_control() || "\"'\\$`".contains(*c)) {
        Some(bad) => fail(format!("the value contains {bad:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(variable: &str, what: RcChange, now: Option<&str>) -> Option<String> {
        change(variable, &what, now).unwrap().map(|i| i.to_string())
    }

    #[test]
    fn commands() {
        let add = |now| line("cloned_interfaces", RcChange::Add("lo1".into()), now);
        assert_eq!(add(None).unwrap(), "/usr/sbin/sysrc cloned_interfaces+=lo1");
        assert_eq!(
            add(Some("lo2 lo10")).unwrap(),
            "/usr/sbin/sysrc cloned_interfaces+=lo1"
        );
        assert_eq!(add(Some("lo2 lo1")), None);
        let remove = |now| line("cloned_interfaces", RcChange::Remove("lo1".into()), now);
        assert_eq!(
            remove(Some("lo1 lo2")).unwrap(),
            "/usr/sbin/sysrc cloned_interfaces-=lo1"
        );
        assert_eq!((remove(None), remove(Some("lo10"))), (None, None));
        let set = |now| {
            line(
                "ifconfig_lo1_alias0",
                RcChange::Set("inet 192.168.1.1/28".into()),
                now,
            )
        };
        assert_eq!(
            set(None).unwrap(),
            "/usr/sbin/sysrc 'ifconfig_lo1_alias0=inet 192.168.1.1/28'"
        );
        assert_eq!(set(Some("inet 192.168.1.1/28")), None);
        assert_eq!(
            line("qjail_enable", RcChange::Unset, Some("YES")).unwrap(),
            "/usr/sbin/sysrc -x qjail_enable"
        );
        assert_eq!(line("qjail_enable", RcChange::Unset, None), None);
        assert_eq!(
            ask("cloned_interfaces").unwrap().to_string(),
            "/usr/sbin/sysrc -i -n cloned_interfaces"
        );
    }

    #[test]
    fn answers() {
        assert_eq!(value("lo1 lo2\n").as_deref(), Some("lo1 lo2"));
        assert_eq!((value("\n"), value("")), (None, None));
    }

    #[test]
    fn nothing_that_a_shell_expands() {
        for bad in ["$(reboot)", "a\"; reboot; \"", "`x`", "a\nb", "a\\", "it's"] {
            let e = change("x", &RcChange::Set(bad.into()), None)
                .unwrap_err()
                .to_string();
            assert!(e.starts_with("change x of rc.conf: the value contains"), "{e}");
        }
        for bad in ["", "a b", "-x", "1a", "a=b", "a;b"] {
            assert!(
                ask(bad).is_err() && change(bad, &RcChange::Unset, None).is_err(),
                "{bad}"
            );
        }
    }
}
