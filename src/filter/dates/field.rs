//! What the parts of a date pattern say: `%Y`, `%b`, and so on.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::When;
use super::cursor::{MONTHS, WEEKDAYS};
use super::when::{Day, Week};
use crate::filter::zone;

/// What a group of a pattern's regex holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Year,
    ShortYear,
    Month,
    MonthName,
    ShortMonthName,
    Day,
    Hour,
    /// Of twelve.
    HalfHour,
    /// `am` or `pm`.
    Half,
    Minute,
    Second,
    Fraction,
    DayName,
    ShortDayName,
    /// From 0, Sunday.
    DayNumber,
    DayOfYear,
    /// Weeks begin on Sunday.
    SundayWeek,
    MondayWeek,
    /// A zone's difference or name.
    Zone,
    ZoneName,
    /// Looked for, but not read: fail2ban makes nothing of it either.
    Unread(char),
    /// Seconds since 1970.
    Epoch,
    /// The same, or milliseconds or microseconds.
    LongEpoch,
    /// TAI64N.
    Tai64n,
}

impl Field {
    /// By the letter after `%`, which is also what a user's own group can be called.
    pub(super) fn of_letter(letter: char) -> Option<Field> {
        Some(match letter {
            'Y' => Field::Year,
            'y' => Field::ShortYear,
            'm' => Field::Month,
            'B' => Field::MonthName,
            'b' => Field::ShortMonthName,
            'd' => Field::Day,
            'H' => Field::Hour,
            'I' => Field::HalfHour,
            'p' => Field::Half,
            'M' => Field::Minute,
            'S' => Field::Second,
            'f' => Field::Fraction,
            'A' => Field::DayName,
            'a' => Field::ShortDayName,
            'w' => Field::DayNumber,
            'j' => Field::DayOfYear,
            'U' => Field::SundayWeek,
            'W' => Field::MondayWeek,
            'z' => Field::Zone,
            'Z' => Field::ZoneName,
            'G' | 'u' | 'V' => Field::Unread(letter),
            _ => return None,
        })
    }
}

/// What the fields of one match say.
#[derive(Debug, Default)]
pub(super) struct Reading {
    moment: Option<Timestamp>,
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    hour: Option<Hour>,
    afternoon: bool,
    minute: i8,
    second: i8,
    nanosecond: i32,
    weekday: Option<Weekday>,
    day_of_year: Option<i16>,
    /// Its number, and the day that it begins with.
    week: Option<(i8, Weekday)>,
    offset: Option<Offset>,
}

#[derive(Clone, Copy, Debug)]
enum Hour {
    OfDay(i8),
    OfTwelve(i8),
}

impl Reading {
    /// Takes in what `field` says; `None` if that is nothing.
    pub(super) fn take(&mut self, field: Field, text: &str) -> Option<()> {
        match field {
            // Python has no year 0.
            Field::Year => self.year = Some(text.parse().ok().filter(|year| *year > 0)?),
            Field::ShortYear => self.year = Some(2000 + text.parse::<i16>().ok()?),
            Field::Month => self.month = Some(text.parse().ok()?),
            Field::MonthName | Field::ShortMonthName => {
                self.month = Some(named(&MONTHS, text)? + 1);
            }
            Field::Day => self.day = Some(text.trim_start().parse().ok()?),
            Field::Hour => self.hour = Some(Hour::OfDay(text.parse().ok()?)),
            Field::HalfHour => self.hour = Some(Hour::OfTwelve(text.parse().ok()?)),
            Field::Half => self.afternoon = text.starts_with(['p', 'P']),
            Field::Minute => self.minute = text.parse().ok()?,
            // A leap second is the one before.
            Field::Second => self.second = text.parse::<i8>().ok()?.min(59),
            Field::Fraction => self.nanosecond = fraction(text)?,
            Field::DayName | Field::ShortDayName => {
                self.weekday =
                    Some(Weekday::from_monday_zero_offset(named(&WEEKDAYS, text)?).ok()?);
            }
            Field::DayNumber => {
                self.weekday = Some(Weekday::from_sunday_zero_offset(text.parse().ok()?).ok()?);
            }
            Field::DayOfYear => self.day_of_year = Some(text.parse().ok()?),
            Field::SundayWeek => self.week = Some((text.parse().ok()?, Weekday::Sunday)),
            Field::MondayWeek => self.week = Some((text.parse().ok()?, Weekday::Monday)),
            Field::Zone | Field::ZoneName => self.offset = Some(zone::offset(text)?),
            Field::Unread(_) => {}
            Field::Epoch => self.moment = Some(epoch(text, 0)?),
            Field::LongEpoch => self.moment = Some(epoch(text, unit(text))?),
            Field::Tai64n => self.moment = Some(tai64n(text)?),
        }
        Some(())
    }

