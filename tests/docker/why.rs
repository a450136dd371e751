//! `guardctl why` and `guardctl status JAIL`: what guard knows of an address, and where
//! a jail's options come from, on a real engine.

use crate::support::*;

#[test]
fn who_asks_why_is_told() {
    on_every_engine("who_asks_why_is_told", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web")
            .dual()
            .publish("8080:80")
            .guarded(&[("maxretry", "3"), ("failregex", FLASK_REGEX), ("ignoreip", "203.0.113.99")])
            .guarded(&[("jails.slow.failregex", "never <HOST>$"), ("jails.slow.bantime", "2h")])
            .arguments(FLASK)
            .run(&host);
        let guard = Guard::start(&host, &[("GUARD_BANTIME", "1h"), ("TZ", "UTC")]);
        guard.has_jail("web");
        let client = mallory.v4();
        let address = client.address.to_string();

        let unknown = guard.ctl(&["why", &address]);
        assert_eq!(unknown.code, Some(1), "{}", unknown.out);
        assert!(unknown.out.contains("none of 3 jails knows anything of it"), "{}", unknown.out);

        client.fail(8080, 2);
        guard.has_found("web", 2);
        let failed = guard.ctl_ok(&["why", &address]);
        assert!(
            failed.starts_with(&format!("{address} is not banned, but has failed\n")),
            "{failed}"
        );
        assert!(failed.contains("→ 1 more failure until "), "{failed}");
        assert_eq!(failed.matches("    | ").count(), 2, "{failed}");

        client.fail(8080, 1);
        client.is_refused(8080);
        let banned = guard.ctl_ok(&["why", &address]);
        assert!(banned.starts_with(&format!("{address} is banned by web\n")), "{banned}");
        let remedy = format!("guardctl unban {address} --jail web lifts it");
        assert!(banned.contains(&remedy) && banned.contains("(3 failures)"), "{banned}");
        assert!(banned.contains("History:") && banned.contains("    | "), "{banned}");

        guard.ctl_ok(&["unban", &address, "--jail", "web"]);
        client.is_served(8080);
        let freed = guard.ctl_ok(&["why", &address]);
        assert!(freed.starts_with(&format!("{address} is not banned\n")), "{freed}");
        assert!(freed.contains("counts no more") && freed.contains("unbanned by hand"), "{freed}");

        let ignored = guard.ctl_ok(&["why", "203.0.113.99"]);
        assert!(ignored.contains("never banned here: it is in the jail's ignoreip"), "{ignored}");
        let own = guard.ctl_ok(&["why", "127.0.0.1"]);
        assert!(
            own.starts_with("127.0.0.1 is never banned: it is an address of this host"),
            "{own}"
        );
        let prefix = guard.json(&["why", "203.0.113.0/24"]);
        assert_eq!(prefix["jails"][0]["never"]["entry"], "203.0.113.99", "{prefix}");

        options_have_origins(&guard);
    });
}

fn options_have_origins(guard: &Guard) {
    let has = |jail: &str, option: &str, value: &str, origin: serde_json::Value| {
        let told = guard.json(&["status", jail]);
        let all = told["written"].as_array().expect("a list").clone();
        let found: Vec<_> = all.iter().filter(|written| written["option"] == option).collect();
        let fits = found.iter().any(|one| one["value"] == value && one["origin"] == origin);
        assert!(fits, "{jail} {option}: {found:?}");
    };
    let label = |key: &str| serde_json::json!({ "label": key });
    has("web", "maxretry", "3", label("guard.maxretry"));
    has("web", "bantime", "1h", serde_json::json!({ "variable": "GUARD_BANTIME" }));
    has("web", "findtime", "10m", serde_json::json!("default"));
    has("web-slow", "maxretry", "3", label("guard.maxretry"));
    has("web-slow", "bantime", "2h", label("guard.jails.slow.bantime"));
    has("web-slow", "failregex", "never <HOST>$", label("guard.jails.slow.failregex"));
    let shown = guard.ctl_ok(&["status", "web-slow"]);
    assert!(shown.contains("  bantime    2h"), "{shown}");
    assert_eq!(guard.ctl_ok(&["get", "web", "usedns"]), "no\n");
}
