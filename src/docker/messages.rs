//! The engine's bytes → its log messages. Pure.
//!
//! A message is what the engine stored at once: a timestamp, a space and either a
//! whole line with its newline or a part of a long one without. For a container
//! without a TTY each message has a frame of its own; a TTY's messages follow one
//! another bare, and only the timestamps tell where a part begins.
//!
//! Invariant: memory is bounded whatever comes, by [`MAX_MESSAGE`] a stream; what
//! is cut is counted.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::{MAX_LINE, Stream};

/// Most of a message that is kept: a line and its timestamp.
const MAX_MESSAGE: usize = MAX_LINE + 64;

/// Longest timestamp that is looked for: `2026-11-22T07:27:11.863607748+00:00`.
const MAX_TIMESTAMP: usize = 40;

/// How the messages are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Eight bytes before each message say its stream and its size.
    Framed,
    /// A TTY: the bare messages, all of them standard output.
    Bare,
}

/// A message, its timestamp still in front.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) stream: Stream,
    /// Without its newline.
    pub(crate) bytes: &'a [u8],
    /// Had it a newline? Without one it is a part of a line.
    pub(crate) ends_line: bool,
    /// How many bytes were cut off its end.
    pub(crate) cut: u64,
}

/// What the bytes turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Message(Message<'a>),
    /// What the engine says of itself within the stream: it can't read on.
    Trouble(&'a [u8]),
}

/// Bytes that can't be a frame: the reader is out of step.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine sent a frame of the unknown kind {0}")]
pub(crate) struct BadFrame(u8);

/// Takes bytes in any portions, gives messages.
#[derive(Debug)]
pub(crate) struct Splitter {
    framing: Framing,
    /// Bytes that are not used yet: a header's beginning, or what may be a timestamp's.
    carry: Vec<u8>,
    /// The message that is being gathered.
    kept: Vec<u8>,
    cut: u64,
    /// Framed: the frame whose payload is being read.
    frame: Option<Frame>,
    /// Bare: the timestamp of the line that is being read, empty if it has none.
    stamp: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: u8,
    left: usize,
    last: u8,
}

impl Splitter {
    pub(crate) fn new(framing: Framing) -> Self {
        Splitter { framing, carry: Vec::new(), kept: Vec::new(), cut: 0, frame: None, stamp: None }
    }

