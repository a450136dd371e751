//! fail2ban's tags in a regex: `<HOST>` and its kin become named groups.
//!
//! As in fail2ban this is purely textual and knows nothing of escapes or classes; what
//! is no tag stays as it is.

use super::UseDns;
use super::pattern::Pattern;

/// Four numbers with dots; whether it is an address shows when it is parsed. Digits of
/// ASCII only, other than in fail2ban: no others make an address, and they cost time.
const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>(?:[0-9]{1,3}\.){3}[0-9]{1,3})";

/// fail2ban's IPv6, with two differences. Its look-behind `(?<=:):` at the end is
/// left out: whatever comes before it ends in `:`, so it always holds. And a zone id
/// (`fe80::1%eth0`) may follow, outside the group.
const IP6: &str = concat!(
    r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|:))",
    r"(?:%[0-9A-Za-z_.\-]+)?"
);

const DNS: &str = r"(?P<dns>[\w\-.^_]*\w)";

/// A list of addresses as proxies pass it on, where quotes surround it: all between
/// them, so that nothing a client puts into it makes the line unseen.
const IN_DOUBLE_QUOTES: &str = r#"(?P<forwarded>(?:[^"\\\n]|\\.)*)"#;
const IN_QUOTES: &str = r"(?P<forwarded>(?:[^'\\\n]|\\.)*)";

/// The same where nothing surrounds it. Entries have no blanks and no quotes in them, or
/// what a client calls itself elsewhere in the line could be taken for an entry.
const BARE: &str =
    concat!(r"(?P<forwarded>[0-9A-Za-z._:%\-\[\]]+", r"(?:[ \t]*,[ \t]*[0-9A-Za-z._:%\-\[\]]+)*)");

const CIDR: &str = r"(?P<cidr>[0-9]+)";

/// `user` with all its tags expanded, in Python's dialect. `dns` says whether `<HOST>`
/// may be a name.
pub(super) fn expand(user: &str, dns: UseDns) -> Pattern {
    let mut out = Pattern::empty(user.len());
    let mut state = State { dns, open: Vec::new(), skipped: 0 };
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
        let around = (&user[..start], &user[span.end..]);
        match state.expansion(name, around) {
            Some(regex) => out.push(&regex, span.clone()),
            None => out.push_user(&user[span.clone()], start),
        }
        at = span.end;
    }
    out.push_user(&user[at..], at);
    out
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

struct State {
    dns: UseDns,
    /// The names of the groups that were opened.
    open: Vec<String>,
    /// How many `<SKIPLINES>` there were.
    skipped: usize,
}

impl State {
    /// What the tag `name` stands for; `None`: for itself.
    /// `around` is the text before and behind it.
    fn expansion(&mut self, name: &str, around: (&str, &str)) -> Option<String> {
        Some(match name {
            "HOST" if self.dns != UseDns::No => format!(r"(?:\[?(?:{IP4}|{IP6})\]?|{DNS})"),
            "HOST" | "ADDR" | "F-ADDR/" => format!(r"\[?(?:{IP4}|{IP6})\]?"),
            "IP4" | "F-IP4/" => IP4.to_owned(),
            "IP6" | "F-IP6/" => IP6.to_owned(),
            "DNS" | "F-DNS/" => DNS.to_owned(),
            "CIDR" | "F-CIDR/" => CIDR.to_owned(),
            "SUBNET" | "F-SUBNET/" => format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"),
            "FORWARDED" | "F-FORWARDED/" => list(around).to_owned(),
            "F-ID/" => r"(?P<fid>\S+)".to_owned(),
            "F-PORT/" => r"(?P<fport>\w+)".to_owned(),
            "SKIPLINES" => {
                self.skipped += 1;
                format!(r"\n(?P<skiplines{}>(?:(?:.*\n)*?))", self.skipped - 1)
            }
            _ => return self.custom(name),
        })
    }

