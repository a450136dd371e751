//! Groups in the place of tokens.

use std::ops::Range;

use super::field::Field;
use super::source::{append, class_end, is_escaped};
use super::token::{self, Part, Token};
use crate::filter::error::Fault;
use crate::filter::pattern::Pattern;

/// A pattern in Python's dialect in which each token is a group.
pub(super) struct Written {
    pub(super) pattern: Pattern,
    /// What the groups hold; [`name`] says what each is called.
    pub(super) fields: Vec<Field>,
}

/// The name of the group for field number `index`.
pub(super) fn name(index: usize) -> String {
    format!("_{index}")
}

impl Written {
    /// `core` with its tokens replaced.
    ///
    /// # Errors
    /// A `%` that begins no token, or a token where only characters can be.
    pub(super) fn of(core: &Pattern) -> Result<Written, Fault> {
        let mut written = Written { pattern: core.fresh(), fields: Vec::new() };
        let text = core.text();
        let (mut at, mut in_class) = (0, 0);
        while let Some(char) = text[at..].chars().next() {
            if char == '[' && at >= in_class && !is_escaped(text, at) {
                in_class = class_end(text.as_bytes(), at);
            }
            let len = match next(core, at)? {
                Some((len, parts)) if at < in_class && parts.iter().any(Part::is_group) => {
                    let what = format!("`{}` within `[…]`", &text[at..at + len]);
                    let fault = Fault::new(core.origin(at..at + len), what);
                    return Err(fault.remedy("a part of a date is no single character"));
                }
                Some((len, parts)) => {
                    parts.iter().for_each(|part| written.push(*part, core.origin(at..at + len)));
                    len
                }
                None => {
                    append(&mut written.pattern, core, at..at + char.len_utf8());
                    char.len_utf8()
                }
            };
            at += len;
        }
        Ok(written)
    }

    fn push(&mut self, part: Part, origin: Range<usize>) {
        match part {
            Part::Text(text) => self.pattern.push(text, origin),
            Part::Group(field, regex) => {
                let group = format!("(?P<{}>{regex})", name(self.fields.len()));
                self.pattern.push(&group, origin);
                self.fields.push(field);
            }
        }
    }
}

/// Names for times in seconds, longest first.
const BRACED: [(&str, Part); 3] = [
    ("{EPOCH}", Part::Group(Field::Epoch, token::EPOCH)),
    ("{LEPOCH}", Part::Group(Field::LongEpoch, token::LONG_EPOCH)),
    ("{TAI64N}", Part::Group(Field::Tai64n, token::TAI64N)),
];

/// The token at `at`, if one is there: its length and what it becomes.
fn next(core: &Pattern, at: usize) -> Result<Option<(usize, Vec<Part>)>, Fault> {
    let rest = &core.text()[at..];
    if rest.starts_with('{') && !is_escaped(core.text(), at) {
        let found = BRACED.iter().find(|(name, _)| {
            rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        return Ok(found.map(|(name, part)| (name.len(), vec![*part])));
    }
    if !rest.starts_with('%') {
        return Ok(None);
    }
    match token::read(rest) {
        Token::Parts(len, parts) => Ok(Some((len, parts))),
        Token::Unknown(len) => {
            let what = format!("`{}` stands for no part of a date", &rest[..len]);
            let fault = Fault::new(core.origin(at..at + len), what);
            Err(fault.remedy("for the character `%` itself, write `%%`"))
        }
    }
}

/// Checks that no part of a date is there twice.
///
/// # Errors
/// The second of two, or a `%` that begins no token.
pub(super) fn once(line: &Pattern) -> Result<(), Fault> {
    let mut seen: Vec<Field> = Vec::new();
    let mut at = 0;
    while let Some(char) = line.text()[at..].chars().next() {
        let Some((len, parts)) = next(line, at)? else {
            at += char.len_utf8();
            continue;
        };
        for part in parts {
            let Part::Group(field, _) = part else { continue };
            if seen.contains(&field) {
                let token = &line.text()[at..at + len];
                let what = format!("`{token}` reads a part of the date that is read already");
                let fault = Fault::new(line.origin(at..at + len), what);
                return Err(fault.remedy("leave one of them out; write several patterns, a line each, for dates of several shapes"));
            }
            seen.push(field);
        }
        at += len;
    }
    Ok(())
}
