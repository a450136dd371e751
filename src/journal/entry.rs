//! (pure) An entry's fields → a line, in the form that filters for the journal expect.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::file::{Bytes, Entry, JournalFile};
use crate::model::{Line, MAX_LINE, Timestamp};

/// Longest value of the short fields.
const SHORT: usize = 256;

/// What a line is made of, and how much of it counts.
const NAMES: [(&str, usize); 8] = [
    ("MESSAGE", MAX_LINE),
    ("_HOSTNAME", SHORT),
    ("SYSLOG_IDENTIFIER", SHORT),
    ("_COMM", SHORT),
    ("SYSLOG_PID", SHORT),
    ("_PID", SHORT),
    ("_SOURCE_REALTIME_TIMESTAMP", SHORT),
    ("_SOURCE_MONOTONIC_TIMESTAMP", SHORT),
];

const MESSAGE: usize = 0;
const HOST: usize = 1;
const IDENTIFIER: usize = 2;
const COMMAND: usize = 3;
const SYSLOG_PID: usize = 4;
const PID: usize = 5;
const REALTIME: usize = 6;
const MONOTONIC: usize = 7;

/// An entry as a line: `HOST IDENTIFIER[PID]: MESSAGE`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// When it was logged; `None`: at no time that there is.
    pub(super) at: Option<Timestamp>,
    pub(super) text: String,
    /// A part of it can't be read, perhaps the message.
    pub(super) unreadable: bool,
}

/// Reads what a line is made of.
pub(super) fn tell<B: Bytes>(file: &JournalFile<B>, entry: &Entry) -> Told {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut values: [Option<Vec<u8>>; NAMES.len()] = Default::default();
    let mut unreadable = false;
    let mut length = 0;
    for at in &entry.fields {
        match file.value(*at, &NAMES) {
            Ok(Some((MESSAGE, value))) if length < MAX_LINE => {
                length += value.len() + 1;
                messages.push(value);
            }
            Ok(Some((which, value))) => {
                values[which].get_or_insert(value);
            }
            Ok(None) => {}
            Err(_) => unreadable = true,
        }
    }
    let unreadable = unreadable && messages.is_empty();
    let value = |which: usize| values[which].as_deref().filter(|value| !value.is_empty());
    let number = |which: usize| str::from_utf8(value(which)?).ok()?.parse::<u64>().ok();

    let mut text = Vec::new();
    if let Some(host) = value(HOST) {
        text.extend_from_slice(host);
        text.push(b' ');
    }
    if let Some(name) = value(IDENTIFIER).or(value(COMMAND)) {
        text.extend_from_slice(name);
        let pid = value(SYSLOG_PID).or(value(PID));
        if let Some(pid) = pid {
            text.push(b'[');
            text.extend_from_slice(pid);
            text.push(b']');
        }
        text.extend_from_slice(b": ");
        if name == b"kernel" && pid.is_none() {
            let since = number(MONOTONIC).unwrap_or(entry.head.monotonic);
            let since = format!("[{:5}.{:06}] ", since / 1_000_000, since % 1_000_000);
            text.extend_from_slice(since.as_bytes());
        }
    }
    text.extend_from_slice(&messages.join(&b' '));
    Told {
        at: time(number(REALTIME).unwrap_or(entry.head.realtime)),
        text: Line::text_of(&one_line(&text)),
        unreadable,
    }
}

/// The time of so many microseconds since 1970.
pub(super) fn time(microseconds: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(microseconds).ok()?).ok()
}

/// A message of several lines is one line of the filter: the line ends become `\n`,
/// two letters.
fn one_line(text: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            byte => line.push(*byte),
        }
    }
    line
}
