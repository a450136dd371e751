//! Saying no to a line before anything else is done with it.
//!
//! Most regexes can't match without some literal: `Login failed for user '`. A line
//! without any of the literals of a filter needs neither its date found nor a search.
//! But the regexes see the line with its date cut out, and cutting joins what was
//! apart: `Login 2025-… failed` has the literal only afterwards. So each literal is
//! looked for in two halves: wherever the seam lies, one of them is whole on one side.

use regex::bytes::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Shorter literals, of which the halves would be everywhere, are of no use.
const SHORTEST: usize = 6;

/// More literals than this say no too rarely and too slowly.
const MOST: usize = 100;

/// Text of which a line must hold a part, or no regex of a filter can match.
#[derive(Clone, Debug)]
pub(super) struct Needles(Regex);

/// A literal that a match can't do without.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Literal {
    text: String,
    any_case: bool,
}

impl Literal {
    fn halves(&self) -> (&str, &str) {
        let middle = self.text.len() / 2;
        let middle = (middle..).find(|at| self.text.is_char_boundary(*at)).unwrap_or(middle);
        self.text.split_at(middle)
    }
}

impl Needles {
    /// What the linear `patterns`, of which one is to match, can't do without; `None` if
    /// one of them needs no literal. Nor is what may stand in `put_before`, which lines
    /// may get put before them, of any use.
    pub(super) fn of<'p>(
        patterns: impl IntoIterator<Item = &'p str>,
        put_before: &str,
    ) -> Option<Needles> {
        let mut literals = Vec::new();
        for pattern in patterns {
            let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
            literals.extend(required(&hir)?);
        }
        let put_before = put_before.to_lowercase();
        let mut halves: Vec<String> = Vec::new();
        for literal in &literals {
            let (left, right) = literal.halves();
            for half in [left, right] {
                if put_before.contains(&half.to_lowercase()) {
                    return None;
                }
                let flags = if literal.any_case { "(?i-u:" } else { "(?-u:" };
                halves.push(format!("{flags}{})", escaped(half)));
            }
        }
        halves.sort();
        halves.dedup();
        if halves.is_empty() || literals.len() > MOST {
            return None;
        }
        Regex::new(&halves.join("|")).ok().map(Needles)
    }

    /// Where in `text`, from `from` on, is the first sign that a regex may match the
    /// line there, with any piece cut out of it? The lines must have no escapes in them,
    /// which the regexes see removed.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        self.0.find_at(text, from).map(|found| found.start())
    }

    /// May a regex match in `line`?
    pub(super) fn may_match(&self, line: &str) -> bool {
        self.0.is_match(line.as_bytes())
    }
}

/// `text` as a regex of its bytes.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!(r"\x{byte:02x}"),
        })
        .collect()
}

/// Literals one of which `hir` can't match without: the choice with the longest
/// shortest one.
fn required(hir: &Hir) -> Option<Vec<Literal>> {
    let found = match hir.kind() {
        HirKind::Capture(capture) => return required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => return required(&repetition.sub),
        HirKind::Concat(parts) => of_sequence(parts),
        HirKind::Alternation(choices) => {
            let each: Option<Vec<_>> = choices.iter().map(required).collect();
            each.map(|each| each.concat())
        }
        _ => of_sequence(std::slice::from_ref(hir)),
    };
    found.filter(|literals| literals.len() <= MOST)
}

/// The best of all runs of characters in `parts`, and of what each part requires.
fn of_sequence(parts: &[Hir]) -> Option<Vec<Literal>> {
    let mut best: Option<Vec<Literal>> = None;
    let mut offer = |literals: Vec<Literal>| {
        let shortest = |literals: &[Literal]| literals.iter().map(|l| l.text.len()).min();
        if shortest(&literals) >= Some(SHORTEST)
            && best.as_ref().is_none_or(|best| shortest(&literals) > shortest(best))
        {
            best = Some(literals);
        }
    };
    let mut run = Literal { text: String::new(), any_case: false };
    for part in parts {
        if append(part, &mut run) {
            continue;
        }
        offer(vec![std::mem::replace(&mut run, Literal { text: String::new(), any_case: false })]);
        // A single part is what this was called for.
        if parts.len() > 1
            && let Some(literals) = required(part)
        {
            offer(literals);
        }
    }
    offer(vec![run]);
    best
}

