//! Which metrics and labels an expression of PromQL names. It is no parser: Prometheus'
//! own says whether the expression is one.

use std::collections::{BTreeMap, BTreeSet};

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The metrics, with the labels by which their series are chosen.
    pub(crate) metrics: BTreeMap<String, BTreeSet<String>>,
    /// The labels by which series are put together.
    pub(crate) grouped: BTreeSet<String>,
}

const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const WORDS: [&str; 7] = ["or", "and", "unless", "offset", "bool", "inf", "nan"];

/// What this one names.
pub(crate) fn named(expression: &str) -> Named {
    let mut named = Named::default();
    let mut rest = expression;
    let mut grouping = false;
    let mut last = String::new();
    while let Some(first) = rest.chars().next() {
        match first {
            '"' => rest = after(&rest[1..], '"'),
            // A range or its step, such as [5m] or [$__rate_interval].
            '[' => rest = after(rest, ']'),
            '{' => {
                let inside = labels(&mut rest);
                named.metrics.entry(last.clone()).or_default().extend(inside);
            }
            ')' => {
                grouping = false;
                rest = &rest[1..];
            }
            '$' => {
                rest = &rest[1..];
                word(&mut rest);
            }
            '0'..='9' => {
                // A number, or a time such as 5m.
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let found = word(&mut rest);
                let called = rest.trim_start().starts_with('(');
                if GROUPING.contains(&found.as_str()) {
                    grouping = called;
                } else if grouping {
                    named.grouped.insert(found);
                } else if WORDS.contains(&found.as_str()) || is_function(&found, rest) {
                    last.clear();
                } else {
                    named.metrics.entry(found.clone()).or_default();
                    last = found;
                }
            }
            other => rest = &rest[other.len_utf8()..],
        }
    }
    named
}

/// A function, or an aggregation, whose arguments may come after its labels.
fn is_function(word: &str, rest: &str) -> bool {
    let rest = rest.trim_start();
    let next: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    rest.starts_with('(') || (["by", "without"].contains(&next.as_str()) && !word.contains('_'))
}

fn word(rest: &mut &str) -> String {
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let (word, others) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = others;
    word.to_owned()
}

/// The names of labels between braces.
fn labels(rest: &mut &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    *rest = &rest[1..];
    while let Some(first) = rest.chars().next() {
        match first {
            '}' => {
                *rest = &rest[1..];
                break;
            }
            '"' => *rest = after(&rest[1..], '"'),
            'a'..='z' | 'A'..='Z' | '_' => drop(labels.insert(word(rest))),
            other => *rest = &rest[other.len_utf8()..],
        }
    }
    labels
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

#[test]
fn names_are_found() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let found = named(
        "histogram_quantile(0.95, sum by (le, instance) (rate(a_bucket{job=~\"x{y}\", b!=\"c\"}[$__rate_interval]))) \
         / on (jail) group_left (v) d_total offset 5m > 1e3 or absent(up{job=\"guard\"})",
    );
    let metrics = [
        ("a_bucket".to_owned(), set(&["job", "b"])),
        ("d_total".to_owned(), set(&[])),
        ("up".to_owned(), set(&["job"])),
    ];
    let grouped = set(&["le", "instance", "jail", "v"]);
    assert_eq!(found, Named { metrics: metrics.into(), grouped });
}
