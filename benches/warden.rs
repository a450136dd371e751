//! How fast the warden judges: `cargo bench --bench warden`.
//!
//! Plain timings with std, printed as a table; every effect is taken out, as the
//! daemon does.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use guard::model::{
    Address, BanTime, BlockRules, BlockType, Chain, DockerNetwork, Failure, JailName, JailRules,
    Limits, Memory, Network, Policy, Ports, Position, Progress, ServiceId, SourceId, Timestamp,
};
use guard::report::metrics::Ledger;
use guard::warden::{BanRequest, Effect, JailView, Settings, Surroundings, Warden};

const FAILURES: u32 = 1_000_000;
const BANS: u32 = 100_000;
/// Addresses of the flood, and those that fail on and on in the midst of it.
const SPOOFED: u32 = 500_000;
const STUBBORN: u32 = 100;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    // Memory is measured in processes of their own.
    match arguments.next().as_deref() {
        Some("bans") => return memory_of_bans(),
        Some("flood") => return memory_of_flood(),
        _ => {}
    }
    report("failures of one address each", FAILURES, || failures(FAILURES));
    report("failures of 1000 addresses, 1 in 5 bans", FAILURES, || failures(1000));
    report("  the same, handed on", FAILURES, || handed_on(false));
    report("  the same, and counted for the metrics", FAILURES, || handed_on(true));
    report("bans by hand in one request", BANS, || drop(banned()));
    let mut warden = banned();
    let mut longest = Duration::ZERO;
    report("bans that end in one moment", BANS, || longest = expire(&mut warden));
    println!("{:<42} {:>22.2} ms", "  the longest turn of those", longest.as_secs_f64() * 1000.0);
    for what in ["bans", "flood"] {
        let this = std::env::current_exe().expect("a program knows its file");
        let status = std::process::Command::new(this).arg(what).status();
        assert!(status.is_ok_and(|status| status.success()), "{what} failed");
    }
}

/// 100,000 bans for five failures each, all standing.
fn memory_of_bans() {
    let before = resident();
    let (mut warden, jail, source) = begun(Settings { ban_burst: 0, ..Settings::default() });
    for number in 0..BANS {
        for _ in 0..5 {
            warden.handle_failure(at(0), failure(&jail, &source, number, at(0)));
            drain(&mut warden);
        }
    }
    let standing = warden.jails().map(JailView::banned_now).sum::<usize>();
    println!("{standing} bans that stand: {:.1} MiB, {before:.1} MiB before them", resident());
}

/// A million failures of 500,000 forged addresses, and between them, every now and
/// then, one of 100 that are real.
fn memory_of_flood() {
    let before = resident();
    let (mut warden, jail, source) = begun(Settings::default());
    let start = Instant::now();
    let mut most: f64 = 0.0;
    for number in 0..FAILURES {
        let now = at(i64::from(number / 10_000));
        warden.handle_failure(now, failure(&jail, &source, STUBBORN + number % SPOOFED, now));
        if number.is_multiple_of(200) {
            let real = (number / 200) % STUBBORN;
            warden.handle_failure(now, failure(&jail, &source, real, now));
        }
        drain(&mut warden);
        if number.is_multiple_of(50_000) {
            most = most.max(resident());
        }
    }
    let took = start.elapsed();
    let of_jail = || warden.jail(&jail).into_iter();
    let missed = (0..STUBBORN).filter(|real| warden.bans_on(network(*real)).next().is_none());
    println!(
        "{FAILURES} failures of {SPOOFED} addresses: {:.0} ns each, {most:.1} MiB at most, {before:.1} MiB before; {} counted, {} evicted; of {STUBBORN} real ones among them {} missed their ban",
        took.as_secs_f64() * 1e9 / f64::from(FAILURES),
        of_jail().map(JailView::failed_now).sum::<usize>(),
        of_jail().map(|jail| jail.dropped().once + jail.dropped().more).sum::<u64>(),
        missed.count(),
    );
}

