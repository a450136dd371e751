//! Time zones by name: for `logtimezone`, and in dates.
//!
//! Three kinds: an offset (`+0200`, `UTC+02`, `CET+0130`), an abbreviation (`CET`),
//! which is a fixed offset as well, and a name of the time zone database
//! (`Europe/Paris`), which knows summer time. Where an abbreviation means several
//! zones, it is the one that fail2ban takes it for.

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// No zone is called like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such time zone")]
pub struct UnknownZone;

/// Reads `Europe/Paris`, `UTC`, `UTC+0200`, `GMT-0100`, `+01:00`, `CET`, `CET+0130`,
/// `Z`, in any case.
///
/// # Errors
/// No zone is called `text`.
pub fn parse_zone(text: &str) -> Result<TimeZone, UnknownZone> {
    if let Some(offset) = offset(&text.to_ascii_uppercase()) {
        return Ok(TimeZone::fixed(offset));
    }
    // The names that are in the binary: the machine's own may be none.
    match TimeZoneDatabase::bundled().get(text) {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => Err(UnknownZone),
    }
}

/// Reads an abbreviation, a difference, or one after the other.
pub(super) fn offset(text: &str) -> Option<Offset> {
    let name = &text[..text.find(['+', '-']).unwrap_or(text.len())];
    let difference = &text[name.len()..];
    let base = if name.is_empty() && !difference.is_empty() { 0 } else { abbreviation(name)? };
    let seconds = if difference.is_empty() { 0 } else { seconds(difference)? };
    Offset::from_seconds(i32::from(base) * 60 + seconds).ok()
}

/// `+1`, `+01`, `+0130`, `+01:30`, in seconds.
fn seconds(text: &str) -> Option<i32> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text[1..].replacen(':', "", 1);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// How far the zone is ahead of UTC, in minutes.
pub(super) fn abbreviation(name: &str) -> Option<i16> {
    if let [letter @ b'A'..=b'Z'] = name.as_bytes() {
        return military(*letter);
    }
    let index = ABBREVIATIONS.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(ABBREVIATIONS[index].1)
}

/// All abbreviations of more than one letter.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ABBREVIATIONS.iter().map(|(name, _)| *name)
}

/// The zones of one letter: `Z` is UTC, east of it they count from `A`, west from `N`.
fn military(letter: u8) -> Option<i16> {
    let hours = match letter {
        b'A'..=b'I' => i16::from(letter - b'A') + 1,
        b'K'..=b'M' => i16::from(letter - b'K') + 10,
        b'N'..=b'Y' => -i16::from(letter - b'N') - 1,
        b'Z' => 0,
        // `J` is the local time, wherever that is.
        _ => return None,
    };
    Some(hours * 60)
}

