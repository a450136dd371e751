//! Failures that take several lines, and guard killed between them.

use std::time::Duration;

use crate::support::*;

/// Connections whose address and failure stand in different lines, and one-line
/// failures that make guard write how far it came.
const CONNECTIONS: &str = r"^<F-MLFID>c\d+</F-MLFID>: <F-NOFAIL>open</F-NOFAIL> from <HOST>$
^<F-MLFID>c\d+</F-MLFID>: failed$
^alone from <HOST>$";
const TOGETHER: &str = r"^open from <HOST>\nfailed$
^alone from <HOST>$";

/// A jail, its service's port, and the two lines that together are a failure.
struct Case {
    jail: &'static str,
    port: u16,
    first: &'static str,
    second: &'static str,
}

const CASES: [Case; 3] = [
    Case { jail: "output", port: 8080, first: "c7: open from ", second: "c7: failed" },
    Case { jail: "together", port: 8081, first: "open from ", second: "failed" },
    Case { jail: "file", port: 8082, first: "c7: open from ", second: "c7: failed" },
];

#[test]
fn a_failure_of_several_lines_survives_a_kill_between_them() {
    on_every_engine("a_failure_of_several_lines_survives_a_kill_between_them", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        let limits = [("maxretry", "1"), ("bantime", "1h")];
        let connections = Service::new("output").dual().publish("8080:80").guarded(&limits);
        connections.guarded(&[("failregex", CONNECTIONS)]).run(&host);
        let together = Service::new("together").dual().publish("8081:80").guarded(&limits);
        together.guarded(&[("failregex", TOGETHER), ("maxlines", "2")]).run(&host);
        let file = Service::new("file").dual().publish("8082:80").guarded(&limits);
        file.mount("logs:/logs")
            .arguments(&["--file", "/logs/web.log"])
            .guarded(&[("failregex", CONNECTIONS), ("logpath", "/logs/web.log")])
            .run(&host);
        let mut guard = Guard::start(&host, &[]);
        let attacker = |case: &Case| mallory.at(mallory.address(Family::V4, case.port - 8070));
        let alone = |case: &Case, n: u8| {
            alice.v4().log(case.port, &format!("alone from 203.0.113.{n}"));
        };
        for case in &CASES {
            guard.has_jail(case.jail);
            alice.v4().is_served(case.port);
            if case.jail != "together" {
                alice.v4().log(case.port, &format!("{}{}", case.first, attacker(case).address));
            }
            // With it the place behind the first line is on disk.
            alone(case, 1);
            guard.has_found(case.jail, 1);
            if case.jail == "together" {
                alice.v4().log(case.port, &format!("{}{}", case.first, attacker(case).address));
            }
        }
        // Of a quiet source the place is written after a second.
        std::thread::sleep(Duration::from_millis(1500));
        guard.kill9();
        for case in &CASES {
            attacker(case).is_still_served(case.port);
        }
        alice.v4().log(CASES[0].port, CASES[0].second);
        guard.start_again();
        for case in &CASES {
            guard.has_jail(case.jail);
            if case.port != CASES[0].port {
                alice.v4().log(case.port, case.second);
            }
            guard.has_found(case.jail, 2);
            guard.has_banned(case.jail, &attacker(case).address);
            attacker(case).is_refused(case.port);
        }

        // What was told is not told again, however often guard is killed.
        for n in 2..4 {
            guard.kill9();
            guard.start_again();
            for case in &CASES {
                guard.has_jail(case.jail);
                alone(case, n);
                guard.has_found(case.jail, u64::from(n) + 1);
            }
        }
    });
}

/// Failures of each service.
const FAILURES: u64 = 400;

#[test]
fn kills_at_any_moment_lose_and_double_nothing() {
    on_every_engine("kills_at_any_moment_lose_and_double_nothing", |engine| {
        let host = Host::start(engine);
        let alice = host.attacker();
        let labels = [("failregex", CONNECTIONS), ("maxretry", "9999")];
        Service::new("output").dual().publish("8080:80").guarded(&labels).run(&host);
        let file = Service::new("file").dual().publish("8082:80").guarded(&labels);
        file.mount("logs:/logs")
            .arguments(&["--file", "/logs/web.log"])
            .guarded(&[("logpath", "/logs/web.log")])
            .run(&host);
        let mut guard = Guard::start(&host, &[]);
        for (jail, port) in [("output", 8080), ("file", 8082)] {
            guard.has_jail(jail);
            alice.v4().is_served(port);
        }
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 0..FAILURES {
                    for port in [8080, 8082] {
                        alice.v4().log(port, &format!("c{number}: open from 203.0.113.7"));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                    for port in [8080, 8082] {
                        alice.v4().log(port, &format!("c{number}: failed"));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
            let mut kills = 0;
            while kills < 4 || !writer.is_finished() {
                // The clock's last digits are as good as dice.
                let nanos = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
                let wait = Duration::from_millis(u64::from(nanos / 1000 % 1500));
                std::thread::sleep(wait);
                guard.kill9();
                guard.start_again();
                kills += 1;
            }
            eprintln!("  {kills} kills");
        });
        for jail in ["output", "file"] {
            guard.has_jail(jail);
            guard.has_found(jail, FAILURES);
        }
        // Nothing is still on its way.
        for (jail, port) in [("output", 8080), ("file", 8082)] {
            alice.v4().log(port, "alone from 203.0.113.1");
            guard.has_found(jail, FAILURES + 1);
        }
    });
}
