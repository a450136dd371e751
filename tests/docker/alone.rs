//! One guard on a host, and what is left when there is none.

use std::process::Command;

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

/// The daemon's program in a host's network: whether it succeeded, and what it said.
fn guard(host: &Host, arguments: &[&str]) -> (bool, String) {
    let folder = host.folder().join("other");
    let mut command: Command = host.namespace().command(env!("CARGO_BIN_EXE_guard"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", host.engine().path())
        .env("DOCKER_HOST", host.docker_host())
        .env("GUARD_DATA", folder.join("data"))
        .env("GUARD_SOCKET", folder.join("guard.sock"));
    let output = command.output().expect("nsenter starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_second_guard_is_refused_and_a_dead_ones_rules_can_be_removed() {
    on_every_engine("a_second_guard_is_refused_and_a_dead_ones_rules_can_be_removed", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);
        let mut first = Guard::start(&host, &[]);
        first.has_jail("web");
        for family in Family::ALL {
            mallory.of(family).is_served(8080);
            mallory.of(family).fail(8080, 2);
            mallory.of(family).is_refused(8080);
        }

        // With a socket and a folder of its own, as in another container.
        let (ended_well, said) = guard(&host, &[]);
        assert!(!ended_well && said.contains("another guard keeps this host's firewall"), "{said}");
        let (ended_well, said) = guard(&host, &["cleanup"]);
        assert!(!ended_well && said.contains("--force"), "{said}");
        for family in Family::ALL {
            mallory.of(family).is_still_refused(8080);
        }
        // By force; the one that runs puts everything back.
        // It may be so quick that sets are in use again before they can be removed.
        let (_, said) = guard(&host, &["cleanup", "--force"]);
        assert!(said.contains("removed chain f2b-web"), "{said}");
        for family in Family::ALL {
            mallory.of(family).is_refused(8080);
        }
        // No jail bans any more, and nothing else does.
        let flushed = first.json(&["flush"]);
        assert_eq!(flushed["lifted"], 2, "{flushed}");
        for family in Family::ALL {
            mallory.of(family).is_still_served(8080);
            mallory.of(family).fail(8080, 2);
            mallory.of(family).is_refused(8080);
        }

        first.kill9();
        let foreign = ["-I", "INPUT", "1", "-j", "f2b-sshd"];
        host.run(&["iptables", "-N", "f2b-sshd"]);
        host.run(&["iptables", "-A", "f2b-sshd", "-s", "192.0.2.1", "-j", "REJECT"]);
        host.run(&[&["iptables"], &foreign[..]].concat());
        let (ended_well, said) = guard(&host, &["cleanup"]);
        assert!(ended_well, "{said}");
        for what in ["(iptables-nft)", "(ip6tables-nft)", "set f2b4-web", "set f2b6-manual"] {
            assert!(said.contains(what), "no `{what}`: {said}");
        }
        for family in Family::ALL {
            mallory.of(family).is_still_served(8080);
        }
        let left = host.traces_of_guard();
        assert!(left.len() == 3 && left.iter().all(|line| line.contains("f2b-sshd")), "{left:?}");
        let (ended_well, said) = guard(&host, &["cleanup"]);
        assert!(ended_well && said.contains("nothing of guard's"), "{said}");
        // The bans were only taken out of the kernel.
        first.start_again();
        for family in Family::ALL {
            mallory.of(family).is_refused(8080);
        }
    });
}

/// Anybody can take the name; it must not keep guard from starting.
#[test]
fn who_cannot_be_a_guard_is_no_obstacle() {
    on_every_engine("who_cannot_be_a_guard_is_no_obstacle", |engine| {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
        let host = Host::start(engine);
        Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);
        // The peer's user is that of the thread which listens.
        let _squatter = host.namespace().enter(|| {
            let user = rustix::fs::Uid::from_raw(65534);
            rustix::thread::set_thread_uid(user).expect("root may be anybody");
            let sign = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
            let name = SocketAddrUnix::new_abstract_name(b"guard").expect("a short name");
            bind(&sign, &name).expect("nobody has it");
            listen(&sign, 1).expect("it is bound");
            sign
        });
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        assert!(guard.whole_log().contains("can't be told whether another guard"));
    });
}
