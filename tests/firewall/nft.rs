//! The backend nftables: a table of guard's own beside Docker's, and the way from one
//! backend to another.

use guard::firewall::{BackendChoice, DockerFirewall, Ipv6, OnStop, Settings, Told};
use guard::model::{BlockType, Chain, Network, News, Ports, Protocol, Until};
use rustix::thread::CapabilitySet;

use super::world::*;

fn settings(backend: BackendChoice) -> Settings {
    Settings { backend, ..Settings::default() }
}

impl World {
    /// A host on which Docker 29 runs with its nftables backend: no DOCKER-USER.
    fn with_docker_on_nftables() -> World {
        let world = World::without_docker();
        world.nft(DOCKER_29);
        world
    }

    fn nft(&self, lines: &str) {
        self.host.feed("nft", &["-f", "-"], lines);
    }

    /// guard's table, without handles, counters and elements' times.
    fn table(&self) -> String {
        let ruleset = self.host.run("nft", &["-s", "list", "ruleset"]);
        let all = ruleset.split("\ntable ").map(|table| table.trim_start_matches("table "));
        let own: String = all.filter(|table| table.starts_with("inet guard ")).collect();
        own.lines().map(|line| without_times(line) + "\n").collect()
    }

    fn tables(&self) -> Vec<String> {
        self.host.run("nft", &["list", "tables"]).lines().map(str::to_owned).collect()
    }
}

fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let is_time = |at: usize| {
        let before = at.checked_sub(1).map(|at| words[at]);
        ["timeout", "expires"].iter().any(|word| words[at] == *word || before == Some(word))
    };
    let kept = (0..words.len()).filter(|at| !line.contains("elements") || !is_time(*at));
    kept.map(|at| words[at]).collect::<Vec<_>>().join(" ")
}

