//! Regexes that do nothing, or everything.

use std::ops::Range;
use std::sync::Arc;

use super::forge::render;
use super::is_looked_at;
use super::pieces::VARIANTS;
use super::subject::{Subject, failed, failure, verdict};
use crate::filter::{Carrier, Filter, FilterSpec, RegexPlace, Verdict};

/// A regex that hardly does what it is meant to, or that was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which regex.
    pub place: RegexPlace,
    /// Where in the user's text.
    pub span: Range<usize>,
    /// What is wrong there.
    pub what: String,
    /// A line that shows it.
    pub line: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Does it hold for files only? Of a container's output guard reads the date, too.
    pub files_only: bool,
}

impl Note {
    fn new(place: RegexPlace, span: Range<usize>, what: impl Into<String>) -> Note {
        let what = what.into();
        Note { place, span, what, line: None, remedy: None, files_only: false }
    }

    fn shown_by(self, line: Option<String>) -> Note {
        Note { line, ..self }
    }

    fn mend(self, remedy: &str) -> Note {
        Note { remedy: Some(remedy.to_owned()), ..self }
    }
}

/// Searches `spec` for failregexes that never match in a file, or never first, and for
/// ignoreregexes that leave nothing; each was tried on lines.
pub fn notes(spec: &FilterSpec) -> Vec<Note> {
    // What ignoreregexes do is looked at by itself.
    let bare = FilterSpec { ignoreregex: Vec::new(), ..spec.clone() };
    let Some(filter) = Filter::new(&bare).ok().filter(|_| spec.max_lines <= 1) else {
        return Vec::new();
    };
    let filter = Arc::new(filter);
    let mut notes = Vec::new();
    let mut lines = Vec::new();
    let mut unread = Vec::new();
    for index in 0..spec.failregex.len() {
        let looked_at = is_looked_at(spec, index);
        let Some(subject) = looked_at.then(|| Subject::new(&bare, index)).flatten() else {
            unread.push(index);
            continue;
        };
        let examples = examples(&subject);
        let text = subject.text(subject.place).unwrap_or_default();
        notes.extend(cut(&subject, text));
        notes.extend(dated(spec, &subject, text));
        notes.extend(shadowed(&filter, &subject, &examples, text));
        lines.extend(examples);
    }
    let ignored = ignores_all(spec, &lines);
    for (index, regex) in spec.ignoreregex.iter().enumerate() {
        if ignored && everything(spec, index, &lines) {
            let what = "this ignores every failure, so nobody is ever banned";
            let note = Note::new(RegexPlace::Ignore(index), 0..regex.len(), what);
            notes.push(note.mend("say which lines are no failures, or leave it out"));
        }
    }
    notes.extend(unread_note(&unread));
    notes.sort_by_key(|note| note.place);
    notes
}

/// Says that the failregexes with these indexes were not looked at.
fn unread_note(unread: &[usize]) -> Option<Note> {
    let first = RegexPlace::Fail(*unread.first()?);
    let more = match unread.len() - 1 {
        0 => String::new(),
        more => format!(" (nor {more} more)"),
    };
    let what = format!("too large: whether others can decide who is banned was not tried{more}");
    Some(Note::new(first, 0..0, what))
}

/// Lines that the subject takes for failures.
fn examples(subject: &Subject) -> Vec<String> {
    let real = subject.addresses().real;
    let mut lines: Vec<String> = VARIANTS
        .iter()
        .filter_map(|variant| Some(render(&subject.pieces(*variant)?, real)))
        .filter(|line| subject.who(line).as_deref() == Some(real))
        .collect();
    lines.dedup();
    lines
}

/// A wildcard right before the address takes the beginning of it.
fn cut(subject: &Subject, text: &str) -> Option<Note> {
    let real = subject.addresses().real;
    let (line, found) = VARIANTS.iter().find_map(|variant| {
        let line = render(&subject.pieces(*variant)?, real);
        let found = subject.who(&line)?;
        (found != real && real.ends_with(&found)).then_some((line, found))
    })?;
    let what = format!("of the address {real} this takes only the end, and bans {found}");
    let note = Note::new(subject.place, 0..text.len(), what).shown_by(Some(line));
    Some(note.mend("put a blank or another fixed character right before the address"))
}

/// The failregex spells a date, which is cut out of a file's lines before.
fn dated(spec: &FilterSpec, subject: &Subject, text: &str) -> Option<Note> {
    // Whoever spells a date writes some digits.
    if !text.contains(r"\d") && !text.contains(|char: char| char.is_ascii_digit()) {
        return None;
    }
    let spec = FilterSpec { datepattern: spec.datepattern.clone(), ..subject.spec.clone() };
    let filter = Arc::new(Filter::new(&spec).ok()?);
    let real = subject.addresses().real;
    let mut tried = None;
    for variant in VARIANTS {
        let Some(pieces) = subject.pieces(variant) else { continue };
        let line = render(&pieces, real);
        let whole = verdict(&filter, &line, (Carrier::Journal, None));
        if failed(&whole).is_none_or(|(who, _)| who != real) {
            continue;
        }
        if verdict(&filter, &line, (Carrier::Log, None)) != Verdict::Missed {
            return None;
        }
        tried = tried.or(Some(line));
    }
    let what = "in a log file this never matches: the date in it is cut out of the line before";
    let note = Note::new(subject.place, 0..text.len(), what).shown_by(Some(tried?));
    let note = note.mend("leave the date out of the regex, or set `datepattern` to `{NONE}`");
    Some(Note { files_only: true, ..note })
}

/// Every example of the failregex is taken by one before it.
fn shadowed(filter: &Arc<Filter>, subject: &Subject, lines: &[String], text: &str) -> Option<Note> {
    let RegexPlace::Fail(index) = subject.place else { return None };
    let by: Option<Vec<usize>> = lines
        .iter()
        .map(|line| failure(filter, line).map(|(_, by)| by).filter(|by| *by < index))
        .collect();
    let first = *by?.first()?;
    let what = format!("failregex {} takes all lines of this one", first + 1);
    let note = Note::new(subject.place, 0..text.len(), what).shown_by(lines.first().cloned());
    Some(note.mend("leave one of the two out"))
}

/// Is every line ignored?
fn ignores_all(spec: &FilterSpec, lines: &[String]) -> bool {
    Filter::new(spec).is_ok_and(|filter| {
        let filter = Arc::new(filter);
        let now = Some(super::subject::NOW);
        let all = |line: &String| verdict(&filter, line, (Carrier::Log, now)) == Verdict::Ignored;
        !lines.is_empty() && lines.iter().all(all)
    })
}

/// Does this ignoreregex alone ignore every line?
fn everything(spec: &FilterSpec, index: usize, lines: &[String]) -> bool {
    let own = spec.ignoreregex.get(index).cloned().into_iter().collect();
    ignores_all(&FilterSpec { ignoreregex: own, ..spec.clone() }, lines)
}
