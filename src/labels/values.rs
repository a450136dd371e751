//! Reading the values of labels: text in, a typed value or flaws out.
//!
//! The bounds in here are guard's own: labels are other people's input and
//! can't raise them.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use super::complaint::shorten;
use super::jail::StreamChoice;
use super::options::{Given, Piece};
use super::{Flaw, duration, hint};
use crate::filter::{FilterReference, MAX_LINES, UseDns};
use crate::model::{
    BlockType, Chain, InvalidMatch, JailName, JournalMatch, MANUAL_JAIL, NoticeKind,
};

/// Most bytes of a value.
pub(super) const MAX_VALUE: usize = 64 * 1024;
/// Most failures that a ban may take: so many times are kept for each address.
pub(super) const MAX_RETRY: u32 = 10_000;
/// Longest `findtime`: a year of 366 days.
const MAX_FIND_TIME: Duration = Duration::from_secs(366 * 86_400);
/// Most regexes of one jail, failregex and ignoreregex together.
pub(super) const MAX_REGEXES: usize = 100;
/// Most paths of one jail.
pub(super) const MAX_PATHS: usize = 100;
/// Longest path, as the kernel's PATH_MAX.
const MAX_PATH: usize = 4096;

/// The text without the blanks around it, and the bytes where it stands.
pub(super) fn trimmed(text: &str) -> (Range<usize>, &str) {
    let start = text.len() - text.trim_start().len();
    let inner = text.trim();
    (start..start + inner.len(), inner)
}

/// The words between blanks and commas, each with the byte at which it begins.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    parts(text, |c| c.is_whitespace() || c == ',')
}

/// The lines that are not blank, each with the byte at which it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    parts(text, |c| c == '\n')
}

fn parts(text: &str, between: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive(between).filter_map(move |part| {
        let start = at;
        at += part.len();
        let part = part.strip_suffix(between).unwrap_or(part);
        let (span, inner) = trimmed(part);
        (!inner.is_empty()).then_some((start + span.start, inner))
    })
}

/// Which notices are sent: a switch, or a list.
pub(super) fn notify(value: &str) -> Result<BTreeSet<NoticeKind>, Flaw> {
    if trimmed(value).1.is_empty() {
        return Err(nothing(value));
    }
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => return Ok(NoticeKind::ALL.into()),
        "false" | "no" | "off" | "0" | "none" => return Ok(BTreeSet::new()),
        _ => {}
    }
    let mut kinds = BTreeSet::new();
    for (start, word) in words(value) {
        match NoticeKind::list(word) {
            Ok(more) => kinds.extend(more),
            Err(_) => {
                let what = format!("{} is nothing that is told", quoted(word));
                let flaw = Flaw::new(start..start + word.len(), what);
                return Err(match hint::nearest(word, NoticeKind::words()) {
                    Some(near) => flaw.mend(format!("did you mean `{near}`?")),
                    None => flaw,
                });
            }
        }
    }
    Ok(kinds)
}

/// Quotes a piece of a value in a message.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shorten(text, 40))
}

/// Nothing where something must be.
pub(super) fn nothing(value: &str) -> Flaw {
    Flaw::new(0..value.len(), "the value is empty")
}

