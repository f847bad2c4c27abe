//! Names and hardware addresses that follow from what they stand for: the same at every start, different from each other.

use std::path::Path;

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// More bridges than this has no jail: the number is one character of the host end's name.
pub(super) const MOST_BRIDGES: usize = 36;

/// The names of one jail's interfaces on the host. Jails of the same name below another state directory have others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostEnds {
    prefix: String,
}

impl HostEnds {
    pub(super) fn of(state_dir: &Path, jail: &str) -> Self {
        let hash = hash(&[state_dir.as_os_str().as_encoded_bytes(), jail.as_bytes()]);
        // 48 bits: two characters, twelve digits and a number are the 15 characters that an interface's name may have.
        Self {
            prefix: format!("qj{:012x}", (hash ^ (hash >> 48)) & 0xffff_ffff_ffff),
        }
    }

    /// The end on the jail's `number`th bridge.
    pub(super) fn name(&self, number: usize) -> String {
        let digit = u32::try_from(number)
            .ok()
            .and_then(|n| char::from_digit(n, 36))
            .unwrap_or('z');
        format!("{}{digit}", self.prefix)
    }

    /// What stands for the jail, its state directory and the host where no address does.
    pub(super) fn salt(&self, machine: &str) -> String {
        format!("{}{machine}", self.prefix)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        name.len() == self.prefix.len() + 1 && name.starts_with(&self.prefix)
    }
}

/// The hardware address of a bridge that qjail made. It marks the bridge as qjail's from the moment it exists.
pub(super) fn bridge_mac(name: &str) -> Mac {
    mac(&[b"bridge", name.as_bytes()])
}

/// The hardware address of a jail on a bridge, see `bridge_mac`.
pub(super) fn jail_mac(jail: &str, bridge: &str, address: &str) -> Mac {
    mac(&[b"jail", jail.as_bytes(), bridge.as_bytes(), address.as_bytes()])
}

/// Locally administered and of one host (IEEE 802): the two lowest bits of the first byte.
fn mac(parts: &[&[u8]]) -> Mac {
    let [.., a, b, c, d, e, f] = hash(parts).to_be_bytes();
    [a & 0xfc | 0x02, b, c, d, e, f]
}

/// FNV-1a, 64 bit: stable from one version of this program to the next, as std's hashes are not.
fn hash(parts: &[&[u8]]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    parts.iter().fold(0xcbf2_9ce4_8422_2325, |hash, part| {
        step(part.iter().fold(hash, step), &0xff)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn host_ends_fit_and_differ() {
        let long = "j".repeat(50);
        let names: BTreeSet<String> = (0..2000)
            .map(|n| format!("jail{n}"))
            .chain([long])
            .flat_map(|jail| ["/a", "/b"].map(|dir| HostEnds::of(Path::new(dir), &jail)))
            .flat_map(|ends| [ends.name(0), ends.name(35)])
            .collect();
        assert_eq!(names.len(), 2001 * 4);
        assert!(names.iter().all(|n| n.len() == 15));
    }

    #[test]
    fn host_ends_know_their_own() {
        let ends = HostEnds::of(Path::new("/a"), "jail1");
        assert_eq!(ends, HostEnds::of(Path::new("/a"), "jail1"));
        assert!(ends.contains(&ends.name(0)) && ends.contains(&ends.name(9)));
        assert!(!HostEnds::of(Path::new("/a"), "jail10").contains(&ends.name(0)));
        assert!(!ends.contains("qj"));
    }

    #[test]
    fn hardware_addresses_are_local_unicast_and_stable() {
        let one = jail_mac("jail1", "lo1", "10.0.0.2");
        assert_eq!(one, jail_mac("jail1", "lo1", "10.0.0.2"));
        assert_ne!(one, jail_mac("jail1", "lo1", "10.0.0.3"));
        // Parts do not run into each other.
        assert_ne!(jail_mac("a", "bc", "d"), jail_mac("ab", "c", "d"));
        for mac in [one, bridge_mac("lo1"), bridge_mac("lo2")] {
            assert_eq!(mac[0] & 0x03, 0x02);
        }
    }
}
