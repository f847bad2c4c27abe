//! A netlink socket (rtnetlink(7)) without an event loop: one request, then its answer.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// How often a list is read anew because it changed while it was read: starts in parallel change it all the time.
const DUMP_TRIES: usize = 200;

/// A socket in the network namespace of the thread that opened it.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// What came for one request.
#[derive(Default)]
struct Answer {
    messages: Vec<Vec<u8>>,
    changed_meanwhile: bool,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request that changes something and waits until the kernel has done it.
    pub(super) fn change(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.send(request, NLM_F_ACK | flags)?;
        self.receive().map(drop)
    }

    /// The payloads of all objects that a request asks for, undecoded: what a later kernel adds is passed over by
    /// whoever reads them.
    pub(super) fn dump(&mut self, request: &RouteNetlinkMessage) -> io::Result<Vec<Vec<u8>>> {
        for _ in 0..DUMP_TRIES {
            self.send(request.clone(), NLM_F_DUMP)?;
            let answer = self.receive()?;
            if !answer.changed_meanwhile {
                return Ok(answer.messages);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(io::Error::other("it changes faster than it can be read"))
    }

    fn send(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::new(Default::default(), NetlinkPayload::from(request));
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        retry(|| self.socket.send(&bytes, 0)).map(drop)
    }

    fn receive(&mut self) -> io::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let (datagram, _) = retry(|| self.socket.recv_from_full())?;
            if answer.take(&datagram, self.sequence)? {
                return Ok(answer);
            }
        }
    }
}

impl Answer {
    /// Takes the messages of one datagram; true when the answer is complete.
    fn take(&mut self, mut datagram: &[u8], sequence: u32) -> io::Result<bool> {
        while !datagram.is_empty() {
            let message = NetlinkBuffer::new_checked(datagram).map_err(io::Error::other)?;
            let length = (message.length() as usize)
                .next_multiple_of(4)
                .min(datagram.len());
            datagram = &datagram[length..];
            if message.sequence_number() != sequence {
                continue;
            }
            self.changed_meanwhile |= message.flags() & NLM_F_DUMP_INTR != 0;
            match message.message_type() {
                // Both begin with zero or a negated error number.
                NLMSG_ERROR | NLMSG_DONE => return outcome(message.payload()).map(|()| true),
                _ => self.messages.push(message.payload().to_vec()),
            }
        }
        Ok(false)
    }
}

fn outcome(payload: &[u8]) -> io::Result<()> {
    let code = payload
        .first_chunk()
        .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code.saturating_neg()))
    }
}

/// Until no signal interrupts it.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
