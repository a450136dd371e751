//! The generations of one path: append, rename and create, truncate, delete, a
//! link that is switched.
//!
//! A path can name another file at any moment, while what wrote to the former one
//! still does. So the former one stays open until it is quiet. The new one waits
//! a moment for it: as long as nothing of the new one was given, the place reached
//! is one in the former file, and after a crash its rest is found again by that.

use std::collections::VecDeque;
use std::io;

use tokio::time::Instant;

use super::generation::{Cut, Generation, Turn};
use super::past::{Place, Taken, siblings};
use super::space::{OpenError, PathSpace};
use super::{FileState, FileStatus, Pace};
use crate::model::{FileMark, Line, Mark, SourceId, Timestamp};

/// Most files that one path is waited for at once.
const MAX_GENERATIONS: usize = 32;

/// Most files that are looked at to find a copy: those named like the original.
const MAX_COPIES: usize = 50;

/// Of so many files it is known that they were read.
const MAX_READ: usize = 64;

/// A path that is followed.
#[derive(Debug)]
pub(super) struct Follower {
    /// As the container names it.
    pub(super) path: String,
    pub(super) source: SourceId,
    /// The files that it named, the one that it names now last.
    pub(super) generations: VecDeque<Generation>,
    pub(super) status: FileStatus,
    /// How many lines of the last turn were judged in an earlier life.
    pub(super) known: usize,
    /// Was its file there before guard looked?
    pub(super) is_old: bool,
    /// It is over, and none of the files beside it may be its own.
    pub(super) is_gone: bool,
    pub(super) losses: Losses,
    /// When everything was read that was there.
    pub(super) caught_up: Instant,
    /// The date reached in what was there before.
    pub(super) reached: Option<Timestamp>,
    /// When that date was last looked at.
    pub(super) dated: Option<Instant>,
    /// There is more to be read at once, though there were no lines.
    pub(super) has_more: bool,
    /// The files that were read last: they are not read again under another name.
    read: VecDeque<FileMark>,
    /// When a copy was last looked for.
    searched: Option<Instant>,
}

/// What was not read of a path's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// How often lines may be missing, and why the last time.
    pub(super) gaps: u64,
    pub(super) last_gap: Option<String>,
    /// Lines that were too long, and what was cut off them.
    pub(super) cut: Cut,
}

impl Follower {
    pub(super) fn new(path: String, space: &PathSpace, now: Instant) -> Self {
        Follower {
            source: SourceId::File(space.host_path(&path).into()),
            path,
            generations: VecDeque::new(),
            status: FileStatus::Waiting,
            known: 0,
            is_old: false,
            is_gone: false,
            losses: Losses::default(),
            caught_up: now,
            reached: None,
            dated: None,
            has_more: false,
            read: VecDeque::new(),
            searched: None,
        }
    }

    /// The path names none of the files any more, or can't be asked.
    pub(super) fn not_found(&mut self, error: &OpenError, now: Instant) {
        self.status = match error {
            error if error.is_missing() => FileStatus::Waiting,
            error if error.is_unreachable() => FileStatus::Unreachable(error.to_string()),
            error => FileStatus::Refused(error.to_string()),
        };
        if error.is_missing() {
            self.is_old = false;
            self.replace(now);
        }
    }

    /// The path names this file from now on.
    pub(super) fn adopt(&mut self, mut generation: Generation, now: Instant) {
        self.replace(now);
        generation.replaced = None;
        self.generations.push_back(generation);
        self.status = FileStatus::Following;
        self.is_gone = false;
        self.is_old = false;
        if self.generations.len() > MAX_GENERATIONS
            && let Some(over) = self.generations.pop_front()
        {
            self.note_read(&over);
            if over.behind() > 0 {
                self.gap("it is replaced faster than it can be read".to_owned());
            }
        }
    }

    /// This file is not read here any longer.
    pub(super) fn note_read(&mut self, generation: &Generation) {
        self.read.push_back(generation.place());
        if self.read.len() > MAX_READ {
            self.read.pop_front();
        }
    }

    /// The files that are read, or were.
    pub(super) fn taken(&self) -> Taken {
        let open = self.generations.iter().map(Generation::identity).collect();
        Taken { open, read: self.read.iter().copied().collect() }
    }

    /// The path still names the file that it named before.
    pub(super) fn confirm(&mut self) {
        self.status = FileStatus::Following;
        if let Some(newest) = self.generations.back_mut() {
            newest.replaced = None;
        }
    }

    /// Lines may be missing.
    pub(super) fn gap(&mut self, why: String) {
        tracing::warn!(path = self.path, "lines may be lost: {why}");
        self.losses.gaps += 1;
        self.losses.last_gap = Some(why);
    }

    fn replace(&mut self, now: Instant) {
        if let Some(newest) = self.generations.back_mut() {
            newest.replaced.get_or_insert(now);
        }
    }

