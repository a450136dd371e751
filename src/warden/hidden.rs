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
        if self.exempt.why == Why::LiveSsh {
            return format!(
                "{} has failed often enough, but {} has a live SSH connection to this host and is not banned in INPUT",
                self.network, self.exempt.entry
            );
        }
        if let Why::Behind(proxy) = &self.exempt.why {
            let client = self.exempt.entry;
            return format!(
                "failures come from clients behind {proxy}, a proxy off this host, the last of {client}: their packets \
                 never come here, so the firewall can't keep them out and they are not banned"
            );
        }
        format!(
            "failures come from {}, which is {}: the real client's address is hidden, so nobody can be banned",
            self.network, self.exempt
        )
    }

    /// What to do about it.
    pub fn cure(&self) -> String {
        match &self.exempt.why {
            Why::Gateway { network, passed } => format!(
                "{}. If it is a reverse proxy on this host itself, outside Docker, that speaks to the service: \
                 GUARD_TRUSTED_PROXIES={}, and {LIST}",
                passed.cure(network),
                self.network
            ),
            Why::Container { network, container } => {
                let who = match container {
                    Some(name) => format!("the container {name}"),
                    None => format!("another container of the network {network}"),
                };
                format!(
                    "{who} is in front, most often a reverse proxy: {LIST}; or let the service itself take the address \
                     from it (X-Forwarded-For or PROXY protocol, with the proxy as the only trusted one). To ban \
                     containers themselves, set GUARD_IGNOREDOCKER=false"
                )
            }
            Why::Proxy => format!("it is a proxy that guard was told to trust: {LIST}"),
            Why::Behind(_) => "Ban at the proxy or CDN, or let it pass the connections on as they are".to_owned(),
            Why::LiveSsh => "It is banned when the connection ends, if the failures still count then; to ban at \
                             once, set GUARD_PROTECT_SSH=off"
                .to_owned(),
            Why::Ingress => "Swarm's routing mesh replaces the client's address. Publish the port with mode: host, or \
                             put a load balancer in front that speaks PROXY protocol to the service"
                .to_owned(),
            Why::Special
            | Why::Own
            | Why::Settings(_)
            | Why::Jail(_)
            | Why::LoggedIn(_)
            | Why::TooWide => "nothing: these addresses are left alone on purpose".to_owned(),
        }
    }
}

/// How the client's address comes into a jail with a proxy in front.
const LIST: &str = "let the service log the list that the proxy passes on, and take it in the failregex, such as \
                    ^<HOST> .* \"<FORWARDED>\"$";

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

    /// What the addresses are now; those that are nothing any more are forgotten. A
    /// container's name may be known only after its first failure.
    pub(super) fn refresh(&mut self, now: impl Fn(Network) -> Option<Exempt>) {
        self.seen.retain(|network, hidden| {
            let exempt = now(*network);
            let is_there = exempt.is_some();
            if let (Some(exempt), false) = (exempt, matches!(hidden.exempt.why, Why::Behind(_))) {
                hidden.exempt = exempt;
            }
            is_there
        });
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
    use super::super::around::Passed;
    use super::*;

    fn exempt() -> Exempt {
        Exempt {
            entry: "10.0.0.0/8".parse().unwrap(),
            why: Why::Container { network: "web".into(), container: None },
        }
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
        let gateway = |passed| Why::Gateway { network: "shop_web".into(), passed };
        let what = "the gateway of the Docker network shop_web";
        check(gateway(Passed::WithoutIpv6), what, "networks: { web: { enable_ipv6: true } }");
        check(gateway(Passed::ByProxy), what, "\"userland-proxy\": false");
        check(gateway(Passed::ByRootless), what, "pasta");
        check(gateway(Passed::ByDesktop), what, "Docker Engine");
        check(gateway(Passed::ByMasquerade), "10.0.0.1", "--remove-masquerade");
        check(gateway(Passed::ByProxy), what, "GUARD_TRUSTED_PROXIES=10.0.0.1");
        let container = |container: Option<&str>| Why::Container {
            network: "web".into(),
            container: container.map(Into::into),
        };
        check(container(None), "in the Docker network web", "another container of the network web");
        check(
            container(Some("traefik")),
            "the container traefik",
            "the container traefik is in front",
        );
        check(container(None), "in the Docker network web", "<FORWARDED>");
        check(Why::Ingress, "Swarm's ingress", "mode: host");
        check(Why::Proxy, "GUARD_TRUSTED_PROXIES", "<FORWARDED>");
        check(Why::Behind(net(9)), "behind 10.0.0.9, a proxy off this host", "CDN");
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
