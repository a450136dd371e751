//! What guard costs, and how fast it is, on a real engine with real packets.
//!
//! ```text
//! cargo bench --bench endtoend [-- bans|burst|memory|idle]
//! ```
//!
//! Needs what `tests/docker` needs, and skips where it is missing. Prints
//! - from the wrong password's answer, right after which the service writes its line,
//!   to the first packet that is refused: 200 attackers, one after the other, for a
//!   service that logs to its output and one that logs to a file on a volume;
//! - the same for the last of 200 attackers whose lines come into the file in one write,
//!   and beside it how long `ipset restore` needs for so many elements;
//! - memory of a guard that holds 100,000 bans;
//! - memory and processor time of an idle guard with 1 and with 50 labelled containers.

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write;
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
    let only: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|word| word == part);
    for engine in engines("endtoend") {
        if wanted("bans") {
            time_to_ban(&engine);
        }
        if wanted("burst") {
            burst(&engine);
        }
        if wanted("memory") {
            memory(&engine);
        }
        if wanted("idle") {
            idle(&engine, &[1, 50]);
        }
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
        let one = |n: u16| {
            // What comes to a file right after something else waits for more.
            std::thread::sleep(Duration::from_millis(20));
            time_one_ban(&attacker(n), port, udp)
        };
        let mut times: Vec<Duration> = (0..BANS).map(one).collect();
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
    time_until_refused(attacker, udp, || attacker.fail(port, 1))
}

/// From what calls for the ban to the first datagram that is refused.
fn time_until_refused(attacker: &Client, udp: u16, provoke: impl FnOnce()) -> Duration {
    let probe = attacker.datagrams(udp, Duration::from_millis(5));
    eventually("the attacker is served", || ensure(ping(&probe).is_answer(), attacker.address));
    provoke();
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

/// Many attackers in one write of a log: when is the last one out?
fn burst(engine: &Engine) {
    const ROUNDS: u16 = 20;
    let host = Host::start(engine);
    Service::new("file")
        .publish("8081:80")
        .arguments(&["--udp", "9000", "--file", "/logs/web.log"])
        .publish("9001:9000/udp")
        .mount("logs:/logs")
        .guarded(&LABELS)
        .guarded(&[("logpath", "/logs/web.log")])
        .run(&host);
    let guard = Guard::start(&host, &[("GUARD_LOG", "info"), ("GUARD_BAN_BURST", "100000")]);
    guard.has_jail("file");
    let volume = host.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "logs"]);
    let log = std::path::Path::new(volume.trim()).join("web.log");
    let machine = host.attacker();
    machine.v4().is_served(8081);
    // The service begins its log.
    machine.at(machine.address(Family::V4, 4 + ROUNDS)).fail(8081, 1);
    guard.has_found("file", 1);
    let mut times = Vec::new();
    let mut floors = Vec::new();
    for round in 0..ROUNDS {
        let attacker = machine.at(machine.address(Family::V4, 4 + round));
        let forged = (1..BANS).map(|n| format!("11.{round}.{}.{}", n >> 8, n & 255));
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
        let lines: String = forged
            .chain([attacker.address.to_string()])
            .map(|ip| format!("{now} WARNING: Login failed for user 'a' [IP: {ip}]\n"))
            .collect();
        let mut file = std::fs::OpenOptions::new().append(true).open(&log).expect("it logs there");
        times.push(time_until_refused(&attacker, 9001, || {
            file.write_all(lines.as_bytes()).expect("there is room");
        }));
        floors.push(restore(&host, round));
    }
    times.sort_unstable();
    floors.sort_unstable();
    let middle = usize::from(ROUNDS) / 2;
    let ms = |times: &[Duration]| times[middle].as_secs_f64() * 1000.0;
    println!(
        "Docker {}: {BANS} attackers in one write of a file, until the last is refused: median {:.1} ms, max {:.1} ms; `ipset restore` of {BANS}: {:.1} ms",
        engine.name,
        ms(&times),
        times[times.len() - 1].as_secs_f64() * 1000.0,
        ms(&floors),
    );
}

/// The floor: so many elements by ipset's own batch.
fn restore(host: &Host, round: u16) -> Duration {
    let set = format!("floor{round}");
    let add = |n: u16| format!("add {set} 12.0.{}.{} timeout 600\n", n >> 8, n & 255);
    let lines = format!("create {set} hash:net timeout 0\n");
    let lines = lines + &(0..BANS).map(add).collect::<String>();
    let start = Instant::now();
    let mut restore = host
        .namespace()
        .command("ipset")
        .arg("restore")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("ipset is there");
    let written = restore.stdin.take().map(|mut pipe| pipe.write_all(lines.as_bytes()));
    written.expect("it is piped").expect("ipset reads");
    assert!(restore.wait().expect("it ends").success());
    start.elapsed()
}

/// What 100,000 bans cost the whole program.
fn memory(engine: &Engine) {
    const MANY: u32 = 100_000;
    let host = Host::start(engine);
    Service::new("web").guarded(&LABELS).run(&host);
    let guard = Guard::start(&host, &[("GUARD_LOG", "warn")]);
    guard.has_jail("web");
    let before = resident_kib(guard.pid());
    let list = host.folder().join("addresses");
    let address = |n: u32| std::net::Ipv4Addr::from(0x0b00_0000 + n).to_string() + "\n";
    std::fs::write(&list, (0..MANY).map(address).collect::<String>()).expect("there is room");
    let start = Instant::now();
    let input = std::fs::File::open(&list).expect("it was written");
    let banned = guard.ctl_reading(&["ban", "-", "--for", "1h"], input.into());
    assert_eq!(banned.code, Some(0), "{}", banned.err);
    let took = start.elapsed();
    println!(
        "Docker {}: {MANY} bans by one `guardctl ban -` in {:.2} s: {:.1} MiB resident, {:.1} MiB before",
        engine.name,
        took.as_secs_f64(),
        resident_kib(guard.pid()) / 1024.0,
        before / 1024.0,
    );
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
