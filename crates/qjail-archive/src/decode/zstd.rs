//! One zstd frame (RFC 8878); its checksum is compared, frames for others are passed over.

use super::Outlet;
use super::source::Source;
use crate::detect::is_zstd_skippable;
use crate::error::Failure;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// The largest window that is decoded: that of `zstd --long`, 2^27 bytes.
const WINDOW: u64 = 1 << 27;

pub(super) fn frame<R: Read>(source: &mut Source<'_, R>, outlet: &Outlet) -> Result<(), Failure> {
    if is_zstd_skippable(source.peek(4)?) {
        return skip(source);
    }
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    decoder.init(&mut *source).map_err(|e| match e {
        FrameDecoderError::WindowSizeTooBig { .. } => Failure::Memory(WINDOW),
        e => source.blame(e),
    })?;
    outlet.send_all(|into| {
        while decoder.can_collect() == 0 && !decoder.is_finished() {
            decoder
                .decode_blocks(&mut *source, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|e| source.blame(e))?;
        }
        decoder.read(into).map_err(|e| source.blame(e))
    })?;
    let stated = decoder.get_checksum_from_data();
    if stated.is_some() && stated != decoder.get_calculated_checksum() {
        return Err(Failure::Corrupt(
            "the checksum of the zstd data is wrong".to_owned(),
        ));
    }
    Ok(())
}

fn skip<R: Read>(source: &mut Source<'_, R>) -> Result<(), Failure> {
    let Some(header) = source.peek(8)?.first_chunk::<8>().copied() else {
        return Err(Failure::Truncated);
    };
    source.consume(header.len());
    let len = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
    let skipped = io::copy(&mut source.by_ref().take(len), &mut io::sink()).map_err(|e| source.blame(e))?;
    if skipped < len {
        return Err(Failure::Truncated);
    }
    Ok(())
}
