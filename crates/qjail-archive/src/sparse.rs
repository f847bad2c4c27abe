//! Files with holes: which bytes of the file the archive holds. GNU tar manual, appendix "Sparse Formats".

use crate::header::BLOCK;
use crate::pax::{Records, decimal};

/// Pieces of one file that are accepted; each takes 16 bytes of memory.
const MOST_PIECES: usize = 1 << 20;

/// A run of bytes that the archive holds, and where in the file they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// How the map of a file's pieces is written in an extended header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InPax {
    /// No holes.
    None,
    /// The whole map is in the header (forms 0.0 and 0.1).
    Map(Vec<Piece>),
    /// The map stands before the file's data (form 1.0).
    InData,
}

/// Reads what an extended header says about holes; `None` where it is malformed.
pub(crate) fn in_pax(records: &Records) -> Option<InPax> {
    if let Some(major) = records.get("GNU.sparse.major") {
        let minor = records.get("GNU.sparse.minor")?;
        return (major == b"1" && minor == b"0").then_some(InPax::InData);
    }
    if let Some(map) = records.get("GNU.sparse.map") {
        return pairs(map.split(|b| *b == b',').map(decimal)).map(InPax::Map);
    }
    if records.get("GNU.sparse.numblocks").is_none() {
        return Some(InPax::None);
    }
    let numbers = records
        .iter()
        .filter(|(key, _)| matches!(*key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes"));
    pairs(numbers.map(|(_, value)| decimal(value))).map(InPax::Map)
}

/// The length of the file with its holes, where an extended header has it.
pub(crate) fn real_size(records: &Records) -> Option<&[u8]> {
    records
        .get("GNU.sparse.realsize")
        .or_else(|| records.get("GNU.sparse.size"))
}

fn pairs(numbers: impl Iterator<Item = Option<u64>>) -> Option<Vec<Piece>> {
    let numbers = numbers.collect::<Option<Vec<u64>>>()?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    rest.is_empty().then(|| {
        pairs
            .iter()
            .map(|[offset, len]| Piece {
                offset: *offset,
                len: *len,
            })
            .collect()
    })
}

/// A map that comes in blocks before the file's data: a count, then offsets and lengths, one decimal number per line.
#[derive(Default)]
pub(crate) struct MapInData {
    line: Vec<u8>,
    wanted: Option<u64>,
    numbers: Vec<u64>,
}

impl MapInData {
    /// Takes the next block; true when the map is complete. `None` where it is malformed.
    pub(crate) fn take(&mut self, block: &[u8; BLOCK]) -> Option<bool> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                // No number has more digits.
                if self.line.len() > 20 {
                    return None;
                }
                continue;
            }
            let value = decimal(&self.line).filter(|_| !self.line.is_empty())?;
            self.line.clear();
            match self.wanted {
                None if value > MOST_PIECES as u64 => return None,
                None => self.wanted = Some(value * 2),
                Some(_) => self.numbers.push(value),
            }
            if self.wanted == Some(self.numbers.len() as u64) {
                return Some(true);
            }
        }
        Some(false)
    }

    pub(crate) fn pieces(self) -> Option<Vec<Piece>> {
        pairs(self.numbers.into_iter().map(Some))
    }
}

/// Adds the pieces of an old GNU header; `None` where they are malformed or too many.
pub(crate) fn add_gnu(pieces: &mut Vec<Piece>, found: &[[Option<i64>; 2]]) -> Option<()> {
    for [offset, len] in found {
        pieces.push(Piece {
            offset: u64::try_from((*offset)?).ok()?,
            len: u64::try_from((*len)?).ok()?,
        });
    }
    (pieces.len() <= MOST_PIECES).then_some(())
}

/// Whether the pieces rise without overlapping, end within the file, and are together as long as the data.
pub(crate) fn fits(pieces: &[Piece], real_size: u64, stored: u64) -> bool {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for piece in pieces {
        let Some(next) = piece.offset.checked_add(piece.len) else {
            return false;
        };
        if piece.offset < end || next > real_size {
            return false;
        }
        end = next;
        sum += piece.len;
    }
    sum == stored && pieces.len() <= MOST_PIECES
}

/// The map in the form that stands before the data, padded to whole blocks.
pub(crate) fn map_in_data(pieces: &[Piece]) -> Vec<u8> {
    let mut text = format!("{}\n", pieces.len());
    for piece in pieces {
        text.push_str(&format!("{}\n{}\n", piece.offset, piece.len));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, len: u64) -> Piece {
        Piece { offset, len }
    }

    #[test]
    fn a_map_before_the_data_comes_back_over_any_number_of_blocks() {
        for count in [0, 1, 50, 500] {
            let pieces: Vec<Piece> = (0..count).map(|n| piece(n * 1_000_000_000, n)).collect();
            let mut map = MapInData::default();
            let bytes = map_in_data(&pieces);
            let (blocks, _) = bytes.as_chunks::<BLOCK>();
            let complete: Vec<bool> = blocks.iter().map(|b| map.take(b).unwrap()).collect();
            assert!(complete[..complete.len() - 1].iter().all(|c| !c) && complete[complete.len() - 1]);
            assert_eq!(map.pieces().unwrap(), pieces);
        }
    }

    #[test]
    fn a_malformed_map_is_refused() {
        for text in [
            "x\n",
            "\n",
            "99999999999\n",
            "1\n123456789012345678901234",
            "1\n-1\n1\n",
        ] {
            let mut block = [0; BLOCK];
            block[..text.len()].copy_from_slice(text.as_bytes());
            assert_eq!(MapInData::default().take(&block), None, "{text:?}");
        }
    }

    #[test]
    fn pieces_that_overlap_or_leave_the_file_do_not_fit() {
        assert!(fits(&[], 10, 0));
        assert!(fits(&[piece(0, 1), piece(4, 2), piece(10, 0)], 10, 3));
        assert!(!fits(&[piece(0, 1)], 10, 2));
        assert!(!fits(&[piece(4, 2), piece(0, 1)], 10, 3));
        assert!(!fits(&[piece(0, 5), piece(4, 2)], 10, 7));
        assert!(!fits(&[piece(9, 2)], 10, 2));
        assert!(!fits(&[piece(u64::MAX, 2)], u64::MAX, 2));
    }
}
