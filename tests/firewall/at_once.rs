//! A ban stops what runs, in both directions and at once, and nothing else.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use guard::firewall::BackendChoice;
use guard::model::{BlockType, Chain, Ports, Protocol};

use super::settings;
use super::world::*;

everywhere! {
    a_servers_pushes_stop
    untracked_packets_are_stopped
    what_is_opened_from_inside_works
    a_banned_neighbour_is_refused
}

/// A server that sends on its own account, as games and phones have it: it waits for
/// one datagram, and then sends to its sender.
struct Pusher(UdpSocket);

impl Pusher {
    fn new(namespace: &Namespace, address: &str, port: u16) -> Pusher {
        let socket = namespace.inside(|| UdpSocket::bind((address, port)).unwrap());
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Pusher(socket)
    }

    /// Waits for a client.
    fn meets(&self, client: &UdpSocket) {
        client.send(b"hello").unwrap();
        let mut buffer = [0; 64];
        let (_, from) = self.0.recv_from(&mut buffer).unwrap();
        self.0.connect(from).unwrap();
    }

    /// Sends for a while; does anything arrive?
    fn reaches(&self, client: &UdpSocket) -> bool {
        let deadline = Instant::now() + Duration::from_millis(700);
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut buffer = [0; 64];
        while Instant::now() < deadline {
            // A refusal that came back is told by the next send, which still counts.
            let _ = self.0.send(b"push");
            match client.recv(&mut buffer) {
                Ok(_) => return true,
                Err(error) if is_silence(error.kind()) => {}
                Err(error) => panic!("{error}"),
            }
        }
        false
    }

    /// Does what the client sends arrive?
    fn hears(&self, client: &UdpSocket) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut buffer = [0; 64];
        (0..10).any(|_| {
            let _ = client.send(b"more");
            self.0.recv(&mut buffer).is_ok()
        })
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    // Refused: a banned client is told so by the host.
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused)
}

fn client(world: &World, from: &str, to: (&str, u16)) -> UdpSocket {
    world.outside.inside(|| {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.connect(to).unwrap();
        socket
    })
}

fn a_servers_pushes_stop(world: &World, backend: BackendChoice) {
    let udp = |port| ports(&[(Protocol::Udp, port)]);
    let installs = vec![
        install("ssh", Chain::Input, udp(2222), BlockType::Reject),
        install("web", Chain::DockerUser, udp(5300), BlockType::Drop),
    ];
    for (family, to) in [(4, CONTAINER[0].to_owned()), (6, format!("[{}]", CONTAINER[1]))] {
        world.restore(
            family,
            &format!("*nat\n-A PREROUTING -i out -p udp --dport 5300 -j DNAT --to-destination {to}:53\nCOMMIT\n"),
        );
    }
    let firewall = world.firewall(settings(backend), installs);
    for (at, host) in HOST.into_iter().enumerate() {
        for (jail, port, namespace, address, inner) in [
            ("ssh", 2222, &world.host, host, 2222),
            ("web", 5300, &world.container, CONTAINER[at], 53),
        ] {
            let server = Pusher::new(namespace, address, inner);
            let attacker = client(world, ATTACKER[at], (host, port));
            server.meets(&attacker);
            assert!(server.reaches(&attacker), "{jail}");
            firewall.order(vec![block(jail, ATTACKER[at], 600)]);
            // One that was under way may still be read.
            server.reaches(&attacker);
            assert!(
                !server.reaches(&attacker),
                "{jail}: {}",
                world.saved(if at == 0 { 4 } else { 6 })
            );
            assert!(!server.hears(&attacker), "{jail}");
            // The pushes have not turned the flow round.
            assert!(!server.reaches(&attacker), "{jail}");
            firewall.order(vec![release(jail, ATTACKER[at])]);
            assert!(server.hears(&attacker), "{jail}");
        }
    }
    firewall.stop();
}

