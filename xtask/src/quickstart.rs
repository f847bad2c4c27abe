//! `cargo xtask quickstart`: a jail's whole life on a fresh machine, below `target/quickstart`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::run::{build_plugins, build_program, is_root, read, run, top};

/// A network for the tour: interface, network, and an address for the jail.
type Net = (&'static str, &'static str, &'static str);

/// That of the handbook's chapter, and others for machines that have it already.
const NETS: [Net; 3] = [
    ("lo1", "192.168.1.1/28", "192.168.1.2"),
    ("lo77", "10.77.0.1/28", "10.77.0.2"),
    ("lo78", "172.31.78.1/28", "172.31.78.2"),
];

pub(crate) fn main() -> Result<()> {
    let home = top().join("target/quickstart");
    std::fs::create_dir_all(&home)?;
    say("Building qjail and its plugins (the first time this compiles what they depend on).");
    let program = build_program(false, &[])?;
    build_plugins(false, &home.join("plugins"))?;
    let tour = Tour {
        program,
        root: home.join("root"),
    };
    let began = Instant::now();
    if is_root() {
        tour.whole()?;
    } else {
        tour.plans_only()?;
    }
    let own = began.elapsed();
    say(&format!(
        "That took {:.1} seconds after the build.",
        own.as_secs_f32()
    ));
    println!(
        "\nWhat to read now: README.md, then `{} help`.",
        tour.program.display()
    );
    Ok(())
}

fn say(line: &str) {
    println!("\n# {line}");
}

/// The program, and the directory that it works in.
struct Tour {
    program: PathBuf,
    root: PathBuf,
}

impl Tour {
    fn qjail(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("QJAIL_ROOT", &self.root).args(args);
        command
    }

    /// Shows the command as a user would type it, then runs it.
    fn step(&self, args: &[&str]) -> Result<()> {
        let typed = |arg: &&str| match arg.contains([' ', '$', ';', '\'']) {
            true => format!("'{}'", arg.replace('\'', "'\\''")),
            false => (*arg).to_owned(),
        };
        println!("$ qjail {}", args.iter().map(typed).collect::<Vec<_>>().join(" "));
        run(&mut self.qjail(args))
    }

    fn whole(&self) -> Result<()> {
        self.clear()?;
        say(&format!(
            "All files are below {}; your own system is not touched.",
            self.root.display()
        ));
        let result = self.life();
        // The interface is the one thing outside the directory: it goes, whatever happened.
        let clean = self.clear();
        result.and(clean)
    }

    /// The first network that this machine does not use.
    fn net(&self) -> Net {
        let is_free = |(interface, network, _): &&Net| {
            read(&mut self.qjail(&["net", "create", interface, network, "--dry-run"])).is_ok()
        };
        *NETS.iter().find(is_free).unwrap_or(&NETS[0])
    }

    fn life(&self) -> Result<()> {
        let (interface, network, address) = self.net();
        say("Install a base: this system's own executables, shared read-only. Nothing is downloaded.");
        self.step(&["install", "--from-host"])?;
        say("Reserve a network for jails: an interface with an address of the host.");
        self.step(&["net", "create", interface, network])?;
        say("Create a jail with an address on it.");
        self.step(&["create", "-n", interface, "-4", address, "jail1"])?;
        say("Start it.");
        self.step(&["start", "jail1"])?;
        self.step(&["list"])?;
        say("Run a command inside: its own host name, its own processes.");
        let script = "hostname; echo \"processes: $(ls -d /proc/[0-9]* | wc -l)\"; touch /usr/bin/x || echo 'as it should be'";
        self.step(&["exec", "jail1", "--", "/bin/sh", "-c", script])?;
        say("Every command that changes something can show its plan instead.");
        self.step(&["create", "--dry-run", "-n", interface, "-4", "auto", "jail2"])?;
        say("Stop it and delete it.");
        self.step(&["stop", "jail1"])?;
        self.step(&["delete", "jail1"])?;
        say(
            "Done: a base was installed, a network reserved, a jail created, started, entered, stopped and deleted.",
        );
        Ok(())
    }

    /// Removes what an earlier run left, in the kernel and on disk.
    fn clear(&self) -> Result<()> {
        if !self.root.exists() {
            return Ok(());
        }
        let nets = NETS.map(|(interface, ..)| ["net", "delete", interface]);
        let jails = [&["stop", "--force"] as &[&str], &["delete", "--all", "--yes"]];
        for args in jails.into_iter().chain(nets.iter().map(<[&str; 3]>::as_slice)) {
            // What is not there can not be removed: only the directory must go.
            let _ = read(self.qjail(args).arg("--quiet"));
        }
        remove(&self.root)
    }

    fn plans_only(&self) -> Result<()> {
        say("Jails need root, and you are not root: nothing is done, but here is what would be.");
        println!("  Run it as root to see it happen: sudo cargo xtask quickstart");
        std::fs::create_dir_all(&self.root)?;
        let (interface, network, address) = self.net();
        for args in [
            &["install", "--from-host", "--dry-run"] as &[&str],
            &["net", "create", interface, network, "--dry-run"],
        ] {
            self.step(args)?;
        }
        println!("$ qjail create -n {interface} -4 {address} jail1");
        println!(
            "  would copy the template, add the files of flavor default and write the jail's definition"
        );
        println!("$ qjail start jail1");
        println!("  would start it in namespaces of its own, with the base mounted read-only on /sharedfs");
        Ok(())
    }
}

fn remove(root: &Path) -> Result<()> {
    std::fs::remove_dir_all(root).with_context(|| format!("remove {}", root.display()))
}
