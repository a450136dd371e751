//! Lines, and where to resume reading them.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One of the two streams of a container's output. A TTY has only [`Stream::Stdout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of a log, without its line end, at most [`MAX_LINE`](super::MAX_LINE) bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The time that the carrier gives (Docker's timestamp); `None` for a file,
    /// whose time is in the text.
    pub at: Option<Timestamp>,
    /// The text; bytes that are no UTF-8 are U+FFFD.
    pub text: String,
    /// Where the line ends in its source.
    pub mark: Mark,
}

impl Line {
    /// A line's text from its raw bytes: bytes that are no UTF-8 become U+FFFD,
    /// what is beyond [`MAX_LINE`](super::MAX_LINE) is cut, and the carriage
    /// returns of a line end `\r\n` go.
    pub fn text_of(bytes: &[u8]) -> String {
        let bytes = bytes.get(..super::MAX_LINE).unwrap_or(bytes);
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if text.len() > super::MAX_LINE {
            text.truncate(text.floor_char_boundary(super::MAX_LINE));
        }
        text.truncate(text.trim_end_matches('\r').len());
        text
    }
}

/// The end of a line within its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// In a container's output.
    Output(Stream, StreamMark),
    /// In a file.
    File(FileMark),
    /// In the journal.
    Journal(JournalMark),
}

/// A place in one stream of a container's output. Timestamps repeat (parts of a
/// long line share one), so the messages seen at the timestamp are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamMark {
    /// Docker's timestamp of the newest message before this place.
    pub at: Timestamp,
    /// How many messages with exactly this timestamp lie before this place.
    pub seen: u32,
}

/// A place in a file, and which file that is: a path can name another file tomorrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Device number of the file.
    pub device: u64,
    /// Inode number of the file.
    pub inode: u64,
    /// Bytes before this place.
    pub offset: u64,
    /// Hash of the file's first `head_len` bytes: tells a file that was truncated
    /// and filled again, or whose inode was used again, from the one that was read.
    pub head: u64,
    /// How many bytes `head` covers (at most 1024, never beyond `offset`).
    pub head_len: u32,
}

/// A place in the journal: the entry before it. Entries of one writer are numbered,
/// and the numbers go on over the files that it rotates and removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalMark {
    /// Whose numbers these are: the journal's sequence number id.
    pub sequence: u128,
    /// The entry's number.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The start of the machine in which it was written.
    pub boot: u128,
    /// Microseconds since then: of the newest entry of that start before this place.
    pub since_boot: u64,
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// In a container's output: each stream has its own order, so each its own
    /// place. The newer one is the place that was reached last.
    Output {
        /// Place in standard output; `None`: nothing read of it, or nothing that counts.
        stdout: Option<StreamMark>,
        /// Place in standard error; `None`: nothing read of it, or nothing that counts.
        stderr: Option<StreamMark>,
    },
    /// In a file; `None`: nothing read yet.
    File(Option<FileMark>),
    /// In the journal: one place for each sequence of numbers in it, the one that
    /// moved last at the end. There is more than one where the machine once began
    /// to count anew.
    Journal(Vec<JournalMark>),
}

/// Most sequences of a journal whose place is kept.
const MAX_SEQUENCES: usize = 16;

impl Position {
    /// The very beginning of a container's output.
    pub const OUTPUT_START: Position = Position::Output { stdout: None, stderr: None };

    /// Moves the place to the end of a line of the same source. A mark of the
    /// other kind of source changes nothing.
    ///
    /// Lines of a container's output come in the order in which the engine keeps
    /// them, which is not always that of their times: a long line has the time of
    /// its beginning, and a clock can be set back. A place of the other stream that
    /// is newer than the one reached now would look like the last one; as all lines
    /// before the last one were read, whichever stream they are of, it is not needed.
    pub fn advance(&mut self, mark: &Mark) {
        match (self, mark) {
            (Position::Output { stdout, stderr }, Mark::Output(stream, at)) => {
                let (this, other) = match stream {
                    Stream::Stdout => (stdout, stderr),
                    Stream::Stderr => (stderr, stdout),
                };
                *this = Some(*at);
                *other = other.filter(|other| other.at <= at.at);
            }
            (Position::File(place), Mark::File(at)) => *place = Some(*at),
            (Position::Journal(places), Mark::Journal(at)) => {
                if places.last().is_none_or(|last| last.sequence != at.sequence) {
                    places.retain(|place| place.sequence != at.sequence);
                    if places.len() >= MAX_SEQUENCES {
                        places.remove(0);
                    }
                    places.push(*at);
                } else if let Some(last) = places.last_mut() {
                    *last = *at;
                }
            }
            (Position::Output { .. }, Mark::File(_) | Mark::Journal(_))
            | (Position::File(_), Mark::Output(..) | Mark::Journal(_))
            | (Position::Journal(_), Mark::Output(..) | Mark::File(_)) => {}
        }
    }
}

/// How far a jail has come in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where to read on: the start of the oldest line, joined part or multi-line
    /// context that is still open.
    pub resume: Position,
    /// What lies before it feeds the filter's state but yields no failures again.
    pub judged: Position,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MAX_LINE;

    #[test]
    fn each_sequence_of_the_journal_has_its_place() {
        let at = Timestamp::UNIX_EPOCH;
        let mark = |sequence, number| JournalMark { sequence, number, at, boot: 1, since_boot: 2 };
        let mut position = Position::Journal(Vec::new());
        for (sequence, number) in [(1, 5), (1, 6), (2, 1), (1, 7)] {
            position.advance(&Mark::Journal(mark(sequence, number)));
        }
        assert_eq!(position, Position::Journal(vec![mark(2, 1), mark(1, 7)]));
        for sequence in 0..100 {
            position.advance(&Mark::Journal(mark(sequence, 1)));
        }
        let Position::Journal(places) = position else { panic!("another kind") };
        assert_eq!((places.len(), places[15]), (MAX_SEQUENCES, mark(99, 1)));
    }

    #[test]
    fn the_newer_place_is_the_one_reached_last() {
        let mark = |second| StreamMark { at: Timestamp::from_second(second).unwrap(), seen: 1 };
        let mut place = Position::OUTPUT_START;
        for (stream, at, stdout, stderr) in [
            (Stream::Stdout, 5, Some(5), None),
            (Stream::Stderr, 6, Some(5), Some(6)),
            (Stream::Stderr, 5, Some(5), Some(5)),
            // The clock was set back.
            (Stream::Stdout, 2, Some(2), None),
            (Stream::Stderr, 2, Some(2), Some(2)),
        ] {
            place.advance(&Mark::Output(stream, mark(at)));
            let (stdout, stderr) = (stdout.map(mark), stderr.map(mark));
            assert_eq!(place, Position::Output { stdout, stderr });
        }
    }

    #[test]
    fn text_is_bounded_and_valid() {
        for (bytes, text) in [
            (&b"a line\r"[..], "a line"),
            (b"\xffx\r\r", "\u{fffd}x"),
            (b"nul \0 stays", "nul \0 stays"),
            (b"mid\rdle", "mid\rdle"),
        ] {
            assert_eq!(Line::text_of(bytes), text);
        }
        assert!(Line::text_of(&vec![0xff; 3 * MAX_LINE]).len() <= MAX_LINE);
        assert_eq!(Line::text_of(&vec![b'x'; 3 * MAX_LINE]).len(), MAX_LINE);
    }
}
