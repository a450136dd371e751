//! fail2ban's own client, Debian's, talks to guard: what it prints is what it prints
//! for fail2ban's own server in the same state.
//!
//! The package is the one that `scripts/fail2ban.sh` unpacked; nothing of it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

/// guard always has a jail `manual`; so fail2ban gets one as well.
const JAILS: &str = "[DEFAULT]\nbackend = polling\nmaxretry = 2\nfindtime = 600\nbantime = 3600\n\
                     enabled = true\nfilter = web\naction =\nusedns = no\nlogencoding = utf-8\n";
const REGEX: &str = "Login failed for user '.*' \\[IP: <HOST>\\]";

/// Python with what fail2ban 1.0 needs of it, and the unpacked package.
fn package() -> Result<PathBuf, &'static str> {
    let python = Command::new("python3").args(["-c", "import asyncore, asynchat"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        return Err("no python3 that has asyncore (3.11 or older)");
    }
    let program = std::env::current_exe().unwrap_or_default();
    // target/debug/deps/docker-…
    let folder = program.ancestors().nth(3).map(|target| target.join("fail2ban/bookworm"));
    folder
        .filter(|folder| folder.join("usr/bin/fail2ban-client").is_file())
        .ok_or("no unpacked fail2ban (scripts/fail2ban.sh)")
}

/// fail2ban, its server and its client, with jails that read a file each.
struct Fail2ban<'h> {
    host: &'h Host,
    package: PathBuf,
    folder: PathBuf,
}

impl Fail2ban<'_> {
    fn start(host: &Host, package: PathBuf) -> Fail2ban<'_> {
        let folder = host.folder().join("fail2ban");
        let fail2ban = Fail2ban { host, package, folder };
        let at = |name: &str| fail2ban.folder.join(name).display().to_string();
        for sub in ["conf/filter.d", "conf/action.d"] {
            fs::create_dir_all(fail2ban.folder.join(sub)).expect("a folder");
        }
        let write = |name: &str, text: String| {
            fs::write(fail2ban.folder.join(name), text).expect("a file");
        };
        write(
            "conf/fail2ban.conf",
            format!(
                "[Definition]\nloglevel = INFO\nlogtarget = {}\nsyslogsocket = auto\nsocket = {}\n\
                 pidfile = {}\ndbfile = None\ndbpurgeage = 1d\nallowipv6 = auto\n",
                at("log"),
                at("real.sock"),
                at("pid"),
            ),
        );
        write(
            "conf/jail.conf",
            format!(
                "{JAILS}[manual]\nlogpath = {}\n[web]\nlogpath = {}\n",
                at("manual.log"),
                at("web.log")
            ),
        );
        write("conf/filter.d/web.conf", format!("[Definition]\nfailregex = {REGEX}\n"));
        write("web.log", String::new());
        write("manual.log", String::new());
        let mut start = fail2ban.program("fail2ban-server", &fail2ban.folder.join("real.sock"));
        let started = start.arg("start").output().expect("fail2ban starts");
        assert!(started.status.success(), "{started:?}");
        fail2ban
    }

    fn program(&self, name: &str, socket: &Path) -> Command {
        let mut command = self.host.namespace().command("python3");
        command
            .env("PYTHONPATH", self.package.join("usr/lib/python3/dist-packages"))
            .env("TZ", "UTC")
            .arg(self.package.join("usr/bin").join(name))
            .arg("-c")
            .arg(self.folder.join("conf"))
            .arg("-s")
            .arg(socket);
        command
    }

    /// The client's exit code and what it prints, asked at a socket.
    fn says(&self, socket: &Path, words: &str) -> (Option<i32>, String) {
        let output = self.program("fail2ban-client", socket).args(words.split(' ')).output();
        let output = output.expect("the client starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn real(&self) -> PathBuf {
        self.folder.join("real.sock")
    }
}

impl Drop for Fail2ban<'_> {
    fn drop(&mut self) {
        let _ = self.program("fail2ban-client", &self.real()).arg("stop").output();
    }
}

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
        let fail2ban = Fail2ban::start(&host, package.clone());
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
        let mut log = String::new();
        for address in ["203.0.113.1", "203.0.113.1", "203.0.113.5", "2001:db8::7", "2001:db8::7"] {
            let line = format!("Login failed for user 'x' [IP: {address}]");
            mallory.v4().log(8080, &line);
            let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
            log.push_str(&format!("{} {line}\n", now.strftime("%Y-%m-%d %H:%M:%S")));
        }
        fs::write(fail2ban.folder.join("web.log"), log).expect("a file");
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
