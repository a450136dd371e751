//! Plans are tried on a small model of a table.

use proptest::prelude::*;

use super::*;
use crate::firewall::names::Family;
use crate::firewall::rules::ChainFound;
use crate::firewall::shape::{self, Who};
use crate::model::{BlockRules, BlockType, Chain, Ports};

/// What iptables-restore --noflush does with a plan's lines.
fn apply(table: &Table, plan: &Plan) -> Table {
    let mut table = table.clone();
    for line in &plan.lines {
        if let Some(rest) = line.strip_prefix(':') {
            let name = rest.split(' ').next().unwrap();
            table.chains.retain(|chain| chain.name != name);
            table.chains.push(ChainFound { name: name.into(), rules: vec![] });
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let (command, name) = (words.next().unwrap(), words.next().unwrap());
        let text = words.next().unwrap_or("");
        let used = table.chains.iter().flat_map(|c| &c.rules).any(|r| r.names() == Some(name));
        let at = table.chains.iter().position(|chain| chain.name == name).expect("chain exists");
        let rules = &mut table.chains[at].rules;
        match command {
            "-A" => rules.push(Rule::parse(text).unwrap()),
            "-I" => {
                let (place, text) = text.split_once(' ').unwrap();
                rules.insert(place.parse::<usize>().unwrap() - 1, Rule::parse(text).unwrap());
            }
            "-D" => {
                let key = Rule::parse(text).unwrap().key;
                let found = rules.iter().position(|rule| rule.key == key);
                rules.remove(found.expect("the rule to delete exists"));
            }
            "-F" => rules.clear(),
            "-X" => {
                assert!(rules.is_empty() && !used, "{name} is empty and unused");
                table.chains.remove(at);
            }
            other => panic!("unknown command {other}"),
        }
    }
    table
}

fn table(rules: &[(&str, &[&str])]) -> Table {
    let mut table = Table::parse("").unwrap();
    for (name, rules) in rules {
        let rules = rules.iter().map(|text| Rule::parse(text).unwrap()).collect();
        table.chains.retain(|chain| chain.name != *name);
        table.chains.push(ChainFound { name: (*name).into(), rules });
    }
    table
}

fn web(hooks: &[&str]) -> WantedChain {
    named("f2b-web", hooks)
}

fn named(name: &str, hooks: &[&str]) -> WantedChain {
    WantedChain {
        name: name.into(),
        body: shape::body(Family::V4, &block(), &Who::Set("f2b4-x")),
        jumps: hooks
            .iter()
            .map(|hook| ((*hook).into(), format!("-m comment --comment guard -j {name}")))
            .collect(),
    }
}

fn block() -> BlockRules {
    BlockRules {
        chains: [Chain::DockerUser].into(),
        ports: Ports::All,
        block_type: BlockType::TcpReset,
    }
}

fn plan_now(found: &Table, wanted: &[WantedChain]) -> Plan {
    plan(found, wanted, Leftovers::These(&BTreeSet::new()), &BTreeSet::new())
}

const JUMP: &str = "-m comment --comment guard -j f2b-web";

#[test]
fn an_empty_table_gets_everything_and_then_nothing() {
    let found = table(&[("DOCKER-USER", &["-j RETURN"])]);
    let wanted = [web(&["DOCKER-USER", "INPUT"])];
    let done = apply(&found, &plan_now(&found, &wanted));
    assert_eq!(done.chain("DOCKER-USER").unwrap().rules[0].text, JUMP);
    assert_eq!(done.chain("f2b-web").unwrap().rules.len(), 5);
    assert_eq!(plan_now(&done, &wanted), Plan::default());
}

#[test]
fn a_jump_moves_only_past_rules_that_let_packets_by() {
    let check = |above: &str, moves: bool| {
        let found = table(&[
            ("INPUT", &[above, JUMP]),
            ("refuses", &["-j LOG", "-j nested", "-j RETURN"]),
            ("nested", &["-s 10.0.0.1/32 -j DROP", "-g refuses"]),
            ("accepts", &["-j nested", "-p tcp -j ACCEPT"]),
        ]);
        let mut found = found;
        let body = web(&[]).body.concat();
        let rules = body.iter().map(|text| Rule::parse(text).unwrap()).collect();
        found.chains.push(ChainFound { name: "f2b-web".into(), rules });
        let plan = plan_now(&found, &[web(&["INPUT"])]);
        assert_eq!(!plan.lines.is_empty(), moves, "{above}: {plan:?}");
        if moves {
            assert_eq!(plan.changes, [Change::Move("INPUT".into(), "f2b-web".into())]);
            assert_eq!(apply(&found, &plan).chain("INPUT").unwrap().rules[1].text, above);
        }
    };
    check("-s 10.0.0.9/32 -j DROP", false);
    check("-j REJECT --reject-with tcp-reset", false);
    check("-p tcp -j LOG --log-prefix \"x ACCEPT\"", false);
    check("-m comment --comment \"just counts\"", false);
    check("-j refuses", false);
    check("-s 192.0.2.7/32 -m comment --comment guard-rescue -j ACCEPT", false);
    check("-i lo -j ACCEPT", true);
    check("-j RETURN", true);
    check("-j NFQUEUE --queue-num 1", true);
    check("-g refuses", true);
    check("-j accepts", true);
    check("-j SOMETHINGNEW", true);
}

#[test]
fn a_jump_goes_below_rescue_rules() {
    let rescue = "-s 192.0.2.7/32 -m comment --comment guard-rescue -j RETURN";
    let found = table(&[("INPUT", &[rescue, rescue, "-j ACCEPT", JUMP])]);
    let wanted = [web(&["INPUT"]), named("f2b-new", &["INPUT"])];
    let done = apply(&found, &plan_now(&found, &wanted));
    let rules = &done.chain("INPUT").unwrap().rules;
    let rules: Vec<&str> = rules.iter().map(|rule| rule.text.as_str()).collect();
    let new = "-m comment --comment guard -j f2b-new";
    assert_eq!(rules, [rescue, rescue, new, JUMP, "-j ACCEPT"]);
    assert_eq!(plan_now(&done, &wanted), Plan::default());
    // guard's end leaves them.
    let away = apply(&done, &plan(&done, &[], Leftovers::All, &BTreeSet::new()));
    assert_eq!(away.chain("INPUT").unwrap().rules.len(), 3);
}

#[test]
fn a_pinned_chain_keeps_its_jump_where_it_is() {
    let mut found = table(&[("INPUT", &["-j ACCEPT", JUMP])]);
    found =
        apply(&found, &Plan { lines: plan_now(&table(&[]), &[web(&[])]).lines, ..Plan::default() });
    let pinned = BTreeSet::from(["INPUT".to_owned()]);
    let none = BTreeSet::new();
    let wanted = [web(&["INPUT"])];
    assert!(plan(&found, &wanted, Leftovers::These(&none), &pinned).lines.is_empty());
    // A jump that is gone is put back all the same.
    found.chains.retain(|chain| chain.name != "INPUT");
    found.chains.push(ChainFound { name: "INPUT".into(), rules: vec![] });
    assert_eq!(plan(&found, &wanted, Leftovers::These(&none), &pinned).lines.len(), 1);
}

#[test]
fn doubled_jumps_become_one() {
    let found = table(&[("INPUT", &[JUMP, "-j LOG", JUMP])]);
    let done = apply(&found, &plan_now(&found, &[web(&["INPUT"])]));
    let rules = &done.chain("INPUT").unwrap().rules;
    assert_eq!(rules.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(), [JUMP, "-j LOG"]);
}

#[test]
fn ports_that_are_not_wanted_any_more_lose_their_jump() {
    let old = "-p tcp -m tcp --dport 22 -m comment --comment guard -j f2b-web";
    let found = table(&[("INPUT", &[old])]);
    let done = apply(&found, &plan_now(&found, &[web(&["INPUT"])]));
    let rules = &done.chain("INPUT").unwrap().rules;
    assert_eq!(rules.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(), [JUMP]);
}

#[test]
fn chains_of_others_are_others() {
    let found = table(&[
        ("INPUT", &["-p tcp -j f2b-sshd", JUMP, "-j f2b-mixed"]),
        ("f2b-sshd", &["-j RETURN"]),
        ("f2b-web", &["-m comment --comment guard -j RETURN"]),
        ("f2b-mixed", &["-m comment --comment guard -j RETURN"]),
        ("f2b-empty", &[]),
    ]);
    let check = |name: &str, whose| assert_eq!(owner(&found, name), whose, "{name}");
    check("f2b-sshd", Owner::Other);
    check("f2b-web", Owner::Guard);
    check("f2b-mixed", Owner::Other);
    check("f2b-empty", Owner::Guard);
    check("f2b-none", Owner::Nobody);
}

#[test]
fn leftovers_stay_until_they_may_go() {
    let found = table(&[
        ("INPUT", &["-m comment --comment guard -j f2b-old", "-j ACCEPT", "-j f2b-sshd"]),
        ("f2b-old", &["-m comment --comment guard -j RETURN"]),
        ("f2b-sshd", &["-s 1.2.3.4/32 -j REJECT", "-m comment --comment guard -j RETURN"]),
        ("f2b-empty", &[]),
    ]);
    assert!(plan_now(&found, &[]).lines.is_empty());
    let done = apply(&found, &plan(&found, &[], Leftovers::All, &BTreeSet::new()));
    let names: Vec<&str> = done.chains.iter().map(|chain| chain.name.as_str()).collect();
    assert!(!names.contains(&"f2b-old"), "{names:?}");
    assert!(names.contains(&"f2b-empty"), "an empty chain could be anybody's");
    let rules = &done.chain("f2b-sshd").unwrap().rules;
    assert_eq!(
        rules.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(),
        ["-s 1.2.3.4/32 -j REJECT"]
    );
    assert_eq!(done.chain("INPUT").unwrap().rules.len(), 2);
}

/// Tables as they may be found: chains of guard in any state, rules of others between.
fn any_table() -> impl Strategy<Value = Table> {
    let rule = prop::sample::select(vec![
        "-j ACCEPT",
        "-i lo -j ACCEPT",
        "-j RETURN",
        "-s 10.0.0.1/32 -j DROP",
        "-p tcp -j LOG --log-prefix \"a b\"",
        "-j other",
        "-m comment --comment guard -j f2b-web",
        "-p tcp -m tcp --dport 22 -m comment --comment guard -j f2b-web",
        "-m comment --comment guard -j f2b-api",
        "-m comment --comment guard -j f2b-gone",
        "-m comment --comment guard -j RETURN",
        "-j f2b-foreign",
    ]);
    let rules = || prop::collection::vec(rule.clone(), 0..7);
    let chains = ["INPUT", "OUTPUT", "FORWARD", "DOCKER-USER"];
    let own = prop::collection::vec(
        prop::sample::select(vec![
            "-m comment --comment guard -j RETURN",
            "-m comment --comment guard -j DROP",
        ]),
        0..4,
    );
    (prop::collection::vec(rules(), chains.len()), prop::collection::vec(own, 3)).prop_map(
        move |(hooks, own)| {
            let mut list: Vec<(&str, &[&str])> = vec![
                ("other", &["-s 10.9.9.9/32 -j ACCEPT"]),
                ("f2b-foreign", &["-s 1.2.3.4/32 -j REJECT", "-j RETURN"]),
            ];
            list.extend(chains.iter().zip(&hooks).map(|(name, rules)| (*name, rules.as_slice())));
            list.extend(
                ["f2b-web", "f2b-api", "f2b-gone"]
                    .iter()
                    .zip(&own)
                    .map(|(name, rules)| (*name, rules.as_slice())),
            );
            table(&list)
        },
    )
}

/// The rules of others, in order; in the model chains of guard hold none.
fn foreign(table: &Table) -> BTreeMap<String, Vec<String>> {
    let texts = |chain: &ChainFound| {
        chain.rules.iter().filter(|rule| !rule.marked).map(|rule| rule.text.clone()).collect()
    };
    table
        .chains
        .iter()
        .map(|chain| (chain.name.clone(), texts(chain)))
        .filter(|(_, rules): &(_, Vec<String>)| !rules.is_empty())
        .collect()
}

proptest! {
    #[test]
    fn a_plan_reaches_the_wanted_state(found in any_table(), web_wanted: bool, all: bool) {
        let mut wanted = vec![named("f2b-api", &["INPUT", "OUTPUT"])];
        if web_wanted {
            wanted.push(web(&["DOCKER-USER", "INPUT"]));
        }
        let gone = BTreeSet::from(["f2b-gone".to_owned()]);
        let leftovers = if all { Leftovers::All } else { Leftovers::These(&gone) };
        let none = BTreeSet::new();
        let done = apply(&found, &plan(&found, &wanted, leftovers, &none));

        prop_assert_eq!(foreign(&found), foreign(&done));
        prop_assert_eq!(plan(&done, &wanted, leftovers, &none), Plan::default());
        prop_assert!(done.chain("f2b-gone").is_none_or(|chain| chain.rules.is_empty()));
        for chain in &wanted {
            prop_assert!(same_body(&done.chain(&chain.name).unwrap().rules, &chain.body));
            for (hook, text) in &chain.jumps {
                let rules = &done.chain(hook).unwrap().rules;
                let places: Vec<usize> = (0..rules.len()).filter(|at| rules[*at].text == *text).collect();
                prop_assert_eq!(places.len(), 1);
                prop_assert!(!rules[..places[0]].iter().any(|rule| may_end(&done, rule)));
            }
        }
        let marks = done.chains.iter().flat_map(|c| &c.rules).filter(|r| r.marked && r.names() == Some("f2b-web"));
        prop_assert_eq!(marks.count() > 0, web_wanted || (!all && is_marked(&found, "f2b-web") && has_jump(&found, "f2b-web")));
    }
}

fn has_jump(table: &Table, name: &str) -> bool {
    table.chains.iter().flat_map(|c| &c.rules).any(|rule| rule.names() == Some(name))
}

/// What somebody did to a table that was in order.
#[derive(Clone, Debug)]
enum Damage {
    /// The rule at this place of this chain (both modulo what there is) is gone.
    Delete(usize, usize),
    /// It is there twice.
    Double(usize, usize),
    /// It stands elsewhere in its chain.
    Shift(usize, usize, usize),
    /// A chain is empty.
    Flush(usize),
    /// A chain is gone, with all that leads to it.
    Gone(usize),
    /// Another program's rule stands at this place of a chain that is not guard's.
    Foreign(usize, usize, &'static str),
}

fn any_damage() -> impl Strategy<Value = Vec<Damage>> {
    let foreign = prop::sample::select(vec![
        "-j ACCEPT",
        "-j RETURN",
        "-g other",
        "-j other",
        "-s 10.0.0.1/32 -j DROP",
        "-p tcp -j LOG --log-prefix \"a b\"",
        "-m comment --comment \"guard too\" -j f2b-web",
    ]);
    let damage = prop_oneof![
        any::<(usize, usize)>().prop_map(|(chain, at)| Damage::Delete(chain, at)),
        any::<(usize, usize)>().prop_map(|(chain, at)| Damage::Double(chain, at)),
        any::<(usize, usize, usize)>().prop_map(|(chain, at, to)| Damage::Shift(chain, at, to)),
        any::<usize>().prop_map(Damage::Flush),
        any::<usize>().prop_map(Damage::Gone),
        (any::<usize>(), any::<usize>(), foreign)
            .prop_map(|(chain, at, rule)| Damage::Foreign(chain, at, rule)),
    ];
    prop::collection::vec(damage, 0..12)
}

fn is_own(name: &str) -> bool {
    name.starts_with("f2b-") && name != "f2b-foreign"
}

fn harm(table: &mut Table, damage: &Damage) {
    let chains = table.chains.len();
    let chain = |at: &usize| at % chains;
    match damage {
        Damage::Delete(of, at) | Damage::Double(of, at) | Damage::Shift(of, at, _) => {
            let rules = &mut table.chains[chain(of)].rules;
            if rules.is_empty() {
                return;
            }
            let at = at % rules.len();
            match damage {
                Damage::Double(..) => rules.push(rules[at].clone()),
                Damage::Shift(_, _, to) => {
                    let rule = rules.remove(at);
                    rules.insert(to % (rules.len() + 1), rule);
                }
                _ => drop(rules.remove(at)),
            }
        }
        Damage::Flush(of) => table.chains[chain(of)].rules.clear(),
        Damage::Gone(of) => {
            let name = table.chains[chain(of)].name.clone();
            if !is_own(&name) {
                return;
            }
            table.chains.retain(|chain| chain.name != name);
            for chain in &mut table.chains {
                chain.rules.retain(|rule| rule.names() != Some(&name));
            }
        }
        Damage::Foreign(of, at, text) => {
            let chain = &mut table.chains[chain(of)];
            if !is_own(&chain.name) {
                let at = at % (chain.rules.len() + 1);
                chain.rules.insert(at, Rule::parse(text).unwrap());
            }
        }
    }
}

/// A jail with ports has several jumps; one of DOCKER-USER may be in FORWARD instead.
fn jails(hook: &str) -> Vec<WantedChain> {
    let port = |hook: &str, side: &str, port: u16| {
        let rule = format!("-p tcp -m tcp --{side} {port} -m comment --comment guard -j f2b-api");
        (hook.to_owned(), rule)
    };
    let mut api = named("f2b-api", &[]);
    api.jumps = [(22, "INPUT", "dport"), (22, "OUTPUT", "sport"), (2222, "INPUT", "dport")]
        .map(|(number, hook, side)| port(hook, side, number))
        .into();
    vec![api, web(&[hook, "INPUT"])]
}

proptest! {
    #[test]
    fn whatever_was_done_is_mended_and_nobody_elses_rules_are_touched(
        before in any_table(),
        (first, then) in (prop::sample::select(vec!["DOCKER-USER", "FORWARD"]), prop::sample::select(vec!["DOCKER-USER", "FORWARD"])),
        damage in any_damage(),
        pinned in prop::sample::subsequence(vec!["INPUT", "FORWARD", "DOCKER-USER"], 0..=3),
    ) {
        let none = BTreeSet::new();
        let leftovers = Leftovers::These(&none);
        let mut found = apply(&before, &plan(&before, &jails(first), leftovers, &none));
        for damage in &damage {
            harm(&mut found, damage);
        }
        let (wanted, pinned) = (jails(then), pinned.into_iter().map(str::to_owned).collect());
        let steps = plan(&found, &wanted, leftovers, &pinned);
        let done = apply(&found, &steps);

        // Rules of others: all there, in their order, with nothing new of guard's between them
        // but at the head.
        prop_assert_eq!(foreign(&found), foreign(&done));
        for chain in done.chains.iter().filter(|chain| !is_own(&chain.name)) {
            let new = chain.rules.iter().position(|rule| !rule.marked).unwrap_or(chain.rules.len());
            let mut before = found.chain(&chain.name).unwrap().rules.iter();
            for rule in &chain.rules[new..] {
                prop_assert!(before.any(|old| old.text == rule.text), "{} in {}", rule.text, chain.name);
            }
        }
        // Twice is once.
        prop_assert_eq!(&plan(&done, &wanted, leftovers, &pinned).lines, &Vec::<String>::new());
        for chain in &wanted {
            let body = done.chain(&chain.name).unwrap().rules.iter().map(|rule| rule.text.as_str());
            prop_assert_eq!(body.collect::<Vec<_>>(), chain.body.concat());
            let mut jumps = 0;
            for (hook, text) in &chain.jumps {
                let rules = &done.chain(hook).unwrap().rules;
                let places: Vec<usize> = (0..rules.len()).filter(|at| rules[*at].text == *text).collect();
                prop_assert_eq!(places.len(), 1, "{} in {}", text, hook);
                let above = rules[..places[0]].iter().any(|rule| may_end(&done, rule));
                prop_assert!(!above || pinned.contains(hook));
                prop_assert_eq!(above, above && steps.low.contains_key(hook), "a low jump is told");
                jumps += 1;
            }
            // And no other jump leads there.
            let all = done.chains.iter().flat_map(|c| &c.rules).filter(|rule| rule.marked && rule.names() == Some(&chain.name));
            prop_assert_eq!(all.count(), jumps);
        }
        // Taken away, nothing is left of it, and all of the others'.
        let away = apply(&done, &plan(&done, &[], Leftovers::All, &none));
        prop_assert_eq!(foreign(&found), foreign(&away));
        prop_assert!(!has_marks(&away) || away.chains.iter().any(|chain| chain.rules.iter().any(|rule| rule.marked && rule.names() == Some("RETURN"))));
    }
}
