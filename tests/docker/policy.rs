//! Who counts as one client, who is let off, and who comes back too often.

use crate::support::*;

/// Lines may be of anybody: whoever asks the service writes what he likes into its log.
const BAD: &str = "^bad login of <HOST>$";

#[test]
fn prefixes_logins_and_those_who_come_back() {
    on_every_engine("prefixes_logins_and_those_who_come_back", |engine| {
        let host = Host::start(engine);
        let client = host.attacker();
        let writer = client.v4();
        Service::new("web")
            .dual()
            .publish("8080:80")
            .guarded(&[("failregex", BAD), ("maxretry", "2"), ("bantime", "1h")])
            .guarded(&[("successregex", "^good login of <HOST>$")])
            .run(&host);
        Service::new("mail")
            .dual()
            .publish("8081:80")
            .guarded(&[("failregex", BAD), ("maxretry", "1"), ("bantime", "1s")])
            .run(&host);
        let mut guard = Guard::start(&host, &[("GUARD_RECIDIVE", "on")]);
        for jail in ["web", "mail", "recidive"] {
            guard.has_jail(jail);
        }
        writer.is_served(8080);
        writer.is_served(8081);

        // Two addresses of one /64 are one client.
        writer.log(8080, "bad login of 2001:db8:1:2::1");
        writer.log(8080, "bad login of 2001:db8:1:2::2");
        guard.has_banned("web", &"2001:db8:1:2::/64");
        // Where the host itself is in it, the address is alone.
        let neighbour = client.of(Family::V6);
        neighbour.is_served(8080);
        neighbour.log(8080, &format!("bad login of {}", neighbour.address));
        neighbour.log(8080, &format!("bad login of {}", neighbour.address));
        neighbour.is_refused(8080);
        guard.has_banned("web", &neighbour.address);
        let log = guard.whole_log();
        assert!(log.contains(&format!("Only {} is banned", neighbour.address)), "{log}");

        // Who logs in is forgiven, and left alone.
        for line in ["bad", "good", "bad", "bad", "bad"] {
            writer.log(8080, &format!("{line} login of 203.0.113.7"));
        }
        writer.log(8080, "bad login of 203.0.113.8");
        guard.has_found("web", 6);
        assert_eq!(guard.ctl(&["banned", "203.0.113.7"]).code, Some(1));

        // The fifth ban within a day is one for a week, from everything; kill -9 or not.
        for ban in 1..=5 {
            writer.log(8081, "bad login of 203.0.113.9");
            guard.has_found("mail", ban);
            guard.has_found("recidive", ban + 2);
            if ban == 3 {
                guard.kill9();
                guard.start_again();
                // The disk may not have had the ban: then it comes again with its line, and
                // what failed before that would find it standing.
                guard.has_found("mail", ban);
                guard.has_found("recidive", ban + 2);
            }
            guard.has_unbanned("mail", &"203.0.113.9");
        }
        guard.has_banned("recidive", &"203.0.113.9");
    });
}
