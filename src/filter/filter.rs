//! A filter: its regexes, compiled, and the address that they find in a text.

use std::collections::HashSet;

use super::engine::{Bank, Captures, Engine};
use super::error::{Fault, RegexError, RegexPlace};
use super::pattern::Pattern;
use super::{python, tags};
use crate::model::{Address, Network};

/// A filter as a user wrote it: regexes in fail2ban's language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterSpec {
    /// A line that one of these matches is a failure of the address in it.
    pub failregex: Vec<String>,
    /// Unless one of these matches as well.
    pub ignoreregex: Vec<String>,
}

/// The longest regex that is looked at, in bytes.
const MAX_REGEX: usize = 16 * 1024;

/// The most regexes of a kind that a filter may have.
const MAX_REGEXES: usize = 1000;

/// A filter that is ready for lines. Immutable; [`Judge`](super::Judge) has the state.
#[derive(Clone, Debug)]
pub struct Filter {
    fail: Bank,
    /// The groups with the address, for each failregex.
    slots: Vec<Slots>,
    ignore: Bank,
}

/// What a filter makes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// An ignoreregex matched as well.
    Ignored,
    /// Who failed, and the index of the failregex.
    Failed(Network, usize),
}

impl Filter {
    /// Compiles `spec`.
    ///
    /// # Errors
    /// Everything that is wrong, regex by regex, in their order; the first thing in each.
    pub fn new(spec: &FilterSpec) -> Result<Filter, Vec<RegexError>> {
        let mut errors = Vec::new();
        let fail = bank(&spec.failregex, RegexPlace::Fail, &mut errors);
        let ignore = bank(&spec.ignoreregex, RegexPlace::Ignore, &mut errors);
        match (fail, ignore) {
            (Some(fail), Some(ignore)) => {
                let slots = fail.engines().iter().map(Slots::of).collect();
                Ok(Filter { fail, slots, ignore })
            }
            _ => {
                errors.sort_by_key(|error| error.place);
                Err(errors)
            }
        }
    }

    /// Quickly: may `line`, with its date cut out or not, be a failure? It must have
    /// neither line ends nor terminal escapes in it.
    pub(super) fn may_match(&self, line: &str) -> bool {
        self.fail.may_match(line)
    }

    /// The same filter, but without the quick answer.
    #[cfg(test)]
    pub(super) fn thorough(&self) -> Filter {
        let filter = self.clone();
        Filter { fail: filter.fail.without_needles(), ..filter }
    }

    /// Searches `text`, which ends in its only `\n`. The first failregex that finds a
    /// real address counts; one that finds something else (`999.1.1.1`) did not match.
    pub(super) fn search(&self, text: &str) -> Option<Finding> {
        let (network, index) = self.fail.first(text, |index, captures| {
            Some((self.slots.get(index)?.network(captures)?, index))
        })?;
        if self.ignore.is_match(text) {
            return Some(Finding::Ignored);
        }
        Some(Finding::Failed(network, index))
    }
}

/// Compiles the regexes of one kind; what is wrong goes to `errors`.
fn bank(
    regexes: &[String],
    place: fn(usize) -> RegexPlace,
    errors: &mut Vec<RegexError>,
) -> Option<Bank> {
    let mut patterns = Vec::with_capacity(regexes.len());
    let before = errors.len();
    for (index, regex) in regexes.iter().enumerate().take(MAX_REGEXES + 1) {
        let pattern = if index == MAX_REGEXES {
            Err(Fault::new(0..regex.len(), format!("more than {MAX_REGEXES} regexes")))
        } else {
            pattern(regex, place(index))
        };
        match pattern {
            Ok(pattern) => patterns.push(pattern),
            Err(fault) => errors.push(fault.at(place(index))),
        }
    }
    if errors.len() > before {
        // What only compiling shows (too large) is told when all else is right.
        return None;
    }
    match Bank::compile(&patterns) {
        Ok(bank) => Some(bank),
        Err(faults) => {
            errors.extend(faults.into_iter().map(|(index, fault)| fault.at(place(index))));
            None
        }
    }
}

/// From the user's text to the engine's syntax.
fn pattern(regex: &str, place: RegexPlace) -> Result<Pattern, Fault> {
    if regex.len() > MAX_REGEX {
        let start = (0..=MAX_REGEX).rev().find(|at| regex.is_char_boundary(*at)).unwrap_or(0);
        let what = format!("a regex of more than {MAX_REGEX} bytes");
        return Err(Fault::new(start..regex.len(), what));
    }
    if regex.trim().is_empty() {
        let what = "an empty regex, which every line would match";
        return Err(Fault::new(0..regex.len(), what).remedy("write a regex, or leave it out"));
    }
    let translation = python::translate(&tags::expand(regex)?)?;
    check_groups(&translation.groups)?;
    if let RegexPlace::Fail(_) = place {
        check_address(regex, &translation.groups)?;
    }
    // Parsed here as well, so that one wrong regex does not hide another's mistakes.
    Engine::check(&translation.pattern)?;
    Ok(translation.pattern)
}