    /// All of it together; `None` if there is no such day or time.
    pub(super) fn when(&self) -> Option<When> {
        if let Some(moment) = self.moment {
            return Some(When::Moment(moment));
        }
        let hour = match self.hour {
            Some(Hour::OfDay(hour)) => hour,
            Some(Hour::OfTwelve(hour)) => hour % 12 + if self.afternoon { 12 } else { 0 },
            None => 0,
        };
        let time = Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let day = self.which_day()?;
        Some(When::Civil { day, time, offset: self.offset })
    }

    fn which_day(&self) -> Option<Day> {
        if let (Some(month), Some(day)) = (self.month, self.day) {
            return Some(match self.year {
                Some(year) => Day::Given(Date::new(year, month, day).ok()?),
                None => {
                    // A leap year is as good as any.
                    Date::new(2000, month, day).ok()?;
                    Day::OfYear(month, day)
                }
            });
        }
        if let Some(number) = self.day_of_year {
            return Some(Day::Ordinal(self.year, number));
        }
        if let (Some((number, start)), Some(day)) = (self.week, self.weekday) {
            return Some(Day::InWeek(self.year, Week { number, start, day }));
        }
        match (self.month, self.day, self.year) {
            (None, None, None) => Some(Day::Open),
            (None, None, Some(year)) => Some(Day::ThisDayIn(year)),
            // A month without a day, or a day without a month.
            _ => None,
        }
    }
}

/// The index of the name that `text` is, in three letters or whole.
fn named(names: &[&str], text: &str) -> Option<i8> {
    let is = |name: &&str| name.eq_ignore_ascii_case(text) || name[..3].eq_ignore_ascii_case(text);
    i8::try_from(names.iter().position(is)?).ok()
}

/// The digits after the point, as nanoseconds.
fn fraction(digits: &str) -> Option<i32> {
    let digits = &digits[..digits.len().min(9)];
    let value: i32 = digits.parse().ok()?;
    Some(value * 10i32.pow(9 - u32::try_from(digits.len()).ok()?))
}

/// How many of a number's digits are already behind the point.
fn unit(text: &str) -> usize {
    match text.len() {
        ..13 => 0,
        16.. if !text.contains('.') => 6,
        _ => 3,
    }
}

/// A number of seconds of which the last `behind` digits before the point belong
/// behind it.
fn epoch(text: &str, behind: usize) -> Option<Timestamp> {
    let (whole, more) = text.split_once('.').unwrap_or((text, ""));
    let (seconds, first) = whole.split_at_checked(whole.len().checked_sub(behind)?)?;
    let parts = format!("{first}{more}");
    let nanosecond = if parts.is_empty() { 0 } else { fraction(&parts)? };
    let seconds = SignedDuration::new(seconds.parse().ok()?, nanosecond);
    Timestamp::from_duration(seconds).ok()
}

/// `@4`, 15 hexadecimal digits of seconds, and 8 of nanoseconds, which fail2ban leaves.
fn tai64n(text: &str) -> Option<Timestamp> {
    Timestamp::from_second(i64::from_str_radix(text.get(2..17)?, 16).ok()?).ok()
}
