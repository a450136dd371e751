//! Lines a second through a container's output, beside what the engine itself gives.
//!
//! ```text
//! cargo bench --bench output [-- LINES]
//! ```
//!
//! Needs what `tests/engine` needs, and skips where it is missing. A container's
//! `json-file` holds 1,000,000 lines of a login service, one in ten a failure. The
//! whole log is read by `docker logs >/dev/null`, by a socket whose bytes are thrown
//! away, by guard's reader alone, and by the reader with a jail's filter behind it, one
//! after the other, twice. Printed are the lines a second and the processor time of the
//! engine and of the reader.

mod engine;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use engine::{TICKS, found, ticks};
use guard::docker::{Engine, OutputBatch, OutputChoice, OutputStart};
use guard::filter::{FilterSpec, Judge, Library, Phase, Verdict};
use guard::model::{Container, Position, Timestamp};
use jiff::tz::TimeZone;
use support::{FLASK_REGEX, Host, Service, engines};

fn main() {
    let lines = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let lines: i128 = lines.unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    for engine in engines("output") {
        let host = Host::start(&engine);
        let bytes = fill(&host, lines);
        println!("Docker {}: {lines} lines, {} MB", engine.name, bytes / 1_000_000);
        println!("{:<24}{:>12}{:>13}{:>13}", "by", "lines/s", "engine CPU", "own CPU");
        runtime.block_on(measure(&host, lines));
    }
}

/// A container that stands still and has these lines behind it; how many bytes.
fn fill(host: &Host, lines: i128) -> u64 {
    Service::new("web").guarded(&[("failregex", FLASK_REGEX)]).run(host);
    host.docker(&["stop", "web"]);
    let path = host.docker(&["inspect", "-f", "{{.LogPath}}", "web"]);
    let mut file = BufWriter::new(File::create(path).expect("root may write it"));
    let (end, mut bytes) = (Timestamp::now().as_nanosecond(), 0);
    for line in 0..lines {
        let at = Timestamp::from_nanosecond(end - (lines - line) * 100_000).expect("it is today");
        let text = if line % 10 == 0 {
            let (a, b) = (line / 250 % 250, line % 250 + 1);
            format!("{at:.3} WARNING: Login failed for user 'u{line}' [IP: 198.18.{a}.{b}]")
        } else {
            format!("{at:.3} INFO: GET /static/app.{line}.js 200 in {} ms", line % 97)
        };
        let entry =
            format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"{at:.9}\"}}\n");
        bytes += entry.len() as u64;
        file.write_all(entry.as_bytes()).expect("there is room");
    }
    file.flush().expect("there is room");
    bytes
}

async fn measure(host: &Host, lines: i128) {
    let (engine, container) = found(host).await;
    let pid = std::fs::read_to_string(host.folder().join("dockerd.pid")).expect("it runs");
    let pid = pid.trim();
    for _ in 0..2 {
        timed(pid, "docker logs", lines, async { by_docker(host) }).await;
        timed(pid, "bytes alone", lines, async { by_socket(host) }).await;
        // In a task of its own, as in the daemon: what its connection reads wakes no other thread.
        let by = |judge| {
            let read = by_guard(engine.clone(), container.clone(), lines, judge);
            async { tokio::spawn(read).await.expect("it reads to the end") }
        };
        timed(pid, "guard's reader", lines, by(None)).await;
        let spec = FilterSpec { failregex: vec![FLASK_REGEX.into()], ..FilterSpec::default() };
        let filter = Library::default().get(&spec).expect("it is a good one");
        let judge = Judge::new(filter, TimeZone::UTC, Duration::from_secs(86_400));
        timed(pid, "and its filter", lines, by(Some(judge))).await;
    }
}

async fn timed(engine: &str, by: &str, lines: i128, read: impl Future<Output = ()>) {
    let before = (Instant::now(), ticks(engine), ticks("self"));
    read.await;
    let time = before.0.elapsed().as_secs_f64();
    println!(
        "{by:<24}{:>12.0}{:>11.2} s{:>11.2} s",
        lines as f64 / time,
        (ticks(engine) - before.1) / TICKS,
        (ticks("self") - before.2) / TICKS,
    );
}

fn by_docker(host: &Host) {
    let mut logs = host.docker_command();
    let logs = logs.args(["logs", "web"]).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(logs.status().expect("docker starts").success());
}

/// Reads as guard asks for it, and looks at nothing.
fn by_socket(host: &Host) {
    let mut stream = UnixStream::connect(host.socket()).expect("the engine listens");
    let query = "follow=0&stdout=1&stderr=1&timestamps=1&tail=all";
    let request = format!("GET /containers/web/logs?{query} HTTP/1.0\r\nHost: engine\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the engine listens");
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).expect("the engine answers") > 0 {}
}

async fn by_guard(engine: Engine, container: Container, lines: i128, mut judge: Option<Judge>) {
    let start = OutputStart::After(Position::OUTPUT_START);
    let mut reader = engine.output(&container, &start, OutputChoice::Both);
    let (mut read, mut failures) = (0, 0);
    loop {
        match reader.next().await.expect("the engine answers") {
            OutputBatch::Lines { lines, .. } => {
                read += lines.len() as i128;
                let now = Timestamp::now();
                for line in judge.as_mut().map_or(&[][..], |_| &lines[..]) {
                    let verdict = judge.as_mut().map(|judge| judge.feed(line, now, Phase::Backlog));
                    failures += i128::from(matches!(verdict, Some(Verdict::Failure(_))));
                }
            }
            OutputBatch::Ended => break,
            OutputBatch::Known(_) | OutputBatch::News(_) => {}
        }
    }
    assert_eq!(read, lines);
    assert!(judge.is_none() || failures == lines.div_euclid(10), "{failures} failures");
}
