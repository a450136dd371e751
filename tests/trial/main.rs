//! `guardctl test`, `guardctl try --file` and `guardctl filters`, the programs, on real files: verdicts, what
//! people see, exit codes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value as Json, json};

mod filters;
mod json;
mod mistakes;
mod report;
mod tries;

/// A folder with a log in it, and filters.
struct World(tempfile::TempDir);

impl World {
    fn new(log: impl AsRef<[u8]>) -> World {
        let world = World(tempfile::tempdir().unwrap());
        fs::write(world.log(), log).unwrap();
        fs::create_dir(world.folder()).unwrap();
        world
    }

    /// The same with a filter `NAME.conf`.
    fn with(self, name: &str, text: &str) -> World {
        fs::write(self.folder().join(name), text).unwrap();
        self
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("app.log")
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("filter.d")
    }

    /// Runs guardctl; nothing of the tester's own filters and zone is seen.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardctl"));
        let path = self.folder().display().to_string();
        command.args(arguments).env_clear().env("TZ", "UTC").env("GUARD_FILTER_PATH", path);
        command
    }

    fn test(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&["test", "--now", "2026-03-01T12:00:00Z"]);
        command.args(arguments).arg(self.log()).output().unwrap()
    }

    /// The verdicts in JSON, one a line of the log.
    fn verdicts(&self, arguments: &[&str]) -> Vec<Json> {
        let output = self.test(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(text(&output.stderr), "");
        objects(&output)
    }
}

fn objects(output: &Output) -> Vec<Json> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// It ended with `code`, and said all of `words` on the stream for that.
#[track_caller]
fn check(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let told = text(if code == 0 { &output.stdout } else { &output.stderr });
    for words in words {
        assert!(told.contains(words), "{words:?} is not in:\n{told}");
    }
}

/// A filter with every kind of failregex.
const STORY: &str = "\
[Definition]
failregex = ^\\s*conn <F-MLFID>\\d+</F-MLFID> <F-NOFAIL>opened</F-NOFAIL> by <HOST>$
            ^\\s*conn <F-MLFID>\\d+</F-MLFID> refused <F-USER>\\S+</F-USER>$
            ^\\s*batch <F-TUPLE_CODE>\\d+</F-TUPLE_CODE>/<F-CODE>\\d+</F-CODE> <SUBNET>$
            ^\\s*token <F-ID>\\S+</F-ID> is wrong$
ignoreregex = refused probe$
";
