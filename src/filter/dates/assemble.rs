//! From a pattern with tokens to a regex that is linear in the text.
//!
//! fail2ban's look-aheads for "a word begins here, or none goes on" and its opposite
//! are the same here: there is a half of a word's boundary. What a pattern looks at
//! behind or ahead of it is matched as well, but outside of what counts as its match.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::choice::{Body, Groups, Template};
use super::field::Field;
use super::layout::{Beside, Layout, Start};
use super::separator::unfolded;
use super::written::{self, Written};
use crate::filter::engine::Engine;
use crate::filter::error::Fault;
use crate::filter::pattern::Pattern;
use crate::filter::python::{self, Lines};

/// Memory that one template may take, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
const NEST_LIMIT: u32 = 100;

/// A word begins or none goes on, or one ends.
const EDGE: &str = r"(?:\b{start-half}|\b{end-half})";
/// The line's start, and what fail2ban lets stand before a date there.
const LINE_START: &str = r"\A\W{0,2}";
/// All that counts as the match.
const WHOLE: &str = "_whole";

/// The template for `source`, called `name`.
///
/// # Errors
/// What is wrong in it, or beyond a linear engine.
pub(super) fn template(name: &str, source: &Pattern) -> Result<Template, Fault> {
    let layout = Layout::of(&unfolded(source)?)?;
    let flags = flags(&layout, source.text());
    let written = Written::of(&layout.core)?;
    let core = translated(&written.pattern, &flags)?;
    let before = layout.before.as_ref().map(|before| beside(before, &flags, r"\A")).transpose()?;
    let after = layout.after.as_ref().map(|after| beside(after, &flags, r"\z")).transpose()?;

    let mut text = String::new();
    text.extend(before);
    text.push_str(if layout.start == Start::Word { EDGE } else { "" });
    text.push_str(&format!("(?P<{WHOLE}>"));
    text.push_str(if layout.start == Start::Line { LINE_START } else { "" });
    // Flags of the core end with its group.
    text.push_str(if layout.is_grouped { "(?:" } else { "(" });
    text.push_str(&core);
    text.push_str("))");
    text.push_str(if layout.ends_word { EDGE } else { "" });
    text.extend(after);

    let regex = compiled(&text, source)?;
    let groups = groups(&regex, &written.fields, source)?;
    let body = Body::Regex(regex, groups);
    Ok(Template { name: name.to_owned(), body, is_anchored: layout.is_anchored, weight: 1.0 })
}

/// Flags for all of the pattern. Where names are looked for, fail2ban looks for all
/// else in any case too.
fn flags(layout: &Layout, source: &str) -> String {
    let names = ["%a", "%A", "%b", "%B", "%p", "%c"];
    let has_names = names
        .iter()
        .any(|name| source.match_indices(name).any(|(at, _)| !source[..at].ends_with('%')));
    let mut flags = layout.flags.clone();
    if has_names && !flags.contains('i') {
        flags.push('i');
    }
    flags
}

/// `pattern` in Rust's syntax, with `flags`.
fn translated(pattern: &Pattern, flags: &str) -> Result<String, Fault> {
    let mut flagged = pattern.fresh();
    if !flags.is_empty() {
        flagged.push(&format!("(?{flags})"), pattern.origin(0..pattern.text().len()));
    }
    super::source::append(&mut flagged, pattern, 0..pattern.text().len());
    let translation = python::translate(&flagged, Lines::One)?;
    // By itself, so that its parentheses can't pair with those around it.
    Engine::check(&translation)?;
    if let Some(place) = translation.irregular {
        let what = "a date pattern with look-arounds in its middle, a back-reference or a \
                    conditional";
        return Err(
            Fault::new(place, what).remedy("write one pattern a line for each of the cases")
        );
    }
    Ok(translation.pattern.text().to_owned())
}

/// What matches a look-behind or a look-ahead; `edge` is the end of the text there.
fn beside(beside: &Beside, flags: &str, edge: &str) -> Result<String, Fault> {
    let text = translated(&beside.text, flags)?;
    if !beside.is_negative {
        return Ok(format!("(?:{text})"));
    }
    let other = regex_syntax::parse(&text).ok().and_then(|hir| anything_but(&hir));
    other.map(|other| format!("(?:{edge}|{other})")).ok_or_else(|| {
        let span = beside.text.origin(0..beside.text.text().len());
        Fault::new(span, "a negative look-around for more than one character").remedy(
            "look for what is there instead, or for a single character or class of characters",
        )
    })
}

/// Any character that `hir`, which is for one character, does not match.
fn anything_but(hir: &Hir) -> Option<String> {
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
        let HirKind::Literal(literal) = hir.kind() else { return None };
        let text = std::str::from_utf8(&literal.0).ok()?;
        let mut chars = text.chars();
        let char = chars.next().filter(|_| chars.next().is_none())?;
        return Some(format!(r"[^\x{{{:x}}}]", u32::from(char)));
    };
    let mut class = class.clone();
    class.negate();
    Some(Hir::class(Class::Unicode(class)).to_string())
}

fn compiled(text: &str, source: &Pattern) -> Result<Regex, Fault> {
    let span = || source.origin(0..source.text().len());
    let built = RegexBuilder::new(text).size_limit(SIZE_LIMIT).nest_limit(NEST_LIMIT).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Fault::new(span(), "the date pattern is too large")
            .remedy("use smaller numbers in `{…}`, or fewer of them within each other"),
        // Such as two groups of one name.
        other => Fault::new(span(), other.to_string()),
    })
}

/// Where in `regex` everything is.
fn groups(regex: &Regex, fields: &[Field], source: &Pattern) -> Result<Groups, Fault> {
    let named = |name: &str| regex.capture_names().position(|group| group == Some(name));
    let mut found = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        // It is not there if a comment holds it.
        let group = named(&written::name(index)).ok_or_else(|| no_date(source))?;
        found.push((*field, group));
    }
    for (group, name) in regex.capture_names().enumerate() {
        let mut letters = name.unwrap_or_default().chars();
        if let (Some(letter), None) = (letters.next(), letters.next()) {
            found.extend(Field::of_letter(letter).map(|field| (field, group)));
        }
    }
    // `()` says that lines like these have no date.
    if found.is_empty() && !source.text().contains("()") {
        return Err(no_date(source));
    }
    let whole = named(WHOLE).unwrap_or(0);
    Ok(Groups { whole, cut: whole + 1, fields: found })
}

fn no_date(source: &Pattern) -> Fault {
    let text = source.text();
    let what = "a date pattern that names no part of a date";
    Fault::new(source.origin(0..text.len()), what).remedy(if text.contains("EPOCH") {
        "within a pattern, write `{EPOCH}` or `{LEPOCH}`"
    } else {
        "say where the date's parts are, as in `%Y-%m-%d %H:%M:%S`; for no dates at all, \
         write `{NONE}`"
    })
}
