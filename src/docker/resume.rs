//! Messages that come again, and the marks of those that don't. Pure.
//!
//! Engines of 20.10 give messages again when a log is rotated under its reader.
//! Timestamps alone do not tell: they repeat, and a clock that is set back makes
//! new messages look old. So the latest messages are remembered.
//!
//! Invariant: a message is dropped only if it is one that was let through before.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::model::{StreamMark, Timestamp};

/// How many of the latest messages are remembered. More than what is written
/// between a rotation and the moment when the engine's reader notices it.
const RECENT: usize = 4096;

/// How much of a message goes into its [`hash`].
const HASHED: usize = 256;

/// What was seen of one stream.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The latest message.
    last: Option<StreamMark>,
    recent: VecDeque<Recent>,
    /// The greatest timestamp let through: only what is not beyond it can be a repeat.
    newest: Option<Timestamp>,
    /// Can a message be told from the same one given again? Not where times are whole
    /// seconds, as Podman's are: there the same line twice in a second is two lines.
    pub(crate) coarse: bool,
    /// A repeat is going on: the next repeated message would be this one.
    repeat: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recent {
    at: Timestamp,
    hash: u32,
}

impl Seen {
    /// The output will be given again; the last `open` messages were not used and
    /// are to come again.
    pub(crate) fn rewind(&mut self, open: usize) {
        self.recent.truncate(self.recent.len().saturating_sub(open));
        self.last = None;
        self.repeat = None;
    }

    /// The time of the latest message.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.last.map(|mark| mark.at)
    }

    /// The place after a message that was read before and is only counted.
    pub(crate) fn pass(&mut self, at: Timestamp) -> StreamMark {
        let seen = match self.last {
            Some(last) if last.at == at => last.seen.saturating_add(1),
            _ => 1,
        };
        let mark = StreamMark { at, seen };
        self.last = Some(mark);
        mark
    }

    /// The place after this message if it is new; `None` if it was seen before.
    /// `line_open`: the message before it was no line's end, so that one with the
    /// same timestamp is the next part of that line.
    pub(crate) fn admit(
        &mut self,
        at: Timestamp,
        bytes: &[u8],
        line_open: bool,
    ) -> Option<StreamMark> {
        let this = Recent { at, hash: hash(bytes) };
        if self.is_repeat(this, line_open) {
            return None;
        }
        let mark = self.pass(at);
        self.newest = self.newest.max(Some(at));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(this);
        Some(mark)
    }

    fn is_repeat(&mut self, this: Recent, line_open: bool) -> bool {
        if let Some(next) = self.repeat {
            if self.recent.get(next) == Some(&this) {
                self.repeat = Some(next + 1);
                return true;
            }
            self.repeat = None;
        }
        if self.coarse || self.newest.is_none_or(|newest| this.at > newest) {
            return false;
        }
        let same_time = self.last.is_some_and(|last| last.at == this.at);
        if same_time && line_open {
            return false;
        }
        let first = self.recent.iter().position(|recent| recent.at == this.at);
        match first {
            Some(first) if self.recent[first] == this => {
                self.repeat = Some(first + 1);
                true
            }
            _ => false,
        }
    }
}

/// Tells one message from another, well enough among those of one time.
pub(crate) fn hash(bytes: &[u8]) -> u32 {
    let mut hasher = DefaultHasher::new();
    bytes.len().hash(&mut hasher);
    bytes[..bytes.len().min(HASHED)].hash(&mut hasher);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn feed(seen: &mut Seen, messages: &[(i64, &str)]) -> Vec<String> {
        messages
            .iter()
            .filter(|(at, text)| seen.admit(time(*at), text.as_bytes(), false).is_some())
            .map(|(_, text)| (*text).to_owned())
            .collect()
    }

    #[test]
    fn equal_timestamps_are_counted() {
        let mut seen = Seen::default();
        let log = [(4, "a"), (5, "b"), (5, "c"), (5, "d")];
        assert_eq!(feed(&mut seen, &log), ["a", "b", "c", "d"]);
        assert_eq!(seen.pass(time(5)), StreamMark { at: time(5), seen: 4 });
        assert_eq!(seen.pass(time(6)), StreamMark { at: time(6), seen: 1 });
    }

    #[test]
    fn a_clock_set_back_loses_nothing() {
        let mut seen = Seen::default();
        assert_eq!(feed(&mut seen, &[(100, "a"), (50, "b"), (51, "c")]), ["a", "b", "c"]);
    }

    #[test]
    fn what_was_not_used_comes_again() {
        let mut seen = Seen::default();
        feed(&mut seen, &[(1, "a"), (2, "b"), (2, "c")]);
        seen.rewind(2);
        assert_eq!(feed(&mut seen, &[(2, "b"), (2, "c"), (3, "d")]), ["b", "c", "d"]);
    }

    #[test]
    fn a_rotation_that_repeats_messages_is_noticed() {
        let mut seen = Seen::default();
        feed(&mut seen, &[(1, "a"), (2, "b"), (3, "c"), (3, "d")]);
        assert_eq!(
            feed(&mut seen, &[(2, "b"), (3, "c"), (3, "d"), (4, "e"), (4, "f")]),
            ["e", "f"]
        );
        // A single message that comes again.
        assert_eq!(feed(&mut seen, &[(5, "g"), (5, "g"), (6, "h")]), ["g", "h"]);
    }

    #[test]
    fn in_whole_seconds_the_same_line_twice_is_two() {
        let mut seen = Seen { coarse: true, ..Seen::default() };
        let log = [(5, "failed"), (5, "failed"), (6, "x"), (6, "failed"), (6, "failed")];
        assert_eq!(feed(&mut seen, &log).len(), 5);
        assert_eq!(seen.pass(time(6)), StreamMark { at: time(6), seen: 4 });
    }

    #[test]
    fn equal_parts_of_one_line_are_no_repeat() {
        let mut seen = Seen::default();
        assert!(seen.admit(time(1), b"xxxx", false).is_some());
        assert!(seen.admit(time(1), b"xxxx", true).is_some());
        assert_eq!(seen.pass(time(1)), StreamMark { at: time(1), seen: 3 });
    }
}
