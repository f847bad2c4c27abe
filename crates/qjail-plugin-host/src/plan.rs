//! Whether a plan is one that this plugin may make, and reading it so that a mistake is named.

use qjail_plugin_api::{At, Manifest, Plan, Step};
use serde::Deserialize;
use serde_json::Value;

/// Checks a plan and writes the plugin's name into its own steps.
///
/// # Errors
/// The first thing that is wrong, as what the plugin planned.
pub(crate) fn check(manifest: &Manifest, plan: &mut Plan) -> Result<(), String> {
    if let Some(param) = plan.params.keys().find(|p| !manifest.params.contains(p)) {
        return Err(format!(
            "to set the jail parameter {}, which its manifest does not list",
            param.escape_debug()
        ));
    }
    if let Some(bad) = plan
        .mounts
        .iter()
        .find(|m| !m.source.starts_with('/') || !is_below(m.target.trim_start_matches('/')))
    {
        let (source, target) = (bad.source.escape_debug(), bad.target.escape_debug());
        return Err(format!(
            "to mount {source} on {target}, which are not an absolute path and one below the jail"
        ));
    }
    for step in plan.steps.iter_mut().chain(&mut plan.commit) {
        if let Step::RemoveTree { at } = step {
            return Err(format!(
                "to remove {at} where it could not be undone: that belongs into `cleanup`"
            ));
        }
        self::step(manifest, step)?;
    }
    plan.cleanup.iter_mut().try_for_each(|s| step(manifest, s))
}

fn step(manifest: &Manifest, step: &mut Step) -> Result<(), String> {
    match step {
        Step::MakeDir { at, mode } => place(at).and_then(|()| permissions(*mode)),
        Step::WriteFile { at, mode, .. } => place(at).and_then(|()| mode.map_or(Ok(()), permissions)),
        Step::EnsureLine { at, line, .. } if line.contains('\n') => {
            Err(format!("several lines as one, in {at}"))
        }
        Step::EnsureLine { at, .. }
        | Step::RemoveFile { at }
        | Step::SetLink { at, .. }
        | Step::RemoveTree { at } => place(at),
        Step::CopyTree { from, to } | Step::Rename { from, to } => place(from).and_then(|()| place(to)),
        Step::Setting { path, .. } if path.is_empty() || path.iter().any(String::is_empty) => {
            Err("to change a setting without a name".to_owned())
        }
        Step::RunInJail { argv, .. } if argv.first().is_none_or(String::is_empty) => {
            Err("to run nothing in the jail".to_owned())
        }
        Step::RememberFiles { files } => files.iter().try_for_each(place),
        Step::Plugin { plugin, .. } => {
            if !plugin.is_empty() && *plugin != manifest.name {
                return Err(format!("a step of the plugin {}", plugin.escape_debug()));
            }
            manifest.name.clone_into(plugin);
            Ok(())
        }
        Step::Setting { .. }
        | Step::RunInJail { .. }
        | Step::EnsureInterface { .. }
        | Step::RemoveInterface { .. }
        | Step::RcConf { .. }
        | Step::SwitchLog { .. } => Ok(()),
    }
}

/// A path that stays below its place: no `/` first, no `.`, `..` or empty part.
fn place(at: &At) -> Result<(), String> {
    if at.path.is_empty() || is_below(&at.path) {
        return Ok(());
    }
    Err(format!(
        "a step on {}, which is no path below its directory",
        at.to_string().escape_debug()
    ))
}

fn is_below(path: &str) -> bool {
    path.split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
}

fn permissions(mode: u32) -> Result<(), String> {
    if mode <= 0o7777 {
        Ok(())
    } else {
        Err(format!("permissions {mode:o}"))
    }
}

