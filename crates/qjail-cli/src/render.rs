//! What the user reads: plans, tables, results and errors; as text, or as JSON.

use std::io::Write;

use qjail_core::{Action, Error, Kind, Plan, Row, Used};
use qjail_plugin_api::Output;
use serde_json::{Value, json};

use crate::commands::top;
use crate::ui::eline;

/// How results are shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

/// One line on standard output; a reader that has gone away is no reason to fail.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

impl Style {
    /// The classic message of something that was done.
    pub(crate) fn message(self, text: &str, jail: Option<&str>) {
        match (self.json, jail) {
            (true, Some(jail)) => line(&json!({ "message": text, "jail": jail }).to_string()),
            (true, None) => line(&json!({ "message": text }).to_string()),
            (false, _) if self.quiet => {}
            (false, _) => line(text),
        }
    }

    /// An error with its hints, and what came with it.
    pub(crate) fn error(self, error: &Error) {
        if self.json {
            return eline(&error_value(error).to_string());
        }
        eline(&one_line(&format!("qjail: {error}")));
        match &error.hint {
            Some(hint) => eline(&one_line(&format!("hint: {hint}"))),
            None if error.kind == Kind::Usage => eline("hint: qjail help COMMAND explains a command"),
            None => {}
        }
        for more in &error.more {
            self.error(more);
        }
    }

    /// A plan, for `--dry-run`.
    pub(crate) fn plan(self, plan: &Plan) {
        if self.json {
            return line(&plan_value(plan).to_string());
        }
        line(&format!("Plan of {} (nothing is changed):", plan.title));
        let mut number = 0;
        let mut show = |actions: &[Action], when: &str| {
            for action in actions {
                number += 1;
                line(&format!("{number:3}. {action}{when}"));
            }
        };
        show(&plan.steps, "");
        show(&plan.commit, "");
        show(&plan.cleanup, " (afterwards)");
        if number == 0 {
            line("  nothing to do");
        }
    }

    /// What a plugin's command has to show.
    pub(crate) fn output(self, output: &Output) {
        if self.json {
            return line(&output.data.to_string());
        }
        table(&output.columns, &output.rows);
    }
}

pub(crate) fn error_value(error: &Error) -> Value {
    let mut value = json!({ "error": error.message });
    if let Some(hint) = &error.hint {
        value["hint"] = json!(hint);
    }
    if !error.more.is_empty() {
        value["more"] = error.more.iter().map(error_value).collect();
    }
    value
}

fn plan_value(plan: &Plan) -> Value {
    let actions = |list: &[Action]| -> Value {
        list.iter()
            .map(|a| json!({ "text": a.to_string(), "data": a }))
            .collect()
    };
    json!({
        "plan": plan.title,
        "steps": actions(&plan.steps),
        "commit": actions(&plan.commit),
        "cleanup": actions(&plan.cleanup),
        "warnings": plan.warnings,
    })
}

/// A table with two spaces between its columns and none at the ends of lines.
pub(crate) fn table(columns: &[String], rows: &[Vec<String>]) {
    let lines: Vec<&[String]> = (!columns.is_empty())
        .then_some(columns)
        .into_iter()
        .chain(rows.iter().map(Vec::as_slice))
        .collect();
    let count = lines.iter().map(|l| l.len()).max().unwrap_or(0);
    let width = |i: usize| {
        lines
            .iter()
            .filter_map(|l| l.get(i))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for cells in lines {
        // A format's own width ends at 65535.
        let pad = |cell: &String, width: usize| format!("{cell}{}", " ".repeat(width - cell.chars().count()));
        let padded = cells.iter().zip(&widths).map(|(c, w)| pad(c, *w));
        line(padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// The classic list of jails, further addresses on lines of their own.
pub(crate) fn classic_list<'a>(zone: Option<&str>, rows: impl IntoIterator<Item = &'a Row>) {
    line(" ");
    line(&zone.map(|z| format!("Jails in zone  {z}")).unwrap_or_default());
    line("STA JID  NIC IP              Jailname");
    line("--- ---- --- --------------- --------------------------------------------------");
    for row in rows {
        let addresses = row.addresses();
        let first = addresses.first().map_or("", String::as_str);
        line(&format!(
            "{:<3} {:<4} {:<3} {:<15} {}",
            row.status(),
            row.jid(),
            row.interface(),
            first,
            row.name
        ));
        for address in addresses.iter().skip(1) {
            line(&format!("             {address}"));
        }
    }
    line(" \n ");
}

/// The columns of `list -o`, by name.
pub(crate) const COLUMNS: [&str; 15] = [
    "name",
    "status",
    "jid",
    "interface",
    "ip",
    "zone",
    "hostname",
    "path",
    "flavors",
    "base",
    "created",
    "limits",
    "cpu",
    "mem",
    "pids",
];

/// One column of one jail; none where there is no such column. `path` is the jail's root directory, `used` what it uses.
pub(crate) fn column(row: &Row, column: &str, path: &str, used: Used) -> Option<String> {
    let d = &row.definition;
    Some(match column {
        "name" => row.name.to_string(),
        "status" => row.status(),
        "jid" => row.jid(),
        "interface" => row.interface().to_owned(),
        "ip" => row.addresses().join(","),
        "zone" => d.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        "hostname" => d
            .params
            .text("host.hostname")
            .unwrap_or(row.name.as_str())
            .to_owned(),
        "path" => path.to_owned(),
        "flavors" => d.flavors.join(","),
        "base" => d.base.clone().unwrap_or_else(|| "current".to_owned()),
        "created" => d.created.clone(),
        "limits" => d.limits.to_string(),
        "cpu" => top::cpu(used),
        "mem" => top::memory(used),
        "pids" => top::pids(used),
        _ => return None,
    })
}

/// A jail as data.
pub(crate) fn row_value(row: &Row, path: &str) -> Value {
    let d = &row.definition;
    json!({
        "name": row.name,
        "status": row.status(),
        "running": row.running.is_some(),
        "jid": row.running.as_ref().map(|r| r.jid),
        "interface": row.interface(),
        "addresses": row.addresses(),
        "zone": d.zone,
        "path": path,
        "manual": d.manual,
        "norun": d.norun,
        "thick": d.thick,
        "flavors": d.flavors,
        "created": d.created,
        "limits": d.limits,
        "params": d.params,
    })
}

/// Arguments, and names that a jail's root gave to files, may hold newlines and a terminal's control sequences.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
