//! `logtimezone`: what [`parse_zone`] reads.

use jiff::tz::TimeZone;

use super::Flaw;
use super::values::{nothing, quoted, trimmed};
use crate::filter::parse_zone;

/// Reads `Europe/Paris`, `UTC+0200`, `CET`, and so on.
pub(super) fn read(value: &str) -> Result<TimeZone, Flaw> {
    let (span, text) = trimmed(value);
    if text.is_empty() {
        return Err(nothing(value));
    }
    parse_zone(text).map_err(|_| Flaw::new(span, format!("{} is no time zone", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        let fixed = |hours| TimeZone::fixed(jiff::tz::offset(hours));
        assert_eq!(read(" utc+0200 ").ok(), Some(fixed(2)));
        assert_eq!(read("CET").ok(), Some(fixed(1)));
        assert_eq!(read("europe/paris").unwrap().iana_name(), Some("Europe/Paris"));
        for bad in ["", " ", "Paris"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
