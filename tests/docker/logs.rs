//! guard's log in its three forms.

use std::fs;

use crate::support::*;

/// What one failure, the ban for it and the unban leave in the log.
fn log_of(host: &Host, format: &str) -> String {
    let mut guard = Guard::start(host, &[("GUARD_LOG_FORMAT", format), ("TZ", "UTC")]);
    guard.has_jail("web");
    let mallory = host.attacker();
    mallory.v4().log(8080, "Login failed for user 'x' [IP: 203.0.113.1]");
    guard.has_banned("web", &"203.0.113.1");
    guard.ctl_ok(&["unban", "203.0.113.1"]);
    guard.sigterm();
    let log = guard.whole_log();
    let begin = log.rfind("started").map_or(0, |at| log[..at].rfind('\n').map_or(0, |at| at + 1));
    log[begin..].to_owned()
}

#[test]
fn an_event_is_a_line_that_programs_can_read() {
    const NAME: &str = "an_event_is_a_line_that_programs_can_read";
    let Some(engine) = engines(NAME).pop() else { return };
    let host = Host::start(&engine);
    let web = Service::new("web").dual().publish("8080:80");
    web.guarded(&[("failregex", FLASK_REGEX), ("maxretry", "1"), ("port", "81")]).run(&host);

    let text = log_of(&host, "text");
    assert!(text.contains("WARN [web] Ban 203.0.113.1 until 2"), "{text}");
    assert!(text.contains("WARN [web] Unban 203.0.113.1 by hand\n"), "{text}");

    let json = log_of(&host, "json");
    let lines = json.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"))
    });
    let events: Vec<_> = lines.filter(|line| line["ip"] == "203.0.113.1").collect();
    let kinds: Vec<_> = events.iter().map(|line| line["event"].as_str().unwrap_or("")).collect();
    assert_eq!(kinds, ["found", "banned", "unbanned"], "{json}");
    for event in &events {
        assert_eq!(event["jail"], "web", "{event}");
    }
    assert_eq!(events[1]["failures"], 1, "{json}");

    // Who reads fail2ban's log, such as its own jail recidive, reads guard's.
    let log = log_of(&host, "fail2ban");
    let path = host.folder().join("fail2ban.log");
    fs::write(&path, &log).expect("a file");
    let path = path.to_str().expect("a path");
    let tried = std::process::Command::new(env!("CARGO_BIN_EXE_guardctl"))
        .args(["test", "--json", "--filter", "recidive", path])
        .output()
        .expect("guardctl starts");
    let told = String::from_utf8_lossy(&tried.stdout).into_owned();
    let matched = told.lines().filter(|line| line.contains(r#""verdict":"matched""#)).count();
    assert_eq!(matched, 1, "{tried:?}\n{log}");
    assert!(log.contains("]: NOTICE  [web] Unban 203.0.113.1\n"), "{log}");
    assert!(log.contains("fail2ban.filter         ["), "{log}");
    assert!(log.contains("]: INFO    [web] Found 203.0.113.1 - 2"), "{log}");
}
