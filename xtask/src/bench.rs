//! `cargo xtask bench`: what the project promises about speed, each figure beside its yardstick in one run.
//!
//! Timings on shared machines are noisy: each pair is run in turns, and the medians are compared. Nothing is asserted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::{build_plugins, build_program, command, has, is_root, read, run, target};

const ROUNDS: usize = 9;

pub(crate) fn main(only: &[&str]) -> Result<()> {
    if !is_root() {
        bail!("the comparisons start jails and need root");
    }
    let bench = Bench::new()?;
    let wanted = |name: &str| only.is_empty() || only.contains(&name);
    println!(
        "{:<46} {:>10} {:>10}  ratio",
        "median of both, in turns", "qjail", "yardstick"
    );
    if wanted("create") {
        bench.create()?;
    }
    if wanted("install") {
        bench.install()?;
    }
    if wanted("list") {
        bench.list()?;
    }
    if wanted("startup") {
        bench.startup()?;
    }
    if wanted("start") {
        bench.start()?;
    }
    bench.clear()
}

struct Bench {
    /// Plugins built in.
    program: PathBuf,
    /// Plugins as shared objects.
    bare: PathBuf,
    home: PathBuf,
    root: PathBuf,
}

impl Bench {
    fn new() -> Result<Self> {
        let home = target().join("bench");
        // A plugin is only loaded from directories that nobody but root can write to.
        let root = PathBuf::from("/var/lib/qjail-bench");
        std::fs::create_dir_all(&home)?;
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root)?;
        let keep = |built: PathBuf, name: &str| -> Result<PathBuf> {
            let kept = home.join(name);
            let _ = std::fs::remove_file(&kept);
            std::fs::copy(&built, &kept)?;
            Ok(kept)
        };
        let bare = keep(build_program(true, &["--no-default-features"])?, "qjail-bare")?;
        let program = keep(build_program(true, &[])?, "qjail")?;
        let bench = Self {
            program,
            bare,
            home,
            root,
        };
        bench.quiet(&["install", "--from-host"])?;
        Ok(bench)
    }

    fn qjail(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("QJAIL_ROOT", &self.root).args(args);
        command
    }

    fn quiet(&self, args: &[&str]) -> Result<()> {
        read(&mut self.qjail(args)).map(drop)
    }

    fn jails(&self) -> PathBuf {
        self.root.join("var/lib/qjail/jails")
    }

    fn create(&self) -> Result<()> {
        let template = std::fs::canonicalize(self.jails().join("template"))?;
        let copy = self.home.join("copy");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(time(&mut self.qjail(&["create", "--quiet", "bench"]))?);
            self.quiet(&["delete", "bench"])?;
            theirs.push(time(&mut cp(&template, &copy))?);
            std::fs::remove_dir_all(&copy)?;
        }
        report("create a thin jail / cp -a of the template", ours, theirs);
        Ok(())
    }

    fn install(&self) -> Result<()> {
        let archive = self.archive()?;
        let name = archive.display().to_string();
        let root = self.root.with_extension("install");
        let out = self.home.join("out");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let _ = std::fs::remove_dir_all(&root);
            let mut install = Command::new(&self.program);
            install
                .env("QJAIL_ROOT", &root)
                .args(["install", "--quiet", &name]);
            ours.push(time(&mut install)?);
            let _ = std::fs::remove_dir_all(&out);
            std::fs::create_dir_all(&out)?;
            theirs.push(time(&mut command(
                "tar",
                &["-xJf", &name, "-C", &out.display().to_string()],
            ))?);
        }
        let _ = std::fs::remove_dir_all(&root);
        let _ = std::fs::remove_dir_all(&out);
        report("install a multi-block .txz / tar -xJf", ours, theirs);
        Ok(())
    }

    /// A base archive of several xz blocks.
    fn archive(&self) -> Result<PathBuf> {
        let fixture = target().join("fixture/base.tar");
        if !fixture.is_file() {
            bail!("{} is not there: run `cargo xtask test` once", fixture.display());
        }
        let archive = self.home.join("base.txz");
        if !archive.is_file() {
            let line = format!(
                "xz -T0 -3 --block-size=8MiB -c {} > {}",
                fixture.display(),
                archive.display()
            );
            run(&mut command("sh", &["-c", &line]))?;
        }
        Ok(archive)
    }

    fn list(&self) -> Result<()> {
        let root = self.root.with_extension("list");
        let dir = root.join("etc/qjail/jails.d");
        std::fs::create_dir_all(&dir)?;
        for i in 0..1000 {
            let text = format!(
                "format = 1\nflavors = [\"default\"]\n[params]\ninterface = \"lo1\"\n\"ip4.addr\" = [\"10.0.{}.{}\"]\n",
                i / 250,
                i % 250 + 1
            );
            std::fs::write(dir.join(format!("jail{i:04}.toml")), text)?;
        }
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let mut list = Command::new(&self.program);
            list.env("QJAIL_ROOT", &root)
                .arg("list")
                .stdout(std::process::Stdio::null());
            times.push(time(&mut list)?);
        }
        alone("list of 1,000 stopped jails (wanted: < 30 ms)", times);
        let program = self.program.display().to_string();
        if has("time") {
            let line = format!(
                "QJAIL_ROOT={} /usr/bin/time -f %M {program} list 2>&1 >/dev/null",
                root.display()
            );
            println!(
                "{:<46} {:>7} kB",
                "  its peak memory (wanted: < 20 MB)",
                read(&mut command("sh", &["-c", &line]))?.trim()
            );
        }
        Ok(std::fs::remove_dir_all(&root)?)
    }

    fn startup(&self) -> Result<()> {
        build_plugins(true, &self.root.join("usr/lib/qjail/plugins"))?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS * 3 {
            let mut bare = Command::new(&self.bare);
            bare.env("QJAIL_ROOT", &self.root)
                .args(["list", "--json"])
                .stdout(std::process::Stdio::null());
            times.push(time(&mut bare)?);
        }
        alone("start-up, all plugins as shared objects (< 5 ms)", times);
        Ok(())
    }

    fn start(&self) -> Result<()> {
        if !has("crun") {
            println!(
                "{:<46} crun is not installed: left out",
                "start a jail / crun run"
            );
            return Ok(());
        }
        self.quiet(&[
            "create",
            "--param",
            "exec.start=true",
            "--param",
            "exec.stop=true",
            "bench",
        ])?;
        let bundle = self.bundle()?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(time(&mut self.qjail(&["start", "--quiet", "bench"]))?);
            self.quiet(&["stop", "--force", "bench"])?;
            theirs.push(time(&mut command(
                "crun",
                &["run", "-b", &bundle.display().to_string(), "qjail-bench"],
            ))?);
        }
        self.quiet(&["delete", "bench"])?;
        report("start a jail / crun run of the same root", ours, theirs);
        Ok(())
    }

    /// An OCI bundle for the same root and the same mounts.
    fn bundle(&self) -> Result<PathBuf> {
        let bundle = self.home.join("bundle");
        let _ = std::fs::remove_dir_all(&bundle);
        std::fs::create_dir_all(&bundle)?;
        run(Command::new("crun").arg("spec").current_dir(&bundle))?;
        let file = bundle.join("config.json");
        let mut spec: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = serde_json::json!(["/bin/sh", "-c", "true"]);
        spec["root"] = serde_json::json!({ "path": self.jails().join("bench"), "readonly": false });
        let plan = read(&mut self.qjail(&["start", "--dry-run", "--json", "bench"]))?;
        let plan: serde_json::Value = serde_json::from_str(&plan)?;
        let start = plan["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|s| s["data"]["action"] == "start-jail");
        let mounts = start.context("no start in the plan")?["data"]["spec"]["mounts"].clone();
        for mount in mounts.as_array().into_iter().flatten() {
            let target = format!("/{}", mount["target"].as_str().unwrap_or_default());
            let entry = serde_json::json!({
                "destination": target, "source": mount["source"], "type": "bind", "options": ["rbind", "ro"]
            });
            spec["mounts"]
                .as_array_mut()
                .context("no mounts in crun's spec")?
                .push(entry);
        }
        std::fs::write(&file, spec.to_string())?;
        Ok(bundle)
    }

    fn clear(&self) -> Result<()> {
        let _ = self.quiet(&["stop", "--force"]);
        std::fs::remove_dir_all(&self.root).context("clear up")
    }
}

fn cp(from: &Path, to: &Path) -> Command {
    command(
        "cp",
        &["-a", &from.display().to_string(), &to.display().to_string()],
    )
}

fn time(command: &mut Command) -> Result<Duration> {
    let began = Instant::now();
    run(command)?;
    Ok(began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn report(what: &str, ours: Vec<Duration>, theirs: Vec<Duration>) {
    let (a, b) = (
        median(ours).as_secs_f64() * 1e3,
        median(theirs).as_secs_f64() * 1e3,
    );
    println!("{what:<46} {a:>7.1} ms {b:>7.1} ms  {:.2}", a / b);
}

fn alone(what: &str, times: Vec<Duration>) {
    println!("{what:<46} {:>7.1} ms", median(times).as_secs_f64() * 1e3);
}
