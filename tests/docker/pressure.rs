//! A disk that is stuck and a firewall that is slow: guard reads on.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::support::*;

/// Addresses that fail, each three times.
const ADDRESSES: u64 = 1000;
const ROUNDS: u64 = 3;

#[test]
fn a_stuck_disk_and_a_slow_firewall_lose_no_line() {
    on_every_engine("a_stuck_disk_and_a_slow_firewall_lose_no_line", |engine| {
        let host = Host::start(engine);
        let alice = host.attacker();
        let labels = [("failregex", "^failure of <HOST>$"), ("maxretry", "3"), ("bantime", "1h")];
        Service::new("web").dual().publish("8080:80").guarded(&labels).run(&host);
        // Real rules, one for each ban, by the real tool, which takes its time.
        let tools = host.folder().join("slow");
        slow_tools(&tools);
        let path = engine.path();
        let path = format!("{}:{}", tools.display(), path.to_str().expect("PATH is text"));
        // A thousand bans in a moment are what this is about.
        let burst = ("GUARD_BAN_BURST", "0");
        let settings = [("PATH", path.as_str()), ("GUARD_FIREWALL", "iptables"), burst];
        let mut guard = Guard::start(&host, &settings);
        guard.has_jail("web");
        alice.v4().is_served(8080);
        let before = memory_mib(&guard);

        let database = host.folder().join("guard/data/guard.db");
        let database = Connection::open(database).expect("guard has made it");
        database.busy_timeout(Duration::from_secs(30)).expect("a number");
        database.execute_batch("BEGIN EXCLUSIVE").expect("guard lets go of it");
        std::fs::write(tools.join("slow"), "").expect("the host's folder can be written");
        for round in 0..ROUNDS {
            write_failures(&alice.v4(), round);
        }
        guard.has_found("web", ADDRESSES * ROUNDS);
        guard.until("web", "all banned", |status| status.banned == ADDRESSES);
        guard.says(None, &["only in memory", "guard.db"]);
        let status = guard.json(&["status", "web"]);
        assert_eq!(status["sources"][0]["behind_seconds"], 0, "{status}");
        assert_eq!(status["sources"][0]["lines"].as_u64(), Some(ADDRESSES * ROUNDS), "{status}");
        let overview = guard.json(&["status"]);
        assert_eq!(overview["store"]["dropped_history"], 0, "{overview}");
        assert_eq!(overview["store"]["healthy"], false, "{overview}");
        let grown = memory_mib(&guard) - before;
        assert!(grown < 64, "{grown} MiB more");

        database.execute_batch("ROLLBACK").expect("it was begun");
        std::fs::remove_file(tools.join("slow")).expect("it is there");
        eventually("all is on disk", || {
            let count = |sql| database.query_row(sql, [], |row| row.get::<_, i64>(0));
            let bans = count("SELECT count(*) FROM bans").map_err(|error| error.to_string())?;
            let history =
                count("SELECT count(*) FROM history").map_err(|error| error.to_string())?;
            ensure((bans, history) == (1000, 1000), (bans, history))
        });
        eventually("all is in the kernel", || {
            let rules = host.rules("iptables", "f2b-web").len() as u64;
            ensure(rules >= ADDRESSES, rules)
        });

        // And nothing of it counts again.
        guard.kill9();
        guard.start_again();
        guard.has_jail("web");
        alice.v4().log(8080, "failure of 203.0.113.9");
        guard.has_found("web", ADDRESSES * ROUNDS + 1);
    });
}

/// Each address fails once.
fn write_failures(client: &Client<'_>, round: u64) {
    for first in (0..ADDRESSES).step_by(100) {
        let mut lines = String::new();
        for number in first..first + 100 {
            let (high, low) = (number / 250, number % 250 + 1);
            let end = if number == first + 99 { "" } else { "\n" };
            let _ = write!(lines, "failure of 198.18.{high}.{low}{end}");
        }
        assert!(round < ROUNDS);
        client.log(8080, &lines);
    }
}

/// Tools that wait for three seconds before they do what they do, as long as there is a
/// file `slow` beside them.
fn slow_tools(folder: &Path) {
    std::fs::create_dir(folder).expect("the host's folder can be written");
    let iptables = find("iptables").expect("the engines need it");
    let from = iptables.parent().expect("it lies in a folder");
    for entry in std::fs::read_dir(from).expect("it was just there").flatten() {
        let name = entry.file_name();
        let wanted = ["iptables", "ip6tables", "xtables"];
        if !wanted.iter().any(|tool| name.to_string_lossy().starts_with(tool)) {
            continue;
        }
        let (real, here) = (entry.path(), folder.join(&name));
        let wait = folder.join("slow");
        let script = format!(
            "#!/bin/sh\n[ -e '{}' ] && sleep 3\nexec '{}' \"$@\"\n",
            wait.display(),
            real.display()
        );
        std::fs::write(&here, script).expect("the host's folder can be written");
        let may = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&here, may).expect("it is ours");
    }
}

fn memory_mib(guard: &Guard) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", guard.pid()));
    let status = status.expect("guard runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("proc(5)");
    peak.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("proc(5)") / 1024
}
