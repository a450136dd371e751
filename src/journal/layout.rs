//! (pure) The journal's file format: bytes → headers and objects.
//!
//! After systemd's "Journal File Format". All numbers are little-endian, all offsets
//! count from the file's beginning and are multiples of 8. Everything here is
//! untrusted: what does not fit is an error, never a panic.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Bytes of a file's header that every version has.
pub(super) const HEADER: usize = 208;
/// Bytes of an object's own header.
pub(super) const OBJECT: u64 = 16;
/// Bytes of an entry before its items.
pub(super) const ENTRY: u64 = 64;
/// Bytes of an entry array before its items.
pub(super) const ARRAY: u64 = 24;
/// Bytes of a data object before what the compact layout adds.
pub(super) const DATA: usize = 64;
/// Bytes of a bucket of a hash table.
pub(super) const BUCKET: u64 = 16;

const SIGNATURE: &[u8] = b"LPKSHHRH";

/// What keeps a file, or a part of it, from being read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("it is no journal file")]
    NoJournal,
    #[error(
        "it uses features of a newer systemd (flags {0:#x}) that this version of guard can't read"
    )]
    Unknown(u32),
    #[error("{what} at byte {at} is damaged")]
    Object { what: &'static str, at: u64 },
    #[error("{what} at byte {at} is beyond the end of the file")]
    Beyond { what: &'static str, at: u64 },
    #[error("it can't be read: {0}")]
    Read(std::io::ErrorKind),
}

/// What is said of the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Hashes are SipHash with the file's id as the key; else Jenkins' lookup3.
    pub(super) keyed_hash: bool,
    /// Offsets in entries and arrays have 4 bytes, not 8.
    pub(super) compact: bool,
    /// Nothing is added any more.
    pub(super) archived: bool,
    pub(super) file_id: [u8; 16],
    pub(super) sequence: u128,
    pub(super) table_at: u64,
    pub(super) buckets: u64,
    pub(super) entries: u64,
    pub(super) first_number: u64,
    pub(super) entry_array: u64,
    /// Microseconds since 1970.
    pub(super) last_realtime: u64,
}

const XZ: u32 = 1;
const LZ4: u32 = 2;
const KEYED: u32 = 4;
const ZSTD: u32 = 8;
const COMPACT: u32 = 16;

impl Header {
    /// Reads a header. All that is used of it lies in its first bytes, whatever
    /// version wrote it.
    pub(super) fn read(bytes: &[u8; HEADER]) -> Result<Header, Damage> {
        if !bytes.starts_with(SIGNATURE) {
            return Err(Damage::NoJournal);
        }
        let flags = u32_at(bytes, 12);
        let unknown = flags & !(XZ | LZ4 | KEYED | ZSTD | COMPACT);
        if unknown != 0 {
            return Err(Damage::Unknown(unknown));
        }
        Ok(Header {
            keyed_hash: flags & KEYED != 0,
            compact: flags & COMPACT != 0,
            archived: bytes[16] == 2,
            file_id: id_at(bytes, 24),
            sequence: u128::from_be_bytes(id_at(bytes, 72)),
            table_at: u64_at(bytes, 104),
            buckets: u64_at(bytes, 112) / BUCKET,
            entries: u64_at(bytes, 152),
            first_number: u64_at(bytes, 168),
            entry_array: u64_at(bytes, 176),
            last_realtime: u64_at(bytes, 192),
        })
    }
}

/// The kinds of objects that guard looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data = 1,
    Entry = 3,
    EntryArray = 6,
}

impl Kind {
    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Data => "a field",
            Kind::Entry => "an entry",
            Kind::EntryArray => "a list of entries",
        }
    }
}

/// What every object begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) flags: u8,
    /// All bytes of it, these included.
    pub(super) size: u64,
}

impl Object {
    /// Reads the head of an object that must be of this kind.
    pub(super) fn read(bytes: &[u8], kind: Kind, at: u64) -> Result<Object, Damage> {
        let size = u64_at(bytes, 8);
        let fits = bytes.first() == Some(&(kind as u8)) && size >= OBJECT;
        if !fits || at.checked_add(size).is_none() {
            return Err(Damage::Object { what: kind.name(), at });
        }
        Ok(Object { flags: bytes.get(1).copied().unwrap_or(0), size })
    }
}

/// What an entry says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryHead {
    pub(super) number: u64,
    /// Microseconds since 1970.
    pub(super) realtime: u64,
    /// Microseconds since the machine's start.
    pub(super) monotonic: u64,
    pub(super) boot: u128,
    pub(super) fingerprint: u64,
}

impl EntryHead {
    /// Reads it from the entry's first [`ENTRY`] bytes.
    pub(super) fn read(bytes: &[u8]) -> EntryHead {
        EntryHead {
            number: u64_at(bytes, 16),
            realtime: u64_at(bytes, 24),
            monotonic: u64_at(bytes, 32),
            boot: u128::from_be_bytes(id_at(bytes, 40)),
            fingerprint: u64_at(bytes, 56),
        }
    }
}

/// How a data object is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Xz,
    Lz4,
    Zstd,
}

impl Packing {
    /// From an object's flags; `None`: one that is not known.
    pub(super) fn of(flags: u8) -> Option<Packing> {
        match flags & 7 {
            0 => Some(Packing::Plain),
            1 => Some(Packing::Xz),
            2 => Some(Packing::Lz4),
            4 => Some(Packing::Zstd),
            _ => None,
        }
    }
}

/// The number at `at`; 0 beyond the end.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// The number at `at`; 0 beyond the end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn id_at(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}
