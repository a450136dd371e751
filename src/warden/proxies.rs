//! Who the client is where proxies passed addresses on.
//!
//! The list is walked from the end, where the nearest proxy wrote whom it saw itself.
//! An entry counts only if all behind it are trusted, so what a client sends as the
//! beginning of the list never names anybody.
//!
//! Trusted are the proxies of `GUARD_TRUSTED_PROXIES`, the containers of this host, and
//! loopback. Gateways and the host's own addresses are not unless they are listed:
//! docker-proxy and masquerading make any client come with them.

use super::around::Surroundings;
use super::ignore::SWARM_INGRESS;
use super::netmap::NetMap;
use crate::model::{Hop, Network};

/// What an address of this host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    Container,
    Loopback,
    /// The host itself, or a gateway: perhaps in the place of others.
    Host,
}

/// Whom a failure with a list of addresses is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Who failed.
    pub(super) network: Network,
    /// The proxy off this host that its packets come from, if so: the firewall never sees
    /// the client's own.
    pub(super) behind: Option<Network>,
}

/// Those who are believed.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    trusted: NetMap<()>,
    here: NetMap<Here>,
}

impl Proxies {
    pub(super) fn new(trusted: impl Iterator<Item = Network>, around: &Surroundings) -> Proxies {
        let mut proxies = Proxies::default();
        for network in trusted {
            proxies.trusted.insert(network, ());
        }
        let here = &mut proxies.here;
        for network in &around.networks {
            let is_ingress = network.name == SWARM_INGRESS;
            for subnet in &network.subnets {
                here.insert(*subnet, if is_ingress { Here::Host } else { Here::Container });
            }
        }
        let gateways = around.networks.iter().flat_map(|network| &network.gateways);
        for address in around.own.iter().chain(gateways) {
            here.insert(Network::from(*address), Here::Host);
        }
        for loopback in ["127.0.0.0/8", "::1"] {
            here.insert(loopback.parse().expect("it is a network"), Here::Loopback);
        }
        proxies
    }

    /// The client of a failure of `nearest`, to whom `forwarded` was passed on.
    pub(super) fn client(&self, nearest: Network, forwarded: &[Hop]) -> Client {
        let mut client = Client { network: nearest, behind: None };
        // The first hop that is not of this host is whose packets the firewall sees.
        let mut outside = None;
        for hop in forwarded.iter().rev() {
            let network = client.network;
            if self.here(network).is_none() {
                outside = outside.or(Some(network));
            }
            match hop {
                Hop::Address(address) if self.is_trusted(network) => {
                    client.network = Network::from(*address);
                }
                // A proxy that does not tell stands for its client.
                Hop::Address(_) | Hop::Unknown => break,
            }
        }
        client.behind = outside.filter(|outside| *outside != client.network);
        client
    }

    fn here(&self, network: Network) -> Option<Here> {
        self.here.covering(network).next().map(|(_, here)| *here)
    }

    fn is_trusted(&self, network: Network) -> bool {
        let is_listed = self.trusted.covering(network).next().is_some();
        is_listed || matches!(self.here(network), Some(Here::Container | Here::Loopback))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Address, DockerNetwork};

    fn proxies() -> Proxies {
        let around = Surroundings {
            own: vec!["192.0.2.10".parse().unwrap()],
            networks: vec![DockerNetwork {
                name: "web".into(),
                subnets: vec!["172.18.0.0/16".parse().unwrap()],
                gateways: vec!["172.18.0.1".parse().unwrap()],
            }],
            ..Surroundings::default()
        };
        let trusted = ["198.51.100.0/24", "192.0.2.10"].map(|text| text.parse().unwrap());
        Proxies::new(trusted.into_iter(), &around)
    }

    /// Whom `nearest` with `list` stands for: `CLIENT`, or `CLIENT behind PROXY`.
    #[track_caller]
    fn check(nearest: &str, list: &str, expected: &str) {
        let Client { network, behind } =
            proxies().client(nearest.parse().unwrap(), &Hop::read_list(list));
        let behind = behind.map(|proxy| format!(" behind {proxy}")).unwrap_or_default();
        assert_eq!(format!("{network}{behind}"), expected, "{list} to {nearest}");
    }

    #[test]
    fn the_list_is_walked_from_its_end() {
        check("172.18.0.5", "203.0.113.9", "203.0.113.9");
        check("172.18.0.5", "6.6.6.6, 203.0.113.9", "203.0.113.9");
        check("172.18.0.5", "6.6.6.6, 203.0.113.9, 172.18.0.7, 127.0.0.1", "203.0.113.9");
        check("203.0.113.9", "6.6.6.6", "203.0.113.9");
        check("203.0.113.9", "172.18.0.7, 127.0.0.1", "203.0.113.9");
        check("172.18.0.5", "172.18.0.7", "172.18.0.7");
        check("2001:db8::1", "6.6.6.6", "2001:db8::1");
    }

    #[test]
    fn a_gateway_may_be_anybody() {
        check("172.18.0.1", "6.6.6.6", "172.18.0.1");
        check("172.18.0.5", "6.6.6.6, 172.18.0.1", "172.18.0.1");
        check("192.0.2.10", "203.0.113.9", "203.0.113.9");
    }

    #[test]
    fn behind_a_proxy_elsewhere_the_firewall_sees_nobody() {
        check("198.51.100.7", "203.0.113.9", "203.0.113.9 behind 198.51.100.7");
        check(
            "172.18.0.5",
            "6.6.6.6, 203.0.113.9, 198.51.100.7",
            "203.0.113.9 behind 198.51.100.7",
        );
        check(
            "172.18.0.5",
            "203.0.113.9, 198.51.100.8, 198.51.100.7",
            "203.0.113.9 behind 198.51.100.7",
        );
        check("198.51.100.7", "", "198.51.100.7");
        check("172.18.0.5", "198.51.100.7", "198.51.100.7");
    }

    #[test]
    fn who_does_not_tell_stands_for_its_client() {
        check("172.18.0.5", "203.0.113.9, unknown", "172.18.0.5");
        check("172.18.0.5", "203.0.113.9, unknown, 172.18.0.7", "172.18.0.7");
        let long = "6.6.6.6,".repeat(40) + &"172.18.0.7,".repeat(31) + "172.18.0.7";
        check("172.18.0.5", &long, "172.18.0.7");
    }

    fn hops() -> impl Strategy<Value = Vec<Hop>> {
        let address = prop_oneof![
            any::<[u8; 4]>(),
            any::<u8>().prop_map(|last| [172, 18, 0, last]),
            any::<u8>().prop_map(|last| [198, 51, 100, last]),
        ];
        let hop = address.prop_map(|bytes| Hop::Address(Address::new(bytes.into())));
        prop::collection::vec(prop_oneof![9 => hop, 1 => Just(Hop::Unknown)], 0..6)
    }

    proptest! {
        #[test]
        fn nothing_before_the_client_matters(sent in hops(), also in hops(), client: [u8; 4]) {
            let proxies = proxies();
            let client = Address::new(client.into());
            prop_assume!(!proxies.is_trusted(client.into()));
            let list = |sent: Vec<Hop>| [sent, vec![Hop::Address(client)]].concat();
            let nearest = "172.18.0.5".parse().unwrap();
            let found = proxies.client(nearest, &list(sent));
            prop_assert_eq!(found, proxies.client(nearest, &list(also)));
            prop_assert_eq!(found, Client { network: client.into(), behind: None });
        }
    }
}
