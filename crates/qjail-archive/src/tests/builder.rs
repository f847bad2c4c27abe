//! Archives as an attacker would write them: any bytes in any field.

use crate::header::{BLOCK, Fields};

pub(super) struct Tar(Vec<u8>);

impl Tar {
    pub(super) fn new() -> Tar {
        Tar(Vec::new())
    }

    /// A block with a right checksum, after `change`.
    pub(super) fn raw(mut self, type_byte: u8, name: &[u8], change: impl FnOnce(&mut [u8; BLOCK])) -> Tar {
        let fields = Fields {
            type_byte,
            name,
            link: b"",
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1_000_000_000,
            device: (1, 3),
        };
        let mut block = fields.to_block();
        change(&mut block);
        sign(&mut block);
        self.0.extend_from_slice(&block);
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Tar {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(super) fn of_type(self, type_byte: u8, name: &[u8], data: &[u8]) -> Tar {
        self.raw(type_byte, name, |block| set_size(block, data.len()))
            .bytes(data)
    }

    pub(super) fn file(self, name: &str, data: &str) -> Tar {
        self.of_type(b'0', name.as_bytes(), data.as_bytes())
    }

    pub(super) fn dir(self, name: &str) -> Tar {
        self.of_type(b'5', name.as_bytes(), b"")
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Tar {
        self.linked(b'2', name, target.as_bytes())
    }

    pub(super) fn hard_link(self, name: &str, target: &str) -> Tar {
        self.linked(b'1', name, target.as_bytes())
    }

    pub(super) fn linked(self, type_byte: u8, name: &str, target: &[u8]) -> Tar {
        self.raw(type_byte, name.as_bytes(), |block| {
            block[157..157 + target.len()].copy_from_slice(target);
        })
    }

    /// An extended header for the next entry.
    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut bytes = Vec::new();
        for (key, value) in records {
            crate::pax::write(&mut bytes, key.as_bytes(), value);
        }
        self.of_type(b'x', b"PaxHeader", &bytes)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 2 * BLOCK]);
        self.0
    }

    pub(super) fn without_end(self) -> Vec<u8> {
        self.0
    }
}

pub(super) fn set_size(block: &mut [u8; BLOCK], size: usize) {
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
}

fn sign(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
