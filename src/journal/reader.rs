//! Following all files of the journal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use tokio::time::{Instant, sleep_until};

use super::entry::{Told, tell, time};
use super::file::JournalFile;
use super::folder::{self, Found, JournalFolders};
use super::layout::{Damage, EntryHead};
use super::state::JournalState;
use super::track::{Begin, Track};
use crate::model::{JournalMark, JournalMatch, Line, Mark, Position, Timestamp};
use crate::wake::Wake;

/// Most lines of a batch.
const LINES: usize = 256;
/// Most entries looked at in one turn.
const ENTRIES: usize = 2048;
/// How often to look while something moves, and while nothing does.
const BUSY: Duration = Duration::from_millis(250);
const IDLE: Duration = Duration::from_secs(1);
/// How soon after a hint a look is worth it.
const GATHER: Duration = Duration::from_millis(10);
/// Most files whose trouble is told.
const MAX_TOLD: usize = 10;

/// Lines of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalBatch {
    /// The lines, in order; at most 256.
    pub lines: Vec<Line>,
    /// Places reached beyond the lines: what lies before them does not fit.
    pub places: Vec<JournalMark>,
    /// Had the end of the journal been reached before these lines?
    pub live: bool,
}

/// Follows the journal's entries that fit some terms.
#[derive(Debug)]
pub struct JournalReader {
    folders: JournalFolders,
    wanted: JournalMatch,
    /// Nothing older is of interest.
    since: Timestamp,
    /// How far each sequence of numbers has been read; a [`Position::Journal`].
    place: Position,
    /// How far it had been read in an earlier life, where that was read again from `place`.
    known: Option<Position>,
    /// The file and the fingerprint of the last entry that was given.
    last: ([u8; 16], u64),
    /// Files that were looked into.
    seen: HashSet<Found>,
    refused: BTreeMap<Found, String>,
    tracks: Vec<Track>,
    round: Option<Round>,
    /// The round gave something.
    moved: bool,
    /// The end was reached once.
    live: bool,
    begun: bool,
    present: Vec<String>,
    damaged: u64,
    gap: Option<String>,
    wake: Wake,
    next_look: Instant,
    last_moved: Instant,
}

/// Up to which number to read now, for each sequence of numbers.
type Round = HashMap<u128, JournalMark>;

/// The place behind an entry.
fn mark(sequence: u128, head: &EntryHead) -> JournalMark {
    JournalMark {
        sequence,
        number: head.number,
        at: time(head.realtime).unwrap_or(Timestamp::UNIX_EPOCH),
        boot: head.boot,
        since_boot: head.monotonic,
    }
}

impl JournalReader {
    /// Follows what is `wanted`: behind `place`, a [`Position::Journal`], and not older
    /// than `since`.
    pub fn new(
        folders: JournalFolders,
        wanted: JournalMatch,
        place: Option<Position>,
        since: Timestamp,
    ) -> JournalReader {
        let place = match place {
            Some(place @ Position::Journal(_)) => place,
            Some(Position::Output { .. } | Position::File(_)) | None => {
                Position::Journal(Vec::new())
            }
        };
        JournalReader {
            folders,
            wanted,
            since,
            place,
            known: None,
            last: Default::default(),
            seen: HashSet::new(),
            refused: BTreeMap::new(),
            tracks: Vec::new(),
            round: None,
            moved: false,
            live: false,
            begun: false,
            present: Vec::new(),
            damaged: 0,
            gap: None,
            wake: Wake::default(),
            next_look: Instant::now(),
            last_moved: Instant::now(),
        }
    }

    /// The same, but what comes behind `resume` is given again: a [`Position::Journal`]
    /// before the place.
    pub fn again_from(mut self, resume: Option<Position>) -> JournalReader {
        let Some(resume) = resume else { return self };
        let earlier = |place: &JournalMark| {
            let same = places_of(&resume).iter().find(|at| at.sequence == place.sequence);
            *same.filter(|at| at.number < place.number).unwrap_or(place)
        };
        let places = self.places().iter().map(earlier).collect();
        self.known = Some(std::mem::replace(&mut self.place, Position::Journal(places)));
        self
    }

    /// The next lines; waits if there are none. May be dropped while it waits and
    /// called again: nothing is lost. Files are read in place, a bounded piece at a
    /// time, with a chance for other tasks before each.
    pub async fn next(&mut self) -> JournalBatch {
        loop {
            tokio::task::yield_now().await;
            if self.round.is_none() {
                let now = Instant::now();
                if now < self.next_look {
                    self.wait().await;
                    continue;
                }
                self.begin_round(now);
            }
            if let Some(batch) = self.turn() {
                self.last_moved = Instant::now();
                return batch;
            }
        }
    }

