//! What happened and people may want to see: the log, `guardctl watch`, later notices.

use serde::{Deserialize, Serialize};

use super::{About, Ban, JailName, Network, Timestamp};

/// News and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub news: News,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum News {
    /// A failure was counted.
    Found {
        /// The jail.
        jail: JailName,
        /// Who failed.
        network: Network,
        /// The time of the line.
        line_time: Timestamp,
        /// Failures that count now.
        count: u32,
    },
    /// A failure was not counted.
    Ignored {
        /// The jail.
        jail: JailName,
        /// Who failed.
        network: Network,
        /// Why it does not count.
        reason: String,
    },
    /// An address was banned.
    Banned {
        /// The ban.
        ban: Ban,
        /// Only counted and told: the jail is a dry run.
        dry_run: bool,
    },
    /// A whole prefix is not banned, but only the address in it that failed.
    Narrowed {
        /// The jail.
        jail: JailName,
        /// Who failed.
        network: Network,
        /// What would have been banned.
        prefix: Network,
        /// Why it is not.
        reason: String,
    },
    /// Somebody logged in, and is left alone by the jail for a while.
    LoggedIn {
        /// The jail.
        jail: JailName,
        /// Who.
        network: Network,
        /// Until when.
        until: Timestamp,
    },
    /// A ban was prolonged.
    Prolonged {
        /// The ban as it is now.
        ban: Ban,
        /// Only counted and told: the jail is a dry run.
        #[serde(default)]
        dry_run: bool,
    },
    /// A ban ended or was lifted.
    Unbanned {
        /// The jail.
        jail: JailName,
        /// Whom.
        network: Network,
        /// Lifted by a person, rather than over.
        by_hand: bool,
        /// It was only counted and told: the jail is a dry run.
        #[serde(default)]
        dry_run: bool,
    },
    /// An address is banned, and its failures go on: the ban does not work.
    Reaches {
        /// The jail.
        jail: JailName,
        /// Who.
        network: Network,
        /// The likeliest cause; `None`: not found out yet.
        cause: Option<String>,
    },
    /// A jail began or got other rules.
    JailStarted {
        /// The jail.
        jail: JailName,
    },
    /// A jail has no containers left, or is gone.
    JailStopped {
        /// The jail.
        jail: JailName,
    },
    /// What someone took from the firewall was put back.
    Repaired {
        /// What was put back.
        what: String,
    },
    /// Something is wrong, or well again.
    Trouble {
        /// What it is about.
        #[serde(default)]
        about: About,
        /// The jail that has it, if it is one's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jail: Option<JailName>,
        /// What.
        what: String,
        /// Well again?
        over: bool,
    },
}
