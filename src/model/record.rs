//! What must survive a restart, as changes to it.
//!
//! Every record but those of history says what *is*, not what changed, so
//! that a newer one replaces an older one that was not written yet: a slow disk
//! costs memory for each thing that is remembered, never for each time it changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Address, Ban, JailName, JailRules, Lifting, Network, Offence, Progress, SourceId, Timestamp,
};

/// A change to what is remembered. Those that belong together are handed to the
/// store together and written in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The jail exists, with these rules and totals.
    Jail(JailMemory),
    /// The jail is gone, and all that belongs to it except its history.
    JailGone(JailName),
    /// The ban stands.
    Ban(Ban),
    /// The ban does not stand any more.
    BanGone(JailName, Network),
    /// A ban began, or one that began at this moment ends at another: its line of history.
    History(Ban),
    /// The last lines that led to a ban, which began at this moment; few and cut.
    Lines {
        /// The jail.
        jail: JailName,
        /// Whom it banned.
        network: Network,
        /// When the ban began.
        since: Timestamp,
        /// The lines, oldest first.
        lines: Vec<Box<str>>,
    },
    /// A ban was lifted before its end: what is added to its line of history.
    Lifted(Lifting),
    /// The failures of an address or prefix that still count, oldest first; none: forget it.
    Failures(JailName, Network, Vec<Timestamp>),
    /// Failures of the address (or of every address in the prefix) at or before this time
    /// never count again.
    Floor(JailName, Network, Timestamp),
    /// The floor is not needed any more.
    FloorGone(JailName, Network),
    /// So often the jail banned the network. It outlives the jail.
    Offence(JailName, Network, Offence),
    /// That is forgotten.
    OffenceGone(JailName, Network),
    /// How far the jail has come in a source.
    Progress(JailName, SourceId, Progress),
    /// The source is gone for good.
    SourceGone(JailName, SourceId),
    /// The addresses of all names that are left alone, as DNS last had them.
    Names(BTreeMap<String, Vec<Address>>),
}

/// A jail, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JailMemory {
    /// Its rules when it was last seen.
    pub rules: Arc<JailRules>,
    /// Failures found since it was made.
    pub found: u64,
    /// Bans made since it was made.
    pub banned: u64,
}

/// All that was remembered, read once at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The jails.
    pub jails: Vec<JailMemory>,
    /// The bans that stood; some may be over by now.
    pub bans: Vec<Ban>,
    /// The failures that counted, oldest first in each.
    pub failures: Vec<(JailName, Network, Vec<Timestamp>)>,
    /// The floors.
    pub floors: Vec<(JailName, Network, Timestamp)>,
    /// Who was banned how often, in the order in which the last bans end.
    pub offences: Vec<(JailName, Network, Offence)>,
    /// How far each source was judged.
    pub progress: Vec<(JailName, SourceId, Progress)>,
    /// The addresses that names had.
    pub names: BTreeMap<String, Vec<Address>>,
}
