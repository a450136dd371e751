//! A container's output, as the engine sends it → lines. Pure.
//!
//! Every message has its own timestamp in front; the parts of a line longer than
//! 16 KiB are messages of their own and are joined again, each stream for itself.
//! Timestamps are always asked for, from TTYs too: without them a control byte
//! that an attacker wrote could pass for a frame's header and hide what follows.
//!
//! Invariants: however the bytes are portioned, the lines are the same; reading
//! again from any line's [`Mark`] gives exactly the lines after it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;

use super::messages::{BadFrame, Framing, Message, Piece, Splitter};
use super::resume::Seen;
use crate::model::{Line, MAX_LINE, Mark, Position, Stream, StreamMark, Timestamp};

/// A message of at least this size is the part of a line by its size alone (the
/// engine's own buffer); a shorter one without a newline only if the next one
/// has its timestamp. Otherwise the container ended there, and what follows is
/// another line: one run's last words must not swallow the next one's first.
const FULL_PART: usize = 16 * 1024;

/// How far apart the two streams' places may be believed to be, in seconds. Both
/// were read in the order in which the engine keeps them, so all that is much
/// older than the newer place was read, however old the other stream's last line is.
const STREAMS_APART: i64 = 60;

/// Turns a container's output into lines.
#[derive(Debug)]
pub(crate) struct Frames {
    framing: Framing,
    splitter: Splitter,
    stdout: Track,
    stderr: Track,
    cut: u64,
}

/// One stream.
#[derive(Debug)]
struct Track {
    stream: Stream,
    seen: Seen,
    /// The line that is being joined.
    open: Option<Open>,
    /// The place after the last whole line.
    done: Option<StreamMark>,
}

#[derive(Debug)]
struct Open {
    text: Vec<u8>,
    at: Timestamp,
    mark: StreamMark,
    messages: usize,
    full: bool,
}

impl Frames {
    /// Reads on at `position`; messages before it are dropped.
    pub(crate) fn new(
        framing: Framing,
        stdout: Option<StreamMark>,
        stderr: Option<StreamMark>,
    ) -> Self {
        Frames {
            framing,
            splitter: Splitter::new(framing),
            stdout: Track::new(Stream::Stdout, stdout),
            stderr: Track::new(Stream::Stderr, stderr),
            cut: 0,
        }
    }

    /// Takes bytes in any portions and appends the lines that are whole now. What
    /// the engine says of trouble of its own is handed back.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        lines: &mut VecDeque<Line>,
    ) -> Result<Option<String>, BadFrame> {
        let mut trouble = None;
        let Frames { splitter, stdout, stderr, cut, .. } = self;
        splitter.push(bytes, &mut |piece| match piece {
            Piece::Message(message) => {
                let track =
                    if message.stream == Stream::Stdout { &mut *stdout } else { &mut *stderr };
                *cut += track.take(&message, lines);
            }
            Piece::Trouble(text) => {
                trouble = Some(super::error::shorten(&String::from_utf8_lossy(text)))
            }
        })?;
        Ok(trouble)
    }

    /// The container has ended and everything it wrote was given: what is open is
    /// a line too.
    pub(crate) fn finish(&mut self, lines: &mut VecDeque<Line>) {
        let Frames { splitter, stdout, stderr, cut, .. } = self;
        splitter.finish(&mut |piece| {
            if let Piece::Message(message) = piece {
                *cut += stdout.take(&message, lines);
            }
        });
        stdout.close(lines);
        stderr.close(lines);
    }

    /// The output will be given again, from [`Frames::since`] on.
    pub(crate) fn rewind(&mut self) {
        self.splitter = Splitter::new(self.framing);
        for track in [&mut self.stdout, &mut self.stderr] {
            let open = track.open.take().map_or(0, |open| open.messages);
            track.seen.rewind(track.done, open);
        }
    }

    /// From which second the output must be asked for; `None`: from its beginning.
    pub(crate) fn since(&self) -> Option<i64> {
        let places = [self.stdout.done, self.stderr.done];
        let seconds = || places.iter().flatten().map(|mark| mark.at.as_second());
        let (oldest, newest) = (seconds().min()?, seconds().max()?);
        // A stream of which nothing was read yet has no place of its own.
        let oldest = if places.contains(&None) { newest - STREAMS_APART } else { oldest };
        Some(oldest.max(newest - STREAMS_APART))
    }

    /// The place after the last line that was given.
    pub(crate) fn position(&self) -> Position {
        let place = |track: &Track| track.done.filter(|mark| mark.seen > 0);
        Position::Output { stdout: place(&self.stdout), stderr: place(&self.stderr) }
    }

    /// How many bytes of lines were cut off since the last call.
    pub(crate) fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }
}

