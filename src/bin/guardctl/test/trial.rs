//! Lines go through a filter, and what comes of each goes to a sink.

use std::io;
use std::sync::Arc;

use guard::filter::{Carrier, Filter, Judge, Phase};
use guard::model::Timestamp;

use super::chunks;
use super::told::{Names, Told};

/// Where verdicts go.
pub(crate) trait Sink {
    /// Line `number`, from 1, is this; `judge` has its groups and what it saw.
    ///
    /// # Errors
    /// What is printed into is gone or full.
    fn line(&mut self, number: u64, text: &str, told: &Told, judge: &Judge) -> io::Result<()>;

    /// Must it see every line that is missed?
    fn sees_missed(&self) -> bool;

    /// So many lines more were missed, which it did not see.
    fn missed(&mut self, lines: u64);

    /// All lines of a chunk were judged.
    ///
    /// # Errors
    /// What is printed into is gone or full.
    fn chunk_ends(&mut self) -> io::Result<()>;
}

/// A filter at work on a log.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) judge: Judge,
    filter: Arc<Filter>,
    names: Names,
    carrier: Carrier,
    /// How many lines there were.
    pub(crate) lines: u64,
}

impl Trial {
    /// `judge` is one of `filter`.
    pub(crate) fn new(judge: Judge, filter: Arc<Filter>, carrier: Carrier) -> Trial {
        Trial { judge, filter, names: Names::default(), carrier, lines: 0 }
    }

    /// Judges the whole lines of `chunk`, the log's next, at `now`.
    ///
    /// # Errors
    /// Those of `sink`.
    pub(crate) fn chunk(
        &mut self,
        chunk: &[u8],
        now: Timestamp,
        sink: &mut impl Sink,
    ) -> io::Result<()> {
        let at = (self.carrier == Carrier::Journal).then_some(now);
        let filter = Arc::clone(&self.filter);
        let mut from = 0;
        for line in filter.candidates(chunk) {
            let passed = &chunk[from..line.start];
            self.pass(passed, sink)?;
            let text = chunks::text_of(&chunk[line.clone()]);
            self.lines += 1;
            let verdict = self.judge.feed_after(passed, &text, at, (now, Phase::Replay));
            let told = self.names.told(verdict, &self.judge);
            sink.line(self.lines, &text, &told, &self.judge)?;
            from = (line.end + 1).min(chunk.len());
        }
        self.pass(&chunk[from..], sink)?;
        sink.chunk_ends()
    }

    /// Passes over lines that can't match.
    fn pass(&mut self, lines: &[u8], sink: &mut impl Sink) -> io::Result<()> {
        if sink.sees_missed() {
            return chunks::each_line(lines, |line| {
                self.lines += 1;
                sink.line(self.lines, &chunks::text_of(line), &Told::Missed, &self.judge)
            });
        }
        let count = memchr::memchr_iter(b'\n', lines).count() as u64;
        let count = count + u64::from(!lines.is_empty() && !lines.ends_with(b"\n"));
        self.lines += count;
        sink.missed(count);
        Ok(())
    }
}
