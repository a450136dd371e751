//! A container's output, as the engine sends it → lines. Pure.
//!
//! Every message has its own timestamp in front; the parts of a line longer than
//! 16 KiB are messages of their own and are joined again, each stream for itself.
//! Timestamps are always asked for, from TTYs too: without them a control byte
//! that an attacker wrote could pass for a frame's header and hide what follows.
//! Both streams are always read, even if one is not wanted: only both together
//! tell the place in the log, and a busy stream keeps the connection of a quiet
//! one from being cut.
//!
//! Invariants: however the bytes are portioned, the lines are the same; reading
//! again from any line's [`Mark`] gives exactly the lines after it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;

use super::messages::{BadFrame, Framing, Message, Piece, Splitter};
use super::resume::{Seen, hash};
use super::tail::{Ask, End, Gap, Search, Step};
use crate::model::{Line, MAX_LINE, Mark, Position, Stream, StreamMark, Timestamp};

/// A message of at least this size is the part of a line by its size alone (the
/// engine's own buffer); a shorter one without a newline only if the next one
/// has its timestamp. Otherwise the container ended there, and what follows is
/// another line: one run's last words must not swallow the next one's first.
const FULL_PART: usize = 16 * 1024;

/// A step back of less is no clock that was set: the two streams are stamped side
/// by side, and one may have waited for the other.
const STEP: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// Most lines that are given again, and their bytes.
const MAX_KNOWN: (usize, usize) = (4096, 4 << 20);

/// Turns a container's output into lines.
#[derive(Debug)]
pub(crate) struct Frames {
    framing: Framing,
    splitter: Splitter,
    search: Search,
    wanted: OutputChoice,
    stdout: Track,
    stderr: Track,
    /// The time of the line that was begun last.
    newest: Option<Timestamp>,
    /// Lines before the place, to be given again.
    known: VecDeque<Line>,
    known_bytes: usize,
    told: Told,
}

/// Which of a container's streams to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputChoice {
    /// Standard output and standard error.
    Both,
    /// Standard output alone.
    Stdout,
    /// Standard error alone.
    Stderr,
}

/// What happened besides lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// What the engine says of trouble of its own.
    pub(crate) trouble: Option<String>,
    /// How many bytes of lines were cut off.
    pub(crate) cut: u64,
    /// The clock went back, so far at most.
    pub(crate) step: Option<jiff::SignedDuration>,
    /// The engine dropped something unread.
    pub(crate) gap: Option<Gap>,
    /// The answer must be asked for again, by what [`Frames::ask`] says.
    pub(crate) again: bool,
    /// Lines of the stream that is not wanted have moved the place.
    pub(crate) moved: bool,
}

/// One stream.
#[derive(Debug, Default)]
struct Track {
    seen: Seen,
    /// The line that is being joined.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    text: Vec<u8>,
    at: Timestamp,
    mark: StreamMark,
    /// How many of its messages were new.
    messages: usize,
    full: bool,
    cut: u64,
}

impl Frames {
    /// Reads what `search` looks for.
    pub(crate) fn new(framing: Framing, search: Search, wanted: OutputChoice) -> Self {
        Frames {
            framing,
            splitter: Splitter::new(framing),
            search,
            wanted,
            stdout: Track::default(),
            stderr: Track::default(),
            newest: None,
            known: VecDeque::new(),
            known_bytes: 0,
            told: Told::default(),
        }
    }

    /// Does the engine tell messages apart by their times, so that the same one again is no new one?
    pub(crate) fn repeating(mut self, precise: bool) -> Self {
        self.stdout.seen.coarse = !precise;
        self.stderr.seen.coarse = !precise;
        self
    }

