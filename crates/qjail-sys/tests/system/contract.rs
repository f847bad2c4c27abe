//! What every system keeps, as tests that run on the fake and on the real one.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use qjail_model::{Network, Params};
use qjail_sys::{ExecSpec, Interface, InterfaceChange, JailSpec, StopOptions, System};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// An interface that nobody else has, removed at the end whatever happens.
pub(crate) struct Guard<'a> {
    system: &'a dyn System,
    pub(crate) name: String,
    pub(crate) network: Network,
}

impl<'a> Guard<'a> {
    pub(crate) fn new(system: &'a dyn System) -> Self {
        let number = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let (a, b) = ((number >> 8) as u8, number as u8);
        // Below 198.18.0.0/15, which is for tests (RFC 2544), in pieces of 16 addresses.
        let network = format!("198.{}.{}.{}/28", 18 + (a & 1), b, (a & 0xe0) | 1)
            .parse()
            .unwrap();
        let kind = if system.os() == "freebsd" { "lo" } else { "qjtc" };
        Self {
            system,
            name: format!("{kind}{}", number & 0xffff),
            network,
        }
    }

    pub(crate) fn address(&self, host: usize) -> String {
        self.network.hosts().nth(host).unwrap().to_string()
    }

    /// Without the addresses that IPv6 makes itself once somebody is connected.
    fn found(&self) -> Option<Interface> {
        let mut found = self
            .system
            .interfaces()
            .unwrap()
            .into_iter()
            .find(|i| i.name == self.name)?;
        found
            .addresses
            .retain(|n| !matches!(n.addr, IpAddr::V6(a) if a.is_unicast_link_local()));
        Some(found)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let _ = self.system.remove_interface(&self.name, &[self.network], true);
    }
}

/// `ensure_interface` and `remove_interface` are idempotent, tell what they changed, and leave others alone.
pub(crate) fn interfaces(system: &dyn System) {
    let guard = Guard::new(system);
    let (name, network) = (&guard.name, guard.network);
    let made = system.ensure_interface(name, &[network]).unwrap();
    assert_eq!(
        made,
        InterfaceChange {
            created: true,
            added: vec![network]
        }
    );
    assert_eq!(
        system.ensure_interface(name, &[network]).unwrap(),
        InterfaceChange::default()
    );
    let found = guard.found().unwrap();
    assert!(found.up && found.for_jails && !found.default_route && found.addresses.contains(&network));

    let other = format!("{name}x");
    let taken = system.ensure_interface(&other, &[network]).unwrap_err();
    assert!(taken.to_string().contains(name.as_str()), "{taken}");
    assert!(system.interfaces().unwrap().iter().all(|i| i.name != other));
    if system.os() == "linux" {
        system.ensure_interface("lo", &[]).unwrap_err();
        system.remove_interface("lo", &[], true).unwrap_err();
    }

    system.remove_interface(name, &[network], false).unwrap();
    system.remove_interface(name, &[network], false).unwrap();
    assert!(!guard.found().unwrap().addresses.contains(&network));
    system.remove_interface(name, &[network], true).unwrap();
    system.remove_interface(name, &[network], true).unwrap();
    assert!(guard.found().is_none());
}

/// A jail starts once, is found while it runs, and leaves nothing; `spec` needs no network.
pub(crate) fn jails(system: &dyn System, spec: &JailSpec) {
    let guard = Guard::new(system);
    let name = &spec.name;
    let never = || false;
    let mut spec = spec.clone();
    spec.params.set("interface", guard.name.as_str());
    spec.params.set("ip4.addr", guard.address(3));

    let missing = system.start(&spec, &never).unwrap_err();
    assert!(
        missing.to_string().contains(&guard.name) && missing.hint.is_some(),
        "{missing}"
    );
    assert!(system.find(name).unwrap().is_none());
    system.ensure_interface(&guard.name, &[guard.network]).unwrap();
    // Of this interface only: others come and go while tests run.
    let before = guard.found();

    system.stop(&spec, StopOptions::default(), &|| false).unwrap();
    system.cleanup(&spec).unwrap();
    let jid = system.start(&spec, &never).unwrap();
    assert_eq!(system.find(name).unwrap().map(|r| r.jid), Some(jid));
    let again = system.start(&spec, &never).unwrap_err();
    assert_eq!(again.to_string(), format!("start {name}: it is running"));
    let command = ExecSpec {
        argv: vec!["true".to_owned()],
        ..ExecSpec::default()
    };
    assert_eq!(system.exec(name, &command).unwrap(), 0);
    system
        .stop(
            &spec,
            StopOptions {
                force: true,
                timeout: None,
            },
            &|| false,
        )
        .unwrap();
    assert!(system.running().unwrap().is_empty());
    assert_eq!(guard.found(), before);
    let stopped = system.exec(name, &command).unwrap_err();
    assert!(stopped.to_string().contains("it is not running"), "{stopped}");

    system.start(&spec, &never).unwrap();
    system.cleanup(&spec).unwrap();
    assert!(system.find(name).unwrap().is_none());
    assert_eq!(guard.found(), before);
    let cancelled = system.start(&spec, &|| true).unwrap_err();
    assert!(cancelled.to_string().contains("cancelled"), "{cancelled}");
    assert!(system.find(name).unwrap().is_none());
    assert_eq!(guard.found(), before);
}

/// Parameters at their harmless default are accepted everywhere.
pub(crate) fn harmless_params(system: &dyn System) {
    let mut params = Params::new();
    for (key, value) in [
        ("devfs_ruleset", "4"),
        ("securelevel", "-1"),
        ("host.hostname", "a"),
        ("sysvshm", "disable"),
    ] {
        params.set(key, value);
    }
    for off in [
        "allow.mount",
        "allow.raw_sockets",
        "allow.quotas",
        "allow.chflags",
    ] {
        params.set(off, false);
    }
    assert_eq!(system.refused_params(&params), []);
}

/// Images are made, mounted and unmounted, each as often as one likes.
pub(crate) fn images(system: &dyn System) {
    let dir = tempfile::tempdir().unwrap();
    let (file, at) = (dir.path().join("images/a.img"), dir.path().join("a"));
    system.make_image(&file, 16 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 16 << 20);
    assert!(system.attach_image(&file, &at).is_err(), "no mount point");
    std::fs::create_dir(&at).unwrap();
    assert_eq!(system.image_device(&file).unwrap(), None);
    system.attach_image(&file, &at).unwrap();
    system.attach_image(&file, &at).unwrap();
    assert!(system.image_device(&file).unwrap().is_some());
    let other = dir.path().join("images/b.img");
    system.make_image(&other, 16 << 20).unwrap();
    assert_eq!(system.image_device(&other).unwrap(), None);
    assert!(system.attach_image(&other, &at).is_err(), "another is mounted");
    system.detach_image(&other, &at).unwrap();
    std::fs::write(at.join("file"), "kept").unwrap();
    for _ in 0..2 {
        system.detach_image(&file, &at).unwrap();
    }
    system.attach_image(&file, &at).unwrap();
    assert_eq!(std::fs::read_to_string(at.join("file")).unwrap(), "kept");
    system.detach_image(&file, &at).unwrap();
    std::fs::remove_file(&file).unwrap();
    system.detach_image(&file, &at).unwrap();
    assert!(system.attach_image(&file, &at).is_err(), "no file");
}
