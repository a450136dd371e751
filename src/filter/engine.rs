//! Running regexes: one way to ask, whatever engine answers.
//!
//! There are two engines. The linear one runs every pattern that it can express. The
//! backtracking one runs the rest, within a bound of steps: a text that takes more is
//! no match, and is counted.
//!
//! A set of linear patterns, the gate, says in one pass which regexes of a bank may
//! match, so that a line nobody is interested in costs one search however many regexes
//! there are, and the backtracking engine sees only texts that it probably matches.

use std::cell::Cell;

use fancy_regex::CompileError;
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::error::Fault;
use super::pattern::Pattern;
use super::python::Translation;

/// Memory that one compiled regex may take, in bytes: the crate's own default.
pub(super) const SIZE_LIMIT: usize = 2 << 20;

/// Memory that all regexes of one bank may take together, in bytes. Labels are other
/// people's input, and a short text can ask for a lot: `(\w{99}){99}`.
const BANK_LIMIT: usize = 8 << 20;

/// Parentheses within parentheses.
const NEST_LIMIT: u32 = 100;

/// Times that the backtracking engine may turn back on one text. No line of a real log
/// needs a hundredth of it.
const STEP_LIMIT: usize = 50_000;

/// The longest text that the backtracking engine is given, in bytes: what a step costs
/// can grow with the text.
const BACKTRACKING_TEXT: usize = 16 << 10;

/// Counts the searches that took more than the backtracking engine may.
#[derive(Debug, Default)]
pub(super) struct Effort(Cell<u64>);

impl Effort {
    /// How many searches were given up so far.
    pub(super) fn given_up(&self) -> u64 {
        self.0.get()
    }

    fn give_up<T>(&self) -> Option<T> {
        self.0.set(self.0.get().saturating_add(1));
        None
    }
}

/// A compiled regex.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    /// Runs in time linear in the text.
    Linear(Regex),
    /// Has look-around, back-references and conditionals; runs within [`STEP_LIMIT`].
    Backtracking(Box<fancy_regex::Regex>),
}

/// What the groups of a regex matched.
pub(super) enum Captures<'t> {
    Linear(regex::Captures<'t>),
    Backtracking(fancy_regex::Captures<'t, str>),
}

impl<'t> Captures<'t> {
    /// What group number `group` matched, if it took part.
    pub(super) fn get(&self, group: usize) -> Option<&'t str> {
        match self {
            Captures::Linear(captures) => captures.get(group).map(|found| found.as_str()),
            Captures::Backtracking(captures) => captures.get(group).map(|found| found.as_str()),
        }
    }

    /// Where the whole match begins and ends.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        match self {
            Captures::Linear(captures) => captures.get(0).map(|found| found.range()),
            Captures::Backtracking(captures) => captures.get(0).map(|found| found.range()),
        }
        .unwrap_or(0..0)
    }
}

impl Engine {
    /// Compiles `translation`.
    ///
    /// # Errors
    /// Wrong syntax, at its place in the user's text, or a pattern that is too large.
    pub(super) fn compile(translation: &Translation) -> Result<Engine, Fault> {
        Engine::check(translation)?;
        let pattern = &translation.pattern;
        if translation.irregular.is_some() {
            if weigh([translation], SIZE_LIMIT).is_err() {
                return Err(too_large(pattern, "the look-arounds are too large together"));
            }
            return fancy_regex::RegexBuilder::new(pattern.text())
                .backtrack_limit(STEP_LIMIT)
                .delegate_size_limit(SIZE_LIMIT)
                .build()
                .map(|regex| Engine::Backtracking(Box::new(regex)))
                .map_err(|error| irregular_fault(pattern, error));
        }
        RegexBuilder::new(pattern.text())
            .size_limit(SIZE_LIMIT)
            .nest_limit(NEST_LIMIT)
            .build()
            .map(Engine::Linear)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => too_large(pattern, "the pattern is too large"),
                other => Fault::new(whole(pattern), other.to_string()),
            })
    }

    /// Is it right, leaving aside its size? Of an irregular pattern only what is linear
    /// is looked at.
    ///
    /// # Errors
    /// Wrong syntax, at its place in the user's text.
    pub(super) fn check(translation: &Translation) -> Result<(), Fault> {
        let pattern =
            if translation.irregular.is_some() { &translation.gate } else { &translation.pattern };
        let mut parser = regex_syntax::ParserBuilder::new().nest_limit(NEST_LIMIT).build();
        parser.parse(pattern.text()).map(drop).map_err(|error| syntax_fault(pattern, &error))
    }

    /// The number of the group called `name`.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
        self.names().position(|group| group == Some(name))
    }

    /// The names of the groups, by their number.
    pub(super) fn names(&self) -> impl Iterator<Item = Option<&str>> {
        let (linear, backtracking) = match self {
            Engine::Linear(regex) => (Some(regex.capture_names()), None),
            Engine::Backtracking(regex) => (None, Some(regex.capture_names())),
        };
        linear.into_iter().flatten().chain(backtracking.into_iter().flatten())
    }

    /// Is it run by the engine that turns back?
    pub(super) fn is_backtracking(&self) -> bool {
        matches!(self, Engine::Backtracking(_))
    }

    pub(super) fn captures<'t>(&self, text: &'t str, effort: &Effort) -> Option<Captures<'t>> {
        match self {
            Engine::Linear(regex) => regex.captures(text).map(Captures::Linear),
            Engine::Backtracking(_) if text.len() > BACKTRACKING_TEXT => effort.give_up(),
            Engine::Backtracking(regex) => match regex.captures(text) {
                Ok(captures) => captures.map(Captures::Backtracking),
                Err(_) => effort.give_up(),
            },
        }
    }
}

