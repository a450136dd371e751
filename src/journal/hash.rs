//! (pure) The hashes by which a journal file finds its fields.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::hash::Hasher;

/// The hash of a field in a file with keyed hashes: SipHash-2-4, the key is the file's id.
// Deprecated so that nobody takes it for hash maps; the file format names it.
#[allow(deprecated)]
pub(super) fn keyed(file_id: [u8; 16], field: &[u8]) -> u64 {
    let key = u128::from_le_bytes(file_id);
    let mut hasher = std::hash::SipHasher::new_with_keys(key as u64, (key >> 64) as u64);
    hasher.write(field);
    hasher.finish()
}

/// The hash of a field in older files: Bob Jenkins' lookup3 (`hashlittle2`), which is
/// in the public domain.
pub(super) fn plain(field: &[u8]) -> u64 {
    let start = 0xdead_beef_u32.wrapping_add(field.len() as u32);
    let mut state = [start; 3];
    // The last block, even a full one, is mixed in another way.
    let blocks = field.len().saturating_sub(1) / 12;
    let (whole, tail) = field.split_at(blocks * 12);
    for block in whole.chunks_exact(12) {
        add(&mut state, block);
        mix(&mut state);
    }
    if !tail.is_empty() {
        add(&mut state, tail);
        finish(&mut state);
    }
    let [_, b, c] = state;
    (u64::from(c) << 32) | u64::from(b)
}

/// Adds up to 12 bytes; missing ones are 0.
fn add(state: &mut [u32; 3], block: &[u8]) {
    let mut bytes = [0; 12];
    bytes[..block.len()].copy_from_slice(block);
    for (word, chunk) in state.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = word.wrapping_add(u32::from_le_bytes(*chunk));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    for (round, by) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
        let (x, y, z): (&mut u32, &mut u32, &mut u32) = match round % 3 {
            0 => (&mut *a, &mut *b, &mut *c),
            1 => (&mut *b, &mut *c, &mut *a),
            _ => (&mut *c, &mut *a, &mut *b),
        };
        *x = x.wrapping_sub(*z) ^ z.rotate_left(by);
        *z = z.wrapping_add(*y);
    }
}

fn finish([a, b, c]: &mut [u32; 3]) {
    for (round, by) in [14, 11, 25, 16, 4, 14, 24].into_iter().enumerate() {
        let (x, y): (&mut u32, u32) = match round % 3 {
            0 => (&mut *c, *b),
            1 => (&mut *a, *c),
            _ => (&mut *b, *a),
        };
        *x = (*x ^ y).wrapping_sub(y.rotate_left(by));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // lookup3's own self-test: (c, b) for an empty key and for its sentence.
        assert_eq!(plain(b""), 0xdead_beef_dead_beef);
        assert_eq!(plain(b"Four score and seven years ago") >> 32, 0x1777_0551);
        // SipHash's own test vector: the key is 00…0f, the text 00…0e.
        let key: [u8; 16] = std::array::from_fn(|n| n as u8);
        let text: Vec<u8> = (0..15).collect();
        assert_eq!(keyed(key, &text), 0xa129_ca61_49be_45e5);
    }
}
