//! Reading the parts of a timestamp, one after the other.

use std::ops::RangeInclusive;

use jiff::civil::Time;
use jiff::tz::Offset;

/// Is `byte` of a word: a letter, a digit, `_`, or part of a character beyond ASCII?
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Is the character before `at` of a word?
pub(super) fn word_before(text: &str, at: usize) -> bool {
    match text.as_bytes().get(at.wrapping_sub(1)) {
        None => false,
        Some(byte) if byte.is_ascii() => is_word(*byte),
        Some(_) => text[..at].chars().next_back().is_some_and(char::is_alphanumeric),
    }
}

/// A place in a text. Each reader moves it on only if it finds what it looks for.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, at: usize) -> Self {
        Cursor { text, at }
    }

    fn bytes(&self) -> &'t [u8] {
        &self.text.as_bytes()[self.at..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes().first().copied()
    }

    pub(super) fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// One of `bytes`.
    pub(super) fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn eat_text(&mut self, text: &str) -> Option<()> {
        self.bytes().starts_with(text.as_bytes()).then(|| self.at += text.len())
    }

    /// Does a word end here, or none go on?
    pub(super) fn ends_word(&self) -> bool {
        match self.peek() {
            None => true,
            Some(byte) if byte.is_ascii() => !is_word(byte),
            // Between characters, because what was read so far is ASCII.
            Some(_) => !self.text[self.at..].chars().next().is_some_and(char::is_alphanumeric),
        }
    }

    /// At most `most` capital letters.
    pub(super) fn capitals(&mut self, most: usize) -> Option<&'t str> {
        let len = self.bytes().iter().take(most).take_while(|b| b.is_ascii_uppercase()).count();
        let found = self.text.get(self.at..self.at + len).filter(|found| !found.is_empty())?;
        self.at += len;
        Some(found)
    }

    pub(super) fn digits(&self) -> usize {
        self.bytes().iter().take_while(|b| b.is_ascii_digit()).count()
    }

    /// A number of exactly `len` digits.
    pub(super) fn exact(&mut self, len: usize) -> Option<i16> {
        let digits = self.bytes().get(..len).filter(|d| d.iter().all(u8::is_ascii_digit))?;
        let value = digits.iter().fold(0, |value, digit| value * 10 + i16::from(digit - b'0'));
        self.at += len;
        Some(value)
    }

    /// A number in `range`, of one or two digits: two where both belong to it.
    pub(super) fn number(&mut self, range: RangeInclusive<i8>) -> Option<i8> {
        let len = if self.bytes().get(1).is_some_and(u8::is_ascii_digit) { 2 } else { 1 };
        let mut next = *self;
        let value = i8::try_from(next.exact(len)?).ok().filter(|n| range.contains(n))?;
        *self = next;
        Some(value)
    }

    /// A day, with a blank or `0` before a single digit.
    pub(super) fn day(&mut self) -> Option<i8> {
        let mut next = *self;
        if next.eat(b' ').is_some() && !next.peek()?.is_ascii_digit() {
            return None;
        }
        let day = next.number(1..=31)?;
        *self = next;
        Some(day)
    }

    pub(super) fn month(&mut self) -> Option<i8> {
        self.number(1..=12)
    }

    /// A year of this century, in four digits.
    pub(super) fn year(&mut self) -> Option<i16> {
        let mut next = *self;
        let year = next.exact(4).filter(|year| (2000..=2099).contains(year))?;
        *self = next;
        Some(year)
    }

    /// A year of this century, in two digits.
    pub(super) fn short_year(&mut self) -> Option<i16> {
        self.exact(2).map(|year| 2000 + year)
    }

    /// `21:59:59`; a leap second is the one before.
    pub(super) fn time(&mut self) -> Option<Time> {
        self.hour_in(0..=23)
    }

    /// The same, with one blank in the place of the hour's first digit, perhaps.
    pub(super) fn padded_time(&mut self) -> Option<Time> {
        let mut next = *self;
        let _ = next.eat(b' ');
        let time = next.time()?;
        *self = next;
        Some(time)
    }

    /// `9:59:59 PM`
    pub(super) fn time_12(&mut self) -> Option<Time> {
        let mut next = *self;
        let time = next.hour_in(1..=12)?;
        next.eat(b' ')?;
        let half = next.eat_any(b"aApP")?.to_ascii_lowercase();
        next.eat_any(b"mM")?;
        *self = next;
        let hour = time.hour() % 12 + if half == b'p' { 12 } else { 0 };
        Time::new(hour, time.minute(), time.second(), 0).ok()
    }

    fn hour_in(&mut self, range: RangeInclusive<i8>) -> Option<Time> {
        let mut next = *self;
        let hour = next.number(range)?;
        next.eat(b':')?;
        let minute = next.number(0..=59)?;
        next.eat(b':')?;
        let second = next.number(0..=61)?;
        *self = next;
        Time::new(hour, minute, second.min(59), 0).ok()
    }

    /// A fraction of a second after one of `marks`, of any length; it must end a word.
    pub(super) fn fraction(&mut self, time: Time, marks: &[u8]) -> Time {
        let mut next = *self;
        if next.eat_any(marks).is_none() {
            return time;
        }
        let len = next.digits();
        let digits = &next.bytes()[..len];
        let nanos = (0..9)
            .map(|i| digits.get(i).map_or(0, |digit| i32::from(digit - b'0')))
            .fold(0, |nanos, digit| nanos * 10 + digit);
        next.at += len;
        // `59.5Z` ends in its zone, not here; but only after a comma or a point is a zone
        // without a blank.
        if len == 0 || !(next.ends_word() || marks.contains(&b',') && next.zone().is_some()) {
            return time;
        }
        self.at += 1 + len;
        Time::new(time.hour(), time.minute(), time.second(), nanos).unwrap_or(time)
    }

    /// `Z`, `UTC`, `GMT`, `+01:00`, `+0100` or `+01`; it must end a word.
    pub(super) fn zone(&mut self) -> Option<Offset> {
        let mut next = *self;
        let offset = match next.eat_any(b"+-") {
            Some(sign) => {
                let hours = i32::from(next.exact(2)?);
                let mut minutes = next;
                let _ = minutes.eat(b':');
                let minute = minutes.exact(2).filter(|m| *m < 60 && minutes.ends_word());
                if minute.is_some() {
                    next = minutes;
                }
                let seconds = hours * 3600 + i32::from(minute.unwrap_or(0)) * 60;
                Offset::from_seconds(if sign == b'-' { -seconds } else { seconds }).ok()?
            }
            None => {
                ["Z", "UTC", "GMT"].iter().find_map(|name| next.eat_text(name))?;
                Offset::UTC
            }
        };
        if !next.ends_word() {
            return None;
        }
        *self = next;
        Some(offset)
    }

    /// A zone after any number of blanks.
    pub(super) fn spaced_zone(&mut self) -> Option<Offset> {
        let mut next = *self;
        while next.eat_any(b" \t").is_some() {}
        let offset = next.zone()?;
        *self = next;
        Some(offset)
    }

    /// An English month, in three letters or whole, in any case.
    pub(super) fn month_name(&mut self) -> Option<i8> {
        let index = self.name(&MONTHS)?;
        i8::try_from(index + 1).ok()
    }

    /// An English day of the week, in three letters or whole.
    pub(super) fn weekday(&mut self) -> Option<()> {
        self.name(&WEEKDAYS).map(drop)
    }

    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let bytes = self.bytes();
        let starts = |name: &str| {
            bytes.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        let index = names.iter().position(|name| starts(&name[..3]))?;
        self.at += if starts(names[index]) { names[index].len() } else { 3 };
        Some(index)
    }
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
