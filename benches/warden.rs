//! How fast the warden judges: `cargo bench --bench warden`.
//!
//! Plain timings with std, printed as a table; every effect is taken out, as the
//! daemon does.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guard::model::{
    Address, BanTime, BlockRules, BlockType, Chain, DockerNetwork, Failure, JailName, JailRules,
    Limits, Memory, Network, Ports, Position, Progress, ServiceId, SourceId, Timestamp,
};
use guard::warden::{BanRequest, Settings, Surroundings, Warden};

const FAILURES: u32 = 1_000_000;
const BANS: u32 = 100_000;

fn main() {
    report("failures of one address each", FAILURES, || failures(FAILURES));
    report("failures of 1000 addresses, 1 in 5 bans", FAILURES, || failures(1000));
    report("bans by hand in one request", BANS, || drop(banned()));
    let mut warden = banned();
    report("bans that end in one moment", BANS, || expire(&mut warden));
}

fn report(what: &str, count: u32, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let took = start.elapsed();
    let rate = f64::from(count) / took.as_secs_f64();
    println!("{what:<42} {count:>9} in {:>7.1} ms {rate:>12.0}/s", took.as_secs_f64() * 1000.0);
}

fn failures(addresses: u32) {
    let mut warden = Warden::new(at(0), Memory::default(), Settings::default());
    warden.handle_surroundings(at(0), surroundings());
    let rules = rules();
    let jail = rules.name.clone();
    let source = SourceId::File("/var/log/web.log".into());
    warden.handle_jail(at(0), Arc::new(rules));
    for number in 0..FAILURES {
        let now = at(i64::from(number / 10_000));
        let failure = Failure {
            forwarded: Vec::new(),
            jail: jail.clone(),
            network: network(number % addresses),
            at: now,
            source: source.clone(),
            progress: Progress { resume: Position::File(None), judged: Position::File(None) },
        };
        warden.handle_failure(now, failure);
        drain(&mut warden);
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

fn expire(warden: &mut Warden) {
    while warden.next_wakeup().is_some() {
        warden.handle_time(at(60));
        drain(warden);
    }
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
    }
}
