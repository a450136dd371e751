//! (pure) Why a banned address still reaches its service: the likeliest cause,
//! and what to do about it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::control::protocol::Options;
use crate::firewall::{JailPackets, Status};
use crate::model::{JailName, Network};

/// What is known of a jail when one of its bans does not work.
pub(crate) struct Evidence<'a> {
    pub(crate) jail: &'a JailName,
    pub(crate) options: &'a Options,
    pub(crate) firewall: &'a Status,
    /// `None`: they could not be read.
    pub(crate) packets: Option<JailPackets>,
}

impl Evidence<'_> {
    /// In a sentence for people, without the full stop.
    pub(crate) fn cause(&self, network: Network) -> String {
        if let Some(problem) = self.problem() {
            return format!("the firewall is not in order: {problem}");
        }
        let ports = self.options.port.join(" ");
        let some_ports = ports != "all";
        let chains = self.options.chain.join(" and ");
        let Some(packets) = self.packets else {
            return "the packets of its rules can't be counted; see guard's log".to_owned();
        };
        let packets = if network.is_ipv6() { packets.v6 } else { packets.v4 };
        if packets.seen() == 0 {
            let on = if some_ports { format!(" for {ports}") } else { String::new() };
            return format!(
                "no packet{on} has come by the jail's rules in {chains} since they were written, so the \
                 service is reached another way (guard.chain: INPUT for what this host itself or \
                 docker-proxy takes on), or by other ports"
            );
        }
        if packets.refused > 0 && some_ports {
            return format!(
                "packets of banned clients are refused on {ports}, so it most likely comes by another \
                 port: set guard.port to all"
            );
        }
        let ports = if some_ports {
            format!(", or it comes by another port than {ports}")
        } else {
            String::new()
        };
        format!(
            "packets come by the jail's rules, but not from this address: most likely a proxy in front \
             passed it on (X-Forwarded-For), and the packets have the proxy's address{ports}. Ban at \
             the proxy: give it the labels, or guard.port: published:PROXY where it runs on this host"
        )
    }

    fn problem(&self) -> Option<&String> {
        let jail = self.firewall.jails.get(self.jail);
        jail.into_iter().flat_map(|jail| &jail.problems).chain(&self.firewall.problems).next()
    }
}

/// The whole sentence.
pub(crate) fn sentence(network: Network, cause: &str) -> String {
    format!("{network} is banned, but still reaches it: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::{JailStatus, Packets};
    use crate::model::BanTime;

    #[test]
    fn the_likeliest_cause_is_told() {
        let jail: JailName = "web".parse().unwrap();
        let check = |port: &str, packets: Option<Packets>, problem: bool, words: &str| {
            let options = Options {
                maxretry: 5,
                findtime: 600,
                bantime: BanTime::Forever,
                ignoreip: vec![],
                port: vec![port.to_owned()],
                chain: vec!["DOCKER-USER".to_owned()],
                blocktype: "reject".to_owned(),
                dryrun: false,
            };
            let problems = if problem { vec!["set f2b4-web is full".to_owned()] } else { vec![] };
            let status = JailStatus { problems, ..JailStatus::default() };
            let firewall = Status { jails: [(jail.clone(), status)].into(), ..Status::default() };
            let packets = packets.map(|v4| JailPackets { v4, ..JailPackets::default() });
            let evidence =
                Evidence { jail: &jail, options: &options, firewall: &firewall, packets };
            let cause = evidence.cause("192.0.2.1".parse().unwrap());
            assert!(cause.contains(words), "{cause}");
        };
        let none = Packets::default();
        let passing = Packets { passed: 9, ..none };
        let refusing = Packets { refused: 3, ..passing };
        check("all", Some(refusing), true, "not in order: set f2b4-web is full");
        check("all", Some(none), false, "no packet has come by the jail's rules in DOCKER-USER");
        check("tcp/80", Some(none), false, "no packet for tcp/80 has come");
        check("tcp/80", Some(refusing), false, "another port: set guard.port to all");
        check("tcp/80", Some(passing), false, "or it comes by another port than tcp/80");
        check("all", Some(passing), false, "passed it on (X-Forwarded-For)");
        check("all", Some(refusing), false, "passed it on (X-Forwarded-For)");
        check("all", None, false, "can't be counted");
    }
}
