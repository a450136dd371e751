use super::*;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

mod agree;
mod lists;
mod patterns;

const NOW: &str = "2024-06-15T12:00:00Z";

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn moment(when: When, now: &str) -> Option<String> {
    let now: Timestamp = now.parse().unwrap();
    when.resolve(&berlin(), now).map(|at| at.to_string())
}

/// A new detector cuts `cut` out of `line` and takes it for `expected`.
#[track_caller]
fn check(line: &str, cut: &str, expected: &str) {
    check_at(NOW, line, cut, expected);
}

#[track_caller]
fn check_at(now: &str, line: &str, cut: &str, expected: &str) {
    let stamp = Detector::default().find(line).unwrap_or_else(|| panic!("no date in {line:?}"));
    assert_eq!(&line[stamp.cut()], cut, "{line:?}");
    assert_eq!(moment(stamp.when, now).as_deref(), Some(expected), "{line:?}");
}

#[track_caller]
fn no_date(line: &str) {
    let found = Detector::default().find(line);
    assert!(found.is_none(), "{line:?}: {:?}", found.map(|stamp| &line[stamp.cut()]));
}

/// One date of each shape; all in Berlin's summer time where no zone is named.
const SHAPES: &[(&str, &str)] = &[
    ("2024-05-06T07:08:09", "2024-05-06T05:08:09Z"),
    ("2024-05-06 07:08:09", "2024-05-06T05:08:09Z"),
    ("2024-5-6  7:8:9", "2024-05-06T05:08:09Z"),
    ("2024/05/06 07:08:09", "2024-05-06T05:08:09Z"),
    ("2024.05.06 07:08:09", "2024-05-06T05:08:09Z"),
    ("2024-05-06 07:08:09,123", "2024-05-06T05:08:09.123Z"),
    ("2024-05-06T07:08:09.123456789Z", "2024-05-06T07:08:09.123456789Z"),
    ("2024-05-06T07:08:09.123456789123Z", "2024-05-06T07:08:09.123456789Z"),
    ("2024-05-06T07:08:09.5+02:00", "2024-05-06T05:08:09.5Z"),
    ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"),
    ("2024-05-06 07:08:09 +0530", "2024-05-06T01:38:09Z"),
    ("2024-05-06 07:08:09 -03", "2024-05-06T10:08:09Z"),
    ("2024-05-06 07:08:09 UTC", "2024-05-06T07:08:09Z"),
    ("2024-05-06 07:08:60", "2024-05-06T05:08:59Z"),
    ("May  6 07:08:09", "2024-05-06T05:08:09Z"),
    ("May 6 7:08:09", "2024-05-06T05:08:09Z"),
    ("May 06 07:08:09.250", "2024-05-06T05:08:09.25Z"),
    ("Mon May  6 07:08:09", "2024-05-06T05:08:09Z"),
    ("Mon May  6 07:08:09 2023", "2023-05-06T05:08:09Z"),
    ("Monday May 6 07:08:09.5 2023", "2023-05-06T05:08:09.5Z"),
    ("Mon May 06 2023 07:08:09.5", "2023-05-06T05:08:09.5Z"),
    ("may 6 07:08:09", "2024-05-06T05:08:09Z"),
    ("PDT May 6 07:08:09", "2024-05-06T14:08:09Z"),
    ("+01:00 May 6 07:08:09 2023", "2023-05-06T06:08:09Z"),
    ("06/05/2024 07:08:09", "2024-05-06T05:08:09Z"),
    ("06-05-24 07:08:09", "2024-05-06T05:08:09Z"),
    ("06/May/2024:07:08:09 +0000", "2024-05-06T07:08:09Z"),
    ("06/May/2024:07:08:09", "2024-05-06T05:08:09Z"),
    ("06-May-2024 07:08:09.25 +0200", "2024-05-06T05:08:09.25Z"),
    ("05/16/2024:07:08:09", "2024-05-16T05:08:09Z"),
    ("05-16-2024 07:08:09.5", "2024-05-16T05:08:09.5Z"),
    ("240506 07:08:09", "2024-05-06T05:08:09Z"),
    ("May 6, 2024 7:08:09 AM", "2024-05-06T05:08:09Z"),
    ("May 6, 2024 12:08:09 PM", "2024-05-06T10:08:09Z"),
    ("May 6, 2024 12:08:09 am", "2024-05-05T22:08:09Z"),
    ("20240506T070809", "2024-05-06T05:08:09Z"),
    ("20240506 070809.5Z", "2024-05-06T07:08:09.5Z"),
    ("20240506-07:08:09", "2024-05-06T05:08:09Z"),
    ("@400000006638800900000000", "2024-05-06T07:00:25Z"),
];

