//! guard itself, on a host.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;

use super::host::{signal, tail};
use super::namespace::command_in;
use super::{Host, Namespace, ensure, eventually, within};

/// The daemon in a host's network, and its client. Killed when dropped.
pub struct Guard {
    /// The file of the host's network.
    network: String,
    /// What comes before the daemon on its command line.
    wrapper: Vec<String>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    daemon: Option<Child>,
}

/// How a call of guardctl ended.
#[derive(Clone, Debug)]
pub struct Ctl {
    /// The exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

/// A running `guardctl watch --json`.
pub struct Watch {
    child: Child,
    lines: mpsc::Receiver<String>,
}

/// What `guardctl status JAIL` says, in fail2ban's shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JailStatus {
    /// `Currently failed`
    pub failed: u64,
    /// `Total failed`
    pub total_failed: u64,
    /// `Currently banned`
    pub banned: u64,
    /// `Total banned`
    pub total_banned: u64,
    /// `Banned IP list`
    pub list: Vec<String>,
}

impl Guard {
    /// Starts guard with further variables, which win over the usual ones, and waits
    /// until it can be talked to.
    pub fn start(host: &Host, environment: &[(&str, &str)]) -> Guard {
        Guard::start_by(host, &[], environment)
    }

    /// [`Guard::start`] by another program, such as one that takes capabilities away.
    pub fn start_by(host: &Host, wrapper: &[&str], environment: &[(&str, &str)]) -> Guard {
        let folder = host.folder().join("guard");
        fs::create_dir_all(&folder).expect("the host's folder can be written");
        let mut guard = Guard {
            network: host.namespace().path(),
            wrapper: wrapper.iter().map(|&word| word.to_owned()).collect(),
            folder,
            environment: Vec::new(),
            daemon: None,
        };
        let path = host.engine().path();
        guard.set("PATH", path.to_str().expect("PATH is text"));
        guard.set("DOCKER_HOST", &host.docker_host());
        guard.begin(environment);
        guard
    }

    /// Guard in a network where there is no engine, with its files below `folder`.
    pub fn start_without_engine(
        network: &Namespace,
        folder: &Path,
        environment: &[(&str, &str)],
    ) -> Guard {
        let folder = folder.join("guard");
        fs::create_dir_all(&folder).expect("the folder can be written");
        let mut guard = Guard {
            network: network.path(),
            wrapper: Vec::new(),
            folder,
            environment: Vec::new(),
            daemon: None,
        };
        let path = std::env::var("PATH").unwrap_or_default();
        guard.set("PATH", &format!("{path}:/usr/sbin:/sbin"));
        guard.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
        guard.begin(environment);
        guard
    }

    /// The first start.
    fn begin(&mut self, environment: &[(&str, &str)]) {
        let guard = self;
        guard.set("GUARD_DATA", &guard.folder.join("data").display().to_string());
        guard.set("GUARD_SOCKET", &guard.folder.join("guard.sock").display().to_string());
        guard.set("GUARD_LOG", "info,guard=debug");
        guard.set("RUST_BACKTRACE", "1");
        for (name, value) in environment {
            guard.set(name, value);
        }
        guard.start_again();
    }

    /// Sets a variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it on the same data, and waits until it can be talked to.
    pub fn start_again(&mut self) {
        assert!(self.daemon.is_none(), "guard runs already");
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.expect("the host's folder can be written");
        let guard = env!("CARGO_BIN_EXE_guard").to_owned();
        let line: Vec<&String> = self.wrapper.iter().chain([&guard]).collect();
        let mut daemon = command_in(&self.network, line[0]);
        daemon
            .args(&line[1..])
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .process_group(0);
        self.daemon = Some(daemon.spawn().expect("nsenter starts"));
        eventually("guard answers", || {
            if let Some(status) = self.ended() {
                panic!("guard: {status}\n{}", self.log());
            }
            // 3: no daemon. It may well be there and have troubles to tell of.
            let ping = self.ctl(&["ping"]);
            ensure(ping.code.is_some_and(|code| code != 3), ping)
        });
    }

