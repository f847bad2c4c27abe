//! `cargo xtask test`: every test, with what they need.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{
    build_plugin, build_plugins, build_program, cargo, command, has, is_root, read, run, target,
};

/// Programs that tests use, and the Debian package of each.
const NEEDS: [(&str, &str); 14] = [
    ("debootstrap", "debootstrap"),
    ("bsdtar", "libarchive-tools"),
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("ssh", "openssh-client"),
    ("python3", "python3"),
    ("mkfs.ext4", "e2fsprogs"),
    ("setfattr", "attr"),
    ("setcap", "libcap2-bin"),
    ("unshare", "util-linux"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("cc", "gcc"),
    ("mandoc", "mandoc"),
];
/// What the fixture base has beyond debootstrap's minimal set.
const FIXTURE: &str = "openssh-server,iproute2,iputils-ping,procps,util-linux";

pub(crate) fn main(rest: &[&str]) -> Result<()> {
    packages()?;
    let fixture = fixture()?;
    if rest != ["e2e"] {
        println!("# unit and property tests");
        run(cargo(&["test", "--workspace", "--exclude", "qjail-tests"]).env("QJAIL_FIXTURE", &fixture))?;
    }
    for life in ["built-in", "shared"] {
        end_to_end(life, &fixture)?;
    }
    Ok(())
}

/// Builds the program for one life of the plugins, and runs the end-to-end suite with it.
fn end_to_end(life: &str, fixture: &Path) -> Result<()> {
    println!("# end-to-end tests, plugins {life}");
    let place = target().join("e2e").join(life);
    std::fs::create_dir_all(&place)?;
    let extra: &[&str] = if life == "shared" {
        &["--no-default-features"]
    } else {
        &[]
    };
    let program = place.join("qjail");
    let built = build_program(false, extra)?;
    let _ = std::fs::remove_file(&program);
    std::fs::copy(built, &program).context("copy the program")?;
    let plugins = place.join("plugins");
    if life == "shared" {
        build_plugins(false, &plugins)?;
    }
    build_plugin("qjail-plugin-evil", false, &place.join("evil"))?;
    let tested = run(cargo(&["test", "-p", "qjail-tests"])
        .env("QJAIL_TEST_PROGRAM", &program)
        .env("QJAIL_TEST_LIFE", life)
        .env("QJAIL_TEST_PLUGINS", &plugins)
        .env("QJAIL_TEST_EVIL", place.join("evil/libqjail_plugin_evil.so"))
        .env("QJAIL_FIXTURE", fixture));
    sweep(&program);
    tested
}

/// Takes down what the tests share until their process ends: nothing is left on the machine.
fn sweep(program: &Path) {
    let Ok(sites) = std::fs::read_dir("/var/lib/qjail-e2e") else {
        return;
    };
    for site in sites.flatten().map(|e| e.path()).filter(|s| !in_use(s)) {
        let qjail = |args: &[&str]| {
            let mut command = std::process::Command::new(program);
            read(command.env("QJAIL_ROOT", &site).args(args)).unwrap_or_default()
        };
        qjail(&["stop", "--force"]);
        qjail(&["delete", "--all", "--yes"]);
        for line in qjail(&["net", "list"]).lines().skip(1) {
            qjail(&["net", "delete", line.split(' ').next().unwrap_or_default()]);
        }
        let _ = std::fs::remove_dir_all(&site);
    }
}

/// Whether the tests that made a site (`PID-NUMBER`) still run: another checkout's, say.
fn in_use(site: &Path) -> bool {
    let name = site.file_name().unwrap_or_default().to_string_lossy();
    let pid = name.split('-').next().unwrap_or_default();
    !pid.is_empty() && Path::new("/proc").join(pid).exists()
}

fn packages() -> Result<()> {
    let missing: Vec<(&str, &str)> = NEEDS.into_iter().filter(|(program, _)| !has(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    println!("# the tests need {}", programs.join(", "));
    if !(is_root() && has("apt-get")) {
        bail!("install them first (Debian's packages: {})", packages.join(" "));
    }
    println!("# installing {}", packages.join(" "));
    run(&mut command("apt-get", &["-qq", "update"]))?;
    let install = [
        &["-qq", "-y", "--no-install-recommends", "install"],
        packages.as_slice(),
    ]
    .concat();
    run(command("apt-get", &install).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The base that end-to-end tests install: made once, then kept below the target directory.
fn fixture() -> Result<PathBuf> {
    let dir = target().join("fixture");
    let file = dir.join("base.tar");
    if file.is_file() {
        return Ok(file);
    }
    if !is_root() {
        bail!("the tests need root: they make a base with debootstrap, and run jails");
    }
    println!("# making the fixture base with debootstrap ({FIXTURE})");
    std::fs::create_dir_all(&dir)?;
    let tree = dir.join("tree");
    let _ = std::fs::remove_dir_all(&tree);
    let tree_name = tree.display().to_string();
    let (mirror, suite) = mirror()?;
    let include = format!("--include={FIXTURE}");
    run(&mut command(
        "debootstrap",
        &["--variant=minbase", &include, &suite, &tree_name, &mirror],
    ))?;
    let _ = std::fs::remove_dir_all(tree.join("var/cache/apt/archives"));
    let _ = std::fs::remove_dir_all(tree.join("var/lib/apt/lists"));
    let partial = dir.join("base.tar.new");
    run(&mut command(
        "tar",
        &[
            "--numeric-owner",
            "--xattrs",
            "-C",
            &tree_name,
            "-cf",
            &partial.display().to_string(),
            ".",
        ],
    ))?;
    std::fs::rename(&partial, &file)?;
    std::fs::remove_dir_all(&tree)?;
    Ok(file)
}

/// The mirror and the suite that this machine's own apt uses.
fn mirror() -> Result<(String, String)> {
    let text = read(&mut command(
        "apt-get",
        &[
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(CODENAME)",
            "Created-By: Packages",
            "Component: main",
        ],
    ))?;
    let line = text
        .lines()
        .find(|l| !l.contains("-security") && !l.contains("-updates") && !l.contains("-backports"))
        .context("apt has no package source of a Debian release")?;
    let mut words = line.split(' ');
    let (uri, release, codename) = (words.next(), words.next(), words.next());
    let suite = codename.filter(|c| !c.is_empty()).or(release);
    Ok((
        uri.unwrap_or_default().to_owned(),
        suite.unwrap_or("stable").to_owned(),
    ))
}