#[test]
fn every_shape_at_the_start_and_in_the_middle() {
    for (date, expected) in SHAPES {
        check(date, date, expected);
        check(&format!("{date} host app[1]: failed"), date, expected);
        check(&format!("{date}[1]: failed"), date, expected);
        check(&format!("[{date}] failed"), date, expected);
        check(&format!("192.0.2.1 - - [{date}] failed"), date, expected);
        check(&format!("{{\"user\":\"é\",\"time\":\"{date}\",\"x\":1}}"), date, expected);
        check(&format!("→{date}→"), date, expected);
    }
}

#[test]
fn no_shape_within_a_word() {
    for (date, _) in SHAPES.iter().filter(|(date, _)| date.as_bytes()[0].is_ascii_alphanumeric()) {
        if date.starts_with("Mon") || date.starts_with("PDT") {
            continue; // What comes after the first word is a date by itself.
        }
        no_date(&format!("word{date}"));
        no_date(&format!("é{date}"));
        no_date(&format!("_{date}"));
    }
    for (date, _) in SHAPES.iter().filter(|(date, _)| date.ends_with(|c: char| c.is_ascii_digit()))
    {
        let line = format!("{date}word");
        let cut = Detector::default().find(&line).map(|stamp| line[stamp.cut()].to_owned());
        assert_ne!(cut.as_deref(), Some(*date));
    }
}

#[test]
fn only_at_the_start_of_the_line() {
    let expected = "2024-05-06T07:08:09Z";
    check("1714979289 x", "1714979289", expected);
    check("1714979289.000 x", "1714979289.000", expected);
    check("1714979289.250000000[x]", "1714979289.250000000", "2024-05-06T07:08:09.25Z");
    check("[1714979289.000][x]", "1714979289.000", expected);
    check("<05/06/24@09:08:09>x", "<05/06/24@09:08:09>", expected);
    check("May-06-24 09:08:09 x", "May-06-24 09:08:09", expected);
    check("09:08:09 x", "09:08:09", "2024-06-15T07:08:09Z");
    check("[09:08:09] x", "09:08:09", "2024-06-15T07:08:09Z");
    for date in
        ["1714979289", "[1714979289]", "<05/06/24@09:08:09>", "May-06-24 09:08:09", "09:08:09"]
    {
        no_date(&format!("at {date} x"));
    }
    check("[1714979289 x", "1714979289", expected);
    check("#[1714979289.000] x", "1714979289.000", expected);
    no_date("#?[1714979289] x");
    no_date("é[1714979289] x");
    check("09:08:09: x", "09:08:09", "2024-06-15T07:08:09Z");
    no_date("17149792891234 x");
    no_date("1714979289x");
    no_date("09:08:09:0a:0b:0c is up");
}

#[test]
fn audit_is_known_anywhere() {
    check("type=X msg=audit(1714979289.123:987): y", "1714979289.123", "2024-05-06T07:08:09.123Z");
    no_date("type=X msg=xaudit(1714979289.123:987): y");
    check("audit(1714979289): y", "1714979289", "2024-05-06T07:08:09Z");
    no_date("type=X msg=audit(1714979289x): y");
}

#[test]
fn what_is_no_date() {
    for line in [
        "",
        "no date",
        "2024-05-06",
        "07:08",
        "2024-05-06 07:08",
        "2024-05/06 07:08:09",
        "1999-05-06 07:08:09",
        "0000-12-30 00:00:00",
        "2024-05-06 24:08:09",
        "2024-13-06 07:08:09",
        "2024-05-06 07:08:099",
        "2024-05-06 07:60:09",
        "Foo 6 07:08:09",
        "version 1.2.3-4",
        "May 6 07:08:091234",
        "from 2001:db8::1",
        "WARN May-6",
        "20240506 999999",
    ] {
        no_date(line);
    }
}

#[test]
fn days_that_do_not_exist_are_no_date() {
    no_date("2024-02-30 10:00:00");
    no_date("2023-02-29 10:00:00");
    no_date("31/Jun/2024:10:00:00");
    no_date("Feb 30 10:00:00");
    no_date("2024-02-30 10:00:00 by 2024-02-01 10:00:00");
    check("2024-02-29 10:00:00", "2024-02-29 10:00:00", "2024-02-29T09:00:00Z");
}

#[test]
fn what_follows_a_date_stays() {
    check("2024-05-06 07:08:09, x", "2024-05-06 07:08:09", "2024-05-06T05:08:09Z");
    check("2024-05-06 07:08:09.", "2024-05-06 07:08:09", "2024-05-06T05:08:09Z");
    check("2024-05-06 07:08:09 Zebra", "2024-05-06 07:08:09", "2024-05-06T05:08:09Z");
    check("2024-05-06 07:08:09 +000", "2024-05-06 07:08:09", "2024-05-06T05:08:09Z");
    check("2024-05-06T07:08:09.5x", "2024-05-06T07:08:09", "2024-05-06T05:08:09Z");
    check("May 6 07:08:09 20030f2329b8", "May 6 07:08:09", "2024-05-06T05:08:09Z");
    check("WARN May 6 07:08:09", "May 6 07:08:09", "2024-05-06T05:08:09Z");
}

