//! From a checked descriptor to functions that can be called, and to a manifest.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use libloading::os::unix as dl;
use qjail_plugin_abi::{ABI_MAJOR, AbiError, Library, MagicInfo};
use qjail_plugin_api::{Manifest, Plugin, PluginError};
use sha2::{Digest, Sha256};

use crate::{MANIFEST_LIMIT, Refusal, contact, elf};

const PREFIX: &str = "libqjail_plugin_";
const SUFFIX: &str = ".so";

/// A shared object's file name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileName {
    /// `qjail_plugin_net`, which its symbols are named after.
    pub(crate) crate_name: String,
    /// `net`.
    pub(crate) plugin: String,
}

/// Takes `libqjail_plugin_NAME.so` apart; none for any other name.
pub(crate) fn file_name(name: &OsStr) -> Option<FileName> {
    let middle = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if middle.is_empty() || !middle.chars().all(good) {
        return None;
    }
    Some(FileName {
        crate_name: format!("qjail_plugin_{middle}"),
        plugin: middle.replace('_', "-"),
    })
}

/// A loaded shared object.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) magic: MagicInfo,
    pub(crate) library: Library,
}

/// Loads a file by its descriptor and checks what it says it is. Runs the file's constructors before anything is known of it.
pub(crate) fn load(file: &File, path: &Path, name: &FileName) -> Result<Loaded, Refusal> {
    match elf::is_cut_short(file) {
        Ok(false) => {}
        Ok(true) => return Err(not_loadable(path, "the file is cut short")),
        Err(e) => return Err(not_loadable(path, &e.to_string())),
    }
    let handle = qjail_os::load_library(file.as_fd()).map_err(|why| not_loadable(path, &why))?;
    // SAFETY: the handle comes from the dynamic loader just now. It is never closed.
    let library = ManuallyDrop::new(unsafe { dl::Library::from_raw(handle) });
    let symbol = |wanted: &str| {
        // SAFETY: only the address is taken; `connect` says what must stand there.
        unsafe { library.get::<*const ()>(wanted.as_bytes()).ok().map(|s| *s) }
    };
    // SAFETY: the library is never unloaded, and the trust checks say that who put it there may run code in this process
    // anyway; the names are those that only `export_raw!` uses.
    let (magic, library) = unsafe { qjail_plugin_abi::connect(&name.crate_name, &symbol) };
    match (magic, library) {
        (Some(magic), Ok(library)) => Ok(Loaded { magic, library }),
        (magic, Err(why)) => Err(not_ours(path, name, magic.as_ref(), &why)),
        (None, Ok(_)) => Err(Refusal::new(format!("{} has no magic", path.display()))),
    }
}

fn not_loadable(path: &Path, why: &str) -> Refusal {
    if why == qjail_os::STATIC_PROGRAM {
        return Refusal::new(format!("{} can not be loaded: {why}", path.display()))
            .hint("use a dynamically linked build of qjail, or one with this plugin built in");
    }
    // The loader names the descriptor, which says nothing to a reader.
    let why = why
        .strip_prefix("/proc/self/fd/")
        .and_then(|w| w.split_once(": "))
        .map_or(why, |(_, rest)| rest);
    Refusal::new(format!(
        "{} is no shared object that can be loaded: {why}",
        path.display()
    ))
    .hint("install the plugin's file again, or remove this one")
}

fn not_ours(path: &Path, name: &FileName, magic: Option<&MagicInfo>, why: &AbiError) -> Refusal {
    let subject = match magic {
        Some(_) => format!("plugin {}", name.plugin),
        None => path.display().to_string(),
    };
    let refusal = Refusal::new(format!("{subject} {why}"));
    match why {
        AbiError::OtherMajor { plugin } if *plugin > ABI_MAJOR => {
            refusal.hint("update qjail, or install the plugin's package for this version of qjail")
        }
        AbiError::NotAPlugin { .. } => {
            refusal.hint("remove it from the plugin directory; a plugin's file keeps its name")
        }
        _ => refusal.hint("rebuild the plugin, or install its package for this version of qjail"),
    }
}

