//! Log files, however they rotate.
//!
//! A [`FileReader`] follows all files that one jail's patterns match in one
//! container's [`PathSpace`]. inotify wakes it, a tick makes sure.
//!
//! Invariants: no line is lost or given twice over appends, renames, truncation,
//! deletion and switched links, as far as the file system still has it; a turn is
//! bounded, and the files take turns.

mod follow;
mod generation;
mod glob;
mod space;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::time::{Instant, sleep_until};

pub use space::{PathSpace, SpaceMount};

use crate::model::{FileMark, Line, Mark, Position, Progress, SourceId};
use crate::wake::{Moved, Wake};
use follow::Follower;
use generation::Generation;
use space::{OpenError, Opened, folder};

/// Most files of one reader.
const MAX_FILES: usize = 1000;

/// How soon after a hint a look is worth it: what is written in many small pieces
/// is read in a few larger ones.
const GATHER: Duration = Duration::from_millis(5);

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
    /// The place after these lines. Without lines: the file came by this name
    /// through a rename, and the place reached in it came along; to be kept.
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

/// Follows the files that match one jail's patterns.
#[derive(Debug)]
pub struct FileReader {
    space: PathSpace,
    patterns: Vec<String>,
    pace: Pace,
    /// Places from an earlier life that no file was found for yet.
    known: HashMap<SourceId, FileMark>,
    /// For such a place, the offset before it from where on lines are given again.
    again: Vec<(FileMark, u64)>,
    followers: Vec<Follower>,
    /// Files that changed their names, to be told.
    moved: VecDeque<FileBatch>,
    /// Which follower has the next turn.
    turn: usize,
    wake: Wake,
    next_look: Instant,
    /// When to match the patterns again.
    next_expand: Instant,
    /// Not sooner, however often a hint comes: other people make them.
    earliest_look: Instant,
    earliest_expand: Instant,
    last_moved: Instant,
}

impl FileReader {
    /// Follows the files that match the absolute `patterns`. `known` says how far
    /// each was read before; a file that is not in it is read from its beginning. What
    /// was judged is given again from `resume` on.
    pub fn new(
        space: PathSpace,
        patterns: Vec<String>,
        known: HashMap<SourceId, Progress>,
    ) -> FileReader {
        let mark = |position: &Position| match position {
            Position::File(mark) => *mark,
            Position::Output { .. } | Position::Journal(_) => None,
        };
        let again = known.values().filter_map(|progress| {
            let (judged, resume) = (mark(&progress.judged)?, mark(&progress.resume)?);
            let before = resume.inode == judged.inode && resume.offset < judged.offset;
            before.then_some((judged, resume.offset))
        });
        let again = again.collect();
        let known = known
            .into_iter()
            .filter_map(|(source, progress)| Some((source, mark(&progress.judged)?)));
        let now = Instant::now();
        FileReader {
            space,
            patterns,
            pace: Pace::default(),
            known: known.collect(),
            again,
            followers: Vec::new(),
            moved: VecDeque::new(),
            turn: 0,
            wake: Wake::default(),
            next_look: now,
            next_expand: now,
            earliest_look: now,
            earliest_expand: now,
            last_moved: now,
        }
    }

    /// The same with another pace.
    pub fn with_pace(mut self, pace: Pace) -> FileReader {
        self.pace = pace;
        self
    }

    /// The next lines; waits if there are none. May be dropped while it waits and
    /// called again: nothing is lost. Files are read in place, a bounded piece at
    /// a time, with a chance for other tasks before each.
    pub async fn next(&mut self) -> FileBatch {
        loop {
            tokio::task::yield_now().await;
            let now = Instant::now();
            if now >= self.next_look {
                self.look(now);
            }
            if let Some(batch) = self.read(now) {
                self.last_moved = now;
                return batch;
            }
            self.wait(now).await;
        }
    }

    /// How each file, and each pattern without any, is doing.
    pub fn states(&self) -> Vec<FileState> {
        let mut states: Vec<FileState> = self
            .followers
            .iter()
            .map(|follower| FileState {
                source: Some(follower.source.clone()),
                shown: follower.path.clone(),
                status: follower.status.clone(),
                behind: follower.behind(),
            })
            .collect();
        for pattern in self.patterns.iter().filter(|pattern| glob::is_pattern(pattern)) {
            let paths: Vec<&str> = states.iter().map(|state| state.shown.as_str()).collect();
            if !paths.iter().any(|path| fits(pattern, path)) {
                states.push(FileState {
                    source: None,
                    shown: pattern.clone(),
                    status: self.why_none(pattern),
                    behind: 0,
                });
            }
        }
        states
    }

