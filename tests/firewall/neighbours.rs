//! fail2ban on the same host, with a jail of the same name: its own commands, in the
//! words of its action files `iptables-multiport` and `iptables-ipset`.

use guard::firewall::{BackendChoice, clean_up};
use guard::model::{BlockType, Chain, Ports};

use super::settings;
use super::world::*;

everywhere! {
    fail2ban_may_come_later_with_the_same_name
    cleanup_takes_all_of_guards_and_nothing_else
}

const BANNED_BY_FAIL2BAN: &str = BYSTANDER[0];

fn iptables(world: &World, arguments: &str) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    world.host.run(&world.kind.tool("iptables"), &arguments);
}

/// As fail2ban starts a jail: the chain may be there (`|| true` in its file).
fn start(world: &World) {
    let chains = world.saved(4);
    if !chains.lines().any(|line| line == ":f2b-web") {
        iptables(world, "-w -N f2b-web");
    }
    iptables(world, "-w -A f2b-web -j RETURN");
    iptables(world, "-w -I INPUT -p tcp -m multiport --dports 2222 -j f2b-web");
    world.host.run("ipset", &["-exist", "create", "f2b-web", "hash:ip", "timeout", "0"]);
    iptables(
        world,
        "-w -I INPUT -p tcp -m multiport --dports 2223 -m set --match-set f2b-web src -j REJECT --reject-with icmp-port-unreachable",
    );
}

fn ban(world: &World) {
    let rule = format!(
        "-w -I f2b-web 1 -s {BANNED_BY_FAIL2BAN} -j REJECT --reject-with icmp-port-unreachable"
    );
    iptables(world, &rule);
    world.host.run("ipset", &["-exist", "add", "f2b-web", BANNED_BY_FAIL2BAN, "timeout", "0"]);
}

/// As fail2ban stops it. Every command must succeed, or it reports an error.
fn stop(world: &World) {
    iptables(world, "-w -D INPUT -p tcp -m multiport --dports 2222 -j f2b-web");
    iptables(world, "-w -F f2b-web");
    iptables(world, "-w -X f2b-web");
    iptables(
        world,
        "-w -D INPUT -p tcp -m multiport --dports 2223 -m set --match-set f2b-web src -j REJECT --reject-with icmp-port-unreachable",
    );
    world.host.run("ipset", &["flush", "f2b-web"]);
    world.host.run("ipset", &["destroy", "f2b-web"]);
}

fn fail2ban_may_come_later_with_the_same_name(world: &World, backend: BackendChoice) {
    for port in [2222, 2223] {
        serve(&world.host, port);
    }
    let untouched = world.saved(4);
    let web = install("web", Chain::Input, Ports::All, BlockType::Reject);
    let firewall = world.firewall(settings(backend), vec![web, block("web", ATTACKER[0], 600)]);
    let both_hold = |what: &str| {
        for port in [2222, 2223] {
            for address in [ATTACKER[0], BANNED_BY_FAIL2BAN] {
                assert!(
                    is_kept_out((&world.outside, address), (HOST[0], port)),
                    "{what}: {address}"
                );
            }
        }
    };
    assert_eq!(firewall.status().jails[&name("web")].chain, "f2b-web");
    start(world);
    ban(world);
    // guard leaves the chain to it, which takes none of its rules away.
    firewall.check_until("guard has gone elsewhere", |status| {
        status.healthy && status.jails[&name("web")].chain.starts_with("f2b-web-")
    });
    both_hold("both work");
    let rules = world.saved(4);
    let theirs: Vec<&str> = rules.lines().filter(|line| line.starts_with("-A f2b-web ")).collect();
    assert_eq!(theirs.len(), 2, "only fail2ban's are left in its chain: {theirs:?}");
    if backend == BackendChoice::Ipset {
        let theirs = world.host.run("ipset", &["list", "f2b-web"]);
        assert!(theirs.contains(BANNED_BY_FAIL2BAN) && !theirs.contains(ATTACKER[0]), "{theirs}");
    }
    firewall.handle.check_now();
    firewall.order(vec![block("web", "192.0.2.1", 600)]);
    both_hold("another look changes nothing");

    stop(world);
    firewall.handle.check_now();
    firewall.order(vec![release("web", "192.0.2.1")]);
    assert!(is_kept_out((&world.outside, ATTACKER[0]), (HOST[0], 2222)));
    assert!(reaches((&world.outside, BANNED_BY_FAIL2BAN), (HOST[0], 2222)));
    assert!(firewall.status().healthy, "{:?}", firewall.status());
    firewall.stop();
    assert_eq!(world.saved(4), untouched, "nothing is left of either");
    assert_eq!(world.host.run("ipset", &["list", "-n"]), "");
}

fn cleanup_takes_all_of_guards_and_nothing_else(world: &World, backend: BackendChoice) {
    start(world);
    ban(world);
    let before = [world.saved(4), world.saved(6)];
    let jails = ["web", "api"];
    let mut orders: Vec<_> =
        jails.map(|jail| install(jail, Chain::Input, Ports::All, BlockType::Reject)).into();
    orders.extend(jails.map(|jail| block(jail, ATTACKER[0], 600)));
    orders.push(install("shop", Chain::DockerUser, Ports::All, BlockType::Reject));
    let firewall = world.firewall(settings(backend), orders);
    firewall.abandon();
    assert_ne!([world.saved(4), world.saved(6)], before);
    let removed = world.host.inside(clean_up);
    assert_eq!(removed.failed, Vec::<String>::new());
    let stem = world.kind.tool("iptables");
    let chain = format!("chain f2b-api ({stem})");
    assert!(removed.removed.contains(&chain), "{removed:?}");
    let sets = removed.removed.iter().filter(|what| what.starts_with("set ")).count();
    assert_eq!(sets, if backend == BackendChoice::Ipset { 6 } else { 0 }, "{removed:?}");
    assert_eq!([world.saved(4), world.saved(6)], before);
    assert_eq!(world.host.run("ipset", &["list", "-n"]), "f2b-web\n");
    assert_eq!(world.host.inside(clean_up).removed, Vec::<String>::new());
    stop(world);
}
