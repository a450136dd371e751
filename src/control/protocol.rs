//! Requests and replies, as they travel: JSON, one object a line.
//!
//! ```text
//! → {"version":1,"request":"ban","networks":["192.0.2.7"],"jail":"web","time":3600}
//! ← {"version":1,"reply":"ban","banned":[…],"refused":[]}
//! ```
//!
//! A client may send several requests, one after the other; each gets one reply
//! line, `watch` any number, among them empty lines that only say that guard
//! lives. A line of another version is refused with a clear word, never guessed
//! at. Within a version fields are only added, and unknown ones are skipped.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fail2ban;
use crate::model::{
    BanTime, Event, Finding, ForeignBan, HistoryEntry, JailName, Level, Network, Suggestion,
    Timestamp, Tried,
};

mod backup;
mod bytes;
mod notify;
mod status;
mod why;

pub use backup::{BackedUp, RestoredView};
pub use notify::{NotifyTried, TargetView};
pub use why::{FailingView, Known, KnownIn, LineOf, Never};

pub use status::{
    BanView, Counter, EngineView, FirewallView, InForce, JailPackets, JailState, JailStatus,
    JailSummary, MetricsView, Options, Overview, Packets, Refusal, SourceKind, SourceState,
    SourceStatus, StoreView,
};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// Longest request, in bytes without the line end.
pub const MAX_REQUEST: usize = 1 << 20;

/// Most networks in one request; clients split longer lists.
pub const MAX_NETWORKS: usize = 100_000;

/// Most bans of history in one reply.
pub const MAX_HISTORY: u32 = 10_000;

/// Longest name of a jail or service in a request, in bytes. A name is compared
/// with those that exist, so this bounds no more than memory.
const MAX_NAME: usize = 256;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Is guard there, and is what it wants in the kernel?
    Ping,
    /// Which guard is it?
    Version,
    /// How is everything, or one jail?
    Status {
        /// The jail's name, or its service's where only one jail has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jail: Option<String>,
    },
    /// Who is banned?
    Banned {
        /// Only bans that cover or lie in this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<Network>,
    },
    /// Ban these.
    Ban {
        /// Whom.
        networks: Vec<Network>,
        /// In which jail; none: `manual`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jail: Option<String>,
        /// For how long, in seconds, -1 for ever; none: as the jail does.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_ban_time")]
        time: Option<BanTime>,
        /// Also those that guard never bans by itself.
        #[serde(default)]
        force: bool,
    },
    /// Take over bans of fail2ban's, each with its own end.
    ImportBans {
        /// Into which jail.
        jail: String,
        /// Which.
        bans: Vec<ForeignBan>,
    },
    /// Lift bans.
    Unban {
        /// Which.
        which: Which,
        /// Only in this jail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jail: Option<String>,
    },
    /// Lift every ban of every jail.
    Flush,
    /// Who was banned?
    History {
        /// Only bans that cover or lie in this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<Network>,
        /// Only of this jail; it may be gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jail: Option<String>,
        /// Only bans that began at this moment or later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        /// At most so many, the newest; never more than [`MAX_HISTORY`].
        limit: u32,
    },
    /// What is known of somebody, and why is he in or out?
    Why {
        /// Of whom.
        network: Network,
    },
    /// What would have come of what is still there of a service's log?
    Try {
        /// A service, a container or a jail.
        service: String,
        /// Options (name without the prefix, value) in place of those in its labels.
        #[serde(default)]
        options: Vec<(String, String)>,
        /// Failures before this don't count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    /// What keeps guard from doing its work?
    Doctor,
    /// Which containers could be guarded, and are not?
    Suggest,
    /// Give a copy of all that is remembered.
    Backup,
    /// Here is a piece of such a copy.
    Upload {
        /// Where in it the piece begins; 0 begins another copy.
        at: u64,
        /// The piece, in Base64.
        #[serde(with = "bytes")]
        piece: Vec<u8>,
    },
    /// Return to what the copy says that was sent.
    Restore {
        /// How long it is.
        bytes: u64,
    },
    /// Send a test to the targets of notices.
    Notify {
        /// Only to the one of this name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
    /// Tell what happens from now on.
    Watch,
    /// fail2ban's words: `set web unbanip 192.0.2.7`.
    Fail2ban {
        /// The words.
        words: Vec<String>,
    },
}

/// Which bans to lift: `"all"` or `{"networks":[…]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All of them.
    All,
    /// Those of these, and single addresses inside them.
    Networks(Vec<Network>),
}