/// Abbreviations and how far they are ahead of UTC, in minutes; sorted by name.
#[rustfmt::skip]
const ABBREVIATIONS: &[(&str, i16)] = &[
    ("ACDT", 630), ("ACST", 570), ("ACT", 480), ("ADT", -180), ("AEDT", 660),
    ("AEST", 600), ("AFT", 270), ("AKDT", -480), ("AKST", -540), ("ALMT", 360),
    ("AMST", 300), ("AMT", 240), ("ANAST", 720), ("ANAT", 720), ("AQTT", 300),
    ("ART", -180), ("AST", -240), ("AWDT", 540), ("AWST", 480), ("AZOT", -60),
    ("AZST", 300), ("AZT", 240), ("BDT", 480), ("BIOT", 360), ("BNT", 480),
    ("BOT", -240), ("BRST", -120), ("BRT", -180), ("BTT", 360), ("CAST", 480),
    ("CAT", 120), ("CCT", 390), ("CDT", -300), ("CEDT", 120), ("CEST", 120),
    ("CET", 60), ("CHST", 600), ("CIST", -480), ("CKT", -600), ("CLST", -180),
    ("CLT", -240), ("COST", -240), ("COT", -300), ("CST", -360), ("CVT", -60),
    ("CXT", 420), ("DAVT", 420), ("DFT", 60), ("EASST", -300), ("EAST", -360),
    ("EAT", 180), ("ECT", -300), ("EDT", -240), ("EEDT", 180), ("EEST", 180),
    ("EET", 120), ("EGST", 0), ("EGT", -60), ("EST", -300), ("ET", -300),
    ("FET", 180), ("FJST", 780), ("FJT", 720), ("FKST", -180), ("FKT", -240),
    ("FNT", -120), ("GALT", -360), ("GAMT", -540), ("GET", 240), ("GFT", -180),
    ("GILT", 720), ("GIT", -540), ("GMT", 0), ("GST", 240), ("GYT", -240),
    ("HAA", -180), ("HAC", -300), ("HADT", -540), ("HAE", -240), ("HAP", -420),
    ("HAR", -360), ("HAST", -600), ("HAT", -150), ("HAY", -480), ("HDT", -540),
    ("HKT", 480), ("HLV", -270), ("HMT", 300), ("HNA", -240), ("HNC", -360),
    ("HNE", -300), ("HNP", -480), ("HNR", -420), ("HNT", -210), ("HNY", -540),
    ("HOVT", 420), ("HST", -600), ("ICT", 420), ("IDT", 180), ("IOT", 360),
    ("IRDT", 270), ("IRKST", 540), ("IRKT", 480), ("IRST", 210), ("JST", 540),
    ("KGT", 360), ("KRAST", 480), ("KRAT", 420), ("KST", 540), ("KUYT", 240),
    ("LHDT", 660), ("LHST", 630), ("MAGST", 720), ("MAGT", 660), ("MART", -570),
    ("MAWT", 300), ("MDT", -360), ("MHT", 720),
    ("MIT", -570), ("MMT", 390), ("MSD", 240), ("MSK", 180), ("MST", -420),
    ("MUT", 240), ("MVT", 300), ("MYT", 480), ("NCT", 660), ("NDT", -150),
    ("NFT", 690), ("NOVST", 420), ("NOVT", 360), ("NPT", 345), ("NST", -210),
    ("NT", -210), ("NUT", -660), ("NZDT", 780), ("NZST", 720), ("OMSST", 420),
    ("OMST", 360), ("PDT", -420), ("PET", -300), ("PETST", 720), ("PETT", 720),
    ("PGT", 600), ("PHT", 480), ("PKT", 300), ("PMDT", -120), ("PMST", -180),
    ("PONT", 660), ("PST", -480), ("PT", -480), ("PWT", 540), ("PYST", -180),
    ("PYT", -240), ("RET", 240), ("SAKT", 660), ("SAMT", 240), ("SAST", 120),
    ("SBT", 660), ("SCT", 240), ("SGT", 480), ("SLT", 330), ("SRET", 660),
    ("SRT", -180), ("SST", -660), ("TAHT", -600), ("TFT", 300), ("THA", 420),
    ("TJT", 300), ("TKT", -600), ("TLT", 540), ("TMT", 300), ("TRT", 180),
    ("TVT", 720), ("ULAT", 480), ("UTC", 0), ("UYST", -120), ("UYT", -180),
    ("UZT", 300), ("VET", -270), ("VLAST", 660), ("VLAT", 600), ("VUT", 660),
    ("WAST", 120), ("WAT", 60), ("WDT", 540), ("WEDT", 60), ("WEST", 60),
    ("WET", 0), ("WFT", 720), ("WGST", -120), ("WGT", -180), ("WIB", 420),
    ("WIT", 540), ("WITA", 480), ("WST", 480), ("WT", 0), ("YAKST", 600),
    ("YAKT", 540), ("YAPT", 600), ("YEKST", 360), ("YEKT", 300),
];

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[track_caller]
    fn check(text: &str, hours: f64) {
        let summer = Timestamp::from_second(1_748_260_647).unwrap();
        let zone = parse_zone(text).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(f64::from(zone.to_offset(summer).seconds()) / 3600.0, hours, "{text}");
    }

    #[test]
    fn names_know_summer_time() {
        check("Europe/Paris", 2.0);
        check("europe/paris", 2.0);
        check("America/New_York", -4.0);
        check("Etc/GMT+3", -3.0);
        check("Japan", 9.0);
    }

    #[test]
    fn offsets() {
        check("UTC", 0.0);
        check("utc", 0.0);
        check("Z", 0.0);
        check("UTC+0200", 2.0);
        check("UTC-0430", -4.5);
        check("GMT-0100", -1.0);
        check("GMT+12", 12.0);
        check("+0100", 1.0);
        check("+05:45", 5.75);
        check("UTC-3", -3.0);
    }

    #[test]
    fn abbreviations_are_fixed() {
        check("CET", 1.0);
        check("CEST", 2.0);
        check("cet", 1.0);
        check("CET+0130", 2.5);
        check("EST-01:00", -6.0);
        check("ACST", 9.5);
        check("A", 1.0);
        check("M", 12.0);
        check("N", -1.0);
        check("Y", -12.0);
    }

    #[test]
    fn no_zones() {
        for bad in [
            "",
            " ",
            "Paris",
            "Europe/Pariss",
            "Etc/Unknown",
            "+2500",
            "+0060",
            "+",
            "UTC+",
            "UTC0200",
            "UTC+02+02",
            "XYZ+01",
            "J",
            "/etc/passwd",
            "../UTC",
            "+01000",
            "+é",
            "é",
        ] {
            assert!(parse_zone(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn abbreviations_are_sorted() {
        assert!(ABBREVIATIONS.is_sorted_by(|(one, _), (next, _)| one < next));
        assert!(ABBREVIATIONS.iter().all(|(_, minutes)| minutes.abs() <= 14 * 60));
    }
}
