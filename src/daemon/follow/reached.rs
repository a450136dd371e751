//! How far a source was judged, and from where on it must be read again for that. Pure.
//!
//! A filter may need lines from before the place that was judged: those of a match over
//! several lines, those of connections that are open. A judge that is made anew at that
//! place would not know them. So of each line that its judge may need, the place before
//! it is remembered; the oldest that is needed is where reading resumes. The lines from
//! there to the judged place are fed again, and yield nothing.
//!
//! Invariants: without need, both places are one; at most [`MAX_MARKS`] places are kept,
//! none more than [`MAX_LINES`] lines back, so a connection that is never closed does not
//! hold the place back for ever. What is needed from farther back is given up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;

use crate::filter::Judge;
use crate::model::{FileMark, MAX_LINE, Mark, Position, Progress};

/// Most places of one source that are remembered.
const MAX_MARKS: usize = 1024;

/// How many lines are fed again at most.
const MAX_LINES: u64 = 4096;

/// How far one source was judged.
#[derive(Debug)]
pub(super) struct Reached {
    judged: Position,
    /// Where the lines that are fed again have come to.
    again: Position,
    /// The places before lines that may be needed, with the lines' numbers.
    marks: VecDeque<(u64, Position)>,
}

impl Reached {
    /// Goes on behind this place.
    pub(super) fn at(judged: Position) -> Reached {
        Reached { again: judged.clone(), judged, marks: VecDeque::new() }
    }

    /// Goes on where an earlier life ended.
    pub(super) fn after(known: Progress) -> Reached {
        Reached { judged: known.judged, again: known.resume, marks: VecDeque::new() }
    }

    /// The place that was judged.
    pub(super) fn judged(&self) -> &Position {
        &self.judged
    }

    /// The judge was fed a line that was judged in an earlier life.
    pub(super) fn feed(&mut self, judge: &mut Judge, mark: &Mark) {
        if judge.needs_latest() {
            self.remember(judge.fed(), before(&self.again, mark));
        }
        self.again.advance(mark);
    }

    /// The judge was fed the next line.
    pub(super) fn judge(&mut self, judge: &mut Judge, mark: &Mark) {
        if judge.needs_latest() {
            self.remember(judge.fed(), before(&self.judged, mark));
        }
        self.judged.advance(mark);
    }

    /// The place moved without a line for the judge.
    pub(super) fn move_to(&mut self, place: Position) {
        self.judged = place;
    }

    /// The source begins anew: nothing from before can be read again.
    pub(super) fn begin_anew(&mut self, place: Position) {
        *self = Reached::at(place);
    }

    fn remember(&mut self, line: u64, place: Position) {
        if self.marks.len() >= MAX_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back((line, place));
    }

    /// Both places, as of now.
    pub(super) fn progress(&mut self, judge: &mut Judge) -> Progress {
        let bound = (judge.fed() + 1).saturating_sub(MAX_LINES);
        let needed = judge.oldest_needed();
        let is_over = |line: u64| needed.is_none_or(|oldest| line < oldest.max(bound));
        while self.marks.front().is_some_and(|(line, _)| is_over(*line)) {
            self.marks.pop_front();
        }
        let place = self.marks.iter().map(|(_, place)| place).find(|at| leads(at, &self.judged));
        let resume = place.unwrap_or(&self.judged).clone();
        Progress { resume, judged: self.judged.clone() }
    }
}

/// The place before the line that `mark` ends, where reading had come to `place`. In a
/// file of which nothing was read yet it is its beginning.
fn before(place: &Position, mark: &Mark) -> Position {
    let Mark::File(end) = mark else { return place.clone() };
    match place {
        Position::File(Some(at)) if same_file(at, end) && at.offset <= end.offset => place.clone(),
        _ if end.offset <= MAX_LINE as u64 => {
            Position::File(Some(FileMark { offset: 0, head: 0, head_len: 0, ..*end }))
        }
        _ => place.clone(),
    }
}

fn same_file(one: &FileMark, other: &FileMark) -> bool {
    (one.device, one.inode) == (other.device, other.inode)
}

/// Can reading from `resume` come to `judged`? In a file only if it is the same one:
/// what was rotated away is not read again.
fn leads(resume: &Position, judged: &Position) -> bool {
    match (resume, judged) {
        (Position::File(Some(resume)), Position::File(Some(judged))) => {
            same_file(resume, judged) && resume.offset <= judged.offset
        }
        (Position::File(_), Position::File(_)) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
