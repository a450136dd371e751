//! The bytes of the ipset protocol: requests out, acks and dumps in.
//!
//! Numbers are those of the kernel's `linux/netfilter/ipset/ip_set.h` and
//! `linux/netlink.h`. Headers are in the machine's byte order, values inside
//! attributes in the network's. Reading never panics and never trusts a length.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::IpAddr;

use crate::model::{Address, Network};

use super::names::Family;

/// Commands of the ipset subsystem.
const CMD_PROTOCOL: u8 = 1;
const CMD_CREATE: u8 = 2;
const CMD_DESTROY: u8 = 3;
const CMD_LIST: u8 = 7;
const CMD_ADD: u8 = 9;
const CMD_DEL: u8 = 10;
const CMD_TYPE: u8 = 13;

const SUBSYSTEM: u16 = 6 << 8;

/// nftables' own messages for its generation, and its number in the answer.
const NEW_GENERATION: u16 = 10 << 8 | 15;
const GET_GENERATION: u16 = 10 << 8 | 16;
const GENERATION: u16 = 1;

/// Attributes of a command.
const PROTOCOL: u16 = 1;
const SETNAME: u16 = 2;
const TYPENAME: u16 = 3;
const REVISION: u16 = 4;
const FAMILY: u16 = 5;
const FLAGS: u16 = 6;
const DATA: u16 = 7;
const ADT: u16 = 8;
const LINENO: u16 = 9;
const REVISION_MIN: u16 = 10;

/// Attributes of an element or of a set's data.
const IP: u16 = 1;
const CIDR: u16 = 3;
const TIMEOUT: u16 = 6;
const MAXELEM: u16 = 19;
const ELEMENTS: u16 = 24;
const IPADDR_V4: u16 = 1;
const IPADDR_V6: u16 = 2;

const NESTED: u16 = 1 << 15;
const NET_ORDER: u16 = 1 << 14;
const LIST_HEADER: u32 = 1 << 2;

/// Message types and flags of netlink itself.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const EXCLUSIVE: u16 = 0x200;
const DUMP: u16 = 0x300;

const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;

/// A message that adds or removes elements stays below this: the kernel sends
/// the whole of it back when it refuses one.
const BATCH_BYTES: usize = 48 * 1024;

/// The type of every set of guard.
pub(crate) const SET_TYPE: &str = "hash:net";

/// A request, ready but for its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    fn new(command: u8, flags: u16, protocol: u8) -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend((SUBSYSTEM | u16::from(command)).to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        const AF_INET: u8 = 2;
        bytes.extend([AF_INET, 0, 0, 0]);
        let mut request = Request(bytes);
        request.put(PROTOCOL, &[protocol]);
        request
    }

    fn put(&mut self, kind: u16, value: &[u8]) {
        let length = 4 + value.len();
        self.0.extend((length as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn put_text(&mut self, kind: u16, text: &str) {
        self.put(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind | NET_ORDER, &value.to_be_bytes());
    }

    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.put(kind | NESTED, &[]);
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// The bytes to send; `sequence` comes back in every answer.
    pub(crate) fn into_bytes(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }

    /// Which versions of the protocol does the kernel speak?
    pub(crate) fn protocol() -> Request {
        Request::new(CMD_PROTOCOL, 0, OLDEST_PROTOCOL)
    }

    /// Which generation of nftables' rules is it? Each change makes a new one.
    pub(crate) fn generation() -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend(GET_GENERATION.to_ne_bytes());
        bytes.extend(REQUEST.to_ne_bytes());
        bytes.extend([0; 8 + FAMILY_HEADER]);
        Request(bytes)
    }

    /// Which revisions of guard's set type does the kernel know?
    pub(crate) fn set_type(protocol: u8, family: Family) -> Request {
        let mut request = Request::new(CMD_TYPE, 0, protocol);
        request.put_text(TYPENAME, SET_TYPE);
        request.put(FAMILY, &[number(family)]);
        request
    }

    /// A new set with timeouts; refused if there is one of that name.
    pub(crate) fn create(
        protocol: u8,
        name: &str,
        family: Family,
        revision: u8,
        max_elements: u32,
    ) -> Request {
        let mut request = Request::new(CMD_CREATE, ACK | EXCLUSIVE, protocol);
        request.put_text(SETNAME, name);
        request.put_text(TYPENAME, SET_TYPE);
        request.put(REVISION, &[revision]);
        request.put(FAMILY, &[number(family)]);
        request.nest(DATA, |data| {
            // 0: elements stay unless they bring a time of their own.
            data.put_u32(TIMEOUT, 0);
            data.put_u32(MAXELEM, max_elements);
        });
        request
    }

    /// Takes a set away; refused while a rule uses it.
    pub(crate) fn destroy(protocol: u8, name: &str) -> Request {
        let mut request = Request::new(CMD_DESTROY, ACK, protocol);
        request.put_text(SETNAME, name);
        request
    }

    /// The headers of all sets.
    pub(crate) fn headers(protocol: u8) -> Request {
        let mut request = Request::new(CMD_LIST, ACK | DUMP, protocol);
        request.put_u32(FLAGS, LIST_HEADER);
        request
    }

    /// A set with all its elements.
    pub(crate) fn list(protocol: u8, name: &str) -> Request {
        let mut request = Request::new(CMD_LIST, ACK | DUMP, protocol);
        request.put_text(SETNAME, name);
        request
    }

    /// Adds or removes as many of `elements`, from `first` on, as one message
    /// takes; how many that are. An element that is there gets its new time, one
    /// that is to go and isn't there is no error.
    pub(crate) fn elements(
        protocol: u8,
        set: &str,
        change: ElementChange,
        elements: &[Element],
    ) -> (Request, usize) {
        let command = match change {
            ElementChange::Add => CMD_ADD,
            ElementChange::Remove => CMD_DEL,
        };
        let mut request = Request::new(command, ACK, protocol);
        request.put_text(SETNAME, set);
        // The kernel writes here which element it refused; 0 is none of them.
        request.put(LINENO, &0_u32.to_ne_bytes());
        let mut taken = 0;
        request.nest(ADT, |list| {
            for element in elements {
                if list.0.len() > BATCH_BYTES {
                    break;
                }
                taken += 1;
                list.nest(DATA, |data| data.put_element(change, element, taken as u32));
            }
        });
        (request, taken)
    }

    fn put_element(&mut self, change: ElementChange, element: &Element, line: u32) {
        self.nest(IP, |ip| match element.network.address().ip() {
            IpAddr::V4(v4) => ip.put(IPADDR_V4 | NET_ORDER, &v4.octets()),
            IpAddr::V6(v6) => ip.put(IPADDR_V6 | NET_ORDER, &v6.octets()),
        });
        self.put(CIDR, &[element.network.length()]);
        if change == ElementChange::Add {
            self.put_u32(TIMEOUT, element.timeout);
        }
        self.put(LINENO, &line.to_ne_bytes());
    }
}

/// The protocol's oldest version that guard speaks, and speaks where it can.
pub(crate) const OLDEST_PROTOCOL: u8 = 6;

/// What to do with elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementChange {
    /// Add, or give a new time.
    Add,
    /// Remove.
    Remove,
}