    /// Lines that are there now, for one turn, and whether the end of their file
    /// had been reached before.
    pub(super) fn read(
        &mut self,
        space: &PathSpace,
        pace: &Pace,
        now: Instant,
    ) -> (Vec<Line>, bool) {
        let mut lines = Vec::new();
        let mut index = 0;
        self.has_more = false;
        // A file may be truncated as fast as it is read: not more than once a turn.
        let mut truncated = false;
        while let Some(generation) = self.generations.get_mut(index) {
            let live = generation.live;
            match generation.read(now, &mut lines) {
                Ok(Turn::Truncated) if !truncated => {
                    truncated = true;
                    self.truncated(index, (space, pace), now, &mut lines);
                    continue;
                }
                // A long line, or on its way to the place.
                Ok(Turn::More) if lines.is_empty() => {
                    self.has_more = true;
                    return (lines, live);
                }
                Ok(_) => {}
                Err(error) => self.failed(index, &error),
            }
            self.count(index);
            let is_newest = index + 1 == self.generations.len();
            let finished = lines.is_empty() && self.is_finished(index, pace, now);
            if finished && let Some(mut over) = self.generations.remove(index) {
                over.finish(&mut lines);
                self.known += over.take_known();
                self.note_read(&over);
            }
            if !lines.is_empty() {
                if !is_newest {
                    let older = if finished { index } else { index + 1 };
                    self.place_late_lines(older, &mut lines);
                }
                return (lines, live);
            }
            if !finished {
                if self.must_wait(index, pace, now) {
                    break;
                }
                index += 1;
            }
        }
        if self.behind() == 0 {
            (self.caught_up, self.reached) = (now, None);
        }
        (lines, false)
    }

    fn failed(&mut self, index: usize, error: &io::Error) {
        let Some(generation) = self.generations.get_mut(index) else { return };
        if generation.is_packed() {
            // Nobody will mend it.
            let is_told = std::mem::replace(&mut generation.live, true);
            generation.archived = true;
            if is_told {
                return;
            }
            self.gap(format!("what was rotated away and packed can't be read: {error}"));
        } else {
            self.status = FileStatus::Refused(format!("{}: {error}", self.path));
        }
    }

    fn count(&mut self, index: usize) {
        let Some(generation) = self.generations.get_mut(index) else { return };
        let cut = generation.take_cut();
        self.losses.cut.lines += cut.lines;
        self.losses.cut.bytes += cut.bytes;
        self.known += generation.take_known();
    }

    /// Is the file not to be waited for any longer?
    fn is_finished(&self, index: usize, pace: &Pace, now: Instant) -> bool {
        let generation = &self.generations[index];
        let Some(replaced) = generation.replaced else { return false };
        let quiet = now.duration_since(replaced.max(generation.grew)) >= pace.rotate_wait;
        quiet || (generation.archived && generation.live)
    }

    /// Must the newer file wait for this one still?
    fn must_wait(&self, index: usize, pace: &Pace, now: Instant) -> bool {
        let is_newest = index + 1 == self.generations.len();
        let begun = self.generations.range(index + 1..).any(Generation::has_begun);
        let replaced = self.generations[index].replaced.unwrap_or(now);
        !is_newest && !begun && now.duration_since(replaced) < pace.handover
    }

    /// Lines that came late to a file that was replaced bear the place reached in
    /// the newest one that was begun: a place never goes back.
    fn place_late_lines(&self, older: usize, lines: &mut [Line]) {
        let begun = self.generations.range(older.min(self.generations.len())..).rev();
        if let Some(newest) = begun.into_iter().find(|newest| newest.has_begun()) {
            for line in lines {
                line.mark = Mark::File(newest.place());
            }
        }
    }

    /// The file was emptied. If it was copied before (copytruncate), what was not
    /// read yet is in the copy. Whoever empties it all the time must not make guard
    /// look through a directory all the time.
    fn truncated(
        &mut self,
        index: usize,
        (space, pace): (&PathSpace, &Pace),
        now: Instant,
        lines: &mut Vec<Line>,
    ) {
        let Some(generation) = self.generations.get_mut(index) else { return };
        let may_search = self.searched.is_none_or(|last| now.duration_since(last) >= pace.idle);
        let copy = if may_search {
            self.searched = Some(now);
            siblings(space, &self.path).take_while(|(_, alike)| *alike).take(MAX_COPIES).find_map(
                |(path, _)| {
                    let copy = generation.continued_by(space.open(&path).ok()?, now)?;
                    Some((path, copy))
                },
            )
        } else {
            None
        };
        match copy {
            Some((copied, copy)) => {
                generation.restart(now);
                let encoding = generation.encoding();
                // It may have been copied more than once since it was last looked at.
                let mut taken = self.taken();
                taken.open.push(copy.identity());
                let place = Place { space, path: &self.path, encoding, now, taken: &taken };
                let later = place.later(&copied, copy.written()).generations;
                self.generations.insert(index, copy);
                for (at, mut generation) in later.into_iter().enumerate() {
                    generation.replaced = Some(now);
                    self.generations.insert(index + 1 + at, generation);
                }
            }
            None => {
                let lost = generation.unread();
                generation.finish(lines);
                generation.restart(now);
                if lost > 0 {
                    self.gap(format!("it was emptied when {lost} bytes of it were not read yet"));
                }
            }
        }
    }

    pub(super) fn state(&self, now: Instant) -> FileState {
        FileState {
            source: Some(self.source.clone()),
            behind: self.behind(),
            behind_seconds: self.behind_seconds(now),
            gaps: self.losses.gaps,
            last_gap: self.losses.last_gap.clone(),
            cut_lines: self.losses.cut.lines,
            cut_bytes: self.losses.cut.bytes,
            ..FileState::new(self.path.clone(), self.status.clone())
        }
    }

    /// How many bytes are still to be read.
    pub(super) fn behind(&self) -> u64 {
        self.generations.iter().map(Generation::behind).sum()
    }

    /// For how many seconds, or since what date.
    fn behind_seconds(&self, now: Instant) -> u64 {
        if self.behind() == 0 {
            return 0;
        }
        let waited = now.duration_since(self.caught_up).as_secs();
        let age = self.reached.map_or(0, |at| Timestamp::now().duration_since(at).as_secs());
        waited.max(u64::try_from(age).unwrap_or(0))
    }
}