/// Groups that mean more to fail2ban than their text, and can't yet here.
fn is_unsupported(name: &str) -> bool {
    matches!(name, "fid" | "dns" | "content" | "nofail" | "mlfid" | "mlfforget" | "mlfgained")
        || ["alt_", "tuple_", "skiplines"].iter().any(|start| name.starts_with(start))
}

fn check_groups(groups: &[python::Group]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for group in groups {
        if is_unsupported(&group.name) {
            let what =
                format!("the group `{}` is not supported in this version of guard", group.name);
            let remedy = "use <HOST>, <ADDR>, <IP4>, <IP6> or <SUBNET> for the address, and match \
                          one line at a time";
            return Err(Fault::new(group.span.clone(), what).remedy(remedy));
        }
        if !seen.insert(group.name.as_str()) {
            let span = group.span.clone();
            return Err(match group.name.as_str() {
                "ip4" | "ip6" | "cidr" => Fault::new(span, "a second place for the address")
                    .remedy("a regex has one address; write one failregex for each place"),
                name => Fault::new(span, format!("a second group with the name `{name}`"))
                    .remedy("give it another name, or write `(?:…)`"),
            });
        }
    }
    Ok(())
}

fn check_address(regex: &str, groups: &[python::Group]) -> Result<(), Fault> {
    if groups.iter().any(|group| group.name == "ip4" || group.name == "ip6") {
        return Ok(());
    }
    let fault = Fault::new(0..regex.len(), "no place for the address");
    let lower = regex.to_ascii_lowercase();
    let near = ["<host>", "<addr>", "<ip4>", "<ip6>", "<subnet>", "(?p<host>", "(?p<ip>"];
    Err(match near.iter().find_map(|near| lower.find(near).map(|at| at..at + near.len())) {
        Some(span) => Fault { span, ..fault }.remedy("write the tag in capitals: <HOST>"),
        None => fault.remedy("put <HOST> where the address stands"),
    })
}

/// The numbers of the groups that hold an address.
#[derive(Clone, Copy, Debug)]
struct Slots {
    ip4: Option<usize>,
    ip6: Option<usize>,
    cidr: Option<usize>,
}

/// Shortest prefixes that a log may name: a line must not shut out half the net.
const SHORTEST_IP4: u8 = 16;
const SHORTEST_IP6: u8 = 32;

impl Slots {
    fn of(engine: &Engine) -> Slots {
        let [ip4, ip6, cidr] = ["ip4", "ip6", "cidr"].map(|name| engine.group(name));
        Slots { ip4, ip6, cidr }
    }

