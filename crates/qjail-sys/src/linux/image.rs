//! Image jails: a sparse file with ext4, mounted through a loop device (loop(4)) that goes when the mount goes.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::runtime::mountinfo;
use crate::{Missing, Result, SysError, image};

/// The kernel's list of loop devices.
const CONTROL: &str = "/dev/loop-control";
/// `LOOP_CTL_GET_FREE` and `LOOP_CONFIGURE` of linux/loop.h.
const GET_FREE: libc::Ioctl = 0x4C82;
const CONFIGURE: libc::Ioctl = 0x4C0A;
/// `LO_FLAGS_AUTOCLEAR`: the device lets go of its file when nothing has it open any more.
const AUTOCLEAR: u32 = 4;
/// The device's number for all loop devices.
const MAJOR: &str = "7:";
/// Others take free devices too: so often another one is tried.
const TRIES: usize = 50;
/// How long, and how often, a file system may still be in use by processes that are ending.
const BUSY_WAIT: Duration = Duration::from_millis(40);

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
struct LoopInfo {
    numbers: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopConfig>() == 304);

/// What is missing for image jails.
pub(super) fn missing() -> Vec<Missing> {
    let mut all = Vec::new();
    if mkfs().is_none() {
        all.push(Missing {
            what: "there is no mkfs.ext4, which makes the file system of an image".to_owned(),
            hint: Some("install it: apt install e2fsprogs".to_owned()),
        });
    }
    if !is_control(Path::new(CONTROL)) {
        all.push(Missing {
            what: format!("the kernel has no loop devices: there is no {CONTROL}"),
            hint: Some("load them: modprobe loop; in a container, let it have them".to_owned()),
        });
    }
    all
}

fn is_control(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.file_type().is_char_device())
}

fn mkfs() -> Option<PathBuf> {
    let is_program = |p: &PathBuf| {
        p.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"]
        .iter()
        .map(|dir| Path::new(dir).join("mkfs.ext4"))
        .find(is_program)
}

/// Makes the file and the file system in it.
pub(super) fn make(file: &Path, bytes: u64) -> Result<()> {
    image::make_sparse(file, bytes)?;
    let attempt = || format!("make a file system in {}", file.display());
    let program = mkfs().ok_or_else(|| SysError::new(attempt(), "there is no mkfs.ext4"))?;
    let done = Command::new(program)
        // Nothing is kept back for root: all processes that fill it are the jail's. Many small files.
        .args(["-q", "-F", "-m", "0", "-i", "8192", "-E", "nodiscard"])
        .arg(file)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| SysError::new(attempt(), e))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ");
    Err(SysError::new(attempt(), format!("mkfs.ext4: {said}")))
}

/// Mounts the file system in `file` at `at`, unless it is.
pub(super) fn attach(file: &Path, at: &Path) -> Result<()> {
    let error = |why: &dyn std::fmt::Display| {
        SysError::new(format!("mount {} at {}", file.display(), at.display()), why)
    };
    let (file, at) = (resolved(file)?, resolved(at)?);
    if let Some(source) = mounted(&at)? {
        return if source.as_deref() == Some(file.as_path()) {
            Ok(())
        } else {
            Err(error(&"something else is mounted there").hint("unmount it first"))
        };
    }
    let backing = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&file)
        .map_err(|e| error(&e))?;
    // Copies of an earlier mount may live on in other mount namespaces for a while. With another device the file would have
    // two file systems at work in it; the same device is the same file system.
    let (device, path) = match configured(&file).map_err(|e| error(&e))? {
        Some(known) => known,
        None => configure(&backing, &file).map_err(|e| error(&e))?,
    };
    mount(&path, &at, c"ext4", MountFlags::NODEV, None).map_err(|e| error(&io::Error::from(e)))?;
    // The mount has the device open by now.
    drop(device);
    Ok(())
}

