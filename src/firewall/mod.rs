//! The wanted state of the firewall, and keeping the kernel in it.
//!
//! Orders are merged into a wanted state; one thread compares it with what the
//! kernel holds and puts right what differs. It does so when something is
//! ordered, after a failure, when [`Handle::check_now`] is called, as soon as the
//! kernel tells that another program changed nftables' rules, and every 10
//! seconds, so that a ban stands however often another program flushes,
//! reorders or removes what guard made.
//!
//! ```text
//!  orders ─▶ wanted ─┐                         ┌─▶ iptables-…-restore   chains, jumps
//!                    ├─▶ plan ─▶ steps ────────┤
//!  the kernel ───────┘  (pure)                 └─▶ netlink              elements of sets
//! ```
//!
//! | file | |
//! |---|---|
//! | `wanted` | orders merged; the wanted state (pure) |
//! | `names`, `shape` | names of chains and sets; which rules a jail needs (pure) |
//! | `rules`, `plan`, `kind` | a listing read; what to change in it; legacy or nft (pure) |
//! | `netlink`, `generation` | the bytes of the ipset protocol, and of nftables' generation (pure) |
//! | `nft` | the backend nftables, a folder of its own |
//! | `iptables`, `socket`, `sets` | the tools and the netlink socket |
//! | `changes` | hearing of others' changes |
//! | `keeper` | the thread's state, and one turn of its loop |
//! | `look`, `structure`, `elements`, `teardown` | the parts of a turn, in their order |
//! | `lifting` | are bans that were lifted gone from the kernel? |
//! | `packets` | how many packets came by each jail's rules |
//! | `backend` | which backend is in use, and what those with sets have in common |
//! | `others` | what guard left in other backends than the one in use |
//! | `status` | what people are told |
//!
//! Invariants: guard changes no rule without its mark, and no set that is not
//! of its name, type and family; nothing but checked names, numbers and parsed
//! addresses reaches a tool; a ban is told as in force only when its element is
//! in the kernel and packets come to the rule that looks at it.

mod backend;
mod changes;
mod elements;
mod generation;
mod iptables;
mod keeper;
mod kind;
mod lifting;
mod look;
mod names;
mod netlink;
mod nft;
mod others;
mod packets;
mod plan;
mod rescue;
mod rules;
mod sets;
mod shape;
mod socket;
mod status;
mod structure;
mod teardown;
mod wanted;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::model::{Ban, JailName, JailRules, Network, News, Until};

use keeper::Keeper;
pub use nft::DockerFirewall;
pub use packets::{JailPackets, Packets};
pub use status::{JailStatus, Status, Unlifted};
pub use teardown::{Removed, clean_up};
use wanted::Delta;

/// How many elements a set may hold.
pub const MAX_ELEMENTS: u32 = 1_048_576;

/// How the firewall is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// By sets or by rules.
    pub backend: BackendChoice,
    /// IPv6 too?
    pub ipv6: Ipv6,
    /// What a clean stop leaves behind.
    pub on_stop: OnStop,
    /// How many elements a set may hold, [`MAX_ELEMENTS`] unless there is a reason.
    pub max_elements: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            backend: BackendChoice::Auto,
            ipv6: Ipv6::Auto,
            on_stop: OnStop::Remove,
            max_elements: MAX_ELEMENTS,
        }
    }
}

/// How a chain knows who is banned (`GUARD_FIREWALL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendChoice {
    /// By sets where the kernel has them; in nftables where Docker makes no
    /// DOCKER-USER.
    Auto,
    /// By sets (ipset).
    Ipset,
    /// By a rule for each ban.
    Iptables,
    /// By sets in a table of guard's own (nftables).
    Nftables,
}

/// Is IPv6 kept as well (`GUARD_IPV6`)?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6 {
    /// Where the host has it; a host without is no problem.
    Auto,
    /// Yes; it is a problem if that fails.
    On,
    /// No.
    Off,
}

/// What a clean stop does (`GUARD_ON_STOP`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// Takes all of guard's chains and sets away.
    Remove,
    /// Leaves them; bans in sets still end by themselves.
    Keep,
}

/// Something to be changed in the wanted state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The jail exists, with these rules.
    Install(Arc<JailRules>),
    /// The jail is gone, with all its bans.
    Uninstall(JailName),
    /// Keep out, or keep out for longer or shorter.
    Block(Ban),
    /// Let in again.
    Release(JailName, Network),
}

/// What the firewall has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// How bans stand that were ordered, or that changed. Once for each batch.
    Outcome {
        /// Now in the kernel, in front of the jail's services.
        in_force: Vec<(JailName, Network)>,
        /// Not in force yet; retried. With IPv6 off, all IPv6 bans.
        held_back: Vec<(JailName, Network)>,
    },
    /// Bans that an earlier guard left in an installed jail's chain or set and
    /// that nobody ordered. They stay until each is answered by a
    /// [`Order::Block`] or an [`Order::Release`].
    Found(Vec<(JailName, Network, Until)>),
    /// For people.
    News(News),
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct Inbox {
    delta: Delta,
    /// Counts calls of [`Handle::order`], so that [`Handle::settled`] knows its own.
    ordered: u64,
    check: bool,
    /// Somebody, perhaps guard itself, changed nftables' rules.
    changed: bool,
    engine: Option<DockerFirewall>,
    clean_up: bool,
    /// Those who want to know the packets of each jail.
    count: Vec<oneshot::Sender<BTreeMap<JailName, JailPackets>>>,
    stop: bool,
    /// The handle is gone without a stop: end, and leave everything.
    abandoned: bool,
}

