//! Who is let in again is let in by the kernel, or it is said that he is not.

use guard::firewall::{BackendChoice, Ipv6, Order, Settings};
use guard::model::{BlockType, Chain, Ports};

use super::settings;
use crate::world::*;

const PORT: u16 = 2222;

fn web() -> Order {
    install("web", Chain::Input, Ports::All, BlockType::Reject)
}

fn attacker(world: &World, at: usize) -> (From<'_>, (&str, u16)) {
    ((&world.outside, ATTACKER[at]), (HOST[at], PORT))
}

/// What is not lifted of one ban, as people are told.
fn held(firewall: &Firewall, network: &str) -> Option<String> {
    let networks = [network.parse().unwrap()];
    firewall.status().may_still_hold(Some(&name("web")), Some(&networks))
}

/// Makes the filter table of IPv6 one that the iptables tools can't show.
fn break_ipv6(world: &World) {
    let lines = "add chain ip6 filter odd\nadd rule ip6 filter odd quota 1 mbytes drop\n";
    world.host.feed("nft", &["-f", "-"], lines);
}

fn mend_ipv6(world: &World) {
    world.host.run("nft", &["delete", "chain", "ip6", "filter", "odd"]);
}

/// A look at IPv6 that fails keeps nobody locked out, by sets or by rules.
#[test]
fn a_release_is_done_though_its_family_cannot_be_read() {
    if !is_root("a_release_is_done_though_its_family_cannot_be_read") {
        return;
    }
    for backend in [BackendChoice::Ipset, BackendChoice::Iptables] {
        let world = World::new(Kind::Nft);
        serve(&world.host, PORT);
        let bans = vec![web(), block("web", ATTACKER[1], 600)];
        let firewall = world.firewall(settings(backend), bans);
        let (from, to) = attacker(&world, 1);
        assert!(is_kept_out(from, to));
        break_ipv6(&world);
        firewall.check_until("IPv6 fails", |status| !status.healthy);
        firewall.order(vec![release("web", ATTACKER[1])]);
        assert_eq!(held(&firewall, ATTACKER[1]), None, "{backend:?}");
        assert!(reaches(from, to), "the answer was true");
        mend_ipv6(&world);
        firewall.check_until("well again", |status| status.healthy);
        assert!(reaches(from, to));
        firewall.stop();
    }
}

/// Of a table that was never read nobody knows which rules an earlier guard left in it.
#[test]
fn a_rule_that_stays_is_told() {
    if !is_root("a_rule_that_stays_is_told") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.host, PORT);
    let bans = || vec![web(), block("web", ATTACKER[1], 600)];
    world.firewall(settings(BackendChoice::Iptables), bans()).abandon();
    break_ipv6(&world);
    let firewall = world.firewall(settings(BackendChoice::Iptables), bans());
    let (from, to) = attacker(&world, 1);
    assert!(is_kept_out(from, to));
    firewall.order(vec![release("web", ATTACKER[1])]);
    let why = held(&firewall, ATTACKER[1]).expect("a rule can't be taken out");
    let begin = format!("{} in jail web may still be refused: IPv6: ", ATTACKER[1]);
    assert!(why.starts_with(&begin), "{why}");
    assert!(is_kept_out(from, to), "the answer was true");
    assert_eq!(held(&firewall, ATTACKER[0]), None, "another is not meant");
    mend_ipv6(&world);
    firewall.check_until("well again", |status| status.healthy);
    assert_eq!(held(&firewall, ATTACKER[1]), None);
    assert!(reaches(from, to));
    firewall.stop();
}

