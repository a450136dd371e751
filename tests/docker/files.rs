//! Log files in containers: on volumes, in a container's own layer, and behind links
//! that a container planted to read through guard what is not its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::*;

/// guard in a namespace of processes of its own, as without `pid: host`.
const ALONE: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// So many failures of somebody who never came here, just now.
fn failures(count: usize) -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.0} Login failed for user 'x' [IP: 203.0.113.66]\n").repeat(count)
}

fn labels(logpath: &str) -> [(&str, &str); 4] {
    [("failregex", FLASK_REGEX), ("maxretry", "3"), ("bantime", "1h"), ("logpath", logpath)]
}

#[test]
fn planted_links_read_nothing_and_a_real_file_is_followed_then() {
    on_every_engine("planted_links_read_nothing_and_a_real_file_is_followed_then", |engine| {
        let host = Host::start(engine);
        let secret = host.folder().join("secret");
        fs::write(&secret, failures(3)).expect("the host's folder can be written");
        let mallory = host.attacker();
        Service::new("web")
            .dual()
            .publish("8080:80")
            .mount("logs:/logs")
            .arguments(&["--file", "/logs/real.log"])
            .guarded(&labels("/logs/web.log"))
            .run(&host);
        let volume = host.docker(&["volume", "inspect", "logs", "--format", "{{.Mountpoint}}"]);
        let log = PathBuf::from(volume).join("web.log");
        let climb = format!("../../../../../../../..{}", secret.display());
        let targets = ["/etc/shadow", "../../../../etc/shadow", secret.to_str().unwrap(), &climb];
        for wrapper in [&ALONE[..], &[]] {
            symlink(targets[0], &log).expect("the volume can be written");
            let mut guard = Guard::start_by(&host, wrapper, &[]);
            for target in targets {
                fs::remove_file(&log).expect("it is there");
                symlink(target, &log).expect("the volume can be written");
                if wrapper.is_empty() {
                    // In the container's own files, there is none.
                    guard.says(Some("web"), &["no such file yet"]);
                } else {
                    guard.says(Some("web"), &["the link /logs/web.log leads to", target]);
                }
            }
            fs::remove_file(&log).expect("it is there");
            let made = std::process::Command::new("mkfifo").arg(&log).status();
            assert!(made.is_ok_and(|status| status.success()), "a FIFO can be made");
            guard.says(Some("web"), &["is a FIFO, not a regular file"]);
            fs::remove_file(&log).expect("it is there");
            guard.until("web", "nothing found", |status| status.total_failed == 0);

            fs::write(&log, "").expect("the volume can be written");
            fs::remove_file(&log).expect("it is there");
            // A link within the volume is the container's own business.
            symlink("real.log", &log).expect("the volume can be written");
            mallory.v4().is_served(8080);
            mallory.v4().fail(8080, 3);
            mallory.v4().is_refused(8080);
            guard.has_found("web", 3);
            guard.ctl_ok(&["unban", "--all"]);
            stop(&mut guard);
            fs::remove_file(&log).expect("it is there");
            fs::remove_dir_all(host.folder().join("guard/data")).expect("guard's data");
            fs::write(log.with_file_name("real.log"), "").expect("the volume can be written");
        }
    });
}

#[test]
fn files_on_no_volume_are_read_by_way_of_a_process() {
    on_every_engine("files_on_no_volume_are_read_by_way_of_a_process", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web")
            .dual()
            .publish("8080:80")
            .arguments(&["--file", "/web.log"])
            .guarded(&labels("/web.log"))
            .run(&host);
        let mut guard = Guard::start_by(&host, &ALONE, &[]);
        guard.says(Some("web"), &["/web.log is on no volume", "`pid: host`", "SYS_PTRACE"]);
        stop(&mut guard);

        // What guard's service has, without the right to look into others' processes.
        let few =
            |more: &str| format!("--bounding-set=-all,+net_admin,+net_raw,+dac_read_search{more}");
        let mut guard = Guard::start_by(&host, &["setpriv", &few("")], &[]);
        guard.says(Some("web"), &["add `cap_add: [SYS_PTRACE]` to guard's service"]);
        guard.sigterm();
        let mut guard = Guard::start_by(&host, &["setpriv", &few(",+sys_ptrace")], &[]);
        guard.has_jail("web");
        let attacker = |n: u16| mallory.at(mallory.address(Family::V4, n));
        attacker(11).is_served(8080);
        attacker(11).fail(8080, 3);
        attacker(11).is_refused(8080);
        attacker(12).fail(8080, 2);
        guard.has_found("web", 5);

        // Its process is another then, and its file the same.
        host.docker(&["restart", "--time", "0", "web"]);
        attacker(12).is_served(8080);
        attacker(12).fail(8080, 1);
        attacker(12).is_refused(8080);
        guard.has_found("web", 6);
        guard.kill9();
        attacker(13).fail(8080, 3);
        guard.start_again();
        attacker(13).is_refused(8080);
        guard.has_found("web", 9);
        host.docker(&["rm", "--force", "web"]);
    });
}

#[test]
fn how_far_behind_and_what_was_lost_stands_in_the_status() {
    on_every_engine("how_far_behind_and_what_was_lost_stands_in_the_status", |engine| {
        let host = Host::start(engine);
        Service::new("web").mount("logs:/logs").guarded(&labels("/logs/web.log")).run(&host);
        let volume = host.docker(&["volume", "inspect", "logs", "--format", "{{.Mountpoint}}"]);
        let log = PathBuf::from(volume).join("web.log");
        fs::write(&log, failures(2)).expect("the volume can be written");
        let mut guard = Guard::start(&host, &[]);
        guard.has_found("web", 2);
        eventually("it is not behind", || {
            let seen = source(&guard);
            let is_so = seen["behind"] == 0 && seen["behind_seconds"] == 0;
            ensure(is_so, seen)
        });
        guard.sigterm();
        fs::remove_file(&log).expect("it is there");
        let long = "x".repeat(70_000) + "\n";
        fs::write(&log, long + &failures(1)).expect("the volume can be written");
        guard.start_again();
        guard.has_found("web", 3);
        guard.says(Some("web"), &["lines may be lost", "1 gap", "bytes cut off long lines"]);
        let seen = source(&guard);
        assert_eq!((&seen["gaps"], &seen["cut_lines"]), (&1.into(), &1.into()), "{seen}");
    });
}

/// Stops a guard that may be `unshare`'s child: that one hears no SIGTERM.
fn stop(guard: &mut Guard) {
    let pid = guard.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.unwrap_or_default().split_whitespace() {
        let child = child.parse().ok().and_then(rustix::process::Pid::from_raw);
        let child = child.expect("the number of a process");
        // It may have ended by itself.
        let _ = rustix::process::kill_process(child, rustix::process::Signal::TERM);
    }
    guard.sigterm();
}

/// The only source of the jail `web`.
fn source(guard: &Guard) -> serde_json::Value {
    guard.json(&["status", "web"])["sources"][0].clone()
}
