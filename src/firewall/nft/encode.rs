//! Requests to the kernel's nf_tables, as bytes.
//!
//! Whatever changes something goes in a [`Batch`]: the kernel does all of it or
//! nothing, and answers for each message that it refuses by that message's number.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::IpAddr;

use crate::firewall::netlink::Element;
use crate::model::Network;

/// The subsystem, in the upper half of a message's type.
pub(super) const SUBSYSTEM: u16 = 10 << 8;

/// Kinds of messages.
pub(super) const GET_TABLE: u16 = 1;
pub(super) const DEL_TABLE: u16 = 2;
pub(super) const GET_CHAIN: u16 = 4;
pub(super) const GET_RULE: u16 = 7;
pub(super) const GET_SET: u16 = 10;
pub(super) const NEW_ELEMENT: u16 = 12;
pub(super) const GET_ELEMENT: u16 = 13;
pub(super) const DEL_ELEMENT: u16 = 14;
pub(super) const GET_GENERATION: u16 = 16;

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;

const NESTED: u16 = 1 << 15;

/// Families as netfilter counts them.
pub(super) const INET: u8 = 1;
pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;

/// Attributes.
const TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const KEY: u16 = 1;
const KEY_VALUE: u16 = 1;
const TIMEOUT: u16 = 4;

/// So many elements fit into one message, whose list has a length of 16 bits, and
/// with as many removals before it into one batch, which a socket's buffer must hold.
pub(super) const MOST_ELEMENTS: usize = 1000;

/// A request that changes nothing.
pub(super) fn question(sequence: u32, kind: u16, family: u8) -> Question {
    let mut bytes = Vec::new();
    header(&mut bytes, SUBSYSTEM | kind, REQUEST, sequence, family, 0);
    Question(bytes)
}

/// A question, to which filters can be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question(Vec<u8>);

impl Question {
    /// All there are, rather than one.
    pub(super) fn all(mut self) -> Question {
        self.0[6..8].copy_from_slice(&(REQUEST | DUMP).to_ne_bytes());
        self
    }

    /// Of this table. (The attribute has the same number in all questions.)
    pub(super) fn of_table(mut self, table: &str) -> Question {
        put_text(&mut self.0, TABLE, table);
        self
    }

    /// Of this chain of the table.
    pub(super) fn of_chain(mut self, chain: &str) -> Question {
        put_text(&mut self.0, RULE_CHAIN, chain);
        self
    }

    /// Of this set of the table.
    pub(super) fn of_set(mut self, set: &str) -> Question {
        put_text(&mut self.0, ELEMENTS_SET, set);
        self
    }

    /// The bytes to send.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        end(&mut self.0, 0);
        self.0
    }
}

/// Changes that are made all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where the newest message begins.
    last: usize,
    sequence: u32,
}

impl Batch {
    /// An empty one, whose begin bears the number `sequence`.
    pub(super) fn new(sequence: u32) -> Batch {
        let mut bytes = Vec::new();
        header(&mut bytes, BATCH_BEGIN, REQUEST, sequence, 0, SUBSYSTEM >> 8);
        end(&mut bytes, 0);
        Batch { bytes, last: 0, sequence }
    }

    /// Takes a table away, with all that is in it.
    pub(super) fn delete_table(&mut self, table: &str) -> u32 {
        self.message(DEL_TABLE, 0, |bytes| put_text(bytes, TABLE, table))
    }

    /// Adds elements, [`MOST_ELEMENTS`] at most; the message's number.
    pub(super) fn add(&mut self, table: &str, set: &str, elements: &[Element]) -> u32 {
        self.message(NEW_ELEMENT, CREATE, |bytes| {
            put_list(bytes, table, set, elements.iter().map(|e| (e.network, e.timeout)));
        })
    }

