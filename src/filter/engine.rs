//! Running regexes: one way to ask, whatever engine answers.
//!
//! There is one engine so far, linear in the text. A set of all regexes of a bank
//! (the gate) says in one pass whether any matches, so that a line nobody is
//! interested in costs one search however many regexes there are.

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::error::Fault;
use super::needles::Needles;
use super::pattern::Pattern;

/// Memory that one compiled regex may take, in bytes: the crate's own default.
const SIZE_LIMIT: usize = 10 << 20;

/// Memory that all regexes of one bank may take together, in bytes. Labels are other
/// people's input, and a short text can ask for a lot: `(\w{99}){99}`.
const BANK_LIMIT: usize = 32 << 20;

/// Parentheses within parentheses.
const NEST_LIMIT: u32 = 100;

/// A compiled regex.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    /// Runs in time linear in the text.
    Linear(Regex),
}

/// What the groups of a regex matched.
pub(super) enum Captures<'t> {
    Linear(regex::Captures<'t>),
}

impl<'t> Captures<'t> {
    /// What group number `group` matched, if it took part.
    pub(super) fn get(&self, group: usize) -> Option<&'t str> {
        match self {
            Captures::Linear(captures) => captures.get(group).map(|found| found.as_str()),
        }
    }
}

impl Engine {
    /// Compiles `pattern`, which is in Rust's syntax.
    ///
    /// # Errors
    /// Wrong syntax, at its place in the user's text, or a pattern that is too large.
    pub(super) fn compile(pattern: &Pattern) -> Result<Engine, Fault> {
        Engine::check(pattern)?;
        RegexBuilder::new(pattern.text())
            .size_limit(SIZE_LIMIT)
            .nest_limit(NEST_LIMIT)
            .build()
            .map(Engine::Linear)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => too_large(pattern, "the pattern is too large"),
                other => Fault::new(pattern.origin(0..pattern.text().len()), other.to_string()),
            })
    }

    /// Is it right, leaving aside its size?
    ///
    /// # Errors
    /// Wrong syntax, at its place in the user's text.
    pub(super) fn check(pattern: &Pattern) -> Result<(), Fault> {
        let mut parser = regex_syntax::ParserBuilder::new().nest_limit(NEST_LIMIT).build();
        parser.parse(pattern.text()).map(drop).map_err(|error| syntax_fault(pattern, &error))
    }

    /// The number of the group called `name`.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
        match self {
            Engine::Linear(regex) => regex.capture_names().position(|group| group == Some(name)),
        }
    }

    fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        match self {
            Engine::Linear(regex) => regex.captures(text).map(Captures::Linear),
        }
    }

    fn is_match(&self, text: &str) -> bool {
        match self {
            Engine::Linear(regex) => regex.is_match(text),
        }
    }
}

fn too_large(pattern: &Pattern, what: &str) -> Fault {
    Fault::new(pattern.origin(0..pattern.text().len()), what)
        .remedy("use smaller numbers in `{…}`, or fewer of them within each other")
}

fn syntax_fault(pattern: &Pattern, error: &regex_syntax::Error) -> Fault {
    let (span, what) = match error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        other => {
            return Fault::new(pattern.origin(0..pattern.text().len()), other.to_string());
        }
    };
    let (start, end) = (span.start.offset, span.end.offset);
    // A place between two characters is shown at the one behind it.
    let width = pattern.text()[start..].chars().next().map_or(0, char::len_utf8);
    let span = pattern.origin(start..end.max(start + width));
    Fault::new(span, what.trim_end_matches('.'))
}

/// Several regexes, asked together, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Bank {
    engines: Vec<Engine>,
    /// All of them in one; not needed for a single one.
    gate: Option<RegexSet>,
    /// What is asked before the gate, of the line as it came.
    needles: Option<Needles>,
}

