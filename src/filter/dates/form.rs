//! The forms of dates, in the order in which they are tried at a place.

use jiff::Timestamp;

use super::scan::{Cursor, Fields};

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `2005-01-23T21:59:59.981746Z`, `2005/01/23 21:59:59 +0100`
    Iso,
    /// `Sun Jan 23 21:59:59.011 2005`, `Jan  3 01:02:03`
    Syslog,
    /// `Sun Jan 23 2005 21:59:59.011`, `Jan 23, 2005 9:59:59 PM`
    YearBeforeTime,
    /// `31/Oct/2006:09:22:55 -0000`, `26-Jul-2007 15:20:52.252 +0200`
    Access,
    /// `23/01/2005 21:59:59`, `17-07-2008 17:23:25`, `23/01/05 21:59:59`
    DayFirst,
    /// `05/20/2008:01:57:39`, `01-27-2012 16:22:44.252`
    MonthFirst,
    /// `1106513999.000` at the start of a line, also in brackets; `audit(1106513999.000:987)`
    Epoch,
    /// `20050123T215959`, `20050123 215959`
    Compact,
    /// `130322 11:46:11`
    ShortYear,
    /// `@4000000041f4104f00000000` (TAI64N)
    Tai64n,
    /// `<09/16/08@05:03:30>` at the start of a line
    AtSign,
    /// `Apr-27-13 02:33:06` at the start of a line
    NameFirst,
    /// `21:59:59` at the start of a line
    TimeOnly,
}

/// All forms.
pub(super) const FORMS: [Form; 13] = [
    Form::Iso,
    Form::Syslog,
    Form::YearBeforeTime,
    Form::Access,
    Form::DayFirst,
    Form::MonthFirst,
    Form::Epoch,
    Form::Compact,
    Form::ShortYear,
    Form::Tai64n,
    Form::AtSign,
    Form::NameFirst,
    Form::TimeOnly,
];

impl Form {
    /// Reads a date of this form at `start`: where it ends and what it says.
    pub(super) fn read(self, line: &[u8], start: usize) -> Option<(usize, Fields)> {
        let mut cursor = Cursor::new(line, start);
        let mut fields = Fields::default();
        match self {
            Form::Iso => iso(&mut cursor, &mut fields)?,
            Form::Syslog => syslog(&mut cursor, &mut fields)?,
            Form::YearBeforeTime => year_before_time(&mut cursor, &mut fields)?,
            Form::Access => access(&mut cursor, &mut fields)?,
            Form::DayFirst => day_first(&mut cursor, &mut fields)?,
            Form::MonthFirst => month_first(&mut cursor, &mut fields)?,
            Form::Epoch => epoch(&mut cursor, &mut fields, super::begins_line(line, start))?,
            Form::Compact => compact(&mut cursor, &mut fields)?,
            Form::ShortYear => short_year(&mut cursor, &mut fields)?,
            Form::Tai64n => tai64n(&mut cursor, &mut fields)?,
            Form::AtSign | Form::NameFirst | Form::TimeOnly if !super::begins_line(line, start) => {
                return None;
            }
            Form::AtSign => at_sign(&mut cursor, &mut fields)?,
            Form::NameFirst => name_first(&mut cursor, &mut fields)?,
            Form::TimeOnly => cursor.time(&mut fields)?,
        }
        let ends = cursor.at_end_of_word() || self == Form::AtSign;
        ends.then_some((cursor.at, fields))
    }
}

fn iso(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.year = Some(cursor.year()?);
    let separator = cursor.byte(b"-/.")?;
    fields.month = cursor.two(1, 12)?;
    cursor.byte(&[separator])?;
    fields.day = cursor.two(1, 31)?;
    if cursor.byte(b"T").is_none() {
        cursor.blanks()?;
    }
    cursor.time(fields)?;
    cursor.zone(fields);
    Some(())
}

fn syslog(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    weekday(cursor)?;
    fields.month = cursor.month()?;
    cursor.blanks()?;
    fields.day = cursor.small(1, 31)?;
    cursor.blanks()?;
    cursor.time(fields)?;
    let mut ahead = cursor.clone();
    if ahead.blanks().is_some()
        && let Some(year) = ahead.year()
        && ahead.at_end_of_word()
        && ahead.peek() != Some(b'.')
    {
        fields.year = Some(year);
        *cursor = ahead;
    }
    Some(())
}

fn year_before_time(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    weekday(cursor)?;
    fields.month = cursor.month()?;
    cursor.blanks()?;
    fields.day = cursor.small(1, 31)?;
    let comma = cursor.byte(b",");
    cursor.blanks()?;
    fields.year = Some(cursor.year()?);
    cursor.blanks()?;
    cursor.time(fields)?;
    if comma.is_some() {
        half_of_day(cursor, fields);
    }
    Some(())
}

