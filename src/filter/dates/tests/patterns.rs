//! What a `datepattern` says: tokens, edges, zones, epochs.

use super::*;

fn compile(pattern: &str) -> Detector {
    let pattern = DatePattern::compile(pattern).unwrap_or_else(|fault| panic!("{fault:?}"));
    Detector::new(Arc::new(pattern))
}

/// A new detector for `pattern` cuts `cut` out of `line` and takes it for `expected`.
#[track_caller]
fn reads(pattern: &str, line: &str, cut: &str, expected: &str) {
    let stamp =
        compile(pattern).find(line).unwrap_or_else(|| panic!("{pattern}: none in {line:?}"));
    assert_eq!(&line[stamp.cut()], cut, "{pattern}: {line:?}");
    assert_eq!(moment(stamp.when, NOW).as_deref(), Some(expected), "{pattern}: {line:?}");
}

#[track_caller]
fn reads_nothing(pattern: &str, line: &str) {
    // What looks like a date and is none is cut out, but gives no time.
    let found = compile(pattern).find(line).filter(|stamp| stamp.when != When::NoSuchDay);
    let found = found.map(|stamp| line[stamp.cut()].to_owned());
    assert_eq!(found, None, "{pattern}: {line:?}");
}

/// What is refused: the place in the pattern, and a word of the complaint.
#[track_caller]
fn refused(pattern: &str, place: &str, what: &str) {
    let fault = DatePattern::compile(pattern).expect_err(pattern);
    assert_eq!(&pattern[fault.span.clone()], place, "{pattern}: {fault:?}");
    assert!(fault.what.contains(what), "{pattern}: {fault:?}");
}

