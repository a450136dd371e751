//! The generations of one path: append, rename and create, truncate, delete, a
//! link that is switched.
//!
//! A path can name another file at any moment, while what wrote to the former one
//! still does. So the former one stays open until it is quiet. The new one waits
//! a moment for it: as long as nothing of the new one was given, the place reached
//! is one in the former file, and after a crash its rest is found again by that.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::generation::{Generation, Turn};
use super::space::{OpenError, Opened, PathSpace, folder};
use super::{FileStatus, Pace};
use crate::model::{FileMark, Line, Mark, SourceId};

/// Most files that one path is waited for at once.
const MAX_GENERATIONS: usize = 32;

/// Most files of a directory that are looked at to find one that was renamed.
const MAX_SIBLINGS: usize = 1000;

/// Most files that are looked at to find a copy: those named like the original.
const MAX_COPIES: usize = 50;

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
    /// When a copy was last looked for.
    searched: Option<Instant>,
}

impl Follower {
    pub(super) fn new(path: String, space: &PathSpace) -> Self {
        let source = SourceId::File(space.host_path(&path).into());
        let (generations, status) = (VecDeque::new(), FileStatus::Waiting);
        Follower { path, source, generations, status, known: 0, searched: None }
    }

    /// The path names none of the files any more, or can't be asked.
    pub(super) fn not_found(&mut self, error: &OpenError, now: Instant) {
        self.status = match error {
            error if error.is_missing() => FileStatus::Waiting,
            error if error.is_unreachable() => FileStatus::Unreachable(error.to_string()),
            error => FileStatus::Refused(error.to_string()),
        };
        if error.is_missing() {
            self.replace(now);
        }
    }

    /// The path names this file from now on.
    pub(super) fn adopt(&mut self, mut generation: Generation, now: Instant) {
        self.replace(now);
        generation.replaced = None;
        self.generations.push_back(generation);
        self.status = FileStatus::Following;
        if self.generations.len() > MAX_GENERATIONS {
            tracing::warn!(
                path = self.path,
                "it is replaced faster than it can be read: some of it is lost"
            );
            self.generations.pop_front();
        }
    }

    /// The path still names the file that it named before.
    pub(super) fn confirm(&mut self) {
        self.status = FileStatus::Following;
        if let Some(newest) = self.generations.back_mut() {
            newest.replaced = None;
        }
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
                Ok(_) => {}
                Err(error) => self.status = FileStatus::Refused(format!("{}: {error}", self.path)),
            }
            if let Some(generation) = self.generations.get_mut(index) {
                self.known = generation.known(&lines);
            }
            let is_newest = index + 1 == self.generations.len();
            let finished = lines.is_empty() && self.is_finished(index, pace, now);
            if finished && let Some(mut over) = self.generations.remove(index) {
                over.finish(&mut lines);
            }
            if !lines.is_empty() {
                if !is_newest {
                    self.place_late_lines(&mut lines);
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
        (lines, false)
    }

    /// Is the file not to be waited for any longer?
    fn is_finished(&self, index: usize, pace: &Pace, now: Instant) -> bool {
        let generation = &self.generations[index];
        let Some(replaced) = generation.replaced else { return false };
        now.duration_since(replaced.max(generation.grew)) >= pace.rotate_wait
    }

    /// Must the newer file wait for this one still?
    fn must_wait(&self, index: usize, pace: &Pace, now: Instant) -> bool {
        let is_newest = index + 1 == self.generations.len();
        let begun = self.generations.back().is_some_and(Generation::has_begun);
        let replaced = self.generations[index].replaced.unwrap_or(now);
        !is_newest && !begun && now.duration_since(replaced) < pace.handover
    }

    /// Lines that came late to a file that was replaced bear the place reached in
    /// the newer one, if that was begun: a place never goes back.
    fn place_late_lines(&self, lines: &mut [Line]) {
        if let Some(newest) = self.generations.back().filter(|newest| newest.has_begun()) {
            for line in lines {
                line.mark = Mark::File(newest.mark());
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
            siblings(space, &self.path)
                .take_while(|sibling| sibling.alike)
                .take(MAX_COPIES)
                .find_map(|sibling| generation.continued_by(sibling.open(space)?, now))
        } else {
            None
        };
        match copy {
            Some(copy) => {
                generation.restart(now);
                self.generations.insert(index, copy);
            }
            None => {
                generation.finish(lines);
                generation.restart(now);
            }
        }
    }

    /// How many bytes are still to be read.
    pub(super) fn behind(&self) -> u64 {
        self.generations.iter().map(Generation::behind).sum()
    }
}

/// The file that was marked, under another name beside `path`: it was renamed
/// while nobody looked, or copied and emptied.
pub(super) fn find_marked(
    space: &PathSpace,
    path: &str,
    mark: &FileMark,
    now: Instant,
) -> Option<Generation> {
    let mut copy = None;
    for sibling in siblings(space, path).take(MAX_SIBLINGS) {
        let Some(opened) = sibling.open(space) else { continue };
        match Generation::resume(opened, mark, now) {
            Ok(renamed) => return Some(renamed),
            Err(opened) if copy.is_none() && sibling.alike => {
                copy = Generation::copy(opened, mark, now).ok();
            }
            Err(_) => {}
        }
    }
    copy
}

/// A file in the directory of another.
struct Sibling {
    path: String,
    /// Does its name begin with the other's?
    alike: bool,
}

impl Sibling {
    fn open(&self, space: &PathSpace) -> Option<Opened> {
        space.open(&self.path).ok()
    }
}

/// The other files in the path's directory, those with names like it first.
fn siblings(space: &PathSpace, path: &str) -> impl Iterator<Item = Sibling> + use<> {
    let own = path.rsplit('/').next().unwrap_or(path);
    let folder = folder(path);
    let mut names = space.list(folder).unwrap_or_default();
    names.retain(|name| name != own);
    names.sort_by_key(|name| !name.starts_with(own));
    let (own, folder) = (own.to_owned(), folder.trim_end_matches('/').to_owned());
    names.into_iter().map(move |name| Sibling {
        path: format!("{folder}/{name}"),
        alike: name.starts_with(&own),
    })
}
