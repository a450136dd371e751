//! What stands around a date pattern: where it may begin and end, and what is cut out.
//!
//! fail2ban decides this by the first and last characters of a pattern's text; so is
//! it done here, so that a pattern means the same.

use std::ops::Range;

use super::source::{append, groups, is_escaped, part};
use crate::filter::error::Fault;
use crate::filter::pattern::Pattern;

/// A pattern, taken apart. All texts are in Python's dialect.
#[derive(Debug)]
pub(super) struct Layout {
    /// Flags for all of it.
    pub(super) flags: String,
    pub(super) start: Start,
    /// A word must end at its end, or none go on.
    pub(super) ends_word: bool,
    /// Fixed to the line's start or end.
    pub(super) is_anchored: bool,
    /// The user's first group is what is cut out; otherwise it is all of the core.
    pub(super) is_grouped: bool,
    /// What must stand before the core.
    pub(super) before: Option<Beside>,
    pub(super) core: Pattern,
    /// What must stand after the core.
    pub(super) after: Option<Beside>,
}

/// Where a pattern begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Anywhere,
    /// Where a word begins, or none goes on.
    Word,
    /// At the line's start, or up to two characters after it that are of no word.
    Line,
}

/// A look-behind or look-ahead at the edge of a pattern.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) text: Pattern,
    /// It must not stand there.
    pub(super) is_negative: bool,
}

const LINE: &str = "{^LN-BEG}";
const UNBOUND: &str = "{UNB}";

impl Layout {
    /// Takes `source` apart.
    ///
    /// # Errors
    /// What can't be had together.
    pub(super) fn of(source: &Pattern) -> Result<Layout, Fault> {
        let unbound = source.text().starts_with(UNBOUND);
        let source = strip(source, UNBOUND);
        let line = !unbound && source.text().starts_with(LINE);
        let source = trimmed(&if line { strip(&source, LINE) } else { source });
        let (flags, source) = global_flags(&source);
        let text = source.text();
        let start = match (unbound || begins_freely(text), line) {
            (true, _) => Start::Anywhere,
            (false, false) => Start::Word,
            (false, true) => Start::Line,
        };
        let ends_word = !unbound && !ends_freely(text);
        let is_anchored =
            start == Start::Line || begins_line(text) || (!ends_word && ends_line(text));
        let core = without_stars(&source);
        let is_grouped = has_group(core.text());
        let (before, core) = split_before(&core);
        let (core, after) = split_after(&core);
        if let Some(before) = &before
            && start == Start::Line
        {
            let span = before.text.origin(0..before.text.text().len());
            let what = format!("a look-behind after `{LINE}`");
            return Err(Fault::new(span, what).remedy("write what stands there after a `^`"));
        }
        Ok(Layout { flags, start, ends_word, is_anchored, is_grouped, before, core, after })
    }
}

fn strip(source: &Pattern, prefix: &str) -> Pattern {
    let start = if source.text().starts_with(prefix) { prefix.len() } else { 0 };
    part(source, start..source.text().len())
}

fn trimmed(source: &Pattern) -> Pattern {
    let text = source.text();
    let start = text.len() - text.trim_start().len();
    part(source, start..start.max(text.trim_end().len()))
}

/// The first `(?flags)`, and the pattern without it.
fn global_flags(source: &Pattern) -> (String, Pattern) {
    let text = source.text();
    let found =
        text.match_indices("(?").filter(|(at, _)| !is_escaped(text, *at)).find_map(|(at, _)| {
            let flags = &text[at + 2..];
            let len = flags.bytes().take_while(u8::is_ascii_lowercase).count();
            (len > 0 && flags[len..].starts_with(')')).then(|| (at, &flags[..len]))
        });
    match found {
        None => (String::new(), part(source, 0..text.len())),
        Some((at, flags)) => {
            let mut rest = part(source, 0..at);
            append(&mut rest, source, at + flags.len() + 3..text.len());
            (flags.to_owned(), rest)
        }
    }
}

/// Does it say itself where it begins, so that it needs no word to?
fn begins_freely(text: &str) -> bool {
    let inner = text.trim_start_matches('(');
    let opened = inner.len() < text.len();
    inner.starts_with('^') || inner.starts_with("**") || (opened && inner.starts_with("?:^"))
}

/// The same for its end.
fn ends_freely(text: &str) -> bool {
    let at =
        |tail: &str| text.strip_suffix(tail).is_some_and(|before| !is_escaped(text, before.len()));
    let stars = text.trim_end_matches(')');
    at("$") || at("$)") || at(r"\b") || at(r"\s") || unescaped_stars(stars)
}

fn unescaped_stars(text: &str) -> bool {
    text.strip_suffix("**").is_some_and(|before| !is_escaped(text, before.len()))
}

fn begins_line(text: &str) -> bool {
    let group = text.strip_prefix("(?:").or_else(|| text.strip_prefix('('));
    let in_group = group.and_then(|inner| inner.strip_prefix('^'));
    text.starts_with('^') || in_group.is_some_and(|rest| !rest.starts_with('|'))
}

fn ends_line(text: &str) -> bool {
    let before = text.strip_suffix("$)").or_else(|| text.strip_suffix('$'));
    before.is_some_and(|before| !before.ends_with('|') && !is_escaped(text, before.len()))
}

/// Without the `**` at either end, which say that no word begins or ends there.
fn without_stars(source: &Pattern) -> Pattern {
    let text = source.text();
    let opened = text.len() - text.trim_start_matches('(').len();
    let start = if text[opened..].starts_with("**") { opened..opened + 2 } else { 0..0 };
    let closed = text.trim_end_matches(')').len();
    let end = if closed >= start.end + 2 && unescaped_stars(&text[..closed]) {
        closed - 2..closed
    } else {
        text.len()..text.len()
    };
    let mut out = part(source, 0..start.start);
    append(&mut out, source, start.end..end.start);
    append(&mut out, source, end.end..text.len());
    out
}

