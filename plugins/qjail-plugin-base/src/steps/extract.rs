//! The step `extract`: an archive, verified, into the new base's `template`.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use qjail_archive::{ArchiveError, ExtractOptions, Undetected, extract};
use qjail_fetch::{Digest, Hasher, HashingReader};
use qjail_plugin_api::{Context, Host, LogLevel, PluginError};

use super::layout::{System, other_system};
use super::watch::Watch;
use super::{NO_SPACE, begin, cancelled, open, write_record};
use crate::bases::rel;
use crate::plan::{Archive, DOWNLOADS, Extract};
use crate::record::{Kind, Record};
use crate::source::{not_an_archive, reason};

pub(super) fn run(host: &Host<'_>, context: &Context, data: &Extract) -> Result<(), PluginError> {
    let base = begin(context, &data.id)?;
    let name = data.source.rsplit('/').next().unwrap_or_default();
    let mut file = archive(context, data)?;
    let size = file.metadata().map_err(|e| unreadable(data, &e))?.len();
    if let Some(wanted) = &data.sha256 {
        verify(host, data, &mut file, wanted, size)?;
    }
    base.make_dir(&rel("template")?, 0o755, None)
        .map_err(PluginError::new)?;
    let template = base.open_dir(&rel("template")?).map_err(PluginError::new)?;
    let system = System::of(context);
    let (stop, wrong) = (AtomicBool::new(false), Cell::new(false));
    let asked = || stop.load(Ordering::Relaxed);
    let mut watch = Watch::new(host, format!("unpack {name}"));
    let mut reader = HashingReader::new(file);
    let unpacked = extract(
        &mut reader,
        &template,
        &ExtractOptions::default(),
        &asked,
        &mut |at| {
            // A base of another system is told by its first files: the rest need not be unpacked.
            wrong.set(wrong.get() || system.is_foreign(at.path));
            if wrong.get() || watch.bytes(at.read, Some(size)) {
                stop.store(true, Ordering::Relaxed);
            }
        },
    );
    if wrong.get() {
        return Err(other_system(system));
    }
    let unpacked = unpacked.map_err(|e| refused(data, &e))?;
    let sha256 = match &data.sha256 {
        Some(hex) => hex.clone(),
        None => rest(reader).map_err(|e| unreadable(data, &e))?.to_string(),
    };
    if unpacked.skipped_devices > 0 {
        let count = unpacked.skipped_devices;
        host.log(
            LogLevel::Info,
            &format!("{count} device nodes were left out: jails have a /dev of their own"),
        );
    }
    write_record(
        context,
        &Record {
            id: data.id.clone(),
            kind: Kind::Archive,
            os: context.os.clone(),
            arch: data.arch.clone(),
            source: data.source.clone(),
            sha256: Some(sha256),
            created: context.now,
            bytes: unpacked.bytes,
            entries: unpacked.entries,
            ..Record::default()
        },
    )
}

fn archive(context: &Context, data: &Extract) -> Result<File, PluginError> {
    match &data.archive {
        Archive::File(path) => File::open(Path::new(path)).map_err(|e| unreadable(data, &e)),
        Archive::Download(file) => {
            let path = rel(&format!("{DOWNLOADS}/{file}"))?;
            open(&context.state_dir)?
                .open_file(&path)
                .map_err(PluginError::new)
        }
    }
}

fn unreadable(data: &Extract, e: &std::io::Error) -> PluginError {
    PluginError::new(format!("read {}: {}", data.source, reason(e)))
}

/// Reads the whole archive and compares. The same open file is unpacked afterwards.
fn verify(
    host: &Host<'_>,
    data: &Extract,
    file: &mut File,
    wanted: &str,
    size: u64,
) -> Result<(), PluginError> {
    let mut watch = Watch::new(
        host,
        format!("verify {}", data.source.rsplit('/').next().unwrap_or_default()),
    );
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let n = file.read(&mut buffer).map_err(|e| unreadable(data, &e))?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        done += n as u64;
        if watch.bytes(done, Some(size)) {
            return Err(cancelled());
        }
    }
    let got = hasher.finish().to_string();
    if got != wanted {
        let message = format!("{}: wrong sha256: expected {wanted}, got {got}", data.source);
        return Err(
            PluginError::new(message).hint("the archive is damaged or another one; nothing was changed")
        );
    }
    file.rewind().map_err(|e| unreadable(data, &e))
}

/// The digest of the whole file, what the decoder did not need included.
fn rest(mut reader: HashingReader<File>) -> std::io::Result<Digest> {
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok(reader.finish().0)
}

fn refused(data: &Extract, error: &ArchiveError) -> PluginError {
    let what = &data.source;
    match error {
        ArchiveError::Cancelled => cancelled(),
        ArchiveError::NotArchive(looks) => not_an_archive(what, &Undetected::NotArchive(*looks)),
        e if e.is_no_space() => PluginError::new(format!("unpack {what}: {e}")).hint(NO_SPACE),
        ArchiveError::Truncated { .. } | ArchiveError::Corrupt { .. } | ArchiveError::Garbage => {
            PluginError::new(format!("unpack {what}: {error}"))
                .hint("fetch the archive again; nothing was changed")
        }
        e => PluginError::new(format!("unpack {what}: {e}")).hint("nothing was changed"),
    }
}
