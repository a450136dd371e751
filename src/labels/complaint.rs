//! What is wrong with a label: where exactly, why, and how to mend it.
//!
//! Labels are other people's text. Whatever is in them, a rendered complaint
//! holds no control characters, no more of a value than fits a screen, and
//! points to a place inside the text.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::model::{JailName, NoticeKind};

/// What is wrong with a piece of text, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The bytes that are wrong; empty: something is missing there.
    pub span: Range<usize>,
    /// What is wrong, as a clause.
    pub what: String,
    /// How to mend it.
    pub remedy: Option<String>,
}

impl Flaw {
    /// A flaw without a remedy of its own.
    pub(super) fn new(span: Range<usize>, what: impl Into<String>) -> Self {
        Flaw { span, what: what.into(), remedy: None }
    }

    /// The same flaw with a remedy.
    pub(super) fn mend(self, remedy: impl Into<String>) -> Self {
        Flaw { remedy: Some(remedy.into()), ..self }
    }

    /// The same flaw, with a remedy if it has none of its own.
    pub(super) fn or_mend(self, remedy: impl FnOnce() -> String) -> Self {
        let remedy = self.remedy.or_else(|| Some(remedy()));
        Flaw { remedy, ..self }
    }

    /// The same flaw in a longer text, in which its own begins at byte `start`.
    pub(super) fn shifted(self, start: usize) -> Self {
        Flaw { span: self.span.start + start..self.span.end + start, ..self }
    }

    /// The flaw in `text` as rustc would show it, with carets under the place; several
    /// lines, no colour. `place` says where that is, given line and column in `text`.
    pub fn render(
        &self,
        severity: Severity,
        text: &str,
        place: impl FnOnce(usize, usize) -> String,
    ) -> String {
        let (line, column) = line_and_column(text, &self.span);
        let place = shorten(&place(line, column), LONGEST);
        let remedy = self.remedy.as_deref().map(clean);
        let below: Vec<_> = remedy.iter().map(|remedy| (Level::HELP, remedy.as_str())).collect();
        render(severity, &self.what, (text, &self.span), &place, &below)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&self.what))?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {}", clean(remedy)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Flaw {}

/// One flaw is a list of flaws, for parsers that find several.
impl From<Flaw> for Vec<Flaw> {
    fn from(flaw: Flaw) -> Self {
        vec![flaw]
    }
}

/// What follows from a complaint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The jail works, but perhaps not as meant.
    Warning,
    /// The jail is refused until the label is mended.
    Error,
}

/// Something wrong with a label, or with a variable that gives its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What follows from it.
    pub severity: Severity,
    /// The jail that it is about, if it is about one.
    pub jail: Option<JailName>,
    /// The container's name; empty for a variable of guard's own.
    pub container: String,
    /// The label's key, or the variable's name (`GUARD_MAXRETRY`).
    pub label: String,
    /// The label's value.
    pub value: String,
    /// The place, in bytes of `value`, or of `label` if `in_key`.
    pub span: Range<usize>,
    /// Is the key wrong, rather than the value?
    pub in_key: bool,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub remedy: Option<String>,
    /// Which notices are sent of the jail, by its labels, though it is not there; `None`: all.
    pub notify: Option<BTreeSet<NoticeKind>>,
}

impl Complaint {
    /// Is it to be told by notices? Labels that are wrong may still say that they are not.
    pub fn is_noticed(&self) -> bool {
        self.notify.as_ref().is_none_or(|kinds| kinds.contains(&NoticeKind::Refused))
    }

    /// The complaint as rustc would show it, with carets under the place; several lines, no colour.
    pub fn render(&self) -> String {
        self.render_of(&self.whose())
    }

    /// The same with other words than `container web` for whose label it is; none, if empty.
    pub fn render_of(&self, whose: &str) -> String {
        let flaw =
            Flaw { span: self.span.clone(), what: self.what.clone(), remedy: self.remedy.clone() };
        flaw.render(self.severity, self.text(), |_, _| self.place(whose))
    }