    /// Takes bytes in any portions and appends the lines that are whole now.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        lines: &mut VecDeque<Line>,
    ) -> Result<Told, BadFrame> {
        let mut splitter = std::mem::replace(&mut self.splitter, Splitter::new(self.framing));
        let split = splitter.push(bytes, &mut |piece| self.piece(&piece, lines));
        self.splitter = splitter;
        split.map(|()| self.take_told())
    }

    fn take_told(&mut self) -> Told {
        self.told.gap = self.search.take_gap();
        std::mem::take(&mut self.told)
    }

    fn piece(&mut self, piece: &Piece<'_>, lines: &mut VecDeque<Line>) {
        match piece {
            // The rest of an answer that did not do.
            _ if self.told.again => {}
            Piece::Message(message) => self.message(message, lines),
            Piece::Trouble(text) => {
                self.told.trouble = Some(super::error::shorten(&String::from_utf8_lossy(text)));
            }
        }
    }

    fn message(&mut self, message: &Message<'_>, lines: &mut VecDeque<Line>) {
        let (at, text) = split_timestamp(message.bytes);
        let track =
            if message.stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        // The engine always gives one. If it does not, the line still counts, at
        // the time of the one before it.
        let at = at.or(track.seen.last()).unwrap_or(Timestamp::UNIX_EPOCH);
        let step = self.search.message(message.stream, at, hash(message.bytes), message.ends_line);
        match step {
            Step::Again => {
                self.told.again = true;
                self.forget_known();
            }
            Step::Pass => {
                let closed = track.pass(at, text, message);
                self.know(message.stream, closed);
            }
            Step::Met => {
                let closed = track.pass(at, text, message);
                track.open = None;
                self.newest = Some(at);
                self.know(message.stream, closed);
            }
            Step::Take => {
                let begins = track.begins_line(at);
                let Some(closed) = track.take(at, text, message) else { return };
                if begins {
                    self.line_began(at);
                }
                for open in closed.iter().flatten() {
                    self.give(message.stream, open, lines);
                }
            }
        }
    }

    /// Lines before the place are whole.
    fn know(&mut self, stream: Stream, lines: [Option<Open>; 2]) {
        if !self.search.is_known() || !self.wants(stream) {
            return;
        }
        for open in lines.into_iter().flatten() {
            let mark = Mark::Output(stream, open.mark);
            let line = Line { at: Some(open.at), text: Line::text_of(&open.text), mark };
            self.known_bytes += line.text.len();
            self.known.push_back(line);
        }
        while self.known.len() > MAX_KNOWN.0 || self.known_bytes > MAX_KNOWN.1 {
            self.known_bytes -= self.known.pop_front().map_or(0, |line| line.text.len());
        }
    }

    fn forget_known(&mut self) {
        (self.known, self.known_bytes) = (VecDeque::new(), 0);
    }

    /// Lines that were judged in an earlier life, once the place is found.
    pub(crate) fn take_known(&mut self) -> Vec<Line> {
        if self.known.is_empty() || !self.search.is_found() {
            return Vec::new();
        }
        self.known_bytes = 0;
        std::mem::take(&mut self.known).into()
    }

    fn wants(&self, stream: Stream) -> bool {
        match self.wanted {
            OutputChoice::Both => true,
            OutputChoice::Stdout => stream == Stream::Stdout,
            OutputChoice::Stderr => stream == Stream::Stderr,
        }
    }

    fn line_began(&mut self, at: Timestamp) {
        let back = self.newest.map(|newest| newest.duration_since(at));
        self.told.step = self.told.step.max(back.filter(|back| *back >= STEP));
        self.newest = Some(at);
    }

    /// A line is whole.
    fn give(&mut self, stream: Stream, open: &Open, lines: &mut VecDeque<Line>) {
        let mark = Mark::Output(stream, open.mark);
        self.search.advance(&mark);
        if self.wants(stream) {
            self.told.cut += open.cut;
            lines.push_back(Line { at: Some(open.at), text: Line::text_of(&open.text), mark });
        } else {
            self.told.moved = true;
        }
    }

    /// An answer that does not follow has ended. If that was all, what is open is a
    /// line too.
    pub(crate) fn end(&mut self, lines: &mut VecDeque<Line>) -> Told {
        let mut splitter = std::mem::replace(&mut self.splitter, Splitter::new(self.framing));
        splitter.finish(&mut |piece| self.piece(&piece, lines));
        if !self.told.again {
            self.told.again = self.search.end() == End::Again;
        }
        if !self.told.again {
            self.finish(lines);
        }
        self.take_told()
    }

    /// The container is gone: what is open is all there will ever be.
    pub(crate) fn finish(&mut self, lines: &mut VecDeque<Line>) {
        for (stream, open) in
            [(Stream::Stdout, self.stdout.open.take()), (Stream::Stderr, self.stderr.open.take())]
        {
            if let Some(open) = open.filter(|_| self.search.is_found()) {
                self.give(stream, &open, lines);
            }
        }
    }

    /// Would it mean something if the answer gave nothing for a while?
    pub(crate) fn awaits_silence(&self) -> bool {
        self.search.awaits_silence()
    }

    /// The answer seems to have given its history; must it be asked for again?
    pub(crate) fn silent(&mut self) -> bool {
        self.search.silent()
    }

    /// Is the place still looked for?
    pub(crate) fn is_searching(&self) -> bool {
        !self.search.is_found()
    }

    /// The time of the latest message.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.stdout.seen.last().max(self.stderr.seen.last())
    }

    /// A new answer will come, to what [`Frames::ask`] says.
    pub(crate) fn rewind(&mut self) {
        if !self.search.is_found() {
            self.forget_known();
        }
        self.splitter = Splitter::new(self.framing);
        for track in [&mut self.stdout, &mut self.stderr] {
            let open = track.open.take().map_or(0, |open| open.messages);
            track.seen.rewind(open);
        }
        self.search.begin();
    }

    /// What to ask the engine for.
    pub(crate) fn ask(&self) -> Ask {
        self.search.ask()
    }

    /// The place after the last line that was given.
    pub(crate) fn position(&self) -> Position {
        self.search.position()
    }
}

