//! A jail's rules: everything about it but its filter and its sources.
//!
//! They are kept in the store, so that after a restart a jail's bans stand in
//! the firewall before Docker has even answered.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BanTime, JailName, Network, Policy, ServiceId};

/// A jail, as the warden and the firewall know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailRules {
    /// Its name.
    pub name: JailName,
    /// Whom it protects.
    pub service: ServiceId,
    /// When to ban, and for how long.
    pub limits: Limits,
    /// Addresses that this jail never bans, besides those that no jail bans.
    pub ignore: Vec<IgnoreEntry>,
    /// What a ban closes.
    pub block: BlockRules,
    /// Count and tell, but leave the firewall alone.
    pub dry_run: bool,
    /// What it does beyond counting.
    #[serde(default)]
    pub policy: Policy,
}

/// When a jail bans, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// So many failures…
    pub max_retry: NonZeroU32,
    /// …within this time lead to a ban…
    pub find_time: Duration,
    /// …of this length.
    pub ban_time: BanTime,
}

impl Default for Limits {
    /// fail2ban's stock values: 5 within 10 minutes, banned for 10 minutes.
    fn default() -> Self {
        const MINUTES_10: Duration = Duration::from_secs(600);
        Limits {
            max_retry: NonZeroU32::new(5).expect("5 is not 0"),
            find_time: MINUTES_10,
            ban_time: BanTime::For(MINUTES_10),
        }
    }
}

/// Someone to leave alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IgnoreEntry {
    /// An address or prefix.
    Network(Network),
    /// Every address that a DNS name has.
    Name(String),
    /// What a list in a file holds; its path.
    File(String),
}

/// What a ban closes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRules {
    /// The chains that get a jump to the jail's own chain; never empty.
    pub chains: BTreeSet<Chain>,
    /// The ports that are closed, as the client used them.
    pub ports: Ports,
    /// How a packet is refused.
    pub block_type: BlockType,
}

/// A chain of the kernel's filter table that guard may hook into. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Chain {
    /// Docker's chain for its users' rules: traffic forwarded to containers.
    DockerUser,
    /// Traffic to the host itself, and so to containers with the host's network.
    Input,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Chain::DockerUser => "DOCKER-USER",
            Chain::Input => "INPUT",
        })
    }
}

/// The ports that a ban closes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ports {
    /// All of them, and every protocol.
    All,
    /// These, each for one protocol; never empty.
    Some(BTreeSet<(Protocol, PortRange)>),
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// One port or several in a row; `first <= last`, both at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports `first` to `last`; `None` if there are none or one is 0.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first >= 1 && first <= last).then_some(PortRange { first, last })
    }

    /// The first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub fn last(self) -> u16 {
        self.last
    }
}

impl fmt::Display for PortRange {
    /// As iptables writes it: `80` or `8000:8010`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}:{}", self.first, self.last)
        }
    }
}

/// How a banned client's packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockType {
    /// With ICMP "port unreachable".
    Reject,
    /// Without a word.
    Drop,
    /// TCP with a reset, all else with ICMP "port unreachable".
    TcpReset,
}

impl FromStr for BlockType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "reject" => Ok(BlockType::Reject),
            "drop" => Ok(BlockType::Drop),
            "tcp-reset" => Ok(BlockType::TcpReset),
            _ => Err(()),
        }
    }
}
