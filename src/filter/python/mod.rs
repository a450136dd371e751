//! Python's `re` syntax → the syntax of the engines here.
//!
//! Most of the two is the same, which makes the rest dangerous: `\<` is a literal
//! in Python and a word boundary here, `[a&&b]` a class there and an intersection
//! here, `(?(name)…)` tests a group there and a pattern here. Every construct is
//! therefore read as Python reads it and written so that it can only mean that.
//!
//! Two patterns come out. The first means exactly what the user's does; if it is
//! *irregular* (look-around, back-references, conditionals, atomic groups), only the
//! backtracking engine can run it. The second, the *gate*, is always linear and
//! matches wherever the first does, and more: look-arounds are dropped,
//! back-references widened, conditionals become alternatives.
//!
//! `(?a)`, `(?u)`, `(?L)` are dropped: classes are always Unicode.

mod class;
mod escape;
mod group;

use std::ops::Range;

use super::error::Fault;
use super::pattern::Pattern;
use escape::{Escape, Place};
use group::Open;

/// A pattern in Rust's syntax, twice, and its named groups.
#[derive(Debug)]
pub(super) struct Translation {
    /// What the user's pattern means.
    pub(super) pattern: Pattern,
    /// A linear pattern without groups that matches at least where `pattern` does.
    pub(super) gate: Pattern,
    /// What the gate lacks: the look-arounds, as linear groups one behind the other. It
    /// matches nothing of use, but is as large as what they compile to.
    pub(super) around: String,
    /// Where in the user's text is the first thing that needs the backtracking engine?
    pub(super) irregular: Option<Range<usize>>,
    pub(super) groups: Vec<Group>,
}

/// A named group, where the user wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

/// What `^` and `$` mean in the text that is searched. It always ends in `\n`, and
/// Python's `$` matches before that as well as after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// The text is one line: its only `\n` is at its end.
    One,
    /// The text is several lines, and each has its `^` and `$` (`re.MULTILINE`).
    Each,
    /// The text is several lines with one `^` and one `$` for them all.
    All,
}

/// Translates `input`, in Python's dialect, for texts of `lines`.
///
/// # Errors
/// A construct that means nothing in Python. Not everything that is wrong is found:
/// what comes out has still to be parsed.
pub(super) fn translate(input: &Pattern, lines: Lines) -> Result<Translation, Fault> {
    let mut translator = Translator {
        input,
        text: input.text(),
        lines,
        at: 0,
        out: input.fresh(),
        gate: input.fresh(),
        around: String::new(),
        ungated: 0,
        irregular: None,
        head: 0,
        groups: Vec::new(),
        open: vec![Open::plain(false)],
    };
    translator.run()?;
    let Translator { out: pattern, gate, around, irregular, groups, .. } = translator;
    Ok(Translation { pattern, gate, around, irregular, groups })
}

struct Translator<'p> {
    input: &'p Pattern,
    text: &'p str,
    lines: Lines,
    /// What lies before is translated.
    at: usize,
    out: Pattern,
    gate: Pattern,
    around: String,
    /// So many look-arounds are open: what is in them goes to `around`, not to the gate.
    ungated: usize,
    irregular: Option<Range<usize>>,
    /// So much of `out` is flags for the whole pattern.
    head: usize,
    groups: Vec<Group>,
    /// The groups that are open; the first is the whole pattern.
    open: Vec<Open>,
}

/// What stands in the gate for something that it does without.
const NOTHING: &str = "(?:)";

