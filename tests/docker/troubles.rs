//! What guard needs is missing, and comes back.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

#[test]
fn the_engine_may_come_late_and_go() {
    on_every_engine("the_engine_may_come_late_and_go", |engine| {
        // Made once with an engine, so that there is something to come back.
        let mut host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        Service::new("web")
            .dual()
            .publish("8080:80")
            .option("--restart", "always")
            .guarded(&LABELS)
            .run(&host);
        host.stop_engine();
        let mut guard = Guard::start(&host, &[]);
        let status = guard.says(None, &["docker"]);
        assert!(status.contains("docker.sock"), "the socket's path is not named:\n{status}");

        host.start_engine();
        guard.has_jail("web");
        for family in Family::ALL {
            mallory.of(family).is_served(8080);
            mallory.of(family).fail(8080, 2);
            mallory.of(family).is_refused(8080);
        }
        let found = guard.jail("web").expect("it is there").total_failed;

        host.stop_engine();
        guard.says(None, &["docker.sock"]);
        assert_eq!(guard.jail("web").expect("bans outlive the engine").banned, 2);
        host.start_engine();
        alice.v4().is_served(8080);
        for family in Family::ALL {
            mallory.of(family).is_refused(8080);
        }
        // And its containers are followed again, none of their lines twice.
        let late = mallory.at(mallory.address(Family::V4, 20));
        late.fail(8080, 2);
        late.is_refused(8080);
        guard.has_found("web", found + 2);
        guard.sigterm();
        assert_eq!(host.traces_of_guard(), Vec::<String>::new());
    });
}

#[test]
fn the_tools_may_come_late() {
    on_every_engine("the_tools_may_come_late", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let mallory = mallory.v4();
        Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);
        let tools = host.folder().join("tools");
        std::fs::create_dir(&tools).expect("the host's folder can be written");
        let guard = Guard::start(&host, &[("PATH", &tools.display().to_string())]);
        guard.has_jail("web");
        guard.says(None, &["iptables"]);
        eventually("it says that it is not well", || {
            let ping = guard.ctl(&["ping"]);
            ensure(ping.code == Some(1), ping)
        });
        mallory.is_served(8080);
        mallory.fail(8080, 2);
        guard.has_found("web", 2);
        mallory.is_still_served(8080);
        // It tries again and again, but complains once.
        let complaints = |log: &str| {
            let grave = |line: &&str| line.contains("ERROR") || line.contains("WARN");
            log.lines().filter(grave).filter(|line| line.contains("iptables")).count()
        };
        let log = guard.whole_log();
        assert_eq!(complaints(&log), 1, "{log}");

        link_firewall_tools(&tools);
        mallory.is_refused(8080);
        guard.has_banned("web", &mallory.address);
        eventually("it is well", || {
            let ping = guard.ctl(&["ping"]);
            ensure(ping.code == Some(0), ping)
        });
        let log = guard.whole_log();
        assert_eq!(complaints(&log), 1, "{log}");
    });
}

/// Links the machine's firewall tools, by all their names, into a folder.
fn link_firewall_tools(to: &Path) {
    let iptables = find("iptables").expect("the engines need it");
    let from = iptables.parent().expect("it lies in a folder");
    for entry in std::fs::read_dir(from).expect("it was just there").flatten() {
        let name = entry.file_name();
        let wanted = ["iptables", "ip6tables", "xtables", "ipset", "nft"];
        if wanted.iter().any(|tool| name.to_string_lossy().starts_with(tool)) {
            symlink(entry.path(), to.join(name)).expect("a new link");
        }
    }
}

#[test]
fn without_permission_it_says_which() {
    on_every_engine("without_permission_it_says_which", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let mallory = mallory.v4();
        Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);

        // Not allowed to touch the firewall.
        let weak = ["setpriv", "--bounding-set=-net_admin,-net_raw"];
        let mut guard = Guard::start_by(&host, &weak, &[]);
        guard.has_jail("web");
        guard.says(None, &["NET_ADMIN"]);
        mallory.is_served(8080);
        mallory.fail(8080, 2);
        guard.has_found("web", 2);
        mallory.is_still_served(8080);
        // Allowed, it does what is due.
        guard.sigterm();
        drop(guard);
        let mut guard = Guard::start(&host, &[]);
        mallory.is_refused(8080);
        guard.sigterm();
        drop(guard);

        // Not allowed to talk to Docker, until someone is kind.
        let mode = |mode: u32| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(host.socket(), permissions).expect("it is ours");
        };
        let folder = host.folder().join("guard");
        run(std::process::Command::new("chown").args(["-R", "65534"]).arg(&folder));
        mode(0o600);
        let nobody = [
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
            "--inh-caps=+net_admin,+net_raw,+dac_read_search",
            "--ambient-caps=+net_admin,+net_raw,+dac_read_search",
        ];
        let guard = Guard::start_by(&host, &nobody, &[]);
        guard.says(None, &["permission denied", "docker.sock"]);
        mallory.is_refused(8080);
        mode(0o666);
        guard.has_jail("web");
        guard.has_banned("web", &mallory.address);
        let late = mallory.sibling(40);
        late.fail(8080, 2);
        late.is_refused(8080);
    });
}
