//! Addresses that are never banned, and clients whose address is hidden.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

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
        guard.says(Some("web"), &["192.168.32.1", "network pool has no IPv6", "userland-proxy"]);

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

/// The failregex of the login service where it logs what proxies pass on.
const FORWARDED_REGEX: &str = r#"^<HOST> - \S* "<FORWARDED>" login failed$"#;
/// Its arguments.
const FORWARDED: &[&str] = &["--format", "forwarded"];

/// Where a service listens in the network `dual`; it has no resolver for names.
fn address_of(host: &Host, container: &str) -> String {
    let format = "{{.NetworkSettings.Networks.dual.IPAddress}}:80";
    host.docker(&["inspect", "--format", format, container])
}

/// A wrong password, with a header that the client made up itself.
fn spoofed(list: &str) -> String {
    format!("POST /login?user=bob HTTP/1.1\r\nX-Forwarded-For: {list}\r\nX-Rest:")
}

#[test]
fn behind_a_proxy_container_its_clients_are_banned_and_nobody_else() {
    on_every_engine("behind_a_proxy_container_its_clients_are_banned", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        let labels = [("failregex", FORWARDED_REGEX), ("maxretry", "3")];
        Service::new("web").dual().guarded(&labels).arguments(FORWARDED).run(&host);
        Service::new("proxy")
            .dual()
            .publish("8080:80")
            .arguments(&["--proxy", &address_of(&host, "web")])
            .run(&host);
        let cdn = alice.address(Family::V4, 200).to_string();
        let mut guard = Guard::start(&host, &[("GUARD_TRUSTED_PROXIES", &cdn)]);
        guard.has_jail("web");
        for family in Family::ALL {
            let (alice, mallory) = (alice.of(family), mallory.of(family));
            alice.is_served(8080);
            mallory.is_served(8080);
            let mut kept = mallory.open(8080).expect("not banned yet");
            assert!(goes_on(&mut kept));
            // What the client claims to be names neither alice nor the proxy.
            for claim in [alice.address.to_string(), "unknown, 172.30.0.1".into(), "x y,,".into()] {
                mallory.ask(8080, &spoofed(&claim));
            }
            guard.has_banned("web", &mallory.address);
            mallory.is_refused(8080);
            assert!(is_cut(&mut kept), "the running connection goes on");
            alice.is_still_served(8080);
        }
        // Behind a CDN that is trusted the client is told of, and nobody is banned.
        let far = alice.at(alice.address(Family::V4, 200));
        for _ in 0..5 {
            far.ask(8080, &spoofed("203.0.113.99"));
        }
        guard.says(Some("web"), &["behind 10.98.1.200", "203.0.113.99", "CDN"]);
        far.is_still_served(8080);
        let status = guard.jail("web").expect("it is there");
        assert_eq!(status.list.len(), 2, "{status:?}");

        // A jail that does not look at the list says who hides the clients.
        let labels = [("failregex", r#"^<HOST> - \S* ".*" login failed$"#), ("maxretry", "3")];
        Service::new("plain").dual().guarded(&labels).arguments(FORWARDED).run(&host);
        Service::new("front")
            .dual()
            .publish("8081:80")
            .arguments(&["--proxy", &address_of(&host, "plain")])
            .run(&host);
        guard.has_jail("plain");
        alice.v4().is_served(8081);
        alice.v4().fail(8081, 5);
        guard.says(Some("plain"), &["the container front", "hidden", "<FORWARDED>"]);
        alice.v4().is_still_served(8081);
        guard.sigterm();
        mallory.v4().is_served(8080);
    });
}

#[test]
fn names_and_lists_are_left_alone_and_what_fails_is_told() {
    on_every_engine("names_and_lists_are_left_alone", |engine| {
        let host = Host::start(engine);
        let alice = host.attacker();
        let web = Service::new("web").publish("8080:80").arguments(FLASK);
        web.guarded(&[("failregex", FLASK_REGEX), ("maxretry", "2")]).run(&host);
        let labels = [("failregex", FLASK_REGEX), ("ignoreip", "file:/etc/hosts")];
        Service::new("nosy").guarded(&labels).run(&host);
        let (hosts, list) = (host.folder().join("hosts"), host.folder().join("list"));
        std::fs::write(&hosts, "127.0.0.1 localhost\n203.0.113.80 home.guard.test\n").unwrap();
        std::fs::write(&list, "# office\n203.0.113.96/28\n999.1.1.1\n").unwrap();
        let ignored = format!("home.guard.test gone.guard.test file:{}", list.display());
        // Its own /etc/hosts, and no other source of names.
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let hosts = hosts.display().to_string();
        let wrapper = ["unshare", "--mount", "sh", "-c", script, &hosts];
        let mut guard = Guard::start_by(&host, &wrapper, &[("GUARD_IGNOREIP", &ignored)]);
        guard.has_jail("web");
        let wrong = format!("{}:3:", list.display());
        guard.says(None, &["gone.guard.test", "can't be looked up", &wrong]);
        guard.says(None, &["nosy", "files are read for guard itself only"]);

        let alice = alice.v4();
        let fail = |address: &str| {
            for _ in 0..3 {
                alice.log(8080, &flask_line(address));
            }
        };
        alice.is_served(8080);
        for spared in ["203.0.113.80", "203.0.113.97", "999.1.1.1", "10.98.1.1"] {
            fail(spared);
        }
        fail("203.0.113.81");
        guard.has_banned("web", &"203.0.113.81");
        guard.says(Some("web"), &["name no address"]);
        let status = guard.jail("web").expect("it is there");
        assert_eq!(status.list, ["203.0.113.81"], "{status:?}");
        // Who is put on the list is let in; a list that is lost still counts.
        std::fs::write(&list, "203.0.113.81\n").unwrap();
        guard.has_unbanned("web", &"203.0.113.81");
        std::fs::remove_file(&list).unwrap();
        guard.says(None, &["can't be read", "still counts"]);
        fail("203.0.113.81");
        fail("203.0.113.82");
        guard.has_banned("web", &"203.0.113.82");
        // A name that was found once is known after a restart, DNS or not.
        std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
        guard.restart();
        guard.has_jail("web");
        fail("203.0.113.80");
        fail("203.0.113.83");
        guard.has_banned("web", &"203.0.113.83");
        guard.says(None, &["home.guard.test", "still counts (203.0.113.80)"]);
        let status = guard.jail("web").expect("it is there");
        assert!(!status.list.contains(&"203.0.113.80".to_owned()), "{status:?}");
    });
}

#[test]
fn who_is_logged_in_by_ssh_is_banned_when_the_connection_is_gone() {
    on_every_engine("who_is_logged_in_by_ssh_is_banned_later", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        Service::new("web")
            .option("--network", "host")
            .arguments(&["--port", "8090"])
            .guarded(&[("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")])
            .run(&host);
        // What listens on sshd's port: the kernel's table says no more of it.
        Service::new("sshd").option("--network", "host").arguments(&["--port", "22"]).run(&host);
        let guard = Guard::start(&host, &[("GUARD_SSH_GRACE", "2s")]);
        guard.has_jail("web");
        for family in Family::ALL {
            let (alice, mallory) = (alice.of(family), mallory.of(family));
            alice.is_served(22);
            mallory.is_served(8090);
            let mut session = alice.open(22).expect("it listens");
            assert!(goes_on(&mut session));
            let told = "is the peer of a live SSH connection";
            eventually("the connection is older than a login", || {
                let ban = guard.ctl(&["ban", &alice.address.to_string(), "--for", "1s"]);
                ensure(ban.code == Some(1) && ban.err.contains(told), ban)
            });
            // Those that were tried too early are over.
            alice.is_served(8090);
            alice.fail(8090, 3);
            let words = [&alice.address.to_string(), "live SSH connection", "not banned in INPUT"];
            guard.says(Some("web"), &words);
            alice.is_still_served(8090);
            assert!(goes_on(&mut session), "the session is cut");
            // Others are banned as ever.
            mallory.fail(8090, 2);
            mallory.is_refused(8090);
            drop(session);
            guard.has_banned("web", &alice.address);
            alice.is_refused(8090);
        }
    });
}

/// A failure as the Flask application words it, now, from any address.
fn flask_line(address: &str) -> String {
    let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    let time = now.strftime("%Y-%m-%d %H:%M:%S");
    format!("{time},050 WARNING: Login failed for user 'aaa' [IP: {address}]")
}
