//! Calls of the kernel that need no program.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use qjail_model::Network;

use crate::bsd::ifconfig::mask_len;
use crate::bsd::jailparam::{Jail, Question};
use crate::bsd::mounts::Mounted;
use crate::{Interface, Result, SysError};

/// sys/mount.h: the path names a mount by its number.
const MNT_BYFSID: libc::c_int = 0x0800_0000;
/// sys/mount.h: do not ask the file systems themselves, see getfsstat(2).
const NOWAIT: libc::c_int = libc::MNT_NOWAIT;

/// sys/syscall.h of 15.0: `SYS_jail_attach_jd`. By number, since libc has the name from 15.0 on only.
const ATTACH_OPEN: libc::c_int = 597;

// modfind(2) and kldload(2); not in the libc crate.
unsafe extern "C" {
    fn modfind(name: *const libc::c_char) -> libc::c_int;
    fn kldload(file: *const libc::c_char) -> libc::c_int;
}

/// The jail of that name; an alive one before a dying one.
pub(super) fn find(name: &str) -> Result<Option<Jail>> {
    match Question::named(name) {
        None => Ok(None),
        Some(question) => ask(question).map_err(|e| SysError::new(format!("look for the jail {name}"), e)),
    }
}

/// Every jail of this host.
pub(super) fn jails() -> Result<Vec<Jail>> {
    let mut all: Vec<Jail> = Vec::new();
    let mut last = 0;
    while let Some(jail) = ask(Question::after(last)).map_err(|e| SysError::new("list the jails", e))? {
        last = jail.jid;
        all.push(jail);
    }
    Ok(all)
}

/// The jail of that name with a descriptor of it; none where there is no such jail, or the kernel gives none.
pub(super) fn find_open(name: &str) -> Result<Option<(Jail, OwnedFd)>> {
    let Some(mut question) = Question::named(name).map(Question::with_descriptor) else {
        return Ok(None);
    };
    match get(&mut question) {
        Ok(true) => {}
        // Without a descriptor the number does.
        Ok(false) | Err(_) => return Ok(None),
    }
    let open = question.descriptor().map(|fd| {
        // SAFETY: the kernel has just made it for this process, and nobody else knows it.
        unsafe { OwnedFd::from_raw_fd(fd) }
    });
    Ok(open.map(|fd| (question.answer(), fd)))
}

fn ask(mut question: Question) -> io::Result<Option<Jail>> {
    Ok(get(&mut question)?.then(|| question.answer()))
}

/// jail_get(2): `ENOENT` is the end of the list.
fn get(question: &mut Question) -> io::Result<bool> {
    let flags = question.flags();
    let mut vectors = Vec::new();
    for (key, buffer) in question.parts() {
        let key = key.to_bytes_with_nul();
        vectors.push(libc::iovec {
            iov_base: key.as_ptr().cast_mut().cast(),
            iov_len: key.len(),
        });
        vectors.push(libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        });
    }
    let count = libc::c_uint::try_from(vectors.len()).map_err(io::Error::other)?;
    // SAFETY: every vector points at memory of `question` or at a constant, with its length; names are only read.
    let jid = unsafe { libc::jail_get(vectors.as_mut_ptr(), count, flags) };
    if jid >= 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        e if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        e => Err(e),
    }
}

