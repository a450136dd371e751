//! A jail belongs to a service: containers come, go, and are many.

use crate::support::*;

const LIMITS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "3"), ("bantime", "1h")];

#[test]
fn a_service_recreated_under_attack_keeps_counts_and_bans() {
    on_every_engine("a_service_recreated_under_attack_keeps_counts_and_bans", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let web = || Service::compose("shop", "web", 1).dual().publish("8080:80");
        let guarded = web().guarded(&LIMITS);
        guarded.run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("shop-web");
        let (first, second) = (mallory.v4(), mallory.of(Family::V6));
        first.is_served(8080);
        first.fail(8080, 3);
        first.is_refused(8080);
        second.fail(8080, 2);
        guard.has_found("shop-web", 5);

        recreate(&host, &guarded);
        second.is_served(8080);
        first.is_still_refused(8080);
        second.fail(8080, 1);
        second.is_refused(8080);
        // The service's name alone will do, there is only one of it.
        guard.has_banned("web", &first.address);
        guard.has_banned("web", &second.address);

        // Other labels: from now on, one failure is enough.
        recreate(&host, &guarded.clone().guarded(&[("maxretry", "1"), ("findtime", "5s")]));
        let third = mallory.at(mallory.address(Family::V4, 30));
        third.is_served(8080);
        third.fail(8080, 1);
        third.is_refused(8080);
        first.is_still_refused(8080);

        // No labels: the jail is gone when its bans are, and its failures are too old to
        // count.
        recreate(&host, &web());
        mallory.at(mallory.address(Family::V4, 40)).is_served(8080);
        first.is_still_refused(8080);
        guard.ctl_ok(&["unban", "--all"]);
        first.is_served(8080);
        // It stays for findtime: were the labels back by then, what was unbanned must
        // not be banned again for what it did before.
        let status = guard.ctl_ok(&["status", "shop-web"]);
        assert!(status.contains("no containers"), "{status}");
        assert!(status.contains("Currently banned:\t0"), "{status}");
    });
}

/// As `docker compose up` does with a service that has changed.
fn recreate(host: &Host, service: &Service) {
    host.docker(&["rm", "--force", "shop-web-1"]);
    service.run(host);
}

/// Compose makes the new container before it takes the old one away: for a while
/// both want the same files, here by different patterns.
#[test]
fn a_log_shared_by_the_old_and_the_new_container_counts_once() {
    on_every_engine("a_log_shared_by_the_old_and_the_new_container_counts_once", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let mallory = mallory.v4();
        let web = |number: usize, port: &str, path: &str| {
            Service::compose("shop", "web", number)
                .publish(port)
                .mount("shop_logs:/logs")
                .arguments(&["--file", "/logs/web.log"])
                .guarded(&LIMITS)
                .guarded(&[("logpath", path), ("maxretry", "6")])
                .run(&host)
        };
        web(1, "8080:80", "/logs/web.log");
        let guard = Guard::start(&host, &[]);
        guard.has_jail("shop-web");
        mallory.is_served(8080);
        mallory.fail(8080, 3);
        guard.has_found("shop-web", 3);

        web(2, "8081:80", "/logs/*.log");
        mallory.is_served(8081);
        mallory.fail(8081, 1);
        guard.has_found("shop-web", 4);
        host.docker(&["rm", "--force", "shop-web-1"]);
        mallory.fail(8081, 1);
        guard.has_found("shop-web", 5);
        mallory.is_still_served(8081);
        mallory.fail(8081, 1);
        mallory.is_refused(8081);
        guard.has_found("shop-web", 6);
    });
}

#[test]
fn replicas_add_up() {
    on_every_engine("replicas_add_up", |engine| {
        const REPLICAS: u16 = 10;
        let host = Host::start(engine);
        let mallory = host.attacker();
        for n in 1..=REPLICAS {
            Service::compose("shop", "web", n.into())
                .dual()
                .publish(&format!("{}:80", 8100 + n))
                .guarded(&LIMITS)
                .guarded(&[("maxretry", "10")])
                .run(&host);
        }
        // Two that share the file they log to.
        for n in 1..=2 {
            Service::compose("shop", "files", n)
                .dual()
                .publish(&format!("{}:80", 8200 + n))
                .mount("shop_logs:/logs")
                .arguments(&["--file", "/logs/web.log"])
                .guarded(&LIMITS)
                .guarded(&[("logpath", "/logs/*.log")])
                .run(&host);
        }
        let guard = Guard::start(&host, &[]);
        guard.has_jail("shop-web");
        let attacker = mallory.v4();
        for n in 1..REPLICAS {
            attacker.fail(8100 + n, 1);
        }
        guard.has_found("shop-web", u64::from(REPLICAS) - 1);
        attacker.is_still_served(8100 + REPLICAS);
        attacker.fail(8100 + REPLICAS, 1);
        attacker.is_refused(8100 + REPLICAS);
        guard.has_found("shop-web", REPLICAS.into());

        guard.has_jail("shop-files");
        let attacker = mallory.of(Family::V6);
        attacker.fail(8201, 1);
        attacker.fail(8202, 1);
        guard.has_found("shop-files", 2);
        attacker.is_still_served(8201);
        attacker.fail(8202, 1);
        attacker.is_refused(8201);
        guard.has_found("shop-files", 3);
    });
}

#[test]
fn a_file_is_followed_through_rotation() {
    on_every_engine("a_file_is_followed_through_rotation", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let mallory = mallory.v4();
        Service::new("web")
            .publish("8080:80")
            .mount("logs:/logs")
            .arguments(&["--file", "/logs/web.log"])
            .guarded(&LIMITS)
            .guarded(&[("logpath", "/logs/web.log"), ("maxretry", "4")])
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        let logs = host.docker(&["volume", "inspect", "logs", "--format", "{{.Mountpoint}}"]);
        let log = std::path::Path::new(&logs).join("web.log");
        mallory.is_served(8080);
        mallory.fail(8080, 1);
        guard.has_found("web", 1);
        std::fs::rename(&log, log.with_extension("log.1")).expect("the log is there");
        mallory.fail(8080, 1);
        guard.has_found("web", 2);
        std::fs::write(&log, "").expect("copytruncate");
        mallory.fail(8080, 1);
        guard.has_found("web", 3);
        mallory.is_still_served(8080);
        mallory.fail(8080, 1);
        mallory.is_refused(8080);
    });
}
