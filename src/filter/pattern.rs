//! Regex text that remembers where in the user's text each byte came from.
//!
//! Invariant: one origin per byte of the text, and every origin lies on
//! character boundaries of the user's text.

use std::ops::Range;

/// The text of a regex on its way from the user's to the engine's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    origins: Vec<Range<usize>>,
    user_len: usize,
}

impl Pattern {
    /// A pattern that is still to be written, for a user's text of `user_len` bytes.
    pub(super) fn empty(user_len: usize) -> Pattern {
        Pattern { text: String::new(), origins: Vec::new(), user_len }
    }

    /// The user's own text.
    #[cfg(test)]
    pub(super) fn of_user(text: &str) -> Pattern {
        let mut pattern = Pattern::empty(text.len());
        pattern.push_user(text, 0);
        pattern
    }

    /// A pattern with nothing in it, for the same user's text.
    pub(super) fn fresh(&self) -> Pattern {
        Pattern::empty(self.user_len)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Appends `text`, which is the user's and lies at `at` in the user's text.
    pub(super) fn push_user(&mut self, text: &str, at: usize) {
        for (offset, char) in text.char_indices() {
            let origin = at + offset..at + offset + char.len_utf8();
            self.text.push(char);
            self.origins.extend(std::iter::repeat_n(origin, char.len_utf8()));
        }
    }

    /// Appends `text`, which stands for `origin` in the user's text.
    pub(super) fn push(&mut self, text: &str, origin: Range<usize>) {
        self.text.push_str(text);
        self.origins.extend(std::iter::repeat_n(origin, text.len()));
    }

    /// Where in the user's text `range` of this text came from.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let within = range.start.min(self.origins.len())..range.end.min(self.origins.len());
        match self.origins.get(within) {
            Some([first, .., last]) => first.start..last.end.max(first.end),
            Some([only]) => only.clone(),
            _ => {
                let start = self.origins.get(range.start).map_or(self.user_len, |o| o.start);
                start..start
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_lead_back_to_the_user() {
        let mut pattern = Pattern::empty(12);
        pattern.push_user("é ", 0);
        pattern.push("(?P<ip4>x)", 3..9);
        pattern.push_user("abc", 9);
        assert_eq!(pattern.text(), "é (?P<ip4>x)abc");
        assert_eq!(pattern.origin(0..2), 0..2);
        assert_eq!(pattern.origin(5..7), 3..9);
        assert_eq!(pattern.origin(11..14), 3..10);
        assert_eq!(pattern.origin(15..16), 11..12);
        assert_eq!(pattern.origin(16..16), 12..12);
        assert_eq!(pattern.origin(50..99), 12..12);
    }
}
