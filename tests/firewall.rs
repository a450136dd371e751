//! The firewall on a real kernel: each test in network namespaces of its own,
//! with real packets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "firewall/world.rs"]
mod world;

#[path = "firewall/nft/mod.rs"]
mod nft;

use guard::firewall::{BackendChoice, Ipv6, OnStop, Settings, Told};
use guard::model::{BlockType, Chain, News, Ports, Protocol, Until};
use rustix::thread::CapabilitySet;
use world::*;

fn settings(backend: BackendChoice) -> Settings {
    Settings { backend, ..Settings::default() }
}

/// A test for each kind of iptables and each backend.
macro_rules! everywhere {
    ($($test:ident)*) => { $(mod $test {
        use super::*;
        #[test]
        fn ipset_nft() { with(Kind::Nft, BackendChoice::Ipset) }
        #[test]
        fn ipset_legacy() { with(Kind::Legacy, BackendChoice::Ipset) }
        #[test]
        fn iptables_nft() { with(Kind::Nft, BackendChoice::Iptables) }
        #[test]
        fn iptables_legacy() { with(Kind::Legacy, BackendChoice::Iptables) }
        fn with(kind: Kind, backend: BackendChoice) {
            if is_root(stringify!($test)) {
                super::$test(&World::new(kind), backend);
            }
        }
    })* };
}

#[path = "firewall/alone.rs"]
mod alone;
#[path = "firewall/at_once.rs"]
mod at_once;
#[path = "firewall/lifting.rs"]
mod lifting;
#[path = "firewall/neighbours.rs"]
mod neighbours;
#[path = "firewall/unreadable.rs"]
mod unreadable;

everywhere! {
    a_jail_on_input
    a_published_port
    what_is_taken_away_comes_back
    a_restart_adopts
    fail2bans_chain_is_left_alone
    prefixes_and_addresses_in_them
}

fn a_jail_on_input(world: &World, backend: BackendChoice) {
    serve(&world.host, 2222);
    serve_udp(&world.host, 2222);
    serve(&world.host, 8000);
    serve(&world.outside, 5000);
    let untouched = [world.saved(4), world.saved(6)];
    let ssh = ports(&[(Protocol::Tcp, 2222), (Protocol::Udp, 2222)]);
    let install = install("ssh", Chain::Input, ssh, BlockType::Reject);
    let firewall = world.firewall(settings(backend), vec![install]);
    for (at, host) in HOST.into_iter().enumerate() {
        let (attacker, bystander) =
            ((&world.outside, ATTACKER[at]), (&world.outside, BYSTANDER[at]));
        let mut running = open(attacker, (host, 2222));
        let mut own = open((&world.host, host), (ATTACKER[at], 5000));
        let datagrams = UdpClient::new(attacker, (host, 2222));
        assert!(datagrams.echoes());
        assert!(echoes(&mut running) && echoes(&mut own));

        firewall.order(vec![block("ssh", ATTACKER[at], 600)]);
        assert_eq!(firewall.in_force("ssh", ATTACKER[at]), Some(true), "{:?}", firewall.status());
        assert!(is_cut(&mut running), "an open connection is cut");
        assert!(datagrams.is_cut(), "UDP too");
        assert!(is_kept_out(attacker, (host, 2222)), "a new one is refused");
        assert!(reaches(attacker, (host, 8000)), "another port is open");
        assert!(reaches(bystander, (host, 2222)), "another address is served");
        assert!(echoes(&mut own), "what the host opened itself lives");

        firewall.order(vec![release("ssh", ATTACKER[at])]);
        assert!(reaches(attacker, (host, 2222)));
    }
    assert!(firewall.status().healthy, "{:?}", firewall.status());
    firewall.stop();
    assert_eq!([world.saved(4), world.saved(6)], untouched, "nothing is left");
    assert_eq!(world.host.run("ipset", &["list", "-n"]), "");
}

