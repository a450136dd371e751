//! guard's own filters on sample lines, `tests/filters/NAME.log`.
//!
//! ```text
//! # where the lines come from
//! #@ filter: sshd[mode=aggressive]      the filter of the lines below; else the file's name
//! #@ journal                            they come without a date search; `#@ file`: with
//! #= 192.0.2.1 user=joe time=2024-05-06T07:08:09Z ; a remark
//! May  6 07:08:09 host sshd[7]: …
//! ```
//!
//! `#=` says what the next line is: a failure of that host, or `missed`, `nofail` or
//! `ignored`; a line without it must be missed. The clock stands at [`NOW`].
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use guard::filter::{Carrier, Filter, Groups, Judge, Phase, Value, Verdict, Who};
use guard::filters::Catalog;
use guard::model::Timestamp;
use jiff::tz::TimeZone;

const NOW: &str = "2025-06-15T12:00:00Z";

/// Failregexes that only fail2ban's own sample logs hit, which can't be kept here.
const HIT_ELSEWHERE: &[(&str, usize)] = &[("nginx-http-auth", 2)];

#[test]
fn sample_lines() {
    let mut failures = Vec::new();
    let (mut lines, mut filters) = (0, 0);
    for (name, path) in samples() {
        let mut sample = Sample::new(&name);
        let text = fs::read_to_string(&path).unwrap();
        for (line, number) in text.lines().zip(1..) {
            if let Err(what) = sample.line(line) {
                failures.push(format!("{name}.log:{number}: {what}\n    {line}"));
            }
        }
        failures.extend(sample.unused().into_iter().map(|what| format!("{name}.log: {what}")));
        lines += sample.lines;
        filters += sample.instances.len();
    }
    failures.iter().for_each(|failure| eprintln!("{failure}"));
    println!("{lines} sample lines, {filters} filters with their options");
    assert!(failures.is_empty(), "{} lines are judged wrongly", failures.len());
}

/// Each filter has samples, each compiles, and each is linear.
#[test]
fn every_filter_has_samples_and_is_linear() {
    let sampled: BTreeSet<_> = samples().into_keys().collect();
    for listed in Catalog::new("").list() {
        let name = &listed.name;
        assert!(sampled.contains(name), "no samples: tests/filters/{name}.log");
        assert!(listed.about.chars().count() > 10, "{name} does not say what it is for");
        let loaded = Catalog::new("").load(&name.parse().unwrap()).unwrap();
        let filter =
            Filter::new(&loaded.spec).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        assert_eq!(filter.backtracking(), 0, "{name}");
    }
}

fn samples() -> BTreeMap<String, PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filters");
    let files = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

struct Sample {
    name: String,
    /// By what the filter was asked for with, and whether a journal carries the lines.
    instances: BTreeMap<(String, bool), Instance>,
    current: (String, bool),
    expected: Option<String>,
    lines: usize,
}

struct Instance {
    judge: Judge,
    regexes: Vec<String>,
    used: BTreeSet<usize>,
}

