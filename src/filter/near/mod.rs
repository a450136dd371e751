//! Which failregex a line nearly matched, and where that one stopped: for people who
//! wonder why a line is missed.
//!
//! A regex is taken as a row of parts: its characters, classes, repetitions,
//! alternatives. The longest row from its beginning that still matches is as far as it
//! gets. That is asked of the gate patterns, which are always linear and match wherever
//! the regex does, so that where they stop the regex does too. Of several regexes the one
//! counts whose row demands the most text.
//!
//! It is for a few lines, not for a log: compiling those rows costs more than a search.

mod row;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::compile::{self, Parts};
use super::engine::Effort;
use super::error::RegexPlace;
use super::spec::FilterSpec;
use row::{Reach, Row};

/// Longer texts are not looked at, in bytes.
const MAX_TEXT: usize = 8 << 10;

/// So many rows are compiled at most: memory and time of the whole.
const MAX_COMPILED: usize = 3000;

/// What demands less text than this is met by chance, in bytes.
const LEAST: usize = 3;

/// The regex that got furthest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Which one: a failregex, or prefregex, without which no failregex is asked.
    pub place: RegexPlace,
    /// Why it did not match.
    pub stop: Stop,
    /// The text that it was asked about, with its line end: the line without its date,
    /// or what prefregex left of it.
    pub text: String,
    /// The part of `text` that it matched, in bytes.
    pub matched: Range<usize>,
}

/// Where a regex stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At this part of it, in bytes of the user's text: all before it matches.
    At(Range<usize>),
    /// At the blank with which the text begins, where the date was: without it, it would
    /// get further.
    Blank,
    /// It would match without its look-arounds, back-references and conditionals.
    Irregular,
    /// It matches, but found nobody: a name that is not looked up, or no address.
    Nobody,
}

/// A filter's regexes, to be asked how far they get.
#[derive(Debug)]
pub struct Nearest {
    parts: Parts,
    /// The rows of prefregex.
    pref: Vec<Row>,
    /// The rows of each failregex, with its index.
    fail: Vec<(usize, Row)>,
    /// So many more rows may be compiled.
    left: usize,
}

impl Nearest {
    /// The regexes of `spec`; `None` if something is wrong with them.
    pub fn new(spec: &FilterSpec) -> Option<Nearest> {
        let parts = compile::parts(spec).ok()?;
        let pref = parts.pref.as_ref().map(|(pattern, _)| Row::all(&pattern.gate));
        let fail = parts.patterns.iter().enumerate().flat_map(|(index, pattern)| {
            Row::all(&pattern.gate).into_iter().map(move |row| (index, row))
        });
        let fail = fail.collect();
        Some(Nearest { pref: pref.unwrap_or_default(), fail, parts, left: MAX_COMPILED })
    }

    /// What got furthest in `seen`, the text that the regexes see, with its line end.
    /// `None`: nothing got anywhere.
    pub fn look(&mut self, seen: &str) -> Option<Near> {
        if seen.len() > MAX_TEXT {
            return None;
        }
        let effort = Effort::default();
        let mut text = seen.to_owned();
        if let Some((_, engine)) = &self.parts.pref {
            let Some(captures) = engine.captures(seen, &effort) else {
                return self.stopped_by_pref(text);
            };
            let content = engine.group("content");
            let content = content.and_then(|group| captures.get(group));
            if let Some(content) = content.filter(|content| !content.is_empty()) {
                text = format!("{}\n", content.strip_suffix('\n').unwrap_or(content));
            }
        }
        self.stopped_by_fail(text, &effort)
    }

    fn stopped_by_fail(&mut self, text: String, effort: &Effort) -> Option<Near> {
        let mut best = |text: &str| {
            let rows = self.fail.iter_mut().map(|(_, row)| row);
            furthest(rows, text, &mut self.left).filter(|(_, reach)| reach.demands >= LEAST)
        };
        let as_it_is = best(&text);
        let bare = text.trim_start();
        let blank = text.len() - bare.len();
        let without = if blank > 0 { best(bare) } else { None };
        let demands =
            |best: &Option<(usize, Reach)>| best.as_ref().map_or(0, |best| best.1.demands);
        if demands(&without) > demands(&as_it_is) {
            let (number, reach) = without?;
            let place = RegexPlace::Fail(self.fail[number].0);
            let matched = reach.matched.start + blank..reach.matched.end + blank;
            return Some(Near { place, stop: Stop::Blank, text, matched });
        }
        let (number, reach) = as_it_is?;
        let (index, row) = &self.fail[number];
        let stop = match row.stop(&reach) {
            Some(part) => Stop::At(part),
            None if self.parts.fail.engines().get(*index)?.captures(&text, effort).is_some() => {
                Stop::Nobody
            }
            None => Stop::Irregular,
        };
        Some(Near { place: RegexPlace::Fail(*index), stop, text, matched: reach.matched })
    }

    fn stopped_by_pref(&mut self, text: String) -> Option<Near> {
        let (number, reach) = furthest(self.pref.iter_mut(), &text, &mut self.left)?;
        let stop = self.pref[number].stop(&reach).map_or(Stop::Irregular, Stop::At);
        Some(Near { place: RegexPlace::Pref, stop, text, matched: reach.matched })
    }
}

/// The row that gets furthest in `text`, the first of equals, by its number.
fn furthest<'r>(
    rows: impl Iterator<Item = &'r mut Row>,
    text: &str,
    left: &mut usize,
) -> Option<(usize, Reach)> {
    let mut best: Option<(usize, Reach)> = None;
    for (number, row) in rows.enumerate() {
        let Some(reach) = row.reach(text, left) else { continue };
        if best.as_ref().is_none_or(|(_, best)| reach.rank() > best.rank()) {
            best = Some((number, reach));
        }
    }
    best
}
