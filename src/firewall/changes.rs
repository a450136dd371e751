//! Hearing of changes to nftables' rules, which those of iptables-nft are, the
//! moment that they happen. Legacy tables have nothing like it.

use std::io::{self, PipeReader, PipeWriter};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send,
    socket_with,
};

use super::generation::{GROUP, question, told};

/// The kernel answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(1);
/// What does not fit is not looked at: a generation is told last, and the next
/// one comes.
const BUFFER: usize = 64 * 1024;

/// A thread that listens; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    _end: PipeWriter,
}

impl Watch {
    /// Calls `notice` on a thread of its own for every change of nftables in this
    /// thread's network namespace, guard's own too.
    pub(crate) fn start(notice: impl Fn() + Send + 'static) -> io::Result<Watch> {
        let socket = open(GROUP)?;
        let (ended, end) = io::pipe()?;
        let listen = move || listen(&socket, &ended, &notice);
        thread::Builder::new().name("firewall-watch".to_owned()).spawn(listen)?;
        Ok(Watch { _end: end })
    }
}

fn open(groups: u32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let family = AddressFamily::NETLINK;
    let socket = socket_with(family, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    bind(&socket, &netlink::SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn listen(socket: &OwnedFd, ended: &PipeReader, notice: &impl Fn()) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut fds = [
            PollFd::new(socket, PollFlags::IN),
            // Nothing is ever written: it only hangs up.
            PollFd::new(ended, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) if !fds[1].revents().is_empty() => return,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        match recv(socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((_, length)) => {
                let length = length.min(buffer.len());
                if told(&buffer[..length]).is_some() {
                    notice();
                }
            }
            // More was told than the socket could hold.
            Err(Errno::NOBUFS) => notice(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => {
                tracing::debug!("changes of nftables are not heard any more: {error}");
                return;
            }
        }
    }
}

/// What guard knows of the generation: are all changes up to now its own, or
/// looked at?
#[derive(Debug, Default)]
pub(crate) struct Generations {
    socket: Option<OwnedFd>,
    known: Option<u32>,
}

impl Generations {
    /// To be called before a look: what changed up to now will be seen by it.
    pub(crate) fn looking(&mut self) {
        self.known = self.now();
    }

    /// Does something that changes rules in one go. If nobody else did at the
    /// same time, the change is known.
    pub(crate) fn own<T>(&mut self, change: impl FnOnce() -> T) -> T {
        let before = self.known.filter(|known| self.now() == Some(*known));
        let done = change();
        if let Some(before) = before {
            let after = self.now();
            if after.is_some_and(|after| after == before.wrapping_add(1)) {
                self.known = after;
            }
        }
        done
    }

    /// Did somebody else change rules since the last look?
    pub(crate) fn changed(&mut self) -> bool {
        let now = self.now();
        now.is_none() || now != self.known
    }

    fn now(&mut self) -> Option<u32> {
        if self.socket.is_none() {
            self.socket = open(0).ok();
        }
        let generation = ask(self.socket.as_ref()?);
        if generation.is_none() {
            // An answer may still come; it must not be taken for a later one.
            self.socket = None;
        }
        generation
    }
}

fn ask(socket: &OwnedFd) -> Option<u32> {
    send(socket, &question(), SendFlags::empty()).ok()?;
    let mut buffer = [0; 1024];
    let (_, length) =
        rustix::io::retry_on_intr(|| recv(socket, &mut buffer, RecvFlags::empty())).ok()?;
    told(buffer.get(..length)?)
}
