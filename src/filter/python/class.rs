//! `[…]`, as Python reads it: no nesting, no set operations, no `[:alpha:]`.

use super::escape::{self, Bad, Escape, Place};

/// Reads the class at the start of `rest`: pieces in Rust's syntax, each with the
/// number of bytes that it stands for. A range is several pieces.
pub(super) fn read(rest: &str) -> Result<Vec<(String, usize)>, Bad> {
    let negated = rest[1..].starts_with('^');
    let mut pieces = vec![("[".to_owned(), 1)];
    if negated {
        pieces.push(("^".to_owned(), 1));
    }
    let start = 1 + usize::from(negated);
    let mut at = start;
    loop {
        // A `]` that comes first is a character.
        if at > start && rest[at..].starts_with(']') {
            pieces.push(("]".to_owned(), 1));
            return Ok(pieces);
        }
        let (low, low_len) = item(rest, at)?;
        at += low_len;
        pieces.push((written(&low), low_len));
        let Some(after) = rest[at..].strip_prefix('-') else { continue };
        if after.starts_with(']') {
            continue;
        }
        let (high, high_len) = item(rest, at + 1)?;
        check_range(&low, &high, 1 + high_len).map_err(|bad| whole(bad, at))?;
        pieces.push(("-".to_owned(), 1));
        pieces.push((written(&high), high_len));
        at += 1 + high_len;
    }
}

/// One character or category at `at`.
fn item(rest: &str, at: usize) -> Result<(Escape, usize), Bad> {
    match rest[at..].chars().next() {
        Some('\\') => escape::read(&rest[at..], Place::Class).map_err(|bad| whole(bad, at)),
        Some(char) => Ok((Escape::Literal(char), char.len_utf8())),
        None => {
            let remedy = Some("close it with `]`, or write `\\[` for the character".to_owned());
            Err(Bad { len: 1, what: "a class `[` without its `]`".into(), remedy })
        }
    }
}

/// `bad`, seen from the start of the class.
fn whole(mut bad: Bad, at: usize) -> Bad {
    bad.len += at;
    bad
}

fn check_range(low: &Escape, high: &Escape, len: usize) -> Result<(), Bad> {
    match (low, high) {
        (Escape::Literal(low), Escape::Literal(high)) if low <= high => Ok(()),
        _ => {
            let what = "this is no range of characters".to_owned();
            let remedy = Some("write `\\-` for the character `-`".to_owned());
            Err(Bad { len, what, remedy })
        }
    }
}

fn written(item: &Escape) -> String {
    match item {
        Escape::Literal(char) => escape::literal(*char),
        Escape::Category(char) => format!("\\{char}"),
        // Neither is read within a class.
        Escape::Anchor(text) | Escape::Boundary(text) => (*text).to_owned(),
        Escape::Reference(group) => group.to_string(),
    }
}
