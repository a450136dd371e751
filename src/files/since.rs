//! Where to begin in a file that was never read: as far back as failures count, found
//! by the dates of its lines.
//!
//! A log grows in time, so the place is found by halving, whatever the file's size.
//! Lines that are a little out of order, and those of a story that began a little
//! before, lie within what is read in addition. Without dates nobody can tell how old
//! a line is, and it would count as of now; so such a file is read from its end.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::generation::{Generation, line_end};
use crate::model::{LogEncoding, MAX_LINE, Timestamp, Unit, unit};

/// How much is read at once while the place is looked for.
const WINDOW: usize = 64 * 1024;

/// Where no line of a window has a date, so many windows more are looked at.
const WINDOWS: usize = 8;

/// So many dates are asked, and the one in the middle is believed: any single line may
/// bear any date, if a client wrote it.
const DATES: usize = 5;

/// So much of a line is searched for a date.
const DATED: usize = 1024;

/// So many bytes before the place are read in addition.
const BEFORE: u64 = 64 * 1024;

/// So many seconds may lines be out of order, and so old may an undated file be that
/// is read from its beginning.
const SLACK: i64 = 60;

/// The date of a line.
type Date = Box<dyn FnMut(&str) -> Option<Timestamp> + Send>;

/// How far back a file is read that was never read before.
pub struct Since {
    now: Timestamp,
    oldest: Timestamp,
    date: Date,
}

impl Since {
    /// As far as `oldest`, by what `date` says of lines; `now` it is that late.
    pub fn new(
        now: Timestamp,
        oldest: Timestamp,
        date: impl FnMut(&str) -> Option<Timestamp> + Send + 'static,
    ) -> Since {
        Since { now, oldest, date: Box::new(date) }
    }

    pub(super) fn oldest(&self) -> Timestamp {
        self.oldest
    }

    /// The date of a line.
    pub(super) fn date(&mut self, line: &str) -> Option<Timestamp> {
        (self.date)(line)
    }

    /// Puts a file that was not read yet to where it is read from. False: it has no
    /// dates, and stands at its end.
    pub(super) fn begin(&mut self, generation: &mut Generation) -> bool {
        // What is packed is read from its beginning.
        let Some(file) = generation.plain() else { return true };
        let encoding = generation.encoding();
        let (place, dated) = match self.place(file, encoding) {
            Some(place) => (place, true),
            None if self.is_young(file) => (0, true),
            None => (end(file, encoding), false),
        };
        // If it can't be read, that is told when it is read on.
        let _ = generation.start_at(place);
        dated
    }

    /// Where to begin; `None`: the file has lines, but no dates.
    fn place(&mut self, file: &File, encoding: LogEncoding) -> Option<u64> {
        let mut probe = Probe::new(file, encoding);
        let oldest = self.oldest.as_second().saturating_sub(SLACK);
        if probe.length == 0 {
            return Some(0);
        }
        let first = probe.when(0, self);
        if first.is_some_and(|first| first >= oldest) {
            return Some(0);
        }
        // The lines at `low` are too old; those at `high` are not, or have no dates.
        let (mut low, mut high) = (0, probe.length);
        let mut dated = first.is_some();
        while high - low > WINDOW as u64 {
            let middle = low + (high - low) / 2;
            match probe.when(middle, self) {
                Some(when) if when < oldest => (low, dated) = (middle, true),
                Some(_) => (high, dated) = (middle, true),
                None => high = middle,
            }
        }
        dated.then(|| probe.line_start(low.saturating_sub(BEFORE)))
    }

    /// Was it made just now? Then its lines were written just now.
    fn is_young(&self, file: &File) -> bool {
        let made = file.metadata().and_then(|meta| meta.created()).ok();
        let made = made.and_then(|made| Timestamp::try_from(made).ok());
        made.is_some_and(|made| made.as_second() >= self.now.as_second() - SLACK)
    }
}

impl fmt::Debug for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Since").field("oldest", &self.oldest).finish_non_exhaustive()
    }
}

/// Looks at a file here and there.
struct Probe<'a> {
    file: &'a File,
    encoding: &'static encoding_rs::Encoding,
    unit: Unit,
    length: u64,
    window: Vec<u8>,
}

impl<'a> Probe<'a> {
    fn new(file: &'a File, encoding: LogEncoding) -> Probe<'a> {
        let mut head = [0; 4];
        let read = file.read_at(&mut head, 0).unwrap_or(0);
        let (encoding, _) = encoding.of(&head[..read]);
        let length = file.metadata().map_or(0, |meta| meta.len());
        Probe { file, encoding, unit: unit(encoding), length, window: vec![0; WINDOW] }
    }

    /// When the lines behind a place were written, in seconds; `None`: the next few
    /// windows have no date.
    fn when(&mut self, at: u64, since: &mut Since) -> Option<i64> {
        let mut at = self.line_start(at);
        let mut dates: Vec<i64> = Vec::new();
        for _ in 0..WINDOWS {
            let read = self.file.read_at(&mut self.window, at).unwrap_or(0);
            let mut used = 0;
            while dates.len() < DATES
                && let Some(end) = line_end(&self.window[used..read], self.unit)
            {
                let line = &self.window[used..used + end.min(DATED)];
                let (text, _) = self.encoding.decode_without_bom_handling(line);
                dates.extend(since.date(&text).map(Timestamp::as_second));
                used += end + self.unit.width();
            }
            if dates.len() == DATES || used == 0 {
                break;
            }
            at += used as u64;
        }
        dates.sort_unstable();
        dates.get(dates.len() / 2).copied()
    }

    /// Where the next line begins at or behind a place; the place itself where lines
    /// are too long to see.
    fn line_start(&mut self, at: u64) -> u64 {
        let width = self.unit.width() as u64;
        let at = at - at % width;
        let Some(before) = at.checked_sub(width) else { return 0 };
        let read = self.file.read_at(&mut self.window, before).unwrap_or(0);
        let end = line_end(&self.window[..read], self.unit);
        end.map_or(at, |end| before + end as u64 + width)
    }
}

/// The end of the last whole line.
fn end(file: &File, encoding: LogEncoding) -> u64 {
    let probe = Probe::new(file, encoding);
    let width = probe.unit.width();
    let from = probe.length.saturating_sub(MAX_LINE as u64);
    let from = from - from % width as u64;
    let mut tail = vec![0; MAX_LINE + 2];
    let read = file.read_at(&mut tail, from).unwrap_or(0);
    let tail = &tail[..read];
    let mut used = 0;
    while let Some(end) = line_end(&tail[used..], probe.unit) {
        used += end + width;
    }
    if used == 0 && from > 0 {
        probe.length - probe.length % width as u64
    } else {
        from + used as u64
    }
}