/// One of a few words, in any case.
fn word<T: Copy>(value: &str, words: &[(&'static str, T)]) -> Result<T, Flaw> {
    let (span, inner) = trimmed(value);
    if inner.is_empty() {
        return Err(nothing(value));
    }
    if let Some((_, meaning)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(inner)) {
        return Ok(*meaning);
    }
    let flaw = Flaw::new(span, format!("{} is not allowed here", quoted(inner)));
    Err(match hint::nearest(inner, words.iter().map(|(word, _)| *word)) {
        Some(near) => flaw.mend(format!("did you mean `{near}`?")),
        None => flaw,
    })
}

pub(super) fn switch(value: &str) -> Result<bool, Flaw> {
    let words = [("true", true), ("yes", true), ("on", true), ("1", true)];
    let no = [("false", false), ("no", false), ("off", false), ("0", false)];
    word(value, &[words, no].concat())
}

pub(super) fn stream(value: &str) -> Result<StreamChoice, Flaw> {
    let words = [
        ("both", StreamChoice::Both),
        ("stdout", StreamChoice::Stdout),
        ("stderr", StreamChoice::Stderr),
    ];
    word(value, &words)
}

pub(super) fn block_type(value: &str) -> Result<BlockType, Flaw> {
    let words = [
        ("reject", BlockType::Reject),
        ("drop", BlockType::Drop),
        ("tcp-reset", BlockType::TcpReset),
    ];
    word(value, &words)
}

pub(super) fn chains(value: &str) -> Result<BTreeSet<Chain>, Vec<Flaw>> {
    let known = [("DOCKER-USER", Chain::DockerUser), ("INPUT", Chain::Input)];
    each(value, |text| word(text, &known))
}

/// A set of words, read one by one; all flaws are found. Never empty.
pub(super) fn each<T: Ord>(
    value: &str,
    read: impl Fn(&str) -> Result<T, Flaw>,
) -> Result<BTreeSet<T>, Vec<Flaw>> {
    let mut found = BTreeSet::new();
    let mut flaws = Vec::new();
    for (start, word) in words(value) {
        match read(word) {
            Ok(item) => {
                found.insert(item);
            }
            Err(flaw) => flaws.push(flaw.shifted(start)),
        }
    }
    if found.is_empty() && flaws.is_empty() {
        flaws.push(nothing(value));
    }
    if flaws.is_empty() { Ok(found) } else { Err(flaws) }
}

pub(super) fn name(value: &str) -> Result<JailName, Flaw> {
    let (span, inner) = trimmed(value);
    if inner.is_empty() {
        return Err(nothing(value));
    }
    if inner == MANUAL_JAIL {
        return Err(Flaw::new(span, "`manual` is the jail of bans made by hand")
            .mend("choose another name"));
    }
    inner.parse().map_err(|_| {
        if inner.len() > JailName::MAX {
            return Flaw::new(span, format!("the name is longer than {} bytes", JailName::MAX));
        }
        let allowed = |(at, c): (usize, char)| {
            c.is_ascii_alphanumeric() || (at > 0 && matches!(c, '.' | '_' | '-'))
        };
        let wrong = inner.char_indices().find(|place| !allowed(*place));
        let (at, c) = wrong.unwrap_or((0, ' '));
        let at = span.start + at;
        Flaw::new(
            at..at + c.len_utf8(),
            format!("{} can't stand here in a name", quoted(&c.to_string())),
        )
        .mend("use letters, digits, `.`, `_` and `-`, the first a letter or digit")
    })
}

pub(super) fn count(value: &str) -> Result<NonZeroU32, Flaw> {
    let (span, inner) = trimmed(value);
    if inner.is_empty() {
        return Err(nothing(value));
    }
    let digits = inner.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(Flaw::new(span, format!("{} is no whole number", quoted(inner))));
    }
    match inner.parse::<u32>().ok().filter(|number| *number <= MAX_RETRY) {
        None => Err(Flaw::new(span, format!("{} is too many", quoted(inner)))
            .mend(format!("guard counts up to {MAX_RETRY}, and no label can raise that"))),
        Some(number) => {
            NonZeroU32::new(number).ok_or_else(|| Flaw::new(span, "0 failures would ban everybody"))
        }
    }
}

pub(super) fn find_time(value: &str) -> Result<Duration, Flaw> {
    let time = duration::parse_finite(value)?;
    if time > MAX_FIND_TIME {
        return Err(Flaw::new(trimmed(value).0, "this is longer than a year")
            .mend("guard remembers failures for a year at most, and no label can raise that"));
    }
    Ok(time)
}

/// Regexes, one a line.
pub(super) fn regexes(given: Given<'_>) -> Result<Vec<Piece>, Flaw> {
    let pieces: Vec<Piece> = lines(given.value)
        .map(|(start, text)| Piece { key: given.key.to_owned(), start, text: text.to_owned() })
        .collect();
    if pieces.is_empty() { Err(nothing(given.value)) } else { Ok(pieces) }
}

/// One regex.
pub(super) fn regex(given: Given<'_>) -> Result<Piece, Flaw> {
    let mut pieces = regexes(given)?;
    match pieces.get(1) {
        Some(second) => {
            let span = second.start..second.start + second.text.len();
            Err(Flaw::new(span, "a second regex").mend("join them: `(?:one|other)`"))
        }
        None => pieces.pop().ok_or_else(|| nothing(given.value)),
    }
}

/// All lines of the value together.
pub(super) fn whole(given: Given<'_>) -> Result<Piece, Flaw> {
    let (span, text) = trimmed(given.value);
    if text.is_empty() {
        return Err(nothing(given.value));
    }
    Ok(Piece { key: given.key.to_owned(), start: span.start, text: text.to_owned() })
}

/// `sshd` or `sshd[mode=aggressive]`.
pub(super) fn filter(given: Given<'_>) -> Result<(Piece, FilterReference), Flaw> {
    let piece = whole(given)?;
    match piece.text.parse::<FilterReference>() {
        Ok(reference) => Ok((piece, reference)),
        Err(error) => {
            let flaw = Flaw::new(error.span, error.what);
            Err(flaw.mend("write `name` or `name[option=value, …]`").shifted(piece.start))
        }
    }
}

pub(super) fn max_lines(value: &str) -> Result<u32, Flaw> {
    let lines = count(value)?.get();
    if lines <= MAX_LINES {
        return Ok(lines);
    }
    let (span, _) = trimmed(value);
    Err(Flaw::new(span, format!("more than {MAX_LINES} lines together"))
        .mend("no label can raise that bound"))
}

pub(super) fn use_dns(value: &str) -> Result<UseDns, Flaw> {
    word(value, &[("no", UseDns::No), ("warn", UseDns::Warn), ("yes", UseDns::Yes)])
}

/// Absolute paths with or without wildcards, one a line.
pub(super) fn paths(value: &str) -> Result<Vec<String>, Vec<Flaw>> {
    let mut paths = Vec::new();
    let mut flaws = Vec::new();
    for (start, text) in lines(value) {
        match path(text) {
            Ok(()) => paths.push(text.to_owned()),
            Err(flaw) => flaws.push(flaw.shifted(start)),
        }
    }
    if paths.is_empty() && flaws.is_empty() {
        flaws.push(nothing(value));
    }
    if flaws.is_empty() { Ok(paths) } else { Err(flaws) }
}

/// Match terms of the journal.
pub(super) fn journal(value: &str) -> Result<JournalMatch, Flaw> {
    value.parse().map_err(|InvalidMatch { span, what, remedy }| Flaw::new(span, what).mend(remedy))
}

fn path(text: &str) -> Result<(), Flaw> {
    let whole = 0..text.len();
    if text.len() > MAX_PATH {
        return Err(Flaw::new(whole, format!("the path is longer than {MAX_PATH} bytes")));
    }
    if !text.starts_with('/') {
        let what = format!("{} is not absolute", quoted(text));
        return Err(
            Flaw::new(whole, what).mend("write the path from `/` on, as the container names it")
        );
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
        return Err(Flaw::new(at..at + c.len_utf8(), "a control character in a path"));
    }
    for (ending, length) in [(" tail", 4), (" head", 4)] {
        if text.ends_with(ending) {
            let what = format!("{} is no part of the path", quoted(&ending[1..]));
            return Err(Flaw::new(text.len() - length..text.len(), what)
                .mend("leave it out: guard reads on where it stopped"));
        }
    }
    for separator in [",/", ", /", " /", ";/", "; /"] {
        if let Some(at) = text.find(separator) {
            return Err(Flaw::new(at..at + separator.len() - 1, "a second path on one line")
                .mend("write one path a line, or number them: `logpath.0`, `logpath.1`"));
        }
    }
    let mut at = 0;
    for part in text.split('/') {
        if part == ".." {
            return Err(Flaw::new(at..at + 2, "`..` in a path").mend("write the path without it"));
        }
        at += part.len() + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The marked places and messages of flaws.
    fn flaws<T: std::fmt::Debug>(
        value: &str,
        read: Result<T, impl Into<Vec<Flaw>>>,
    ) -> Vec<(&str, String)> {
        let Err(flaws) = read else { return Vec::new() };
        flaws.into().into_iter().map(|flaw| (&value[flaw.span], flaw.what)).collect()
    }

    #[test]
    fn switches() {
        for text in ["true", "Yes", "ON", "1", " true "] {
            assert_eq!(switch(text), Ok(true), "{text}");
        }
        for text in ["false", "no", "Off", "0"] {
            assert_eq!(switch(text), Ok(false), "{text}");
        }
        assert_eq!(flaws(" ja ", switch(" ja ")), [("ja", "`ja` is not allowed here".to_owned())]);
        assert_eq!(flaws("", switch("")), [("", "the value is empty".to_owned())]);
    }

    #[test]
    fn counts() {
        assert_eq!(count(" 5 ").unwrap().get(), 5);
        assert_eq!(count("10000").unwrap().get(), 10_000);
        for bad in ["", "five", "0", "-1", "10001", "5.0", "1e3", "99999999999999999999", "５"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn chains_are_these_two() {
        assert_eq!(chains("docker-user").unwrap(), [Chain::DockerUser].into());
        assert_eq!(chains("INPUT, DOCKER-USER").unwrap(), [Chain::DockerUser, Chain::Input].into());
        let bad = "INPUT,FORWARD OUTPUT";
        assert_eq!(
            flaws(bad, chains(bad)).iter().map(|(place, _)| *place).collect::<Vec<_>>(),
            ["FORWARD", "OUTPUT"]
        );
        assert_eq!(flaws(" , ", chains(" , ")).len(), 1);
    }

    #[test]
    fn names_show_the_wrong_letter() {
        assert_eq!(name(" web ").unwrap().as_str(), "web");
        assert_eq!(flaws("my web", name("my web"))[0].0, " ");
        assert_eq!(flaws("-web", name("-web"))[0].0, "-");
        assert_eq!(flaws("wéb", name("wéb"))[0].0, "é");
        assert!(name("manual").is_err() && name(&"x".repeat(101)).is_err());
    }

    #[test]
    fn regexes_are_lines() {
        let value = "  one \r\n\n\ttwo, three,\n";
        let pieces = regexes(Given { key: "k", value }).unwrap();
        let found: Vec<(usize, &str)> = pieces.iter().map(|p| (p.start, p.text.as_str())).collect();
        assert_eq!(found, [(2, "one"), (10, "two, three,")]);
        assert!(regexes(Given { key: "k", value: " \n " }).is_err());
    }

    #[test]
    fn paths_are_absolute_and_one_a_line() {
        let good = "/var/log/a b.log\n/var/log/*/[a-c]?.log\n/x..y/...\n/a,b";
        assert_eq!(paths(good).unwrap().len(), 4);
        let check = |bad: &str, place: &str| {
            let found: Vec<_> = flaws(bad, paths(bad));
            assert_eq!(found.iter().map(|(p, _)| *p).collect::<Vec<_>>(), [place], "{bad}");
        };
        check("logs/app.log", "logs/app.log");
        check("/ok\nC:\\log", "C:\\log");
        check("/a/../../etc/shadow", "..");
        check("/a.log tail", "tail");
        check("/a.log,/b.log", ",");
        check("/a.log /b.log", " ");
        check("/a\u{7}b", "\u{7}");
        check("", "");
        let long = format!("/{}", "x".repeat(4096));
        check(&long, &long);
    }

    #[test]
    fn findtime_has_a_bound() {
        assert!(find_time("1y").is_ok());
        assert!(find_time("2y").is_err());
        assert!(find_time("-1").is_err());
    }
}
