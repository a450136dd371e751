//! Whose an abstract socket is, asked of the kernel (`sock_diag`): without a connection,
//! so that neither a full queue nor a process that stands still hides it.
//!
//! Numbers are those of the kernel's `linux/unix_diag.h` and `linux/sock_diag.h`.

use std::time::Duration;

use rustix::fs::Uid;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

const BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 1 | 0x300;
const DONE: u16 = 3;
const ERROR: u16 = 2;
/// Bound and nothing else, and listening: connections bear the name of the socket that
/// took them, too, and nobody's user.
const STATES: u32 = 1 << 7 | 1 << 10;
const SHOW_NAME_AND_USER: u32 = 1 | 0x40;
const UNIX: u8 = 1;
const STREAM: u8 = 1;
const NAME: u16 = 0;
const USER: u16 = 7;
const HEADER: usize = 16;
const SOCKET: usize = 16;

/// The kernel answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(1);
const BUFFER: usize = 64 * 1024;
/// Nobody has more sockets than fit into so many answers.
const MOST_ANSWERS: usize = 4096;

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody's by now.
    Nobody,
    /// This user's.
    User(Uid),
}

/// Who made the stream socket of this abstract name in this network namespace. An error:
/// this kernel does not tell (before 5.3, or without `unix_diag`).
pub(super) fn owner(name: &[u8]) -> rustix::io::Result<Owner> {
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(netlink::SOCK_DIAG);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    send(&socket, &question(), SendFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    for _ in 0..MOST_ANSWERS {
        let received = || recv(&socket, buffer.as_mut_slice(), RecvFlags::empty());
        let (_, length) = rustix::io::retry_on_intr(received)?;
        match read(buffer.get(..length).ok_or(Errno::MSGSIZE)?, name) {
            Answer::Of(owner) => return owner,
            Answer::More => {}
        }
    }
    Err(Errno::MSGSIZE)
}

fn question() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 24);
    bytes.extend((HEADER as u32 + 24).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([UNIX, 0, 0, 0]);
    bytes.extend(STATES.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(SHOW_NAME_AND_USER.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// What a datagram says of the name.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Of(rustix::io::Result<Owner>),
    More,
}

fn read(mut datagram: &[u8], name: &[u8]) -> Answer {
    while let Some((kind, body, rest)) = message(datagram) {
        match kind {
            DONE => return Answer::Of(Ok(Owner::Nobody)),
            ERROR => return Answer::Of(Err(Errno::NOTSUP)),
            BY_FAMILY if is_stream(body) => {
                let attributes = body.get(SOCKET..).unwrap_or_default();
                let named = attribute(attributes, NAME).and_then(<[u8]>::split_first);
                if named == Some((&0, name)) {
                    let user = attribute(attributes, USER).and_then(|user| user.try_into().ok());
                    let user = user.map(|user| Uid::from_raw(u32::from_ne_bytes(user)));
                    return Answer::Of(user.map(Owner::User).ok_or(Errno::NOTSUP));
                }
            }
            _ => {}
        }
        datagram = rest;
    }
    Answer::More
}

fn is_stream(body: &[u8]) -> bool {
    body.get(1) == Some(&STREAM)
}

/// The first message's kind and body, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{SocketAddrUnix, bind, listen, socket};

    use super::*;

    /// A name that no other test has.
    fn name(of: &str) -> Vec<u8> {
        format!("guard-test-{}-{of}", std::process::id()).into_bytes()
    }

    fn bound(name: &[u8], kind: SocketType) -> std::os::fd::OwnedFd {
        let fd = socket(AddressFamily::UNIX, kind, None).unwrap();
        bind(&fd, &SocketAddrUnix::new_abstract_name(name).unwrap()).unwrap();
        fd
    }

    #[test]
    fn the_kernel_tells_whose_a_name_is() {
        let name = name("sign");
        match owner(&name) {
            Ok(owner) => assert_eq!(owner, Owner::Nobody),
            Err(error) => return eprintln!("SKIPPED: this kernel does not tell: {error}"),
        }
        let own = Ok(Owner::User(rustix::process::geteuid()));
        let _other = bound(&name, SocketType::SEQPACKET);
        assert_eq!(owner(&name), Ok(Owner::Nobody), "another kind of socket");
        let sign = bound(&name, SocketType::STREAM);
        assert_eq!(owner(&name), own, "bound");
        listen(&sign, 0).unwrap();
        assert_eq!(owner(&name), own, "listening");
        assert_eq!(owner(&name[..name.len() - 1]), Ok(Owner::Nobody), "another name");
        drop(sign);
        assert_eq!(owner(&name), Ok(Owner::Nobody));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_passed_over(bytes: Vec<u8>) {
            read(&bytes, b"guard");
        }
    }
}
