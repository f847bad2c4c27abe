//! All that ssh needs in a jail, worked out on a [`Tree`]: nothing is changed before the caller saves it.

use qjail_fs::Kind;
use qjail_plugin_api::PluginError;

use crate::account::{self, System};
use crate::order::{Off, On, Password};
use crate::text;
use crate::tree::Tree;

const RC_CONF: &str = "etc/rc.conf";
const SSHD_CONFIG: &str = "etc/ssh/sshd_config";
const PAM_SU: &str = "etc/pam.d/su";
const SUDOERS: &str = "etc/sudoers";
const OUR_SUDOERS: &str = "etc/sudoers.d/qjail-ssh";

/// What switching ssh on has come to.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
    /// The group that an account which was there before has been put into.
    pub(crate) joined: Option<String>,
}

/// Switches ssh on.
pub(crate) fn on(tree: &mut Tree, order: &On, system: System) -> Result<Done, PluginError> {
    if tree.kind("etc/ssh")?.is_none() || tree.read(SSHD_CONFIG)?.is_none() {
        let hint = match system {
            System::Linux => "install an OpenSSH server in the base (Debian: openssh-server), or in the jail",
            System::FreeBsd => "the base is not whole: qjail install",
        };
        return Err(PluginError::new(format!("there is no sshd: {SSHD_CONFIG} is missing")).hint(hint));
    }
    edit(tree, SSHD_CONFIG, text::use_dns_no)?;
    let rc = tree.read(RC_CONF)?.unwrap_or_default();
    tree.write(RC_CONF, changed(&rc, |t| text::sshd_enable(t, true)))?;
    if order.fresh {
        drop_host_keys(tree)?;
    }
    let new = account::ensure(tree, order, system)?;
    match system {
        System::FreeBsd => {
            // A new account has the group wheel as its own.
            let joined = if new {
                None
            } else {
                account::join_wheel(tree, &order.user)?
            };
            Ok(Done {
                warnings: freebsd_root(tree, order)?,
                joined,
            })
        }
        System::Linux => {
            let (group, joins) = account::admin_group(tree, &order.user)?;
            Ok(Done {
                warnings: linux_root(tree, order, &group)?,
                joined: Some(group).filter(|_| joins && !new),
            })
        }
    }
}

/// Switches ssh off again. Host keys and home directories stay.
pub(crate) fn off(tree: &mut Tree, order: &Off, system: System) -> Result<(), PluginError> {
    if tree.read(RC_CONF)?.is_some() {
        edit(tree, RC_CONF, |t| text::sshd_enable(t, false))?;
    }
    for file in [SSHD_CONFIG, PAM_SU] {
        if tree.read(file)?.is_some() {
            edit(tree, file, text::without_ours)?;
        }
    }
    tree.remove(OUR_SUDOERS)?;
    for user in &order.users {
        account::remove(tree, user, system)?;
        if let Some(group) = order.joined.get(user) {
            account::leave_group(tree, user, group)?;
        }
    }
    Ok(())
}

/// Keys of the template, of a flavor or of an archive are not only this jail's.
fn drop_host_keys(tree: &mut Tree) -> Result<(), PluginError> {
    for (name, kind) in tree.list("etc/ssh")? {
        if name.starts_with("ssh_host_") && kind == Kind::File {
            tree.remove(&format!("etc/ssh/{name}"))?;
        }
    }
    Ok(())
}

/// Group wheel and su(1), which asks for root's password.
fn freebsd_root(tree: &mut Tree, order: &On) -> Result<Vec<String>, PluginError> {
    if account::root_has_no_login(tree)? {
        let user = &order.user;
        return Ok(vec![format!(
            "root of the jail has no password that su(1) takes: {user} can become root once it is set with passwd(1)"
        )]);
    }
    Ok(Vec::new())
}

/// sudo where the base has it, and su(1) for the group where that asks PAM: root has no password that it could ask for.
fn linux_root(tree: &mut Tree, order: &On, group: &str) -> Result<Vec<String>, PluginError> {
    let user = &order.user;
    if tree.read(SUDOERS)?.is_some() {
        let how = if order.password == Password::None {
            "NOPASSWD: ALL"
        } else {
            "ALL"
        };
        tree.make_dir("etc/sudoers.d", 0o750, (0, 0))?;
        let old = tree.read(OUR_SUDOERS)?.unwrap_or_default();
        let (old, own) = (String::from_utf8_lossy(&old).into_owned(), format!("{user} ALL="));
        if order.password == Password::None || !old.lines().any(|l| l.starts_with(&own)) {
            let others = old.lines().filter(|l| !l.starts_with(&own));
            let mut rules: String = others.flat_map(|l| [l, "\n"]).collect();
            rules.push_str(&format!("{user} ALL=(ALL:ALL) {how}\n"));
            tree.write_as(OUR_SUDOERS, rules.into_bytes(), 0o440, (0, 0))?;
        }
        return Ok(Vec::new());
    }
    if tree.read(PAM_SU)?.is_some() {
        edit(tree, PAM_SU, |t| text::trust_group(t, group))?;
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "the base has neither sudo nor PAM's su: {user} can not become root until the jail has one"
    )])
}

fn edit(tree: &mut Tree, path: &str, change: impl Fn(&str) -> String) -> Result<(), PluginError> {
    let text = tree.need(path)?;
    tree.write(path, changed(&text, change))
}

/// A text with a change; bytes that are no text stay as they are.
fn changed(text: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) => change(text).into_bytes(),
        // Latin-1 maps every byte to a character and back.
        Err(_) => {
            let wide: String = text.iter().map(|b| char::from(*b)).collect();
            change(&wide)
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect()
        }
    }
}