/// Each token, in Berlin, on 15 June 2024 at noon UTC.
const TOKENS: &[(&str, &str, &str)] = &[
    ("%Y-%m-%d %H:%M:%S", "2023-03-04 05:06:07", "2023-03-04T04:06:07Z"),
    ("%Y-%m-%d %H:%M:%S", "1985-3-4 5:6:7", "1985-03-04T04:06:07Z"),
    ("%Y%m%d %H%M%S", "2023111 213", "2023-01-11T01:01:03Z"),
    ("%ExY%Exm%Exd%ExH%ExM%ExS", "20230304050607", "2023-03-04T04:06:07Z"),
    ("%y/%m/%d %H:%M:%S", "23/03/04 05:06:07", "2023-03-04T04:06:07Z"),
    ("%Exy%Exm%Exd %H:%M", "230304 05:06", "2023-03-04T04:06:00Z"),
    ("%d.%m.%Y %k:%M:%S", " 4.3.2023  5:06:07", "2023-03-04T04:06:07Z"),
    ("%d.%m.%Y %Exk:%M:%S", "04.03.2023  5:06:07", "2023-03-04T04:06:07Z"),
    ("%d %b %Y %I:%M:%S %p", "4 mAr 2023 12:06:07 aM", "2023-03-03T23:06:07Z"),
    ("%d %B %Y %I:%M:%S %p", "4 March 2023 12:06:07 PM", "2023-03-04T11:06:07Z"),
    ("%d %B %Y %l:%M:%S %p", "4 MARCH 2023  5:06:07 pm", "2023-03-04T16:06:07Z"),
    ("%d %B %Y %Exl:%M:%S %p", "4 March 2023  5:06:07 PM", "2023-03-04T16:06:07Z"),
    ("%d %b %Y %I:%M", "4 Mar 2023 12:06", "2023-03-03T23:06:00Z"),
    ("%a, %d %b %Y %X", "Sat, 04 Mar 2023 05:06:07", "2023-03-04T04:06:07Z"),
    ("%A %d %b %Y %X", "Saturday 04 Mar 2023 05:06:07", "2023-03-04T04:06:07Z"),
    ("%c", "Sat Mar  4 05:06:07 2023", "2023-03-04T04:06:07Z"),
    ("%x %X", "03/04/23 05:06:07", "2023-03-04T04:06:07Z"),
    ("%Y-%j %H:%M:%S", "2023-063 05:06:07", "2023-03-04T04:06:07Z"),
    ("%Y-%j %H:%M:%S", "2023-366 05:06:07", "2024-01-01T04:06:07Z"),
    ("%j %H:%M:%S", "64 05:06:07", "2024-03-04T04:06:07Z"),
    ("%j %H:%M:%S", "365 05:06:07", "2023-12-31T04:06:07Z"),
    // 2023 began on a Sunday.
    ("%Y %U %a %H:%M:%S", "2023 9 Sat 05:06:07", "2023-03-04T04:06:07Z"),
    ("%Y %W %A %H:%M:%S", "2023 09 Saturday 05:06:07", "2023-03-04T04:06:07Z"),
    ("%Y %W %w %H:%M:%S", "2023 0 0 05:06:07", "2023-01-01T04:06:07Z"),
    ("%Y %U %w %H:%M:%S", "2023 1 0 05:06:07", "2023-01-01T04:06:07Z"),
    ("%Y %U %w %H:%M:%S", "2024 0 0 05:06:07", "2023-12-31T04:06:07Z"),
    ("%U %w %H:%M:%S", "9 1 05:06:07", "2024-03-04T04:06:07Z"),
    ("%W %w %H:%M:%S", "52 0 05:06:07", "2023-12-31T04:06:07Z"),
    ("%G-%V-%u %Y-%m-%d", "2023-09-6 2023-03-04", "2023-03-03T23:00:00Z"),
    ("%Y-%m-%d %H:%M:%S\\.%f", "2023-03-04 05:06:07.5", "2023-03-04T04:06:07.5Z"),
    ("%Y-%m-%d %H:%M:%S[.,]%f", "2023-03-04 05:06:07,123456789", "2023-03-04T04:06:07.123456789Z"),
    ("%Y-%m-%d", "2023-03-04", "2023-03-03T23:00:00Z"),
    ("%Y-%m-%d%z", "2023-03-04Z", "2023-03-04T00:00:00Z"),
    ("%m/%d %H:%M:%S", "06/16 13:59:00", "2024-06-16T11:59:00Z"),
    ("%m/%d %H:%M:%S", "06/16 14:01:00", "2023-06-16T12:01:00Z"),
    ("%H:%M:%S", "13:59:59", "2024-06-15T11:59:59Z"),
    ("%H:%M:%S", "14:00:01", "2024-06-14T12:00:01Z"),
    ("%H:%M:%S %z", "11:59:59 UTC", "2024-06-15T11:59:59Z"),
    ("%H:%M:%S %z", "12:00:01 UTC", "2024-06-14T12:00:01Z"),
    ("%Y %H:%M:%S", "2023 05:06:07", "2023-06-15T03:06:07Z"),
    ("%H:%M:%S", "10:59:60", "2024-06-15T08:59:59Z"),
    ("100%% %H:%M", "100% 05:06", "2024-06-15T03:06:00Z"),
    ("(?P<Y>19\\d\\d)/%m/%d", "1999/03/04", "1999-03-03T23:00:00Z"),
];

#[test]
fn every_token_is_read() {
    for (pattern, date, expected) in TOKENS {
        reads(&format!("^{pattern}"), date, date, expected);
        let line = format!("→ [{date}] x");
        reads(&format!("(?:\\[)({pattern})"), &line, date, expected);
    }
}

#[test]
fn what_is_there_but_no_date() {
    reads_nothing("%Y-%m-%d", "2023-02-29");
    reads_nothing("%Y-%m-%d", "0000-12-30 and 2023-12-30");
    reads_nothing("%m-%d", "02-30");
    reads_nothing("%d %H:%M", "4 05:06");
    reads_nothing("%d (?P<b>\\w+) %Y", "4 Foo 2023");
    reads_nothing("(%Y)?-%m-%d(x?)()", "-13-04");
    reads_nothing("x(y?)%Y-%m-%d", "x2023-03-04");
    reads_nothing("{NONE}", "2023-03-04 05:06:07");
    reads_nothing("{none}\n%Y", "2023");
}

