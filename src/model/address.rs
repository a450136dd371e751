//! IP addresses and prefixes, as guard counts and bans them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An IP address. IPv4-mapped IPv6 (`::ffff:192.0.2.1`, RFC 4291 2.5.5.2) is
/// folded to IPv4, so that one client has one address however a service prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(IpAddr);

/// Text that is neither an address nor a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Not an IPv4 or IPv6 address.
    #[error("`{0}` is no IP address")]
    NotAnAddress(String),
    /// Not an address or an address with a prefix length.
    #[error("`{0}` is no IP address or prefix such as 192.0.2.0/24")]
    NotANetwork(String),
    /// A prefix of length 0 would mean everybody.
    #[error("`{0}` means every address there is")]
    Everybody(String),
}

impl Address {
    /// The address, with IPv4-mapped IPv6 folded to IPv4.
    pub fn new(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Address(IpAddr::V4(v4)),
                None => Address(ip),
            },
            IpAddr::V4(_) => Address(ip),
        }
    }

    /// The plain address.
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// Is it IPv6 (and not an IPv4 address in disguise)?
    pub fn is_ipv6(self) -> bool {
        self.0.is_ipv6()
    }

    /// Loopback, unspecified, multicast, link-local or broadcast: no host on a
    /// network that could be kept out, and never banned (RFC 6890).
    pub fn is_special(self) -> bool {
        match self.0 {
            IpAddr::V4(v4) => {
                v4.is_loopback()
                    || v4.octets()[0] == 0
                    || v4.is_multicast()
                    || v4.is_link_local()
                    || v4 == Ipv4Addr::BROADCAST
            }
            IpAddr::V6(v6) => {
                v6.is_loopback()
                    || v6 == Ipv6Addr::UNSPECIFIED
                    || v6.is_multicast()
                    || v6.is_unicast_link_local()
            }
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Address::new(ip)
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    /// Reads an address; a zone id (`fe80::1%eth0`) is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.split_once('%').map_or(text, |(address, _zone)| address);
        bare.parse::<IpAddr>()
            .map(Address::new)
            .map_err(|_| InvalidAddress::NotAnAddress(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

/// An address or a prefix: what a ban covers. Host bits are zero, the length is
/// never 0, and a single address prints without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// The prefix of `length` bits that holds `address`; `None` when the length
    /// is 0 or longer than the address.
    pub fn new(address: Address, length: u8) -> Option<Self> {
        if length == 0 {
            return None;
        }
        IpNet::new(address.ip(), length).ok().map(|net| Network(net.trunc()))
    }

    /// The first address of the prefix.
    pub fn address(self) -> Address {
        Address(self.0.addr())
    }

    /// The length of the prefix in bits.
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// Is it one single address?
    pub fn is_single(self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Is it IPv6?
    pub fn is_ipv6(self) -> bool {
        matches!(self.0, IpNet::V6(_))
    }

    /// Does it hold `address`?
    pub fn contains(self, address: Address) -> bool {
        self.0.contains(&address.ip())
    }

    /// Does it hold all of `other`?
    pub fn covers(self, other: Network) -> bool {
        self.0.contains(&other.0)
    }

    /// Do the two share an address?
    pub fn overlaps(self, other: Network) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }
}

impl From<Address> for Network {
    fn from(address: Address) -> Self {
        Network(IpNet::from(address.ip()))
    }
}

impl FromStr for Network {
    type Err = InvalidAddress;

    /// Reads `192.0.2.1` or `2001:db8::/64`. A prefix inside the IPv4-mapped
    /// range becomes the IPv4 prefix that it means.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidAddress::NotANetwork(text.chars().take(64).collect());
        let Some((address, length)) = text.split_once('/') else {
            return text.parse::<Address>().map(Network::from).map_err(|_| wrong());
        };
        let ip: IpAddr = address.parse().map_err(|_| wrong())?;
        let mut length: u8 = length.parse().map_err(|_| wrong())?;
        let address = Address::new(ip);
        if ip.is_ipv6() && !address.is_ipv6() {
            length = length.checked_sub(96).ok_or_else(wrong)?;
        }
        if length == 0 {
            return Err(InvalidAddress::Everybody(text.to_owned()));
        }
        Network::new(address, length).ok_or_else(wrong)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_ipv4() {
        let check = |text: &str, shown: &str| {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        };
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("::ffff:c000:201", "192.0.2.1");
        check("2001:DB8:0::1", "2001:db8::1");
        check("fe80::1%eth0", "fe80::1");
    }

    #[test]
    fn only_real_addresses() {
        for text in ["999.1.1.1", "010.1.1.1", "1.2.3", "", "192.0.2.1 ", "::g", "1.2.3.4/32"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn networks_are_truncated_and_print_as_read() {
        let check = |text: &str, shown: &str| {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        };
        check("192.0.2.77/24", "192.0.2.0/24");
        check("192.0.2.77", "192.0.2.77");
        check("192.0.2.77/32", "192.0.2.77");
        check("2001:db8::1/64", "2001:db8::/64");
        check("::ffff:192.0.2.0/120", "192.0.2.0/24");
    }

    #[test]
    fn everybody_is_refused() {
        assert!(matches!("0.0.0.0/0".parse::<Network>(), Err(InvalidAddress::Everybody(_))));
        assert!(matches!("::/0".parse::<Network>(), Err(InvalidAddress::Everybody(_))));
        assert!("192.0.2.0/33".parse::<Network>().is_err());
        assert!("::ffff:0:0/95".parse::<Network>().is_err());
    }

    #[test]
    fn overlaps_either_way() {
        let net = |text: &str| text.parse::<Network>().unwrap();
        assert!(net("192.0.2.0/24").overlaps(net("192.0.2.7")));
        assert!(net("192.0.2.7").overlaps(net("192.0.2.0/24")));
        assert!(!net("192.0.3.0/24").overlaps(net("192.0.2.7")));
        assert!(!net("2001:db8::/32").overlaps(net("192.0.2.7")));
    }
}
