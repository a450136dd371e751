//! `guardctl test`: tries a filter on a log, as fail2ban-regex does.
//!
//! The log is read as a stream: memory does not grow with it, and its lines are judged
//! as they come.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::Path;

use guard::control::print::Outcome;
use guard::model::Timestamp;

use crate::Failure;
use chunks::Chunks;
pub(crate) use options::Options;
use setup::Setup;
use trial::{Sink, Trial};

mod chunks;
mod json;
mod options;
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
    let mut trial = Trial::new(setup.judge(), setup.carrier);
    if json {
        log.feed(&mut trial, options.now, &mut json::JsonLines(out))?;
    }
    Ok(Outcome::Done)
}

/// A log that is being read.
struct Log<'o> {
    name: &'o Path,
    from: Box<dyn Read>,
    /// Its length in bytes, where that is known.
    size: Option<u64>,
}

impl Log<'_> {
    fn open(name: &Path) -> Result<Log<'_>, Failure> {
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

    /// Judges all its lines.
    fn feed(
        self,
        trial: &mut Trial,
        now: Option<Timestamp>,
        sink: &mut impl Sink,
    ) -> Result<(), Failure> {
        let mut chunks = Chunks::new(self.from);
        loop {
            let chunk = chunks.next().map_err(|error| unreadable(self.name, &error))?;
            if chunk.is_empty() {
                return Ok(());
            }
            trial.chunk(chunk, now.unwrap_or_else(Timestamp::now), sink)?;
        }
    }
}

fn unreadable(name: &Path, error: &io::Error) -> Failure {
    let name =
        if name.as_os_str() == "-" { "standard input".into() } else { name.to_string_lossy() };
    Failure::Input(format!("{name} can't be read: {error}"))
}