impl Bank {
    /// Compiles all `patterns` and the gate.
    ///
    /// # Errors
    /// What is wrong with each pattern that is, with its index.
    pub(super) fn compile(patterns: &[Pattern]) -> Result<Bank, Vec<(usize, Fault)>> {
        let gate = match patterns {
            [] | [_] => None,
            _ => match gate(patterns) {
                Ok(gate) => Some(gate),
                Err(regex::Error::CompiledTooBig(_)) => return Err(vec![one_too_many(patterns)]),
                // Which one is wrong shows below.
                Err(_) => None,
            },
        };
        let mut engines = Vec::with_capacity(patterns.len());
        let mut faults = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            match Engine::compile(pattern) {
                Ok(engine) => engines.push(engine),
                Err(fault) => faults.push((index, fault)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Bank { engines, gate, needles: Needles::of(patterns) })
    }

    pub(super) fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// May any match in `line` with a piece cut out? See [`Needles::may_match`].
    pub(super) fn may_match(&self, line: &str) -> bool {
        self.needles.as_ref().is_none_or(|needles| needles.may_match(line))
    }

    /// The same bank, but every line may match.
    #[cfg(test)]
    pub(super) fn without_needles(self) -> Bank {
        Bank { needles: None, ..self }
    }

    /// Does any match in `text`?
    pub(super) fn is_match(&self, text: &str) -> bool {
        match &self.gate {
            Some(gate) => gate.is_match(text),
            None => self.engines.iter().any(|engine| engine.is_match(text)),
        }
    }

    /// What `accept` makes of the first match, by order of the regexes, that it takes.
    pub(super) fn first<T>(
        &self,
        text: &str,
        mut accept: impl FnMut(usize, &Captures<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut ask = |index: usize| {
            let captures = self.engines.get(index)?.captures(text)?;
            accept(index, &captures)
        };
        match &self.gate {
            // Which ones match needs memory; whether any does, the usual "none", does not.
            Some(gate) if gate.is_match(text) => gate.matches(text).iter().find_map(ask),
            Some(_) => None,
            None => (0..self.engines.len()).find_map(&mut ask),
        }
    }
}

fn gate(patterns: &[Pattern]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns.iter().map(Pattern::text))
        .size_limit(BANK_LIMIT)
        .nest_limit(NEST_LIMIT)
        .build()
}

/// The first pattern with which `patterns` are too large. Halving keeps the work
/// bounded, whatever they are.
fn one_too_many(patterns: &[Pattern]) -> (usize, Fault) {
    let (mut fits, mut fails) = (0, patterns.len());
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        if gate(&patterns[..middle]).is_ok() { fits = middle } else { fails = middle }
    }
    let pattern = &patterns[fits];
    let fault = Engine::compile(pattern)
        .err()
        .unwrap_or_else(|| too_large(pattern, "the regexes up to this one are too large together"));
    (fits, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(regexes: &[&str]) -> Result<Bank, Vec<(usize, Fault)>> {
        let patterns: Vec<_> = regexes.iter().map(|regex| Pattern::of_user(regex)).collect();
        Bank::compile(&patterns)
    }

    #[test]
    fn the_first_in_order_that_is_accepted_wins() {
        let bank = bank(&["b(.)", "a(.)", "c(.)"]).unwrap();
        let found = |text: &str, not: usize| {
            bank.first(text, |index, captures| {
                (index != not).then(|| (index, captures.get(1).unwrap().to_owned()))
            })
        };
        assert_eq!(found("a1 b2", 9), Some((0, "2".to_owned())));
        assert_eq!(found("a1 b2", 0), Some((1, "1".to_owned())));
        assert_eq!(found("a1 ", 1), None);
        assert_eq!(found("x", 9), None);
        assert!(bank.is_match("c3") && !bank.is_match("c"));
    }

    #[test]
    fn an_empty_bank_matches_nothing() {
        let bank = bank(&[]).unwrap();
        assert!(!bank.is_match("") && bank.first("a", |_, _| Some(())).is_none());
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
        let faults = bank(&[r"(?:a{400}){400}"; 12]).unwrap_err();
        assert!(faults.len() == 1 && faults[0].0 > 1, "{faults:?}");
        assert!(faults[0].1.what.contains("too large together"), "{faults:?}");
    }
}
