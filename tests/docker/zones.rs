//! Dates without a zone are read in the zone of the container that wrote them.

use std::fmt::Write;

use jiff::{Span, Zoned};

use crate::support::*;

/// A service that logs to a file: its name, the options of its container that say
/// where its clock is, its label if it has one, and the zone of its lines.
type Clock =
    (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>, &'static str);

const CLOCKS: [Clock; 5] = [
    ("utc", &[("--env", "TZ=UTC")], None, "UTC"),
    ("paris", &[("--env", "TZ=Europe/Paris")], None, "Europe/Paris"),
    // libc takes UTC where nothing is said, and so do most programs.
    ("nothing", &[], None, "UTC"),
    (
        "localtime",
        &[("--volume", "/usr/share/zoneinfo/Asia/Kolkata:/etc/localtime:ro")],
        None,
        "Asia/Kolkata",
    ),
    ("label", &[("--env", "TZ=UTC")], Some("America/New_York"), "America/New_York"),
];

/// All lines are there before guard starts: it takes live ones to be of now when they
/// are far off, whatever their zone. Those of two minutes ago must count; those of
/// half an hour ago must not, which they would if they were read in a zone west of
/// their own.
#[test]
fn dates_are_read_in_the_zone_of_their_container() {
    on_every_engine("dates_are_read_in_the_zone_of_their_container", |engine| {
        let host = Host::start(engine);
        for (n, clock) in CLOCKS.iter().enumerate() {
            run_service(&host, clock, 8080 + n);
        }
        for guards_own in ["Europe/Paris", "UTC", "America/New_York"] {
            let data = host.folder().join(guards_own.replace('/', "-"));
            let data = data.display().to_string();
            let guard = Guard::start(&host, &[("TZ", guards_own), ("GUARD_DATA", &data)]);
            for (jail, ..) in CLOCKS {
                eventually(&format!("{jail}, with guard in {guards_own}"), || {
                    let status = guard.jail(jail)?;
                    ensure(status.list == ["203.0.113.2"], status)
                });
            }
        }
    });
}

fn run_service(host: &Host, &(name, options, label, zone): &Clock, port: usize) {
    let volume = format!("{name}-logs");
    let mut service = Service::new(name)
        .publish(&format!("{port}:80"))
        .mount(&format!("{volume}:/logs"))
        .guarded(&[("failregex", FLASK_REGEX), ("maxretry", "3"), ("findtime", "10m")])
        .guarded(&[("logpath", "/logs/login.log"), ("bantime", "1h")]);
    for (option, value) in options {
        service = service.option(option, value);
    }
    if let Some(zone) = label {
        service = service.guarded(&[("logtimezone", zone)]);
    }
    service.run(host);
    let folder = host.docker(&["volume", "inspect", &volume, "--format", "{{.Mountpoint}}"]);
    let log = std::path::Path::new(&folder).join("login.log");
    std::fs::write(log, lines(zone)).expect("the volume is there");
}

/// Three failures of half an hour ago, and three of two minutes ago.
fn lines(zone: &str) -> String {
    let now = Zoned::now().in_tz(zone).expect("a zone of the database");
    let mut text = String::new();
    for (minutes, address) in [(30, "203.0.113.30"), (2, "203.0.113.2")] {
        let time = now.checked_sub(Span::new().minutes(minutes)).expect("not at the dawn of time");
        for _ in 0..3 {
            let time = time.strftime("%Y-%m-%d %H:%M:%S");
            let line = format!("{time},050 WARNING: Login failed for user 'aaa' [IP: {address}]");
            writeln!(text, "{line}").expect("a string takes all");
        }
    }
    text
}
