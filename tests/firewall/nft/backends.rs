//! The way from one backend to another.

use guard::firewall::{BackendChoice, DockerFirewall, Told};
use guard::model::{BlockType, Chain, Ports};

use super::settings;
use crate::world::*;

#[test]
fn guard_follows_docker_to_nftables_and_back() {
    if !is_root("guard_follows_docker_to_nftables_and_back") {
        return;
    }
    let world = World::new(Kind::Nft);
    serve(&world.container, 80);
    let (attacker, container) = ((&world.outside, ATTACKER[0]), (CONTAINER[0], 80));
    let install = install("web", Chain::DockerUser, Ports::All, BlockType::Reject);
    let orders = vec![install, block("web", ATTACKER[0], 600), block("web", "192.0.2.0/24", 60)];
    let firewall = world.firewall(settings(BackendChoice::Auto), orders);
    assert_eq!(firewall.status().backend, "ipset, iptables-nft");
    firewall.handle.docker_says(DockerFirewall::Iptables);
    firewall.order(vec![]);
    assert_eq!(firewall.status().backend, "ipset, iptables-nft");
    for _ in 0..2 {
        firewall.handle.docker_says(DockerFirewall::Nftables);
        firewall.order(vec![]);
        let status = firewall.status();
        assert!(status.healthy && status.backend == "nftables", "{status:?}");
        assert_eq!(firewall.in_force("web", ATTACKER[0]), Some(true));
        assert!(is_kept_out(attacker, container));
        assert!(!(world.saved(4) + &world.saved(6)).contains("guard"), "nothing in the other");
        assert_eq!(world.host.run("ipset", &["list", "-n"]), "");

        firewall.handle.docker_says(DockerFirewall::Iptables);
        firewall.order(vec![]);
        let status = firewall.status();
        assert!(status.healthy && status.backend == "ipset, iptables-nft", "{status:?}");
        assert!(is_kept_out(attacker, container));
        assert_eq!(world.table(), "");
    }
    assert_eq!(firewall.status().repairs, 0);
    firewall.stop();
    assert!(reaches((&world.outside, ATTACKER[0]), container));
}

/// What one backend left behind the next one takes over, and then takes away.
#[test]
fn a_start_with_another_backend_adopts_and_clears() {
    if !is_root("a_start_with_another_backend_adopts_and_clears") {
        return;
    }
    let all = [BackendChoice::Ipset, BackendChoice::Iptables, BackendChoice::Nftables];
    for (old, new) in all.iter().flat_map(|old| all.map(|new| (*old, new))) {
        if old == new {
            continue;
        }
        let world = World::new(Kind::Nft);
        serve(&world.host, 2222);
        let web = || install("web", Chain::Input, Ports::All, BlockType::Reject);
        let gone = install("gone", Chain::Input, Ports::All, BlockType::Reject);
        let bans = [ATTACKER[0], ATTACKER[1], "192.0.2.0/24"];
        let mut orders = vec![web(), gone, block("gone", "192.0.2.9", 600)];
        orders.extend(bans.map(|net| block("web", net, 600)));
        world.firewall(settings(old), orders).abandon();
        assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)), "{old:?}");

        let orders = vec![web(), block("web", "192.0.2.0/24", 600)];
        let firewall = world.firewall(settings(new), orders);
        let found = firewall.hear("found", |told| match told {
            Told::Found(found) => Some(found.clone()),
            _ => None,
        });
        let mut found: Vec<String> =
            found.iter().map(|(jail, n, _)| format!("{jail} {n}")).collect();
        found.sort();
        assert_eq!(found, [format!("web {}", ATTACKER[0]), format!("web {}", ATTACKER[1])]);
        firewall.order([ATTACKER[0], ATTACKER[1]].map(|net| block("web", net, 600)).into());
        firewall.handle.clean_up_unknown();
        firewall.order(vec![]);
        let status = firewall.status();
        assert!(status.healthy, "{old:?} to {new:?}: {status:?}");
        for net in bans {
            assert_eq!(firewall.in_force("web", net), Some(true));
        }
        assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)), "{old:?} to {new:?}");
        let is = |backend: BackendChoice| new == backend;
        let saved = world.saved(4) + &world.saved(6);
        let what = format!("{old:?} to {new:?}");
        assert_eq!(saved.contains("guard"), !is(BackendChoice::Nftables), "{what}: {saved}");
        assert_eq!(!world.table().is_empty(), is(BackendChoice::Nftables), "{what}");
        let sets = world.host.run("ipset", &["list", "-n"]);
        assert_eq!(!sets.is_empty(), is(BackendChoice::Ipset), "{what}: {sets}");
        assert!(!(saved + &sets + &world.table()).contains("gone"), "{what}");
        firewall.stop();
        assert!(!(world.saved(4) + &world.saved(6) + &world.table()).contains("guard"), "{what}");
        assert_eq!(world.host.run("ipset", &["list", "-n"]), "", "{what}");
    }
}

/// Before Docker has answered, the kernel shows what is in use.
#[test]
fn the_kernel_tells_before_docker_does() {
    if !is_root("the_kernel_tells_before_docker_does") {
        return;
    }
    let backend = |world: &World, engine: Option<DockerFirewall>| {
        let install = install("web", Chain::Input, Ports::All, BlockType::Reject);
        let firewall = world.firewall(settings(BackendChoice::Auto), vec![install]);
        if let Some(engine) = engine {
            firewall.handle.docker_says(engine);
            firewall.order(vec![]);
        }
        let backend = firewall.status().backend.clone();
        firewall.abandon();
        backend
    };
    let (iptables, nftables) = ("ipset, iptables-nft", "nftables");
    let world = World::with_docker_on_nftables();
    assert_eq!(backend(&world, None), nftables);
    assert_eq!(backend(&world, Some(DockerFirewall::Unsaid)), nftables);
    assert_eq!(backend(&world, Some(DockerFirewall::Iptables)), iptables);
    let world = World::without_docker();
    assert_eq!(backend(&world, None), iptables, "Docker may be about to start");
    assert_eq!(backend(&world, Some(DockerFirewall::Unsaid)), nftables, "its firewall is off");
    assert_eq!(backend(&world, None), nftables, "what was used last is kept");
    let world = World::new(Kind::Nft);
    world.filter(4, "-D FORWARD -j DOCKER-USER");
    let unsaid = backend(&world, Some(DockerFirewall::Unsaid));
    assert_eq!(unsaid, nftables, "no packet comes to DOCKER-USER");
    for kind in [Kind::Nft, Kind::Legacy] {
        let world = World::new(kind);
        let wanted = match kind {
            Kind::Nft => iptables,
            Kind::Legacy => "ipset, iptables-legacy",
        };
        assert_eq!(backend(&world, Some(DockerFirewall::Unsaid)), wanted);
        assert_eq!(backend(&world, Some(DockerFirewall::Off)), nftables);
    }
}
