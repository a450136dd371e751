//! The tokens of a date pattern, and what each looks for.
//!
//! Where several of one token's alternatives fit, the first is tried first, in
//! fail2ban's order: with `%m%d`, `123` is the 23rd of January.

use std::sync::LazyLock;

use super::field::Field;
use crate::filter::zone;

/// What a token becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A regex, in Python's dialect.
    Text(&'static str),
    /// A group with a regex.
    Group(Field, &'static str),
}

impl Part {
    pub(super) fn is_group(&self) -> bool {
        matches!(self, Part::Group(..))
    }
}

/// A token at the start of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This many bytes.
    Parts(usize, Vec<Part>),
    /// So many bytes that look like a token, and are none.
    Unknown(usize),
}

const YEAR: &str = "[0-9]{4}";
/// In this century: a number that is no year is not taken for one so easily.
const NEAR_YEAR: &str = "20[0-9]{2}";
const TWO_DIGITS: &str = "[0-9]{2}";
const MONTH: &str = "0[1-9]|[1-9]|1[0-2]";
const DAY: &str = "[12][0-9]|0[1-9]|[ ][1-9]|[1-9]|3[01]";
const HOUR: &str = "[01][0-9]|[0-9]|2[0-3]";
const FULL_HOUR: &str = "2[0-3]|[01][0-9]|[0-9]";
const HALF_HOUR: &str = "1[0-2]|0[1-9]|[1-9]";
const PADDED_HALF_HOUR: &str = "1[0-2]|[0-9]";
const MINUTE: &str = "[0-5][0-9]|[0-9]";
const SECOND: &str = "[0-5][0-9]|[0-9]|6[01]";
const FRACTION: &str = "[0-9]{1,9}";
const DAY_OF_YEAR: &str =
    "36[0-6]|3[0-5][0-9]|[12][0-9]{2}|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]";
const WEEK: &str = "5[0-3]|[0-4][0-9]|[0-9]";
const MONTH_NAME: &str = "january|february|march|april|may|june|july|august|september|october|\
                          november|december";
const SHORT_MONTH_NAME: &str = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec";
const DAY_NAME: &str = "monday|tuesday|wednesday|thursday|friday|saturday|sunday";
const SHORT_DAY_NAME: &str = "mon|tue|wed|thu|fri|sat|sun";
const ZONE: &str = "(?-i:Z|UTC|GMT)|[+-][01][0-9](?::?[0-9]{2})?";
pub(super) const EPOCH: &str = r"[0-9]{10,11}\b(?:\.[0-9]{3,9})?";
pub(super) const LONG_EPOCH: &str = r"[0-9]{10,11}(?:[0-9]{3}(?:\.[0-9]{1,6}|[0-9]{3})?)?";
pub(super) const TAI64N: &str = "@[0-9a-f]{24}";

/// The zones' names as a regex: `%Z`, `%ExZ`, `%Exz`. Capitals, even where the rest is
/// in any case, and only those that are known: after a date there may be any word.
static ZONE_NAMES: LazyLock<[String; 3]> = LazyLock::new(|| {
    let mut long: Vec<&str> = zone::names().filter(|name| name.len() >= 3).collect();
    long.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let long = long.join("|");
    let any = format!("(?-i:{long}|[A-IK-Z])");
    let with_difference = format!("{any}?[+-][01][0-9](?::?[0-9]{{2}})?|{any}");
    [format!("(?-i:Z|{long})"), any, with_difference]
});

/// Reads what `text` begins with, which is a `%`.
pub(super) fn read(text: &str) -> Token {
    let extended = text[1..].strip_prefix("Ex");
    let rest = extended.unwrap_or(&text[1..]);
    let len = text.len() - rest.len();
    let Some(letter) = rest.chars().next() else { return Token::Unknown(len) };
    let len = len + letter.len_utf8();
    let parts = if extended.is_some() { exact(letter) } else { plain(letter) };
    parts.map_or(Token::Unknown(len), |parts| Token::Parts(len, parts))
}

/// `%` and a letter.
fn plain(letter: char) -> Option<Vec<Part>> {
    let regex = match letter {
        '%' => return Some(vec![Part::Text("%")]),
        'c' => return Some(date_and_time()),
        'x' => return Some(slashed_date()),
        'X' => return Some(time()),
        'k' => return Some(vec![PAD, Part::Group(Field::Hour, FULL_HOUR)]),
        'l' => return Some(vec![PAD, Part::Group(Field::HalfHour, PADDED_HALF_HOUR)]),
        'Y' | 'G' => YEAR,
        'y' => TWO_DIGITS,
        'm' => MONTH,
        'B' => MONTH_NAME,
        'b' => SHORT_MONTH_NAME,
        'd' => DAY,
        'H' => HOUR,
        'I' => HALF_HOUR,
        'p' => "am|pm",
        'M' => MINUTE,
        'S' => SECOND,
        'f' => FRACTION,
        'A' => DAY_NAME,
        'a' => SHORT_DAY_NAME,
        'w' => "[0-6]",
        'j' => DAY_OF_YEAR,
        'U' | 'W' | 'V' => WEEK,
        'u' => "[1-7]",
        'z' => ZONE,
        'Z' => &ZONE_NAMES[0],
        _ => return None,
    };
    Some(vec![Part::Group(Field::of_letter(letter)?, regex)])
}

/// `%Ex` and a letter: exactly two digits, or more of what the plain token knows.
fn exact(letter: char) -> Option<Vec<Part>> {
    let regex = match letter {
        'k' => return Some(vec![PAD, Part::Group(Field::Hour, HOUR)]),
        'l' => return Some(vec![PAD, Part::Group(Field::HalfHour, PADDED_HALF_HOUR)]),
        'Y' => NEAR_YEAR,
        'y' => TWO_DIGITS,
        'd' => "[12][0-9]|0[1-9]|3[01]",
        'm' => "0[1-9]|1[0-2]",
        'H' => "[01][0-9]|2[0-3]",
        'M' => "[0-5][0-9]",
        'S' => "[0-5][0-9]|6[01]",
        'Z' => &ZONE_NAMES[1],
        'z' => &ZONE_NAMES[2],
        _ => return None,
    };
    Some(vec![Part::Group(Field::of_letter(letter)?, regex)])
}

/// A blank in the place of a number's first digit.
const PAD: Part = Part::Text("[ ]?");
const BLANK: Part = Part::Text(r"\s+");
const COLON: Part = Part::Text(":");
const SLASH: Part = Part::Text("/");

/// `Mon May  6 07:08:09 2024`
fn date_and_time() -> Vec<Part> {
    let date = [
        Part::Group(Field::ShortDayName, SHORT_DAY_NAME),
        BLANK,
        Part::Group(Field::ShortMonthName, SHORT_MONTH_NAME),
        BLANK,
        Part::Group(Field::Day, DAY),
        BLANK,
    ];
    let year = [BLANK, Part::Group(Field::Year, YEAR)];
    date.into_iter().chain(time()).chain(year).collect()
}

/// `05/06/24`, the month first
fn slashed_date() -> Vec<Part> {
    vec![
        Part::Group(Field::Month, MONTH),
        SLASH,
        Part::Group(Field::Day, DAY),
        SLASH,
        Part::Group(Field::ShortYear, TWO_DIGITS),
    ]
}

/// `07:08:09`
fn time() -> Vec<Part> {
    vec![
        Part::Group(Field::Hour, FULL_HOUR),
        COLON,
        Part::Group(Field::Minute, MINUTE),
        COLON,
        Part::Group(Field::Second, SECOND),
    ]
}
