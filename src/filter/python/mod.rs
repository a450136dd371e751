//! Python's `re` syntax → the syntax of the `regex` crate.
//!
//! Most of the two is the same, which makes the rest dangerous: `\<` is a literal
//! in Python and a word boundary here, `[a&&b]` a class there and an intersection
//! here, `a++` possessive there and nested here. Every construct is therefore read
//! as Python reads it and written so that it can only mean that. What needs a
//! backtracking engine is refused at its place.
//!
//! Two choices are built in: the text that is searched always ends in its only
//! `\n`, as in fail2ban, so `$` becomes `(?m:$)`, which matches before and after it;
//! and `(?a)`, `(?u)`, `(?L)` are dropped: classes are always Unicode.

mod class;
mod escape;

use std::ops::Range;

use super::error::Fault;
use super::pattern::Pattern;
use escape::{Escape, Place};

/// A pattern in Rust's syntax, and its named groups.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) pattern: Pattern,
    pub(super) groups: Vec<Group>,
}

/// A named group, where the user wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

const LINEAR_ONLY: &str = "this version of guard runs only patterns that can be matched in \
                           linear time";

/// Translates `input`, in Python's dialect.
///
/// # Errors
/// A construct that no linear-time engine has, or that means nothing in Python. Not
/// everything that is wrong is found: what comes out has still to be parsed.
pub(super) fn translate(input: &Pattern) -> Result<Translation, Fault> {
    let mut translator = Translator {
        input,
        text: input.text(),
        at: 0,
        out: input.fresh(),
        head: 0,
        groups: Vec::new(),
        verbose: vec![false],
    };
    translator.run()?;
    Ok(Translation { pattern: translator.out, groups: translator.groups })
}

struct Translator<'p> {
    input: &'p Pattern,
    text: &'p str,
    /// What lies before is translated.
    at: usize,
    out: Pattern,
    /// So much of `out` is flags for the whole pattern.
    head: usize,
    groups: Vec<Group>,
    /// Is `(?x)` on, for each group that is open; the first is the whole pattern.
    verbose: Vec<bool>,
}

