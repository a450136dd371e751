//! Which rules a jail needs: the whole of what guard ever writes into a table.
//!
//! Invariant: every text in here is spelled as `iptables-save` prints it, is
//! made of checked names, numbers and parsed addresses only, and bears the mark.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::{BlockRules, BlockType, Chain, Network, PortRange, Ports, Protocol};

use super::names::Family;

const MARKED: &str = "-m comment --comment guard";

/// A chain of guard's, as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedChain {
    /// Its name.
    pub(crate) name: String,
    /// Its rules, block by block; within a block the order does not matter.
    pub(crate) body: Vec<Vec<String>>,
    /// The jumps to it: the chain that has it, and the rule.
    pub(crate) jumps: Vec<(String, String)>,
}

/// How a chain knows who is banned.
pub(crate) enum Who<'a> {
    /// By a set of this name.
    Set(&'a str),
    /// By a rule for each of these.
    Rules(&'a [Network]),
}

/// The body of a jail's chain.
///
/// Replies come first: what the service sends to a banned client is dropped,
/// and replies to what containers opened themselves return, so that a ban never
/// cuts a container off from a server that it uses. Only what is ESTABLISHED is
/// dropped: the refusal that REJECT itself sends passes OUTPUT as RELATED, and a
/// client of the host's own services would wait instead of being refused.
///
/// On INPUT neighbour discovery (RFC 4861) is let by: a neighbour whose solicitations
/// are refused can't be answered either, and would wait in silence, also for a while
/// after his ban.
pub(crate) fn body(family: Family, block: &BlockRules, who: &Who<'_>) -> Vec<Vec<String>> {
    let block_type = block.block_type;
    let neighbours = if family == Family::V6 && block.chains.contains(&Chain::Input) {
        [135, 136].map(neighbour_rule).to_vec()
    } else {
        Vec::new()
    };
    let replies = format!("-m conntrack --ctdir REPLY {MARKED} -j RETURN");
    let rest = format!("{MARKED} -j RETURN");
    match who {
        Who::Set(set) => {
            let mut body = vec![
                vec![format!(
                    "-m conntrack --ctstate ESTABLISHED --ctdir REPLY -m set --match-set {set} dst {MARKED} -j DROP"
                )],
                vec![replies],
                neighbours,
            ];
            for (protocol, verdict) in verdicts(family, block_type) {
                body.push(vec![format!(
                    "{protocol}-m set --match-set {set} src {MARKED} -j {verdict}"
                )]);
            }
            body.push(vec![rest]);
            body
        }
        Who::Rules(networks) => vec![
            networks.iter().map(|network| reply_rule(*network)).collect(),
            vec![replies],
            neighbours,
            networks.iter().flat_map(|network| refusals(*network, block_type)).collect(),
            vec![rest],
        ],
    }
}

/// One restore's lines that add and remove single bans in a chain whose rules
/// are whole. The last rule is taken out and put back after the new ones: no
/// counting of positions, which another program could have moved.
pub(crate) fn ban_lines(
    chain: &str,
    block_type: BlockType,
    add: &[Network],
    remove: &[Network],
) -> Vec<String> {
    let mut lines = Vec::with_capacity(2 * (add.len() + remove.len()) + 2);
    for network in remove {
        lines.push(format!("-D {chain} {}", reply_rule(*network)));
        lines.extend(refusals(*network, block_type).map(|rule| format!("-D {chain} {rule}")));
    }
    if add.is_empty() {
        return lines;
    }
    lines.push(format!("-D {chain} {MARKED} -j RETURN"));
    for network in add {
        lines.push(format!("-I {chain} 1 {}", reply_rule(*network)));
        lines.extend(refusals(*network, block_type).map(|rule| format!("-A {chain} {rule}")));
    }
    lines.push(format!("-A {chain} {MARKED} -j RETURN"));
    lines
}

/// The jumps to a jail's chain. `docker_hook` is the chain in which forwarded
/// traffic is caught in this family; `None`: there is none now.
pub(crate) fn jumps(
    chain: &str,
    block: &BlockRules,
    docker_hook: Option<&str>,
) -> Vec<(String, String)> {
    let mut jumps = Vec::new();
    for place in &block.chains {
        match place {
            Chain::DockerUser => {
                let Some(hook) = docker_hook else { continue };
                // The port that the client used: here DNAT has already happened.
                for matches in port_matches(&block.ports, |protocol, ports| {
                    format!("-p {protocol} -m conntrack --ctorigdstport {ports} ")
                }) {
                    jumps.push((hook.to_owned(), jump(&matches, chain)));
                }
            }
            Chain::Input => {
                for (hook, side) in [("INPUT", "dport"), ("OUTPUT", "sport")] {
                    for matches in port_matches(&block.ports, |protocol, ports| {
                        format!("-p {protocol} -m {protocol} --{side} {ports} ")
                    }) {
                        jumps.push((hook.to_owned(), jump(&matches, chain)));
                    }
                }
            }
        }
    }
    jumps
}

fn jump(matches: &str, chain: &str) -> String {
    format!("{matches}{MARKED} -j {chain}")
}

fn port_matches(ports: &Ports, write: impl Fn(Protocol, PortRange) -> String) -> Vec<String> {
    match ports {
        Ports::All => vec![String::new()],
        Ports::Some(ports) => {
            ports.iter().map(|(protocol, range)| write(*protocol, *range)).collect()
        }
    }
}

/// Lets a type of ICMPv6 by.
fn neighbour_rule(kind: u8) -> String {
    format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind} {MARKED} -j RETURN")
}

fn reply_rule(network: Network) -> String {
    format!(
        "-d {} -m conntrack --ctstate ESTABLISHED --ctdir REPLY {MARKED} -j DROP",
        with_length(network)
    )
}

