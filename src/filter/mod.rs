//! (pure) fail2ban's filter language: from a line to who failed.
//!
//! A [`Filter`] is compiled once for each distinct set of regexes ([`Library`])
//! and shared; a [`Judge`] is its state on one source. For a line the judge
//!
//! 1. finds the date and cuts it out, as fail2ban does ([`dates`]),
//! 2. searches the failregexes in what is left; the first that matches counts,
//! 3. drops the line if an ignoreregex matches the same text,
//! 4. reads the address, which must be a real one, and the time ([`time`]).
//!
//! Everything runs in time linear in the length of the line: its text is an
//! attacker's.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod dates;
mod engine;
mod judge;
mod tags;
mod time;
mod translate;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

pub use judge::{Hit, Judge, Verdict};
pub use time::{Phase, ZoneHint};

use engine::Engine;

/// The regexes of a filter, as the user wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterSpec {
    /// A line that one of these matches is a failure.
    pub failregex: Vec<String>,
    /// Unless one of these matches too.
    pub ignoreregex: Vec<String>,
}

/// A compiled filter: immutable, shared.
#[derive(Debug)]
pub struct Filter {
    fail: Engine,
    ignore: Engine,
}

/// Which regex of a [`FilterSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegexPlace {
    /// The one with this index in `failregex`.
    Fail(usize),
    /// The one with this index in `ignoreregex`.
    Ignore(usize),
}

/// What is wrong with a regex, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexError {
    /// Which regex.
    pub place: RegexPlace,
    /// Where in it, in bytes of what the user wrote.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// What is wrong in one regex.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::filter) struct RegexFlaw {
    span: Range<usize>,
    what: String,
    remedy: Option<String>,
}

impl RegexFlaw {
    fn at(self, place: RegexPlace) -> RegexError {
        RegexError { place, span: self.span, what: self.what, remedy: self.remedy }
    }
}

impl Filter {
    /// Compiles a filter; every regex that is wrong is named.
    pub fn new(spec: &FilterSpec) -> Result<Filter, Vec<RegexError>> {
        let mut errors = Vec::new();
        let mut build =
            |regexes: &[String], place: fn(usize) -> RegexPlace, address: engine::Needs| {
                Engine::new(regexes, address).unwrap_or_else(|flaws| {
                    errors.extend(flaws.into_iter().map(|(index, flaw)| flaw.at(place(index))));
                    Engine::default()
                })
            };
        let fail = build(&spec.failregex, RegexPlace::Fail, engine::Needs::Address);
        let ignore = build(&spec.ignoreregex, RegexPlace::Ignore, engine::Needs::Nothing);
        if errors.is_empty() { Ok(Filter { fail, ignore }) } else { Err(errors) }
    }
}

/// Compiled filters by what they are made of: the containers of a service, and
/// services with the same labels, share one.
#[derive(Debug, Default)]
pub struct Library {
    filters: HashMap<FilterSpec, Weak<Filter>>,
}

impl Library {
    /// The filter of this spec, compiled now if nobody uses it yet.
    pub fn get(&mut self, spec: &FilterSpec) -> Result<Arc<Filter>, Vec<RegexError>> {
        if let Some(filter) = self.filters.get(spec).and_then(Weak::upgrade) {
            return Ok(filter);
        }
        let filter = Arc::new(Filter::new(spec)?);
        self.filters.retain(|_, filter| filter.strong_count() > 0);
        self.filters.insert(spec.clone(), Arc::downgrade(&filter));
        Ok(filter)
    }
}

#[cfg(test)]
mod tests;
