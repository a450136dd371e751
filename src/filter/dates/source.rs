//! Working on a pattern's text in Python's dialect, without losing where it came from.

use std::ops::Range;

use crate::filter::pattern::Pattern;

/// Appends `range` of `from`.
pub(super) fn append(out: &mut Pattern, from: &Pattern, range: Range<usize>) {
    for (at, char) in from.text()[range.clone()].char_indices() {
        let at = range.start + at;
        out.push(char.encode_utf8(&mut [0; 4]), from.origin(at..at + char.len_utf8()));
    }
}

/// Only `range` of `from`.
pub(super) fn part(from: &Pattern, range: Range<usize>) -> Pattern {
    let mut out = from.fresh();
    append(&mut out, from, range);
    out
}

/// `from` with `text` in the place of `range`.
pub(super) fn replaced(from: &Pattern, range: Range<usize>, text: &str) -> Pattern {
    let mut out = part(from, 0..range.start);
    out.push(text, from.origin(range.clone()));
    append(&mut out, from, range.end..from.text().len());
    out
}

/// Is what stands at `at` escaped?
pub(super) fn is_escaped(text: &str, at: usize) -> bool {
    text.as_bytes()[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The groups that are closed, each from its `(` to behind its `)`, by their ends.
pub(super) fn groups(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut at, mut open, mut found) = (0, Vec::new(), Vec::new());
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => at = class_end(bytes, at) - 1,
            b'(' => open.push(at),
            b')' => found.extend(open.pop().map(|start| start..at + 1)),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Behind the `]` that closes the class at `start`, or the end of the text.
pub(super) fn class_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    if bytes.get(at) == Some(&b'^') {
        at += 1;
    }
    // A `]` that comes first is a literal.
    at += usize::from(bytes.get(at) == Some(&b']'));
    while let Some(byte) = bytes.get(at) {
        match byte {
            b']' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_know_classes_and_escapes() {
        let found = |text: &str| -> Vec<String> {
            groups(text).into_iter().map(|range| text[range].to_owned()).collect()
        };
        assert_eq!(found("a(b(c)[)(]d)"), ["(c)", "(b(c)[)(]d)"]);
        assert_eq!(found(r"\(a(b\))[]()]"), [r"(b\))"]);
        assert_eq!(found("[^](](é)"), ["(é)"]);
        assert!(found(")(").is_empty());
        assert!(found("[(").is_empty());
        assert!(found(r"[\").is_empty());
        assert!(found("\\").is_empty());
    }
}
