//! Containers that write numbered lines to their output.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ledger::{Numbers, numbers_in};
use crate::support::{Host, Service};

/// The name of the program in them, and of its image.
pub(crate) const PROGRAM: &str = "writer";
/// Its source.
pub(crate) const SOURCE: &str = "tests/soak/writer.rs";

/// A container that writes.
pub(crate) struct OutputWriter {
    pub(crate) name: &'static str,
    pub(crate) container: String,
    service: Service,
    state: PathBuf,
    /// What Docker had kept of its former containers.
    kept_before: Numbers,
    /// A former container that has stopped, and what Docker had of it.
    former: Option<(String, Numbers)>,
    burst: u64,
}

/// How a writer differs from the others.
struct Kind {
    name: &'static str,
    /// Options of `docker run`.
    options: &'static [&'static str],
    /// Arguments of the program.
    arguments: &'static [&'static str],
    /// So many lines make a burst.
    burst: u64,
}

/// More than the engine is asked for when a stream is attached anew.
const BURST: u64 = 1000;

/// A log that is rotated while it is followed is not to be rotated twice before the
/// engine itself has noticed, or the engine skips what lies between: so its bursts are
/// small. So are those of long lines, for the sake of slow machines.
const KINDS: [Kind; 6] = [
    Kind { name: "plain", options: &[], arguments: &[], burst: BURST },
    Kind {
        name: "long",
        options: &[],
        arguments: &["--long", "6", "--pause", "60", "--v6"],
        burst: BURST / 10,
    },
    Kind { name: "tty", options: &["--tty"], arguments: &["--long", "40"], burst: BURST },
    Kind {
        name: "local",
        options: &["--log-driver=local"],
        arguments: &["--long", "50", "--v6"],
        burst: BURST,
    },
    Kind {
        name: "rotated",
        options: &["--log-opt=max-size=100k", "--log-opt=max-file=500"],
        arguments: &[],
        burst: BURST / 10,
    },
    Kind {
        name: SCARCE,
        options: &["--log-opt=max-size=40k", "--log-opt=max-file=2"],
        arguments: &[],
        burst: BURST,
    },
];

/// The writer whose log Docker keeps a few hundred lines of.
pub(crate) const SCARCE: &str = "scarce";

impl OutputWriter {
    /// Runs one of each kind, with their states in `folder`.
    pub(crate) fn run_all(
        host: &Host,
        folder: &Path,
        labels: &[(&str, &str)],
    ) -> Vec<OutputWriter> {
        let writers = KINDS.iter().map(|kind| {
            let name = kind.name;
            let mut service = Service::compose("soak", name, 1)
                .program(PROGRAM)
                .option("--restart", "always")
                .mount(&format!("{}:/state", folder.display()))
                .guarded(labels)
                .arguments(&[&format!("/state/{name}")])
                .arguments(kind.arguments);
            for option in kind.options {
                service = service.flag(option);
            }
            OutputWriter {
                name,
                container: service.run(host),
                service,
                state: folder.join(name),
                kept_before: Numbers::new(),
                former: None,
                burst: kind.burst,
            }
        });
        writers.collect()
    }

    /// Its jail.
    pub(crate) fn jail(&self) -> String {
        format!("soak-{}", self.name)
    }

    /// Asks for many lines at once.
    pub(crate) fn burst(&self) {
        let file = self.state.with_extension("asked");
        fs::write(&file, self.burst.to_string()).expect("it is ours");
        fs::rename(file, self.state.with_extension("burst")).expect("the same folder");
    }

    /// What Docker has kept of it, of all its containers.
    pub(crate) fn kept(&self, host: &Host) -> Numbers {
        let mut kept = logs(host, &self.container);
        kept.extend(&self.kept_before);
        kept.extend(self.former.iter().flat_map(|(_, kept)| kept));
        kept
    }

    /// Stops its container and runs another one; the former is still there. What Docker
    /// had of it.
    pub(crate) fn replace(&mut self, host: &Host) -> &Numbers {
        let former = format!("{}-former", self.container);
        host.docker(&["stop", "--time", "0", &self.container]);
        host.docker(&["rename", &self.container, &former]);
        self.service.run(host);
        let kept = logs(host, &former);
        &self.former.insert((former, kept)).1
    }

    /// Removes the former container.
    pub(crate) fn remove_former(&mut self, host: &Host) {
        if let Some((former, kept)) = self.former.take() {
            self.kept_before.extend(kept);
            host.docker(&["rm", &former]);
        }
    }

    /// What it wrote for sure, and what it may have written.
    pub(crate) fn written(&self) -> (Numbers, Numbers) {
        let state = fs::read(&self.state).unwrap_or_default();
        let number = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap_or_default());
        let (begun, done) = state.split_at_checked(8).unwrap_or_default();
        let (begun, done) = (number(begun), number(done));
        let list = fs::read_to_string(self.state.with_extension("unsure")).unwrap_or_default();
        let mut unsure: Numbers = list.lines().filter_map(|line| line.parse().ok()).collect();
        unsure.extend((begun != done).then_some(begun));
        let written = (1..=done).filter(|number| !unsure.contains(number)).collect();
        (written, unsure)
    }
}

/// The lines that Docker has of a container.
fn logs(host: &Host, container: &str) -> Numbers {
    let output = host.docker_command().args(["logs", container]).output();
    let output = output.expect("docker starts");
    assert!(output.status.success(), "docker logs {container}: {output:?}");
    let read = |log: &[u8]| numbers_in(&String::from_utf8_lossy(log));
    let mut numbers = read(&output.stdout);
    numbers.append(&mut read(&output.stderr));
    numbers
}
