//! What becomes of a container's output, and what guard says of it.

use std::fmt::Write as _;
use std::fs;

use crate::proxy::Proxy;
use crate::support::*;

/// What is said of a gap.
const GAP: &str = "does not reach back to where guard had read it";

#[test]
fn what_docker_dropped_or_cannot_give_is_said_once() {
    on_every_engine("what_docker_dropped_or_cannot_give_is_said_once", |engine| {
        let host = Host::start(engine);
        let labels = [("failregex", FLASK_REGEX), ("maxretry", "9")];
        Service::new("web").publish("8080:80").guarded(&labels).run(&host);
        let unreadable = Service::new("mute").option("--log-driver", "none");
        unreadable.publish("8081:80").guarded(&labels).run(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        let mallory = host.attacker();
        mallory.v4().is_served(8080);
        mallory.v4().fail(8080, 1);
        guard.has_found("web", 1);
        let well = source(&guard, "web");
        assert_eq!((&well["gaps"], &well["behind_seconds"]), (&0.into(), &0.into()), "{well}");
        assert_ne!(well["lines"], 0, "{well}");
        assert_eq!(well["trouble"], serde_json::Value::Null);

        guard.sigterm();
        rotated_away(&host, "web");
        guard.start_again();
        guard.has_found("web", 3);
        guard.says(Some("web"), &[GAP, "max-size", "1 gap,", "bytes cut off long lines"]);
        let seen = source(&guard, "web");
        // Six parts of 16 KiB and an end, of which 64 KiB were kept.
        let seen = (&seen["gaps"], &seen["cut_bytes"], &seen["clock_steps"]);
        assert_eq!(seen, (&1.into(), &(2 * 16_384 + 4).into(), &0.into()));

        guard.kill9();
        guard.start_again();
        guard.has_jail("web");
        mallory.v4().fail(8080, 1);
        guard.has_found("web", 4);
        assert_eq!(source(&guard, "web")["gaps"], 0);

        guard.says(Some("mute"), &["`none`", "logging: {driver: local}"]);
        assert_eq!(source(&guard, "mute")["state"], "refused");
        let log = guard.whole_log();
        assert_eq!(log.matches(GAP).count(), 1, "{log}");
        // Once for each start.
        assert_eq!(log.matches("logging: {driver: local}").count(), 3, "{log}");
    });
}

#[test]
fn a_proxy_that_cuts_streams_costs_no_line_and_no_word() {
    on_every_engine("a_proxy_that_cuts_streams_costs_no_line_and_no_word", |engine| {
        let host = Host::start(engine);
        let labels = [("failregex", FLASK_REGEX), ("maxretry", "99"), ("stream", "both")];
        Service::new("web").publish("8080:80").guarded(&labels).run(&host);
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        let _entered = runtime.enter();
        let proxy = Proxy::start(host.socket());
        let guard = Guard::start(&host, &[("DOCKER_HOST", &proxy.docker_host())]);
        guard.has_jail("web");
        let mallory = host.attacker();
        mallory.v4().is_served(8080);
        for cut in 1..=8 {
            proxy.cut();
            mallory.v4().fail(8080, 1);
            // Every other time it is cut again before the line can have been read.
            if cut % 2 == 0 {
                guard.has_found("web", cut);
            }
        }
        assert_eq!(source(&guard, "web")["gaps"], 0);
        assert_eq!(source(&guard, "web")["state"], "following");
        let log = guard.whole_log();
        assert!(!log.contains("output of"), "{log}");
    });
}

fn source(guard: &Guard, jail: &str) -> serde_json::Value {
    guard.json(&["status", jail])["sources"][0].clone()
}

/// Docker rotates what guard had read away, and more is written.
fn rotated_away(host: &Host, container: &str) {
    host.docker(&["stop", container]);
    let path = host.docker(&["inspect", "-f", "{{.LogPath}}", container]);
    let failure = |user: &str| format!(r"Login failed for user '{user}' [IP: 203.0.113.9]\n");
    let part = "x".repeat(16 * 1024);
    let mut log = String::new();
    for texts in [
        vec![failure("eve")],
        vec![failure("mallory")],
        // A long line: its parts have one time.
        [vec![part; 6], vec!["end.\\n".to_owned()]].concat(),
    ] {
        let at = jiff::Timestamp::now();
        for text in texts {
            writeln!(log, r#"{{"log":"{text}","stream":"stdout","time":"{at:.9}"}}"#)
                .expect("a String takes everything");
        }
    }
    fs::write(path, log).expect("root may write it");
    host.docker(&["start", container]);
}
