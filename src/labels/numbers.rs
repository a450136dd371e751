//! Numbers in labels: factors, multipliers, lengths of prefixes.

use super::Flaw;
use super::values::{nothing, quoted, trimmed, words};
use crate::model::{Growth, Prefixes};

/// Most multipliers of one jail; the last counts for all that follow.
const MAX_MULTIPLIERS: usize = 100;
/// Largest factor and multiplier.
const MAX_FACTOR: u64 = 1_000_000;

/// A number such as `1.5`, in millionths; what is smaller is cut off. fail2ban hands it to
/// Python; only numbers are taken here.
pub(super) fn factor(value: &str) -> Result<u64, Flaw> {
    let (span, text) = trimmed(value);
    if text.is_empty() {
        return Err(nothing(value));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        let what = format!("{} is no number", quoted(text));
        let flaw = Flaw::new(span, what);
        return Err(match text.contains(['*', '/', '+', '-', '(']) {
            true => flaw.mend("write the result: guard does not run Python"),
            false => flaw,
        });
    }
    let too_large = || Flaw::new(span.clone(), format!("the factor is above {MAX_FACTOR}"));
    let whole = if whole.is_empty() { Ok(0) } else { whole.parse::<u64>() };
    let whole = whole.ok().filter(|whole| *whole <= MAX_FACTOR).ok_or_else(too_large)?;
    let millionths = (0..6).fold(0, |sum, place| {
        let digit = fraction.as_bytes().get(place).map_or(0, |byte| u64::from(byte - b'0'));
        sum * 10 + digit
    });
    match whole * Growth::ONE + millionths {
        0 => Err(Flaw::new(span, "a factor of 0 would end each ban at once")),
        factor => Ok(factor),
    }
}

/// Whole numbers with blanks or commas between.
pub(super) fn multipliers(value: &str) -> Result<Vec<u32>, Vec<Flaw>> {
    let (mut numbers, mut flaws) = (Vec::new(), Vec::new());
    for (start, word) in words(value) {
        let span = start..start + word.len();
        match word.parse::<u32>() {
            Ok(0) => flaws.push(Flaw::new(span, "a multiplier of 0 would end the ban at once")),
            Ok(number) if u64::from(number) <= MAX_FACTOR => numbers.push(number),
            Ok(_) => flaws.push(Flaw::new(span, format!("the multiplier is above {MAX_FACTOR}"))),
            Err(_) => {
                flaws.push(Flaw::new(span, format!("{} is no whole number", quoted(word))));
            }
        }
        if numbers.len() > MAX_MULTIPLIERS || flaws.len() > MAX_MULTIPLIERS {
            flaws.push(Flaw::new(
                start..value.len(),
                format!("more than {MAX_MULTIPLIERS} multipliers"),
            ));
            break;
        }
    }
    if numbers.is_empty() && flaws.is_empty() {
        flaws.push(nothing(value));
    }
    if flaws.is_empty() { Ok(numbers) } else { Err(flaws) }
}

/// The length of a prefix of the family with this index in [`Prefixes::ALLOWED`].
pub(super) fn prefix_length(value: &str, family: usize) -> Result<u8, Flaw> {
    let (span, text) = trimmed(value);
    if text.is_empty() {
        return Err(nothing(value));
    }
    let allowed = &Prefixes::ALLOWED[family];
    let bare = text.strip_prefix('/').unwrap_or(text);
    match bare.parse::<u8>() {
        Ok(length) if allowed.contains(&length) => Ok(length),
        Ok(0) => Err(Flaw::new(span, "a ban of /0 would shut out everybody")),
        Ok(length) if length < *allowed.start() => {
            let shortest = allowed.start();
            let what = format!("a ban of /{length} would shut out far more than one client");
            Err(Flaw::new(span, what)
                .mend(format!("/{shortest} is the shortest that guard bans for failures")))
        }
        _ => Err(Flaw::new(span, format!("{} is no length of a prefix", quoted(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors() {
        let check = |text: &str, expected: u64| assert_eq!(factor(text), Ok(expected), "{text}");
        check("1", 1_000_000);
        check(" 2.885385 ", 2_885_385);
        check(".5", 500_000);
        check("1.", 1_000_000);
        check("1.23456789", 1_234_567);
        let refuse = |text: &str, place: &str, what: &str| {
            let flaw = factor(text).unwrap_err();
            assert_eq!(&text[flaw.span.clone()], place, "{flaw:?}");
            assert!(format!("{flaw:?}").contains(what), "{flaw:?}");
        };
        refuse("2.0 / 2.885385", "2.0 / 2.885385", "write the result");
        refuse(" 0.0 ", "0.0", "end each ban at once");
        refuse("1000001", "1000001", "above 1000000");
        refuse("99999999999999999999999", "99999999999999999999999", "above 1000000");
        for wrong in ["", ".", "x", "1e3", "-1", "1.2.3", "\u{661}"] {
            assert!(factor(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_of_multipliers() {
        assert_eq!(multipliers("1 5 30, 60\n300"), Ok(vec![1, 5, 30, 60, 300]));
        let flaws = multipliers("1 x 0 1.5").unwrap_err();
        let spans: Vec<_> = flaws.into_iter().map(|flaw| flaw.span).collect();
        assert_eq!(spans, [2..3, 4..5, 6..9]);
        assert!(multipliers(" ").is_err());
        assert!(multipliers(&"7 ".repeat(101)).is_err());
    }

    #[test]
    fn lengths_of_prefixes() {
        assert_eq!(prefix_length("24", 0), Ok(24));
        assert_eq!(prefix_length(" /56 ", 1), Ok(56));
        for (wrong, family) in
            [("0", 0), ("15", 0), ("33", 0), ("129", 1), ("31", 1), ("x", 1), ("", 0), ("300", 0)]
        {
            assert!(prefix_length(wrong, family).is_err(), "{wrong}");
        }
    }
}
