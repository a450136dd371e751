//! Hearing of changes to nftables' rules, which those of iptables-nft are, the
//! moment that they happen. Legacy tables have nothing like it.

use std::io::{self, PipeReader, PipeWriter};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send,
    socket_with,
};

use super::generation::{GROUP, concerns_guard, question, told};

/// The kernel answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(1);
/// What does not fit is not looked at: a generation is told last, and the next
/// one comes.
const BUFFER: usize = 64 * 1024;

/// What others change is looked at as soon as it is heard of, but this long after
/// the look before; and where changes don't end (an engine that starts, a program
/// that fights), after the first few not for more than a tenth of the time.
const CALM: Duration = Duration::from_millis(50);
const CALM_TIMES: u32 = 10;
const BURST: u32 = 5;
const BURST_WITHIN: Duration = Duration::from_secs(5);

/// What was heard of others' changes, and when to look.
#[derive(Debug)]
pub(crate) struct Hearing {
    watch: Option<Watch>,
    pub(crate) generations: Generations,
    /// Something was heard, and not looked at yet.
    noticed: bool,
    /// Until then, what is heard of waits.
    calm: Instant,
    /// Looks that followed each other closely.
    burst: u32,
    heard: u64,
}

impl Hearing {
    /// Hears nothing yet.
    pub(crate) fn new(now: Instant) -> Hearing {
        let generations = Generations::default();
        Hearing { watch: None, generations, noticed: false, calm: now, burst: 0, heard: 0 }
    }

    /// Has `notice` called for every change of tables with guard's rules. Without it (a kernel
    /// without nftables) everything works, only later.
    pub(crate) fn listen(&mut self, notice: impl Fn() + Send + 'static) {
        match Watch::start(notice) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => tracing::debug!("changes of nftables are not heard: {error}"),
        }
    }

    /// Is it told of changes at all?
    pub(crate) fn is_listening(&self) -> bool {
        self.watch.is_some()
    }

    /// When what others changed may be looked at.
    pub(crate) fn calm(&self) -> Instant {
        self.calm
    }

    /// When a look is due for what was heard; `None`: nothing was.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.noticed.then_some(self.calm)
    }

    /// Is a look due now, because somebody else changed something?
    pub(crate) fn hears(&mut self, changed: bool, now: Instant) -> bool {
        self.noticed |= changed;
        if !self.noticed || now < self.calm {
            return false;
        }
        self.noticed = false;
        let heard = self.generations.changed();
        self.heard += u64::from(heard);
        heard
    }

    /// A look that began at `begun` has ended.
    pub(crate) fn looked(&mut self, begun: Instant) {
        let took = begun.elapsed();
        let soon = begun < self.calm + BURST_WITHIN;
        self.burst = if soon { self.burst.saturating_add(1) } else { 1 };
        let times = if self.burst > BURST { CALM_TIMES } else { 1 };
        self.calm = begun + took + CALM.max(took * times);
    }

    /// How often others' changes were heard of and looked at.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }
}

/// A thread that listens; it ends when this is dropped.
#[derive(Debug)]
struct Watch {
    _end: PipeWriter,
}

impl Watch {
    /// Calls `notice` on a thread of its own for every change of tables with guard's
    /// rules in this thread's network namespace, guard's own too.
    fn start(notice: impl Fn() + Send + 'static) -> io::Result<Watch> {
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
    // What changed is told first, and then the generation.
    let mut concerned = false;
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
                let datagram = &buffer[..length.min(BUFFER)];
                concerned |= concerns_guard(datagram);
                if told(datagram).is_some() && std::mem::take(&mut concerned) {
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
