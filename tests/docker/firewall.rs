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

/// What a service logs is not always where its packets come from.
#[test]
fn a_ban_that_does_not_work_is_told_with_its_cause() {
    on_every_engine("a_ban_that_does_not_work_is_told_with_its_cause", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        let web = Service::new("web").dual().publish("8080:80").publish("8081:81");
        web.guarded(&LABELS).run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");

        // A ban that works counts packets, and nothing is told.
        let attacker = mallory.v4();
        attacker.is_served(8080);
        attacker.fail(8080, 2);
        attacker.is_refused(8080);
        let status = guard.json(&["status", "web"]);
        assert!(status["packets"]["ipv4"]["refused"].as_u64() > Some(0), "{status}");
        assert_eq!(status["packets"]["ipv6"]["refused"], 0, "{status}");
        let all = guard.json(&["status"]);
        let web = |all: &serde_json::Value| {
            let jails = all["jails"].as_array().expect("a list").clone();
            jails.into_iter().find(|jail| jail["name"] == "web").expect("it is there")
        };
        assert!(web(&all)["packets"]["ipv4"]["passed"].as_u64() > Some(0), "{all}");
        assert_eq!(web(&all)["warnings"], serde_json::json!([]), "{all}");

        // As if a proxy had passed the address on.
        let watch = guard.watch();
        let forwarded = "Login failed for user 'bob' [IP: 203.0.113.9]";
        let told = eventually("it is told", || {
            alice.v4().log(8080, forwarded);
            std::thread::sleep(std::time::Duration::from_millis(300));
            let out = guard.ctl(&["status", "web"]).out;
            if out.contains("203.0.113.9 is banned, but still reaches it") {
                Ok(out)
            } else {
                Err(out)
            }
        });
        assert!(told.contains("X-Forwarded-For"), "{told}");
        watch.sees(&["\"event\":\"reaches\"", "203.0.113.9", "X-Forwarded-For"]);
        let said = |log: &str| log.matches("203.0.113.9 is banned, but still").count();
        for _ in 0..20 {
            alice.v4().log(8080, forwarded);
        }
        assert_eq!(said(&guard.whole_log()), 1, "once for each address");
    });
}
