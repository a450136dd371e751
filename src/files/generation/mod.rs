//! One file, as long as it is open: reading its lines, and recognising it again.
//!
//! Invariants: a line is given only with its line end, or when the file is
//! finished; a turn reads at most [`TURN_BYTES`] and gives at most
//! [`TURN_LINES`]; what was given is never given again unless the file's
//! beginning has changed, or it was judged in an earlier life and is wanted again.

mod content;
mod lines;

use std::io;
use std::os::unix::fs::MetadataExt;

use tokio::time::Instant;

use super::known::Known;
use super::past::Identity;
use super::space::Opened;
use crate::model::{FileMark, Line, LogEncoding, Mark};
use content::{Content, Hole};
use lines::Splitter;
pub(super) use lines::{Cut, line_end};

/// Most lines of one turn.
pub(super) const TURN_LINES: usize = 256;

/// Most bytes of one turn. Reading them from a local file is a matter of
/// microseconds, so it is done in place.
pub(super) const TURN_BYTES: usize = 256 * 1024;

const CHUNK: usize = 64 * 1024;

/// Most bytes that a file is recognised by.
const HEAD: usize = 1024;

/// How many bytes before the place reached are remembered, to recognise a copy.
const TAIL: usize = 256;

/// Fewest bytes of a head that say enough without the file's number.
const TELLING: u32 = 256;

/// Fewest bytes of a head that say enough together with the file's number, but
/// without the device's.
const SOME: u32 = 16;

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is more.
    More,
    /// The end was reached.
    End,
    /// The file is shorter than what was read of it, or begins with other bytes.
    Truncated,
}

/// A file that is open, and how far it was read.
#[derive(Debug)]
pub(super) struct Generation {
    content: Content,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// The file's first bytes, as far as they were read, at most [`HEAD`].
    head: Vec<u8>,
    /// The last bytes before `at`.
    tail: Vec<u8>,
    /// The next byte to read.
    at: u64,
    /// The end of the last line that was given.
    done: u64,
    /// What lies before this was judged in an earlier life.
    judged: Option<FileMark>,
    /// How many of the lines given lately lie before it.
    known: usize,
    /// How long it was at the last look.
    length: u64,
    /// When it was last written, as of the last look: a file that was truncated and
    /// filled to the very same length shows by nothing else.
    modified: (i64, i64),
    lines: Splitter,
    /// All that follows was never written.
    in_hole: bool,
    /// Was its end reached since it was opened or emptied?
    pub(super) live: bool,
    /// When it last had something new.
    pub(super) grew: Instant,
    /// Since when its path names another file, or none.
    pub(super) replaced: Option<Instant>,
    /// It was replaced twice at least before guard saw it: nobody writes to it.
    pub(super) archived: bool,
}

impl Generation {
    /// The file from its beginning.
    pub(super) fn fresh(opened: Opened, encoding: LogEncoding, now: Instant) -> Self {
        let Opened { file, device, inode } = opened;
        Generation::with(Content::Plain(file), (device, inode), encoding, now)
    }

    fn with(
        content: Content,
        (device, inode): (u64, u64),
        encoding: LogEncoding,
        now: Instant,
    ) -> Self {
        Generation {
            content,
            device,
            inode,
            head: Vec::new(),
            tail: Vec::new(),
            at: 0,
            done: 0,
            judged: None,
            known: 0,
            length: 0,
            modified: (0, 0),
            lines: Splitter::new(encoding),
            in_hole: false,
            live: false,
            grew: now,
            replaced: None,
            archived: false,
        }
    }

    /// The content of a file that gzip made, from its beginning.
    pub(super) fn packed(opened: Opened, encoding: LogEncoding, now: Instant) -> Self {
        let Opened { file, device, inode } = opened;
        Generation::with(Content::packed(file), (device, inode), encoding, now)
    }

    /// Goes to where it is read on, if it is the file that is known: the same number and
    /// the same beginning. (The device's number may change when the host is restarted, or
    /// the container whose layer the file is in.)
    pub(super) fn resume(&mut self, known: &Known) -> bool {
        let mark = &known.judged;
        let same_device = self.device == mark.device || mark.head_len >= SOME;
        self.inode == mark.inode && same_device && self.go_to(known)
    }

    /// Goes to where it is read on, if it is a copy of the file that is known: as long,
    /// with the same beginning, and a line ends at the place that was judged.
    pub(super) fn copied(&mut self, known: &Known) -> bool {
        let mark = &known.judged;
        mark.head_len >= TELLING && mark.offset > 0 && self.go_to(known)
    }

