//! What is in a file: as it lies there, or packed by gzip.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};

use flate2::read::MultiGzDecoder;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Most bytes that are unpacked of one file.
const MOST_UNPACKED: u64 = 8 << 30;

/// Most bytes that are unpacked at once to get to a place.
pub(super) const PASS_OVER: u64 = 8 << 20;

/// A file's content.
#[derive(Debug)]
pub(super) enum Content {
    Plain(File),
    Packed(Box<Packed>),
}

/// A file that gzip made of another.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    unpacker: MultiGzDecoder<File>,
    /// The place of the next byte that it gives.
    at: u64,
    ended: bool,
}

/// A part of a file that was never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    None,
    Until(u64),
    ToTheEnd,
}

impl Content {
    /// A file that gzip made. One that can't be read twice is taken as it is.
    pub(super) fn packed(file: File) -> Content {
        let Ok(same) = file.try_clone() else { return Content::Plain(file) };
        let unpacker = MultiGzDecoder::new(same);
        Content::Packed(Box::new(Packed { file, unpacker, at: 0, ended: false }))
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Content::Plain(file) => file,
            Content::Packed(packed) => &packed.file,
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self, Content::Packed(_))
    }

    /// How many bytes it has; `None`: nobody knows before they are unpacked.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Content::Plain(file) => Some(file.metadata().map_or(0, |meta| meta.len())),
            Content::Packed(_) => None,
        }
    }

    /// How many bytes lie behind the place; of a packed file, at least one until its
    /// end was seen.
    pub(super) fn behind(&self, at: u64) -> u64 {
        match self {
            Content::Plain(_) => self.length().unwrap_or(0).saturating_sub(at),
            Content::Packed(packed) if packed.ended => 0,
            Content::Packed(packed) => packed.file.metadata().map_or(1, |meta| meta.size().max(1)),
        }
    }

    /// Reads at a place; 0 is the end. A packed file is unpacked up to the place, but
    /// not farther than [`PASS_OVER`] at once: then it is [`io::ErrorKind::WouldBlock`].
    pub(super) fn read_at(&mut self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Content::Plain(file) => file.read_at(buffer, at),
            Content::Packed(packed) => packed.read_at(buffer, at),
        }
    }

    /// Fills the buffer from a place, if there is so much.
    pub(super) fn read_exact_at(&mut self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], at + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What lies behind the place, as far as the file system tells holes from data.
    pub(super) fn behind_hole(&self, at: u64) -> Hole {
        let Content::Plain(file) = self else { return Hole::None };
        match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(data) if data > at => Hole::Until(data),
            Err(Errno::NXIO) => Hole::ToTheEnd,
            Ok(_) | Err(_) => Hole::None,
        }
    }
}

impl Packed {
    fn read_at(&mut self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if at < self.at {
            let mut same = self.file.try_clone()?;
            same.rewind()?;
            (self.unpacker, self.at, self.ended) = (MultiGzDecoder::new(same), 0, false);
        }
        if at > MOST_UNPACKED {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too much is packed in it"));
        }
        let before = at - self.at;
        if before > 0 {
            let passed = (&mut self.unpacker).take(before.min(PASS_OVER));
            let passed = io::copy(&mut { passed }, &mut io::sink())?;
            self.at += passed;
            if passed < before.min(PASS_OVER) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if passed < before {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let count = self.unpacker.read(buffer)?;
        self.ended = count == 0;
        self.at += count as u64;
        Ok(count)
    }
}
