//! (pure) What log files are called after they were rotated, and their order.
//!
//! A number counts up with age (`app.log.1`, `app.log.2.gz`), with some programs down;
//! a date tells itself (`app.log-20240101`, `app-2024-01-01.log`). The order is that in
//! which the files were last written, which is kept when they are renamed and packed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::cmp::Ordering;

/// Most digits of a number that is no date.
const NUMBER: usize = 5;

/// How a file was named when it was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    /// The higher, the older, most times.
    Number(u32),
    /// The higher, the newer.
    Date(String),
    /// `old`, `bak`: nobody knows.
    Word,
}

/// The name without the endings of packed files.
pub(super) fn unpacked(name: &str) -> &str {
    [".gz", ".bz2", ".xz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// Is `name` what `own` is called after a rotation, and how?
pub(super) fn rotation(own: &str, name: &str) -> Option<Rotation> {
    let name = unpacked(name);
    if let Some(rest) = name.strip_prefix(own) {
        return kind(rest);
    }
    // `app-20240101.log`, `app.1.log`
    let (stem, ending) = own.rsplit_once('.')?;
    let rest = name.strip_prefix(stem)?.strip_suffix(ending)?.strip_suffix('.')?;
    kind(rest)
}

fn kind(rest: &str) -> Option<Rotation> {
    let rest = rest.strip_prefix(['.', '-', '_'])?;
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return if (1..=NUMBER).contains(&rest.len()) {
            rest.parse().ok().map(Rotation::Number)
        } else {
            (!rest.is_empty()).then(|| Rotation::Date(rest.to_owned()))
        };
    }
    if ["old", "bak", "prev", "orig"].contains(&rest) {
        return Some(Rotation::Word);
    }
    let dated = rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.bytes().all(|b| b.is_ascii_digit() || b"-_.:TZ+@".contains(&b));
    dated.then(|| Rotation::Date(rest.to_owned()))
}

/// Puts rotated files into the order in which they were last written; where that is the
/// same moment, into that of their names. `of` gives each one's rotation and the moment.
pub(super) fn sort<T>(files: &mut [T], of: impl Fn(&T) -> (&Rotation, (i64, i64))) {
    let counts_up = counts_up(files.iter().map(&of));
    files.sort_by(|a, b| {
        let ((a, a_written), (b, b_written)) = (of(a), of(b));
        a_written.cmp(&b_written).then_with(|| match (a, b) {
            (Rotation::Number(a), Rotation::Number(b)) if counts_up => a.cmp(b),
            (Rotation::Number(a), Rotation::Number(b)) => b.cmp(a),
            (Rotation::Date(a), Rotation::Date(b)) => in_time(a, b),
            _ => Ordering::Equal,
        })
    });
}

/// Is the file with the highest number the newest? Some programs count so.
fn counts_up<'a>(files: impl Iterator<Item = (&'a Rotation, (i64, i64))>) -> bool {
    let mut numbers: Vec<(u32, (i64, i64))> = files
        .filter_map(|(rotation, written)| match rotation {
            Rotation::Number(number) => Some((*number, written)),
            Rotation::Date(_) | Rotation::Word => None,
        })
        .collect();
    numbers.sort_unstable();
    matches!((numbers.first(), numbers.last()), (Some(low), Some(high)) if low.1 < high.1)
}

/// `20240101` comes before `20240101.1`, `.2` before `.10`.
fn in_time(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<u64> {
        let parts = text.split(|c: char| !c.is_ascii_digit());
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let date = |text: &str| Some(Rotation::Date(text.to_owned()));
        for (name, expected) in [
            ("app.log.1", Some(Rotation::Number(1))),
            ("app.log.12.gz", Some(Rotation::Number(12))),
            ("app.1.log", Some(Rotation::Number(1))),
            ("app.log-20240101", date("20240101")),
            ("app.log-20240101.gz", date("20240101")),
            ("app-2024-01-01.log", date("2024-01-01")),
            ("app.log.2024-01-01_12-30", date("2024-01-01_12-30")),
            ("app.log-1712345678", date("1712345678")),
            ("app.log.old", Some(Rotation::Word)),
            ("app.log", None),
            ("app.log.gz", None),
            ("app.log.swp", None),
            ("app.log2", None),
            ("application.log", None),
            ("app-error.log", None),
            ("other.log.1", None),
            ("app.log.-1", None),
        ] {
            assert_eq!(rotation("app.log", name), expected, "{name}");
        }
        assert_eq!(rotation("log", "log.1"), Some(Rotation::Number(1)));
        assert_eq!(rotation("access_log", "access_log.2024-01-01"), date("2024-01-01"));
    }

    fn check(names: &[(&str, i64)], expected: &[&str]) {
        let mut files: Vec<_> = names
            .iter()
            .map(|(name, written)| (*name, rotation("a", name).unwrap(), (*written, 0)))
            .collect();
        sort(&mut files, |(_, rotation, written)| (rotation, *written));
        let found: Vec<&str> = files.iter().map(|file| file.0).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn order() {
        check(&[("a.1", 4), ("a.10.gz", 4), ("a.2", 4)], &["a.10.gz", "a.2", "a.1"]);
        // This program's numbers grow.
        check(&[("a.1", 1), ("a.3", 4), ("a.2", 4)], &["a.1", "a.2", "a.3"]);
        check(
            &[("a-20240110", 7), ("a-20240102.gz", 7), ("a-20240102.2", 7), ("a-20240102.10", 7)],
            &["a-20240102.gz", "a-20240102.2", "a-20240102.10", "a-20240110"],
        );
        check(&[("a.1", 3), ("a-20240101", 1), ("a.old", 2)], &["a-20240101", "a.old", "a.1"]);
    }
}