/// `AM` or `PM`, if there.
fn half_of_day(cursor: &mut Cursor<'_>, fields: &mut Fields) {
    let mut ahead = cursor.clone();
    let half = ahead.blanks().and_then(|()| {
        let half = ahead.byte(b"AaPp")?;
        ahead.byte(b"Mm")?;
        ahead.at_end_of_word().then(|| half.to_ascii_uppercase())
    });
    if let Some(half) = half
        && (1..=12).contains(&fields.hour)
    {
        fields.hour = fields.hour % 12 + if half == b'P' { 12 } else { 0 };
        *cursor = ahead;
    }
}

/// A weekday with what follows it, if there.
fn weekday(cursor: &mut Cursor<'_>) -> Option<()> {
    let mut ahead = cursor.clone();
    if ahead.weekday().is_some() {
        ahead.byte(b",");
        ahead.blanks()?;
        *cursor = ahead;
    }
    Some(())
}

fn access(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.day = cursor.small(1, 31)?;
    let separator = cursor.byte(b"/- ")?;
    fields.month = cursor.month()?;
    cursor.byte(&[separator])?;
    fields.year = Some(cursor.year()?);
    cursor.byte(b": ")?;
    cursor.time(fields)?;
    cursor.zone(fields);
    Some(())
}

fn day_first(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.day = cursor.small(1, 31)?;
    let separator = cursor.byte(b"/-")?;
    fields.month = cursor.small(1, 12)?;
    cursor.byte(&[separator])?;
    year_of_two_or_four(cursor, fields)?;
    cursor.blanks()?;
    cursor.time(fields)
}

fn month_first(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.month = cursor.small(1, 12)?;
    let separator = cursor.byte(b"/-")?;
    fields.day = cursor.small(1, 31)?;
    cursor.byte(&[separator])?;
    fields.year = Some(cursor.year()?);
    cursor.byte(b": ")?;
    cursor.time(fields)
}

fn year_of_two_or_four(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    let mut ahead = cursor.clone();
    if let Some(year) = ahead.year() {
        fields.year = Some(year);
        *cursor = ahead;
    } else {
        fields.year = Some(2000 + i16::from(cursor.two(0, 99)?));
    }
    Some(())
}

/// In `audit(…)` anywhere, else where the line begins.
fn epoch(cursor: &mut Cursor<'_>, fields: &mut Fields, begins: bool) -> Option<()> {
    let audit = cursor.text("audit(").is_some();
    if !audit && !begins {
        return None;
    }
    let from = cursor.at;
    let seconds = cursor.number((10, 11), (0, 99_999_999_999))?;
    cursor.fraction(fields);
    fields.epoch = Some(Timestamp::new(seconds, fields.nanos).ok()?);
    fields.span = Some(from..cursor.at);
    if !audit {
        return Some(());
    }
    (cursor.peek() == Some(b':')).then_some(())
}

fn compact(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.year = Some(cursor.year()?);
    fields.month = cursor.two(1, 12)?;
    fields.day = cursor.two(1, 31)?;
    cursor.byte(b"T ")?;
    clock_without_colons(cursor, fields)?;
    cursor.fraction(fields);
    cursor.zone(fields);
    Some(())
}

fn clock_without_colons(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.hour = cursor.two(0, 23)?;
    fields.minute = cursor.two(0, 59)?;
    fields.second = cursor.two(0, 61)?;
    Some(())
}

fn short_year(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.year = Some(2000 + i16::from(cursor.two(0, 99)?));
    fields.month = cursor.two(1, 12)?;
    fields.day = cursor.two(1, 31)?;
    cursor.blanks()?;
    cursor.time(fields)
}

fn at_sign(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    cursor.byte(b"<")?;
    fields.month = cursor.two(1, 12)?;
    cursor.byte(b"/")?;
    fields.day = cursor.two(1, 31)?;
    cursor.byte(b"/")?;
    fields.year = Some(2000 + i16::from(cursor.two(0, 99)?));
    cursor.byte(b"@")?;
    cursor.time(fields)?;
    cursor.byte(b">").map(|_| ())
}

fn name_first(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    fields.month = cursor.month()?;
    cursor.byte(b"-")?;
    fields.day = cursor.two(1, 31)?;
    cursor.byte(b"-")?;
    fields.year = Some(2000 + i16::from(cursor.two(0, 99)?));
    cursor.blanks()?;
    cursor.time(fields)
}

/// `@`, then 16 hexadecimal digits of seconds with 2^62 for 1970, then 8 of nanoseconds.
fn tai64n(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    cursor.byte(b"@")?;
    let mut hex = |count: usize| {
        (0..count).try_fold(0_u64, |value, _| {
            let digit = char::from(cursor.byte(b"0123456789abcdefABCDEF")?).to_digit(16)?;
            Some(value << 4 | u64::from(digit))
        })
    };
    let seconds = hex(16)?.checked_sub(1 << 62)?;
    let nanos = i32::try_from(hex(8)?).ok()?;
    fields.epoch = Some(Timestamp::new(i64::try_from(seconds).ok()?, nanos).ok()?);
    Some(())
}
