//! What is in the sets: prefixes, many, more than there is room for.

use guard::firewall::{BackendChoice, Settings, Told};
use guard::model::{BlockType, Chain, Network, Ports};

use super::settings;
use crate::world::*;

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
    until("the kernel ends the ban", || {
        reaches_soon((&world.outside, ATTACKER[0]), (HOST[0], 2222))
    });
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
