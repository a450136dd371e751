//! Which Docker engines the tests run on, and whether they can run at all.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::leftovers;

/// Folders that root's PATH lacks on some machines.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/sbin"];

/// A Docker engine: where its programs are.
#[derive(Clone, Debug)]
pub struct Engine {
    /// What it is called in messages.
    pub name: String,
    /// The folder of `dockerd`; what it starts is there, or in `bin` beside it, or
    /// in `PATH`. `None`: all of it is in `PATH`.
    folder: Option<PathBuf>,
    /// A folder with programs that go before all others.
    tools: Option<PathBuf>,
}

impl Engine {
    /// `PATH`, with the engine's own programs first.
    pub fn path(&self) -> OsString {
        let mut folders = Vec::from_iter(self.tools.clone());
        if let Some(folder) = &self.folder {
            folders.push(folder.clone());
            folders.extend(folder.parent().map(|up| up.join("bin")));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        folders.extend(SYSTEM.map(PathBuf::from));
        std::env::join_paths(folders).expect("no folder in PATH has a colon in its name")
    }

    /// The same engine, for which `iptables` means iptables-legacy.
    pub fn with_legacy_iptables(&self) -> Engine {
        // Named as a host is, so that it is swept away with those of this program.
        let folder = leftovers::testbed().join(leftovers::host_name(9998)).join(&self.name);
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        for family in ["iptables", "ip6tables"] {
            for action in ["", "-save", "-restore"] {
                let tool = format!("{family}-legacy{action}");
                let real = find(&tool).unwrap_or_else(|| panic!("no {tool} in PATH"));
                let link = folder.join(format!("{family}{action}"));
                match std::os::unix::fs::symlink(real, link) {
                    // By another test, at the same time.
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    made => made.expect("the folder can be written"),
                }
            }
        }
        Engine { tools: Some(folder), ..self.clone() }
    }

    /// The folder of its `dockerd`.
    pub fn folder(&self) -> PathBuf {
        let path = self.path();
        let mut folders = std::env::split_paths(&path);
        folders.find(|folder| is_file(&folder.join("dockerd"))).expect("it is in the path")
    }

    /// The engine's `dockerd`, as a command.
    pub fn dockerd(&self) -> PathBuf {
        self.folder.as_ref().map_or("dockerd".into(), |folder| folder.join("dockerd"))
    }
}

/// The engines to test with: those of `GUARD_TEST_ENGINES` (`NAME=FOLDER`, separated
/// by commas; each folder holds a `dockerd`), else the one in `PATH`. None where the
/// machine cannot run them: then it has said so.
pub fn engines(test: &str) -> Vec<Engine> {
    if let Some((needed, reason)) = missing() {
        skip(test, needed, &reason);
        return Vec::new();
    }
    match std::env::var("GUARD_TEST_ENGINES") {
        Ok(list) if !list.is_empty() => list.split(',').map(named).collect(),
        _ => vec![Engine { name: "installed".to_owned(), folder: None, tools: None }],
    }
}

fn named(entry: &str) -> Engine {
    let (name, folder) = entry
        .split_once('=')
        .unwrap_or_else(|| panic!("GUARD_TEST_ENGINES: `{entry}` is not NAME=FOLDER"));
    let folder = PathBuf::from(folder);
    assert!(folder.join("dockerd").is_file(), "GUARD_TEST_ENGINES: no dockerd in {folder:?}");
    Engine { name: name.to_owned(), folder: Some(folder), tools: None }
}

/// What the machine lacks, and the word with which `GUARD_TEST_REQUIRE` asks for it.
fn missing() -> Option<(&'static str, String)> {
    if !rustix::process::geteuid().is_root() {
        return Some(("root", "needs root".to_owned()));
    }
    let engine_given = std::env::var("GUARD_TEST_ENGINES").is_ok_and(|list| !list.is_empty());
    for program in ["docker", "dockerd", "ip", "nsenter", "iptables"] {
        if find(program).is_none() && !(engine_given && program == "dockerd") {
            return Some(("docker", format!("no `{program}` in PATH")));
        }
    }
    None
}

/// Where a program is, for root.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| is_file(path))
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Says that a test is skipped, or panics where `GUARD_TEST_REQUIRE` names what it needs.
pub fn skip(test: &str, needed: &str, reason: &str) {
    let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word.trim() == needed),
        "{test}: {reason}, and GUARD_TEST_REQUIRE={required}"
    );
    // Not by `eprintln!`, which the test harness swallows when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}