    /// Whom the groups name; `None` if that is no address.
    fn network(&self, captures: &Captures<'_>) -> Option<Network> {
        let text = |slot: Option<usize>| captures.get(slot?).filter(|text| !text.is_empty());
        let address: Address = text(self.ip4).or_else(|| text(self.ip6))?.parse().ok()?;
        let length = text(self.cidr).and_then(|length| prefix_length(address, length));
        Some(length.and_then(|n| Network::new(address, n)).unwrap_or_else(|| address.into()))
    }
}

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

    fn spec(fail: &[&str], ignore: &[&str]) -> FilterSpec {
        let own = |regexes: &[&str]| regexes.iter().map(|regex| (*regex).to_owned()).collect();
        FilterSpec { failregex: own(fail), ignoreregex: own(ignore) }
    }

    /// `text` is a failure of `network`; empty: of nobody.
    #[track_caller]
    fn check(regex: &str, text: &str, network: &str) {
        let filter = Filter::new(&spec(&[regex], &[])).unwrap();
        let found = match filter.search(&format!("{text}\n")) {
            Some(Finding::Failed(network, 0)) => network.to_string(),
            None => String::new(),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, network, "{regex} on {text}");
    }

    #[track_caller]
    fn refuse(regex: &str, place: &str, what: &str, remedy: &str) {
        let errors = Filter::new(&spec(&["x <HOST>", regex], &[])).unwrap_err();
        let error = &errors[0];
        assert_eq!(error.place, RegexPlace::Fail(1));
        assert_eq!(&regex[error.span.clone()], place, "{error:?}");
        assert!(error.what.contains(what), "{error:?}");
        assert!(error.remedy.as_deref().unwrap_or_default().contains(remedy), "{error:?}");
    }

    #[test]
    fn addresses_as_logs_print_them() {
        check("from <HOST>$", "from 192.0.2.1", "192.0.2.1");
        check("from <HOST>$", "from ::ffff:192.0.2.1", "192.0.2.1");
        check("from <HOST>$", "from ::ffff:c000:201", "192.0.2.1");
        check("from <HOST>$", "from 2001:DB8:0:0::1", "2001:db8::1");
        check("from <HOST>:22$", "from [2001:db8::1]:22", "2001:db8::1");
        check(r"from <HOST>:\d+$", "from 2001:db8::1:22", "2001:db8::1");
        check("from <HOST>$", "from fe80::1%eth0", "fe80::1");
        check("from <HOST>%eth0$", "from fe80::1%eth0", "fe80::1");
        check("from <HOST> port", "from fe80::1%eth0.1 port 22", "fe80::1");
        check("from <HOST>$", "from 2001:db8::", "2001:db8::");
        check("from <HOST>$", "from ::1", "::1");
        check(r"from <HOST>\s", "from 192.0.2.1", "192.0.2.1");
        check("<IP4>", "2001:db8::1", "");
        check("<IP6>", "192.0.2.1", "");
        check("(?:<IP4>|<IP6>)", "2001:db8::1", "2001:db8::1");
        check(r"ip=(?P<ip4>\S+)", "ip=192.0.2.7 x", "192.0.2.7");
    }

    #[test]
    fn only_real_addresses() {
        check("from <HOST>", "from 999.1.1.1", "");
        check("from <HOST>$", "from 010.001.1.1", "");
        check("at <HOST>", "at 21:59:59", "");
        check("from <HOST>", "from example.com", "");
        let filter = Filter::new(&spec(&["from <HOST>", "by <HOST>"], &[])).unwrap();
        let found = filter.search("from 999.1.1.1 by 192.0.2.1\n");
        assert_eq!(found, Some(Finding::Failed("192.0.2.1".parse().unwrap(), 1)));
    }

    #[test]
    fn prefixes() {
        check("from <SUBNET>$", "from 192.0.2.7/24", "192.0.2.0/24");
        check("from <SUBNET>$", "from 192.0.2.7", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/16", "192.0.0.0/16");
        check("from <SUBNET>$", "from 192.0.2.7/15", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/0", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/99", "192.0.2.7");
        check("from <SUBNET>$", "from 192.0.2.7/99999999999", "192.0.2.7");
        check("from <SUBNET>$", "from [2001:db8::7/64]", "2001:db8::/64");
        check("from <SUBNET>$", "from 2001:db8::7/31", "2001:db8::7");
        check("from <SUBNET>$", "from ::ffff:192.0.2.7/120", "192.0.2.0/24");
        check("net <CIDR> of <ADDR>", "net 24 of 192.0.2.7", "192.0.2.0/24");
    }

    #[test]
    fn ignoreregex_is_asked_on_what_matched() {
        let filter = Filter::new(&spec(&["from <HOST>"], &["user=test", "^probe <HOST>"])).unwrap();
        assert_eq!(filter.search("user=test from 192.0.2.1\n"), Some(Finding::Ignored));
        assert_eq!(filter.search("user=test\n"), None);
        assert!(matches!(filter.search("from 192.0.2.1\n"), Some(Finding::Failed(..))));
    }

    #[test]
    fn one_place_for_the_address() {
        refuse("failed", "failed", "no place for the address", "put <HOST>");
        refuse("by <host>", "<host>", "no place for the address", "capitals");
        refuse("é <HOST> by <HOST>", "<HOST>", "a second place for the address", "each place");
        let errors = Filter::new(&spec(&["é <HOST> by <HOST>"], &[])).unwrap_err();
        assert_eq!(errors[0].span, 13..19, "the second, not the first");
        refuse("<HOST> <IP4>", "<IP4>", "a second place", "each place");
        refuse("<SUBNET>/<CIDR>", "<CIDR>", "a second place", "each place");
        refuse("(?P<a>x)(?P<a>y)<HOST>", "(?P<a>", "a second group", "another name");
    }

    #[test]
    fn what_comes_later_is_refused() {
        for tag in ["<DNS>", "<F-ID/>", "<SKIPLINES>"] {
            refuse(&format!("a{tag}<HOST>"), tag, "not supported in this version", "");
        }
        for tag in ["<F-ID>", "<F-MLFID>", "<F-NOFAIL>", "<F-ALT_USER>", "<F-CONTENT>", "(?P<dns>"]
        {
            refuse(&format!("a{tag}x) <HOST>"), tag, "not supported in this version", "");
        }
        let user = "^<F-USER>[^ ]*</F-USER> <HOST>";
        assert!(Filter::new(&spec(&[user], &[])).is_ok());
    }

    #[test]
    fn all_mistakes_at_once() {
        let errors =
            Filter::new(&spec(&["(", "ok <HOST>", "(<HOST>", "<HOST>(?=a)"], &["", "a{2,1}"]));
        let places: Vec<_> = errors.unwrap_err().into_iter().map(|error| error.place).collect();
        use RegexPlace::{Fail, Ignore};
        assert_eq!(places, [Fail(0), Fail(2), Fail(3), Ignore(0), Ignore(1)]);
    }

    #[test]
    fn errors_point_through_the_tags() {
        refuse("<HOST> (ab", "(", "unclosed", "");
        refuse("<HOST>é[z-a]", "[z-a", "no range", "");
        refuse("<HOST>(a{999}){999}", "<HOST>(a{999}){999}", "too large", "smaller");
        refuse(&format!("<HOST>{}", "é".repeat(9000)), &"é".repeat(9000 - 8189), "more than", "");
    }
}
