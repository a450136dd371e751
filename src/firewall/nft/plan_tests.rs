//! Plans are tried on a small model of a table.

use proptest::prelude::*;

use super::*;
use crate::firewall::names::Names;
use crate::firewall::nft::shape;
use crate::model::{BlockRules, BlockType, Chain, PortRange, Ports, Protocol};

/// What `nft -f -` does with a plan's lines, and what the kernel refuses.
fn apply(found: &Found, plan: &Plan) -> Found {
    let mut table = found.clone();
    let handles = found.chains.values().flat_map(|chain| &chain.rules).map(|rule| rule.handle);
    let mut next = handles.max().unwrap_or(0);
    for line in &plan.lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(&words[2..4], ["inet", "guard"], "no other table is spoken of: {line}");
        let name = words.get(4).copied().unwrap_or_default();
        match (words[0], words[1]) {
            ("add", "table") => table.flags = Some(table.flags.unwrap_or(0) & !1),
            ("delete", "table") => table = Found::default(),
            ("add", "chain") => {
                let base = Hook::ALL.into_iter().find(|hook| hook.as_str() == name);
                let base =
                    base.map(|hook| Base { hook: hook.number(), priority: PRIORITY, usual: true });
                assert_eq!(base.is_some(), line.ends_with("policy accept; }"), "{line}");
                let old = table.chains.insert(name.into(), ChainFound { base, rules: vec![] });
                assert_eq!(old, None, "{line}");
            }
            ("flush", "chain") => table.chains.get_mut(name).expect(line).rules.clear(),
            ("delete", "chain") => {
                let used = table.chains.values().flat_map(|chain| &chain.rules);
                assert!(!used.clone().any(|r| r.jump.as_deref() == Some(name)), "busy: {line}");
                assert!(table.chains.remove(name).expect(line).rules.is_empty(), "{line}");
            }
            ("add", "set") => {
                let key_length = if line.contains("ipv4_addr") { 4 } else { 16 };
                let old = table.sets.insert(name.into(), SetFound { flags: 16, key_length });
                assert_eq!(old, None, "{line}");
            }
            ("delete", "set") => {
                let mut rules = table.chains.values().flat_map(|chain| &chain.rules);
                let looked = format!("@{name}");
                assert!(!rules.any(|r| r.comment.as_deref() == Some(&looked)), "busy: {line}");
                table.sets.remove(name).expect(line);
            }
            ("add", "rule") => {
                next += 1;
                let (text, comment) = line.split_once(" comment ").expect(line);
                let jump = text.split_once("jump ").map(|(_, chain)| chain.to_owned());
                for set in text.split('@').skip(1) {
                    assert!(table.sets.contains_key(set.split(' ').next().unwrap()), "{line}");
                }
                assert!(jump.iter().all(|chain| table.chains.contains_key(chain)), "{line}");
                let comment = Some(comment.trim_matches('"').to_owned());
                let rule = RuleFound { handle: next, comment, jump };
                table.chains.get_mut(name).expect(line).rules.push(rule);
            }
            ("delete", "rule") => {
                let handle: u64 = words[6].parse().unwrap();
                let rules = &mut table.chains.get_mut(name).expect(line).rules;
                let before = rules.len();
                rules.retain(|rule| rule.handle != handle);
                assert_eq!(rules.len() + 1, before, "{line}");
            }
            _ => panic!("{line}"),
        }
    }
    table
}

fn jail_of(name: &str, ports: &[u16], lengths: &[(Family, u8)], block_type: BlockType) -> Jail {
    let port = |port| (Protocol::Tcp, PortRange::new(port, port).unwrap());
    let ports = match ports {
        [] => Ports::All,
        some => Ports::Some(some.iter().map(|number| port(*number)).collect()),
    };
    let chains = [Chain::DockerUser, Chain::Input].into();
    let block = BlockRules { chains, ports, block_type };
    shape::jail(&Names::new(&name.parse().unwrap(), 0), &block, lengths)
}

fn web() -> Jail {
    jail_of("web", &[80, 81], &[(Family::V4, 32), (Family::V6, 128)], BlockType::Reject)
}

fn plan_for(found: &Found, wanted: &[Jail]) -> Plan {
    plan(found, "guard", wanted, Leftovers::These(&BTreeSet::new()), 64)
}

#[test]
fn a_rescue_rule_stays_and_any_other_goes() {
    let check = |comment: Option<&str>, goes: bool| {
        let mut found = apply(&Found::default(), &plan_for(&Found::default(), &[web()]));
        let comment = comment.map(str::to_owned);
        let rule = RuleFound { handle: 7000, comment, jump: None };
        found.chains.get_mut("input").unwrap().rules.insert(0, rule);
        let lines = plan_for(&found, &[web()]).lines;
        assert_eq!(lines.iter().any(|line| line.ends_with("input handle 7000")), goes, "{lines:?}");
    };
    check(Some("guard-rescue"), false);
    check(Some("guard-rescue-me"), true);
    check(Some("let me in"), true);
    check(None, true);
}