/// A ban of a prefix closes all of it, and one of an address in it stays when the other goes.
fn prefixes_and_addresses_in_them(world: &World, backend: BackendChoice) {
    serve(&world.host, 8000);
    // Not all ports: a neighbour whose discovery is refused too is not found again at once.
    let http = ports(&[(Protocol::Tcp, 8000)]);
    let install = install("web", Chain::Input, http, BlockType::Reject);
    let firewall = world.firewall(settings(backend), vec![install]);
    for (at, prefix) in ["10.98.1.2/31", "fd98::2/127"].into_iter().enumerate() {
        let check = |attacker: bool, bystander: bool| {
            for (client, out) in [(ATTACKER[at], attacker), (BYSTANDER[at], bystander)] {
                let is = if out { is_kept_out } else { reaches };
                assert!(is((&world.outside, client), (HOST[at], 8000)), "{client} out: {out}");
            }
        };
        firewall.order(vec![block("web", prefix, 600), block("web", ATTACKER[at], 900)]);
        assert_eq!(firewall.in_force("web", prefix), Some(true), "{:?}", firewall.status());
        assert_eq!(firewall.in_force("web", ATTACKER[at]), Some(true), "{:?}", firewall.status());
        check(true, true);
        firewall.order(vec![release("web", prefix)]);
        check(true, false);
        firewall.order(vec![block("web", prefix, 600), release("web", ATTACKER[at])]);
        check(true, true);
        firewall.order(vec![release("web", prefix)]);
        check(false, false);
    }
    assert!(firewall.status().healthy, "{:?}", firewall.status());
    firewall.stop();
}

fn a_published_port(world: &World, backend: BackendChoice) {
    for (outer, inner) in [(8080, 80), (9090, 90)] {
        world.publish(outer, inner);
        serve(&world.container, inner);
    }
    serve(&world.outside, 8080);
    let web = ports(&[(Protocol::Tcp, 8080)]);
    let install = install("web", Chain::DockerUser, web, BlockType::TcpReset);
    let firewall = world.firewall(settings(backend), vec![install]);
    let rules = world.saved(4);
    let jump = rules.lines().find(|line| line.starts_with("-A DOCKER-USER")).unwrap();
    assert!(jump.ends_with("-j f2b-web"), "the jump is at the head: {rules}");
    for (at, host) in HOST.into_iter().enumerate() {
        let (attacker, bystander) =
            ((&world.outside, ATTACKER[at]), (&world.outside, BYSTANDER[at]));
        let mut running = open(attacker, (host, 8080));
        assert!(echoes(&mut running));
        let mut own = open((&world.container, CONTAINER[at]), (ATTACKER[at], 8080));
        assert!(echoes(&mut own));

        firewall.order(vec![block("web", ATTACKER[at], 600)]);
        assert!(is_cut(&mut running), "an open connection is cut");
        assert!(is_kept_out(attacker, (host, 8080)));
        assert!(reaches(attacker, (host, 9090)), "another published port is open");
        assert!(reaches(bystander, (host, 8080)));
        assert!(echoes(&mut own), "what the container opened itself lives");

        firewall.order(vec![release("web", ATTACKER[at])]);
        assert!(reaches(attacker, (host, 8080)));
    }
    firewall.stop();
}

