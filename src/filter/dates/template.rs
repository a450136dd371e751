//! fail2ban's default templates, one reader each.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::Offset;

use super::cursor::{Cursor, is_word};
use super::{Stamp, When};
use crate::filter::zone;

/// What a template reads at a place.
pub(super) enum Read {
    /// A timestamp.
    Stamp(Stamp),
    /// It looks like one, but there is no such day.
    NoSuchDay,
}

/// The shapes of timestamps, in fail2ban's order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// `2005-01-23T21:59:59.981746Z`, `2005/01/23 21:59:59 +0100`
    Iso,
    /// `Sun Jan 23 21:59:59.011 2005`, `Jan  3 1:02:03`, `Jan 23 2005 21:59:59`, with
    /// a zone before it, perhaps
    Asctime,
    /// `23/01/2005 21:59:59`, `17-07-08 17:23:25`
    DayFirst,
    /// `31/Oct/2006:09:22:55 -0000`, `26-Jul-2007 15:20:52.252 +0200`
    DayMonthName,
    /// `05/20/2008:01:57:39`
    MonthFirstSlash,
    /// `01-27-2012 16:22:44.252`
    MonthFirstDash,
    /// `1106513999.000` at the line's start, `[1106513999]` too
    Epoch,
    /// `audit(1106513999.000:987)`
    Audit,
    /// `21:59:59` at the line's start
    TimeOnly,
    /// `<09/16/08@05:03:30>` at the line's start
    Angle,
    /// `130322 11:46:11`
    Mysql,
    /// `Jan 23, 2005 9:59:59 PM`
    Tomcat,
    /// `Apr-27-13 02:33:06` at the line's start
    Assp,
    /// `20050123T215959`
    Compact,
    /// `@4000000041f4104f00000000`
    Tai64n,
}

use Template as T;

impl Template {
    /// The templates that could fit at `at`, which is in `bytes`, by its first bytes.
    pub(super) fn candidates(bytes: &[u8], at: usize) -> &'static [Template] {
        let rest = &bytes[at..];
        match rest[0] {
            b'0'..=b'9' => {
                match rest.iter().take(12).take_while(|byte| byte.is_ascii_digit()).count() {
                    4 => &[T::Iso],
                    1 | 2 => &[
                        T::DayFirst,
                        T::DayMonthName,
                        T::MonthFirstSlash,
                        T::MonthFirstDash,
                        T::TimeOnly,
                    ],
                    10 | 11 => &[T::Epoch],
                    6 => &[T::Mysql],
                    8 => &[T::Compact],
                    _ => &[],
                }
            }
            b'@' => &[T::Tai64n],
            b'<' => &[T::Angle],
            b'+' | b'-' => &[T::Asctime],
            b'a' | b'A' if rest.starts_with(b"audit(") => &[T::Audit],
            b'A'..=b'Z' | b'a'..=b'z' if begins_name(rest) => &[T::Asctime, T::Tomcat, T::Assp],
            b'A'..=b'Z' if begins_zone(rest) => &[T::Asctime],
            _ => &[],
        }
    }

    /// Reads this template's timestamp at `at`, where a word begins.
    pub(super) fn read(self, text: &str, at: usize) -> Option<Read> {
        let cursor = Cursor::new(text, at);
        match self {
            T::Iso => iso(cursor),
            T::Asctime => asctime(cursor),
            T::DayFirst => day_first(cursor, text),
            T::DayMonthName => day_month_name(cursor, text),
            T::MonthFirstSlash => month_first_slash(cursor),
            T::MonthFirstDash => month_first_dash(cursor),
            T::Epoch => epoch(cursor, text),
            T::Audit => audit(cursor),
            T::TimeOnly => time_only(cursor, text),
            T::Angle => angle(cursor),
            T::Mysql => mysql(cursor),
            T::Tomcat => tomcat(cursor),
            T::Assp => assp(cursor),
            T::Compact => compact(cursor),
            T::Tai64n => tai64n(cursor),
        }
    }
}

