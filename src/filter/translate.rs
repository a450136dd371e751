//! From a user's regex (fail2ban's tags, Python's `re` syntax) to one for Rust's
//! `regex`, with the way back: where each piece stood in what the user wrote.
//!
//! Some of Python's constructs compile in Rust and mean something else (`\<`,
//! `[a&&b]`, `a++`); those are the reason to walk the whole syntax rather than to
//! replace here and there. What only a backtracking engine can run is refused
//! with its place.

use std::ops::Range;

use super::RegexFlaw;
use super::tags::{self, Tag};

/// A regex for Rust's `regex`, and where its pieces come from.
#[derive(Debug, Default)]
pub(super) struct Translated {
    /// The regex.
    pub(super) regex: String,
    /// Where pieces begin in `regex`, and what they were in the user's text; in order.
    origins: Vec<(usize, Range<usize>)>,
    /// Where the user put an address.
    pub(super) addresses: Vec<Range<usize>>,
}

impl Translated {
    /// What the user wrote for the bytes `span` of the regex.
    pub(super) fn origin(&self, span: Range<usize>) -> Range<usize> {
        let piece = |at: usize| {
            let next = self.origins.partition_point(|(start, _)| *start <= at);
            next.checked_sub(1).and_then(|index| self.origins.get(index))
        };
        let first = piece(span.start).map_or(0, |(_, origin)| origin.start);
        let last = piece(span.end.saturating_sub(1).max(span.start));
        let end = last.map_or(first, |(_, origin)| origin.end);
        first..end.max(first)
    }
}

/// Translates a regex; every construct that can't be had is named, not the first alone.
pub(super) fn translate(user: &str) -> Result<Translated, Vec<RegexFlaw>> {
    let mut walker = Walker { user, at: 0, out: Translated::default(), flaws: Vec::new() };
    while walker.at < user.len() {
        walker.step();
    }
    if walker.flaws.is_empty() { Ok(walker.out) } else { Err(walker.flaws) }
}

struct Walker<'a> {
    user: &'a str,
    at: usize,
    out: Translated,
    flaws: Vec<RegexFlaw>,
}

