//! Several lines matched together (fail2ban's `maxlines`).
//!
//! Each line is searched together with those before it. The lines of a match leave the
//! buffer, except what `<SKIPLINES>` passed over.
//!
//! Each line knows from which line on the source must be read again for the buffer to
//! hold it as it does now: from itself, or from the first line of a match that passed
//! over it.

use std::collections::VecDeque;
use std::ops::Range;

/// Bytes that a buffer holds at most; the oldest lines go first.
const MAX_BYTES: usize = 256 << 10;

/// The last lines of a source, as the regexes see them.
#[derive(Clone, Debug, Default)]
pub(super) struct LineBuffer {
    lines: VecDeque<Held>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Held {
    text: String,
    /// The number of the line that reading must begin with to have this one here again.
    since: u64,
}

impl LineBuffer {
    /// Adds a line, which has no `\n`, and keeps the last `most` lines.
    pub(super) fn push(&mut self, (line, number): (&str, u64), most: usize) {
        self.bytes += line.len();
        self.lines.push_back(Held { text: line.to_owned(), since: number });
        while self.lines.len() > most.max(1) || (self.bytes > MAX_BYTES && self.lines.len() > 1) {
            let gone = self.lines.pop_front().map_or(0, |line| line.text.len());
            self.bytes -= gone;
        }
    }

    /// With which line the source must be read again to have all this again.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.lines.iter().map(|line| line.since).min()
    }

    /// How many lines it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Writes all lines, each with its `\n`, to `out`.
    pub(super) fn show(&self, out: &mut String) {
        out.clear();
        for line in &self.lines {
            out.push_str(&line.text);
            out.push('\n');
        }
    }

    /// Forgets everything but `text`: what prefregex found is all that is left of it.
    pub(super) fn replace(&mut self, text: &str) {
        let since = self.oldest().unwrap_or(0);
        self.lines.clear();
        self.bytes = 0;
        for line in text.split('\n') {
            self.bytes += line.len();
            self.lines.push_back(Held { text: line.to_owned(), since });
        }
    }

    /// Takes the lines out that a match in `text`, which was shown, spans, and returns
    /// them. `skipped` is what its `<SKIPLINES>` passed over: it stays.
    pub(super) fn take(&mut self, text: &str, found: Range<usize>, skipped: &str) -> Vec<String> {
        let lines = spanned(text, found);
        let (first, last) = (lines.start.min(self.lines.len()), lines.end.min(self.lines.len()));
        let drained = self.lines.drain(first..last);
        let (mut matched, since): (Vec<String>, Vec<u64>) =
            drained.map(|line| (line.text, line.since)).unzip();
        let since = since.into_iter().min().unwrap_or(0);
        let mut kept = Vec::new();
        let mut from = 0;
        for skipped in skipped.lines() {
            if let Some(at) = matched.iter().skip(from).position(|line| line == skipped) {
                kept.push(matched.remove(from + at));
                from += at;
            }
        }
        for (offset, line) in kept.into_iter().enumerate() {
            self.lines.insert(first + offset, Held { text: line, since });
        }
        self.bytes = self.lines.iter().map(|line| line.text.len()).sum();
        matched
    }
}

/// The lines of `text` that a match in it spans, by their numbers.
fn spanned(text: &str, found: Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let count = |end: usize| bytes[..end].iter().filter(|b| **b == b'\n').count();
    let start = bytes[..(found.start + 1).min(bytes.len())]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let from = found.end.saturating_sub(1).min(bytes.len());
    let end =
        bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| from + at + 1);
    count(start)..count(end.max(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(lines: &[&str]) -> (LineBuffer, String) {
        let (mut buffer, mut text) = (LineBuffer::default(), String::new());
        (1..).zip(lines).for_each(|(number, line)| buffer.push((line, number), 4));
        buffer.show(&mut text);
        (buffer, text)
    }

    /// A match of `found` that skipped `skipped` takes `taken` and leaves `left`.
    #[track_caller]
    fn check(lines: &[&str], found: &str, skipped: &str, (taken, left): (&str, &str)) {
        let (mut buffer, mut text) = buffer(lines);
        let start = text.find(found).unwrap();
        let matched = buffer.take(&text, start..start + found.len(), skipped);
        assert_eq!(matched.join(" "), taken);
        buffer.show(&mut text);
        assert_eq!(text.trim_end().replace('\n', " "), left);
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(buffer(&["a", "b", "c", "d", "e"]).1, "b\nc\nd\ne\n");
        let (mut buffer, _) = buffer(&["a"]);
        for _ in 0..4 {
            buffer.push((&"x".repeat(MAX_BYTES / 2), 2), 4);
        }
        assert_eq!(buffer.len(), 2);
    }

    #[test]
    fn a_match_takes_its_lines() {
        check(&["a", "b1", "c1", "d"], "b1\nc1", "", ("b1 c1", "a d"));
        check(&["a", "b1", "c1", "d"], "1\nc", "", ("b1 c1", "a d"));
        check(&["a", "b1", "c1", "d"], "b1\n", "", ("b1", "a c1 d"));
        check(&["a"], "a", "", ("a", ""));
    }

    #[test]
    fn skipped_lines_stay() {
        check(&["a", "x", "y", "d"], "a\nx\ny\nd", "x\ny\n", ("a d", "x y"));
        check(&["z", "a", "x", "d"], "a\nx\nd", "x\n", ("a d", "z x"));
    }

    #[test]
    fn what_a_match_passed_over_needs_the_whole_match() {
        let (mut buffer, text) = buffer(&["z", "a", "x", "d"]);
        assert_eq!(buffer.oldest(), Some(1));
        buffer.take(&text, 2..7, "x\n");
        buffer.push(("e", 5), 2);
        assert_eq!((buffer.len(), buffer.oldest()), (2, Some(2)));
        buffer.push(("f", 6), 2);
        assert_eq!(buffer.oldest(), Some(5));
    }
}
