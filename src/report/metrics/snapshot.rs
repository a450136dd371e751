//! Everything that is told, as it was at one moment.

use std::collections::BTreeMap;

use super::ledger::{JailCounters, Latency, Ledger};
use super::process::Process;
use super::sources::SourceKind;

/// What a jail does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JailState {
    /// It watches.
    Watching,
    /// No container has it any more; its bans run out.
    NoContainers,
}

impl JailState {
    /// All of them.
    pub const ALL: [JailState; 2] = [JailState::Watching, JailState::NoContainers];

    /// The word in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            JailState::Watching => "watching",
            JailState::NoContainers => "no_containers",
        }
    }
}

/// What goes on with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It is read.
    Following,
    /// It is not there now.
    Waiting,
    /// guard won't or can't read it.
    Refused,
    /// Its reader died, of a defect of guard's.
    Died,
}

impl SourceState {
    /// All of them.
    pub const ALL: [SourceState; 4] =
        [SourceState::Following, SourceState::Waiting, SourceState::Refused, SourceState::Died];

    /// The word in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceState::Following => "following",
            SourceState::Waiting => "waiting",
            SourceState::Refused => "refused",
            SourceState::Died => "died",
        }
    }
}

/// What is looked at of a jail; of several that share a label, the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JailFigures {
    /// Addresses with failures that count now.
    pub failing: u64,
    /// Bans that stand.
    pub active: u64,
    /// Those that the kernel is to have: all but dry runs'.
    pub wanted: u64,
    /// Those that it has.
    pub in_force: u64,
    /// Bans that wait because the jail began too many within a minute.
    pub held_back: u64,
    /// Banned addresses that reach the service all the same.
    pub reaching: u64,
    /// Addresses in the log that stand for clients who can't be told apart.
    pub hidden: u64,
    /// How many are dry runs.
    pub dry_run: u64,
}

impl JailFigures {
    /// Adds those of another jail.
    pub fn add(&mut self, other: &JailFigures) {
        let JailFigures { failing, active, wanted, in_force, .. } = other;
        self.failing += failing;
        self.active += active;
        self.wanted += wanted;
        self.in_force += in_force;
        self.held_back += other.held_back;
        self.reaching += other.reaching;
        self.hidden += other.hidden;
        self.dry_run += other.dry_run;
    }
}

/// What is looked at of a jail's sources of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFigures {
    /// How many there are in each of [`SourceState::ALL`].
    pub states: [u64; SourceState::ALL.len()],
    /// Seconds by which the last of them is behind.
    pub lag: u64,
    /// Bytes of files, or entries of the journal, not read yet.
    pub unread: u64,
}

/// What was counted of a jail's sources of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) lines: u64,
    pub(super) given_up: u64,
    pub(super) nobody: u64,
    pub(super) gaps: u64,
    pub(super) cut_lines: u64,
    pub(super) cut_bytes: u64,
    pub(super) clock_steps: u64,
    pub(super) starts: u64,
}

/// The firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// By what means bans are made, such as `ipset, iptables-nft`; empty: not known yet.
    pub backend: String,
    /// Is the wanted state in the kernel?
    pub healthy: bool,
    /// How many things are wrong.
    pub problems: u64,
    /// How often something was put back.
    pub repairs: u64,
    /// How often others' changes were heard of.
    pub heard: u64,
}

/// The engine, and what is known by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Does guard see what happens in it?
    pub connected: bool,
    /// Labels that make no jail until they are mended.
    pub refused_labels: u64,
}

/// The database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Do changes reach the disk?
    pub healthy: bool,
    /// Lines of history dropped because too many waited for the disk.
    pub dropped_history: u64,
    /// Bytes of its file.
    pub size: Option<u64>,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// guard's version.
    pub version: String,
    /// How many jails there are in each of [`JailState::ALL`].
    pub jail_states: [u64; JailState::ALL.len()],
    /// What is looked at, by label.
    pub jails: BTreeMap<String, JailFigures>,
    /// The same of sources.
    pub sources: BTreeMap<(String, SourceKind), SourceFigures>,
    /// The firewall.
    pub firewall: Firewall,
    /// The engine.
    pub engine: Engine,
    /// The database.
    pub database: Database,
    /// The process.
    pub process: Process,
    /// What was counted.
    pub counted: Counted,
}

/// What a [`Ledger`] held.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    pub(super) jails: BTreeMap<String, JailCounters>,
    pub(super) read: BTreeMap<(String, SourceKind), Read>,
    pub(super) latency: Latency,
}

impl Counted {
    /// What it holds now.
    pub fn of<T: Copy>(ledger: &Ledger<T>) -> Counted {
        let mut counted = Counted { latency: ledger.latency().clone(), ..Counted::default() };
        for (jail, counters) in ledger.jails() {
            counted.jails.insert(jail.to_string(), counters.clone());
        }
        if let Some(others) = ledger.others() {
            counted.jails.insert(super::OTHERS.to_owned(), others.clone());
        }
        for (jail, kind, counters) in ledger.read() {
            let read = Read {
                lines: counters.lines.get(),
                given_up: counters.given_up.get(),
                nobody: counters.nobody.get(),
                gaps: counters.gaps.get(),
                cut_lines: counters.cut_lines.get(),
                cut_bytes: counters.cut_bytes.get(),
                clock_steps: counters.clock_steps.get(),
                starts: counters.starts.get(),
            };
            counted.read.insert((jail.to_owned(), kind), read);
        }
        counted
    }
}
