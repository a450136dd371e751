//! The words of `why`: everything that guard knows of an address or prefix.

use serde::{Deserialize, Serialize};

use super::{BanView, Times, ban_time};
use crate::model::{BanTime, HistoryEntry, JailName, Network, Timestamp};

/// What is known of an address or prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Of whom.
    pub network: Network,
    /// guard's clock.
    pub now: Timestamp,
    /// The jails that know something of it.
    pub jails: Vec<KnownIn>,
    /// How many jails there are.
    pub all_jails: u64,
    /// Its newest bans that were, newest last.
    pub history: Vec<HistoryEntry>,
    /// How many older ones there are.
    pub more: u64,
    /// How often each network among them was banned.
    pub times: Vec<Times>,
    /// Why the newest may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a jail knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownIn {
    /// The jail.
    pub jail: JailName,
    /// Its service.
    pub service: String,
    /// So many failures…
    pub maxretry: u32,
    /// …within so many seconds…
    pub findtime: u64,
    /// …are a ban of so many seconds, -1: for ever.
    #[serde(with = "ban_time")]
    pub bantime: BanTime,
    /// Does it only count and tell?
    pub dry_run: bool,
    /// Why it is never banned, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<Never>,
    /// The bans on it that stand.
    pub bans: Vec<BanView>,
    /// Further ones.
    #[serde(default)]
    pub more_bans: u64,
    /// Whose failures count now.
    pub failing: Vec<FailingView>,
    /// Further ones.
    #[serde(default)]
    pub more_failing: u64,
    /// Failures up to this moment don't count any more: a ban or an unban has used them up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgiven_until: Option<Timestamp>,
    /// How often the jail banned it, as far as that makes its next ban longer.
    pub earlier_bans: u32,
    /// The last lines of it that matched, oldest first, as far as they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineOf>,
}

/// Why somebody is never banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Never {
    /// The entry that says so.
    pub entry: Network,
    /// What it is: `in GUARD_IGNOREIP (10.0.0.0/8)`.
    pub reason: String,
    /// What to do to have it banned.
    pub remedy: String,
}

/// Somebody whose failures count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingView {
    /// Whom they count for.
    pub network: Network,
    /// When they were, oldest first.
    pub times: Vec<Timestamp>,
    /// So many more lead to a ban…
    pub needed: u32,
    /// …until this moment.
    pub until: Timestamp,
    /// Why a ban that is due does not come yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineOf {
    /// Who is in it.
    pub network: Network,
    /// Its text, cut.
    pub line: String,
}