fn what_is_taken_away_comes_back(world: &World, backend: BackendChoice) {
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Drop);
    let orders = vec![install, block("ssh", ATTACKER[0], 600), block("ssh", ATTACKER[1], 600)];
    let firewall = world.firewall(settings(backend), orders);
    let whole = [world.saved(4), world.saved(6)];
    let attacker = (&world.outside, ATTACKER[0]);
    assert!(is_kept_out(attacker, (HOST[0], 2222)));

    let steps: [(&str, &dyn Fn()); 4] = [
        ("everything is flushed", &|| {
            for family in [4, 6] {
                world.filter(family, "-F INPUT\n-F OUTPUT\n-F f2b-ssh");
            }
            if backend == BackendChoice::Ipset {
                world.host.run("ipset", &["flush"]);
            }
        }),
        ("everything is gone", &|| {
            for family in [4, 6] {
                world.filter(family, "-F INPUT\n-F OUTPUT\n-F f2b-ssh\n-X f2b-ssh");
            }
            if backend == BackendChoice::Ipset {
                // guard may be faster, and have them in use again.
                world.host.tries("ipset", &["destroy"]);
            }
        }),
        ("a rule is deleted", &|| {
            world.filter(
                4,
                "-D f2b-ssh -m conntrack --ctdir REPLY -m comment --comment guard -j RETURN",
            );
        }),
        ("the order of the rules is changed", &|| {
            world.filter(4, "-D f2b-ssh -m comment --comment guard -j RETURN\n-I f2b-ssh 1 -m comment --comment guard -j RETURN");
        }),
    ];
    for (what, harm) in steps {
        firewall.forget();
        let before = firewall.status().repairs;
        harm();
        // The first repair may come before the harm is whole.
        firewall.check_until(what, |status| status.repairs > before);
        firewall.hear(what, |told| matches!(told, Told::News(News::Repaired { .. })).then_some(()));
        firewall.handle.check_now();
        until(what, || [world.saved(4), world.saved(6)] == whole);
        until(what, || is_kept_out(attacker, (HOST[0], 2222)));
    }
    firewall.check_until("all is well", |status| status.healthy);
    firewall.order(vec![]);

    // Nothing is repaired that is whole.
    let repairs = firewall.status().repairs;
    firewall.handle.check_now();
    firewall.order(vec![block("ssh", BYSTANDER[0], 600)]);
    firewall.order(vec![release("ssh", BYSTANDER[0])]);
    assert_eq!(firewall.status().repairs, repairs);
    firewall.stop();
}

fn a_restart_adopts(world: &World, backend: BackendChoice) {
    serve(&world.host, 2222);
    let web = || install("web", Chain::Input, Ports::All, BlockType::Reject);
    let old = install("old", Chain::Input, Ports::All, BlockType::Reject);
    let orders = vec![
        web(),
        old,
        block("web", ATTACKER[0], 600),
        block("web", "192.0.2.0/24", 600),
        block("web", "192.0.2.1", 600),
        block("old", "192.0.2.2", 600),
    ];
    let first = world.firewall(settings(backend), orders);
    let before = world.saved(4);
    first.abandon();
    assert_eq!(world.saved(4), before, "a crash leaves the rules");
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));

    let second = world.firewall(settings(backend), vec![web(), block("web", "192.0.2.0/24", 600)]);
    let mut found = second.hear("found", |told| match told {
        Told::Found(found) => Some(found.clone()),
        _ => None,
    });
    found.sort();
    let whom: Vec<String> = found.iter().map(|(jail, net, _)| format!("{jail} {net}")).collect();
    assert_eq!(whom, [format!("web {}", ATTACKER[0]), "web 192.0.2.1".to_owned()]);
    assert!(found.iter().all(|(_, _, until)| matches!(until, Until::Time(_))));
    assert!(
        is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)),
        "kept until it is answered"
    );
    assert_eq!(second.status().repairs, 0);

    second.order(vec![block("web", "192.0.2.1", 600), release("web", ATTACKER[0])]);
    assert!(reaches((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    assert_eq!(second.in_force("web", "192.0.2.1"), Some(true));
    assert!(world.saved(4).contains("f2b-old"), "an unknown jail stays at first");
    second.handle.clean_up_unknown();
    until("the unknown jail is gone", || !world.saved(4).contains("f2b-old"));
    second.order(vec![]);
    assert!(!world.host.run("ipset", &["list", "-n"]).contains("old"));
    assert!(world.saved(4).contains("f2b-web"));
    second.stop();
}

fn fail2bans_chain_is_left_alone(world: &World, backend: BackendChoice) {
    serve(&world.host, 2222);
    world.filter(4, ":f2b-web - [0:0]\n-A INPUT -p tcp -m multiport --dports 80 -j f2b-web\n-A f2b-web -s 192.0.2.66/32 -j REJECT\n-A f2b-web -j RETURN");
    if backend == BackendChoice::Ipset {
        world.host.run("ipset", &["create", "f2b4-api", "hash:ip"]);
        world
            .host
            .run("ipset", &["create", "f2b6-api", "hash:net", "family", "inet", "timeout", "0"]);
    }
    let before = world.saved(4);
    let installs =
        ["web", "api"].map(|jail| install(jail, Chain::Input, Ports::All, BlockType::Reject));
    let firewall = world.firewall(settings(backend), installs.into());
    let taken: &[&str] = if backend == BackendChoice::Ipset { &["web", "api"] } else { &["web"] };
    for jail in taken {
        firewall.order(vec![block(jail, ATTACKER[0], 600)]);
        assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)), "{jail}");
        firewall.order(vec![release(jail, ATTACKER[0])]);
        let status = firewall.status();
        assert!(status.healthy, "{status:?}");
        let chain = &status.jails[&name(jail)].chain;
        assert!(chain.starts_with(&format!("f2b-{jail}-")), "{chain}");
        assert!(
            status
                .notes
                .iter()
                .any(|note| note.contains("another program") && note.contains(chain))
        );
    }
    for rule in
        before.lines().filter(|line| line.contains("f2b-web") || line.contains("192.0.2.66"))
    {
        assert!(world.saved(4).lines().any(|line| line == rule), "{rule}");
    }
    firewall.stop();
    assert_eq!(world.saved(4), before);
}

