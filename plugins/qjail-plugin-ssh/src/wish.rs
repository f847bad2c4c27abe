//! What the user asked for, read from the options and checked; and what the plugin keeps in the definition.

use std::collections::BTreeMap;

use qjail_passwd::valid_name;
use qjail_plugin_api::serde_json::{self, Value};
use qjail_plugin_api::{Event, HookRequest, Objection};
use serde::{Deserialize, Serialize};

use crate::keys;

/// The plugin's table in a definition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The users that ssh was switched on for, the newest last; empty where it is off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) users: Vec<String>,
    /// Users that were there before, and the group in which each may become root since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) joined: BTreeMap<String, String>,
    /// FreeBSD: the user database has to be rebuilt inside the jail at its next start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pending: bool,
}

impl Kept {
    pub(crate) fn of(request: &HookRequest) -> Self {
        let map = request.jail.kept.clone().into_iter().collect();
        serde_json::from_value(Value::Object(map)).unwrap_or_default()
    }

    pub(crate) fn to_map(&self) -> BTreeMap<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map.into_iter().collect(),
            _ => BTreeMap::new(),
        }
    }
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing was asked for.
    Nothing,
    /// ssh on.
    On {
        user: String,
        keys: Vec<String>,
        random: bool,
    },
    /// ssh off.
    Off,
}

/// Reads the options. What is wrong with them comes as objections.
pub(crate) fn wish(request: &HookRequest) -> (Wish, Vec<Objection>) {
    let options = &request.options;
    if options.is_on("no-ssh") {
        return (Wish::Off, Vec::new());
    }
    let files = options.list("ssh-key");
    let asked = options.is_on("ssh")
        || !files.is_empty()
        || options.text("ssh-user").is_some()
        || options.text("ssh-password").is_some();
    if !asked {
        return (Wish::Nothing, Vec::new());
    }
    let mut objections = Vec::new();
    let kept = Kept::of(request);
    let given = options.text("ssh-user");
    let user = given
        .map(str::to_owned)
        .or_else(|| kept.users.last().cloned())
        .unwrap_or_else(|| request.new_name.as_ref().unwrap_or(&request.jail.name).clone());
    objections.extend(bad_user(&user, given.is_some()));
    let mut keys = Vec::new();
    for file in files {
        match keys::read(file) {
            Ok(some) => keys.extend(some),
            Err((message, hint)) => objections.push(Objection::new(message).hint(hint)),
        }
    }
    if request.event == Event::Create && request.jail.flavors.iter().any(|f| f == "ssh-default") {
        let message = "--ssh and --flavor ssh-default are invalid together";
        objections.push(Objection::new(message).hint("each makes a user for ssh; give one of them"));
    }
    let random = options.text("ssh-password").is_some();
    (Wish::On { user, keys, random }, objections)
}

fn bad_user(user: &str, given: bool) -> Option<Objection> {
    if valid_name(user) {
        return None;
    }
    let (what, hint) = if given {
        (
            "--ssh-user ",
            "1 to 32 letters, digits, `.`, `_` and `-`, no hyphen first",
        )
    } else {
        ("the jail's name ", "name the user with --ssh-user")
    };
    Some(Objection::new(format!("{what}{} can not be a user's", user.escape_debug())).hint(hint))
}

/// sshd may only listen on the jail's own addresses: with the host's network it would listen on all of the host's.
pub(crate) fn shares_network(request: &HookRequest) -> Option<Objection> {
    let inherits = |key: &&str| {
        let value = request.jail.params.list(key);
        value.first().is_some_and(|v| v == "inherit")
    };
    let key = ["ip4", "ip6", "vnet"].iter().find(|k| inherits(k))?;
    let message = format!(
        "{}: with {key} = inherit its sshd would listen on the host's own addresses",
        request.jail.name
    );
    Some(Objection::new(message).hint("give the jail addresses of its own, or leave ssh off"))
}
