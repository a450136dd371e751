//! Skipping what can hold no date, many bytes at a time.
//!
//! Each default template has a *mark* near its start: digits around a colon
//! (`07:08`), a century and more digits (`202405`), `@4`, or `t(` and a digit
//! (`audit(17`). Only epoch times have none; they are dates only at a line's start.

use std::ops::Range;

/// Bytes that are looked at together.
const BLOCK: usize = 32;
/// Bytes that a mark reaches beyond its first.
const AHEAD: usize = 5;

/// The first few bytes at or after `from` where a mark may begin: none begins before.
pub(super) fn next(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    while let Some(block) = bytes.get(at..)?.first_chunk() {
        if any(block) {
            return Some(at..at + BLOCK);
        }
        at += BLOCK;
    }
    // Too short to be looked at together.
    (at < bytes.len()).then_some(at..bytes.len())
}

/// Does a mark begin in the block? Without a branch, so that it is done for many bytes
/// in one instruction.
fn any(block: &[u8; BLOCK + AHEAD]) -> bool {
    let mut found = false;
    for at in 0..BLOCK {
        let byte = |ahead: usize| block[at + ahead];
        found |= is_mark([byte(0), byte(1), byte(2), byte(3), byte(4), byte(5)]);
    }
    found
}

fn is_mark([a, b, c, d, e, f]: [u8; AHEAD + 1]) -> bool {
    let digit = |byte: u8| byte.wrapping_sub(b'0') < 10;
    let colon = digit(a) & (b == b':') & digit(c);
    let century = (a == b'2') & (b == b'0') & digit(c) & digit(d) & digit(e) & digit(f);
    let label = (a == b'@') & (b == b'4');
    let audit = (a == b't') & (b == b'(') & digit(c);
    colon | century | label | audit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_they_are() {
        for mark in ["1:2", "200105", "@4", "t(1"] {
            for before in 0..100 {
                for after in [0, 1, 40] {
                    let text = format!("{}{mark}{}", "x".repeat(before), "-".repeat(after));
                    for from in 0..=before {
                        let found = next(text.as_bytes(), from).unwrap();
                        assert!(found.contains(&before) && found.start >= from, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_mark() {
        for text in ["1", "1:", ":1", "a:1", "1:a", "20010", "20010a", "@", "@5", "(1", "t(a"] {
            let text = format!("{text}{}", "-".repeat(2 * BLOCK));
            let rest = next(text.as_bytes(), 0).unwrap();
            assert!(rest.start >= BLOCK && rest.end == text.len(), "{text}");
        }
        assert_eq!(next(b"", 0), None);
        assert_eq!(next(b"1:2", 3), None);
        assert_eq!(next(b"1:2", 500), None);
    }
}
