//! Verdicts for programs: an object a line.

use std::io::{self, Write};

use guard::control::print;
use guard::filter::{Groups, Judge, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::told::{Match, Told};
use super::trial::Sink;

/// Writes each line's verdict.
#[derive(Debug)]
pub(super) struct JsonLines<W>(pub(super) W);

impl<W: Write> Sink for JsonLines<W> {
    fn line(&mut self, number: u64, _text: &str, told: &Told, judge: &Judge) -> io::Result<()> {
        let out = &mut self.0;
        match told {
            Told::Missed => writeln!(out, r#"{{"line":{number},"verdict":"missed"}}"#),
            Told::Ignored => writeln!(out, r#"{{"line":{number},"verdict":"ignored"}}"#),
            Told::LoggedIn(network, _) => {
                writeln!(out, r#"{{"line":{number},"verdict":"login","host":"{network}"}}"#)
            }
            Told::NoFailure(regex) => {
                let regex = regex + 1;
                writeln!(out, r#"{{"line":{number},"verdict":"nofail","regex":{regex}}}"#)
            }
            Told::Matched(found) => {
                let json = serde_json::to_string(&Row::new(number, found, judge.groups()))?;
                writeln!(out, "{}", print::safe_json(&json))
            }
        }
    }

    fn sees_missed(&self) -> bool {
        true
    }

    fn missed(&mut self, _lines: u64) {}

    fn chunk_ends(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[derive(serde::Serialize)]
struct Row<'m> {
    line: u64,
    verdict: &'static str,
    host: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<&'m [String]>,
    time: String,
    regex: usize,
    groups: Named<'m>,
    attempts: u32,
}

impl<'m> Row<'m> {
    fn new(line: u64, found: &'m Match, groups: &'m Groups) -> Row<'m> {
        Row {
            line,
            verdict: "matched",
            host: found.hosts.first().map(String::as_str),
            hosts: Some(found.hosts.as_slice()).filter(|hosts| hosts.len() > 1),
            // To the second, as fail2ban's times are.
            time: found.hit.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            regex: found.hit.regex + 1,
            groups: Named(groups),
            attempts: found.hit.lines,
        }
    }
}

/// Groups by name; of equal names the last counts.
struct Named<'m>(&'m Groups);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            if self.0[index + 1..].iter().any(|(later, _)| later == name) {
                continue;
            }
            match value {
                Value::Text(text) => map.serialize_entry(name, text)?,
                Value::Tuple(parts) => map.serialize_entry(name, parts)?,
            }
        }
        map.end()
    }
}
