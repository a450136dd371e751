//! The packets that came by each jail's rules in guard's own table.

use std::collections::BTreeMap;

use crate::firewall::keeper::{Backend, Keeper};
use crate::firewall::names::{Family, Names};
use crate::firewall::packets::{JailPackets, Packets};
use crate::firewall::socket::SocketError;
use crate::model::{BlockRules, JailName};

use super::plan::Found;
use super::shape::{self, Counted, full_length, parts};
use super::{Nft, decode, encode};

/// What each rule has counted, by its chain and comment.
type Counts = BTreeMap<(String, String), u64>;

impl Keeper {
    /// The packets of each jail, as far as they can be read.
    pub(in crate::firewall) fn nft_packets(&mut self) -> BTreeMap<JailName, JailPackets> {
        let Some(Backend::Nftables(nft)) = &mut self.backend else { return BTreeMap::new() };
        let (counts, found) = match nft.counts() {
            Ok(read) => read,
            Err(error) => {
                tracing::debug!("nftables: packets can't be counted: {error}");
                return BTreeMap::new();
            }
        };
        let jails = self.placed.iter().filter_map(|(name, placed)| {
            let rules = self.rules(name)?;
            found
                .chains
                .contains_key(&placed.names.chain)
                .then(|| (name.clone(), packets(&placed.names, &rules.block, &found, &counts)))
        });
        jails.collect()
    }
}

impl Nft {
    fn counts(&mut self) -> Result<(Counts, Found), SocketError> {
        // Not by a look: whether others changed something is for the next turn to find.
        let found = self.read()?;
        let table = self.table.clone();
        let rules = self.socket.dump(
            encode::GET_RULE,
            encode::INET,
            |question| question.of_table(&table),
            decode::counted,
        )?;
        let counts = rules.into_iter().flatten();
        Ok((counts.map(|(chain, comment, packets)| ((chain, comment), packets)).collect(), found))
    }
}

/// What a jail's rules have counted. A rule's comment tells which of those it is that
/// guard writes for the sets that are there.
fn packets(names: &Names, block: &BlockRules, found: &Found, counts: &Counts) -> JailPackets {
    let lengths: Vec<(Family, u8)> = Family::ALL
        .into_iter()
        .flat_map(|family| {
            found.sets.keys().filter_map(move |set| {
                let (base, length) = parts(set);
                let length = length.unwrap_or(full_length(family));
                (base == names.set(family)).then_some((family, length))
            })
        })
        .collect();
    let mut all = JailPackets::default();
    for rule in shape::jail(names, block, &lengths).body {
        let Some((family, counted)) = shape::counts(&rule.text) else { continue };
        let Some(packets) = counts.get(&(names.chain.clone(), rule.comment)) else { continue };
        let of = match family {
            Family::V4 => &mut all.v4,
            Family::V6 => &mut all.v6,
        };
        add(of, counted, *packets);
    }
    all
}

fn add(to: &mut Packets, counted: Counted, packets: u64) {
    let sum = match counted {
        Counted::Refused => &mut to.refused,
        Counted::ReplyDropped => &mut to.replies_dropped,
        Counted::Passed => &mut to.passed,
    };
    *sum = sum.saturating_add(packets);
}