fn untracked_packets_are_stopped(world: &World, backend: BackendChoice) {
    for family in [4, 6] {
        world.restore(
            family,
            "*raw\n-A PREROUTING -i out -j CT --notrack\n-A OUTPUT -o out -j CT --notrack\nCOMMIT\n",
        );
    }
    let both = ports(&[(Protocol::Udp, 2222), (Protocol::Tcp, 2222)]);
    let installs = vec![
        install("ssh", Chain::Input, both, BlockType::Drop),
        install("web", Chain::DockerUser, Ports::All, BlockType::Drop),
    ];
    serve(&world.host, 2222);
    serve(&world.container, 80);
    // Replies of the container are let out by no state.
    for family in [4, 6] {
        world.filter(family, "-A FORWARD -i in -j ACCEPT");
    }
    let firewall = world.firewall(settings(backend), installs);
    for (at, host) in HOST.into_iter().enumerate() {
        let attacker = (&world.outside, ATTACKER[at]);
        let server = Pusher::new(&world.host, host, 2222);
        let datagrams = client(world, ATTACKER[at], (host, 2222));
        server.meets(&datagrams);
        for (jail, to) in [("ssh", (host, 2222)), ("web", (CONTAINER[at], 80))] {
            let mut running = open(attacker, to);
            assert!(echoes(&mut running), "{jail}");
            firewall.order(vec![block(jail, ATTACKER[at], 600)]);
            assert!(is_cut(&mut running), "{jail}");
            assert!(is_kept_out(attacker, to), "{jail}");
            assert!(reaches((&world.outside, BYSTANDER[at]), to), "{jail}");
        }
        assert!(!server.hears(&datagrams));
    }
    firewall.stop();
}

fn what_is_opened_from_inside_works(world: &World, backend: BackendChoice) {
    serve(&world.outside, 5000);
    let installs = ["ssh", "web"].map(|jail| {
        let chain = if jail == "ssh" { Chain::Input } else { Chain::DockerUser };
        install(jail, chain, Ports::All, BlockType::Reject)
    });
    // The container's way out, as Docker opens it.
    for family in [4, 6] {
        world.filter(family, "-A FORWARD -i in -j ACCEPT");
    }
    let firewall = world.firewall(settings(backend), installs.into());
    for at in 0..2 {
        let to = (ATTACKER[at], 5000);
        let mut before = open((&world.container, CONTAINER[at]), to);
        firewall.order(vec![block("ssh", ATTACKER[at], 600), block("web", ATTACKER[at], 600)]);
        assert!(echoes(&mut before), "opened before the ban");
        assert!(reaches((&world.container, CONTAINER[at]), to), "a container opens another");
        assert!(reaches((&world.host, HOST[at]), to), "the host itself opens another");
    }
    firewall.stop();
}

fn a_banned_neighbour_is_refused(world: &World, backend: BackendChoice) {
    a_neighbour_is_refused(world, backend);
}

/// Who is banned is refused with an answer, also as a neighbour whose link address
/// nobody knows any more: a ban of all ports leaves IPv6's neighbour discovery alone.
/// Alongside, the packets are counted as what they are.
pub(crate) fn a_neighbour_is_refused(world: &World, backend: BackendChoice) {
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings(backend), vec![install]);
    for (at, host) in HOST.into_iter().enumerate() {
        let (attacker, bystander) =
            ((&world.outside, ATTACKER[at]), (&world.outside, BYSTANDER[at]));
        firewall.order(vec![block("ssh", ATTACKER[at], 600)]);
        for namespace in [&world.host, &world.outside] {
            namespace.run("ip", &["neigh", "flush", "all"]);
        }
        assert!(is_refused(attacker, (host, 2222)), "{}", ATTACKER[at]);
        assert!(reaches(bystander, (host, 2222)));
        let packets = firewall.packets("ssh");
        let packets = [packets.v4, packets.v6][at];
        assert!(packets.refused > 0 && packets.passed > 0, "{packets:?}");
        firewall.order(vec![release("ssh", ATTACKER[at])]);
        assert!(reaches(attacker, (host, 2222)));
    }
    firewall.stop();
}
