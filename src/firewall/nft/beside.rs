//! guard's rules in iptables' own table, taken away without iptables: one rule of nft's in
//! it is enough that iptables shows no rule any more and finds none to delete.

use std::collections::BTreeSet;

use crate::firewall::iptables;
use crate::firewall::names::{CHAIN_PREFIX, Family};
use crate::firewall::rules::MARK;

use super::own::NftError;
use super::plan::RuleFound;
use super::socket::Socket;
use super::{decode, encode};

/// A rule that is gone before it is deleted fails all: then it is read again, so often.
const ATTEMPTS: usize = 3;

/// Takes all chains and jumps with guard's mark out of one family's filter table of
/// iptables-nft, and says whose: the chains.
pub(crate) fn take_away(family: Family) -> Result<BTreeSet<String>, String> {
    let mut last = Ok(BTreeSet::new());
    for _ in 0..ATTEMPTS {
        last = try_take_away(family).map_err(|error| error.to_string());
        if last.is_ok() {
            break;
        }
    }
    last
}

fn try_take_away(family: Family) -> Result<BTreeSet<String>, NftError> {
    let (number, table) = match family {
        Family::V4 => (encode::IPV4, "ip filter"),
        Family::V6 => (encode::IPV6, "ip6 filter"),
    };
    let rules = Socket::open()?.dump(
        encode::GET_RULE,
        number,
        |question| question.of_table("filter"),
        decode::rule_of_iptables,
    )?;
    let (lines, chains) = plan(table, &rules);
    if !lines.is_empty() {
        iptables::nft(&lines)?;
    }
    Ok(chains)
}

/// What to tell nft, and which of guard's chains that takes away.
fn plan(table: &str, rules: &[(String, RuleFound)]) -> (Vec<String>, BTreeSet<String>) {
    let is_marked = |rule: &RuleFound| rule.comment.as_deref() == Some(MARK);
    let target = |rule: &RuleFound| {
        rule.jump.clone().filter(|name| name.starts_with(CHAIN_PREFIX) && is_plain(name))
    };
    let own = |name: &String| name.starts_with(CHAIN_PREFIX) && is_plain(name);
    // Chains with the mark in them, or on a jump to them.
    let mut chains: BTreeSet<String> = BTreeSet::new();
    // Those that another uses by now stay, without guard's rules.
    let mut others: BTreeSet<String> = BTreeSet::new();
    for (chain, rule) in rules {
        let to = if is_marked(rule) { &mut chains } else { &mut others };
        to.extend(target(rule));
        to.extend(Some(chain.clone()).filter(own));
    }
    let goes: BTreeSet<&String> = chains.difference(&others).collect();
    let mut lines = Vec::new();
    for (chain, rule) in rules {
        let mine = is_marked(rule) && (target(rule).is_some() || own(chain));
        if mine && is_plain(chain) && !goes.contains(chain) {
            lines.push(format!("delete rule {table} {chain} handle {}", rule.handle));
        }
    }
    lines.extend(goes.iter().map(|chain| format!("flush chain {table} {chain}")));
    lines.extend(goes.iter().map(|chain| format!("delete chain {table} {chain}")));
    (lines, chains)
}

/// Can a name be written as it is? The kernel takes any bytes.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(chain: &str, handle: u64, comment: &str, jump: &str) -> (String, RuleFound) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        (chain.into(), RuleFound { handle, comment: some(comment), jump: some(jump) })
    }

    #[test]
    fn what_is_guards_goes_and_nothing_else() {
        let rules = [
            rule("INPUT", 1, "", ""),
            rule("INPUT", 2, "guard", "f2b-web"),
            rule("INPUT", 3, "", "f2b-sshd"),
            rule("INPUT", 4, "guard", "elsewhere"),
            rule("INPUT", 5, "guard-rescue", ""),
            rule("DOCKER-USER", 6, "guard", "f2b-web"),
            rule("f2b-web", 7, "guard", ""),
            rule("f2b-web", 8, "guard", ""),
            rule("f2b-sshd", 9, "", ""),
            rule("f2b-both", 10, "guard", ""),
            rule("f2b-both", 11, "", ""),
            rule("f2b-used", 12, "guard", ""),
            rule("FORWARD", 13, "", "f2b-used"),
            rule("odd; flush ruleset", 14, "guard", "f2b-web"),
            rule("FORWARD", 15, "guard", "f2b-empty"),
        ];
        let (lines, chains) = plan("ip filter", &rules);
        assert_eq!(
            lines,
            [
                "delete rule ip filter INPUT handle 2",
                "delete rule ip filter DOCKER-USER handle 6",
                "delete rule ip filter f2b-both handle 10",
                "delete rule ip filter f2b-used handle 12",
                "delete rule ip filter FORWARD handle 15",
                "flush chain ip filter f2b-empty",
                "flush chain ip filter f2b-web",
                "delete chain ip filter f2b-empty",
                "delete chain ip filter f2b-web",
            ]
        );
        let names = ["f2b-both", "f2b-empty", "f2b-used", "f2b-web"];
        assert_eq!(chains, names.map(str::to_owned).into());
        assert_eq!(plan("ip filter", &[]), Default::default());
    }
}
