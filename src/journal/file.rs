//! (pure) Finding one's way in a journal file, over bytes that somebody else reads.
//!
//! Entries are listed in a chain of arrays, in the order in which they were written;
//! fields are stored once each and found by a hash table. The file may grow
//! while it is read: the header's count is what has been linked completely.
//!
//! Invariants: whatever the bytes are, every call reads a bounded part of them, and
//! every chain leads onwards.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io;

use super::layout::{self, Damage, EntryHead, Header, Kind, Object, Packing, u32_at, u64_at};
use super::{hash, unpack};

/// Most arrays of a chain; each is twice as long as the one before.
const MAX_ARRAYS: usize = 4096;
/// Most fields with one bucket of the hash table.
const MAX_CHAIN: usize = 10_000;
/// Most fields of an entry that are looked at.
const MAX_ITEMS: u64 = 4096;
/// Most entries that are listed at once.
const MAX_LISTED: u64 = 512;
/// Most bytes of a packed field that are unpacked.
const MAX_PACKED: u64 = 1024 * 1024;
/// So much of a field is read at first: most are shorter.
const FIRST_READ: usize = 256;
/// The longest name of a field, with its `=`.
const MAX_NAME: usize = 65;

/// Where the bytes come from.
pub(super) trait Bytes {
    /// Reads from `at` on; fewer bytes than asked for only at the end.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A journal file.
#[derive(Debug)]
pub(super) struct JournalFile<B> {
    bytes: B,
    header: Header,
    /// The arrays found so far.
    chain: Vec<Array>,
}

/// An array of the chain.
#[derive(Clone, Copy, Debug)]
struct Array {
    at: u64,
    /// The index of its first entry.
    first: u64,
    /// For how many it has room.
    room: u64,
}

/// An entry, without its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) head: EntryHead,
    /// Where its fields are.
    pub(super) fields: Vec<u64>,
}

/// The beginning of a field.
struct Field {
    packing: Option<Packing>,
    /// Where its content is, packed or not, and how long that is.
    at: u64,
    length: u64,
    /// The first of these bytes.
    begin: Vec<u8>,
}

impl<B: Bytes> JournalFile<B> {
    /// Opens a file by its header.
    pub(super) fn open(bytes: B) -> Result<Self, Damage> {
        let header = read_header(&bytes)?;
        Ok(JournalFile { bytes, header, chain: Vec::new() })
    }

