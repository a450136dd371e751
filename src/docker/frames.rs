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
            told: Told::default(),
        }
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
            Step::Again => self.told.again = true,
            Step::Pass => track.pass(at, text, message),
            Step::Met => {
                track.pass(at, text, message);
                track.open = None;
                self.newest = Some(at);
            }
            Step::Take => {
                let begins = track.begins_line(at);
                let Some(closed) = track.take(at, text, message) else { return };
                if begins {
                    self.line_began(at);
                }
                for open in closed.into_iter().flatten() {
                    self.give(message.stream, open, lines);
                }
            }
        }
    }

    fn line_began(&mut self, at: Timestamp) {
        let back = self.newest.map(|newest| newest.duration_since(at));
        self.told.step = self.told.step.max(back.filter(|back| *back >= STEP));
        self.newest = Some(at);
    }

    /// A line is whole.
    fn give(&mut self, stream: Stream, open: Open, lines: &mut VecDeque<Line>) {
        let mark = Mark::Output(stream, open.mark);
        self.search.advance(&mark);
        let wanted = match self.wanted {
            OutputChoice::Both => true,
            OutputChoice::Stdout => stream == Stream::Stdout,
            OutputChoice::Stderr => stream == Stream::Stderr,
        };
        if wanted {
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
                self.give(stream, open, lines);
            }
        }
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
    fn pass(&mut self, at: Timestamp, text: &[u8], message: &Message<'_>) {
        let mark = self.seen.pass(at);
        self.join(at, mark, text, message);
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
        open.full = text.len() >= FULL_PART;
        open.cut += (text.len() - kept.len()) as u64 + message.cut;
        let this = if message.ends_line { self.open.take() } else { None };
        [before, this]
    }
}

