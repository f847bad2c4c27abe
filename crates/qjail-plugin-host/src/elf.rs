//! Whether a shared object is all there.
//!
//! The dynamic loader maps what the program headers promise and does not look whether the file is that long; touching the
//! missing part is a bus error. A full disk or an interrupted copy is enough for that.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// `PT_LOAD` of elf(5).
const PT_LOAD: u32 = 1;

/// Whether the file is an ELF object of this machine's kind that ends before the last byte that is to be loaded. Anything else is
/// left to the loader.
pub(crate) fn is_cut_short(file: &File) -> io::Result<bool> {
    let size = file.metadata()?.len();
    let mut header = [0; 64];
    let n = file.read_at(&mut header, 0)?;
    if n < header.len() || &header[..4] != b"\x7fELF" {
        return Ok(false);
    }
    let wide = header[4] == 2;
    let (table, entry_size, count) = if wide {
        (word(&header, 32), u64::from(half(&header, 54)), half(&header, 56))
    } else {
        (
            u64::from(int(&header, 28)),
            u64::from(half(&header, 42)),
            half(&header, 44),
        )
    };
    for i in 0..u64::from(count) {
        let mut entry = [0; 56];
        let entry = if wide { &mut entry[..56] } else { &mut entry[..32] };
        if file
            .read_exact_at(entry, table.saturating_add(i * entry_size))
            .is_err()
        {
            return Ok(true);
        }
        let (offset, length) = if wide {
            (word(entry, 8), word(entry, 32))
        } else {
            (u64::from(int(entry, 4)), u64::from(int(entry, 16)))
        };
        if int(entry, 0) == PT_LOAD && offset.saturating_add(length) > size {
            return Ok(true);
        }
    }
    Ok(false)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn int(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let (low, high) = (u64::from(int(bytes, at)), u64::from(int(bytes, at + 4)));
    if cfg!(target_endian = "little") {
        high << 32 | low
    } else {
        low << 32 | high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_until_something_that_is_loaded_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("object");
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let cut = |length: usize| {
            std::fs::write(&path, &program[..length]).unwrap();
            is_cut_short(&File::open(&path).unwrap()).unwrap()
        };
        assert!(!cut(program.len()));
        assert!(cut(64) && cut(500) && cut(4096) && cut(program.len() / 100));
        assert!(
            !cut(0) && !cut(3),
            "too short to be an ELF object: the loader says so"
        );
    }
}
