//! `(?P<_sep>[-/.])%m(?P=_sep)`: the same character twice.
//!
//! A back-reference is beyond a linear engine, but this one, which filters use much,
//! is just a choice: `(?:-%m-|/%m/|\.%m\.)`.

use std::ops::Range;

use super::source::{append, groups, is_escaped, part};
use crate::filter::error::Fault;
use crate::filter::pattern::Pattern;

/// The parts of a back-reference.
struct Repeated {
    /// The group that is referred to.
    group: Range<usize>,
    /// What it can match, each as a regex.
    choices: Vec<String>,
    /// The references to it.
    references: Vec<Range<usize>>,
}

/// `source` without its back-references by name.
///
/// # Errors
/// One that is more than a character repeated.
pub(super) fn unfolded(source: &Pattern) -> Result<Pattern, Fault> {
    let mut source = part(source, 0..source.text().len());
    while let Some(at) = reference(source.text(), 0) {
        let repeated = read(source.text(), &at).ok_or_else(|| {
            Fault::new(source.origin(at.clone()), "a back-reference").remedy(
                "write out what the group can be; in a date pattern, only a group of single \
                 characters can be referred to, as in `(?P<_sep>[-/.])%m(?P=_sep)`",
            )
        })?;
        source = unfold(&source, &repeated);
    }
    Ok(source)
}

/// The first `(?P=name)` from `start` on.
fn reference(text: &str, start: usize) -> Option<Range<usize>> {
    let found = text[start..].match_indices("(?P=").map(|(at, _)| start + at);
    let at = found.filter(|at| !is_escaped(text, *at)).min()?;
    Some(at..at + text[at..].find(')')? + 1)
}

fn read(text: &str, first: &Range<usize>) -> Option<Repeated> {
    let name = text[first.clone()].strip_prefix("(?P=")?.strip_suffix(')')?;
    let opening = format!("(?P<{name}>");
    let start = text[..first.start].find(&opening)?;
    let group = groups(text).into_iter().find(|group| group.start == start)?;
    let choices = choices(&text[start + opening.len()..group.end - 1])?;
    let mut references = vec![first.clone()];
    while let Some(next) = reference(text, references.last()?.end) {
        if text[next.clone()] == text[first.clone()] {
            references.push(next);
        } else {
            break;
        }
    }
    let whole = &text[group.end..references.last()?.end];
    // All of it on one level, and nothing else there that a choice would tear apart.
    let is_plain = !whole.contains(['|', '[', '\\'])
        && whole.matches('(').count() == references.len()
        && whole.matches(')').count() == references.len();
    let repeats = text[references.last()?.end..].starts_with(['*', '+', '?', '{']);
    (is_plain && !repeats).then_some(Repeated { group, choices, references })
}

/// The characters of a class that only lists some.
fn choices(inner: &str) -> Option<Vec<String>> {
    const MOST: usize = 8;
    let class =
        inner.strip_prefix('[')?.strip_suffix(']').filter(|class| !class.starts_with('^'))?;
    let mut found = Vec::new();
    let mut chars = class.char_indices();
    while let Some((at, char)) = chars.next() {
        let literal = match char {
            '\\' => chars.next().map(|(_, char)| char).filter(|char| !char.is_alphanumeric())?,
            // A range.
            '-' if at > 0 && at + 1 < class.len() => return None,
            other => other,
        };
        found.push(regex_syntax::escape(literal.encode_utf8(&mut [0; 4])));
    }
    (1..=MOST).contains(&found.len()).then_some(found)
}

fn unfold(source: &Pattern, repeated: &Repeated) -> Pattern {
    let end = repeated.references.last().map_or(repeated.group.end, |last| last.end);
    let origin = |range: &Range<usize>| source.origin(range.clone());
    let mut out = part(source, 0..repeated.group.start);
    for (index, choice) in repeated.choices.iter().enumerate() {
        out.push(if index == 0 { "(?:" } else { "|" }, origin(&repeated.group));
        out.push(choice, origin(&repeated.group));
        let mut at = repeated.group.end;
        for reference in &repeated.references {
            append(&mut out, source, at..reference.start);
            out.push(choice, origin(reference));
            at = reference.end;
        }
    }
    out.push(")", origin(&repeated.group));
    append(&mut out, source, end..source.text().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfold(text: &str) -> Result<String, Fault> {
        unfolded(&Pattern::of_user(text)).map(|pattern| pattern.text().to_owned())
    }

    #[test]
    fn a_character_repeated_is_a_choice() {
        assert_eq!(
            unfold("%Y(?P<_s>[-/.])%m(?P=_s)%d x").unwrap(),
            r"%Y(?:\-%m\-|/%m/|\.%m\.)%d x"
        );
        assert_eq!(unfold(r"(?P<a>[\-_])%m(?P=a)%d(?P=a)").unwrap(), r"(?:\-%m\-%d\-|_%m_%d_)");
        assert_eq!(unfold("(?P<a>[.])(?P=a)(?P<b>[/])%m(?P=b)").unwrap(), r"(?:\.\.)(?:/%m/)");
        assert_eq!(unfold("(?P<a>x)").unwrap(), "(?P<a>x)");
        assert_eq!(unfold(r"\(?P=a)").unwrap(), r"\(?P=a)");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "(?P=a)",
            "(?P=a)(?P<a>[x])",
            "(?P<a>[a-z])(?P=a)",
            "(?P<a>[^a])(?P=a)",
            "(?P<a>[abcdefghi])(?P=a)",
            "(?P<a>.)(?P=a)",
            "(?P<a>[ab])(?:x|y)(?P=a)",
            "(?:(?P<a>[ab])x)(?P=a)",
            "(?P<a>[ab])(?P=a)?",
            r"(?P<a>[\d])(?P=a)",
        ] {
            let fault = unfold(text).unwrap_err();
            assert!(fault.what.contains("back-reference"), "{text}");
        }
    }
}
