//! `logtimezone`: IANA names, and the fixed forms of fail2ban.

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::Flaw;
use super::values::{nothing, quoted, trimmed};

/// Reads `Europe/Paris`, `UTC`, `UTC+0200`, `GMT-0100`, `+01:00`, `Z`.
pub(super) fn read(value: &str) -> Result<TimeZone, Flaw> {
    let (span, text) = trimmed(value);
    if text.is_empty() {
        return Err(nothing(value));
    }
    if let Some(zone) = fixed(text) {
        return Ok(zone);
    }
    // The names that are in the binary: the machine's own may be none.
    match TimeZoneDatabase::bundled().get(text) {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => Err(Flaw::new(span, format!("{} is no time zone", quoted(text)))),
    }
}

/// `Z`, or a sign, two digits for hours and perhaps two for minutes, alone or
/// after `UTC` or `GMT`.
fn fixed(text: &str) -> Option<TimeZone> {
    let upper = text.to_ascii_uppercase();
    let rest = upper.strip_prefix("UTC").or_else(|| upper.strip_prefix("GMT"));
    let rest = match rest {
        Some("") => return Some(TimeZone::UTC),
        Some(rest) => rest,
        None if upper == "Z" => return Some(TimeZone::UTC),
        None => &upper,
    };
    let sign = match rest.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = rest[1..].replacen(':', "", 1);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(TimeZone::fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn zones() {
        let summer = Timestamp::from_second(1_748_260_647).unwrap();
        let check = |text: &str, hours: f64| {
            let zone = read(text).unwrap_or_else(|flaw| panic!("{text}: {flaw}"));
            assert_eq!(f64::from(zone.to_offset(summer).seconds()) / 3600.0, hours, "{text}");
        };
        check("Europe/Paris", 2.0);
        check("europe/paris", 2.0);
        check("America/New_York", -4.0);
        check("UTC", 0.0);
        check(" utc ", 0.0);
        check("Z", 0.0);
        check("UTC+0200", 2.0);
        check("GMT-0100", -1.0);
        check("+0100", 1.0);
        check("+05:45", 5.75);
        check("UTC-3", -3.0);
        check("Etc/GMT+3", -3.0);
        for bad in [
            "",
            "Paris",
            "Europe/Pariss",
            "Etc/Unknown",
            "+2500",
            "+0060",
            "UTC+",
            "UTC0200",
            "/etc/passwd",
            "../UTC",
            "+01000",
            "+é",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