fn whole(pattern: &Pattern) -> std::ops::Range<usize> {
    pattern.origin(0..pattern.text().len())
}

fn too_large(pattern: &Pattern, what: &str) -> Fault {
    Fault::new(whole(pattern), what)
        .remedy("use smaller numbers in `{…}`, or fewer of them within each other")
}

fn syntax_fault(pattern: &Pattern, error: &regex_syntax::Error) -> Fault {
    let (span, what) = match error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        other => return Fault::new(whole(pattern), other.to_string()),
    };
    let (start, end) = (span.start.offset, span.end.offset);
    // A place between two characters is shown at the one behind it.
    let width = pattern.text()[start..].chars().next().map_or(0, char::len_utf8);
    let span = pattern.origin(start..end.max(start + width));
    Fault::new(span, what.trim_end_matches('.'))
}

fn irregular_fault(pattern: &Pattern, error: fancy_regex::Error) -> Fault {
    let text = pattern.text();
    match error {
        fancy_regex::Error::ParseError(position, what) => {
            let start = (0..=position.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            let start = start.unwrap_or(0);
            let width = text[start..].chars().next().map_or(0, char::len_utf8);
            Fault::new(pattern.origin(start..start + width), what.to_string())
        }
        fancy_regex::Error::CompileError(error) => match *error {
            CompileError::LookBehindNotConst | CompileError::VariableLookBehindRequiresFeature => {
                Fault::new(whole(pattern), "a look-behind whose length is not fixed")
                    .remedy("Python has none either: give all its alternatives one length")
            }
            CompileError::PatternTooComplex => too_large(pattern, "the pattern is too large"),
            CompileError::InnerError(error) if error.size_limit().is_some() => {
                too_large(pattern, "the pattern is too large")
            }
            other => Fault::new(whole(pattern), other.to_string()),
        },
        other => Fault::new(whole(pattern), other.to_string()),
    }
}

/// Several regexes, asked together, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Bank {
    engines: Vec<Engine>,
    /// All of them in one; not needed for a single linear one.
    gate: Option<RegexSet>,
    /// Does it see only texts that probably match?
    sifted: bool,
}

impl Bank {
    /// Compiles all `patterns` and the gate.
    ///
    /// # Errors
    /// What is wrong with each pattern that is, with its index.
    pub(super) fn compile(patterns: &[Translation]) -> Result<Bank, Vec<(usize, Fault)>> {
        let gate = match patterns {
            [] => None,
            [only] if only.irregular.is_none() => None,
            _ => match gate(patterns) {
                Ok(gate) => Some(gate),
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err(vec![one_too_many(patterns, |some| gate(some).is_ok())]);
                }
                // Which one is wrong shows below.
                Err(_) => None,
            },
        };
        if weigh(patterns, BANK_LIMIT).is_err() {
            return Err(vec![one_too_many(patterns, |some| weigh(some, BANK_LIMIT).is_ok())]);
        }
        let mut engines = Vec::with_capacity(patterns.len());
        let mut faults = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            match Engine::compile(pattern) {
                Ok(engine) => engines.push(engine),
                Err(fault) => faults.push((index, fault)),
            }
        }
        if faults.is_empty() { Ok(Bank { engines, gate, sifted: false }) } else { Err(faults) }
    }

    /// The same bank, for texts that were sifted: most of them match.
    pub(super) fn for_sifted(self) -> Bank {
        Bank { sifted: true, ..self }
    }

    pub(super) fn engines(&self) -> &[Engine] {
        &self.engines
    }

    pub(super) fn len(&self) -> usize {
        self.engines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.engines.is_empty()
    }

    /// Does any match in `text`?
    pub(super) fn is_match(&self, text: &str, effort: &Effort) -> bool {
        self.first(text, effort, |_, _| Some(())).is_some()
    }

    /// What `accept` makes of the first match, by order of the regexes, that it takes.
    pub(super) fn first<'t, T>(
        &self,
        text: &'t str,
        effort: &Effort,
        mut accept: impl FnMut(usize, Captures<'t>) -> Option<T>,
    ) -> Option<T> {
        let mut ask = |index: usize| {
            let captures = self.engines.get(index)?.captures(text, effort)?;
            accept(index, captures)
        };
        match &self.gate {
            // Which ones match needs memory; whether any does, the usual "none", does not.
            Some(gate) if self.sifted || gate.is_match(text) => {
                gate.matches(text).iter().find_map(ask)
            }
            Some(_) => None,
            None => (0..self.engines.len()).find_map(&mut ask),
        }
    }
}

