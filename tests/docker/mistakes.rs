//! Mistakes that people make when they set guard up, each made on purpose: guard says
//! what is wrong, and what to do, where one looks first.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::process::Command;

use serde_json::Value;

use crate::support::*;

const LIMITS: [(&str, &str); 2] = [("maxretry", "2"), ("bantime", "1h")];

/// What `guardctl doctor --json` finds that says all these words: its level.
fn level(guard: &Guard, words: &[&str]) -> Result<String, String> {
    let ctl = guard.ctl(&["doctor", "--json"]);
    let told: Value =
        serde_json::from_str(&ctl.out).map_err(|error| format!("{error}: {ctl:?}"))?;
    let all = told["findings"].as_array().cloned().unwrap_or_default();
    let says = |finding: &&Value| {
        let text = finding.to_string();
        words.iter().all(|word| text.contains(word))
    };
    match all.iter().find(says) {
        Some(finding) => Ok(finding["level"].as_str().unwrap_or_default().to_owned()),
        None => Err(format!("{words:?} not in {told:#}")),
    }
}

/// Waits until the doctor says all these words in a finding of this level.
#[track_caller]
fn finds(guard: &Guard, expected: &str, words: &[&str]) {
    eventually(&format!("the doctor tells {words:?}"), || {
        let level = level(guard, words)?;
        ensure(level == expected, format!("{words:?}: {level}"))
    });
}

#[test]
fn each_mistake_is_found_with_its_cure() {
    on_every_engine("each_mistake_is_found_with_its_cure", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let attacker = mallory.v4();
        let service =
            |name: &str, port: &str| Service::new(name).dual().publish(port).guarded(&LIMITS);
        let flask = [("failregex", FLASK_REGEX)];
        service("well", "8080:80").guarded(&flask).run(&host);
        service("typo", "8081:80").guarded(&flask).guarded(&[("maxretyr", "3")]).run(&host);
        service("port", "8082:80").guarded(&flask).guarded(&[("port", "80")]).run(&host);
        service("mute", "8083:80").option("--log-driver", "none").guarded(&flask).run(&host);
        // As it is left when Compose has taken `$` for a variable.
        service("regex", "8084:80")
            .guarded(&[("failregex", r"Login failed for user '.*' \(IP: <HOST>\)")])
            .run(&host);
        service("file", "8085:80")
            .mount("logs:/mnt/data/files")
            .arguments(OWNCLOUD)
            .guarded(&[("failregex", OWNCLOUD_REGEX), ("logpath", "/var/log/own.log")])
            .run(&host);
        service("proxied", "8086:80").guarded(&flask).run(&host);
        host.docker(&["network", "create", "v4"]);
        Service::new("narrow")
            .publish("8087:80")
            .option("--network", "v4")
            .guarded(&flask)
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("well");
        guard.has_jail("regex");
        attacker.is_served(8080);
        attacker.fail(8084, 3);
        for _ in 0..3 {
            attacker.log(8086, "Login failed for user 'bob' [IP: 172.30.0.1]");
        }

        finds(&guard, "error", &["labels of typo", "maxretyr", "maxretry"]);
        finds(&guard, "warning", &["jail port", "tcp/80", "8082", "guard.port: published"]);
        finds(&guard, "error", &["container mute", "none", "json-file"]);
        finds(&guard, "warning", &["jail regex", "look like failures", "matches up to"]);
        // This guard shares the process ids of its host, and so sees files on no volume.
        finds(&guard, "note", &["jail file", "no /var/log/own.log", "the path is another one"]);
        finds(&guard, "note", &["container narrow", "port 8087", "docker-proxy", "enable_ipv6"]);
        finds(&guard, "error", &["jail proxied", "172.30.0.1", "hidden"]);
        finds(&guard, "ok", &["engine", "answers all"]);
        finds(&guard, "ok", &["guard", "capabilities"]);
        let ctl = guard.ctl(&["doctor"]);
        assert_eq!(ctl.code, Some(1), "{ctl:?}");
        assert!(!ctl.out.contains("jail well: none of"), "{}", ctl.out);
        println!("{}", ctl.out);

        // At the start what lies around guard is told in its log, once.
        let log = guard.whole_log();
        let told = log.lines().filter(|line| line.contains("container mute: its logging driver"));
        assert_eq!(told.count(), 1, "{log}");
    });
}

#[test]
fn where_all_is_well_the_doctor_is_content() {
    on_every_engine("where_all_is_well_the_doctor_is_content", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web")
            .dual()
            .publish("8080:80")
            .guarded(&[("failregex", FLASK_REGEX)])
            .guarded(&LIMITS)
            .run(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        mallory.v4().is_served(8080);
        mallory.v4().fail(8080, 2);
        mallory.v4().is_refused(8080);
        eventually("nothing is wrong", || {
            let ctl = guard.ctl(&["doctor"]);
            ensure(ctl.code == Some(0) && ctl.out.contains("0 errors, 0 warnings"), ctl)
        });

        // Without a guard it looks at what it can.
        guard.sigterm();
        let socket = host.folder().join("guard/guard.sock");
        let doctor = |docker: &str| {
            let output = Command::new(env!("CARGO_BIN_EXE_guardctl"))
                .args(["doctor"])
                .env("GUARD_SOCKET", &socket)
                .env("GUARD_DATA", host.folder().join("guard/data"))
                .env("DOCKER_HOST", docker)
                .env("NO_COLOR", "1")
                .output()
                .expect("guardctl starts");
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (code, said) = doctor(&host.docker_host());
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("ok: engine: Docker") && said.contains("error: guard:"), "{said}");
        let (code, said) = doctor("unix:///nowhere/docker.sock");
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("/nowhere/docker.sock:/nowhere/docker.sock:ro"), "{said}");
    });
}

