//! A table that iptables can't show, because one rule in it is nft's.

use super::*;

/// As many a guide has it. iptables adds and removes rules all the same.
const ODD: &str = "insert rule ip filter INPUT ct state established,related accept";

fn bans_go_on(world: &World, backend: BackendChoice) {
    serve(&world.host, 2222);
    let [attacker, bystander] =
        [ATTACKER[0], BYSTANDER[0]].map(|address| (&world.outside, address));
    let ssh = (HOST[0], 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings(backend), vec![install]);
    firewall.order(vec![block("ssh", ATTACKER[0], 600)]);
    assert!(is_kept_out(attacker, ssh));

    world.host.run("nft", &[ODD]);
    firewall.check_until("told", |status| {
        let told = |what: &String| what.contains("GUARD_FIREWALL=nftables");
        !status.healthy && status.problems.iter().any(told)
    });
    assert!(!firewall.status().backend.is_empty());
    firewall.order(vec![block("ssh", BYSTANDER[0], 600), release("ssh", ATTACKER[0])]);
    assert_eq!(firewall.in_force("ssh", BYSTANDER[0]), Some(true), "{:?}", firewall.status());
    assert!(is_kept_out(bystander, ssh), "banned meanwhile");
    assert!(reaches(attacker, ssh), "unbanned meanwhile");
    // The other family is looked at as always.
    world.filter(6, "-F f2b-ssh");
    firewall.check_until("IPv6 is put right", |status| status.repairs == 1);
    if backend == BackendChoice::Ipset {
        world.host.run("ipset", &["flush"]);
        until("filled again", || is_kept_out(bystander, ssh));
    }
    // A jail of which nothing was there waits.
    firewall.order(vec![super::install("web", Chain::Input, Ports::All, BlockType::Drop)]);
    firewall.order(vec![block("web", ATTACKER[0], 600), block("web", ATTACKER[1], 600)]);
    assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(false));
    assert_eq!(firewall.in_force("web", ATTACKER[1]), Some(true));
    assert!(reaches(attacker, ssh));

    world.host.run("nft", &["flush chain ip filter INPUT"]);
    firewall.check_until("well again", |status| status.healthy);
    until("both jails stand", || is_kept_out(attacker, ssh) && is_kept_out(bystander, ssh));
    assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(true));
    firewall.stop();
    assert!(!world.saved(4).contains("guard"));
    assert_eq!(world.host.run("ipset", &["list", "-n"]), "");
}

#[test]
fn bans_go_on_where_iptables_cant_show_the_table() {
    if is_root("bans_go_on_where_iptables_cant_show_the_table") {
        for backend in [BackendChoice::Ipset, BackendChoice::Iptables] {
            bans_go_on(&World::new(Kind::Nft), backend);
        }
    }
}

/// A table of legacy's that somebody left is no reason to go over to it.
#[test]
fn a_table_that_cant_be_shown_is_not_left_for_a_stray_one() {
    if !is_root("a_table_that_cant_be_shown_is_not_left_for_a_stray_one") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings(BackendChoice::Ipset), vec![install]);
    firewall.order(vec![block("ssh", ATTACKER[0], 600)]);
    world.host.run("iptables-legacy", &["-N", "stray"]);
    world.host.run("nft", &[ODD]);
    firewall.check_until("told", |status| {
        status.problems.iter().any(|what| what.contains("GUARD_FIREWALL=nftables"))
    });
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    let legacy = world.host.run("iptables-legacy-save", &[]);
    assert!(legacy.contains("stray") && !legacy.contains("f2b-"), "{legacy}");
    world.host.run("nft", &["flush chain ip filter INPUT"]);
    firewall.check_until("well again", |status| status.healthy);
    firewall.stop();
}

/// What guard left goes all the same, at a stop, with another backend, and by `cleanup`;
/// what is not guard's stays.
#[test]
fn what_guard_left_goes_where_iptables_cant_show_it() {
    if !is_root("what_guard_left_goes_where_iptables_cant_show_it") {
        return;
    }
    type Ways<'a> = [(&'a str, &'a dyn Fn(&World, Firewall)); 3];
    let ways: Ways<'_> = [
        ("a stop", &|_, firewall| firewall.stop()),
        ("cleanup", &|world, firewall| {
            firewall.abandon();
            let removed = world.host.inside(guard::firewall::clean_up);
            assert_eq!(removed.failed, Vec::<String>::new());
            for what in ["chain f2b-ssh (iptables-nft)", "set f2b4-ssh"] {
                assert!(removed.removed.iter().any(|it| it == what), "{what}: {removed:?}");
            }
        }),
        ("another backend", &|world, firewall| {
            firewall.abandon();
            let second = world.firewall(settings(BackendChoice::Nftables), vec![]);
            second.handle.clean_up_unknown();
            second.order(vec![]);
            second.stop();
        }),
    ];
    for (what, way) in ways {
        let world = World::new(Kind::Nft);
        for family in [4, 6] {
            world.filter(
                family,
                ":f2b-sshd - [0:0]\n-A INPUT -p tcp -j f2b-sshd\n-A f2b-sshd -j RETURN",
            );
        }
        let untouched = [world.saved(4), world.saved(6)];
        let jail = |name, chain| super::install(name, chain, Ports::All, BlockType::Reject);
        let jails = vec![jail("ssh", Chain::Input), jail("web", Chain::DockerUser)];
        let firewall = world.firewall(settings(BackendChoice::Ipset), jails);
        firewall.order(vec![block("ssh", ATTACKER[0], 600), block("web", ATTACKER[1], 600)]);
        world.host.run("nft", &[ODD]);
        world.host.run("nft", &["insert rule ip6 filter OUTPUT ct state established accept"]);
        way(&world, firewall);
        world.host.run("nft", &["flush chain ip6 filter OUTPUT"]);
        let first = world.host.run("nft", &["-a", "list chain ip filter INPUT"]);
        let odd = first.lines().find(|line| line.contains("established")).expect("it is there");
        let handle = odd.rsplit(' ').next().unwrap();
        world.host.run("nft", &[&format!("delete rule ip filter INPUT handle {handle}")]);
        assert_eq!([world.saved(4), world.saved(6)], untouched, "{what}");
        assert_eq!(world.host.run("ipset", &["list", "-n"]), "", "{what}");
    }
}

/// What the trouble's text advises works.
#[test]
fn guards_own_table_works_beside_it() {
    if !is_root("guards_own_table_works_beside_it") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.host, 2222);
    world.filter(4, "-A INPUT -i lo -j ACCEPT");
    world.host.run("nft", &[ODD]);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings(BackendChoice::Nftables), vec![install]);
    let mut running = open((&world.outside, ATTACKER[0]), (HOST[0], 2222));
    firewall.order(vec![block("ssh", ATTACKER[0], 600)]);
    assert!(firewall.status().healthy, "{:?}", firewall.status());
    assert!(is_cut(&mut running));
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    firewall.stop();
}
