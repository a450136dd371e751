//! Which word may have been meant.

/// Longer words are no typos of ours, and not worth the time.
const LONGEST: usize = 40;

/// The candidate that `wrote` is most likely a typo of: at most a third of its
/// letters wrong.
pub fn nearest<'a>(wrote: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrote.len() > LONGEST {
        return None;
    }
    let wrote = wrote.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&wrote, &candidate.to_lowercase()), candidate))
        .filter(|(wrong, candidate)| *wrong <= candidate.len().max(wrote.len()) / 3)
        // Of equals, the one that begins alike: people get first letters right.
        .min_by_key(|(wrong, candidate)| (*wrong, !begins_alike(&wrote, candidate)))
        .map(|(_, candidate)| candidate)
}

fn begins_alike(wrote: &str, candidate: &str) -> bool {
    let first = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
    first(wrote) == first(candidate)
}

/// How many letters must be added, left out, replaced, or swapped with their
/// neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let check = |a: &str, b: &str, wrong: usize| {
            assert_eq!(distance(a, b), wrong, "{a} {b}");
            assert_eq!(distance(b, a), wrong, "{b} {a}");
        };
        check("", "", 0);
        check("", "abc", 3);
        check("abc", "abc", 0);
        check("maxrety", "maxretry", 1);
        check("fialregex", "failregex", 1);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn nearest_is_near() {
        assert_eq!(nearest("Docker_User", ["INPUT", "DOCKER-USER"]), Some("DOCKER-USER"));
        assert_eq!(nearest("forward", ["INPUT", "DOCKER-USER"]), None);
        assert_eq!(nearest("", ["tcp"]), None);
        assert_eq!(nearest("htp", ["ftp", "http"]), Some("http"));
        assert_eq!(nearest("drpo", ["reject", "drop"]), Some("drop"));
    }
}
