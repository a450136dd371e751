//! How fast lines are judged, and how near that is to what can be had:
//! `cargo bench --bench filter`.
//!
//! *guard* is [`Judge::feed`]: the date is found, read and cut out, the failregex is
//! searched, the address is parsed. *The limit* is a bare loop over the same lines
//! with one search of the same pattern by `regex` and nothing else; no filter that
//! is built on it can be faster. Both in this one run and thread, in turns, and of
//! each the best turn: what else the machine does can only make a turn slower.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guard::filter::{Filter, FilterSpec, Judge, Phase, Verdict};
use guard::model::{FileMark, Line, Mark, Stream, StreamMark, Timestamp};
use jiff::tz::TimeZone;
use regex::Regex;

/// Lines of a log.
const LINES: u32 = 100_000;
/// How often each of the two has its turn.
const TURNS: usize = 7;
/// Lines that are written in a second of the log's time.
const A_SECOND: u32 = 10_000;

/// What `<HOST>` stands for.
const HOST: &str = r"\[?(?:(?:::f{4,6}:)?(?P<ip4>(?:[0-9]{1,3}\.){3}[0-9]{1,3})|(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|:))(?:%[0-9A-Za-z._-]{1,32})?)\]?";

/// A log, and what finds the failures in it.
struct Log {
    name: &'static str,
    carrier: Carrier,
    lines: u32,
    /// Matches with and without the date.
    failregex: &'static str,
    /// One line in so many is a failure.
    one_in: u32,
    /// A line: its number, its time, who it is about.
    line: fn(u32, Timestamp, &str) -> String,
    /// A line that is a failure.
    failure: fn(u32, Timestamp, &str) -> String,
}

/// How a line comes to guard.
#[derive(Clone, Copy)]
enum Carrier {
    /// With Docker's timestamp; what does not match without its date is searched again
    /// with it.
    Output,
    /// The date in it is its time.
    File,
}

const LOGS: [Log; 5] = [
    Log {
        name: "Flask application, output",
        carrier: Carrier::Output,
        lines: LINES,
        failregex: r"Login failed for user '.*' \[IP: <HOST>\]",
        one_in: 1,
        line: flask,
        failure: flask,
    },
    Log {
        name: "ownCloud (JSON), file",
        carrier: Carrier::File,
        lines: LINES,
        failregex: r#""message":"Login failed: '.*' \(Remote IP: '<HOST>'\)""#,
        one_in: 2,
        line: owncloud_other,
        failure: owncloud,
    },
    Log {
        name: "sshd (syslog), file",
        carrier: Carrier::File,
        lines: LINES,
        failregex: r"sshd\[\d+\]: Failed password for (?:invalid user )?.* from <HOST> port \d+",
        one_in: 10,
        line: sshd_other,
        failure: sshd,
    },
    Log {
        name: "nginx (access log), output",
        carrier: Carrier::Output,
        lines: LINES,
        failregex: r#"^<HOST> - \S+ \[[^\]]*\] "[^"]*" 401 "#,
        one_in: 50,
        line: nginx_other,
        failure: nginx,
    },
    // Every place in the line is one where a date could begin.
    Log {
        name: "8 kB without a date, file",
        carrier: Carrier::File,
        lines: LINES / 50,
        failregex: r"Login failed for user '.*' \[IP: <HOST>\]",
        one_in: 50,
        line: undated_other,
        failure: undated,
    },
];

fn main() {
    println!(
        "{:<28} {:>8} {:>15} {:>15} {:>7}",
        "log", "failures", "guard, lines/s", "limit, lines/s", "ratio"
    );
    for log in &LOGS {
        compare(log);
    }
}

fn compare(log: &Log) {
    let lines: Vec<Line> = (0..log.lines).map(|number| log.line(number)).collect();
    let spec = FilterSpec { failregex: vec![log.failregex.to_owned()], ..FilterSpec::default() };
    let filter = Arc::new(Filter::new(&spec).expect("the failregex is right"));
    let bare = Regex::new(&log.failregex.replace("<HOST>", HOST)).expect("it is right");
    let (mut guard, mut limit) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        guard = guard.min(timed(log, || judge(&filter, &lines)));
        limit = limit.min(timed(log, || search(&bare, &lines)));
    }
    let rate = |time: Duration| f64::from(log.lines) / time.as_secs_f64();
    println!(
        "{:<28} {:>7}% {:>15.0} {:>15.0} {:>7.2}",
        log.name,
        100 / log.one_in,
        rate(guard),
        rate(limit),
        rate(guard) / rate(limit),
    );
}

/// How long it takes, if it finds what there is.
fn timed(log: &Log, find: impl FnOnce() -> u32) -> Duration {
    let start = Instant::now();
    let found = find();
    let time = start.elapsed();
    assert_eq!(found, log.lines.div_ceil(log.one_in), "failures in {}", log.name);
    time
}

fn judge(filter: &Arc<Filter>, lines: &[Line]) -> u32 {
    let mut judge = Judge::new(Arc::clone(filter), TimeZone::UTC, Duration::from_secs(600));
    let mut failures = 0;
    for (number, line) in (0..).zip(lines) {
        let verdict = judge.feed(line, at(number), Phase::Live);
        failures += u32::from(matches!(std::hint::black_box(verdict), Verdict::Failure(_)));
    }
    failures
}

fn search(regex: &Regex, lines: &[Line]) -> u32 {
    let mut failures = 0;
    for line in lines {
        failures += u32::from(std::hint::black_box(regex.captures(&line.text)).is_some());
    }
    failures
}

