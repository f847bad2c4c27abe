//! The archive file as decoders read it: buffered, counted, and with its errors kept apart from theirs.

use crate::detect::{self, Format};
use crate::error::Failure;
use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const BUFFER: usize = 128 * 1024;

pub(super) struct Source<'c, R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    failed: Option<io::Error>,
    count: &'c AtomicU64,
}

impl<'c, R: Read> Source<'c, R> {
    pub(super) fn new(reader: R, count: &'c AtomicU64) -> Self {
        Source {
            reader,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            ended: false,
            failed: None,
            count,
        }
    }

    /// The next `n` bytes, fewer only at the end; they stay unread.
    pub(super) fn peek(&mut self, n: usize) -> Result<&[u8], Failure> {
        while self.end - self.start < n && !self.ended {
            self.more().map_err(|e| self.blame(e))?;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + n)])
    }

    /// Passes over the zero bytes that may stand between members; whether another of `format` follows them.
    pub(super) fn follows(&mut self, format: Format) -> Result<bool, Failure> {
        loop {
            let next = self.peek(8)?;
            match next.first() {
                None => return Ok(false),
                Some(0) => self.consume(1),
                Some(_) if detect::continues(format, next) => return Ok(true),
                Some(_) => return Err(Failure::Garbage),
            }
        }
    }

    /// What stopped a decoder that says `e`: the reader, the end of the file, or the data.
    pub(super) fn blame(&mut self, e: impl ToString) -> Failure {
        match self.failed.take() {
            Some(failed) => Failure::Read(failed),
            None if self.ended => Failure::Truncated,
            None => Failure::Corrupt(e.to_string()),
        }
    }

    fn more(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let n = loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.failed = Some(e);
                    return Err(io::Error::other("the archive cannot be read"));
                }
                Ok(n) => break n,
            }
        };
        self.ended = n == 0;
        self.end += n;
        self.count.fetch_add(n as u64, Relaxed);
        Ok(())
    }
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let n = bytes.len().min(into.len());
        into[..n].copy_from_slice(&bytes[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: Read> BufRead for Source<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end && !self.ended {
            self.more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }
}