/// A proxy before the engine's socket that refuses some paths, as socket proxies do.
fn refusing(
    engine: std::path::PathBuf,
    folder: &std::path::Path,
    refused: &'static [&str],
) -> String {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    let socket = folder.join("refusing.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let engine = engine.clone();
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                // One request a connection.
                let text = String::from_utf8_lossy(&head).into_owned();
                let line = text.lines().next().unwrap_or_default();
                if refused.iter().any(|path| line.contains(path)) {
                    let answer =
                        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    return drop(client.write_all(answer.as_bytes()));
                }
                let text = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let mut server = UnixStream::connect(engine).unwrap();
                server.write_all(text.as_bytes()).unwrap();
                let _ = std::io::copy(&mut server, &mut client);
            });
        }
    });
    format!("unix://{}", socket.display())
}

#[test]
fn what_is_not_allowed_is_named_with_the_lines_to_set() {
    on_every_engine("what_is_not_allowed_is_named_with_the_lines_to_set", |engine| {
        let host = Host::start(engine);
        Service::new("web").dual().guarded(&[("failregex", FLASK_REGEX)]).run(&host);
        let docker = refusing(host.socket(), host.folder(), &["/info", "/networks"]);
        let weak = ["setpriv", "--bounding-set=-net_admin,-net_raw"];
        let guard = Guard::start_by(&host, &weak, &[("DOCKER_HOST", &docker)]);
        finds(&guard, "error", &["NET_ADMIN", "cap_add: [NET_ADMIN, NET_RAW, DAC_READ_SEARCH]"]);
        guard.says(None, &["NETWORKS=1"]);
        finds(&guard, "error", &["/networks is refused", "NETWORKS=1"]);
        finds(&guard, "warning", &["/info is refused", "INFO=1"]);
        println!("{}", guard.ctl(&["doctor"]).out);
        drop(guard);
        // Without a guard, all that is refused at once.
        let output = Command::new(env!("CARGO_BIN_EXE_guardctl"))
            .arg("doctor")
            .env("GUARD_SOCKET", "/nowhere/guard.sock")
            .env("DOCKER_HOST", &docker)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{said}");
        assert_eq!(output.status.code(), Some(3), "{said}");
        for word in ["warning: engine: /info", "error: engine: /networks", "CONTAINERS=1 EVENTS=1"]
        {
            assert!(said.contains(word), "{word}: {said}");
        }
    });
}

#[test]
fn a_ban_that_keeps_nobody_out_is_proven() {
    on_every_engine("a_ban_that_keeps_nobody_out_is_proven", |engine| {
        let host = Host::start(engine);
        let (alice, mallory) = (host.attacker(), host.attacker());
        // The ban closes another service's port.
        Service::new("other").dual().publish("8081:80").run(&host);
        Service::new("web")
            .dual()
            .publish("8080:80")
            .guarded(&[("failregex", FLASK_REGEX), ("port", "8081")])
            .guarded(&LIMITS)
            .run(&host);
        let guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        alice.v4().is_served(8080);
        mallory.v4().fail(8080, 2);
        guard.has_banned("web", &mallory.v4().address);
        let address = mallory.v4().address.to_string();
        within(PATIENCE * 2, "the doctor has a proof", || {
            mallory.v4().fail(8080, 1);
            let level = level(
                &guard,
                &["jail web", &address, "is banned, and goes on failing", "tcp/8081"],
            )?;
            ensure(level == "error", level)
        });
    });
}

#[test]
fn what_could_be_guarded_is_suggested() {
    on_every_engine("what_could_be_guarded_is_suggested", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        let attacker = mallory.v4();
        Service::compose("shop", "vault", 1).dual().publish("8080:80").run(&host);
        Service::new("quiet").dual().publish("8081:80").run(&host);
        Service::new("guarded")
            .dual()
            .publish("8082:80")
            .guarded(&[("failregex", FLASK_REGEX)])
            .run(&host);
        host.docker(&["tag", "login-service", "nextcloud:29"]);
        let image = ["--stop-signal", "KILL", "nextcloud:29", "/login-service"];
        host.docker(&[&["run", "--detach", "--name", "cloud"][..], &image].concat());
        let guard = Guard::start(&host, &[]);
        guard.has_jail("guarded");
        attacker.is_served(8080);
        let line = "[2026-01-02 03:04:05.123][vaultwarden::api::identity][ERROR] Username or \
                    password is incorrect. Try again. IP: 192.0.2.7. Username: bob.";
        attacker.log(8080, line);
        let suggested = eventually("the vault is suggested", || {
            let told = guard.json(&["suggest"]);
            let all = told["suggestions"].as_array().cloned().unwrap_or_default();
            match all.iter().any(|one| one["filter"] == "vaultwarden") {
                true => Ok(all),
                false => Err(told.to_string()),
            }
        });
        let first = &suggested[0];
        assert_eq!(
            (&first["sure"], &first["service"]),
            (&"proven".into(), &"vault".into()),
            "{first}"
        );
        let names: Vec<_> =
            suggested.iter().map(|one| one["container"].as_str().unwrap()).collect();
        assert_eq!(names, ["shop-vault-1", "cloud"], "{suggested:?}");
        let text = guard.ctl_ok(&["suggest"]);
        assert!(
            text.contains("      guard.filter: \"vaultwarden\"\n      guard.port: \"published\""),
            "{text}"
        );
        assert!(text.contains("guard.logpath: \"/var/www/html/data/nextcloud.log\""), "{text}");
        println!("{text}");
    });
}
