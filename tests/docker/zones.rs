//! Dates without a zone are read in the zone of the container that wrote them.

use std::fmt::Write;
use std::path::Path;

use jiff::tz::{TimeZone, offset};
use jiff::{Span, Timestamp};

use crate::support::*;

/// Where a container's clock stands, and how guard can know.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// Its variable `TZ`.
    Variable(&'static str),
    /// Its `/etc/localtime`, of [`INDIA`].
    LocalTime,
    /// Nothing is said. libc takes UTC then, and so do most programs.
    Unsaid,
    /// guard's label says so, whatever the container says.
    Label(&'static str),
}

/// The services, each with a name.
const CLOCKS: [(&str, Clock); 5] = [
    ("utc", Clock::Variable("UTC")),
    ("paris", Clock::Variable("Europe/Paris")),
    ("india", Clock::LocalTime),
    ("unsaid", Clock::Unsaid),
    ("label", Clock::Label("America/New_York")),
];

/// Hours and minutes east of Greenwich.
const INDIA: (i8, i8) = (5, 30);

/// All lines are there before guard starts: it takes live ones to be of now when they
/// are far off, whatever their zone. Those of two minutes ago must count, and would
/// not if they were read in a zone east of their own; those of half an hour ago must
/// not, and would if they were read in a zone west of it.
#[test]
fn dates_are_read_in_the_zone_of_their_container() {
    on_every_engine("dates_are_read_in_the_zone_of_their_container", |engine| {
        let host = Host::start(engine);
        let local_time = host.folder().join("localtime");
        std::fs::write(&local_time, zone_file()).expect("the host's folder can be written");
        for (n, (name, clock)) in CLOCKS.into_iter().enumerate() {
            run_service(&host, name, clock, &format!("{}:80", 8080 + n));
        }
        for guards_own in ["Europe/Paris", "UTC", "America/New_York"] {
            let data = host.folder().join(guards_own.replace('/', "-"));
            let data = data.display().to_string();
            let mut guard = Guard::start(&host, &[("TZ", guards_own), ("GUARD_DATA", &data)]);
            for (jail, _) in CLOCKS {
                eventually(&format!("{jail}, with guard in {guards_own}"), || {
                    let status = guard.jail(jail)?;
                    ensure(status.list == ["203.0.113.2"], status)
                });
            }
            // With it go its bans in the kernel, which the next one would adopt.
            guard.sigterm();
        }
    });
}

fn run_service(host: &Host, name: &str, clock: Clock, ports: &str) {
    let volume = format!("{name}-logs");
    let service = Service::new(name)
        .publish(ports)
        .mount(&format!("{volume}:/logs"))
        .guarded(&[("failregex", FLASK_REGEX), ("maxretry", "3"), ("findtime", "10m")])
        .guarded(&[("logpath", "/logs/login.log"), ("bantime", "1h")]);
    let local_time = host.folder().join("localtime").display().to_string();
    let (service, zone) = match clock {
        Clock::Variable(zone) => (service.option("--env", &format!("TZ={zone}")), named(zone)),
        Clock::LocalTime => (
            service.mount(&format!("{local_time}:/etc/localtime:ro")),
            TimeZone::fixed(offset(INDIA.0).saturating_add(Span::new().minutes(INDIA.1))),
        ),
        Clock::Unsaid => (service, TimeZone::UTC),
        Clock::Label(zone) => (service.guarded(&[("logtimezone", zone)]), named(zone)),
    };
    service.run(host);
    let folder = host.docker(&["volume", "inspect", &volume, "--format", "{{.Mountpoint}}"]);
    std::fs::write(Path::new(&folder).join("login.log"), lines(&zone))
        .expect("the volume is there");
}

fn named(zone: &str) -> TimeZone {
    TimeZone::get(zone).expect("the database has it")
}

/// Three failures of half an hour ago, and three of two minutes ago.
fn lines(zone: &TimeZone) -> String {
    let mut text = String::new();
    for (minutes, address) in [(30, "203.0.113.30"), (2, "203.0.113.2")] {
        let time = Timestamp::now() - Span::new().minutes(minutes);
        let time = time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        for _ in 0..3 {
            writeln!(text, "{time},050 WARNING: Login failed for user 'aaa' [IP: {address}]")
                .expect("a string takes all");
        }
    }
    text
}

/// An `/etc/localtime` (RFC 8536) of [`INDIA`], so that none need be installed here.
fn zone_file() -> Vec<u8> {
    let seconds = i32::from(INDIA.0) * 3600 + i32::from(INDIA.1) * 60;
    // The same block twice, first for readers of version 1: no changes of time, one
    // kind of it, and its name.
    let mut block = b"TZif2".to_vec();
    block.extend([0; 15]);
    for count in [0_u32, 0, 0, 0, 1, 4] {
        block.extend(count.to_be_bytes());
    }
    block.extend(seconds.to_be_bytes());
    block.extend([0, 0]);
    block.extend(b"IST\0");
    [block.clone(), block, b"\nIST-5:30\n".to_vec()].concat()
}
