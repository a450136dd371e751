//! Passing over the lines of a chunk that no regex can match, many at a time.
//!
//! Most lines of a log are of no interest. Looking for the needles in a whole chunk
//! costs a fraction of looking at each of its lines.

use std::ops::Range;

use memchr::{memchr, memrchr};

use super::needles::Needles;

/// The lines of a chunk that must be looked at.
#[derive(Debug)]
pub struct Candidates<'n, 'c> {
    needles: Option<&'n Needles>,
    chunk: &'c [u8],
    /// What lies before was told of, or passed over.
    at: usize,
    /// The next needle, if it is known and lies behind `at`.
    needle: Next,
    /// The next terminal escape: regexes see them removed, so that there may be needles
    /// where none can be seen.
    escape: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Unknown,
    At(usize),
    None,
}

const ESC: u8 = 0x1b;

impl<'n, 'c> Candidates<'n, 'c> {
    pub(super) fn new(needles: Option<&'n Needles>, chunk: &'c [u8]) -> Candidates<'n, 'c> {
        Candidates { needles, chunk, at: 0, needle: Next::Unknown, escape: Next::Unknown }
    }

    /// The next place in the chunk at which something speaks for its line.
    fn sign(&mut self, needles: &Needles) -> Option<usize> {
        let (chunk, at) = (self.chunk, self.at);
        let needle = self.needle.from(at, || needles.find(chunk, at));
        let escape = self.escape.from(at, || memchr(ESC, &chunk[at..]).map(|found| at + found));
        match (needle, escape) {
            (Some(needle), Some(escape)) => Some(needle.min(escape)),
            (needle, escape) => needle.or(escape),
        }
    }
}

impl Next {
    /// The first one from `at` on, which `find` knows.
    fn from(&mut self, at: usize, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let known = match *self {
            Next::None => return None,
            Next::At(known) if known >= at => Some(known),
            Next::At(_) | Next::Unknown => find(),
        };
        *self = known.map_or(Next::None, Next::At);
        known
    }
}

impl Iterator for Candidates<'_, '_> {
    /// Where in the chunk the line is, without its `\n`.
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.at >= self.chunk.len() {
            return None;
        }
        let sign = match self.needles {
            Some(needles) => self.sign(needles)?,
            None => self.at,
        };
        let start = memrchr(b'\n', &self.chunk[self.at..sign]).map_or(self.at, |n| self.at + n + 1);
        let end = memchr(b'\n', &self.chunk[sign..]).map_or(self.chunk.len(), |n| sign + n);
        self.at = end + 1;
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(needles: Option<&Needles>, chunk: &str) -> Vec<String> {
        let lines = Candidates::new(needles, chunk.as_bytes());
        lines.map(|line| chunk[line].to_owned()).collect()
    }

    #[test]
    fn lines_with_a_sign_in_them() {
        let needles = Needles::of(["failed from"], "").unwrap();
        let check = |chunk: &str, expected: &[&str]| {
            assert_eq!(found(Some(&needles), chunk), expected, "{chunk:?}");
        };
        check("", &[]);
        check("a\nfailed from\nb\n", &["failed from"]);
        check("failed x\nfailed x", &["failed x", "failed x"]);
        check("a\n\x1b[1mfai\x1b[mled\nb\n", &["\x1b[1mfai\x1b[mled"]);
        check("a\nb\n\n", &[]);
        assert_eq!(found(None, "a\n\nb\n"), ["a", "", "b"]);
    }

    proptest! {
        #[test]
        fn no_line_with_a_sign_is_passed_over(chunk in "(failed| from|\n|\x1b|x|é){0,30}") {
            let needles = Needles::of(["failed from"], "").unwrap();
            let expected: Vec<_> = chunk
                .split('\n')
                .filter(|line| needles.may_match(line) || line.contains('\x1b'))
                .collect();
            prop_assert_eq!(found(Some(&needles), &chunk), expected);
        }
    }
}
