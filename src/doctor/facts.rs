//! All that the doctor judges by.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::model::{
    ContainerCheckup, EngineCheckup, JailRules, MountKind, Network, OwnPlatform, Timestamp,
};

/// The patient.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When it was looked at.
    pub now: Timestamp,
    /// The engine, or why it does not answer and what to do.
    pub engine: Result<EngineCheckup, String>,
    /// guard's process, or that of who looks in its place.
    pub process: Process,
    /// guard's own container; `None`: it runs on the host, or it is not known.
    pub own: Option<ContainerCheckup>,
    /// The containers with guard's labels.
    pub guarded: Vec<ContainerCheckup>,
    /// All ports of the host that lead to containers.
    pub published: Vec<crate::model::PublishedPort>,
    /// Is IPv6 left alone because somebody said so (`GUARD_IPV6=off`)?
    pub no_ipv6: bool,
    /// What only a running guard knows; `None`: none answers.
    pub running: Option<Running>,
}

/// A process, as the kernel shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// What it runs in.
    pub platform: OwnPlatform,
    /// Its effective capabilities, a bit each; `None`: not known.
    pub capabilities: Option<u64>,
    /// Files that it may have open, and has.
    pub files: Option<(u64, u64)>,
    /// inotify instances that its user may have.
    pub inotify: Option<u64>,
    /// The folder of the database.
    pub data: Data,
    /// The file by which iptables' legacy tools wait for each other.
    pub lock_file: String,
    /// Mounts of its own that don't show what is mounted below them later.
    pub private_mounts: Vec<String>,
}

/// The folder of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// Its path.
    pub path: String,
    /// The kind of file system that it lies on, such as `ext4`; `None`: not known.
    pub file_system: Option<String>,
    /// Bytes that can still be written there.
    pub free: Option<u64>,
    /// Bytes of the database.
    pub size: Option<u64>,
}

/// What a running guard knows.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Have all containers been told?
    pub all_told: bool,
    /// Do its rules stay in the kernel when it stops (`GUARD_ON_STOP=keep`)?
    pub keeps_rules: bool,
    /// How bans are made, such as `ipset, iptables-nft`.
    pub firewall: String,
    /// What is wrong with the firewall.
    pub firewall_problems: Vec<String>,
    /// What is worth knowing of it.
    pub firewall_notes: Vec<String>,
    /// How often something of guard's was put back.
    pub repairs: u64,
    /// What is wrong with the database.
    pub store_problem: Option<String>,
    /// What was wrong with it at the start.
    pub store_notes: Vec<String>,
    /// Where the metrics are, if anybody asked for them.
    pub metrics: Option<Metrics>,
    /// Labels that make no jail: container, and the complaint.
    pub refused: Vec<(String, String)>,
    /// What is wrong with names and lists.
    pub lists: Vec<String>,
    /// The jails.
    pub jails: Vec<JailFacts>,
}

/// Where the metrics are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where they are asked for.
    pub address: String,
    /// Why they can't be, and what to do.
    pub problem: Option<String>,
    /// What others can do.
    pub warning: Option<String>,
}

/// A jail.
#[derive(Clone, Debug)]
pub struct JailFacts {
    /// Its rules.
    pub rules: Arc<JailRules>,
    /// Is it one that a container asks for?
    pub live: bool,
    /// Failures found since it was made.
    pub found: u64,
    /// Bans that are not in the kernel.
    pub pending: usize,
    /// Clients whose address is hidden: what is wrong, and the cure.
    pub hidden: Vec<(String, String)>,
    /// Banned addresses that reach its service all the same.
    pub reaching: Vec<Network>,
    /// What else is wrong, a sentence each.
    pub warnings: Vec<String>,
    /// Files that are awaited, as `path in container`.
    pub awaited: Vec<String>,
    /// Has it any source?
    pub has_sources: bool,
    /// The last lines of its sources, tried again.
    pub probe: Option<Probe>,
}

/// The last lines of a jail's sources, tried anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Whose they are: containers or files.
    pub sources: Vec<String>,
    /// How many there were.
    pub lines: u64,
    /// How many of them are failures or part of one, or are ignored on purpose.
    pub matched: u64,
    /// A line that is none but looks like one.
    pub missed: Option<Missed>,
    /// How many of those there were.
    pub suspicious: u64,
}

/// A line that looks like a failure and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The line, cut.
    pub line: String,
    /// The regex that came nearest, and where it stopped.
    pub near: Option<String>,
}

/// Does a mount's kind mean that what is written there stays?
pub(super) fn stays(kind: MountKind) -> bool {
    match kind {
        MountKind::Bind | MountKind::Volume => true,
        MountKind::Other => false,
    }
}

/// So much may the clocks differ.
pub(super) const CLOCK: SignedDuration = SignedDuration::from_secs(2);