/// Are these the first letters of a month or a day of the week?
fn begins_name(rest: &[u8]) -> bool {
    let Some([a, b, c]) = rest.first_chunk() else { return false };
    matches!(
        &[a.to_ascii_lowercase(), b.to_ascii_lowercase(), c.to_ascii_lowercase()],
        b"jan"
            | b"feb"
            | b"mar"
            | b"apr"
            | b"may"
            | b"jun"
            | b"jul"
            | b"aug"
            | b"sep"
            | b"oct"
            | b"nov"
            | b"dec"
            | b"mon"
            | b"tue"
            | b"wed"
            | b"thu"
            | b"fri"
            | b"sat"
            | b"sun"
    )
}

/// Is it a short word in capitals, with a blank after it?
fn begins_zone(rest: &[u8]) -> bool {
    let len = rest.iter().take(5).take_while(|byte| byte.is_ascii_uppercase()).count();
    rest.get(len) == Some(&b' ')
}

type Day = (Option<i16>, i8, i8);

/// What was read from `start` to `end`, if a word ends there.
fn stamp(start: usize, end: Cursor<'_>, day: Day, clock: (Time, Option<Offset>)) -> Option<Read> {
    if !end.ends_word() {
        return None;
    }
    let (year, month, date) = day;
    let read = When::civil(year, (month, date), clock.0, clock.1)
        .map(|when| Read::Stamp(Stamp { start, end: end.at, when }));
    Some(read.unwrap_or(Read::NoSuchDay))
}

fn moment(start: usize, end: Cursor<'_>, when: Timestamp) -> Read {
    Read::Stamp(Stamp { start, end: end.at, when: When::Moment(when) })
}

/// The `T` or the one or two blanks between date and time.
fn between(c: &mut Cursor<'_>) -> Option<()> {
    if c.eat(b'T').is_none() {
        c.eat(b' ')?;
        let _ = c.eat(b' ');
    }
    Some(())
}

fn iso(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    let year = c.year()?;
    let separator = c.eat_any(b"-/.")?;
    let month = c.month()?;
    c.eat(separator)?;
    let day = c.number(1..=31)?;
    between(&mut c)?;
    let time = c.time()?;
    let time = c.fraction(time, b".,");
    let zone = c.spaced_zone();
    stamp(start, c, (Some(year), month, day), (time, zone))
}

fn asctime(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    let mut zone = None;
    if c.peek().is_some_and(|byte| byte == b'+' || byte == b'-') {
        zone = Some(c.zone()?);
        c.eat(b' ')?;
    } else if let Some(offset) = named_zone(&mut c) {
        zone = Some(offset);
    }
    let mut weekday = c;
    if weekday.weekday().is_some() {
        weekday.eat(b' ')?;
        c = weekday;
    }
    let month = c.month_name()?;
    c.eat(b' ')?;
    let day = c.day()?;
    c.eat(b' ')?;
    let mut year_first = c;
    if let Some(year) = year_first.year()
        && year_first.eat(b' ').is_some()
    {
        let time = year_first.padded_time()?;
        let time = year_first.fraction(time, b".");
        return stamp(start, year_first, (Some(year), month, day), (time, zone));
    }
    let time = c.padded_time()?;
    let time = c.fraction(time, b".");
    let mut end = c;
    let year = end.eat(b' ').and_then(|()| end.year()).filter(|_| end.ends_word());
    if year.is_some() {
        c = end;
    }
    stamp(start, c, (year, month, day), (time, zone))
}

/// A zone's name and the blank after it.
fn named_zone(c: &mut Cursor<'_>) -> Option<Offset> {
    const LONGEST: usize = 5;
    let mut next = *c;
    let name = next.capitals(LONGEST)?;
    next.eat(b' ')?;
    // fail2ban's `%Z` is `Z` or three letters and more.
    let is_name = name == "Z" || name.len() >= 3;
    let offset = zone::offset(name).filter(|_| is_name)?;
    *c = next;
    Some(offset)
}