fn split_timestamp(bytes: &[u8]) -> (Option<Timestamp>, &[u8]) {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(text);
        bytes
    }

    fn message(kind: u8, nanos: i128, text: &str) -> Vec<u8> {
        frame(kind, format!("{} {text}", stamp(nanos)).as_bytes())
    }

    fn stamp(nanos: i128) -> String {
        let at = Timestamp::from_nanosecond(1_700_000_000_000_000_000 + nanos).unwrap();
        format!("{at:.9}")
    }

    fn read(frames: &mut Frames, bytes: &[u8]) -> Vec<Line> {
        let mut lines = VecDeque::new();
        frames.push(bytes, &mut lines).unwrap();
        lines.into()
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    fn fresh() -> Frames {
        Frames::new(Framing::Framed, Search::everything(), OutputChoice::Both)
    }

    #[test]
    fn parts_are_joined_for_each_stream() {
        let part = "x".repeat(FULL_PART);
        let log = [
            message(1, 1, &part),
            message(2, 2, "between\n"),
            message(1, 1, &part),
            message(1, 1, "end\r\n"),
        ]
        .concat();
        let lines = read(&mut fresh(), &log);
        assert_eq!(lines[0].text, "between");
        assert_eq!(lines[1].text, format!("{part}{part}end"));
        let Mark::Output(Stream::Stdout, mark) = &lines[1].mark else { panic!() };
        assert_eq!(mark.seen, 3);
    }

    #[test]
    fn the_last_words_of_one_run_do_not_swallow_the_next_runs_first() {
        let log = [message(1, 1, "no newline"), message(1, 2, "next run\n")].concat();
        assert_eq!(texts(&read(&mut fresh(), &log)), ["no newline", "next run"]);
    }

    #[test]
    fn a_long_line_is_cut_and_counted() {
        let part = "x".repeat(FULL_PART);
        let log: Vec<u8> = (0..6).flat_map(|_| message(1, 1, &part)).collect();
        let (mut frames, mut lines) = (fresh(), VecDeque::new());
        assert_eq!(frames.push(&log, &mut lines), Ok(Told::default()));
        let told = frames.push(&message(1, 1, "end\n"), &mut lines).unwrap();
        assert_eq!(lines[0].text.len(), MAX_LINE);
        assert_eq!(told.cut, 2 * FULL_PART as u64 + 3);
    }

    #[test]
    fn the_engines_own_words_are_no_line() {
        let mut lines = VecDeque::new();
        let said = fresh().push(&frame(3, b"Error grabbing logs: x\n"), &mut lines).unwrap();
        assert_eq!(said.trouble.as_deref(), Some("Error grabbing logs: x"));
        assert!(lines.is_empty());
    }

    #[test]
    fn timestamps_of_any_precision_are_read() {
        for stamp in [
            "2026-11-22T07:27:11Z",
            "2026-11-22T07:27:11.5Z",
            "2026-11-22T08:27:11.123456789+01:00",
        ] {
            let lines = read(&mut fresh(), &frame(1, format!("{stamp} hi there\n").as_bytes()));
            assert_eq!(texts(&lines), ["hi there"], "{stamp}");
            assert_eq!(lines[0].at, Some(stamp.parse().unwrap()));
        }
    }

    #[test]
    fn an_empty_line_is_a_line() {
        let lines = read(&mut fresh(), &message(1, 1, "\n"));
        assert_eq!(texts(&lines), [""]);
    }

    #[test]
    fn a_message_without_a_timestamp_still_counts() {
        let lines = read(&mut fresh(), &frame(1, b"bare words\n"));
        assert_eq!(texts(&lines), ["bare words"]);
    }

    #[test]
    fn the_stream_that_is_not_wanted_moves_the_place_all_the_same() {
        let mut frames = Frames::new(Framing::Framed, Search::everything(), OutputChoice::Stderr);
        let mut lines = VecDeque::new();
        let told = frames.push(&message(1, 5, "unwanted\n"), &mut lines).unwrap();
        assert!(lines.is_empty() && told.moved);
        assert_ne!(frames.position(), Position::OUTPUT_START);
        frames.push(&message(2, 6, "wanted\n"), &mut lines).unwrap();
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_is_told_once() {
        const S: i128 = 1_000_000_000;
        let (mut frames, mut lines) = (fresh(), VecDeque::new());
        let part = "x".repeat(FULL_PART);
        let log = [
            (1, 100 * S, "before\n"),
            // A little is no step, and neither is the rest of a long line.
            (2, 99 * S, "beside\n"),
            (1, 100 * S, &part),
            (2, 110 * S, "later\n"),
            (1, 100 * S, "end\n"),
            (2, 50 * S, "back\n"),
            (1, 50 * S, "back too\n"),
        ];
        let steps: Vec<_> = log
            .iter()
            .map(|(kind, at, text)| {
                frames.push(&message(*kind, *at, text), &mut lines).unwrap().step
            })
            .collect();
        let sixty = Some(jiff::SignedDuration::from_secs(60));
        assert_eq!(steps, [None, None, None, None, None, sixty, None]);
        assert_eq!(lines.len(), 6);
    }

    /// A log as the engine keeps it: lines of both streams, some long, with
    /// timestamps that repeat.
    fn log() -> impl Strategy<Value = Vec<(u8, i128, usize)>> {
        prop::collection::vec(
            (1u8..3, 0i128..3, prop_oneof![9 => 0usize..60, 1 => 16_000usize..40_000]),
            1..30,
        )
    }

    fn messages(log: &[(u8, i128, usize)]) -> Vec<Vec<u8>> {
        let mut now = 0;
        let mut all = Vec::new();
        for (number, (kind, step, length)) in log.iter().enumerate() {
            now += step;
            let text = format!("{number}:{}", "y".repeat(*length));
            let mut parts = text.as_bytes().chunks(FULL_PART).peekable();
            while let Some(part) = parts.next() {
                let end = if parts.peek().is_none() { "\n" } else { "" };
                all.push(message(*kind, now, &format!("{}{end}", String::from_utf8_lossy(part))));
            }
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_portions_give_the_same_lines(log in log(), sizes in prop::collection::vec(1usize..5000, 1..20)) {
            let bytes = messages(&log).concat();
            let whole = read(&mut fresh(), &bytes);
            prop_assert_eq!(whole.len(), log.len());
            let (mut frames, mut lines, mut rest, mut turn) = (fresh(), Vec::new(), &bytes[..], 0);
            while !rest.is_empty() {
                let (now, later) = rest.split_at(sizes[turn % sizes.len()].min(rest.len()));
                lines.extend(read(&mut frames, now));
                rest = later;
                turn += 1;
            }
            prop_assert_eq!(lines, whole);
        }

        #[test]
        fn a_ttys_output_survives_any_portions_too(log in log(), size in 1usize..3000) {
            let text: String = messages(&log).iter()
                .map(|message| String::from_utf8_lossy(&message[8..]).replace('\n', "\r\n"))
                .collect();
            let mut frames = Frames::new(Framing::Bare, Search::everything(), OutputChoice::Both);
            let lines: Vec<Line> =
                text.as_bytes().chunks(size).flat_map(|part| read(&mut frames, part)).collect();
            prop_assert_eq!(lines.len(), log.len());
            for (number, (line, (_, _, length))) in lines.iter().zip(&log).enumerate() {
                prop_assert_eq!(&line.text, &format!("{number}:{}", "y".repeat(*length)));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for framing in [Framing::Framed, Framing::Bare] {
                let mut lines = VecDeque::new();
                let mut frames = Frames::new(framing, Search::everything(), OutputChoice::Both);
                let _ = frames.push(&bytes, &mut lines);
                frames.finish(&mut lines);
            }
        }
    }
}
