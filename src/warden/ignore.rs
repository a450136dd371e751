//! Who is never banned, and why not.
//!
//! Two sets: one for all jails (special addresses, the host's own, Docker's
//! networks, `GUARD_IGNOREIP`), and one for each jail's `ignoreip`. A network is
//! exempt as soon as it shares one address with an entry: a ban of a prefix
//! would hit that address as well.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::Settings;
use super::around::{Passed, Surroundings};
use super::netmap::NetMap;
use super::proxies::{Client, Proxies};
use crate::model::{Address, Hop, IgnoreEntry, Network, Timestamp};

/// Name of Swarm's network for published ports.
pub(super) const SWARM_INGRESS: &str = "ingress";

/// The shortest prefix that a ban may have without force: IPv4, IPv6.
pub(super) const SHORTEST: (u8, u8) = (8, 16);

/// The prefixes of the addresses that [`Address::is_special`] means.
const SPECIAL: [(IpAddr, u8); 9] = {
    use std::net::{Ipv4Addr as V4, Ipv6Addr as V6};
    [
        (IpAddr::V4(V4::new(0, 0, 0, 0)), 8),
        (IpAddr::V4(V4::new(127, 0, 0, 0)), 8),
        (IpAddr::V4(V4::new(169, 254, 0, 0)), 16),
        (IpAddr::V4(V4::new(224, 0, 0, 0)), 4),
        (IpAddr::V4(V4::BROADCAST), 32),
        (IpAddr::V6(V6::UNSPECIFIED), 128),
        (IpAddr::V6(V6::LOCALHOST), 128),
        (IpAddr::V6(V6::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
        (IpAddr::V6(V6::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
    ]
};

/// The reason why an address is never banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Loopback, unspecified, multicast, link-local or broadcast.
    Special,
    /// An address of the host.
    Own,
    /// The gateway of this Docker network: the host's own address in it.
    Gateway {
        /// The network's name.
        network: Arc<str>,
        /// How clients come to have it.
        passed: Passed,
    },
    /// In a subnet of this Docker network.
    Container {
        /// The network's name.
        network: Arc<str>,
        /// The container's, if it is known.
        container: Option<Arc<str>>,
    },
    /// In Swarm's ingress network.
    Ingress,
    /// In `GUARD_IGNOREIP`; under this DNS name, if it is one.
    Settings(Option<Arc<str>>),
    /// In the jail's `ignoreip`; under this DNS name, if it is one.
    Jail(Option<Arc<str>>),
    /// Logged in at this time.
    LoggedIn(Timestamp),
    /// A proxy whose word is taken for its clients' addresses (`GUARD_TRUSTED_PROXIES`).
    Proxy,
    /// A client whose packets come from this proxy, which is not on this host.
    Behind(Network),
    /// It has a live SSH connection to the host.
    LiveSsh,
    /// A prefix too wide to be one client's.
    TooWide,
}

impl Why {
    /// Does such an address stand in the place of the real client's?
    pub fn hides_clients(&self) -> bool {
        match self {
            Why::Gateway { .. }
            | Why::Container { .. }
            | Why::Ingress
            | Why::Proxy
            | Why::Behind(_) => true,
            Why::Special
            | Why::Own
            | Why::Settings(_)
            | Why::Jail(_)
            | Why::LoggedIn(_)
            | Why::LiveSsh
            | Why::TooWide => false,
        }
    }
}

/// An entry of the never-ban set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// What it covers.
    pub entry: Network,
    /// Why.
    pub why: Why,
}

impl fmt::Display for Exempt {
    /// What the entry is, to follow "… is" or stand in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry;
        match &self.why {
            Why::Special => write!(f, "no client's address (special range {entry})"),
            Why::Own => f.write_str("an address of this host"),
            Why::Gateway { network, .. } => {
                write!(f, "the gateway of the Docker network {network}")
            }
            Why::Container { network, container: None } => {
                write!(f, "in the Docker network {network} ({entry})")
            }
            Why::Container { network, container: Some(name) } => {
                write!(f, "the container {name} in the Docker network {network}")
            }
            Why::Ingress => write!(f, "in Swarm's ingress network ({entry})"),
            Why::Settings(None) => write!(f, "in GUARD_IGNOREIP ({entry})"),
            Why::Settings(Some(name)) => write!(f, "in GUARD_IGNOREIP ({})", of(name, entry)),
            Why::Jail(None) => write!(f, "in the jail's ignoreip ({entry})"),
            Why::LoggedIn(at) => write!(f, "an address that logged in at {at:.0}"),
            Why::Jail(Some(name)) => write!(f, "in the jail's ignoreip ({})", of(name, entry)),
            Why::Proxy => write!(f, "a proxy in GUARD_TRUSTED_PROXIES ({entry})"),
            Why::Behind(proxy) => {
                write!(f, "a client behind the proxy {proxy}, out of the firewall's reach")
            }
            Why::LiveSsh => write!(f, "the peer of a live SSH connection to this host ({entry})"),
            Why::TooWide => f.write_str("a prefix too wide to be one client's"),
        }
    }
}

/// How an entry that is written otherwise came to hold a network.
fn of(name: &str, network: Network) -> String {
    let verb = if name.starts_with(LIST) { "has" } else { "is" };
    format!("{name} {verb} {network}")
}

/// What comes before the path of a list in a file.
const LIST: &str = "file:";

/// Those whom no jail bans.
#[derive(Debug)]
pub(super) struct NeverBan {
    settings: Settings,
    surroundings: Surroundings,
    entries: NetMap<Why>,
    proxies: Proxies,
    /// Who is logged in by SSH.
    pub(super) ssh_peers: BTreeSet<Address>,
}

impl NeverBan {
    pub(super) fn new(settings: Settings) -> Self {
        let surroundings = Surroundings::default();
        let (entries, proxies) = (NetMap::default(), Proxies::default());
        let ssh_peers = BTreeSet::new();
        let mut never = NeverBan { settings, surroundings, entries, proxies, ssh_peers };
        never.rebuild();
        never
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The ports of sshd.
    pub(super) fn ssh_ports(&self) -> &BTreeSet<u16> {
        &self.settings.ssh_ports
    }

    pub(super) fn track_max(&self) -> usize {
        self.settings.track_max
    }

    /// Takes in other surroundings; says whether anything is different.
    pub(super) fn look_around(&mut self, surroundings: Surroundings) -> bool {
        if self.surroundings == surroundings {
            return false;
        }
        self.surroundings = surroundings;
        self.rebuild();
        true
    }

    /// A jail's own entries, with the names resolved.
    pub(super) fn of_jail(&self, ignore: &[IgnoreEntry]) -> NetMap<Why> {
        let mut entries = NetMap::default();
        for (network, name) in self.resolve(ignore) {
            entries.insert(network, Why::Jail(name));
        }
        entries
    }

    /// Why `network` is never banned, if so. `jail` are the jail's own entries.
    pub(super) fn exempt(&self, jail: &NetMap<Why>, network: Network) -> Option<Exempt> {
        let found = self.entries.overlapping(network).or_else(|| jail.overlapping(network));
        found.map(|(entry, why)| Exempt { entry, why: self.named(why, network) })
    }

    /// Who failed, where proxies passed addresses on to `nearest`.
    pub(super) fn client(&self, nearest: Network, forwarded: &[Hop]) -> Client {
        self.proxies.client(nearest, forwarded)
    }

    /// With the name of the container that has the address.
    fn named(&self, why: &Why, network: Network) -> Why {
        let container = || self.surroundings.containers.get(&network.address()).cloned();
        match why {
            Why::Container { network: name, .. } if network.is_single() => {
                Why::Container { network: name.clone(), container: container() }
            }
            other => other.clone(),
        }
    }

    /// Later entries take the place of earlier ones of the same network: what
    /// tells most about it comes last.
    fn rebuild(&mut self) {
        let mut entries = NetMap::default();
        let trusted: Vec<Network> =
            self.resolve(&self.settings.trusted_proxies).into_iter().map(|(n, _)| n).collect();
        self.proxies = Proxies::new(trusted.iter().copied(), &self.surroundings);
        for network in trusted {
            entries.insert(network, Why::Proxy);
        }
        for (network, name) in self.resolve(&self.settings.ignore) {
            entries.insert(network, Why::Settings(name));
        }
        for address in &self.surroundings.own {
            entries.insert(Network::from(*address), Why::Own);
        }
        for network in &self.surroundings.networks {
            let name: Arc<str> = network.name.as_str().into();
            let is_ingress = network.name == SWARM_INGRESS;
            for subnet in network.subnets.iter().filter(|_| self.settings.ignore_docker) {
                let why = if is_ingress {
                    Why::Ingress
                } else {
                    Why::Container { network: name.clone(), container: None }
                };
                entries.insert(*subnet, why);
            }
            for gateway in &network.gateways {
                let why = if is_ingress {
                    Why::Ingress
                } else {
                    let passed = self.surroundings.engine.passed(network);
                    Why::Gateway { network: name.clone(), passed }
                };
                entries.insert(Network::from(*gateway), why);
            }
        }
        for (ip, length) in SPECIAL {
            if let Some(network) = Network::new(Address::new(ip), length) {
                entries.insert(network, Why::Special);
            }
        }
        self.entries = entries;
    }

    /// Names that have no addresses now exempt nobody; nor do lists in lists.
    fn resolve(&self, ignore: &[IgnoreEntry]) -> Vec<(Network, Option<Arc<str>>)> {
        let mut found = Vec::new();
        for entry in ignore {
            match entry {
                IgnoreEntry::Network(network) => found.push((*network, None)),
                IgnoreEntry::Name(name) => self.add_name(name, &name.as_str().into(), &mut found),
                IgnoreEntry::File(path) => {
                    let shared: Arc<str> = format!("{LIST}{path}").into();
                    for entry in self.surroundings.lists.get(path).into_iter().flatten() {
                        match entry {
                            IgnoreEntry::Network(network) => {
                                found.push((*network, Some(shared.clone())));
                            }
                            IgnoreEntry::Name(name) => self.add_name(name, &shared, &mut found),
                            IgnoreEntry::File(_) => {}
                        }
                    }
                }
            }
        }
        found
    }

    fn add_name(
        &self,
        name: &str,
        source: &Arc<str>,
        found: &mut Vec<(Network, Option<Arc<str>>)>,
    ) {
        let addresses = self.surroundings.names.get(name).into_iter().flatten();
        found.extend(addresses.map(|address| (Network::from(*address), Some(source.clone()))));
    }
}

/// Is the prefix so short that a ban of it needs force?
pub(super) fn is_too_wide(network: Network) -> bool {
    network.length() < if network.is_ipv6() { SHORTEST.1 } else { SHORTEST.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    use crate::model::DockerNetwork;

    fn docker(name: &str, subnet: &str, gateway: &str) -> DockerNetwork {
        DockerNetwork {
            name: name.to_owned(),
            subnets: vec![net(subnet)],
            gateways: vec![gateway.parse().unwrap()],
        }
    }

    fn never(ignore_docker: bool) -> NeverBan {
        let ignore = vec![
            IgnoreEntry::Network(net("198.51.100.0/24")),
            IgnoreEntry::Name("home.example".to_owned()),
            IgnoreEntry::File("/etc/guard/ignore/office".to_owned()),
        ];
        let mut never =
            NeverBan::new(Settings { track_max: 10, ignore, ignore_docker, ..Settings::default() });
        let list = vec![IgnoreEntry::Network(net("203.0.113.96/28"))];
        never.look_around(Surroundings {
            own: vec!["192.0.2.10".parse().unwrap(), "172.18.0.1".parse().unwrap()],
            networks: vec![
                docker("shop_default", "172.18.0.0/16", "172.18.0.1"),
                docker("flask", "192.168.32.0/20", "192.168.32.1"),
                docker("ingress", "10.0.0.0/24", "10.0.0.1"),
            ],
            names: [("home.example".to_owned(), vec!["203.0.113.80".parse().unwrap()])].into(),
            containers: [("192.168.32.7".parse().unwrap(), "shop-proxy-1".into())].into(),
            lists: [("/etc/guard/ignore/office".to_owned(), list)].into(),
            ..Surroundings::default()
        });
        never
    }

    fn shown(never: &NeverBan, network: &str) -> Option<String> {
        never.exempt(&NetMap::default(), net(network)).map(|exempt| exempt.to_string())
    }

    #[test]
    fn every_reason_is_named() {
        let never = never(true);
        let check = |network: &str, why: &str| {
            assert_eq!(shown(&never, network).as_deref(), Some(why), "{network}");
        };
        check("127.0.0.5", "no client's address (special range 127.0.0.0/8)");
        check("192.0.2.10", "an address of this host");
        check("172.18.0.1", "the gateway of the Docker network shop_default");
        check("192.168.32.6", "in the Docker network flask (192.168.32.0/20)");
        check("192.168.0.0/16", "in the Docker network flask (192.168.32.0/20)");
        check("10.0.0.7", "in Swarm's ingress network (10.0.0.0/24)");
        check("198.51.100.9", "in GUARD_IGNOREIP (198.51.100.0/24)");
        check("203.0.113.80", "in GUARD_IGNOREIP (home.example is 203.0.113.80)");
        check(
            "203.0.113.97",
            "in GUARD_IGNOREIP (file:/etc/guard/ignore/office has 203.0.113.96/28)",
        );
        check("192.168.32.7", "the container shop-proxy-1 in the Docker network flask");
        assert_eq!(shown(&never, "203.0.113.81"), None);
        assert_eq!(shown(&never, "2001:db8::1"), None);
    }

    #[test]
    fn gateways_are_exempt_even_where_containers_are_not() {
        let never = never(false);
        assert_eq!(shown(&never, "192.168.32.6"), None);
        assert!(shown(&never, "192.168.32.1").is_some());
        assert!(shown(&never, "192.168.32.0/24").is_some(), "it holds the gateway");
    }

    proptest! {
        #[test]
        fn special_addresses_are_exempt_and_no_others(ip in any::<IpAddr>(), near in 0usize..9) {
            let never = NeverBan::new(Settings::default());
            let last = |ip: IpAddr| match (SPECIAL[near].0, ip) {
                (IpAddr::V4(a), IpAddr::V4(b)) => {
                    IpAddr::V4((a.to_bits() | b.to_bits() & 0x3ff_ffff).into())
                }
                (IpAddr::V6(a), IpAddr::V6(b)) => {
                    IpAddr::V6((a.to_bits() | b.to_bits() & 0xffff_ffff).into())
                }
                (_, other) => other,
            };
            for ip in [ip, SPECIAL[near].0, last(ip)] {
                let address = Address::new(ip);
                let exempt = never.exempt(&NetMap::default(), Network::from(address));
                prop_assert_eq!(exempt.is_some(), address.is_special(), "{}", address);
            }
        }
    }
}
