//! How far a large log is read, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A log of less than this is read before anyone wonders, in bytes.
const LARGE: u64 = 64 << 20;

/// Where the size is not known, so much time may pass without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(200);

/// One line on standard error that is written again and again, and erased at the end.
#[derive(Debug)]
pub(super) struct Progress {
    size: Option<u64>,
    bytes: u64,
    started: Instant,
    written: Option<Instant>,
    on: bool,
}

impl Progress {
    /// For a log of `size` bytes. `talks`: verdicts are printed while it is read, which
    /// on the same terminal would get in each other's way.
    pub(super) fn new(size: Option<u64>, talks: bool) -> Progress {
        let quiet = talks && io::stdout().is_terminal();
        let large = size.is_none_or(|size| size > LARGE);
        let on = large && !quiet && io::stderr().is_terminal();
        Progress { size, bytes: 0, started: Instant::now(), written: None, on }
    }

    /// `bytes` more were read, which makes `lines` in all.
    pub(super) fn advance(&mut self, bytes: usize, lines: u64) {
        self.bytes += bytes as u64;
        let passed = self.started.elapsed();
        let due = match self.written {
            Some(written) => written.elapsed() >= EVERY,
            None => self.size.is_some() || passed >= PATIENCE,
        };
        if self.on && due {
            self.written = Some(Instant::now());
            // The log is read whether or not anyone can be told.
            let _ = write!(io::stderr(), "\r{}\x1b[K", line(self.size, self.bytes, lines, passed));
        }
    }

    /// How many bytes were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Erases the line.
    pub(super) fn end(&mut self) {
        if self.written.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(size: Option<u64>, bytes: u64, lines: u64, passed: Duration) -> String {
    let of = match size {
        Some(size @ 1..) => format!("{:3} %", (bytes.saturating_mul(100) / size).min(100)),
        _ => self::size(bytes),
    };
    format!("{of}, {}, {lines} lines", rate(bytes, lines, passed))
}

/// `12.3 MB`, or `12.3 kB` of a small one.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// `12.3 MB/s, 45678 lines/s`.
pub(super) fn rate(bytes: u64, lines: u64, passed: Duration) -> String {
    let seconds = passed.as_secs_f64().max(1e-6);
    format!("{:.1} MB/s, {:.0} lines/s", bytes as f64 / 1e6 / seconds, lines as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_and_how_fast() {
        let told = |size| line(size, 50_000_000, 1000, Duration::from_secs(2));
        assert_eq!(told(Some(200_000_000)), " 25 %, 25.0 MB/s, 500 lines/s, 1000 lines");
        assert_eq!(told(Some(1)), "100 %, 25.0 MB/s, 500 lines/s, 1000 lines");
        assert_eq!(told(None), "50.0 MB, 25.0 MB/s, 500 lines/s, 1000 lines");
        assert_eq!((super::size(999), super::size(1_260_000)), ("1.0 kB".into(), "1.3 MB".into()));
        assert!(!Progress::new(Some(LARGE), false).on, "small");
    }
}
