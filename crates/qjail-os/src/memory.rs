//! How much memory the machine has.

/// Bytes of the machine's memory, `None` where the system does not say.
#[must_use]
pub fn physical_memory() -> Option<u64> {
    // SAFETY: sysconf(3) takes a number and has no memory of ours.
    let ask = |name| u64::try_from(unsafe { libc::sysconf(name) }).ok();
    ask(libc::_SC_PHYS_PAGES)?.checked_mul(ask(libc::_SC_PAGESIZE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_some_memory() {
        let bytes = physical_memory().unwrap();
        assert!((16 << 20..1 << 60).contains(&bytes), "{bytes}");
    }
}
