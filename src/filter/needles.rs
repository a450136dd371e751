//! Saying no to a line before anything else is done with it.
//!
//! Most regexes can't match without some literal: `Login failed for user '`. A line
//! without it needs neither its date found nor a search. But the regexes see the line
//! with its date cut out, and cutting joins what was apart: `Login 2025-… failed` has
//! the literal only afterwards. So each literal is looked for in two halves: wherever
//! the seam lies, one of them is whole on one side of it.

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

use super::pattern::Pattern;

/// Shorter literals, of which the halves would be everywhere, are of no use.
const SHORTEST: usize = 6;

/// Text of which a line must hold a part, or no regex of a bank can match.
#[derive(Clone, Debug)]
pub(super) struct Needles(Regex);

impl Needles {
    /// `None` if one of `patterns` needs no literal.
    pub(super) fn of(patterns: &[Pattern]) -> Option<Needles> {
        let mut halves = Vec::with_capacity(2 * patterns.len());
        for pattern in patterns {
            let hir = regex_syntax::Parser::new().parse(pattern.text()).ok()?;
            let literal = std::str::from_utf8(required(&hir)?).ok()?;
            let middle = (literal.len() / 2..).find(|at| literal.is_char_boundary(*at))?;
            let (left, right) = literal.split_at(middle);
            halves.extend(
                [left, right].into_iter().filter(|half| !half.is_empty()).map(regex::escape),
            );
        }
        if halves.is_empty() {
            return None;
        }
        Regex::new(&halves.join("|")).ok().map(Needles)
    }

    /// May a regex match in `line` with any piece cut out of it? The line must have
    /// neither line ends nor escapes in it, which the regexes see replaced.
    pub(super) fn may_match(&self, line: &str) -> bool {
        self.0.is_match(line)
    }
}

/// The longest literal without which `hir` can't match.
fn required(hir: &Hir) -> Option<&[u8]> {
    let found: Option<&[u8]> = match hir.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(|part| part.len()),
        _ => None,
    };
    // The line end that the text has at its end is not in the line.
    found.filter(|literal| literal.len() >= SHORTEST && !literal.contains(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(regexes: &[&str]) -> Option<Needles> {
        Needles::of(&regexes.iter().map(|regex| Pattern::of_user(regex)).collect::<Vec<_>>())
    }

    #[test]
    fn literals_that_every_match_needs() {
        let check = |regex: &str, needle: Option<&str>| {
            assert_eq!(needles(&[regex]).map(|n| n.0.to_string()).as_deref(), needle, "{regex}");
        };
        check("a.*failed (from|by) x", Some("fai|led "));
        check("(?P<x>(?:failed!)+)b", Some("fai|led!"));
        check("éééé", Some("éé|éé"));
        check("aéééb", Some("aéé|éb"));
        check("(failed from)?", None);
        check("(?:failed from|failed by)|x", None);
        check("(?i)failed from", None);
        check("short", None);
        check("failed\n", None);
        assert!(needles(&["failed from", "short"]).is_none());
        assert!(needles(&[]).is_none());
    }

    #[test]
    fn a_seam_hides_no_literal() {
        let needles = needles(&["failed from"]).unwrap();
        for at in 0.."failed from".len() {
            let (left, right) = "failed from".split_at(at);
            assert!(needles.may_match(&format!("x {left}2025-05-26 11:59:59{right}")));
        }
        assert!(!needles.may_match("accepted for"));
    }
}