/// Nobody asks for a look, and the next one is seconds away.
#[test]
fn changes_by_others_are_heard_of() {
    if !is_root("changes_by_others_are_heard_of") {
        return;
    }
    for backend in [BackendChoice::Ipset, BackendChoice::Iptables] {
        let world = World::new(Kind::Nft);
        let install = install("ssh", Chain::Input, Ports::All, BlockType::Drop);
        let firewall = world.firewall(settings(backend), vec![install]);
        for family in 0..2 {
            firewall.order(vec![block("ssh", ATTACKER[family], 600)]);
            firewall.order(vec![block("ssh", BYSTANDER[family], 600)]);
            firewall.order(vec![release("ssh", BYSTANDER[family])]);
        }
        let whole = [world.saved(4), world.saved(6)];
        let harms: [&dyn Fn(); 4] = [
            &|| world.filter(4, "-F INPUT"),
            &|| world.filter(6, "-F f2b-ssh"),
            &|| world.filter(4, "-I INPUT 1 -j ACCEPT"),
            &|| drop(world.host.run("nft", &["flush", "ruleset"])),
        ];
        for (at, harm) in harms.into_iter().enumerate() {
            let before = firewall.status();
            assert_eq!((before.repairs, before.heard), (at as u64, at as u64), "its own are not");
            harm();
            until("put back", || firewall.status().repairs > before.repairs);
            assert!(firewall.status().heard > before.heard, "{backend:?}, harm {at}");
            // What is heard of guard's own repair is not looked at again.
            firewall.order(vec![]);
        }
        // A table of another program's is its own affair.
        let heard = firewall.status().heard;
        for what in [
            "add table ip other",
            "add set ip other s { type ipv4_addr; }",
            "add element ip other s { 192.0.2.1 }",
        ] {
            world.host.run("nft", &[what]);
        }
        world.filter(4, "-A INPUT -s 192.0.2.1/32 -j DROP");
        until("heard", || firewall.status().heard > heard);
        assert_eq!(firewall.status().heard, heard + 1);
        let guards = |listing: &str| {
            let own = listing.lines().filter(|line| line.contains("f2b-"));
            own.map(str::to_owned).collect::<Vec<_>>()
        };
        for (family, whole) in [4, 6].into_iter().zip(&whole) {
            assert_eq!(guards(&world.saved(family)), guards(whole));
        }
        firewall.stop();
    }
}

