//! Lengths of time, as fail2ban writes them: `600`, `10m`, `1d 3h`, `1y6mo`, `-1`.
//!
//! Numbers with units are added up, joined or with blanks or signs between
//! them; a number without a unit is seconds. Arithmetic beyond that (fail2ban
//! hands the text to Python) is refused.

use std::time::Duration;

use super::Flaw;
use super::complaint::shorten;
use crate::model::BanTime;

/// Longest time, in seconds: a hundred years. Longer bans are for ever.
const LONGEST: i128 = 100 * YEAR;
const YEAR: i128 = 31_557_600;
const SECOND: i128 = 1_000_000_000;

/// The units, by every name that they go by. A month is the twelfth of a year of 365.25 days.
const UNITS: [(&[&str], i128); 7] = [
    (&["s", "ss", "sec", "secs", "second", "seconds"], 1),
    (&["m", "mm", "min", "mins", "minute", "minutes"], 60),
    (&["h", "hh", "hou", "hour", "hours"], 3_600),
    (&["d", "dd", "da", "day", "days"], 86_400),
    (&["w", "ww", "wee", "week", "weeks"], 604_800),
    (&["mo", "mon", "month", "months"], YEAR / 12),
    (&["y", "yy", "yea", "year", "years"], YEAR),
];

/// Reads the length of a ban; `-1` is for ever.
pub fn parse(text: &str) -> Result<BanTime, Flaw> {
    match sum(text)? {
        nanos if nanos == -SECOND => Ok(BanTime::Forever),
        nanos => length(text, nanos).map(BanTime::For).map_err(|flaw| match flaw.remedy {
            None => flaw.mend("write `-1` for a ban without end"),
            Some(_) => flaw,
        }),
    }
}

/// Reads a time that ends.
pub fn parse_finite(text: &str) -> Result<Duration, Flaw> {
    length(text, sum(text)?)
}

