//! Sorting a container's labels by jail and option. Only keys are looked at;
//! values are read later.

use std::collections::{BTreeMap, btree_map};

use super::complaint::shorten;
use super::options::Given;
use super::table::{self, LABELS, Label};
use super::values::quoted;
use super::{Flaw, Severity, hint};
use crate::model::{JailName, LabelSet};

/// Most further jails of one container: whoever may set labels gets no more rules in the
/// kernel than that.
pub const MAX_JAILS: usize = 20;
/// Those of guard's own container, whose labels are the operator's: a host's jails.
pub const MAX_OWN_JAILS: usize = 200;
/// Most labels of guard's on one container: more than all jails could use.
const MAX_LABELS: usize = 10_000;

/// Something wrong with a label, not yet a complaint of anyone's.
#[derive(Debug)]
pub(super) struct Finding<'a> {
    pub(super) severity: Severity,
    pub(super) given: Given<'a>,
    pub(super) in_key: bool,
    pub(super) flaw: Flaw,
}

impl<'a> Finding<'a> {
    pub(super) fn in_key(given: Given<'a>, flaw: Flaw) -> Self {
        Finding { severity: Severity::Error, given, in_key: true, flaw }
    }

    pub(super) fn in_value(given: Given<'a>, flaw: Flaw) -> Self {
        Finding { severity: Severity::Error, given, in_key: false, flaw }
    }

    pub(super) fn warning(given: Given<'a>, flaw: Flaw) -> Self {
        Finding { severity: Severity::Warning, given, in_key: false, flaw }
    }
}

/// A label of a known option.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) label: &'static Label,
    pub(super) given: Given<'a>,
}

/// The labels of one jail.
#[derive(Debug, Default)]
pub(super) struct Sheet<'a> {
    /// Labels of known options, by name and number (`1` in `failregex.1`).
    pub(super) entries: BTreeMap<(&'static str, Option<u32>), Entry<'a>>,
    /// Labels of unknown ones, and what else is wrong with keys.
    pub(super) findings: Vec<Finding<'a>>,
    /// Its first label, for complaints about the whole.
    pub(super) first: Option<Given<'a>>,
}

/// All labels of a container that are guard's.
#[derive(Debug, Default)]
pub(super) struct Sheets<'a> {
    /// `guard.<option>`
    pub(super) own: Sheet<'a>,
    /// `guard.jails.<name>.<option>`, by name in lower case.
    pub(super) further: BTreeMap<JailName, Sheet<'a>>,
    /// Labels that belong to no jail.
    pub(super) findings: Vec<Finding<'a>>,
    /// Further jails, at most.
    most: usize,
}

/// Sorts the labels that begin with `prefix` and a dot; further jails of them, at most `most`.
pub(super) fn sort<'a>(labels: &'a LabelSet, prefix: &str, most: usize) -> Sheets<'a> {
    let mut sheets = Sheets { most, ..Sheets::default() };
    let ours = |(key, value): (&'a String, &'a String)| {
        option_start(key, prefix).map(|start| (Given { key, value }, start))
    };
    if let Some((given, _)) = labels.iter().filter_map(ours).nth(MAX_LABELS) {
        let what = format!("more than {MAX_LABELS} labels for guard, so none of them counts");
        sheets.findings.push(Finding::in_key(given, Flaw::new(0..given.key.len(), what)));
        return sheets;
    }
    for (given, start) in labels.iter().filter_map(ours) {
        let rest = given.key[start..].to_ascii_lowercase();
        match rest.strip_prefix("jails.") {
            Some(inner) => sheets.add_further(given, start + "jails.".len(), inner),
            None => sheets.own.add(given, start, &rest, prefix),
        }
    }
    sheets
}

/// Where the option begins in a key of ours; `guardian.x` and `guard` are others'.
fn option_start(key: &str, prefix: &str) -> Option<usize> {
    let head = key.get(..prefix.len())?;
    let ours = head.eq_ignore_ascii_case(prefix) && key[prefix.len()..].starts_with('.');
    ours.then_some(prefix.len() + 1)
}