/// A set can be emptied without anybody being told; its header is read often.
#[test]
fn an_emptied_set_is_filled_again() {
    if !is_root("an_emptied_set_is_filled_again") {
        return;
    }
    let world = World::new(Kind::Legacy);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Drop);
    let orders = vec![install, block("ssh", ATTACKER[0], 600)];
    let firewall = world.firewall(settings(BackendChoice::Ipset), orders);
    world.host.run("ipset", &["flush"]);
    until("put back", || firewall.status().repairs == 1);
    assert!(world.host.run("ipset", &["list", "f2b4-ssh"]).contains(ATTACKER[0]));
    firewall.stop();
}

#[test]
fn a_ban_ends_by_itself_when_guard_is_dead() {
    if !is_root("a_ban_ends_by_itself_when_guard_is_dead") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings(BackendChoice::Auto), vec![install]);
    firewall.order(vec![block("ssh", ATTACKER[0], 3)]);
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    firewall.abandon();
    until("the kernel ends the ban", || {
        !is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222))
    });
}

#[test]
fn bans_stand_wherever_dockers_jump_is() {
    if !is_root("bans_stand_wherever_dockers_jump_is") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.container, 80);
    let (attacker, bystander) = ((&world.outside, ATTACKER[0]), (&world.outside, BYSTANDER[0]));
    let to = (CONTAINER[0], 80);
    world.filter(4, "-D FORWARD -j DOCKER-USER\n-F DOCKER-USER\n-X DOCKER-USER");
    let web = install("web", Chain::DockerUser, Ports::All, BlockType::Reject);
    let ssh = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let orders = vec![
        web,
        ssh,
        block("web", ATTACKER[0], 600),
        block("ssh", ATTACKER[0], 600),
        block("web", ATTACKER[1], 600),
    ];
    let firewall = world.firewall(settings(BackendChoice::Auto), orders);
    assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(false));
    assert_eq!(firewall.in_force("web", ATTACKER[1]), Some(true), "IPv6 is in FORWARD");
    assert_eq!(firewall.in_force("ssh", ATTACKER[0]), Some(true));
    let status = firewall.status();
    assert!(!status.healthy);
    assert!(status.problems[0].starts_with("DOCKER-USER does not exist"), "{status:?}");
    assert_eq!(status.jails[&name("web")].pending, 1);
    assert!(is_kept_out(attacker, to), "told as not in force, for nobody knows");

    let jump = "-m comment --comment guard -j f2b-web";
    let check = |what: &str, hook: &str| {
        firewall.check_until(what, |status| {
            status.healthy
                && status.notes.iter().any(|note| note.contains(what)) == (hook == "FORWARD")
        });
        assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(true), "{what}");
        let rules = world.saved(4);
        let jumps: Vec<_> = rules.lines().filter(|line| line.ends_with(jump)).collect();
        assert_eq!(jumps, [format!("-A {hook} {jump}")], "{what}");
        let first = rules.lines().find(|line| line.starts_with(&format!("-A {hook} ")));
        assert_eq!(first, Some(jumps[0]), "{what}");
        assert!(is_kept_out(attacker, to), "{what}");
        assert!(reaches(bystander, to), "{what}");
    };
    // Docker makes its chain, but nothing leads to it yet.
    world.filter(4, ":DOCKER-USER - [0:0]\n-A DOCKER-USER -j RETURN");
    check("FORWARD has no jump to DOCKER-USER", "FORWARD");
    // The jump comes, but too low: what Docker accepts never gets there.
    world.filter(4, "-A FORWARD -j DOCKER-USER");
    check("above the jump to DOCKER-USER", "FORWARD");
    world.filter(4, "-D FORWARD -j DOCKER-USER\n-I FORWARD 1 -j DOCKER-USER");
    check("above the jump to DOCKER-USER", "DOCKER-USER");
    world.filter(4, "-I FORWARD 1 -p tcp -j ACCEPT");
    check("above the jump to DOCKER-USER", "FORWARD");
    world.filter(4, "-D FORWARD -p tcp -j ACCEPT");
    check("above the jump to DOCKER-USER", "DOCKER-USER");
    firewall.stop();
    assert!(!world.saved(4).contains("guard"));
}

