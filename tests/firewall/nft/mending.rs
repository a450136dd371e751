//! What others take away, what an earlier guard left, and what stays.

use guard::firewall::{BackendChoice, Ipv6, OnStop, Settings, Told, clean_up};
use guard::model::{BlockType, Chain, News, Ports, Protocol, Until};
use rustix::thread::CapabilitySet;

use super::settings;
use crate::world::*;

#[test]
fn what_is_taken_away_comes_back() {
    if !is_root("what_is_taken_away_comes_back") {
        return;
    }
    let world = World::without_docker();
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Drop);
    let orders = vec![
        install,
        block("ssh", ATTACKER[0], 600),
        block("ssh", ATTACKER[1], 600),
        block("ssh", "192.0.2.0/24", 600),
    ];
    let firewall = world.firewall(settings(BackendChoice::Nftables), orders);
    let whole = world.table();
    let attacker = (&world.outside, ATTACKER[0]);
    assert!(is_kept_out(attacker, (HOST[0], 2222)));

    let harms = [
        "flush ruleset",
        "delete table inet guard",
        "flush table inet guard",
        "flush chain inet guard f2b-ssh",
        "flush chain inet guard input",
        "flush set inet guard f2b4-ssh",
        "delete element inet guard f2b4-ssh { 10.98.1.2 }",
        "delete element inet guard f2b4-ssh/24 { 192.0.2.0 }",
        "add element inet guard f2b4-ssh { 10.98.1.3 }",
        "insert rule inet guard input accept",
        "insert rule inet guard f2b-ssh accept",
        "add rule inet guard input jump f2b-ssh",
        "add table inet guard { flags dormant; }",
        "add chain inet guard input { policy drop; }\nadd rule inet guard input accept",
        "flush chain inet guard input\ndelete chain inet guard input\nadd chain inet guard input { type filter hook output priority 3; }",
        "flush chain inet guard input\nflush chain inet guard output\nflush chain inet guard f2b-ssh\ndelete chain inet guard f2b-ssh",
        "flush chain inet guard f2b-ssh\ndelete set inet guard f2b4-ssh\nadd set inet guard f2b4-ssh { type ipv4_addr; flags interval; }",
        "flush chain inet guard f2b-ssh\ndelete set inet guard f2b4-ssh\nadd set inet guard f2b4-ssh { type ipv6_addr; flags timeout; }",
        "flush chain inet guard f2b-ssh\ndelete set inet guard f2b4-ssh/24",
    ];
    for harm in harms {
        firewall.forget();
        let repairs = firewall.status().repairs;
        // guard may have heard of it, and put it right, before anybody could look.
        world.nft(&format!("{harm}\n"));
        firewall.check_until(harm, |status| status.repairs > repairs);
        firewall.hear(harm, |told| matches!(told, Told::News(News::Repaired { .. })).then_some(()));
        assert_eq!(sorted(&world.table()), sorted(&whole), "{harm}");
        assert!(is_kept_out(attacker, (HOST[0], 2222)), "{harm}");
        assert!(reaches((&world.outside, BYSTANDER[0]), (HOST[0], 2222)), "{harm}");
    }
    assert!(firewall.status().healthy, "{:?}", firewall.status());

    // Nothing is repaired that is whole, whatever others do beside it.
    let repairs = firewall.status().repairs;
    world.nft("add table inet other\nadd chain inet other input\n");
    firewall.handle.check_now();
    firewall.order(vec![block("ssh", BYSTANDER[0], 600)]);
    firewall.order(vec![release("ssh", BYSTANDER[0]), block("ssh", "198.51.100.0/22", 60)]);
    firewall.handle.check_now();
    firewall.order(vec![release("ssh", "198.51.100.0/22")]);
    assert_eq!(firewall.status().repairs, repairs);
    firewall.stop();
    assert_eq!(world.tables(), ["table inet other"]);
}