#[test]
fn nothing_becomes_everything_and_then_nothing_again() {
    let nothing = Found::default();
    assert_eq!(plan_for(&nothing, &[]), Plan::default());
    let made = plan_for(&nothing, &[web()]);
    assert_eq!(made.new_sets.len(), 2);
    let whole = apply(&nothing, &made);
    assert_eq!(plan_for(&whole, &[web()]), Plan::default());
    assert_eq!(whole.chains["input"].rules.len(), 2);
    // Only a jail that was told to go does.
    assert_eq!(plan_for(&whole, &[]).lines.len(), 0);
    let gone = BTreeSet::from(["f2b-web".to_owned()]);
    let away = plan(&whole, "guard", &[], Leftovers::These(&gone), 64);
    assert_eq!(away.lines, ["delete table inet guard"]);
}

#[test]
fn jails_that_nobody_installed_yet_stay_whole() {
    let old = jail_of("old", &[], &[(Family::V4, 32), (Family::V4, 24)], BlockType::Drop);
    let found = apply(&Found::default(), &plan_for(&Found::default(), std::slice::from_ref(&old)));
    let both = apply(&found, &plan_for(&found, &[web()]));
    for chain in Hook::ALL {
        let jumps = both.chains[chain.as_str()].rules.iter();
        assert!(jumps.clone().any(|rule| rule.jump.as_deref() == Some("f2b-old")));
    }
    assert_eq!(both.chains["f2b-old"], found.chains["f2b-old"]);
    assert!(both.sets.contains_key("f2b4-old/24"));
    let web_alone = apply(&both, &plan(&both, "guard", &[web()], Leftovers::All, 64));
    assert_eq!(web_alone.sets.keys().collect::<Vec<_>>(), ["f2b4-web", "f2b6-web"]);
    assert!(!web_alone.chains.contains_key("f2b-old"));
}

#[test]
fn another_length_is_another_set() {
    let found = apply(&Found::default(), &plan_for(&Found::default(), &[web()]));
    let lengths = [(Family::V4, 32), (Family::V4, 24), (Family::V6, 128)];
    let longer = jail_of("web", &[80, 81], &lengths, BlockType::Reject);
    let steps = plan_for(&found, std::slice::from_ref(&longer));
    assert_eq!(steps.new_sets, BTreeSet::from(["f2b4-web/24".to_owned()]));
    let found = apply(&found, &steps);
    assert_eq!(plan_for(&found, &[longer]), Plan::default());
    let found = apply(&found, &plan_for(&found, &[web()]));
    assert!(!found.sets.contains_key("f2b4-web/24"));
}

#[test]
fn whose_a_table_is() {
    let rule = |comment: Option<&str>| RuleFound {
        comment: comment.map(str::to_owned),
        ..RuleFound::default()
    };
    let found = |flags: u32, chain: &str, rules: &[RuleFound], set: Option<&str>| Found {
        flags: Some(flags),
        chains: [(chain.to_owned(), ChainFound { base: None, rules: rules.into() })].into(),
        sets: set.map(|name| (name.to_owned(), SetFound::default())).into_iter().collect(),
    };
    let marked = rule(Some("guard 12345678"));
    let foreign = rule(Some("guards"));
    assert!(!Found::default().is_foreign());
    assert!(!found(0, "input", &[], None).is_foreign(), "flushed");
    assert!(!found(0, "f2b-x", &[], Some("f2b4-x")).is_foreign());
    assert!(!found(1, "else", &[foreign.clone(), marked.clone()], Some("x")).is_foreign());
    assert!(found(2, "input", &[marked], None).is_foreign(), "another program owns it");
    assert!(found(0, "input", &[foreign], None).is_foreign());
    assert!(found(0, "input", &[rule(None)], None).is_foreign());
    assert!(found(0, "prerouting", &[], None).is_foreign());
    assert!(found(0, "input", &[], Some("banned")).is_foreign());
}

#[test]
fn a_table_without_rules_is_guards_only_if_it_is_hooked_like_guards() {
    let found = |name: &str, base: Base, rules: &[RuleFound]| Found {
        flags: Some(0),
        chains: [(name.to_owned(), ChainFound { base: Some(base), rules: rules.into() })].into(),
        sets: [("f2b4-x".to_owned(), SetFound::default())].into(),
    };
    let own = Base::of(Hook::Input);
    assert!(!found("input", own, &[]).is_foreign(), "flushed");
    for strange in
        [Base { usual: false, ..own }, Base { priority: 0, ..own }, Base::of(Hook::Forward)]
    {
        assert!(found("input", strange, &[]).is_foreign(), "{strange:?}");
        let marked =
            RuleFound { comment: Some("guard 12345678".to_owned()), ..RuleFound::default() };
        assert!(!found("input", strange, &[marked]).is_foreign(), "mended: {strange:?}");
    }
    assert!(found("f2b-x", own, &[]).is_foreign(), "guard hooks no chain of a jail");
}