    /// Its exit status, if it has ended.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut()?.try_wait().expect("it is our child")
    }

    /// Stops it as Docker does: SIGTERM, and less than ten seconds.
    pub fn sigterm(&mut self) {
        let mut daemon = self.daemon.take().expect("guard runs");
        signal(&daemon, Signal::TERM);
        let status = within(Duration::from_secs(9), "guard stops", || {
            daemon.try_wait().ok().flatten().ok_or_else(|| tail(&self.log_path()))
        });
        assert!(status.success(), "guard: {status}\n{}", self.log());
    }

    /// Kills it, without a word.
    pub fn kill9(&mut self) {
        let mut daemon = self.daemon.take().expect("guard runs");
        signal(&daemon, Signal::KILL);
        daemon.wait().expect("it is our child");
    }

    /// Lets it stand still.
    pub fn freeze(&self) {
        signal(self.daemon.as_ref().expect("guard runs"), Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.daemon.as_ref().expect("guard runs"), Signal::CONT);
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("data/guard.db")
    }

    /// SIGTERM, and a new start on the same data.
    pub fn restart(&mut self) {
        self.sigterm();
        self.start_again();
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("guard runs").id()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        tail(&self.log_path())
    }

    /// Its whole log.
    pub fn whole_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.with_file_name("guard.log")
    }

    /// guardctl, with these arguments.
    pub fn ctl(&self, arguments: &[&str]) -> Ctl {
        self.ctl_reading(arguments, std::process::Stdio::null())
    }

    /// guardctl, with something to read.
    pub fn ctl_reading(&self, arguments: &[&str], input: std::process::Stdio) -> Ctl {
        let socket = self.folder.join("guard.sock");
        let output = Command::new(env!("CARGO_BIN_EXE_guardctl"))
            .args(arguments)
            .env("GUARD_SOCKET", socket)
            .env("NO_COLOR", "1")
            .stdin(input)
            .output()
            .expect("guardctl starts");
        Ctl {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// guardctl, which must succeed.
    #[track_caller]
    pub fn ctl_ok(&self, arguments: &[&str]) -> String {
        let ctl = self.ctl(arguments);
        assert_eq!(ctl.code, Some(0), "guardctl {arguments:?}: {ctl:?}\n{}", self.log());
        ctl.out
    }

    /// guardctl with `--json`, which must succeed with one value.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let text = self.ctl_ok(&arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// guardctl with `--json` and whatever exit code.
    #[track_caller]
    pub fn json_whatever(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let ctl = self.ctl(&arguments);
        serde_json::from_str(&ctl.out)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ctl:?}"))
    }

    /// `guardctl watch --json`, until it is dropped.
    pub fn watch(&self) -> Watch {
        let mut child = Command::new(env!("CARGO_BIN_EXE_guardctl"))
            .args(["watch", "--json"])
            .env("GUARD_SOCKET", self.folder.join("guard.sock"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("guardctl starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Watch { child, lines }
    }

    /// `guardctl status JAIL`, read; `Err` when there is no such jail.
    pub fn jail(&self, jail: &str) -> Result<JailStatus, String> {
        let ctl = self.ctl(&["status", jail]);
        if ctl.code != Some(0) {
            return Err(format!("{ctl:?}"));
        }
        JailStatus::read(&ctl.out).ok_or_else(|| format!("not in fail2ban's shape:\n{}", ctl.out))
    }

    /// Waits until a jail is there.
    #[track_caller]
    pub fn has_jail(&self, jail: &str) {
        eventually(&format!("there is a jail {jail}"), || self.jail(jail).map(drop));
    }

    /// Waits until a jail's status is as it should be.
    #[track_caller]
    pub fn until(&self, jail: &str, what: &str, is_so: impl Fn(&JailStatus) -> bool) {
        eventually(&format!("jail {jail}: {what}"), || {
            let status = self.jail(jail)?;
            ensure(is_so(&status), status)
        });
    }

    /// Waits until a jail has found this many failures in all.
    #[track_caller]
    pub fn has_found(&self, jail: &str, total: u64) {
        self.until(jail, &format!("{total} failures found"), |status| status.total_failed == total);
    }

    /// Waits until a jail says that it bans this address.
    #[track_caller]
    pub fn has_banned(&self, jail: &str, address: &impl ToString) {
        let address = address.to_string();
        self.until(jail, &format!("{address} banned"), |status| status.list.contains(&address));
    }

    /// Waits until a jail does not ban this address.
    #[track_caller]
    pub fn has_unbanned(&self, jail: &str, address: &impl ToString) {
        let address = address.to_string();
        self.until(jail, &format!("{address} free"), |status| !status.list.contains(&address));
    }

    /// Waits until the status of the whole, or of a jail, says all these words, whatever
    /// their case.
    #[track_caller]
    pub fn says(&self, jail: Option<&str>, words: &[&str]) -> String {
        let arguments: Vec<&str> = ["status"].into_iter().chain(jail).collect();
        eventually(&format!("{arguments:?} says {words:?}"), || {
            let out = self.ctl(&arguments).out;
            let lower = out.to_lowercase();
            let said = words.iter().all(|word| lower.contains(&word.to_lowercase()));
            if said { Ok(out) } else { Err(out) }
        })
    }
}

impl Watch {
    /// Was there an event with this word, since it was last asked?
    pub fn has_seen(&self, word: &str) -> bool {
        self.lines.try_iter().any(|line| line.contains(word))
    }

    /// Waits for an event that says all these words.
    #[track_caller]
    pub fn sees(&self, words: &[&str]) {
        let mut seen = Vec::new();
        eventually(&format!("watch tells of {words:?}"), || {
            seen.extend(self.lines.try_iter());
            let told =
                seen.iter().any(|line: &String| words.iter().all(|word| line.contains(word)));
            ensure(told, &seen)
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl JailStatus {
    /// Reads fail2ban's tree; `None` where a line is missing.
    fn read(text: &str) -> Option<JailStatus> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.split_once(key))?.1;
            Some(line.trim().to_owned())
        };
        let number = |key: &str| value(key)?.split_whitespace().next()?.parse().ok();
        Some(JailStatus {
            failed: number("Currently failed:")?,
            total_failed: number("Total failed:")?,
            banned: number("Currently banned:")?,
            total_banned: number("Total banned:")?,
            list: value("Banned IP list:")?.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of guard's log:\n{}", self.log());
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