/// The SHA-256 sum of an open file, in hexadecimal.
pub(crate) fn sum(file: &File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        let n = file.read_at(&mut block, at)?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        at += n as u64;
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Checks a pinned sum.
pub(crate) fn check_sum(path: &Path, is: &str, pinned: &str) -> Result<(), Refusal> {
    if is.eq_ignore_ascii_case(pinned.trim()) {
        return Ok(());
    }
    let message = format!(
        "{} has the SHA-256 sum {is}, not the one in qjail.toml",
        path.display()
    );
    Err(Refusal::new(message).hint("if the file was updated on purpose, update [plugins.sha256] too"))
}

/// Loads a file and asks for its manifest, in a thread that is given up after `patience`.
pub(crate) fn introduce(
    file: File,
    path: &Path,
    name: &FileName,
    patience: Duration,
) -> Result<(Loaded, Manifest), Refusal> {
    let (own_path, own_name) = (path.to_path_buf(), name.clone());
    let work = move || -> Result<(Loaded, Manifest), Refusal> {
        let loaded = load(&file, &own_path, &own_name)?;
        let manifest = describe(&loaded, &own_name.plugin)?;
        Ok((loaded, manifest))
    };
    let answer = contact::wait(patience, work).map_err(|_| {
        Refusal::new(format!(
            "plugin {} has not introduced itself within {} s",
            name.plugin,
            patience.as_secs_f32()
        ))
        .hint(format!(
            "it hangs; remove {}, or touch it to have it asked again",
            path.display()
        ))
    })?;
    answer
        .unwrap_or_else(|e: PluginError| Err(Refusal::new(format!("plugin {}: {}", name.plugin, e.message))))
}

fn describe(loaded: &Loaded, plugin: &str) -> Result<Manifest, Refusal> {
    match loaded.library.describe() {
        Ok(bytes) => read_manifest(plugin, bytes.as_slice()),
        Err(error) => Err(no_manifest(plugin, error.as_slice())),
    }
}

/// Reads the manifest of a plugin that is linked in, along the same way that a shared object's takes.
pub(crate) fn describe_builtin(plugin: &'static dyn Plugin) -> Result<Manifest, Refusal> {
    match qjail_plugin_api::describe(plugin) {
        Ok(bytes) => read_manifest("that is built in", &bytes),
        Err(error) => Err(no_manifest("that is built in", &error)),
    }
}

fn read_manifest(plugin: &str, bytes: &[u8]) -> Result<Manifest, Refusal> {
    if bytes.len() > MANIFEST_LIMIT {
        let message = format!(
            "plugin {plugin} introduces itself with {} bytes, more than {MANIFEST_LIMIT}",
            bytes.len()
        );
        return Err(Refusal::new(message));
    }
    serde_json::from_slice(bytes).map_err(|e| {
        Refusal::new(format!(
            "plugin {plugin} has a manifest that can not be read: {e}"
        ))
        .hint("it is defective or made for another version of qjail; install it again")
    })
}

fn no_manifest(plugin: &str, error: &[u8]) -> Refusal {
    let known: Option<PluginError> = serde_json::from_slice(error).ok();
    let why = known.map_or_else(|| "gave no reason".to_owned(), |e| e.message);
    Refusal::new(format!("plugin {plugin} failed to introduce itself: {why}"))
        .hint("this is a defect of the plugin")
}

/// Reads a file from its beginning, up to a limit.
pub(crate) fn read_all(file: &mut File, limit: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        let name = file_name(OsStr::new("libqjail_plugin_my_net.so")).unwrap();
        assert_eq!(
            (name.crate_name.as_str(), name.plugin.as_str()),
            ("qjail_plugin_my_net", "my-net")
        );
        for other in [
            "libqjail_plugin_.so",
            "libqjail_plugin_x.so.1",
            "qjail_plugin_x.so",
            "libc.so",
            "libqjail_plugin_a b.so",
        ] {
            assert_eq!(file_name(OsStr::new(other)), None, "{other}");
        }
    }

    #[test]
    fn sums_are_those_of_sha256() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-4, example for "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum(&File::open(&path).unwrap()).unwrap(), expected);
        assert!(check_sum(&path, expected, &expected.to_uppercase()).is_ok());
        let refusal = check_sum(&path, expected, "00").unwrap_err();
        assert!(refusal.message.contains(expected), "{refusal}");
    }
}
