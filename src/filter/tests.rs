use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::model::{FileMark, Line, Mark, Timestamp};

const NOW: &str = "2025-05-26T12:00:00Z";

fn spec(failregex: &[&str], ignoreregex: &[&str]) -> FilterSpec {
    let own = |all: &[&str]| all.iter().map(|regex| (*regex).to_owned()).collect();
    FilterSpec { failregex: own(failregex), ignoreregex: own(ignoreregex) }
}

fn judge(failregex: &[&str], ignoreregex: &[&str]) -> Judge {
    let filter = Filter::new(&spec(failregex, ignoreregex)).unwrap();
    Judge::new(Arc::new(filter), TimeZone::UTC, Duration::from_secs(600))
}

fn line(text: &str, at: Option<&str>) -> Line {
    let mark = FileMark { device: 0, inode: 0, offset: 0, head: 0, head_len: 0 };
    Line { at: at.map(|at| at.parse().unwrap()), text: text.to_owned(), mark: Mark::File(mark) }
}

fn feed(judge: &mut Judge, text: &str) -> Verdict {
    judge.feed(&line(text, None), NOW.parse().unwrap(), Phase::Live)
}

/// The address that a line of a file yields; `-`: none.
fn check(regex: &str, text: &str, address: &str) {
    let shown = match feed(&mut judge(&[regex], &[]), text) {
        Verdict::Failure(hit) => hit.network.to_string(),
        Verdict::Missed => "-".to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(shown, address, "{regex} on {text}");
}

const FLASK: &str = r"Login failed for user '.*' \[IP: <HOST>\]";
const OWNCLOUD: &str = r#""message":"Login failed: '.*' \(Remote IP: '<HOST>'\)""#;

#[test]
fn the_lines_that_people_have() {
    let flask = "2025-05-26 11:57:27,050 WARNING: Login failed for user 'aaa' [IP: 192.168.32.6]";
    check(FLASK, flask, "192.168.32.6");
    let owncloud = r#"{"reqId":"x","level":2,"time":"2025-05-26T11:57:27+00:00","remoteAddr":"203.0.113.9","user":"--","app":"core","method":"POST","url":"/login","message":"Login failed: 'bob' (Remote IP: '203.0.113.9')"}"#;
    check(OWNCLOUD, owncloud, "203.0.113.9");
    check(
        r"^ \S+ sshd\[\d+\]: Failed password for .* from <HOST> port \d+ ssh2$",
        "May 26 11:59:59 host sshd[12]: Failed password for root from 2001:db8::7 port 22 ssh2",
        "2001:db8::7",
    );
    check(
        r#"^<HOST> - \S+ \[\] "GET /wp-login"#,
        r#"198.51.100.7 - - [26/May/2025:11:59:30 +0000] "GET /wp-login.php HTTP/1.1" 404"#,
        "198.51.100.7",
    );
}

#[test]
fn addresses_in_all_their_dresses() {
    let regex = "from <HOST>(?: |$)";
    check(regex, "from ::ffff:192.0.2.1", "192.0.2.1");
    check(regex, "from [2001:DB8::1] x", "2001:db8::1");
    check(regex, "from fe80::1%eth0", "fe80::1");
    check(regex, "from 999.1.1.1", "-");
    check(regex, "from 010.001.1.1", "-");
    check(regex, "from host.example", "-");
    check("from <IP4>", "from 2001:db8::1", "-");
    check("from <IP6>", "from 2001:db8::1", "2001:db8::1");
    check("from <ADDR>", "from \x1b[31m192.0.2.1\x1b[0m", "192.0.2.1");
    check("net <SUBNET>", "net 192.0.2.77/24", "192.0.2.0/24");
    check("net <SUBNET>", "net 192.0.2.77/8", "192.0.2.77");
    check("net <IP4>/<CIDR>", "net 192.0.2.77/24", "192.0.2.0/24");
}

#[test]
fn the_line_end_is_a_blank_as_in_fail2ban() {
    check(r"from <HOST>\s", "from 192.0.2.1", "192.0.2.1");
    check(r"from <HOST>$", "from 192.0.2.1", "192.0.2.1");
    check(r"from <HOST>\s*$", "from 192.0.2.1", "192.0.2.1");
    check(r"from <HOST>\Z", "from 192.0.2.1", "-");
}

#[test]
fn python_is_not_rust() {
    check(r"\<x\> <HOST>", "<x> 192.0.2.1", "192.0.2.1");
    check(r"[a&&b] <HOST>", "a 192.0.2.1", "192.0.2.1");
    check(r"[a&&b] <HOST>", "& 192.0.2.1", "192.0.2.1");
    check(r"[^[] <HOST>", "a 192.0.2.1", "192.0.2.1");
    check(r"[^[] <HOST>", "[ 192.0.2.1", "-");
    check(r"[]x] <HOST>", "] 192.0.2.1", "192.0.2.1");
    check(r"^a{,2} <HOST>", "aa 192.0.2.1", "192.0.2.1");
    check(r"{x} <HOST>", "{x} 192.0.2.1", "192.0.2.1");
    check(r"{[^}]+} <HOST>", "{x} 192.0.2.1", "192.0.2.1");
    check(r"a(?#what) <HOST>", "a 192.0.2.1", "192.0.2.1");
    check(r"\é <HOST>", "é 192.0.2.1", "192.0.2.1");
    check(r"((?i)fail|bad) <HOST>", "BAD 192.0.2.1", "192.0.2.1");
    check(r"(?a)x <HOST>", "x 192.0.2.1", "192.0.2.1");
    check(r"user <F-USER>\S+</F-USER> <HOST>", "user joe 192.0.2.1", "192.0.2.1");
    check(r"<unknown> <HOST>", "<unknown> 192.0.2.1", "192.0.2.1");
}

#[test]
fn what_is_wrong_is_shown_in_its_place() {
    let check = |regex: &str, shown: &str, what: &str| {
        let errors = Filter::new(&spec(&["<HOST>", regex], &[])).unwrap_err();
        let error = &errors[0];
        assert_eq!(error.place, RegexPlace::Fail(1), "{regex}");
        assert_eq!(&regex[error.span.clone()], shown, "{regex}: {}", error.what);
        assert!(error.what.contains(what), "{regex}: {}", error.what);
    };
    check("(?<=x)<HOST>", "(?<=", "look-around");
    check("(?!x)<HOST>", "(?!", "look-around");
    check(r"(a)\1 <HOST>", r"\1", "back-reference");
    check("(?P<a>x)(?P=a)<HOST>", "(?P=", "back-reference");
    check("(?(a)b|c)<HOST>", "(?(", "conditional");
    check("a++<HOST>", "+", "possessive");
    check("(?>a)<HOST>", "(?>", "atomic");
    check("<HOST> and <ADDR>", "<ADDR>", "second");
    check("<SKIPLINES><HOST>", "<SKIPLINES>", "not supported");
    check("no address", "no address", "marks the address");
    check("from <host>", "<host>", "capitals");
    check("from <HOST> (unclosed", "(", "unclosed group");
    check("from <HOST> [a-", "[", "never closed");
    check(r"from <HOST> \q", r"\q", "no escape");
    check("<HOST> a{2,1}", "{2,1}", "invalid repetition");
    check(r"<HOST> \p{Nope}", r"\p", "no escape");
}

#[test]
fn every_wrong_regex_is_named() {
    let errors = Filter::new(&spec(&["x", "<HOST>", "(<HOST>"], &["("])).unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| error.place).collect();
    assert_eq!(places, [RegexPlace::Fail(0), RegexPlace::Fail(2), RegexPlace::Ignore(0)]);
}

