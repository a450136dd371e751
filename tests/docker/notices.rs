//! What goes wrong on a real host is told to a real receiver, once when it begins and
//! once when it is over.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::net::TcpListener;

use serde_json::Value;

use crate::receiver::{Answer, Receiver};
use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

/// All that was told, a value each.
fn notices(receiver: &Receiver) -> Vec<Value> {
    let bodies = receiver.bodies();
    bodies.iter().flat_map(|body| body["notices"].as_array().unwrap().clone()).collect()
}

/// Waits for a notice of this event with these words in it.
#[track_caller]
fn gets(receiver: &Receiver, event: &str, words: &[&str]) -> Value {
    eventually(&format!("a notice: {event}, {words:?}"), || {
        let all = notices(receiver);
        let is_it = |one: &&Value| {
            let text = one["text"].as_str().unwrap();
            one["event"] == event && words.iter().all(|word| text.contains(word))
        };
        all.iter().find(is_it).cloned().ok_or_else(|| format!("{all:#?}"))
    })
}

#[test]
fn whatever_goes_wrong_is_told() {
    on_every_engine("whatever_goes_wrong_is_told", |engine| {
        let mut host = Host::start(engine);
        let mallory = host.attacker();
        let service = |name: &str, port: &str| {
            Service::new(name).dual().publish(port).option("--restart", "always").guarded(&LABELS)
        };
        service("web", "8080:80").run(&host);
        service("quiet", "8081:80").guarded(&[("notify", "false")]).run(&host);
        service("typo", "8082:80").guarded(&[("maxretyr", "<b>@everyone")]).run(&host);
        let wrong = [("maxretyr", "3"), ("notify", "false")];
        service("hush", "8084:80").guarded(&wrong).run(&host);
        service("mute", "8083:80").option("--log-driver", "none").run(&host);
        let listen = || TcpListener::bind("127.0.0.1:0");
        let listener = host.namespace().enter(listen).unwrap();
        let told = Receiver::on(listener, |_| Answer::new(200, "ok"));
        let targets = format!("http://127.0.0.1:{}/", told.port);
        let mut guard =
            Guard::start(&host, &[("GUARD_NOTIFY", &targets), ("GUARD_BAN_BURST", "1")]);
        guard.has_jail("web");
        guard.has_jail("quiet");

        gets(&told, "refused", &["typo", "guard.maxretyr"]);
        gets(&told, "unreadable", &["[mute] output of mute"]);
        let bad = |n| mallory.at(mallory.address(Family::V4, n));
        bad(11).fail(8081, 2);
        guard.has_banned("quiet", &bad(11).address);
        bad(12).fail(8080, 2);
        let ban = gets(&told, "banned", &["[web] Ban 10.98.", ".12 until", "(2 failures)"]);
        assert_eq!((ban["jail"].as_str(), ban["level"].as_str()), (Some("web"), Some("note")));
        bad(13).fail(8080, 2);
        gets(&told, "burst", &["jail web began 1 bans within a minute"]);
        guard.ctl_ok(&["unban", &bad(12).address.to_string()]);
        gets(&told, "unbanned", &["[web] Unban", "by hand"]);

        host.run(&["iptables", "-D", "DOCKER-USER", "1"]);
        gets(&told, "repaired", &["DOCKER-USER"]);
        host.docker(&["rm", "-f", "typo"]);
        let over = gets(&told, "refused", &["Well again", "guard.maxretyr"]);
        assert_eq!(over["over"], true);
        host.stop_engine();
        gets(&told, "engine", &["docker.sock"]);
        host.start_engine();
        gets(&told, "engine", &["Well again", "docker.sock"]);

        // Nothing was told of the jail that wants no notices, and nothing failed.
        let quiet = |one: &Value| one["jail"] == "quiet" || one["jail"] == "hush";
        assert_eq!(notices(&told).into_iter().find(quiet), None);
        let refused = guard.json(&["status"])["refused"].to_string();
        assert!(refused.contains("hush"), "{refused}");
        // Its next labels want them, and are wrong. The jail of its first ones still has bans.
        host.docker(&["rm", "-f", "quiet"]);
        service("quiet", "8081:80").guarded(&[("maxretyr", "3")]).run(&host);
        let told_of = gets(&told, "refused", &["quiet", "guard.maxretyr"]);
        assert_eq!(told_of["jail"], "quiet");
        assert_eq!(notices(&told).iter().find(|one| one["jail"] == "hush"), None);
        let status = guard.json(&["status"]);
        assert_eq!(status["notices"][0]["failed"], 0, "{status:#}");
        guard.sigterm();
    });
}