impl<'a> Sheets<'a> {
    /// `inner` is `<name>.<option>`, which begins at byte `start` of the key.
    fn add_further(&mut self, given: Given<'a>, start: usize, inner: &str) {
        let (name, option) = inner.split_once('.').unwrap_or((inner, ""));
        let span = start..start + name.len();
        let Ok(jail) = name.parse::<JailName>() else {
            let what = format!("{} can't name a jail", quoted(name));
            let flaw = Flaw::new(span, what).mend(
                "write `jails.<name>.<option>`, the name of letters, digits, `_` and `-`, \
                 the first a letter or digit",
            );
            self.findings.push(Finding::in_key(given, flaw));
            return;
        };
        if !self.further.contains_key(&jail) && self.further.len() >= self.most {
            let what = format!("more than {} further jails on one container", self.most);
            let flaw = Flaw::new(span, what).mend("no label can raise that bound");
            self.findings.push(Finding::in_key(given, flaw));
            return;
        }
        let before = &given.key[..given.key.len() - option.len()];
        let sheet = self.further.entry(jail).or_default();
        sheet.add(given, before.len(), option, before.trim_end_matches('.'));
    }
}

impl<'a> Sheet<'a> {
    /// `option`, in lower case, begins at byte `start` of the key, after `before` and a dot.
    fn add(&mut self, given: Given<'a>, start: usize, option: &str, before: &str) {
        self.first.get_or_insert(given);
        let Some((label, number)) = known(option) else {
            let flaw = unknown(option, before).shifted(start);
            self.findings.push(Finding::in_key(given, flaw));
            return;
        };
        match self.entries.entry((label.name, number)) {
            btree_map::Entry::Vacant(place) => {
                place.insert(Entry { label, given });
            }
            btree_map::Entry::Occupied(twin) if twin.get().given.value == given.value => {}
            btree_map::Entry::Occupied(twin) => {
                let twin = shorten(twin.get().given.key, 80);
                let flaw = Flaw::new(0..given.key.len(), format!("this is set by `{twin}` too"))
                    .mend("upper and lower case are the same in labels; leave one of the two");
                self.findings.push(Finding::in_key(given, flaw));
            }
        }
    }
}

/// Why there is no such option.
pub(super) const FORMULA: &str = "fail2ban's `bantime.formula` is Python, which guard does not run";

/// `maxretry`, `failregex.3`
fn known(option: &str) -> Option<(&'static Label, Option<u32>)> {
    if let Some(label) = table::find(option) {
        return Some((label, None));
    }
    let (base, number) = option.split_once('.')?;
    let label = table::find(base).filter(|label| label.kind.is_numbered())?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    Some((label, Some(number.parse().ok().filter(|_| digits)?)))
}

/// What to say of an option that is none, and what may have been meant.
fn unknown(option: &str, before: &str) -> Flaw {
    let before = shorten(before, 120);
    if option.is_empty() {
        return Flaw::new(0..0, "no option is named").mend(options());
    }
    if option == "bantime.formula" {
        return Flaw::new(0..option.len(), FORMULA).mend(format!(
            "set `{before}.bantime.factor`, or `{before}.bantime.multipliers` with a number for each ban"
        ));
    }
    let (base, rest) = option.split_once('.').unwrap_or((option, ""));
    let numbered = table::find(base).filter(|label| label.kind.is_numbered());
    if let (Some(label), true) = (numbered, option.len() > base.len()) {
        let what = format!("{} is no number", quoted(rest));
        return Flaw::new(base.len() + 1..option.len(), what)
            .mend(format!("number them `{0}.0`, `{0}.1`, …", label.name));
    }
    let flaw = Flaw::new(0..option.len(), format!("unknown option {}", quoted(option)));
    // `guard.jail.login.maxretry`, `guard.login.maxretry`
    let jail = match rest.split_once('.') {
        Some((_, inner)) if known(inner).is_some() && is_jails(base) => Some(rest),
        _ if known(rest).is_some() && base.parse::<JailName>().is_ok() => Some(option),
        _ => None,
    };
    if let (Some(inner), false) = (jail, before.contains('.')) {
        return flaw.mend(format!("did you mean `{before}.jails.{}`?", shorten(inner, 80)));
    }
    match table::nearest(option) {
        Some(label) => flaw.mend(format!("did you mean `{before}.{}`?", label.name)),
        None => flaw.mend(options()),
    }
}

fn is_jails(word: &str) -> bool {
    hint::nearest(word, ["jails"]).is_some()
}

