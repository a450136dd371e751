//! What keeps guard from doing its work, and what to do about it. (pure)
//!
//! [`daemon`](crate::daemon) gathers [`Facts`]; here they become findings, worst first.
//! A finding that says "warning" has a proof: it names what was seen. What may well be
//! meant so is a note.
//!
//! ```text
//!  engine, process, containers ─▶ Facts ─┬─ surroundings ─┬─▶ findings
//!  warden, jails, firewall, store ───────┴─ jails ────────┘
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod containers;
mod engine;
mod facts;
mod jails;
mod platform;
mod probe;
mod process;
#[cfg(test)]
mod tests;

pub use facts::{Data, Facts, JailFacts, Metrics, Missed, Probe, Process, Running};
pub use platform::platform;
pub use probe::Prober;

use crate::model::{Finding, Level};

/// Most findings; of more, the least bad are left out.
const MAX_FINDINGS: usize = 300;

/// Everything, worst first.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = surroundings(facts);
    if let Some(running) = &facts.running {
        jails::general(running, &mut found);
        for jail in &running.jails {
            jails::jail(jail, facts, &mut found);
        }
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    found.truncate(MAX_FINDINGS);
    found
}

/// What lies around guard: the engine, its process, its container, how those that it
/// guards are set up. All else a running guard tells by itself when it happens.
pub fn surroundings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    engine::engine(facts, &mut found);
    let engine = facts.engine.as_ref().ok().map(|engine| &engine.platform);
    found.extend(platform(engine, &facts.process.platform));
    process::process(facts, &mut found);
    containers::own(facts, &mut found);
    containers::guarded(facts, &mut found);
    found
}

/// The worst of them.
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or_default()
}

/// Does guardctl exit with 1 for it?
pub fn is_bad(level: Level) -> bool {
    level >= Level::Warning
}
