//! Services in the host's own network: bans in INPUT.

use crate::support::*;

#[test]
fn a_service_in_the_hosts_network_is_guarded_in_input() {
    on_every_engine("a_service_in_the_hosts_network_is_guarded_in_input", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        Service::new("other").dual().publish("8080:80").run(&host);
        Service::new("web")
            .option("--network", "host")
            .arguments(&["--port", "8090"])
            .guarded(&[("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")])
            .run(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        for family in Family::ALL {
            let (alice, mallory) = (alice.of(family), mallory.of(family));
            mallory.is_served(8090);
            let mut running = mallory.open(8090).expect("not banned yet");
            mallory.fail(8090, 2);
            mallory.is_refused(8090);
            assert!(is_cut(&mut running), "the running connection goes on");
            alice.is_still_served(8090);
            mallory.is_still_served(8080);
            let tool = if family == Family::V4 { "iptables" } else { "ip6tables" };
            let rules = host.rules(tool, "INPUT");
            let first = rules.first().map_or("", String::as_str);
            assert!(rules.iter().any(|rule| rule.contains("f2b-web")), "{rules:?}");
            assert!(first.contains("f2b-"), "{rules:?}");

            guard.ctl_ok(&["unban", &mallory.address.to_string()]);
            mallory.is_served(8090);
        }
        // Both chains, if the labels say so.
        host.docker(&["rm", "--force", "web"]);
        Service::new("web")
            .option("--network", "host")
            .arguments(&["--port", "8090"])
            .guarded(&[("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")])
            .guarded(&[("chain", "INPUT, DOCKER-USER")])
            .run(&host);
        let mallory = mallory.at(mallory.address(Family::V4, 10));
        mallory.is_served(8090);
        mallory.fail(8090, 2);
        mallory.is_refused(8090);
        mallory.is_refused(8080);
        guard.sigterm();
        assert_eq!(host.traces_of_guard(), Vec::<String>::new());
        mallory.is_served(8090);
    });
}
