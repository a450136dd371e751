//! A map from prefixes that knows who covers whom.
//!
//! Bans, floors and the never-ban set all ask the same two questions: which
//! entries hold this address, and which lie inside this prefix? Real sets use a
//! handful of prefix lengths, so the first is one look-up for each length in
//! use; the order of [`Network`] (address, then length) makes the second a range.

use std::collections::BTreeMap;

use crate::model::Network;

/// A map from prefixes, in the order of their addresses.
#[derive(Debug)]
pub(super) struct NetMap<T> {
    entries: BTreeMap<Network, T>,
    /// How many entries have this family (is it IPv6?) and length.
    lengths: BTreeMap<(bool, u8), usize>,
}

impl<T> Default for NetMap<T> {
    fn default() -> Self {
        NetMap { entries: BTreeMap::new(), lengths: BTreeMap::new() }
    }
}

impl<T> NetMap<T> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get(&self, network: Network) -> Option<&T> {
        self.entries.get(&network)
    }

    pub(super) fn get_mut(&mut self, network: Network) -> Option<&mut T> {
        self.entries.get_mut(&network)
    }

    /// Puts an entry in the place of what was there.
    pub(super) fn insert(&mut self, network: Network, value: T) -> Option<T> {
        let old = self.entries.insert(network, value);
        if old.is_none() {
            *self.lengths.entry((network.is_ipv6(), network.length())).or_default() += 1;
        }
        old
    }

    pub(super) fn remove(&mut self, network: Network) -> Option<T> {
        let old = self.entries.remove(&network)?;
        let key = (network.is_ipv6(), network.length());
        if let Some(count) = self.lengths.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&key);
            }
        }
        Some(old)
    }

    /// All entries, IPv4 first, by address.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Network, &T)> {
        self.entries.iter().map(|(network, value)| (*network, value))
    }

    /// All values, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Network, &mut T)> {
        self.entries.iter_mut().map(|(network, value)| (*network, value))
    }

    /// The entries that hold the whole of `network`, itself included; the narrowest first.
    pub(super) fn covering(&self, network: Network) -> impl Iterator<Item = (Network, &T)> {
        let family = network.is_ipv6();
        let lengths = self.lengths.range((family, 0)..=(family, network.length()));
        lengths.rev().filter_map(move |((_, length), _)| {
            let wider = Network::new(network.address(), *length)?;
            self.entries.get(&wider).map(|value| (wider, value))
        })
    }

    /// The entries inside `network`, itself included, by address.
    pub(super) fn inside(&self, network: Network) -> impl Iterator<Item = (Network, &T)> {
        self.entries
            .range(network..)
            .take_while(move |(entry, _)| network.contains(entry.address()))
            .map(|(entry, value)| (*entry, value))
    }

    /// An entry that shares an address with `network`: the narrowest that covers
    /// it, else the first inside it.
    pub(super) fn overlapping(&self, network: Network) -> Option<(Network, &T)> {
        self.covering(network).chain(self.inside(network)).next()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Address;

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn the_narrowest_covers_first() {
        let mut map = NetMap::default();
        for text in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "11.0.0.0/8", "::/16"] {
            map.insert(net(text), text);
        }
        let check = |network: &str, expected: &[&str]| {
            let found: Vec<_> = map.covering(net(network)).map(|(_, text)| *text).collect();
            assert_eq!(found, expected, "{network}");
        };
        check("10.1.2.3", &["10.1.2.3", "10.1.0.0/16", "10.0.0.0/8"]);
        check("10.1.0.0/17", &["10.1.0.0/16", "10.0.0.0/8"]);
        check("10.0.0.0/7", &[]);
        check("::1", &["::/16"]);
    }

    /// Networks that often cover each other.
    fn networks() -> impl Strategy<Value = Network> {
        let v4 = (any::<u32>(), 1u8..=32).prop_map(|(bits, length)| {
            let ip = std::net::Ipv4Addr::from_bits(bits & 0xC000_00FF);
            Network::new(Address::new(ip.into()), length).unwrap()
        });
        let v6 = (any::<u8>(), 1u8..=128).prop_map(|(byte, length)| {
            let ip = std::net::Ipv6Addr::from_bits(u128::from(byte) << 120 | u128::from(byte));
            Network::new(Address::new(ip.into()), length).unwrap()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn answers_as_a_plain_list_does(
            added in prop::collection::vec(networks(), 0..40),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            asked in networks(),
        ) {
            let mut map = NetMap::default();
            let mut list = std::collections::BTreeSet::new();
            for network in &added {
                map.insert(*network, ());
                list.insert(*network);
            }
            for index in removed.iter().filter(|_| !added.is_empty()) {
                let network = added[index.index(added.len())];
                prop_assert_eq!(map.remove(network).is_some(), list.remove(&network));
            }
            let covers = |a: Network, b: Network| a.overlaps(b) && a.length() <= b.length();
            let mut covering: Vec<_> = list.iter().copied().filter(|n| covers(*n, asked)).collect();
            covering.sort_by_key(|n| std::cmp::Reverse(n.length()));
            let inside: Vec<_> = list.iter().copied().filter(|n| covers(asked, *n)).collect();
            prop_assert_eq!(map.covering(asked).map(|e| e.0).collect::<Vec<_>>(), covering);
            prop_assert_eq!(map.inside(asked).map(|e| e.0).collect::<Vec<_>>(), inside);
            prop_assert_eq!(
                map.overlapping(asked).is_some(),
                list.iter().any(|n| n.overlaps(asked))
            );
            prop_assert_eq!(map.len(), list.len());
        }
    }
}