fn gate(patterns: &[Translation]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns.iter().map(|pattern| pattern.gate.text()))
        .size_limit(BANK_LIMIT)
        .nest_limit(NEST_LIMIT)
        .build()
}

/// More than may be.
struct TooLarge;

/// Are the look-arounds of `patterns` within `limit` together? The backtracking engine
/// compiles each by itself, and bounds no more than each.
fn weigh<'t>(
    patterns: impl IntoIterator<Item = &'t Translation>,
    limit: usize,
) -> Result<(), TooLarge> {
    let around = patterns.into_iter().map(|pattern| pattern.around.as_str());
    // What is wrong with one that can't be parsed shows when it is compiled.
    let parses = |around: &&str| regex_syntax::Parser::new().parse(around).is_ok();
    let mut around = around.filter(|around| !around.is_empty()).filter(parses).peekable();
    if around.peek().is_none() {
        return Ok(());
    }
    let set = RegexSetBuilder::new(around).size_limit(limit).nest_limit(NEST_LIMIT).build();
    match set {
        Err(regex::Error::CompiledTooBig(_)) => Err(TooLarge),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The first pattern with which `patterns` are too large. Halving keeps the work
/// bounded, whatever they are.
fn one_too_many(patterns: &[Translation], fit: impl Fn(&[Translation]) -> bool) -> (usize, Fault) {
    let (mut fits, mut fails) = (0, patterns.len());
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        if fit(&patterns[..middle]) { fits = middle } else { fails = middle }
    }
    let fault = Engine::compile(&patterns[fits]).err().unwrap_or_else(|| {
        let what = "the regexes up to this one are too large together";
        too_large(&patterns[fits].pattern, what)
    });
    (fits, fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::python::{Lines, translate};

    fn bank(regexes: &[&str]) -> Result<Bank, Vec<(usize, Fault)>> {
        let translate = |regex: &&str| translate(&Pattern::of_user(regex), Lines::One).unwrap();
        Bank::compile(&regexes.iter().map(translate).collect::<Vec<_>>())
    }

    #[test]
    fn the_first_in_order_that_is_accepted_wins() {
        let bank = bank(&["b(.)", "a(.)", "c(.)"]).unwrap();
        let found = |text: &str, not: usize| {
            bank.first(text, &Effort::default(), |index, captures| {
                (index != not).then(|| (index, captures.get(1).unwrap().to_owned()))
            })
        };
        assert_eq!(found("a1 b2", 9), Some((0, "2".to_owned())));
        assert_eq!(found("a1 b2", 0), Some((1, "1".to_owned())));
        assert_eq!(found("a1 ", 1), None);
        assert_eq!(found("x", 9), None);
        let effort = Effort::default();
        assert!(bank.is_match("c3", &effort) && !bank.is_match("c", &effort));
    }

    #[test]
    fn an_empty_bank_matches_nothing() {
        let bank = bank(&[]).unwrap();
        assert!(!bank.is_match("", &Effort::default()) && bank.is_empty());
    }

    #[test]
    fn wrong_syntax_is_shown_where_it_is() {
        let check = |regex: &str, place: &str, what: &str| {
            let faults = bank(&["fine", regex]).unwrap_err();
            assert_eq!(faults[0].0, 1);
            assert_eq!(&regex[faults[0].1.span.clone()], place, "{regex}");
            assert!(faults[0].1.what.contains(what), "{}", faults[0].1.what);
        };
        check("é(ab", "(", "unclosed group");
        check("éab)", ")", "unopened group");
        check("a|*b", "*", "missing expression");
        check("a{3,2}", "{3,2}", "invalid repetition count range");
    }

    #[test]
    fn too_large_is_refused_at_once() {
        let check = |regexes: &[&str], index: usize, what: &str| {
            let faults = bank(regexes).unwrap_err();
            assert_eq!(faults[0].0, index);
            assert!(faults[0].1.what.contains(what), "{}", faults[0].1.what);
        };
        check(&[r"(?:a{999}){999}"], 0, "the pattern is too large");
        check(&["a", r"(?:a{999}){999}", "b"], 1, "the pattern is too large");
        let deep = format!("{}{}", "(".repeat(200), ")".repeat(200));
        check(&[&deep, "b"], 0, "nest");
        let look = |number: usize| format!(r"(?=\w{{20}}{number})");
        let around: String = (0..50).map(look).collect();
        check(&["a", &around], 1, "the look-arounds are too large together");
        let each: Vec<String> = (0..50).map(look).collect();
        let faults = bank(&each.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err();
        assert!(faults.len() == 1 && faults[0].0 > 1, "{faults:?}");
        assert!(faults[0].1.what.contains("too large together"), "{faults:?}");
        check(&[r"(?:a{999}){999}(?!b)"], 0, "the pattern is too large");
        let faults = bank(&[r"(?:a{160}){160}"; 12]).unwrap_err();
        assert!(faults.len() == 1 && faults[0].0 > 1, "{faults:?}");
        assert!(faults[0].1.what.contains("too large together"), "{faults:?}");
    }
}
