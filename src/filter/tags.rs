//! fail2ban's tags in a regex: `<HOST>` and its kin become named groups.
//!
//! As in fail2ban this is purely textual and knows nothing of escapes or classes.
//! A tag of fail2ban that guard can't do yet is an error, never silently literal.

use super::error::Fault;
use super::pattern::Pattern;

/// Four numbers with dots; whether it is an address shows when it is parsed.
const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})";

/// fail2ban's IPv6, with two differences. Its look-behind `(?<=:):` at the end is
/// left out: whatever comes before it ends in `:`, so it always holds. And a zone id
/// (`fe80::1%eth0`) may follow, outside the group.
const IP6: &str = concat!(
    r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|:))",
    r"(?:%[0-9A-Za-z_.\-]+)?"
);

const CIDR: &str = r"(?P<cidr>\d+)";

/// `user` with all its tags expanded, in Python's dialect.
///
/// # Errors
/// A tag that this version of guard does not know.
pub(super) fn expand(user: &str) -> Result<Pattern, Fault> {
    let mut out = Pattern::empty(user.len());
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(found) = user[at..].find('<') {
        let start = at + found;
        out.push_user(&user[at..start], at);
        let Some(name) = tag_name(&user[start..]) else {
            out.push_user("<", start);
            at = start + 1;
            continue;
        };
        let span = start..start + name.len() + 2;
        match expansion(name, &mut open) {
            Expansion::Regex(regex) => out.push(&regex, span.clone()),
            Expansion::Literal => out.push_user(&user[span.clone()], start),
            Expansion::NotYet => {
                let what = format!("`<{name}>` is not supported in this version of guard");
                let remedy = "use <HOST>, <ADDR>, <IP4>, <IP6> or <SUBNET> for the address, \
                              and match one line at a time";
                return Err(Fault::new(span, what).remedy(remedy));
            }
        }
        at = span.end;
    }
    out.push_user(&user[at..], at);
    Ok(out)
}

/// The name in a tag at the start of `text`, slashes included: `HOST`, `/F-USER`, `F-ID/`.
fn tag_name(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('<')?;
    let bare = inner.strip_prefix('/').unwrap_or(inner);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let rest = bare.trim_start_matches(word);
    if rest.len() == bare.len() {
        return None;
    }
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    rest.starts_with('>').then(|| &inner[..inner.len() - rest.len()])
}

enum Expansion {
    Regex(String),
    Literal,
    NotYet,
}

fn expansion(name: &str, open: &mut Vec<String>) -> Expansion {
    let regex = match name {
        // Names are never resolved (`usedns = no`), so a host is an address.
        "HOST" | "ADDR" | "F-ADDR/" => format!(r"\[?(?:{IP4}|{IP6})\]?"),
        "IP4" | "F-IP4/" => IP4.to_owned(),
        "IP6" | "F-IP6/" => IP6.to_owned(),
        "CIDR" | "F-CIDR/" => CIDR.to_owned(),
        "SUBNET" | "F-SUBNET/" => format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"),
        "F-PORT/" => r"(?P<fport>\w+)".to_owned(),
        "DNS" | "F-DNS/" | "F-ID/" | "SKIPLINES" => return Expansion::NotYet,
        _ => return custom(name, open),
    };
    Expansion::Regex(regex)
}

/// `<F-NAME>` opens a group, `</F-NAME>` closes it; a closing tag without an
/// opening one is literal text, as in fail2ban.
fn custom(name: &str, open: &mut Vec<String>) -> Expansion {
    let (closes, name) = name.strip_prefix('/').map_or((false, name), |name| (true, name));
    let Some(name) = name.strip_prefix("F-") else { return Expansion::Literal };
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(capital) {
        return Expansion::Literal;
    }
    if closes {
        let opened = open.iter().any(|o| o == name);
        return if opened { Expansion::Regex(")".to_owned()) } else { Expansion::Literal };
    }
    open.push(name.to_owned());
    let group = match name {
        "ID" => "fid".to_owned(),
        "PORT" => "fport".to_owned(),
        _ => name.to_ascii_lowercase().replace('-', "_"),
    };
    Expansion::Regex(format!("(?P<{group}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user: &str, expanded: &str) {
        assert_eq!(expand(user).unwrap().text(), expanded, "{user}");
    }

    #[test]
    fn tags_become_groups() {
        check("a <IP4> b", &format!("a {IP4} b"));
        check("<IP6>", IP6);
        check("<F-IP4/>/<CIDR>", &format!("{IP4}/{CIDR}"));
        check("<HOST>", &format!(r"\[?(?:{IP4}|{IP6})\]?"));
        check("<SUBNET>", &format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"));
        for same in ["<ADDR>", "<F-ADDR/>"] {
            assert_eq!(expand(same).unwrap().text(), expand("<HOST>").unwrap().text());
        }
        check("<F-USER>.*</F-USER>", "(?P<user>.*)");
        check("<F-ALT_USER1>a</F-ALT_USER1>", "(?P<alt_user1>a)");
        check("<F-ID>a</F-ID><F-PORT/>", r"(?P<fid>a)(?P<fport>\w+)");
    }

    #[test]
    fn other_angles_are_literal() {
        for text in ["<", "a < b", "<>", "< HOST>", "<HOST", "(?P<user>a)", "</F-USER>", "<host>"] {
            check(text, text);
        }
        for text in ["<F-USER/>", "<F-user>a", "<é>", "<<", "\\<a\\>", "<F->"] {
            check(text, text);
        }
    }

    #[test]
    fn tags_of_later_versions_are_errors() {
        for tag in ["<DNS>", "<F-DNS/>", "<F-ID/>", "<SKIPLINES>"] {
            let fault = expand(&format!("ab {tag} c")).unwrap_err();
            assert_eq!(fault.span, 3..3 + tag.len());
            assert!(fault.what.contains("not supported in this version"), "{}", fault.what);
        }
    }

    #[test]
    fn spans_point_to_the_tag() {
        let pattern = expand("é<HOST>z").unwrap();
        let middle = pattern.text().find("ip6").unwrap();
        assert_eq!(pattern.origin(middle..middle + 3), 2..8);
        assert_eq!(pattern.origin(pattern.text().len() - 1..pattern.text().len()), 8..9);
    }
}
