//! The compressors behind one `Write`.

use super::{CreateFormat, CreateOptions};
use flate2::Compression;
use flate2::write::GzEncoder;
use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;
use std::io::{self, Write};

/// What xz and gzip take when they are told nothing.
const LEVEL: u32 = 6;

pub(super) enum Encoder<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Xz(XzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(to: W, options: &CreateOptions) -> io::Result<Self> {
        let level = options.level.unwrap_or(LEVEL).min(9);
        Ok(match options.format {
            CreateFormat::Tar => Encoder::Plain(to),
            CreateFormat::TarGz => Encoder::Gzip(GzEncoder::new(to, Compression::new(level))),
            CreateFormat::TarXz => {
                let stream = MtStreamBuilder::new()
                    .threads(options.threads.max(1))
                    .block_size(options.block_size.unwrap_or(0))
                    .preset(level)
                    .check(Check::Crc64)
                    .encoder()?;
                Encoder::Xz(XzEncoder::new_stream(to, stream))
            }
        })
    }

    pub(super) fn finish(self) -> io::Result<()> {
        let mut to = match self {
            Encoder::Plain(to) => to,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Xz(encoder) => encoder.finish()?,
        };
        to.flush()
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Plain(to) => to.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Xz(encoder) => encoder.write(bytes),
        }
    }

    // Passing it on would end a compressed block.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Plain(to) => to.flush(),
            Encoder::Gzip(_) | Encoder::Xz(_) => Ok(()),
        }
    }
}