/// Where a day begins that is read at `at`: at the blank in the place of its first
/// digit. At the line's start a blank is nothing but a blank.
fn day_start(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let is_padded = at > 0
        && bytes[at - 1] == b' '
        && !bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
        && !begins_line(text, at);
    at - usize::from(is_padded)
}

fn day_first(mut c: Cursor<'_>, text: &str) -> Option<Read> {
    let at = c.at;
    let day = c.number(1..=31)?;
    let separator = c.eat_any(b"-/")?;
    let month = c.month()?;
    c.eat(separator)?;
    let year = if c.digits() == 2 { c.short_year()? } else { c.year()? };
    c.eat(b' ')?;
    let time = c.padded_time()?;
    stamp(day_start(text, at), c, (Some(year), month, day), (time, None))
}

fn day_month_name(mut c: Cursor<'_>, text: &str) -> Option<Read> {
    let at = c.at;
    let day = c.number(1..=31)?;
    let separator = c.eat_any(b"-/")?;
    let month = c.month_name()?;
    c.eat(separator)?;
    let year = c.year()?;
    let _ = c.eat_any(b" :");
    let time = c.time()?;
    let time = c.fraction(time, b".");
    let zone = zone_after_blank(&mut c);
    stamp(day_start(text, at), c, (Some(year), month, day), (time, zone))
}

fn zone_after_blank(c: &mut Cursor<'_>) -> Option<Offset> {
    let mut next = *c;
    next.eat(b' ')?;
    let zone = next.zone()?;
    *c = next;
    Some(zone)
}

fn month_first_slash(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    let month = c.month()?;
    c.eat(b'/')?;
    let day = c.number(1..=31)?;
    c.eat(b'/')?;
    let year = c.year()?;
    c.eat(b':')?;
    let time = c.time()?;
    stamp(start, c, (Some(year), month, day), (time, None))
}

fn month_first_dash(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    let month = c.month()?;
    c.eat(b'-')?;
    let day = c.number(1..=31)?;
    c.eat(b'-')?;
    let year = c.year()?;
    c.eat(b' ')?;
    let time = c.padded_time()?;
    let time = c.fraction(time, b".");
    stamp(start, c, (Some(year), month, day), (time, None))
}

/// Ten or eleven digits and a fraction.
fn seconds(c: &mut Cursor<'_>) -> Option<Timestamp> {
    let len = c.digits();
    let (high, low) = (
        c.exact(4)?,
        (0..len.checked_sub(4)?)
            .try_fold(0i64, |low, _| c.exact(1).map(|digit| low * 10 + i64::from(digit)))?,
    );
    let second = i64::from(high) * 10i64.pow(u32::try_from(len - 4).ok()?) + low;
    if !c.ends_word() {
        return None;
    }
    let time = c.fraction(Time::midnight(), b".");
    Timestamp::new(second, time.subsec_nanosecond()).ok()
}

fn epoch(mut c: Cursor<'_>, text: &str) -> Option<Read> {
    let start = c.at;
    let when = seconds(&mut c)?;
    begins_line(text, start).then(|| moment(start, c, when))
}

/// After `audit(`, wherever that is.
fn audit(mut c: Cursor<'_>) -> Option<Read> {
    c.eat_text("audit(")?;
    let start = c.at;
    if !matches!(c.digits(), 10 | 11) {
        return None;
    }
    let when = seconds(&mut c)?;
    Some(moment(start, c, when))
}

/// Is `start` the line's, but for at most two characters that are no word's?
fn begins_line(text: &str, start: usize) -> bool {
    const LONGEST: usize = 2 * 4;
    let before = &text.as_bytes()[..start];
    before.len() <= LONGEST
        && !before.iter().any(|byte| byte.is_ascii() && is_word(*byte))
        && text[..start].chars().count() <= 2
        && !text[..start].chars().any(char::is_alphanumeric)
}

