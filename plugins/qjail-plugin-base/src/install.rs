//! The command `install`: everything is looked at first, then planned.

use qjail_fs::Kind;
use qjail_plugin_api::{At, CommandReply, CommandRequest, Context, Host, Plan, PluginError, Step};

use crate::bases::{CURRENT, DIR, jails_root, new_id, rel};
use crate::expected::{self, Known};
use crate::flavors;
use crate::plan::{Archive, DOWNLOADS, Extract, Fetch, FromHost, Split, op, staged_record, staging, step};
use crate::record;
use crate::source::{self, Source, Wanted};

/// The links through which the current base is reached, and what is behind each.
const LINKS: [(&str, &str); 2] = [("sharedfs", ".base/sharedfs"), ("template", ".base/template")];

/// `install`
pub(crate) fn command(host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
    let context = &request.context;
    let wanted = source::wanted(host, request)?;
    check_place(context)?;
    check_release(host, context, &wanted)?;
    let known = expected::known(host, request, &wanted)?;
    check_space(context, &wanted)?;
    let id = new_id(context, &source::stem(&wanted))?;
    let mut plan = frame(context, &id)?;
    let (steps, cleanup) = making(host, &wanted, &known, &id)?;
    // The directories come first, the flavors and links after the base is whole.
    let after = plan.steps.split_off(DIRS);
    plan.steps.extend(steps);
    plan.steps.extend(after);
    plan.cleanup = cleanup;
    plan.warnings.extend(unverified(&wanted, &known));
    if request.options.is_on("log") {
        plan.commit.push(Step::SwitchLog { on: true });
    }
    Ok(CommandReply { plan, output: None })
}

/// How many steps at the head of [`frame`] make directories that the making of a base needs.
const DIRS: usize = 3;

/// What every installation does around the making of the base.
fn frame(context: &Context, id: &str) -> Result<Plan, PluginError> {
    let records = record::dir(context);
    let mut steps = vec![
        Step::MakeDir {
            at: At::jails(DIR),
            mode: 0o755,
        },
        Step::MakeDir {
            at: At::state(&records),
            mode: 0o700,
        },
        Step::MakeDir {
            at: At::state(DOWNLOADS),
            mode: 0o700,
        },
        // Archives of jails hold their passwords.
        Step::MakeDir {
            at: At::jails("archive"),
            mode: 0o700,
        },
    ];
    steps.extend(flavors::steps("flavors"));
    for (name, target) in LINKS {
        if !is_link_to(context, name, target)? {
            steps.push(Step::SetLink {
                at: At::jails(name),
                target: target.to_owned(),
            });
        }
    }
    let commit = vec![
        Step::Rename {
            from: At::jails(&staging(id)),
            to: At::jails(&format!("{DIR}/{id}")),
        },
        Step::Rename {
            from: At::state(&staged_record(&records, id)),
            to: At::state(&record::file(context, id)),
        },
        Step::SetLink {
            at: At::jails(CURRENT),
            target: format!("{DIR}/{id}"),
        },
    ];
    let notes = vec!["Successfully installed qjail system.".to_owned()];
    Ok(Plan {
        steps,
        commit,
        notes,
        ..Plan::default()
    })
}

/// The steps that make the base, and those that clear up after it.
fn making(
    host: &Host<'_>,
    wanted: &Wanted,
    known: &Known,
    id: &str,
) -> Result<(Vec<Step>, Vec<Step>), PluginError> {
    if wanted.source == Source::Host {
        let info = host.info()?;
        let data = FromHost {
            id: id.to_owned(),
            release: info.release,
            arch: wanted.arch.clone(),
        };
        return Ok((
            vec![step(
                op::FROM_HOST,
                "make a base of the running system".to_owned(),
                &data,
            )?],
            Vec::new(),
        ));
    }
    let sha256 = known.sha256.map(|d| d.to_string());
    let mut steps = Vec::new();
    let mut cleanup = Vec::new();
    let (archive, source) = match &wanted.source {
        Source::File { path, .. } => {
            let text = path
                .to_str()
                .ok_or_else(|| PluginError::new(format!("{}: the name is no UTF-8", path.display())))?;
            (Archive::File(text.to_owned()), text.to_owned())
        }
        _ => {
            let url = known.urls.first().cloned().unwrap_or_default();
            // The name is the same the next time: that is how a broken download is found again.
            let first = sha256.as_ref().map_or(id, |hex| &hex[..16]);
            let file = plain(&format!("{first}-{}", expected::file_of(&url)));
            let data = Fetch {
                urls: known.urls.clone(),
                file: file.clone(),
                sha256: sha256.clone(),
            };
            steps.push(step(op::FETCH, format!("download {}", shown(&url)), &data)?);
            cleanup.push(Step::RemoveFile {
                at: At::state(&format!("{DOWNLOADS}/{file}")),
            });
            (Archive::Download(file), shown(&url))
        }
    };
    let check = if sha256.is_some() {
        "verify and unpack"
    } else {
        "unpack"
    };
    let data = Extract {
        id: id.to_owned(),
        archive,
        sha256,
        source: source.clone(),
        arch: wanted.arch.clone(),
    };
    steps.push(step(op::EXTRACT, format!("{check} {source}"), &data)?);
    let data = Split { id: id.to_owned() };
    steps.push(step(
        op::SPLIT,
        format!("divide base {id} into sharedfs and template"),
        &data,
    )?);
    Ok((steps, cleanup))
}

