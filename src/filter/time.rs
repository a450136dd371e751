//! When a failure was, given what its carrier and its text say.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::dates::When;

/// How far a source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its end was not reached yet: lines may be of any age.
    Backlog,
    /// Its end was reached: lines are read as they are written.
    Live,
    /// It is looked at, not followed: dates are what they say, and nothing is too old.
    Replay,
}

/// Dates on a source that are off by whole quarters of an hour while it is read live:
/// most likely they are of another zone than the one they are read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneHint {
    /// How far the dates are ahead of the clock (negative: behind), in seconds; a
    /// multiple of 900.
    pub offset_seconds: i64,
    /// How many matching lines in a row showed it.
    pub lines: u64,
}

/// What is known of a line's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// By its carrier, which is always right.
    Carrier(Timestamp),
    /// By the date in it.
    Date(Timestamp),
    /// Only by the last date that was seen before it.
    LastDate(Timestamp),
    /// Not at all.
    Nothing,
}

/// So far may the date of a line that is read live be off, and so old the last date
/// be that stands in for a missing one (fail2ban's).
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// When a line counts; `None` if it is too old to. Nothing counts in the future.
fn decide(
    given: Given,
    now: Timestamp,
    phase: Phase,
    find_time: SignedDuration,
) -> Option<Timestamp> {
    if phase == Phase::Replay {
        return Some(match given {
            Given::Carrier(at) | Given::Date(at) => at,
            Given::LastDate(at) if now.duration_since(at) < TOLERANCE => at,
            Given::LastDate(_) | Given::Nothing => now,
        });
    }
    let (at, phase) = match (given, phase) {
        (Given::Carrier(at), _) | (Given::Date(at), Phase::Backlog) => (at, phase),
        (Given::Date(at), Phase::Live) if near(at, now) => (at, phase),
        (Given::LastDate(at), Phase::Live) if near(at, now) => (at, phase),
        // The source's own time, as far as it is known: what is written below an old
        // line is old.
        (Given::LastDate(at), Phase::Backlog) => (at, phase),
        (Given::Date(_) | Given::LastDate(_) | Given::Nothing, _) => (now, Phase::Live),
    };
    let too_old = phase == Phase::Backlog && now.duration_since(at) > find_time;
    (!too_old).then(|| at.min(now))
}

fn near(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now).abs() <= TOLERANCE
}

/// The time on one source.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    find_time: SignedDuration,
    last: Option<When>,
    hint: Option<ZoneHint>,
}

impl Clock {
    pub(super) fn new(zone: TimeZone, find_time: Duration) -> Clock {
        let find_time = SignedDuration::try_from(find_time).unwrap_or(SignedDuration::MAX);
        Clock { zone, find_time, last: None, hint: None }
    }

    /// A line with this date went by.
    pub(super) fn note(&mut self, date: When) {
        if date == When::NoSuchDay {
            return;
        }
        self.last = Some(date);
    }

    /// When a line counts that its carrier gives `carrier` and that has `date` in it;
    /// `None` if it is too old to.
    pub(super) fn judge(
        &mut self,
        carrier: Option<Timestamp>,
        date: Option<When>,
        now: Timestamp,
        phase: Phase,
    ) -> Option<Timestamp> {
        let resolve = |when: When| when.resolve(&self.zone, now);
        let given = match (carrier, date.and_then(resolve)) {
            (Some(at), _) => Given::Carrier(at),
            (None, Some(at)) => Given::Date(at),
            (None, None) => self.last.and_then(resolve).map_or(Given::Nothing, Given::LastDate),
        };
        if let (Given::Date(at), Phase::Live) = (given, phase) {
            self.compare(at, date.is_some_and(When::is_local), now);
        }
        decide(given, now, phase, self.find_time)
    }

    pub(super) fn hint(&self) -> Option<ZoneHint> {
        self.hint
    }