    /// Is it the file of which so much was read, with the same beginning?
    pub(super) fn is(&mut self, mark: &FileMark) -> bool {
        (self.device, self.inode) == (mark.device, mark.inode)
            && mark.head_len > 0
            && self.begins_as(mark)
    }

    fn begins_as(&mut self, mark: &FileMark) -> bool {
        let length = (mark.head_len as usize).min(HEAD);
        self.read_head(length).is_ok_and(|head| hash(&head) == mark.head)
    }

    fn go_to(&mut self, known: &Known) -> bool {
        let mark = &known.judged;
        let same = self.begins_as(mark) && self.ends_a_line_at(mark.offset);
        if !same || self.start_at(known.from).is_err() {
            return false;
        }
        self.judged = Some(FileMark { device: self.device, inode: self.inode, ..*mark });
        true
    }

    fn read_head(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; length];
        self.content.read_exact_at(&mut head, 0)?;
        Ok(head)
    }

    /// Does a line end before this place, or the whole file? Of what is packed that is
    /// seen only later.
    fn ends_a_line_at(&mut self, offset: u64) -> bool {
        let Some(length) = self.content.length() else { return true };
        let mut before = [0; 2];
        let from = offset.saturating_sub(2);
        let before = &mut before[..(offset - from) as usize];
        length == offset
            || (length > offset
                && self.content.read_exact_at(before, from).is_ok()
                && (before.is_empty() || before.contains(&b'\n')))
    }

    /// Goes on at this place, where a line begins.
    pub(super) fn start_at(&mut self, offset: u64) -> io::Result<()> {
        // Up to the place, so that the next marks cover as much as they can.
        self.head = self.read_head(HEAD.min(usize::try_from(offset).unwrap_or(HEAD)))?;
        if offset > 0 {
            self.lines.begins_with(&self.head);
        }
        (self.at, self.done) = (offset, offset);
        Ok(())
    }

    /// The rest of this file's former content, if `opened` is a copy of it that was
    /// made before it was truncated. The open line goes over to it.
    pub(super) fn continued_by(&mut self, opened: Opened, now: Instant) -> Option<Generation> {
        let mut copy = Generation::fresh(opened, LogEncoding::Auto, now);
        let mut tail = vec![0; self.tail.len()];
        let from = self.at.checked_sub(tail.len() as u64)?;
        let same = !self.head.is_empty()
            && !copy.content.is_packed()
            && copy.inode != self.inode
            && copy.read_head(self.head.len()).is_ok_and(|head| head == self.head)
            && copy.content.read_exact_at(&mut tail, from).is_ok()
            && tail == self.tail;
        same.then(|| Generation {
            head: self.head.clone(),
            tail,
            at: self.at,
            done: self.done,
            judged: self.judged,
            lines: self.lines.hand_over(),
            live: self.live,
            replaced: Some(now),
            ..copy
        })
    }

    /// Begins again at the file's beginning.
    pub(super) fn restart(&mut self, now: Instant) {
        self.head.clear();
        self.tail.clear();
        self.lines.forget();
        self.at = 0;
        self.done = 0;
        self.judged = None;
        self.length = 0;
        self.live = false;
        self.grew = now;
    }

    /// Was anything given of it, in this life or an earlier one?
    pub(super) fn has_begun(&self) -> bool {
        self.place().offset > 0
    }

    pub(super) fn identity(&self) -> Identity {
        (self.device, self.inode)
    }

    pub(super) fn encoding(&self) -> LogEncoding {
        self.lines.asked()
    }

    pub(super) fn is_packed(&self) -> bool {
        self.content.is_packed()
    }

    /// How many bytes lie before its end unread.
    pub(super) fn behind(&self) -> u64 {
        if self.in_hole { 0 } else { self.content.behind(self.at) }
    }

    /// How many bytes were there at the last look that were never read.
    pub(super) fn unread(&self) -> u64 {
        let judged = self.judged.map_or(0, |mark| mark.offset);
        self.length.saturating_sub(self.at.max(judged))
    }

    /// When it was last written, in seconds and nanoseconds.
    pub(super) fn written(&self) -> (i64, i64) {
        self.content.file().metadata().map_or((0, 0), |meta| (meta.mtime(), meta.mtime_nsec()))
    }

    /// What was cut off its lines since this was last asked.
    pub(super) fn take_cut(&mut self) -> Cut {
        self.lines.take_cut()
    }

    /// How many lines that were judged in an earlier life were given since this was last
    /// asked.
    pub(super) fn take_known(&mut self) -> usize {
        std::mem::take(&mut self.known)
    }

    /// The file as it lies there, to look around in it; `None` if it is packed.
    pub(super) fn plain(&self) -> Option<&std::fs::File> {
        (!self.is_packed()).then(|| self.content.file())
    }

    /// The place after the last line that was ever given: where it is read on in a later
    /// life.
    pub(super) fn place(&self) -> FileMark {
        self.judged.filter(|judged| judged.offset > self.done).unwrap_or_else(|| self.mark())
    }

    /// The place after the last line given.
    fn mark(&self) -> FileMark {
        let head = &self.head[..self.head.len().min(usize::try_from(self.done).unwrap_or(HEAD))];
        FileMark {
            device: self.device,
            inode: self.inode,
            offset: self.done,
            head: hash(head),
            head_len: head.len() as u32,
        }
    }

    /// Reads on, for one turn.
    pub(super) fn read(&mut self, now: Instant, lines: &mut Vec<Line>) -> io::Result<Turn> {
        if !self.is_packed() && self.was_emptied()? {
            return Ok(Turn::Truncated);
        }
        if self.length == self.at && !self.is_packed() {
            self.live = true;
            return Ok(Turn::End);
        }
        let mut chunk = vec![0; CHUNK];
        let mut read = 0;
        while lines.len() < TURN_LINES && read < TURN_BYTES {
            let count = match self.content.read_at(&mut chunk, self.at) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.grew = now;
                    return Ok(Turn::More);
                }
                Err(error) => return Err(error),
            };
            let used = self.take(&chunk[..count], lines);
            if count == 0 || used == 0 {
                self.live = true;
                return Ok(Turn::End);
            }
            self.grew = now;
            read += used;
        }
        Ok(Turn::More)
    }

    /// Looks at it anew: is it shorter than what was read, or does it begin with
    /// other bytes? Then its former length is kept.
    fn was_emptied(&mut self) -> io::Result<bool> {
        let meta = self.content.file().metadata()?;
        let modified = (meta.mtime(), meta.mtime_nsec());
        let written = std::mem::replace(&mut self.modified, modified) != modified;
        if meta.len() < self.at || (written && !self.begins_as_before()?) {
            return Ok(true);
        }
        self.length = meta.len();
        Ok(false)
    }

    /// Gives the last line, which has no line end and will get none.
    pub(super) fn finish(&mut self, lines: &mut Vec<Line>) {
        if let Some(text) = self.lines.finish() {
            self.give(text, self.at, lines);
        }
    }

    fn begins_as_before(&mut self) -> io::Result<bool> {
        match self.read_head(self.head.len()) {
            Ok(head) => Ok(head == self.head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes bytes until the turn has its lines; how many were used.
    fn take(&mut self, bytes: &[u8], lines: &mut Vec<Line>) -> usize {
        if let Ok(at) = usize::try_from(self.at)
            && self.head.len() < HEAD
            && let Some(new) = bytes.get(self.head.len().saturating_sub(at)..)
        {
            self.head.extend(new.iter().take(HEAD - self.head.len()));
        }
        let start = self.at;
        let mut used = 0;
        while used < bytes.len() && lines.len() < TURN_LINES {
            let at = start + used as u64;
            let (took, split) = self.lines.take(&bytes[used..], at);
            if let Some(split) = split {
                self.give(split.text, at + split.end as u64, lines);
            }
            if took == 0 {
                break;
            }
            used += took;
        }
        self.at = start + used as u64;
        self.tail.extend_from_slice(&bytes[used.saturating_sub(TAIL)..used]);
        let old = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..old);
        if self.at_hole(&bytes[..used]) {
            return 0;
        }
        used
    }

    /// Behind nothing but NULs there may be a hole, of any size, of which nothing is
    /// to be read. Does the file end with it? Whoever fills it may begin anywhere.
    fn at_hole(&mut self, bytes: &[u8]) -> bool {
        self.in_hole = false;
        if bytes.len() < HEAD || bytes.iter().any(|&byte| byte != 0) {
            return false;
        }
        match self.content.behind_hole(self.at) {
            Hole::None => {}
            Hole::Until(data) => {
                self.at = data - data % self.lines.unit().width() as u64;
                self.tail.clear();
            }
            Hole::ToTheEnd => {
                self.at -= bytes.len() as u64;
                self.tail.clear();
                self.in_hole = true;
            }
        }
        self.in_hole
    }

    fn give(&mut self, text: String, end: u64, lines: &mut Vec<Line>) {
        self.done = end;
        if self.judged.is_some_and(|judged| end <= judged.offset) {
            self.known += 1;
        }
        lines.push(Line { at: None, text, mark: Mark::File(self.mark()) });
    }
}

/// FNV-1a: stored, so it must stay the same for ever.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
