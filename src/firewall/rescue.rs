//! Rules by which a person lets an address past all bans, whatever guard does: they bear
//! the comment `guard-rescue`, and guard leaves them above its own jumps.
//!
//! Any other rule that lets packets by ends up below guard's jumps, since most are
//! somebody else's "accept what is established". Only root can write either.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write as _;

use super::names::Family;
use super::rules::{ChainFound, MARK, Rule, Table};

/// The comment.
pub(crate) const RESCUE: &str = "guard-rescue";

/// The rules of one chain that are shown.
const SHOWN: usize = 8;

/// At which place of a chain a jump of guard's begins: below the rescue rules at its head.
pub(crate) fn place(chain: &ChainFound) -> usize {
    1 + chain.rules.iter().take_while(|rule| rule.is_rescue()).count()
}

/// What a person should be reminded of: one who is let in for good is never banned.
pub(crate) fn notes(family: Family, table: &Table) -> Vec<String> {
    let tool = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let with = |chain: &ChainFound| {
        let rules: Vec<&Rule> = chain.rules.iter().filter(|rule| rule.is_rescue()).collect();
        let (first, more) = rules.split_first()?;
        let mut note = format!(
            "{tool}: a rescue rule in {} lets somebody past all bans (`{}`",
            chain.name, first.text
        );
        for rule in more.iter().take(SHOWN) {
            let _ = write!(note, "`, `{}", rule.text);
        }
        let _ = write!(note, "`): when it is not needed any more: {tool} -D {} …", chain.name);
        Some(note)
    };
    table.chains.iter().filter_map(with).collect()
}

/// The same for guard's own table in nftables.
pub(crate) fn note_nft(table: &str, chain: &str) -> String {
    format!(
        "nftables: a rescue rule in chain {chain} of table inet {table} lets somebody past all bans: when it is \
         not needed any more: nft -a list chain inet {table} {chain}, and nft delete rule … handle …"
    )
}

const _: () = assert!(MARK.len() < RESCUE.len(), "the one is not taken for the other");

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(rules: &[&str]) -> ChainFound {
        let rules = rules.iter().map(|text| Rule::parse(text).unwrap()).collect();
        ChainFound { name: "DOCKER-USER".to_owned(), rules }
    }

    const IN: &str = "-s 192.0.2.7/32 -m comment --comment guard-rescue -j RETURN";

    #[test]
    fn jumps_go_below_rescue_rules_at_the_head_and_nothing_else() {
        let jump = "-m comment --comment guard -j f2b-web";
        for (rules, expected) in [
            (&[][..], 1),
            (&["-s 192.0.2.7/32 -j RETURN"], 1),
            (&[IN], 2),
            (&[IN, IN, jump, IN], 3),
            (&[jump, IN], 1),
            (&["-s 192.0.2.7/32 -m comment --comment \"guard-rescue or so\" -j RETURN"], 1),
        ] {
            assert_eq!(place(&chain(rules)), expected, "{rules:?}");
        }
    }

    #[test]
    fn a_person_is_reminded() {
        let table = Table { chains: vec![chain(&["-j LOG"]), chain(&[IN, "-j RETURN", IN])] };
        let notes = notes(Family::V4, &table);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains(IN) && notes[0].contains("iptables -D DOCKER-USER"), "{notes:?}");
    }
}
