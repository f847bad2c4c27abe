//! What is missing on a host before anything is changed.

use qjail_model::Limits;

use crate::{Missing, Need};

/// What the host told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The process is root's.
    pub(crate) root: bool,
    /// `security.jail.jailed`: qjail itself runs in a jail.
    pub(crate) jailed: bool,
    /// `kern.securelevel`; -1 and 0 are no restriction.
    pub(crate) securelevel: i32,
    /// Modules that are neither in the kernel nor in a file that it could load.
    pub(crate) absent: Vec<&'static str>,
    /// Modules that are not in the kernel yet.
    pub(crate) unloaded: Vec<&'static str>,
}

/// The modules that a need has.
pub(crate) fn modules(need: Need) -> &'static [&'static str] {
    match need {
        Need::Jails => super::modules::OF_EVERY_JAIL,
        Need::Files | Need::Network | Need::Images => &[],
    }
}

/// What is missing for a need.
pub(crate) fn missing(facts: &Facts) -> Vec<Missing> {
    let mut all = Vec::new();
    let mut add = |what: String, hint: &str| {
        all.push(Missing {
            what,
            hint: Some(hint.to_owned()),
        });
    };
    if !facts.root {
        add("qjail must be run by root".to_owned(), "use su(1), sudo or doas");
    }
    if facts.jailed {
        add(
            "qjail runs in a jail".to_owned(),
            "jails are made on the host itself",
        );
    }
    if facts.securelevel > 0 {
        let what = format!(
            "the host's kern.securelevel is {}, which forbids what qjail does",
            facts.securelevel
        );
        add(what, "set kern_securelevel_enable=NO in rc.conf and reboot");
    }
    for module in &facts.absent {
        add(
            format!("the kernel has no {module}, and there is no module to load"),
            "install the kernel's modules",
        );
    }
    // Above securelevel 0 the kernel loads nothing.
    for module in facts.unloaded.iter().filter(|_| facts.securelevel > 0) {
        let hint = format!("load it at boot: {module}_load=\"YES\" in /boot/loader.conf");
        add(
            format!("{module} is not loaded, and securelevel forbids loading it"),
            &hint,
        );
    }
    all
}

/// Every limit as refused: the kernel keeps no account of what jails use.
pub(crate) fn without_accounting(limits: &Limits) -> Vec<(String, Missing)> {
    let missing = || Missing {
        what: "the kernel keeps no account of what jails use (kern.racct.enable is 0)".to_owned(),
        hint: Some("add kern.racct.enable=1 to /boot/loader.conf and reboot".to_owned()),
    };
    limits
        .iter()
        .map(|limit| (limit.name().to_owned(), missing()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            root: true,
            jailed: false,
            securelevel: -1,
            absent: Vec::new(),
            unloaded: vec!["nullfs"],
        }
    }

    fn texts(facts: &Facts) -> Vec<String> {
        missing(facts).into_iter().map(|m| m.what).collect()
    }

    #[test]
    fn a_module_that_is_only_not_loaded_yet_is_not_missing() {
        assert!(texts(&good()).is_empty());
        assert!(
            texts(&Facts {
                securelevel: 0,
                ..good()
            })
            .is_empty()
        );
        assert_eq!(
            (modules(Need::Jails), modules(Need::Files)),
            (&["nullfs"][..], &[][..])
        );
    }

    #[test]
    fn each_in_one_sentence() {
        assert_eq!(
            texts(&Facts {
                root: false,
                ..good()
            }),
            ["qjail must be run by root"]
        );
        assert_eq!(
            texts(&Facts {
                jailed: true,
                ..good()
            }),
            ["qjail runs in a jail"]
        );
        let locked = texts(&Facts {
            securelevel: 2,
            ..good()
        });
        assert!(locked[0].contains("kern.securelevel is 2") && locked[1].starts_with("nullfs is not loaded"));
        let absent = missing(&Facts {
            absent: vec!["nullfs"],
            unloaded: Vec::new(),
            ..good()
        });
        assert!(absent[0].what.starts_with("the kernel has no nullfs") && absent[0].hint.is_some());
    }
}
