//! `guardctl try`: what a service's log would have led to.

use crate::support::*;

fn bans(tried: &serde_json::Value) -> Vec<String> {
    let all = tried["bans"].as_array().expect("a list");
    all.iter().map(|ban| ban["network"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_services_log_is_tried_and_nobody_is_banned() {
    on_every_engine("a_services_log_is_tried_and_nobody_is_banned", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let limits = [("failregex", FLASK_REGEX), ("maxretry", "5"), ("bantime", "1h")];
        Service::new("web").dual().publish("8080:80").guarded(&limits).run(&host);
        Service::new("web-file")
            .dual()
            .publish("8081:80")
            .mount("logs:/logs")
            .arguments(&["--file", "/logs/web.log"])
            .guarded(&limits)
            .guarded(&[("logpath", "/logs/web.log")])
            .run(&host);
        Service::new("bare").dual().publish("8082:80").arguments(FLASK).run(&host);
        let guard = Guard::start(&host, &[]);
        let at = |n: u16| mallory.at(mallory.address(Family::V4, n));
        for (name, port) in [("web", 8080), ("web-file", 8081)] {
            guard.has_jail(name);
            at(port - 8070).is_served(port);
            at(port - 8070).fail(port, 3);
            at(port - 8050).fail(port, 1);
            guard.has_found(name, 4);
            let address = at(port - 8070).address.to_string();

            let none = guard.json(&["try", name]);
            assert_eq!(bans(&none), Vec::<String>::new(), "{none}");
            assert_eq!(none["jails"][0]["failures"], 4, "{none}");
            let tried = guard.json(&["try", name, "--maxretry", "3"]);
            assert_eq!(bans(&tried), [address.as_str()], "{tried}");
            let line = tried["bans"][0]["lines"][2].as_str().expect("three lines");
            assert!(line.contains(&address), "{line}");
            let ignored = guard.json(&["try", name, "--maxretry", "3", "--ignoreip", &address]);
            assert_eq!(ignored["never"][0]["failures"], 3, "{ignored}");
            assert_eq!(bans(&ignored), Vec::<String>::new());
            let later = guard.json(&["try", name, "--maxretry", "3", "--since", "1s"]);
            assert_eq!(later["jails"][0]["name"], name, "{later}");
            let shown = guard.ctl_ok(&["try", name, "--maxretry", "3"]);
            assert!(shown.contains("Would have been banned (1):"), "{shown}");
            // Nothing came of all that.
            at(port - 8070).is_still_served(port);
            guard.until(name, "as before", |s| (s.banned, s.total_failed) == (0, 4));
        }

        // A service that guard does not watch, with options in place of labels.
        at(50).is_served(8082);
        at(50).fail(8082, 2);
        eventually("the lines are logged and tried", || {
            let tried = guard.json(&["try", "bare", "--failregex", FLASK_REGEX, "--maxretry", "2"]);
            ensure(bans(&tried) == [at(50).address.to_string()], tried)
        });
        let wrong = guard.ctl(&["try", "bare"]);
        assert!(wrong.code == Some(2) && wrong.err.contains("--failregex"), "{wrong:?}");
        let unknown = guard.ctl(&["try", "wep"]);
        assert!(unknown.code == Some(1) && unknown.err.contains("`web`"), "{unknown:?}");
        let regex = guard.ctl(&["try", "web", "--failregex", "(<HOST>"]);
        assert_eq!(regex.code, Some(2), "{regex:?}");
    });
}
