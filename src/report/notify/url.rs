//! (pure) A target's URL, taken apart: `scheme://user:password@host:port/path?name=value`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::encode::decode;

/// Longer ones are no addresses.
const LONGEST: usize = 4096;

/// What can stand in no path and no query (RFC 3986, 3.3 and 3.4), and would only be found
/// out when something is to be sent.
const NEVER: [char; 9] = ['"', '<', '>', '\\', '^', '`', '{', '|', '}'];

/// The parts. Everything but the scheme may be a secret.
pub(super) struct Url<'a> {
    /// In lower case.
    pub(super) scheme: String,
    /// All between `//` and the first `/` or `?`, as it is written.
    pub(super) authority: &'a str,
    /// Behind that, up to a `?`, as it is written.
    pub(super) path: &'a str,
    /// What stands behind `?`, in order.
    pub(super) query: Vec<Pair<'a>>,
}

/// `name=value` of a query.
pub(super) struct Pair<'a> {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) raw: &'a str,
}

/// What an authority holds.
pub(super) struct Place {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// A name or an address; IPv6 in its brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Place {
    /// `host` or `host:port`.
    pub(super) fn shown(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// This machine itself?
    pub(super) fn is_here(&self) -> bool {
        let bare = self.host.trim_matches(['[', ']']);
        bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// The scheme of what may be a URL, if it looks like one: the only part that is never secret.
pub(super) fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once("://")?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (!scheme.is_empty() && scheme.len() <= 20 && scheme.chars().all(good))
        .then(|| scheme.to_ascii_lowercase())
}

impl<'a> Url<'a> {
    /// Takes a URL apart.
    pub(super) fn parse(text: &'a str) -> Result<Url<'a>, String> {
        let Some(scheme) = scheme(text) else {
            return Err("it is no URL: write `scheme://…`, such as `ntfy://ntfy.sh/topic`".into());
        };
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it holds what no URL does: write it as `%` and two hex digits".into());
        }
        if text.contains('#') {
            return Err("it holds a `#`, which would end it: write `%23`".into());
        }
        let start = scheme.len() + 3;
        let rest = &text[start..];
        let from = start + rest.find(['/', '?']).unwrap_or(rest.len());
        if let Some(at) = text[from..].find(NEVER) {
            let part = if text[from..from + at].contains('?') { "query" } else { "path" };
            return Err(format!(
                "its character {} is one that the {part} of a URL never holds (one of `\"<>\\^`{{|}}`): \
                 write it as `%` and two hex digits, such as `%3C` for `<`",
                from + at + 1
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(pair);
        let query = pairs.collect::<Option<Vec<_>>>();
        let query =
            query.ok_or("a `%` behind the `?` is not followed by two hex digits of a text")?;
        Ok(Url { scheme, authority, path, query })
    }

    /// The pieces of the path, decoded.
    pub(super) fn pieces(&self) -> Result<Vec<String>, String> {
        let pieces = self.path.split('/').filter(|piece| !piece.is_empty());
        pieces.map(decode).collect::<Option<_>>().ok_or_else(bad_escape)
    }

    /// What the authority holds.
    pub(super) fn place(&self) -> Result<Place, String> {
        let (login, host) = match self.authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, self.authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => {
                let part = |text: &str| decode(text).ok_or_else(bad_escape);
                (Some(part(user)?), Some(part(password)?))
            }
            None => (None, None),
        };
        let filled = |text: &String| !text.is_empty();
        let (host, port) = host_and_port(host)?;
        Ok(Place { user: user.filter(filled), password: password.filter(filled), host, port })
    }
}

fn bad_escape() -> String {
    "a `%` in it is not followed by two hex digits of a text".into()
}

fn pair(raw: &str) -> Option<Pair<'_>> {
    let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
    Some(Pair { name: decode(name)?, value: decode(&value.replace('+', "%20"))?, raw })
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.rfind(':') {
        Some(at) if !text[at..].contains(']') => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    };
    let port = match port {
        None => None,
        Some(port) => match port.parse() {
            Ok(port @ 1..) => Some(port),
            _ => {
                return Err("its port is no number from 1 to 65535; in a user name or password \
                            write `:` as `%3A`, `@` as `%40` and `/` as `%2F`"
                    .into());
            }
        },
    };
    let is_v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match is_v6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    if host.is_empty() {
        return Err("it names no host".into());
    }
    if !good || host.len() > 253 {
        return Err("its host is no name and no address".into());
    }
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("SMTP://me%40x:p%3Aw@Mail.Example:587/a/b?to=a+b&x").unwrap();
        assert_eq!((url.scheme.as_str(), url.path), ("smtp", "/a/b"));
        let place = url.place().unwrap();
        assert_eq!(place.user.as_deref(), Some("me@x"));
        assert_eq!(place.password.as_deref(), Some("p:w"));
        assert_eq!(place.shown(), "mail.example:587");
        assert_eq!((url.query[0].name.as_str(), url.query[0].value.as_str()), ("to", "a b"));
        assert_eq!(url.pieces().unwrap(), ["a", "b"]);
        let place = Url::parse("http://[::1]:80").unwrap().place().unwrap();
        assert_eq!((place.host.as_str(), place.port, place.is_here()), ("[::1]", Some(80), true));
    }

    /// Each byte that a target may hold, where it may hold it, is one that can be sent.
    #[test]
    fn what_starts_can_be_sent() {
        for byte in (0..=127u8).map(char::from) {
            for text in [format!("http://x/a{byte}b"), format!("http://x/a?b{byte}c=d{byte}")] {
                let sendable = text.parse::<ureq::http::Uri>().is_ok();
                assert!(Url::parse(&text).is_err() || sendable, "{text}");
            }
        }
        let told = |text| Url::parse(text).map(drop).unwrap_err();
        assert!(told("http://x/a{").starts_with("its character 11 is one that the path"));
        assert!(told("http://x/a?b=^").starts_with("its character 14 is one that the query"));
    }

    #[test]
    fn what_is_none() {
        for bad in [
            "",
            "x",
            "://x",
            "http//x",
            "a b://x",
            "http://x/\u{e4}",
            "http://x/#y",
            "http://x?a=%f",
            "http://x/a<b",
            "http://x?a|b",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        for bad in
            ["http://", "http://x:0", "http://x:y", "http://x:99999", "http://[x]", "http://a%b@x"]
        {
            assert!(Url::parse(bad).and_then(|url| url.place().map(drop)).is_err(), "{bad}");
        }
    }
}