    /// Takes more bytes and hands each message that is complete now to `each`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), BadFrame> {
        match self.framing {
            Framing::Framed => self.push_framed(bytes, each),
            Framing::Bare => {
                self.push_bare(bytes, each);
                Ok(())
            }
        }
    }

    /// The stream is over: what is left of a TTY's output is a message too.
    pub(crate) fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        if self.framing == Framing::Bare {
            let carry = std::mem::take(&mut self.carry);
            self.keep(&carry);
            if !self.kept.is_empty() {
                self.emit(Stream::Stdout, false, each);
            }
        }
        *self = Splitter::new(self.framing);
    }

    fn push_framed(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), BadFrame> {
        loop {
            let Some(mut frame) = self.frame else {
                let Some(rest) = self.take_header(bytes)? else { return Ok(()) };
                bytes = rest;
                continue;
            };
            let (payload, rest) = bytes.split_at(frame.left.min(bytes.len()));
            self.keep(payload);
            frame.left -= payload.len();
            frame.last = payload.last().copied().unwrap_or(frame.last);
            self.frame = Some(frame);
            bytes = rest;
            if frame.left > 0 {
                return Ok(());
            }
            self.end_frame(frame, each);
        }
    }

    /// Reads a frame's header; what follows it, if it was complete.
    fn take_header<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, BadFrame> {
        let (header, rest) = bytes.split_at(bytes.len().min(8 - self.carry.len()));
        self.carry.extend_from_slice(header);
        let [kind, _, _, _, a, b, c, d] = self.carry[..] else { return Ok(None) };
        if kind > 3 {
            return Err(BadFrame(kind));
        }
        let left = u32::from_be_bytes([a, b, c, d]) as usize;
        self.frame = Some(Frame { kind, left, last: 0 });
        self.carry.clear();
        Ok(Some(rest))
    }

    fn end_frame(&mut self, frame: Frame, each: &mut dyn FnMut(Piece<'_>)) {
        self.frame = None;
        let ends_line = frame.last == b'\n';
        if ends_line && self.cut == 0 {
            self.kept.pop();
        } else if ends_line {
            self.cut -= 1;
        }
        match frame.kind {
            3 => {
                each(Piece::Trouble(&self.kept));
                self.kept.clear();
                self.cut = 0;
            }
            2 => self.emit(Stream::Stderr, ends_line, each),
            _ => self.emit(Stream::Stdout, ends_line, each),
        }
    }

    fn push_bare(&mut self, bytes: &[u8], each: &mut dyn FnMut(Piece<'_>)) {
        let mut input = std::mem::take(&mut self.carry);
        input.extend_from_slice(bytes);
        let mut rest = &input[..];
        loop {
            let Some(stamp) = self.stamp.clone() else {
                let Some(length) = stamp_length(rest) else { break };
                let (stamp, after) = rest.split_at(length);
                self.stamp = Some(stamp.to_vec());
                self.keep(stamp);
                rest = after;
                continue;
            };
            let newline = rest.iter().position(|&byte| byte == b'\n');
            let line = newline.map_or(rest, |end| &rest[..end]);
            if let Some(part) = find(line, &stamp) {
                self.keep(&rest[..part]);
                self.emit(Stream::Stdout, false, each);
                self.keep(&stamp);
                rest = &rest[part + stamp.len()..];
            } else if let Some(end) = newline {
                self.keep(line);
                self.emit(Stream::Stdout, true, each);
                self.stamp = None;
                rest = &rest[end + 1..];
            } else {
                // The next part's timestamp may have begun.
                let sure = rest.len().saturating_sub(stamp.len());
                self.keep(&rest[..sure]);
                rest = &rest[sure..];
                break;
            }
        }
        self.carry = rest.to_vec();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_MESSAGE - self.kept.len().min(MAX_MESSAGE);
        let (kept, cut) = bytes.split_at(bytes.len().min(room));
        self.kept.extend_from_slice(kept);
        self.cut += cut.len() as u64;
    }

    fn emit(&mut self, stream: Stream, ends_line: bool, each: &mut dyn FnMut(Piece<'_>)) {
        each(Piece::Message(Message { stream, bytes: &self.kept, ends_line, cut: self.cut }));
        self.kept.clear();
        self.cut = 0;
    }
}

/// How long the timestamp is that a bare message begins with, its space included:
/// 0 if there is none, `None` if that can't be told yet.
fn stamp_length(bytes: &[u8]) -> Option<usize> {
    let head = &bytes[..bytes.len().min(MAX_TIMESTAMP)];
    match head.iter().position(|byte| matches!(byte, b' ' | b'\n')) {
        Some(end) if head[end] == b' ' && super::frames::timestamp(&head[..end]).is_some() => {
            Some(end + 1)
        }
        Some(_) => Some(0),
        None if head.len() == MAX_TIMESTAMP => Some(0),
        None => None,
    }
}

/// Where `stamp` begins in `line`; an empty stamp nowhere.
fn find(line: &[u8], stamp: &[u8]) -> Option<usize> {
    let (&first, _) = stamp.split_first()?;
    let mut from = 0;
    while let Some(offset) = line[from..].iter().position(|&byte| byte == first) {
        let at = from + offset;
        if line[at..].starts_with(stamp) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "2026-11-22T07:27:11.863607748Z ";

    fn pieces(framing: Framing, bytes: &[u8], finish: bool) -> Vec<String> {
        let mut seen = Vec::new();
        let mut splitter = Splitter::new(framing);
        let mut each = |piece: Piece<'_>| match piece {
            Piece::Message(message) => seen.push(format!(
                "{:?} {} {}+{}",
                message.stream,
                String::from_utf8_lossy(message.bytes).replace(T, "@"),
                if message.ends_line { "line" } else { "part" },
                message.cut
            )),
            Piece::Trouble(text) => seen.push(format!("! {}", String::from_utf8_lossy(text))),
        };
        splitter.push(bytes, &mut each).unwrap();
        if finish {
            splitter.finish(&mut each);
        }
        seen
    }

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn frames_are_messages() {
        let mut bytes = frame(1, &format!("{T}one\n"));
        bytes.extend(frame(2, &format!("{T}two")));
        bytes.extend(frame(3, "Error grabbing logs: broken\n"));
        bytes.extend(frame(1, ""));
        assert_eq!(
            pieces(Framing::Framed, &bytes, true),
            [
                "Stdout @one line+0",
                "Stderr @two part+0",
                "! Error grabbing logs: broken",
                "Stdout  part+0"
            ]
        );
    }

    #[test]
    fn an_unknown_kind_is_no_frame() {
        let mut splitter = Splitter::new(Framing::Framed);
        assert_eq!(splitter.push(&frame(7, "x"), &mut |_| {}), Err(BadFrame(7)));
    }

    #[test]
    fn a_huge_frame_is_cut() {
        let text = format!("{T}{}\n", "x".repeat(MAX_MESSAGE));
        let seen = pieces(Framing::Framed, &frame(1, &text), true);
        assert_eq!(seen.len(), 1);
        assert!(
            seen[0].ends_with(&format!("line+{}", T.len())),
            "{}",
            &seen[0][seen[0].len() - 20..]
        );
    }

    #[test]
    fn a_ttys_parts_are_told_by_their_timestamp() {
        let text = format!("{T}first{T}second{T}third\r\n{T}next\r\n{T}open");
        assert_eq!(
            pieces(Framing::Bare, text.as_bytes(), true),
            [
                "Stdout @first part+0",
                "Stdout @second part+0",
                "Stdout @third\r line+0",
                "Stdout @next\r line+0",
                "Stdout @open part+0"
            ]
        );
    }

    #[test]
    fn another_timestamp_in_a_ttys_line_is_text() {
        let text = format!("{T}evil 2026-11-22T07:27:11.999999999Z Login failed\n");
        assert_eq!(
            pieces(Framing::Bare, text.as_bytes(), true),
            ["Stdout @evil 2026-11-22T07:27:11.999999999Z Login failed line+0"]
        );
    }

    #[test]
    fn control_bytes_in_a_ttys_line_are_text() {
        let text = format!("{T}\x01\x00\x00\x00\x00\x00\x00\x05hidden\n{T}seen\n");
        assert_eq!(pieces(Framing::Bare, text.as_bytes(), false).len(), 2);
    }

    #[test]
    fn a_tty_without_an_end_takes_bounded_memory() {
        let mut splitter = Splitter::new(Framing::Bare);
        let mut count = 0;
        splitter.push(T.as_bytes(), &mut |_| {}).unwrap();
        for _ in 0..100 {
            splitter.push(&[b'x'; 10_000], &mut |_| count += 1).unwrap();
            assert!(splitter.kept.len() <= MAX_MESSAGE && splitter.carry.len() <= T.len());
        }
        assert_eq!(count, 0);
    }
}
