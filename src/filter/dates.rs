//! Dates in lines: where they stand, and what time they mean.
//!
//! The forms are those that fail2ban looks for by default, recognised by a
//! hand-written scanner instead of 31 regexes, without look-around. As there, a
//! date at the start of the line is preferred, then the one that stands leftmost
//! in the form that the source used last: what looks like a date in a user's
//! name does not win over the log's own.

mod form;
mod scan;

use std::ops::Range;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use form::{FORMS, Form};
use scan::Fields;

/// How much of a line is searched for a date, in bytes.
const REACH: usize = 8 * 1024;

/// A date in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it stands.
    pub(super) span: Range<usize>,
    fields: Fields,
}

/// Finds the dates of one source's lines.
#[derive(Debug)]
pub(super) struct Dates {
    zone: TimeZone,
    /// The form of the last line that had a date.
    last: Option<Form>,
}

impl Dates {
    /// For a source whose dates are in `zone` where they name none.
    pub(super) fn new(zone: TimeZone) -> Self {
        Dates { zone, last: None }
    }

    /// The date of the line.
    pub(super) fn find(&mut self, line: &str) -> Option<Found> {
        let bytes = line.as_bytes();
        let bytes = &bytes[..bytes.len().min(REACH)];
        if !bytes.iter().any(u8::is_ascii_digit) {
            return None;
        }
        let (form, found) = at_start(bytes)
            .or_else(|| self.last.and_then(|form| anywhere(bytes, &[form])))
            .or_else(|| anywhere(bytes, &FORMS))?;
        self.last = Some(form);
        Some(found)
    }

    /// The moment that a found date means; `None`: there is no such day. A date
    /// without a year is this year's, or last year's if that lies more than a
    /// day ahead; a time without a date is today's, or yesterday's.
    pub(super) fn time(&self, found: &Found, now: Timestamp) -> Option<Timestamp> {
        let fields = &found.fields;
        if let Some(epoch) = fields.epoch {
            return Some(epoch);
        }
        let zone = match fields.offset {
            Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).ok()?),
            None => self.zone.clone(),
        };
        let time =
            Time::new(fields.hour, fields.minute, fields.second.min(59), fields.nanos).ok()?;
        let today = now.to_zoned(zone.clone()).date();
        let moment = |date: Date| -> Option<Timestamp> {
            Some(DateTime::from_parts(date, time).to_zoned(zone.clone()).ok()?.timestamp())
        };
        let is_ahead = |at: Timestamp, by: SignedDuration| at.duration_since(now) > by;
        match (fields.year, fields.month) {
            (Some(year), _) => moment(Date::new(year, fields.month, fields.day).ok()?),
            (None, 0) => {
                let at = moment(today)?;
                if is_ahead(at, SignedDuration::ZERO) {
                    moment(today.yesterday().ok()?)
                } else {
                    Some(at)
                }
            }
            (None, month) => {
                let of = |year| Date::new(year, month, fields.day).ok().and_then(moment);
                match of(today.year()) {
                    Some(at) if !is_ahead(at, SignedDuration::from_hours(24)) => Some(at),
                    Some(_) | None => of(today.year() - 1).filter(|_| of(today.year()).is_some()),
                }
            }
        }
    }
}

/// A date at the start of the line, behind at most two other characters.
fn at_start(line: &[u8]) -> Option<(Form, Found)> {
    (0..=2.min(line.len()))
        .take_while(|start| begins_line(line, *start))
        .find_map(|start| first(line, start, &FORMS))
}

/// The leftmost date in one of `forms`.
fn anywhere(line: &[u8], forms: &[Form]) -> Option<(Form, Found)> {
    (0..line.len()).find_map(|start| {
        let boundary = start == 0 || !is_word(line[start - 1]);
        let begins =
            line[start].is_ascii_alphanumeric() || line[start] == b'@' || line[start] == b'<';
        if boundary && begins { first(line, start, forms) } else { None }
    })
}

fn first(line: &[u8], start: usize, forms: &[Form]) -> Option<(Form, Found)> {
    forms.iter().find_map(|form| {
        let (end, fields) = form.read(line, start)?;
        Some((*form, Found { span: fields.span.clone().unwrap_or(start..end), fields }))
    })
}

/// Is `start` at the beginning of the line, behind at most two characters that are no word's?
fn begins_line(line: &[u8], start: usize) -> bool {
    start <= 2 && line[..start].iter().all(|byte| !is_word(*byte))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests;