impl<'p> Translator<'p> {
    fn rest(&self) -> &'p str {
        &self.text[self.at..]
    }

    /// The next `len` bytes, as the user wrote them.
    fn span(&self, len: usize) -> Range<usize> {
        self.input.origin(self.at..self.at + len)
    }

    /// Writes `text` for the next `len` bytes.
    fn write(&mut self, text: &str, len: usize) {
        let span = self.span(len);
        self.out.push(text, span);
        self.at += len;
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
        self.verbose.last().copied().unwrap_or(false)
    }

    fn run(&mut self) -> Result<(), Fault> {
        while let Some(char) = self.rest().chars().next() {
            match char {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => {
                    if self.verbose.len() > 1 {
                        self.verbose.pop();
                    }
                    self.copy(1);
                }
                '$' => self.write("(?m:$)", 1),
                '*' | '+' | '?' => self.quantifier("", 1)?,
                '{' => match braces(self.rest()) {
                    Some((repetition, len)) => self.quantifier(&repetition, len)?,
                    None => self.literal('{', 1),
                },
                '.' | '^' | '|' => self.copy(1),
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
    /// the `?` that may follow it.
    fn quantifier(&mut self, text: &str, len: usize) -> Result<(), Fault> {
        match self.rest().as_bytes().get(len) {
            Some(b'+') => {
                let remedy = format!("leave out the second `+`; {LINEAR_ONLY}");
                return Err(self.fault(len + 1, "a possessive quantifier", Some(remedy)));
            }
            Some(b'?') => {
                self.quantity(text, len);
                self.copy(1);
            }
            _ => self.quantity(text, len),
        }
        Ok(())
    }

    fn quantity(&mut self, text: &str, len: usize) {
        if text.is_empty() { self.copy(len) } else { self.write(text, len) }
    }

    fn fault(&self, len: usize, what: impl Into<String>, remedy: Option<String>) -> Fault {
        Fault { span: self.span(len), what: what.into(), remedy }
    }

    /// An opening parenthesis with all that belongs to it.
    fn open(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        if let Some((flags, len)) = scoped_flags(rest) {
            return self.flags(flags, len, ':');
        }
        let Some(extension) = rest.strip_prefix("(?") else {
            self.verbose.push(self.is_verbose());
            self.copy(1);
            return Ok(());
        };
        for (start, what, remedy) in NOT_LINEAR {
            if extension.starts_with(start) {
                let remedy = format!("{remedy}; {LINEAR_ONLY}");
                return Err(self.fault(2 + start.len(), *what, Some(remedy)));
            }
        }
        if extension.starts_with('#') {
            let Some(end) = rest.find(')') else {
                return Err(self.fault(rest.len(), "a comment `(?#` without its `)`", None));
            };
            self.at += end + 1;
            return Ok(());
        }
        if extension.starts_with(':') {
            self.verbose.push(self.is_verbose());
            self.copy(3);
            return Ok(());
        }
        if let Some(name) = extension.strip_prefix("P<").or_else(|| extension.strip_prefix('<')) {
            return self.named(name);
        }
        match extension.find([':', ')']) {
            Some(end) => {
                let after = if extension[end..].starts_with(':') { ':' } else { ')' };
                self.flags(&extension[..end], 2 + end + 1, after)
            }
            None => Err(self.fault(rest.len().min(2), "a group without its `)`", None)),
        }
    }

    /// `(?P<name>`, with `name` and all after it given.
    fn named(&mut self, name: &'p str) -> Result<(), Fault> {
        let start = self.rest().len() - name.len();
        let Some(end) = name.find('>') else {
            return Err(self.fault(start, "a group's name without its `>`", None));
        };
        let name = &name[..end];
        let identifier = |c: char| c.is_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(char::is_numeric) || !name.chars().all(identifier) {
            let what = format!("`{name}` can't be a group's name");
            let remedy = "use letters, digits and `_`, not beginning with a digit".to_owned();
            return Err(self.fault(start + end + 1, what, Some(remedy)));
        }
        self.groups.push(Group { name: name.to_owned(), span: self.span(start + end + 1) });
        self.verbose.push(self.is_verbose());
        self.write(&format!("(?P<{name}>"), start + end + 1);
        Ok(())
    }

    /// Flags of a group (`after` is `:`) or of the whole pattern (`)`), `len` bytes in all.
    fn flags(&mut self, flags: &str, len: usize, after: char) -> Result<(), Fault> {
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        let known = |flags: &str, known: &str| flags.chars().all(|flag| known.contains(flag));
        if flags.is_empty() || !known(on, "aiLmsux") || !known(off, "imsx") || flags.ends_with('-')
        {
            let what = format!("`(?{flags}` is no group and no flag that Python knows");
            return Err(self.fault(len, what, None));
        }
        let whole = after == ')';
        if whole && (self.out.text().len() > self.head || self.verbose.len() > 1) {
            let what = format!("flags `(?{flags})` for the whole pattern must stand at its start");
            let remedy = format!("for a part of it, write `(?{flags}:…)`");
            return Err(self.fault(len, what, Some(remedy)));
        }
        let verbose = !off.contains('x') && (on.contains('x') || self.is_verbose());
        match self.verbose.first_mut() {
            Some(first) if whole => *first = verbose,
            _ => self.verbose.push(verbose),
        }
        let (on, off) = (kept(on), kept(off));
        let dash = if off.is_empty() { "" } else { "-" };
        if whole && on.is_empty() {
            self.at += len;
        } else {
            self.write(&format!("(?{on}{dash}{off}{after}"), len);
        }
        if whole {
            self.head = self.out.text().len();
        }
        Ok(())
    }
}

/// What only a backtracking engine can do: how it begins after `(?`, what it is,
/// and what to do instead.
const NOT_LINEAR: &[(&str, &str, &str)] = &[
    ("=", "a look-ahead", LOOK_AROUND),
    ("!", "a negative look-ahead", LOOK_AROUND),
    ("<=", "a look-behind", LOOK_AROUND),
    ("<!", "a negative look-behind", LOOK_AROUND),
    ("P=", "a back-reference", "write out what the group can be"),
    (">", "an atomic group", "write `(?:…)` in its place"),
    ("(", "a conditional", "write one failregex for each case"),
];

const LOOK_AROUND: &str = "write what stands there as part of the regex, or use ignoreregex";

/// The flags that mean the same here, each once.
fn kept(flags: &str) -> String {
    "ims".chars().filter(|flag| flags.contains(*flag)).collect()
}

/// `((?i)x)` and `(?:(?i)x)`, which fail2ban reads as `(?i:x)`: the flags, and the
/// length of all before `x`.
fn scoped_flags(rest: &str) -> Option<(&str, usize)> {
    let inner = rest.strip_prefix("(?:").or_else(|| rest.strip_prefix('('))?;
    let flags = inner.strip_prefix("(?")?;
    let end = flags.find(|c: char| !c.is_ascii_alphabetic())?;
    let len = rest.len() - flags.len() + end + 1;
    (end > 0 && flags[end..].starts_with(')')).then(|| (&flags[..end], len))
}

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
