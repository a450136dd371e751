//! `guardctl test`: tries a filter on a log, as fail2ban-regex does.
//!
//! The log is read as a stream: memory does not grow with it, and its lines are judged
//! as they come.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use guard::control::print::Outcome;
use guard::model::Timestamp;

use crate::Failure;
use chunks::Chunks;
use json::JsonLines;
pub(crate) use options::Options;
use progress::Progress;
use report::{Echo, Report};
use setup::Setup;
pub(crate) use told::Told;
pub(crate) use trial::{Sink, Trial};

mod chunks;
mod header;
mod json;
mod miss;
mod options;
mod progress;
mod report;
mod setup;
mod told;
mod trial;

/// Runs `guardctl test`.
///
/// # Errors
/// No such filter, a wrong regex, a log that can't be read.
pub(crate) fn run(options: &Options, json: bool) -> Result<Outcome, Failure> {
    let setup = Setup::new(options)?;
    let out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let log = Log::open(&options.file)?;
    let mut trial = Trial::new(setup.judge(), Arc::clone(&setup.filter), setup.carrier);
    if json {
        log.feed(&mut trial, options.now, &mut JsonLines(out), true)?;
        return Ok(Outcome::Done);
    }
    let echo = Echo { matched: options.print_all_matched, missed: options.print_all_missed };
    let mut report = Report::new(out, &setup, echo, options.now);
    write!(report.out, "{}", header::text(&setup, log.name, log.size))?;
    report.out.flush()?;
    let started = Instant::now();
    let bytes = log.feed(&mut trial, options.now, &mut report, echo.matched || echo.missed)?;
    let passed = started.elapsed();
    report.results(options.verbose)?;
    let rate = progress::rate(bytes, trial.lines, passed);
    writeln!(
        report.out,
        "\n[processed in {:.2} s: {rate}; searches given up after too many steps: {}]",
        passed.as_secs_f64(),
        trial.judge.given_up(),
    )?;
    report.out.flush()?;
    Ok(Outcome::Done)
}

/// A log that is being read.
pub(crate) struct Log<'o> {
    name: &'o Path,
    from: Box<dyn Read>,
    /// Its length in bytes, where that is known.
    size: Option<u64>,
}

impl Log<'_> {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn open(name: &Path) -> Result<Log<'_>, Failure> {
        if name.as_os_str() == "-" {
            return Ok(Log { name, from: Box::new(io::stdin().lock()), size: None });
        }
        let open = || {
            let file = File::open(name)?;
            let about = file.metadata()?;
            if about.is_dir() {
                return Err(io::Error::other("it is a folder"));
            }
            Ok((file, about.is_file().then_some(about.len())))
        };
        let (file, size) = open().map_err(|error| unreadable(name, &error))?;
        Ok(Log { name, from: Box::new(file), size })
    }

    /// Judges all its lines, and says how many bytes they were. `talks`: `sink` prints
    /// meanwhile; `now`: the clock, where it stands still.
    ///
    /// # Errors
    /// It can't be read any more, or those of `sink`.
    pub(crate) fn feed(
        self,
        trial: &mut Trial,
        now: Option<Timestamp>,
        sink: &mut impl Sink,
        talks: bool,
    ) -> Result<u64, Failure> {
        let mut progress = Progress::new(self.size, talks);
        let mut chunks = Chunks::new(self.from);
        let mut next = || -> Result<bool, Failure> {
            let chunk = chunks.next().map_err(|error| unreadable(self.name, &error))?;
            trial.chunk(chunk, now.unwrap_or_else(Timestamp::now), sink)?;
            progress.advance(chunk.len(), trial.lines);
            Ok(!chunk.is_empty())
        };
        let mut more = Ok(true);
        while let Ok(true) = more {
            more = next();
        }
        progress.end();
        more.map(|_| progress.bytes())
    }
}

fn unreadable(name: &Path, error: &io::Error) -> Failure {
    let name =
        if name.as_os_str() == "-" { "standard input".into() } else { name.to_string_lossy() };
    Failure::Input(format!("{name} can't be read: {error}"))
}
