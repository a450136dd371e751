//! One file, as long as it is open: reading its lines, and recognising it again.
//!
//! Invariants: a line is given only with its newline, or when the file is
//! finished; a turn reads at most [`TURN_BYTES`] and gives at most
//! [`TURN_LINES`]; what was given is never given again unless the file's
//! beginning has changed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use tokio::time::Instant;

use super::space::Opened;
use crate::model::{FileMark, Line, MAX_LINE, Mark};

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
    file: File,
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
    /// What lies before it was judged in an earlier life.
    judged: u64,
    /// When it was last written, as of the last look: a file that was truncated and
    /// filled to the very same length shows by nothing else.
    modified: (i64, i64),
    /// The line that has no newline yet.
    open: Vec<u8>,
    /// Was its end reached since it was opened or emptied?
    pub(super) live: bool,
    /// When it last had something new.
    pub(super) grew: Instant,
    /// Since when its path names another file, or none.
    pub(super) replaced: Option<Instant>,
}

impl Generation {
    /// The file from its beginning.
    pub(super) fn fresh(opened: Opened, now: Instant) -> Self {
        Generation {
            file: opened.file,
            device: opened.device,
            inode: opened.inode,
            head: Vec::new(),
            tail: Vec::new(),
            at: 0,
            done: 0,
            judged: 0,
            modified: (0, 0),
            open: Vec::new(),
            live: false,
            grew: now,
            replaced: None,
        }
    }

    /// The file from the mark on, if it is the one that was marked: the same
    /// number and the same beginning. (The device's number may change when the
    /// host is restarted.)
    pub(super) fn resume(opened: Opened, mark: &FileMark, now: Instant) -> Result<Self, Opened> {
        let same_device = opened.device == mark.device || mark.head_len >= TELLING;
        if opened.inode != mark.inode || !same_device {
            return Err(opened);
        }
        Self::at_mark(opened, mark, now)
    }

    /// The file from the mark on, if it is a copy of the one that was marked: as
    /// long, with the same beginning, and a line ends at the mark.
    pub(super) fn copy(opened: Opened, mark: &FileMark, now: Instant) -> Result<Self, Opened> {
        let mut before = [0];
        let ends = mark.offset.checked_sub(1).is_some_and(|at| {
            opened.file.read_exact_at(&mut before, at).is_ok() && before == *b"\n"
        });
        if mark.head_len < TELLING || !ends {
            return Err(opened);
        }
        Self::at_mark(opened, mark, now)
    }

    fn at_mark(opened: Opened, mark: &FileMark, now: Instant) -> Result<Self, Opened> {
        let length = opened.file.metadata().map_or(0, |meta| meta.len());
        let known = (mark.head_len as usize).min(HEAD);
        let mut head = vec![0; known];
        let same = length >= mark.offset
            && opened.file.read_exact_at(&mut head, 0).is_ok()
            && hash(&head) == mark.head;
        if !same {
            return Err(opened);
        }
        // Up to the mark, so that the next marks cover as much as they can.
        head.resize(HEAD.min(usize::try_from(mark.offset).unwrap_or(HEAD)), 0);
        if opened.file.read_exact_at(&mut head, 0).is_err() {
            return Err(opened);
        }
        Ok(Generation { head, at: mark.offset, done: mark.offset, ..Self::fresh(opened, now) })
    }

    /// Goes back, from the place reached, to give again what was judged already.
    pub(super) fn rewind(&mut self, offset: u64) {
        if offset < self.done {
            (self.judged, self.at, self.done) = (self.done, offset, offset);
            self.head.truncate(usize::try_from(offset).unwrap_or(HEAD));
        }
    }