    /// Has the end of the journal been reached once?
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// How it is doing.
    pub fn state(&self) -> JournalState {
        let shown = |found: &Found| found.path.display().to_string();
        let parts = self.tracks.iter().filter_map(|track| {
            Some(format!("{}: {}", shown(&track.found), track.problem.as_ref()?))
        });
        let whole = self.refused.iter().map(|(found, why)| format!("{}: {why}", shown(found)));
        JournalState {
            folders: self.present.clone(),
            found: self.seen.len() + self.refused.len(),
            files: self.tracks.len(),
            behind: self.tracks.iter().map(Track::behind).sum(),
            problems: whole.chain(parts).take(MAX_TOLD).collect(),
            damaged: self.damaged + self.tracks.iter().map(|track| track.damaged).sum::<u64>(),
            gap: self.gap.clone(),
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = sleep_until(self.next_look) => {}
            _ = self.wake.moved() => {
                self.last_moved = Instant::now();
                self.next_look = self.last_moved + GATHER;
                // Dropped here: the look comes all the same.
                sleep_until(self.next_look).await;
            }
        }
    }

    /// Looks how far the numbers have come, and then what is there up to them.
    fn begin_round(&mut self, now: Instant) {
        self.look();
        let mut round = Round::new();
        for track in &mut self.tracks {
            track.refresh(&self.wanted);
            let sequence = track.file.header().sequence;
            let Some(last) = track.last() else { continue };
            let mark = mark(sequence, &last);
            let end = round.entry(sequence).or_insert(mark);
            if end.number < mark.number {
                *end = mark;
            }
        }
        self.look();
        for track in &mut self.tracks {
            track.refresh(&self.wanted);
        }
        self.round = Some(round);
        let idle = now.duration_since(self.last_moved) > 10 * IDLE;
        self.next_look = now + if idle { IDLE } else { BUSY };
    }

    /// Entries that fit, in order; `None`: nothing worth telling in this turn.
    fn turn(&mut self) -> Option<JournalBatch> {
        let round = self.round.take()?;
        let mut lines = Vec::new();
        let mut budget = ENTRIES;
        let over = loop {
            for track in &mut self.tracks {
                track.advance(&self.wanted, &mut budget);
            }
            if budget == 0 || lines.len() >= LINES {
                break false;
            }
            let Some(first) = self.first(&round) else { break true };
            lines.extend(self.take(first));
        };
        let live = self.live;
        let mut places = Vec::new();
        if over {
            places = self.end_round(&round);
        } else {
            self.round = Some(round);
        }
        let nothing = lines.is_empty() && places.is_empty();
        (!nothing).then_some(JournalBatch { lines, places, live })
    }

    /// Which file has the entry that comes first: within a sequence by number,
    /// among several by time.
    fn first(&self, round: &Round) -> Option<usize> {
        let mut heads: HashMap<u128, (u64, u64, usize)> = HashMap::new();
        for (index, track) in self.tracks.iter().enumerate() {
            let Some(entry) = &track.ready else { continue };
            let sequence = track.file.header().sequence;
            let number = entry.head.number;
            // Nobody writes to a file without an end, so nothing is to be waited for.
            let beyond = round.get(&sequence).is_none_or(|end| number > end.number);
            if beyond && !track.torn {
                continue;
            }
            let head = heads.entry(sequence).or_insert((number, entry.head.realtime, index));
            if number < head.0 {
                *head = (number, entry.head.realtime, index);
            }
        }
        heads.values().min_by_key(|head| (head.1, head.2)).map(|head| head.2)
    }

    /// The line of a file's next entry.
    fn take(&mut self, index: usize) -> Option<Line> {
        let track = &mut self.tracks[index];
        let entry = track.ready.take()?;
        let mark = mark(track.file.header().sequence, &entry.head);
        let from = (track.file.header().file_id, entry.head.fingerprint);
        if self.is_copy(&mark, from) {
            return None;
        }
        let track = &mut self.tracks[index];
        let Told { at, text, unreadable } = tell(&track.file, &entry);
        track.damaged += u64::from(unreadable);
        self.last = from;
        self.moved = true;
        let mark = self.advance(mark);
        (!unreadable).then_some(Line { at: at.or(Some(mark.at)), text, mark: Mark::Journal(mark) })
    }

    /// Was this entry given before? A copy of a file has the same numbers. What
    /// journald moves from `/run` to `/var` gets new ones, but keeps its times, which
    /// otherwise never go back between two starts of the machine.
    fn is_copy(&self, mark: &JournalMark, from: ([u8; 16], u64)) -> bool {
        let Some(place) = self.reached(mark.sequence) else { return false };
        let again = || {
            mark.since_boot < place.since_boot
                || mark.since_boot == place.since_boot
                    && (from.1 == self.last.1 && from.0 != self.last.0)
        };
        mark.number <= place.number || mark.boot == place.boot && again()
    }