/// What somebody may do to the table.
#[derive(Clone, Copy, Debug)]
enum Harm {
    DropRule(usize, usize),
    SwapRules(usize),
    AddRule(usize, bool),
    ReplaceSet(usize, u32),
    Unhook(usize),
    Sleep,
    LoseAll,
}

fn any_harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (0_usize..6, 0_usize..9).prop_map(|(chain, rule)| Harm::DropRule(chain, rule)),
        (0_usize..6).prop_map(Harm::SwapRules),
        (0_usize..6, any::<bool>()).prop_map(|(chain, jumps)| Harm::AddRule(chain, jumps)),
        (0_usize..6, 0_u32..40).prop_map(|(set, flags)| Harm::ReplaceSet(set, flags)),
        (0_usize..6).prop_map(Harm::Unhook),
        Just(Harm::Sleep),
        Just(Harm::LoseAll),
    ]
}

fn do_harm(found: &mut Found, harm: Harm) {
    let handles = found.chains.values().flat_map(|chain| &chain.rules).map(|rule| rule.handle);
    let handle = handles.max().unwrap_or(0) + 1;
    let count = found.chains.len().max(1);
    let jump = found.chains.keys().find(|name| name.starts_with("f2b-")).cloned();
    let chain = |found: &mut Found, at: usize| {
        found
            .chains
            .keys()
            .nth(at % count)
            .cloned()
            .and_then(|name| found.chains.remove_entry(&name))
    };
    match harm {
        Harm::DropRule(at, rule) => {
            let Some((name, mut chain)) = chain(found, at) else { return };
            if !chain.rules.is_empty() {
                chain.rules.remove(rule % chain.rules.len());
            }
            found.chains.insert(name, chain);
        }
        Harm::SwapRules(at) => {
            let Some((name, mut chain)) = chain(found, at) else { return };
            chain.rules.reverse();
            found.chains.insert(name, chain);
        }
        Harm::AddRule(at, jumps) => {
            let Some((name, mut chain)) = chain(found, at) else { return };
            let jump = jump.filter(|jump| jumps && name != *jump && !name.starts_with("f2b-"));
            chain.rules.insert(0, RuleFound { handle, comment: None, jump });
            found.chains.insert(name, chain);
        }
        Harm::ReplaceSet(at, flags) => {
            let name = found.sets.keys().nth(at % found.sets.len().max(1)).cloned();
            found.sets.extend(name.map(|name| (name, SetFound { flags, key_length: 4 })));
        }
        Harm::Unhook(at) => {
            let Some((name, mut chain)) = chain(found, at) else { return };
            // The kernel would not let a chain with a hook be jumped to.
            if !name.starts_with("f2b-") {
                chain.base = chain.base.map(|base| Base { priority: 7, ..base });
            }
            found.chains.insert(name, chain);
        }
        Harm::Sleep => found.flags = Some(1),
        Harm::LoseAll => *found = Found::default(),
    }
}

proptest! {
    #[test]
    fn whatever_was_done_one_plan_mends_it(
        first in prop::collection::vec((0_u8..3, 0_u8..3), 0..3),
        harms in prop::collection::vec(any_harm(), 0..5),
        second in prop::collection::vec((0_u8..3, 0_u8..3), 0..3),
    ) {
        let jails = |list: Vec<(u8, u8)>| -> Vec<Jail> {
            let list: BTreeMap<u8, u8> = list.into_iter().collect();
            let lengths = [(Family::V4, 32), (Family::V4, 24), (Family::V6, 128)];
            list.into_iter()
                .map(|(name, kind)| {
                    let ports: Vec<u16> = (1..=u16::from(kind)).collect();
                    let block = [BlockType::Drop, BlockType::Reject, BlockType::TcpReset];
                    let kind = usize::from(kind);
                    jail_of(&format!("jail{name}"), &ports, &lengths[..=kind], block[kind])
                })
                .collect()
        };
        let (first, second) = (jails(first), jails(second));
        let nothing = Found::default();
        let mut found = apply(&nothing, &plan_for(&nothing, &first));
        for harm in harms {
            if found.flags.is_some() {
                do_harm(&mut found, harm);
            }
        }
        let mended = apply(&found, &plan(&found, "guard", &second, Leftovers::All, 64));
        let again = plan(&mended, "guard", &second, Leftovers::All, 64);
        prop_assert_eq!(again, Plan::default());
        // It is the same as if nothing had been there.
        let fresh = apply(&nothing, &plan_for(&nothing, &second));
        let shape = |found: &Found| {
            let chains = found.chains.iter().map(|(name, chain)| {
                let mut rules: Vec<_> = chain.rules.iter().map(|r| r.comment.clone()).collect();
                if chain.base.is_some() {
                    rules.sort();
                }
                (name.clone(), chain.base, rules)
            });
            (found.flags, chains.collect::<Vec<_>>(), found.sets.clone())
        };
        prop_assert_eq!(shape(&mended), shape(&fresh));
    }
}
