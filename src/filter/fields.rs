//! What a match says: its named groups, and whom they name.
//!
//! A filter's groups have numbers, the same in all its regexes. Groups of one match
//! are merged as in fail2ban: `alt_NAME_1` fills `NAME` where that is empty,
//! `tuple_NAME` makes `NAME` a tuple, and a failregex's groups replace prefregex's.

use super::engine::{Captures, Engine};
use crate::model::{Address, Hop, Network};

/// The numbers of the groups that mean something to the filter.
pub(super) const IP4: usize = 0;
pub(super) const IP6: usize = 1;
pub(super) const DNS: usize = 2;
pub(super) const FID: usize = 3;
pub(super) const CIDR: usize = 4;
pub(super) const MLFID: usize = 5;
pub(super) const NOFAIL: usize = 6;
pub(super) const FORGET: usize = 7;
pub(super) const GAINED: usize = 8;
pub(super) const USER: usize = 9;
pub(super) const CONTENT: usize = 10;
pub(super) const FORWARDED: usize = 11;

const SPECIAL: [&str; 12] = [
    "ip4",
    "ip6",
    "dns",
    "fid",
    "cidr",
    "mlfid",
    "nofail",
    "mlfforget",
    "mlfgained",
    "user",
    "content",
    "forwarded",
];

/// The names of a filter's groups, by their numbers.
#[derive(Clone, Debug)]
pub(super) struct Names(Vec<String>);

impl Default for Names {
    fn default() -> Names {
        Names(SPECIAL.map(str::to_owned).to_vec())
    }
}

impl Names {
    /// The number of `name`, a new one if need be.
    fn number(&mut self, name: &str) -> usize {
        self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }
}

/// The groups of one regex.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// The number of the group in the regex, by its number in the filter.
    groups: Vec<(usize, usize)>,
    /// What fills what: `alt_user_1`, `user`. By the first one's name.
    alternatives: Vec<(usize, usize)>,
    /// What is added to what: `tuple_user`, `user`. By the first one's name.
    tuples: Vec<(usize, usize)>,
    /// The regex's own numbers of the special groups.
    special: [Option<usize>; SPECIAL.len()],
}

impl Layout {
    pub(super) fn of(engine: &Engine, names: &mut Names) -> Layout {
        let mut layout = Layout::default();
        let mut found: Vec<(String, usize)> = engine
            .names()
            .enumerate()
            .filter_map(|(number, name)| Some((name?.to_owned(), number)))
            .filter(|(name, _)| !name.starts_with("skiplines"))
            .collect();
        found.sort();
        for (name, number) in found {
            let known = names.number(&name);
            layout.groups.push((number, known));
            if let Some(special) = layout.special.get_mut(known) {
                *special = Some(number);
            }
            if let Some(target) = complex(&name, "alt_") {
                layout.alternatives.push((known, names.number(&target)));
            } else if let Some(target) = complex(&name, "tuple_") {
                layout.tuples.push((known, names.number(&target)));
            }
        }
        layout
    }

    /// Has the regex this special group?
    pub(super) fn has(&self, special: usize) -> bool {
        self.special.get(special).is_some_and(Option::is_some)
    }

    /// What a special group matched.
    pub(super) fn get<'t>(&self, captures: &Captures<'t>, special: usize) -> Option<&'t str> {
        captures.get((*self.special.get(special)?)?)
    }

    /// Do the groups need merging before anyone is named?
    pub(super) fn is_complex(&self) -> bool {
        !(self.alternatives.is_empty() && self.tuples.is_empty())
    }

    /// Puts all groups that took part in a match into `fields`.
    pub(super) fn fill(&self, captures: &Captures<'_>, names: &Names, fields: &mut Fields) {
        let mut own = Fields::default();
        own.0.resize(names.0.len(), None);
        for (number, name) in &self.groups {
            own.0[*name] = captures.get(*number).map(|text| Value::Text(text.to_owned()));
        }
        for (from, to) in &self.alternatives {
            if own.is_set(*from) && !own.is_set(*to) {
                own.0[*to] = own.0[*from].clone();
            }
        }
        for (from, to) in &self.tuples {
            let part = own.0[*from].as_ref().map(Value::to_text);
            own.0[*to] = Some(match own.0[*to].take() {
                Some(Value::Tuple(mut parts)) => {
                    parts.push(part);
                    Value::Tuple(parts)
                }
                other => Value::Tuple(vec![other.as_ref().map(Value::to_text), part]),
            });
        }
        fields.update(own);
    }
}