    /// Moves the place.
    fn advance(&mut self, mut mark: JournalMark) -> JournalMark {
        if let Some(place) = self.reached(mark.sequence)
            && place.boot == mark.boot
        {
            mark.since_boot = mark.since_boot.max(place.since_boot);
        }
        self.place.advance(&Mark::Journal(mark));
        mark
    }

    /// Everything up to the round's numbers has been read.
    fn end_round(&mut self, round: &Round) -> Vec<JournalMark> {
        let mut places = Vec::new();
        for mark in round.values() {
            if self.reached(mark.sequence).is_none_or(|place| place.number < mark.number) {
                places.push(self.advance(*mark));
            }
        }
        self.live = true;
        for track in &self.tracks {
            self.damaged += if track.is_over() { track.damaged } else { 0 };
        }
        self.tracks.retain(|track| !track.is_over());
        let moved = std::mem::take(&mut self.moved) || !places.is_empty();
        if moved && self.tracks.iter().any(|track| track.behind() > 0) {
            self.next_look = Instant::now();
        }
        places
    }

    fn reached(&self, sequence: u128) -> Option<&JournalMark> {
        self.places().iter().find(|place| place.sequence == sequence)
    }

    fn places(&self) -> &[JournalMark] {
        places_of(&self.place)
    }

    /// What was read in an earlier life, or else so far.
    fn known(&self) -> &[JournalMark] {
        places_of(self.known.as_ref().unwrap_or(&self.place))
    }

    /// Looks which files there are.
    fn look(&mut self) {
        let folders = self.folders.folders();
        self.present = self.folders.present().map(|path| path.display().to_string()).collect();
        let mut found = HashSet::new();
        for folder in &folders {
            let open = || {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::openat(CWD, folder, flags, Mode::empty()).ok()
            };
            self.wake.watch(&folder.to_string_lossy(), open);
            found.extend(folder::files_in(folder).unwrap_or_default());
        }
        self.seen.retain(|seen| found.contains(seen));
        self.refused.retain(|refused, _| found.contains(refused));
        let mut oldest: HashMap<u128, u64> = HashMap::new();
        found.retain(|found| !self.seen.contains(found));
        for found in found {
            match self.open(found.clone(), &mut oldest) {
                Ok(()) => {
                    self.refused.remove(&found);
                    self.seen.insert(found);
                }
                // Tried again: journald may just be making it.
                Err(why) => {
                    self.refused.insert(found, why);
                }
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.gap = self.gap(&oldest);
        }
    }

    /// Begins to read a file that is new, or has a new name.
    fn open(&mut self, found: Found, oldest: &mut HashMap<u128, u64>) -> Result<(), String> {
        let file = found.open().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "guard may not read it: give its container `cap_add: [DAC_READ_SEARCH]`".to_owned()
            }
            _ => format!("it can't be opened: {error}"),
        })?;
        let file = JournalFile::open(file).map_err(|damage: Damage| damage.to_string())?;
        let header = *file.header();
        if header.entries > 0 {
            let first = oldest.entry(header.sequence).or_insert(header.first_number);
            *first = header.first_number.min(*first);
        }
        let known = |track: &&mut Track| track.file.header().file_id == header.file_id;
        if let Some(track) = self.tracks.iter_mut().find(known) {
            track.found = found;
            return Ok(());
        }
        let begin = self.begin(header.sequence);
        let closed = found.is_archived() || header.archived;
        if closed && (header.entries == 0 || header.last_realtime < begin.realtime) {
            return Ok(());
        }
        self.tracks.push(Track::new(found, file, begin));
        Ok(())
    }

    /// Where to begin in a file of this sequence. Of one that was never read nothing
    /// is taken that is older than what was: journald copies what it wrote under
    /// `/run` to `/var`, with other numbers.
    fn begin(&self, sequence: u128) -> Begin {
        let microseconds = |at: Timestamp| u64::try_from(at.as_microsecond()).unwrap_or(0);
        let since = microseconds(self.since);
        if let Some(place) = self.reached(sequence) {
            return Begin { number: place.number, realtime: since };
        }
        let newest = self.places().iter().chain(self.known());
        let newest = newest.map(|place| microseconds(place.at) + 1).max();
        Begin { number: 0, realtime: since.max(newest.unwrap_or(0)) }
    }

    /// Were entries removed that come after the place reached?
    fn gap(&self, oldest: &HashMap<u128, u64>) -> Option<String> {
        self.known().iter().find_map(|place| {
            let oldest = oldest.get(&place.sequence)?;
            (place.number.saturating_add(1) < *oldest).then(|| {
                format!(
                    "{} entries of the journal, from {} on, were removed before guard read them",
                    oldest - place.number - 1,
                    place.at
                )
            })
        })
    }
}

fn places_of(position: &Position) -> &[JournalMark] {
    match position {
        Position::Journal(places) => places,
        Position::Output { .. } | Position::File(_) => &[],
    }
}
