//! What a timestamp says, and which moment that was.

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// What a timestamp says. Cheap to keep: which moment it is, is worked out only for
/// lines that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filter) enum When {
    /// A moment, whatever the zone.
    Moment(Timestamp),
    /// A date and a time of day.
    Civil { year: Year, time: Time, offset: Option<Offset> },
    /// A time of day.
    Clock(Time),
}

/// A day that exists, or one of which the year is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filter) enum Year {
    /// With its year.
    Given(Date),
    /// Month and day alone.
    Open(i8, i8),
}

impl When {
    /// `None` if there is no such day.
    pub(super) fn civil(
        year: Option<i16>,
        (month, day): (i8, i8),
        time: Time,
        offset: Option<Offset>,
    ) -> Option<When> {
        // Without a year, a leap year is as good as any.
        let date = Date::new(year.unwrap_or(2000), month, day).ok()?;
        let year = if year.is_some() { Year::Given(date) } else { Year::Open(month, day) };
        Some(When::Civil { year, time, offset })
    }

    pub(super) fn clock(time: Time) -> When {
        When::Clock(time)
    }

    /// Is it read in the source's zone, because it names none?
    pub(in crate::filter) fn is_local(self) -> bool {
        matches!(self, When::Civil { offset: None, .. } | When::Clock(_))
    }

    /// Which moment it is. An open year is this one, or the last one if that would be
    /// more than a day ahead; an open day is today, or yesterday if that would be ahead.
    /// A time that the clocks skip is the one after the gap, one that they show twice
    /// the first of the two.
    pub(in crate::filter) fn resolve(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        match self {
            When::Moment(moment) => Some(moment),
            When::Civil { year: Year::Given(date), time, offset } => {
                moment(date, time, offset, zone)
            }
            When::Civil { year: Year::Open(month, day), time, offset } => {
                let today = offset.map_or_else(|| zone.to_datetime(now), |o| o.to_datetime(now));
                let in_year =
                    |year: i16| moment(Date::new(year, month, day).ok()?, time, offset, zone);
                let latest = now.checked_add(SignedDuration::from_hours(24)).ok()?;
                in_year(today.year())
                    .filter(|moment| *moment <= latest)
                    .or_else(|| in_year(today.year() - 1))
            }
            When::Clock(time) => {
                let today = zone.to_datetime(now).date();
                moment(today, time, None, zone)
                    .filter(|moment| *moment <= now)
                    .or_else(|| moment(today.checked_sub(1.day()).ok()?, time, None, zone))
            }
        }
    }
}

fn moment(date: Date, time: Time, offset: Option<Offset>, zone: &TimeZone) -> Option<Timestamp> {
    let civil = date.to_datetime(time);
    match offset {
        Some(offset) => offset.to_timestamp(civil).ok(),
        None => zone.to_timestamp(civil).ok(),
    }
}