#[test]
fn the_leftmost_wins() {
    let line = "2024-05-06 07:08:09 user '2020-01-01 00:00:00' @ May 1 00:00:00";
    check(line, "2024-05-06 07:08:09", "2024-05-06T05:08:09Z");
    check(
        "0000-12-30 00:00:00 - 2023-12-30 00:00:00",
        "2023-12-30 00:00:00",
        "2023-12-29T23:00:00Z",
    );
    check("text:200333 010203 | 20231230 010203", "20231230 010203", "2023-12-30T00:02:03Z");
}

#[test]
fn an_ambiguous_date_is_read_like_the_one_before() {
    let read = |lines: &[&str]| {
        let mut detector = Detector::default();
        let last = lines.iter().map(|line| detector.find(line)).last().flatten().unwrap();
        moment(last.when, NOW).unwrap()
    };
    assert_eq!(read(&["02-03-2024 10:00:00"]), "2024-03-02T09:00:00Z");
    assert_eq!(read(&["01-27-2024 10:00:00", "02-03-2024 10:00:00"]), "2024-02-03T09:00:00Z");
    assert_eq!(
        read(&["01-27-2024 10:00:00", "2024-01-01 10:00:00", "02-03-2024 10:00:00"]),
        "2024-03-02T09:00:00Z"
    );
}

#[test]
fn the_year_that_is_not_there() {
    let new_year = "2024-01-01T00:30:00Z";
    check_at(new_year, "Dec 31 23:59:59 x", "Dec 31 23:59:59", "2023-12-31T22:59:59Z");
    check_at(new_year, "Jan  1 01:29:00 x", "Jan  1 01:29:00", "2024-01-01T00:29:00Z");
    check_at(new_year, "Jan  2 01:29:00 x", "Jan  2 01:29:00", "2024-01-02T00:29:00Z");
    check_at(new_year, "Jan  2 01:31:00 x", "Jan  2 01:31:00", "2023-01-02T00:31:00Z");
    check_at("2025-01-10T00:00:00Z", "Feb 29 10:00:00", "Feb 29 10:00:00", "2024-02-29T09:00:00Z");
    // 23:30 UTC on the 31st: in Berlin it is next year already.
    let eve = "2023-12-31T23:30:00Z";
    check_at(eve, "Jan  1 00:29:00 x", "Jan  1 00:29:00", "2023-12-31T23:29:00Z");
    let none = Detector::default().find("Feb 29 10:00:00").unwrap();
    assert_eq!(moment(none.when, "2023-06-01T00:00:00Z"), None);
    check_at("2024-06-15T12:00:00Z", "15:00:00 x", "15:00:00", "2024-06-14T13:00:00Z");
}

#[test]
fn clocks_that_jump() {
    check("2024-03-31 02:30:00", "2024-03-31 02:30:00", "2024-03-31T01:30:00Z");
    check("2024-10-27 02:30:00", "2024-10-27 02:30:00", "2024-10-27T00:30:00Z");
    check("2024-10-27 02:30:00 +0100", "2024-10-27 02:30:00 +0100", "2024-10-27T01:30:00Z");
}

proptest! {
    #[test]
    fn any_line_is_cut_between_characters(
        line in r"([0-9:./T@<>\[\], +-]|20[0-9]{2}-|May |audit\(|é|→|Z){0,40}"
    ) {
        check_any(&line);
    }

    #[test]
    fn any_text_is_cut_between_characters(line in any::<String>()) {
        check_any(&line);
    }

    /// Every moment that is written is read back.
    #[test]
    fn written_dates_are_read(second in 946_684_800i64..4_102_444_800, noise in "[a-z ]{0,9}") {
        let at = Timestamp::from_second(second).unwrap();
        for text in [at.to_string(), at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()] {
            let line = format!("{noise} {text} {noise}");
            let stamp = Detector::default().find(&line).unwrap();
            prop_assert_eq!(&line[stamp.cut()], text.as_str());
            prop_assert_eq!(stamp.when.resolve(&berlin(), at), Some(at));
        }
    }
}

fn check_any(line: &str) {
    if let Some(stamp) = Detector::default().find(line) {
        assert!(!line[stamp.cut()].is_empty() && line[stamp.cut()].is_ascii());
        let _ = moment(stamp.when, NOW);
    }
}
