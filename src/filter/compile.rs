//! From a filter as it was written to engines that run it, or to what is wrong with it.

use std::collections::HashSet;

use super::dates::DatePattern;
use super::engine::{Bank, Engine};
use super::error::{Fault, RegexError, RegexPlace};
use super::python::{self, Group, Lines, Translation};
use super::spec::{FilterSpec, UseDns};
use super::tags;

/// The longest regex that is looked at, in bytes.
const MAX_REGEX: usize = 16 * 1024;

/// The most regexes of a kind that a filter may have.
const MAX_REGEXES: usize = 1000;

/// A filter's parts, compiled.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) pref: Option<(Translation, Engine)>,
    pub(super) fail: Bank,
    /// The failregexes, translated.
    pub(super) patterns: Vec<Translation>,
    pub(super) ignore: Bank,
    /// The successregexes, and what they are translated to.
    pub(super) success: Bank,
    pub(super) success_patterns: Vec<Translation>,
    pub(super) dates: DatePattern,
}

/// Compiles all parts of `spec`.
///
/// # Errors
/// The first thing that is wrong in each regex, in their order.
pub(super) fn parts(spec: &FilterSpec) -> Result<Parts, Vec<RegexError>> {
    let mut errors = Vec::new();
    let several = spec.max_lines > 1;
    let lines = if several { Lines::All } else { Lines::One };
    let mut compiler = Compiler { dns: spec.use_dns, lines, named: false, errors: &mut errors };
    let pref = compiler.pref(spec.prefregex.as_deref());
    if several {
        compiler.lines = Lines::Each;
    }
    let fail = compiler.bank(&spec.failregex, RegexPlace::Fail);
    let success = compiler.bank(&spec.successregex, RegexPlace::Success);
    compiler.lines = lines;
    let ignore = compiler.bank(&spec.ignoreregex, RegexPlace::Ignore);
    let dates = match &spec.datepattern {
        None => Some(DatePattern::standard()),
        Some(pattern) => compiler.fine(DatePattern::compile(pattern), RegexPlace::Date),
    };
    match (fail, ignore, success, dates) {
        (
            Some((patterns, fail)),
            Some((_, ignore)),
            Some((success_patterns, success)),
            Some(dates),
        ) if errors.is_empty() => {
            Ok(Parts { pref, fail, patterns, ignore, success, success_patterns, dates })
        }
        _ => {
            errors.sort_by_key(|error| error.place);
            Err(errors)
        }
    }
}

struct Compiler<'e> {
    dns: UseDns,
    lines: Lines,
    /// Does prefregex have a place for the address?
    named: bool,
    errors: &'e mut Vec<RegexError>,
}

impl Compiler<'_> {
    fn fine<T>(&mut self, result: Result<T, Fault>, place: RegexPlace) -> Option<T> {
        result.map_err(|fault| self.errors.push(fault.at(place))).ok()
    }

    fn pref(&mut self, regex: Option<&str>) -> Option<(Translation, Engine)> {
        let translation = self.translated(regex?, RegexPlace::Pref);
        let translation = self.fine(translation, RegexPlace::Pref)?;
        self.named = translation.groups.iter().any(names_somebody);
        let engine = self.fine(Engine::compile(&translation), RegexPlace::Pref)?;
        Some((translation, engine))
    }

    /// Compiles the regexes of one kind.
    fn bank(
        &mut self,
        regexes: &[String],
        place: fn(usize) -> RegexPlace,
    ) -> Option<(Vec<Translation>, Bank)> {
        let mut patterns = Vec::with_capacity(regexes.len());
        let before = self.errors.len();
        for (index, regex) in regexes.iter().enumerate().take(MAX_REGEXES + 1) {
            let pattern = if index == MAX_REGEXES {
                Err(Fault::new(0..regex.len(), format!("more than {MAX_REGEXES} regexes")))
            } else {
                self.translated(regex, place(index))
            };
            patterns.extend(self.fine(pattern, place(index)));
        }
        if self.errors.len() > before {
            // What only compiling shows (too large) is told when all else is right.
            return None;
        }
        match Bank::compile(&patterns) {
            Ok(bank) => Some((patterns, bank)),
            Err(faults) => {
                self.errors.extend(faults.into_iter().map(|(index, fault)| fault.at(place(index))));
                None
            }
        }
    }

    /// From the user's text to the engine's syntax.
    fn translated(&self, regex: &str, place: RegexPlace) -> Result<Translation, Fault> {
        if regex.len() > MAX_REGEX {
            let start = regex.floor_char_boundary(MAX_REGEX);
            let what = format!("a regex of more than {MAX_REGEX} bytes");
            return Err(Fault::new(start..regex.len(), what));
        }
        if regex.trim().is_empty() {
            let what = "an empty regex, which every line would match";
            return Err(Fault::new(0..regex.len(), what).remedy("write a regex, or leave it out"));
        }
        let translation = python::translate(&tags::expand(regex, self.dns), self.lines)?;
        check_groups(&translation.groups)?;
        // Parsed here as well, so that one wrong regex does not hide another's mistakes.
        Engine::check(&translation)?;
        match place {
            RegexPlace::Fail(_) => {
                let named = self.named || translation.groups.iter().any(names_somebody);
                check_address(regex, named)?;
            }
            RegexPlace::Success(_) => {
                check_address(regex, translation.groups.iter().any(is_address))?;
            }
            RegexPlace::Ignore(_) | RegexPlace::Pref | RegexPlace::Date => {}
        }
        Ok(translation)
    }
}

/// Refuses a regex without a place for the address.
fn check_address(regex: &str, named: bool) -> Result<(), Fault> {
    if named {
        return Ok(());
    }
    let fault = Fault::new(0..regex.len(), "no place for the address");
    let lower = regex.to_ascii_lowercase();
    let near = ["<host>", "<addr>", "<ip4>", "<ip6>", "<subnet>", "(?p<host>", "(?p<ip>"];
    Err(match near.iter().find_map(|near| lower.find(near).map(|at| at..at + near.len())) {
        Some(span) => Fault { span, ..fault }.remedy("write the tag in capitals: <HOST>"),
        None => fault.remedy("put <HOST> where the address stands"),
    })
}

/// Is the group an address?
fn is_address(group: &Group) -> bool {
    ["ip4", "ip6"].contains(&group.name.as_str())
}

/// Does the group name somebody, or the connection of somebody?
fn names_somebody(group: &Group) -> bool {
    ["ip4", "ip6", "dns", "fid", "mlfid", "forwarded"].contains(&group.name.as_str())
}

fn check_groups(groups: &[Group]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for group in groups {
        if seen.insert(group.name.as_str()) {
            continue;
        }
        let span = group.span.clone();
        return Err(match group.name.as_str() {
            "ip4" | "ip6" | "dns" | "cidr" => Fault::new(span, "a second place for the address")
                .remedy("a regex has one address; write one failregex for each place"),
            name => Fault::new(span, format!("a second group with the name `{name}`"))
                .remedy(format!("call it `alt_{name}_1`, which fills `{name}`, or write `(?:…)`")),
        });
    }
    Ok(())
}
