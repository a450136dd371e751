//! What bans cost in the kernel: to load many, to add one, and for every packet.
//!
//! ```text
//! cargo bench --bench firewall [-- load|add|packets]
//! ```
//!
//! Needs root, `iptables`, `ipset` and `nft`, and skips without; everything happens in
//! network namespaces of its own. Beside each of guard's backends stand the ways of
//! others, by their own commands: fail2ban's action `iptables` (a process and a rule a
//! ban), and `ipset` and `nft` by a process a ban. What takes too long is measured on a
//! part, and the whole is worked out from it: such figures bear a `~`.

#[allow(clippy::unwrap_used, clippy::panic, dead_code)]
#[path = "../tests/firewall/world.rs"]
mod world;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use guard::firewall::{BackendChoice, Order, Settings};
use guard::model::{BlockType, Chain, Ports};

use world::*;

const BACKENDS: [(&str, BackendChoice); 3] = [
    ("ipset", BackendChoice::Ipset),
    ("nftables", BackendChoice::Nftables),
    ("iptables", BackendChoice::Iptables),
];
const MANY: usize = 100_000;
/// So many single bans are timed.
const SINGLE: usize = 200;
/// So many processes are timed.
const PROCESSES: usize = 50;
/// With a rule a ban, what is beyond it takes minutes.
const RULES: usize = 10_000;

fn main() {
    if !is_root("benches/firewall") {
        return;
    }
    let only: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|word| word == part);
    if wanted("load") {
        load();
    }
    if wanted("add") {
        add();
    }
    if wanted("packets") {
        packets();
    }
}

fn settings(backend: BackendChoice) -> Settings {
    Settings { backend, ..Settings::default() }
}

fn jail() -> Order {
    install("web", Chain::Input, Ports::All, BlockType::Reject)
}

fn address(number: usize) -> String {
    format!("11.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)
}

fn bans(numbers: std::ops::Range<usize>) -> Vec<Order> {
    numbers.map(|number| block("web", &address(number), 3600)).collect()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Median, and what one in a hundred exceeds.
fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |part: f64| ms(times[((times.len() - 1) as f64 * part) as usize]);
    (at(0.5), at(0.99))
}

/// Another's way to ban: a process each.
#[derive(Clone, Copy)]
struct Peer {
    name: &'static str,
    prepare: fn(&World),
    ban: fn(&World, &str),
    /// Loads this many at once, by the tool's own batch.
    fill: fn(&World, usize),
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "fail2ban's iptables action",
        prepare: |world| {
            let tool = |words: &str| {
                world.host.run("iptables-nft", &words.split(' ').collect::<Vec<_>>());
            };
            tool("-w -N f2b-peer");
            tool("-w -A f2b-peer -j RETURN");
            tool("-w -I INPUT -p udp -j f2b-peer");
        },
        ban: |world, address| {
            let words = format!(
                "-w -I f2b-peer 1 -s {address} -j REJECT --reject-with icmp-port-unreachable"
            );
            world.host.run("iptables-nft", &words.split(' ').collect::<Vec<_>>());
        },
        fill: |world, count| {
            let mut lines = String::from("*filter\n");
            for number in 0..count {
                let address = address(number);
                lines += &format!(
                    "-I f2b-peer 1 -s {address} -j REJECT --reject-with icmp-port-unreachable\n"
                );
            }
            world.host.feed("iptables-nft-restore", &["--noflush"], &(lines + "COMMIT\n"));
        },
    },
    Peer {
        name: "ipset by process",
        prepare: |world| {
            world.host.run(
                "ipset",
                &["create", "f2b-peer", "hash:ip", "timeout", "3600", "maxelem", "1000000"],
            );
        },
        ban: |world, address| {
            world.host.run("ipset", &["-exist", "add", "f2b-peer", address, "timeout", "3600"]);
        },
        fill: |world, count| {
            let line = |number| format!("add f2b-peer {} timeout 3600\n", address(number));
            world.host.feed("ipset", &["restore"], &(0..count).map(line).collect::<String>());
        },
    },
    Peer {
        name: "nft by process",
        prepare: |world| {
            world.host.feed(
                "nft",
                &["-f", "-"],
                "table inet peer { set banned { type ipv4_addr; flags timeout; }; }\n",
            );
        },
        ban: |world, address| {
            let words = format!("add element inet peer banned {{ {address} timeout 3600s }}");
            world.host.run("nft", &[&words]);
        },
        fill: |world, count| {
            let elements: Vec<String> =
                (0..count).map(|number| address(number) + " timeout 3600s").collect();
            let line = format!("add element inet peer banned {{ {} }}\n", elements.join(", "));
            world.host.feed("nft", &["-f", "-"], &line);
        },
    },
];

/// A process a ban, with `present` already there: the time of one.
fn by_process(peer: &Peer, present: usize) -> Vec<Duration> {
    let world = World::without_docker();
    (peer.prepare)(&world);
    if present > 0 {
        (peer.fill)(&world, present);
    }
    let ban = |number| {
        let address = address(present + number);
        let begun = Instant::now();
        (peer.ban)(&world, &address);
        begun.elapsed()
    };
    (0..PROCESSES).map(ban).collect()
}

