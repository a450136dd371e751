use super::*;
use crate::filter::FilterSpec;
use crate::model::{Mark, Stream, StreamMark};
use proptest::prelude::*;

const NOW: &str = "2025-05-26T12:00:00Z";
const FLASK: &str = r"Login failed for user '.*' \[IP: <HOST>\]$";
const OWNCLOUD: &str = r#""message":"Login failed: '.*' \(Remote IP: '<HOST>'\)""#;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn line(text: &str, at: Option<Timestamp>) -> Line {
    let mark = StreamMark { at: Timestamp::UNIX_EPOCH, seen: 0 };
    Line { at, text: text.to_owned(), mark: Mark::Output(Stream::Stdout, mark) }
}

fn judge(fail: &[&str], ignore: &[&str]) -> Judge {
    let own = |regexes: &[&str]| regexes.iter().map(|regex| (*regex).to_owned()).collect();
    let spec =
        FilterSpec { failregex: own(fail), ignoreregex: own(ignore), ..FilterSpec::default() };
    let filter = Arc::new(Filter::new(&spec).unwrap());
    Judge::new(filter, TimeZone::UTC, Duration::from_secs(600))
}

/// What `judge` finds in a file's line read live: the address, or the verdict.
fn file(judge: &mut Judge, text: &str) -> String {
    shown(judge.feed(&line(text, None), time(NOW), Phase::Live))
}

/// The same in a container's output.
fn output(judge: &mut Judge, text: &str) -> String {
    shown(judge.feed(&line(text, Some(time(NOW))), time(NOW), Phase::Live))
}

fn shown(verdict: Verdict) -> String {
    match verdict {
        Verdict::Failure(Hit { who: Who::Network(network), .. }) => network.to_string(),
        other => format!("{other:?}"),
    }
}

/// In a file and in a container's output, `regex` finds `expected` in `text`.
#[track_caller]
fn check(regex: &str, text: &str, expected: &str) {
    assert_eq!(file(&mut judge(&[regex], &[]), text), expected, "file: {text:?}");
    assert_eq!(output(&mut judge(&[regex], &[]), text), expected, "output: {text:?}");
}

#[test]
fn a_login_that_worked() {
    let spec = FilterSpec {
        failregex: vec![FLASK.into(), r"^ <F-NOFAIL>session</F-NOFAIL> of <HOST>".into()],
        ignoreregex: vec!["user 'probe'".into()],
        successregex: vec![
            r"Login of user '\w+' \[IP: <HOST>\]$".into(),
            "session of <ADDR>".into(),
        ],
        ..FilterSpec::default()
    };
    let check = |text: &str, expected: &str| {
        let filter = Arc::new(Filter::new(&spec).unwrap());
        let mut judge = Judge::new(filter, TimeZone::UTC, Duration::from_secs(600));
        let verdict = judge.feed(&line(text, None), time(NOW), Phase::Live);
        let shown = match verdict {
            Verdict::LoggedIn(Hit { who: Who::Network(network), at, regex, .. }) => {
                format!("{network} by {regex} at {at}")
            }
            other => shown(other),
        };
        assert_eq!(shown, expected, "{text}");
    };
    let dated = |text: &str| format!("2025-05-26 11:59:27 {text}");
    let login = "INFO: Login of user 'aaa' [IP: 192.0.2.6]";
    check(&dated(login), "192.0.2.6 by 0 at 2025-05-26T11:59:27Z");
    check(&dated("session of 2001:db8::7"), "2001:db8::7 by 1 at 2025-05-26T11:59:27Z");
    check(&dated("Login failed for user 'aaa' [IP: 192.0.2.6]"), "192.0.2.6");
    check(&dated("Login of user 'probe' [IP: 192.0.2.6]"), "Ignored");
    check(&dated("Login of user 'aaa' [IP: 999.0.2.6]"), "Missed");
    check(&dated("Logout of user 'aaa' [IP: 192.0.2.6]"), "Missed");
    // Chunks pass over what is neither.
    let filter = Filter::new(&spec).unwrap();
    let chunk = format!("nothing\n{login}\nnothing\n");
    assert!(filter.candidates(chunk.as_bytes()).any(|range| &chunk[range] == login));
}

#[test]
fn a_flask_login() {
    let text = "2025-05-26 11:57:27,050 WARNING: Login failed for user 'aaa' [IP: 192.168.32.6]";
    check(FLASK, text, "192.168.32.6");
    check(&format!("^ WARNING: {FLASK}"), text, "192.168.32.6");
    check(FLASK, "2025-05-26 11:57:27,050 INFO: Login of user 'aaa' [IP: 192.0.2.6]", "Missed");
}