/// Shows a length of time in at most three units, the small ones of a long one rounded away.
pub fn show(time: Duration) -> String {
    const SHOWN: [(&str, u64); 5] =
        [("y", 365 * 86_400), ("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)];
    let seconds = time.as_secs();
    // From five seconds below the hour: a rounded time must not read `60m`.
    let grain = match seconds {
        0..3_595 => 1,
        3_595..86_400 => 10,
        86_400..604_800 => 60,
        604_800..31_536_000 => 3_600,
        _ => 86_400,
    };
    let mut rest = seconds.saturating_add(grain / 2) / grain * grain;
    let mut shown: Vec<String> = Vec::new();
    for (unit, length) in SHOWN {
        if rest >= length {
            shown.push(format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    match (rest, shown.is_empty()) {
        (0, true) => "0".to_owned(),
        (0, false) => shown.join(" "),
        (rest, _) => {
            shown.push(format!("{rest}s"));
            shown.join(" ")
        }
    }
}

/// A sum as a length, in whole seconds.
fn length(text: &str, nanos: i128) -> Result<Duration, Flaw> {
    let whole = blank_free(text);
    if nanos < SECOND {
        return Err(Flaw::new(whole, "a time must be above 0"));
    }
    match u64::try_from(nanos / SECOND) {
        Ok(seconds) if i128::from(seconds) <= LONGEST => Ok(Duration::from_secs(seconds)),
        _ => Err(Flaw::new(whole, "this is longer than 100 years")),
    }
}

/// The text without the blanks around it.
fn blank_free(text: &str) -> std::ops::Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

/// Adds up the terms; nanoseconds.
fn sum(text: &str) -> Result<i128, Flaw> {
    let mut rest = Rest { text, at: 0 };
    let mut total: i128 = 0;
    rest.skip_blanks();
    if rest.is_empty() {
        return Err(Flaw::new(0..text.len(), "no time is given").mend(SAMPLE));
    }
    while !rest.is_empty() {
        let sign = rest.sign();
        total = total.saturating_add(sign * rest.term()?);
        rest.skip_blanks();
    }
    Ok(total)
}

const SAMPLE: &str = "write a number and a unit, such as `10m`, `1h 30m` or `1d`";

/// What is still to be read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn left(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn is_empty(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Takes what `wanted` says yes to.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let left = self.left();
        let taken = &left[..left.find(|c| !wanted(c)).unwrap_or(left.len())];
        self.at += taken.len();
        taken
    }

    fn skip_blanks(&mut self) {
        self.take(char::is_whitespace);
    }

    /// The sign before a term; none is a plus.
    fn sign(&mut self) -> i128 {
        let sign = match self.left().as_bytes().first() {
            Some(b'-') => -1,
            Some(b'+') => 1,
            _ => return 1,
        };
        self.at += 1;
        self.skip_blanks();
        sign
    }

    /// A number and perhaps its unit; nanoseconds.
    fn term(&mut self) -> Result<i128, Flaw> {
        let number = self.number()?;
        self.skip_blanks();
        let start = self.at;
        let unit = self.take(char::is_alphabetic);
        if unit.is_empty() {
            return Ok(number);
        }
        let lower = unit.to_lowercase();
        match UNITS.iter().find(|(names, _)| names.contains(&lower.as_str())) {
            Some((_, seconds)) => Ok(number.saturating_mul(*seconds)),
            None => {
                let what = format!("`{}` is no unit of time", shorten(unit, 20));
                Err(Flaw::new(start..self.at, what)
                    .mend("the units are `s`, `m`, `h`, `d`, `w`, `mo` and `y`"))
            }
        }
    }

    /// A number, perhaps with decimals, as so many seconds; nanoseconds.
    fn number(&mut self) -> Result<i128, Flaw> {
        let start = self.at;
        let whole = self.take(|c| c.is_ascii_digit());
        if whole.is_empty() {
            return Err(self.no_number());
        }
        let mut nanos = match whole.parse::<i128>() {
            Ok(number) if whole.len() <= 15 => number * SECOND,
            _ => return Err(Flaw::new(start..self.at, "this number is too big")),
        };
        if self.left().starts_with('.') {
            self.at += 1;
            let decimals = self.take(|c| c.is_ascii_digit());
            if decimals.is_empty() {
                return Err(self.no_number());
            }
            let nine: String = decimals.chars().chain("000000000".chars()).take(9).collect();
            nanos += nine.parse::<i128>().unwrap_or(0);
        }
        Ok(nanos)
    }

    fn no_number(&self) -> Flaw {
        let word: usize =
            self.left().chars().take_while(|c| c.is_alphanumeric()).map(char::len_utf8).sum();
        let next = self.left().chars().next().map_or(0, char::len_utf8);
        let span = self.at..self.at + word.max(next);
        let what = match &self.text[span.clone()] {
            "" => "a number is missing at the end".to_owned(),
            wrong => format!("`{}` stands where a number must be", shorten(wrong, 20)),
        };
        Flaw::new(span, what).mend(SAMPLE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fail2bans_vectors() {
        let check = |text: &str, seconds: u64| {
            assert_eq!(parse(text), Ok(BanTime::For(Duration::from_secs(seconds))), "{text}");
        };
        check("1d 3h", 97_200);
        check("1d3h", 97_200);
        check("10m", 600);
        check("1M", 60);
        check("1mo", 2_629_800);
        check("5 10", 15);
        check("600", 600);
        check("1y6mo30w15d12h35m25s", 66_821_725);
        check("1 year + 1 month - 1 week + 1 day", 33_669_000);
        check("1y-6mo", 15_778_800);
        check(" 2 Hours ", 7_200);
        check("1.5h", 5_400);
        check("2 ss 1 mm 1 hh 1 dd 1 ww 1 yy", 2 + 60 + 3_600 + 86_400 + 604_800 + 31_557_600);
        check("1 sec 1 min 1 hou 1 da 1 wee 1 mon 1 yea", 34_882_261);
    }

    #[test]
    fn minus_one_is_for_ever() {
        for text in ["-1", " -1 ", "-1s", "1 - 2"] {
            assert_eq!(parse(text), Ok(BanTime::Forever), "{text}");
            assert!(parse_finite(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        let check = |text: &str, marked: &str, what: &str| {
            let flaw = parse(text).unwrap_err();
            assert_eq!((&text[flaw.span.clone()], flaw.what.as_str()), (marked, what), "{text}");
        };
        check("abc", "abc", "`abc` stands where a number must be");
        check("", "", "no time is given");
        check("  ", "  ", "no time is given");
        check("1dw", "dw", "`dw` is no unit of time");
        check("1h 5 parsecs", "parsecs", "`parsecs` is no unit of time");
        check("1h*2", "*", "`*` stands where a number must be");
        check("1d +", "", "a number is missing at the end");
        check("1.h", "h", "`h` stands where a number must be");
        check("0", "0", "a time must be above 0");
        check("0.5", "0.5", "a time must be above 0");
        check(" -2m ", "-2m", "a time must be above 0");
        check("101y", "101y", "this is longer than 100 years");
        check("9999999999999999", "9999999999999999", "this number is too big");
        check("999999999999999y", "999999999999999y", "this is longer than 100 years");
        check("ten minutes", "ten", "`ten` stands where a number must be");
        check("10m;", ";", "`;` stands where a number must be");
    }

    #[test]
    fn shown_in_three_units() {
        let check = |seconds: u64, shown: &str| {
            assert_eq!(show(Duration::from_secs(seconds)), shown);
        };
        check(0, "0");
        check(59, "59s");
        check(600, "10m");
        check(3_594, "59m 54s");
        check(3_595, "1h");
        check(5_400, "1h 30m");
        check(86_399, "1d");
        check(97_200, "1d 3h");
        check(604_799, "1w");
        check(86_400 * 390, "1y 3w 4d");
        check(31_557_600, "1y");
        check(u64::MAX, "584942417355y 3w 5d");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_inside_itself(text in "[0-9a-z+\\-. é]{0,40}|.{0,40}") {
            if let Err(flaw) = parse(&text) {
                prop_assert!(text.get(flaw.span).is_some());
            }
        }

        #[test]
        fn what_is_shown_of_whole_minutes_is_read_back(minutes in 1_u64..1_440) {
            let time = Duration::from_secs(minutes * 60);
            prop_assert_eq!(parse_finite(&show(time)), Ok(time));
        }
    }
}
