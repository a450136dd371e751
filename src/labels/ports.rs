//! `port` and `protocol`: what a ban closes.

use std::collections::BTreeSet;

use super::values::{each, nothing, quoted, trimmed, words};
use super::{Flaw, hint};
use crate::model::{PortRange, Protocol};

/// Most ports and ranges of one jail: each is a rule in the kernel, for each
/// protocol, chain and family.
const MAX_PORTS: usize = 50;

/// What `port` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortWish {
    /// Everything.
    All,
    /// The published ports of the jail's own containers, or of another service's.
    Published(Option<String>),
    /// These; never empty.
    Some(BTreeSet<PortRange>),
}

pub(super) fn wish(value: &str) -> Result<PortWish, Vec<Flaw>> {
    let (span, text) = trimmed(value);
    if text.is_empty() {
        return Err(nothing(value).into());
    }
    match text.to_ascii_lowercase().as_str() {
        "all" => return Ok(PortWish::All),
        "published" => return Ok(PortWish::Published(None)),
        _ => {}
    }
    if let Some(("published", service)) = split_lower(text).as_ref().map(|(a, b)| (a.as_str(), *b))
    {
        let start = span.end - service.len();
        return published_of(service).map_err(|flaw| flaw.shifted(start).into());
    }
    let ports = each(value, range)?;
    match words(value).nth(MAX_PORTS) {
        None => Ok(PortWish::Some(ports)),
        Some((start, word)) => {
            let what = format!("more than {MAX_PORTS} ports");
            Err(Flaw::new(start..start + word.len(), what)
                .mend("write ranges such as `8000-8100`, or `all`")
                .into())
        }
    }
}

/// The parts around the first colon, the first in lower case.
fn split_lower(text: &str) -> Option<(String, &str)> {
    text.split_once(':').map(|(a, b)| (a.trim().to_ascii_lowercase(), b))
}

/// A service as compose names it, perhaps with its project: `proxy`, `edge/proxy`.
fn published_of(service: &str) -> Result<PortWish, Flaw> {
    let (span, name) = trimmed(service);
    if name.is_empty() {
        return Err(Flaw::new(0..service.len(), "the service's name is missing")
            .mend("write `published` for the container's own ports, or `published:SERVICE`"));
    }
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if name.len() > 128 || !name.chars().all(good) {
        return Err(Flaw::new(span, format!("{} can't name a service", quoted(name))));
    }
    Ok(PortWish::Published(Some(name.to_owned())))
}

pub(super) fn protocols(value: &str) -> Result<BTreeSet<Protocol>, Vec<Flaw>> {
    each(value, |word| match word.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => {
            let what = format!("{} is no protocol with ports that guard knows", quoted(word));
            Err(Flaw::new(0..word.len(), what))
        }
    })
}

/// `80`, `8000-8010`, `8000:8010`, `https`.
fn range(word: &str) -> Result<PortRange, Flaw> {
    let whole = 0..word.len();
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        if let Some(at) = word.find(['-', ':']) {
            let first = number(&word[..at])?;
            let last = number(&word[at + 1..]).map_err(|flaw| flaw.shifted(at + 1))?;
            return PortRange::new(first, last).ok_or_else(|| {
                Flaw::new(whole, format!("{} ends before it begins", quoted(word)))
            });
        }
        let port = number(word)?;
        return PortRange::new(port, port).ok_or_else(|| Flaw::new(whole, "there is no port 0"));
    }
    let lower = word.to_ascii_lowercase();
    if matches!(lower.as_str(), "all" | "published") || lower.starts_with("published:") {
        return Err(Flaw::new(whole, format!("{} stands alone or not at all", quoted(word))));
    }
    if let Ok(at) = SERVICES.binary_search_by_key(&lower.as_str(), |(name, _)| name) {
        let port = SERVICES[at].1;
        return PortRange::new(port, port).ok_or_else(|| Flaw::new(whole, "there is no port 0"));
    }
    let flaw = Flaw::new(whole, format!("{} is no port that guard knows by name", quoted(word)));
    let words = SERVICES.iter().map(|(name, _)| *name).chain(["all", "published"]);
    Err(match hint::nearest(&lower, words) {
        Some(near) => flaw.mend(format!("did you mean `{near}`? Otherwise write the number")),
        None => flaw.mend("write the number, or `all` or `published`"),
    })
}

fn number(text: &str) -> Result<u16, Flaw> {
    let flaw = |what: String| Flaw::new(0..text.len(), what);
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(flaw(format!("{} is no port number", quoted(text))));
    }
    match text.parse::<u16>() {
        Ok(0) => Err(flaw("there is no port 0".to_owned())),
        Ok(port) => Ok(port),
        Err(_) => Err(flaw(format!("{} is no port: they end with 65535", quoted(text)))),
    }
}