/// Has it a group that captures and has no name? By its characters alone, as fail2ban
/// does it: classes are not looked at.
fn has_group(text: &str) -> bool {
    text.match_indices('(').any(|(at, _)| {
        !text[..at].ends_with('\\') && !text[..at].ends_with("(?") && !text[at..].starts_with("(?")
    })
}

/// A look-behind at the start, and the rest.
fn split_before(core: &Pattern) -> (Option<Beside>, Pattern) {
    let text = core.text();
    let group = groups(text).into_iter().find(|group| group.start == 0);
    let beside = group.clone().and_then(|group| beside(core, group, ["(?<=", "(?<!"]));
    let start = if beside.is_some() { group.map_or(0, |group| group.end) } else { 0 };
    (beside, part(core, start..text.len()))
}

/// The rest, and a look-ahead at the end.
fn split_after(core: &Pattern) -> (Pattern, Option<Beside>) {
    let text = core.text();
    let group = groups(text).into_iter().find(|group| group.end == text.len());
    let beside = group.clone().and_then(|group| beside(core, group, ["(?=", "(?!"]));
    let end = if beside.is_some() { group.map_or(0, |group| group.start) } else { text.len() };
    (part(core, 0..end), beside)
}

/// What `group` looks at, if it begins like one of `kinds`: the positive, the negative.
fn beside(core: &Pattern, group: Range<usize>, kinds: [&str; 2]) -> Option<Beside> {
    let text = &core.text()[group.clone()];
    let index = kinds.iter().position(|kind| text.starts_with(kind))?;
    let inner = group.start + kinds[index].len()..group.end - 1;
    Some(Beside { text: part(core, inner), is_negative: index == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Layout {
        Layout::of(&Pattern::of_user(text)).unwrap()
    }

    #[track_caller]
    fn check(text: &str, start: Start, ends_word: bool, is_anchored: bool, core: &str) {
        let layout = layout(text);
        let found = (layout.start, layout.ends_word, layout.is_anchored, layout.core.text());
        assert_eq!(found, (start, ends_word, is_anchored, core), "{text}");
    }

    #[test]
    fn where_patterns_begin_and_end() {
        check("%Y", Start::Word, true, false, "%Y");
        check(" %Y ", Start::Word, true, false, "%Y");
        check("^%Y", Start::Anywhere, true, true, "^%Y");
        check("(^%Y)", Start::Anywhere, true, true, "(^%Y)");
        check("(?:^|x)%Y", Start::Anywhere, true, false, "(?:^|x)%Y");
        check("%Y$", Start::Word, false, true, "%Y$");
        check("(%Y$)", Start::Word, false, true, "(%Y$)");
        check("%Y(?:x|$)", Start::Word, false, false, "%Y(?:x|$)");
        check(r"%Y\$", Start::Word, true, false, r"%Y\$");
        check(r"%Y\b", Start::Word, false, false, r"%Y\b");
        check(r"%Y\s", Start::Word, false, false, r"%Y\s");
        check("{UNB}%Y", Start::Anywhere, false, false, "%Y");
        check("{UNB}^%Y", Start::Anywhere, false, true, "^%Y");
        check("{^LN-BEG}%Y", Start::Line, true, true, "%Y");
        check("{^LN-BEG}^%Y", Start::Anywhere, true, true, "^%Y");
        check("**%Y", Start::Anywhere, true, false, "%Y");
        check("%Y**", Start::Word, false, false, "%Y");
        check("(**%Y**)", Start::Anywhere, false, false, "(%Y)");
        check(r"\**%Y\**", Start::Word, true, false, r"\**%Y\**");
        check("**", Start::Anywhere, false, false, "");
        check("****", Start::Anywhere, false, false, "");
    }

    #[test]
    fn flags_are_for_all_of_it() {
        let layout = layout(r"^\(?(?ix)%Y");
        assert_eq!((layout.flags.as_str(), layout.core.text()), ("ix", r"^\(?%Y"));
        assert_eq!(Layout::of(&Pattern::of_user("a(?i:%Y)")).unwrap().flags, "");
    }

    #[test]
    fn what_is_cut_out() {
        for (text, expected) in [
            ("%Y", false),
            ("(%Y)", true),
            ("(?:%Y)", false),
            (r"\(%Y\)", false),
            ("(?P<x>%Y)", false),
            ("[(]%Y", true),
            ("x(%Y)", true),
        ] {
            assert_eq!(layout(text).is_grouped, expected, "{text}");
        }
    }

    #[test]
    fn what_stands_beside() {
        let both = layout(r"(?<=\|\s)%Y(?=\s\|)");
        assert_eq!(both.core.text(), "%Y");
        assert_eq!(
            both.before.map(|b| (b.text.text().to_owned(), b.is_negative)),
            Some((r"\|\s".into(), false))
        );
        assert_eq!(
            both.after.map(|b| (b.text.text().to_owned(), b.is_negative)),
            Some((r"\s\|".into(), false))
        );
        let neither = layout(r"(?<!\d)%Y(?!\d)");
        assert!(neither.before.is_some_and(|b| b.is_negative));
        assert!(neither.after.is_some_and(|b| b.is_negative));
        assert_eq!(layout("x(?<=x)%Y").core.text(), "x(?<=x)%Y");
        assert!(Layout::of(&Pattern::of_user("{^LN-BEG}(?<=x)%Y")).is_err());
    }
}
