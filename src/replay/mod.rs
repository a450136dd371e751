//! What guard would have done with a log. (pure)
//!
//! Failures of any number of sources are gathered first, then put in the order of
//! their times and judged by the very [`Warden`] that runs in the daemon, whose
//! clock they are: bans begin, end and are prolonged in simulated time. Nothing it
//! wants of firewall and store is done.
//!
//! ```text
//!  lines ─Judge─▶ failures ─sorted─▶ Warden (time = theirs) ─▶ Tried
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod overlay;
mod play;

use std::sync::Arc;

pub use overlay::overlay;

use crate::model::{Hop, JailRules, Network, Timestamp};

/// Most failures that are gathered; what comes after is dropped, and counted.
const MAX_FAILURES: usize = 1_000_000;

/// So much of a line is shown, in bytes.
const LINE: usize = 300;

/// So much of all lines is kept, in bytes; beyond, bans are shown without theirs.
const MAX_TEXT: usize = 64 << 20;

/// Failures on their way to be judged in the order of their times.
#[derive(Debug)]
pub struct Replay {
    jails: Vec<Gathered>,
    failures: Vec<Failed>,
    /// Failures before this are of no interest.
    since: Option<Timestamp>,
    text: usize,
    dropped: u64,
}

/// What was gathered of one jail.
#[derive(Debug)]
struct Gathered {
    rules: Arc<JailRules>,
    lines: u64,
    nobody: u64,
}

#[derive(Debug)]
struct Failed {
    at: Timestamp,
    jail: usize,
    network: Network,
    /// What proxies passed on.
    forwarded: Vec<Hop>,
    line: Option<Box<str>>,
    /// It was no failure, but a login.
    login: bool,
}

impl Replay {
    /// Will judge by these jails; what they are called here is their place in the
    /// list. Failures before `since` don't count.
    pub fn new(jails: Vec<Arc<JailRules>>, since: Option<Timestamp>) -> Replay {
        let gathered = |rules| Gathered { rules, lines: 0, nobody: 0 };
        let jails = jails.into_iter().map(gathered).collect();
        Replay { jails, failures: Vec::new(), since, text: 0, dropped: 0 }
    }

    /// The jail read so many lines more.
    pub fn lines(&mut self, jail: usize, count: u64) {
        self.jails[jail].lines += count;
    }

    /// How many lines were read.
    pub fn total(&self) -> u64 {
        self.jails.iter().map(|jail| jail.lines).sum()
    }

    /// A line of the jail's was a failure of somebody who has no address.
    pub fn nobody(&mut self, jail: usize) {
        self.jails[jail].nobody += 1;
    }

    /// A line of the jail's was a failure.
    pub fn failure(
        &mut self,
        jail: usize,
        (network, forwarded, at): (Network, &[Hop], Timestamp),
        line: &str,
    ) {
        if self.since.is_some_and(|since| at < since) {
            return;
        }
        if self.failures.len() >= MAX_FAILURES {
            self.dropped += 1;
            return;
        }
        let cut = &line[..line.floor_char_boundary(LINE)];
        let line = (self.text < MAX_TEXT).then(|| cut.into());
        self.text += cut.len();
        let forwarded = forwarded.to_vec();
        self.failures.push(Failed { at, jail, network, forwarded, line, login: false });
    }

    /// A line of the jail's says that somebody logged in.
    pub fn login(&mut self, jail: usize, (network, at): (Network, Timestamp)) {
        if self.failures.len() < MAX_FAILURES {
            let forwarded = Vec::new();
            let login = Failed { at, jail, network, forwarded, line: None, login: true };
            self.failures.push(login);
        }
    }
}
