//! What Docker Compose makes of `$` in a value.

use std::collections::BTreeMap;

/// A value after interpolation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interpolated {
    /// The value.
    pub(super) text: String,
    /// Names that are not set and for which there was no default: nothing stands there now.
    pub(super) swallowed: Vec<String>,
    /// What Compose refuses: the characters from a `$` on.
    pub(super) invalid: Option<String>,
}

/// Replaces `$$`, `$NAME`, `${NAME}` and `${NAME:-default}` and its like, as the
/// Compose specification has it ("Interpolation").
pub(super) fn interpolate(value: &str, variables: &BTreeMap<String, String>) -> Interpolated {
    let mut done = Interpolated::default();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        done.text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = match after.chars().next() {
            Some('$') => {
                done.text.push('$');
                &after[1..]
            }
            Some('{') => match braced(after, variables, &mut done) {
                Some(rest) => rest,
                None => return refused(done, &rest[at..]),
            },
            Some(c) if is_first(c) => {
                let end = name_end(after);
                put(&after[..end], variables, &mut done);
                &after[end..]
            }
            _ => return refused(done, &rest[at..]),
        };
    }
    done.text.push_str(rest);
    done
}

fn refused(mut done: Interpolated, from: &str) -> Interpolated {
    done.invalid = Some(from.chars().take(12).collect());
    done
}

fn is_first(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn name_end(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn put(name: &str, variables: &BTreeMap<String, String>, done: &mut Interpolated) {
    match variables.get(name) {
        Some(value) => done.text.push_str(value),
        None => done.swallowed.push(name.to_owned()),
    }
}

/// `{NAME}` and its kin; what follows it, or `None` if Compose refuses it.
fn braced<'t>(
    text: &'t str,
    variables: &BTreeMap<String, String>,
    done: &mut Interpolated,
) -> Option<&'t str> {
    let end = text.find('}')?;
    let inner = &text[1..end];
    if !inner.starts_with(is_first) {
        return None;
    }
    let (name, rest) = inner.split_at(name_end(inner));
    let set = variables.get(name);
    let filled = set.filter(|value| !value.is_empty());
    // With a colon an empty value counts as none.
    let (operator, word, value) = match rest.strip_prefix(':') {
        Some(rest) => (rest.chars().next()?, &rest[1..], filled),
        None if rest.is_empty() => {
            put(name, variables, done);
            return Some(&text[end + 1..]);
        }
        None => (rest.chars().next()?, rest.get(1..)?, set),
    };
    match (operator, value) {
        ('-' | '?', Some(value)) => done.text.push_str(value),
        ('-', None) => done.text.push_str(word),
        // It has to be set: Compose says so itself.
        ('?', None) => {}
        ('+', Some(_)) => done.text.push_str(word),
        ('+', None) => {}
        _ => return None,
    }
    Some(&text[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_what_compose_makes_of_them() {
        let variables = BTreeMap::from([("A".into(), "x".into()), ("EMPTY".into(), String::new())]);
        let check = |value: &str, text: &str, swallowed: &[&str], invalid: Option<&str>| {
            let done = interpolate(value, &variables);
            assert_eq!(done.text, text, "{value}");
            assert_eq!(done.swallowed, swallowed, "{value}");
            assert_eq!(done.invalid.as_deref(), invalid, "{value}");
        };
        check("plain", "plain", &[], None);
        check("a$$", "a$", &[], None);
        check("$$A", "$A", &[], None);
        check("$A-$B.", "x-.", &["B"], None);
        check("${A}${B}", "x", &["B"], None);
        check("${B:-d}${EMPTY:-d}${EMPTY-d}${A:-d}", "ddx", &[], None);
        check("${A:+y}${B+y}", "y", &[], None);
        check("${B:?set it}", "", &[], None);
        check("^a$", "^a", &[], Some("$"));
        check("(a|b$)", "(a|b", &[], Some("$)"));
        check("$1", "", &[], Some("$1"));
        check("${", "", &[], Some("${"));
        check("${1}", "", &[], Some("${1}"));
        check("é$é", "é", &[], Some("$é"));
    }
}
