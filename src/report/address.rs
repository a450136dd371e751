//! Where to listen, as people write it. (pure)
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Longest path of a unix socket, in bytes (`sun_path`, with the zero at its end).
const LONGEST_PATH: usize = 107;

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Reads `127.0.0.1:9871`, `[::1]:9871`, `localhost:9871` or `unix:/run/guard/metrics.sock`.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn parse(text: &str) -> Result<Address, String> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                _ if !path.starts_with('/') => {
                    Err("a socket's path begins with `/`, such as unix:/run/guard/metrics.sock"
                        .into())
                }
                _ if path.len() > LONGEST_PATH => {
                    Err(format!("a socket's path has at most {LONGEST_PATH} bytes"))
                }
                _ => Ok(Address::Unix(PathBuf::from(path))),
            };
        }
        let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        match local.as_deref().unwrap_or(text).parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => Err("a port is a number from 1 to 65535".into()),
            Ok(address) => Ok(Address::Tcp(address)),
            Err(_) => Err(remedy(text)),
        }
    }

    /// Can others than this host reach it?
    pub fn is_open(&self) -> bool {
        match self {
            Address::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => false,
        }
    }
}

/// What may have been meant. A port alone is not taken for one at 127.0.0.1: others take
/// it for all addresses.
fn remedy(text: &str) -> String {
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>().ok().filter(|port| *port > 0);
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match (port, text.parse::<IpAddr>()) {
        (Some(port), _) => format!("it names no address; write {local}:{port}"),
        (None, Ok(IpAddr::V6(ip))) => format!("it names no port; write [{ip}]:9871"),
        (None, Ok(ip)) => format!("it names no port; write {ip}:9871"),
        (None, Err(_)) => format!(
            "it is no address with a port, such as {local}:9871, and no socket, such as \
             unix:/run/guard/metrics.sock"
        ),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, shown, open) in [
            ("127.0.0.1:9871", "http://127.0.0.1:9871", false),
            (" localhost:80 ", "http://127.0.0.1:80", false),
            ("[::1]:9871", "http://[::1]:9871", false),
            ("[::ffff:127.0.0.1]:9871", "http://[::ffff:127.0.0.1]:9871", false),
            ("0.0.0.0:9871", "http://0.0.0.0:9871", true),
            ("[::]:9871", "http://[::]:9871", true),
            ("172.17.0.1:9871", "http://172.17.0.1:9871", true),
            ("unix:/run/guard/metrics.sock", "unix:/run/guard/metrics.sock", false),
            ("unix:///run/m.sock", "unix:/run/m.sock", false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.is_open()), (shown, open), "{text}");
        }
    }

    #[test]
    fn what_was_meant_is_told() {
        for (text, words) in [
            ("9871", "write 127.0.0.1:9871"),
            (":9871", "write 127.0.0.1:9871"),
            ("127.0.0.1", "write 127.0.0.1:9871"),
            ("::1", "write [::1]:9871"),
            ("127.0.0.1:0", "from 1 to 65535"),
            ("127.0.0.1:99999", "no address with a port"),
            ("example.com:80", "no address with a port"),
            ("unix:metrics.sock", "begins with `/`"),
            (&format!("unix:/{}", "x".repeat(200)), "at most 107 bytes"),
            ("", "no address with a port"),
        ] {
            let why = Address::parse(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