/// An element of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    /// Who.
    pub(crate) network: Network,
    /// For how many seconds from now; 0: for ever.
    pub(crate) timeout: u32,
}

/// A set, as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetHeader {
    /// Its name.
    pub(crate) name: String,
    /// Its type, such as `hash:net`.
    pub(crate) kind: String,
    /// IPv4 or IPv6, for types that have a family.
    pub(crate) family: Option<Family>,
    /// Can its elements time out?
    pub(crate) has_timeout: bool,
    /// How many elements it may hold.
    pub(crate) max_elements: u32,
    /// How many it holds.
    pub(crate) elements: u32,
}

impl SetHeader {
    /// Is it a set as guard makes them for this family?
    pub(crate) fn fits(&self, family: Family) -> bool {
        self.kind == SET_TYPE && self.family == Some(family) && self.has_timeout
    }
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done; nothing follows.
    Done,
    /// Refused, with the kernel's code and, for elements, the first that was, counted from 1.
    Refused(i32, Option<u32>),
    /// A part of what was asked for.
    Part(Part),
}

/// What guard reads from a message with content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The set it is about.
    pub(crate) header: SetHeader,
    /// The newest and oldest version or revision.
    pub(crate) newest: Option<u8>,
    /// The oldest; only the newest where it is left out.
    pub(crate) oldest: Option<u8>,
    /// Elements.
    pub(crate) elements: Vec<Element>,
    /// nftables' generation.
    pub(crate) generation: Option<u32>,
}

/// Bytes that are no netlink message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's answer makes no sense")]
pub(crate) struct Garbled;

/// Reads all messages of one datagram that answer the request `sequence`.
pub(crate) fn read(mut bytes: &[u8], sequence: u32) -> Result<Vec<Answer>, Garbled> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0)? as usize;
        let message = bytes.get(..length).filter(|m| m.len() >= HEADER).ok_or(Garbled)?;
        if u32_at(message, 8)? == sequence {
            answers.push(answer(message)?);
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(answers)
}