/// Resident memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// A warden with one jail.
fn begun(settings: Settings) -> (Warden, JailName, SourceId) {
    let mut warden = Warden::new(at(0), Memory::default(), settings);
    warden.handle_surroundings(at(0), surroundings());
    let rules = rules();
    let jail = rules.name.clone();
    warden.handle_jail(at(0), Arc::new(rules));
    drain(&mut warden);
    (warden, jail, SourceId::File("/var/log/web.log".into()))
}

fn failure(jail: &JailName, source: &SourceId, number: u32, at: Timestamp) -> Failure {
    Failure {
        forwarded: Vec::new(),
        jail: jail.clone(),
        network: network(number),
        at,
        source: source.clone(),
        progress: Progress { resume: Position::File(None), judged: Position::File(None) },
    }
}

fn report(what: &str, count: u32, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let took = start.elapsed();
    let rate = f64::from(count) / took.as_secs_f64();
    println!("{what:<42} {count:>9} in {:>7.1} ms {rate:>12.0}/s", took.as_secs_f64() * 1000.0);
}

fn failures(addresses: u32) {
    let (mut warden, jail, source) = begun(Settings { ban_burst: 0, ..Settings::default() });
    for number in 0..FAILURES {
        let now = at(i64::from(number / 10_000));
        warden.handle_failure(now, failure(&jail, &source, number % addresses, now));
        drain(&mut warden);
    }
}

/// As the daemon does: effects are sorted after each failure, and may be counted.
fn handed_on(count: bool) {
    let (mut warden, jail, source) = begun(Settings { ban_burst: 0, ..Settings::default() });
    let ledger = Mutex::new(Ledger::<Instant>::default());
    let (mut records, mut news, mut in_force) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..FAILURES {
        let now = at(i64::from(number / 10_000));
        warden.handle_failure(now, failure(&jail, &source, number % 1000, now));
        while let Some(effect) = warden.poll_effect() {
            match effect {
                Effect::Remember(record) => records.push(record),
                Effect::Tell(event) => news.push(event),
                Effect::Block(ban) => in_force.push((ban.jail, ban.network)),
                _ => {}
            }
        }
        if count {
            let read = Some(Instant::now());
            let mut ledger = ledger.lock().expect("one thread");
            ledger.note(&records, news.iter().map(|event| &event.news), read);
            ledger.in_force(&in_force, |read| read.elapsed());
        }
        records.clear();
        news.clear();
        in_force.clear();
    }
}

fn banned() -> Warden {
    let mut warden = Warden::new(at(0), Memory::default(), Settings::default());
    let time = Some(BanTime::For(Duration::from_secs(60)));
    let networks = (0..BANS).map(network).collect();
    warden.handle_ban(at(0), BanRequest { networks, jail: None, time, force: false });
    drain(&mut warden);
    warden
}

/// Gives the longest time that anybody else had to wait.
fn expire(warden: &mut Warden) -> Duration {
    let mut longest = Duration::ZERO;
    while warden.next_wakeup().is_some() {
        let start = Instant::now();
        warden.handle_time(at(60));
        drain(warden);
        longest = longest.max(start.elapsed());
    }
    longest
}

fn drain(warden: &mut Warden) {
    while let Some(effect) = warden.poll_effect() {
        std::hint::black_box(effect);
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(second.unsigned_abs())
}

/// Addresses from 100.0.0.0 on.
fn network(number: u32) -> Network {
    Network::from(Address::new(IpAddr::from((0x6400_0000 + number).to_be_bytes())))
}

fn surroundings() -> Surroundings {
    let network = |number: u8| DockerNetwork {
        name: format!("network-{number}"),
        subnets: Network::new(IpAddr::from([172, number, 0, 0]).into(), 16).into_iter().collect(),
        gateways: vec![IpAddr::from([172, number, 0, 1]).into()],
    };
    Surroundings { networks: (16..32).map(network).collect(), ..Surroundings::default() }
}

fn rules() -> JailRules {
    JailRules {
        name: JailName::from_lossy("web"),
        service: ServiceId::Container("web".into()),
        limits: Limits::default(),
        ignore: Vec::new(),
        block: BlockRules {
            chains: [Chain::DockerUser].into(),
            ports: Ports::All,
            block_type: BlockType::Reject,
        },
        dry_run: false,
        policy: Policy::default(),
    }
}