impl Log {
    fn line(&self, number: u32) -> Line {
        let write = if number.is_multiple_of(self.one_in) { self.failure } else { self.line };
        let (at, stream) = (at(number), Stream::Stdout);
        let text = write(number, at, &address(number));
        match self.carrier {
            Carrier::Output => {
                let mark = Mark::Output(stream, StreamMark { at, seen: 1 });
                Line { at: Some(at), text, mark }
            }
            Carrier::File => {
                let mark = FileMark { device: 0, inode: 0, offset: 0, head: 0, head_len: 0 };
                Line { at: None, text, mark: Mark::File(mark) }
            }
        }
    }
}

/// When a line is written.
fn at(number: u32) -> Timestamp {
    let start = Timestamp::constant(1_795_000_000, 0);
    start + Duration::from_secs(u64::from(number / A_SECOND))
}

/// Numbers without a pattern, the same in every run (the finaliser of MurmurHash3).
fn scattered(number: u32) -> u32 {
    let number = (number ^ (number >> 16)).wrapping_mul(0x85eb_ca6b);
    let number = (number ^ (number >> 13)).wrapping_mul(0xc2b2_ae35);
    number ^ (number >> 16)
}

/// One in ten has IPv6.
fn address(number: u32) -> String {
    let bits = scattered(number);
    if bits.is_multiple_of(10) {
        Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(bits)).to_string()
    } else {
        Ipv4Addr::from(bits).to_string()
    }
}

fn user(number: u32) -> &'static str {
    const USERS: [&str; 7] = ["root", "admin", "test", "postgres", "j.doe@example.org", "a", "www"];
    USERS[(scattered(number) >> 8) as usize % USERS.len()]
}

fn flask(number: u32, at: Timestamp, from: &str) -> String {
    let (date, millis, user) =
        (at.strftime("%Y-%m-%d %H:%M:%S"), scattered(number) % 1000, user(number));
    format!("{date},{millis:03} WARNING: Login failed for user '{user}' [IP: {from}]")
}

fn owncloud(number: u32, at: Timestamp, from: &str) -> String {
    let message = format!("Login failed: '{}' (Remote IP: '{from}')", user(number));
    owncloud_line(number, at, from, 2, &message)
}

fn owncloud_other(number: u32, at: Timestamp, from: &str) -> String {
    let message = format!("Scan of 'files/{}' found nothing new", user(number));
    owncloud_line(number, at, from, 1, &message)
}

fn owncloud_line(number: u32, at: Timestamp, from: &str, level: u8, message: &str) -> String {
    let (id, date) = (scattered(number), at.strftime("%Y-%m-%dT%H:%M:%S+00:00"));
    format!(
        r#"{{"reqId":"{id:020}","level":{level},"time":"{date}","remoteAddr":"{from}","user":"--","app":"core","method":"POST","url":"\/index.php\/login","message":"{message}"}}"#
    )
}

fn sshd(number: u32, at: Timestamp, from: &str) -> String {
    let (user, port) = (user(number), scattered(number) % 60_000 + 1024);
    let message = format!("Failed password for invalid user {user} from {from} port {port} ssh2");
    sshd_line(number, at, &message)
}

fn sshd_other(number: u32, at: Timestamp, from: &str) -> String {
    let (user, port) = (user(number), scattered(number) % 60_000 + 1024);
    let message = match number % 4 {
        0 => format!("Connection closed by {from} port {port} [preauth]"),
        1 => format!("Received disconnect from {from} port {port}:11: Bye Bye [preauth]"),
        2 => format!("Accepted publickey for {user} from {from} port {port} ssh2"),
        _ => format!("pam_unix(sshd:session): session opened for user {user} by (uid=0)"),
    };
    sshd_line(number, at, &message)
}

fn sshd_line(number: u32, at: Timestamp, message: &str) -> String {
    let (date, pid) = (at.strftime("%b %e %H:%M:%S"), scattered(number) % 30_000 + 300);
    format!("{date} web1 sshd[{pid}]: {message}")
}

fn nginx(number: u32, at: Timestamp, from: &str) -> String {
    nginx_line(number, at, from, "POST /login HTTP/1.1\" 401")
}

fn nginx_other(number: u32, at: Timestamp, from: &str) -> String {
    let requests = [
        "GET / HTTP/1.1\" 200",
        "GET /assets/app.js HTTP/1.1\" 304",
        "GET /api/v1/items?page=4&sort=date HTTP/1.1\" 200",
        "GET /favicon.ico HTTP/1.1\" 404",
    ];
    nginx_line(number, at, from, requests[number as usize % requests.len()])
}

fn nginx_line(number: u32, at: Timestamp, from: &str, request: &str) -> String {
    let (date, size) = (at.strftime("%d/%b/%Y:%H:%M:%S +0000"), scattered(number) % 20_000);
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    format!(r#"{from} - - [{date}] "{request} {size} "https://example.org/" "{browser}""#)
}

fn undated(number: u32, _at: Timestamp, from: &str) -> String {
    let filling = "some words, 17 and more; ".repeat(330);
    format!("{filling} Login failed for user '{}' [IP: {from}]", user(number))
}

fn undated_other(number: u32, _at: Timestamp, _from: &str) -> String {
    format!("{{\"n\":{number},\"items\":\"{}\"}}", "some words, 17 and more; ".repeat(330))
}
