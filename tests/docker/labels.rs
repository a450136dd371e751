//! Labels that are wrong, and labels that define more than one jail.

use crate::support::*;

const LIMITS: [(&str, &str); 2] = [("maxretry", "2"), ("bantime", "1h")];

#[test]
fn wrong_labels_are_shown_and_harm_nobody_else() {
    on_every_engine("wrong_labels_are_shown_and_harm_nobody_else", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let attacker = mallory.v4();
        let service =
            |name: &str, port: &str| Service::new(name).publish(port).guarded(&LIMITS).dual();
        let broken = service("broken", "8081:80");
        service("web", "8080:80").guarded(&[("failregex", FLASK_REGEX)]).run(&host);
        broken.clone().guarded(&[("failregex", "Login failed for (user [IP: <HOST>")]).run(&host);
        service("typo", "8082:80")
            .guarded(&[("failregex", FLASK_REGEX), ("maxretyr", "3")])
            .run(&host);
        service("value", "8083:80")
            .guarded(&[("failregex", FLASK_REGEX), ("bantime", "3 parsecs")])
            .run(&host);
        service("mute", "8084:80")
            .option("--log-driver", "none")
            .guarded(&[("failregex", FLASK_REGEX)])
            .run(&host);
        for name in ["one", "two"] {
            Service::new(name).guarded(&[("failregex", FLASK_REGEX), ("name", "same")]).run(&host);
        }
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");

        guard.says(None, &["broken", "guard.failregex", "Login failed for (user"]);
        guard.says(None, &["typo", "guard.maxretyr", "maxretry"]);
        guard.says(None, &["value", "guard.bantime", "parsecs"]);
        guard.says(Some("mute"), &["logging driver", "none", "reading"]);
        guard.says(None, &["same", "one", "two"]);

        attacker.is_served(8080);
        attacker.fail(8080, 2);
        attacker.is_refused(8080);

        // Mended, it works, and nothing is said of it any more.
        host.docker(&["rm", "--force", "broken"]);
        broken.guarded(&[("failregex", FLASK_REGEX)]).run(&host);
        guard.has_jail("broken");
        let attacker = mallory.at(mallory.address(Family::V4, 10));
        attacker.is_served(8081);
        attacker.fail(8081, 2);
        attacker.is_refused(8081);
        eventually("the complaint is gone", || {
            let status = guard.ctl(&["status"]).out;
            ensure(!status.contains("Login failed for (user"), status)
        });

        // Each was logged once, however often it was looked at.
        let log = guard.whole_log();
        let grave = |line: &&str| line.contains("ERROR") || line.contains("WARN");
        let told = log.lines().filter(grave).filter(|line| line.contains("maxretyr")).count();
        assert_eq!(told, 1, "{log}");
    });
}

#[test]
fn two_jails_of_one_service_close_a_port_each() {
    on_every_engine("two_jails_of_one_service_close_a_port_each", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::compose("shop", "web", 1)
            .dual()
            .publish("8080:80")
            .publish("8081:8081")
            .arguments(&["--port", "80", "--port", "8081"])
            .guarded(&LIMITS)
            .guarded(&[("failregex", FLASK_REGEX), ("port", "8080")])
            .guarded(&[("jails.admin.failregex", r"intruder at <HOST>$")])
            .guarded(&[("jails.admin.port", "8081"), ("jails.admin.maxretry", "1")])
            .run(&host);
        // A terminal: one stream, and lines that end in CR LF.
        Service::new("terminal")
            .option("--tty=true", "--interactive")
            .dual()
            .publish("8082:80")
            .guarded(&LIMITS)
            .guarded(&[("failregex", FLASK_REGEX), ("port", "8082")])
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("shop-web");
        guard.has_jail("shop-web-admin");
        guard.has_jail("terminal");
        for family in Family::ALL {
            let user = mallory.of(family);
            user.is_served(8080);
            user.fail(8080, 2);
            user.is_refused(8080);
            user.is_still_served(8081);
            let admin = mallory.at(mallory.address(family, 10));
            user.log(8081, &format!("intruder at {}", admin.address));
            admin.is_refused(8081);
            admin.is_still_served(8080);
            user.fail(8082, 2);
            user.is_refused(8082);
            user.is_still_served(8081);
        }
        // With two jails, the service's name alone could mean either.
        guard.has_banned("shop-web-admin", &mallory.address(Family::V6, 10));
    });
}
