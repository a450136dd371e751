//! A jail's options, and where each was set.

use super::{escape, line};
use crate::model::{Origin, Written};

/// So much of a value is shown, in characters; `--json` has all of it.
const WIDTH: usize = 100;

/// A line an option that somebody set; those that nobody set together at the end.
pub(super) fn written(out: &mut String, all: &[Written]) {
    if all.is_empty() {
        return;
    }
    line(out, format_args!("Set by:"));
    let name = wide(all, |written| written.option.chars().count());
    let value = wide(all, |written| shown(&written.value).chars().count()).min(40);
    let mut told: Option<(&str, &Origin)> = None;
    for written in all {
        let origin = match &written.origin {
            Origin::Default => continue,
            Origin::Filter(filter) => {
                if told == Some((&written.option, &written.origin)) {
                    continue;
                }
                told = Some((&written.option, &written.origin));
                let same = |other: &&Written| {
                    other.option == written.option && other.origin == written.origin
                };
                let count = all.iter().filter(same).count();
                if count > 1 {
                    let count = format!("{count} regexes");
                    let option = &written.option;
                    line(
                        out,
                        format_args!("  {option:name$}  {count:value$}  filter {}", escape(filter)),
                    );
                    continue;
                }
                format!("filter {filter}")
            }
            Origin::Label(key) => key.clone(),
            Origin::Variable(variable) => variable.clone(),
        };
        line(
            out,
            format_args!(
                "  {:name$}  {:value$}  {}",
                written.option,
                shown(&written.value),
                escape(&origin)
            ),
        );
    }
    let unset = all.iter().filter(|written| written.origin == Origin::Default);
    let unset: Vec<_> =
        unset.map(|written| format!("{} {}", written.option, shown(&written.value))).collect();
    if !unset.is_empty() {
        line(out, format_args!("By default:\t{}", unset.join(", ")));
    }
}

fn wide(all: &[Written], length: impl Fn(&Written) -> usize) -> usize {
    all.iter().filter(|written| written.origin != Origin::Default).map(length).max().unwrap_or(0)
}

/// On one line, and not too long.
fn shown(value: &str) -> String {
    let value = escape(value);
    match value.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_stands_before_what_was_not() {
        let one = |option: &str, value: &str, origin: Origin| Written {
            option: option.into(),
            value: value.into(),
            origin,
        };
        let all = [
            one("filter", "sshd", Origin::Label("guard.filter".into())),
            one("failregex", "a", Origin::Filter("sshd".into())),
            one("failregex", "b", Origin::Filter("sshd".into())),
            one("failregex", "c\u{1b}[31m", Origin::Label("guard.failregex".into())),
            one("maxretry", "3", Origin::Variable("GUARD_MAXRETRY".into())),
            one("findtime", "10m", Origin::Default),
            one("bantime", "10m", Origin::Default),
        ];
        let mut out = String::new();
        written(&mut out, &all);
        assert_eq!(
            out,
            "\
Set by:
  filter     sshd       guard.filter
  failregex  2 regexes  filter sshd
  failregex  c\\x1b[31m  guard.failregex
  maxretry   3          GUARD_MAXRETRY
By default:\tfindtime 10m, bantime 10m
"
        );
        let mut out = String::new();
        written(&mut out, &[]);
        assert_eq!(out, "");
    }
}