/// A pattern, a line, and what is cut out of it.
const EDGES: &[(&str, &str, Option<&str>)] = &[
    ("%H:%M:%S", "at 05:06:07.", Some("05:06:07")),
    ("%H:%M:%S", "at→05:06:07→", Some("05:06:07")),
    ("%H:%M:%S", "x05:06:07", None),
    ("%H:%M:%S", "é05:06:07", None),
    ("%H:%M:%S", "05:06:07x", None),
    ("%H:%M:%S", "05:06:07é", None),
    ("%H:%M:%S", "_05:06:07", None),
    ("%H:%M:%S", "05:06:071", None),
    ("**%H:%M:%S", "x05:06:07", Some("05:06:07")),
    ("**%H:%M:%S", "05:06:07x", None),
    ("%H:%M:%S**", "05:06:07x", Some("05:06:07")),
    ("%H:%M:%S**", "x05:06:07", None),
    ("(**%H:%M:%S**)", "x05:06:07x", Some("05:06:07")),
    ("{UNB}%H:%M:%S", "x05:06:07x", Some("05:06:07")),
    ("\\**%H:%M:%S\\**", "a**05:06:07*b", Some("**05:06:07*")),
    ("%H:%M:%S$", "at 05:06:07", Some("05:06:07")),
    ("%H:%M:%S$", "at 05:06:07 x", None),
    ("%H:%M:%S\\b", "05:06:07x", None),
    ("%H:%M:%S\\s", "at 05:06:07 x", Some("05:06:07 ")),
    ("\\[%H:%M:%S\\]", "x[05:06:07]y", Some("[05:06:07]")),
    ("^\\[%H:%M:%S\\]", "[05:06:07]y", Some("[05:06:07]")),
    ("^\\[%H:%M:%S\\]", " [05:06:07]y", None),
    ("\\[%H:%M:%S\\]$", "x[05:06:07]", Some("[05:06:07]")),
    ("^[^[]*\\[(%H:%M:%S)", "é [05:06:07]", Some("05:06:07")),
    ("(?:^|;)%H:%M:%S", "x;05:06:07", Some(";05:06:07")),
    ("x(%H:%M)(:%S)", "x05:06:07", Some("05:06")),
    ("%H:(%M):%S", "05:06:07", Some("05")),
    ("{^LN-BEG}%H:%M:%S", "05:06:07 x", Some("05:06:07")),
    ("{^LN-BEG}%H:%M:%S", "([05:06:07 x", Some("05:06:07")),
    ("{^LN-BEG}%H:%M:%S", "→→05:06:07 x", Some("05:06:07")),
    ("{^LN-BEG}%H:%M:%S", "([{05:06:07 x", None),
    ("{^LN-BEG}%H:%M:%S", "x 05:06:07", None),
    ("{^LN-BEG}%H:%M:%S", "05:06:07x", None),
    ("{^LN-BEG}%H:%M:%S**", "#05:06:07x", Some("05:06:07")),
    ("(?<=\\|\\s)%H:%M:%S(?=\\s\\|)", "x | 05:06:07 | y", Some("05:06:07")),
    ("(?<=\\|\\s)%H:%M:%S(?=\\s\\|)", "x | 05:06:07 y", None),
    ("(?<=\\|\\s)%H:%M:%S(?=\\s\\|)", "05:06:07 | y", None),
    ("(?<!\\d)%H:%M:%S(?!:)", "05:06:07: 08:09:10", Some("08:09:10")),
    ("**(?<!\\d)%H:%M:%S", "x05:06:07", Some("05:06:07")),
    ("**(?<![-\\d])%H:%M:%S", "-05:06:07", None),
    ("**(?<!-)%H:%M:%S", "-25:06:07", Some("5:06:07")),
    ("%H:%M:%S(?!\\w)**", "05:06:07", Some("05:06:07")),
    ("(?x) %H : %M : %S", "05:06:07", Some("05:06:07")),
    ("(?i)t%H:%M:%S", "T05:06:07", Some("T05:06:07")),
    ("t%H:%M:%S", "T05:06:07", None),
    ("t%H:%M:%S %p", "T05:06:07 AM", Some("T05:06:07 AM")),
    ("%ExY(?P<_s>[-/.])%m(?P=_s)%d", "2024-05/06 2024/05/06", Some("2024/05/06")),
    ("%ExY(?P<_s>[-/.])%m(?P=_s)%d", "2024.05.06", Some("2024.05.06")),
    ("%Y%m%d %H%M%S", "a:202433 010203 | 20240506 010203", Some("202433 010203")),
    ("%ExY%Exm%Exd %ExH%ExM%ExS", "a:202433 010203 | 20240506 010203", Some("20240506 010203")),
];

