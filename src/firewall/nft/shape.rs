//! Which chains, rules and sets a jail needs in guard's own table: the whole of what
//! guard ever writes into nftables.
//!
//! Single addresses and the prefixes of each length have a plain hash set of their
//! own, into which packets' addresses are looked up masked: sets of intervals would
//! refuse an address inside a banned prefix, and grow slow with their size.
//!
//! Invariant: every text in here is made of checked names, numbers and parsed
//! addresses only. A rule's comment is `guard` and a hash of its text, by which it
//! is known again without reading nf_tables' own byte code.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::names::{Family, Names, fnv1a};
use crate::firewall::rules::MARK;
use crate::model::{BlockRules, BlockType, Chain, PortRange, Ports, Protocol};

/// guard's base chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hook {
    /// Traffic to containers.
    Forward,
    /// Traffic to the host itself.
    Input,
    /// Its replies.
    Output,
}

impl Hook {
    /// All of them.
    pub(super) const ALL: [Hook; 3] = [Hook::Forward, Hook::Input, Hook::Output];

    /// The chain's name, which is also the hook's.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Hook::Forward => "forward",
            Hook::Input => "input",
            Hook::Output => "output",
        }
    }

    /// As netfilter counts them.
    pub(super) fn number(self) -> u32 {
        match self {
            Hook::Input => 1,
            Hook::Forward => 2,
            Hook::Output => 3,
        }
    }
}

/// Before Docker's chains, whose priority is 0. (Later would do as well: nftables'
/// accept ends one chain's work only, while a drop is the end.)
pub(super) const PRIORITY: i32 = -5;

/// A rule as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// What it says, without its comment.
    pub(super) text: String,
    /// Its comment.
    pub(super) comment: String,
}

impl Rule {
    fn new(text: String) -> Rule {
        let comment = format!("{MARK} {:08x}", fnv1a(&text, 0));
        Rule { text, comment }
    }
}

/// Is it the comment of one of guard's rules?
pub(super) fn is_mark(comment: &str) -> bool {
    comment == MARK || comment.strip_prefix(MARK).is_some_and(|rest| rest.starts_with(' '))
}

/// A set as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// Its name.
    pub(super) name: String,
    /// Whose addresses it holds.
    pub(super) family: Family,
}

/// All that a jail needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Jail {
    /// Its chain.
    pub(super) chain: String,
    /// That chain's rules, in their order.
    pub(super) body: Vec<Rule>,
    /// The jumps to it.
    pub(super) jumps: Vec<(Hook, Rule)>,
    /// Its sets.
    pub(super) sets: Vec<Set>,
}

/// What a jail needs whose sets hold networks of these families and lengths.
pub(super) fn jail(names: &Names, block: &BlockRules, lengths: &[(Family, u8)]) -> Jail {
    let sets = lengths.iter().map(|(family, length)| Set {
        name: set_name(names.set(*family), *family, *length),
        family: *family,
    });
    Jail {
        chain: names.chain.clone(),
        body: body(names, block, lengths),
        jumps: jumps(&names.chain, block),
        sets: sets.collect(),
    }
}

/// The length of a family's single addresses.
pub(super) fn full_length(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

/// The name of the set for networks of one length. No jail's name has a slash in it,
/// so that it is never another jail's.
pub(super) fn set_name(base: &str, family: Family, length: u8) -> String {
    if length == full_length(family) { base.to_owned() } else { format!("{base}/{length}") }
}

/// The two parts of such a name; without a length: single addresses.
pub(super) fn parts(set: &str) -> (&str, Option<u8>) {
    match set.split_once('/').map(|(base, length)| (base, length.parse())) {
        Some((base, Ok(length))) => (base, Some(length)),
        _ => (set, None),
    }
}

const V4: &str = "ipv4";
const V6: &str = "ipv6";

/// Neighbour solicitation and advertisement, as in the iptables backends.
const NEIGHBOUR_DISCOVERY: &str = "135-136";

/// What a rule of a jail's chain counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Packets of banned clients.
    Refused,
    /// Packets to them.
    ReplyDropped,
    /// Those of everybody else.
    Passed,
}

fn family_protocol(family: Family) -> &'static str {
    match family {
        Family::V4 => V4,
        Family::V6 => V6,
    }
}

/// Replies come first, as in the iptables backends: see `shape::body` there. What is
/// let by is counted by family.
fn body(names: &Names, block: &BlockRules, lengths: &[(Family, u8)]) -> Vec<Rule> {
    let mut body = Vec::with_capacity(3 * lengths.len() + 5);
    let families: BTreeSet<&str> =
        lengths.iter().map(|(family, _)| family_protocol(*family)).collect();
    for (family, length) in lengths {
        let to = matches(names, *family, *length, "daddr");
        body.push(format!("ct state established ct direction reply {to} counter drop"));
    }
    for protocol in &families {
        body.push(format!("ct direction reply meta nfproto {protocol} counter return"));
    }
    if block.chains.contains(&Chain::Input) && families.contains(V6) {
        body.push(format!("icmpv6 type {NEIGHBOUR_DISCOVERY} counter return"));
    }
    for (family, length) in lengths {
        let from = matches(names, *family, *length, "saddr");
        body.extend(
            verdicts(block.block_type)
                .iter()
                .map(|(protocol, verdict)| format!("{from} {protocol}counter {verdict}")),
        );
    }
    for protocol in &families {
        body.push(format!("meta nfproto {protocol} counter return"));
    }
    body.into_iter().map(Rule::new).collect()
}

