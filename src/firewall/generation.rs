//! The generation of nftables' rules: a number that the kernel raises with
//! every change, and tells to those who listen. The bytes of both. (pure)
//!
//! Numbers are those of the kernel's `linux/netfilter/nf_tables.h`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// The multicast group in which changes of nftables are told (`NFNLGRP_NFTABLES`), as a bit.
pub(crate) const GROUP: u32 = 1 << (7 - 1);

const SUBSYSTEM: u16 = 10 << 8;
const NEW_GENERATION: u16 = SUBSYSTEM | 15;
const GET_GENERATION: u16 = SUBSYSTEM | 16;
const REQUEST: u16 = 1;
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
const ID: u16 = 1;
/// The table's name, in whatever is told of something in it.
const TABLE: u16 = 1;

/// Is it iptables-nft's table of both families, or one of guard's own, which bears a number
/// where another program has its name?
fn may_be_guards(table: &[u8]) -> bool {
    match table.strip_prefix(b"guard") {
        Some(b"\0" | [b'-', b'2'..=b'8', 0]) => true,
        Some(_) => false,
        None => table == b"filter\0",
    }
}

/// Asks for the generation.
pub(crate) fn question() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + FAMILY_HEADER);
    bytes.extend(((HEADER + FAMILY_HEADER) as u32).to_ne_bytes());
    bytes.extend(GET_GENERATION.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend([0; 8 + FAMILY_HEADER]);
    bytes
}

/// The generation that a datagram tells of, the last if it is several; `None`:
/// it tells of something else, or is garbled.
pub(crate) fn told(mut datagram: &[u8]) -> Option<u32> {
    let mut generation = None;
    while let Some((message, rest)) = split(datagram) {
        if message.get(4..6) == Some(&NEW_GENERATION.to_ne_bytes()) {
            generation = message.get(HEADER + FAMILY_HEADER..).and_then(id).or(generation);
        }
        datagram = rest;
    }
    generation
}

/// Does a datagram tell of a change to a table in which guard's rules may be? Other
/// programs change sets of their own all the time.
pub(crate) fn concerns_guard(mut datagram: &[u8]) -> bool {
    while let Some((message, rest)) = split(datagram) {
        let kind = message.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
        let is_change =
            kind.is_some_and(|kind| kind & 0xff00 == SUBSYSTEM && kind != NEW_GENERATION);
        // Whatever it is that changed, its first attribute names the table.
        let table = message.get(HEADER + FAMILY_HEADER..).and_then(|body| attribute(body, TABLE));
        if is_change && table.is_some_and(may_be_guards) {
            return true;
        }
        datagram = rest;
    }
    false
}

/// The first message, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if length < HEADER {
        return None;
    }
    let message = bytes.get(..length)?;
    Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn id(attributes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(attribute(attributes, ID)?.try_into().ok()?))
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + FAMILY_HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10 + FAMILY_HEADER]);
        bytes.extend(body);
        bytes
    }

    fn put(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn the_question_is_a_whole_message() {
        let question = question();
        assert_eq!(question.len(), 20);
        assert_eq!(split(&question).unwrap().1, b"");
    }

    #[test]
    fn a_generation_is_found_among_other_messages() {
        let rule = message(SUBSYSTEM | 6, &put(1, b"filter\0"));
        let body = [put(3, b"iptables\0"), put(ID, &7_u32.to_be_bytes())].concat();
        let generation = message(NEW_GENERATION, &body);
        assert_eq!(told(&rule), None);
        assert_eq!(told(&[rule.clone(), generation.clone(), rule].concat()), Some(7));
        let later = message(NEW_GENERATION, &put(ID, &8_u32.to_be_bytes()));
        assert_eq!(told(&[generation, later].concat()), Some(8));
    }

    #[test]
    fn only_tables_with_guards_rules_matter() {
        let check = |kind: u16, table: &[u8], concerns: bool| {
            let change = message(kind, &[put(2, b"x"), put(TABLE, table)].concat());
            let other = message(SUBSYSTEM | 12, &put(TABLE, b"crowdsec\0"));
            assert_eq!(concerns_guard(&[other, change].concat()), concerns, "{kind} {table:?}");
        };
        check(SUBSYSTEM | 8, b"filter\0", true);
        check(SUBSYSTEM | 2, b"guard\0", true);
        check(SUBSYSTEM | 2, b"guard-2\0", true);
        check(SUBSYSTEM | 8, b"guard-8\0", true);
        check(SUBSYSTEM | 8, b"guard-9\0", false);
        check(SUBSYSTEM | 8, b"guard-22\0", false);
        check(SUBSYSTEM | 8, b"guardian\0", false);
        check(SUBSYSTEM | 6, b"nat\0", false);
        check(SUBSYSTEM | 6, b"filters\0", false);
        check(6 << 8 | 6, b"filter\0", false);
        check(NEW_GENERATION, b"filter\0", false);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_passed_over(bytes: Vec<u8>, cut in 0_usize..60) {
            told(&bytes);
            concerns_guard(&bytes);
            let whole = message(NEW_GENERATION, &put(ID, &7_u32.to_be_bytes()));
            let part = &whole[..cut.min(whole.len())];
            assert_eq!(told(part), (part.len() == whole.len()).then_some(7));
        }
    }
}
