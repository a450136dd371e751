//! Addresses that are never banned, and clients whose address is hidden.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::support::*;

#[test]
fn docker_s_own_addresses_are_never_banned() {
    on_every_engine("docker_s_own_addresses_are_never_banned", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        let (alice, mallory) = (alice.v4(), mallory.v4());
        host.docker(&["network", "create", "--subnet", "192.168.32.0/20", "pool"]);
        let labels = [("failregex", FLASK_REGEX), ("maxretry", "2")];
        Service::new("web")
            .option("--network", "pool")
            .publish("8080:80")
            .guarded(&labels)
            .guarded(&[("ignoreip", "10.98.1.50 203.0.113.0/24")])
            .run(&host);
        let mut guard = Guard::start(&host, &[("GUARD_IGNOREIP", "198.51.100.7")]);
        guard.has_jail("web");
        alice.is_served(8080);

        // Exactly the line of a Flask application behind a proxy in one of Docker's
        // networks: the proxy's address, over and over.
        for _ in 0..5 {
            alice.log(8080, &flask_line("192.168.32.6"));
        }
        let status = guard.says(Some("web"), &["192.168.32.6"]);
        assert!(status.to_lowercase().contains("hidden"), "{status}");

        // A client on the host itself comes out of docker-proxy with the gateway's address.
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
        host.namespace().enter(|| {
            for _ in 0..5 {
                let mut client = Connection::open(loopback.ip(), loopback, PATIENCE)
                    .expect("docker-proxy listens");
                client.request("POST /login?user=bob", "", PATIENCE);
            }
        });
        guard.says(Some("web"), &["192.168.32.1"]);

        // A network that comes later counts as well.
        host.docker(&["network", "create", "--subnet", "172.31.7.0/24", "later"]);
        eventually("the new network is known", || {
            alice.log(8080, &flask_line("172.31.7.9"));
            let status = guard.ctl(&["status", "web"]).out;
            ensure(
                status.contains("172.31.7.9") && status.to_lowercase().contains("hidden"),
                status,
            )
        });

        // Nor are the host's own addresses, loopback, or those that someone listed.
        for spared in ["10.98.1.1", "127.0.0.9", "203.0.113.77", "198.51.100.7", "10.98.1.50"] {
            for _ in 0..5 {
                alice.log(8080, &flask_line(spared));
            }
        }
        mallory.fail(8080, 2);
        mallory.is_refused(8080);
        alice.is_still_served(8080);
        let status = guard.jail("web").expect("it is there");
        assert_eq!(status.list, [mallory.address.to_string()], "{status:?}");

        // Container addresses may be banned after all, gateways never.
        guard.set("GUARD_IGNOREDOCKER", "false");
        guard.restart();
        for _ in 0..2 {
            alice.log(8080, &flask_line("192.168.32.1"));
            alice.log(8080, &flask_line("192.168.32.6"));
        }
        guard.has_banned("web", &"192.168.32.6");
        let status = guard.jail("web").expect("it is there");
        assert!(!status.list.contains(&"192.168.32.1".to_owned()), "{status:?}");
    });
}

/// A failure as the Flask application words it, now, from any address.
fn flask_line(address: &str) -> String {
    let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    let time = now.strftime("%Y-%m-%d %H:%M:%S");
    format!("{time},050 WARNING: Login failed for user 'aaa' [IP: {address}]")
}
