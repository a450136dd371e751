//! How fast lines are judged, and how near that is to what can be had:
//! `cargo bench --bench filter [-- LINES]`.
//!
//! Each log is written to a file. *guard* reads it in chunks and judges it as
//! `guardctl test` does: lines that can't match are passed over, dates are found, read
//! and cut out, failregexes searched, addresses parsed. Beside it, in the same run and
//! on the same file:
//!
//! - *the limit*: a bare loop that reads the lines (`BufRead::read_until`), with one search
//!   of the one combined pattern by `regex`, the address captured, and nothing else;
//! - *rg*: `rg -c` for the literal in the failures, one thread (Debian's `ripgrep`);
//! - *fail2ban*: `fail2ban-regex` with the same failregex or filter, on the first lines
//!   (an unpacked package named by `GUARD_BENCH_FAIL2BAN`).
//!
//! Processor time counts, and of guard and the limit the best of several turns. Memory is
//! that of a process that only judges.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use guard::filter::{Filter, FilterReference, FilterSpec, Judge, Phase, UseDns, Verdict};
use guard::filters::Catalog;
use guard::model::Timestamp;
use jiff::tz::TimeZone;
use regex::Regex;

/// Lines of a log, unless the command line says otherwise.
const LINES: u32 = 1_000_000;
/// How often each of guard and the limit has its turn.
const TURNS: usize = 3;
/// Lines that fail2ban gets.
const FOR_FAIL2BAN: usize = 30_000;
/// Lines that are written in a second of the log's time.
const A_SECOND: u32 = 10_000;
/// What is read at once.
const CHUNK: usize = 256 << 10;

/// What `<HOST>` stands for.
const HOST: &str = r"\[?(?:(?:::f{4,6}:)?(?P<ip4>(?:[0-9]{1,3}\.){3}[0-9]{1,3})|(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|:))(?:%[0-9A-Za-z._-]{1,32})?)\]?";

/// A log, and what finds the failures in it.
struct Log {
    name: &'static str,
    /// Of so many lines one is written.
    thinned: u32,
    /// What judges it: an own failregex, or a stock filter of fail2ban's by name.
    by: By,
    /// One line in so many is a failure.
    one_in: u32,
    /// What `rg` looks for.
    literal: &'static str,
    /// A line: its number, its time, who it is about.
    line: fn(u32, Timestamp, &str) -> String,
    /// A line that is a failure.
    failure: fn(u32, Timestamp, &str) -> String,
}

