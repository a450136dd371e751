//! Lines go through a filter, and what comes of each goes to a sink.

use std::io;

use guard::filter::{Carrier, Judge, Phase};
use guard::model::Timestamp;

use super::chunks;
use super::told::{Names, Told};

/// Where verdicts go.
pub(super) trait Sink {
    /// Line `number`, from 1, is this; `judge` has its groups and what it saw.
    ///
    /// # Errors
    /// What is printed into is gone or full.
    fn line(&mut self, number: u64, text: &str, told: &Told, judge: &Judge) -> io::Result<()>;

    /// All lines of a chunk were judged.
    ///
    /// # Errors
    /// What is printed into is gone or full.
    fn chunk_ends(&mut self) -> io::Result<()>;
}

/// A filter at work on a log.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) judge: Judge,
    names: Names,
    carrier: Carrier,
    /// How many lines there were.
    pub(super) lines: u64,
}

impl Trial {
    pub(super) fn new(judge: Judge, carrier: Carrier) -> Trial {
        Trial { judge, names: Names::default(), carrier, lines: 0 }
    }

    /// Judges the whole lines of `chunk`, the log's next, at `now`.
    ///
    /// # Errors
    /// Those of `sink`.
    pub(super) fn chunk(
        &mut self,
        chunk: &[u8],
        now: Timestamp,
        sink: &mut impl Sink,
    ) -> io::Result<()> {
        let at = (self.carrier == Carrier::Journal).then_some(now);
        chunks::each_line(chunk, |line| {
            let text = chunks::text_of(line);
            self.lines += 1;
            let verdict = self.judge.feed_text(&text, at, now, Phase::Replay);
            let told = self.names.told(verdict, &self.judge);
            sink.line(self.lines, &text, &told, &self.judge)
        })?;
        sink.chunk_ends()
    }
}