/// jail_attach(2): this process is in the jail from now on, its root and working directory are the jail's.
pub(super) fn attach(jid: i32) -> io::Result<()> {
    // SAFETY: a number.
    match unsafe { libc::jail_attach(jid) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// jail_attach_jd(2), from 15.0 on: the same by a descriptor of the jail.
pub(super) fn attach_open(jail: libc::c_int) -> io::Result<()> {
    // SAFETY: numbers only.
    match unsafe { libc::syscall(ATTACH_OPEN, jail) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The bytes of a sysctl(3) variable; none where the kernel does not know it.
fn sysctl(name: &str) -> Option<Vec<u8>> {
    let name = CString::new(name).ok()?;
    let mut len = 0;
    // SAFETY: a C string, no buffer, and the place for its length.
    let known = unsafe { libc::sysctlbyname(name.as_ptr(), ptr::null_mut(), &mut len, ptr::null(), 0) };
    if known != 0 {
        return None;
    }
    let mut value = vec![0; len];
    // SAFETY: a C string and a buffer of `len` bytes; the kernel writes no more.
    let done =
        unsafe { libc::sysctlbyname(name.as_ptr(), value.as_mut_ptr().cast(), &mut len, ptr::null(), 0) };
    value.truncate(len);
    (done == 0).then_some(value)
}

/// A text variable.
pub(super) fn sysctl_text(name: &str) -> Option<String> {
    let value = sysctl(name)?;
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    Some(String::from_utf8_lossy(&value[..end]).into_owned())
}

/// A variable that is a C int.
pub(super) fn sysctl_int(name: &str) -> Option<i32> {
    let value = sysctl(name)?;
    // A switch (`SYSCTL_BOOL`, such as kern.racct.enable) is one byte.
    match value.as_slice() {
        [switch] => Some(i32::from(*switch)),
        number => number.try_into().ok().map(i32::from_ne_bytes),
    }
}

/// When the system was started, in seconds since 1970: `kern.boottime`, a struct timeval.
pub(super) fn boot_time() -> Option<i64> {
    let value = sysctl("kern.boottime")?;
    Some(libc::time_t::from_ne_bytes(
        value.get(..size_of::<libc::time_t>())?.try_into().ok()?,
    ))
}

/// Whether the kernel lists a parameter of jails, see jail(8) and security.jail.param.
pub(super) fn knows_param(name: &str) -> bool {
    let Ok(name) = CString::new(format!("security.jail.param.{name}")) else {
        return false;
    };
    let mut numbers = [0; 24];
    let mut len = numbers.len();
    // SAFETY: a C string and a buffer of `len` numbers, libc::CTL_MAXNAME or more.
    unsafe { libc::sysctlnametomib(name.as_ptr(), numbers.as_mut_ptr(), &mut len) == 0 }
}

/// Whether a module is in the kernel, built in or loaded.
pub(super) fn has_module(name: &str) -> bool {
    // SAFETY: a C string.
    CString::new(name).is_ok_and(|name| unsafe { modfind(name.as_ptr()) } >= 0)
}

/// kldload(2).
pub(super) fn load_module(name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: a C string.
    match unsafe { kldload(name.as_ptr()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Every mount of the host, the oldest first.
pub(super) fn mounts() -> Result<Vec<Mounted>> {
    let fail = || SysError::new("list the mounts", io::Error::last_os_error());
    // SAFETY: no buffer: only the number is asked for.
    let count = unsafe { libc::getfsstat(ptr::null_mut(), 0, NOWAIT) };
    let count = usize::try_from(count).map_err(|_| fail())?;
    // Some more, for mounts that come between the two calls.
    let mut found: Vec<libc::statfs> = Vec::with_capacity(count + 16);
    let bytes = libc::c_long::try_from(found.capacity() * size_of::<libc::statfs>()).map_err(|_| fail())?;
    // SAFETY: a buffer of `bytes` bytes, of which the kernel fills whole entries.
    let filled = unsafe { libc::getfsstat(found.as_mut_ptr(), bytes, NOWAIT) };
    let filled = usize::try_from(filled).map_err(|_| fail())?;
    // SAFETY: the kernel has filled so many entries, at most as many as there is room for.
    unsafe { found.set_len(filled.min(found.capacity())) };
    Ok(found.iter().map(mounted).collect())
}

fn mounted(s: &libc::statfs) -> Mounted {
    // SAFETY: fsid_t is two 32-bit integers, sys/_types.h, and has no other bit patterns.
    let fsid = unsafe { std::mem::transmute_copy::<libc::fsid_t, [i32; 2]>(&s.f_fsid) };
    let on = std::ffi::OsString::from_vec(bytes(&s.f_mntonname));
    let kind = String::from_utf8_lossy(&bytes(&s.f_fstypename)).into_owned();
    Mounted {
        on: on.into(),
        kind,
        fsid,
    }
}

fn bytes(text: &[libc::c_char]) -> Vec<u8> {
    text.iter()
        .take_while(|c| **c != 0)
        .map(|c| c.to_ne_bytes()[0])
        .collect()
}

/// unmount(2) of this very mount.
pub(super) fn unmount(mounted: &Mounted) -> io::Result<()> {
    let name = CString::new(mounted.by_fsid())?;
    // SAFETY: a C string and a number.
    match unsafe { libc::unmount(name.as_ptr(), MNT_BYFSID) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The interfaces and their addresses.
pub(super) fn interfaces() -> Result<Vec<Interface>> {
    let mut first = ptr::null_mut();
    // SAFETY: the place for the head of the list.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return Err(SysError::new(
            "list the network interfaces",
            io::Error::last_os_error(),
        ));
    }
    let mut all: BTreeMap<String, Interface> = BTreeMap::new();
    let mut next = first;
    // SAFETY: the list is made by getifaddrs(3), valid until it is freed below, and ends with null.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        // SAFETY: every entry has a name, a C string.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }
            .to_string_lossy()
            .into_owned();
        let fresh = || Interface {
            name: name.clone(),
            for_jails: true,
            ..Interface::default()
        };
        let interface = all.entry(name.clone()).or_insert_with(fresh);
        interface.up |= entry.ifa_flags & libc::IFF_UP.cast_unsigned() != 0;
        // SAFETY: both are null or point at socket addresses of the length that they name.
        interface
            .addresses
            .extend(unsafe { network(entry.ifa_addr, entry.ifa_netmask) });
    }
    // SAFETY: made by getifaddrs(3), freed once, not used any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(all.into_values().collect())
}

/// # Safety
/// Both are null or point at a socket address that is as long as its first byte says.
unsafe fn network(addr: *const libc::sockaddr, mask: *const libc::sockaddr) -> Option<Network> {
    // SAFETY: as the caller promises.
    let (addr, mask) = unsafe { (octets(addr)?, octets(mask)?) };
    let addr = match *addr.as_slice() {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(without_scope(addr.try_into().ok()?))),
    };
    Some(Network {
        addr,
        len: mask_len(&mask),
    })
}

/// The bytes of an IPv4 or IPv6 address.
///
/// # Safety
/// `addr` is null or points at a socket address that is as long as its first byte says.
unsafe fn octets(addr: *const libc::sockaddr) -> Option<Vec<u8>> {
    // SAFETY: as the caller promises; length and family are its first two bytes.
    let (len, family) = unsafe {
        addr.as_ref()
            .map(|a| (usize::from(a.sa_len), i32::from(a.sa_family)))?
    };
    // netinet/in.h, netinet6/in6.h: where the address stands, and how long it is.
    let (at, size) = match family {
        libc::AF_INET => (4, 4),
        libc::AF_INET6 => (8, 16),
        _ => return None,
    };
    // SAFETY: as the caller promises, `len` bytes are there.
    let whole = unsafe { std::slice::from_raw_parts(addr.cast::<u8>(), len) };
    // A netmask may be cut after its last bit.
    let mut found: Vec<u8> = whole.iter().skip(at).take(size).copied().collect();
    found.resize(size, 0);
    Some(found)
}

/// The kernel keeps the number of the interface in the second word of a link-local address (KAME).
fn without_scope(mut octets: [u8; 16]) -> [u8; 16] {
    if octets[0] == 0xfe && octets[1] & 0xc0 == 0x80 {
        octets[2..4].fill(0);
    }
    octets
}