/// What the packets are that a rule of a jail's chain counts, by the rule's text.
pub(super) fn counts(text: &str) -> Option<(Family, Counted)> {
    let text = text.strip_prefix("ct state established ").unwrap_or(text);
    // Names of sets are in it, too: they have no blanks.
    let of_v6 = ["ip6 saddr ", "ip6 daddr ", "nfproto ipv6 "];
    let is_v6 = text.starts_with("icmpv6 ") || of_v6.iter().any(|word| text.contains(word));
    let family = if is_v6 { Family::V6 } else { Family::V4 };
    let (what, verdict) = text.rsplit_once(" counter ")?;
    let counted = match verdict {
        "return" => Counted::Passed,
        "drop" if what.starts_with("ct direction reply ") => Counted::ReplyDropped,
        _ => Counted::Refused,
    };
    Some((family, counted))
}

fn matches(names: &Names, family: Family, length: u8, side: &str) -> String {
    let protocol = match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let set = set_name(names.set(family), family, length);
    if length == full_length(family) {
        return format!("{protocol} {side} @{set}");
    }
    format!("{protocol} {side} & {} @{set}", mask(family, length))
}

fn mask(family: Family, length: u8) -> IpAddr {
    let length = u32::from(length);
    match family {
        Family::V4 => Ipv4Addr::from(!u32::MAX.checked_shr(length).unwrap_or(0)).into(),
        Family::V6 => Ipv6Addr::from(!u128::MAX.checked_shr(length).unwrap_or(0)).into(),
    }
}

/// The protocol match and the verdict of each rule that refuses.
fn verdicts(block_type: BlockType) -> &'static [(&'static str, &'static str)] {
    const PLAIN: (&str, &str) = ("", "reject with icmpx type port-unreachable");
    match block_type {
        BlockType::Drop => &[("", "drop")],
        BlockType::Reject => &[PLAIN],
        // A reset answers TCP only.
        BlockType::TcpReset => &[("meta l4proto tcp ", "reject with tcp reset"), PLAIN],
    }
}

fn jumps(chain: &str, block: &BlockRules) -> Vec<(Hook, Rule)> {
    let mut jumps = Vec::new();
    let mut add = |hook: Hook, texts: Vec<String>| {
        let rule = |text: String| (hook, Rule::new(format!("{text}jump {chain}")));
        jumps.extend(texts.into_iter().map(rule));
    };
    for place in &block.chains {
        match place {
            // The port that the client used: here DNAT has already happened.
            Chain::DockerUser => add(
                Hook::Forward,
                port_matches(&block.ports, |protocol, ports| {
                    format!("meta l4proto {protocol} ct original proto-dst {ports} ")
                }),
            ),
            Chain::Input => {
                for (hook, side) in [(Hook::Input, "dport"), (Hook::Output, "sport")] {
                    add(
                        hook,
                        port_matches(&block.ports, |protocol, ports| {
                            format!("{protocol} {side} {ports} ")
                        }),
                    );
                }
            }
        }
    }
    jumps
}