impl Inbox {
    fn is_urgent(&self) -> bool {
        !self.delta.is_empty()
            || self.check
            || self.clean_up
            || !self.count.is_empty()
            || self.stop
            || self.abandoned
    }
}

/// A mutex and not a channel: orders are merged where they wait, and both sides
/// hold it only for as long as that takes, never across I/O or an await.
#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
}

impl Shared {
    /// The inbox; a panic while it was held can't have left it half merged in a
    /// way that a repair would not mend.
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.lock());
        self.wake.notify_one();
    }

    /// Takes what waits, as soon as there is something or `due` is over. What others
    /// changed waits until `calm`.
    fn take(&self, due: Instant, calm: Instant) -> Inbox {
        let mut inbox = self.lock();
        loop {
            let deadline = if inbox.changed { due.min(calm) } else { due };
            let left = deadline.saturating_duration_since(Instant::now());
            if inbox.is_urgent() || left.is_zero() {
                let ordered = inbox.ordered;
                let taken = std::mem::take(&mut *inbox);
                inbox.ordered = ordered;
                return taken;
            }
            let woken = self.wake.wait_timeout(inbox, left);
            inbox = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The way to the firewall's thread.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    tried: watch::Receiver<u64>,
    status: watch::Receiver<Arc<Status>>,
    /// A mutex only because a receiver can't be shared without one.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// A clean stop takes no longer than this; what is not done by then is left.
const STOP_WITHIN: Duration = Duration::from_millis(2800);

/// Starts the firewall's thread. `initial` is brought into the kernel in one
/// go. It works in the network namespace of the thread that calls this.
///
/// `tell` is called on the firewall's thread and must not wait.
pub fn start(
    settings: Settings,
    initial: Vec<Order>,
    tell: impl Fn(Told) + Send + 'static,
) -> Handle {
    let shared = Arc::new(Shared::default());
    shared.change(|inbox| {
        inbox.delta.merge(initial);
        inbox.ordered = 1;
        inbox.check = true;
    });
    let (tried_sender, tried) = watch::channel(0);
    let (status_sender, status) = watch::channel(Arc::new(Status::default()));
    let (ended_sender, ended) = mpsc::channel();
    let inbox = Arc::clone(&shared);
    let run = move || {
        let mut keeper = Keeper::new(settings, Box::new(tell), status_sender);
        let noticed = Arc::clone(&inbox);
        keeper.hearing.listen(move || noticed.change(|inbox| inbox.changed = true));
        run(&mut keeper, &inbox, &tried_sender);
        // Nobody may be waiting any more.
        let _ = ended_sender.send(());
    };
    let thread = thread::Builder::new().name("firewall".to_owned()).spawn(run);
    // Without a thread the channels are closed: nothing settles, and status says so.
    if let Err(error) = thread {
        tracing::error!("the firewall's thread could not be started: {error}");
    }
    Handle { shared, tried, status, ended: Mutex::new(ended) }
}

fn run(keeper: &mut Keeper, shared: &Shared, tried: &watch::Sender<u64>) {
    loop {
        let inbox = shared.take(keeper.next_turn(), keeper.hearing.calm());
        if inbox.abandoned {
            return;
        }
        let (ordered, stop) = (inbox.ordered, inbox.stop);
        keeper.turn(inbox);
        tried.send_replace(ordered);
        if stop {
            keeper.stop();
            return;
        }
    }
}

impl Handle {
    /// Merges orders into the wanted state. Never waits.
    pub fn order(&self, orders: Vec<Order>) {
        self.shared.change(|inbox| {
            inbox.delta.merge(orders);
            inbox.ordered += 1;
        });
    }

    /// Waits until everything ordered so far was tried once, and the status tells what came
    /// of it. `false`: the thread is gone, and nothing more will be tried.
    pub async fn settled(&self) -> bool {
        let ordered = self.shared.lock().ordered;
        let mut tried = self.tried.clone();
        tried.wait_for(|tried| *tried >= ordered).await.is_ok()
    }

    /// Compares everything with the kernel now: for when Docker may have changed its rules.
    pub fn check_now(&self) {
        self.shared.change(|inbox| inbox.check = true);
    }

    /// Tells what Docker says of its own firewall: guard follows it from iptables to
    /// nftables and back, where it may choose.
    pub fn docker_says(&self, firewall: DockerFirewall) {
        self.shared.change(|inbox| {
            inbox.engine = Some(firewall);
            inbox.check = true;
        });
    }

    /// Takes away what an earlier guard left for jails that nobody installed.
    /// To be called once all jails are known.
    pub fn clean_up_unknown(&self) {
        self.shared.change(|inbox| inbox.clean_up = true);
    }

    /// How many packets came by each jail's rules, since guard last wrote them.
    /// `None`: the thread does not answer in a moment. With many thousands of rules
    /// (a rule for each ban) this is work: for people who ask, not for a timer.
    pub async fn packets(&self) -> Option<BTreeMap<JailName, JailPackets>> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let (answer, answered) = oneshot::channel();
        self.shared.change(|inbox| inbox.count.push(answer));
        tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
    }

    /// What the firewall is like now.
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// Does what [`OnStop`] says and waits for the thread's end, at most 3 seconds.
    /// Blocks: not to be called on an async thread.
    pub fn stop(&self) {
        self.shared.change(|inbox| inbox.stop = true);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(STOP_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the firewall did not stop in time; some of guard's rules may be left");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.change(|inbox| inbox.abandoned = !inbox.stop);
    }
}