impl Walker<'_> {
    fn rest(&self) -> &str {
        &self.user[self.at..]
    }

    /// Writes `text` for the next `length` bytes of the user's regex.
    fn put(&mut self, length: usize, text: &str) {
        let origin = self.at..self.at + length;
        self.out.origins.push((self.out.regex.len(), origin));
        self.out.regex.push_str(text);
        self.at += length;
    }

    fn copy(&mut self, length: usize) {
        let text = self.user[self.at..self.at + length].to_owned();
        self.put(length, &text);
    }

    fn refuse(&mut self, length: usize, what: &str, remedy: &str) {
        let span = self.at..self.at + length;
        self.flaws.push(RegexFlaw { span, what: what.to_owned(), remedy: Some(remedy.to_owned()) });
        self.at += length;
    }

    fn step(&mut self) {
        let Some(next) = self.rest().chars().next() else { return };
        match next {
            '<' => self.tag(),
            '\\' => self.escape(false),
            '[' => self.class(),
            '(' => self.group(),
            // The text always ends in a newline, before which `$` matches too.
            '$' => self.put(1, "(?m:$)"),
            '*' | '+' | '?' => self.quantifier(1),
            '{' => match counted(self.rest()) {
                Some(length) => self.quantifier(length),
                None => self.put(1, "\\{"),
            },
            other => self.copy(other.len_utf8()),
        }
    }

    fn tag(&mut self) {
        let Some((length, tag)) = tags::read(self.rest()) else { return self.copy(1) };
        match tag {
            Tag::Address(regex) => {
                self.out.addresses.push(self.at..self.at + length);
                self.put(length, &regex);
            }
            Tag::Other(regex) => self.put(length, &regex),
            Tag::Unsupported => self.refuse(
                length,
                "this tag is not supported in this version of guard",
                "mark the address with <HOST>, and match the rest with plain regex",
            ),
        }
    }

    fn quantifier(&mut self, length: usize) {
        let text = &self.user[self.at..self.at + length];
        let text = text.replacen("{,", "{0,", 1);
        self.put(length, &text);
        match self.rest().chars().next() {
            Some('?') => self.copy(1),
            Some('+') => self.refuse(
                1,
                "a possessive quantifier needs a backtracking engine, which this version does not have",
                "drop the `+`",
            ),
            _ => {}
        }
    }

    /// An escape, outside or inside of a class.
    fn escape(&mut self, in_class: bool) {
        let Some(next) = self.rest().chars().nth(1) else {
            return self.refuse(1, "nothing follows the backslash", "write `\\\\` for a backslash");
        };
        let length = 1 + next.len_utf8();
        match next {
            // Literal in Python, word boundaries in Rust.
            '<' | '>' => self.put(length, &next.to_string()),
            'b' if in_class => self.put(length, "\\x08"),
            'Z' if !in_class => self.put(length, "\\z"),
            'A' | 'B' | 'b' if !in_class => self.copy(length),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 't' | 'r' | 'f' | 'v' | 'a' => {
                self.copy(length);
            }
            'x' => self.code(2),
            'u' => self.code(4),
            'U' => self.code(8),
            '0' => self.put(length, "\\x00"),
            '1'..='9' => self.refuse(
                length,
                "a back-reference needs a backtracking engine, which this version does not have",
                "match the repeated text with a pattern of its own",
            ),
            _ if next.is_ascii_alphabetic() => self.refuse(
                length,
                &format!("`\\{next}` is no escape of Python's regexes"),
                &format!("write `{next}` if the letter is meant"),
            ),
            _ if next.is_ascii() => self.copy(length),
            _ => self.put(length, &next.to_string()),
        }
    }

    /// `\xhh`, `\uhhhh`, `\Uhhhhhhhh`
    fn code(&mut self, digits: usize) {
        let hex = self.rest().get(2..2 + digits);
        match hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(_) => self.copy(2 + digits),
            None => self.refuse(2, "hexadecimal digits are missing here", "write `\\x41` for `A`"),
        }
    }

    fn class(&mut self) {
        let opened = self.at;
        self.copy(1);
        if self.rest().starts_with('^') {
            self.copy(1);
        }
        if self.rest().starts_with(']') {
            self.put(1, "\\]");
        }
        loop {
            let mut next = self.rest().chars();
            match (next.next(), next.next()) {
                (None, _) => {
                    let span = opened..opened + 1;
                    let what = "this character class is never closed".to_owned();
                    let remedy = Some("write `\\[` for a bracket".to_owned());
                    self.flaws.push(RegexFlaw { span, what, remedy });
                    return;
                }
                (Some(']'), _) => return self.copy(1),
                (Some('\\'), _) => self.escape(true),
                // A nested class in Rust.
                (Some('['), _) => self.put(1, "\\["),
                // Operations on sets in Rust.
                (Some(c @ ('&' | '~' | '-')), Some(same)) if c == same => {
                    self.put(2, &format!("\\{c}\\{c}"));
                }
                (Some(c), _) => self.copy(c.len_utf8()),
            }
        }
    }

    fn group(&mut self) {
        const NO_LOOK: &str =
            "look-around needs a backtracking engine, which this version does not have";
        let rest = self.rest();
        if !rest.starts_with("(?") {
            return self.copy(1);
        }
        let starts = |with: &str| rest.starts_with(with);
        if starts("(?P<") || starts("(?:") {
            let length = if starts("(?:") { 3 } else { 4 };
            self.copy(length);
        } else if starts("(?#") {
            let length = rest.find(')').map_or(rest.len(), |end| end + 1);
            self.put(length, "");
        } else if starts("(?=") || starts("(?!") {
            self.refuse(3, NO_LOOK, "match what may follow, or use an ignoreregex");
        } else if starts("(?<=") || starts("(?<!") {
            self.refuse(4, NO_LOOK, "match what stands before as well");
        } else if starts("(?P=") {
            let what =
                "a back-reference needs a backtracking engine, which this version does not have";
            self.refuse(4, what, "match the repeated text with a pattern of its own");
        } else if starts("(?(") {
            let what =
                "a conditional needs a backtracking engine, which this version does not have";
            self.refuse(3, what, "write one failregex for each case");
        } else if starts("(?>") {
            let what =
                "an atomic group needs a backtracking engine, which this version does not have";
            self.refuse(3, what, "write `(?:`");
        } else {
            self.flags();
        }
    }

    /// `(?i)`, `(?i:…)`, `(?a-i:…)`; the flags that Rust lacks are dropped.
    fn flags(&mut self) {
        let rest = self.rest();
        let flags = &rest[2..];
        let length = flags.find(|c: char| !"aiLmsux-".contains(c)).unwrap_or(flags.len());
        let end = flags[length..].chars().next();
        if !matches!(end, Some(')' | ':')) {
            return self.refuse(2, "this kind of group is not known", "write `(?:` or `\\(\\?`");
        }
        let kept: String = flags[..length].chars().filter(|c| !"aLu".contains(*c)).collect();
        let kept = kept.trim_end_matches('-');
        let text = match (end, kept) {
            (Some(')'), "") => String::new(),
            (Some(')'), kept) => format!("(?{kept})"),
            (_, kept) => format!("(?{kept}:"),
        };
        self.put(2 + length + 1, &text);
    }
}

/// Length of `{3}`, `{3,}`, `{,3}`, `{3,5}` at the start; all else is a literal brace.
fn counted(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('{')?;
    let end = inside.find('}')?;
    let (low, high) = match inside[..end].split_once(',') {
        Some((low, high)) => (low, high),
        None if end == 0 => return None,
        None => (&inside[..end], ""),
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let empty = low.is_empty() && high.is_empty();
    (number(low) && number(high) && !empty).then_some(end + 2)
}
