//! What is known of one answer of the engine's, from its messages so far. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::{Stream, StreamMark, Timestamp};

/// What is known of one stream in an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The time of its latest message.
    pub(super) last: Option<Timestamp>,
    /// How many of its latest messages have that time.
    pub(super) run: u32,
    /// Did that run begin within the answer?
    pub(super) whole: bool,
    /// Its place was met.
    pub(super) met: bool,
    /// The place was met from which on lines are wanted again.
    pub(super) resumed: bool,
    /// The line that is open began before the answer did.
    pub(super) headless: bool,
}

/// A message as far as it tells one from another.
pub(super) type First = (Timestamp, u32);

/// What is known of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) count: u32,
    pub(super) first: Option<First>,
    /// Its beginning is the log's.
    pub(super) whole: bool,
    /// A stream's timestamps went back.
    pub(super) stepped: bool,
    pub(super) found: bool,
    /// That place was met, in every stream.
    pub(super) resumed: bool,
    /// The latest message is wanted again.
    pub(super) known: bool,
    pub(super) streams: [Known; 2],
}

impl Answer {
    /// Counts a message; is it its stream's first one? `began`: an answer that begins
    /// like this is whole.
    pub(super) fn note(&mut self, stream: Stream, message: First, began: Option<First>) -> bool {
        let (at, _) = message;
        self.count = self.count.saturating_add(1);
        self.whole |= began == Some(*self.first.get_or_insert(message));
        let known = &mut self.streams[stream as usize];
        let is_first = known.last.is_none();
        if known.last == Some(at) {
            known.run = known.run.saturating_add(1);
        } else {
            self.stepped |= known.last.is_some_and(|last| at < last);
            (known.run, known.whole) = (1, self.whole || !is_first);
            known.last = Some(at);
        }
        is_first
    }

    /// Is the latest message of a stream the one that this place is behind?
    pub(super) fn meets(&self, stream: Stream, mark: &StreamMark) -> bool {
        let known = &self.streams[stream as usize];
        known.last == Some(mark.at) && known.run == mark.seen
    }

    /// Is a line that is older than this answer still to be ended?
    pub(super) fn has_headless(&self) -> bool {
        self.streams.iter().any(|known| known.headless)
    }
}