/// A name for a file, of characters that need no care.
fn plain(name: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    name.chars().map(keep).take(128).collect()
}

/// A URL without user and password.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", &rest[end..])
}

fn unverified(wanted: &Wanted, known: &Known) -> Option<String> {
    let remote = matches!(wanted.source, Source::Url { .. });
    (remote && known.sha256.is_none()).then(|| {
        let url = known.urls.first().map(|u| shown(u)).unwrap_or_default();
        format!("there is no MANIFEST beside {url}: what is downloaded can not be verified (--sha256 would)")
    })
}

/// The names that the links need must be free, or links.
fn check_place(context: &Context) -> Result<(), PluginError> {
    let Some(root) = jails_root(context)? else {
        return Ok(());
    };
    for name in ["sharedfs", "template", CURRENT] {
        let found = root.metadata(&rel(name)?).map_err(PluginError::new)?;
        if found.is_some_and(|m| m.kind != Kind::Link) {
            let message = format!(
                "{}/{name} is in the way: it is no link of qjail's",
                context.jails_dir
            );
            return Err(PluginError::new(message)
                .hint("it may be from qjail 5.x: move it away, or install into a zone of its own with -z"));
        }
    }
    Ok(())
}

fn is_link_to(context: &Context, name: &str, target: &str) -> Result<bool, PluginError> {
    let Some(root) = jails_root(context)? else {
        return Ok(false);
    };
    let path = rel(name)?;
    if root.metadata(&path).map_err(PluginError::new)?.is_none() {
        return Ok(false);
    }
    Ok(root.read_link(&path).map_err(PluginError::new)? == target)
}

/// A base must not be newer than the kernel that it will run on.
fn check_release(host: &Host<'_>, context: &Context, wanted: &Wanted) -> Result<(), PluginError> {
    if context.os != "freebsd" {
        return Ok(());
    }
    if wanted.source == Source::Host {
        // The host was updated and still runs its old kernel.
        let running = host.info()?.release.parse::<qjail_model::Release>();
        let checked = running.map_or(Ok(()), |release| newer_than_kernel(host, &release));
        return checked.map_err(|e| e.hint("boot the new kernel first"));
    }
    let release = wanted.release.as_ref();
    release.map_or(Ok(()), |release| newer_than_kernel(host, release))
}

/// Refuses a release that the running kernel is too old for.
pub(crate) fn newer_than_kernel(host: &Host<'_>, release: &qjail_model::Release) -> Result<(), PluginError> {
    let kernel = host.info()?.kernel;
    let Ok(running) = kernel.parse::<qjail_model::Release>() else {
        return Ok(());
    };
    if release.runs_on(&running) {
        return Ok(());
    }
    Err(PluginError::new(format!(
        "base {release} is newer than the running kernel, which is {kernel}"
    ))
    .hint("update the host first, or install a base that is not newer than it"))
}

/// Refuses what can not fit. A compressed base grows to more than twice its size.
fn check_space(context: &Context, wanted: &Wanted) -> Result<(), PluginError> {
    let Source::File {
        path,
        size,
        compressed,
        ..
    } = &wanted.source
    else {
        return Ok(());
    };
    let needed = if *compressed {
        size.saturating_mul(2)
    } else {
        *size
    };
    let jails = std::path::Path::new(&context.jails_dir);
    let Some(place) = jails.ancestors().find(|p| p.is_dir()) else {
        return Ok(());
    };
    // What can not be asked is found out while unpacking.
    let Ok(stat) = rustix::fs::statvfs(place) else {
        return Ok(());
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if needed <= free {
        return Ok(());
    }
    let mib = |n: u64| n.div_ceil(1 << 20);
    let message = format!(
        "unpack {}: not enough space: at least {} MiB needed, {} MiB free on {}",
        path.display(),
        mib(needed),
        free >> 20,
        place.display()
    );
    Err(PluginError::new(message).hint("free some space; nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_recorded() {
        assert_eq!(shown("https://me:s3@cret@h/x@y"), "https://h/x@y");
        assert_eq!(shown("file:///a"), "file:///a");
    }
}