#[test]
fn the_first_regex_that_matches_counts_and_ignoreregex_wins() {
    let mut judge = judge(&["^a <HOST>", "<HOST> b$"], &["ignore me"]);
    let regex = |verdict| match verdict {
        Verdict::Failure(hit) => Some(hit.regex),
        _ => None,
    };
    assert_eq!(regex(feed(&mut judge, "a 192.0.2.1 b")), Some(0));
    assert_eq!(regex(feed(&mut judge, "192.0.2.1 b")), Some(1));
    assert_eq!(feed(&mut judge, "a 192.0.2.1 ignore me"), Verdict::Ignored);
    assert_eq!(feed(&mut judge, "192.0.2.1"), Verdict::Missed);
}

#[test]
fn an_anchored_regex_is_not_fooled_by_a_name() {
    let forged = "2025-05-26 11:57:27,050 WARNING: Login failed for user 'x' [IP: 192.0.2.66]' [IP: 203.0.113.9]";
    // `.*` is greedy: the last one counts, which the service wrote.
    check(FLASK, forged, "203.0.113.9");
    check(r"^\s*WARNING: Login failed for user '.*' \[IP: <HOST>\]$", forged, "203.0.113.9");
}

#[test]
fn container_lines_have_dockers_time_and_may_be_matched_whole() {
    let text = "2025-05-26 09:00:00,050 WARNING: failed 192.0.2.1";
    for regex in [r"^ WARNING: failed <HOST>$", r"^2025-\S+ \S+ WARNING: failed <HOST>$"] {
        let docker = line(text, Some("2025-05-26T11:59:00Z"));
        let verdict = judge(&[regex], &[]).feed(&docker, NOW.parse().unwrap(), Phase::Live);
        let Verdict::Failure(hit) = verdict else { panic!("{regex}: {verdict:?}") };
        assert_eq!(hit.at, "2025-05-26T11:59:00Z".parse::<Timestamp>().unwrap());
    }
    // A file's line is seen without its date only.
    check(r"^2025-\S+ \S+ WARNING: failed <HOST>$", text, "-");
}