/// The name that a name such as `alt_user_2` is for.
fn complex(name: &str, prefix: &str) -> Option<String> {
    let target = name.strip_prefix(prefix)?;
    let bare = target.trim_end_matches(|c: char| c.is_ascii_digit());
    let target = match bare.strip_suffix('_') {
        Some(bare) if bare.len() + 1 < target.len() => bare,
        _ => target,
    };
    Some(match target {
        "id" => "fid".to_owned(),
        "port" => "fport".to_owned(),
        other => other.to_owned(),
    })
}

/// What a group matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// The texts of several groups that belong together (`<F-TUPLE_…>`).
    Tuple(Vec<Option<String>>),
}

impl Value {
    /// The text, or the texts with blanks between.
    pub fn to_text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Tuple(parts) => {
                parts.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// What the groups matched, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<Option<Value>>);

impl Fields {
    pub(super) fn get(&self, number: usize) -> Option<&Value> {
        self.0.get(number)?.as_ref()
    }

    /// The text of a group, which may be empty.
    pub(super) fn text(&self, number: usize) -> Option<&str> {
        match self.get(number)? {
            Value::Text(text) => Some(text),
            Value::Tuple(_) => None,
        }
    }

    /// Did the group match more than nothing?
    pub(super) fn is_set(&self, number: usize) -> bool {
        match self.get(number) {
            Some(Value::Text(text)) => !text.is_empty(),
            Some(Value::Tuple(_)) => true,
            None => false,
        }
    }

    /// Takes the group out, and says whether it was set.
    pub(super) fn take(&mut self, number: usize) -> bool {
        let set = self.is_set(number);
        if let Some(value) = self.0.get_mut(number) {
            *value = None;
        }
        set
    }

    pub(super) fn set(&mut self, number: usize, value: Option<Value>) {
        if self.0.len() <= number {
            self.0.resize(number + 1, None);
        }
        self.0[number] = value;
    }

    /// Takes over whatever is known in `newer`.
    pub(super) fn update(&mut self, newer: Fields) {
        if self.0.len() < newer.0.len() {
            self.0.resize(newer.0.len(), None);
        }
        for (old, new) in self.0.iter_mut().zip(newer.0) {
            if new.is_some() {
                *old = new;
            }
        }
    }

    /// How many bytes its texts take.
    pub(super) fn weight(&self) -> usize {
        let of = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Tuple(parts) => parts.iter().flatten().map(String::len).sum(),
        };
        self.0.iter().flatten().map(of).sum()
    }

    /// All groups but `content`, by name.
    pub(super) fn named(&self, names: &Names) -> Vec<(String, Value)> {
        let mut named: Vec<_> = names
            .0
            .iter()
            .zip(&self.0)
            .enumerate()
            .filter(|(number, _)| *number != CONTENT)
            .filter_map(|(_, (name, value))| Some((name.clone(), value.clone()?)))
            .collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named
    }
}

/// Whom a match names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Network(Network),
    /// An address with what proxies passed on to it.
    Forwarded(Network, Vec<Hop>),
    /// Looks like an address, and is none: `999.1.1.1`.
    Unreal(String),
    /// A host's name.
    Name(String),
    /// An identifier of another kind (`<F-ID>`).
    Id(String),
}

/// Whom the special groups name, given what each matched; `None`: nobody. An address
/// goes before a name, and a name before an identifier.
pub(super) fn identity<'t>(get: impl Fn(usize) -> Option<&'t str>) -> Option<Identity> {
    let text = |group: usize| get(group).filter(|text| !text.is_empty());
    if let Some(address) = text(IP4).or_else(|| text(IP6)) {
        return Some(match network(address, text(CIDR)) {
            Some(network) => {
                let hops = text(FORWARDED).map(Hop::read_list).unwrap_or_default();
                if hops.is_empty() || !network.is_single() {
                    Identity::Network(network)
                } else {
                    Identity::Forwarded(network, hops)
                }
            }
            None => Identity::Unreal(address.to_owned()),
        });
    }
    if let (None, Some(list)) = (text(DNS), text(FORWARDED)) {
        return Some(last_hop(list));
    }
    let (name, kind): (_, fn(String) -> Identity) = match text(DNS) {
        Some(name) => (name, Identity::Name),
        None => (text(FID)?, Identity::Id),
    };
    Some(address_in(name).map_or_else(|| kind(name.to_owned()), Identity::Network))
}

