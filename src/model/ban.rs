//! Failures and bans.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Hop, JailName, Network, Progress, SourceId, Timestamp};

/// A line that a jail's filter matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The jail whose filter matched.
    pub jail: JailName,
    /// Who failed: an address, or the prefix that `<SUBNET>` matched.
    pub network: Network,
    /// The addresses that proxies passed on to whoever that is, the first one's first;
    /// usually none.
    pub forwarded: Vec<Hop>,
    /// When: the line's own time, as far as it has one.
    pub at: Timestamp,
    /// Where the line came from.
    pub source: SourceId,
    /// How far the source is judged, this line included: written together with
    /// the failure, so that after a crash it counts neither twice nor never.
    pub progress: Progress,
}

/// A line that says that somebody logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The jail whose filter matched.
    pub jail: JailName,
    /// Who logged in.
    pub network: Network,
    /// When: the line's own time, as far as it has one.
    pub at: Timestamp,
    /// Where the line came from.
    pub source: SourceId,
    /// How far the source is judged, this line included.
    pub progress: Progress,
}

/// How long a ban lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BanTime {
    /// For so long, in whole seconds.
    For(Duration),
    /// Until someone lifts it (`bantime -1`).
    Forever,
}

impl BanTime {
    /// The end of a ban that begins at `since`; an end beyond the calendar is for ever.
    pub fn from(self, since: Timestamp) -> Until {
        match self {
            BanTime::For(time) => since.checked_add(time).map_or(Until::Forever, Until::Time),
            BanTime::Forever => Until::Forever,
        }
    }
}

/// When a ban ends. Ordered by time; for ever is last. In JSON a time, or `null` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Option<Timestamp>", into = "Option<Timestamp>")]
pub enum Until {
    /// At this moment.
    Time(Timestamp),
    /// Never by itself.
    Forever,
}

impl Until {
    /// Is it over at `now`?
    pub fn is_over(self, now: Timestamp) -> bool {
        match self {
            Until::Time(end) => end <= now,
            Until::Forever => false,
        }
    }

    /// The end of a sentence, to the second: `until 2026-03-01T12:00:00Z`, `for ever`.
    pub fn phrase(self) -> String {
        match self {
            Until::Time(end) => format!("until {end:.0}"),
            Until::Forever => "for ever".to_owned(),
        }
    }
}

impl From<Option<Timestamp>> for Until {
    fn from(end: Option<Timestamp>) -> Self {
        end.map_or(Until::Forever, Until::Time)
    }
}

impl From<Until> for Option<Timestamp> {
    fn from(until: Until) -> Self {
        match until {
            Until::Time(end) => Some(end),
            Until::Forever => None,
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::Time(end) => end.fmt(f),
            Until::Forever => f.write_str("for ever"),
        }
    }
}

/// Who asked for a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanOrigin {
    /// The jail's own counting.
    Failures,
    /// `guardctl ban`.
    Hand,
    /// Found in the kernel at start, made by an earlier guard.
    Adopted,
    /// Taken over from fail2ban.
    Imported,
}

impl BanOrigin {
    /// What led to a ban of so many failures, in words.
    pub fn cause(self, failures: u32) -> String {
        match self {
            BanOrigin::Failures if failures == 1 => "1 failure".to_owned(),
            BanOrigin::Failures => format!("{failures} failures"),
            BanOrigin::Hand => "by hand".to_owned(),
            BanOrigin::Adopted => "found in the kernel".to_owned(),
            BanOrigin::Imported => "taken over from fail2ban".to_owned(),
        }
    }
}

/// A ban of another program's, to be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignBan {
    /// Whom.
    pub network: Network,
    /// Since when.
    pub since: Timestamp,
    /// Until when; one that is over counts for longer bans only.
    pub until: Until,
    /// How often that program banned it, this time included.
    pub times: u32,
}

/// An address or prefix that a jail keeps out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The jail that keeps it out.
    pub jail: JailName,
    /// Whom.
    pub network: Network,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Until,
    /// Who asked for it.
    pub origin: BanOrigin,
    /// How many failures led to it; 0 for one by hand.
    pub failures: u32,
}
