//! Counters of what followers read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// A container's output.
    Output,
    /// Files.
    File,
    /// The host's journal.
    Journal,
}

impl SourceKind {
    /// All of them.
    pub const ALL: [SourceKind; 3] = [SourceKind::Output, SourceKind::File, SourceKind::Journal];

    /// The word in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::Output => "output",
            SourceKind::File => "file",
            SourceKind::Journal => "journal",
        }
    }
}

/// What the readers of one kind counted for one jail since guard was started. They
/// outlive the readers, and are added to by several at once.
#[derive(Debug, Default)]
pub struct SourceCounters {
    /// Lines judged.
    pub lines: Count,
    /// Lines on which a regex took more steps than it may.
    pub given_up: Count,
    /// Failures of somebody without an address.
    pub nobody: Count,
    /// How often what was to be read next was gone.
    pub gaps: Count,
    /// Lines that were too long.
    pub cut_lines: Count,
    /// Bytes cut off them.
    pub cut_bytes: Count,
    /// How often a clock was set back.
    pub clock_steps: Count,
    /// How often a reader was started.
    pub starts: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// So many more. Nothing hangs on the order in which others see it.
    pub fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
