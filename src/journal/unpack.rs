//! (pure) Packed fields → their first bytes.
//!
//! Never more than asked for is unpacked or held: a field can be many megabytes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::Read;

use ruzstd::decoding::StreamingDecoder;

use super::layout::{Packing, u64_at};

/// Largest window of a zstd frame: so much memory unpacking may take.
const MAX_WINDOW: u64 = 8 * 1024 * 1024;

/// The first `most` bytes of what is packed in `bytes`; fewer if it is shorter or
/// `bytes` is not all of it. `None`: it is damaged, or packed in a way that guard
/// does not know.
pub(super) fn unpack(packing: Packing, bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    match packing {
        Packing::Plain => Some(bytes[..bytes.len().min(most)].to_vec()),
        Packing::Zstd => zstd(bytes, most),
        Packing::Lz4 => {
            // Before the block stands how long its content is.
            let length = usize::try_from(u64_at(bytes, 0)).unwrap_or(usize::MAX);
            lz4(bytes.get(8..)?, length.min(most))
        }
        Packing::Xz => None,
    }
}

fn zstd(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut decoder = StreamingDecoder::new_with_max_window_size(bytes, MAX_WINDOW).ok()?;
    let mut content = vec![0; most];
    let mut length = 0;
    while length < most {
        match decoder.read(&mut content[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            // What came before is good.
            Err(_) if length > 0 => break,
            Err(_) => return None,
        }
    }
    content.truncate(length);
    Some(content)
}

/// One LZ4 block: runs of literal bytes, each followed by a copy of earlier ones.
fn lz4(mut bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut content: Vec<u8> = Vec::new();
    while content.len() < most {
        let Some((token, rest)) = bytes.split_first() else { break };
        bytes = rest;
        let literals = length(usize::from(token >> 4), &mut bytes)?;
        let run = &bytes[..literals.min(bytes.len()).min(most - content.len())];
        content.extend_from_slice(run);
        if run.len() < literals {
            break;
        }
        bytes = &bytes[literals..];
        // The last run has no copy behind it.
        let Some((back, rest)) = bytes.split_first_chunk::<2>() else { break };
        bytes = rest;
        let copied = length(usize::from(token & 15), &mut bytes)?.saturating_add(4);
        let from = content.len().checked_sub(usize::from(u16::from_le_bytes(*back)))?;
        if from == content.len() {
            return None;
        }
        // The copy may run into what it copies.
        for at in from..from + copied.min(most - content.len()) {
            content.push(content[at]);
        }
    }
    Some(content)
}

/// 15 goes on in further bytes, up to one that is not 255.
fn length(nibble: usize, bytes: &mut &[u8]) -> Option<usize> {
    let mut length = nibble;
    if nibble == 15 {
        loop {
            let (more, rest) = bytes.split_first()?;
            *bytes = rest;
            length = length.checked_add(usize::from(*more))?;
            if *more != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lz4_blocks() {
        // 3 literals, 9 copied from 3 before, then 5 literals.
        let block = [0x35, b'a', b'b', b'c', 3, 0, 0x50, b'-', b'-', b'e', b'n', b'd'];
        assert_eq!(lz4(&block, 100).unwrap(), b"abcabcabcabc--end");
        assert_eq!(lz4(&block, 5).unwrap(), b"abcab");
        // 15 + 255 + 0 literals.
        let mut long = vec![0xf0, 255, 0];
        long.extend(vec![b'x'; 270]);
        assert_eq!(lz4(&long, 1000).unwrap(), vec![b'x'; 270]);
        assert_eq!(lz4(&long[..100], 1000).unwrap(), vec![b'x'; 97]);
        for bad in [&[0x10, b'a', 0, 0][..], &[0x10, b'a', 2, 0], &[0xf0], &[0x00, 1, 0]] {
            assert_eq!(lz4(bad, 100), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_ends_and_is_bounded(bytes: Vec<u8>, most in 0_usize..5000) {
            for packing in [Packing::Lz4, Packing::Zstd, Packing::Xz, Packing::Plain] {
                let content = unpack(packing, &bytes, most);
                prop_assert!(content.is_none_or(|content| content.len() <= most));
            }
        }
    }
}