    /// Why a pattern matches nothing: its directory can't be seen, or is just empty.
    fn why_none(&self, pattern: &str) -> FileStatus {
        let fixed: Vec<&str> =
            pattern.split('/').take_while(|part| !glob::is_pattern(part)).collect();
        match self.space.list(&fixed.join("/")) {
            Err(error) if error.is_unreachable() => FileStatus::Unreachable(error.to_string()),
            Err(error) if !error.is_missing() => FileStatus::Refused(error.to_string()),
            _ => FileStatus::Waiting,
        }
    }

    async fn wait(&mut self, now: Instant) {
        tokio::select! {
            () = sleep_until(self.next_look) => {}
            moved = self.wake.moved() => {
                self.last_moved = now;
                let soon = Instant::now() + GATHER;
                if moved == Moved::Names {
                    self.next_look = self.next_look.min(soon.max(self.earliest_look));
                    self.next_expand = self.next_expand.min(self.earliest_expand);
                }
                // Dropped here: the hint is lost, the tick comes all the same.
                sleep_until(soon).await;
            }
        }
    }

    /// The next follower that has something takes its turn.
    fn read(&mut self, now: Instant) -> Option<FileBatch> {
        if let Some(batch) = self.moved.pop_front() {
            return Some(batch);
        }
        for _ in 0..self.followers.len() {
            let index = self.turn % self.followers.len();
            self.turn = index + 1;
            let follower = &mut self.followers[index];
            let (lines, live) = follower.read(&self.space, &self.pace, now);
            if !lines.is_empty() {
                let place = lines.last().and_then(|line| match line.mark {
                    Mark::File(mark) => Some(mark),
                    Mark::Output(..) | Mark::Journal(_) => None,
                });
                let source = follower.source.clone();
                let known = std::mem::take(&mut follower.known);
                return Some(FileBatch { source, lines, place, known, live, gone: false });
            }
            let over = follower.generations.is_empty() && follower.status == FileStatus::Waiting;
            if over && !self.patterns.contains(&follower.path) {
                let source = self.followers.remove(index).source;
                return Some(FileBatch {
                    source,
                    lines: Vec::new(),
                    place: None,
                    known: 0,
                    live,
                    gone: true,
                });
            }
        }
        None
    }

    /// Which files the patterns match now, and which file each path names.
    fn look(&mut self, now: Instant) {
        if now >= self.next_expand {
            self.expand();
            self.next_expand = now + self.pace.idle;
            self.earliest_expand = now + self.pace.busy;
        }
        let opened: Vec<Result<Opened, OpenError>> =
            self.followers.iter().map(|follower| self.space.open(&follower.path)).collect();
        let identities: Vec<Option<(u64, u64)>> = opened
            .iter()
            .map(|opened| opened.as_ref().ok().map(|file| (file.device, file.inode)))
            .collect();
        for (index, opened) in opened.into_iter().enumerate() {
            match opened {
                Ok(opened) => self.found(index, opened, &identities, now),
                Err(error) => {
                    if error.is_missing() {
                        self.recover(index, &identities, now);
                    }
                    self.followers[index].not_found(&error, now);
                }
            }
        }
        for folder in self.followers.iter().map(|f| folder(&f.path)).collect::<BTreeSet<_>>() {
            self.wake.watch(folder, || self.space.directory(folder, OFlags::PATH).ok());
        }
        let busy = now.duration_since(self.last_moved) < 10 * self.pace.idle;
        // A thousand files take a few milliseconds to look at.
        let pause = Duration::from_millis(2) * self.followers.len() as u32;
        self.next_look = now + if busy { self.pace.busy } else { self.pace.idle }.max(pause);
        self.earliest_look = now + GATHER.max(pause);
    }

