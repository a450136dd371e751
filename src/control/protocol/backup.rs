//! What is told of backups.

use serde::{Deserialize, Serialize};

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// How long it is.
    pub bytes: u64,
    /// The version of its schema: this guard and newer ones can read it.
    pub schema: i64,
    /// Bans that stood.
    pub bans: u64,
    /// Bans that were.
    pub history: u64,
    /// Why the newest may be missing; none: they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What became of a backup that was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredView {
    /// Bans of the backup that stand now.
    pub standing: u64,
    /// Bans of the backup that were over.
    pub over: u64,
    /// Bans of the backup whose addresses are never banned now.
    pub never: u64,
    /// Bans that stood, and that the backup does not have: they were lifted.
    pub lifted: u64,
    /// Bans of its history.
    pub history: u64,
    /// The version of its schema.
    pub schema: i64,
    /// The copy of what was remembered before.
    pub kept: String,
    /// What was left out of the backup, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it would not survive a restart; none: it is on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_in_memory: Option<String>,
    /// Why the kernel may not have it all yet; none: it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_kernel: Option<String>,
}