    /// Remembers how far a date read live is off, if that may be the zone's doing.
    fn compare(&mut self, at: Timestamp, local: bool, now: Timestamp) {
        const QUARTER: i64 = 15 * 60;
        // Zones are at most 26 hours apart: Baker Island and Kiribati.
        const FARTHEST: i64 = 26 * 3600;
        let off = at.duration_since(now).as_secs();
        let quarters = (off + off.signum() * QUARTER / 2) / QUARTER;
        let offset_seconds = quarters * QUARTER;
        let by_zone = local
            && quarters != 0
            && offset_seconds.abs() <= FARTHEST
            && (off - offset_seconds).abs() <= TOLERANCE.as_secs();
        self.hint = by_zone.then(|| {
            let before = self.hint.filter(|hint| hint.offset_seconds == offset_seconds);
            ZoneHint { offset_seconds, lines: before.map_or(0, |hint| hint.lines) + 1 }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIND_TIME: SignedDuration = SignedDuration::from_secs(600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[track_caller]
    fn check(given: Given, phase: Phase, expected: Option<i64>) {
        assert_eq!(decide(given, at(0), phase, FIND_TIME), expected.map(at), "{given:?} {phase:?}");
    }

    #[test]
    fn the_carrier_is_always_right() {
        for seconds in [-3600, -600, -61, 0] {
            check(Given::Carrier(at(seconds)), Phase::Live, Some(seconds));
        }
        check(Given::Carrier(at(-600)), Phase::Backlog, Some(-600));
        check(Given::Carrier(at(-601)), Phase::Backlog, None);
        check(Given::Carrier(at(5)), Phase::Live, Some(0));
    }

    #[test]
    fn a_live_date_counts_as_now_when_it_is_off() {
        for (seconds, counts) in [(-61, 0), (-60, -60), (-1, -1), (60, 0), (61, 0), (7200, 0)] {
            check(Given::Date(at(seconds)), Phase::Live, Some(counts));
        }
    }

    #[test]
    fn a_date_in_the_backlog_counts_within_find_time() {
        for (seconds, counts) in [(-601, None), (-600, Some(-600)), (-61, Some(-61)), (9, Some(0))]
        {
            check(Given::Date(at(seconds)), Phase::Backlog, counts);
        }
    }

    #[test]
    fn the_last_date_stands_in_for_a_missing_one() {
        check(Given::LastDate(at(-59)), Phase::Live, Some(-59));
        check(Given::LastDate(at(-61)), Phase::Live, Some(0));
        check(Given::LastDate(at(-300)), Phase::Backlog, Some(-300));
        check(Given::LastDate(at(-601)), Phase::Backlog, None);
        check(Given::Nothing, Phase::Live, Some(0));
        check(Given::Nothing, Phase::Backlog, Some(0));
    }

    #[test]
    fn whole_quarters_hint_at_the_zone() {
        let clock = |offs: &[i64]| {
            let mut clock = Clock::new(TimeZone::UTC, Duration::from_secs(600));
            offs.iter().for_each(|off| clock.compare(at(*off), true, at(0)));
            clock.hint().map(|hint| (hint.offset_seconds, hint.lines))
        };
        assert_eq!(clock(&[7200, 7199, 7195]), Some((7200, 3)));
        assert_eq!(clock(&[-7202, -7201]), Some((-7200, 2)));
        assert_eq!(clock(&[19_799]), Some((19_800, 1)), "India: five and a half hours");
        assert_eq!(clock(&[3600, 7200]), Some((7200, 1)));
        assert_eq!(clock(&[7200, -1]), None, "a date that is right");
        assert_eq!(clock(&[7200 + 400]), None);
        assert_eq!(clock(&[30]), None);
        assert_eq!(clock(&[40 * 3600]), None);
        let mut zoned = Clock::new(TimeZone::UTC, Duration::from_secs(600));
        zoned.compare(at(7200), false, at(0));
        assert_eq!(zoned.hint(), None, "a zone that stands in the line is no guess");
    }
}