/// Nobody would tend what an earlier guard made there.
#[test]
fn a_family_that_is_switched_off_is_swept() {
    if !is_root("a_family_that_is_switched_off_is_swept") {
        return;
    }
    for backend in [BackendChoice::Ipset, BackendChoice::Iptables, BackendChoice::Nftables] {
        let world = World::new(Kind::Nft);
        serve(&world.host, PORT);
        let bans = || vec![web(), block("web", ATTACKER[0], 600), block("web", ATTACKER[1], 600)];
        let untouched = world.saved(6);
        world.firewall(settings(backend), bans()).abandon();
        assert!(is_kept_out(attacker(&world, 1).0, attacker(&world, 1).1));
        // Another program's in the same family.
        world.filter(6, "-A INPUT -s 2001:db8::9/128 -j DROP");
        let off = Settings { ipv6: Ipv6::Off, ..settings(backend) };
        let firewall = world.firewall(off, bans());
        assert!(reaches(attacker(&world, 1).0, attacker(&world, 1).1), "{backend:?}");
        assert!(is_kept_out(attacker(&world, 0).0, attacker(&world, 0).1));
        let foreign = format!("{untouched}\n-A INPUT -s 2001:db8::9/128 -j DROP");
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&world.saved(6)), sorted(&foreign), "{backend:?}");
        let sets = world.host.run("ipset", &["list", "-n"]) + &world.table();
        assert!(!sets.contains("f2b6-"), "{sets}");
        assert!(firewall.status().healthy, "{:?}", firewall.status());
        firewall.order(vec![release("web", ATTACKER[1])]);
        assert_eq!(held(&firewall, ATTACKER[1]), None, "{backend:?}");
        // More at once than are remembered one by one.
        let many = |make: fn(&str, &str) -> Order| -> Vec<Order> {
            (1..6000).map(|n| make("web", &format!("2001:db8:1::{n:x}"))).collect()
        };
        firewall.order(many(|jail, net| block(jail, net, 600)));
        firewall.order(many(release));
        assert_eq!(firewall.status().may_still_hold(None, None), None, "{backend:?}");
        assert!(firewall.status().healthy, "{:?}", firewall.status());
        firewall.stop();
    }
}

/// What an earlier guard made with another backend stands until all jails are known; who is
/// let in before that gets in.
#[test]
fn a_release_reaches_what_another_backend_left() {
    if !is_root("a_release_reaches_what_another_backend_left") {
        return;
    }
    let all = [BackendChoice::Ipset, BackendChoice::Iptables, BackendChoice::Nftables];
    for (old, new) in all.iter().flat_map(|old| all.map(|new| (*old, new))) {
        let world = World::new(Kind::Nft);
        serve(&world.host, PORT);
        let nets = [ATTACKER[0], ATTACKER[1], "198.51.100.0/24"];
        let orders = || {
            let bans = nets.map(|net| block("web", net, 600));
            [vec![web()], bans.to_vec()].concat()
        };
        world.firewall(settings(old), orders()).abandon();
        let firewall = world.firewall(settings(new), orders());
        for at in [0, 1] {
            let (from, to) = attacker(&world, at);
            assert!(is_kept_out(from, to), "{old:?} {new:?}");
            firewall.order(vec![release("web", ATTACKER[at])]);
            assert_eq!(held(&firewall, ATTACKER[at]), None, "{old:?} to {new:?}");
            assert!(reaches(from, to), "{old:?} to {new:?}");
        }
        firewall.order(vec![release("web", nets[2])]);
        assert_eq!(held(&firewall, nets[2]), None);
        let left = world.saved(4) + &world.table();
        assert!(!left.contains("198.51.100"), "{old:?} to {new:?}: {left}");
        assert!(firewall.status().healthy, "{:?}", firewall.status());
        firewall.stop();
    }
}

/// Where the tool can't show what stands there, chains of guard's name are a reason to doubt,
/// and none is none.
#[test]
fn a_table_that_cannot_be_read_may_hold_bans_or_not() {
    if !is_root("a_table_that_cannot_be_read_may_hold_bans_or_not") {
        return;
    }
    for left in [true, false] {
        let world = World::new(Kind::Nft);
        serve(&world.host, PORT);
        let orders = || vec![web(), block("web", ATTACKER[1], 600)];
        if left {
            world.firewall(settings(BackendChoice::Iptables), orders()).abandon();
        }
        break_ipv6(&world);
        let firewall = world.firewall(settings(BackendChoice::Nftables), orders());
        firewall.order(vec![release("web", ATTACKER[1])]);
        let (from, to) = attacker(&world, 1);
        let why = held(&firewall, ATTACKER[1]);
        assert_eq!(why.is_some(), left, "{why:?}");
        assert_eq!(is_kept_out(from, to), left);
        if left {
            assert!(!firewall.status().healthy);
            mend_ipv6(&world);
            firewall.check_until("lifted", |status| status.healthy);
            assert!(reaches(from, to));
        }
        // Once all is told, nothing is left to doubt.
        firewall.handle.clean_up_unknown();
        firewall.order(vec![block("web", ATTACKER[1], 600)]);
        firewall.order(vec![release("web", ATTACKER[1])]);
        assert_eq!(held(&firewall, ATTACKER[1]), None);
        firewall.stop();
    }
}