#[test]
fn where_a_date_may_begin_and_end() {
    for (pattern, line, cut) in EDGES {
        let found = compile(pattern).find(line).map(|stamp| &line[stamp.cut()]);
        assert_eq!(found, *cut, "{pattern}: {line:?}");
    }
}

#[test]
fn zones_in_dates() {
    let pattern = "^%Y-%m-%d %H:%M:%S(?: ?%Exz)?";
    for (zone, expected) in [
        ("", "2023-03-04T04:06:07Z"),
        ("Z", "2023-03-04T05:06:07Z"),
        (" GMT", "2023-03-04T05:06:07Z"),
        (" CET", "2023-03-04T04:06:07Z"),
        (" CEST", "2023-03-04T03:06:07Z"),
        (" CET+0130", "2023-03-04T02:36:07Z"),
        (" PST-02", "2023-03-04T15:06:07Z"),
        (" +09:45", "2023-03-03T19:21:07Z"),
        (" -1045", "2023-03-04T15:51:07Z"),
        (" A", "2023-03-04T04:06:07Z"),
    ] {
        let date = format!("2023-03-04 05:06:07{zone}");
        reads(pattern, &format!("{date} x"), &date, expected);
    }
    let date = "2023-03-04 05:06:07";
    for pattern in ["%Y-%m-%d %X(?: ?%z)?", "%Y-%m-%d %X(?: %Z)?", "%Y-%m-%d %X(?: %ExZ)?"] {
        reads(
            pattern,
            "2023-03-04 05:06:07 UTC x",
            "2023-03-04 05:06:07 UTC",
            "2023-03-04T05:06:07Z",
        );
        // No zone, only a word.
        reads(pattern, "2023-03-04 05:06:07 ERROR x", date, "2023-03-04T04:06:07Z");
        reads(pattern, "2023-03-04 05:06:07 utc x", date, "2023-03-04T04:06:07Z");
    }
    reads(
        "%d-%b-%Y %X(?: %Z)?",
        "04-Mar-2023 05:06:07 est",
        "04-Mar-2023 05:06:07",
        "2023-03-04T04:06:07Z",
    );
    reads(
        "%Y-%m-%d %X(?: %Z)?",
        "2023-03-04 05:06:07 EST",
        "2023-03-04 05:06:07 EST",
        "2023-03-04T10:06:07Z",
    );
    reads_nothing("%Y-%m-%d %X %z", "2023-03-04 05:06:07 +0199");
}