fn options() -> String {
    let names: Vec<&str> = LABELS.iter().map(|label| label.name).collect();
    format!("the options are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(keys: &[&str]) -> LabelSet {
        keys.iter().map(|key| ((*key).to_owned(), format!("value of {key}"))).collect()
    }

    /// Options of the own jail and of further ones, and marked places of findings.
    fn check(keys: &[&str], found: &[&str], wrong: &[(&str, &str)]) {
        let labels = labels(keys);
        let sheets = sort(&labels, "guard", MAX_JAILS);
        let own = sheets.own.entries.keys().map(|key| (String::new(), key));
        let further = sheets.further.iter();
        let further = further
            .flat_map(|(name, sheet)| sheet.entries.keys().map(move |k| (format!("{name}:"), k)));
        let shown: Vec<String> = own
            .chain(further)
            .map(|(jail, (option, number))| match number {
                None => format!("{jail}{option}"),
                Some(number) => format!("{jail}{option}#{number}"),
            })
            .collect();
        assert_eq!(shown, found, "{keys:?}");

        let further = sheets.further.values().flat_map(|sheet| &sheet.findings);
        let findings: Vec<(&str, &str)> = (sheets.own.findings.iter().chain(further))
            .chain(&sheets.findings)
            .map(|f| (&f.given.key[f.flaw.span.clone()], f.flaw.remedy.as_deref().unwrap_or("")))
            .collect();
        let cut: Vec<(&str, &str)> = findings
            .iter()
            .map(|(place, remedy)| (*place, remedy.get(..20).unwrap_or(remedy)))
            .collect();
        if findings != wrong {
            assert_eq!(cut, wrong, "{keys:?}: {findings:?}");
        }
    }

    #[test]
    fn labels_of_others_are_left_alone() {
        check(
            &["guard", "guardian.maxretry", "com.guard.maxretry", "maxretry", "GUAR", "güard.x"],
            &[],
            &[],
        );
    }

    #[test]
    fn case_does_not_matter() {
        check(
            &["Guard.MaxRetry", "GUARD.jails.Login.FAILREGEX.0"],
            &["maxretry", "login:failregex#0"],
            &[],
        );
    }

    #[test]
    fn numbers_are_in_numeric_order() {
        check(
            &["guard.failregex.10", "guard.failregex.9", "guard.failregex", "guard.failregex.100"],
            &["failregex", "failregex#9", "failregex#10", "failregex#100"],
            &[],
        );
    }

    #[test]
    fn unknown_options_and_what_was_meant() {
        let one = |key: &str, place: &str, remedy: &str| check(&[key], &[], &[(place, remedy)]);
        one("guard.maxrety", "maxrety", "did you mean `guard.maxretry`?");
        one("guard.jails.login.maxrety", "maxrety", "did you mean `guard.jails.login.maxretry`?");
        one(
            "guard.jail.login.maxretry",
            "jail.login.maxretry",
            "did you mean `guard.jails.login.maxretry`?",
        );
        one(
            "guard.login.failregex.0",
            "login.failregex.0",
            "did you mean `guard.jails.login.failregex.0`?",
        );
        one("guard.failregex.first", "first", "number them `failregex.0`, `failregex.1`, …");
        one("guard.failregex.", "", "number them `failregex.0`, `failregex.1`, …");
        one(
            "guard.failregex.99999999999",
            "99999999999",
            "number them `failregex.0`, `failregex.1`, …",
        );
        one("guard.maxretry.0", "maxretry.0", "did you mean `guard.maxretry`?");
        one("guard.", "", "the options are enab");
        one("guard.xyzzy", "xyzzy", "the options are enab");
        one("guard.jails.login", "", "the options are enab");
        one("guard.jails.", "", "write `jails.<name>.");
        one("guard.jails.my jail.port", "my jail", "write `jails.<name>.");
        one("guard.jails.a.b.port", "b.port", "did you mean `guard.jails.a.port`?");
    }

    #[test]
    fn twice_in_different_case_is_refused_if_it_differs() {
        check(&["guard.port", "Guard.Port"], &["port"], &[("guard.port", "upper and lower case")]);
        let mut same = labels(&["guard.port"]);
        same.insert("Guard.Port".to_owned(), "value of guard.port".to_owned());
        assert!(sort(&same, "guard", MAX_JAILS).own.findings.is_empty());
    }

    #[test]
    fn jails_are_bounded() {
        let keys: Vec<String> = (0..60).map(|n| format!("guard.jails.j{n}.port")).collect();
        let labels = labels(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let sheets = sort(&labels, "guard", MAX_JAILS);
        assert_eq!((sheets.further.len(), sheets.findings.len()), (20, 40));
    }

    #[test]
    fn labels_are_bounded() {
        let labels = (0..10_001).map(|n| (format!("guard.failregex.{n}"), String::new())).collect();
        let sheets = sort(&labels, "guard", MAX_JAILS);
        assert_eq!((sheets.own.entries.len(), sheets.findings.len()), (0, 1));
    }
}
