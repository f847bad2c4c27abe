//! `cargo xtask dist`: what can be installed, as a directory, a tar archive, a .deb.

mod deb;
#[cfg(test)]
mod rc_tests;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::freebsd;
use crate::run::{build_plugins, build_program, command, read, run, target, top};
use tree::System;

/// What is asked for on the command line.
#[derive(Debug, Default)]
struct Wanted {
    /// Lay out a directory, and no more.
    dir: Option<PathBuf>,
    freebsd: bool,
    /// Without optimisation: what CI has built anyway.
    quick: bool,
    /// Write the port's list of files anew.
    update_plist: bool,
}

/// Everything that was built for one system.
struct Built {
    program: PathBuf,
    plugins: PathBuf,
    /// A program that runs here, to write manual pages and completions.
    native: PathBuf,
}

pub(crate) fn main(words: &[&str]) -> Result<()> {
    let wanted = wanted(words)?;
    let system = if wanted.freebsd {
        System::FreeBsd
    } else {
        System::Linux
    };
    let built = build(&wanted)?;
    let out = target().join("dist");
    std::fs::create_dir_all(&out)?;
    let time = time()?;
    if let Some(dir) = &wanted.dir {
        tree::lay_out(system, &built, dir, &day(time)?)?;
        println!("dist: {}", dir.display());
        return Ok(());
    }
    let name = format!("qjail-{}-{}", env!("CARGO_PKG_VERSION"), system.suffix());
    let dir = out.join(&name);
    tree::lay_out(system, &built, &dir, &day(time)?)?;
    tree::check(system, &dir, wanted.update_plist)?;
    let archive = out.join(format!("{name}.tar.xz"));
    pack(&dir, &archive, time)?;
    println!("dist: {}", archive.display());
    if system == System::Linux {
        println!("dist: {}", deb::make(&dir, &out, time)?.display());
    }
    Ok(())
}

fn wanted(words: &[&str]) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--quick" => wanted.quick = true,
            "--update-plist" => wanted.update_plist = true,
            "--target" => match rest.next() {
                Some(&freebsd::TARGET) => wanted.freebsd = true,
                other => bail!(
                    "--target {}: only {} is known",
                    other.unwrap_or(&""),
                    freebsd::TARGET
                ),
            },
            dir if !dir.starts_with('-') && wanted.dir.is_none() => {
                wanted.dir = Some(std::path::absolute(dir)?);
            }
            other => bail!("dist does not know {other}"),
        }
    }
    Ok(wanted)
}

fn build(wanted: &Wanted) -> Result<Built> {
    if wanted.freebsd {
        let native = build_program(false, &[])?;
        let (program, plugins) = freebsd::build(!wanted.quick)?;
        return Ok(Built {
            program,
            plugins,
            native,
        });
    }
    let release = !wanted.quick;
    let plugins = target().join("dist-plugins");
    let program = build_program(release, &[])?;
    build_plugins(release, &plugins)?;
    Ok(Built {
        native: program.clone(),
        program,
        plugins,
    })
}

/// The one time that all files get, in seconds since 1970: the same source makes the same archive.
fn time() -> Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given.parse().context("SOURCE_DATE_EPOCH is no number");
    }
    let log = read(&mut command("git", &["log", "-1", "--format=%ct"]));
    log.context("the time of the last commit; SOURCE_DATE_EPOCH can give another")?
        .trim()
        .parse()
        .context("git's time is no number")
}

/// The day of a time, for manual pages.
fn day(time: u64) -> Result<String> {
    let day = read(&mut command(
        "date",
        &["-u", "-d", &format!("@{time}"), "+%Y-%m-%d"],
    ))?;
    Ok(day.trim().to_owned())
}

/// What is in `dir`, sorted, of root, and of one time. The entries are named one by one: an entry for `.` would give the
/// directory that it is unpacked into another mode and time.
fn pack(dir: &Path, archive: &Path, time: u64) -> Result<()> {
    let _ = std::fs::remove_file(archive);
    let mut arguments: Vec<String> = [
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--mtime=@{time}"));
    arguments.extend(["-C".to_owned(), dir.display().to_string()]);
    arguments.extend(["-cJf".to_owned(), archive.display().to_string()]);
    let mut names = std::fs::read_dir(dir)?
        .map(|e| Ok(e?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<String>>>()?;
    names.sort();
    arguments.extend(names);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Always the same number of threads: one thread makes other blocks than several.
    run(command("tar", &arguments).current_dir(top()).env("XZ_OPT", "-T2"))
}