    fn expand(&mut self) {
        let space = &self.space;
        let mut list = |folder: &str| space.list(folder).unwrap_or_default();
        let paths: BTreeSet<String> = self
            .patterns
            .iter()
            .flat_map(|pattern| {
                if glob::is_pattern(pattern) {
                    glob::expand(pattern, MAX_FILES, &mut list)
                } else {
                    vec![pattern.clone()]
                }
            })
            .collect();
        for path in paths {
            let known = self.followers.iter().any(|follower| follower.path == path);
            if !known && self.followers.len() < MAX_FILES && self.is_file(&path) {
                self.followers.push(Follower::new(path, &self.space));
            }
        }
    }

    /// A pattern matches directories too, but only a path given by name is
    /// complained about.
    fn is_file(&self, path: &str) -> bool {
        let named = self.patterns.iter().any(|pattern| pattern == path);
        named || !matches!(self.space.open(path), Err(OpenError::NotAFile { .. }))
    }

    /// A path names this file now.
    fn found(
        &mut self,
        index: usize,
        opened: Opened,
        identities: &[Option<(u64, u64)>],
        now: Instant,
    ) {
        let identity = (opened.device, opened.inode);
        let is_it = |generation: &Generation| (generation.device, generation.inode) == identity;
        if self.followers[index].generations.back().is_some_and(is_it) {
            return self.followers[index].confirm();
        }
        let holder = self.followers.iter().position(|f| f.generations.iter().any(is_it));
        match holder {
            // The same file by a second name: one of them is enough.
            Some(holder) if holder != index && identities[holder] == Some(identity) => {
                self.followers[index].status = FileStatus::Following;
            }
            // It was renamed to this path, or back: its place goes with it.
            Some(holder) => {
                let held = &mut self.followers[holder].generations;
                let place = held.iter().position(is_it);
                if let Some(generation) = place.and_then(|place| held.remove(place)) {
                    if generation.has_begun() {
                        self.moved.push_back(FileBatch {
                            source: self.followers[index].source.clone(),
                            lines: Vec::new(),
                            place: Some(generation.mark()),
                            known: 0,
                            live: generation.live,
                            gone: false,
                        });
                    }
                    self.followers[index].adopt(generation, now);
                }
            }
            None => {
                let generation = match self.resume(index, opened, now) {
                    Ok(generation) => generation,
                    Err(opened) => {
                        self.recover(index, identities, now);
                        Generation::fresh(opened, now)
                    }
                };
                self.followers[index].adopt(generation, now);
            }
        }
    }

    /// The file from its place in an earlier life, whatever its name was then.
    fn resume(&mut self, index: usize, opened: Opened, now: Instant) -> Result<Generation, Opened> {
        let own = &self.followers[index].source;
        let mut marks: Vec<FileMark> =
            self.known.values().filter(|mark| mark.inode == opened.inode).copied().collect();
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.offset));
        let mut opened = opened;
        for mark in marks {
            match Generation::resume(opened, &mark, now) {
                Ok(generation) => {
                    if self.known.get(own) == Some(&mark) {
                        self.known.remove(own);
                    }
                    return Ok(self.rewound(generation, &mark));
                }
                Err(same) => opened = same,
            }
        }
        Err(opened)
    }

    /// The path names another file than when guard last looked, or none: the one
    /// that it named may lie beside it.
    fn recover(&mut self, index: usize, identities: &[Option<(u64, u64)>], now: Instant) {
        let follower = &mut self.followers[index];
        let Some(mark) = self.known.remove(&follower.source) else { return };
        let found = follow::find_marked(&self.space, &follower.path, &mark, now);
        // If another path of this jail names it, it is read there.
        let Some(found) = found.filter(|f| !identities.contains(&Some((f.device, f.inode)))) else {
            return;
        };
        let found = self.rewound(found, &mark);
        self.followers[index].adopt(found, now);
    }

    /// A file that was found again by this mark, from where its lines are wanted.
    fn rewound(&mut self, mut generation: Generation, mark: &FileMark) -> Generation {
        if let Some(at) = self.again.iter().position(|(judged, _)| judged == mark) {
            generation.rewind(self.again.swap_remove(at).1);
        }
        generation
    }
}

/// Does the pattern match the path?
fn fits(pattern: &str, path: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (pattern, path) = (parts(pattern), parts(path));
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(p, n)| glob::matches(p, n))
}
