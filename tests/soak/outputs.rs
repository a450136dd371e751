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
}

/// How the writers differ: name, options of `docker run`, arguments of the program.
const KINDS: [(&str, &[&str], &[&str]); 5] = [
    ("plain", &[], &[]),
    ("long", &[], &["--long", "6", "--pause", "60", "--v6"]),
    ("tty", &["--tty"], &["--long", "40"]),
    ("local", &["--log-driver=local"], &["--long", "50", "--v6"]),
    ("rotated", &["--log-opt=max-size=40k", "--log-opt=max-file=500"], &[]),
];

impl OutputWriter {
    /// Runs one of each kind, with their states in `folder`.
    pub(crate) fn run_all(host: &Host, folder: &Path, labels: &[(&str, &str)]) -> Vec<OutputWriter> {
        let writers = KINDS.iter().map(|(name, options, arguments)| {
            let mut service = Service::compose("soak", name, 1)
                .program(PROGRAM)
                .option("--restart", "always")
                .mount(&format!("{}:/state", folder.display()))
                .guarded(labels)
                .arguments(&[&format!("/state/{name}")])
                .arguments(arguments);
            for option in *options {
                service = service.flag(option);
            }
            OutputWriter {
                name,
                container: service.run(host),
                service,
                state: folder.join(name),
                kept_before: Numbers::new(),
            }
        });
        writers.collect()
    }

    /// Its jail.
    pub(crate) fn jail(&self) -> String {
        format!("soak-{}", self.name)
    }

    /// Asks for so many lines at once.
    pub(crate) fn burst(&self, lines: u64) {
        let file = self.state.with_extension("asked");
        fs::write(&file, lines.to_string()).expect("it is ours");
        fs::rename(file, self.state.with_extension("burst")).expect("the same folder");
    }

    /// What Docker has kept of it, of all its containers.
    pub(crate) fn kept(&self, host: &Host) -> Numbers {
        let output = host.docker_command().args(["logs", &self.container]).output();
        let output = output.expect("docker starts");
        assert!(output.status.success(), "docker logs {}: {output:?}", self.container);
        let mut kept = self.kept_before.clone();
        for log in [output.stdout, output.stderr] {
            kept.append(&mut numbers_in(&String::from_utf8_lossy(&log)));
        }
        kept
    }

    /// Removes its container, which has stopped, and runs another one.
    pub(crate) fn recreate(&mut self, host: &Host) {
        self.kept_before = self.kept(host);
        host.docker(&["rm", &self.container]);
        self.service.run(host);
    }

    /// What it wrote for sure, and what it may have written.
    pub(crate) fn written(&self) -> (Numbers, Numbers) {
        let state = fs::read(&self.state).unwrap_or_default();
        let number = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap_or_default());
        let (begun, done) = match state.as_slice() {
            [state @ ..] if state.len() == 16 => (number(&state[..8]), number(&state[8..])),
            _ => (0, 0),
        };
        let list = fs::read_to_string(self.state.with_extension("unsure")).unwrap_or_default();
        let mut unsure: Numbers = list.lines().filter_map(|line| line.parse().ok()).collect();
        unsure.extend((begun != done).then_some(begun));
        let written = (1..=done).filter(|number| !unsure.contains(number)).collect();
        (written, unsure)
    }
}
