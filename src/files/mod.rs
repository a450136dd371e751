//! Log files, however they rotate.
//!
//! A [`FileReader`] follows all files that one jail's patterns match in one
//! container's [`PathSpace`]. inotify wakes it, a tick makes sure.
//!
//! Invariants: no line is lost or given twice over appends, renames, truncation,
//! deletion and switched links, as far as the file system still has it; a turn is
//! bounded, and the files take turns.

mod first;
mod follow;
mod generation;
pub(crate) mod glob;
mod known;
mod past;
mod process;
mod reader;
mod rotated;
mod since;
mod space;

use std::time::Duration;

pub use process::ContainerProcess;
pub use reader::FileReader;
pub use since::Since;
pub use space::{PathSpace, SpaceMount};

use crate::model::{FileMark, Line, SourceId};

/// How often to look, and how long to wait for late writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often to look while something moves.
    pub busy: Duration,
    /// How often to look when nothing moved for a while.
    pub idle: Duration,
    /// How long a new file waits for the one that it replaced.
    pub handover: Duration,
    /// How long a replaced file stays open after its last byte.
    pub rotate_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            busy: Duration::from_millis(250),
            idle: Duration::from_secs(1),
            handover: Duration::from_secs(1),
            rotate_wait: Duration::from_secs(5),
        }
    }
}

/// Lines of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileBatch {
    /// Which file, by its path on the host.
    pub source: SourceId,
    /// Its lines, in order; at most 256. A line that came late to a file that was
    /// replaced bears the place reached in the newer file.
    pub lines: Vec<Line>,
    /// The place after these lines. Without lines: the place at which reading begins,
    /// or that came along when the file got its name by a rename; to be kept.
    pub place: Option<FileMark>,
    /// How many of the lines, the first ones, were judged in an earlier life.
    pub known: usize,
    /// Had the end of this file been reached before these lines?
    pub live: bool,
    /// Is the file gone for good? Then nothing more comes of it.
    pub gone: bool,
}

/// How a file, or a pattern that matches none, is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Which file, if there is one.
    pub source: Option<SourceId>,
    /// As the container names it.
    pub shown: String,
    /// How it is doing.
    pub status: FileStatus,
    /// How many bytes are still to be read.
    pub behind: u64,
    /// For how many seconds they have been there, as far as that is known; 0: nothing
    /// is to be read.
    pub behind_seconds: u64,
    /// How often lines may be missing, and why the last time.
    pub gaps: u64,
    /// Why lines may be missing.
    pub last_gap: Option<String>,
    /// How many lines were longer than [`MAX_LINE`](crate::model::MAX_LINE).
    pub cut_lines: u64,
    /// How many bytes were cut off them.
    pub cut_bytes: u64,
}

impl FileState {
    /// A path of which nothing else is to be told.
    pub(crate) fn new(shown: String, status: FileStatus) -> FileState {
        FileState {
            source: None,
            shown,
            status,
            behind: 0,
            behind_seconds: 0,
            gaps: 0,
            last_gap: None,
            cut_lines: 0,
            cut_bytes: 0,
        }
    }
}

/// How a file is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// It is read.
    Following,
    /// It is not there (yet).
    Waiting,
    /// It can't be read, and why; tried again.
    Refused(String),
    /// guard does not see it, and what to do about that; tried again.
    Unreachable(String),
}
