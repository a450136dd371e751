//! The first entry of a tar archive, as the engine sends a single file. Pure.
//!
//! Only what guard asks for is understood: a file or a link, its name too long or
//! not. Invariant: nothing beyond the bytes given is trusted, no size is allocated.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

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

fn octal(field: &[u8]) -> Option<usize> {
    let digits = text(field);
    usize::from_str_radix(digits.trim(), 8).ok()
}

/// The link's target in a PAX header: records `LENGTH KEY=VALUE\n`.
fn pax_link(mut records: &[u8]) -> Option<String> {
    while !records.is_empty() {
        let space = records.iter().position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let record = records.get(space + 1..length.checked_sub(1)?)?;
        if let Some(target) = record.strip_prefix(b"linkpath=") {
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

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..2048), kind in any::<u8>()) {
            if let Some(field) = bytes.get_mut(156) {
                *field = kind;
            }
            first_entry(&bytes);
            pax_link(&bytes);
        }
    }
}