/// As Docker 29 lays its tables out, with port 8080 published as 80 and 9090 as 90.
const DOCKER_29: &str = "
table ip docker-bridges {
    map filter-forward-in-jumps { type ifname : verdict; elements = { in : jump filter-forward-in__in }; }
    map filter-forward-out-jumps { type ifname : verdict; elements = { in : jump filter-forward-out__in }; }
    chain filter-FORWARD {
        type filter hook forward priority filter; policy accept;
        oifname vmap @filter-forward-in-jumps
        iifname vmap @filter-forward-out-jumps
    }
    chain nat-PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump nat-prerouting-and-output
    }
    chain nat-prerouting-and-output {
        iifname != in tcp dport 8080 counter dnat to 10.97.1.2:80 comment \"DNAT\"
        iifname != in tcp dport 9090 counter dnat to 10.97.1.2:90 comment \"DNAT\"
    }
    chain filter-forward-in__in {
        ct state established,related counter accept
        ip daddr 10.97.1.2 tcp dport { 80, 90 } counter accept
        counter drop comment \"UNPUBLISHED PORT DROP\"
    }
    chain filter-forward-out__in {
        ct state established,related counter accept
        counter accept comment \"OUTGOING\"
    }
}
table ip6 docker-bridges {
    chain filter-FORWARD { type filter hook forward priority filter; policy accept;
        ct state established,related counter accept
        ip6 daddr fd97::2 tcp dport { 80, 90 } counter accept
        iifname in counter accept
        oifname in counter drop
    }
    chain nat-PREROUTING { type nat hook prerouting priority dstnat; policy accept;
        iifname != in tcp dport 8080 counter dnat to [fd97::2]:80
        iifname != in tcp dport 9090 counter dnat to [fd97::2]:90
    }
}
";

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
    let listener =
        world.container.inside(|| std::net::TcpListener::bind(("0.0.0.0", 80)).unwrap());
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
fn a_jail_on_input() {
    if !is_root("a_jail_on_input") {
        return;
    }
    let world = World::without_docker();
    serve(&world.host, 2222);
    serve_udp(&world.host, 2222);
    serve(&world.host, 8000);
    serve(&world.outside, 5000);
    let ssh = ports(&[(Protocol::Tcp, 2222), (Protocol::Udp, 2222)]);
    let install = install("ssh", Chain::Input, ssh, BlockType::Reject);
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
        assert!(is_refused(attacker, (host, 2222)), "a new one is refused, not left in silence");
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

#[test]
fn prefixes_of_any_length() {
    if !is_root("prefixes_of_any_length") {
        return;
    }
    let world = World::without_docker();
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let orders = vec![install, block("ssh", "10.98.1.2/31", 600)];
    let firewall = world.firewall(settings(BackendChoice::Nftables), orders);
    let attacker = |at: usize| (&world.outside, ATTACKER[at]);
    assert!(is_kept_out(attacker(0), (HOST[0], 2222)));
    assert!(is_kept_out((&world.outside, BYSTANDER[0]), (HOST[0], 2222)), "in the same prefix");
    // An address inside a prefix, and a prefix around it, stand side by side.
    let prefixes = ["10.98.0.0/17", "10.98.1.2", "fd98::/123", "fd98::2", "fd98::/64"];
    firewall.order(prefixes.iter().map(|net| block("ssh", net, 600)).collect());
    for net in prefixes {
        assert_eq!(firewall.in_force("ssh", net), Some(true), "{net}");
    }
    for net in ["10.98.0.0/17", "10.98.1.2/31", "10.98.1.2"] {
        assert!(is_kept_out(attacker(0), (HOST[0], 2222)), "before {net}");
        firewall.order(vec![release("ssh", net)]);
    }
    assert!(reaches(attacker(0), (HOST[0], 2222)));
    for net in ["fd98::/123", "fd98::2", "fd98::/64"] {
        assert!(is_kept_out(attacker(1), (HOST[1], 2222)), "before {net}");
        firewall.order(vec![release("ssh", net)]);
    }
    // The ban kept even neighbour discovery out; it takes a moment to come back.
    until("let in again", || reaches_soon(attacker(1), (HOST[1], 2222)));
    assert_eq!(firewall.status().repairs, 0, "{:?}", firewall.status());
    firewall.stop();
}

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
    for (at, harm) in harms.into_iter().enumerate() {
        firewall.forget();
        world.nft(&format!("{harm}\n"));
        assert_ne!(world.table(), whole, "{harm}");
        firewall.check_until(harm, |status| status.repairs > at as u64);
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

#[test]
fn many_bans_at_once_and_longer() {
    if !is_root("many_bans_at_once_and_longer") {
        return;
    }
    const MANY: usize = 100_000;
    let world = World::without_docker();
    let all: Vec<String> = (0..MANY)
        .map(|n| format!("100.{}.{}.{}", 64 + n / 40_000, n / 200 % 200, n % 200 + 1))
        .collect();
    let mut orders = vec![install("web", Chain::DockerUser, Ports::All, BlockType::Reject)];
    orders.extend(all.iter().map(|ip| block("web", ip, 60 * 86_400 - 9)));
    let start = std::time::Instant::now();
    let firewall = world.firewall(settings(BackendChoice::Nftables), orders);
    eprintln!("{MANY} bans in {:?}", start.elapsed());
    assert_eq!(
        firewall.hear("outcome", |told| match told {
            Told::Outcome { in_force, held_back } => Some((in_force.len(), held_back.len())),
            _ => None,
        }),
        (MANY, 0)
    );
    let elements = || world.host.run("nft", &["list", "set", "inet", "guard", "f2b4-web"]);
    assert_eq!(elements().matches("timeout 59d23h").count(), MANY);
    let start = std::time::Instant::now();
    firewall.handle.check_now();
    firewall.order(vec![]);
    eprintln!("checked in {:?}", start.elapsed());
    let start = std::time::Instant::now();
    firewall.order(all.iter().map(|ip| block("web", ip, 90 * 86_400 - 9)).collect());
    eprintln!("prolonged in {:?}", start.elapsed());
    assert_eq!(elements().matches("timeout 89d23h").count(), MANY);
    let start = std::time::Instant::now();
    firewall.order(all.iter().map(|ip| release("web", ip)).collect());
    eprintln!("released in {:?}", start.elapsed());
    assert_eq!(elements().matches("timeout").count(), 1, "the set's flag alone");
    assert_eq!(firewall.status().repairs, 0);
    firewall.stop();
}

#[test]
fn a_full_set_holds_bans_back() {
    if !is_root("a_full_set_holds_bans_back") {
        return;
    }
    let world = World::without_docker();
    let settings = Settings { max_elements: 64, ..settings(BackendChoice::Nftables) };
    let install = install("web", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings, vec![install]);
    let all: Vec<String> = (0..300).map(|n| format!("192.0.{}.{}", n / 200, n % 200 + 1)).collect();
    firewall.order(all.iter().map(|ip| block("web", ip, 600)).collect());
    let stand =
        |wanted| all.iter().filter(|ip| firewall.in_force("web", ip) == Some(wanted)).count();
    assert_eq!((stand(true), stand(false)), (64, 300 - 64));
    let status = firewall.status();
    assert_eq!(status.jails[&name("web")].pending, stand(false));
    assert!(
        !status.healthy && status.jails[&name("web")].problems[0].contains("is full (64 elements)"),
        "{status:?}"
    );
    let gone = all.iter().filter(|ip| firewall.in_force("web", ip) == Some(true));
    firewall.order(gone.map(|ip| release("web", ip)).collect());
    let before = status.jails[&name("web")].pending;
    firewall
        .check_until("others take the room", |status| status.jails[&name("web")].pending < before);
    firewall.stop();
}

#[test]
fn a_ban_ends_by_itself_and_its_release_comes_too_late() {
    if !is_root("a_ban_ends_by_itself_and_its_release_comes_too_late") {
        return;
    }
    let world = World::without_docker();
    serve(&world.host, 2222);
    let install = install("ssh", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings(BackendChoice::Nftables), vec![install]);
    firewall.order(vec![block("ssh", ATTACKER[0], 2), block("ssh", BYSTANDER[0], 600)]);
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    until("the kernel ends the ban", || reaches_soon((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    firewall.order(vec![
        release("ssh", ATTACKER[0]),
        release("ssh", "192.0.2.77"),
        release("ssh", BYSTANDER[0]),
    ]);
    assert!(reaches((&world.outside, BYSTANDER[0]), (HOST[0], 2222)));
    let status = firewall.status();
    assert!(status.healthy && status.repairs == 0, "{status:?}");
    firewall.stop();
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
    let keep = Settings {
        on_stop: OnStop::Keep,
        ipv6: Ipv6::Off,
        ..settings(BackendChoice::Nftables)
    };
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
        let mut found: Vec<String> = found.iter().map(|(jail, n, _)| format!("{jail} {n}")).collect();
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
        assert_eq!(world.table() != "", is(BackendChoice::Nftables), "{what}");
        let sets = world.host.run("ipset", &["list", "-n"]);
        assert_eq!(sets != "", is(BackendChoice::Ipset), "{what}: {sets}");
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

/// Bans of networks, however many lengths, all stand.
#[test]
fn every_length_has_its_set() {
    if !is_root("every_length_has_its_set") {
        return;
    }
    let world = World::without_docker();
    let v4 = (1..=32).map(|length| format!("100.64.0.0/{length}").parse::<Network>());
    let v6 = (1..=128).map(|length| format!("2001:db8::/{length}").parse::<Network>());
    // Prefixes that are not written with their own first address are none.
    let all: Vec<Network> = v4.chain(v6).filter_map(Result::ok).collect();
    assert!(all.len() > 100, "{}", all.len());
    let mut orders = vec![install("web", Chain::Input, Ports::All, BlockType::Reject)];
    orders.extend(all.iter().map(|net| block("web", &net.to_string(), 600)));
    let firewall = world.firewall(settings(BackendChoice::Nftables), orders);
    for net in &all {
        assert_eq!(firewall.in_force("web", &net.to_string()), Some(true), "{net}");
    }
    firewall.handle.check_now();
    firewall.order(vec![]);
    let status = firewall.status();
    assert!(status.healthy && status.repairs == 0, "{status:?}");
    firewall.stop();
}
