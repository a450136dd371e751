//! The last lines of a log, tried once more: does the filter know them, and if not,
//! which of them look like failures?

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::facts::{Missed, Probe};
use crate::filter::address_in;
use crate::filter::{Filter, FilterSpec, Judge, Near, Nearest, Phase, RegexPlace, Stop, Verdict};
use crate::model::Timestamp;

/// Words of lines that tell of a failed login, in small letters.
const WORDS: [&str; 14] = [
    "login failed",
    "failed login",
    "failed to log",
    "failed password",
    "authentication fail",
    "failed authentication",
    "auth failed",
    "invalid password",
    "wrong password",
    "incorrect password",
    "password incorrect",
    "invalid user",
    "invalid credentials",
    "unauthorized",
];

/// So much of a line is shown, in bytes.
const LINE: usize = 300;

/// So much of what matched, or of a regex, is shown, in characters.
const PART: usize = 40;

/// A filter that is tried on the last lines of a log.
pub struct Prober {
    judge: Judge,
    spec: Option<FilterSpec>,
    probe: Probe,
    /// The last line that was missed and looks like a failure, and what of it the regexes saw.
    missed: Option<(String, String)>,
}

impl Prober {
    /// Tries `filter`, which was compiled from `spec`; dates without a zone are read in `zone`.
    pub fn new(filter: &Filter, spec: Option<FilterSpec>, zone: TimeZone) -> Prober {
        let judge = Judge::new(Arc::new(filter.thorough()), zone, Duration::MAX);
        Prober { judge, spec, probe: Probe::default(), missed: None }
    }

    /// Names where the next lines are from.
    pub fn source(&mut self, name: &str) {
        self.probe.sources.push(name.to_owned());
    }

    /// Tries a line, of which Docker says that it was written at `at`.
    pub fn feed(&mut self, now: Timestamp, text: &str, at: Option<Timestamp>) {
        self.probe.lines += 1;
        match self.judge.feed_text(text, at, now, Phase::Replay) {
            Verdict::Failure(_)
            | Verdict::TooOld
            | Verdict::Ignored
            | Verdict::NoFailure(_)
            | Verdict::LoggedIn(_) => self.probe.matched += 1,
            Verdict::Missed if looks_like_a_failure(text) => {
                self.probe.suspicious += 1;
                self.missed = Some((text.to_owned(), self.judge.seen().to_owned()));
            }
            Verdict::Missed => {}
        }
    }

    /// What came of it.
    pub fn end(self) -> Probe {
        let Prober { spec, mut probe, missed, .. } = self;
        probe.missed = missed.map(|(line, seen)| Missed {
            near: spec
                .as_ref()
                .and_then(|spec| Nearest::new(spec)?.look(&seen).map(|near| words(spec, &near))),
            line: line[..line.floor_char_boundary(LINE)].to_owned(),
        });
        probe
    }
}

/// Does a line tell of a failed login, and of an address?
fn looks_like_a_failure(text: &str) -> bool {
    let text = &text[..text.floor_char_boundary(4096)];
    let small = text.to_ascii_lowercase();
    WORDS.iter().any(|word| small.contains(word))
        && text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':'))).any(|word| {
            // `::` and `12:30:59` are words of dates and paths.
            word.len() >= 7 && address_in(word.trim_end_matches(['.', ':'])).is_some()
        })
}

/// Where the nearest regex stopped.
fn words(spec: &FilterSpec, near: &Near) -> String {
    let place = &near.place;
    let matched = last(near.text.get(near.matched.clone()).unwrap_or_default());
    let rest = first(near.text.get(near.matched.end..).unwrap_or_default().trim_end());
    match &near.stop {
        Stop::At(part) => {
            let regex = match place {
                RegexPlace::Fail(index) => spec.failregex.get(*index).map(String::as_str),
                RegexPlace::Success(index) => spec.successregex.get(*index).map(String::as_str),
                RegexPlace::Ignore(index) => spec.ignoreregex.get(*index).map(String::as_str),
                RegexPlace::Pref => spec.prefregex.as_deref(),
                RegexPlace::Date => spec.datepattern.as_deref(),
            };
            let part = regex.and_then(|regex| regex.get(part.clone())).unwrap_or_default();
            format!(
                "{place} comes nearest: it matches up to `{matched}`, but its `{}` does not match `{rest}`",
                first(part)
            )
        }
        Stop::Blank => format!(
            "{place} comes nearest; the line begins with a blank where its date was: put `\\s*` first"
        ),
        Stop::Irregular => {
            format!(
                "{place} comes nearest: its look-arounds or back-references keep it from matching"
            )
        }
        Stop::Nobody => format!("{place} matches, but finds no address: put <HOST> where it is"),
    }
}

fn first(text: &str) -> String {
    text.chars().take(PART).collect()
}

fn last(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(PART);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(regex: &str, lines: &[&str]) -> Probe {
        let spec = FilterSpec { failregex: vec![regex.to_owned()], ..FilterSpec::default() };
        let filter = Filter::new(&spec).unwrap();
        let mut prober = Prober::new(&filter, Some(spec), TimeZone::UTC);
        let now = Timestamp::from_second(1_750_000_000).unwrap();
        for line in lines {
            prober.feed(now, line, Some(now));
        }
        prober.end()
    }

    #[test]
    fn a_missed_failure_is_shown_with_what_came_nearest() {
        let line = "Login failed for user 'bob' [IP: 192.0.2.7]";
        let probe = tried(r"Login failed for user '.*' \(IP: <HOST>\)$", &[line, "GET / 200"]);
        assert_eq!((probe.lines, probe.matched, probe.suspicious), (2, 0, 1));
        let missed = probe.missed.unwrap();
        assert_eq!(missed.line, line);
        let near = missed.near.unwrap();
        assert!(near.contains(r"`\(") && near.contains("[IP: 192.0.2.7]"), "{near}");

        let probe = tried(r"Login failed for user '.*' \[IP: <HOST>\]$", &[line]);
        assert_eq!((probe.matched, probe.missed), (1, None));
    }

    #[test]
    fn what_looks_like_a_failure() {
        let check = |text: &str, expected: bool| {
            assert_eq!(looks_like_a_failure(text), expected, "{text}");
        };
        check("2026-01-01 12:30:59 Login failed for x from 192.0.2.1.", true);
        check("authentication failure; rhost=2001:db8::1", true);
        check("2026-01-01 12:30:59 Login failed for x", false);
        check("GET /login from 192.0.2.1 200", false);
        check(&"login failed é".repeat(1000), false);
    }
}
