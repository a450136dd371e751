//! Timestamps in lines: where one is, and when that was.
//!
//! What they look like is a [`DatePattern`]: fail2ban's default, which a hand-written
//! scanner (`scan`) reads, or what a `datepattern` says. Each of its lines becomes one
//! or more templates, regexes that are linear in the line:
//!
//! ```text
//! {^LN-BEG}%Y(?P<_s>[-/])%m(?P=_s)%d
//!   compile    names for whole patterns, {DATE}
//!   separator  the back-reference unfolds into a choice
//!   layout     where it may begin and end, what is cut out, look-arounds at its edges
//!   written    tokens become groups
//!   assemble   Python's dialect becomes Rust's; a regex
//! ```
//!
//! Which of several templates counts in a line, `choice` says. Different from
//! fail2ban: `%f` takes up to nine digits and they count, `%ExY` is 2000–2099, digits
//! are ASCII, zones are only those that are known, in capitals, and a leap second is
//! the one before.

mod assemble;
mod choice;
mod compile;
mod cursor;
mod defaults;
mod field;
mod layout;
mod marks;
mod scan;
mod separator;
mod source;
mod template;
mod token;
mod when;
mod written;

use std::ops::Range;
use std::sync::Arc;

use super::error::Fault;
use super::pattern::Pattern;
use choice::{Choice, Template};
use scan::Scanner;
pub(super) use when::When;

/// A timestamp in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Where the text to cut out begins and ends, on character boundaries.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) when: When,
}

impl Stamp {
    pub(super) fn cut(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// What timestamps look like.
#[derive(Clone, Debug)]
pub(super) struct DatePattern(Shapes);

#[derive(Clone, Debug)]
enum Shapes {
    /// The default templates.
    Standard,
    /// The same, at the start of the line: `{^LN-BEG}`.
    LineStart,
    /// Templates in order of preference.
    List(Vec<Arc<Template>>),
}

/// Lines of a `datepattern`.
const MOST_LINES: usize = 50;
/// Bytes of such a line.
const LONGEST_LINE: usize = 4 << 10;
/// Templates in all: `{DATE}` is many.
const MOST_TEMPLATES: usize = 200;

impl DatePattern {
    /// fail2ban's default.
    pub(super) fn standard() -> DatePattern {
        DatePattern(Shapes::Standard)
    }

    /// Compiles a `datepattern`, one pattern a line.
    ///
    /// # Errors
    /// What is wrong first, at its place in `text`.
    pub(super) fn compile(text: &str) -> Result<DatePattern, Fault> {
        let lines: Vec<Range<usize>> = lines(text).collect();
        match lines.as_slice() {
            [] => {
                let remedy = "leave it out for the default, or write `{NONE}` for no dates at all";
                return Err(Fault::new(0..text.len(), "no date pattern").remedy(remedy));
            }
            [only] if text[only.clone()].eq_ignore_ascii_case("{DEFAULT}") => {
                return Ok(DatePattern::standard());
            }
            [only] if &text[only.clone()] == "{^LN-BEG}" => {
                return Ok(DatePattern(Shapes::LineStart));
            }
            _ => {}
        }
        if let Some(line) = lines.get(MOST_LINES) {
            let what = format!("more than {MOST_LINES} date patterns");
            return Err(Fault::new(line.clone(), what));
        }
        let mut templates: Vec<Arc<Template>> = Vec::new();
        for line in lines {
            add(&mut templates, text, line)?;
        }
        Ok(DatePattern(Shapes::List(templates)))
    }
}

/// The lines of `text` that are not blank, without the blanks around them.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        let len = line.trim().len();
        (len > 0).then(|| start..start + len)
    })
}

/// Adds what `line` of `text` stands for.
fn add(templates: &mut Vec<Arc<Template>>, text: &str, line: Range<usize>) -> Result<(), Fault> {
    if line.len() > LONGEST_LINE {
        let what = format!("a date pattern of more than {LONGEST_LINE} bytes");
        return Err(Fault::new(line, what));
    }
    let mut source = Pattern::empty(text.len());
    source.push_user(&text[line.clone()], line.start);
    let more = compile::templates(&source)?;
    let is_new = |template: &&Arc<Template>| templates.iter().all(|t| t.name != template.name);
    if let [only] = more.as_slice()
        && !is_new(&only)
    {
        return Err(Fault::new(line, "the same date pattern twice").remedy("leave one of them out"));
    }
    let more: Vec<_> = more.iter().filter(is_new).cloned().collect();
    if templates.len() + more.len() > MOST_TEMPLATES {
        let what = format!("more than {MOST_TEMPLATES} shapes of dates");
        let remedy = "use `{DATE}` less often: it is a shape for each default template";
        return Err(Fault::new(line, what).remedy(remedy));
    }
    templates.extend(more);
    Ok(())
}

/// Finds timestamps on one source.
#[derive(Clone, Debug)]
pub(super) struct Detector {
    pattern: Arc<DatePattern>,
    scanner: Scanner,
    choice: Choice,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector::new(Arc::new(DatePattern::standard()))
    }
}

impl Detector {
    /// A detector that saw nothing yet.
    pub(super) fn new(pattern: Arc<DatePattern>) -> Detector {
        Detector { pattern, scanner: Scanner::default(), choice: Choice::default() }
    }

    /// The timestamp in `text`, and nothing if it is no real date.
    pub(super) fn find(&mut self, text: &str) -> Option<Stamp> {
        self.find_before(text, text.len())
    }

    /// The same, if it begins before `end`.
    pub(super) fn find_before(&mut self, text: &str, end: usize) -> Option<Stamp> {
        match &self.pattern.0 {
            Shapes::Standard => self.scanner.find_before(text, end),
            Shapes::LineStart => self.scanner.find_before(text, end.min(line_start(text))),
            Shapes::List(templates) => {
                let found = self.choice.find(templates, text)?;
                let Range { start, end: behind } = found.cut;
                // A date that is none is cut out all the same, as in fail2ban.
                let when = found.when.unwrap_or(When::NoSuchDay);
                (start < behind && start < end).then_some(Stamp { start, end: behind, when })
            }
        }
    }
}

/// Before which byte something at the start of the line begins: up to two characters
/// that are no word's may come before it.
fn line_start(text: &str) -> usize {
    let mut chars =
        text.char_indices().map(|(at, char)| (at, char.is_alphanumeric() || char == '_'));
    let mut last = 0;
    for _ in 0..2 {
        match chars.next() {
            Some((_, false)) => last = chars.clone().next().map_or(text.len(), |(at, _)| at),
            _ => break,
        }
    }
    last + 1
}

#[cfg(test)]
mod tests;