/// Adds `part` to `run` if it is the very next characters, in one case or both.
fn append(part: &Hir, run: &mut Literal) -> bool {
    match part.kind() {
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            // The line end that the text has at its end is not in the line.
            Ok(text) if !text.contains('\n') => {
                run.text.push_str(text);
                true
            }
            _ => false,
        },
        HirKind::Class(Class::Unicode(class)) => match both_cases(class) {
            Some(letter) => {
                run.text.push(letter);
                run.any_case = true;
                true
            }
            None => false,
        },
        HirKind::Look(_) | HirKind::Empty => true,
        _ => false,
    }
}

/// The lower-case letter, if the class is a letter of ASCII in its two cases.
fn both_cases(class: &regex_syntax::hir::ClassUnicode) -> Option<char> {
    let mut chars = Vec::new();
    for range in class.ranges() {
        if range.start() != range.end() || chars.len() == 2 {
            return None;
        }
        chars.push(range.start());
    }
    match chars[..] {
        [upper, lower] if lower.is_ascii_lowercase() && lower.to_ascii_uppercase() == upper => {
            Some(lower)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(regexes: &[&str]) -> Option<Needles> {
        Needles::of(regexes.iter().copied(), "")
    }

    #[test]
    fn literals_that_every_match_needs() {
        let check = |regex: &str, expected: &[&str]| {
            let hir = regex_syntax::Parser::new().parse(regex).unwrap();
            let found = required(&hir).unwrap_or_default();
            let found: Vec<_> = found.iter().map(|literal| literal.text.as_str()).collect();
            assert_eq!(found, expected, "{regex}");
        };
        check("a.*failed (from|by) x", &["failed "]);
        check("(?P<x>(?:failed!)+)b", &["failed!"]);
        check("éééé", &["éééé"]);
        check("(failed from)?", &[]);
        check("(?:failed from|accepted by)|exceeded", &["failed from", "accepted by", "exceeded"]);
        check("(?:failed from|by)|exceeded", &[]);
        check("(?i)failed by", &["failed by"]);
        check("(?i)aaasbbbkccc", &[], );
        check("fai(?:)led from", &["failed from"]);
        check("short", &[]);
        check("failed\n", &[]);
        assert!(needles(&["failed from", "short"]).is_none());
        assert!(needles(&[]).is_none());
    }

    #[test]
    fn a_seam_hides_no_literal() {
        for regex in ["failed from", "(?i)FAILED from", "fäiléd from"] {
            let needles = needles(&[regex]).unwrap();
            let text = regex.trim_start_matches("(?i)");
            for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
                let (left, right) = text.split_at(at);
                assert!(needles.may_match(&format!("x {left}2025-05-26 11:59:59{right}")));
            }
            assert!(!needles.may_match("accepted for"));
        }
    }

    #[test]
    fn what_is_put_before_a_line_can_be_no_needle() {
        assert!(Needles::of(["sshd.*x"], "host sshd[1]: ").is_none(), "too short");
        assert!(Needles::of(["dropbear"], "host dropbear[1]: ").is_none());
        assert!(Needles::of([r"ear\[1\]: failed"], "host dropbear[1]: ").is_none());
        assert!(Needles::of(["failed from"], "host dropbear[1]: ").is_some());
    }

    #[test]
    fn any_case_is_any_case() {
        let needles = needles(&["(?i)failed login"]).unwrap();
        assert!(needles.may_match("FAILED x") && needles.may_match("x lOgIn"));
        assert_eq!(needles.find(b"1\n2\nx Failed", 0), Some(6));
        assert_eq!(needles.find(b"1\n2\nx", 0), None);
    }
}
