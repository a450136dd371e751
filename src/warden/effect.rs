//! What goes into the warden besides failures, and what comes out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ignore::Exempt;
use crate::model::{
    Ban, BanTime, Event, IgnoreEntry, JailName, JailRules, Network, News, Record, Timestamp, Until,
};

/// What is set once, at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// At most so many addresses are counted in each jail.
    pub track_max: usize,
    /// Whom no jail bans (`GUARD_IGNOREIP`).
    pub ignore: Vec<IgnoreEntry>,
    /// Proxies whose word is taken for their clients' addresses (`GUARD_TRUSTED_PROXIES`).
    pub trusted_proxies: Vec<IgnoreEntry>,
    /// The ports of the host's sshd: a ban that closes one waits for those who are logged in.
    pub ssh_ports: BTreeSet<u16>,
    /// Are the subnets of Docker's networks never banned? Their gateways never are.
    pub ignore_docker: bool,
    /// How long an address that logged in is left alone by the jail that saw it
    /// (`GUARD_PARDON`); 0: not at all.
    pub pardon: Duration,
    /// So many bans may a jail begin within a minute (`GUARD_BAN_BURST`); 0: any number.
    pub ban_burst: u32,
    /// How long an offender is remembered after his last ban is over (`GUARD_HISTORY`).
    pub history: Duration,
    /// The built-in jail for those whom other jails banned (`GUARD_RECIDIVE`), if there is to be one.
    pub recidive: Option<Arc<JailRules>>,
    /// Any number that nobody can guess: what is left to chance comes from it.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            track_max: 200_000,
            ignore: Vec::new(),
            trusted_proxies: Vec::new(),
            ssh_ports: BTreeSet::from([22]),
            ignore_docker: true,
            pardon: Duration::from_secs(600),
            ban_burst: 200,
            history: Duration::from_secs(90 * 86_400),
            recidive: None,
            seed: 0,
        }
    }
}

/// What the world must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Firewall: make the jail's chain and sets, or bring them to these rules.
    Install(Arc<JailRules>),
    /// Firewall: take away the jail's chain and sets, and the bans in them.
    Uninstall(JailName),
    /// Firewall: keep this network out; again with another end where it is out already.
    Block(Ban),
    /// Firewall: let it in.
    Release(JailName, Network),
    /// Store: this must survive.
    Remember(Record),
    /// People may want to know.
    Tell(Event),
}

/// What the firewall says of bans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The kernel has them.
    pub in_force: Vec<(JailName, Network)>,
    /// They could not be set, and are tried again.
    pub held_back: Vec<(JailName, Network)>,
}

/// A ban in the kernel that nobody ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBan {
    /// The jail in whose set it is.
    pub jail: JailName,
    /// Whom it keeps out.
    pub network: Network,
    /// When the kernel will drop it.
    pub until: Until,
}

/// `guardctl ban`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRequest {
    /// Whom.
    pub networks: Vec<Network>,
    /// Where; the built-in jail for bans by hand if not said.
    pub jail: Option<JailName>,
    /// For how long; the jail's own time if not said, for ever in the built-in jail.
    pub time: Option<BanTime>,
    /// Even those who are never banned, and prefixes of any length.
    pub force: bool,
}

/// Why a ban by hand is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanRefusal {
    /// It would hit an address that is never banned.
    #[error("{} (--force bans it all the same)", never_ban(*network, exempt))]
    NeverBan {
        /// What was asked for.
        network: Network,
        /// Whom it would hit.
        exempt: Exempt,
    },
    /// A prefix that holds too much of the internet.
    #[error(
        "{network} is wider than /{shortest}: that can hardly be meant (--force bans it all the same)"
    )]
    TooWide {
        /// What was asked for.
        network: Network,
        /// The shortest prefix length that needs no force.
        shortest: u8,
    },
    /// There is no such jail.
    #[error(transparent)]
    NoSuchJail(#[from] NoSuchJail),
    /// A ban of no length.
    #[error("a ban of {0} for no time at all would be over at once")]
    NoTime(Network),
}

impl BanRefusal {
    /// The same without a word on `--force`.
    pub fn reason(&self) -> String {
        match self {
            BanRefusal::NeverBan { network, exempt } => never_ban(*network, exempt),
            BanRefusal::TooWide { network, shortest } => {
                format!("{network} is wider than /{shortest}: that can hardly be meant")
            }
            BanRefusal::NoSuchJail(_) | BanRefusal::NoTime(_) => self.to_string(),
        }
    }
}

/// There is no jail of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no jail {0}")]
pub struct NoSuchJail(pub JailName);

fn never_ban(network: Network, exempt: &Exempt) -> String {
    let entry = exempt.entry;
    if entry.length() > network.length() {
        format!("{network} would shut out {entry}, which is {exempt}")
    } else {
        format!("{network} is never banned: it is {exempt}")
    }
}

/// `guardctl unban`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnbanRequest {
    /// Whom.
    pub which: UnbanWhich,
    /// Where; everywhere if not said.
    pub jail: Option<JailName>,
}

/// Whose bans are lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnbanWhich {
    /// Those of these addresses and prefixes, and of all that lies inside the prefixes.
    Networks(Vec<Network>),
    /// All.
    All,
}

/// What became of an [`UnbanRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unbanned {
    /// The bans that were lifted.
    pub lifted: Vec<Ban>,
    /// Those that stay out, because a wider prefix is banned.
    pub covered: Vec<Covered>,
    /// Those whom no jail in question kept out.
    pub not_banned: Vec<Network>,
}

/// An address that stays out because a prefix that holds it is banned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{network} lies in {prefix}, which is banned in {jail}: unban {prefix} to let it in")]
pub struct Covered {
    /// Who was to be let in.
    pub network: Network,
    /// The jail.
    pub jail: JailName,
    /// The prefix that is banned there.
    pub prefix: Network,
}

/// Effects on their way out, in order.
#[derive(Debug, Default)]
pub(super) struct Effects(VecDeque<Effect>);

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.0.push_back(effect);
    }

    pub(super) fn remember(&mut self, record: Record) {
        self.push(Effect::Remember(record));
    }

    pub(super) fn tell(&mut self, at: Timestamp, news: News) {
        self.push(Effect::Tell(Event { at, news }));
    }

    pub(super) fn next(&mut self) -> Option<Effect> {
        let next = self.0.pop_front();
        // A burst (all bans at start, all lifted) need not hold its memory for ever.
        if self.0.is_empty() && self.0.capacity() > 65_536 {
            self.0 = VecDeque::new();
        }
        next
    }
}
