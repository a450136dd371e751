//! The words of status: everything that `guardctl status` can show.
//!
//! The daemon fills these in; texts in them are for people and may hold
//! anything a log or a label held, so whoever prints them escapes them.

use serde::{Deserialize, Serialize};

use super::{TargetView, ban_time};
use crate::model::{
    Ban, BanOrigin, BanTime, BlockType, IgnoreEntry, JailName, JailRules, Network, Ports,
    Timestamp, Until, Written,
};

/// How everything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// guard's version.
    pub guard: String,
    /// Seconds since guard started.
    pub uptime: u64,
    /// The Docker engine.
    pub engine: EngineView,
    /// The firewall.
    pub firewall: FirewallView,
    /// The store.
    pub store: StoreView,
    /// Where notices go.
    #[serde(default)]
    pub notices: Vec<TargetView>,
    /// Where the metrics are; `null`: nobody asked for them.
    #[serde(default)]
    pub metrics: Option<Box<MetricsView>>,
    /// The jails, by name.
    pub jails: Vec<JailSummary>,
    /// Labels that make no jail until they are mended.
    pub refused: Vec<Refusal>,
    /// What else people should know, a sentence each.
    pub notes: Vec<String>,
}

/// How it is with the Docker engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineView {
    /// Does guard see what happens in it?
    pub connected: bool,
    /// Which engine it is, or why it is lost and what to do.
    pub words: String,
}

/// How it is with the firewall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallView {
    /// By what means bans are made, such as `ipset, iptables-nft`.
    pub backend: String,
    /// Is the wanted state in the kernel?
    pub healthy: bool,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
    /// How often something of guard's was put back.
    pub repairs: u64,
    /// How often guard looked at once because another program changed nftables' rules.
    #[serde(default)]
    pub heard: u64,
}

/// How it is with the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreView {
    /// The database.
    pub path: String,
    /// Do changes reach the disk?
    pub healthy: bool,
    /// Why not, and what to do.
    pub problem: Option<String>,
    /// Bans left out of the history because too many waited for the disk.
    #[serde(default)]
    pub dropped_history: u64,
}

/// Where the metrics are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsView {
    /// Where they are asked for.
    pub address: String,
    /// Why they can't be, and what to do; tried again.
    pub problem: Option<String>,
    /// What should be known of it.
    pub warning: Option<String>,
}

/// A jail in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailSummary {
    /// Its name.
    pub name: JailName,
    /// The service that it protects.
    pub service: String,
    /// Does it watch?
    pub state: JailState,
    /// Failures found since it was made.
    pub found: u64,
    /// Addresses with failures that count now.
    pub failed_now: u64,
    /// Bans that stand now.
    pub banned_now: u64,
    /// Bans made since it was made.
    pub banned_total: u64,
    /// What is wrong with it, a sentence each.
    pub warnings: Vec<String>,
    /// Does it only count and tell?
    pub dry_run: bool,
    /// What it reads.
    #[serde(default)]
    pub sources: Vec<SourceStatus>,
    /// The packets that came by its rules; `null`: none were counted.
    #[serde(default)]
    pub packets: Option<JailPackets>,
}

/// Packets that came to a jail's rules since guard last wrote them, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailPackets {
    /// IPv4's.
    pub ipv4: Packets,
    /// IPv6's.
    pub ipv6: Packets,
}

/// Packets that came to a jail's rules. A jail with ports sees only those of its ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packets {
    /// From banned clients, and refused.
    pub refused: u64,
    /// To banned clients, in connections that they had opened, and dropped.
    pub replies_dropped: u64,
    /// Of everybody else.
    pub passed: u64,
}

/// What a jail does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JailState {
    /// It reads its sources.
    Watching,
    /// No container has it any more; its bans run out.
    NoContainers,
    /// Its labels can't be: nothing is followed, and its bans run out.
    Refused,
}

/// A label that can't be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The container's name.
    pub container: String,
    /// The label.
    pub label: String,
    /// The complaint with the place shown, several lines.
    pub complaint: String,
}

/// Everything about one jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailStatus {
    /// Its name.
    pub name: JailName,
    /// The service that it protects.
    pub service: String,
    /// Does it watch?
    pub state: JailState,
    /// What it reads.
    pub sources: Vec<SourceStatus>,
    /// Addresses with failures that count now.
    pub failed_now: u64,
    /// Failures found since it was made.
    pub found_total: u64,
    /// Bans that stand now.
    pub banned_now: u64,
    /// Bans made since it was made.
    pub banned_total: u64,
    /// The bans that stand, oldest first.
    pub banned: Vec<BanView>,
    /// What its labels came to.
    pub options: Options,
    /// Each option as it was written, and where; empty: no labels made the jail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<Written>,
    /// Its chain in the firewall; none: it has none (yet, or in a dry run).
    pub firewall_chain: Option<String>,
    /// The packets that came by its rules; `null`: none were counted.
    #[serde(default)]
    pub packets: Option<JailPackets>,
    /// What is wrong, a sentence each: hidden clients with the cure, zones, sources, store.
    pub warnings: Vec<String>,
    /// What was dropped for want of room.
    pub dropped: Vec<Counter>,
}