impl<'p> Translator<'p> {
    fn rest(&self) -> &'p str {
        &self.text[self.at..]
    }

    /// The next `len` bytes, as the user wrote them.
    fn span(&self, len: usize) -> Range<usize> {
        self.input.origin(self.at..self.at + len)
    }

    /// Writes `exact` to the pattern and `gate` to the gate, for the next `len` bytes.
    fn write_both(&mut self, exact: &str, gate: &str, len: usize) {
        let span = self.span(len);
        if self.ungated == 0 {
            self.gate.push(gate, span.clone());
        } else {
            self.around.push_str(gate);
        }
        self.out.push(exact, span);
        self.at += len;
    }

    /// Writes `text` for the next `len` bytes.
    fn write(&mut self, text: &str, len: usize) {
        self.write_both(text, text, len);
    }

    /// The same, for something that only the backtracking engine has.
    fn write_irregular(&mut self, exact: &str, gate: &str, len: usize) {
        let span = self.span(len);
        self.irregular.get_or_insert(span);
        self.write_both(exact, gate, len);
    }

    /// Writes the next `len` bytes as they are.
    fn copy(&mut self, len: usize) {
        for char in self.rest()[..len].chars() {
            self.write(char.encode_utf8(&mut [0; 4]), char.len_utf8());
        }
    }

    /// Writes the character for the next `len` bytes, so that it means itself.
    fn literal(&mut self, char: char, len: usize) {
        self.write(&escape::literal(char), len);
    }

    fn is_verbose(&self) -> bool {
        self.open.last().is_some_and(|open| open.verbose)
    }

    fn fault(&self, len: usize, what: impl Into<String>, remedy: Option<String>) -> Fault {
        Fault { span: self.span(len), what: what.into(), remedy }
    }

    fn run(&mut self) -> Result<(), Fault> {
        while let Some(char) = self.rest().chars().next() {
            match char {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.open_group()?,
                ')' => self.close_group(),
                '|' => self.alternative()?,
                '$' if self.lines == Lines::All => {
                    self.write_irregular(r"(?=\n?\z)", "(?m:$)", 1);
                }
                '$' => self.write("(?m:$)", 1),
                '^' if self.lines == Lines::Each => self.write("(?m:^)", 1),
                '*' | '+' | '?' => self.quantifier("", 1),
                '{' => match braces(self.rest()) {
                    Some((repetition, len)) => self.quantifier(&repetition, len),
                    None => self.literal('{', 1),
                },
                '.' | '^' => self.copy(1),
                '#' if self.is_verbose() => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                blank if blank.is_ascii_whitespace() && self.is_verbose() => self.at += 1,
                other => self.literal(other, other.len_utf8()),
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let (escape, len) = escape::read(self.rest(), Place::Outside)
            .map_err(|bad| self.fault(bad.len, bad.what, bad.remedy))?;
        match escape {
            Escape::Literal(char) => self.literal(char, len),
            Escape::Category(_) => self.copy(len),
            Escape::Anchor(anchor) => self.write(anchor, len),
            // Dropped from the gate, which has to be quick: the lazy automaton can't do
            // them beyond ASCII.
            Escape::Boundary(boundary) => self.write_both(boundary, NOTHING, len),
            Escape::Reference(group) => {
                self.write_irregular(&format!(r"(?:\{group})"), ANYTHING, len);
            }
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), Fault> {
        let pieces =
            class::read(self.rest()).map_err(|bad| self.fault(bad.len, bad.what, bad.remedy))?;
        for (text, len) in pieces {
            self.write(&text, len);
        }
        Ok(())
    }

    /// A quantifier of `len` bytes, written as `text` if that is not empty, with
    /// the `?` or `+` that may follow it.
    fn quantifier(&mut self, text: &str, len: usize) {
        if text.is_empty() {
            self.copy(len)
        } else {
            self.write(text, len)
        }
        match self.rest().as_bytes().first() {
            Some(b'?') => self.copy(1),
            // Possessive. Without that it matches more: right for the gate.
            Some(b'+') => self.write_irregular("+", "", 1),
            _ => {}
        }
    }
}

/// What a back-reference is in the gate.
const ANYTHING: &str = "(?s:.*?)";

/// `{3}`, `{3,}`, `{,3}`, `{3,5}` or `{,}` at the start of `rest`, and its length. In
/// Python any other brace is a literal.
fn braces(rest: &str) -> Option<(String, usize)> {
    let end = rest.find('}')?;
    let inner = &rest[1..end];
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let written = match inner.split_once(',') {
        Some((low, high)) if digits(low) && digits(high) => {
            format!("{{{},{high}}}", if low.is_empty() { "0" } else { low })
        }
        None if !inner.is_empty() && digits(inner) => rest[..=end].to_owned(),
        _ => return None,
    };
    Some((written, end + 1))
}

#[cfg(test)]
mod tests;
