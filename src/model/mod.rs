//! The words everyone shares: addresses, names, lines, failures, bans.
//!
//! Depends on nothing else in guard, does no I/O and reads no clock: every
//! time in here was given by a caller.
//!
//! Glossary, in the order in which a line travels:
//!
//! - *service*: a set of containers with the same compose project and service,
//!   or one container that has neither ([`ServiceId`]).
//! - *source*: where lines come from, a container's output, a file or the journal
//!   ([`SourceId`]).
//! - *line*: one line of a log ([`Line`]), with the [`Mark`] at which it ends.
//! - *jail*: whom to watch and what to do about it ([`JailName`], [`JailRules`]).
//! - *failure*: a line that a jail's filter matched, with its address ([`Failure`]).
//! - *ban*: an address or prefix that a jail keeps out ([`Ban`]).
//! - *record*: a change of what must survive a restart ([`Record`]).
//! - *news*: something that happened and that people may want to see ([`News`]).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod address;
mod ban;
mod causes;
mod checkup;
mod container;
mod encoding;
mod finding;
mod forwarded;
mod history;
mod journal;
mod line;
mod names;
mod news;
mod notice;
mod path;
mod platform;
mod policy;
mod record;
mod rules;
mod tried;
mod written;

pub use address::{Address, InvalidAddress, Network};
pub use ban::{Ban, BanOrigin, BanTime, Failure, ForeignBan, Login, Until};
pub use causes::chain;
pub use checkup::{ContainerCheckup, EngineCheckup};
pub use container::{Container, DockerNetwork, LabelSet, Mount, MountKind, PublishedPort};
pub use encoding::{LogEncoding, Unit, UnknownEncoding, unit};
pub use finding::{Finding, Level, Suggestion, Sure};
pub use forwarded::Hop;
pub use history::{HistoryEntry, HistoryQuery, LiftedBy, Lifting, PastBans};
pub use journal::{InvalidMatch, JournalMatch};
pub use line::{FileMark, JournalMark, Line, Mark, Position, Progress, Stream, StreamMark};
pub use names::{ContainerId, InvalidName, JailName, ServiceId, SourceId};
pub use news::{Event, News};
pub use notice::{About, NoticeKind};
pub use path::clean_path;
pub use platform::{EnginePlatform, OwnPlatform};
pub use policy::{Growth, Offence, Policy, Prefixes};
pub use record::{JailMemory, Memory, Record};
pub use rules::{
    BlockRules, BlockType, Chain, IgnoreEntry, JailRules, Limits, PortRange, Ports, Protocol,
};
pub use tried::{Tried, TriedBan, TriedJail, TriedNever};
pub use written::{Origin, Written};

pub use jiff::Timestamp;

/// Longest line guard looks at, in bytes; what is beyond is cut off.
pub const MAX_LINE: usize = 64 * 1024;

/// Name of the built-in jail that holds bans made by hand.
pub const MANUAL_JAIL: &str = "manual";

/// Name of the built-in jail for those whom other jails banned again and again.
pub const RECIDIVE_JAIL: &str = "recidive";
