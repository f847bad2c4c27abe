//! The bases that are there, which one is current, and the command `bases`.

use std::path::Path;

use qjail_fs::{Kind, RelPath, Root};
use qjail_plugin_api::{CommandReply, CommandRequest, Context, Host, JailInfo, Output, Plan, PluginError};
use serde_json::{Value, json};

use crate::record::Record;

/// The directory of bases, below the zone's directory of jails.
pub(crate) const DIR: &str = ".bases";
/// The link to the current one.
pub(crate) const CURRENT: &str = ".base";

/// The zone's directory of jails; none where it does not exist.
pub(crate) fn jails_root(context: &Context) -> Result<Option<Root>, PluginError> {
    let dir = Path::new(&context.jails_dir);
    if !dir.is_dir() {
        return Ok(None);
    }
    Ok(Some(Root::open(dir).map_err(PluginError::new)?))
}

/// A path below a root that this crate wrote itself.
pub(crate) fn rel(path: &str) -> Result<RelPath, PluginError> {
    RelPath::new(path).map_err(PluginError::new)
}

/// The name of the current base; none where no base is installed.
pub(crate) fn current(context: &Context) -> Result<Option<String>, PluginError> {
    let Some(root) = jails_root(context)? else {
        return Ok(None);
    };
    let link = rel(CURRENT)?;
    if root
        .metadata(&link)
        .map_err(PluginError::new)?
        .is_none_or(|m| m.kind != Kind::Link)
    {
        return Ok(None);
    }
    let target = root.read_link(&link).map_err(PluginError::new)?;
    let id = target
        .to_str()
        .and_then(|t| t.strip_prefix(DIR))
        .and_then(|t| t.strip_prefix('/'))
        .map(str::to_owned);
    id.filter(|id| is_id(id)).map(Some).ok_or_else(|| {
        let message = format!(
            "{}/{CURRENT} leads to {}, which is no base",
            context.jails_dir,
            target.display()
        );
        PluginError::new(message).hint("qjail install makes a new base current")
    })
}

/// Whether the directory of a base is there.
pub(crate) fn exists(context: &Context, id: &str) -> Result<bool, PluginError> {
    if !is_id(id) {
        return Ok(false);
    }
    let Some(root) = jails_root(context)? else {
        return Ok(false);
    };
    let found = root
        .metadata(&rel(&format!("{DIR}/{id}"))?)
        .map_err(PluginError::new)?;
    Ok(found.is_some_and(|m| m.kind == Kind::Dir))
}

/// The names of all bases of the zone, sorted.
pub(crate) fn all(context: &Context) -> Result<Vec<String>, PluginError> {
    let Some(root) = jails_root(context)? else {
        return Ok(Vec::new());
    };
    let dir = rel(DIR)?;
    if root.metadata(&dir).map_err(PluginError::new)?.is_none() {
        return Ok(Vec::new());
    }
    let entries = root.list(&dir).map_err(PluginError::new)?;
    let names = entries
        .into_iter()
        .filter(|e| e.kind == Kind::Dir)
        .filter_map(|e| e.name.into_string().ok());
    Ok(names.filter(|n| is_id(n)).collect())
}

/// Whether a text can be the name of a base: one path component that does not hide.
pub(crate) fn is_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    !id.is_empty() && id.len() <= 64 && !id.starts_with(['.', '-']) && id.chars().all(plain)
}

/// A name for a new base: `stem-N`, N one above the highest there is or was.
pub(crate) fn new_id(context: &Context, stem: &str) -> Result<String, PluginError> {
    let mut stem: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-+".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(48)
        .collect();
    stem = stem.trim_start_matches(['.', '-']).to_owned();
    if stem.is_empty() {
        "base".clone_into(&mut stem);
    }
    let number = |id: &String| id.strip_prefix(&stem)?.strip_prefix('-')?.parse::<u32>().ok();
    let last = all(context)?.iter().filter_map(number).max().unwrap_or(0);
    Ok(format!("{stem}-{}", last.saturating_add(1)))
}

/// Whether a jail of the zone shares the base.
fn uses(jail: &JailInfo, zone: Option<&str>, id: &str, is_current: bool) -> bool {
    let pinned = jail.base.as_deref();
    jail.zone.as_deref() == zone && !jail.thick && pinned.map_or(is_current, |base| base == id)
}

/// Where a base came from, for the table.
fn source(record: &Record) -> String {
    let made_of = if record.pkgbase { " (pkgbase)" } else { "" };
    format!("{}{made_of}", record.source)
}

/// `bases`
pub(crate) fn command(host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
    let context = &request.context;
    let (current, jails) = (current(context)?, host.jails()?);
    let mut rows = Vec::new();
    let mut data = Vec::new();
    for id in all(context)? {
        let record = Record::load(context, &id)?.unwrap_or_default();
        let is_current = current.as_deref() == Some(id.as_str());
        let zone = context.zone.as_deref();
        let users: Vec<&str> = jails
            .iter()
            .filter(|j| uses(j, zone, &id, is_current))
            .map(|j| j.name.as_str())
            .collect();
        let or_dash = |t: &str| {
            if t.is_empty() {
                "-".to_owned()
            } else {
                t.to_owned()
            }
        };
        rows.push(vec![
            id.clone(),
            or_dash(&record.release),
            or_dash(&record.arch),
            or_dash(&source(&record)),
            if record.created == 0 {
                "-".to_owned()
            } else {
                day_and_time(record.created)
            },
            if is_current { "yes" } else { "no" }.to_owned(),
            users.len().to_string(),
        ]);
        let mut item = serde_json::to_value(&record).unwrap_or_default();
        item["id"] = json!(id);
        item["current"] = json!(is_current);
        item["jails"] = json!(users);
        data.push(item);
    }
    let columns = ["ID", "RELEASE", "ARCH", "FROM", "CREATED", "CURRENT", "JAILS"]
        .map(str::to_owned)
        .to_vec();
    let output = Output {
        columns,
        rows,
        data: Value::Array(data),
    };
    Ok(CommandReply {
        plan: Plan::default(),
        output: Some(output),
    })
}

/// Seconds since 1970 as `2026-11-23T21:44Z` (RFC 3339 without seconds).
fn day_and_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date, with years that begin in March: leap days are then the last of their year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}Z",
        rest / 3600,
        rest % 3600 / 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00Z"),
            (951_782_399, "2000-02-28T23:59Z"),
            (951_782_400, "2000-02-29T00:00Z"),
            (1_735_689_599, "2024-12-31T23:59Z"),
            (1_795_470_240, "2026-11-23T21:44Z"),
            (4_107_542_400, "2100-03-01T00:00Z"),
        ] {
            assert_eq!(day_and_time(seconds), text);
        }
    }

    #[test]
    fn names_of_bases() {
        assert!(
            ["15.0-RELEASE-1", "host-1", "debian_12+x-3"]
                .into_iter()
                .all(is_id)
        );
        assert!(!["", ".new-x", "-x", "a/b", "a b", ".."].into_iter().any(is_id));
    }
}
