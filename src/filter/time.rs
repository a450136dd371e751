//! When a line was written, as far as its date can be believed.

use std::time::Duration;

use jiff::SignedDuration;

use crate::model::Timestamp;

/// A live line this far from now counts as now, as in fail2ban; and a date is
/// remembered for so long for lines without one.
const NEAR: SignedDuration = SignedDuration::from_secs(60);
/// Zones differ by whole quarters of an hour.
const QUARTER: i64 = 15 * 60;

/// How far a source has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its end was not reached yet.
    Backlog,
    /// Lines come as they are written.
    Live,
}

/// Live dates are off by whole quarters of an hour: the zone is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneHint {
    /// How far dates are ahead of the clock, in seconds; negative: behind.
    pub offset_seconds: i64,
    /// How many lines said so, one after the other.
    pub lines: u64,
}

/// The times of one source's lines.
#[derive(Debug, Default)]
pub(super) struct LineTimes {
    last: Option<Timestamp>,
    hint: Option<ZoneHint>,
}

impl LineTimes {
    /// The time of a line with the date `dated`; `None`: it is older than
    /// `find_time` and was read from the backlog, so it counts for nothing.
    pub(super) fn judge(
        &mut self,
        dated: Option<Timestamp>,
        now: Timestamp,
        phase: Phase,
        find_time: Duration,
    ) -> Option<Timestamp> {
        let Some(date) = dated else {
            let last = self.last.filter(|last| now.duration_since(*last).abs() < NEAR);
            return Some(last.unwrap_or(now).min(now));
        };
        self.last = Some(date);
        let ahead = date.duration_since(now);
        match phase {
            Phase::Live => {
                self.note(ahead);
                Some(if ahead.abs() > NEAR { now } else { date.min(now) })
            }
            Phase::Backlog => {
                let old =
                    -ahead > SignedDuration::try_from(find_time).unwrap_or(SignedDuration::MAX);
                (!old).then_some(date.min(now))
            }
        }
    }

    /// Live dates that are off as zones are.
    pub(super) fn hint(&self) -> Option<ZoneHint> {
        self.hint
    }

    fn note(&mut self, ahead: SignedDuration) {
        let seconds = ahead.as_secs();
        let quarters = (seconds as f64 / QUARTER as f64).round() as i64 * QUARTER;
        let is_zone = quarters != 0
            && quarters.abs() <= 14 * 3600
            && (seconds - quarters).abs() <= NEAR.as_secs();
        self.hint = is_zone.then(|| match self.hint {
            Some(hint) if hint.offset_seconds == quarters => {
                ZoneHint { lines: hint.lines.saturating_add(1), ..hint }
            }
            _ => ZoneHint { offset_seconds: quarters, lines: 1 },
        });
    }
}
