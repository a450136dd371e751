//! Patterns of file names: `*`, `?`, `[abc]`, `[a-z]`, `[!x]`, in any component. Pure.
//!
//! As the shell and fail2ban do: a wildcard never matches `/`, nor a dot at the
//! beginning of a name. `**` is `*`. Invariant: matching takes at most
//! pattern × name steps, whatever the two are.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Has the text any wildcard?
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Does the pattern, without any `/`, match the whole name?
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last star was, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = one(&pattern[p..], name[n]) {
                    p += length;
                    n += 1;
                    continue;
                }
            }
            None => {}
        }
        // The star takes one more.
        let Some((at, taken)) = star else { return false };
        star = Some((at, taken + 1));
        p = at + 1;
        n = taken + 1;
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much of the pattern matches the one character, if it does.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class(pattern, c) {
            Some((length, true)) => Some(length),
            Some((_, false)) => None,
            // Without its `]` it is only a bracket.
            None => (c == '[').then_some(1),
        },
        literal => (*literal == c).then_some(1),
    }
}

/// A class at the pattern's beginning: its length, and whether it has the character.
fn class(pattern: &[char], c: char) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    let mut at = first;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((at + 1, found != negated));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(&high)) if high != ']' => {
                found |= (low..=high).contains(&c);
                at += 3;
            }
            _ => {
                found |= low == c;
                at += 1;
            }
        }
    }
}

/// All paths that the absolute pattern matches, at most `limit`; `list` gives the
/// names in a directory. A path without wildcards matches itself, there or not.
pub(super) fn expand(
    pattern: &str,
    limit: usize,
    list: &mut dyn FnMut(&str) -> Vec<String>,
) -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut wild = false;
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        if !is_pattern(part) && !wild {
            next.extend(paths.iter().map(|path| format!("{path}/{part}")));
        } else {
            wild = true;
            for path in &paths {
                let folder = if path.is_empty() { "/" } else { path };
                let mut names = list(folder);
                names.retain(
                    |name| if is_pattern(part) { matches(part, name) } else { name == part },
                );
                names.sort();
                next.extend(names.iter().map(|name| format!("{path}/{name}")));
                if next.len() > limit {
                    break;
                }
            }
        }
        next.truncate(limit);
        paths = next;
    }
    paths.retain(|path| !path.is_empty());
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for name in yes {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for name in no {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn wildcards_match_as_in_the_shell() {
        check("*.log", &["a.log", "a.b.log"], &[".log", ".a.log", "a.log.1", "log"]);
        check("access?log", &["access_log", "access.log"], &["accesslog", "access__log"]);
        check("[ab]-[0-9].log", &["a-1.log", "b-9.log"], &["c-1.log", "a-x.log"]);
        check("[!a]x", &["bx", "!x"], &["ax"]);
        check("[^a]x", &["bx"], &["ax"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[a", &["[a"], &["a"]);
        check("*", &["x", ""], &[".x"]);
        check(".*", &[".x", "."], &["x"]);
        check("a*b*c", &["abc", "axxbxxc", "abbcc"], &["acb", "ab"]);
        check("**", &["x"], &[]);
        check("é?", &["éü"], &["é"]);
    }

    #[test]
    fn a_hostile_pattern_is_quick() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(255)));
    }

    #[test]
    fn patterns_expand_in_any_component() {
        let mut list = |folder: &str| -> Vec<String> {
            let names: &[&str] = match folder {
                "/" => &["logs"],
                "/logs" => &["b", "a", "x.log"],
                "/logs/a" => &["app.log", "app.log.1"],
                "/logs/b" => &["other"],
                _ => &[],
            };
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert_eq!(expand("/logs/*/app.log", 9, &mut list), ["/logs/a/app.log"]);
        assert_eq!(
            expand("/logs/*/*", 9, &mut list),
            ["/logs/a/app.log", "/logs/a/app.log.1", "/logs/b/other"]
        );
        assert_eq!(expand("/logs/*/*", 2, &mut list).len(), 2);
        assert_eq!(expand("/none//there.log", 9, &mut list), ["/none/there.log"]);
        assert_eq!(expand("/", 9, &mut list), Vec::<String>::new());
    }

    /// The definition, with all its backtracking.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern.first() {
            None => name.is_empty(),
            Some('*') => (0..=name.len()).any(|n| naive(&pattern[1..], &name[n..])),
            Some(_) => name.first().is_some_and(|c| {
                one(pattern, *c).is_some_and(|length| naive(&pattern[length..], &name[1..]))
            }),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_backtracking_finds(pattern in "[ab*?\\[\\]!-]{0,8}", name in "[ab\\[-]{0,8}") {
            let p: Vec<char> = pattern.chars().collect();
            let n: Vec<char> = name.chars().collect();
            prop_assert_eq!(matches(&pattern, &name), naive(&p, &n));
        }
    }
}
