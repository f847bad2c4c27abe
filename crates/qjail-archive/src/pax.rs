//! Extended headers: records of a length, a key and a value (POSIX.1-2024 pax, "pax Extended Header").

/// The records of an extended header, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Reads the records of a header and adds them; `None` where they are malformed.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let blank = bytes.iter().position(|b| *b == b' ')?;
            let len: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
            let record = bytes.get(blank + 1..len)?;
            let (last, record) = record.split_last()?;
            let equals = record.iter().position(|b| *b == b'=')?;
            if *last != b'\n' || equals == 0 {
                return None;
            }
            self.0
                .push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            bytes = &bytes[len..];
        }
        Some(())
    }

    /// The value of a key: the last one counts, and an empty one takes the others away.
    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().rev().find(|(k, _)| k == key.as_bytes());
        found.map(|(_, value)| value.as_slice()).filter(|v| !v.is_empty())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(k, v)| (k.as_slice(), v.as_slice()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A decimal number without sign.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    // parse() also takes a leading `+`.
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A time: seconds since 1970 with an optional sign and fraction; digits beyond nanoseconds are dropped.
pub(crate) fn time(value: &[u8]) -> Option<(i64, u32)> {
    let (negative, value) = match value.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, value),
    };
    let mut parts = value.splitn(2, |b| *b == b'.');
    let whole = i64::try_from(decimal(parts.next().filter(|w| !w.is_empty())?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    let digits: Vec<u8> = fraction
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .collect();
    let nanoseconds = u32::try_from(decimal(&digits)?).ok()?;
    Some(match (negative, nanoseconds) {
        (false, n) => (whole, n),
        (true, 0) => (-whole, 0),
        (true, n) => (-whole - 1, 1_000_000_000 - n),
    })
}

/// Adds one record to a header in the making.
pub(crate) fn write(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    into.extend_from_slice(len.to_string().as_bytes());
    into.push(b' ');
    into.extend_from_slice(key);
    into.push(b'=');
    into.extend_from_slice(value);
    into.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_whatever_their_bytes_and_lengths() {
        let mut bytes = Vec::new();
        let mut values: Vec<Vec<u8>> = (0..120).map(|n| vec![b'x'; n]).collect();
        values.push(b"two\nlines = \0\xff".to_vec());
        for (i, value) in values.iter().enumerate() {
            write(&mut bytes, format!("key{i}").as_bytes(), value);
        }
        let mut records = Records::default();
        records.add(&bytes).unwrap();
        assert_eq!(
            records.iter().map(|(_, v)| v.to_vec()).collect::<Vec<_>>(),
            values
        );
        assert_eq!(records.get("key0"), None);
        assert_eq!(records.get("key1"), Some(b"x".as_slice()));
    }

    #[test]
    fn malformed_records_are_refused() {
        let cases: &[&[u8]] = &[
            b"x",
            b"5 a=b",
            b"6 a=b",
            b"7 a=b\n",
            b"0 a=b\n",
            b"1 a=b\n",
            b"2 a=b\n",
            b"-6 a=b\n",
            b"5 ab\n",
            b"5 =a\n",
            b"99999999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
        ];
        for case in cases {
            assert!(Records::default().add(case).is_none(), "{case:?}");
        }
        Records::default().add(b"6 a=b\n").unwrap();
    }

    #[test]
    fn times_have_signs_and_fractions() {
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"1."), Some((1, 0)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-1"), Some((-1, 0)));
        assert_eq!(time(b"0.0000000019"), Some((0, 1)));
        for bad in [
            b"".as_slice(),
            b"-",
            b".5",
            b"1.x",
            b"+1",
            b"99999999999999999999",
        ] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }
}
