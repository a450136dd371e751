//! The kernel's nf_tables, read from the bytes of its answers.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::IpAddr;

use crate::firewall::netlink::{Element, Garbled, attributes, be32, text, u16_at, u32_at};
use crate::model::{Address, Network};

use super::encode::SUBSYSTEM;
use super::plan::{Base, RuleFound, SetFound};

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// A dump's flag: something changed while it was made.
const INTERRUPTED: u16 = 0x10;

const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// The number of the request that it answers.
    pub(super) sequence: u32,
    /// What it says.
    pub(super) what: What<'a>,
    /// Did something change while the dump that it is part of was made?
    pub(super) interrupted: bool,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// Done; of a dump, nothing follows.
    Done,
    /// Refused, with an errno.
    Refused(i32),
    /// Something that was asked for; its attributes.
    Part(&'a [u8]),
}

/// Reads all messages of a datagram.
pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<Answer<'_>>, Garbled> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0)? as usize;
        let message = bytes.get(..length).filter(|m| m.len() >= HEADER).ok_or(Garbled)?;
        answers.push(Answer {
            sequence: u32_at(message, 8)?,
            what: what(message)?,
            interrupted: u16_at(message, 6)? & INTERRUPTED != 0,
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(answers)
}

fn what(message: &[u8]) -> Result<What<'_>, Garbled> {
    match u16_at(message, 4)? {
        ERROR => match u32_at(message, HEADER)? as i32 {
            0 => Ok(What::Done),
            code => Ok(What::Refused(code.saturating_neg())),
        },
        DONE => match u32_at(message, HEADER).unwrap_or(0) as i32 {
            code if code < 0 => Ok(What::Refused(code.saturating_neg())),
            _ => Ok(What::Done),
        },
        kind if kind & 0xff00 == SUBSYSTEM => {
            Ok(What::Part(message.get(HEADER + FAMILY_HEADER..).ok_or(Garbled)?))
        }
        _ => Err(Garbled),
    }
}

/// The number that grows with every change to nf_tables in this network namespace.
pub(super) fn generation(body: &[u8]) -> Result<u32, Garbled> {
    find(body, 1)?.map_or(Err(Garbled), be32)
}

/// A table's flags: dormant, or owned by another program.
pub(super) fn table_flags(body: &[u8]) -> Result<u32, Garbled> {
    find(body, 2)?.map_or(Ok(0), be32)
}

/// A chain, without its rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChainHead {
    /// Its table.
    pub(super) table: String,
    /// Its name.
    pub(super) name: String,
    /// Where packets come into it; `None`: only by jumps.
    pub(super) base: Option<Base>,
}

/// A chain.
pub(super) fn chain(body: &[u8]) -> Result<ChainHead, Garbled> {
    let mut chain = ChainHead::default();
    let (mut policy, mut kind) = (1, String::new());
    for attribute in attributes(body) {
        match attribute? {
            (1, value) => chain.table = text(value),
            (3, value) => chain.name = text(value),
            (4, value) => {
                let hook = find(value, 1)?.map_or(Err(Garbled), be32)?;
                let priority = find(value, 2)?.map_or(Err(Garbled), be32)?;
                chain.base = Some(Base { hook, priority: priority as i32, usual: false });
            }
            (5, value) => policy = be32(value)?,
            (7, value) => kind = text(value),
            _ => {}
        }
    }
    const ACCEPT: u32 = 1;
    if let Some(base) = &mut chain.base {
        base.usual = policy == ACCEPT && kind == "filter";
    }
    Ok(chain)
}

/// A rule, and the chain that it is in.
pub(super) fn rule(body: &[u8]) -> Result<(String, RuleFound), Garbled> {
    let mut chain = String::new();
    let mut rule = RuleFound::default();
    for attribute in attributes(body) {
        match attribute? {
            (2, value) => chain = text(value),
            (3, value) => rule.handle = be64(value)?,
            (4, value) => rule.jump = jump(value)?,
            (7, value) => rule.comment = comment(value),
            _ => {}
        }
    }
    Ok((chain, rule))
}

/// [`rule`], as iptables writes it: its comment is one of the matches.
pub(super) fn rule_of_iptables(body: &[u8]) -> Result<(String, RuleFound), Garbled> {
    let (chain, mut rule) = rule(body)?;
    if rule.comment.is_none() {
        rule.comment = find(body, 4)?.map_or(Ok(None), comment_match)?;
    }
    Ok((chain, rule))
}

