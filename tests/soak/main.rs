//! Every line is judged exactly once, whatever happens.
//!
//! Containers and threads write numbered lines, each a failure of an address of its
//! own, to outputs of all kinds and to files that are rotated in every way. Meanwhile
//! streams are cut and stalled, containers restarted, paused and made anew, the engine
//! and guard stopped, killed and frozen, at random (see `chaos`). In the end what
//! guard's store has is compared, line by line, with what the files and Docker had
//! (see `ledger`). What Docker itself drops, such as what a killed engine had not
//! stored yet, is told apart by asking Docker.
//!
//! ```text
//! make soak SECONDS=600                 as long as you like
//! GUARD_SOAK_SEED=7 cargo test --test soak -- --nocapture
//! ```
//!
//! The seed says what happens in which order; how far each writer is by then it can't.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod files;
mod ledger;
mod outputs;
mod proxy;
mod random;
mod world;

use std::time::{Duration, Instant};

use chaos::Action;
use ledger::{Account, Table};
use outputs::SCARCE;
use support::{Engine, engines};
use world::World;

/// How long it takes, in seconds, for all engines together. Unless told, so long with
/// the last engine, which is the newest.
const SECONDS: u64 = 60;

/// How much memory guard may take for each line that it remembers, in bytes, and for
/// everything else, in KiB. It remembers every address, in the warden and in the store.
const MEMORY_A_LINE: u64 = 1024;
const MEMORY: u64 = 128 * 1024;

#[test]
fn every_line_is_judged_exactly_once() {
    let mut engines = engines("every_line_is_judged_exactly_once");
    let seconds = variable("GUARD_SOAK_SECONDS").unwrap_or_else(|| {
        engines.drain(..engines.len().saturating_sub(1));
        SECONDS
    });
    let seconds = seconds / engines.len().max(1) as u64;
    let seed = variable("GUARD_SOAK_SEED").unwrap_or_else(|| {
        let now = jiff::Timestamp::now();
        now.as_second().unsigned_abs()
    });
    for engine in engines {
        soak(&engine, Duration::from_secs(seconds), seed);
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is no number")))
}

fn soak(engine: &Engine, time: Duration, seed: u64) {
    eprintln!("soak: engine {}, {} s, seed {seed}", engine.name, time.as_secs());
    let mut world = World::start(engine, seed);
    let (begin, began) = (world.memory(), Instant::now());
    let mut most = begin;
    let (mut deck, mut rounds) = (Vec::new(), 0);
    // Each thing happens once at least.
    while !(deck.is_empty() && rounds > 0 || rounds > 1) || began.elapsed() < time {
        if deck.is_empty() {
            deck = Action::deck();
            world.random.shuffle(&mut deck);
            rounds += 1;
        }
        world.act(deck.pop().expect("it was just filled"));
        world.wait(1000);
        most = most.max(world.memory());
    }
    let accounts = world.settle();
    let memory = [begin, most, world.memory()];
    report(&world, &accounts, memory);
}

/// Prints everything, and fails if it is not as it should be.
fn report(world: &World, accounts: &[Account], [begin, most, end]: [u64; 3]) {
    let sum = |count: &dyn Fn(&Account) -> usize| accounts.iter().map(count).sum::<usize>();
    let all = sum(&Account::all);
    let judged = sum(&|account| account.judged.len());
    let lost = sum(&|account| account.lost().len());
    let doubled = sum(&|account| account.doubled().len());
    let made_up = sum(&|account| account.made_up().len());
    let store = world.store();
    let log = world.guard.whole_log();
    let (scarce, gaps): (Vec<&str>, Vec<&str>) = log
        .lines()
        .filter(|line| line.contains("does not reach back"))
        .partition(|line| line.contains(&format!("[soak-{SCARCE}]")));
    for (action, count) in &world.done {
        println!("{count:>4} × {action}");
    }
    println!("guard's memory: {begin} KiB at first, {most} KiB at most, {end} KiB at last");
    println!("gaps that guard told of: {} of {SCARCE}, {} of others", scarce.len(), gaps.len());
    println!("{}", Table(accounts));
    println!("written {all}, judged {judged}, lost {lost}, doubled {doubled}");

    assert_eq!((lost, doubled, made_up), (0, 0, 0), "lost, doubled, never written");
    assert_eq!(store.strange, Vec::<String>::new());
    for jail in world.jails() {
        let counted: u64 = store.of(&jail).values().sum();
        assert_eq!(store.found[&jail], counted, "{jail}: the total and the failures differ");
    }
    assert_eq!(gaps, Vec::<&str>::new(), "guard tells of gaps where there are none");
    assert_eq!(world.proxy.refused(), 0, "requests that are no GET");
    let bound = MEMORY + all as u64 * MEMORY_A_LINE / 1024;
    assert!(most.max(end) < bound, "guard takes {most} KiB, more than {bound} KiB");
}
