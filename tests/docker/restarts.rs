//! guard stops, is killed and starts again: bans and counts stay.

use crate::support::*;

/// The jails, and the ports of their services: one that logs to its output, one that
/// logs to a file on a volume.
const JAILS: [(&str, u16); 2] = [("web", 8080), ("web-file", 8081)];

fn run_services(host: &Host) {
    let limits = [("failregex", FLASK_REGEX), ("maxretry", "3"), ("bantime", "1h")];
    Service::new("web").dual().publish("8080:80").guarded(&limits).run(host);
    Service::new("web-file")
        .dual()
        .publish("8081:80")
        .mount("logs:/logs")
        .arguments(&["--file", "/logs/web.log"])
        .guarded(&limits)
        .guarded(&[("logpath", "/logs/web.log")])
        .run(host);
}

#[test]
fn a_stop_takes_the_rules_away_and_a_start_brings_the_bans_back() {
    on_every_engine("a_stop_takes_the_rules_away_and_a_start_brings_the_bans_back", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        run_services(&host);
        let mut guard = Guard::start(&host, &[]);
        for (jail, port) in JAILS {
            guard.has_jail(jail);
            for family in Family::ALL {
                let attacker = mallory.at(mallory.address(family, port - 8070));
                attacker.is_served(port);
                attacker.fail(port, 3);
                attacker.is_refused(port);
            }
        }
        guard.sigterm();
        assert_eq!(host.traces_of_guard(), Vec::<String>::new());
        refused_everywhere_is(false, &mallory);

        guard.start_again();
        refused_everywhere_is(true, &mallory);

        guard.set("GUARD_ON_STOP", "keep");
        guard.restart();
        refused_everywhere_is(true, &mallory);
        guard.sigterm();
        assert_ne!(host.traces_of_guard(), Vec::<String>::new());
        refused_everywhere_is(true, &mallory);
        guard.start_again();
        for (jail, port) in JAILS {
            for family in Family::ALL {
                guard.has_banned(jail, &mallory.address(family, port - 8070));
            }
            // No line was read twice on the way.
            guard.has_found(jail, 6);
        }
    });
}

/// All four attackers are refused, or all are served.
#[track_caller]
fn refused_everywhere_is(refused: bool, mallory: &Attacker) {
    for (_, port) in JAILS {
        for family in Family::ALL {
            let attacker = mallory.at(mallory.address(family, port - 8070));
            if refused { attacker.is_refused(port) } else { attacker.is_served(port) }
        }
    }
}

#[test]
fn a_crash_loses_no_ban_and_no_count() {
    on_every_engine("a_crash_loses_no_ban_and_no_count", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        run_services(&host);
        let mut guard = Guard::start(&host, &[]);
        let address = |n: u16, port: u16| mallory.at(mallory.address(Family::V4, n + port % 10));
        for (jail, port) in JAILS {
            guard.has_jail(jail);
            address(10, port).is_served(port);
            address(10, port).fail(port, 3);
            address(10, port).is_refused(port);
            address(20, port).fail(port, 2);
            guard.has_found(jail, 5);
        }
        guard.kill9();
        for (_, port) in JAILS {
            address(10, port).is_still_refused(port);
            address(20, port).is_still_served(port);
            // While nobody watches.
            address(30, port).fail(port, 3);
            address(30, port).is_still_served(port);
        }
        guard.start_again();
        for (jail, port) in JAILS {
            address(10, port).is_still_refused(port);
            address(30, port).is_refused(port);
            guard.has_found(jail, 8);
            address(20, port).is_still_served(port);
            address(20, port).fail(port, 1);
            address(20, port).is_refused(port);
            guard.has_found(jail, 9);
            guard.until(jail, "three bans", |status| status.banned == 3);
        }

        // Whom someone let in again stays in: its failures are still in the log.
        for (jail, port) in JAILS {
            guard.ctl_ok(&["unban", &address(10, port).address.to_string()]);
            address(10, port).is_served(port);
            guard.kill9();
            guard.start_again();
            guard.until(jail, "two bans", |status| status.banned == 2);
            address(10, port).is_still_served(port);
            address(20, port).is_still_refused(port);
        }
    });
}
