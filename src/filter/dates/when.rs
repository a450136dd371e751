//! What a timestamp says, and which moment that was.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// What a timestamp says. Cheap to keep: which moment it is, is worked out only for
/// lines that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filter) enum When {
    /// A moment, whatever the zone.
    Moment(Timestamp),
    /// A day and a time of day.
    Civil { day: Day, time: Time, offset: Option<Offset> },
    /// It looks like a date, and is none: no moment.
    NoSuchDay,
}

/// Which day. Without a year it is the last one that is not more than a day ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filter) enum Day {
    /// One that exists, with its year.
    Given(Date),
    /// Month and day alone.
    OfYear(i8, i8),
    /// The number of a day in a year, from 1.
    Ordinal(Option<i16>, i16),
    /// A day in a week of a year.
    InWeek(Option<i16>, Week),
    /// This day of that year.
    ThisDayIn(i16),
    /// Today, or yesterday if that would be ahead.
    Open,
}

/// A day in a week; week 1 begins with the year's first such `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::filter) struct Week {
    pub(super) number: i8,
    /// The day that weeks begin with.
    pub(super) start: Weekday,
    pub(super) day: Weekday,
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
        let day = if year.is_some() { Day::Given(date) } else { Day::OfYear(month, day) };
        Some(When::Civil { day, time, offset })
    }

    /// A time of day alone.
    pub(super) fn clock(time: Time) -> When {
        When::Civil { day: Day::Open, time, offset: None }
    }

    /// Is it read in the source's zone, because it names none?
    pub(in crate::filter) fn is_local(self) -> bool {
        matches!(self, When::Civil { offset: None, .. })
    }

    /// Which moment it is. An open year is this one, or the last one if that would be
    /// more than a day ahead; an open day is today, or yesterday if that would be ahead.
    /// A time that the clocks skip is the one after the gap, one that they show twice
    /// the first of the two.
    pub(in crate::filter) fn resolve(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let (day, time, offset) = match self {
            When::Moment(moment) => return Some(moment),
            When::Civil { day, time, offset } => (day, time, offset),
            When::NoSuchDay => return None,
        };
        let moment = |date: Date| {
            let civil = date.to_datetime(time);
            match offset {
                Some(offset) => offset.to_timestamp(civil).ok(),
                None => zone.to_timestamp(civil).ok(),
            }
        };
        // The usual case needs to know no more.
        if let Day::Given(date) = day {
            return moment(date);
        }
        let today = offset.map_or_else(|| zone.to_datetime(now), |o| o.to_datetime(now)).date();
        if day == Day::Open {
            return moment(today)
                .filter(|at| *at <= now)
                .or_else(|| moment(today.checked_sub(1.day()).ok()?));
        }
        let in_year = |year: i16| moment(day.in_year(year, today)?);
        if !day.is_of_any_year() {
            return in_year(today.year());
        }
        let latest = now.checked_add(SignedDuration::from_hours(24)).ok()?;
        in_year(today.year())
            .filter(|moment| *moment <= latest)
            .or_else(|| in_year(today.year() - 1))
    }
}

impl Day {
    /// Is its year open?
    fn is_of_any_year(self) -> bool {
        matches!(self, Day::OfYear(..) | Day::Ordinal(None, _) | Day::InWeek(None, _))
    }

    /// The date that it is, in `year` if its own is open.
    fn in_year(self, year: i16, today: Date) -> Option<Date> {
        match self {
            Day::Given(date) => Some(date),
            Day::OfYear(month, day) => Date::new(year, month, day).ok(),
            Day::Ordinal(given, number) => {
                let first = Date::new(given.unwrap_or(year), 1, 1).ok()?;
                first.checked_add(i64::from(number - 1).days()).ok()
            }
            Day::InWeek(given, week) => week.date(given.unwrap_or(year)),
            Day::ThisDayIn(year) => Date::new(year, today.month(), today.day()).ok(),
            Day::Open => Some(today),
        }
    }
}

impl Week {
    fn date(self, year: i16) -> Option<Date> {
        let new_year = Date::new(year, 1, 1).ok()?;
        let to_start = new_year.weekday().until(self.start);
        let days = i64::from(to_start)
            + 7 * (i64::from(self.number) - 1)
            + i64::from(self.start.until(self.day));
        new_year.checked_add(days.days()).ok()
    }
}