    /// The complaint in one line, for logs; the severity is left to the log.
    pub fn one_line(&self) -> String {
        let remedy = self.remedy.as_deref().map(|text| format!("; {}", clean(text)));
        format!(
            "{}: {}{}",
            self.place(&self.whose()),
            clean(&self.what),
            remedy.unwrap_or_default()
        )
    }

    /// The text that `span` is about.
    fn text(&self) -> &str {
        if self.in_key { &self.label } else { &self.value }
    }

    fn whose(&self) -> String {
        match self.container.as_str() {
            "" => String::new(),
            name => format!("container {}", shorten(name, 120)),
        }
    }

    /// `container web, label guard.failregex:2:5`; a key has no line and column.
    fn place(&self, whose: &str) -> String {
        // The key of a label has a dot after the prefix, the name of a variable has none.
        let sort = if self.label.contains('.') { "label" } else { "variable" };
        let mut place = format!("{sort} {}", shorten(&self.label, 120));
        if !whose.is_empty() {
            place = format!("{whose}, {place}");
        }
        if !self.in_key {
            let (line, column) = line_and_column(&self.value, &self.span);
            place = format!("{place}:{line}:{column}");
        }
        place
    }
}

/// What is wrong with a part of `text`, as rustc would show it; several lines, no colour.
/// `place` says where the text is, `below` stands under it.
pub(crate) fn render(
    severity: Severity,
    what: &str,
    (text, span): (&str, &Range<usize>),
    place: &str,
    below: &[(Level<'_>, &str)],
) -> String {
    let excerpt = Excerpt::new(text, span);
    let snippet = Snippet::source(excerpt.text)
        .path(PLACE)
        .line_start(excerpt.line)
        .annotation(AnnotationKind::Primary.span(excerpt.span));
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(clean(what)).element(snippet);
    for (level, text) in below {
        group = group.element(level.clone().message(shorten(text, LONGEST_BELOW)));
    }
    let rendered = Renderer::plain().term_width(WIDEST).render(&[group]);
    with_place(&rendered, place)
}

/// The renderer counts columns in the excerpt, people count them in the text: puts the
/// true place into the second line.
fn with_place(rendered: &str, place: &str) -> String {
    let mut lines: Vec<String> = rendered.lines().map(|line| line.trim_end().to_owned()).collect();
    if let Some((arrow, _)) = lines.get(1).and_then(|line| line.split_once(PLACE)) {
        lines[1] = format!("{arrow}{place}");
    }
    lines.join("\n")
}

/// Where `span` begins in `text`, counted from 1.
pub(crate) fn line_and_column(text: &str, span: &Range<usize>) -> (usize, usize) {
    let Excerpt { line, column, .. } = Excerpt::new(text, span);
    (line, column)
}

/// Characters shown before the place, and from it on.
const BEFORE: usize = 40;
const AFTER: usize = 80;
/// Longest message or remedy, in characters.
const LONGEST: usize = 600;
/// Longest text under an excerpt, in characters: a regex, or a line.
const LONGEST_BELOW: usize = 5000;
/// Stands for the place until the renderer is done.
const PLACE: &str = "place";
/// No line of ours is as wide: windowing is done here, where the places are known.
const WIDEST: usize = 10_000;

/// The part of a text around a place, fit to be shown.
struct Excerpt {
    text: String,
    span: Range<usize>,
    line: usize,
    column: usize,
}

impl Excerpt {
    fn new(whole: &str, span: &Range<usize>) -> Self {
        let start = whole.floor_char_boundary(span.start);
        let end = whole.ceil_char_boundary(span.end).max(start);
        let head = &whole[..start];
        let line_start = head.rfind('\n').map_or(0, |at| at + 1);
        let line_end = whole[start..].find('\n').map_or(whole.len(), |at| start + at);
        let before = &whole[line_start..start];
        let marked = &whole[start..end.min(line_end)];
        let after = &whole[end.min(line_end)..line_end];

        let column = before.chars().count() + 1;
        let mut text = last_chars(before, BEFORE);
        let from = text.len();
        text.push_str(&shorten(marked, AFTER));
        let to = text.len();
        text.push_str(&shorten(after, AFTER.saturating_sub(marked.chars().count())));
        let line = head.matches('\n').count() + 1;
        Excerpt { text, span: from..to, line, column }
    }
}

/// The first `most` characters, escaped, and a `…` if there are more.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(most).fold(String::new(), push_escaped);
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// The last `most` characters, escaped, after a `…` if there are more.
fn last_chars(text: &str, most: usize) -> String {
    match text.char_indices().rev().nth(most.saturating_sub(1)) {
        Some((at, _)) if at > 0 => text[at..].chars().fold("…".to_owned(), push_escaped),
        _ => text.chars().fold(String::new(), push_escaped),
    }
}

fn clean(text: &str) -> String {
    shorten(text, LONGEST)
}

/// Control characters, and those that reorder or hide others, are shown by
/// their number: a log and a terminal are read by people.
fn push_escaped(mut shown: String, c: char) -> String {
    let hides = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    if c.is_control() || hides {
        shown.extend(c.escape_default());
    } else {
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complaint(value: &str, span: Range<usize>) -> Complaint {
        Complaint {
            severity: Severity::Error,
            jail: None,
            container: "web".to_owned(),
            label: "guard.failregex".to_owned(),
            value: value.to_owned(),
            span,
            in_key: false,
            what: "wrong".to_owned(),
            remedy: Some("mend it".to_owned()),
            notify: None,
        }
    }

    fn check(value: &str, span: Range<usize>, rendered: &str) {
        let got = complaint(value, span).render();
        assert_eq!(got, rendered.trim_start_matches('\n').trim_end(), "\n{got}");
    }

    #[test]
    fn points_into_the_line() {
        check(
            "one\ntwo three\nfour",
            8..13,
            r"
error: wrong
 --> container web, label guard.failregex:2:5
  |
2 | two three
  |     ^^^^^
  |
  = help: mend it
",
        );
    }

    #[test]
    fn nothing_is_a_place_too() {
        check(
            "",
            0..0,
            r"
error: wrong
 --> container web, label guard.failregex:1:1
  |
1 |
  | ^
  |
  = help: mend it
",
        );
    }

    #[test]
    fn control_characters_are_escaped() {
        check(
            "a\x1b[2J\tb\u{202e}c(",
            11..12,
            r"
error: wrong
 --> container web, label guard.failregex:1:10
  |
1 | a\u{1b}[2J\tb\u{202e}c(
  |                       ^
  |
  = help: mend it
",
        );
    }

    #[test]
    fn long_values_are_windowed() {
        let value = format!("{}({}", "a".repeat(60_000), "b".repeat(5_000));
        check(
            &value,
            60_000..60_001,
            r"
error: wrong
 --> container web, label guard.failregex:1:60001
  |
1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa(bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
  |                                          ^
  |
  = help: mend it
",
        );
    }

    #[test]
    fn wide_characters_keep_the_caret_in_place() {
        check(
            "日本 (x",
            7..8,
            r"
error: wrong
 --> container web, label guard.failregex:1:4
  |
1 | 日本 (x
  |      ^
  |
  = help: mend it
",
        );
    }

    #[test]
    fn one_line_has_the_place() {
        assert_eq!(
            complaint("one\ntwo three", 8..13).one_line(),
            "container web, label guard.failregex:2:5: wrong; mend it"
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_prints_nothing_harmful(
            value in "(.|\n){0,300}", label in "(.|\n){0,40}", what in "(.|\n){0,40}",
            start in 0_usize..400, length in 0_usize..400, in_key: bool,
        ) {
            let plain = complaint(&value, start..start + length);
            let complaint = Complaint { label, what, in_key, ..plain };
            prop_assert!(complaint.render().chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert!(complaint.one_line().chars().all(|c| !c.is_control()));
        }
    }
}
