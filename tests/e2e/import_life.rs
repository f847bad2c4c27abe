//! `import` beside the old program: the question, what runs, what it has left.

use qjail_tests::{Ran, Site, program, same, sh};

use crate::import::{old, picture};

/// The command on a terminal; `input` is typed when it has asked.
fn on_a_terminal(site: &Site, args: &str, input: &str) -> Ran {
    let script = format!(
        "import os,pty,sys\npid,fd=pty.fork()\nif pid==0: os.execv('{program}',['qjail','--root','{root}']+'{args}'.split())\n\
         out=b''\nasked=False\n\
         while True:\n  try: got=os.read(fd,4096)\n  except OSError: break\n  if not got: break\n  out+=got\n  \
         if not asked and b'[y/N] ' in out: asked=True; os.write(fd,b'{input}')\n\
         sys.stdout.write(out.decode()); sys.stdout.flush()\n\
         status=os.waitpid(pid,0)[1]\n\
         sys.exit(98 if not asked else 128+os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))\n",
        program = program().display(),
        root = site.root.display(),
    );
    std::fs::write(site.root.join("ask.py"), script).unwrap();
    let ran = sh("python3 ask.py", &site.root);
    std::fs::remove_file(site.root.join("ask.py")).unwrap();
    ran
}

#[test]
fn it_asks_on_a_terminal() {
    let site = Site::from_host();
    let dir = old(&site, &[("one", "", &[]), ("two", "", &[])]);
    let line = format!("import --from qjail {}", dir.display());
    let before = site.picture();
    for (input, code) in [
        ("n\\n", 1),
        ("\\n", 1),
        ("\\x04", 1),
        ("yes please\\n", 1),
        ("\\x03", 130),
    ] {
        let ran = on_a_terminal(&site, &line, input);
        assert!(ran.out.contains("Import 2 jails (one, two)? [y/N] "), "{ran:#?}");
        assert_eq!(ran.code, code, "{input}: {ran:#?}");
        same(&site.picture(), &before, input);
    }
    let ran = on_a_terminal(&site, &format!("{line} one"), "y\\n").ok();
    assert!(ran.out.contains("Import 1 jail (one)? [y/N] "), "{ran:#?}");
    assert!(site.definition("one").exists() && !site.definition("two").exists());
    let ran = on_a_terminal(&site, &format!("{line} two"), "yes\\n").ok();
    assert!(ran.out.contains("Successfully imported two"), "{ran:#?}");
}

/// A jail that qjail did not start, or whose definition is lost, still runs.
#[test]
fn a_running_jail_is_passed_over() {
    let site = Site::from_host();
    let dir = old(&site, &[("busy", "", &[]), ("idle", "", &[])]);
    let args = ["import", "--from", "qjail", dir.to_str().unwrap(), "--yes"];
    let _ = site.qjail(&[&args[..], &["busy"]].concat()).ok();
    let _ = site.qjail(&["start", "busy"]).ok();
    let definition = std::fs::read_to_string(site.definition("busy")).unwrap();
    std::fs::remove_file(site.definition("busy")).unwrap();
    let ran = site.qjail(&args).refused(1, "Bypassed running jail busy\nhint: ");
    assert!(ran.out.contains("Successfully imported idle\n"), "{ran:#?}");
    assert!(!site.definition("busy").exists());
    std::fs::write(site.definition("busy"), definition).unwrap();
    assert_eq!(site.inside("busy", "id -u"), "0");
    let _ = site.qjail(&["stop", "busy"]).ok();
}

/// The old layout has a shared base that is a directory: it is told of and never touched.
#[test]
fn the_shared_base_of_the_old_program_is_left_alone() {
    let site = Site::empty();
    let dir = old(&site, &[("web", "", &[])]);
    let jails = site.jails();
    let _ = sh(
        "mkdir -p sharedfs/bin template/etc && echo old > sharedfs/bin/sh",
        &jails,
    )
    .ok();
    let before = picture(&jails);
    let ran = site
        .qjail(&["import", "--from", "qjail", dir.to_str().unwrap(), "--yes"])
        .ok();
    let text = format!(
        "note: {0}/sharedfs and {0}/template are those of qjail 5 and are left alone. Before jails there can be started by this \
         qjail, and when none of them runs under the old one: move both away, then qjail install",
        jails.display()
    );
    assert!(ran.out.contains(&text), "{ran:#?}");
    // Closed to other users, as with every command.
    let open = |picture: &str| picture.replacen("d 700 . ", "d 755 . ", 1);
    assert_eq!(open(&picture(&jails)), before);
    let start = site.qjail(&["start", "web"]);
    assert!(
        start.code == 1 && start.err.contains("qjail install"),
        "{start:#?}"
    );
    let _ = sh(
        "mv sharedfs previous.sharedfs && mv template previous.template",
        &jails,
    )
    .ok();
    let _ = site.qjail(&["install", "--from-host"]).ok();
    // Its root is the smallest that was taken over: with the template in it, it starts.
    let _ = sh("cp -a template/. web/ && cp -a flavors/default/. web/", &jails).ok();
    let _ = site.qjail(&["start", "web"]).ok();
    assert_eq!(site.inside("web", "id -u"), "0");
    let _ = site.qjail(&["stop", "web"]).ok();
}