/// Unmounts `file` from `at`; what else is mounted there stays.
pub(super) fn detach(file: &Path, at: &Path) -> Result<()> {
    let (Ok(file), Ok(at)) = (resolved(file), resolved(at)) else {
        // Without a file or a directory nothing of it is mounted.
        return Ok(());
    };
    let mut last = None;
    for _ in 0..TRIES {
        if mounted(&at)?.flatten().as_deref() != Some(file.as_path()) {
            return Ok(());
        }
        match unmount(&at, UnmountFlags::NOFOLLOW) {
            Ok(()) => continue,
            Err(rustix::io::Errno::BUSY) => std::thread::sleep(BUSY_WAIT),
            Err(e) => {
                return Err(SysError::new(
                    format!("unmount {}", at.display()),
                    io::Error::from(e),
                ));
            }
        }
        last = Some(rustix::io::Errno::BUSY);
    }
    let why = last.map_or_else(
        || "it is mounted again and again".to_owned(),
        |e| io::Error::from(e).to_string(),
    );
    Err(
        SysError::new(format!("unmount {}", at.display()), why).hint(format!(
            "something uses it or is mounted below it: fuser -vm {}",
            at.display()
        )),
    )
}

fn resolved(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|e| SysError::new(format!("look at {}", path.display()), e))
}

/// What is mounted at `at`: nothing, or something, and where that is a loop device its file.
fn mounted(at: &Path) -> Result<Option<Option<PathBuf>>> {
    let table = mountinfo::read().map_err(|e| SysError::new("read the mounts", e))?;
    let last = table.into_iter().rev().find(|m| m.at == at);
    Ok(last.map(|m| backing_file(&m.device)))
}

fn backing_file(device: &str) -> Option<PathBuf> {
    if !device.starts_with(MAJOR) {
        return None;
    }
    let text = std::fs::read(format!("/sys/dev/block/{device}/loop/backing_file")).ok()?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(text)))
}

/// The loop device that has `file` behind it. What is mounted over the file hides it, but not its directory.
pub(super) fn device(file: &Path) -> Result<Option<String>> {
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(None);
    };
    let numbers = numbers(&resolved(dir)?.join(name));
    let numbers = numbers.map_err(|e| SysError::new(format!("look at {}", file.display()), e))?;
    Ok(numbers.first().map(|number| format!("loop{number}")))
}

/// The numbers of the loop devices that have `file` behind them.
fn numbers(file: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/sys/block")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix("loop").and_then(|n| n.parse::<u32>().ok());
        numbers.extend(number.filter(|n| has_behind(*n, file)));
    }
    Ok(numbers)
}

fn has_behind(number: u32, file: &Path) -> bool {
    backing_file(&format!("{MAJOR}{number}")).as_deref() == Some(file)
}

/// The loop device that has `file` behind it already, open, and its path.
fn configured(file: &Path) -> io::Result<Option<(File, CString)>> {
    for number in numbers(file)? {
        let path = format!("/dev/loop{number}");
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        // While it is open it keeps its file; until now it may have let go.
        if has_behind(number, file) {
            return Ok(Some((device, CString::new(path)?)));
        }
    }
    Ok(None)
}

/// A loop device with `backing` behind it, open, and its path.
fn configure(backing: &File, name: &Path) -> io::Result<(File, CString)> {
    let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
    let config = LoopConfig {
        fd: u32::try_from(backing.as_raw_fd()).map_err(io::Error::other)?,
        block_size: 0,
        info: LoopInfo {
            numbers: [0; 5],
            number: 0,
            encryption: [0; 2],
            flags: AUTOCLEAR,
            file_name: shown(name),
            crypt_name: [0; 64],
            key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    for _ in 0..TRIES {
        // SAFETY: the request takes no argument and returns the number of a device.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = format!("/dev/loop{number}");
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        // SAFETY: the structure has the kernel's layout and lives through the call, which only reads it.
        let done = unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE, &raw const config) };
        if done == 0 {
            return Ok((device, CString::new(path)?));
        }
        let error = io::Error::last_os_error();
        // Another process took it in between.
        if error.raw_os_error() != Some(libc::EBUSY) {
            return Err(error);
        }
    }
    Err(io::Error::other("other programs take every free loop device"))
}

/// The end of the path, for losetup(8): what is 0 at the end ends it.
fn shown(path: &Path) -> [u8; 64] {
    let bytes = path.as_os_str().as_bytes();
    let mut name = [0; 64];
    let tail = &bytes[bytes.len().saturating_sub(63)..];
    name[..tail.len()].copy_from_slice(tail);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loop_devices_have_a_file() {
        assert_eq!(backing_file("8:1"), None);
        assert_eq!(mounted(Path::new("/proc")).unwrap(), Some(None));
        assert_eq!(mounted(Path::new("/nonexistent")).unwrap(), None);
    }
}
