//! A host whose containers run scripts, and guard's eyes on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use guard::docker::{
    Change, Discovery, Engine, OutputBatch, OutputChoice, OutputReader, OutputStart, discover,
};
use guard::model::{Container, Line, Position};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{Host, find, on_every_engine, run, skip};

/// How long the world may take before a test gives up on it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// What the labels of [`LABEL`] begin with.
pub(crate) const PREFIX: &str = "guardtest.";

/// A label that makes a container one of guard's.
pub(crate) const LABEL: [&str; 2] = ["--label", "guardtest.x=1"];

/// An image with a shell and nothing else.
const IMAGE: &str = "busybox";

/// A host with that image.
pub(crate) struct Lab {
    host: Host,
}

/// Runs cases on each engine, one engine after the other; says so where it can't.
#[expect(clippy::needless_pass_by_value, reason = "a closure is written in its place")]
pub(crate) fn in_every_lab(test: &str, cases: impl AsyncFn(&mut Lab)) {
    let Some(busybox) = find("busybox") else {
        return skip(test, "docker", "no `busybox` in PATH");
    };
    on_every_engine(test, |engine| {
        let mut host = Host::without_engine(engine);
        host.start_engine();
        let mut lab = Lab { host };
        lab.import(&busybox);
        // Gone before the host is, with all it has spawned.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(cases(&mut lab));
    });
}

impl Lab {
    fn import(&self, busybox: &Path) {
        let root = self.host.folder().join("busybox");
        for folder in ["bin", "tmp", "etc"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
        let archive = self.host.folder().join("busybox.tar");
        run(std::process::Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&archive)
            .arg("."));
        self.docker(&["import", archive.to_str().unwrap(), IMAGE]);
    }

    /// Runs the client; panics if it fails.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        self.host.docker(arguments)
    }

    /// Runs a container of this name, with more of `docker run`'s arguments, and a
    /// shell script in it.
    #[track_caller]
    pub(crate) fn run(&self, name: &str, arguments: &[&str], script: &str) {
        let mut all = vec!["run", "-d", "--name", name];
        all.extend(arguments);
        all.extend([IMAGE, "/bin/busybox", "sh", "-c", script]);
        self.docker(&all);
    }

    /// The client, to be run by oneself.
    pub(crate) fn docker_command(&self) -> std::process::Command {
        self.host.docker_command()
    }

    /// Stops the engine and starts it with other settings (`daemon.json`).
    pub(crate) fn restart_engine(&mut self, settings: &str) {
        self.host.stop_engine();
        self.host.start_engine_with(settings);
    }

    /// Where a container's `json-file` lies.
    pub(crate) fn log_file(&self, name: &str) -> PathBuf {
        self.docker(&["inspect", "-f", "{{.LogPath}}", name]).into()
    }

    /// Where its engine listens, as `DOCKER_HOST` has it.
    pub(crate) fn docker_host(&self) -> String {
        self.host.docker_host()
    }

    /// Its engine's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.host.socket()
    }

    /// Its engine, and a container of this name, as discovery tells them.
    pub(crate) async fn found(&self, name: &str) -> (Engine, Container) {
        let mut watching = Watching::start(&self.docker_host());
        let engine = watching
            .wait("connected", |change| match change {
                Change::Connected(engine) => Some(engine),
                _ => None,
            })
            .await;
        (engine, watching.container(name, |container| *container.name == *name).await)
    }
}

/// What discovery tells.
pub(crate) struct Watching {
    changes: mpsc::Receiver<Change>,
    cancel: CancellationToken,
}

impl Watching {
    pub(crate) fn start(docker_host: &str) -> Self {
        let (sender, changes) = mpsc::channel(64);
        let cancel = CancellationToken::new();
        let discovery = Discovery { prefix: PREFIX.into(), host: Some(docker_host.to_owned()) };
        tokio::spawn(discover(discovery, sender, cancel.clone()));
        Watching { changes, cancel }
    }

    /// The first change that `wanted` makes something of.
    pub(crate) async fn wait<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(Change) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let change = self.changes.recv().await.unwrap();
                if let Some(found) = wanted(change) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| panic!("never told: {what}"))
    }

    pub(crate) async fn container(
        &mut self,
        what: &str,
        wanted: impl Fn(&Container) -> bool,
    ) -> Container {
        self.wait(what, |change| match change {
            Change::Appeared(container) if wanted(&container) => Some(*container),
            _ => None,
        })
        .await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// A reader of all that the container has written and will write.
pub(crate) fn all_output(engine: &Engine, container: &Container) -> OutputReader {
    engine.output(container, &OutputStart::After(Position::OUTPUT_START), OutputChoice::Both)
}

/// All lines until the container has ended.
pub(crate) async fn to_the_end(reader: &mut OutputReader) -> Vec<Line> {
    let mut all = Vec::new();
    let read = async {
        loop {
            match reader.next().await.unwrap() {
                OutputBatch::Lines { lines, .. } => {
                    assert!(lines.len() <= 256);
                    all.extend(lines);
                }
                OutputBatch::News(_) => {}
                OutputBatch::Known(lines) => panic!("nothing is read again: {lines:?}"),
                OutputBatch::Ended => break,
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    all
}

/// So many lines, or a few more, of a container that runs on.
pub(crate) async fn lines(reader: &mut OutputReader, count: usize) -> Vec<Line> {
    let mut all = Vec::new();
    let read = async {
        while all.len() < count {
            match reader.next().await.unwrap() {
                OutputBatch::Lines { lines, .. } => all.extend(lines),
                OutputBatch::News(_) => {}
                OutputBatch::Known(lines) => panic!("nothing is read again: {lines:?}"),
                OutputBatch::Ended => panic!("ended after {} of {count} lines", all.len()),
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    all
}

pub(crate) fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}