#[test]
fn an_owncloud_login() {
    let text = r#"{"reqId":"x","level":2,"time":"2025-05-26T11:57:27+00:00","remoteAddr":"203.0.113.9","user":"--","app":"core","method":"POST","url":"/login","message":"Login failed: 'bob' (Remote IP: '203.0.113.9')"}"#;
    check(OWNCLOUD, text, "203.0.113.9");
    let mut judge = judge(&[OWNCLOUD], &[]);
    let verdict = judge.feed(&line(text, None), time(NOW), Phase::Backlog);
    let Verdict::Failure(hit) = verdict else { panic!("{verdict:?}") };
    assert_eq!(hit.at, time("2025-05-26T11:57:27Z"));
    assert!(judge.seen.contains(r#""time":"","remoteAddr""#), "{}", judge.seen);
}

#[test]
fn a_daemon_through_syslog_and_bare() {
    let regex =
        r"^(?: \S+ sshd\[\d+\]: )?Failed \w+ for (?:invalid user )?\S* from <HOST> port \d+";
    let rest = "Failed password for invalid user bob from 192.0.2.4 port 40022 ssh2";
    check(regex, &format!("May 26 11:59:59 host sshd[77]: {rest}"), "192.0.2.4");
    check(regex, &format!("2025-05-26T11:59:59.123456+02:00 host sshd[77]: {rest}"), "192.0.2.4");
    check(regex, rest, "192.0.2.4");
}

#[test]
fn web_servers() {
    let access = r#"^<HOST> \S+ \S+ \[\] "POST /login[^"]*" 401 "#;
    let text =
        r#"192.0.2.9 - - [26/May/2025:11:59:59 +0000] "POST /login HTTP/1.1" 401 381 "-" "x""#;
    check(access, text, "192.0.2.9");
    let error = r#"^ \[error\] \d+#\d+: \*\d+ user "[^"]*": password mismatch, client: <HOST>,"#;
    let text = r#"2025/05/26 11:59:59 [error] 7#7: *1 user "bob": password mismatch, client: 2001:db8::9, server: x"#;
    check(error, text, "2001:db8::9");
}

#[test]
fn the_date_is_cut_and_nothing_else() {
    check(r"^\[\] from <HOST>$", "[2025-05-26 11:59:59] from 192.0.2.1", "192.0.2.1");
    check(r"^ from <HOST>$", "2025-05-26T11:59:59.123456789Z from 192.0.2.1", "192.0.2.1");
    check(r"from <HOST>\s", "2025-05-26 11:59:59 from 192.0.2.1", "192.0.2.1");
    check(r"^from <HOST>\s*$", "from 192.0.2.1", "192.0.2.1");
}

#[test]
fn a_date_within_a_literal_hides_nothing() {
    let literal = "%;}{;%}!{;";
    for at in 0..=literal.len() {
        let (left, right) = literal.split_at(at);
        check(
            "%;}{;%}!{;<HOST>$",
            &format!("x {left}2025-05-26 11:59:59{right}[192.0.2.1]"),
            "192.0.2.1",
        );
    }
}

#[test]
fn output_may_be_matched_with_its_date() {
    let regex = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d from <HOST>$";
    let text = "2025-05-26 11:59:59 from 192.0.2.1";
    assert_eq!(output(&mut judge(&[regex], &[]), text), "192.0.2.1");
    assert_eq!(file(&mut judge(&[regex], &[]), text), "Missed", "as in fail2ban");
    let whole = judge(&[regex], &["59 from"]);
    assert_eq!(output(&mut { whole }, text), "Ignored", "asked on the text that matched");
    assert_eq!(output(&mut judge(&["from <HOST>"], &["59 from"]), text), "192.0.2.1");
}

#[test]
fn colours_hide_nothing() {
    let text =
        "\x1b[32m2025-05-26 11:59:59\x1b[0m \x1b[1mfailed\x1b[0m from \x1b[31m192.0.2.1\x1b[0m";
    check(r"^ failed from <HOST>$", text, "192.0.2.1");
    check(r"from \x1b\[31m<HOST>", text, "192.0.2.1");
    let mut judge = judge(&["failed from <HOST>"], &[]);
    let verdict = judge.feed(&line(text, None), time(NOW), Phase::Backlog);
    assert!(matches!(verdict, Verdict::Failure(hit) if hit.at == time("2025-05-26T11:59:59Z")));
}

#[test]
fn an_anchor_stops_a_forged_address() {
    // The user calls itself "x' [IP: 192.0.2.66] '": a loose regex believes the name.
    let forged = "2025-05-26 11:59:59,000 WARNING: Login failed for user 'x' [IP: 192.0.2.66] '' [IP: 192.0.2.1]";
    check(r"Login failed for user '.*?' \[IP: <HOST>\]", forged, "192.0.2.66");
    check(r"Login failed for user '.*' \[IP: <HOST>\]$", forged, "192.0.2.1");
    check(r"^ WARNING: Login failed for user '[^']*' \[IP: <HOST>\]$", forged, "Missed");
    let quoted =
        "Login failed for user 'Login failed for user 'x' [IP: 192.0.2.66]' [IP: 192.0.2.1]";
    check(FLASK, quoted, "192.0.2.1");
}

#[test]
fn hostile_lines() {
    check(FLASK, "", "Missed");
    check(FLASK, "\0\0\x1b[\x1b", "Missed");
    check("from <HOST>$", "a\0b from 192.0.2.1", "192.0.2.1");
    check("from <HOST>$", "a\nfrom 192.0.2.1\n", "Missed");
    check(r"from <HOST>\s*$", "a\nfrom 192.0.2.1\n", "192.0.2.1");
    check("^from <HOST>", "a\nfrom 192.0.2.1", "Missed");
    let long = format!("{} from 192.0.2.1", "x ".repeat(MAX_LINE / 2 - 20));
    check(r"^.* from <HOST>$", &long, "192.0.2.1");
    // Cut within the address: what is left of it is another one.
    for len in MAX_LINE - 3..MAX_LINE + 9 {
        let head = "x ".repeat(MAX_LINE / 2 - 20);
        let cut = format!("{head}{} from 192.0.2.123", "x".repeat(len - head.len() - 15));
        check("from <HOST>$", &cut, "Missed");
    }
    let beyond = format!("{} from 192.0.2.1", "é".repeat(MAX_LINE));
    check("from <HOST>", &beyond, "Missed");
    check("from <HOST>", &format!("from 192.0.2.1 {}", "é".repeat(MAX_LINE)), "192.0.2.1");
    check("(a+)+<HOST>$", &"a".repeat(MAX_LINE), "Missed");
    let endless =
        file(&mut judge(&["from <HOST>"], &[]), &format!("from {}", "1::".repeat(20_000)));
    assert!(endless.contains("who: Text"), "no address, so nobody is banned");
}

#[test]
fn ignored_and_missed() {
    let mut judge = judge(&["from <HOST>"], &["user=probe"]);
    assert_eq!(file(&mut judge, "user=probe from 192.0.2.1"), "Ignored");
    assert_eq!(file(&mut judge, "user=bob from 192.0.2.1"), "192.0.2.1");
    assert_eq!(file(&mut judge, "user=probe"), "Missed");
    let text = file(&mut judge, "from 999.1.1.1");
    assert!(text.contains(r#"who: Text("999.1.1.1")"#), "{text}");
}

/// When a line counts; `None`: too old.
#[track_caller]
fn counts(judge: &mut Judge, line: &Line, phase: Phase) -> Option<String> {
    match judge.feed(line, time(NOW), phase) {
        Verdict::Failure(hit) => Some(hit.at.to_string()),
        Verdict::TooOld => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn when_a_line_counts() {
    let mut judge = judge(&["from <HOST>"], &[]);
    let mut file = |text: &str, phase| counts(&mut judge, &line(text, None), phase);
    let now = Some(NOW.to_owned());
    assert_eq!(file("from 192.0.2.1", Phase::Backlog), now, "no date was ever seen");
    let date = "2025-05-26 11:55:00 from 192.0.2.1";
    assert_eq!(file(date, Phase::Backlog).as_deref(), Some("2025-05-26T11:55:00Z"));
    assert_eq!(file(date, Phase::Live), now);
    assert_eq!(file("2025-05-26 11:49:59 from 192.0.2.1", Phase::Backlog), None);
    assert_eq!(file("and from 192.0.2.1", Phase::Backlog), None, "what is below an old line");
    assert_eq!(
        file("2025-05-26 11:59:30 from 192.0.2.1", Phase::Live).as_deref(),
        Some("2025-05-26T11:59:30Z")
    );
    assert_eq!(file("and from 192.0.2.1", Phase::Live).as_deref(), Some("2025-05-26T11:59:30Z"));
    assert_eq!(file("2025-05-26 12:00:30 from 192.0.2.1", Phase::Live), now, "the future");
    let output = line(date, Some(time("2025-05-26T11:56:00Z")));
    let carrier = counts(&mut judge, &output, Phase::Live);
    assert_eq!(carrier.as_deref(), Some("2025-05-26T11:56:00Z"), "the carrier's time");
}

#[test]
fn a_line_that_misses_still_tells_the_time() {
    let mut judge = judge(&["from <HOST>"], &[]);
    assert_eq!(file(&mut judge, "2025-05-26 11:59:20 hello"), "Missed");
    let at = counts(&mut judge, &line("from 192.0.2.1", None), Phase::Live);
    assert_eq!(at.as_deref(), Some("2025-05-26T11:59:20Z"));
}

#[test]
fn dates_of_another_zone_are_noticed() {
    let mut judge = judge(&["from <HOST>"], &[]);
    for _ in 0..3 {
        assert_eq!(file(&mut judge, "2025-05-26 13:59:58 from 192.0.2.1"), "192.0.2.1");
    }
    assert_eq!(judge.zone_hint(), Some(ZoneHint { offset_seconds: 7200, lines: 3 }));
    assert_eq!(file(&mut judge, "2025-05-26 11:59:58 from 192.0.2.1"), "192.0.2.1");
    assert_eq!(judge.zone_hint(), None);
}

proptest! {
    /// Saying no early never hides a failure, wherever the date was cut out.
    #[test]
    fn the_quick_answer_is_right(
        regex in r"(failed from |Zürich!|é{2}|[a-z .*?]|\\s){1,6}",
        text in r"(failed|fai|led| from| |fr|om |Zür|ich!|é|2025-05-26 11:59:59|\x1b\[1m|\n){0,12}",
        carried in any::<bool>(),
    ) {
        let spec = FilterSpec { failregex: vec![format!("{regex}<HOST>")], ..Default::default() };
        if let Ok(filter) = Filter::new(&spec) {
            let line = line(&format!("{text}192.0.2.1"), carried.then(|| time(NOW)));
            let feed = |filter| {
                let mut judge = Judge::new(filter, TimeZone::UTC, Duration::from_secs(600));
                judge.feed(&line, time(NOW), Phase::Live)
            };
            let thorough = Arc::new(filter.thorough());
            prop_assert_eq!(feed(Arc::new(filter)), feed(thorough));
        }
    }

    /// Whatever the regex and the line: no panic, and no address that is not there.
    #[test]
    fn any_regex_on_any_line(
        regex in r"([a-z0-9 .*+?|^$()\[\]\\{},:<>-]|<HOST>|<SUBNET>|\\d|\\s){0,12}",
        text in r"([a-z0-9 .:\[\]-]|192\.0\.2\.1|2001:db8::1|2025-05-26 11:59:59|\x1b\[1m|é|\n){0,20}",
        carried in any::<bool>(),
    ) {
        let spec = FilterSpec { failregex: vec![format!("{regex}<HOST>")], ..Default::default() };
        if let Ok(filter) = Filter::new(&spec) {
            let mut judge = Judge::new(Arc::new(filter), TimeZone::UTC, Duration::from_secs(600));
            let at = carried.then(|| time(NOW));
            let verdict = judge.feed(&line(&text, at), time(NOW), Phase::Backlog);
            if let Verdict::Failure(Hit { who: Who::Network(network), at, .. }) = verdict {
                prop_assert!(at <= time(NOW));
                prop_assert!(stands_in(&judge.seen, network), "{network} in {:?}", judge.seen);
            }
        }
    }

    #[test]
    fn any_text_is_judged(text in any::<String>(), carried in any::<bool>()) {
        let mut judge = judge(&["<HOST>"], &["x"]);
        let verdict = judge.feed(&line(&text, carried.then(|| time(NOW))), time(NOW), Phase::Live);
        if let Verdict::Failure(Hit { who: Who::Network(network), .. }) = verdict {
            prop_assert!(stands_in(&judge.seen, network));
        }
    }
}

/// Is the address one of those that parts of `text` spell?
fn stands_in(text: &str, network: Network) -> bool {
    let part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    text.split(|c| !part(c)).any(|run| {
        (0..run.len()).any(|start| {
            (start + 1..=run.len()).any(|end| run[start..end].parse() == Ok(network.address()))
        })
    })
}
