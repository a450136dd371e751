//! What is right, and yet hardly meant so: filters that can be turned against others.
//!
//! Attackers write parts of log lines. A regex in which such a part can decide which
//! address is banned lets them ban anybody. Nothing here is guessed: a report holds a
//! line that was judged by the filter, and what it says of the regex was tried.
//!
//! Invariants: the work for a filter is bounded, whatever it is; every line that is
//! reported is judged a failure of an address that is not the client's.

mod forge;
mod mend;
mod notes;
mod pieces;
mod subject;

use std::ops::Range;
use std::sync::Arc;

use super::{Filter, FilterSpec, RegexPlace};
use forge::{By, Forged, forge};
pub use notes::{Note, notes};
use subject::{Subject, failure};

/// Lines that are tried on one regex.
const BUDGET: u32 = 300;
/// Lines that are tried on all regexes of a filter.
const ALL: u32 = 5000;
/// A longer regex is left out, in bytes.
const MAX_REGEX: usize = 4096;
/// Regexes of a filter that are looked at.
const MAX_REGEXES: usize = 200;
/// More is not told about one filter.
const MAX_REPORTS: usize = 20;

/// All that was found in a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Regexes that let an attacker's text decide.
    pub injections: Vec<Injection>,
    /// What else is hardly meant so.
    pub notes: Vec<Note>,
}

impl Report {
    /// Looks at `spec` in all ways.
    pub fn of(spec: &FilterSpec) -> Report {
        Report { injections: lint(spec), notes: notes(spec) }
    }

    /// Is there nothing to say?
    pub fn is_empty(&self) -> bool {
        self.injections.is_empty() && self.notes.is_empty()
    }
}

/// A regex that lets somebody's text decide who is banned, with a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// Which regex.
    pub place: RegexPlace,
    /// Where in the user's text: the wildcard, or its beginning where it may match anywhere.
    pub span: Range<usize>,
    /// What is wrong there.
    pub what: String,
    /// A line that a client at another address can cause, and that has [`banned`](Self::banned) fail.
    pub line: String,
    /// The address that fails by [`line`](Self::line).
    pub banned: String,
    /// The address of the client that caused it.
    pub client: String,
    /// The regex in a form that does not fall for it.
    pub anchored: Option<String>,
}

impl Injection {
    /// The line, and the better regex, in one line.
    pub fn proof(&self) -> String {
        let Injection { line, banned, client, .. } = self;
        let line = format!("a line of {client} that would get {banned} banned: `{line}`");
        match &self.anchored {
            None => line,
            Some(anchored) => format!("{line}; anchored: `{anchored}`"),
        }
    }
}

/// Searches the failregexes of `spec` for places where an attacker's text decides who
/// is banned; at most one for each. Nothing is said of a filter that is wrong, or that
/// matches several lines together.
pub fn lint(spec: &FilterSpec) -> Vec<Injection> {
    let Some(filter) = Filter::new(spec).ok().filter(|_| spec.max_lines <= 1) else {
        return Vec::new();
    };
    let filter = Arc::new(filter);
    let mut found: Vec<Injection> = Vec::new();
    let mut left = ALL;
    for index in (0..spec.failregex.len()).filter(|index| is_looked_at(spec, *index)) {
        let Some(subject) = Subject::new(spec, index) else { continue };
        let alone = spec.failregex.len() == 1;
        let counts =
            |line: &str, who: &str| alone || failure(&filter, line).is_some_and(|f| f.0 == who);
        let mut budget = BUDGET.min(left);
        let forged = forge(&subject, &mut budget, counts);
        left -= BUDGET.min(left) - budget;
        let Some(forged) = forged else { continue };
        let (place, span) = location(&subject, &forged);
        if found.iter().any(|known| known.place == place && known.span == span) {
            continue;
        }
        let anchored = mend::mend(&subject, place, &forged);
        let Forged { line, addresses, .. } = &forged;
        found.push(Injection {
            place,
            what: told(&forged, subject.text(place).and_then(|text| text.get(span.clone()))),
            span,
            line: line.clone(),
            banned: addresses.forged.to_owned(),
            client: addresses.real.to_owned(),
            anchored,
        });
        if found.len() == MAX_REPORTS || left == 0 {
            break;
        }
    }
    found
}

/// Is the failregex with this index, with what goes before it, not too much?
fn is_looked_at(spec: &FilterSpec, index: usize) -> bool {
    let regexes = spec.failregex.get(index).into_iter().chain(&spec.prefregex);
    index < MAX_REGEXES && regexes.map(String::len).all(|length| length <= MAX_REGEX)
}

fn location(subject: &Subject, forged: &Forged) -> (RegexPlace, Range<usize>) {
    match &forged.by {
        By::Held(wild) | By::Reached(wild) => (wild.place, wild.span.clone()),
        By::Embedded => (subject.place, 0..0),
    }
}

fn told(forged: &Forged, wild: Option<&str>) -> String {
    let named = |group: &Option<String>| {
        let wild = wild.unwrap_or_default();
        match group {
            Some(group) => format!("`{wild}` in the group `{group}`"),
            None => format!("`{wild}`"),
        }
    };
    match &forged.by {
        By::Held(wild) => {
            format!("what {} stands for can decide who is banned", named(&wild.group))
        }
        By::Reached(wild) => format!(
            "{} reaches for the last address in the line, so text behind the match can decide \
             who is banned",
            named(&wild.group)
        ),
        By::Embedded => {
            "this may match in the middle of a line, so text quoted there can decide who is banned"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
