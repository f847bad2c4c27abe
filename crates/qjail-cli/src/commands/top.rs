//! `top`, and the columns of `list` that show what jails use.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use qjail_core::{Error, ListRequest, Row, Used};
use qjail_model::{JailName, LimitChange};
use serde_json::{Value, json};

use super::Call;
use crate::render::{self, line};

/// The time whose use is shown where only one look is taken.
pub(super) const ONE_LOOK: Duration = Duration::from_millis(250);
/// How often the picture is drawn anew.
const REFRESH: Duration = Duration::from_secs(2);
/// Moves to the first place of the screen and clears what is below (ECMA-48).
const HOME: &str = "\x1b[H\x1b[J";

impl Call<'_> {
    pub(super) fn top(&self) -> Result<u8, Error> {
        let request = ListRequest {
            selectors: self.selectors()?,
            all_zones: self.options.is_on("all-zones"),
            running: true,
            stopped: false,
        };
        let once = self.options.is_on("once") || self.style.json || !std::io::stdout().is_terminal();
        let mut over = ONE_LOOK;
        loop {
            let (rows, errors) = self.engine.list(&request)?;
            let used = self.used(&rows, over);
            if !once && self.engine.cancelled() {
                return Ok(0);
            }
            if !once {
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(HOME.as_bytes());
            }
            self.picture(&rows, &used);
            errors.iter().for_each(|e| self.style.error(e));
            if once || !errors.is_empty() {
                return Ok(u8::from(!errors.is_empty()));
            }
            over = REFRESH;
        }
    }

    /// What the rows that run use.
    pub(super) fn used(&self, rows: &[Row], over: Duration) -> BTreeMap<JailName, Used> {
        let running = rows.iter().filter(|r| r.running.is_some());
        let names: Vec<JailName> = running.map(|r| r.name.clone()).collect();
        self.engine.used(&names, over)
    }

    fn picture(&self, rows: &[Row], used: &BTreeMap<JailName, Used>) {
        let mut rows: Vec<(&Row, Used)> = rows
            .iter()
            .map(|r| (r, used.get(&r.name).copied().unwrap_or_default()))
            .collect();
        rows.sort_by(|(a, x), (b, y)| y.cpu.cmp(&x.cpu).then_with(|| a.name.cmp(&b.name)));
        if self.style.json {
            let values: Vec<Value> = rows.iter().map(|(r, u)| value(r, *u)).collect();
            return line(&Value::from(values).to_string());
        }
        let heads = ["NAME", "CPU", "MEM", "PIDS"].map(str::to_owned);
        let cells = |(row, used): &(&Row, Used)| {
            vec![
                row.name.to_string(),
                with_limit(cpu(*used), limit(row, "cpu")),
                with_limit(memory(*used), limit(row, "memory")),
                with_limit(pids(*used), limit(row, "pids")),
            ]
        };
        render::table(&heads, &rows.iter().map(cells).collect::<Vec<_>>());
    }
}

fn value(row: &Row, used: Used) -> Value {
    json!({
        "name": row.name,
        "zone": row.definition.zone,
        "cpu_percent": used.cpu.map(tenths),
        "memory": used.memory,
        "pids": used.pids,
        "limits": row.definition.limits,
    })
}

fn limit(row: &Row, name: &str) -> Option<String> {
    let found = row.definition.limits.iter().find(|l| l.name() == name);
    found.and_then(LimitChange::value)
}

fn with_limit(used: String, limit: Option<String>) -> String {
    match limit {
        Some(limit) => format!("{used}/{limit}"),
        None => used,
    }
}

fn tenths(share: u64) -> f64 {
    // Shares are small numbers: nothing is lost.
    f64::from(u32::try_from(share).unwrap_or(u32::MAX)) / 10.0
}

/// The column `cpu`: percent of one processor.
pub(crate) fn cpu(used: Used) -> String {
    used.cpu
        .map_or_else(|| "-".to_owned(), |c| format!("{:.1}%", tenths(c)))
}

/// The column `mem`: whole kibibytes or mebibytes.
pub(crate) fn memory(used: Used) -> String {
    match used.memory {
        None => "-".to_owned(),
        Some(bytes) if bytes < 1 << 20 => format!("{}k", bytes.div_ceil(1 << 10)),
        Some(bytes) => format!("{}m", bytes.div_ceil(1 << 20)),
    }
}

/// The column `pids`.
pub(crate) fn pids(used: Used) -> String {
    used.pids.map_or_else(|| "-".to_owned(), |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let used = Used {
            cpu: Some(1234),
            memory: Some((5 << 20) - 1),
            pids: Some(7),
        };
        assert_eq!(
            (cpu(used), memory(used), pids(used)),
            ("123.4%".into(), "5m".into(), "7".into())
        );
        assert_eq!(
            memory(Used {
                memory: Some(1),
                ..used
            }),
            "1k"
        );
        assert_eq!(cpu(Used::default()), "-");
        assert_eq!(with_limit("7".into(), Some("40".into())), "7/40");
    }
}