/// What guard answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Ping`].
    Pong(Health),
    /// To [`Request::Version`].
    Version {
        /// guard's version.
        guard: String,
    },
    /// To [`Request::Status`] without a jail.
    Status(Overview),
    /// To [`Request::Status`] with one.
    Jail(Box<JailStatus>),
    /// To [`Request::Banned`].
    Banned {
        /// What was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<Network>,
        /// The bans, oldest first.
        bans: Vec<BanView>,
    },
    /// To [`Request::Ban`].
    Ban {
        /// The bans that stand now.
        banned: Vec<BanView>,
        /// Those that were refused.
        refused: Vec<BanRefused>,
        /// Why the bans would not survive a restart; none: they are on disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only_in_memory: Option<String>,
        /// Why the kernel may not have them yet; none: it was tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_in_kernel: Option<String>,
    },
    /// To [`Request::ImportBans`].
    Imported {
        /// The jail that has them now.
        jail: JailName,
        /// How many bans were made, or prolonged.
        banned: u64,
        /// How many are banned for at least as long.
        standing: u64,
        /// How many are over.
        ended: u64,
        /// Those that were refused.
        refused: Vec<BanRefused>,
        /// Why the bans would not survive a restart; none: they are on disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only_in_memory: Option<String>,
        /// Why the kernel may not have them yet; none: it was tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_in_kernel: Option<String>,
    },
    /// To [`Request::Unban`].
    Unban {
        /// The bans that were lifted.
        lifted: Vec<BanView>,
        /// Those named that were not banned.
        absent: Vec<Network>,
        /// Those that stay out, because a wider prefix is banned.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        covered: Vec<BanRefused>,
        /// Why the lifting would not survive a restart; none: it is on disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only_in_memory: Option<String>,
        /// Why the kernel may still refuse some of them; none: it lets them in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_in_kernel: Option<String>,
    },
    /// To [`Request::Flush`].
    Flushed {
        /// How many bans were lifted.
        lifted: u64,
        /// Why the lifting would not survive a restart; none: it is on disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only_in_memory: Option<String>,
        /// Why the kernel may still refuse some of them; none: it lets them in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_in_kernel: Option<String>,
    },
    /// To [`Request::History`].
    History {
        /// What was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<Network>,
        /// guard's clock: bans with a later end stand still, if they were not lifted.
        now: Timestamp,
        /// The bans, newest last.
        bans: Vec<HistoryEntry>,
        /// How many older ones were left out.
        more: u64,
        /// How often each network among them was banned, in all jails.
        times: Vec<Times>,
        /// Why the newest may be missing; none: they are there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// To [`Request::Why`].
    Why(Box<Known>),
    /// While [`Request::Try`] is under way, any number of times.
    Trying {
        /// So many lines were read.
        lines: u64,
    },
    /// To [`Request::Try`].
    Tried(Box<Tried>),
    /// To [`Request::Doctor`].
    Doctor {
        /// The worst level among the findings.
        worst: Level,
        /// What was found, worst first, and what was found to be well.
        findings: Vec<Finding>,
    },
    /// To [`Request::Suggest`].
    Suggested {
        /// How many running containers without labels were looked at.
        looked_at: u64,
        /// What could be guarded, the surest first.
        suggestions: Vec<Suggestion>,
        /// What could not be looked at, a sentence each.
        notes: Vec<String>,
    },
    /// While [`Request::Backup`] is under way, any number of times, in order.
    BackupPiece {
        /// The next bytes, in Base64.
        #[serde(with = "bytes")]
        piece: Vec<u8>,
    },
    /// To [`Request::Backup`], when all pieces were sent.
    BackedUp(BackedUp),
    /// To [`Request::Upload`].
    Uploaded {
        /// So much of the copy is there.
        bytes: u64,
    },
    /// To [`Request::Restore`].
    Restored(RestoredView),
    /// To [`Request::Notify`].
    Notified {
        /// What came of each target's test.
        targets: Vec<NotifyTried>,
    },
    /// To [`Request::Watch`], once: events follow.
    Watching,
    /// While watching: something happened.
    Event(Event),
    /// While watching: so many events were left out, because the client is slow.
    Missed {
        /// How many.
        count: u64,
    },
    /// To [`Request::Fail2ban`].
    Fail2ban {
        /// What fail2ban's server would answer.
        value: fail2ban::Value,
    },
    /// To [`Request::Fail2ban`]: what fail2ban's server would raise.
    Raised {
        /// Which exception.
        exception: fail2ban::Exception,
        /// Its text.
        message: String,
    },
    /// The request is not carried out.
    Refused {
        /// What kind of refusal.
        kind: RefusedKind,
        /// Why, for people, with what to do about it.
        message: String,
    },
}

/// How often a network was banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Whom.
    pub network: Network,
    /// How often, as far as is remembered.
    pub times: u64,
}

/// What [`Reply::Pong`] tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Why the wanted state is not in the kernel; none: it is.
    pub firewall_problem: Option<String>,
    /// Why no engine is connected; none: one is. Bans stand without it.
    pub engine_problem: Option<String>,
    /// Why changes are only in memory; none: they reach the disk.
    pub store_problem: Option<String>,
}

/// Someone who was not banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRefused {
    /// Whom.
    pub network: Network,
    /// Why not.
    pub message: String,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedKind {
    /// There is no such jail.
    NotFound,
    /// It may not be done.
    Refused,
    /// The request makes no sense.
    Usage,
    /// guard can't answer now.
    Busy,
}

