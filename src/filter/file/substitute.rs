//! `<tag>`: the second pass, in which options stand in for tags.
//!
//! Purely textual, as in fail2ban, and repeated until nothing changes, so that a tag may
//! be built from tags: `<mdre-<mode>>`. What names no option stays as it is: that is how
//! `<HOST>` survives.

use std::collections::HashMap;

use super::interpolate::{Config, MAX_TEXT, Mistake};
use super::text::Text;

/// How often one tag is replaced in one option, at most (fail2ban's).
const MAX_REPLACEMENTS: u32 = 25;

/// Options by name, which go before what the files say.
pub(super) type Options = HashMap<String, Text>;

/// The text of option `name` with its tags replaced.
///
/// # Errors
/// An option that contains itself, or grows too long.
pub(super) fn substitute(
    name: &str,
    text: &Text,
    (options, config): (&Options, &Config),
) -> Result<Text, Mistake> {
    let mut out = text.clone();
    let mut counts: HashMap<String, u32> = HashMap::new();
    loop {
        let mut changed = false;
        let (mut line, mut at) = (0, 0);
        while let Some((content, origin)) = out.lines().get(line) {
            let Some((start, tag)) = next_tag(content, at) else {
                (line, at) = (line + 1, 0);
                continue;
            };
            let (tag, origin) = (tag.to_owned(), *origin);
            let value = match options.get(&tag) {
                Some(value) => Some(value.clone()),
                None => looked_up(config, &tag),
            };
            let Some(value) = value else {
                at = start + tag.len() + 2;
                continue;
            };
            let count = counts.entry(tag.clone()).or_default();
            *count += 1;
            let mistake = |what: String| Mistake {
                origin,
                what,
                remedy: Some("an option must not contain itself".to_owned()),
            };
            if tag == name || *count > MAX_REPLACEMENTS {
                return Err(mistake(format!("`<{tag}>` in `{name}` leads back to itself")));
            }
            let times = out.count(&format!("<{tag}>"));
            if out.len() + times.saturating_mul(value.len()) > MAX_TEXT {
                return Err(mistake(format!("`{name}` becomes too long with its tags replaced")));
            }
            // What came in is looked through again, with what stands before it.
            out.replace_all(&format!("<{tag}>"), &value);
            at = start;
            changed = true;
        }
        if !changed {
            return Ok(out);
        }
    }
}

/// A tag that names an option of the files. One with a mistake in it stays as it is.
fn looked_up(config: &Config, tag: &str) -> Option<Text> {
    if let Some(text) = config.get_elsewhere(tag).ok().flatten() {
        return Some(text);
    }
    config.get("Definition", tag).ok().flatten()
}

/// The first tag in `text` that begins at `from` or later, without its brackets: the
/// innermost, should they be nested.
fn next_tag(text: &str, from: usize) -> Option<(usize, &str)> {
    let mut start = None;
    for (at, char) in text.get(from..)?.char_indices().map(|(at, char)| (from + at, char)) {
        match (char, start) {
            ('<', _) => start = Some(at),
            ('>', Some(open)) if at > open + 1 => return Some((open, &text[open + 1..at])),
            (' ' | '>', _) => start = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::ini;
    use super::super::text::Origin;
    use super::*;

    fn substituted(text: &str, given: &[(&str, &str)]) -> Result<String, Mistake> {
        let mut config = Config::default();
        config.merge(ini::parse(text, 0).unwrap());
        let options: Options = given
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Text::given(text, Origin::default())))
            .collect();
        let text = config.get("Definition", "x").unwrap().unwrap();
        substitute("x", &text, (&options, &config)).map(|text| text.to_string())
    }

    #[track_caller]
    fn check(text: &str, given: &[(&str, &str)], expected: &str) {
        assert_eq!(substituted(text, given).unwrap(), expected);
    }

    #[test]
    fn tags_are_replaced_until_none_is_left() {
        check("[Definition]\nx = ^<y> <HOST>\ny = a<z>\nz = b", &[], "^ab <HOST>");
        check("[Definition]\nx = <re-<mode>>\nre-a = 1\nre-b = 2", &[("mode", "b")], "2");
        check("[Definition]\nx = <y>\n <y>\ny = 1\n 2", &[], "1\n2\n1\n2");
        check("[Definition]\nx = <l_<k>/p>\nk = A\n[l_A]\np = 1%(q)s\nq = 2", &[], "12");
        check("[Definition]\nx = (?P<user>a)\nuser = b", &[], "(?Pba)");
        check("[Definition]\nx = a < b <c d> <<y>>\ny = 1", &[], "a < b <c d> <1>");
        check("[Definition]\nx = <y>\ny = 1", &[("y", "2")], "2");
        check("[Definition]\nx = <a><b>>\na = <\nb = c\nc = 3", &[], "3");
    }

    #[test]
    fn what_leads_back_to_itself_is_a_mistake() {
        let refuse = |text: &str| {
            let mistake = substituted(text, &[]).unwrap_err();
            assert!(mistake.what.contains("itself"), "{mistake:?}");
        };
        refuse("[Definition]\nx = <x>");
        refuse("[Definition]\nx = <y>\ny = <z>\nz = <y>");
        let mut bomb = "[Definition]\nx = <a0>\n".to_owned();
        for level in 0..8 {
            bomb.push_str(&format!("a{level} = {}\n", format!("<a{}>", level + 1).repeat(20)));
        }
        bomb.push_str("a8 = boom\n");
        let mistake = substituted(&bomb, &[]).unwrap_err();
        assert!(mistake.what.contains("too long"), "{mistake:?}");
    }
}
