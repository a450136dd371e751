//! All files of one jail's patterns: who has the next turn, and what wakes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::time::{Instant, sleep_until};

use super::follow::Follower;
use super::known::Known;
use super::past::siblings;
use super::rotated::{rotation, unpacked};
use super::since::Since;
use super::space::{OpenError, Opened, PathSpace, folder};
use super::{FileBatch, FileState, FileStatus, Pace, glob};
use crate::model::{LogEncoding, Mark, Progress, SourceId};
use crate::wake::{Moved, Wake};

/// Most files of one reader.
const MAX_FILES: usize = 1000;

/// How long whatever comes right after something else is gathered: what is written in
/// many small pieces is read in a few larger ones.
const GATHER: Duration = Duration::from_millis(5);

/// How often the date of an old line is looked at.
const DATE_EVERY: Duration = Duration::from_secs(1);

/// Follows the files that match one jail's patterns.
#[derive(Debug)]
pub struct FileReader {
    pub(super) space: PathSpace,
    patterns: Vec<String>,
    pub(super) encoding: LogEncoding,
    /// How far back files are read that were never read; `None`: from their beginning.
    pub(super) since: Option<Since>,
    pace: Pace,
    /// Places from an earlier life that no file was found for yet.
    pub(super) known: HashMap<SourceId, Known>,
    /// Those whose path named another file: another path may name theirs.
    pub(super) left: Vec<Known>,
    /// In which directories files were read in an earlier life.
    known_folders: BTreeSet<String>,
    /// Patterns whose directory was seen: what appears later is new.
    seen: BTreeSet<String>,
    pub(super) followers: Vec<Follower>,
    /// Places without lines, to be told.
    pub(super) moved: VecDeque<FileBatch>,
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
    /// each was read before; a file that is not in it is read from its beginning, or
    /// from where [`FileReader::since`] says if it was there before the reader. What
    /// was judged is given again from `resume` on.
    pub fn new(
        space: PathSpace,
        patterns: Vec<String>,
        known: HashMap<SourceId, Progress>,
    ) -> FileReader {
        let known: HashMap<SourceId, Known> = known
            .into_iter()
            .filter_map(|(source, progress)| Some((source, Known::of(&progress)?)))
            .collect();
        let known_folders = known.keys().filter_map(|source| match source {
            SourceId::File(path) => Some(folder(path).to_owned()),
            SourceId::Output(_) | SourceId::Journal => None,
        });
        let now = Instant::now();
        FileReader {
            space,
            patterns,
            encoding: LogEncoding::Auto,
            since: None,
            pace: Pace::default(),
            known_folders: known_folders.collect(),
            known,
            left: Vec::new(),
            seen: BTreeSet::new(),
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

    /// The same for files whose bytes are text in this way.
    pub fn encoded(mut self, encoding: LogEncoding) -> FileReader {
        self.encoding = encoding;
        self
    }

    /// The same, but files that were never read are read only as far back as this.
    pub fn since(mut self, since: Since) -> FileReader {
        self.since = Some(since);
        self
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
            if !self.followers.iter().any(|follower| follower.has_more) {
                self.wait().await;
            }
        }
    }

    /// How each file, and each pattern without any, is doing.
    pub fn states(&self) -> Vec<FileState> {
        let now = Instant::now();
        let mut states: Vec<FileState> =
            self.followers.iter().map(|follower| follower.state(now)).collect();
        for pattern in self.patterns.iter().filter(|pattern| glob::is_pattern(pattern)) {
            let paths: Vec<&str> = states.iter().map(|state| state.shown.as_str()).collect();
            if !paths.iter().any(|path| fits(pattern, path)) {
                states.push(FileState::new(pattern.clone(), self.why_none(pattern)));
            }
        }
        states
    }

    /// Why a pattern matches nothing: its directory can't be seen, or is just empty.
    fn why_none(&self, pattern: &str) -> FileStatus {
        match self.space.list(&fixed(pattern)) {
            Err(error) if error.is_unreachable() => FileStatus::Unreachable(error.to_string()),
            Err(error) if !error.is_missing() => FileStatus::Refused(error.to_string()),
            _ => FileStatus::Waiting,
        }
    }

    /// What comes after a silence is read at once; what comes right after that is gathered.
    async fn wait(&mut self) {
        let pause = self.last_moved + GATHER;
        let moved = async {
            sleep_until(pause).await;
            self.wake.moved().await
        };
        tokio::select! {
            () = sleep_until(self.next_look) => {}
            moved = moved => {
                self.last_moved = Instant::now();
                if moved == Moved::Names {
                    self.next_look = self.next_look.min(self.earliest_look);
                    self.next_expand = self.next_expand.min(self.earliest_expand);
                }
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
            let known = std::mem::take(&mut follower.known);
            if !lines.is_empty() {
                let place = lines.last().and_then(|line| match line.mark {
                    Mark::File(mark) => Some(mark),
                    Mark::Output(..) | Mark::Journal(_) => None,
                });
                let source = follower.source.clone();
                if !live && let Some(last) = lines.last() {
                    self.note_date(index, &last.text, now);
                }
                return Some(FileBatch { source, lines, place, known, live, gone: false });
            }
            if follower.is_gone {
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

    /// How old what was there before is, looked at once a second.
    fn note_date(&mut self, index: usize, line: &str, now: Instant) {
        let Some(since) = &mut self.since else { return };
        let follower = &mut self.followers[index];
        if follower.dated.is_none_or(|last| now.duration_since(last) >= DATE_EVERY) {
            follower.dated = Some(now);
            follower.reached = since.date(line).or(follower.reached);
        }
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
        self.find_gone();
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
        let now = Instant::now();
        let paths = self.matching();
        for (path, is_old) in &paths {
            let known = self.followers.iter().any(|follower| follower.path == *path);
            let full = self.followers.len() >= MAX_FILES;
            if known || full || self.is_rotated(path, &paths) || !self.is_file(path) {
                continue;
            }
            let mut follower = Follower::new(path.clone(), &self.space, now);
            follower.is_old = *is_old;
            self.followers.push(follower);
        }
    }

    /// All paths that match, and whether they may have been there before the reader.
    fn matching(&mut self) -> BTreeMap<String, bool> {
        let space = &self.space;
        let mut list = |folder: &str| space.list(folder).unwrap_or_default();
        let mut paths = BTreeMap::new();
        for pattern in &self.patterns {
            let is_new = !self.seen.contains(pattern);
            if !glob::is_pattern(pattern) {
                paths.insert(pattern.clone(), is_new);
                self.seen.insert(pattern.clone());
                continue;
            }
            for path in glob::expand(pattern, MAX_FILES, &mut list) {
                // Where guard read before it was stopped, what is not known came since.
                let here = self.space.host_path(folder(&path));
                let is_old = is_new && !self.known_folders.contains(&here);
                paths.entry(path).or_insert(is_old);
            }
            let listed = space.list(&fixed(pattern));
            if listed.as_ref().err().is_none_or(OpenError::is_missing) {
                self.seen.insert(pattern.clone());
            }
        }
        paths
    }

    /// Does a wildcard match what another file of the jail was before it was rotated?
    /// It is read as that file's past. Only a path given by name is followed all the same.
    fn is_rotated(&self, path: &str, paths: &BTreeMap<String, bool>) -> bool {
        if self.patterns.iter().any(|pattern| pattern == path) {
            return false;
        }
        let followed = self.followers.iter().map(|follower| &follower.path);
        unpacked(path) != path || followed.chain(paths.keys()).any(|own| is_past(own, path))
    }

    /// Whose file is gone, and no other beside it was that file before.
    fn find_gone(&mut self) {
        for follower in &mut self.followers {
            let over = follower.generations.is_empty() && follower.status == FileStatus::Waiting;
            let Follower { path, .. } = &*follower;
            follower.is_gone = over
                && !self.patterns.contains(path)
                && !siblings(&self.space, path).any(|(other, _)| is_past(path, &other));
        }
    }

    /// A pattern matches directories too, but only a path given by name is
    /// complained about.
    fn is_file(&self, path: &str) -> bool {
        let named = self.patterns.iter().any(|pattern| pattern == path);
        named || !matches!(self.space.open(path), Err(OpenError::NotAFile { .. }))
    }
}

/// Was `path` called `own` before, and has its old name in it?
fn is_past(own: &str, path: &str) -> bool {
    let name = |path: &str| path[folder(path).len()..].trim_start_matches('/').to_owned();
    folder(own) == folder(path)
        && path.starts_with(own)
        && rotation(&name(own), &name(path)).is_some()
}

/// The directories of a pattern before the first wildcard.
fn fixed(pattern: &str) -> String {
    let fixed: Vec<&str> = pattern.split('/').take_while(|part| !glob::is_pattern(part)).collect();
    fixed.join("/")
}

/// Does the pattern match the path?
fn fits(pattern: &str, path: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (pattern, path) = (parts(pattern), parts(path));
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(p, n)| glob::matches(p, n))
}