/// The time of a file's line, in UTC; `old`, or `now`.
fn check_time(zone: &str, phase: Phase, text: &str, expected: &str) {
    let filter = Arc::new(Filter::new(&spec(&["<HOST>"], &[])).unwrap());
    let zone = TimeZone::get(zone).unwrap();
    let mut judge = Judge::new(filter, zone, Duration::from_secs(600));
    let now: Timestamp = NOW.parse().unwrap();
    let shown = match judge.feed(&line(&format!("{text} 192.0.2.1"), None), now, phase) {
        Verdict::Failure(hit) if hit.at == now => "now".to_owned(),
        Verdict::Failure(hit) => hit.at.to_string(),
        Verdict::TooOld => "old".to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(shown, expected, "{text} in {phase:?}");
}

#[test]
fn the_time_of_a_line() {
    let check = check_time;
    check("UTC", Phase::Backlog, "2025-05-26 11:55:00", "2025-05-26T11:55:00Z");
    check("UTC", Phase::Backlog, "2025-05-26 11:49:59", "old");
    check("UTC", Phase::Backlog, "2025-05-26 12:30:00", "now");
    check("UTC", Phase::Backlog, "no date", "now");
    check("Europe/Paris", Phase::Backlog, "2025-05-26 13:55:00", "2025-05-26T11:55:00Z");
    check("Europe/Paris", Phase::Backlog, "2025-05-26T11:55:00Z", "2025-05-26T11:55:00Z");
    check("UTC", Phase::Live, "2025-05-26 11:59:10", "2025-05-26T11:59:10Z");
    check("UTC", Phase::Live, "2025-05-26 11:58:00", "now");
    check("UTC", Phase::Live, "2025-05-26 10:00:00", "now");
}

#[test]
fn a_zone_that_is_off_is_noticed() {
    let mut judge = judge(&["<HOST>"], &[]);
    feed(&mut judge, "2025-05-26 14:00:01 192.0.2.1");
    feed(&mut judge, "2025-05-26 14:00:02 192.0.2.1");
    assert_eq!(judge.zone_hint(), Some(ZoneHint { offset_seconds: 7200, lines: 2 }));
    feed(&mut judge, "2025-05-26 12:00:00 192.0.2.1");
    assert_eq!(judge.zone_hint(), None);
}

#[test]
fn a_line_without_a_date_follows_the_one_before() {
    let mut judge = judge(&["<HOST>"], &[]);
    feed(&mut judge, "2025-05-26 11:59:30 nothing");
    let Verdict::Failure(hit) = feed(&mut judge, "and 192.0.2.1") else { panic!() };
    assert_eq!(hit.at, "2025-05-26T11:59:30Z".parse::<Timestamp>().unwrap());
}

#[test]
fn filters_are_shared() {
    let mut library = Library::default();
    let first = library.get(&spec(&["<HOST>"], &[])).unwrap();
    let second = library.get(&spec(&["<HOST>"], &[])).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    drop((first, second));
    library.get(&spec(&["x <HOST>"], &[])).unwrap();
    assert_eq!(library.filters.len(), 1);
}

#[test]
fn hostile_lines_are_judged_like_others() {
    let long = format!("{}from 192.0.2.1", "a".repeat(64 * 1024));
    check("from <HOST>$", &long, "192.0.2.1");
    check("x <HOST>", "\0x 192.0.2.1\0", "192.0.2.1");
    check("x <HOST>", "\x1b[x 192.0.2.1", "-");
    check("x <HOST>", "\x1b[99999", "-");
}

proptest! {
    #[test]
    fn no_line_makes_it_panic_and_the_address_stands_in_it(text in any::<String>()) {
        let mut judge = judge(&["<HOST>", r"^\s*<SUBNET>"], &["^#"]);
        if let Verdict::Failure(hit) = feed(&mut judge, &text) {
            let digits = hit.network.address().to_string();
            prop_assert!(hit.network.is_ipv6() || text.contains(&digits) || digits.ends_with(".0"));
        }
    }

    #[test]
    fn lines_made_of_dates_do_not_make_it_panic(
        text in prop::collection::vec(
            prop::sample::select(vec![
                "2025", "-", "/", "05", "26", " ", "T", ":", "11", "59", ".", ",", "123456789",
                "Z", "+02", "00", "May", "Mon", "audit(", "@4", "0000000", "[", "]", "é", "\x1b[",
            ]), 0..30),
    ) {
        feed(&mut judge(&["<HOST>"], &[]), &text.concat());
    }

    #[test]
    fn no_regex_makes_it_panic(regex in any::<String>(), text in any::<String>()) {
        let regex = format!("{regex}<HOST>");
        match Filter::new(&spec(&[&regex], &[])) {
            Ok(filter) => {
                let mut judge =
                    Judge::new(Arc::new(filter), TimeZone::UTC, Duration::from_secs(600));
                feed(&mut judge, &text);
            }
            Err(errors) => for error in errors {
                prop_assert!(regex.get(error.span.clone()).is_some(), "{error:?}");
            }
        }
    }

    #[test]
    fn no_syntax_makes_it_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "(", ")", "(?:", "(?P<a>", "(?i)", "(?#", "[", "]", "^", "-", "&&", "\\", "{", "}",
                ",", "2", "*", "+", "?", "|", "<HOST>", "<F-USER>", "</F-USER>", "$", "é", ".", "<",
            ]), 0..15),
    ) {
        let regex = pieces.concat();
        if let Err(errors) = Filter::new(&spec(&[&regex], &[&regex])) {
            for error in errors {
                prop_assert!(regex.get(error.span.clone()).is_some(), "{error:?}");
            }
        }
    }
}
