//! What guard costs, and how fast it is, on a real engine with real packets.
//!
//! ```text
//! cargo bench --bench endtoend
//! ```
//!
//! Needs what `tests/docker` needs, and skips where it is missing. Prints
//! - from the wrong password's answer, right after which the service writes its line,
//!   to the first packet that is refused: 200 attackers, one after the other, for a
//!   service that logs to its output and one that logs to a file on a volume;
//! - memory and processor time of an idle guard with 1 and with 50 labelled containers.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::*;

/// How often a ban is timed, for each kind of source.
const BANS: u16 = 200;
/// How far apart the packets are that find the ban: the error of the measurement.
const PROBE_EVERY: Duration = Duration::from_micros(250);
/// How long an idle guard is watched.
const IDLE: Duration = Duration::from_secs(30);
/// The ticks of a second in `/proc/PID/stat`, on every Linux.
const TICKS: f64 = 100.0;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "1"), ("bantime", "1h")];

fn main() {
    println!("guard: {} KiB", size(env!("CARGO_BIN_EXE_guard")));
    println!("guardctl: {} KiB", size(env!("CARGO_BIN_EXE_guardctl")));
    for engine in engines("endtoend") {
        time_to_ban(&engine);
        idle(&engine, &[1, 50]);
    }
}

fn size(path: &str) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len() / 1024)
}

fn time_to_ban(engine: &Engine) {
    let host = Host::start(engine);
    let web = |name: &str, port: &str| {
        Service::new(name).publish(port).arguments(&["--udp", "9000"]).guarded(&LABELS)
    };
    web("output", "8080:80").publish("9000:9000/udp").run(&host);
    web("file", "8081:80")
        .publish("9001:9000/udp")
        .mount("logs:/logs")
        .arguments(&["--file", "/logs/web.log"])
        .guarded(&[("logpath", "/logs/web.log")])
        .run(&host);
    let guard = Guard::start(&host, &[("GUARD_LOG", "info")]);
    for (jail, port, udp) in [("output", 8080, 9000), ("file", 8081, 9001)] {
        let machine = host.attacker();
        guard.has_jail(jail);
        machine.v4().is_served(port);
        let attacker = |n: u16| machine.at(machine.address(Family::V4, 4 + n));
        let mut times: Vec<Duration> =
            (0..BANS).map(|n| time_one_ban(&attacker(n), port, udp)).collect();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
        println!(
            "Docker {}: line of {jail} to refused packet: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({BANS} bans)",
            engine.name,
            at(50),
            at(99),
            at(100),
        );
    }
}

/// From the answer to the wrong password to the first datagram that is refused, or
/// whose echo the ban swallowed.
fn time_one_ban(attacker: &Client, port: u16, udp: u16) -> Duration {
    let probe = attacker.datagrams(udp, Duration::from_millis(5));
    eventually("the attacker is served", || ensure(ping(&probe).is_answer(), attacker.address));
    attacker.fail(port, 1);
    let start = Instant::now();
    let mut unanswered = None;
    loop {
        let sent = Instant::now();
        match ping(&probe) {
            Outcome::Answered(_) => unanswered = None,
            Outcome::Silent => unanswered = unanswered.or(Some(sent)),
            Outcome::Refused => return unanswered.unwrap_or(sent) - start,
        }
        assert!(start.elapsed() < PATIENCE, "{} is not banned", attacker.address);
        std::thread::sleep(PROBE_EVERY.saturating_sub(sent.elapsed()));
    }
}

fn idle(engine: &Engine, counts: &[usize]) {
    let host = Host::start(engine);
    let guard = Guard::start(&host, &[("GUARD_LOG", "info")]);
    let mut running = 0;
    for &count in counts {
        for n in running..count {
            Service::new(&format!("web{n}")).guarded(&LABELS).run(&host);
            guard.has_jail(&format!("web{n}"));
        }
        running = count;
        // The start is over, and whatever it left to do.
        std::thread::sleep(Duration::from_secs(5));
        let before = ticks(guard.pid());
        std::thread::sleep(IDLE);
        let used = (ticks(guard.pid()) - before) / TICKS / IDLE.as_secs_f64();
        println!(
            "Docker {}: idle with {count} containers: {:.1} MiB resident, {:.2} % of a processor",
            engine.name,
            resident_kib(guard.pid()) / 1024.0,
            used * 100.0,
        );
    }
}

/// Processor time used so far, in user and in kernel mode.
fn ticks(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("guard runs");
    // The name, in brackets, may hold blanks; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(") ").expect("proc(5)").1;
    let of = |n: usize| fields.split(' ').nth(n - 3).and_then(|field| field.parse::<f64>().ok());
    of(14).expect("proc(5)") + of(15).expect("proc(5)")
}

fn resident_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("guard runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("proc(5)");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("proc(5)")
}