    /// How many of the lines that were just given, the first ones, were judged already.
    pub(super) fn known(&mut self, lines: &[Line]) -> usize {
        let judged = std::mem::take(&mut self.judged);
        let before = |line: &&Line| match line.mark {
            Mark::File(mark) => mark.offset <= judged,
            Mark::Output(..) | Mark::Journal(_) => false,
        };
        let known = lines.iter().take_while(before).count();
        if known == lines.len() {
            self.judged = judged;
        }
        known
    }

    /// The rest of this file's former content, if `opened` is a copy of it that was
    /// made before it was truncated. The open line goes over to it.
    pub(super) fn continued_by(&mut self, opened: Opened, now: Instant) -> Option<Generation> {
        let mut head = vec![0; self.head.len()];
        let mut tail = vec![0; self.tail.len()];
        let from = self.at.checked_sub(tail.len() as u64)?;
        let same = !head.is_empty()
            && opened.inode != self.inode
            && opened.file.read_exact_at(&mut head, 0).is_ok()
            && opened.file.read_exact_at(&mut tail, from).is_ok()
            && head == self.head
            && tail == self.tail;
        same.then(|| Generation {
            head,
            tail,
            at: self.at,
            done: self.done,
            judged: self.judged,
            open: std::mem::take(&mut self.open),
            live: self.live,
            replaced: Some(now),
            ..Self::fresh(opened, now)
        })
    }

    /// Begins again at the file's beginning.
    pub(super) fn restart(&mut self, now: Instant) {
        self.head.clear();
        self.tail.clear();
        self.open.clear();
        self.at = 0;
        self.done = 0;
        self.judged = 0;
        self.live = false;
        self.grew = now;
    }

    /// Was anything given of it?
    pub(super) fn has_begun(&self) -> bool {
        self.done > 0
    }

    /// How many bytes lie before its end unread.
    pub(super) fn behind(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len().saturating_sub(self.at))
    }

    /// The place after the last line given.
    pub(super) fn mark(&self) -> FileMark {
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
        let meta = self.file.metadata()?;
        let length = meta.len();
        let modified = (meta.mtime(), meta.mtime_nsec());
        let written = std::mem::replace(&mut self.modified, modified) != modified;
        if length < self.at || (written && !self.begins_as_before()?) {
            return Ok(Turn::Truncated);
        }
        if length == self.at {
            self.live = true;
            return Ok(Turn::End);
        }
        let mut chunk = vec![0; CHUNK];
        let mut read = 0;
        while lines.len() < TURN_LINES && read < TURN_BYTES {
            let count = match self.file.read_at(&mut chunk, self.at) {
                Ok(0) => {
                    self.live = true;
                    return Ok(Turn::End);
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.grew = now;
            read += self.take(&chunk[..count], lines);
        }
        Ok(Turn::More)
    }

    /// Gives the last line, which has no newline and will get none.
    pub(super) fn finish(&mut self, lines: &mut Vec<Line>) {
        if self.at > self.done {
            self.give(self.at, lines);
        }
    }

    fn begins_as_before(&self) -> io::Result<bool> {
        let mut head = [0; HEAD];
        let head = &mut head[..self.head.len()];
        match self.file.read_exact_at(head, 0) {
            Ok(()) => Ok(*head == *self.head),
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
        let mut used = 0;
        while used < bytes.len() && lines.len() < TURN_LINES {
            let rest = &bytes[used..];
            let newline = rest.iter().position(|&byte| byte == b'\n');
            let text = &rest[..newline.unwrap_or(rest.len())];
            let room = MAX_LINE - self.open.len();
            self.open.extend_from_slice(&text[..text.len().min(room)]);
            used += text.len();
            if newline.is_some() {
                used += 1;
                self.give(self.at + used as u64, lines);
            }
        }
        self.at += used as u64;
        self.tail.extend_from_slice(&bytes[used.saturating_sub(TAIL)..used]);
        let old = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..old);
        used
    }

    fn give(&mut self, end: u64, lines: &mut Vec<Line>) {
        self.done = end;
        let text = Line::text_of(&self.open);
        self.open.clear();
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
