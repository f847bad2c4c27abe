//! A network stack that a jail's root may configure (`vnet`).
//!
//! A jail is in the host's user namespace, and so a capability of its root counts wherever that namespace counts. For
//! NET_ADMIN this would be fatal: netlink lets its holder name the network namespace on the other side of a veth(4)
//! (`IFLA_TARGET_NETNSID`), which is the host's, and delete or change interfaces there. So the network namespace of such a
//! jail belongs to a user namespace of its own, and the jail's processes enter that one as the last thing that is done to
//! them. All users have the same numbers in it; only capabilities end at it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

use super::raw;
use super::spec::{Attempt, Failure};

/// A network namespace, and the user namespace that it belongs to.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) users: OwnedFd,
    network: OwnedFd,
}

impl Stack {
    /// Makes both; they are gone when nobody is in them and this value is.
    pub(super) fn new() -> Result<Stack, Failure> {
        let attempt = || "make a network stack".to_owned();
        let (mut news, ours) = io::pipe().attempt(attempt)?;
        let (theirs, end) = io::pipe().attempt(attempt)?;
        let Some(child) = raw::fork().attempt(attempt)? else {
            drop((news, end));
            hold(ours.as_fd(), theirs.as_fd())
        };
        drop((ours, theirs));
        let mut word = [0];
        let made = match news.read(&mut word) {
            Ok(1) if word[0] == 0 => Stack::of(child),
            Ok(1) => Err(io::Error::from_raw_os_error(word[0].into())),
            _ => Err(io::Error::other("the process that makes it ended")),
        };
        drop(end);
        raw::wait(child, true);
        made.attempt(attempt)
    }

    fn of(child: i32) -> io::Result<Stack> {
        let file = |name: &str| PathBuf::from(format!("/proc/{child}/{name}"));
        for map in ["uid_map", "gid_map"] {
            let own = fs::read_to_string(PathBuf::from("/proc/self").join(map))?;
            fs::write(file(map), same_numbers(&own))?;
        }
        Ok(Stack {
            users: File::open(file("ns/user"))?.into(),
            network: File::open(file("ns/net"))?.into(),
        })
    }

    /// A path to the network namespace, good for as long as this process keeps the value.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.network.as_raw_fd()).into()
    }
}

/// In the child: makes the namespaces, says how that went (an error number fits into a byte), and keeps them until told to
/// end.
fn hold(news: BorrowedFd<'_>, end: BorrowedFd<'_>) -> ! {
    let word = raw::unshare_stack().map_or_else(|e| e.raw_os_error().unwrap_or(libc::EINVAL), |()| 0);
    let _ = rustix::io::write(news, &[u8::try_from(word).unwrap_or(u8::MAX)]);
    let _ = rustix::io::read(end, &mut [0]);
    raw::exit(0)
}

/// A map under which everybody who has a number here has the same one there; see user_namespaces(7).
fn same_numbers(own: &str) -> String {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (inside, _, count) = (words.next()?, words.next()?, words.next()?);
        Some(format!("{inside} {inside} {count}\n"))
    };
    own.lines().filter_map(line).collect()
}

/// Moves this process, which has one thread, into the user namespace: every capability it has counts there only.
pub(super) fn enter(users: BorrowedFd<'_>) -> Result<(), Failure> {
    rustix::thread::move_into_link_name_space(users, Some(LinkNameSpaceType::User)).attempt(attempt)
}

/// The same with the user namespace of another process, given as a pidfd.
pub(super) fn enter_that_of(process: BorrowedFd<'_>) -> Result<(), Failure> {
    rustix::thread::move_into_thread_name_spaces(process, ThreadNameSpaceType::USER).attempt(attempt)
}

fn attempt() -> String {
    "enter the user namespace of the jail".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_keep_every_number() {
        assert_eq!(
            same_numbers("         0          0 4294967295\n"),
            "0 0 4294967295\n"
        );
        assert_eq!(
            same_numbers("0 100000 65536\n65536 7 1\n"),
            "0 0 65536\n65536 65536 1\n"
        );
    }
}
