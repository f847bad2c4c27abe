//! Objections and plans for `create`, `config` and `start`.

use std::path::Path;

use qjail_plugin_api::serde_json;
use qjail_plugin_api::{At, Event, HookRequest, Objection, Plan, PluginError, Step};

use crate::account::System;
use crate::order::{OFF, ON, Off, On, Password};
use crate::password;
use crate::setup;
use crate::tree::Tree;
use crate::wish::{Kept, Wish, shares_network, wish};

/// Seconds of a day.
const DAY: u64 = 86400;

/// Which files hold the accounts of this system's jails.
pub(crate) fn system(os: &str) -> System {
    if os == "freebsd" {
        System::FreeBsd
    } else {
        System::Linux
    }
}

/// Every reason not to begin.
pub(crate) fn validate(request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
    let (wish, mut objections) = wish(request);
    let kept = Kept::of(request);
    if wish != Wish::Nothing {
        objections.extend(missing(request));
    }
    let stays_on = wish == Wish::Nothing && request.event == Event::Config && !kept.users.is_empty();
    if matches!(wish, Wish::On { .. }) || stays_on {
        objections.extend(shares_network(request));
    }
    if !objections.is_empty() {
        return Ok(objections);
    }
    // Worked out on what is there now; what is wrong shows before anything is changed.
    let tried = match &wish {
        Wish::Nothing => return Ok(Vec::new()),
        Wish::On { user, keys, random } => match there(request) {
            None => return Ok(Vec::new()),
            Some(mut tree) => {
                let order = order(request, user, keys, blank(keys, *random));
                setup::on(&mut tree, &order, system(&request.context.os)).map(drop)
            }
        },
        Wish::Off => match there(request) {
            None => return Ok(Vec::new()),
            Some(mut tree) => setup::off(&mut tree, &order_off(&kept), system(&request.context.os)),
        },
    };
    Ok(tried
        .err()
        .map(|e| Objection {
            message: format!("ssh of {}: {}", request.jail.name, e.message),
            hint: e.hint,
        })
        .into_iter()
        .collect())
}

/// What speaks against a jail whose directory somebody took away.
fn missing(request: &HookRequest) -> Option<Objection> {
    let root = format!("{}/{}", request.context.jails_dir, request.jail.name);
    if request.event == Event::Create || Path::new(&root).symlink_metadata().is_ok() {
        return None;
    }
    let message = format!("ssh of {}: its directory {root} is missing", request.jail.name);
    Some(Objection::new(message).hint("move it back there; qjail delete removes what is left of the jail"))
}

fn order_off(kept: &Kept) -> Off {
    Off {
        users: kept.users.clone(),
        joined: kept.joined.clone(),
    }
}

/// The jail's files, or for a new jail those of the template; none where they can not be looked at yet.
fn there(request: &HookRequest) -> Option<Tree> {
    let jails = &request.context.jails_dir;
    let root = match request.event {
        Event::Create => format!("{jails}/.base/template"),
        _ => format!("{jails}/{}", request.jail.name),
    };
    // Without a base `base` objects; the root of a jail in an image is empty until the image is attached.
    Tree::open(&root)
        .ok()
        .filter(|tree| !matches!(tree.kind("etc"), Ok(None)))
}

fn blank(keys: &[String], random: bool) -> Password {
    match (keys.is_empty(), random) {
        (false, _) => Password::None,
        (true, true) => Password::Given("?".to_owned()),
        (true, false) => Password::First("?".to_owned()),
    }
}

fn order(request: &HookRequest, user: &str, keys: &[String], password: Password) -> On {
    let context = &request.context;
    On {
        user: user.to_owned(),
        keys: keys.to_vec(),
        password,
        day: context.now / DAY,
        fresh: request.event == Event::Create,
        shared: shared(request),
        made: Vec::new(),
    }
}

/// The jail's shared base.
fn shared(request: &HookRequest) -> String {
    let jails = &request.context.jails_dir;
    let base = match &request.jail.base {
        Some(id) => format!(".bases/{id}"),
        None => ".base".to_owned(),
    };
    let shared = format!("{jails}/{base}/sharedfs");
    // The base of qjail 5, whose jails are taken over before one is installed.
    let old = format!("{jails}/sharedfs");
    if !Path::new(&shared).is_dir() && Path::new(&old).is_dir() {
        return old;
    }
    shared
}

/// What is to be done.
pub(crate) fn plan(request: &HookRequest) -> Result<Plan, PluginError> {
    if request.event == Event::Start {
        return Ok(start(request));
    }
    match wish(request).0 {
        Wish::Nothing => Ok(Plan::default()),
        Wish::On { user, keys, random } => on(request, &user, &keys, random),
        Wish::Off => off(request),
    }
}

