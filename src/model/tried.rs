//! What would have come of a log: the answer to `guardctl try`.

use serde::{Deserialize, Serialize};

use super::{Ban, JailName, Network, Timestamp};

/// What would have come of what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The jails, by name.
    pub jails: Vec<TriedJail>,
    /// The bans, as they would have begun.
    pub bans: Vec<TriedBan>,
    /// How many more there would have been, later ones.
    pub more_bans: u64,
    /// Who failed and is never banned, most failures first.
    pub never: Vec<TriedNever>,
    /// What people should know: what could not be read, what was left out.
    pub notes: Vec<String>,
}

/// One jail's share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedJail {
    /// The jail.
    pub name: JailName,
    /// Failures within so many seconds count together…
    pub find_time: u64,
    /// …and so many are a ban.
    pub max_retry: u32,
    /// Lines that were read.
    pub lines: u64,
    /// Failures among them.
    pub failures: u64,
    /// The first and the last of them.
    pub first: Option<Timestamp>,
    /// The last of them.
    pub last: Option<Timestamp>,
    /// Whose failures they were: so many addresses.
    pub addresses: u64,
    /// How often it would have banned.
    pub bans: u64,
    /// How many addresses.
    pub banned: u64,
    /// Failures of addresses that are never banned.
    pub ignored: u64,
    /// Failures that name no address.
    pub nobody: u64,
}

/// A ban that would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedBan {
    /// The ban, with the end that it would have had last.
    #[serde(flatten)]
    pub ban: Ban,
    /// Did later failures prolong it?
    pub prolonged: bool,
    /// The jail only counts and tells.
    pub dry_run: bool,
    /// The last lines that led to it, oldest first, cut.
    pub lines: Vec<String>,
}

/// Somebody who failed and is never banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedNever {
    /// The jail.
    pub jail: JailName,
    /// Who.
    pub network: Network,
    /// How many failures.
    pub failures: u64,
    /// Why not.
    pub reason: String,
}
