//! The test bed: Docker hosts of their own, attackers on other machines, and guard.
//!
//! A [`Host`] is a network namespace with a Docker engine of its own in it: its own
//! firewall, its own images, its own `--network host`. An [`Attacker`] is another
//! namespace with a cable to it. Nothing in here touches the machine's own Docker or
//! firewall, tests run side by side, and what a test leaves behind, even one that
//! was killed, is removed by the next one.
//!
//! It needs root and `dockerd`; see [`engines`] for which engines are used. The
//! service that is attacked is `tests/login-service`, compiled and imported as an
//! image without a base, so that no registry is needed.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::panic,
    reason = "each test program uses its own part of the bed, and a bed reports by panicking"
)]

mod attacker;
mod engine;
mod guard;
pub mod guard_image;
mod host;
mod http;
mod image;
mod leftovers;
mod namespace;
mod service;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub use attacker::{Attacker, Client, Echo, Family, goes_on, is_cut};
pub use engine::{Engine, engines, find, skip};
pub use guard::{Ctl, Guard, JailStatus, Watch};
pub use host::Host;
pub use http::{Connection, Outcome, ping};
pub use namespace::Namespace;
pub use service::{FLASK, FLASK_REGEX, OWNCLOUD, OWNCLOUD_REGEX, Service};

/// How long the world may take before a test gives up on it. Generous, because it
/// only costs time when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Runs a test on each engine, one after the other. Where engines cannot be had it
/// says so, loudly, or fails if `GUARD_TEST_REQUIRE` asks for it.
pub fn on_every_engine(name: &str, test: impl Fn(&Engine)) {
    for engine in engines(name) {
        eprintln!("{name}: engine {}", engine.name);
        test(&engine);
    }
}

/// Tries until `attempt` yields something; panics with its last complaint when
/// [`PATIENCE`] is over.
#[track_caller]
pub fn eventually<T>(what: &str, attempt: impl FnMut() -> Result<T, String>) -> T {
    within(PATIENCE, what, attempt)
}

/// [`eventually`], with another deadline.
#[track_caller]
pub fn within<T>(
    patience: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        let complaint = match attempt() {
            Ok(found) => {
                tell_of_delay(start, what);
                return found;
            }
            Err(complaint) => complaint,
        };
        if start.elapsed() >= patience {
            panic!("not within {patience:?}: {what}; at last: {complaint}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says where a test's time goes, to those who look at its output.
fn tell_of_delay(start: Instant, what: &str) {
    let time = start.elapsed();
    if time > Duration::from_secs(1) {
        eprintln!("  {:.1} s until {what}", time.as_secs_f32());
    }
}

/// `Ok` if it holds, else what was seen.
pub fn ensure(holds: bool, seen: impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{seen:?}")) }
}

/// Runs a command and gives what it printed; panics, with all it said, if it fails.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    match try_run(command) {
        Ok(text) => text,
        Err(complaint) => panic!("{complaint}"),
    }
}

/// Runs a command: what it printed, or why it failed.
pub fn try_run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", told(&output)))
    }
}

/// How a command ended and what it said.
fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
