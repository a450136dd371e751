//! The default templates as a scanner: one walk over the line's words, no regex.
//!
//! The leftmost timestamp wins, because an attacker's text mostly stands right of the
//! real one; where several templates fit at one place, the one that fitted last on
//! this source.
//!
//! Different from fail2ban: a fraction may have any number of digits (Docker's and
//! Go's nine are cut whole, with the zone behind them), an upper-case word before
//! the month is a zone only if it is a known one, and years are those of 2000–2099.

use super::Stamp;
use super::cursor::{is_word, word_before};
use super::template::{Read, Template};

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