/// The text of the match `comment` among a rule's expressions.
fn comment_match(expressions: &[u8]) -> Result<Option<String>, Garbled> {
    for expression in attributes(expressions) {
        let (_, expression) = expression?;
        if find(expression, 1)?.is_none_or(|name| text(name) != "match") {
            continue;
        }
        let data = find(expression, 2)?.unwrap_or_default();
        if find(data, 1)?.is_some_and(|name| text(name) == "comment") {
            return Ok(find(data, 3)?.map(text));
        }
    }
    Ok(None)
}

/// The chain to which a rule's expressions jump.
fn jump(expressions: &[u8]) -> Result<Option<String>, Garbled> {
    for expression in attributes(expressions) {
        let (_, expression) = expression?;
        if find(expression, 1)?.is_none_or(|name| text(name) != "immediate") {
            continue;
        }
        // Its data, the value, the verdict, and in that the chain.
        let mut inner = Some(expression);
        for kind in [2, 2, 2, 2] {
            inner = match inner {
                Some(body) => find(body, kind)?,
                None => None,
            };
        }
        if let Some(chain) = inner {
            return Ok(Some(text(chain)));
        }
    }
    Ok(None)
}

/// A rule's chain, its comment, and the packets that it has counted; `None`: it has no
/// comment, or counts nothing.
pub(super) fn counted(body: &[u8]) -> Result<Option<(String, String, u64)>, Garbled> {
    let (mut chain, mut words, mut packets) = (String::new(), None, None);
    for attribute in attributes(body) {
        match attribute? {
            (2, value) => chain = text(value),
            (4, value) => packets = counter(value)?,
            (7, value) => words = comment(value),
            _ => {}
        }
    }
    Ok(words.zip(packets).map(|(words, packets)| (chain, words, packets)))
}

/// The packets of the counter among a rule's expressions.
fn counter(expressions: &[u8]) -> Result<Option<u64>, Garbled> {
    for expression in attributes(expressions) {
        let (_, expression) = expression?;
        if find(expression, 1)?.is_none_or(|name| text(name) != "counter") {
            continue;
        }
        let data = find(expression, 2)?.unwrap_or_default();
        return find(data, 2)?.map(be64).transpose();
    }
    Ok(None)
}

/// A rule's comment among its user data: a type, a length and a value each.
fn comment(mut data: &[u8]) -> Option<String> {
    const COMMENT: u8 = 0;
    loop {
        let (&[kind, length], rest) = data.split_first_chunk::<2>()?;
        let value = rest.get(..usize::from(length))?;
        if kind == COMMENT {
            return Some(text(value));
        }
        data = &rest[usize::from(length)..];
    }
}

/// A set, and its name.
pub(super) fn set(body: &[u8]) -> Result<(String, SetFound), Garbled> {
    let mut name = String::new();
    let mut set = SetFound::default();
    for attribute in attributes(body) {
        match attribute? {
            (2, value) => name = text(value),
            (3, value) => set.flags = be32(value)?,
            (5, value) => set.key_length = be32(value)?,
            _ => {}
        }
    }
    Ok((name, set))
}

/// The elements of a set whose keys stand for prefixes of `length` bits, or, without
/// it, for single addresses.
pub(super) fn elements(body: &[u8], length: Option<u8>) -> Result<Vec<Element>, Garbled> {
    let mut all = Vec::new();
    let list = find(body, 3)?.unwrap_or_default();
    for element in attributes(list) {
        all.extend(element_of(element?.1, length)?);
    }
    Ok(all)
}

fn element_of(body: &[u8], length: Option<u8>) -> Result<Option<Element>, Garbled> {
    let (mut ip, mut timeout, mut left) = (None, 0, None);
    for attribute in attributes(body) {
        match attribute? {
            (1, key) => ip = find(key, 1)?.and_then(address),
            (4, value) => timeout = be64(value)?,
            (5, value) => left = Some(be64(value)?),
            _ => {}
        }
    }
    let Some(ip) = ip else { return Ok(None) };
    let address = Address::new(ip);
    let network = match length {
        Some(length) => Network::new(address, length),
        None => Some(Network::from(address)),
    };
    // Not a mapped address, and no key with bits below the mask: guard adds none, and
    // no packet would match them.
    let Some(network) = network.filter(|network| network.address().ip() == ip) else {
        return Ok(None);
    };
    let timeout = match timeout {
        0 => 0,
        _ => left.unwrap_or(timeout).div_ceil(1000).clamp(1, u32::MAX.into()) as u32,
    };
    Ok(Some(Element { network, timeout }))
}

fn address(key: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(key) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(key).ok().map(IpAddr::from)
}

/// The first attribute of this kind.
fn find(body: &[u8], kind: u16) -> Result<Option<&[u8]>, Garbled> {
    for attribute in attributes(body) {
        let (found, value) = attribute?;
        if found == kind {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn be64(value: &[u8]) -> Result<u64, Garbled> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| Garbled)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
