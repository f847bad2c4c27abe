//! `exec` and `console`.

use std::io::Write;
use std::process::Stdio;

use qjail_tests::{Site, sh};

fn running(name: &str) -> &'static Site {
    let site = Site::shared();
    let _ = site.qjail(&["create", "--start", name]).ok();
    site
}

fn gone(site: &Site, name: &str) {
    let _ = site.qjail(&["stop", "--force", name]).ok();
    let _ = site.qjail(&["delete", name]).ok();
}

#[test]
fn exec_passes_input_output_and_status_through() {
    let site = running("through");
    let run = |argv: &[&str]| site.qjail(&[&["exec", "through", "--"], argv].concat());
    assert_eq!(run(&["/bin/sh", "-c", "exit 42"]).code, 42);
    assert_eq!(run(&["false"]).code, 1);
    assert_eq!(run(&["/bin/sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(run(&["no-such-program"]).code, 127);
    assert_eq!(run(&["/etc/passwd"]).code, 126);
    assert_eq!(run(&["echo", "a  b", "$HOME", "*"]).ok().out, "a  b $HOME *\n");
    let both = run(&["/bin/sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((both.out.as_str(), both.err.as_str()), ("out\n", "err\n"));
    let mut child = site
        .command(&["exec", "through", "--", "tr", "a-z", "A-Z"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"HELLO");
    // Nobody must take what is cut off for the whole.
    let script = format!(
        "QJAIL_ROOT={} $QJAIL_TEST_PROGRAM exec through -- echo hi > /dev/full",
        site.root.display()
    );
    let full = sh(&script, &site.root);
    assert!(
        full.code == 125 && full.err.contains("no space left on device"),
        "{full:#?}"
    );
    gone(site, "through");
    let stopped = site.qjail(&["exec", "through", "--", "true"]);
    assert_eq!(stopped.code, 125, "{stopped:#?}");
}

#[test]
fn exec_takes_users_and_directories_of_the_jail() {
    let site = running("users");
    let run = |args: &[&str]| site.qjail(&[&["exec"], args].concat());
    assert_eq!(run(&["users", "--", "id", "-u"]).ok().out, "0\n");
    assert_eq!(
        run(&["-u", "nobody", "users", "--", "id", "-un"]).ok().out,
        "nobody\n"
    );
    assert_eq!(
        run(&["-u", "daemon:games", "users", "--", "id", "-gn"]).ok().out,
        "games\n"
    );
    assert_eq!(
        run(&["-w", "/usr/share", "users", "--", "pwd", "-P"]).ok().out,
        "/sharedfs/usr/share\n"
    );
    let unknown = run(&["-u", "nosuch", "users", "--", "true"]);
    assert_eq!(unknown.code, 125, "{unknown:#?}");
    assert!(unknown.err.contains("nosuch"), "{unknown:#?}");
    let nowhere = run(&["-w", "/no/where", "users", "--", "true"]);
    assert_ne!(nowhere.code, 0);
    assert!(nowhere.err.contains("/no/where"), "{nowhere:#?}");
    let caps = run(&[
        "-u",
        "nobody",
        "users",
        "--",
        "grep",
        "CapEff",
        "/proc/self/status",
    ])
    .ok()
    .out;
    assert!(caps.trim_end().ends_with("0000000000000000"), "{caps}");
    gone(site, "users");
}

#[test]
fn the_callers_environment_stays_outside() {
    let site = running("environment");
    let mut command = site.command(&["exec", "environment", "--", "env"]);
    let output = command.env("SECRET_OF_THE_HOST", "x").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("SECRET") && !text.contains("QJAIL"), "{text}");
    assert!(text.contains("PATH=") && text.contains("HOME="), "{text}");
    let open = site
        .qjail(&[
            "exec",
            "environment",
            "--",
            "/bin/sh",
            "-c",
            "ls /proc/self/fd | wc -l",
        ])
        .ok()
        .out;
    assert!(
        open.trim().parse::<usize>().unwrap() <= 4,
        "no descriptor but 0, 1, 2 is passed in: {open}"
    );
    gone(site, "environment");
}

#[test]
fn console_runs_a_command_line_through_the_jails_shell() {
    let site = running("conscmd");
    let run = site.qjail(&["console", "-c", "echo \"a  b\" | tr a-z A-Z; exit 3", "conscmd"]);
    assert_eq!((run.out.as_str(), run.code), ("A  B\n", 3), "{run:#?}");
    let user = site
        .qjail(&["console", "-u", "nobody", "-c", "id -un", "conscmd"])
        .ok();
    assert_eq!(user.out, "nobody\n");
    gone(site, "conscmd");
}

/// A terminal of the host (from script(1)) in front of a console.
fn on_a_terminal(site: &Site, line: &str, input: &str) -> qjail_tests::Ran {
    let script = format!(
        "export QJAIL_ROOT={}; (sleep 0.7; printf '{input}'; sleep 1.2) | script -qec \"stty rows 33 cols 77; {} {line}\" /dev/null",
        site.root.display(),
        qjail_tests::program().display()
    );
    sh(&script, &site.root)
}

#[test]
fn console_is_a_real_terminal() {
    let site = running("terminal");
    let shown = on_a_terminal(
        site,
        "console terminal",
        "tty; stty size; echo $0 $HOME; exit 5\\n",
    );
    assert!(shown.out.contains("/dev/pts/"), "{shown:#?}");
    assert!(shown.out.contains("33 77"), "{shown:#?}");
    assert!(shown.out.contains("/root"), "{shown:#?}");
    assert_eq!(shown.code, 5, "{shown:#?}");
    let jobs = on_a_terminal(
        site,
        "console terminal",
        "sleep 100 & jobs; kill %%1; fg; exit\\n",
    );
    assert!(
        jobs.out.contains("sleep 100") && !jobs.out.contains("no job control"),
        "{jobs:#?}"
    );
    let interrupt = on_a_terminal(site, "console -c 'sleep 30; echo survived' terminal", "\\003");
    assert!(!interrupt.out.contains("survived"), "{interrupt:#?}");
    gone(site, "terminal");
}

/// Root of the jail could give an open file another mode, or write to one that was opened for reading.
#[test]
fn the_callers_files_stay_outside() {
    use std::os::unix::fs::PermissionsExt;
    let site = running("files");
    let file = site.root.join("precious");
    std::fs::write(&file, "precious\n").unwrap();
    let script = "cat; echo evil >> /proc/self/fd/0; chmod 4777 /proc/self/fd/0 /proc/self/fd/1; cd /proc/self/fd/0/etc";
    let out = site.root.join("output");
    let mut command = site.command(&["exec", "files", "--", "/bin/sh", "-c", script]);
    command
        .stdin(std::fs::File::open(&file).unwrap())
        .stdout(std::fs::File::create(&out).unwrap());
    let ended = command.stderr(Stdio::null()).status().unwrap();
    assert!(!ended.success());
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "precious\n",
        "the host's file is as it was"
    );
    assert!(
        std::fs::read_to_string(&out).unwrap().starts_with("precious\n"),
        "what it says arrives"
    );
    for path in [&file, &out] {
        assert_eq!(
            std::fs::metadata(path).unwrap().permissions().mode() & 0o7000,
            0,
            "{}",
            path.display()
        );
    }
    let mut command = site.command(&["exec", "files", "--", "/bin/sh", "-c", "ls /proc/self/fd/0/"]);
    let listed = command.stdin(std::fs::File::open("/").unwrap()).output().unwrap();
    assert!(
        !String::from_utf8_lossy(&listed.stdout).contains("etc"),
        "{listed:?}"
    );
    let big = site
        .qjail(&["exec", "files", "--", "head", "-c", "3000000", "/dev/zero"])
        .ok();
    assert_eq!(big.out.len(), 3_000_000, "nothing is lost on the way");
    gone(site, "files");
}