/// What is wrong with the first step in `answer` (a plan, or a reply with one) that can not be read; none where it is
/// something else.
pub(crate) fn bad_step(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let plan = answer.get("plan").unwrap_or(&answer);
    let lists = ["steps", "commit", "cleanup"]
        .into_iter()
        .filter_map(|key| plan.get(key)?.as_array());
    lists.flatten().find_map(|step| {
        let why = Step::deserialize(step).err()?.to_string();
        let kind = step
            .get("step")
            .and_then(Value::as_str)
            .unwrap_or("nameless")
            .escape_debug()
            .to_string();
        Some(if why.starts_with("unknown variant") {
            format!("a step of a kind that this qjail does not have: {kind}")
        } else {
            format!("a {kind} step that can not be read: {why}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use qjail_plugin_api::Mount;
    use serde_json::json;

    fn manifest() -> Manifest {
        Manifest {
            params: vec!["ip4.addr".to_owned()],
            ..Manifest::new("net", "1.0.0", "nets")
        }
    }

    fn checked(step: Step) -> Result<Step, String> {
        let mut plan = Plan {
            steps: vec![step],
            ..Plan::default()
        };
        check(&manifest(), &mut plan).map(|()| plan.steps.remove(0))
    }

    #[test]
    fn paths_stay_below_their_place() {
        for path in [
            "../etc/passwd",
            "etc/../../passwd",
            "/etc/passwd",
            "./x",
            "a//b",
            "a/",
            "..",
            "a\0b",
        ] {
            let told = checked(Step::RemoveFile { at: At::jail(path) }).unwrap_err();
            assert!(told.contains("no path below its directory"), "{told}");
            assert!(
                checked(Step::Rename {
                    from: At::jails("a"),
                    to: At::jails(path)
                })
                .is_err()
            );
            assert!(
                checked(Step::CopyTree {
                    from: At::jails(path),
                    to: At::jails("a")
                })
                .is_err()
            );
            assert!(
                checked(Step::MakeDir {
                    at: At::state(path),
                    mode: 0o755
                })
                .is_err()
            );
        }
        for path in ["", "etc", "etc/rc.d/..name", "a b/ü"] {
            assert!(checked(Step::RemoveFile { at: At::jail(path) }).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_plugin_speaks_for_itself_only() {
        let step = |plugin: &str| Step::Plugin {
            plugin: plugin.to_owned(),
            op: "o".to_owned(),
            about: "a".to_owned(),
            data: Value::Null,
        };
        assert_eq!(checked(step("")).unwrap(), step("net"));
        assert_eq!(checked(step("net")).unwrap(), step("net"));
        assert_eq!(checked(step("base")).unwrap_err(), "a step of the plugin base");
    }

    #[test]
    fn what_can_not_be_undone_waits_for_the_end() {
        let remove = Step::RemoveTree { at: At::jails("web") };
        assert!(
            checked(remove.clone())
                .unwrap_err()
                .contains("belongs into `cleanup`")
        );
        let mut plan = Plan {
            cleanup: vec![remove],
            ..Plan::default()
        };
        assert_eq!(check(&manifest(), &mut plan), Ok(()));
    }

    #[test]
    fn mounts_go_below_the_jail() {
        let checked = |source: &str, target: &str| {
            let mount = Mount {
                source: source.to_owned(),
                target: target.to_owned(),
                read_only: true,
            };
            check(
                &manifest(),
                &mut Plan {
                    mounts: vec![mount],
                    ..Plan::default()
                },
            )
        };
        assert_eq!(checked("/usr/jails/sharedfs", "sharedfs"), Ok(()));
        assert!(checked("sharedfs", "sharedfs").is_err());
        assert!(
            checked("/usr/jails", "../etc")
                .unwrap_err()
                .contains("/usr/jails on ../etc")
        );
        assert!(checked("/usr/jails", "").is_err());
    }

    #[test]
    fn parameters_are_those_of_the_manifest() {
        let mut plan = Plan::default();
        plan.params.insert("ip4.addr".to_owned(), None);
        assert_eq!(check(&manifest(), &mut plan), Ok(()));
        plan.params.insert("path".to_owned(), None);
        assert!(
            check(&manifest(), &mut plan)
                .unwrap_err()
                .contains("jail parameter path")
        );
    }

    #[test]
    fn other_nonsense() {
        assert!(
            checked(Step::MakeDir {
                at: At::jail("a"),
                mode: 0o10755
            })
            .is_err()
        );
        assert!(
            checked(Step::Setting {
                path: vec![],
                value: None
            })
            .is_err()
        );
        let line = Step::EnsureLine {
            at: At::jail("a"),
            line: "a\nb".to_owned(),
            key: None,
        };
        assert!(checked(line).is_err());
    }

    #[test]
    fn a_step_that_can_not_be_read_is_named() {
        let told = |v: Value| bad_step(v.to_string().as_bytes());
        let unknown = json!({"plan": {"commit": [{"step": "rename"}, {"step": "teleport"}]}});
        assert!(
            told(unknown)
                .unwrap()
                .contains("a rename step that can not be read: missing field")
        );
        let unknown = json!({"cleanup": [{"step": "teleport"}]});
        assert_eq!(
            told(unknown).unwrap(),
            "a step of a kind that this qjail does not have: teleport"
        );
        assert_eq!(told(json!({"steps": []})), None);
        assert_eq!(told(json!({"steps": 3})), None);
    }
}
