//! The kernel's sets, over netlink.

use std::collections::BTreeMap;

use crate::model::Network;

use super::names::Family;
use super::netlink::{Element, ElementChange, OLDEST_PROTOCOL, Request, SetHeader};
use super::socket::{SET_FULL, Socket, SocketError};

/// `hash:net` has had timeouts from its first revision on. The newest that
/// guard asks for is one that an ipset of 2014 can list: a set that the host's
/// own `ipset` can't show would help nobody.
const REVISION: u8 = 6;

/// The newest version of the protocol that guard speaks.
const NEWEST_PROTOCOL: u8 = 7;

/// The sets of this network namespace.
#[derive(Debug)]
pub(crate) struct Sets {
    socket: Socket,
    protocol: u8,
    revisions: BTreeMap<Family, u8>,
}

/// Why something could not be done with sets. The words are for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    /// The kernel said no.
    #[error("the kernel lets guard touch no sets: give guard cap_add: [NET_ADMIN, NET_RAW]")]
    Denied,
    /// There are no sets, or not of guard's type.
    #[error("the kernel has no sets that guard can use: {0}")]
    Unusable(String),
    /// A step failed.
    #[error("{what} failed: {why}")]
    Failed {
        /// The step.
        what: String,
        /// Why.
        why: String,
    },
}

/// The kernel's answer to elements that it was asked to add or remove.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// Those for which the set has no room.
    pub(crate) full: Vec<Network>,
    /// Those refused for another reason.
    pub(crate) odd: Vec<(Network, String)>,
}

fn failed(what: String) -> impl FnOnce(SocketError) -> SetError {
    move |error| {
        if error.is_denied() {
            SetError::Denied
        } else {
            SetError::Failed { what, why: error.to_string() }
        }
    }
}

impl Sets {
    /// Opens a socket and asks the kernel what it can do.
    pub(crate) fn open() -> Result<Sets, SetError> {
        let unusable = |error: SocketError| {
            if error.is_denied() { SetError::Denied } else { SetError::Unusable(error.to_string()) }
        };
        let mut socket = Socket::open().map_err(unusable)?;
        let versions = socket.ask(Request::protocol()).map_err(unusable)?;
        let newest = versions.newest.unwrap_or(OLDEST_PROTOCOL);
        let oldest = versions.oldest.unwrap_or(newest);
        let protocol = OLDEST_PROTOCOL.max(oldest);
        if protocol > NEWEST_PROTOCOL || newest < OLDEST_PROTOCOL {
            return Err(SetError::Unusable(format!(
                "it speaks version {oldest} to {newest} of the ipset protocol"
            )));
        }
        let mut sets = Sets { socket, protocol, revisions: BTreeMap::new() };
        sets.revision(Family::V4)?;
        Ok(sets)
    }

    /// The revision of the set type to ask for; the kernel must know it.
    fn revision(&mut self, family: Family) -> Result<u8, SetError> {
        if let Some(revision) = self.revisions.get(&family) {
            return Ok(*revision);
        }
        let answer = self.socket.ask(Request::set_type(self.protocol, family));
        let known = answer.map_err(|error| {
            if error.is_denied() { SetError::Denied } else { SetError::Unusable(error.to_string()) }
        })?;
        let newest = known.newest.unwrap_or(0);
        let revision = REVISION.min(newest).max(known.oldest.unwrap_or(0));
        self.revisions.insert(family, revision);
        Ok(revision)
    }

    /// The generation of nftables' rules, if the kernel tells: it changes with them.
    pub(crate) fn rules_generation(&mut self) -> Option<u32> {
        self.socket.ask(Request::generation()).ok()?.generation
    }

    /// The headers of all sets, by name.
    pub(crate) fn headers(&mut self) -> Result<BTreeMap<String, SetHeader>, SetError> {
        let parts = self.socket.dump(Request::headers(self.protocol));
        let parts = parts.map_err(failed("listing the kernel's sets".to_owned()))?;
        let named = parts.into_iter().filter(|part| !part.header.name.is_empty());
        Ok(named.map(|part| (part.header.name.clone(), part.header)).collect())
    }

    /// All elements of a set.
    pub(crate) fn list(&mut self, set: &str) -> Result<Vec<Element>, SetError> {
        let parts = self.socket.dump(Request::list(self.protocol, set));
        let parts = parts.map_err(failed(format!("listing set {set}")))?;
        Ok(parts.into_iter().flat_map(|part| part.elements).collect())
    }

    /// Makes a set, empty. Refused if there is one of that name, so that the set
    /// is of the type and family asked for: with "exist" any would do.
    pub(crate) fn create(
        &mut self,
        set: &str,
        family: Family,
        max_elements: u32,
    ) -> Result<(), SetError> {
        let revision = self.revision(family)?;
        let request = Request::create(self.protocol, set, family, revision, max_elements);
        self.socket.command(request).map_err(failed(format!("making set {set}")))
    }

    /// Takes a set away; the kernel refuses while a rule uses it.
    pub(crate) fn destroy(&mut self, set: &str) -> Result<(), SetError> {
        let request = Request::destroy(self.protocol, set);
        self.socket.command(request).map_err(failed(format!("taking set {set} away")))
    }

    /// Adds or removes elements, in as few messages as they fit into. The kernel
    /// stops at the first that it refuses: the others go on without it.
    pub(crate) fn change(
        &mut self,
        set: &str,
        change: ElementChange,
        elements: &[Element],
    ) -> Result<Refusals, SetError> {
        let mut refusals = Refusals::default();
        let mut rest = elements;
        while !rest.is_empty() {
            let (request, taken) = Request::elements(self.protocol, set, change, rest);
            match self.socket.command(request) {
                Ok(()) => rest = &rest[taken..],
                Err(SocketError::Refused { code, line: Some(line) })
                    if (1..=taken).contains(&(line as usize)) =>
                {
                    let at = line as usize - 1;
                    if code == SET_FULL {
                        // Each of the rest would be refused for itself.
                        refusals.full.extend(rest[at..].iter().map(|element| element.network));
                        break;
                    }
                    let why = SocketError::Refused { code, line: None }.to_string();
                    refusals.odd.push((rest[at].network, why));
                    rest = &rest[line as usize..];
                }
                Err(error) => return Err(failed(format!("changing set {set}"))(error)),
            }
        }
        Ok(refusals)
    }
}
