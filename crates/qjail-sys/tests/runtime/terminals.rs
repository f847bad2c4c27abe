//! A command with a terminal, whose caller has one too.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::Test;
use crate::fixture::{Jail, eventually};

pub(crate) const ALL: &[Test] = &[
    (
        "a_terminal_is_the_jails_own_and_the_callers_is_restored",
        terminal,
    ),
    ("the_size_of_the_window_follows", window),
    ("job_control_works", job_control),
    ("a_terminal_without_one_outside_works", without_terminal),
    (
        "ending_the_caller_restores_its_terminal_and_hangs_up",
        ended_caller,
    ),
    ("a_hostile_dev_does_not_get_a_terminal_made", hostile_dev),
];

/// A caller on a terminal that this test is the other side of.
struct Session {
    child: Child,
    keys: File,
    slave: OwnedFd,
    screen: Arc<Mutex<String>>,
}

impl Session {
    fn new(jail: &Jail, argv: &[&str]) -> Session {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(
            &master,
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )
        .unwrap();
        tcsetwinsize(
            &master,
            Winsize {
                ws_row: 33,
                ws_col: 77,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let mut caller = jail.caller(argv, |s| s.tty = true);
        let child = caller
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let keys = File::from(master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut reader, shown) = (keys.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(n) = reader.read(&mut buffer)
                && n > 0
            {
                shown
                    .lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Session {
            child,
            keys,
            slave,
            screen,
        }
    }

    fn raw(&self) -> bool {
        !tcgetattr(&self.slave)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    fn sees(&self, text: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.screen.lock().unwrap().contains(text) {
            assert!(
                Instant::now() < end,
                "{text:?} is not on the screen: {}",
                self.screen.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ends_with(mut self, code: i32) -> String {
        let status = self.child.wait().unwrap();
        let screen = self.screen.lock().unwrap().clone();
        assert_eq!(status.code(), Some(code), "{screen}");
        assert!(!self.raw(), "the caller's terminal is as before");
        screen
    }
}

fn terminal() {
    let jail = Jail::started();
    let line = "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; ls -la /proc/self/fd | wc -l; \
        echo typed-$(head -n 1); ps -o tty= $$; exit 42";
    let mut session = Session::new(&jail, &["sh", "-c", line]);
    session.sees("all");
    assert!(session.raw());
    session.type_in("keys\r");
    session.sees("typed-keys");
    let screen = session.ends_with(42);
    assert!(screen.contains("/dev/pts/0\r\n33 77\r\nall\r\n"), "{screen}");
    assert!(
        screen.contains("keys\r\n"),
        "what is typed is shown once by the jail's terminal: {screen}"
    );
    assert!(screen.contains("pts/0"), "{screen}");
}

fn window() {
    let jail = Jail::started();
    let session = Session::new(
        &jail,
        &[
            "sh",
            "-c",
            "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done",
        ],
    );
    session.sees("ready");
    tcsetwinsize(
        &session.slave,
        Winsize {
            ws_row: 44,
            ws_col: 99,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .unwrap();
    // The caller is not in the foreground of this terminal: the kernel tells only those.
    unsafe { libc::kill(session.child.id().cast_signed(), libc::SIGWINCH) };
    session.sees("44 99");
    session.ends_with(0);
}

fn job_control() {
    let jail = Jail::started();
    let mut session = Session::new(&jail, &["bash", "--norc", "-i"]);
    session.type_in("PS1=; sleep 100\r");
    session.sees("sleep 100");
    std::thread::sleep(std::time::Duration::from_millis(300));
    session.type_in("\x1a");
    session.sees("Stopped");
    session.type_in("jobs; kill %1; fg\r");
    session.type_in("cat\r");
    std::thread::sleep(std::time::Duration::from_millis(300));
    session.type_in("\x03");
    std::thread::sleep(std::time::Duration::from_millis(300));
    session.type_in("echo after=$?\r");
    session.sees("after=130");
    session.type_in("exit 6\r");
    let screen = session.ends_with(6);
    assert!(!screen.contains("no job control"), "{screen}");
}

fn without_terminal() {
    let jail = Jail::started();
    let mut caller = jail.caller(&["sh", "-c", "tty; cat; echo end"], |s| s.tty = true);
    let mut child = caller
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"from a pipe\nhalf a line")
        .unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("/dev/pts/0\r\n"), "{text}");
    assert!(
        text.contains("from a pipe\r\n") && text.ends_with("half a lineend\r\n"),
        "{text:?}"
    );
    assert!(out.status.success());
    let mut caller = jail.caller(&["sh", "-c", "seq 1 20000; exit 3"], |s| s.tty = true);
    let out = caller.stdin(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).ends_with("19999\r\n20000\r\n"));
    assert_eq!(out.status.code(), Some(3));
}

fn ended_caller() {
    let jail = Jail::started();
    let session = Session::new(&jail, &["sh", "-c", "echo $$; exec sleep 1000"]);
    eventually("raw", || session.raw());
    eventually("sleep", || jail.sh("ps ax").contains("sleep 1000"));
    unsafe { libc::kill(session.child.id().cast_signed(), libc::SIGTERM) };
    session.ends_with(128 + libc::SIGTERM);
    eventually("sleep is hung up", || !jail.sh("ps ax").contains("sleep 1000"));
    let mut session = Session::new(&jail, &["sleep", "1000"]);
    eventually("sleep", || jail.sh("ps ax").contains("sleep 1000"));
    session.child.kill().unwrap();
    session.child.wait().unwrap();
    eventually("sleep is hung up", || !jail.sh("ps ax").contains("sleep 1000"));
}

fn hostile_dev() {
    let jail = Jail::started();
    jail.sh("rm /dev/ptmx; mkfifo /dev/ptmx; umount /dev/pts");
    let out = jail
        .caller(&["tty"], |s| s.tty = true)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "/dev/pts/0\r\n", "{out:?}");
}