fn port_matches(ports: &Ports, write: impl Fn(Protocol, String) -> String) -> Vec<String> {
    let text = |range: &PortRange| match (range.first(), range.last()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    match ports {
        Ports::All => vec![String::new()],
        Ports::Some(ports) => {
            ports.iter().map(|(protocol, range)| write(*protocol, text(range))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jails_name_does_not_say_what_its_rules_count() {
        for name in ["web-ipv6", "counter", "ip6", "icmpv6", "drop"] {
            let names = Names::new(&name.parse().unwrap(), 0);
            let block = BlockRules {
                chains: [Chain::DockerUser].into(),
                ports: Ports::All,
                block_type: BlockType::Drop,
            };
            let body = jail(&names, &block, &[(Family::V4, 32)]).body;
            let counted: Vec<_> = body.iter().map(|rule| counts(&rule.text).unwrap()).collect();
            let wanted =
                [Counted::ReplyDropped, Counted::Passed, Counted::Refused, Counted::Passed];
            assert_eq!(counted, wanted.map(|what| (Family::V4, what)), "{name}");
        }
    }

    fn texts(block_type: BlockType, chains: &[Chain], ports: Ports) -> (Vec<String>, Vec<String>) {
        let names = Names::new(&"web".parse().unwrap(), 0);
        let block = BlockRules { chains: chains.iter().copied().collect(), ports, block_type };
        let lengths = [(Family::V4, 32), (Family::V4, 24), (Family::V6, 128), (Family::V6, 56)];
        let jail = jail(&names, &block, &lengths);
        let sets: Vec<&str> = jail.sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(sets, ["f2b4-web", "f2b4-web/24", "f2b6-web", "f2b6-web/56"]);
        let jumps =
            jail.jumps.iter().map(|(hook, rule)| format!("{} {}", hook.as_str(), rule.text));
        (jail.body.iter().map(|rule| rule.text.clone()).collect(), jumps.collect())
    }

    #[test]
    fn a_jail_for_containers() {
        let range = |first, last| PortRange::new(first, last).unwrap();
        let ports = Ports::Some(
            [(Protocol::Tcp, range(8080, 8080)), (Protocol::Udp, range(50, 60))].into(),
        );
        let (body, jumps) = texts(BlockType::TcpReset, &[Chain::DockerUser], ports);
        assert_eq!(
            body,
            [
                "ct state established ct direction reply ip daddr @f2b4-web counter drop",
                "ct state established ct direction reply ip daddr & 255.255.255.0 @f2b4-web/24 counter drop",
                "ct state established ct direction reply ip6 daddr @f2b6-web counter drop",
                "ct state established ct direction reply ip6 daddr & ffff:ffff:ffff:ff00:: @f2b6-web/56 counter drop",
                "ct direction reply meta nfproto ipv4 counter return",
                "ct direction reply meta nfproto ipv6 counter return",
                "ip saddr @f2b4-web meta l4proto tcp counter reject with tcp reset",
                "ip saddr @f2b4-web counter reject with icmpx type port-unreachable",
                "ip saddr & 255.255.255.0 @f2b4-web/24 meta l4proto tcp counter reject with tcp reset",
                "ip saddr & 255.255.255.0 @f2b4-web/24 counter reject with icmpx type port-unreachable",
                "ip6 saddr @f2b6-web meta l4proto tcp counter reject with tcp reset",
                "ip6 saddr @f2b6-web counter reject with icmpx type port-unreachable",
                "ip6 saddr & ffff:ffff:ffff:ff00:: @f2b6-web/56 meta l4proto tcp counter reject with tcp reset",
                "ip6 saddr & ffff:ffff:ffff:ff00:: @f2b6-web/56 counter reject with icmpx type port-unreachable",
                "meta nfproto ipv4 counter return",
                "meta nfproto ipv6 counter return",
            ]
        );
        assert_eq!(
            jumps,
            [
                "forward meta l4proto tcp ct original proto-dst 8080 jump f2b-web",
                "forward meta l4proto udp ct original proto-dst 50-60 jump f2b-web",
            ]
        );
    }

    #[test]
    fn a_jail_for_the_host() {
        let port = PortRange::new(22, 22).unwrap();
        let ports = Ports::Some([(Protocol::Tcp, port)].into());
        let (body, jumps) = texts(BlockType::Drop, &[Chain::Input], ports);
        assert_eq!(body[6], "icmpv6 type 135-136 counter return");
        assert_eq!(body[7], "ip saddr @f2b4-web counter drop");
        assert_eq!(jumps, ["input tcp dport 22 jump f2b-web", "output tcp sport 22 jump f2b-web"]);
        let (_, jumps) = texts(BlockType::Drop, &[Chain::Input, Chain::DockerUser], Ports::All);
        assert_eq!(jumps, ["forward jump f2b-web", "input jump f2b-web", "output jump f2b-web"]);
    }

    #[test]
    fn every_rule_says_what_it_counts() {
        use Counted::{Passed, Refused, ReplyDropped};
        let (body, jumps) = texts(BlockType::Reject, &[Chain::Input], Ports::All);
        let counted: Vec<_> = body.iter().map(|text| counts(text).unwrap()).collect();
        let (v4, v6) = (|what| (Family::V4, what), |what| (Family::V6, what));
        let drops = [v4(ReplyDropped), v4(ReplyDropped), v6(ReplyDropped), v6(ReplyDropped)];
        assert_eq!(counted[..4], drops);
        assert_eq!(counted[4..7], [v4(Passed), v6(Passed), v6(Passed)]);
        assert_eq!(counted[7..11], [v4(Refused), v4(Refused), v6(Refused), v6(Refused)]);
        assert_eq!(counted[11..], [v4(Passed), v6(Passed)]);
        assert!(jumps.iter().all(|jump| counts(jump).is_none()));
    }

    #[test]
    fn names_of_sets_come_apart_again() {
        assert_eq!(parts("f2b4-web"), ("f2b4-web", None));
        assert_eq!(parts("f2b4-web-24"), ("f2b4-web-24", None));
        assert_eq!(parts("f2b4-web/24"), ("f2b4-web", Some(24)));
        assert_eq!(parts("f2b4-web/x"), ("f2b4-web/x", None));
    }

    #[test]
    fn a_comment_tells_rules_apart() {
        let rule = |text: &str| Rule::new(text.to_owned()).comment;
        assert_ne!(rule("jump f2b-a"), rule("jump f2b-b"));
        assert!(is_mark(&rule("jump f2b-a")) && is_mark("guard"));
        assert!(!is_mark("guards") && !is_mark("") && !is_mark("safeguard 1"));
    }
}