/// From a start with so many bans until all stand.
fn load() {
    println!("\nloading bans at the start, until the kernel has them all\n");
    println!("{:<28} {:>12} {:>12}", "", "10000", "100000");
    let print = |name: &str, first: String, second: String| {
        println!("{name:<28} {first:>12} {second:>12}");
    };
    for (name, backend) in BACKENDS {
        let [few, many] = [10_000, MANY].map(|count| {
            let world = World::new(Kind::Nft);
            let orders: Vec<Order> = std::iter::once(jail()).chain(bans(0..count)).collect();
            let begun = Instant::now();
            let firewall = world.firewall(settings(backend), orders);
            let time = begun.elapsed();
            let status = firewall.status();
            assert!(status.healthy, "{status:?}");
            firewall.stop();
            format!("{:.3} s", time.as_secs_f64())
        });
        print(&format!("guard, {name}"), few, many);
    }
    for peer in PEERS {
        // What the first costs and what one costs later: a straight line between them.
        let [none, more] = [0, RULES].map(|present| quantiles(by_process(&peer, present)).0);
        let whole = |count: f64| {
            let last = none + (more - none) * count / RULES as f64;
            format!("~ {:.0} s", count * f64::midpoint(none, last) / 1000.0)
        };
        print(peer.name, whole(10_000.0), whole(MANY as f64));
    }
}

/// One ban more: from the order until the kernel has it.
fn add() {
    println!("\none ban more, from the order until the kernel has it: p50, p99\n");
    println!("{:<28} {:>26} {:>26}", "bans that stand already", 0, MANY);
    let print = |name: &str, cells: Vec<String>| {
        println!(
            "{name:<28} {}",
            cells.iter().map(|cell| format!("{cell:>26}")).collect::<Vec<_>>().join(" ")
        );
    };
    let cell = |(median, worst): (f64, f64)| format!("{median:.2}, {worst:.2} ms");
    for (name, backend) in BACKENDS {
        let cells = [0, MANY].map(|present| {
            // A rule a ban: the tool reads and writes all of them each time.
            let rules = backend == BackendChoice::Iptables && present > 0;
            let (present, single) = if rules { (RULES, 10) } else { (present, SINGLE) };
            let world = World::new(Kind::Nft);
            let orders = std::iter::once(jail()).chain(bans(0..present)).collect();
            let firewall = world.firewall(settings(backend), orders);
            let one = |number| {
                let order = bans(present + number..present + number + 1);
                let begun = Instant::now();
                firewall.order(order);
                let time = begun.elapsed();
                let told = firewall.in_force("web", &address(present + number));
                assert_eq!(told, Some(true), "{:?}", firewall.status());
                firewall.forget();
                time
            };
            let times = (0..single).map(one).collect();
            firewall.stop();
            let cell = cell(quantiles(times));
            if rules { format!("({RULES}: {cell})") } else { cell }
        });
        print(&format!("guard, {name}"), cells.into());
    }
    for peer in PEERS {
        let cells = [0, MANY].map(|present| cell(quantiles(by_process(&peer, present))));
        print(peer.name, cells.into());
    }
}

/// A host, and a sender of datagrams to it that nobody reads.
struct Sender {
    /// Its namespaces end with it.
    _world: World,
    _firewall: Option<Firewall>,
    _sink: UdpSocket,
    socket: UdpSocket,
    name: String,
    packets: u32,
    times: Vec<f64>,
}

impl Sender {
    fn new(name: &str, packets: u32, lay_out: impl FnOnce(&World) -> Option<Firewall>) -> Sender {
        let world = World::without_docker();
        // Docker has connections tracked on every host.
        let tracks = "-w -A INPUT -m conntrack --ctstate INVALID -j DROP";
        world.host.run("iptables-nft", &tracks.split(' ').collect::<Vec<_>>());
        let firewall = lay_out(&world);
        let sink = world.host.inside(|| UdpSocket::bind((HOST[0], 9000))).expect("it is free");
        let socket =
            world.outside.inside(|| UdpSocket::bind((BYSTANDER[0], 0))).expect("it is free");
        socket.connect((HOST[0], 9000)).expect("it is there");
        Sender {
            _world: world,
            _firewall: firewall,
            _sink: sink,
            socket,
            name: name.to_owned(),
            packets,
            times: Vec::new(),
        }
    }

    /// Sends, and notes the time of one packet: the other end's rules are walked before
    /// `send` returns, on the same processor.
    fn round(&mut self) {
        let begun = Instant::now();
        for _ in 0..self.packets {
            // What a full buffer drops has passed the rules.
            let _ = self.socket.send(&[0; 32]);
        }
        self.times.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(self.packets));
    }

    fn median(&mut self) -> f64 {
        self.times.sort_unstable_by(f64::total_cmp);
        self.times[self.times.len() / 2]
    }
}

/// What a packet of somebody else's costs.
fn packets() {
    const ROUNDS: usize = 41;
    println!(
        "\na packet of somebody who is not banned: time to send it through the host's rules\n"
    );
    let mut senders = vec![Sender::new("without", 20_000, |_| None)];
    for (name, backend) in &BACKENDS[..2] {
        for present in [0, MANY] {
            let name = format!("guard, {name}, {present} bans");
            senders.push(Sender::new(&name, 20_000, |world| {
                let orders = std::iter::once(jail()).chain(bans(0..present)).collect();
                Some(world.firewall(settings(*backend), orders))
            }));
        }
    }
    for (present, packets) in [(0, 20_000), (1_000, 2_000), (MANY, 20)] {
        let name = format!("fail2ban's iptables, {present} bans");
        senders.push(Sender::new(&name, packets, |world| {
            (PEERS[0].prepare)(world);
            (PEERS[0].fill)(world, present);
            None
        }));
    }
    // In turns, so that whatever else the machine does hits all of them alike.
    for _ in 0..ROUNDS {
        senders.iter_mut().for_each(Sender::round);
    }
    let base = senders[0].median();
    for sender in &mut senders {
        let median = sender.median();
        println!("{:<36} {median:>9.2} µs {:>8.2} × without", sender.name, median / base);
    }
}
