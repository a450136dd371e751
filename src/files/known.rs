//! Where files were read in an earlier life. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::{FileMark, Position, Progress};

/// How far a file was read in an earlier life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// What lies before it was judged. The file is recognised by it.
    pub(super) judged: FileMark,
    /// From here on lines are given, those before `judged` again.
    pub(super) from: u64,
}

impl Known {
    /// `None`: nothing was judged of a file.
    pub(super) fn of(progress: &Progress) -> Option<Known> {
        let judged = mark(&progress.judged)?;
        // What is in another file is not given again.
        let from = mark(&progress.resume)
            .filter(|resume| resume.inode == judged.inode && resume.offset < judged.offset);
        Some(Known { judged, from: from.map_or(judged.offset, |resume| resume.offset) })
    }
}

fn mark(position: &Position) -> Option<FileMark> {
    match position {
        Position::File(mark) => *mark,
        Position::Output { .. } | Position::Journal(_) => None,
    }
}
