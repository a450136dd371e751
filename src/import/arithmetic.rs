//! Numbers and times that fail2ban hands to Python: `2.0 / 2.885385`, `24*60*60`, `2*30m`.
//! Of Python there is the arithmetic of numbers here, and nothing else.

use std::str::Chars;

use crate::labels::duration;
use crate::model::BanTime;

/// Longer texts are no arithmetic, in bytes.
const LONGEST: usize = 200;

/// Brackets and signs within each other, at most.
const MAX_DEPTH: usize = 20;

/// What an expression of numbers comes to.
pub(super) fn number(text: &str) -> Option<f64> {
    value(text, |unit| unit.is_empty().then_some(1.0))
}

/// The same where numbers may have units of time, in seconds.
pub(super) fn seconds(text: &str) -> Option<f64> {
    value(text, |unit| match unit {
        "" => Some(1.0),
        unit => match duration::parse(&format!("1{unit}")).ok()? {
            BanTime::For(time) => Some(time.as_secs_f64()),
            BanTime::Forever => None,
        },
    })
}

fn value(text: &str, unit: fn(&str) -> Option<f64>) -> Option<f64> {
    if text.len() > LONGEST {
        return None;
    }
    let mut reader = Reader { rest: text.chars(), unit };
    let value = reader.sum(0)?;
    (reader.peek().is_none() && value.is_finite()).then_some(value)
}

struct Reader<'t> {
    rest: Chars<'t>,
    unit: fn(&str) -> Option<f64>,
}

impl Reader<'_> {
    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest.as_str().trim_start();
        self.rest = rest.chars();
        self.rest.clone().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_it = self.peek() == Some(wanted);
        if is_it {
            self.rest.next();
        }
        is_it
    }

    fn word(&mut self, belongs: fn(char) -> bool) -> String {
        let rest = self.rest.as_str();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.rest = rest[end..].chars();
        word
    }

    fn sum(&mut self, depth: usize) -> Option<f64> {
        let mut sum = self.product(depth)?;
        loop {
            if self.take('+') {
                sum += self.product(depth)?;
            } else if self.take('-') {
                sum -= self.product(depth)?;
            } else {
                return Some(sum);
            }
        }
    }

    fn product(&mut self, depth: usize) -> Option<f64> {
        let mut product = self.one(depth)?;
        loop {
            if self.take('*') {
                product *= self.one(depth)?;
            } else if self.take('/') {
                product /= self.one(depth)?;
            } else {
                return Some(product);
            }
        }
    }

    fn one(&mut self, depth: usize) -> Option<f64> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.take('-') {
            return self.one(depth + 1).map(|value| -value);
        }
        if self.take('(') {
            let value = self.sum(depth + 1)?;
            return self.take(')').then_some(value);
        }
        self.peek()?;
        let digits = self.word(|c| c.is_ascii_digit() || c == '.');
        let number: f64 = digits.parse().ok()?;
        let unit = self.word(|c| c.is_ascii_alphabetic());
        Some(number * (self.unit)(&unit)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        let check =
            |text: &str, expected: Option<f64>| assert_eq!(number(text), expected, "{text}");
        check("2.0 / 2.885385", Some(2.0 / 2.885_385));
        check("1+2 *3", Some(7.0));
        check("-(1 - 3)*.5", Some(1.0));
        for wrong in ["", "1 2", "2**3", "1/0", "1m", "x", "1.2.3", "(1", "1)", "a.b", "1//2"] {
            check(wrong, None);
        }
        check(&"(".repeat(199), None);
        check(&"-".repeat(199), None);
        check(&"1+".repeat(200), None);
        assert_eq!(seconds("2*30m"), Some(3600.0));
        assert_eq!(seconds("24*60*60"), Some(86_400.0));
        assert_eq!(seconds("-600"), Some(-600.0));
        assert_eq!(seconds("1d*x"), None);
    }
}