fn time_only(mut c: Cursor<'_>, text: &str) -> Option<Read> {
    let start = c.at;
    if !begins_line(text, start) {
        return None;
    }
    let time = c.time()?;
    // What goes on like this is a hardware or an IPv6 address.
    let mut after = c;
    let goes_on = after.eat(b':').is_some() && after.peek().is_some_and(|b| b.is_ascii_hexdigit());
    (c.ends_word() && !goes_on)
        .then(|| Read::Stamp(Stamp { start, end: c.at, when: When::clock(time) }))
}

fn angle(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    if start != 0 {
        return None;
    }
    c.eat(b'<')?;
    let month = c.month()?;
    c.eat(b'/')?;
    let day = c.number(1..=31)?;
    c.eat(b'/')?;
    let year = c.short_year()?;
    c.eat(b'@')?;
    let time = c.time()?;
    c.eat(b'>')?;
    let when = When::civil(Some(year), (month, day), time, None);
    let read = when.map(|when| Read::Stamp(Stamp { start, end: c.at, when }));
    Some(read.unwrap_or(Read::NoSuchDay))
}

fn mysql(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    let year = c.short_year()?;
    let (month, day) = month_and_day(&mut c)?;
    c.eat(b' ')?;
    let _ = c.eat(b' ');
    let time = c.time()?;
    stamp(start, c, (Some(year), month, day), (time, None))
}

/// Two digits each.
fn month_and_day(c: &mut Cursor<'_>) -> Option<(i8, i8)> {
    let month = i8::try_from(c.exact(2)?).ok().filter(|month| (1..=12).contains(month))?;
    let day = i8::try_from(c.exact(2)?).ok().filter(|day| (1..=31).contains(day))?;
    Some((month, day))
}

fn tomcat(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    let month = c.month_name()?;
    c.eat(b' ')?;
    let day = c.day()?;
    c.eat_text(", ")?;
    let year = c.year()?;
    c.eat(b' ')?;
    let time = c.time_12()?;
    stamp(start, c, (Some(year), month, day), (time, None))
}

fn assp(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    if start != 0 {
        return None;
    }
    let month = c.month_name()?;
    c.eat(b'-')?;
    let day = c.day()?;
    c.eat(b'-')?;
    let year = c.short_year()?;
    c.eat(b' ')?;
    let time = c.padded_time()?;
    stamp(start, c, (Some(year), month, day), (time, None))
}

fn compact(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    let year = c.year()?;
    let (month, day) = month_and_day(&mut c)?;
    if c.eat(b'-').is_none() {
        between(&mut c)?;
    }
    let hour = i8::try_from(c.exact(2)?).ok()?;
    let colon = c.eat(b':').is_some();
    let minute = i8::try_from(c.exact(2)?).ok()?;
    if colon {
        c.eat(b':')?;
    }
    let second = i8::try_from(c.exact(2)?).ok().filter(|second| *second <= 61)?;
    let time = Time::new(hour, minute, second.min(59), 0).ok()?;
    let time = c.fraction(time, b".,");
    let zone = c.spaced_zone();
    stamp(start, c, (Some(year), month, day), (time, zone))
}

fn tai64n(mut c: Cursor<'_>) -> Option<Read> {
    let start = c.at;
    c.eat_text("@4")?;
    let mut second = 0i64;
    for index in 0..23 {
        let digit = char::from(c.peek()?).to_digit(16)?;
        c.at += 1;
        if index < 15 {
            second = second.checked_mul(16)?.checked_add(i64::from(digit))?;
        }
    }
    let when = Timestamp::new(second, 0).ok()?;
    c.ends_word().then(|| moment(start, c, when))
}