/// The order of a listing's sets, chains and jumps does not matter.
fn sorted(listing: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = listing.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_restart_adopts() {
    if !is_root("a_restart_adopts") {
        return;
    }
    let world = World::without_docker();
    serve(&world.host, 2222);
    let web = || install("web", Chain::Input, Ports::All, BlockType::Reject);
    let old = install("old", Chain::Input, Ports::All, BlockType::Reject);
    let orders = vec![
        web(),
        old,
        block("web", ATTACKER[0], 600),
        block("web", "192.0.2.0/24", 600),
        block("web", "198.51.100.0/24", 600),
        block("web", "203.0.113.0/25", 600),
        block("web", "192.0.2.1", 600),
        block("old", "192.0.2.2", 600),
    ];
    let first = world.firewall(settings(BackendChoice::Nftables), orders);
    let before = world.table();
    first.abandon();
    assert_eq!(world.table(), before, "a crash leaves the rules");
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));

    let second = world.firewall(
        settings(BackendChoice::Nftables),
        vec![web(), block("web", "192.0.2.0/24", 600)],
    );
    let mut found = second.hear("found", |told| match told {
        Told::Found(found) => Some(found.clone()),
        _ => None,
    });
    found.sort();
    let whom: Vec<String> = found.iter().map(|(jail, net, _)| format!("{jail} {net}")).collect();
    let wanted = [ATTACKER[0], "192.0.2.1", "198.51.100.0/24", "203.0.113.0/25"];
    assert_eq!(whom, wanted.map(|net| format!("web {net}")));
    assert!(found.iter().all(|(_, _, until)| matches!(until, Until::Time(_))));
    assert!(
        is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)),
        "kept until it is answered"
    );
    assert_eq!(second.status().repairs, 0);

    second.order(vec![
        block("web", "192.0.2.1", 600),
        release("web", ATTACKER[0]),
        release("web", "203.0.113.0/25"),
    ]);
    assert!(reaches((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    assert_eq!(second.in_force("web", "192.0.2.1"), Some(true));
    assert!(world.table().contains("f2b-old"), "an unknown jail stays at first");
    second.handle.clean_up_unknown();
    until("the unknown jail is gone", || !world.table().contains("old"));
    assert!(world.table().contains("f2b-web"));
    second.stop();
    assert_eq!(world.tables(), Vec::<String>::new());
}

#[test]
fn another_programs_table_is_left_alone() {
    if !is_root("another_programs_table_is_left_alone") {
        return;
    }
    let world = World::without_docker();
    serve(&world.host, 2222);
    world.nft("table inet guard {\n chain input { type filter hook input priority 0; tcp dport 2223 drop; }\n}\n");
    let before = world.table();
    let install = install("web", Chain::Input, Ports::All, BlockType::Reject);
    let orders = vec![install, block("web", ATTACKER[0], 600)];
    let firewall = world.firewall(settings(BackendChoice::Nftables), orders);
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    let status = firewall.status();
    assert!(status.healthy, "{status:?}");
    assert!(status.notes.iter().any(|note| note.contains("another program")), "{status:?}");
    assert_eq!(world.tables(), ["table inet guard", "table inet guard-2"]);
    firewall.stop();
    assert_eq!(world.tables(), ["table inet guard"]);
    assert_eq!(world.table(), before);
}

/// One that does its work by policies alone is no less another's.
#[test]
fn another_programs_table_without_rules_is_left_alone() {
    if !is_root("another_programs_table_without_rules_is_left_alone") {
        return;
    }
    let world = World::without_docker();
    let foreign = "table inet guard {\n set f2b4-x { type ipv4_addr; flags timeout; }\n chain forward { type filter hook forward priority 0; policy drop; }\n}\n";
    world.nft(foreign);
    let before = world.table();
    let removed = world.host.inside(clean_up);
    assert_eq!((removed.removed, removed.failed), (vec![], vec![]));
    assert_eq!(world.table(), before);
    let install = install("web", Chain::Input, Ports::All, BlockType::Reject);
    world.firewall(settings(BackendChoice::Nftables), vec![install]).stop();
    assert_eq!(world.table(), before);
}

/// guard's table had a number, because another program had its name, and that one is gone.
#[test]
fn a_numbered_table_is_found_again() {
    if !is_root("a_numbered_table_is_found_again") {
        return;
    }
    let web = || install("web", Chain::Input, Ports::All, BlockType::Reject);
    let bans = || vec![web(), block("web", ATTACKER[0], 600), block("web", ATTACKER[1], 600)];
    let (number_two, [v4, v6]) = ("table inet guard-2", [0, 1].map(|at| (HOST[at], 2222)));
    let left = || {
        let world = World::without_docker();
        serve(&world.host, 2222);
        world.nft("table inet guard {\n chain input { type filter hook input priority 0; tcp dport 2223 drop; }\n}\n");
        let firewall = world.firewall(settings(BackendChoice::Nftables), bans());
        assert_eq!(world.tables(), ["table inet guard", number_two]);
        // It is taken away: that is heard.
        let heard = firewall.status().heard;
        world.nft("delete table inet guard-2\n");
        until("put back", || firewall.status().repairs == 1);
        assert!(firewall.status().heard > heard, "at once, and not by chance");
        firewall.abandon();
        world.nft("delete table inet guard\n");
        assert!(is_kept_out((&world.outside, ATTACKER[0]), v4));
        world
    };
    let world = left();
    let removed = world.host.inside(clean_up);
    assert_eq!((removed.removed, removed.failed), (vec![number_two.to_owned()], vec![]));
    assert!(reaches((&world.outside, ATTACKER[0]), v4));

    for backend in [BackendChoice::Nftables, BackendChoice::Ipset, BackendChoice::Iptables] {
        let world = left();
        let firewall =
            world.firewall(settings(backend), vec![web(), block("web", ATTACKER[0], 600)]);
        firewall.hear("what it holds", |told| match told {
            Told::Found(found) => {
                found.iter().any(|(_, n, _)| n.to_string() == ATTACKER[1]).then_some(())
            }
            _ => None,
        });
        firewall.order(vec![release("web", ATTACKER[0]), release("web", ATTACKER[1])]);
        assert_eq!(firewall.status().may_still_hold(None, None), None, "{backend:?}");
        assert!(reaches((&world.outside, ATTACKER[0]), v4), "{backend:?}");
        assert!(reaches((&world.outside, ATTACKER[1]), v6), "{backend:?}");
        firewall.handle.clean_up_unknown();
        firewall.order(vec![]);
        assert!(!world.tables().contains(&number_two.to_owned()), "{backend:?}");
        assert!(firewall.status().healthy, "{:?}", firewall.status());
        firewall.stop();
        assert!(!world.tables().iter().any(|table| table.contains("guard")), "{backend:?}");
    }
}

#[test]
fn rules_may_stay_and_rules_may_change() {
    if !is_root("rules_may_stay_and_rules_may_change") {
        return;
    }
    let world = World::without_docker();
    serve(&world.host, 2222);
    let attacker = (&world.outside, ATTACKER[0]);
    let port =
        |number| install("ssh", Chain::Input, ports(&[(Protocol::Tcp, number)]), BlockType::Reject);
    let keep =
        Settings { on_stop: OnStop::Keep, ipv6: Ipv6::Off, ..settings(BackendChoice::Nftables) };
    let firewall = world.firewall(
        keep,
        vec![port(2222), block("ssh", ATTACKER[0], 600), block("ssh", ATTACKER[1], 600)],
    );
    assert!(is_kept_out(attacker, (HOST[0], 2222)));
    assert!(reaches((&world.outside, ATTACKER[1]), (HOST[1], 2222)), "IPv6 is off");
    assert!(!world.table().contains("ip6"));
    assert_eq!(firewall.in_force("ssh", ATTACKER[1]), Some(false));
    assert!(firewall.status().healthy, "{:?}", firewall.status());
    firewall.order(vec![port(2223)]);
    assert!(reaches(attacker, (HOST[0], 2222)));
    firewall.order(vec![port(2222)]);
    assert!(is_kept_out(attacker, (HOST[0], 2222)));
    assert_eq!(firewall.status().repairs, 0);
    firewall.stop();
    assert!(is_kept_out(attacker, (HOST[0], 2222)), "kept");
    let last = world.firewall(settings(BackendChoice::Nftables), vec![]);
    last.order(vec![port(2222)]);
    last.order(vec![guard::firewall::Order::Uninstall(name("ssh"))]);
    assert_eq!(world.tables(), Vec::<String>::new());
    last.stop();
}

#[test]
fn without_the_capability_or_the_tool_guard_says_so() {
    if !is_root("without_the_capability_or_the_tool_guard_says_so") {
        return;
    }
    let world = World::without_docker();
    let install = install("web", Chain::Input, Ports::All, BlockType::Reject);
    let orders = vec![install, block("web", ATTACKER[0], 600)];
    let dropped = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
    let firewall = world.firewall_without(dropped, settings(BackendChoice::Nftables), orders);
    let status = firewall.status();
    assert!(!status.healthy);
    let cure = "give guard cap_add: [NET_ADMIN, NET_RAW]";
    assert!(status.problems.iter().any(|what| what.contains(cure)), "{status:?}");
    assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(false));
    firewall.abandon();
}