    /// Removes one element, which must be there; the message's number.
    pub(super) fn remove(&mut self, table: &str, set: &str, network: Network) -> u32 {
        self.message(DEL_ELEMENT, 0, |bytes| {
            put_list(bytes, table, set, std::iter::once((network, 0)));
        })
    }

    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Vec<u8>)) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.last = self.bytes.len();
        header(&mut self.bytes, SUBSYSTEM | kind, REQUEST | flags, self.sequence, INET, 0);
        fill(&mut self.bytes);
        end(&mut self.bytes, self.last);
        self.sequence
    }

    /// The bytes to send, and the number of the message that is answered also when
    /// all is well: the last but the end itself, which older kernels never answer.
    pub(super) fn finish(mut self) -> (Vec<u8>, u32) {
        let flags = self.last + 6..self.last + 8;
        if let Some(old) = self.bytes.get(flags.clone()).and_then(|b| b.try_into().ok()) {
            let new = u16::from_ne_bytes(old) | ACK;
            self.bytes[flags].copy_from_slice(&new.to_ne_bytes());
        }
        let start = self.bytes.len();
        let number = self.sequence.wrapping_add(1);
        header(&mut self.bytes, BATCH_END, REQUEST, number, 0, SUBSYSTEM >> 8);
        end(&mut self.bytes, start);
        (self.bytes, self.sequence)
    }
}

fn header(bytes: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, family: u8, resource: u16) {
    bytes.extend([0; 4]);
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
}

/// Writes the length of the message that begins at `start`.
fn end(bytes: &mut [u8], start: usize) {
    let length = (bytes.len() - start) as u32;
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn put_text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    put(bytes, kind, &[text.as_bytes(), &[0]].concat());
}

fn nest(bytes: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    put(bytes, kind | NESTED, &[]);
    fill(bytes);
    let length = (bytes.len() - start) as u16;
    bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
}

fn put_list(
    bytes: &mut Vec<u8>,
    table: &str,
    set: &str,
    elements: impl Iterator<Item = (Network, u32)>,
) {
    put_text(bytes, TABLE, table);
    put_text(bytes, ELEMENTS_SET, set);
    nest(bytes, ELEMENTS, |list| {
        for (network, timeout) in elements {
            nest(list, LIST_ELEMENT, |element| put_element(element, network, timeout));
        }
    });
}

fn put_element(bytes: &mut Vec<u8>, network: Network, timeout: u32) {
    nest(bytes, KEY, |key| match network.address().ip() {
        IpAddr::V4(v4) => put(key, KEY_VALUE, &v4.octets()),
        IpAddr::V6(v6) => put(key, KEY_VALUE, &v6.octets()),
    });
    // Without a time an element stays for ever.
    if timeout > 0 {
        put(bytes, TIMEOUT, &(u64::from(timeout) * 1000).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(network: &str, timeout: u32) -> Element {
        Element { network: network.parse().unwrap(), timeout }
    }

    /// Laid out by hand after the kernel's header.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_batch_byte_for_byte() {
        let mut batch = Batch::new(7);
        assert_eq!(batch.remove("t", "s", "192.0.2.1".parse().unwrap()), 8);
        assert_eq!(batch.add("t", "s", &[element("192.0.2.1", 60), element("192.0.2.2", 0)]), 9);
        let (bytes, last) = batch.finish();
        assert_eq!(last, 9);
        let words: Vec<String> = bytes
            .chunks(4)
            .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect();
        let wanted = "14000000 10000100 07000000 00000000 0000000a \
            38000000 0e0a0100 08000000 00000000 01000000 06000100 74000000 06000200 73000000 \
            14000380 10000180 0c000180 08000100 c0000201 \
            54000000 0c0a0504 09000000 00000000 01000000 06000100 74000000 06000200 73000000 \
            30000380 1c000180 0c000180 08000100 c0000201 0c000400 00000000 0000ea60 \
            10000180 0c000180 08000100 c0000202 \
            14000000 11000100 0a000000 00000000 0000000a";
        assert_eq!(words.join(" "), wanted);
    }

    #[test]
    fn the_largest_batch_fits_into_a_sockets_buffer() {
        let all: Vec<Element> =
            (0..MOST_ELEMENTS).map(|n| element(&format!("2001:db8::{n:x}"), u32::MAX)).collect();
        let mut batch = Batch::new(1);
        let set = "f".repeat(31) + "/128";
        for element in &all {
            batch.remove("guard", &set, element.network);
        }
        batch.add("guard", &set, &all);
        // The kernel's usual default, less what it takes for itself.
        assert!(batch.finish().0.len() < 212_992 - 4096);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn questions() {
        let bytes = question(5, GET_ELEMENT, INET).all().of_table("guard").of_set("s").into_bytes();
        assert_eq!(bytes.len(), 20 + 12 + 8);
        assert_eq!(&bytes[..8], [40, 0, 0, 0, 13, 10, 1, 3]);
        let bytes = question(5, GET_GENERATION, 0).into_bytes();
        assert_eq!(bytes, [20, 0, 0, 0, 16, 10, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
