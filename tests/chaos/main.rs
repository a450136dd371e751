//! Chaos: while bans come and go, something flushes, deletes, reorders and destroys
//! whatever it likes, and guard must end in exactly the wanted state, with every rule
//! of others where it was put.
//!
//! Real packets from a banned machine measure the holes. Nothing is asserted about
//! their length: it is told, at the end of each test's output.
//!
//! `GUARD_CHAOS_SECONDS` is the time for each test (5), `GUARD_CHAOS_SEED` the seed of
//! one that was told before.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

mod harm;
mod prober;
#[allow(dead_code, reason = "it belongs to the tests beside these")]
#[path = "../firewall/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use guard::firewall::{BackendChoice, Settings};
use guard::model::{BlockType, Chain, Ports};

use harm::{Harm, Random, guards};
use prober::Prober;
use world::*;

/// A test for each backend and kind of iptables.
macro_rules! chaos {
    ($($test:ident: $kind:expr, $backend:expr;)*) => { $(
        #[test]
        fn $test() {
            if is_root(stringify!($test)) {
                chaos(stringify!($test), $kind, $backend);
            }
        }
    )* };
}

chaos! {
    ipset_nft: Kind::Nft, BackendChoice::Ipset;
    ipset_legacy: Kind::Legacy, BackendChoice::Ipset;
    iptables_nft: Kind::Nft, BackendChoice::Iptables;
}

const JAILS: [(&str, Chain); 2] = [("ssh", Chain::Input), ("web", Chain::DockerUser)];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn chaos(test: &str, kind: Kind, backend: BackendChoice) {
    let time = Duration::from_secs(number("GUARD_CHAOS_SECONDS").unwrap_or(5));
    let seed = number("GUARD_CHAOS_SEED")
        .unwrap_or_else(|| guard::model::Timestamp::now().as_microsecond().unsigned_abs());
    let mut random = Random(seed | 1);
    let world = World::new(kind);
    let mut harm = Harm::new(&world, backend);
    let settings = Settings { backend, ..Settings::default() };
    let mut orders = Vec::new();
    for (jail, chain) in JAILS {
        orders.push(install(jail, chain, Ports::All, BlockType::Drop));
        orders.extend(ATTACKER.map(|attacker| block(jail, attacker, 3600)));
    }
    let firewall = world.firewall(settings, orders);
    let whole = [world.saved(4), world.saved(6)].map(|saved| guards(&saved));
    let mut banned: BTreeSet<(&str, String)> = BTreeSet::new();
    for (jail, _) in JAILS {
        banned.extend(ATTACKER.map(|attacker| (jail, attacker.to_owned())));
    }

    let prober = Prober::start(&world);
    let begun = Instant::now();
    let (mut rounds, mut changed) = (0_u64, 0_u64);
    let mut theirs = harm.others();
    while begun.elapsed() < time {
        rounds += 1;
        for _ in 0..random.below(3) {
            come_and_go(&firewall, &mut random, &mut banned);
        }
        // Between two harms only guard changes anything.
        changed += u64::from(harm.others() != theirs);
        harm.something(&mut random);
        theirs = harm.others();
        // Often there is time to heal, and often not.
        std::thread::sleep(Duration::from_millis(random.below(300)));
    }
    let holes = prober.end();
    changed += u64::from(harm.others() != theirs);

    // Twice: as it was left, where jumps may have moved to another chain of Docker's, and
    // with everything of others as at the beginning.
    let mut wrong = Vec::new();
    for all in [false, true] {
        if all {
            harm.restore_others();
            theirs = harm.others();
        }
        for _ in 0..2 {
            firewall.handle.check_now();
            firewall.order(vec![]);
        }
        changed += u64::from(harm.others() != theirs);
        for (family, whole) in [4, 6].into_iter().zip(&whole) {
            let saved = world.saved(family);
            let found = guards(&saved);
            let is_well = if all { found == *whole } else { found.is_like(whole) };
            if !is_well {
                wrong.push(format!("the rules are not as they were: {whole:?}\n{saved}"));
            }
            for (jail, _) in JAILS {
                let (there, wanted) = (harm.banned(jail, family), of(&banned, jail, family));
                if there != wanted {
                    wrong.push(format!("jail {jail}: {there:?} are banned and not {wanted:?}"));
                }
            }
        }
    }
    let status = firewall.status();
    if !status.healthy {
        wrong.push(format!("not healthy: {status:?}"));
    }
    let held = if wrong.is_empty() && changed == 0 { "yes" } else { "no" };
    println!(
        "{test}: {rounds} rounds, {} packets got in through {} holes, {} changes heard, seed {seed}",
        holes.packets, holes.count, status.heard
    );
    println!(
        "{test}: wanted state held: {held}, longest hole {} ms, repairs {}, foreign rules changed {changed}",
        holes.longest.as_millis(),
        status.repairs
    );
    firewall.stop();
    assert_eq!((wrong, changed), (vec![], 0));
}

/// Who should be banned in a jail, of one family.
fn of(banned: &BTreeSet<(&str, String)>, jail: &str, family: u8) -> BTreeSet<String> {
    let fits =
        |(of, network): &&(&str, String)| *of == jail && network.contains(':') == (family == 6);
    banned.iter().filter(fits).map(|(_, network)| network.clone()).collect()
}

/// Somebody is banned, or let in again.
fn come_and_go(
    firewall: &Firewall,
    random: &mut Random,
    banned: &mut BTreeSet<(&'static str, String)>,
) {
    let (jail, _) = JAILS[random.below(2) as usize];
    let host = random.below(40) + 1;
    let network = if random.below(2) == 0 {
        format!("203.0.113.{host}")
    } else {
        format!("2001:db8::{host}")
    };
    let key = (jail, network.clone());
    if banned.remove(&key) {
        firewall.handle.order(vec![release(jail, &network)]);
    } else {
        firewall.handle.order(vec![block(jail, &network, 3600)]);
        banned.insert(key);
    }
}
