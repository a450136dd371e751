//! Timestamps in lines: where one is, and when that was.
//!
//! Recognised is what fail2ban's default templates recognise, written by hand as a
//! scanner: one walk over the line's words, no regex, no memory. The leftmost
//! timestamp wins, because an attacker's text mostly stands right of the real one;
//! where several templates fit at one place, the one that fitted last on this source.
//!
//! Different from fail2ban: a fraction may have any number of digits (Docker's and
//! Go's nine are cut whole, with the zone behind them), an upper-case word before
//! the month is a zone only if it is a known one, and years are those of 2000–2099.

mod cursor;
mod template;
mod when;

use std::ops::Range;

use cursor::{is_word, word_before};
use template::Template;
pub(super) use when::When;

/// A timestamp in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Where the text to cut out begins and ends; ASCII, so on character boundaries.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) when: When,
}

impl Stamp {
    pub(super) fn cut(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// What a template reads at a place.
enum Read {
    /// A timestamp.
    Stamp(Stamp),
    /// It looks like one, but there is no such day.
    NoSuchDay,
}

/// What dates look like.
#[derive(Clone, Debug, Default)]
pub(super) struct DatePattern;

impl DatePattern {
    pub(super) fn standard() -> DatePattern {
        DatePattern
    }

    pub(super) fn compile(text: &str) -> Result<DatePattern, super::error::Fault> {
        Err(super::error::Fault::new(0..text.len(), "not yet"))
    }
}

/// Finds timestamps on one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Detector {
    /// What fitted last.
    last: Option<Template>,
}

impl Detector {
    pub(super) fn new(_pattern: std::sync::Arc<DatePattern>) -> Detector {
        Detector::default()
    }

    /// The leftmost timestamp in `text`, and nothing if that is no real date.
    pub(super) fn find(&mut self, text: &str) -> Option<Stamp> {
        self.find_before(text, text.len())
    }

    /// The same, if it begins before `end`.
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
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < end
            && let Some(byte) = bytes.get(at)
        {
            let starts = match byte {
                b'@' | b'+' | b'-' | b'<' => true,
                byte => byte.is_ascii() && is_word(*byte) && !word_before(text, at),
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

#[cfg(test)]
mod tests;