impl Track {
    /// Would a message of this time begin a line?
    fn begins_line(&self, at: Timestamp) -> bool {
        self.open.as_ref().is_none_or(|open| open.at != at && !open.full)
    }

    /// Takes a message that was read before: it may begin a line that goes on.
    fn pass(&mut self, at: Timestamp, text: &[u8], message: &Message<'_>) -> [Option<Open>; 2] {
        let mark = self.seen.pass(at);
        self.join(at, mark, text, message)
    }

    /// Takes a message and gives the lines that it ends; `None`: it is a repeat.
    fn take(
        &mut self,
        at: Timestamp,
        text: &[u8],
        message: &Message<'_>,
    ) -> Option<[Option<Open>; 2]> {
        let mark = self.seen.admit(at, message.bytes, self.open.is_some())?;
        let closed = self.join(at, mark, text, message);
        if let Some(open) = &mut self.open {
            open.messages += 1;
        }
        Some(closed)
    }

    fn join(
        &mut self,
        at: Timestamp,
        mark: StreamMark,
        text: &[u8],
        message: &Message<'_>,
    ) -> [Option<Open>; 2] {
        let before = if self.begins_line(at) { self.open.take() } else { None };
        let open = self.open.get_or_insert_with(|| Open {
            text: Vec::new(),
            at,
            mark,
            messages: 0,
            full: false,
            cut: 0,
        });
        let room = MAX_LINE - open.text.len();
        let kept = &text[..text.len().min(room)];
        open.text.extend_from_slice(kept);
        open.mark = mark;
        // Engines of 20.10 with the driver `local` forget the newline of a split line;
        // but what is behind a full part and is none itself is its end.
        let ends_line = message.ends_line || (open.full && text.len() < FULL_PART);
        open.full = text.len() >= FULL_PART;
        open.cut += (text.len() - kept.len()) as u64 + message.cut;
        let this = if ends_line { self.open.take() } else { None };
        [before, this]
    }
}

pub(super) fn split_timestamp(bytes: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = bytes.iter().take(41).position(|&byte| byte == b' ') else {
        return match timestamp(bytes) {
            Some(at) => (Some(at), &[]),
            None => (None, bytes),
        };
    };
    match timestamp(&bytes[..space]) {
        Some(at) => (Some(at), &bytes[space + 1..]),
        None => (None, bytes),
    }
}

/// Reads RFC 3339, with any number of digits after the second.
pub(super) fn timestamp(bytes: &[u8]) -> Option<Timestamp> {
    // Cheaper than to ask the parser about every word that a line may begin with.
    if bytes.len() < 20 || !bytes[0].is_ascii_digit() || bytes[10] != b'T' {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