#[test]
fn rules_above_the_jump_are_watched() {
    if !is_root("rules_above_the_jump_are_watched") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Drop);
    let orders = vec![install, block("ssh", ATTACKER[0], 600)];
    let firewall = world.firewall(settings(BackendChoice::Auto), orders);
    world.filter(4, "-I INPUT 1 -j LOG\n-I INPUT 1 -s 192.0.2.1/32 -j DROP");
    let harmless = world.saved(4);
    firewall.order(vec![block("ssh", BYSTANDER[0], 600)]);
    firewall.handle.check_now();
    firewall.order(vec![release("ssh", BYSTANDER[0])]);
    assert_eq!((world.saved(4), firewall.status().repairs), (harmless, 0));

    for moves in 1..=3 {
        world.filter(4, "-I INPUT 1 -p tcp -j ACCEPT");
        firewall.check_until("moved", |status| status.repairs == moves);
        assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    }
    world.filter(4, "-I INPUT 1 -p tcp -j ACCEPT");
    firewall.check_until("given up", |status| {
        status.problems.iter().any(|what| what.contains("another program keeps putting rules"))
    });
    assert_eq!(firewall.status().repairs, 3);
    firewall.stop();
    assert_eq!(
        world.saved(4).matches("ACCEPT").count(),
        4 + 2,
        "the rules of others are all there"
    );
}

/// A jail that waits for Docker on one hook stands on the other, and what is done to it
/// there is told and counted.
#[test]
fn repairs_are_counted_where_docker_user_is_missing() {
    if !is_root("repairs_are_counted_where_docker_user_is_missing") {
        return;
    }
    let world = World::new(Kind::Nft);
    world.filter(4, "-D FORWARD -j DOCKER-USER\n-F DOCKER-USER\n-X DOCKER-USER");
    let install = install_on("web", [Chain::Input, Chain::DockerUser]);
    let firewall = world.firewall(settings(BackendChoice::Auto), vec![install]);
    firewall.order(vec![block("web", ATTACKER[0], 600)]);
    for moves in 1..=3 {
        world.filter(4, "-I INPUT 1 -p tcp -j ACCEPT");
        firewall.check_until("moved", |status| status.repairs == moves);
        firewall
            .hear("moved", |told| matches!(told, Told::News(News::Repaired { .. })).then_some(()));
        firewall.forget();
    }
    world.filter(4, "-I INPUT 1 -p tcp -j ACCEPT");
    firewall.check_until("given up", |status| {
        status.problems.iter().any(|what| what.contains("another program keeps putting rules"))
    });
    // That Docker starts is no harm that was mended.
    world.restore(4, &docker_chains());
    firewall.check_until("Docker is there", |status| {
        !status.problems.iter().any(|what| what.contains("DOCKER-USER does not exist"))
    });
    assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(true));
    assert_eq!(firewall.status().repairs, 3);
    firewall.stop();
}

#[test]
fn a_full_set_holds_bans_back() {
    if !is_root("a_full_set_holds_bans_back") {
        return;
    }
    let world = World::new(Kind::Nft);
    let settings = Settings { max_elements: 64, ..settings(BackendChoice::Ipset) };
    let install = install("web", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings, vec![install]);
    let all: Vec<String> = (0..300).map(|n| format!("192.0.{}.{}", n / 200, n % 200 + 1)).collect();
    firewall.order(all.iter().map(|ip| block("web", ip, 600)).collect());
    let stand =
        |wanted| all.iter().filter(|ip| firewall.in_force("web", ip) == Some(wanted)).count();
    assert_eq!(stand(true) + stand(false), 300);
    let status = firewall.status();
    assert_eq!(status.jails[&name("web")].pending, stand(false));
    assert!(
        !status.healthy && status.jails[&name("web")].problems[0].contains("is full (64 elements)"),
        "{status:?}"
    );

    let gone = all
        .iter()
        .filter(|ip| firewall.in_force("web", ip) == Some(true))
        .map(|ip| release("web", ip));
    firewall.order(gone.collect());
    let before = status.jails[&name("web")].pending;
    firewall
        .check_until("others take the room", |status| status.jails[&name("web")].pending < before);
    firewall.stop();
}