enum By {
    Regex(&'static str),
    /// The filter, and the regex that the limit has instead.
    Stock(&'static str, &'static str),
}

const FLASK: &str = r"Login failed for user '.*' \[IP: <HOST>\]$";
const SSHD: &str =
    r"sshd\[\d+\]: Failed password for (?:invalid user )?.* from <HOST> port \d+ ssh2$";

const LOGS: [Log; 6] = [
    Log {
        name: "Flask application",
        thinned: 1,
        by: By::Regex(FLASK),
        one_in: 10,
        literal: "Login failed for user",
        line: flask_other,
        failure: flask,
    },
    Log {
        name: "ownCloud (JSON)",
        thinned: 1,
        by: By::Regex(r#""message":"Login failed: '.*' \(Remote IP: '<HOST>'\)"\}$"#),
        one_in: 10,
        literal: "Login failed: ",
        line: owncloud_other,
        failure: owncloud,
    },
    Log {
        name: "nginx (access log)",
        thinned: 1,
        by: By::Regex(r#"^<HOST> - \S+ \[\] "POST /login[^"]*" 401 "#),
        one_in: 10,
        literal: "POST /login",
        line: nginx_other,
        failure: nginx,
    },
    Log {
        name: "sshd (syslog)",
        thinned: 1,
        by: By::Regex(SSHD),
        one_in: 10,
        literal: "Failed password for ",
        line: sshd_other,
        failure: sshd,
    },
    Log {
        name: "sshd, stock filter",
        thinned: 1,
        by: By::Stock("sshd", SSHD),
        one_in: 10,
        literal: "Failed password for ",
        line: sshd_other,
        failure: sshd,
    },
    // Every place in the line is one where a date could begin.
    Log {
        name: "8 kB without a date",
        thinned: 20,
        by: By::Regex(FLASK),
        one_in: 50,
        literal: "Login failed for user",
        line: undated_other,
        failure: undated,
    },
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let first = arguments.next();
    if first.as_deref() == Some("--only-judge") {
        let rest: Vec<String> = arguments.collect();
        return only_judge(&rest);
    }
    let lines = first.and_then(|lines| lines.parse().ok()).unwrap_or(LINES);
    println!(
        "{:<20} {:>9} {:>7} {:>7} {:>9} {:>6} {:>8} {:>9} {:>7}",
        "log", "guard", "", "limit", "guard/", "rg", "fail2ban", "guard/", "memory"
    );
    println!(
        "{:<20} {:>9} {:>7} {:>7} {:>9} {:>6} {:>8} {:>9} {:>7}",
        "", "lines/s", "MB/s", "lines/s", "limit", "ratio", "lines/s", "fail2ban", "MiB"
    );
    for log in &LOGS {
        compare(log, lines / log.thinned);
    }
}

fn compare(log: &Log, lines: u32) {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let path = folder.path().join("log");
    log.write(&path, lines);
    let text = fs::read_to_string(&path).expect("the log was written");
    let Some(filter) = log.filter() else {
        println!("{:<20} (needs GUARD_BENCH_FAIL2BAN, a folder with fail2ban unpacked)", log.name);
        return;
    };
    let regex = match log.by {
        By::Regex(regex) | By::Stock(_, regex) => regex,
    };
    // The limit sees lines with their dates.
    let regex = regex.replace(r"\[\]", r"\[[^\]]*\]").replace("<HOST>", HOST);
    let bare = Regex::new(&regex).expect("it is right");
    let failures = lines.div_ceil(log.one_in);
    let (mut guard, mut limit) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        guard = guard.min(timed(|| assert_eq!(judge(&filter, &path), failures, "{}", log.name)));
        limit = limit.min(timed(|| assert_eq!(search(&bare, &path), failures, "{}", log.name)));
    }
    let rg = timed_command(Command::new("rg").args(["-j1", "-c", "-F", log.literal]).arg(&path));
    let f2b = log.fail2ban(&text, folder.path());
    let memory = memory(log, &path);
    let rate = |time: Duration| f64::from(lines) / time.as_secs_f64();
    println!(
        "{:<20} {:>9.0} {:>7.0} {:>7.0} {:>9.2} {:>6} {:>8} {:>9} {:>7}",
        log.name,
        rate(guard),
        text.len() as f64 / 1e6 / guard.as_secs_f64(),
        rate(limit),
        rate(guard) / rate(limit),
        rg.map_or("-".to_owned(), |rg| format!("{:.2}", rg.as_secs_f64() / guard.as_secs_f64())),
        f2b.map_or("-".to_owned(), |f2b| format!("{f2b:.0}")),
        f2b.map_or("-".to_owned(), |f2b| format!("{:.0}", rate(guard) / f2b)),
        memory,
    );
}

/// Processor time: what else the machine does is no part of it.
fn timed(run: impl FnOnce()) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let start = now();
    run();
    now().saturating_sub(start)
}

/// How much processor time it takes; `None` if it can't be run.
fn timed_command(command: &mut Command) -> Option<Duration> {
    let of_children = || {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // cutime and cstime, in hundredths of a second (proc(5)).
        let times: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().skip(13).collect();
        let ticks: u64 = times.iter().take(2).filter_map(|time| time.parse::<u64>().ok()).sum();
        Some(Duration::from_millis(10 * ticks))
    };
    let start = of_children()?;
    let output = command.output().ok()?;
    output.status.success().then_some(of_children()?.checked_sub(start)?)
}

/// Judges a file: how many failures there are.
fn judge(filter: &Arc<Filter>, path: &Path) -> u32 {
    let mut judge = Judge::new(Arc::clone(filter), TimeZone::UTC, Duration::from_secs(600));
    let mut file = File::open(path).expect("the log is there");
    let (mut buffer, mut held) = (vec![0; CHUNK], 0);
    let (now, mut failures) = (at(0), 0);
    loop {
        let read = file.read(&mut buffer[held..]).expect("the log can be read");
        let whole = match memchr_last(&buffer[..held + read]) {
            Some(end) if read > 0 => end + 1,
            _ => held + read,
        };
        failures += judge_chunk(&mut judge, filter, &buffer[..whole], now);
        buffer.copy_within(whole..held + read, 0);
        held = held + read - whole;
        if read == 0 {
            return failures;
        }
    }
}

fn memchr_last(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|byte| *byte == b'\n')
}

fn judge_chunk(judge: &mut Judge, filter: &Filter, chunk: &[u8], now: Timestamp) -> u32 {
    let (mut passed, mut failures) = (0, 0);
    for line in filter.candidates(chunk) {
        let text = String::from_utf8_lossy(&chunk[line.clone()]);
        let before = &chunk[passed..line.start];
        let verdict = judge.feed_after(before, &text, None, (now, Phase::Replay));
        failures += u32::from(matches!(std::hint::black_box(verdict), Verdict::Failure(_)));
        passed = line.end;
    }
    failures
}