#[test]
fn seconds_since_1970() {
    for (cut, expected) in [
        ("1714979289", "2024-05-06T07:08:09Z"),
        ("1714979289.25", "2024-05-06T07:08:09.25Z"),
        ("41714979289.250", "3291-11-23T06:14:49.25Z"),
    ] {
        let whole = cut.strip_suffix(".25").unwrap_or(cut);
        let expected = if whole == cut { expected } else { "2024-05-06T07:08:09Z" };
        for pattern in ["EPOCH", "epoch", "{^LN-BEG}Epoch", "^EPOCH", "{EPOCH}"] {
            reads(pattern, &format!("{cut} x"), whole, expected);
            reads(pattern, &format!("[{cut}] x"), whole, expected);
            reads_nothing(pattern, &format!("x{cut}"));
        }
        reads("EPOCH", &format!("type=X msg=audit({cut}:12): y"), whole, expected);
        reads(
            "^type=\\w+ msg=audit\\(({EPOCH})",
            &format!("type=X msg=audit({cut}:1)"),
            whole,
            expected,
        );
        reads_nothing("EPOCH", &format!("at {cut}"));
        reads("{EPOCH}", &format!("at {cut}"), whole, expected);
    }
    for (cut, expected) in [
        ("1714979289", "2024-05-06T07:08:09Z"),
        ("1714979289250", "2024-05-06T07:08:09.25Z"),
        ("1714979289250.5", "2024-05-06T07:08:09.2505Z"),
        ("1714979289250750", "2024-05-06T07:08:09.25075Z"),
        ("41714979289250", "3291-11-23T06:14:49.25Z"),
    ] {
        for pattern in ["LEPOCH", "{^LN-BEG}LEPOCH", "{LEPOCH}"] {
            reads(pattern, &format!("{cut} x"), cut, expected);
        }
        reads("LEPOCH", &format!("audit({cut}:12): y"), cut, expected);
        reads("(?<=;){LEPOCH}(?=;)", &format!("a;{cut};b"), cut, expected);
        reads_nothing("LEPOCH", &format!("{}000000000 x", cut.replace('.', "0")));
        reads_nothing("LEPOCH", &format!("{}A x", cut.replace('.', "0")));
    }
    reads_nothing("EPOCH", "171497928 x");
    reads_nothing("EPOCH", "1714979289250 x");
    let tai = "@400000006638800900000000";
    for pattern in ["TAI64N", "^TAI64N", "{^LN-BEG}tai64n"] {
        reads(pattern, &format!("{tai} x"), tai, "2024-05-06T07:00:25Z");
    }
    reads("TAI64N", &format!("x {tai} x"), tai, "2024-05-06T07:00:25Z");
    reads_nothing("^TAI64N", &format!("x {tai} x"));
}

#[test]
fn what_is_refused_and_where() {
    refused("%Y-%q", "%q", "stands for no part");
    refused("%y\n  %Y-%Exq ", "%Exq", "stands for no part");
    refused("50% %H:%M", "% ", "stands for no part");
    refused("%H:%M:%S %d.%M.%Y", "%M", "read already");
    refused("%H %k", "%k", "read already");
    refused("%Y\n%m\n%Y", "%Y", "twice");
    refused("%Y(é", "(", "unclosed");
    refused("%Y)(é", ")", "unopened");
    refused("%Y\n[%m", "%m", "within");
    assert!(DatePattern::compile("[%%]%Y").is_ok());
    refused("x\\q%Y", "\\q", "means nothing");
    refused("%Y(?P<a>x+)(?P=a)", "(?P=a)", "a back-reference");
    refused("x(?=y)%Y", "(?=", "look-arounds in its middle");
    refused("%Y(?!ab)", "ab", "more than one character");
    refused("(?<!ab)%Y", "ab", "more than one character");
    refused("{^LN-BEG}(?<=x)%Y", "x", "look-behind");
    refused("just text", "just text", "no part of a date");
    refused("[EPOCH]", "[EPOCH]", "no part of a date");
    refused(" \n ", " \n ", "no date pattern");
    refused("%Y[%d]", "%d", "within");
    refused("%Y(?:\\w{999}){999}", "%Y(?:\\w{999}){999}", "too large");
}

#[test]
fn as_much_as_is_allowed() {
    let lines: Vec<String> = (0..51).map(|number| format!("x{number} %H")).collect();
    refused(&lines.join("\n"), "x50 %H", "more than 50");
    assert!(DatePattern::compile(&lines[..50].join("\n")).is_ok());
    let long = format!("%H{}", "x".repeat(4096));
    refused(&long, &long, "bytes");
    let dates: Vec<String> = (0..12).map(|number| format!("x{number} {{DATE}}")).collect();
    refused(&dates.join("\n"), "x11 {DATE}", "shapes");
}
