//! A jail as another program describes it, in our words, before anything is compared with this host.

use qjail_model::{AddrSpec, Family, ParamValue, Params, ZoneName};

use super::shown;
use crate::Error;

/// The three facilities that `allow.sysvipc` stood for.
const SYSV: [&str; 3] = ["sysvmsg", "sysvsem", "sysvshm"];

/// The parameters that hold addresses.
pub(super) const ADDRESSES: [(&str, Family); 2] = [("ip4.addr", Family::V4), ("ip6.addr", Family::V6)];

/// A jail of another program.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Draft {
    /// As it is written there.
    pub(super) name: String,
    /// The file that describes it.
    pub(super) file: String,
    pub(super) zone: Option<ZoneName>,
    /// Its root directory, as it is written there.
    pub(super) path: String,
    pub(super) manual: bool,
    pub(super) norun: bool,
    pub(super) depend: Vec<String>,
    pub(super) params: Params,
    /// The image file that holds its root, as it is written there.
    pub(super) image: Option<String>,
    /// Whether its user for ssh was to be made at its next start.
    pub(super) ssh: bool,
    /// Whether something of it was left out without which it must not run.
    pub(super) left_out: bool,
    pub(super) notes: Vec<String>,
    pub(super) faults: Vec<Error>,
}

/// How it is said that something is left out.
pub(super) fn left_out_note(what: impl std::fmt::Display) -> String {
    format!("not taken over: {what}")
}

impl Draft {
    /// A jail that can not be taken over, whatever else is said of it.
    pub(super) fn refused(name: String, file: String, fault: Error) -> Self {
        Self {
            name,
            file,
            faults: vec![fault],
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Notes what is left out: without it the jail must not run before somebody has looked at it.
    pub(super) fn leave_out(&mut self, what: impl std::fmt::Display) {
        self.note(left_out_note(what));
        self.left_out = true;
    }

    /// Takes a parameter, if it can stand in a definition.
    pub(super) fn set(&mut self, key: &str, value: impl Into<ParamValue>) {
        let value = value.into();
        match Params::check(key, &value) {
            Ok(()) => drop(self.params.set(key, value)),
            Err(e) => self.leave_out(shown(&e.to_string())),
        }
    }

    /// `allow.sysvipc` has one meaning on every release: all three facilities shared with the host.
    pub(super) fn shared_sysvipc(&mut self) {
        for key in SYSV {
            self.set(key, "inherit");
        }
        self.note(
            "SysV IPC is shared with the host and with every other such jail, as it was; qjail config -y gives it facilities \
             of its own",
        );
    }

    /// Every address must be one, of the right family.
    pub(super) fn check_addresses(&mut self) {
        for (key, family) in ADDRESSES {
            for text in self.params.list(key) {
                let fault = match text.parse::<AddrSpec>() {
                    Ok(spec) if spec.family() == family => continue,
                    Ok(spec) => format!("{key}: {text} is an {} address", spec.family()),
                    Err(e) => format!("{key}: {e}"),
                };
                let hint = format!("correct it in {}", self.file);
                self.faults.push(Error::new(fault).hint(hint));
            }
        }
    }
}
