//! Network namespaces: the machines of the test bed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::engine::find;
use super::run;

/// A network namespace under `/run/netns`; deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// `ip netns add` prepares `/run/netns` first, which only one may do at a time.
static ADDING: Mutex<()> = Mutex::new(());

impl Namespace {
    /// Makes one, with its loopback up and IPv6 addresses usable at once.
    pub fn new(name: &str) -> Namespace {
        {
            let _one_at_a_time = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
            run(Command::new("ip").args(["netns", "add", name]));
        }
        let namespace = Namespace { name: name.to_owned() };
        namespace.set("ipv6/conf/all/accept_dad", "0");
        namespace.set("ipv6/conf/default/accept_dad", "0");
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// `ip` in it.
    #[track_caller]
    pub fn ip(&self, arguments: &[&str]) -> String {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    /// Many commands of `ip` in it, at the price of one.
    #[track_caller]
    pub fn ip_batch(&self, lines: &[String]) {
        let mut ip = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("ip starts");
        let mut input = ip.stdin.take().expect("it is piped");
        input.write_all((lines.join("\n") + "\n").as_bytes()).expect("ip reads");
        drop(input);
        let status = ip.wait().expect("ip ends");
        assert!(status.success(), "ip: {status}: {lines:#?}");
    }

    /// Sets a switch below `/proc/sys/net`, which shows those of the reader's namespace.
    pub fn set(&self, switch: &str, value: &str) {
        let path = format!("/proc/sys/net/{switch}");
        self.enter(|| std::fs::write(&path, value))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// A command that runs in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        command_in(&self.path(), program)
    }

    /// Does something on a thread in it. Sockets made there stay in it.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let namespace =
            File::open(self.path()).unwrap_or_else(|error| panic!("{}: {error}", self.path()));
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a namespace");
                action()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// A command that runs in the namespace of this file. The file systems stay those of
/// the machine: Docker needs its cgroups, which `ip netns exec` would hide.
pub fn command_in(path: &str, program: impl AsRef<OsStr>) -> Command {
    // By its path: a command whose PATH is changed is looked up in the new one.
    let mut command = Command::new(find("nsenter").expect("the engines need it, too"));
    command.arg(format!("--net={path}")).arg("--").arg(program);
    command
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}
