//! The breaker: a jail that bans hundreds within a minute is flooded with forged
//! addresses, or its regex is wrong. Further bans wait until the minute is over.

use std::time::Duration;

use super::window::after;
use crate::model::Timestamp;

/// For so long a jail's bans are counted together.
const SPAN: Duration = Duration::from_secs(60);

/// How many bans a jail began lately.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// When the minute began, with the first ban in it.
    since: Option<Timestamp>,
    bans: u32,
    /// Was it told that bans wait?
    told: bool,
}

impl Breaker {
    /// May another ban begin, if `most` may within a minute (0: any number)?
    pub(super) fn allows(&self, now: Timestamp, most: u32) -> bool {
        most == 0 || self.bans < most || self.end().is_none_or(|end| end <= now)
    }

    /// A ban began.
    pub(super) fn count(&mut self, now: Timestamp) {
        if self.end().is_none_or(|end| end <= now) {
            self.since = Some(now);
            self.bans = 0;
        }
        self.bans = self.bans.saturating_add(1);
    }

    /// When the minute is over.
    pub(super) fn end(&self) -> Option<Timestamp> {
        self.since.map(|since| after(since, SPAN))
    }

    /// Bans wait, or wait no longer; says whether that is new.
    pub(super) fn turn(&mut self, waiting: bool) -> bool {
        std::mem::replace(&mut self.told, waiting) != waiting
    }

    /// Was it told that bans wait?
    pub(super) fn is_told(&self) -> bool {
        self.told
    }

    /// The clock was set back: the minute does not begin in the future.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) {
        self.since = self.since.map(|since| since.min(now));
    }
}
