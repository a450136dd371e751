//! The kernel's side: rules that someone takes away, and the backend without sets.

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

#[test]
fn what_someone_takes_away_is_put_back() {
    on_every_engine("what_someone_takes_away_is_put_back", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        for family in Family::ALL {
            mallory.of(family).is_served(8080);
            mallory.of(family).fail(8080, 2);
            mallory.of(family).is_refused(8080);
        }
        for tool in ["iptables", "ip6tables"] {
            host.run(&[tool, "-F", "f2b-web"]);
        }
        host.run(&["iptables", "-F", "DOCKER-USER"]);
        for family in Family::ALL {
            mallory.of(family).is_refused(8080);
        }
        // A rule that lets all in, put before guard's, is passed by.
        host.run(&["iptables", "-I", "DOCKER-USER", "1", "-j", "ACCEPT"]);
        host.run(&["ipset", "flush"]);
        for family in Family::ALL {
            mallory.of(family).is_refused(8080);
        }
        guard.says(None, &["repaired"]);
    });
}

#[test]
fn the_iptables_backend_has_a_rule_for_each_ban() {
    on_every_engine("the_iptables_backend_has_a_rule_for_each_ban", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);
        let mut guard = Guard::start(&host, &[("GUARD_FIREWALL", "iptables")]);
        guard.has_jail("web");
        for (family, tool) in Family::ALL.into_iter().zip(["iptables", "ip6tables"]) {
            let (alice, attacker) = (alice.of(family), mallory.of(family));
            let address = attacker.address.to_string();
            attacker.is_served(8080);
            attacker.fail(8080, 2);
            attacker.is_refused(8080);
            alice.is_still_served(8080);
            let rules = host.rules(tool, "f2b-web").join("\n");
            assert!(rules.contains(&address), "{rules}");
            guard.ctl_ok(&["unban", &address]);
            attacker.is_served(8080);
            guard.ctl_ok(&["ban", &address, "--jail", "web"]);
            attacker.is_still_refused(8080);
        }
        assert_eq!(host.run(&["ipset", "list", "-n"]), "", "sets, without being asked");
        guard.restart();
        for family in Family::ALL {
            mallory.of(family).is_refused(8080);
        }
        guard.sigterm();
        assert_eq!(host.traces_of_guard(), Vec::<String>::new());
    });
}
