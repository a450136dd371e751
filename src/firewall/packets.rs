//! How many packets came by each jail's rules: the proof that a ban is where the
//! packets are. Read on demand, from `iptables-save -c` or by netlink.

use std::collections::BTreeMap;

use crate::model::JailName;

use super::iptables;
use super::keeper::{Backend, Keeper};
use super::names::Family;
use super::rules::{Rule, Target};

/// The packets that came to a jail's chain since guard last wrote its rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// From banned clients, and refused.
    pub refused: u64,
    /// To banned clients, in connections that they had opened, and dropped.
    pub replies_dropped: u64,
    /// Of everybody else.
    pub passed: u64,
}

impl Packets {
    /// All that came to the chain.
    pub fn seen(self) -> u64 {
        self.refused.saturating_add(self.replies_dropped).saturating_add(self.passed)
    }
}

/// A jail's packets, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JailPackets {
    /// IPv4's.
    pub v4: Packets,
    /// IPv6's.
    pub v6: Packets,
}

impl Keeper {
    /// The packets of each jail, as far as they can be read.
    pub(crate) fn packets(&mut self) -> BTreeMap<JailName, JailPackets> {
        if matches!(self.backend, Some(Backend::Nftables(_))) {
            return self.nft_packets();
        }
        let mut all: BTreeMap<JailName, JailPackets> = BTreeMap::new();
        for family in Family::ALL {
            let Some(kind) = self.families[family as usize].kind else { continue };
            let listing = match iptables::save_with_counters(family, kind) {
                Ok(listing) => listing,
                Err(error) => {
                    tracing::debug!("{}: packets can't be counted: {error}", family.as_str());
                    continue;
                }
            };
            let counted = count(&listing);
            for (name, placed) in &self.placed {
                let Some(packets) = counted.get(placed.names.chain.as_str()) else { continue };
                let jail = all.entry(name.clone()).or_default();
                match family {
                    Family::V4 => jail.v4 = *packets,
                    Family::V6 => jail.v6 = *packets,
                }
            }
        }
        all
    }
}

/// The packets of each chain in which guard's rules are.
fn count(listing: &str) -> BTreeMap<&str, Packets> {
    let mut chains: BTreeMap<&str, Packets> = BTreeMap::new();
    for line in listing.lines() {
        let Some((chain, packets, rule)) = counted(line) else { continue };
        let Target::Jump(verdict) = &rule.target else { continue };
        let what: fn(&mut Packets) -> &mut u64 = match verdict.as_str() {
            "DROP" if rule.text.contains("--ctdir REPLY") => |so_far| &mut so_far.replies_dropped,
            "DROP" | "REJECT" => |so_far| &mut so_far.refused,
            "RETURN" => |so_far| &mut so_far.passed,
            _ => continue,
        };
        let what = what(chains.entry(chain).or_default());
        *what = what.saturating_add(packets);
    }
    chains
}

/// `[packets:bytes] -A CHAIN rule`, if the rule is guard's.
fn counted(line: &str) -> Option<(&str, u64, Rule)> {
    let (counters, rest) = line.strip_prefix('[')?.split_once("] -A ")?;
    let packets = counters.split_once(':')?.0.parse().ok()?;
    let (chain, text) = rest.split_once(' ')?;
    let rule = Rule::parse(text).filter(|rule| rule.marked)?;
    Some((chain, packets, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rules_packets_are_counted_as_what_they_are() {
        let listing = "*filter\n:INPUT ACCEPT [5:300]\n:f2b-web - [0:0]\n\
            [9:540] -A INPUT -m comment --comment guard -j f2b-web\n\
            [7:0] -A INPUT -j ACCEPT\n\
            [1:60] -A f2b-web -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m set --match-set f2b4-web dst -m comment --comment guard -j DROP\n\
            [2:60] -A f2b-web -m conntrack --ctdir REPLY -m comment --comment guard -j RETURN\n\
            [3:60] -A f2b-web -p tcp -m set --match-set f2b4-web src -m comment --comment guard -j REJECT --reject-with tcp-reset\n\
            [4:60] -A f2b-web -m set --match-set f2b4-web src -m comment --comment guard -j REJECT --reject-with icmp-port-unreachable\n\
            [5:60] -A f2b-web -m comment --comment guard -j RETURN\n\
            [8:60] -A f2b-web -j RETURN\n\
            [x:60] -A f2b-web -m comment --comment guard -j RETURN\nCOMMIT\n";
        let counted = count(listing);
        let web = Packets { refused: 7, replies_dropped: 1, passed: 7 };
        assert_eq!(counted, BTreeMap::from([("f2b-web", web)]));
        assert_eq!(web.seen(), 15);
    }
}
