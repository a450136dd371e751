//! One failregex of a filter, by itself: something to try lines on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::pieces::{self, Naming, Piece, Variant};
use crate::filter::python::{self, Lines, Translation};
use crate::filter::{
    Carrier, Filter, FilterSpec, Judge, Phase, RegexPlace, UseDns, Verdict, Who, tags,
};

/// When all examples happen.
pub(super) const NOW: Timestamp = Timestamp::constant(1_750_000_000, 0);

/// A heavier regex costs too much to be tried so often.
const HEAVIEST: u64 = 5000;

/// A failregex with all of its filter that decides about it.
pub(super) struct Subject {
    /// The filter with this failregex only.
    pub(super) spec: FilterSpec,
    pub(super) filter: Arc<Filter>,
    pub(super) place: RegexPlace,
    naming: Naming,
    fail: Translation,
    pref: Option<Translation>,
}

impl Subject {
    /// The failregex with this index; `None` if there is none that works.
    pub(super) fn new(spec: &FilterSpec, index: usize) -> Option<Subject> {
        let spec = FilterSpec {
            failregex: vec![spec.failregex.get(index)?.clone()],
            // Examples bear no date.
            datepattern: None,
            ..spec.clone()
        };
        Subject::of(spec, RegexPlace::Fail(index))
    }

    /// The only failregex of `spec`, which is called `place`.
    pub(super) fn of(spec: FilterSpec, place: RegexPlace) -> Option<Subject> {
        let fail = translated(spec.failregex.first()?, spec.use_dns)?;
        let pref = match &spec.prefregex {
            None => None,
            Some(regex) => Some(translated(regex, spec.use_dns)?),
        };
        let weight = weight(&fail) + pref.as_ref().map_or(0, weight);
        if weight > HEAVIEST {
            return None;
        }
        let named = |regex: &Translation| {
            regex.groups.iter().any(|group| Naming::Hosts.is_address(&group.name))
        };
        let hosts = named(&fail) || pref.as_ref().is_some_and(named);
        let naming = if hosts { Naming::Hosts } else { Naming::Ids };
        let filter = Arc::new(Filter::new(&spec).ok()?);
        Some(Subject { spec, filter, place, naming, fail, pref })
    }

    /// The pieces of an example; there may be no address in them.
    pub(super) fn pieces(&self, variant: Variant) -> Option<Vec<Piece>> {
        let fail = pieces::example(&self.fail, self.place, self.naming, variant)?;
        let pref = match &self.pref {
            None => None,
            Some(pref) => Some(pieces::example(pref, RegexPlace::Pref, self.naming, variant)?),
        };
        Some(pieces::joined(pref, fail))
    }

    /// The addresses of the client and of whom it wants to see banned.
    pub(super) fn addresses(&self) -> Addresses {
        let has = |name: &str| {
            let named = |regex: &Translation| regex.groups.iter().any(|group| group.name == name);
            named(&self.fail) || self.pref.as_ref().is_some_and(named)
        };
        if has("ip6") && !has("ip4") { V6 } else { V4 }
    }

    /// Who failed, according to `line`.
    pub(super) fn who(&self, line: &str) -> Option<String> {
        Some(failure(&self.filter, line)?.0)
    }

    /// The user's text of the regex at `place`.
    pub(super) fn text(&self, place: RegexPlace) -> Option<&str> {
        match place {
            RegexPlace::Pref => self.spec.prefregex.as_deref(),
            _ => self.spec.failregex.first().map(String::as_str),
        }
    }

    /// Is the regex at `place` several alternatives?
    pub(super) fn is_alternation(&self, place: RegexPlace) -> bool {
        let regex = if place == RegexPlace::Pref { self.pref.as_ref() } else { Some(&self.fail) };
        let ast = regex.and_then(|regex| {
            regex_syntax::ast::parse::Parser::new().parse(regex.gate.text()).ok()
        });
        matches!(ast, Some(regex_syntax::ast::Ast::Alternation(_)))
    }
}

/// The client, and whom it wants to see banned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) real: &'static str,
    pub(super) forged: &'static str,
}

const V4: Addresses = Addresses { real: "198.51.100.7", forged: "192.0.2.66" };
const V6: Addresses = Addresses { real: "2001:db8::7", forged: "2001:db8:bad::66" };

/// Who failed, according to `line` by itself, and by which failregex.
pub(super) fn failure(filter: &Arc<Filter>, line: &str) -> Option<(String, usize)> {
    failed(&verdict(filter, line, (Carrier::Log, Some(NOW))))
}

/// Who failed, and by which failregex.
pub(super) fn failed(verdict: &Verdict) -> Option<(String, usize)> {
    match verdict {
        Verdict::Failure(hit) => match &hit.who {
            Who::Network(network) => Some((network.to_string(), hit.regex)),
            Who::Name(_) | Who::Text(_) => None,
        },
        _ => None,
    }
}

/// What `line` is by itself, brought by `carrier`, which may tell the time.
pub(super) fn verdict(
    filter: &Arc<Filter>,
    line: &str,
    (carrier, at): (Carrier, Option<Timestamp>),
) -> Verdict {
    let hour = Duration::from_secs(3600);
    let mut judge = Judge::new(Arc::clone(filter), TimeZone::UTC, hour).on(carrier);
    judge.feed_text(line, at, NOW, Phase::Live)
}

/// How many characters the regex has with its repetitions written out.
fn weight(regex: &Translation) -> u64 {
    use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange};
    fn of(ast: &Ast) -> u64 {
        match ast {
            Ast::Group(group) => of(&group.ast),
            Ast::Alternation(all) => all.asts.iter().map(of).fold(1, u64::saturating_add),
            Ast::Concat(all) => all.asts.iter().map(of).fold(0, u64::saturating_add),
            Ast::Repetition(repetition) => {
                let times = match &repetition.op.kind {
                    RepetitionKind::Range(
                        RepetitionRange::Exactly(n)
                        | RepetitionRange::AtLeast(n)
                        | RepetitionRange::Bounded(_, n),
                    ) => u64::from(*n),
                    _ => 1,
                };
                of(&repetition.ast).saturating_mul(times.max(1))
            }
            _ => 1,
        }
    }
    let ast = regex_syntax::ast::parse::Parser::new().parse(regex.gate.text());
    ast.map_or(u64::MAX / 4, |ast| of(&ast).min(u64::MAX / 4))
}

fn translated(regex: &str, dns: UseDns) -> Option<Translation> {
    python::translate(&tags::expand(regex, dns), Lines::One).ok()
}
