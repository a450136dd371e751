//! Tar archives: the first entry, as the engine sends a single file, and all files of one
//! that somebody hands to guardctl. Pure.
//!
//! Only what guard asks for is understood: a file or a link, its name too long or
//! not. Invariant: nothing beyond the bytes given is trusted, no size is allocated.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

const BLOCK: usize = 512;

/// What the archive holds first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A regular file's content.
    File(&'a [u8]),
    /// A symbolic link's target.
    Link(String),
    /// Something else: a directory, a device.
    Other,
}

/// Reads the first entry; `None` if the bytes are no archive or end too early.
pub(super) fn first_entry(mut bytes: &[u8]) -> Option<Entry<'_>> {
    let mut long_link = None;
    // Entries that only describe the next one come first.
    for _ in 0..8 {
        let header = bytes.get(..BLOCK)?;
        let size = octal(&header[124..136])?;
        let body = bytes.get(BLOCK..)?;
        let content = body.get(..size)?;
        match header[156] {
            b'x' => long_link = pax_link(content).or(long_link),
            b'K' => long_link = Some(text(content)),
            b'g' | b'L' => {}
            b'0' | 0 => return Some(Entry::File(content)),
            b'2' => return Some(Entry::Link(long_link.unwrap_or_else(|| text(&header[157..257])))),
            _ => return Some(Entry::Other),
        }
        bytes = body.get(size.div_ceil(BLOCK) * BLOCK..)?;
    }
    None
}

/// A field of text, which ends at a NUL or with the field.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed<'a> {
    /// What is in it.
    File(&'a [u8]),
    /// Another path, beside its own or absolute.
    Link(String),
}

/// Most entries of an archive.
const MAX_ENTRIES: usize = 100_000;

/// The files and links of an archive by their paths, which have no `.` and empty parts; of
/// two with one path the later one.
///
/// # Errors
/// What is wrong with it, and where.
pub fn files(archive: &[u8]) -> Result<BTreeMap<String, Packed<'_>>, String> {
    let mut found = BTreeMap::new();
    let mut rest = archive;
    let (mut long_name, mut long_link) = (None, None);
    let broken = |rest: &[u8]| format!("no tar archive at byte {}", archive.len() - rest.len());
    for _ in 0..MAX_ENTRIES {
        let Some(header) = rest.get(..BLOCK) else {
            return if rest.is_empty() && !found.is_empty() {
                Ok(found)
            } else {
                Err(broken(rest))
            };
        };
        if header.iter().all(|byte| *byte == 0) {
            return Ok(found);
        }
        let sizes = octal(&header[124..136]).filter(|_| is_summed(header));
        let body = sizes.and_then(|size| Some((size, rest[BLOCK..].get(..size)?)));
        let (size, content) = body.ok_or_else(|| broken(rest))?;
        match header[156] {
            b'x' => {
                long_name = pax(content, b"path=").or(long_name);
                long_link = pax(content, b"linkpath=").or(long_link);
            }
            b'L' => long_name = Some(text(content)),
            b'K' => long_link = Some(text(content)),
            b'g' => {}
            kind => {
                let name = clean(&long_name.take().unwrap_or_else(|| name(header)));
                let link = long_link.take().unwrap_or_else(|| text(&header[157..257]));
                match kind {
                    b'0' | 0 => drop(found.insert(name, Packed::File(content))),
                    b'2' => drop(found.insert(name, Packed::Link(link))),
                    // A hard link names another entry, from the archive's root on.
                    b'1' => {
                        let up = "../".repeat(name.matches('/').count());
                        drop(found.insert(name, Packed::Link(format!("{up}{}", clean(&link)))));
                    }
                    _ => {}
                }
            }
        }
        rest = rest[BLOCK..].get(size.div_ceil(BLOCK) * BLOCK..).unwrap_or_default();
    }
    Err(format!("the archive has more than {MAX_ENTRIES} entries"))
}

/// Is the header's sum of its bytes right?
fn is_summed(header: &[u8]) -> bool {
    let byte =
        |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { usize::from(*byte) };
    let sum: usize = header.iter().enumerate().map(byte).sum();
    octal(&header[148..156]) == Some(sum)
}

fn name(header: &[u8]) -> String {
    let name = text(&header[..100]);
    let prefix =
        if &header[257..262] == b"ustar" { text(&header[345..500]) } else { String::new() };
    if prefix.is_empty() || header[262] == b' ' { name } else { format!("{prefix}/{name}") }
}

/// A path without `.` and empty parts.
fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

fn octal(field: &[u8]) -> Option<usize> {
    let digits = text(field);
    usize::from_str_radix(digits.trim(), 8).ok()
}

/// The link's target in a PAX header.
fn pax_link(records: &[u8]) -> Option<String> {
    pax(records, b"linkpath=")
}

/// A value in a PAX header: records `LENGTH KEY=VALUE\n`.
fn pax(mut records: &[u8], key: &[u8]) -> Option<String> {
    while !records.is_empty() {
        let space = records.iter().position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let record = records.get(space + 1..length.checked_sub(1)?)?;
        if let Some(target) = record.strip_prefix(key) {
            return Some(text(target));
        }
        records = records.get(length..)?;
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An archive of one entry.
    pub(crate) fn archive(kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..9].copy_from_slice(b"localtime");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = kind;
        let link = &link.as_bytes()[..link.len().min(100)];
        header[157..157 + link.len()].copy_from_slice(link);
        header.extend_from_slice(content);
        header.resize(header.len().div_ceil(BLOCK) * BLOCK, 0);
        header
    }

    #[test]
    fn files_and_links_are_read() {
        assert_eq!(first_entry(&archive(b'0', "", b"TZif2")), Some(Entry::File(b"TZif2")));
        assert_eq!(
            first_entry(&archive(b'2', "/usr/share/zoneinfo/Europe/Paris", b"")),
            Some(Entry::Link("/usr/share/zoneinfo/Europe/Paris".into()))
        );
        assert_eq!(first_entry(&archive(b'5', "", b"")), Some(Entry::Other));
    }

    #[test]
    fn a_long_target_comes_before_its_link() {
        let target = format!("/{}/zoneinfo/UTC", "d".repeat(200));
        let record = format!("linkpath={target}\n");
        let length = record.len() + 4;
        let pax = format!("{length} {record}");
        assert_eq!(pax.len(), length);
        for first in [archive(b'x', "", pax.as_bytes()), archive(b'K', "", target.as_bytes())] {
            let bytes = [first, archive(b'2', "cut", b"")].concat();
            assert_eq!(first_entry(&bytes), Some(Entry::Link(target.clone())));
        }
    }

    #[test]
    fn a_cut_archive_is_none() {
        let bytes = archive(b'0', "", &[1; 600]);
        for length in [0, 100, 511, 512, 1000] {
            assert_eq!(first_entry(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert!(files(b"").is_err() && files(&[b'x'; 1024]).is_err());
        assert!(files(&archive(b'0', "", b"x")).is_err(), "without a sum it is none");
        assert_eq!(files(&[0; 1024]), Ok(BTreeMap::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..2048), kind in any::<u8>()) {
            if let Some(field) = bytes.get_mut(156) {
                *field = kind;
            }
            first_entry(&bytes);
            pax_link(&bytes);
            let _ = files(&bytes);
        }
    }
}
