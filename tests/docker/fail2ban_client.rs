//! fail2ban's own client, Debian's, talks to guard: what it prints is what it prints
//! for fail2ban's own server in the same state.
//!
//! The package is the one that `scripts/fail2ban.sh` unpacked; nothing of it is installed.

use crate::fail2ban::{Fail2ban, package};
use crate::support::*;

const REGEX: &str = "Login failed for user '.*' \\[IP: <HOST>\\]";

/// The parts of an answer that no two servers share.
#[expect(clippy::needless_pass_by_value, reason = "a test is read more easily")]
fn plain(answer: (Option<i32>, String)) -> (Option<i32>, String) {
    let lines = answer.1.lines().map(|line| match line.split_once("File list:") {
        Some((before, _)) => format!("{before}File list:"),
        // `192.0.2.1 \t2024-01-01 00:00:00 + 600 = 2024-01-01 00:10:00`
        None => match (line.split_once('\t'), line.split_once(" + ")) {
            (Some((address, times)), Some((_, rest))) if times.contains(" = ") => {
                format!("{address} + {}", rest.split(' ').next().unwrap_or_default())
            }
            _ => line.to_owned(),
        },
    });
    let lines: Vec<String> = lines.collect();
    (answer.0, lines.join("\n"))
}

#[test]
fn fail2bans_own_client_works() {
    const NAME: &str = "fail2bans_own_client_works";
    let package = match package() {
        Ok(package) => package,
        Err(reason) => return skip(NAME, "fail2ban", reason),
    };
    // Each call of the client starts a Python: one engine is enough.
    if let Some(engine) = engines(NAME).pop() {
        let engine = &engine;
        let host = Host::start(engine);
        // guard always has a jail `manual`; so fail2ban gets one as well.
        let jails = [("manual", ""), ("web", "")];
        let fail2ban = Fail2ban::start(&host, package.clone(), REGEX, &jails);
        let mallory = host.attacker();
        let web = Service::new("web").dual().publish("8080:80");
        web.guarded(&[("failregex", REGEX), ("maxretry", "2"), ("bantime", "1h"), ("port", "81")])
            // fail2ban counts single addresses.
            .guarded(&[("prefix.v6", "128")])
            .run(&host);
        let socket = fail2ban.folder.join("guard.sock");
        let mut guard = Guard::start(
            &host,
            &[("GUARD_FAIL2BAN_SOCKET", socket.to_str().expect("a path")), ("TZ", "UTC")],
        );
        guard.has_jail("web");

        // The same failures for both.
        for address in ["203.0.113.1", "203.0.113.1", "203.0.113.5", "2001:db8::7", "2001:db8::7"] {
            let line = format!("Login failed for user 'x' [IP: {address}]");
            mallory.v4().log(8080, &line);
            fail2ban.log("web", &line);
        }
        guard.until("web", "two are banned", |status| status.banned == 2);
        eventually("fail2ban bans two as well", || {
            let (_, said) = fail2ban.says(&fail2ban.real(), "status web short");
            let (_, all) = fail2ban.says(&fail2ban.real(), "get web banned");
            ensure(all.matches(',').count() == 1, (said, all))
        });

        for words in [
            "ping",
            "status",
            "status web",
            "banned",
            "banned 203.0.113.1 203.0.113.5",
            "get web banned",
            "get web banned 203.0.113.1",
            "get web banned 203.0.113.1 203.0.113.5",
            "get web banip",
            "get web banip --with-time",
            "set web banip 203.0.113.7 203.0.113.8",
            "set web banip 203.0.113.7",
            "status web",
            "set web unbanip 203.0.113.7",
            "set web unbanip --report-absent 203.0.113.7",
            "unban 203.0.113.1",
            "get web banip",
            "get web bantime",
            "get web findtime",
            "get web maxretry",
            "get web ignoreip",
            "get web ignoreself",
            "get web journalmatch",
            "get web ignoreregex",
            "get web prefregex",
            "get web datepattern",
            "get web maxlines",
            "get web usedns",
            "get web logtimezone",
            "get web ignorecache",
            "get web bantime.increment",
            "get web bantime.maxtime",
            "get loglevel",
            "status nojail",
            "get nojail bantime",
            "set nojail banip 203.0.113.7",
            "echo a b",
            "nonsense",
            "unban --all",
            "banned",
        ] {
            let real = plain(fail2ban.says(&fail2ban.real(), words));
            let guards = plain(fail2ban.says(&socket, words));
            assert_eq!(guards, real, "fail2ban-client {words}");
        }
        let chains = host.run(&["iptables-save"]);
        assert!(!chains.contains("203.0.113.7"), "{chains}");

        // What can't be is refused in its own words, with the client's own exit code.
        for words in ["set web bantime 600", "reload", "stop web"] {
            let (code, said) = fail2ban.says(&socket, words);
            assert_eq!(code, Some(255), "{words}: {said}");
        }
        // guardctl knows the words too.
        guard.ctl_ok(&["set", "web", "banip", "203.0.113.7"]);
        assert_eq!(guard.ctl_ok(&["get", "web", "banip"]), "203.0.113.7\n");
        assert_eq!(guard.ctl_ok(&["set", "web", "unbanip", "203.0.113.7"]), "1\n");
        guard.sigterm();
        assert!(!socket.exists());
    }
}