impl Track {
    fn new(stream: Stream, place: Option<StreamMark>) -> Self {
        Track { stream, seen: Seen::before(place), open: None, done: place }
    }

    /// Takes a message; how many bytes of it were cut.
    fn take(&mut self, message: &Message<'_>, lines: &mut VecDeque<Line>) -> u64 {
        let (at, text) = split_timestamp(message.bytes);
        // The engine always gives one. If it does not, the line still counts, at
        // the time of the one before it.
        let at = at.or(self.seen.mark().map(|mark| mark.at)).unwrap_or(Timestamp::UNIX_EPOCH);
        let Some(mark) = self.seen.admit(at, message.bytes, self.open.is_some()) else { return 0 };
        if self.open.as_ref().is_some_and(|open| open.at != at && !open.full) {
            self.close(lines);
        }
        let open = self.open.get_or_insert_with(|| Open {
            text: Vec::new(),
            at,
            mark,
            messages: 0,
            full: false,
        });
        let room = MAX_LINE - open.text.len();
        let kept = &text[..text.len().min(room)];
        open.text.extend_from_slice(kept);
        open.mark = mark;
        open.messages += 1;
        open.full = text.len() >= FULL_PART;
        let cut = (text.len() - kept.len()) as u64 + message.cut;
        if message.ends_line {
            self.close(lines);
        }
        cut
    }

    fn close(&mut self, lines: &mut VecDeque<Line>) {
        let Some(open) = self.open.take() else { return };
        self.done = Some(open.mark);
        lines.push_back(Line {
            at: Some(open.at),
            text: Line::text_of(&open.text),
            mark: Mark::Output(self.stream, open.mark),
        });
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
        Frames::new(Framing::Framed, None, None)
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
        let mut frames = fresh();
        read(&mut frames, &log);
        let lines = read(&mut frames, &message(1, 1, "end\n"));
        assert_eq!(lines[0].text.len(), MAX_LINE);
        assert_eq!(frames.take_cut(), 2 * FULL_PART as u64 + 3);
    }

    #[test]
    fn the_engines_own_words_are_no_line() {
        let mut lines = VecDeque::new();
        let said = fresh().push(&frame(3, b"Error grabbing logs: x\n"), &mut lines).unwrap();
        assert_eq!(said.as_deref(), Some("Error grabbing logs: x"));
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
    fn a_quiet_stream_does_not_mean_reading_everything_again() {
        let mut frames = fresh();
        read(&mut frames, &message(2, 0, "once\n"));
        assert_eq!(frames.since(), Some(1_700_000_000 - STREAMS_APART));
        read(&mut frames, &message(1, 86_400_000_000_000, "a day later\n"));
        assert_eq!(frames.since(), Some(1_700_086_400 - STREAMS_APART));
        read(&mut frames, &message(2, 86_399_000_000_000, "near\n"));
        assert_eq!(frames.since(), Some(1_700_086_399));
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
            let mut frames = Frames::new(Framing::Bare, None, None);
            let lines: Vec<Line> =
                text.as_bytes().chunks(size).flat_map(|part| read(&mut frames, part)).collect();
            prop_assert_eq!(lines.len(), log.len());
            for (number, (line, (_, _, length))) in lines.iter().zip(&log).enumerate() {
                prop_assert_eq!(&line.text, &format!("{number}:{}", "y".repeat(*length)));
            }
        }

        #[test]
        fn any_place_resumes_exactly(log in log(), place in 0usize..30) {
            let bytes = messages(&log).concat();
            let whole = read(&mut fresh(), &bytes);
            let place = place.min(whole.len());
            let mut position = Position::OUTPUT_START;
            for line in &whole[..place] {
                position.advance(&line.mark);
            }
            let Position::Output { stdout, stderr } = position else { unreachable!() };
            let mut frames = Frames::new(Framing::Framed, stdout, stderr);
            prop_assert_eq!(&read(&mut frames, &bytes), &whole[place..]);
        }

        #[test]
        fn a_reattach_at_any_message_loses_and_doubles_nothing(log in log(), cut in 0usize..40) {
            let messages = messages(&log);
            let whole = read(&mut fresh(), &messages.concat());
            let cut = cut.min(messages.len());
            let mut frames = fresh();
            let mut lines = read(&mut frames, &messages[..cut].concat());
            frames.rewind();
            lines.extend(read(&mut frames, &messages.concat()));
            prop_assert_eq!(lines, whole);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for framing in [Framing::Framed, Framing::Bare] {
                let mut lines = VecDeque::new();
                let mut frames = Frames::new(framing, None, None);
                let _ = frames.push(&bytes, &mut lines);
                frames.finish(&mut lines);
            }
        }
    }
}
