//! Metrics: what is counted on the way, the look at everything, and where it is served.
//!
//! | file | |
//! |---|---|
//! | `mod` | [`Meters`]: counters that the warden's task, the jails' task and followers share |
//! | `scrape` | a snapshot of everything, made anew at most four times a second |
//! | `serve` | the listener, which is tried again where it can't be had |

mod scrape;
mod serve;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(crate) use self::scrape::Scraper;
pub(crate) use self::serve::{Served, Server, at, open_words};
use super::wanted::What;
use crate::model::{Event, JailName, Network, Record};
use crate::report::metrics::{Ledger, SourceCounters, SourceKind, WardenTotals};
use crate::warden::JailView;

/// The counters. A mutex, held for as long as a few numbers take, and never across an
/// await: a scrape can make nobody wait.
#[derive(Debug)]
pub(crate) struct Meters {
    ledger: Mutex<Ledger<Instant>>,
    /// Is there anybody to tell them?
    on: bool,
}

impl Meters {
    pub(crate) fn new(on: bool) -> Meters {
        Meters { ledger: Mutex::default(), on }
    }

    /// Counts what the warden told, and wants to be remembered, in one turn; `read` is
    /// when the line was read that led to it, if it was one.
    pub(crate) fn note(&self, records: &[Record], events: &[Event], read: Option<Instant>) {
        if self.on && !(records.is_empty() && events.is_empty()) {
            self.lock().note(records, events.iter().map(|event| &event.news), read);
        }
    }

    /// Counts bans that were taken over from another program.
    pub(crate) fn imported(&self, jail: &JailName, made: u64, prolonged: u64) {
        if self.on {
            self.lock().imported(jail, made, prolonged);
        }
    }

    /// The kernel has had these bans since `at`.
    pub(crate) fn in_force(&self, bans: &[(JailName, Network)], at: Instant) {
        if self.on {
            self.lock().in_force(bans, |read| at.saturating_duration_since(read));
        }
    }

    /// Takes in what the warden counted of a jail, before the jail goes.
    pub(crate) fn sync(&self, jail: Option<JailView<'_>>) {
        if let Some(jail) = jail.filter(|_| self.on) {
            self.lock().sync(jail.name(), totals(jail));
        }
    }

    /// Where the followers of such sources count.
    pub(crate) fn sources(&self, jail: &JailName, what: &What) -> Arc<SourceCounters> {
        if !self.on {
            return Arc::default();
        }
        let kind = match what {
            What::Output(_) => SourceKind::Output,
            What::Files(_) => SourceKind::File,
            What::Journal(_) => SourceKind::Journal,
        };
        self.lock().sources(jail, kind)
    }

    fn lock(&self) -> MutexGuard<'_, Ledger<Instant>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn totals(jail: JailView<'_>) -> WardenTotals {
    let dropped = jail.dropped();
    WardenTotals { ignored: jail.ignored(), evicted: [dropped.once, dropped.more] }
}
