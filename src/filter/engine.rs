//! A list of regexes and what runs them. All are linear; this is the place for
//! an engine that backtracks, when filters that need one are to be had.

use std::ops::Range;

use regex::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::RegexFlaw;
use super::translate::{Translated, translate};

/// Most memory that one compiled regex may take, in bytes.
const SIZE_LIMIT: usize = 10 << 20;
/// Most memory that the set of all regexes may take, in bytes.
const SET_LIMIT: usize = 64 << 20;

/// What a regex must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// A place for the address.
    Address,
    /// Nothing.
    Nothing,
}

/// Regexes in the order in which they count.
#[derive(Debug, Default)]
pub(super) struct Engine {
    regexes: Vec<Regex>,
    /// Says in one pass which of them match; none where there is only one.
    gate: Option<RegexSet>,
}

impl Engine {
    /// Compiles the regexes; each that is wrong is named with its index.
    pub(super) fn new(regexes: &[String], needs: Needs) -> Result<Engine, Vec<(usize, RegexFlaw)>> {
        let (mut compiled, mut flaws) = (Vec::new(), Vec::new());
        for (index, user) in regexes.iter().enumerate() {
            match compile(user, needs) {
                Ok(regex) => compiled.push(regex),
                Err(wrong) => flaws.extend(wrong.into_iter().map(|flaw| (index, flaw))),
            }
        }
        if !flaws.is_empty() {
            return Err(flaws);
        }
        let gate = match compiled.len() {
            0 | 1 => None,
            // Too large for a set: each is tried by itself.
            _ => RegexSetBuilder::new(compiled.iter().map(Regex::as_str))
                .size_limit(SET_LIMIT)
                .build()
                .ok(),
        };
        Ok(Engine { regexes: compiled, gate })
    }

    /// The first regex in the list that matches, and its groups.
    pub(super) fn first<'t>(&self, text: &'t str) -> Option<(usize, Captures<'t>)> {
        match &self.gate {
            Some(gate) => {
                let index = gate.matches(text).into_iter().next()?;
                Some((index, self.regexes[index].captures(text)?))
            }
            None => {
                let mut all = self.regexes.iter().enumerate();
                all.find_map(|(index, regex)| Some((index, regex.captures(text)?)))
            }
        }
    }

    /// Does any match?
    pub(super) fn is_match(&self, text: &str) -> bool {
        match &self.gate {
            Some(gate) => gate.is_match(text),
            None => self.regexes.iter().any(|regex| regex.is_match(text)),
        }
    }
}

fn compile(user: &str, needs: Needs) -> Result<Regex, Vec<RegexFlaw>> {
    let translated = translate(user)?;
    if let [_, second, ..] = translated.addresses.as_slice() {
        let what = "the address can stand in one place only, and this is the second".to_owned();
        let remedy = Some("write a failregex of its own for each place".to_owned());
        return Err(vec![RegexFlaw { span: second.clone(), what, remedy }]);
    }
    if needs == Needs::Address && translated.addresses.is_empty() {
        return Err(vec![no_address(user)]);
    }
    let built = RegexBuilder::new(&translated.regex).size_limit(SIZE_LIMIT).build();
    built.map_err(|error| vec![flaw(user, &translated, &error)])
}

fn no_address(user: &str) -> RegexFlaw {
    let lower = user.to_ascii_lowercase();
    let written = ["<host>", "<addr>"].into_iter().find_map(|tag| Some((lower.find(tag)?, tag)));
    match written {
        Some((at, tag)) => RegexFlaw {
            span: at..at + tag.len(),
            what: "tags are written in capitals".to_owned(),
            remedy: Some(format!("write `{}`", tag.to_ascii_uppercase())),
        },
        None => RegexFlaw {
            span: 0..user.len(),
            what: "nothing in this failregex marks the address".to_owned(),
            remedy: Some("put <HOST> where the address stands".to_owned()),
        },
    }
}

/// The compiler's complaint, in the place of what the user wrote.
fn flaw(user: &str, translated: &Translated, error: &regex::Error) -> RegexFlaw {
    let whole = 0..user.len();
    if let regex::Error::CompiledTooBig(_) = error {
        return RegexFlaw {
            span: whole,
            what: "this pattern is too large".to_owned(),
            remedy: Some("use smaller counts in `{…}`, or `.*`".to_owned()),
        };
    }
    // `regex` gives words only; its parser gives the place too.
    let (what, span) = match regex_syntax::Parser::new().parse(&translated.regex) {
        Ok(_) => (error.to_string(), whole),
        Err(regex_syntax::Error::Parse(error)) => {
            (error.kind().to_string(), place(translated, error.span()))
        }
        Err(regex_syntax::Error::Translate(error)) => {
            (error.kind().to_string(), place(translated, error.span()))
        }
        Err(other) => (other.to_string(), whole),
    };
    RegexFlaw { span, what, remedy: None }
}

fn place(translated: &Translated, span: &regex_syntax::ast::Span) -> Range<usize> {
    translated.origin(span.start.offset..span.end.offset)
}