#[test]
fn many_bans_at_once() {
    if !is_root("many_bans_at_once") {
        return;
    }
    const MANY: usize = 20_000;
    let world = World::new(Kind::Nft);
    let all: Vec<String> = (0..MANY)
        .map(|n| format!("100.{}.{}.{}", 64 + n / 40_000, n / 200 % 200, n % 200 + 1))
        .collect();
    let mut orders = vec![install("web", Chain::DockerUser, Ports::All, BlockType::Reject)];
    orders.extend(all.iter().map(|ip| block("web", ip, 60 * 86_400)));
    let firewall = world.firewall(settings(BackendChoice::Auto), orders);
    assert_eq!(
        firewall.hear("outcome", |told| match told {
            Told::Outcome { in_force, held_back } => Some((in_force.len(), held_back.len())),
            _ => None,
        }),
        (MANY, 0)
    );
    let listing = world.host.run("ipset", &["list", "f2b4-web"]);
    assert_eq!(listing.lines().filter(|line| line.starts_with("100.")).count(), MANY);
    assert!(listing.contains("timeout 21474"), "no longer than the kernel takes");
    firewall.order(all.iter().map(|ip| release("web", ip)).collect());
    assert!(world.host.run("ipset", &["list", "f2b4-web"]).contains("Number of entries: 0"));
    firewall.stop();
}

#[test]
fn rules_may_stay_and_rules_may_change() {
    if !is_root("rules_may_stay_and_rules_may_change") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.host, 2222);
    let attacker = (&world.outside, ATTACKER[0]);
    let port =
        |number| install("ssh", Chain::Input, ports(&[(Protocol::Tcp, number)]), BlockType::Reject);
    let keep = Settings { on_stop: OnStop::Keep, ipv6: Ipv6::Off, ..Settings::default() };
    let firewall = world.firewall(
        keep,
        vec![port(2222), block("ssh", ATTACKER[0], 600), block("ssh", ATTACKER[1], 600)],
    );
    assert!(is_kept_out(attacker, (HOST[0], 2222)));
    assert!(reaches((&world.outside, ATTACKER[1]), (HOST[1], 2222)), "IPv6 is off");
    assert!(!world.saved(6).contains("guard"));
    assert_eq!(firewall.in_force("ssh", ATTACKER[1]), Some(false));
    assert!(firewall.status().healthy, "{:?}", firewall.status());
    firewall.order(vec![port(2223)]);
    assert!(reaches(attacker, (HOST[0], 2222)));
    firewall.order(vec![port(2222)]);
    assert!(is_kept_out(attacker, (HOST[0], 2222)));
    assert_eq!(firewall.status().repairs, 0);
    firewall.stop();
    assert!(is_kept_out(attacker, (HOST[0], 2222)), "kept");
    let last = world.firewall(Settings::default(), vec![]);
    last.order(vec![port(2222)]);
    last.order(vec![guard::firewall::Order::Uninstall(name("ssh"))]);
    assert!(!world.saved(4).contains("guard"), "{}", world.saved(4));
    assert_eq!(world.host.run("ipset", &["list", "-n"]), "");
    last.stop();
}

