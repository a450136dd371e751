//! From a line of `datepattern` to templates.

use std::sync::{Arc, LazyLock};

use super::assemble::template;
use super::choice::{Body, Template};
use super::defaults::{DEFAULTS, EPOCH, LONG_EPOCH, TAI64N};
use super::source::{append, is_escaped, replaced};
use super::written::once;
use crate::filter::error::Fault;
use crate::filter::pattern::Pattern;

/// What fail2ban prefers a default template by that is fixed to the line's start.
const LINE_WEIGHT: f64 = 100.0;

/// All of fail2ban's default templates: those that can be are first fixed to the
/// line's start, then all as they are.
pub(super) static STANDARD: LazyLock<Vec<Arc<Template>>> = LazyLock::new(|| {
    let free = DEFAULTS.iter().filter(|text| !text.starts_with(['^', '{']));
    let at_line = free.map(|text| (format!("{{^LN-BEG}}{text}"), LINE_WEIGHT));
    let all = at_line.chain(DEFAULTS.iter().map(|text| ((*text).to_owned(), 1.0)));
    all.map(|(text, weight)| {
        let mut source = Pattern::empty(0);
        source.push(&text, 0..0);
        let template = one(&source).expect("the default templates are right");
        Arc::new(Template { weight, ..template })
    })
    .collect()
});

/// The templates that `line` stands for.
///
/// # Errors
/// What is wrong in it.
pub(super) fn templates(line: &Pattern) -> Result<Vec<Arc<Template>>, Fault> {
    let key = key(line.text());
    match key.as_str() {
        "{DEFAULT}" => return Ok(STANDARD.clone()),
        "{^LN-BEG}" => {
            let anchored = STANDARD.iter().filter(|template| template.is_anchored);
            return Ok(anchored.cloned().collect());
        }
        _ => {}
    }
    let placeholders: Vec<usize> =
        key.match_indices(DATE).map(|(at, _)| at).filter(|at| !is_escaped(&key, *at)).collect();
    if placeholders.is_empty() {
        once(line)?;
        return Ok(vec![Arc::new(one(line)?)]);
    }
    let filled = DEFAULTS.iter().map(|default| dated(line, &placeholders, default));
    filled.map(|template| template.map(Arc::new)).collect()
}

const DATE: &str = "{DATE}";

/// Names without a token may be written in any case.
fn key(text: &str) -> String {
    if text.contains('%') { text.to_owned() } else { text.to_ascii_uppercase() }
}

/// `line` with a default template in the place of each `{DATE}`.
fn dated(line: &Pattern, placeholders: &[usize], default: &str) -> Result<Template, Fault> {
    let mut source = line.fresh();
    let mut at = 0;
    for start in placeholders {
        append(&mut source, line, at..*start);
        at = start + DATE.len();
        let default = default.strip_prefix("{^LN-BEG}").unwrap_or(default);
        source.push(default, line.origin(*start..at));
    }
    append(&mut source, line, at..line.text().len());
    let is_special = matches!(default, "EPOCH" | "TAI64N");
    if is_special && special(&key(source.text())).is_none() {
        // In a longer pattern fail2ban makes nothing of these two.
        return Ok(Template::silent(source.text(), Body::Never));
    }
    one(&source)
}

/// A name that stands for a whole pattern, written with `{EPOCH}` and its like.
fn special(key: &str) -> Option<&'static str> {
    Some(match key {
        "EPOCH" => EPOCH,
        "{^LN-BEG}EPOCH" | "^EPOCH" => "{^LN-BEG}{EPOCH}",
        "LEPOCH" => LONG_EPOCH,
        "{^LN-BEG}LEPOCH" | "^LEPOCH" => "{^LN-BEG}{LEPOCH}",
        "TAI64N" => TAI64N,
        "{^LN-BEG}TAI64N" | "^TAI64N" => "{^LN-BEG}{TAI64N}",
        _ => return None,
    })
}

/// The template that `source` is, by itself.
fn one(source: &Pattern) -> Result<Template, Fault> {
    let key = key(source.text());
    if key == "{NONE}" {
        return Ok(Template::silent(&key, Body::Nothing));
    }
    match special(&key) {
        Some(text) => template(&key, &replaced(source, 0..source.text().len(), text)),
        None => template(&key, source),
    }
}