/// Where the list is all that the regex has, its last entry is who spoke to the proxy
/// that the service trusts.
fn last_hop(list: &str) -> Identity {
    let mut hops = Hop::read_list(list);
    match hops.pop() {
        Some(Hop::Address(address)) if hops.is_empty() => Identity::Network(address.into()),
        Some(Hop::Address(address)) => Identity::Forwarded(address.into(), hops),
        Some(Hop::Unknown) | None => Identity::Unreal(list.to_owned()),
    }
}

/// The address that an identifier is, perhaps in brackets or with a prefix's length.
pub fn address_in(text: &str) -> Option<Network> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.split_once('/') {
        Some((address, length)) => {
            prefix_length(address.parse().ok()?, length)?;
            network(address, Some(length))
        }
        None => network(bare, None),
    }
}

fn network(address: &str, length: Option<&str>) -> Option<Network> {
    let address: Address = address.parse().ok()?;
    let length = length.and_then(|length| prefix_length(address, length));
    Some(length.and_then(|n| Network::new(address, n)).unwrap_or_else(|| address.into()))
}

/// Shortest prefixes that a log may name: a line must not shut out half the net.
const SHORTEST_IP4: u8 = 16;
const SHORTEST_IP6: u8 = 32;

/// The prefix length that a log gives, if it is one and not too short. That of an
/// IPv4-mapped address is counted from the IPv6 address's start.
fn prefix_length(address: Address, text: &str) -> Option<u8> {
    let length: u8 = text.parse().ok()?;
    if address.is_ipv6() {
        return (length >= SHORTEST_IP6).then_some(length);
    }
    let length = if length > 32 { length.checked_sub(96)? } else { length };
    (length >= SHORTEST_IP4).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_complex_groups() {
        for (name, target) in [
            ("alt_user", "user"),
            ("alt_user_1", "user"),
            ("alt_user_12", "user"),
            ("alt_user1", "user1"),
            ("alt_id", "fid"),
            ("alt_port_2", "fport"),
            ("alt_user_", "user_"),
        ] {
            assert_eq!(complex(name, "alt_").as_deref(), Some(target), "{name}");
        }
        assert_eq!(complex("user", "alt_"), None);
    }

    #[test]
    fn an_address_goes_before_a_name_and_a_name_before_an_identifier() {
        let who = |known: &[(usize, &'static str)]| {
            let known = known.to_vec();
            identity(move |group| known.iter().find(|(g, _)| *g == group).map(|(_, text)| *text))
        };
        let network = |text: &str| Some(Identity::Network(text.parse().unwrap()));
        assert_eq!(who(&[(DNS, "example.com"), (IP6, "2001:db8::1")]), network("2001:db8::1"));
        assert_eq!(who(&[(IP4, ""), (DNS, "a.example")]), Some(Identity::Name("a.example".into())));
        assert_eq!(who(&[(FID, "s-1"), (DNS, "")]), Some(Identity::Id("s-1".into())));
        assert_eq!(who(&[(FID, "192.0.2.1")]), network("192.0.2.1"));
        assert_eq!(who(&[(FID, "[2001:DB8::0001]")]), network("2001:db8::1"));
        assert_eq!(who(&[(FID, "192.0.2.7/24")]), network("192.0.2.0/24"));
        assert_eq!(who(&[(FID, "192.0.2.7/x")]), Some(Identity::Id("192.0.2.7/x".into())));
        assert_eq!(who(&[(IP4, "999.1.1.1")]), Some(Identity::Unreal("999.1.1.1".into())));
        assert_eq!(who(&[(IP4, "192.0.2.7"), (CIDR, "24")]), network("192.0.2.0/24"));
        assert_eq!(who(&[]), None);
        let chain = |peer: &str, list: &str| {
            Some(Identity::Forwarded(peer.parse().unwrap(), Hop::read_list(list)))
        };
        let list = "192.0.2.8, 192.0.2.9";
        assert_eq!(who(&[(FORWARDED, list), (IP4, "10.0.0.1")]), chain("10.0.0.1", list));
        assert_eq!(who(&[(FORWARDED, list)]), chain("192.0.2.9", "192.0.2.8"));
        assert_eq!(who(&[(FORWARDED, "192.0.2.9")]), network("192.0.2.9"));
        assert_eq!(who(&[(FORWARDED, "-"), (IP4, "10.0.0.1")]), network("10.0.0.1"));
        assert_eq!(who(&[(FORWARDED, "-")]), Some(Identity::Unreal("-".into())));
        let unknown = "192.0.2.9, unknown";
        assert_eq!(who(&[(FORWARDED, unknown)]), Some(Identity::Unreal(unknown.into())));
        assert_eq!(who(&[(FORWARDED, list), (DNS, "a.b")]), Some(Identity::Name("a.b".into())));
    }
}