fn search(regex: &Regex, path: &Path) -> u32 {
    let mut file = BufReader::with_capacity(CHUNK, File::open(path).expect("the log is there"));
    let (mut line, mut failures) = (Vec::new(), 0);
    while file.read_until(b'\n', &mut line).expect("the log can be read") > 0 {
        let text = std::str::from_utf8(&line).expect("the log is text");
        let found = regex.captures(text.trim_end_matches('\n'));
        failures += u32::from(std::hint::black_box(found).is_some());
        line.clear();
    }
    failures
}

/// What a process needs that only judges the log, in MiB.
fn memory(log: &Log, path: &Path) -> String {
    let program = std::env::current_exe().expect("this program");
    let index = LOGS.iter().position(|other| other.name == log.name).unwrap_or_default();
    let mut command = Command::new(program);
    command.args(["--only-judge", &index.to_string()]).arg(path);
    let output = command.output().expect("this program can be run");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn only_judge(arguments: &[String]) {
    let [index, path] = arguments else { return };
    let log = &LOGS[index.parse::<usize>().expect("a number")];
    judge(&log.filter().expect("as before"), Path::new(path));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    let kib: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    println!("{:.1}", kib / 1024.0);
}

/// Where fail2ban is unpacked.
fn fail2ban() -> Option<PathBuf> {
    std::env::var_os("GUARD_BENCH_FAIL2BAN").map(PathBuf::from)
}

impl Log {
    fn filter(&self) -> Option<Arc<Filter>> {
        let spec = match self.by {
            By::Regex(regex) => {
                FilterSpec { failregex: vec![regex.to_owned()], ..FilterSpec::default() }
            }
            By::Stock(name, _) => {
                let catalog = Catalog::without_own(vec![fail2ban()?.join("etc/fail2ban/filter.d")]);
                let reference = FilterReference { name: name.to_owned(), options: Vec::new() };
                let loaded = catalog.load(&reference).expect("a stock filter");
                FilterSpec { use_dns: UseDns::No, ..loaded.spec }
            }
        };
        Some(Arc::new(Filter::new(&spec).expect("the filter is right")))
    }

    fn write(&self, path: &Path, lines: u32) {
        let mut file = BufWriter::new(File::create(path).expect("room for the log"));
        for number in 0..lines {
            let write = if number.is_multiple_of(self.one_in) { self.failure } else { self.line };
            let line = write(number, at(number), &address(number));
            writeln!(file, "{line}").expect("room for the log");
        }
        file.flush().expect("room for the log");
    }

    /// Lines a second of fail2ban-regex.
    fn fail2ban(&self, text: &str, folder: &Path) -> Option<f64> {
        let root = fail2ban()?;
        let part = folder.join("part");
        let lines: Vec<_> = text.lines().take(FOR_FAIL2BAN / self.thinned as usize).collect();
        fs::write(&part, format!("{}\n", lines.join("\n"))).ok()?;
        let regex = match self.by {
            By::Regex(regex) => regex.to_owned(),
            By::Stock(name, _) => {
                root.join(format!("etc/fail2ban/filter.d/{name}.conf")).display().to_string()
            }
        };
        let mut command = Command::new("python3");
        command
            .arg(root.join("usr/bin/fail2ban-regex"))
            .env("PYTHONPATH", root.join("usr/lib/python3/dist-packages"))
            .args(["--usedns", "no", "--no-check-all", "--print-no-missed", "--print-no-ignored"])
            .arg(&part)
            .arg(&regex);
        // What starting it costs is not counted.
        let empty = folder.join("empty");
        fs::write(&empty, "x\n").ok()?;
        let mut idle = Command::new("python3");
        idle.args(command.get_args().take(6))
            .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
        idle.arg(&empty).arg(&regex);
        let (whole, idle) = (timed_command(&mut command)?, timed_command(&mut idle)?);
        Some(lines.len() as f64 / whole.checked_sub(idle)?.as_secs_f64())
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
    let message = format!("Login failed for user '{}' [IP: {from}]", user(number));
    flask_line(number, at, "WARNING", &message)
}

fn flask_other(number: u32, at: Timestamp, from: &str) -> String {
    let page = scattered(number) % 90;
    flask_line(number, at, "INFO", &format!("{from} \"GET /items?page={page} HTTP/1.1\" 200"))
}

fn flask_line(number: u32, at: Timestamp, level: &str, message: &str) -> String {
    let (date, millis) = (at.strftime("%Y-%m-%d %H:%M:%S"), scattered(number) % 1000);
    format!("{date},{millis:03} {level}: {message}")
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
    // A process for each connection.
    let (date, pid) = (at.strftime("%b %e %H:%M:%S"), 300 + number);
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