/// Names for ports, as in IANA's registry and Debian's /etc/services, sorted:
/// those that fail2ban's stock jails use, and what else people put on the net.
const SERVICES: [(&str, u16); 61] = [
    ("amqp", 5672),
    ("amqps", 5671),
    ("domain", 53),
    ("domain-s", 853),
    ("ftp", 21),
    ("ftp-data", 20),
    ("ftps", 990),
    ("ftps-data", 989),
    ("git", 9418),
    ("http", 80),
    ("http-alt", 8080),
    ("https", 443),
    ("imap", 143),
    ("imap2", 143),
    ("imap3", 220),
    ("imaps", 993),
    ("ipp", 631),
    ("irc", 194),
    ("ircd", 6667),
    ("ircs-u", 6697),
    ("isakmp", 500),
    ("kerberos", 88),
    ("ldap", 389),
    ("ldaps", 636),
    ("mongodb", 27017),
    ("mqtt", 1883),
    ("ms-sql-s", 1433),
    ("ms-wbt-server", 3389),
    ("mysql", 3306),
    ("nfs", 2049),
    ("nntp", 119),
    ("nntps", 563),
    ("ntp", 123),
    ("openvpn", 1194),
    ("pop3", 110),
    ("pop3s", 995),
    ("postgresql", 5432),
    ("radius", 1812),
    ("redis", 6379),
    ("rsync", 873),
    ("rtsp", 554),
    ("secure-mqtt", 8883),
    ("sieve", 4190),
    ("sip", 5060),
    ("sip-tls", 5061),
    ("sips", 5061),
    ("smtp", 25),
    ("smtps", 465),
    ("snmp", 161),
    ("socks", 1080),
    ("ssh", 22),
    ("submission", 587),
    ("submissions", 465),
    ("svn", 3690),
    ("telnet", 23),
    ("telnets", 992),
    ("tftp", 69),
    ("turn", 3478),
    ("webmin", 10000),
    ("xmpp-client", 5222),
    ("xmpp-server", 5269),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Vec<String> {
        match wish(value) {
            Ok(PortWish::Some(ports)) => ports.iter().map(ToString::to_string).collect(),
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn ports() {
        assert_eq!(shown("80"), ["80"]);
        assert_eq!(shown("443, http 80"), ["80", "443"]);
        assert_eq!(shown("8000-8010,9000:9005"), ["8000:8010", "9000:9005"]);
        assert_eq!(shown("SSH,imaps,65535"), ["22", "993", "65535"]);
        assert_eq!(wish(" All "), Ok(PortWish::All));
        assert_eq!(wish("published"), Ok(PortWish::Published(None)));
        assert_eq!(wish("published:proxy"), Ok(PortWish::Published(Some("proxy".to_owned()))));
        assert_eq!(wish("Published: proxy "), Ok(PortWish::Published(Some("proxy".to_owned()))));
    }

    #[test]
    fn mistakes_have_a_place() {
        let check = |value: &str, places: &[&str]| {
            let flaws = wish(value).unwrap_err();
            let found: Vec<&str> = flaws.iter().map(|flaw| &value[flaw.span.clone()]).collect();
            assert_eq!(found, places, "{value}");
        };
        check("", &[""]);
        check("0", &["0"]);
        check("80,70000,htpp", &["70000", "htpp"]);
        check("8010-8000", &["8010-8000"]);
        check("80-", &[""]);
        check("80-x", &["x"]);
        check("all,80", &["all"]);
        check("80 published", &["published"]);
        check("published:", &[""]);
        check(" published:a b", &["a b"]);
        check("8080:80/tcp", &["80/tcp"]);
        let many: Vec<String> = (1..=51).map(|port| port.to_string()).collect();
        check(&many.join(","), &["51"]);
    }

    #[test]
    fn service_names_are_sorted_for_the_search() {
        assert!(SERVICES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for name in [
            "http",
            "https",
            "ssh",
            "smtp",
            "imap",
            "imaps",
            "pop3",
            "pop3s",
            "submission",
            "smtps",
            "ftp",
            "domain",
        ] {
            assert_eq!(shown(name).len(), 1, "{name}");
        }
    }

    #[test]
    fn both_protocols() {
        assert_eq!(protocols("TCP"), Ok([Protocol::Tcp].into()));
        assert_eq!(protocols("udp, tcp"), Ok([Protocol::Tcp, Protocol::Udp].into()));
        assert!(protocols("icmp").is_err() && protocols("").is_err());
    }
}
