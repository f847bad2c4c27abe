//! `list`: the classic picture, chosen columns, or data.

use std::collections::BTreeMap;

use qjail_core::{Error, ListRequest, Row};
use qjail_model::ZoneName;

use super::Call;
use super::top::ONE_LOOK;
use crate::render::{self, line};

/// The columns that take a look at what jails use.
const LIVE: [&str; 3] = ["cpu", "mem", "pids"];

impl Call<'_> {
    pub(super) fn list(&self) -> Result<u8, Error> {
        let request = ListRequest {
            selectors: self.selectors()?,
            all_zones: self.options.is_on("all-zones"),
            running: self.options.is_on("running"),
            stopped: self.options.is_on("stopped"),
        };
        if request.all_zones && self.globals.zone.is_some() {
            return Err(
                Error::usage("list: --zone and --all-zones exclude each other").hint("give one of them")
            );
        }
        let mut columns = self.options.list("columns");
        if let Some(bad) = columns.iter().find(|c| !render::COLUMNS.contains(c)) {
            return Err(Error::usage(format!("there is no column {bad}")).hint(render::COLUMNS.join(", ")));
        }
        if request.all_zones && !columns.is_empty() && !columns.contains(&"zone") {
            columns.insert(0, "zone");
        }
        let (rows, errors) = self.engine.list(&request)?;
        if self.style.json {
            let values: Vec<_> = rows.iter().map(|r| render::row_value(r, &self.path(r))).collect();
            line(&serde_json::Value::from(values).to_string());
        } else if !columns.is_empty() {
            self.columns(&columns, &rows);
        } else if request.all_zones {
            self.sections(&rows)?;
        } else {
            render::classic_list(self.globals.zone.as_ref().map(ZoneName::as_str), &rows);
        }
        errors.iter().for_each(|e| self.style.error(e));
        Ok(u8::from(!errors.is_empty()))
    }

    fn path(&self, row: &Row) -> String {
        let zone = self.engine.layout.jails_dir(row.definition.zone.as_ref());
        zone.join(row.name.as_str()).display().to_string()
    }

    fn columns(&self, columns: &[&str], rows: &[Row]) {
        let heads: Vec<String> = columns.iter().map(|c| c.to_uppercase()).collect();
        let used = if columns.iter().any(|c| LIVE.contains(c)) {
            self.used(rows, ONE_LOOK)
        } else {
            BTreeMap::new()
        };
        let cells = |r: &Row| {
            let used = used.get(&r.name).copied().unwrap_or_default();
            columns
                .iter()
                .filter_map(|c| render::column(r, c, &self.path(r), used))
                .collect()
        };
        render::table(&heads, &rows.iter().map(cells).collect::<Vec<_>>());
    }

    /// A section for each zone, those without a jail included; the default zone first.
    fn sections(&self, rows: &[Row]) -> Result<(), Error> {
        let zones = self.engine.layout.zones().map_err(Error::from)?;
        for zone in std::iter::once(None).chain(zones.iter().map(Some)) {
            let of_zone: Vec<&Row> = rows
                .iter()
                .filter(|r| r.definition.zone.as_ref() == zone)
                .collect();
            render::classic_list(zone.map(ZoneName::as_str), of_zone);
        }
        Ok(())
    }
}