fn answer(message: &[u8]) -> Result<Answer, Garbled> {
    match u16_at(message, 4)? {
        ERROR => match u32_at(message, HEADER)? as i32 {
            0 => Ok(Answer::Done),
            code => Ok(Answer::Refused(code.saturating_neg(), refused_line(message))),
        },
        // A dump's end may bear an error.
        DONE => match u32_at(message, HEADER).unwrap_or(0) as i32 {
            code if code < 0 => Ok(Answer::Refused(code.saturating_neg(), None)),
            _ => Ok(Answer::Done),
        },
        kind if kind & 0xff00 == SUBSYSTEM => {
            let body = message.get(HEADER + FAMILY_HEADER..).ok_or(Garbled)?;
            Ok(Answer::Part(part(body)?))
        }
        NEW_GENERATION => {
            let body = message.get(HEADER + FAMILY_HEADER..).ok_or(Garbled)?;
            let number = attributes(body).find_map(|attribute| match attribute {
                Ok((GENERATION, value)) => be32(value).ok(),
                _ => None,
            });
            Ok(Answer::Part(Part { generation: number, ..Part::default() }))
        }
        _ => Err(Garbled),
    }
}

/// A refusal repeats the request; the number in it says which element it was.
fn refused_line(message: &[u8]) -> Option<u32> {
    const CODE: usize = 4;
    let request = message.get(HEADER + CODE..)?;
    let body = request.get(HEADER + FAMILY_HEADER..)?;
    let line = attributes(body).find_map(|attribute| match attribute {
        Ok((LINENO, value)) => Some(value),
        _ => None,
    })?;
    u32_at(line, 0).ok().filter(|line| *line != 0)
}

fn part(body: &[u8]) -> Result<Part, Garbled> {
    let mut part = Part::default();
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            SETNAME => part.header.name = text(value),
            TYPENAME => part.header.kind = text(value),
            PROTOCOL if part.newest.is_none() => part.newest = value.first().copied(),
            REVISION => part.newest = value.first().copied(),
            REVISION_MIN => part.oldest = value.first().copied(),
            FAMILY => part.header.family = value.first().and_then(|n| family(*n)),
            DATA => set_data(value, &mut part.header)?,
            ADT => {
                for element in attributes(value) {
                    part.elements.extend(read_element(element?.1)?);
                }
            }
            _ => {}
        }
    }
    Ok(part)
}

fn set_data(value: &[u8], header: &mut SetHeader) -> Result<(), Garbled> {
    for attribute in attributes(value) {
        let (kind, value) = attribute?;
        match kind {
            TIMEOUT => header.has_timeout = true,
            MAXELEM => header.max_elements = be32(value)?,
            ELEMENTS => header.elements = be32(value)?,
            _ => {}
        }
    }
    Ok(())
}

/// An element of a set of addresses; `None` for those of other types.
fn read_element(value: &[u8]) -> Result<Option<Element>, Garbled> {
    let (mut ip, mut length, mut timeout) = (None, None, 0);
    for attribute in attributes(value) {
        let (kind, value) = attribute?;
        match kind {
            IP => ip = read_ip(value)?,
            CIDR => length = value.first().copied(),
            TIMEOUT => timeout = be32(value)?,
            _ => {}
        }
    }
    Ok(ip.and_then(|ip: IpAddr| {
        let address = Address::new(ip);
        // A mapped address is not what guard adds; folding it would change its length.
        if address.ip() != ip {
            return None;
        }
        let network = match length {
            Some(length) => Network::new(address, length)?,
            None => Network::from(address),
        };
        Some(Element { network, timeout })
    }))
}

fn read_ip(value: &[u8]) -> Result<Option<IpAddr>, Garbled> {
    for attribute in attributes(value) {
        match attribute? {
            (IPADDR_V4, value) => {
                let octets: [u8; 4] = value.try_into().map_err(|_| Garbled)?;
                return Ok(Some(octets.into()));
            }
            (IPADDR_V6, value) => {
                let octets: [u8; 16] = value.try_into().map_err(|_| Garbled)?;
                return Ok(Some(octets.into()));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The attributes of a body: their kinds without flags, and their values.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Garbled>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let attribute = (|| {
            let length = usize::from(u16_at(bytes, 0)?);
            let kind = u16_at(bytes, 2)? & !(NESTED | NET_ORDER);
            let value = bytes.get(4..length).ok_or(Garbled)?;
            Ok((kind, value, length))
        })();
        match attribute {
            Ok((kind, value, length)) => {
                bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
                Some(Ok((kind, value)))
            }
            Err(garbled) => {
                bytes = &[];
                Some(Err(garbled))
            }
        }
    })
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Garbled> {
    let value = bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).ok_or(Garbled)?;
    Ok(u16::from_ne_bytes(value))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Garbled> {
    let value = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or(Garbled)?;
    Ok(u32::from_ne_bytes(value))
}

pub(crate) fn be32(value: &[u8]) -> Result<u32, Garbled> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| Garbled)
}

pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => NFPROTO_IPV4,
        Family::V6 => NFPROTO_IPV6,
    }
}

fn family(number: u8) -> Option<Family> {
    match number {
        NFPROTO_IPV4 => Some(Family::V4),
        NFPROTO_IPV6 => Some(Family::V6),
        _ => None,
    }
}

#[cfg(test)]
#[path = "netlink_tests.rs"]
mod tests;
