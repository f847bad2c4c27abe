//! One xz stream, its blocks decoded side by side where their headers say how long they are; the checks are compared.

use super::source::Source;
use super::{CHUNK, DecodeOptions, Outlet};
use crate::error::Failure;
use liblzma::stream::{Action, Error, MtStreamBuilder, Status, Stream};
use std::io::{BufRead, Read};

/// Memory for one block is not refused below this, however little there is: `xz -9` needs 65 MiB.
const LEAST: u64 = 128 << 20;

pub(super) fn stream<R: Read>(
    source: &mut Source<'_, R>,
    outlet: &Outlet,
    options: &DecodeOptions,
) -> Result<(), Failure> {
    let limit = options.memory.max(LEAST);
    let mut stream = decoder(options, limit)?;
    let mut chunk = outlet.chunk();
    chunk.reserve(CHUNK);
    loop {
        let (status, progress, ended) = step(source, &mut stream, &mut chunk)?;
        match status {
            Ok(Status::StreamEnd) => return outlet.send(chunk),
            Ok(_) if progress => {}
            // "No progress is possible": without further input, it is missing.
            Ok(_) if ended => return Err(Failure::Truncated),
            Ok(_) => return Err(Failure::Corrupt("the xz decoder makes no progress".to_owned())),
            Err(Error::MemLimit | Error::Mem) => return Err(Failure::Memory(limit)),
            Err(e) => return Err(Failure::Corrupt(describe(e))),
        }
        if chunk.len() == chunk.capacity() {
            outlet.send(chunk)?;
            chunk = outlet.chunk();
            chunk.reserve(CHUNK);
        }
    }
}

type Step = (Result<Status, Error>, bool, bool);

/// One call of the decoder: what it says, whether it took or gave bytes, whether the input had ended.
fn step<R: Read>(
    source: &mut Source<'_, R>,
    stream: &mut Stream,
    chunk: &mut Vec<u8>,
) -> Result<Step, Failure> {
    if let Err(e) = source.fill_buf() {
        return Err(source.blame(e));
    }
    let input = source.fill_buf().unwrap_or_default();
    let ended = input.is_empty();
    let action = if ended { Action::Finish } else { Action::Run };
    let before = (stream.total_in(), stream.total_out());
    let status = stream.process_vec(input, chunk, action);
    let taken = stream.total_in() - before.0;
    let progress = taken > 0 || stream.total_out() > before.1;
    source.consume(usize::try_from(taken).unwrap_or(usize::MAX));
    Ok((status, progress, ended))
}

fn decoder(options: &DecodeOptions, limit: u64) -> Result<Stream, Failure> {
    MtStreamBuilder::new()
        .threads(options.threads.max(1))
        .memlimit_threading(options.memory)
        .memlimit_stop(limit)
        .decoder()
        .map_err(|e| Failure::Corrupt(describe(e)))
}

fn describe(e: Error) -> String {
    match e {
        Error::Data => "the xz data is damaged, or its check is wrong".to_owned(),
        Error::Options => "the xz data needs options that are not supported".to_owned(),
        Error::Format => "the xz header is damaged".to_owned(),
        e => format!("the xz decoder failed: {e}"),
    }
}
