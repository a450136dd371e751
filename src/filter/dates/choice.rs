//! Choosing among several templates, as fail2ban does.
//!
//! What fitted last is tried first, and only where it was last time, as long as what
//! stands there looks the same. Otherwise the list is walked: a template that fits at
//! the line's start, or not further right than it did before, is taken at once;
//! among others the leftmost. So a date in what a user typed does not win against
//! the line's own. What is used often moves up in the list.
//!
//! Columns are counted in characters. Different from fail2ban: there is no clock, so a
//! template was not used for long when [`UNUSED`] dates went by since; and what other
//! sources' lines look like does not matter.

use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use super::When;
use super::field::{Field, Reading};

/// How many dates ago a template must have been used to be moved down by any other.
const UNUSED: u64 = 300;

/// One shape of dates.
#[derive(Debug)]
pub(super) struct Template {
    /// Its text, by which two are the same.
    pub(super) name: String,
    pub(super) body: Body,
    /// Fixed to the line's start or end.
    pub(super) is_anchored: bool,
    /// How much it is preferred.
    pub(super) weight: f64,
}

#[derive(Debug)]
pub(super) enum Body {
    Regex(Regex, Groups),
    /// `{NONE}`: fits every line and finds nothing.
    Nothing,
    /// Fits no line.
    Never,
}

/// The groups of a template's regex.
#[derive(Debug)]
pub(super) struct Groups {
    /// All that counts as the match.
    pub(super) whole: usize,
    /// What is cut out.
    pub(super) cut: usize,
    pub(super) fields: Vec<(Field, usize)>,
}

/// What a template found.
#[derive(Debug)]
pub(super) struct Found {
    whole: Range<usize>,
    pub(super) cut: Range<usize>,
    /// `None` if there is no such day.
    pub(super) when: Option<When>,
}

impl Template {
    /// One that finds no dates.
    pub(super) fn silent(name: &str, body: Body) -> Template {
        Template { name: name.to_owned(), body, is_anchored: true, weight: 1.0 }
    }

    /// Looks for it from `range.start` on, as if the line ended at `range.end`.
    fn find(&self, line: &str, range: Range<usize>) -> Option<Found> {
        let (regex, groups) = match &self.body {
            Body::Regex(regex, groups) => (regex, groups),
            Body::Nothing => return Some(Found { whole: 0..0, cut: 0..0, when: None }),
            Body::Never => return None,
        };
        let captures = regex.captures_at(line.get(..range.end)?, range.start)?;
        let place = |group| captures.get(group).map(|found: regex::Match<'_>| found.range());
        let mut reading = Reading::default();
        let read = groups.fields.iter().try_for_each(|(field, group)| {
            captures.get(*group).map_or(Some(()), |found| reading.take(*field, found.as_str()))
        });
        let whole = place(groups.whole)?;
        let cut = place(groups.cut).unwrap_or(whole.start..whole.start);
        let when = read.filter(|()| !groups.fields.is_empty()).and_then(|()| reading.when());
        Some(Found { whole, cut, when })
    }
}

/// A template in the list, with what is known of its use.
#[derive(Clone, Debug)]
struct Slot {
    /// Its index in the pattern.
    template: usize,
    /// How often it was the one.
    hits: u32,
    /// When it was last, by the count of dates.
    used: Option<u64>,
    /// Where it began then.
    column: usize,
    /// It did fit once, if only as one of several.
    fitted: bool,
}

/// The last date: between which columns, and the characters at its edges.
#[derive(Clone, Debug)]
struct Last {
    slot: usize,
    start: usize,
    end: usize,
    edges: Edges,
}

/// The column of the byte at `at`.
fn column(line: &str, at: usize) -> usize {
    line[..at].chars().count()
}

/// Where the character in `column` begins; the end of the line if there is none.
fn byte(line: &str, column: usize) -> usize {
    line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

/// The characters before the start, after it, before the end and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edges([Option<char>; 4]);

impl Edges {
    fn of(line: &str, Range { start, end }: Range<usize>) -> Option<Edges> {
        let (before, after) = (line.get(..start)?, line.get(end..)?);
        let within = line.get(start..end)?;
        Some(Edges([
            before.chars().next_back(),
            line[start..].chars().next(),
            within.chars().next_back().or(before.chars().next_back()),
            after.chars().next(),
        ]))
    }

    /// Is at either edge the character outside the same, or the one inside, if that
    /// is no letter or digit?
    fn fit(&self, last: &Edges) -> bool {
        let ([a, b, c, d], [last_a, last_b, last_c, last_d]) = (self.0, last.0);
        let inside = |one: Option<char>, last: Option<char>| {
            one == last && last.is_some_and(|c| !c.is_alphanumeric())
        };
        (a == last_a || inside(b, last_b)) && (d == last_d || inside(c, last_c))
    }
}

/// The list at work on one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    slots: Vec<Slot>,
    last: Option<Last>,
    /// The first slot that was never used.
    unused: usize,
    /// How many dates there were.
    dates: u64,
}

/// A slot and what its template found.
type Hit = (usize, Found);

/// What a search of a line came to so far.
enum Outcome {
    Found(Hit),
    /// Nothing is certain yet: the best so far, and the slot that needs no other try.
    Open {
        best: Option<Hit>,
        tried: Option<usize>,
    },
}

impl Choice {
    /// What the right one of `templates` finds in `line`. They must be the same ones
    /// every time.
    pub(super) fn find(&mut self, templates: &[Arc<Template>], line: &str) -> Option<Found> {
        if self.slots.len() != templates.len() {
            let slot = |template| Slot {
                template,
                hits: 0,
                used: None,
                column: usize::MAX,
                fitted: false,
            };
            self.slots = (0..templates.len()).map(slot).collect();
        }
        let (index, found) = match self.again(templates, line) {
            Outcome::Found(hit) => hit,
            Outcome::Open { best, tried } => self.walk(templates, line, best, tried)?,
        };
        self.won(index, &found, line, templates);
        Some(found)
    }

