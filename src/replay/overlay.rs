//! Other options in place of those in labels.

use crate::model::LabelSet;

/// What decides which lines are failures: given anew, none of the old holds.
const FILTER: [&str; 6] =
    ["failregex", "filter", "ignoreregex", "prefregex", "datepattern", "maxlines"];

/// A container's labels with the options `given` (name and value, without the prefix)
/// in place of its own. A `filter` or `failregex` makes one jail of all; other
/// options count for every jail.
pub fn overlay(labels: &LabelSet, prefix: &str, given: &[(String, String)]) -> LabelSet {
    let anew = given.iter().any(|(name, _)| matches!(option(name), "filter" | "failregex"));
    let mut all: LabelSet = labels
        .iter()
        .filter(|(key, _)| {
            let Some(rest) = below(key, prefix) else { return true };
            let of_jail = below(rest, "jails").and_then(|rest| rest.split_once('.'));
            let name = of_jail.map_or(rest, |(_, name)| name);
            if anew && (of_jail.is_some() || is_one_of(&FILTER, name)) {
                return false;
            }
            let replaced = given.iter().any(|(known, _)| same(option(known), option(name)));
            // What a ban closes is not tried.
            !replaced && !same(option(name), "port")
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    all.extend(given.iter().map(|(name, value)| (format!("{prefix}.{name}"), value.clone())));
    all
}

/// What follows `prefix` and a dot.
fn below<'k>(key: &'k str, prefix: &str) -> Option<&'k str> {
    let head = key.get(..prefix.len()).filter(|head| same(head, prefix))?;
    key[head.len()..].strip_prefix('.')
}

/// `failregex` of `failregex.0`; `bantime.increment` is an option of its own.
fn option(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((head, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => head,
        _ => name,
    }
}

fn is_one_of(options: &[&str], name: &str) -> bool {
    options.iter().any(|known| same(known, option(name)))
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [(&str, &str); 7] = [
        ("com.docker.x", "y"),
        ("guard.failregex.0", "old"),
        ("Guard.MaxRetry", "5"),
        ("guard.port", "published"),
        ("guard.jails.a.failregex", "a"),
        ("guard.jails.a.maxretry", "7"),
        ("guard.bantime.increment", "true"),
    ];

    fn check(given: &[(&str, &str)], expected: &[&str]) {
        let labels = LABELS.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let given: Vec<_> =
            given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let shown = overlay(&labels, "guard", &given);
        let shown: Vec<_> = shown.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn without_options_only_the_ports_go() {
        check(
            &[],
            &[
                "Guard.MaxRetry=5",
                "com.docker.x=y",
                "guard.bantime.increment=true",
                "guard.failregex.0=old",
                "guard.jails.a.failregex=a",
                "guard.jails.a.maxretry=7",
            ],
        );
    }

    #[test]
    fn a_limit_counts_for_every_jail() {
        check(
            &[("maxretry", "3"), ("bantime", "1h")],
            &[
                "com.docker.x=y",
                "guard.bantime=1h",
                "guard.bantime.increment=true",
                "guard.failregex.0=old",
                "guard.jails.a.failregex=a",
                "guard.maxretry=3",
            ],
        );
    }

    #[test]
    fn a_filter_replaces_all_jails() {
        check(
            &[("filter", "sshd")],
            &[
                "Guard.MaxRetry=5",
                "com.docker.x=y",
                "guard.bantime.increment=true",
                "guard.filter=sshd",
            ],
        );
    }
}
