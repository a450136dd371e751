//! A Docker host of its own.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::image::{self, IMAGE};
use super::leftovers;
use super::{Attacker, Engine, Namespace, ensure, eventually, run, try_run};

/// A network namespace with a Docker engine in it; removed when dropped, with its
/// containers and all.
#[derive(Debug)]
pub struct Host {
    namespace: Option<Namespace>,
    engine: Engine,
    folder: PathBuf,
    dockerd: Option<Child>,
    attackers: AtomicU8,
}

impl Host {
    /// A host with its engine running, the login service's image in it, and a network
    /// `dual` that has IPv4 and IPv6.
    pub fn start(engine: &Engine) -> Host {
        let mut host = Host::without_engine(engine);
        host.start_engine();
        host.import();
        host.docker(&[
            "network",
            "create",
            "--ipv6",
            "--subnet",
            "172.30.0.0/16",
            "--subnet",
            "fd30::/64",
            "dual",
        ]);
        host
    }

    /// A host whose engine does not run yet.
    pub fn without_engine(engine: &Engine) -> Host {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        leftovers::sweep();
        let name = leftovers::host_name(COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = leftovers::testbed().join(&name);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let mut host = Host {
            namespace: None,
            engine: engine.clone(),
            folder,
            dockerd: None,
            attackers: AtomicU8::new(0),
        };
        let namespace = host.namespace.insert(Namespace::new(&name));
        namespace.set("ipv4/ip_forward", "1");
        namespace.set("ipv6/conf/all/forwarding", "1");
        // Else the kernel refuses an attacker six times and then is silent for a second.
        namespace.set("ipv4/icmp_ratelimit", "0");
        namespace.set("ipv6/icmp/ratelimit", "0");
        host
    }

    /// Imports the login service's image.
    pub fn import(&self) {
        let archive = image::archive();
        run(self.docker_command().arg("import").arg(archive).arg(IMAGE));
    }

    /// Imports an image of a program with this source, named as the program.
    pub fn import_program(&self, program: &str, source: &str) {
        let archive = image::archive_of(program, source);
        run(self.docker_command().arg("import").arg(archive).arg(program));
    }

    /// Starts the engine and waits until it answers.
    pub fn start_engine(&mut self) {
        self.start_engine_with("{}");
    }

    /// [`Host::start_engine`] with a `daemon.json`.
    pub fn start_engine_with(&mut self, settings: &str) {
        assert!(self.dockerd.is_none(), "the engine runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("dockerd.log"))
            .expect("the host's folder can be written");
        // Its own settings, not the machine's in /etc/docker.
        fs::write(self.settings(), settings).expect("the host's folder can be written");
        let mut dockerd = self.namespace().command(self.engine.dockerd());
        dockerd
            // What is in the file may not be an option as well.
            .args(self.dockerd_options().iter().filter(|option| {
                let name = option.trim_start_matches('-').split('=').next().unwrap_or_default();
                !settings.contains(&format!("\"{name}\""))
            }))
            .env("PATH", self.engine.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            // A group of its own: a ^C for the tests leaves the taking down to them.
            .process_group(0);
        self.dockerd = Some(dockerd.spawn().expect("nsenter starts"));
        eventually("the engine answers", || {
            let dockerd = self.dockerd.as_mut().expect("it was just set");
            if let Ok(Some(status)) = dockerd.try_wait() {
                panic!("dockerd: {status}\n{}", tail(&self.folder.join("dockerd.log")));
            }
            if !self.socket().exists() {
                return Err("no socket yet".to_owned());
            }
            try_run(self.docker_command().arg("version"))
        });
    }

    fn dockerd_options(&self) -> Vec<String> {
        let folder = self.folder.display();
        [
            format!("--config-file={}", self.settings().display()),
            format!("--data-root={folder}/data"),
            format!("--exec-root={folder}/exec"),
            format!("--pidfile={folder}/dockerd.pid"),
            format!("--host={}", self.docker_host()),
            // By their control group the host's containers are found again.
            "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
            format!("--cgroup-parent=/{}", self.namespace().name()),
            // Before 27 IPv6's rules are an experiment.
            "--experimental".to_owned(),
            "--ip6tables".to_owned(),
            "--ipv6".to_owned(),
            "--fixed-cidr-v6=fd17::/64".to_owned(),
        ]
        .into()
    }

    /// Stops the engine as a service manager does, and waits until it is gone.
    pub fn stop_engine(&mut self) {
        let mut dockerd = self.dockerd.take().expect("the engine runs");
        signal(&dockerd, Signal::TERM);
        eventually("the engine stops", || match dockerd.try_wait() {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Kills the engine, without a word. Its containers go on.
    pub fn kill_engine(&mut self) {
        let mut dockerd = self.dockerd.take().expect("the engine runs");
        signal(&dockerd, Signal::KILL);
        dockerd.wait().expect("it is our child");
        // containerd dies with it. A new engine would take it for alive as long as nobody
        // has buried it, and would wait for it in vain.
        let file = self.folder.join("exec/containerd/containerd.pid");
        let pid = fs::read_to_string(&file).ok().and_then(|pid| pid.trim().parse().ok());
        eventually("containerd is dead", || ensure(pid.is_none_or(leftovers::is_dead), pid));
        let _ = fs::remove_file(file);
    }

    /// The next attacker.
    pub fn attacker(&self) -> Attacker {
        let number = self.attackers.fetch_add(1, Ordering::Relaxed) + 1;
        Attacker::new(self.namespace(), number)
    }

    /// The namespace in which it lives.
    pub fn namespace(&self) -> &Namespace {
        self.namespace.as_ref().expect("it is there until the host is dropped")
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A second folder of its own, which users that are not root can reach as well.
    pub fn reachable_folder(&self) -> PathBuf {
        let folder = leftovers::reachable().join(self.namespace().name());
        fs::create_dir_all(&folder).expect("/var/tmp can be written");
        folder
    }

    /// Its engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("daemon.json")
    }

    /// What `DOCKER_HOST` is for its engine.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The client, for its engine.
    pub fn docker_command(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.docker_host()).env("PATH", self.engine.path());
        command
    }

    /// Runs the client; panics if it fails.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        run(self.docker_command().args(arguments)).trim_end().to_owned()
    }

    /// Runs a command in the host's network; panics if it fails.
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> String {
        run(self.namespace().command(command[0]).args(&command[1..]))
    }

    /// Has nft carry out these lines in the host's network; panics if it fails.
    #[track_caller]
    pub fn nft(&self, lines: &str) {
        let file = self.folder.join("lines.nft");
        fs::write(&file, lines).expect("the host's folder can be written");
        self.run(&["nft", "-f", &file.display().to_string()]);
    }

    /// `iptables -L CHAIN -n --line-numbers`, or `ip6tables`, without its two lines of
    /// headings; empty when there is no such chain.
    pub fn rules(&self, tool: &str, chain: &str) -> Vec<String> {
        let arguments = ["-w", "5", "-L", chain, "-n", "--line-numbers"];
        let listed = try_run(self.namespace().command(tool).args(arguments));
        listed.unwrap_or_default().lines().skip(2).map(str::to_owned).collect()
    }

    /// Everything that bears guard's mark or name in the kernel: rules of both
    /// families, sets, and tables.
    pub fn traces_of_guard(&self) -> Vec<String> {
        let sources: [(&str, &[&str]); 4] = [
            ("iptables-save", &[]),
            ("ip6tables-save", &[]),
            ("ipset", &["list", "-n"]),
            ("nft", &["list", "tables"]),
        ];
        sources
            .iter()
            .filter_map(|(tool, args)| try_run(self.namespace().command(tool).args(*args)).ok())
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| line.contains("f2b") || line.contains("guard"))
            .collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("GUARD_TEST_KEEP_LOGS").is_some() {
            keep_logs(&self.folder);
        }
        if let Some(namespace) = self.namespace.take() {
            leftovers::remove(namespace.name());
            // The name is gone already.
            std::mem::forget(namespace);
        }
        if let Some(mut dockerd) = self.dockerd.take() {
            let _ = dockerd.wait();
        }
    }
}

/// Sends a signal to a child that was not waited for, so that its id is still its own.
pub fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it is our child");
}

/// Puts the logs of a test where they survive it, and says where: of one that failed,
/// or of all if `GUARD_TEST_KEEP_LOGS` is set.
fn keep_logs(folder: &Path) {
    let kept = leftovers::testbed().join("logs").join(folder.file_name().unwrap_or_default());
    let _ = fs::create_dir_all(&kept);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            let _ = fs::copy(entry.path(), kept.join(entry.file_name()));
        }
    }
    eprintln!("logs of the engine and of guard: {}", kept.display());
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
