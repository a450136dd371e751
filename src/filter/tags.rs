//! fail2ban's tags: what `<HOST>` and its like stand for.
//!
//! Source: fail2ban's documented expansions, with two changes: the look-behind
//! in the IPv6 pattern is dropped, for every iteration before it ends in `:`, so
//! it is always true; and a zone id (`fe80::1%eth0`) is eaten with the address.

/// What a tag stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// A place for an address.
    Address(String),
    /// Anything else that is known.
    Other(String),
    /// fail2ban knows it, guard does not yet.
    Unsupported,
}

const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>(?:[0-9]{1,3}\.){3}[0-9]{1,3})";
const IP6: &str =
    r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|:))(?:%[0-9A-Za-z._-]{1,32})?";

/// Longest tag that is looked for, in bytes.
const LONGEST: usize = 64;

/// Reads the tag at the start of `text`: its length and what it stands for.
/// `None`: it is literal text, as an unknown tag is in fail2ban.
pub(super) fn read(text: &str) -> Option<(usize, Tag)> {
    let end = text.bytes().take(LONGEST).position(|b| b == b'>')?;
    let name = &text[1..end];
    let tag = match name {
        "HOST" | "ADDR" | "F-ADDR/" => Tag::Address(format!(r"\[?(?:{IP4}|{IP6})\]?")),
        "IP4" | "F-IP4/" => Tag::Address(IP4.to_owned()),
        "IP6" | "F-IP6/" => Tag::Address(IP6.to_owned()),
        "SUBNET" | "F-SUBNET/" => {
            Tag::Address(format!(r"\[?(?:{IP4}|{IP6})(?:/(?P<cidr>[0-9]{{1,3}}))?\]?"))
        }
        "CIDR" | "F-CIDR/" => Tag::Other(r"(?P<cidr>[0-9]{1,3})".to_owned()),
        "F-PORT/" => Tag::Other(r"(?P<fport>\w+)".to_owned()),
        "DNS" | "F-DNS/" | "F-ID/" | "F-ID" | "SKIPLINES" => Tag::Unsupported,
        _ => named(name)?,
    };
    Some((end + 1, tag))
}

/// `<F-USER>` opens a group, `</F-USER>` closes it.
fn named(name: &str) -> Option<Tag> {
    if let Some(name) = name.strip_prefix("/F-") {
        return is_name(name).then(|| Tag::Other(")".to_owned()));
    }
    let name = name.strip_prefix("F-").filter(|name| is_name(name))?;
    if name.starts_with("MLF") || name == "NOFAIL" || name == "CONTENT" {
        return Some(Tag::Unsupported);
    }
    let group = match name {
        "PORT" => "fport".to_owned(),
        _ => name.to_ascii_lowercase().replace('-', "_"),
    };
    Some(Tag::Other(format!("(?P<{group}>")))
}

fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    name.bytes().next().is_some_and(|b| b.is_ascii_uppercase()) && name.bytes().all(fits)
}
