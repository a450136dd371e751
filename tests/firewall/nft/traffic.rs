//! Packets: who is kept out, and what goes on.

use guard::firewall::BackendChoice;
use guard::model::{BlockType, Chain, Ports, Protocol};

use super::settings;
use crate::at_once::a_neighbour_is_refused;
use crate::world::*;

#[test]
fn a_published_port_under_dockers_nftables() {
    if !is_root("a_published_port_under_dockers_nftables") {
        return;
    }
    for block_type in [BlockType::TcpReset, BlockType::Reject, BlockType::Drop] {
        let world = World::with_docker_on_nftables();
        for inner in [80, 90] {
            serve(&world.container, inner);
        }
        serve(&world.outside, 8080);
        let (web, api) = (ports(&[(Protocol::Tcp, 8080)]), ports(&[(Protocol::Tcp, 9090)]));
        let installs = vec![
            install("web", Chain::DockerUser, web, block_type),
            install("api", Chain::DockerUser, api, block_type),
        ];
        let untouched = world.host.run("nft", &["-s", "list", "ruleset"]);
        let firewall = world.firewall(settings(BackendChoice::Auto), installs);
        assert_eq!(firewall.status().backend, "nftables");
        for (at, host) in HOST.into_iter().enumerate() {
            let (attacker, bystander) =
                ((&world.outside, ATTACKER[at]), (&world.outside, BYSTANDER[at]));
            let mut running = open(attacker, (host, 8080));
            assert!(echoes(&mut running));
            let mut own = open((&world.container, CONTAINER[at]), (ATTACKER[at], 8080));
            assert!(echoes(&mut own));

            firewall.order(vec![block("web", ATTACKER[at], 600)]);
            assert_eq!(firewall.in_force("web", ATTACKER[at]), Some(true));
            assert!(is_cut(&mut running), "an open connection is cut");
            assert!(is_kept_out(attacker, (host, 8080)));
            assert!(reaches(attacker, (host, 9090)), "another jail's port is open");
            assert!(reaches(bystander, (host, 8080)));
            let counted = |jail: &str| [firewall.packets(jail).v4, firewall.packets(jail).v6][at];
            assert!(
                counted("web").refused > 0 && counted("web").passed > 0,
                "{:?}",
                counted("web")
            );
            assert!(
                counted("api").refused == 0 && counted("api").passed > 0,
                "{:?}",
                counted("api")
            );
            assert!(echoes(&mut own), "what the container opened itself lives");
            assert!(reaches((&world.container, CONTAINER[at]), (ATTACKER[at], 8080)));

            firewall.order(vec![block("api", ATTACKER[at], 600), release("web", ATTACKER[at])]);
            assert!(reaches(attacker, (host, 8080)));
            assert!(is_kept_out(attacker, (host, 9090)));
        }
        assert!(firewall.status().healthy, "{:?}", firewall.status());
        assert_eq!(firewall.status().repairs, 0);
        firewall.stop();
        assert_eq!(world.host.run("nft", &["-s", "list", "ruleset"]), untouched);
    }
}

/// The server's side is cut as well: what it sends on does not reach who is banned.
#[test]
fn a_server_that_sends_on_reaches_nobody_who_is_banned() {
    if !is_root("a_server_that_sends_on_reaches_nobody_who_is_banned") {
        return;
    }
    use std::io::{Read, Write};
    let world = World::with_docker_on_nftables();
    let listener = world.container.inside(|| std::net::TcpListener::bind(("0.0.0.0", 80)).unwrap());
    let firewall = world.firewall(
        settings(BackendChoice::Nftables),
        vec![install("web", Chain::DockerUser, Ports::All, BlockType::Drop)],
    );
    let mut client = open((&world.outside, ATTACKER[0]), (HOST[0], 8080));
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"before").unwrap();
    let mut buffer = [0; 6];
    client.read_exact(&mut buffer).unwrap();
    firewall.order(vec![block("web", ATTACKER[0], 600)]);
    server.write_all(b"after").unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_millis(700))).unwrap();
    assert!(client.read(&mut buffer).is_err(), "the server's bytes are dropped");
    firewall.order(vec![release("web", ATTACKER[0])]);
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(matches!(client.read(&mut buffer), Ok(1..)), "and come again when he is let in");
    firewall.stop();
}

#[test]
fn a_banned_neighbour_is_refused_under_nftables() {
    if !is_root("a_banned_neighbour_is_refused_under_nftables") {
        return;
    }
    a_neighbour_is_refused(&World::without_docker(), BackendChoice::Nftables);
}

#[test]
fn a_jail_on_input() {
    if !is_root("a_jail_on_input") {
        return;
    }
    for block_type in [BlockType::Reject, BlockType::TcpReset, BlockType::Drop] {
        a_jail_that_blocks_input(&World::without_docker(), block_type);
    }
}

fn a_jail_that_blocks_input(world: &World, block_type: BlockType) {
    serve(&world.host, 2222);
    serve_udp(&world.host, 2222);
    serve(&world.host, 8000);
    serve(&world.outside, 5000);
    let ssh = ports(&[(Protocol::Tcp, 2222), (Protocol::Udp, 2222)]);
    let install = install("ssh", Chain::Input, ssh, block_type);
    let firewall = world.firewall(settings(BackendChoice::Nftables), vec![install]);
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
        assert!(is_kept_out(attacker, (host, 2222)));
        if block_type != BlockType::Drop {
            assert!(is_refused(attacker, (host, 2222)), "not left in silence");
        }
        assert!(reaches(attacker, (host, 8000)), "another port is open");
        assert!(reaches(bystander, (host, 2222)), "another address is served");
        assert!(echoes(&mut own), "what the host opened itself lives");

        firewall.order(vec![release("ssh", ATTACKER[at])]);
        assert!(reaches(attacker, (host, 2222)));
    }
    assert!(firewall.status().healthy, "{:?}", firewall.status());
    firewall.stop();
    assert_eq!(world.tables(), Vec::<String>::new(), "nothing is left");
}