impl Sample {
    fn new(name: &str) -> Sample {
        Sample {
            name: name.to_owned(),
            instances: BTreeMap::new(),
            current: (name.to_owned(), false),
            expected: None,
            lines: 0,
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(setting) = line.strip_prefix("#@ ") {
            match setting.trim() {
                "journal" => self.current.1 = true,
                "file" => self.current.1 = false,
                other => {
                    let reference = other.strip_prefix("filter:").ok_or("an unknown setting")?;
                    self.current.0 = reference.trim().to_owned();
                }
            }
            return Ok(());
        }
        if let Some(expected) = line.strip_prefix("#= ") {
            let expected = expected.split_once(" ; ").map_or(expected, |(before, _)| before);
            self.expected = Some(expected.trim().to_owned());
            return Ok(());
        }
        if self.expected.is_none() && (line.starts_with('#') || line.trim().is_empty()) {
            return Ok(());
        }
        self.lines += 1;
        let expected = self.expected.take().unwrap_or_else(|| "missed".to_owned());
        let journal = self.current.1;
        let instance = self
            .instances
            .entry(self.current.clone())
            .or_insert_with_key(|(reference, journal)| Instance::new(reference, *journal));
        instance.check(line, journal, &expected)
    }

    /// Regexes that no sample hit, whatever the options.
    fn unused(&self) -> Vec<String> {
        // Options change parts of all regexes; which one it is, its place tells.
        let all = self.instances.values();
        let used: &BTreeSet<(usize, usize)> =
            &all.clone().flat_map(|i| i.used.iter().map(|at| (i.regexes.len(), *at))).collect();
        let texts: BTreeSet<&String> =
            all.clone().flat_map(|i| i.used.iter().map(|at| &i.regexes[*at])).collect();
        let unused = all.flat_map(|instance| {
            let regexes = instance.regexes.iter().enumerate();
            let many = instance.regexes.len();
            regexes.filter(move |(at, _)| !used.contains(&(many, *at)))
        });
        let unused = unused.filter(|(_, regex)| !texts.contains(regex));
        unused
            .filter(|(at, _)| !HIT_ELSEWHERE.contains(&(self.name.as_str(), *at)))
            .map(|(at, regex)| format!("no line hits failregex {}: {regex}", at + 1))
            .collect()
    }
}

impl Instance {
    fn new(reference: &str, journal: bool) -> Instance {
        let reference = reference.parse().unwrap_or_else(|e| panic!("{reference}: {e}"));
        let loaded = Catalog::new("").load(&reference).unwrap_or_else(|e| panic!("{e}"));
        let filter = Filter::new(&loaded.spec).unwrap_or_else(|e| panic!("{reference}: {e:?}"));
        let judge = Judge::new(Arc::new(filter), TimeZone::UTC, Duration::MAX).keeping_groups();
        let judge = judge.on(if journal { Carrier::Journal } else { Carrier::Log });
        Instance { judge, regexes: loaded.spec.failregex, used: BTreeSet::new() }
    }

    fn check(&mut self, line: &str, journal: bool, expected: &str) -> Result<(), String> {
        let now: Timestamp = NOW.parse().unwrap();
        let verdict = self.judge.feed_text(line, journal.then_some(now), now, Phase::Replay);
        let found = match verdict {
            Verdict::Missed => "missed".to_owned(),
            Verdict::Ignored => "ignored".to_owned(),
            Verdict::TooOld => "too old".to_owned(),
            Verdict::LoggedIn(_) => "logged in".to_owned(),
            Verdict::NoFailure(regex) => {
                self.used.insert(regex);
                "nofail".to_owned()
            }
            Verdict::Failure(hit) => {
                self.used.insert(hit.regex);
                let who = match hit.who {
                    Who::Network(network) => network.to_string(),
                    Who::Name(text) | Who::Text(text) => text,
                };
                return same_failure(&who, hit.at, self.judge.groups(), expected);
            }
        };
        if found == expected { Ok(()) } else { Err(format!("is {found}, should be {expected}")) }
    }
}

fn same_failure(who: &str, at: Timestamp, groups: &Groups, expected: &str) -> Result<(), String> {
    let (host, mut rest) = expected.split_once(' ').unwrap_or((expected, ""));
    if who != host {
        return Err(format!("is a failure of {who}, should be {host}"));
    }
    while let Some((key, value)) = rest.trim_start().split_once('=') {
        let (value, after) = unquoted(value);
        rest = after;
        let found = match key {
            // To the second.
            "time" => Timestamp::from_second(at.as_second()).unwrap().to_string(),
            key => text_of(groups, key),
        };
        if found != value {
            return Err(format!("{key} is {found:?}, should be {value:?}"));
        }
    }
    Ok(())
}

/// A value that is bare, or in quotes with `\"` and `\\` in it; and what follows.
fn unquoted(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let (value, after) = text.split_once(' ').unwrap_or((text, ""));
        return (value.to_owned(), after);
    };
    let (mut value, mut chars) = (String::new(), inner.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &inner[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            other => value.push(other),
        }
    }
    panic!("no closing quote: {text}")
}

fn text_of(groups: &Groups, name: &str) -> String {
    let value = groups.iter().find(|(known, _)| known == name);
    value.map(|(_, value)| Value::to_text(value)).unwrap_or_default()
}
