//! Two qjails at once.

use std::process::Stdio;
use std::time::{Duration, Instant};

use qjail_tests::Site;

#[test]
fn one_jail_is_worked_on_by_one_command() {
    let site = Site::from_host();
    let _ = site
        .qjail(&["create", "--param", "exec.start=sleep 3", "slow"])
        .ok();
    let _ = site.qjail(&["create", "other"]).ok();
    let mut first = site
        .command(&["start", "slow"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(600));
    for args in [["start", "slow"], ["stop", "slow"], ["delete", "slow"]] {
        let busy = site.qjail(&args).refused(1, "being used by qjail start (pid ");
        assert!(busy.err.contains(&first.id().to_string()), "{busy:#?}");
        assert!(busy.err.contains("hint: "), "{busy:#?}");
    }
    let began = Instant::now();
    let _ = site.qjail(&["start", "other"]).ok();
    let _ = site.qjail(&["list"]).ok();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "other jails do not wait"
    );
    assert!(first.wait().unwrap().success());
    let _ = site.qjail(&["stop", "slow"]).ok();
}

#[test]
fn two_creates_never_take_one_address() {
    let site = Site::from_host();
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network()])
        .ok();
    let names: Vec<String> = (0..6).map(|i| format!("j{i}")).collect();
    let children: Vec<_> = names
        .iter()
        .map(|n| {
            let mut command = site.command(&["create", "-n", &site.bridge(), "-4", "auto", n]);
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let list = site.qjail(&["list", "-o", "ip"]).ok().out;
    let mut addresses: Vec<&str> = list.lines().skip(1).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 6, "{list}");
}
