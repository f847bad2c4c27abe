//! Image jails: a sparse file with UFS, a memory disk on it (md(4)), a mount.

use std::path::Path;

use super::command::Invocation;
use super::host::Host;
use super::mounts::Mounted;
use crate::{Result, SysError, image};

/// mdconfig(8).
pub(crate) const MDCONFIG: &str = "/sbin/mdconfig";
/// newfs(8).
pub(crate) const NEWFS: &str = "/sbin/newfs";
/// fsck_ffs(8).
pub(crate) const FSCK: &str = "/sbin/fsck_ffs";
/// mount(8).
pub(crate) const MOUNT: &str = "/sbin/mount";

/// Makes the file and the file system in it, with soft updates.
pub(super) fn make(host: &impl Host, file: &Path, bytes: u64) -> Result<()> {
    image::make_sparse(file, bytes)?;
    let disk = disk(host, file)?;
    let made = host.succeed(&Invocation::new(NEWFS, &["-U", &device(&disk)]));
    let gone = release(host, &disk);
    made.and(gone)
}

/// Mounts the file system in `file` at `at`, unless it is.
pub(super) fn attach(host: &impl Host, file: &Path, at: &Path) -> Result<()> {
    if mounted(host, at)?.is_some() {
        return Ok(());
    }
    let disk = disk(host, file)?;
    let device = device(&disk);
    let at = at.display().to_string();
    // What was mounted when the power went is not mounted writable before it is looked at.
    let done = host
        .succeed(&Invocation::new(FSCK, &["-p", &device]))
        .and_then(|_| host.succeed(&Invocation::new(MOUNT, &["-t", "ufs", &device, &at])));
    if let Err(error) = done {
        // The first error is the one to tell.
        let _ = release(host, &disk);
        return Err(error);
    }
    Ok(())
}

/// Unmounts `file` from `at` and gives the memory disk back.
pub(super) fn detach(host: &impl Host, file: &Path, at: &Path) -> Result<()> {
    let Some(disk) = find(host, file)? else {
        return Ok(());
    };
    if let Some(mounted) = mounted(host, at)? {
        host.unmount(&mounted).map_err(|e| {
            SysError::new(format!("unmount {}", at.display()), e)
                .hint(format!("something uses it: fstat -f {}", at.display()))
        })?;
    }
    release(host, &disk)
}

/// The UFS that is mounted at `at`.
fn mounted(host: &impl Host, at: &Path) -> Result<Option<Mounted>> {
    // getfsstat(2) tells paths without links.
    let at = at.canonicalize().unwrap_or_else(|_| at.to_owned());
    let here = |m: &Mounted| m.on == at && m.kind == "ufs";
    Ok(host.mounts()?.into_iter().rev().find(here))
}

/// The memory disk on `file`, made where there is none.
fn disk(host: &impl Host, file: &Path) -> Result<String> {
    if let Some(disk) = find(host, file)? {
        return Ok(disk);
    }
    let file = file.display().to_string();
    let said = host.succeed(&Invocation::new(MDCONFIG, &["-a", "-t", "vnode", "-f", &file]))?;
    Ok(said.trim().to_owned())
}

/// The memory disk on `file`.
pub(super) fn find(host: &impl Host, file: &Path) -> Result<Option<String>> {
    let said = host.succeed(&Invocation::new(MDCONFIG, &["-l", "-v"]))?;
    Ok(listed(&said, file))
}

fn release(host: &impl Host, disk: &str) -> Result<()> {
    host.succeed(&Invocation::new(MDCONFIG, &["-d", "-u", disk]))
        .map(drop)
}

fn device(disk: &str) -> String {
    format!("/dev/{disk}")
}

/// The unit with `file` in what `mdconfig -l -v` says: unit, kind, size, file, with tabs between.
fn listed(text: &str, file: &Path) -> Option<String> {
    let file = file.display().to_string();
    text.lines().find_map(|line| {
        let mut words = line.split('\t').map(str::trim);
        let unit = words.next()?;
        let (kind, _size, path) = (words.next()?, words.next()?, words.next()?);
        (kind == "vnode" && path == file).then(|| unit.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_file() {
        let text = "md0\tvnode\t  64M\t/usr/jails/.images/a.img\t-\nmd1\tswap\t1.0G\t-\t-\nmd12\tvnode\t10M\t/usr/jails/.images/b.img\n";
        assert_eq!(
            listed(text, Path::new("/usr/jails/.images/a.img")).as_deref(),
            Some("md0")
        );
        assert_eq!(
            listed(text, Path::new("/usr/jails/.images/b.img")).as_deref(),
            Some("md12")
        );
        assert_eq!(listed(text, Path::new("/usr/jails/.images/c.img")), None);
        assert_eq!(listed("", Path::new("/x")), None);
    }
}