fn on(request: &HookRequest, user: &str, keys: &[String], random: bool) -> Result<Plan, PluginError> {
    let (name, context) = (&request.jail.name, &request.context);
    let kept = Kept::of(request);
    let known = kept.users.iter().any(|u| u == user);
    let secret = if random {
        password::random()?
    } else {
        user.to_owned()
    };
    let mut order = order(request, user, keys, blank(keys, random));
    // What is only shown tells no secret.
    if !context.dry_run {
        order.password = match order.password {
            Password::First(_) => Password::First(password::hash(&secret)?),
            Password::Given(_) => Password::Given(password::hash(&secret)?),
            Password::None => Password::None,
        };
    }
    let mut files = Vec::new();
    let mut warnings = Vec::new();
    let mut new_account = true;
    let mut joined = kept.joined;
    if let Some(mut tree) = there(request) {
        let done = setup::on(&mut tree, &order, system(&context.os))?;
        warnings = done.warnings;
        joined.extend(done.joined.map(|group| (user.to_owned(), group)));
        if request.event == Event::Config {
            (files, order.made) = (tree.changed(), tree.made());
            new_account = files.iter().any(|f| f == "etc/passwd");
            if files.is_empty() && order.made.is_empty() && known {
                return Ok(Plan {
                    notes: vec![format!("Already set to ssh enabled for {name}")],
                    ..Plan::default()
                });
            }
        }
    }
    let mut users = kept.users;
    users.retain(|u| u != user);
    users.push(user.to_owned());
    let mut notes = Vec::new();
    if request.event == Event::Config {
        notes.push(format!("Successful ssh enable for {name}"));
    }
    notes.extend(told(user, &order.password, &secret, context.dry_run, new_account));
    let about = format!("ssh in {name}: sshd on, user {user}");
    let step = plugin_step(ON, about, &order)?;
    Ok(Plan {
        keep: Some(
            Kept {
                users,
                joined,
                pending: context.os == "freebsd",
            }
            .to_map(),
        ),
        steps: remembered(&files).into_iter().chain([step]).collect(),
        notes,
        warnings,
        ..Plan::default()
    })
}

fn told(user: &str, password: &Password, secret: &str, dry_run: bool, new: bool) -> Option<String> {
    Some(match password {
        Password::None => format!("ssh: {user} gets in with a key, and with no password"),
        Password::Given(_) if dry_run => format!("ssh: {user} gets a random password, shown when it is made"),
        Password::Given(_) => format!("ssh: {user}, password {secret} (it is not shown again)"),
        Password::First(_) if new => {
            format!("ssh: {user}, password {secret}, to be changed at the first login")
        }
        Password::First(_) => return None,
    })
}

fn off(request: &HookRequest) -> Result<Plan, PluginError> {
    let name = &request.jail.name;
    let kept = Kept::of(request);
    let order = order_off(&kept);
    let mut files = Vec::new();
    if let Some(mut tree) = there(request) {
        setup::off(&mut tree, &order, system(&request.context.os))?;
        files = tree.changed();
        if files.is_empty() && order.users.is_empty() {
            return Ok(Plan {
                notes: vec![format!("Already set to ssh disabled for {name}")],
                ..Plan::default()
            });
        }
    }
    let rebuild = request.context.os == "freebsd" && !order.users.is_empty();
    let step = plugin_step(OFF, format!("ssh in {name}: sshd off"), &order)?;
    Ok(Plan {
        keep: Some(
            Kept {
                pending: rebuild,
                ..Kept::default()
            }
            .to_map(),
        ),
        steps: remembered(&files).into_iter().chain([step]).collect(),
        notes: vec![format!("Successful ssh disable for {name}")],
        ..Plan::default()
    })
}

/// FreeBSD looks users up in databases that only the jail's own program makes; it does so once, at the next start.
fn start(request: &HookRequest) -> Plan {
    let kept = Kept::of(request);
    if !kept.pending {
        return Plan::default();
    }
    let argv = ["/usr/sbin/pwd_mkdb", "-p", "/etc/master.passwd"];
    let done = Kept {
        pending: false,
        ..kept
    };
    Plan {
        keep: Some(done.to_map()),
        steps: vec![Step::RunInJail {
            argv: argv.map(str::to_owned).to_vec(),
            user: None,
            about: "rebuild the user database".to_owned(),
            undo: Vec::new(),
        }],
        ..Plan::default()
    }
}

fn remembered(files: &[String]) -> Option<Step> {
    (!files.is_empty()).then(|| Step::RememberFiles {
        files: files.iter().map(|f| At::jail(f)).collect(),
    })
}

fn plugin_step(op: &str, about: String, data: &impl serde::Serialize) -> Result<Step, PluginError> {
    Ok(Step::Plugin {
        plugin: String::new(),
        op: op.to_owned(),
        about,
        data: serde_json::to_value(data).map_err(PluginError::new)?,
    })
}
