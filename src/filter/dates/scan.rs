//! Reading numbers and names out of a line, forwards, without going back.

use std::ops::Range;

use jiff::Timestamp;

/// What a date says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) year: Option<i16>,
    /// 0: it has no day and no month.
    pub(super) month: i8,
    pub(super) day: i8,
    pub(super) hour: i8,
    pub(super) minute: i8,
    pub(super) second: i8,
    pub(super) nanos: i32,
    /// East of UTC, in seconds; none: it names no zone.
    pub(super) offset: Option<i32>,
    /// Seconds since 1970 instead of all the others.
    pub(super) epoch: Option<Timestamp>,
    /// What is to be cut, where that is less than what was read.
    pub(super) span: Option<Range<usize>>,
}

/// A place in a line. Every reader gives `None` and leaves the place anywhere if
/// what it reads is not there.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    line: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a [u8], at: usize) -> Self {
        Cursor { line, at }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    /// One of these bytes.
    pub(super) fn byte(&mut self, any: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| any.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// This text.
    pub(super) fn text(&mut self, text: &str) -> Option<()> {
        self.line[self.at..].starts_with(text.as_bytes()).then(|| self.at += text.len())
    }

    /// At least one blank.
    pub(super) fn blanks(&mut self) -> Option<()> {
        let start = self.at;
        while self.byte(b" \t").is_some() {}
        (self.at > start).then_some(())
    }

    /// A number of `least` to `most` digits, between `low` and `high`.
    pub(super) fn number(&mut self, digits: (usize, usize), range: (i64, i64)) -> Option<i64> {
        let start = self.at;
        while self.at - start < digits.1 && self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        let text = self.line.get(start..self.at).filter(|text| text.len() >= digits.0)?;
        let value = text.iter().fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
        (range.0..=range.1).contains(&value).then_some(value)
    }

    /// Exactly two digits.
    pub(super) fn two(&mut self, low: i64, high: i64) -> Option<i8> {
        self.number((2, 2), (low, high))?.try_into().ok()
    }

    /// One or two digits.
    pub(super) fn small(&mut self, low: i64, high: i64) -> Option<i8> {
        self.number((1, 2), (low, high))?.try_into().ok()
    }

    /// A year of four digits that a log can bear.
    pub(super) fn year(&mut self) -> Option<i16> {
        self.number((4, 4), (1970, 2199))?.try_into().ok()
    }

    /// A month's English name, short or whole, in any case.
    pub(super) fn month(&mut self) -> Option<i8> {
        const NAMES: [&str; 12] = [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ];
        self.name(&NAMES).map(|index| index + 1)
    }

    /// A weekday's English name, short or whole, in any case.
    pub(super) fn weekday(&mut self) -> Option<i8> {
        const NAMES: [&str; 7] =
            ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        self.name(&NAMES)
    }

    fn name(&mut self, names: &[&str]) -> Option<i8> {
        let rest = &self.line[self.at..];
        let matches = |name: &str| {
            rest.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
        };
        let index = names.iter().position(|name| matches(&name[..3]))?;
        self.at += if matches(names[index]) { names[index].len() } else { 3 };
        i8::try_from(index).ok()
    }

    /// `HH:MM:SS` and, if there, a fraction.
    pub(super) fn time(&mut self, fields: &mut Fields) -> Option<()> {
        fields.hour = self.small(0, 23)?;
        self.byte(b":")?;
        fields.minute = self.two(0, 59)?;
        self.byte(b":")?;
        fields.second = self.two(0, 61)?;
        self.fraction(fields);
        Some(())
    }

    /// `.123`, `,123456789`: any number of digits, eaten whole.
    pub(super) fn fraction(&mut self, fields: &mut Fields) {
        let mut ahead = self.clone();
        if ahead.byte(b".,").is_none() || !ahead.peek().is_some_and(|b| b.is_ascii_digit()) {
            return;
        }
        let start = ahead.at;
        while ahead.peek().is_some_and(|b| b.is_ascii_digit()) {
            ahead.at += 1;
        }
        let digits = &self.line[start..ahead.at];
        let nanos = (0..9).fold(0_i32, |value, place| {
            value * 10 + digits.get(place).map_or(0, |digit| i32::from(digit - b'0'))
        });
        fields.nanos = nanos;
        self.at = ahead.at;
    }

    /// `Z`, `UTC`, `GMT`, `+02:00`, `+0200`, `+02`, if there; a blank may stand before it.
    pub(super) fn zone(&mut self, fields: &mut Fields) {
        let mut ahead = self.clone();
        while ahead.byte(b" ").is_some() {}
        let Some(offset) = ahead.offset() else { return };
        if ahead.at_end_of_word() {
            fields.offset = Some(offset);
            self.at = ahead.at;
        }
    }

    fn offset(&mut self) -> Option<i32> {
        for name in ["Z", "UTC", "GMT"] {
            if self.text(name).is_some() {
                // GMT+02:00 is a zone of its own.
                if !matches!(self.peek(), Some(b'+' | b'-')) {
                    return Some(0);
                }
                break;
            }
        }
        let sign = if self.byte(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.two(0, 15)?;
        let colon = self.byte(b":").is_some();
        let mut ahead = self.clone();
        let minutes = match ahead.two(0, 59) {
            Some(minutes) => {
                self.at = ahead.at;
                minutes
            }
            None if colon => return None,
            None => 0,
        };
        Some(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))
    }

    /// Does no letter, digit or underscore follow?
    pub(super) fn at_end_of_word(&self) -> bool {
        !self.peek().is_some_and(super::is_word)
    }
}
