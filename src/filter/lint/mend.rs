//! A form of a regex that a forged line does not satisfy.

use super::forge::{By, Forged, forge};
use super::subject::Subject;
use crate::filter::{FilterSpec, RegexPlace};

/// Lines that may be tried on one form.
const BUDGET: u32 = 120;

/// The first form of the regex at `place` that takes the honest line for what it is, and
/// that no forged line satisfies which is found; else the first that the one at hand
/// does not satisfy.
pub(super) fn mend(subject: &Subject, place: RegexPlace, forged: &Forged) -> Option<String> {
    let mut second = None;
    for text in forms(subject, place, forged) {
        let Some(mended) = with(subject, place, &text) else { continue };
        let honest = mended.who(&forged.honest);
        let fooled = mended.who(&forged.line);
        if honest.as_deref() != Some(forged.addresses.real)
            || fooled.as_deref() == Some(forged.addresses.forged)
        {
            continue;
        }
        if forge(&mended, &mut { BUDGET }, |_, _| true).is_none() {
            return Some(text);
        }
        second = second.or(Some(text));
    }
    second
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
    let narrow = slice.as_ref().and_then(|(_, old)| {
        let rest = old.strip_prefix('.')?;
        replaced(format!("{}{rest}", all_but(forged.next?)?))
    });
    let end = |text: &str| ended(text, several);
    let begin = |text: &str| begun(text, several);
    let both = |text: &str| begin(&end(text));
    let mut forms = vec![end(text)];
    forms.extend(greedy.as_deref().map(end));
    forms.extend(narrow.clone());
    forms.extend(narrow.as_deref().map(end));
    forms.push(begin(text));
    forms.push(both(text));
    forms.extend(narrow.as_deref().map(begin));
    forms.extend(narrow.as_deref().map(both));
    let mut seen = vec![own(text)];
    forms.retain(|form| {
        let new = !seen.contains(form);
        seen.push(form.clone());
        new
    });
    forms
}

/// A class for all that `next`, which ends it, is not.
fn all_but(next: char) -> Option<String> {
    match next {
        ' ' => Some(r"\S".to_owned()),
        '^' | '\\' | '[' | ']' | '-' => Some(format!(r"[^\{next}]")),
        _ if next.is_ascii_punctuation() => Some(format!("[^{next}]")),
        _ => None,
    }
}

fn ended(text: &str, several: bool) -> String {
    match (text.ends_with('$'), several) {
        (true, _) => text.to_owned(),
        (false, false) => format!("{text}$"),
        (false, true) => format!("(?:{text})$"),
    }
}

fn begun(text: &str, several: bool) -> String {
    // Flags for the whole regex must stay in front.
    let flags = text.strip_prefix("(?").and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphabetic())?;
        rest[end..].starts_with(')').then_some("(?".len() + end + 1)
    });
    let (flags, rest) = text.split_at(flags.unwrap_or(0));
    match (rest.starts_with('^'), several && !rest.starts_with("(?:")) {
        (true, _) => text.to_owned(),
        (false, false) => format!("{flags}^{rest}"),
        (false, true) => format!("{flags}^(?:{rest})"),
    }
}
