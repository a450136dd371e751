//! A regex as a row of parts, and how many of them match.

use std::collections::HashMap;
use std::ops::Range;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Ast};

use crate::filter::pattern::Pattern;

/// Memory that the beginning of a row may take, compiled, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// Parentheses within parentheses.
const NEST_LIMIT: u32 = 200;

/// A row of parts: a pattern, or one of the alternatives that it is made of.
#[derive(Debug)]
pub(super) struct Row {
    gate: Pattern,
    /// Flags for the whole pattern.
    head: String,
    /// Where the row begins in the gate.
    start: usize,
    parts: Vec<Part>,
    /// Where a repetition is marked as lazy, in the gate.
    lazy: Vec<usize>,
    /// The first so many parts, compiled; `None`: they can't be.
    compiled: HashMap<usize, Option<Beginning>>,
}

#[derive(Debug)]
struct Part {
    span: Range<usize>,
    /// So many groups are open around it.
    open: usize,
}

/// The first parts of a row.
#[derive(Debug)]
struct Beginning {
    regex: Regex,
    /// The length of the shortest text that it matches.
    demands: usize,
}

/// How far a row gets in a text.
#[derive(Debug)]
pub(super) struct Reach {
    /// So many of its parts match.
    parts: usize,
    /// So much text they need at least, in bytes.
    pub(super) demands: usize,
    /// What they match; it ends as early as can be.
    pub(super) matched: Range<usize>,
}

impl Reach {
    pub(super) fn rank(&self) -> (usize, usize) {
        (self.demands, self.matched.end)
    }
}

impl Row {
    /// The rows of a gate pattern: one, or one for each alternative.
    pub(super) fn all(gate: &Pattern) -> Vec<Row> {
        let mut parser = ast::parse::ParserBuilder::new().nest_limit(NEST_LIMIT).build();
        let Ok(tree) = parser.parse(gate.text()) else { return Vec::new() };
        let lazy = ast::visit(&tree, Lazy::default()).unwrap_or_default();
        let alternatives = match &tree {
            Ast::Alternation(alternation) => alternation.asts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let head = alternatives.first().map(|first| flags(first, gate.text())).unwrap_or_default();
        let row = |(number, tree): (usize, &Ast)| {
            let mut parts = Vec::new();
            flatten(tree, 0, &mut parts);
            Row {
                gate: gate.clone(),
                // The first one has them in it.
                head: if number == 0 { String::new() } else { head.clone() },
                start: tree.span().start.offset,
                parts,
                lazy: lazy.clone(),
                compiled: HashMap::new(),
            }
        };
        alternatives.iter().enumerate().map(row).collect()
    }

    /// How many of the parts match in `text`; `None`: not even the first. At most `left`
    /// regexes are compiled for it, and taken off.
    pub(super) fn reach(&mut self, text: &str, left: &mut usize) -> Option<Reach> {
        // Most stop early, and there the regexes are small: steps double as long as it goes.
        let (mut good, mut bad, mut step) = (0, self.parts.len() + 1, 1);
        while bad - good > 1 {
            let probe = if bad > self.parts.len() {
                (good + step).min(self.parts.len())
            } else {
                good + (bad - good) / 2
            };
            if self.beginning(probe, left)?.is_some_and(|part| part.regex.is_match(text)) {
                (good, step) = (probe, step * 2);
            } else {
                bad = probe;
            }
        }
        let beginning = self.beginning(good, left)??;
        let matched = beginning.regex.find(text)?.range();
        Some(Reach { parts: good, demands: beginning.demands, matched })
    }

    /// The first part that does not match, and all behind it, in the user's text;
    /// `None`: there is none.
    pub(super) fn stop(&self, reach: &Reach) -> Option<Range<usize>> {
        let part = self.parts.get(reach.parts)?;
        let end = self.parts.last().map_or(part.span.end, |last| last.span.end);
        let first = self.gate.origin(part.span.clone());
        let rest = self.gate.origin(part.span.start..end);
        Some(first.start..rest.end.max(first.end))
    }

    /// The first `count` parts; the outer `None`: no more may be compiled.
    fn beginning(&mut self, count: usize, left: &mut usize) -> Option<Option<&Beginning>> {
        if !self.compiled.contains_key(&count) {
            *left = left.checked_sub(1)?;
            let compiled = self.compile(count);
            self.compiled.insert(count, compiled);
        }
        Some(self.compiled.get(&count)?.as_ref())
    }

    fn compile(&self, count: usize) -> Option<Beginning> {
        let last = self.parts.get(count.checked_sub(1)?)?;
        let mut text = self.head.clone();
        let row = self.start..last.span.end;
        let chars = self.gate.text().get(row)?.char_indices();
        // All repetitions are lazy below, and what is marked so would be greedy.
        let kept = chars.filter(|(at, _)| !self.lazy.contains(&(self.start + at)));
        text.extend(kept.map(|(_, char)| char));
        text.extend(std::iter::repeat_n(')', last.open));
        let demands = regex_syntax::Parser::new().parse(&text).ok()?.properties().minimum_len();
        let mut builder = RegexBuilder::new(&text);
        let regex = builder.size_limit(SIZE_LIMIT).nest_limit(NEST_LIMIT).swap_greed(true).build();
        // What can match nothing at all demands nothing.
        Some(Beginning { regex: regex.ok()?, demands: demands.unwrap_or(0) })
    }
}

/// The flags at the beginning of a pattern, as they are written.
fn flags(tree: &Ast, text: &str) -> String {
    let parts = match tree {
        Ast::Concat(concat) => concat.asts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let flags = parts.iter().take_while(|part| matches!(part, Ast::Flags(_)));
    flags.map(|part| &text[part.span().start.offset..part.span().end.offset]).collect()
}

/// The parts of `tree` in a row; a group is looked into unless it has alternatives.
fn flatten(tree: &Ast, open: usize, parts: &mut Vec<Part>) {
    match tree {
        Ast::Concat(concat) => concat.asts.iter().for_each(|part| flatten(part, open, parts)),
        Ast::Group(group) if !matches!(*group.ast, Ast::Alternation(_) | Ast::Empty(_)) => {
            flatten(&group.ast, open + 1, parts);
        }
        Ast::Empty(_) | Ast::Flags(_) => {}
        other => {
            let span = other.span().start.offset..other.span().end.offset;
            parts.push(Part { span, open });
        }
    }
}

/// Finds the marks of lazy repetitions.
#[derive(Default)]
struct Lazy(Vec<usize>);

impl ast::Visitor for Lazy {
    type Output = Vec<usize>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Vec<usize>, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), Self::Err> {
        if let Ast::Repetition(repetition) = tree
            && !repetition.greedy
        {
            self.0.push(repetition.op.span.end.offset - 1);
        }
        Ok(())
    }
}
