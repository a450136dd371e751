//! What it costs to begin at a large log file, and to follow files that are quiet.
//!
//! ```text
//! cargo bench --bench files
//! ```
//!
//! Needs nothing. A file of 1 GB (`GUARD_BENCH_MB`) is filled with the lines of ten
//! days, and read until its end is reached: from its beginning, and as a new jail with
//! a findtime of ten minutes does. Then 50 files that nobody writes to are followed
//! for ten seconds. Printed are the time, the lines that were given, and the processor
//! time of this process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guard::files::{FileReader, FileStatus, PathSpace, Since};
use guard::filter::{Dating, Filter, FilterSpec};
use guard::model::Timestamp;
use jiff::tz::TimeZone;

/// The ticks of a second in `/proc/self/stat`, on every Linux.
const TICKS: f64 = 100.0;
const FIND_TIME: Duration = Duration::from_secs(600);
const QUIET: Duration = Duration::from_secs(10);
const DAYS: i64 = 10;

fn main() {
    let megabytes = std::env::var("GUARD_BENCH_MB").ok().and_then(|text| text.parse().ok());
    let megabytes: i64 = megabytes.unwrap_or(1000);
    let dir = tempfile::tempdir().expect("there is room for files");
    let log = dir.path().join("app.log");
    let lines = fill(&log, megabytes * 1_000_000);
    println!("{megabytes} MB, {lines} lines of {DAYS} days");
    println!("{:<28}{:>10}{:>12}{:>10}", "first start", "ready", "lines", "CPU");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    for (name, seek) in [("from the beginning", false), ("findtime 10m, by dates", true)] {
        runtime.block_on(begin(&log, name, seek));
    }
    for n in 0..50 {
        std::fs::write(dir.path().join(format!("quiet-{n}.log")), "a line\n").expect("room");
    }
    runtime.block_on(follow_quiet(dir.path()));
}

fn fill(path: &Path, bytes: i64) -> i64 {
    let padding = "x".repeat(70);
    let lines = bytes / 100;
    let span = DAYS * 86_400_000;
    let start = Timestamp::now() - Duration::from_millis(span as u64);
    let mut file = BufWriter::new(File::create(path).expect("there is room"));
    for n in 0..lines {
        let at = start + Duration::from_millis((span * n / lines) as u64);
        writeln!(file, "{at:.3} {padding}").expect("there is room");
    }
    lines
}

async fn begin(log: &Path, name: &str, seek: bool) {
    let space = PathSpace::own();
    let pattern = log.display().to_string();
    let reader = FileReader::new(space, vec![pattern], HashMap::new());
    let mut reader = if seek { reader.since(since()) } else { reader };
    let (start, cpu) = (Instant::now(), processor_time());
    let mut lines = 0;
    loop {
        let batch = reader.next().await;
        lines += batch.lines.len();
        let done = reader
            .states()
            .iter()
            .all(|state| state.status == FileStatus::Following && state.behind == 0);
        if done {
            break;
        }
    }
    let (took, cpu) = (start.elapsed().as_secs_f64(), processor_time() - cpu);
    println!("{name:<28}{took:>8.3} s{lines:>12}{cpu:>8.2} s");
}

/// As the daemon makes it.
fn since() -> Since {
    let spec = FilterSpec { failregex: vec!["<HOST>".into()], ..FilterSpec::default() };
    let filter = Arc::new(Filter::new(&spec).expect("it is a regex"));
    let now = Timestamp::now();
    let mut dating = Dating::new(&filter, TimeZone::UTC, now);
    Since::new(now, now - FIND_TIME, move |line| dating.date(line))
}

async fn follow_quiet(folder: &Path) {
    let pattern = format!("{}/quiet-*.log", folder.display());
    let mut reader = FileReader::new(PathSpace::own(), vec![pattern], HashMap::new());
    while tokio::time::timeout(Duration::from_secs(1), reader.next()).await.is_ok() {}
    // The pace slows down when nothing moved for a while.
    let _ = tokio::time::timeout(QUIET, reader.next()).await;
    let cpu = processor_time();
    let _ = tokio::time::timeout(QUIET, reader.next()).await;
    let percent = (processor_time() - cpu) / QUIET.as_secs_f64() * 100.0;
    println!("{} quiet files: {percent:.1} % of one processor", reader.states().len());
}

fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}
