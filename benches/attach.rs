//! What it costs to attach to a container whose log is long, on a real engine.
//!
//! ```text
//! cargo bench --bench attach
//! ```
//!
//! Needs what `tests/engine` needs, and skips where it is missing. A container's
//! `json-file` is filled with the lines of a day (200 MB; `GUARD_BENCH_MB`) and the
//! container started. Then its output is read from places in the log until its newest
//! line has come: by `since` alone, which is the plain way, and by guard's reader.
//! Printed are the time, and the processor time of the engine and of this process.

mod engine;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use engine::{TICKS, found, ticks};
use guard::docker::{Engine, OutputBatch, OutputChoice, OutputStart};
use guard::model::{Container, Position, StreamMark, Timestamp};
use support::{Host, Service, engines};

const DAY: i64 = 86_400;

/// A container's log.
struct Log {
    lines: i64,
    bytes: u64,
    /// When its last line was written, in nanoseconds.
    end: i128,
}

fn main() {
    let megabytes = std::env::var("GUARD_BENCH_MB").ok().and_then(|text| text.parse().ok());
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    for engine in engines("attach") {
        let host = Host::start(&engine);
        let log = fill(&host, megabytes.unwrap_or(200) * 1_000_000);
        let (size, lines) = (log.bytes / 1_000_000, log.lines);
        println!("Docker {}: {size} MB, {lines} lines", engine.name);
        println!("{:<24}{:<8}{:>9}{:>13}{:>13}", "from", "by", "time", "engine CPU", "own CPU");
        runtime.block_on(measure(&host, &log));
    }
}

impl Log {
    fn time(&self, line: i64) -> Timestamp {
        let back = i128::from(self.lines - 1 - line) * i128::from(DAY) * 1_000_000_000;
        Timestamp::from_nanosecond(self.end - back / i128::from(self.lines)).expect("it is today")
    }

    fn text(line: i64) -> String {
        format!("line {line} {}", "x".repeat(180))
    }
}

/// A container that runs and has this much behind it.
fn fill(host: &Host, bytes: u64) -> Log {
    Service::new("web").guarded(&[("failregex", "x <HOST>")]).run(host);
    host.docker(&["stop", "web"]);
    let path = host.docker(&["inspect", "-f", "{{.LogPath}}", "web"]);
    let entry = |log: &Log, line| {
        let (text, at) = (Log::text(line), log.time(line));
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"{at:.9}\"}}\n")
    };
    let mut log = Log { lines: 1, bytes: 0, end: Timestamp::now().as_nanosecond() };
    log.lines = i64::try_from(bytes).expect("not that large") / entry(&log, 0).len() as i64;
    let mut file = BufWriter::new(File::create(path).expect("root may write it"));
    for line in 0..log.lines {
        let entry = entry(&log, line);
        log.bytes += entry.len() as u64;
        file.write_all(entry.as_bytes()).expect("there is room");
    }
    file.flush().expect("there is room");
    host.docker(&["start", "web"]);
    log
}

async fn measure(host: &Host, log: &Log) {
    let (engine, container) = found(host).await;
    let pid = std::fs::read_to_string(host.folder().join("dockerd.pid")).expect("it runs");
    let pid = pid.trim();
    for back in [0, 1_000, 100_000] {
        let line = (log.lines - 1 - back).max(0);
        let mark = StreamMark { at: log.time(line), seen: 1 };
        let place = OutputStart::After(Position::Output { stdout: Some(mark), stderr: None });
        let from = format!("{back} lines back");
        // Something must come, or the end could not be seen.
        let since = log.time(line);
        timed(pid, &from, "since", async { by_since(host, since, log.lines - 1) }).await;
        let last = if back == 0 { None } else { Some(log.lines - 1) };
        timed(pid, &from, "guard", by_guard(&engine, &container, &place, last)).await;
    }
    let since = Timestamp::from_nanosecond(log.end - 600_000_000_000).expect("it is today");
    let first = OutputStart::Since(since);
    timed(pid, "first start, 10 min", "since", async { by_since(host, since, log.lines - 1) })
        .await;
    let container = Container { created: Timestamp::UNIX_EPOCH, ..container };
    let by_guard = by_guard(&engine, &container, &first, Some(log.lines - 1));
    timed(pid, "first start, 10 min", "guard", by_guard).await;
}

async fn timed(engine: &str, from: &str, by: &str, read: impl Future<Output = ()>) {
    let before = (Instant::now(), ticks(engine), ticks("self"));
    read.await;
    let time = before.0.elapsed();
    // What the engine still does for an answer that nobody reads any more counts too.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let used = |pid, before| (ticks(pid) - before) / TICKS;
    println!(
        "{from:<24}{by:<8}{:>7.3} s{:>11.2} s{:>11.2} s",
        time.as_secs_f64(),
        used(engine, before.1),
        used("self", before.2),
    );
}

/// Reads with a plain `since` until a line has come.
fn by_since(host: &Host, since: Timestamp, until: i64) {
    let mut stream = UnixStream::connect(host.socket()).expect("the engine listens");
    let query = "follow=1&stdout=1&stderr=1&timestamps=1&tail=all";
    let (second, nano) = (since.as_second(), since.subsec_nanosecond());
    let request = format!(
        "GET /containers/web/logs?{query}&since={second}.{nano:09} HTTP/1.0\r\nHost: engine\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the engine listens");
    let wanted = Log::text(until).into_bytes();
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while !seen.windows(wanted.len()).any(|window| window == wanted) {
        let count = stream.read(&mut buffer).expect("the engine answers");
        assert!(count > 0, "the engine ended the answer");
        let keep = seen.len().saturating_sub(wanted.len());
        seen.drain(..keep);
        seen.extend_from_slice(&buffer[..count]);
    }
}

/// Reads with guard's reader until a line has come, or until it is attached.
async fn by_guard(engine: &Engine, container: &Container, from: &OutputStart, until: Option<i64>) {
    let mut reader = engine.output(container, from, OutputChoice::Both);
    let wanted = until.map(Log::text);
    loop {
        let batch = match &wanted {
            Some(_) => reader.next().await.expect("the engine answers"),
            // Nothing is new: it is attached when it waits.
            None => {
                let patience = Duration::from_millis(50);
                match tokio::time::timeout(patience, reader.next()).await {
                    Ok(batch) => batch.expect("the engine answers"),
                    Err(_) => return,
                }
            }
        };
        if let OutputBatch::Lines { lines, .. } = batch
            && lines.iter().any(|line| Some(&line.text) == wanted.as_ref())
        {
            return;
        }
    }
}
