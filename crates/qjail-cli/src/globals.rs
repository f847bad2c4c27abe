//! The options that must be known before the commands are: where everything is, and how to speak.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use qjail_core::Error;
use qjail_model::ZoneName;

/// Global options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    pub(crate) root: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    pub(crate) dry_run: bool,
    pub(crate) no_progress: bool,
    pub(crate) yes: bool,
    pub(crate) color: Option<String>,
    pub(crate) zone: Option<ZoneName>,
    pub(crate) jobs: Option<usize>,
    /// The command, as far as can be told before parsing.
    pub(crate) command: String,
}

impl Globals {
    /// What can be told before the commands of plugins are known. Nothing is an error here: the parser follows.
    pub(crate) fn scan(args: &[OsString]) -> Self {
        let mut found = Self::default();
        let mut words = args.iter().map_while(|a| a.to_str()).take_while(|a| *a != "--");
        while let Some(word) = words.next() {
            match word {
                "--root" => found.root = words.next().map(PathBuf::from),
                "-z" | "--zone" | "--jobs" | "--color" => drop(words.next()),
                "--json" => found.json = true,
                "--quiet" => found.quiet = true,
                _ if word.starts_with("--root=") => {
                    found.root = Some(PathBuf::from(&word["--root=".len()..]));
                }
                _ if !word.starts_with('-') && found.command.is_empty() => found.command = word.to_owned(),
                _ => {}
            }
        }
        if found.root.is_none() {
            found.root = std::env::var_os("QJAIL_ROOT")
                .filter(|r| !r.is_empty())
                .map(PathBuf::from);
        }
        found
    }

    /// All of them, from the parsed line: before the command, and after it.
    pub(crate) fn read(&self, matches: &ArgMatches) -> Result<Self, Error> {
        let mut all = self.clone();
        let mut level = Some(matches);
        while let Some(m) = level {
            all.take(m)?;
            level = m.subcommand().map(|(_, sub)| sub);
        }
        Ok(all)
    }

    fn take(&mut self, m: &ArgMatches) -> Result<(), Error> {
        let text = |id: &str| m.try_get_one::<String>(id).ok().flatten();
        if let Some(zone) = text("zone") {
            self.zone = Some(ZoneName::new(zone.as_str()).map_err(Error::usage)?);
        }
        if let Some(jobs) = text("jobs") {
            self.jobs = jobs.parse().ok().filter(|j| *j > 0);
            if self.jobs.is_none() {
                return Err(Error::usage(format!("--jobs {jobs}: at least one")));
            }
        }
        if let Some(color) = text("color") {
            self.color = Some(color.clone());
        }
        let flag = |id: &str| m.try_get_one::<bool>(id).ok().flatten().copied().unwrap_or(false);
        self.json |= flag("json");
        self.quiet |= flag("quiet");
        self.dry_run |= flag("dry-run");
        self.no_progress |= flag("no-progress");
        self.yes |= flag("yes");
        let verbose = m
            .try_get_one::<u8>("verbose")
            .ok()
            .flatten()
            .copied()
            .unwrap_or(0);
        self.verbose = self.verbose.saturating_add(verbose);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(line: &str) -> Globals {
        Globals::scan(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_root_is_found_wherever_it_stands() {
        assert_eq!(scan("--root /a list").root, Some("/a".into()));
        assert_eq!(scan("list --root=/a").root, Some("/a".into()));
        assert_eq!(
            scan("exec j -- x --root /a").root,
            std::env::var_os("QJAIL_ROOT").map(PathBuf::from)
        );
        assert_eq!(scan("-z web --jobs 3 stop").command, "stop");
    }
}
