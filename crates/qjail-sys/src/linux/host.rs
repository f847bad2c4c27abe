//! The host itself: what it is, and what it lacks.

use super::runtime::{Resources, Runtime};
use super::{image, net};
use crate::{HostInfo, Missing, Need, params};

pub(super) fn info() -> HostInfo {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    HostInfo {
        os: "linux".to_owned(),
        release: distribution().unwrap_or_else(|| "Linux".to_owned()),
        machine: text(uname.machine()),
        machine_arch: text(uname.machine()),
        kernel: text(uname.release()),
    }
}

/// Name and version of the distribution: the first of the two files that there is, see os-release(5).
fn distribution() -> Option<String> {
    ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| pretty_name(&text))
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?
        .trim();
    let bare = ['"', '\'']
        .iter()
        .find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q))
        .unwrap_or(value);
    // Within quotes a backslash stands before `$`, `"`, `\` and a back quote.
    let mut unescaped = String::new();
    let mut letters = bare.chars();
    while let Some(c) = letters.next() {
        unescaped.extend(if c == '\\' { letters.next() } else { Some(c) });
    }
    Some(unescaped).filter(|name| !name.is_empty())
}

pub(super) fn missing(need: Need, runtime: &Runtime) -> Vec<Missing> {
    if !qjail_os::is_root() {
        let what = "qjail must be run by root".to_owned();
        return vec![Missing {
            what,
            hint: Some("become root, or use sudo(8)".to_owned()),
        }];
    }
    match need {
        Need::Files => Vec::new(),
        Need::Jails => runtime
            .missing()
            .into_iter()
            .map(|what| Missing { what, hint: None })
            .collect(),
        Need::Network => network(),
        Need::Images => image::missing(),
    }
}

/// Why a jail can not be kept to these processors, if so.
pub(super) fn without_processors(list: &str) -> Option<String> {
    let resources = Resources {
        processors: Some(list.to_owned()),
        ..Resources::default()
    };
    if let Some((_, why)) = Runtime::lacking(&resources).into_iter().next() {
        return Some(why);
    }
    let there = Runtime::processors();
    let absent = params::processors(list)?
        .into_iter()
        .find(|n| !there.contains(n))?;
    let all: Vec<String> = there.iter().map(ToString::to_string).collect();
    Some(format!(
        "there is no processor {absent}; there are {}",
        all.join(",")
    ))
}

fn network() -> Vec<Missing> {
    let Err((what, why)) = net::probe() else {
        return Vec::new();
    };
    let what = format!("the kernel refuses {what}: {}", net::plain(&why));
    vec![Missing {
        what,
        hint: Some("in a container, give it the capabilities NET_ADMIN and SYS_ADMIN".to_owned()),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_distributions() {
        for (text, name) in [
            (
                "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n",
                Some("Debian GNU/Linux 13 (trixie)"),
            ),
            ("PRETTY_NAME='Void'\n", Some("Void")),
            ("PRETTY_NAME=Arch\n", Some("Arch")),
            ("PRETTY_NAME=\"a \\\"b\\\" \\$c\"", Some("a \"b\" $c")),
            ("PRETTY_NAME=\n", None),
            ("NAME=x\n", None),
            ("PRETTY_NAME=\"", Some("\"")),
        ] {
            assert_eq!(pretty_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn this_host_is_told() {
        let info = info();
        assert!(!info.release.is_empty() && !info.kernel.is_empty());
        assert_eq!(info.machine, std::env::consts::ARCH);
    }
}