    /// Looks at the header again: there may be more entries.
    pub(super) fn refresh(&mut self) -> Result<(), Damage> {
        let header = read_header(&self.bytes)?;
        let before = &self.header;
        if (header.file_id, header.compact, header.entry_array)
            != (before.file_id, before.compact, before.entry_array)
        {
            self.chain.clear();
        }
        self.header = header;
        Ok(())
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn bytes(&self) -> &B {
        &self.bytes
    }

    /// Where the entries from `index` on are, as many as are easily told: at least one,
    /// unless there is none. 0: the list is damaged at that place.
    pub(super) fn list(&mut self, index: u64) -> Result<Vec<u64>, Damage> {
        if index >= self.header.entries {
            return Ok(Vec::new());
        }
        let array = self.array_with(index)?;
        let end = self.header.entries.min(array.first.saturating_add(array.room));
        let count = (end - index).min(MAX_LISTED);
        let width = self.width();
        let mut bytes = vec![0; (count * width) as usize];
        let from = array.at + layout::ARRAY + (index - array.first) * width;
        // Of a file that was cut short, what is there.
        let read = self.read(from, &mut bytes)?;
        bytes.truncate(read);
        if read < width as usize {
            return Err(Damage::Beyond { what: Kind::EntryArray.name(), at: array.at });
        }
        Ok(bytes.chunks_exact(width as usize).map(|item| self.offset(item)).collect())
    }

    /// The first index whose entry is not `before`; the number of entries if there is
    /// none. Entries are in order; a damaged one counts as not before.
    pub(super) fn search(&mut self, before: impl Fn(&EntryHead) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.header.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            let head = self.list(middle).ok().and_then(|list| self.head(*list.first()?).ok());
            if head.is_some_and(|head| before(&head)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// What the entry with this index says of itself.
    pub(super) fn head_of(&mut self, index: u64) -> Result<EntryHead, Damage> {
        let list = self.list(index)?;
        self.head(list.first().copied().unwrap_or(0))
    }

    fn head(&self, at: u64) -> Result<EntryHead, Damage> {
        let mut bytes = [0; layout::ENTRY as usize];
        self.object(at, Kind::Entry, &mut bytes)?;
        Ok(EntryHead::read(&bytes))
    }

    /// The entry at this place.
    pub(super) fn entry(&self, at: u64) -> Result<Entry, Damage> {
        // Most entries have fewer than 40 fields.
        let mut bytes = vec![0; 64 + 40 * 16];
        let (object, read) = self.object_part(at, Kind::Entry, layout::ENTRY, &mut bytes)?;
        // In the regular layout a hash stands behind each offset.
        let width = if self.header.compact { 4 } else { 16 };
        let items = (object.size - layout::ENTRY) / width;
        let end = (layout::ENTRY + items.min(MAX_ITEMS) * width) as usize;
        bytes.resize(end, 0);
        if end > read {
            self.fill(at + read as u64, &mut bytes[read..], Kind::Entry)?;
        }
        let items = bytes[layout::ENTRY as usize..].chunks_exact(width as usize);
        Ok(Entry {
            head: EntryHead::read(&bytes),
            fields: items.map(|item| self.offset(item)).collect(),
        })
    }

    /// Where the field with this content (`NAME=value`) is, if it is in the file.
    pub(super) fn find(&self, content: &[u8]) -> Result<Option<u64>, Damage> {
        let header = &self.header;
        if header.buckets == 0 {
            return Ok(None);
        }
        let hash = match header.keyed_hash {
            true => hash::keyed(header.file_id, content),
            false => hash::plain(content),
        };
        let damaged = |at| Damage::Object { what: "the table of fields", at };
        let bucket = hash % header.buckets * layout::BUCKET;
        let bucket = header.table_at.checked_add(bucket).ok_or(damaged(header.table_at))?;
        let mut head = [0; 8];
        self.fill(bucket, &mut head, Kind::Data)?;
        let mut at = u64::from_le_bytes(head);
        for _ in 0..MAX_CHAIN {
            if at == 0 {
                return Ok(None);
            }
            let mut bytes = [0; layout::DATA];
            self.object(at, Kind::Data, &mut bytes)?;
            if u64_at(&bytes, 16) == hash && self.is(at, content)? {
                return Ok(Some(at));
            }
            let next = u64_at(&bytes, 24);
            if next != 0 && next <= at {
                return Err(damaged(at));
            }
            at = next;
        }
        Err(damaged(bucket))
    }

    /// Is this the content of the field?
    pub(super) fn is(&self, at: u64, content: &[u8]) -> Result<bool, Damage> {
        let field = self.field(at)?;
        if field.packing == Some(Packing::Plain) && field.length != content.len() as u64 {
            return Ok(false);
        }
        Ok(self.content(&field, content.len() + 1)?.is_some_and(|found| found == content))
    }

    /// If the field's name is in `names`: which one it is, and at most `most` bytes of
    /// its value. A packed field is unpacked only as far as that takes.
    /// `Err(None)`: it can't be unpacked.
    pub(super) fn value(
        &self,
        at: u64,
        names: &[(&str, usize)],
    ) -> Result<Option<(usize, Vec<u8>)>, Option<Damage>> {
        let field = self.field(at)?;
        let begin = self.content(&field, MAX_NAME)?.ok_or(None)?;
        let Some(length) = begin.iter().position(|byte| *byte == b'=') else { return Ok(None) };
        let name = &begin[..length];
        let Some(which) = names.iter().position(|(wanted, _)| wanted.as_bytes() == name) else {
            return Ok(None);
        };
        let mut value = self.content(&field, length + 1 + names[which].1)?.ok_or(None)?;
        value.drain(..=length);
        Ok(Some((which, value)))
    }

    fn field(&self, at: u64) -> Result<Field, Damage> {
        let head = layout::DATA + if self.header.compact { 8 } else { 0 };
        let mut bytes = vec![0; head + FIRST_READ];
        let (object, read) = self.object_part(at, Kind::Data, head as u64, &mut bytes)?;
        bytes.truncate(read.min(usize::try_from(object.size).unwrap_or(usize::MAX)));
        bytes.drain(..head.min(bytes.len()));
        Ok(Field {
            packing: Packing::of(object.flags),
            at: at + head as u64,
            length: object.size - head as u64,
            begin: bytes,
        })
    }

    /// The first `most` bytes of a field; `None`: it can't be unpacked.
    fn content(&self, field: &Field, most: usize) -> Result<Option<Vec<u8>>, Damage> {
        let Some(packing) = field.packing else { return Ok(None) };
        let needed = match packing {
            Packing::Plain => field.length.min(most as u64),
            Packing::Xz => return Ok(None),
            Packing::Lz4 | Packing::Zstd => field.length.min(MAX_PACKED),
        } as usize;
        if needed <= field.begin.len() {
            return Ok(unpack::unpack(packing, &field.begin[..needed], most));
        }
        let mut bytes = field.begin.clone();
        bytes.resize(needed, 0);
        let have = field.begin.len();
        self.fill(field.at + have as u64, &mut bytes[have..], Kind::Data)?;
        Ok(unpack::unpack(packing, &bytes, most))
    }

    /// The array in which the entry with this index is listed.
    fn array_with(&mut self, index: u64) -> Result<Array, Damage> {
        loop {
            let known = self.chain.partition_point(|array| array.first <= index);
            let last = known.checked_sub(1).map(|at| self.chain[at]);
            if let Some(array) = last.filter(|array| index - array.first < array.room) {
                return Ok(array);
            }
            let (at, first, after) = match self.chain.last() {
                None => (self.header.entry_array, 0, 0),
                Some(last) => (self.next_array(last)?, last.first + last.room, last.at),
            };
            let damaged = Damage::Object { what: Kind::EntryArray.name(), at };
            if at <= after || self.chain.len() >= MAX_ARRAYS {
                return Err(damaged);
            }
            let mut bytes = [0; layout::ARRAY as usize];
            let object = self.object(at, Kind::EntryArray, &mut bytes)?;
            let room = (object.size - layout::ARRAY) / self.width();
            if room == 0 || first.checked_add(room).is_none() {
                return Err(damaged);
            }
            self.chain.push(Array { at, first, room });
        }
    }

    fn next_array(&self, array: &Array) -> Result<u64, Damage> {
        let mut bytes = [0; layout::ARRAY as usize];
        self.object(array.at, Kind::EntryArray, &mut bytes)?;
        Ok(u64_at(&bytes, 16))
    }

    /// How wide an offset is in the list of entries.
    fn width(&self) -> u64 {
        if self.header.compact { 4 } else { 8 }
    }

    fn offset(&self, item: &[u8]) -> u64 {
        if self.header.compact { u32_at(item, 0).into() } else { u64_at(item, 0) }
    }

    /// Reads the head of an object, as long as `bytes`.
    fn object(&self, at: u64, kind: Kind, bytes: &mut [u8]) -> Result<Object, Damage> {
        let least = bytes.len() as u64;
        let (object, _) = self.object_part(at, kind, least, bytes)?;
        Ok(object)
    }

    /// Reads as much of an object as fits into `bytes` and the file has, at least
    /// `least` bytes, and says how much that is.
    fn object_part(
        &self,
        at: u64,
        kind: Kind,
        least: u64,
        bytes: &mut [u8],
    ) -> Result<(Object, usize), Damage> {
        let damaged = Damage::Object { what: kind.name(), at };
        if !at.is_multiple_of(8) || at < layout::HEADER as u64 {
            return Err(damaged);
        }
        let read = self.read(at, bytes)?;
        if (read as u64) < least {
            return Err(Damage::Beyond { what: kind.name(), at });
        }
        let object = Object::read(bytes, kind, at)?;
        if object.size < least { Err(damaged) } else { Ok((object, read)) }
    }

    fn fill(&self, at: u64, bytes: &mut [u8], kind: Kind) -> Result<(), Damage> {
        if self.read(at, bytes)? < bytes.len() {
            return Err(Damage::Beyond { what: kind.name(), at });
        }
        Ok(())
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<usize, Damage> {
        read(&self.bytes, at, bytes)
    }
}

fn read_header(bytes: &impl Bytes) -> Result<Header, Damage> {
    let mut head = [0; layout::HEADER];
    if read(bytes, 0, &mut head)? < head.len() {
        return Err(Damage::NoJournal);
    }
    Header::read(&head)
}

/// Fills the buffer as far as there are bytes.
fn read(bytes: &impl Bytes, at: u64, buffer: &mut [u8]) -> Result<usize, Damage> {
    let mut length = 0;
    while length < buffer.len() {
        match bytes.read_at(at.saturating_add(length as u64), &mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Damage::Read(error.kind())),
        }
    }
    Ok(length)
}
