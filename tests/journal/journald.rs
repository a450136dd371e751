//! A real journald of its own: in a mount namespace, with its folders in a temporary one.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guard::journal::JournalFolders;
use serde_json::Value;
use tempfile::TempDir;

/// The unpacked programs (`scripts/journal-tools.sh`), named by `GUARD_TEST_JOURNAL` or
/// found in cargo's target folder. `None`: the test can't run, and says so, or fails
/// if `GUARD_TEST_REQUIRE` lists `journal`.
pub(crate) fn tools(test: &str) -> Option<Tools> {
    let named = std::env::var_os("GUARD_TEST_JOURNAL").map(PathBuf::from);
    let left = || {
        let target = std::env::current_exe().ok()?;
        // target/debug/deps/journal-…
        let tools = target.ancestors().nth(3)?.join("journal-tools");
        let mut trees = std::fs::read_dir(tools).ok()?.flatten().map(|e| e.path().join("tree"));
        trees.find(|tree| tree.is_dir())
    };
    let root = rustix::process::geteuid().is_root();
    let reason = match named.or_else(left) {
        Some(tree) if root => return Some(Tools { tree }),
        Some(_) => "not root",
        None => "no unpacked systemd (scripts/journal-tools.sh)",
    };
    let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|what| what == "journal"), "{test}: {reason}");
    eprintln!("SKIPPED {test}: {reason}");
    None
}

/// The programs of one version of systemd.
#[derive(Clone)]
pub(crate) struct Tools {
    tree: PathBuf,
}

impl Tools {
    fn command(&self, name: &str) -> PathBuf {
        let path = self.tree.join(name);
        if path.exists() { path } else { self.tree.join("usr").join(name) }
    }

    fn libraries(&self) -> String {
        let folder = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let folder = self.tree.join(folder);
        format!("{}:{}", folder.display(), folder.join("systemd").display())
    }

    /// journalctl outside of any namespace.
    pub(crate) fn journalctl(&self) -> Command {
        let mut command = Command::new(self.command("bin/journalctl"));
        command.env("LD_LIBRARY_PATH", self.libraries());
        command
    }
}

/// How journald writes.
pub(crate) struct Setup {
    pub(crate) compact: &'static str,
    pub(crate) compress: &'static str,
    pub(crate) keyed: &'static str,
    /// Further lines of journald.conf.
    pub(crate) config: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { compact: "1", compress: "ZSTD", keyed: "1", config: "Storage=persistent" }
    }
}

/// A running journald.
pub(crate) struct Journald {
    tools: Tools,
    folder: TempDir,
    process: Child,
    socket: UnixDatagram,
}

impl Journald {
    pub(crate) fn start(tools: &Tools, setup: &Setup) -> Journald {
        let folder = TempDir::new().unwrap();
        // Other users log too.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["run/systemd/journal", "run/systemd/journald.conf.d", "run/log", "log"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        let config = format!(
            "[Journal]\nRateLimitBurst=0\nReadKMsg=no\nAudit=no\nSyncIntervalSec=1s\n{}\n",
            setup.config
        );
        std::fs::write(at("run/systemd/journald.conf.d/test.conf"), config).unwrap();
        // The own end of a test that was killed comes by `timeout`.
        let script = "mount --make-rprivate / && mount --bind \"$0/run\" /run && \
                      mount --bind \"$0/log\" /var/log && exec timeout 600 \"$1\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script])
            .arg(folder.path())
            .arg(tools.command("lib/systemd/systemd-journald"))
            .env("LD_LIBRARY_PATH", tools.libraries())
            .env("SYSTEMD_JOURNAL_COMPACT", setup.compact)
            .env("SYSTEMD_JOURNAL_COMPRESS", setup.compress)
            .env("SYSTEMD_JOURNAL_KEYED_HASH", setup.keyed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let process = command.spawn().unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        let journald = Journald { tools: tools.clone(), folder, process, socket };
        let begun = Instant::now();
        let socket = journald.at("run/systemd/journal/socket");
        let control = journald.at("run/systemd/journal/io.systemd.journal");
        while !control.exists() || journald.socket.connect(&socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "journald does not start");
            std::thread::yield_now();
        }
        if setup.config.contains("persistent") {
            // A clean beginning: what it writes comes to files under `/var` alone.
            journald.control("--flush");
            journald.control("--rotate");
            let old = |file: &PathBuf| file.to_string_lossy().contains('@');
            for file in journald.files().iter().filter(|file| old(file)) {
                std::fs::remove_file(file).unwrap();
            }
        }
        journald
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where guard is to look.
    pub(crate) fn folders(&self) -> JournalFolders {
        JournalFolders {
            roots: vec![self.at("log/journal"), self.at("run/log/journal")],
            machine: None,
        }
    }

    /// The files that there are.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let machines = self.folders().roots.into_iter().filter_map(|root| root.read_dir().ok());
        let folders = machines.flatten().flatten().map(|entry| entry.path());
        let files = folders.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        files.map(|entry| entry.path()).collect()
    }

    /// Those that were rotated away under `/var`, the oldest first.
    pub(crate) fn archived(&self) -> Vec<PathBuf> {
        let mut files = self.files();
        let var = self.at("log");
        files.retain(|file| file.starts_with(&var) && file.to_string_lossy().contains('@'));
        files.sort();
        files
    }

    /// Allows the journal under `/var`, of which journald makes use from `--flush` on.
    pub(crate) fn make_persistent_folder(&self) {
        std::fs::create_dir(self.at("log/journal")).unwrap();
    }

    /// Has journalctl tell journald something: `--sync`, `--rotate`, `--flush`, …
    pub(crate) fn control(&self, order: &str) {
        let output = Command::new("nsenter")
            .args(["--mount", "--target"])
            .arg(self.process.id().to_string())
            .arg(self.tools.command("bin/journalctl"))
            .args(order.split(' '))
            .env("LD_LIBRARY_PATH", self.tools.libraries())
            .output()
            .unwrap();
        assert!(output.status.success(), "{order}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Logs an entry with these fields, values of any bytes.
    pub(crate) fn log(&self, fields: &[(&str, &[u8])]) {
        self.socket.send(&datagram(fields)).unwrap();
    }

    /// The same, text only, by another user, whose entries have a file of their own.
    pub(crate) fn log_as(&self, user: u32, fields: &[(&str, &str)]) {
        let mut child = Command::new("nsenter")
            .args(["--mount", "--target", &self.process.id().to_string(), "setpriv"])
            .args(["--clear-groups", &format!("--reuid={user}"), "--regid=65534"])
            .args(["logger", "--journald"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text: String = fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// All entries that fit, as journalctl has them.
    pub(crate) fn entries(&self, terms: &[&str]) -> Vec<Value> {
        self.control("--sync");
        let mut command = self.tools.journalctl();
        for file in self.files() {
            command.arg("--file").arg(file);
        }
        let output = command
            .args(["--output=json", "--all", "--no-pager", "--quiet"])
            .args(terms)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

/// An entry in journald's native form.
fn datagram(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    bytes
}
