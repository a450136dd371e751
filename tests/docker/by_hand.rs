//! guardctl: what a person sees and does.

use crate::support::*;

#[test]
fn a_person_bans_unbans_and_looks() {
    on_every_engine("a_person_bans_unbans_and_looks", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let web = Service::new("web").dual().publish("8080:80");
        web.guarded(&[("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")]).run(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        assert!(!guard.ctl_ok(&["version"]).is_empty());
        eventually("all is well", || {
            let ping = guard.ctl(&["ping"]);
            ensure(ping.code == Some(0), ping)
        });

        let watch = guard.watch();
        watch_has_begun(&guard, &watch);
        for family in Family::ALL {
            let attacker = mallory.of(family);
            let address = attacker.address.to_string();
            attacker.is_served(8080);
            // Without a jail: everything, whoever serves it.
            guard.ctl_ok(&["ban", &address, "--for", "1h"]);
            attacker.is_still_refused(8080);
            assert!(guard.ctl_ok(&["banned", &address]).contains("manual"));
            assert!(guard.ctl_ok(&["status", "manual"]).contains(&address));
            guard.ctl_ok(&["unban", &address]);
            attacker.is_still_served(8080);
            assert_eq!(guard.ctl(&["banned", &address]).code, Some(1));
            assert_eq!(guard.ctl(&["unban", &address]).code, Some(1), "nothing to lift");

            // With one: as if it had failed.
            guard.ctl_ok(&["ban", &address, "--jail", "web"]);
            attacker.is_still_refused(8080);
            guard.has_banned("web", &address);
            watch.sees(&["banned", "web", &address]);
            // The same in JSON, for programs.
            for arguments in [&["status", "web"][..], &["banned"], &["status"]] {
                let json = guard.json(arguments).to_string();
                assert!(json.contains("web"), "{json}");
            }
            assert!(guard.json(&["status", "web"]).to_string().contains(&address));
        }

        // A prefix closes all that lies in it, and nothing else.
        guard.ctl_ok(&["ban", "10.98.1.64/26"]);
        mallory.at(mallory.address(Family::V4, 77)).is_still_refused(8080);
        mallory.at(mallory.address(Family::V4, 130)).is_still_served(8080);
        guard.ctl_ok(&["unban", "--all"]);
        for n in [2, 77] {
            mallory.at(mallory.address(Family::V4, n)).is_still_served(8080);
        }

        // What would be a mistake is refused, and says why.
        for (arguments, code) in [
            (&["ban", "10.98.1.1"][..], 1),
            (&["ban", "127.0.0.1"], 1),
            (&["ban", "172.30.0.1"], 1),
            (&["ban", "0.0.0.0/0"], 2),
            (&["ban", "999.1.1.1"], 2),
            (&["ban", "203.0.113.9", "--jail", "nobody"], 1),
            (&["status", "nobody"], 1),
            (&["frobnicate"], 2),
        ] {
            let ctl = guard.ctl(arguments);
            assert_eq!(ctl.code, Some(code), "{arguments:?}: {ctl:?}");
            assert!(!ctl.err.trim().is_empty(), "{arguments:?} says nothing");
        }
        guard.sigterm();
        let ctl = guard.ctl(&["status"]);
        assert_eq!(ctl.code, Some(3), "{ctl:?}");
    });
}

/// Bans and frees someone until the watcher tells of it: it sees what happens from
/// now on, and nobody knows when its now is.
fn watch_has_begun(guard: &Guard, watch: &Watch) {
    eventually("watch tells of something", || {
        guard.ctl_ok(&["ban", "203.0.113.200"]);
        guard.ctl_ok(&["unban", "203.0.113.200"]);
        ensure(watch.has_seen("203.0.113.200"), "nothing yet")
    });
}
