//! The address lists that proxies pass on: `X-Forwarded-For`, `Forwarded`.
//!
//! Each proxy adds the address of whoever spoke to it at the end, and keeps what was
//! there: the first entries are whatever the client chose to send.

use super::Address;

/// So many entries of a list are looked at, the last ones; no honest way is so long.
const MOST_HOPS: usize = 32;

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// Somebody with this address.
    Address(Address),
    /// `unknown`, an obfuscated name, or no address at all.
    Unknown,
}

impl Hop {
    /// Reads a whole list, as a header has it: `198.51.100.7, [2001:db8::1]:443`. One
    /// that stands for none (nothing, `-`) is empty.
    ///
    /// ```
    /// use guard::model::Hop;
    ///
    /// let hops = Hop::read_list("unknown, 192.0.2.1:8080");
    /// assert_eq!(hops, [Hop::Unknown, Hop::Address("192.0.2.1".parse().unwrap())]);
    /// ```
    pub fn read_list(text: &str) -> Vec<Hop> {
        if matches!(text.trim(), "" | "-") {
            return Vec::new();
        }
        let mut entries = text.rsplit(',');
        let mut hops: Vec<Hop> = entries.by_ref().take(MOST_HOPS).map(Hop::read).collect();
        if entries.next().is_some() {
            // Who comes before is not known: nobody may be taken for the first.
            hops.push(Hop::Unknown);
        }
        hops.reverse();
        hops
    }

    fn read(entry: &str) -> Hop {
        let parameter = |part: &'_ str| -> Option<usize> {
            let trimmed = part.trim_start();
            let is_for = trimmed.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("for="));
            is_for.then_some(part.len() - trimmed.len() + 4)
        };
        // RFC 7239: `for="[2001:db8::1]:4711";proto=http`.
        let entry = entry.split(';').find_map(|part| part.get(parameter(part)?..)).unwrap_or(entry);
        match address(bare(entry)) {
            Some(address) => Hop::Address(address),
            None => Hop::Unknown,
        }
    }
}

/// Without blanks and quotes, also such as a log's writer escaped.
fn bare(mut text: &str) -> &str {
    loop {
        let trimmed =
            text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
        let trimmed =
            trimmed.strip_prefix("x22").filter(|_| text.starts_with('\\')).unwrap_or(trimmed);
        let trimmed = trimmed.strip_suffix(r"\x22").unwrap_or(trimmed);
        if trimmed.len() == text.len() {
            return text;
        }
        text = trimmed;
    }
}

/// An address, perhaps with a port, IPv6 then in brackets.
fn address(text: &str) -> Option<Address> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        return is_port(port).then(|| inner.parse().ok()).flatten();
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let colon = text.find(':')?;
    let (host, port) = text.split_at(colon);
    (host.contains('.') && is_port(port)).then(|| host.parse().ok()).flatten()
}

/// Nothing, or `:443`.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| {
            (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let shown: Vec<String> = Hop::read_list(text)
            .into_iter()
            .map(|hop| match hop {
                Hop::Address(address) => address.to_string(),
                Hop::Unknown => "?".to_owned(),
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn lists_as_proxies_write_them() {
        check("192.0.2.1", &["192.0.2.1"]);
        check("192.0.2.1, 198.51.100.7,2001:db8::1", &["192.0.2.1", "198.51.100.7", "2001:db8::1"]);
        check("192.0.2.1:4711, [2001:db8::1]:443, [::1]", &["192.0.2.1", "2001:db8::1", "::1"]);
        check("::ffff:192.0.2.1", &["192.0.2.1"]);
        check(
            r#""192.0.2.1", '192.0.2.2', \"192.0.2.3\""#,
            &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
        );
        check(
            r#"for=192.0.2.60;proto=http;by=203.0.113.43, For="[2001:db8:cafe::17]:4711""#,
            &["192.0.2.60", "2001:db8:cafe::17"],
        );
        check(r"for=\x22[2001:db8::1]:4711\x22", &["2001:db8::1"]);
        check("", &[]);
        check(" - ", &[]);
    }

    #[test]
    fn what_is_no_address_keeps_its_place() {
        check("unknown, 192.0.2.1", &["?", "192.0.2.1"]);
        check("192.0.2.1, ", &["192.0.2.1", "?"]);
        check("999.1.1.1, 192.0.2.1:99x, 192.0.2.1 192.0.2.2, [192.0.2.1", &["?", "?", "?", "?"]);
        check("_hidden, 192.0.2.0/24, a;b, for=", &["?", "?", "?", "?"]);
    }

    #[test]
    fn only_the_last_entries_of_a_long_list_count() {
        let long = format!("{}192.0.2.1", "198.51.100.7,".repeat(100_000));
        let hops = Hop::read_list(&long);
        assert_eq!((hops.len(), hops[0]), (33, Hop::Unknown));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r#"([0-9a-f.:]{0,12}|[\[\]"'\\,; -]|x22|for=|é){0,20}"#) {
            prop_assert!(Hop::read_list(&text).len() <= 33);
        }
    }
}
