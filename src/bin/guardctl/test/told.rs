//! What comes of a line, with names looked up.

use std::collections::HashMap;
use std::net::ToSocketAddrs;

use guard::filter::{Hit, Judge, Verdict, Who};
use guard::model::{Hop, Network, Timestamp};

/// So many names are remembered.
const MAX_NAMES: usize = 1000;

/// What a line is.
#[derive(Debug)]
pub(crate) enum Told {
    /// A failure.
    Matched(Match),
    /// A part of a connection's story, by this regex.
    NoFailure(usize),
    /// An ignoreregex matched.
    Ignored,
    /// Somebody logged in: a successregex matched.
    LoggedIn(Network, Timestamp),
    /// Nothing matched, or nobody was found.
    Missed,
}

/// A failure.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) hit: Hit,
    /// Who failed: its identifier if it has one, else an address, or all addresses of a
    /// name; never empty. Where proxies passed a list on, the last one in it and whoever
    /// passed it on: which of them counts is for the daemon to say, who knows the proxies.
    pub(crate) hosts: Vec<String>,
}

fn is_address(text: &str) -> bool {
    guard::filter::address_in(text).is_some()
}

/// The addresses of names, once looked up.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Vec<String>>);

impl Names {
    /// What comes of the line that `judge` has just judged.
    pub(super) fn told(&mut self, verdict: Verdict, judge: &Judge) -> Told {
        let hit = match verdict {
            Verdict::Failure(hit) => hit,
            Verdict::NoFailure(regex) => return Told::NoFailure(regex),
            Verdict::Ignored => return Told::Ignored,
            Verdict::LoggedIn(Hit { who: Who::Network(network), at, .. }) => {
                return Told::LoggedIn(network, at);
            }
            Verdict::Missed | Verdict::TooOld | Verdict::LoggedIn(_) => return Told::Missed,
        };
        let id = judge.groups().iter().find(|(name, _)| name == "fid");
        // An identifier that is an address is shown as one.
        let id = id.map(|(_, id)| id.to_text()).filter(|id| !is_address(id));
        let hosts = match (id, &hit.who) {
            (Some(id), _) => vec![id],
            (None, Who::Network(network)) => {
                let last = match hit.forwarded.last() {
                    Some(Hop::Address(address)) => Some(address.to_string()),
                    Some(Hop::Unknown) | None => None,
                };
                last.into_iter().chain([network.to_string()]).collect()
            }
            (None, Who::Text(text)) => vec![text.clone()],
            (None, Who::Name(name)) => self.addresses(name),
        };
        if hosts.is_empty() { Told::Missed } else { Told::Matched(Match { hit, hosts }) }
    }

    fn addresses(&mut self, name: &str) -> Vec<String> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        if self.0.len() >= MAX_NAMES {
            self.0.clear();
        }
        let mut found = Vec::new();
        // The port is of no matter: it is how the standard library asks.
        for address in (name, 0).to_socket_addrs().into_iter().flatten() {
            let address = address.ip().to_canonical().to_string();
            if !found.contains(&address) {
                found.push(address);
            }
        }
        self.0.insert(name.to_owned(), found.clone());
        found
    }
}
