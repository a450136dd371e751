//! A form of a regex that a forged line does not satisfy.

use super::forge::{By, Forged, forge};
use super::subject::Subject;
use crate::filter::{FilterSpec, RegexPlace};

/// Lines that may be tried on one form.
const BUDGET: u32 = 120;

/// The first form of the regex at `place` that takes the honest line for what it is, and
/// for which no forged line is found.
pub(super) fn mend(subject: &Subject, place: RegexPlace, forged: &Forged) -> Option<String> {
    forms(subject, place, forged).into_iter().find(|text| {
        with(subject, place, text).is_some_and(|mended| {
            mended.who(&forged.honest).as_deref() == Some(forged.addresses.real)
                && mended.who(&forged.line).as_deref() != Some(forged.addresses.forged)
                && forge(&mended, &mut { BUDGET }, |_, _| true).is_none()
        })
    })
}

fn with(subject: &Subject, place: RegexPlace, text: &str) -> Option<Subject> {
    let mut spec: FilterSpec = subject.spec.clone();
    match place {
        RegexPlace::Pref => spec.prefregex = Some(text.to_owned()),
        _ => spec.failregex = vec![text.to_owned()],
    }
    Subject::of(spec, subject.place)
}

/// Forms of the regex that say more, the most harmless ones first.
fn forms(subject: &Subject, place: RegexPlace, forged: &Forged) -> Vec<String> {
    let Some(text) = subject.text(place) else { return Vec::new() };
    let several = subject.is_alternation(place);
    let own = |text: &str| text.to_owned();
    let wild = match &forged.by {
        By::Held(wild) | By::Reached(wild) if wild.place == place => Some(wild),
        _ => None,
    };
    let slice = wild.and_then(|wild| Some((wild.span.clone(), text.get(wild.span.clone())?)));
    let replaced = |new: String| {
        let (span, _) = slice.clone()?;
        Some(format!("{}{new}{}", &text[..span.start], &text[span.end..]))
    };
    let greedy = slice
        .as_ref()
        .and_then(|(_, old)| replaced(own(old.strip_suffix('?').filter(|s| s.len() > 1)?)));
    let end = |text: &str| ended(text, several);
    let begin = |text: &str| begun(text, several);
    let both = |text: &str| begin(&end(text));
    let mut forms = vec![end(text)];
    forms.extend(greedy.as_deref().map(end));
    forms.push(begin(text));
    forms.push(both(text));
    forms.extend(greedy.as_deref().map(both));
    let mut seen = vec![own(text)];
    forms.retain(|form| {
        let new = !seen.contains(form);
        seen.push(form.clone());
        new
    });
    forms
}

fn ended(text: &str, several: bool) -> String {
    let (flags, rest) = flags(text);
    match (text.ends_with('$') && !text.ends_with(r"\$"), several) {
        (true, false) => text.to_owned(),
        (false, false) => format!("{text}$"),
        (_, true) => format!("{flags}(?:{rest})$"),
    }
}

fn begun(text: &str, several: bool) -> String {
    let (flags, rest) = flags(text);
    match (rest.starts_with('^'), several && !rest.starts_with("(?:")) {
        (true, false) => text.to_owned(),
        (false, false) => format!("{flags}^{rest}"),
        (_, true) => format!("{flags}^(?:{rest})"),
    }
}

/// Flags for the whole regex, which must stay in front, and the rest.
fn flags(text: &str) -> (&str, &str) {
    let end = text.strip_prefix("(?").and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphabetic())?;
        rest[end..].starts_with(')').then_some("(?".len() + end + 1)
    });
    text.split_at(end.unwrap_or(0))
}