    fn try_one(
        &mut self,
        index: usize,
        templates: &[Arc<Template>],
        line: &str,
        range: Range<usize>,
    ) -> Option<Found> {
        let slot = &mut self.slots[index];
        let found = templates[slot.template].find(line, range);
        slot.fitted |= found.is_some();
        found
    }

    /// Looks for what was there last, where it was.
    fn again(&mut self, templates: &[Arc<Template>], line: &str) -> Outcome {
        let Some(last) = self.last.clone() else {
            return Outcome::Open { best: None, tried: None };
        };
        let is_anchored = templates[self.slots[last.slot].template].is_anchored;
        let place = byte(line, last.start)..byte(line, last.end);
        let is_alike = !is_anchored
            && Edges::of(line, place.clone()).is_some_and(|edges| edges.fit(&last.edges));
        let range = if is_alike { place } else { 0..line.len() };
        let is_there = |found: &Found| {
            column(line, found.whole.start) == last.start
                && column(line, found.whole.end) == last.end
        };
        let best = self.try_one(last.slot, templates, line, range).map(|found| (last.slot, found));
        match best {
            Some((slot, found)) if templates.len() == 1 || is_anchored || is_there(&found) => {
                Outcome::Found((slot, found))
            }
            best => Outcome::Open { best, tried: (!is_alike).then_some(last.slot) },
        }
    }

    /// Tries all in their order.
    fn walk(
        &mut self,
        templates: &[Arc<Template>],
        line: &str,
        mut best: Option<Hit>,
        tried: Option<usize>,
    ) -> Option<Hit> {
        let farthest = self.last.as_ref().map_or(1, |last| last.start);
        for index in (0..self.slots.len()).filter(|index| tried != Some(*index)) {
            let Some(found) = self.try_one(index, templates, line, 0..line.len()) else {
                continue;
            };
            let start = column(line, found.whole.start);
            let slot = &self.slots[index];
            let next = self.slots.get(index + 1);
            let is_certain = templates[slot.template].is_anchored
                || next.is_none_or(|next| start == 0 && slot.hits > 0 && !next.fitted)
                || (start <= slot.column && start <= farthest);
            if is_certain {
                return Some((index, found));
            }
            if best.as_ref().is_none_or(|(_, best)| found.whole.start < best.whole.start) {
                best = Some((index, found));
            }
        }
        best
    }

    /// The one in slot `index` was it.
    fn won(&mut self, index: usize, found: &Found, line: &str, templates: &[Arc<Template>]) {
        self.dates += 1;
        let slot = &mut self.slots[index];
        slot.hits = slot.hits.saturating_add(1);
        slot.used = Some(self.dates);
        slot.column = column(line, found.whole.start);
        if self.unused == index {
            self.unused += 1;
        }
        let moved = self.last.as_ref().is_none_or(|last| last.slot != index);
        let slot = if moved { self.moved_up(index, templates) } else { index };
        let (start, end) = (column(line, found.whole.start), column(line, found.whole.end));
        let edges = Edges::of(line, found.whole.clone());
        self.last = edges.map(|edges| Last { slot, start, end, edges });
    }

    /// Moves slot `index` up if it is used more than what is there: to the first that
    /// was never used, or half the way, or by one. Where it is then.
    fn moved_up(&mut self, index: usize, templates: &[Arc<Template>]) -> usize {
        let far = if self.unused < index { self.unused } else { index / 2 };
        let target = [Some(far), index.checked_sub(1)]
            .into_iter()
            .flatten()
            .find(|target| *target < index && self.is_above(index, *target, templates));
        let Some(target) = target else { return index };
        let slot = self.slots.remove(index);
        self.slots.insert(target, slot);
        while self.slots.get(self.unused).is_some_and(|slot| slot.hits > 0) {
            self.unused += 1;
        }
        target
    }

    fn is_above(&self, index: usize, target: usize, templates: &[Arc<Template>]) -> bool {
        let weight = |slot: &Slot| {
            let column = u32::try_from(slot.column.max(1)).unwrap_or(u32::MAX);
            f64::from(slot.hits) * templates[slot.template].weight / f64::from(column)
        };
        let (slot, other) = (&self.slots[index], &self.slots[target]);
        let is_newer = other
            .used
            .is_none_or(|used| slot.used.is_some_and(|here| here.saturating_sub(UNUSED) > used));
        weight(slot) > weight(other) || is_newer
    }
}
