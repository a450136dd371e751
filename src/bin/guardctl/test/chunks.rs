//! A log as a stream of whole lines, in memory that does not grow with it.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use guard::model::MAX_LINE;

/// So much is read at once, in bytes.
const CHUNK: usize = 1 << 20;

/// Reads a log chunk by chunk.
#[derive(Debug)]
pub(super) struct Chunks<R> {
    from: R,
    /// Always of the same length.
    buffer: Vec<u8>,
    /// What was read and not given out.
    rest: std::ops::Range<usize>,
    /// The end of an endless line is still to come; its beginning was given out.
    skipping: bool,
}

impl<R: Read> Chunks<R> {
    pub(super) fn new(from: R) -> Chunks<R> {
        Chunks::with_size(from, CHUNK)
    }

    /// Reads at most `size` bytes at once, which must be more than a line may have.
    fn with_size(from: R, size: usize) -> Chunks<R> {
        Chunks { from, buffer: vec![0; size], rest: 0..0, skipping: false }
    }

    /// The next lines, each with its `\n`, which only the last of the log and the
    /// beginning of an endless line may lack. Empty: there are no more.
    ///
    /// # Errors
    /// The log can't be read.
    pub(super) fn next(&mut self) -> io::Result<&[u8]> {
        loop {
            self.buffer.copy_within(self.rest.clone(), 0);
            let held = self.rest.len();
            let read = self.fill(held)?;
            let end = held + read;
            self.rest = 0..end;
            if self.skipping {
                let gone = self.buffer[..end].iter().position(|byte| *byte == b'\n');
                self.skipping = gone.is_none() && read > 0;
                self.rest = gone.map_or(end, |at| at + 1)..end;
                if self.skipping || gone.is_some() {
                    continue;
                }
            }
            let lines = match self.buffer[..end].iter().rposition(|byte| *byte == b'\n') {
                Some(last) => last + 1,
                None if read == 0 => end,
                None if end == self.buffer.len() => {
                    self.skipping = true;
                    end
                }
                None => continue,
            };
            self.rest = lines..end;
            return Ok(&self.buffer[..lines]);
        }
    }

    fn fill(&mut self, held: usize) -> io::Result<usize> {
        loop {
            match self.from.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Calls `sink` with each line of `chunk`, without its `\n`.
///
/// # Errors
/// Those of `sink`.
pub(super) fn each_line<E>(
    mut chunk: &[u8],
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    while !chunk.is_empty() {
        let mut rest = chunk;
        // From memory this can't fail; it is the standard library's quickest search.
        let len = rest.skip_until(b'\n').unwrap_or(chunk.len());
        let line = &chunk[..len];
        sink(line.strip_suffix(b"\n").unwrap_or(line))?;
        chunk = rest;
    }
    Ok(())
}

/// A line's text, as [`Line::text_of`](guard::model::Line::text_of) makes it, but
/// borrowed where it can be.
pub(super) fn text_of(line: &[u8]) -> Cow<'_, str> {
    let line = line.get(..MAX_LINE).unwrap_or(line);
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches('\r')),
        Cow::Owned(_) => Cow::Owned(guard::model::Line::text_of(line)),
    }
}
