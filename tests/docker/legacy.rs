//! An engine whose iptables is iptables-legacy: the same bans in the other kind of tables.

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

fn run_services(host: &Host) {
    for (name, port) in [("web", "8080"), ("shop", "9080")] {
        let service = Service::new(name).dual().publish(&format!("{port}:80"));
        service.guarded(&LABELS).guarded(&[("port", port)]).run(host);
    }
    Service::new("node")
        .option("--network", "host")
        .arguments(&["--port", "8090"])
        .guarded(&LABELS)
        .guarded(&[("port", "8090")])
        .run(host);
}

/// Bans in each chain, by attackers at addresses of their own.
fn bans_work(guard: &Guard, alice: &Attacker, mallory: &Attacker, number: u16) {
    for jail in ["web", "shop", "node"] {
        guard.has_jail(jail);
    }
    for family in Family::ALL {
        let (alice, mallory) = (alice.of(family), mallory.at(mallory.address(family, number)));
        let mut running = mallory.open(8080).expect("not banned yet");
        assert!(goes_on(&mut running));
        mallory.fail(8080, 2);
        mallory.is_refused(8080);
        assert!(is_cut(&mut running), "the running connection goes on");
        for open in [9080, 8090] {
            mallory.is_still_served(open);
        }
        mallory.fail(8090, 2);
        mallory.is_refused(8090);
        mallory.is_still_served(9080);
        for port in [8080, 9080, 8090] {
            alice.is_still_served(port);
        }
        guard.ctl_ok(&["unban", &mallory.address.to_string(), "--jail", "web"]);
        mallory.is_served(8080);
        mallory.is_still_refused(8090);
        guard.ctl_ok(&["ban", &mallory.address.to_string(), "--jail", "web"]);
        mallory.is_still_refused(8080);
    }
}

#[test]
fn bans_work_where_iptables_is_legacy() {
    on_every_engine("bans_work_where_iptables_is_legacy", |engine| {
        let host = Host::start(&engine.with_legacy_iptables());
        let (alice, mallory) = (host.attacker(), host.attacker());
        run_services(&host);
        for (number, firewall, name) in
            [(10, "auto", "ipset, iptables-legacy"), (11, "iptables", "iptables-legacy")]
        {
            let mut guard = Guard::start(&host, &[("GUARD_FIREWALL", firewall)]);
            guard.says(None, &[name]);
            bans_work(&guard, &alice, &mallory, number);

            // What a container opened itself to whom it bans goes on.
            let connect = format!("GET /connect?to={}", mallory.echo(Family::V4).address);
            let (outcome, id) = alice.v4().ask(8080, &connect);
            assert_eq!(outcome, Outcome::Answered(200), "{id}");
            guard.ctl_ok(&["ban", &mallory.first(Family::V4).to_string(), "--jail", "web"]);
            mallory.v4().is_still_refused(8080);
            let exchange = format!("GET /exchange?id={id}");
            for request in [exchange, connect] {
                assert_eq!(alice.v4().ask(8080, &request).0, Outcome::Answered(200));
            }

            let mallory = |family| mallory.at(mallory.address(family, number));
            // Nobody tells of changes in legacy tables: they are looked at every 10 s, and
            // when something happens in Docker.
            host.run(&["iptables-legacy", "-w", "5", "-F", "DOCKER-USER"]);
            host.run(&["ip6tables-legacy", "-w", "5", "-F", "f2b-node"]);
            if firewall == "iptables" {
                host.docker(&["network", "create", "other"]);
            }
            mallory(Family::V4).is_refused(8080);
            mallory(Family::V6).is_refused(8090);
            guard.says(None, &["repaired"]);

            guard.sigterm();
            assert_eq!(host.traces_of_guard(), Vec::<String>::new());
            for tool in ["iptables-legacy-save", "ip6tables-legacy-save"] {
                let rules = host.run(&[tool]);
                assert!(!rules.contains("guard") && !rules.contains("f2b"), "{rules}");
            }
        }
    });
}
