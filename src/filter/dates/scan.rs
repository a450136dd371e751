//! The default templates as a scanner: one walk over the line's words, no regex.
//!
//! The leftmost timestamp wins, because an attacker's text mostly stands right of the
//! real one; where several templates fit at one place, the one that fitted last on
//! this source.
//!
//! Different from fail2ban: a fraction may have any number of digits (Docker's and
//! Go's nine are cut whole, with the zone behind them), an upper-case word before
//! the month is a zone only if it is a known one, names of months and days may also be
//! written out, years are those of 2000–2099, and a time of day that goes on like an
//! address is none. In a date that can be read in several ways, the first is not a
//! guess from the places of earlier ones.

use std::ops::Range;

use super::Stamp;
use super::cursor::{is_word, word_before};
use super::marks;
use super::template::{Read, Template};

/// So many bytes are looked at word by word: a date is mostly there.
const AT_ONCE: usize = 128;

/// From a date's first byte to its first mark it is less than this.
const TO_MARK: usize = 64;

/// The scanner at work on one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanner {
    /// What fitted last.
    last: Option<Template>,
}

impl Scanner {
    /// The leftmost timestamp in `text` that begins before `end`, and nothing if that is
    /// no real date.
    pub(super) fn find_before(&mut self, text: &str, end: usize) -> Option<Stamp> {
        let (template, read) = self.leftmost(text, end)?;
        match read {
            Read::Stamp(stamp) => {
                self.last = Some(template);
                Some(stamp)
            }
            Read::NoSuchDay => None,
        }
    }

    fn leftmost(&self, text: &str, end: usize) -> Option<(Template, Read)> {
        let end = end.min(text.len());
        if let found @ Some(_) = self.within(text, 0..end.min(AT_ONCE)) {
            return found;
        }
        let mut at = AT_ONCE;
        while at < end {
            // Every template has a mark in it; what has none until here begins no date.
            let marked = marks::next(text.as_bytes(), at)?;
            let start = at.max(marked.start.saturating_sub(TO_MARK));
            at = marked.end;
            if let found @ Some(_) = self.within(text, start..at.min(end)) {
                return found;
            }
        }
        None
    }

    /// The same without skipping anything.
    #[cfg(test)]
    pub(super) fn find_slowly(&self, text: &str) -> Option<Stamp> {
        match self.within(text, 0..text.len())?.1 {
            Read::Stamp(stamp) => Some(stamp),
            Read::NoSuchDay => None,
        }
    }

    /// The leftmost that begins in `range`.
    fn within(&self, text: &str, range: Range<usize>) -> Option<(Template, Read)> {
        let bytes = text.as_bytes();
        let mut at = range.start;
        while at < range.end {
            let starts = match bytes[at] {
                b'@' | b'+' | b'-' | b'<' => true,
                byte => byte.is_ascii() && is_word(byte) && !word_before(text, at),
            };
            if starts && let Some(found) = self.at(text, at) {
                return Some(found);
            }
            // Within a word nothing begins. Beyond ASCII, bytes are taken one by one: the
            // next word looks at the character before it.
            let word = bytes[at..].iter().take_while(|b| b.is_ascii() && is_word(**b)).count();
            at += word.max(1);
        }
        None
    }

    fn at(&self, text: &str, at: usize) -> Option<(Template, Read)> {
        let candidates = Template::candidates(text.as_bytes(), at);
        let try_one = |template: Template| Some((template, template.read(text, at)?));
        if candidates.len() > 1
            && let Some(last) = self.last.filter(|last| candidates.contains(last))
            && let Some(found) = try_one(last)
        {
            return Some(found);
        }
        candidates.iter().copied().find_map(try_one)
    }
}
