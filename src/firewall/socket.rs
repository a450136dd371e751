//! The netlink socket to the kernel's netfilter, in the network namespace of
//! the thread that opens it.

use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send,
    socket_with,
};

use super::netlink::{Answer, Part, Request, read};

/// An answer is at most a batch and a header around it, or a page of a dump.
const BUFFER: usize = 128 * 1024;

/// The kernel answers at once, or is in deep trouble.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket on which one request after the other is answered.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// The socket itself failed.
    #[error("the kernel's netfilter can't be reached over netlink")]
    Io(#[from] rustix::io::Errno),
    /// The kernel refused, with its code (an errno, or one of ipset's) and for
    /// elements the first that it refused, counted from 1.
    #[error("{}", explain(*code))]
    Refused {
        /// The code, positive.
        code: i32,
        /// Which element.
        line: Option<u32>,
    },
    /// The answer makes no sense.
    #[error(transparent)]
    Garbled(#[from] super::netlink::Garbled),
}

impl SocketError {
    /// Does the kernel say that guard may not do this?
    pub(crate) fn is_denied(&self) -> bool {
        let code = match self {
            SocketError::Io(errno) => errno.raw_os_error(),
            SocketError::Refused { code, .. } => *code,
            SocketError::Garbled(_) => return false,
        };
        code == rustix::io::Errno::PERM.raw_os_error()
            || code == rustix::io::Errno::ACCESS.raw_os_error()
    }
}

/// The codes that ipset's kernel side adds to the usual ones.
const CODES: [(i32, &str); 8] = [
    (4097, "the kernel speaks another version of the ipset protocol"),
    (4098, "the kernel lacks the set type hash:net (module ip_set_hash_net)"),
    (4099, "the kernel has no room for another set"),
    (4100, "the set is in use"),
    (4102, "the set is of another type"),
    (4103, "the set or element is there already"),
    (4106, "the set is of the other IP version"),
    (SET_FULL, "the set is full"),
];

/// The code for a set that holds as many elements as it may.
pub(crate) const SET_FULL: i32 = 4352;

fn explain(code: i32) -> String {
    match CODES.iter().find(|(known, _)| *known == code) {
        Some((_, text)) => (*text).to_owned(),
        None if code < 4096 => std::io::Error::from_raw_os_error(code).to_string(),
        None => format!("the kernel refused with ipset's code {code}"),
    }
}

/// Opens a socket to the kernel's netfilter, on which an answer is waited for a while.
pub(crate) fn netfilter() -> Result<OwnedFd, SocketError> {
    let fd = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::NETFILTER),
    )?;
    set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE))?;
    bind(&fd, &netlink::SocketAddrNetlink::new(0, 0))?;
    Ok(fd)
}

impl Socket {
    /// Opens the socket.
    pub(crate) fn open() -> Result<Socket, SocketError> {
        Ok(Socket { fd: netfilter()?, buffer: vec![0; BUFFER], sequence: 0 })
    }

    /// Sends a request whose answer is a yes or a no.
    pub(crate) fn command(&mut self, request: Request) -> Result<(), SocketError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.send(request)?;
        self.until_done(|_| {})
    }

    /// Sends a request that is answered in parts.
    pub(crate) fn dump(&mut self, request: Request) -> Result<Vec<Part>, SocketError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.send(request)?;
        let mut parts = Vec::new();
        self.until_done(|part| parts.push(part))?;
        Ok(parts)
    }

    /// Sends a request that is answered by one message and no ack.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Part, SocketError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.send(request)?;
        loop {
            match self.receive()?.into_iter().next() {
                Some(Answer::Part(part)) => return Ok(part),
                Some(Answer::Refused(code, line)) => {
                    return Err(SocketError::Refused { code, line });
                }
                Some(Answer::Done) => return Err(super::netlink::Garbled.into()),
                None => {}
            }
        }
    }

    fn send(&mut self, request: Request) -> Result<(), SocketError> {
        let bytes = request.into_bytes(self.sequence);
        rustix::io::retry_on_intr(|| send(&self.fd, &bytes, SendFlags::empty()))?;
        Ok(())
    }

    fn until_done(&mut self, mut take: impl FnMut(Part)) -> Result<(), SocketError> {
        loop {
            for answer in self.receive()? {
                match answer {
                    Answer::Part(part) => take(part),
                    Answer::Done => return Ok(()),
                    Answer::Refused(code, line) => {
                        return Err(SocketError::Refused { code, line });
                    }
                }
            }
        }
    }

    /// The next datagram; answers to earlier requests in it are passed over.
    fn receive(&mut self) -> Result<Vec<Answer>, SocketError> {
        let buffer = &mut self.buffer;
        let (_, length) =
            rustix::io::retry_on_intr(|| recv(&self.fd, buffer.as_mut_slice(), RecvFlags::TRUNC))?;
        let bytes = buffer.get(..length).ok_or(super::netlink::Garbled)?;
        Ok(read(bytes, self.sequence)?)
    }
}
