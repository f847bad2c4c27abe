//! Messages with descriptors over a socket pair: between the caller and its helper, and between helper and process 1.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// More descriptors than any message carries.
const DESCRIPTORS: usize = 8;
/// Longer than any message: command lines and environments fit by far.
const LONGEST: u32 = 16 << 20;

/// One end. A message is its length in four bytes, which carry the descriptors, then JSON.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    /// Both ends, closed on exec.
    pub(super) fn pair() -> io::Result<(Channel, Channel)> {
        let (a, b) = UnixStream::pair()?;
        Ok((Channel(a), Channel(b)))
    }

    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let body = serde_json::to_vec(message).map_err(io::Error::other)?;
        let length = u32::try_from(body.len()).ok().filter(|l| *l <= LONGEST);
        let length = length
            .ok_or_else(|| io::Error::other("the message is too long"))?
            .to_le_bytes();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut extra = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !extra.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors"));
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(&length)], &mut extra, SendFlags::NOSIGNAL)?;
        (&self.0).write_all(&length[sent..])?;
        (&self.0).write_all(&body)
    }

    /// The next message; none when the other end is closed.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut length = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut extra = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = match rustix::io::retry_on_intr(|| {
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut length)], &mut extra, flags)
        }) {
            Ok(got) => got.bytes,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(error) => return Err(error.into()),
        };
        if got == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for message in extra.drain() {
            if let RecvAncillaryMessage::ScmRights(all) = message {
                descriptors.extend(all);
            }
        }
        (&self.0).read_exact(&mut length[got..])?;
        let length = u32::from_le_bytes(length);
        if length > LONGEST {
            return Err(io::Error::other("the message is too long"));
        }
        let mut body = vec![0; length as usize];
        (&self.0).read_exact(&mut body)?;
        let message = serde_json::from_slice(&body).map_err(io::Error::other)?;
        Ok(Some((message, descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Channel {
        Channel(fd.into())
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> OwnedFd {
        channel.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_descriptors_cross() {
        let (a, b) = Channel::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        a.send(&vec!["one", "two"], &[writer.as_fd()]).unwrap();
        a.send(&7, &[]).unwrap();
        drop((a, writer));
        let (words, fds) = b.receive::<Vec<String>>().unwrap().unwrap();
        assert_eq!(words, ["one", "two"]);
        std::fs::File::from(fds.into_iter().next().unwrap())
            .write_all(b"through")
            .unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(b.receive::<i32>().unwrap().unwrap().0, 7);
        assert!(b.receive::<i32>().unwrap().is_none());
    }

    #[test]
    fn garbage_is_an_error() {
        let (a, b) = Channel::pair().unwrap();
        (&a.0).write_all(b"\xff\xff\xff\xffxx").unwrap();
        assert!(b.receive::<i32>().is_err());
        let (a, b) = Channel::pair().unwrap();
        (&a.0).write_all(b"\x02\0\0\0{]").unwrap();
        assert!(b.receive::<i32>().is_err());
    }
}
