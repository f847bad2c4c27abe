//! Decoding in a thread of its own: it fills chunks while the caller works on those before.

mod gzip;
mod source;
mod xz;
mod zstd;

use crate::detect::{self, Format, NEEDED};
use crate::error::Failure;
use crate::header::BLOCK;
use source::Source;
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes in a chunk: a few hundred files of a usual tree, and small enough for a processor's cache.
const CHUNK: usize = 256 * 1024;
/// Chunks that wait at most between the decoder and the caller.
const WAITING: usize = 32;

/// How archives are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Threads that decode xz blocks.
    pub threads: u32,
    /// Bytes of memory that xz decoders may take together; with less, fewer threads work.
    pub memory: u64,
}

impl Default for DecodeOptions {
    /// One thread for each processor that the process may use, and a quarter of the machine's memory.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        DecodeOptions {
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            memory: qjail_os::physical_memory().map_or(1 << 28, |all| all / 4),
        }
    }
}

enum Message {
    Chunk(Vec<u8>),
    End(Result<(), Failure>),
}

/// Where decoders put their bytes.
pub(crate) struct Outlet {
    full: SyncSender<Message>,
    empty: Receiver<Vec<u8>>,
}

impl Outlet {
    /// A chunk to fill, used before where possible: new memory costs page faults.
    fn chunk(&self) -> Vec<u8> {
        self.empty
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(CHUNK))
    }

    fn send(&self, chunk: Vec<u8>) -> Result<(), Failure> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.full
            .send(Message::Chunk(chunk))
            .map_err(|_| Failure::Stopped)
    }

    /// Sends all that a decoder gives, in chunks.
    fn send_all(&self, mut decoder: impl FnMut(&mut [u8]) -> Result<usize, Failure>) -> Result<(), Failure> {
        loop {
            let mut chunk = self.chunk();
            chunk.resize(CHUNK, 0);
            let mut len = 0;
            let mut ended = false;
            while len < CHUNK && !ended {
                let n = decoder(&mut chunk[len..])?;
                ended = n == 0;
                len += n;
            }
            chunk.truncate(len);
            self.send(chunk)?;
            if ended {
                return Ok(());
            }
        }
    }
}

/// The decoded bytes on the caller's side.
pub(crate) struct Input<'a> {
    full: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
    read: &'a AtomicU64,
}

impl Input<'_> {
    /// The next bytes; none at the end.
    pub(crate) fn fill(&mut self) -> Result<&[u8], Failure> {
        while self.at == self.chunk.len() && !self.ended {
            match self.full.recv() {
                Ok(Message::Chunk(chunk)) => {
                    let mut used = std::mem::replace(&mut self.chunk, chunk);
                    self.at = 0;
                    used.clear();
                    // The decoder may have ended already.
                    let _ = self.empty.send(used);
                }
                Ok(Message::End(end)) => {
                    self.ended = true;
                    end?;
                }
                Err(_) => return Err(Failure::Stopped),
            }
        }
        Ok(&self.chunk[self.at..])
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.chunk.len());
    }

    /// Reads one block; returns how many of its bytes there were before the end.
    pub(crate) fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<usize, Failure> {
        let mut len = 0;
        while len < BLOCK {
            let bytes = self.fill()?;
            let n = bytes.len().min(BLOCK - len);
            if n == 0 {
                break;
            }
            block[len..len + n].copy_from_slice(&bytes[..n]);
            self.consume(n);
            len += n;
        }
        Ok(len)
    }

    pub(crate) fn skip(&mut self, mut n: u64) -> Result<(), Failure> {
        while n > 0 {
            let len = self.fill()?.len();
            if len == 0 {
                return Err(Failure::Truncated);
            }
            let step = usize::try_from(n).unwrap_or(usize::MAX).min(len);
            self.consume(step);
            n -= step as u64;
        }
        Ok(())
    }

    /// Bytes of the archive file that have been read so far, by the decoder that is ahead.
    pub(crate) fn read_so_far(&self) -> u64 {
        self.read.load(Relaxed)
    }
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill().map_err(|f| io::Error::other(f.after(0)))?;
        let n = bytes.len().min(into.len());
        into[..n].copy_from_slice(&bytes[..n]);
        self.consume(n);
        Ok(n)
    }
}

/// Finds out how an archive is compressed and gives its decoded bytes to `work`, while threads decode what follows.
///
/// The threads have ended when this returns. A reader that waits for ever therefore makes this wait too.
///
/// # Errors
/// Those of `work`; in the bytes given to it, an [`io::Error`] that holds a [`crate::ArchiveError`].
pub fn decompress<R: Read + Send, T>(
    archive: R,
    options: &DecodeOptions,
    work: impl FnOnce(&mut dyn Read) -> T,
) -> T {
    with_input(archive, options, |input| work(input))
}

pub(crate) fn with_input<R: Read + Send, T>(
    archive: R,
    options: &DecodeOptions,
    work: impl FnOnce(&mut Input<'_>) -> T,
) -> T {
    let read = AtomicU64::new(0);
    let (full, chunks) = sync_channel(WAITING);
    let (used, empty) = channel();
    thread::scope(|scope| {
        let outlet = Outlet { full, empty };
        let counter = &read;
        let decoder = scope.spawn(move || {
            let end = decode(&mut Source::new(archive, counter), &outlet, options);
            // Nobody may be waiting for it any more.
            let _ = outlet.full.send(Message::End(end));
        });
        let mut input = Input {
            full: chunks,
            empty: used,
            chunk: Vec::new(),
            at: 0,
            ended: false,
            read: &read,
        };
        let done = work(&mut input);
        // The decoder stops at its next chunk; a panic in it has reached `work` as a missing end.
        drop(input);
        let _ = decoder.join();
        done
    })
}

fn decode<R: Read>(
    source: &mut Source<'_, R>,
    outlet: &Outlet,
    options: &DecodeOptions,
) -> Result<(), Failure> {
    let format = detect::detect(source.peek(NEEDED)?).map_err(Failure::Undetected)?;
    match format {
        Format::Tar => return outlet.send_all(|into| source.read(into).map_err(|e| source.blame(e))),
        Format::Gzip => gzip::member(source, outlet)?,
        Format::Xz => xz::stream(source, outlet, options)?,
        Format::Zstd => zstd::frame(source, outlet)?,
    }
    while source.follows(format)? {
        match format {
            Format::Tar => {}
            Format::Gzip => gzip::member(source, outlet)?,
            Format::Xz => xz::stream(source, outlet, options)?,
            Format::Zstd => zstd::frame(source, outlet)?,
        }
    }
    Ok(())
}

/// The failure for a tar header that does not fit: what the bytes look like.
pub(crate) fn not_a_tar(first: &[u8]) -> Failure {
    match detect::detect(first) {
        Err(why) => Failure::Undetected(why),
        // Compressed twice.
        Ok(_) => Failure::Undetected(detect::Undetected::Unsupported("an archive compressed twice")),
    }
}
