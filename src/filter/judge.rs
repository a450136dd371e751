//! A filter at work on one source.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ansi;
use super::dates::{Detector, Stamp};
use super::filter::{Filter, Finding};
use super::time::{Clock, Phase, ZoneHint};
use crate::model::{Line, MAX_LINE, Network};

/// A [`Filter`] with its state on one source: what its dates look like, and when the
/// last one was.
#[derive(Clone, Debug)]
pub struct Judge {
    filter: Arc<Filter>,
    detector: Detector,
    clock: Clock,
    /// The line without its terminal escapes.
    plain: String,
    /// The text that the regexes see: the date cut out, and a line end, as in fail2ban.
    seen: String,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No failregex matched, or none found an address.
    Missed,
    /// A failregex matched, and an ignoreregex.
    Ignored,
    /// A failure, read in the backlog, and older than the jail's `findtime`.
    TooOld,
    /// A failure.
    Failure(Hit),
}

/// A failure in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Who failed.
    pub network: Network,
    /// When; never after the `now` that was given.
    pub at: Timestamp,
    /// The failregex that matched, by its index in the spec.
    pub regex: usize,
}

impl Judge {
    /// A judge for one source. Dates that name no zone are read in `zone`; `find_time`
    /// is how far back failures count.
    pub fn new(filter: Arc<Filter>, zone: TimeZone, find_time: Duration) -> Judge {
        Judge {
            filter,
            detector: Detector::default(),
            clock: Clock::new(zone, find_time),
            plain: String::new(),
            seen: String::new(),
        }
    }

    /// Judges the source's next line, at `now`.
    ///
    /// The regexes see the line without its timestamp. Where the carrier gives the
    /// time, they also see it whole if nothing matched: people write regexes for
    /// either. Likewise without terminal escapes first, then with them.
    pub fn feed(&mut self, line: &Line, now: Timestamp, phase: Phase) -> Verdict {
        let text = within_limit(&line.text);
        let escapes = ansi::is_in(text);
        if !escapes && !text.as_bytes().contains(&b'\n') && !self.filter.may_match(text) {
            self.note_date(line);
            return Verdict::Missed;
        }
        let (date, finding) = if escapes {
            let mut plain = std::mem::take(&mut self.plain);
            ansi::strip(text, &mut plain);
            let stamp = self.detector.find(&plain);
            let mut found = self.search(&plain, stamp, line.at);
            self.plain = plain;
            if found.is_none() {
                // A throw-away detector: what raw lines look like is not learnt.
                let raw = self.detector.clone().find(text);
                found = self.search(text, raw, line.at);
            }
            (stamp.map(|stamp| stamp.when), found)
        } else {
            let stamp = self.detector.find(text);
            (stamp.map(|stamp| stamp.when), self.search(text, stamp, line.at))
        };
        let verdict = match finding {
            None => Verdict::Missed,
            Some(Finding::Ignored) => Verdict::Ignored,
            Some(Finding::Failed(network, regex)) => self
                .clock
                .judge(line.at, date, now, phase)
                .map_or(Verdict::TooOld, |at| Verdict::Failure(Hit { network, at, regex })),
        };
        if let Some(date) = date {
            self.clock.note(date);
        }
        verdict
    }

    /// Live dates were off by whole quarters of an hour: the zone may be wrong.
    pub fn zone_hint(&self) -> Option<ZoneHint> {
        self.clock.hint()
    }

    /// Keeps the date of a line that is of no further interest; a carrier's time needs
    /// none. Only where dates usually are, because most lines come this way.
    fn note_date(&mut self, line: &Line) {
        const USUALLY: usize = 256;
        if line.at.is_none()
            && let Some(stamp) = self.detector.find_before(&line.text, USUALLY)
        {
            self.clock.note(stamp.when);
        }
    }

    /// Searches `text` with `stamp` cut out, and as it is where `carrier` gives the time.
    fn search(
        &mut self,
        text: &str,
        stamp: Option<Stamp>,
        carrier: Option<Timestamp>,
    ) -> Option<Finding> {
        let cut = stamp.map_or(0..0, |stamp| stamp.cut());
        show(&mut self.seen, &text[..cut.start], &text[cut.end..]);
        let found = self.filter.search(&self.seen);
        if found.is_some() || stamp.is_none() || carrier.is_none() {
            return found;
        }
        show(&mut self.seen, text, "");
        self.filter.search(&self.seen)
    }
}

/// Puts what the regexes see into `seen`. It ends in its only `\n`: should a line hold
/// one all the same, it is a blank.
fn show(seen: &mut String, left: &str, right: &str) {
    seen.clear();
    for part in [left, right] {
        if part.as_bytes().contains(&b'\n') {
            seen.extend(part.chars().map(|c| if c == '\n' { ' ' } else { c }));
        } else {
            seen.push_str(part);
        }
    }
    seen.push('\n');
}

/// As much of `text` as is looked at. Where it may have been cut, here or by whoever
/// read it, an address at its end may be but the beginning of one, and someone else's.
fn within_limit(text: &str) -> &str {
    const CHARACTER: usize = 4;
    if text.len() + CHARACTER <= MAX_LINE {
        return text;
    }
    let end = (0..=MAX_LINE.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)]
        .trim_end_matches(|c: char| matches!(c, '.' | ':' | '/') || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