fn refusals(network: Network, block_type: BlockType) -> impl Iterator<Item = String> {
    let source = with_length(network);
    verdicts(Family::of(network), block_type)
        .into_iter()
        .map(move |(protocol, verdict)| format!("-s {source} {protocol}{MARKED} -j {verdict}"))
}

/// A network as `iptables-save` prints it, always with its length.
fn with_length(network: Network) -> String {
    format!("{}/{}", network.address(), network.length())
}

/// The protocol match and the verdict of each rule that refuses.
fn verdicts(family: Family, block_type: BlockType) -> Vec<(&'static str, &'static str)> {
    let plain = match family {
        Family::V4 => "REJECT --reject-with icmp-port-unreachable",
        Family::V6 => "REJECT --reject-with icmp6-port-unreachable",
    };
    match block_type {
        BlockType::Drop => vec![("", "DROP")],
        BlockType::Reject => vec![("", plain)],
        // A reset answers TCP only.
        BlockType::TcpReset => vec![("-p tcp ", "REJECT --reject-with tcp-reset"), ("", plain)],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn block(chains: &[Chain], ports: Ports) -> BlockRules {
        BlockRules {
            chains: chains.iter().copied().collect(),
            ports,
            block_type: BlockType::Reject,
        }
    }

    fn all(block_type: BlockType) -> BlockRules {
        BlockRules { block_type, ..block(&[Chain::DockerUser], Ports::All) }
    }

    fn ports(list: &[(Protocol, u16, u16)]) -> Ports {
        let range = |first, last| PortRange::new(first, last).unwrap();
        Ports::Some(
            list.iter().map(|(p, first, last)| (*p, range(*first, *last))).collect::<BTreeSet<_>>(),
        )
    }

    #[test]
    fn the_body_with_a_set() {
        let body = body(Family::V4, &all(BlockType::Reject), &Who::Set("f2b4-web"));
        assert_eq!(
            body.concat(),
            [
                "-m conntrack --ctstate ESTABLISHED --ctdir REPLY -m set --match-set f2b4-web dst -m comment --comment guard -j DROP",
                "-m conntrack --ctdir REPLY -m comment --comment guard -j RETURN",
                "-m set --match-set f2b4-web src -m comment --comment guard -j REJECT --reject-with icmp-port-unreachable",
                "-m comment --comment guard -j RETURN",
            ]
        );
    }

    #[test]
    fn neighbour_discovery_passes_before_the_refusals_on_input() {
        let input = block(&[Chain::Input], Ports::All);
        let lines = body(Family::V6, &input, &Who::Set("f2b6-web")).concat();
        assert_eq!(
            lines[2..4],
            [135, 136].map(|kind| format!(
                "-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -m comment --comment guard -j RETURN"
            ))
        );
        assert!(lines[4].ends_with("icmp6-port-unreachable"));
        assert_eq!(body(Family::V4, &input, &Who::Set("f2b4-web")).concat().len(), 4);
    }

    #[test]
    fn a_reset_is_two_rules() {
        let body = body(Family::V6, &all(BlockType::TcpReset), &Who::Set("f2b6-web")).concat();
        assert_eq!(body.len(), 5);
        assert_eq!(
            body[2],
            "-p tcp -m set --match-set f2b6-web src -m comment --comment guard -j REJECT --reject-with tcp-reset"
        );
        assert!(body[3].ends_with("icmp6-port-unreachable"));
    }

    #[test]
    fn the_body_with_a_rule_for_each_ban() {
        let banned = ["192.0.2.7".parse().unwrap(), "198.51.100.0/24".parse().unwrap()];
        let body = body(Family::V4, &all(BlockType::Drop), &Who::Rules(&banned));
        assert_eq!(
            body.concat(),
            [
                "-d 192.0.2.7/32 -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment guard -j DROP",
                "-d 198.51.100.0/24 -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment guard -j DROP",
                "-m conntrack --ctdir REPLY -m comment --comment guard -j RETURN",
                "-s 192.0.2.7/32 -m comment --comment guard -j DROP",
                "-s 198.51.100.0/24 -m comment --comment guard -j DROP",
                "-m comment --comment guard -j RETURN",
            ]
        );
    }

    #[test]
    fn jumps_by_the_port_the_client_used() {
        let check = |block: &BlockRules, hook: Option<&str>, wanted: &[(&str, &str)]| {
            let found = jumps("f2b-web", block, hook);
            let found: Vec<(&str, &str)> =
                found.iter().map(|(hook, rule)| (hook.as_str(), rule.as_str())).collect();
            assert_eq!(found, wanted);
        };
        let two = ports(&[(Protocol::Tcp, 8080, 8080), (Protocol::Udp, 50, 60)]);
        check(
            &block(&[Chain::DockerUser], two),
            Some("FORWARD"),
            &[
                (
                    "FORWARD",
                    "-p tcp -m conntrack --ctorigdstport 8080 -m comment --comment guard -j f2b-web",
                ),
                (
                    "FORWARD",
                    "-p udp -m conntrack --ctorigdstport 50:60 -m comment --comment guard -j f2b-web",
                ),
            ],
        );
        check(
            &block(&[Chain::Input], ports(&[(Protocol::Tcp, 22, 22)])),
            None,
            &[
                ("INPUT", "-p tcp -m tcp --dport 22 -m comment --comment guard -j f2b-web"),
                ("OUTPUT", "-p tcp -m tcp --sport 22 -m comment --comment guard -j f2b-web"),
            ],
        );
        check(&block(&[Chain::DockerUser], Ports::All), None, &[]);
        check(
            &block(&[Chain::DockerUser], Ports::All),
            Some("DOCKER-USER"),
            &[("DOCKER-USER", "-m comment --comment guard -j f2b-web")],
        );
    }
}
