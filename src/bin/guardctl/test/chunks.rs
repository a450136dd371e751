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
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text.trim_end_matches('\r')),
        Err(_) => Cow::Owned(guard::model::Line::text_of(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out at most so many bytes at once.
    struct Slow<'t>(&'t [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    /// The lines of `text`, at most `size` bytes each, read `at_once` bytes at once.
    fn lines(text: &str, size: usize, at_once: usize) -> Vec<String> {
        let mut chunks = Chunks::with_size(Slow(text.as_bytes(), at_once), size);
        let mut lines = Vec::new();
        loop {
            let chunk = chunks.next().unwrap();
            if chunk.is_empty() {
                return lines;
            }
            each_line(chunk, |line| {
                lines.push(text_of(line).into_owned());
                Ok::<(), ()>(())
            })
            .unwrap();
        }
    }

    #[test]
    fn lines_are_whole_however_they_are_read() {
        for at_once in 1..12 {
            for size in 8..12 {
                let check = |text: &str, expected: &[&str]| {
                    assert_eq!(lines(text, size, at_once), expected, "{text:?} {size} {at_once}");
                };
                check("", &[]);
                check("\n", &[""]);
                check("a\n\nbc\r\nd", &["a", "", "bc", "d"]);
                check("a\n\nbcdefg\n", &["a", "", "bcdefg"]);
                check("a\rb\0c\n", &["a\rb\0c"]);
            }
        }
    }

    #[test]
    fn an_endless_line_is_one_line() {
        for at_once in 1..20 {
            let check = |text: &str, expected: &[&str]| {
                assert_eq!(lines(text, 8, at_once), expected, "{text:?} {at_once}");
            };
            check("x\n0123456789abcdef\ny\nz", &["x", "01234567", "y", "z"]);
            check("01234567\ny", &["01234567", "y"]);
            check("01234567", &["01234567"]);
            check("0123456789", &["01234567"]);
            check("0123456789abcdefghi\n\n", &["01234567", ""]);
        }
    }

    #[test]
    fn texts_are_those_that_guard_sees() {
        let check = |line: &[u8]| assert_eq!(text_of(line), guard::model::Line::text_of(line));
        check(b"a\r\r");
        check(b"a\xffb\r");
        check(&vec![b'x'; 2 * MAX_LINE]);
        check(&vec![0xff; 2 * MAX_LINE]);
        check("é".repeat(MAX_LINE).as_bytes());
        check(format!("x{}", "é".repeat(MAX_LINE)).as_bytes());
    }
}
