//! Lines a second through a jail's own failregex, beside the limit: a bare loop of
//! the same regex with its address captured. `cargo bench --bench filter`.
//!
//! One core, all in one run; of several rounds the best counts, and the ratio says
//! more than the figures, because the machine may be busy.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guard::filter::{Filter, FilterSpec, Judge, Phase, Verdict};
use guard::model::{FileMark, Line, Mark, Timestamp};
use jiff::tz::TimeZone;

const ROUNDS: usize = 7;
const LINES: usize = 100_000;
const ADDRESS: &str = r"(?:(?:\d{1,3}\.){3}\d{1,3})";

struct Case {
    name: &'static str,
    /// In fail2ban's language.
    failregex: &'static str,
    /// The same for the bare loop, `ADDRESS` in the place of `<HOST>`.
    bare: String,
    /// The line with this number; one in ten fails.
    line: fn(usize) -> String,
}

fn main() {
    for case in [flask(), sshd(), undated()] {
        run(&case);
    }
}

fn flask() -> Case {
    Case {
        name: "Flask",
        failregex: r"Login failed for user '.*' \[IP: <HOST>\]$",
        bare: format!(r"Login failed for user '.*' \[IP: ({ADDRESS})\]$"),
        line: |n| {
            let head = format!("2025-05-26 11:57:{:02},{:03}", n % 60, n % 1000);
            match n % 10 {
                0 => format!(
                    "{head} WARNING: Login failed for user 'u{n}' [IP: 192.0.2.{}]",
                    n % 250
                ),
                _ => format!("{head} INFO: 192.0.2.{} \"GET /item/{n} HTTP/1.1\" 200 -", n % 250),
            }
        },
    }
}

fn sshd() -> Case {
    const BEFORE: &str = r"sshd\[\d+\]: Failed \w+ for (?:invalid user )?\S* from ";
    Case {
        name: "sshd",
        failregex: r"sshd\[\d+\]: Failed \w+ for (?:invalid user )?\S* from <HOST> port \d+",
        bare: format!(r"{BEFORE}({ADDRESS}) port \d+"),
        line: |n| {
            let head = format!("May 26 11:57:{:02} host sshd[{n}]:", n % 60);
            match n % 10 {
                0 => format!(
                    "{head} Failed password for invalid user u{n} from 192.0.2.{} port 22 ssh2",
                    n % 250
                ),
                _ => format!(
                    "{head} Accepted publickey for bob from 192.0.2.{} port {n} ssh2",
                    n % 250
                ),
            }
        },
    }
}

fn undated() -> Case {
    Case {
        name: "8 kB without a date",
        failregex: r"Login failed for user '.*' \[IP: <HOST>\]$",
        bare: format!(r"Login failed for user '.*' \[IP: ({ADDRESS})\]$"),
        line: |n| {
            format!("{{\"n\":{n},\"items\":\"{}\"}}", "some words, 17 and more; ".repeat(330))
        },
    }
}

fn run(case: &Case) {
    let lines = if case.name.starts_with('8') { LINES / 50 } else { LINES };
    let lines: Vec<Line> = (0..lines).map(|n| line((case.line)(n))).collect();
    let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
    let spec = FilterSpec { failregex: vec![case.failregex.to_owned()], ..Default::default() };
    let filter = Arc::new(Filter::new(&spec).expect("the bench's own regex is right"));
    let bare = regex::Regex::new(&case.bare).expect("the bench's own regex is right");
    let now: Timestamp = "2025-05-26T11:57:30Z".parse().expect("a timestamp");

    let mut best = [Duration::MAX; 2];
    let mut hits = [0; 2];
    for _ in 0..ROUNDS {
        let mut judge = Judge::new(filter.clone(), TimeZone::UTC, Duration::from_secs(600));
        (best[0], hits[0]) = timed(best[0], || {
            let failed = |line: &&Line| {
                matches!(judge.feed(black_box(line), now, Phase::Live), Verdict::Failure(_))
            };
            lines.iter().filter(failed).count()
        });
        (best[1], hits[1]) = timed(best[1], || {
            let address = |line: &Line| {
                bare.captures(black_box(&line.text))?
                    .get(1)?
                    .as_str()
                    .parse::<std::net::IpAddr>()
                    .ok()
            };
            lines.iter().filter_map(address).count()
        });
    }
    assert_eq!(hits[0], hits[1], "{}: both find the same", case.name);
    let rate = |time: Duration| lines.len() as f64 / time.as_secs_f64();
    let megabytes = bytes as f64 / best[0].as_secs_f64() / 1e6;
    println!(
        "{:<20} guard {:>10.0} lines/s ({megabytes:.0} MB/s), limit {:>10.0} lines/s, ratio {:.2}",
        case.name,
        rate(best[0]),
        rate(best[1]),
        rate(best[0]) / rate(best[1]),
    );
}

fn timed(best: Duration, work: impl FnOnce() -> usize) -> (Duration, usize) {
    let start = Instant::now();
    let hits = black_box(work());
    (best.min(start.elapsed()), hits)
}

fn line(text: String) -> Line {
    let mark = FileMark { device: 0, inode: 0, offset: 0, head: 0, head_len: 0 };
    Line { at: None, text, mark: Mark::File(mark) }
}
