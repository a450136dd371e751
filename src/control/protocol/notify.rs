//! The words of notices: where they go, and what came of them. No secret is in them.

use serde::{Deserialize, Serialize};

use crate::model::{Level, NoticeKind, Timestamp};

/// How it is with a target of notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// What people call it.
    pub name: String,
    /// What it is: `ntfy`, `mail`, ….
    pub service: String,
    /// Where it is: a host, with a port perhaps.
    pub place: String,
    /// What it is told of.
    pub events: Vec<NoticeKind>,
    /// It is told of nothing that is less bad.
    pub level: Level,
    /// Notices that it has taken; of mail to several, each one's are counted.
    pub sent: u64,
    /// Tries that came to nothing.
    pub failed: u64,
    /// Notices that wait for it.
    pub waiting: u64,
    /// Notices that it would never take, and that were given up.
    pub dropped: u64,
    /// Why the last try came to nothing; none: it did not.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTried {
    /// The target's name.
    pub name: String,
    /// What it is.
    pub service: String,
    /// Where it is.
    pub place: String,
    /// Did it take the test?
    pub ok: bool,
    /// What it answered, shortened, or why it did not.
    pub answer: String,
}
