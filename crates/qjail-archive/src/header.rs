//! The 512 bytes that stand before every entry: tar(5), POSIX.1-2024 pax, "ustar Interchange Format".

/// Everything in a tar archive is a multiple of this many bytes.
pub(crate) const BLOCK: usize = 512;

/// One header block. Offsets and lengths are those of the ustar format and GNU's variation of it.
#[derive(Clone)]
pub(crate) struct Header([u8; BLOCK]);

/// A piece of a file with holes, at most four of them in a GNU header, 21 in each block after it.
pub(crate) const SPARSE_IN_HEADER: usize = 4;
pub(crate) const SPARSE_IN_BLOCK: usize = 21;

impl Header {
    pub(crate) fn new(bytes: [u8; BLOCK]) -> Self {
        Header(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; BLOCK] {
        &self.0
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(|b| *b == 0)
    }

    /// Old programs summed signed bytes: both sums are accepted.
    pub(crate) fn checksum_fits(&self) -> bool {
        let Some(stated) = number(&self.0[148..156]) else {
            return false;
        };
        let summed = || {
            let own = 148..156;
            self.0
                .iter()
                .enumerate()
                .map(move |(i, b)| if own.contains(&i) { b' ' } else { *b })
        };
        let unsigned: i64 = summed().map(i64::from).sum();
        let signed: i64 = summed().map(|b| i64::from(b.cast_signed())).sum();
        stated == unsigned || stated == signed
    }

    pub(crate) fn type_byte(&self) -> u8 {
        self.0[156]
    }

    pub(crate) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = if self.is_posix() {
            text(&self.0[345..500])
        } else {
            &[]
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(crate) fn mode(&self) -> Option<i64> {
        number(&self.0[100..108])
    }

    pub(crate) fn uid(&self) -> Option<i64> {
        number(&self.0[108..116])
    }

    pub(crate) fn gid(&self) -> Option<i64> {
        number(&self.0[116..124])
    }

    pub(crate) fn size(&self) -> Option<i64> {
        number(&self.0[124..136])
    }

    pub(crate) fn mtime(&self) -> Option<i64> {
        number(&self.0[136..148])
    }

    pub(crate) fn device(&self) -> Option<(i64, i64)> {
        Some((number(&self.0[329..337])?, number(&self.0[337..345])?))
    }

    /// GNU: offset and length of the first pieces of a file with holes, and whether blocks with more follow.
    pub(crate) fn gnu_sparse(&self) -> (Vec<[Option<i64>; 2]>, bool) {
        (pieces(&self.0[386..], SPARSE_IN_HEADER), self.0[482] != 0)
    }

    /// GNU: length of a file with its holes.
    pub(crate) fn gnu_real_size(&self) -> Option<i64> {
        number(&self.0[483..495])
    }

    // "ustar\0" is POSIX; GNU's "ustar  \0" has other fields where the prefix would be.
    fn is_posix(&self) -> bool {
        &self.0[257..263] == b"ustar\0"
    }
}

/// GNU: the pieces in a block that follows a header.
pub(crate) fn gnu_sparse_block(block: &[u8; BLOCK]) -> (Vec<[Option<i64>; 2]>, bool) {
    (pieces(block, SPARSE_IN_BLOCK), block[504] != 0)
}

fn pieces(bytes: &[u8], count: usize) -> Vec<[Option<i64>; 2]> {
    bytes
        .chunks_exact(24)
        .take(count)
        .filter(|piece| piece[0] != 0)
        .map(|piece| [number(&piece[..12]), number(&piece[12..])])
        .collect()
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

/// A number: octal digits between blanks, or (GNU, star) base 256 in two's complement behind a set first bit.
/// An empty field is 0; `None` where it is no number or does not fit.
fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = field[start..].split(blank).next().unwrap_or_default();
    digits.iter().try_fold(0_i64, |value, b| match b {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(b - b'0')),
        _ => None,
    })
}

fn base_256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    // The first bit is the mark; the second is the sign.
    let start = if first & 0x40 == 0 {
        i64::from(first & 0x3f)
    } else {
        i64::from((first | 0x80).cast_signed())
    };
    rest.iter().try_fold(start, |value, b| {
        value.checked_mul(256)?.checked_add(i64::from(*b))
    })
}

/// What is written into a new header; what does not fit goes into a pax header before it.
pub(crate) struct Fields<'a> {
    pub(crate) type_byte: u8,
    pub(crate) name: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
}

/// The largest numbers that the fields hold in octal.
pub(crate) const LARGEST_ID: u64 = 0o7_777_777;
pub(crate) const LARGEST_SIZE: u64 = 0o77_777_777_777;
pub(crate) const LONGEST_NAME: usize = 100;

impl Fields<'_> {
    /// The block in ustar format; what is too large is cut off.
    pub(crate) fn to_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block[..LONGEST_NAME], self.name);
        octal_into(&mut block[100..108], u64::from(self.mode));
        octal_into(&mut block[108..116], self.uid.min(LARGEST_ID));
        octal_into(&mut block[116..124], self.gid.min(LARGEST_ID));
        octal_into(&mut block[124..136], self.size.min(LARGEST_SIZE));
        octal_into(&mut block[136..148], self.mtime.min(LARGEST_SIZE));
        block[156] = self.type_byte;
        put(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal_into(&mut block[329..337], u64::from(self.device.0) & LARGEST_ID);
        octal_into(&mut block[337..345], u64::from(self.device.1) & LARGEST_ID);
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        octal_into(&mut block[148..155], sum);
        block
    }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
}

// All but the last byte are digits; the last ends the field.
fn octal_into(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    field[..digits].copy_from_slice(&text.as_bytes()[text.len() - digits..]);
    field[digits] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form() {
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"12345678", None),
            (b"-0000001", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), *expected, "{field:?}");
        }
    }

    #[test]
    fn a_written_block_is_read_back() {
        let fields = Fields {
            type_byte: b'3',
            name: b"dev/null",
            link: b"",
            mode: 0o4755,
            uid: 7,
            gid: 8,
            size: 9,
            mtime: 10,
            device: (1, 3),
        };
        let header = Header::new(fields.to_block());
        assert!(header.checksum_fits() && !header.is_zero());
        assert_eq!((header.type_byte(), header.path()), (b'3', b"dev/null".to_vec()));
        assert_eq!(
            (header.mode(), header.uid(), header.gid()),
            (Some(0o4755), Some(7), Some(8))
        );
        assert_eq!((header.size(), header.mtime()), (Some(9), Some(10)));
        assert_eq!(header.device(), Some((1, 3)));
    }
}