#[test]
fn guard_follows_docker_from_one_kind_of_iptables_to_the_other() {
    if !is_root("guard_follows_docker_from_one_kind_of_iptables_to_the_other") {
        return;
    }
    let mut world = World::new(Kind::Nft);
    serve(&world.container, 80);
    let (attacker, container) = ((&world.outside, ATTACKER[0]), (CONTAINER[0], 80));
    let install = install("web", Chain::DockerUser, Ports::All, BlockType::Reject);
    let orders = vec![install, block("web", ATTACKER[0], 600)];
    let firewall = world.firewall(settings(BackendChoice::Auto), orders);
    assert_eq!(firewall.status().backend, "ipset, iptables-nft");
    let legacy =
        world.host.inside(|| std::fs::read_to_string("/proc/thread-self/net/ip_tables_names"));
    assert!(!legacy.unwrap_or_default().contains("filter"), "guard makes no legacy tables");

    world.filter(4, "-D FORWARD -j DOCKER-USER");
    world.kind = Kind::Legacy;
    world.restore(4, &docker_chains());
    firewall.check_until("legacy is used", |status| {
        status.healthy && status.backend == "ipset, iptables-legacy, ip6tables-nft"
    });
    assert!(is_kept_out(attacker, container));
    assert!(world.saved(4).contains("-A DOCKER-USER -m comment --comment guard -j f2b-web"));
    world.kind = Kind::Nft;
    assert!(!world.saved(4).contains("guard"), "nothing is left in the other kind");
    firewall.stop();
    assert!(reaches((&world.outside, ATTACKER[0]), container));
}

#[test]
fn without_the_capabilities_guard_says_which() {
    if !is_root("without_the_capabilities_guard_says_which") {
        return;
    }
    let world = World::new(Kind::Nft);
    let check = |dropped: CapabilitySet| {
        for backend in [BackendChoice::Auto, BackendChoice::Ipset] {
            let install = install("web", Chain::Input, Ports::All, BlockType::Reject);
            let orders = vec![install, block("web", ATTACKER[0], 600)];
            let firewall = world.firewall_without(dropped, settings(backend), orders);
            let status = firewall.status();
            assert!(!status.healthy);
            let cure = "give guard cap_add: [NET_ADMIN, NET_RAW]";
            assert!(status.problems.iter().any(|what| what.contains(cure)), "{status:?}");
            firewall.hear("trouble", |told| match told {
                Told::News(News::Trouble { what, over: false, .. }) => {
                    what.contains(cure).then_some(())
                }
                _ => None,
            });
            assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(false));
            firewall.abandon();
        }
    };
    check(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW);
    check(CapabilitySet::NET_RAW);
}

#[test]
fn a_jail_that_the_kernel_refuses_keeps_no_other_out() {
    if !is_root("a_jail_that_the_kernel_refuses_keeps_no_other_out") {
        return;
    }
    let world = World::new(Kind::Nft);
    // A base chain that iptables does not show: nothing can jump to it.
    let chain = "{ type filter hook input priority 5; }";
    world.host.run("nft", &["add", "chain", "ip", "filter", "f2b-odd", chain]);
    let jails = ["odd", "ssh", "web"];
    let mut orders: Vec<_> =
        jails.map(|jail| install(jail, Chain::Input, Ports::All, BlockType::Reject)).into();
    orders.extend(jails.map(|jail| block(jail, ATTACKER[0], 600)));
    let firewall = world.firewall(settings(BackendChoice::Auto), orders);
    for (jail, stands) in [("odd", false), ("ssh", true), ("web", true)] {
        assert_eq!(firewall.in_force(jail, ATTACKER[0]), Some(stands), "{jail}");
        assert_eq!(firewall.status().jails[&name(jail)].problems.is_empty(), stands, "{jail}");
    }
    assert!(!firewall.status().healthy);
    world.host.run("nft", &["delete", "chain", "ip", "filter", "f2b-odd"]);
    firewall.check_until("well again", |status| status.healthy);
    assert_eq!(firewall.in_force("odd", ATTACKER[0]), Some(true));
    firewall.stop();
}