    /// `<F-NAME>` opens a group, `</F-NAME>` closes it; a closing tag without an
    /// opening one is literal text, as in fail2ban.
    fn custom(&mut self, name: &str) -> Option<String> {
        let (closes, name) = name.strip_prefix('/').map_or((false, name), |name| (true, name));
        let name = name.strip_prefix("F-")?;
        let capital =
            |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(capital) {
            return None;
        }
        if closes {
            return self.open.iter().any(|open| open == name).then(|| ")".to_owned());
        }
        self.open.push(name.to_owned());
        Some(format!("(?P<{}>", group_name(name)))
    }
}

/// The list of addresses, in its surroundings.
fn list((before, behind): (&str, &str)) -> &'static str {
    let is_between = |quote: char| before.ends_with(quote) && behind.starts_with(quote);
    if is_between('"') {
        IN_DOUBLE_QUOTES
    } else if is_between('\'') {
        IN_QUOTES
    } else {
        BARE
    }
}

/// The group of the tag `<F-NAME>`.
fn group_name(name: &str) -> String {
    match name {
        "ID" => "fid".to_owned(),
        "PORT" => "fport".to_owned(),
        _ => name.to_ascii_lowercase().replace('-', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user: &str, expanded: &str) {
        assert_eq!(expand(user, UseDns::No).text(), expanded, "{user}");
    }

    #[test]
    fn tags_become_groups() {
        check("a <IP4> b", &format!("a {IP4} b"));
        check("<IP6>", IP6);
        check("<F-IP4/>/<CIDR>", &format!("{IP4}/{CIDR}"));
        check("<HOST>", &format!(r"\[?(?:{IP4}|{IP6})\]?"));
        check("<SUBNET>", &format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"));
        for same in ["<ADDR>", "<F-ADDR/>"] {
            check(same, expand("<HOST>", UseDns::No).text());
        }
        check("<F-USER>.*</F-USER>", "(?P<user>.*)");
        check("<F-ALT_USER1>a</F-ALT_USER1>", "(?P<alt_user1>a)");
        check("<F-ID>a</F-ID><F-PORT/>", r"(?P<fid>a)(?P<fport>\w+)");
    }

    #[test]
    fn a_list_of_addresses_is_all_between_its_quotes() {
        for tag in ["<FORWARDED>", "<F-FORWARDED/>"] {
            check(&format!("for {tag}$"), &format!("for {BARE}$"));
            check(&format!("\"{tag}\""), &format!("\"{IN_DOUBLE_QUOTES}\""));
            check(&format!("'{tag}'"), &format!("'{IN_QUOTES}'"));
            check(&format!("\"a {tag}\""), &format!("\"a {BARE}\""));
        }
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
    fn a_host_may_be_a_name_where_names_are_used() {
        let host = format!(r"(?:\[?(?:{IP4}|{IP6})\]?|{DNS})");
        for dns in [UseDns::Yes, UseDns::Warn, UseDns::Raw] {
            assert_eq!(expand("<HOST>", dns).text(), host);
            assert_eq!(expand("<ADDR>", dns).text(), expand("<HOST>", UseDns::No).text());
        }
        check("<DNS>|<F-DNS/>", &format!("{DNS}|{DNS}"));
        check("<F-ID/>", r"(?P<fid>\S+)");
    }

    #[test]
    fn skipped_lines_are_numbered() {
        let skip = |number| format!(r"\n(?P<skiplines{number}>(?:(?:.*\n)*?))");
        check("a<SKIPLINES>b<SKIPLINES>c", &format!("a{}b{}c", skip(0), skip(1)));
    }

    #[test]
    fn spans_point_to_the_tag() {
        let pattern = expand("é<HOST>z", UseDns::No);
        let middle = pattern.text().find("ip6").unwrap();
        assert_eq!(pattern.origin(middle..middle + 3), 2..8);
        assert_eq!(pattern.origin(pattern.text().len() - 1..pattern.text().len()), 8..9);
    }
}
