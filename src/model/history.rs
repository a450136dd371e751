//! Bans that were.

use serde::{Deserialize, Serialize};

use super::{Ban, JailName, Network, Timestamp};

/// A ban that was lifted before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifting {
    /// The jail that kept it out.
    pub jail: JailName,
    /// Whom.
    pub network: Network,
    /// When it was lifted.
    pub at: Timestamp,
    /// By whom.
    pub by: LiftedBy,
}

/// Who lifts a ban before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiftedBy {
    /// A person: `guardctl unban`, `guardctl flush`.
    Hand,
    /// guard itself: the address is never banned any more.
    NeverBan,
}

/// A ban, as history remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The ban, with the end that it had last.
    #[serde(flatten)]
    pub ban: Ban,
    /// Was its end changed after it began?
    pub prolonged: bool,
    /// The last lines that led to it, oldest first, as far as they were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// When it was lifted, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Timestamp>,
    /// Who lifted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_by: Option<LiftedBy>,
}

/// Which bans of history are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only those that hold this, or lie in it.
    pub network: Option<Network>,
    /// Only those of this jail.
    pub jail: Option<JailName>,
    /// Only those that began at this moment or later.
    pub since: Option<Timestamp>,
    /// At most so many: the newest.
    pub limit: usize,
}

/// What history says to a [`HistoryQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastBans {
    /// The bans, newest last.
    pub entries: Vec<HistoryEntry>,
    /// How many more there are, older than those.
    pub more: u64,
    /// How often each network among them was banned, in all jails, as far as is remembered.
    pub times: Vec<(Network, u64)>,
}
