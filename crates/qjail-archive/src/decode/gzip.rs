//! One gzip member (RFC 1952); its checksum and length are compared.

use super::Outlet;
use super::source::Source;
use crate::error::Failure;
use flate2::bufread::GzDecoder;
use std::io::{self, Read};

pub(super) fn member<R: Read>(source: &mut Source<'_, R>, outlet: &Outlet) -> Result<(), Failure> {
    let mut decoder = GzDecoder::new(source);
    outlet.send_all(|into| {
        decoder.read(into).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Truncated,
            // A wrong checksum is found when the file may have ended already: that is not a truncated one.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Failure::Corrupt(e.to_string()),
            _ => decoder.get_mut().blame(e),
        })
    })
}