impl Request {
    /// Is it told how far the answer is, and may it take more than a minute?
    pub fn takes_long(&self) -> bool {
        matches!(
            self,
            Request::Try { .. }
                | Request::Doctor
                | Request::Suggest
                | Request::Backup
                | Request::Restore { .. }
                | Request::Notify { .. }
        )
    }
}

impl Reply {
    /// Does more of the answer follow?
    pub fn is_under_way(&self) -> bool {
        matches!(self, Reply::Trying { .. } | Reply::BackupPiece { .. })
    }

    /// A refusal.
    pub fn refused(kind: RefusedKind, message: impl Into<String>) -> Reply {
        Reply::Refused { kind, message: message.into() }
    }
}

/// A line that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Another version of the protocol.
    #[error(
        "version {0} of the protocol is spoken there, version {VERSION} here: use the guardctl of the same release as guard"
    )]
    Version(u64),
    /// No JSON, or not what belongs there.
    #[error("not understood: {0}")]
    Malformed(String),
    /// More than [`MAX_NETWORKS`].
    #[error("{0} networks at once are too many: send at most {MAX_NETWORKS}")]
    TooMany(usize),
    /// Longer than [`MAX_NAME`].
    #[error("no jail has a name that long")]
    LongName,
}

#[derive(Deserialize)]
struct Envelope {
    version: u64,
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    version: u32,
    #[serde(flatten)]
    message: &'a T,
}

/// A request as a line, with its end.
pub fn encode_request(request: &Request) -> Vec<u8> {
    encode(request)
}

/// A reply as a line, with its end.
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    encode(reply)
}

/// Reads a request; the line may have its end.
pub fn decode_request(line: &[u8]) -> Result<Request, Unreadable> {
    let request = decode(line)?;
    let (networks, jail) = match &request {
        Request::Try { service, .. } if service.len() > MAX_NAME => {
            return Err(Unreadable::LongName);
        }
        Request::Ban { networks, jail, .. }
        | Request::Unban { which: Which::Networks(networks), jail } => (networks.len(), jail),
        Request::Unban { which: Which::All, jail }
        | Request::Status { jail }
        | Request::History { jail, .. } => (0, jail),
        Request::Fail2ban { words } => (words.len(), &None),
        Request::ImportBans { jail, .. } if jail.len() > MAX_NAME => {
            return Err(Unreadable::LongName);
        }
        Request::ImportBans { bans, .. } => (bans.len(), &None),
        Request::Banned { .. }
        | Request::Ping
        | Request::Version
        | Request::Flush
        | Request::Why { .. }
        | Request::Try { .. }
        | Request::Doctor
        | Request::Suggest
        | Request::Backup
        | Request::Upload { .. }
        | Request::Restore { .. }
        | Request::Watch => (0, &None),
        Request::Notify { target } => (0, target),
    };
    if networks > MAX_NETWORKS {
        return Err(Unreadable::TooMany(networks));
    }
    if jail.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
        return Err(Unreadable::LongName);
    }
    Ok(request)
}

/// Reads a reply; the line may have its end.
pub fn decode_reply(line: &[u8]) -> Result<Reply, Unreadable> {
    decode(line)
}

fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Outgoing { version: VERSION, message })
        .expect("messages have only strings as keys and nothing that can fail");
    line.push(b'\n');
    line
}

/// The version first: what a newer one holds would only give a puzzling error.
fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, Unreadable> {
    let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
    let envelope: Envelope = serde_json::from_slice(line).map_err(malformed)?;
    if envelope.version != u64::from(VERSION) {
        return Err(Unreadable::Version(envelope.version));
    }
    serde_json::from_slice(line).map_err(malformed)
}

/// Ban times in JSON: whole seconds, -1 for ever, as fail2ban has them.
pub(crate) mod ban_time {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::BanTime;

    /// Seconds, or -1.
    pub(crate) fn seconds(time: BanTime) -> i64 {
        match time {
            BanTime::For(time) => i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            BanTime::Forever => -1,
        }
    }

    /// The ban time of so many seconds; any other number below 1 is none.
    pub(super) fn from_seconds(seconds: i64) -> Option<BanTime> {
        match u64::try_from(seconds) {
            Ok(1..) => Some(BanTime::For(Duration::from_secs(seconds.unsigned_abs()))),
            Ok(0) => None,
            Err(_) => (seconds == -1).then_some(BanTime::Forever),
        }
    }

    pub(crate) fn serialize<S: Serializer>(time: &BanTime, to: S) -> Result<S::Ok, S::Error> {
        seconds(*time).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BanTime, D::Error> {
        from_seconds(i64::deserialize(from)?)
            .ok_or_else(|| serde::de::Error::custom("a ban time is seconds, or -1 for ever"))
    }
}

mod optional_ban_time {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::ban_time;
    use crate::model::BanTime;

    #[expect(clippy::ref_option, reason = "serde's `with` asks for it")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<BanTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(ban_time::seconds).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<BanTime>, D::Error> {
        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "ban_time")] BanTime);
        Ok(Option::<Wrapped>::deserialize(from)?.map(|Wrapped(time)| time))
    }
}

#[cfg(test)]
mod tests;
