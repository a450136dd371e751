//! A real fail2ban, Debian's: its server and its client. The package is the one that
//! `scripts/fail2ban.sh` unpacked; nothing of it is installed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

const DEFAULTS: &str = "[DEFAULT]\nbackend = polling\nmaxretry = 2\nfindtime = 600\n\
                        bantime = 3600\nenabled = true\nfilter = web\nusedns = no\n\
                        logencoding = utf-8\n";

/// Python with what fail2ban 1.0 needs of it, and the unpacked package.
pub(crate) fn package() -> Result<PathBuf, &'static str> {
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
pub(crate) struct Fail2ban<'h> {
    host: &'h Host,
    package: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Fail2ban<'_> {
    /// With these jails, each with its actions, and one regex for all of them.
    pub(crate) fn start<'h>(
        host: &'h Host,
        package: PathBuf,
        regex: &str,
        jails: &[(&str, &str)],
    ) -> Fail2ban<'h> {
        let folder = host.folder().join("fail2ban");
        let fail2ban = Fail2ban { host, package, folder };
        let at = |name: &str| fail2ban.folder.join(name).display().to_string();
        fs::create_dir_all(fail2ban.folder.join("conf/filter.d")).expect("a folder");
        std::os::unix::fs::symlink(
            fail2ban.package.join("etc/fail2ban/action.d"),
            fail2ban.folder.join("conf/action.d"),
        )
        .expect("a link");
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
        let mut conf = DEFAULTS.to_owned();
        for (jail, action) in jails {
            let log = format!("{jail}.log");
            conf += &format!("[{jail}]\nlogpath = {}\naction = {action}\n", at(&log));
            write(&log, String::new());
        }
        write("conf/jail.conf", conf);
        write("conf/filter.d/web.conf", format!("[Definition]\nfailregex = {regex}\n"));
        let mut start = fail2ban.program("fail2ban-server", &fail2ban.folder.join("real.sock"));
        let started = start.arg("start").output().expect("fail2ban starts");
        assert!(started.status.success(), "{started:?}");
        fail2ban
    }

    /// Writes a line to a jail's log.
    pub(crate) fn log(&self, jail: &str, line: &str) {
        let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
        let line = format!("{} {line}\n", now.strftime("%Y-%m-%d %H:%M:%S"));
        let path = self.folder.join(format!("{jail}.log"));
        let mut file = fs::OpenOptions::new().append(true).open(path).expect("its log");
        file.write_all(line.as_bytes()).expect("there is room");
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
    pub(crate) fn says(&self, socket: &Path, words: &str) -> (Option<i32>, String) {
        let output = self.program("fail2ban-client", socket).args(words.split(' ')).output();
        let output = output.expect("the client starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The server's socket.
    pub(crate) fn real(&self) -> PathBuf {
        self.folder.join("real.sock")
    }
}

impl Drop for Fail2ban<'_> {
    fn drop(&mut self) {
        let _ = self.program("fail2ban-client", &self.real()).arg("stop").output();
    }
}