/// A source of a jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// As people call it: a container's name, or a path as the container has it.
    pub shown: String,
    /// What it is.
    pub kind: SourceKind,
    /// Is it read?
    pub state: SourceState,
    /// Why not, and what to do.
    pub reason: Option<String>,
    /// Bytes of a file not read yet, as far as that is known.
    pub behind: u64,
    /// Age of the last line that was judged, while newer ones wait; of a file without
    /// dates, since when they wait. 0: all that there is was judged.
    #[serde(default)]
    pub behind_seconds: u64,
    /// Lines of an output judged since guard began to read it.
    #[serde(default)]
    pub lines: u64,
    /// Why an output can't be read at the moment; it is tried again.
    #[serde(default)]
    pub trouble: Option<String>,
    /// How often what was to be read next was gone: the engine had dropped it, or a
    /// file was not to be found any more.
    #[serde(default)]
    pub gaps: u64,
    /// How often an output's timestamps went back: the clock was set.
    #[serde(default)]
    pub clock_steps: u64,
    /// Bytes cut off lines that were too long.
    #[serde(default)]
    pub cut_bytes: u64,
    /// How many lines of a file those were.
    #[serde(default)]
    pub cut_lines: u64,
}

impl SourceStatus {
    /// A source that is read, and of which nothing else is to be told.
    pub fn new(shown: String, kind: SourceKind) -> Self {
        SourceStatus {
            shown,
            kind,
            state: SourceState::Following,
            reason: None,
            behind: 0,
            behind_seconds: 0,
            lines: 0,
            trouble: None,
            gaps: 0,
            clock_steps: 0,
            cut_bytes: 0,
            cut_lines: 0,
        }
    }
}

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A container's output.
    Output,
    /// A file.
    File,
    /// The host's journal, shown by the terms.
    Journal,
}

/// What goes on with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It is read.
    Following,
    /// It is not there now.
    Waiting,
    /// guard won't or can't read it.
    Refused,
}

/// A ban, and whether it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanView {
    /// The jail.
    pub jail: JailName,
    /// Whom.
    pub network: Network,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `null`: for ever.
    pub until: Until,
    /// Who asked for it.
    pub origin: BanOrigin,
    /// How many failures led to it.
    pub failures: u32,
    /// Is it in the kernel?
    pub in_force: InForce,
}

impl BanView {
    /// The view of a ban.
    pub fn new(ban: &Ban, in_force: InForce) -> BanView {
        BanView {
            jail: ban.jail.clone(),
            network: ban.network,
            since: ban.since,
            until: ban.until,
            origin: ban.origin,
            failures: ban.failures,
            in_force,
        }
    }
}

/// Is a ban in the kernel?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InForce {
    /// Yes.
    Yes,
    /// Not yet.
    Pending,
    /// Never: the jail is a dry run.
    DryRun,
}

/// The options of a jail that are in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// So many failures…
    pub maxretry: u32,
    /// …within so many seconds…
    pub findtime: u64,
    /// …lead to a ban of so many seconds, -1: for ever.
    #[serde(with = "ban_time")]
    pub bantime: BanTime,
    /// Whom it never bans, besides those that no jail bans.
    pub ignoreip: Vec<String>,
    /// What a ban closes: `all`, or `tcp/80`, `udp/8000:8010`, ….
    pub port: Vec<String>,
    /// The chains with a jump to the jail's own.
    pub chain: Vec<String>,
    /// How a packet is refused.
    pub blocktype: String,
    /// Does it only count and tell?
    pub dryrun: bool,
}

impl From<&JailRules> for Options {
    fn from(rules: &JailRules) -> Options {
        Options {
            maxretry: rules.limits.max_retry.get(),
            findtime: rules.limits.find_time.as_secs(),
            bantime: rules.limits.ban_time,
            ignoreip: rules.ignore.iter().map(ignored).collect(),
            port: match &rules.block.ports {
                Ports::All => vec!["all".into()],
                Ports::Some(ports) => {
                    ports.iter().map(|(protocol, range)| format!("{protocol}/{range}")).collect()
                }
            },
            chain: rules.block.chains.iter().map(ToString::to_string).collect(),
            blocktype: match rules.block.block_type {
                BlockType::Reject => "reject",
                BlockType::Drop => "drop",
                BlockType::TcpReset => "tcp-reset",
            }
            .into(),
            dryrun: rules.dry_run,
        }
    }
}

fn ignored(entry: &IgnoreEntry) -> String {
    match entry {
        IgnoreEntry::Network(network) => network.to_string(),
        IgnoreEntry::Name(name) => name.clone(),
        IgnoreEntry::File(path) => format!("file:{path}"),
    }
}

/// How often something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// What, in words: "addresses forgotten because too many are tracked".
    pub what: String,
    /// How often.
    pub count: u64,
}
