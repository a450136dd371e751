//! Failures that do not count because of whose address they bear, and what that
//! means: often the log shows Docker's gateway or a proxy in the place of the client.
//!
//! What is kept is bounded, and what is told grows with the logarithm of what
//! happened: an ignored address can fail as fast as it likes.

use hashlink::LinkedHashMap;

use super::ignore::{Exempt, Why};
use crate::model::{Network, Timestamp};

/// Addresses a jail keeps apart, of those that hide clients and of the others.
const ROOM: usize = 16;

/// Clients whose failures all bear the same address, which is not theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenClients {
    /// The address in the log.
    pub network: Network,
    /// Whose it is.
    pub exempt: Exempt,
    /// Failures with it since guard was started.
    pub count: u64,
    /// When the last of them was seen.
    pub last: Timestamp,
}

impl HiddenClients {
    /// What is wrong, in a sentence for people.
    pub fn what(&self) -> String {
        format!(
            "failures come from {}, which is {}: the real client's address is hidden, so nobody can be banned",
            self.network, self.exempt
        )
    }

    /// What to do about it.
    pub fn cure(&self) -> String {
        match &self.exempt.why {
            Why::Gateway(name) => format!(
                "Docker passes the traffic on and the service sees only its gateway. If that happens to IPv6 clients: \
                 give the network {name} IPv6 (enable_ipv6: true), or set \"userland-proxy\": false in daemon.json. If \
                 it happens to every client and Docker is rootless: use a port driver that keeps addresses (pasta, \
                 slirp4netns). Programs on this host itself always appear so"
            ),
            Why::Container(name) => format!(
                "another container of the network {name} is in front, most often a reverse proxy. Let the service \
                 log the client's address that the proxy passes on (X-Forwarded-For or PROXY protocol, with the proxy as \
                 the only trusted one), or give the labels to the proxy. To ban containers themselves, set \
                 GUARD_IGNOREDOCKER=false"
            ),
            Why::Ingress => "Swarm's routing mesh replaces the client's address. Publish the port with mode: host, or \
                             put a load balancer in front that speaks PROXY protocol to the service"
                .to_owned(),
            Why::Special
            | Why::Own
            | Why::Settings(_)
            | Why::Jail(_)
            | Why::TooWide => "nothing: these addresses are left alone on purpose".to_owned(),
        }
    }
}

/// Failures that did not count, by address: those seen last, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Tally {
    total: u64,
    seen: LinkedHashMap<Network, HiddenClients>,
}

impl Tally {
    /// Notes one more, and says whether it is worth telling: the first, tenth,
    /// hundredth, … of an address; where there are more addresses than are kept,
    /// the tenth, hundredth, … of all.
    pub(super) fn note(&mut self, now: Timestamp, network: Network, exempt: Exempt) -> bool {
        self.total = self.total.saturating_add(1);
        if let Some(known) = self.seen.to_back(&network) {
            known.count = known.count.saturating_add(1);
            known.last = now;
            known.exempt = exempt;
            return is_power_of_ten(known.count);
        }
        let is_full = self.seen.len() >= ROOM;
        if is_full {
            self.seen.pop_front();
        }
        self.seen.insert(network, HiddenClients { network, exempt, count: 1, last: now });
        !is_full || is_power_of_ten(self.total)
    }

    /// How many there were.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The addresses, the one seen last first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &HiddenClients> {
        self.seen.values().rev()
    }

    /// Forgets the addresses of which `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(Network) -> bool) {
        self.seen.retain(|network, _| keep(*network));
    }
}

pub(super) fn is_power_of_ten(mut count: u64) -> bool {
    while count > 1 && count.is_multiple_of(10) {
        count /= 10;
    }
    count == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exempt() -> Exempt {
        Exempt { entry: "10.0.0.0/8".parse().unwrap(), why: Why::Container("web".into()) }
    }

    fn net(number: u8) -> Network {
        format!("10.0.0.{number}").parse().unwrap()
    }

    #[test]
    fn each_kind_of_hiding_has_its_cure() {
        let check = |why: Why, what: &str, cure: &str| {
            let exempt = Exempt { why, ..exempt() };
            let last = Timestamp::UNIX_EPOCH;
            let hidden = HiddenClients { network: net(1), exempt, count: 1, last };
            assert!(hidden.exempt.why.hides_clients());
            assert!(hidden.what().contains(what), "{}", hidden.what());
            assert!(hidden.cure().contains(cure), "{}", hidden.cure());
        };
        check(Why::Gateway("web".into()), "the gateway of the Docker network web", "enable_ipv6");
        check(Why::Gateway("web".into()), "10.0.0.1", "rootless");
        check(Why::Container("web".into()), "in the Docker network web", "X-Forwarded-For");
        check(Why::Ingress, "Swarm's ingress", "mode: host");
    }

    #[test]
    fn tells_at_powers_of_ten() {
        let mut tally = Tally::default();
        let told: Vec<u32> =
            (1..=1000).filter(|_| tally.note(Timestamp::UNIX_EPOCH, net(1), exempt())).collect();
        assert_eq!(told, [1, 10, 100, 1000]);
    }

    #[test]
    fn ever_new_addresses_neither_flood_nor_fill() {
        let mut tally = Tally::default();
        let told: Vec<u32> = (1..=1000u32)
            .filter(|number| tally.note(Timestamp::UNIX_EPOCH, net((number % 250) as u8), exempt()))
            .collect();
        let expected: Vec<u32> = (1..=16).chain([100, 1000]).collect();
        assert_eq!(told, expected);
        assert_eq!(tally.iter().count(), ROOM);
        assert_eq!(tally.iter().next().map(|hidden| hidden.network), Some(net(0)));
        assert_eq!(tally.total(), 1000);
    }
}
