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
    /// A file system of its own, so that both of a pair find the same one and nobody else uses it.
    disk: PathBuf,
    root: PathBuf,
}

impl Bench {
    fn new() -> Result<Self> {
        let home = target().join("bench");
        // A plugin is only loaded from directories that nobody but root can write to.
        let disk = PathBuf::from("/var/lib/qjail-bench");
        std::fs::create_dir_all(&home)?;
        fresh_disk(&disk, &home.join("disk.img"))?;
        let root = disk.join("root");
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
            disk,
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

    /// Both make a new copy in each round and nothing is removed in between: ext4 without a journal passes over inodes
    /// that were freed in the last seconds one by one, which would be all that is measured.
    fn create(&self) -> Result<()> {
        let template = std::fs::canonicalize(self.jails().join("template"))?;
        let (mut ours, mut theirs, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let name = format!("bench-{round}");
            ours.push(time(&mut self.qjail(&["create", "--quiet", &name]))?);
            let copy = self.disk.join(format!("copy-{round}"));
            let began = Instant::now();
            theirs.push(time(&mut cp(&template, &copy))?);
            run(&mut command("sync", &["-f", &copy.display().to_string()]))?;
            flushed.push(began.elapsed());
        }
        report("create a thin jail / cp -a of the template", ours.clone(), theirs);
        report("  the same / cp -a and sync -f, as create does", ours, flushed);
        for round in 0..ROUNDS {
            self.quiet(&["delete", &format!("bench-{round}")])?;
            std::fs::remove_dir_all(self.disk.join(format!("copy-{round}")))?;
        }
        Ok(())
    }

    fn install(&self) -> Result<()> {
        let archive = self.archive()?;
        let name = archive.display().to_string();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let place = |what: &str, round: usize| self.disk.join(format!("{what}-{round}"));
        for round in 0..5 {
            let mut install = Command::new(&self.program);
            install
                .env("QJAIL_ROOT", place("install", round))
                .args(["install", "--quiet", &name]);
            ours.push(time(&mut install)?);
            let out = place("out", round);
            std::fs::create_dir_all(&out)?;
            theirs.push(time(&mut command(
                "tar",
                &["-xJf", &name, "-C", &out.display().to_string()],
            ))?);
        }
        report("install a multi-block .txz / tar -xJf", ours, theirs);
        for round in 0..5 {
            std::fs::remove_dir_all(place("install", round))?;
            std::fs::remove_dir_all(place("out", round))?;
        }
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
        let root = self.disk.join("list");
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
        let crun = Crun::new()?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(time(&mut self.qjail(&["start", "--quiet", "bench"]))?);
            self.quiet(&["stop", "--force", "bench"])?;
            theirs.push(time(&mut crun.command(&[
                "run",
                "-b",
                &bundle.display().to_string(),
                "qjail-bench",
            ]))?);
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
        run(&mut command("umount", &[&self.disk.display().to_string()]))?;
        std::fs::remove_file(self.home.join("disk.img")).context("clear up")
    }
}

/// Mounts a new ext4 file system at `disk`.
fn fresh_disk(disk: &Path, image: &Path) -> Result<()> {
    let (disk_name, image_name) = (disk.display().to_string(), image.display().to_string());
    // One that an interrupted run has left.
    let _ = read(&mut command("umount", &[&disk_name]));
    let _ = std::fs::remove_file(image);
    std::fs::create_dir_all(disk)?;
    std::fs::File::create(image)?.set_len(8 << 30)?;
    run(&mut command(
        "mkfs.ext4",
        &["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", &image_name],
    ))?;
    run(&mut command("mount", &["-o", "loop", &image_name, &disk_name]))
}

/// Runs crun where it finds cgroups as it wants them: it refuses the hybrid of v1 and v2 that some machines have.
struct Crun {
    keeper: std::process::Child,
}

impl Crun {
    fn new() -> Result<Self> {
        let script = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; echo; exec sleep 600";
        let mut keeper = command("unshare", &["-m", "--propagation", "private", "sh", "-c", script])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        let mut ready = [0];
        let out = keeper.stdout.as_mut().context("no output")?;
        std::io::Read::read_exact(out, &mut ready)?;
        Ok(Self { keeper })
    }

    fn command(&self, args: &[&str]) -> Command {
        let pid = self.keeper.id().to_string();
        let mut all = command(
            "nsenter",
            &["-t", &pid, "-m", "crun", "--cgroup-manager=disabled"],
        );
        all.args(args);
        all
    }
}

impl Drop for Crun {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
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
