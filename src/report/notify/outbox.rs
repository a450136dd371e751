//! (pure) What waits for one target: rate, digest, backoff. Sans-IO, given the time.
//!
//! - [`Outbox::offer`] takes what happened: constant time, bounded room, nothing dropped.
//! - [`Outbox::next`] says what to send now, or when to ask again. One message is under
//!   way at a time.
//! - [`Outbox::handle_outcome`] says what came of it. What did not get through joins what
//!   came meanwhile, so a target that was away for a night gets one digest, not a queue.
//!
//! Times are spans since any fixed moment, of a clock that is never set.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Outcome;
use super::notice::{Counts, Message, Notice};
use crate::model::{JailName, NoticeKind, Timestamp};

/// What comes so soon after the first goes with it.
const GATHER: Duration = Duration::from_secs(1);
/// So many messages may follow each other at once, with trouble among them so many…
const BURST: u32 = 5;
const TROUBLE_BURST: u32 = 15;
/// …and later one in this time. ntfy.sh, for one, takes 250 a day of each sender.
const EVERY: Duration = Duration::from_secs(30);
/// The first wait after a failure, doubled with each further one…
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// …up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// A server can ask for no longer silence.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// Lines that are kept, and how many of them may be bans: a flood of those must not keep
/// trouble from being told in words.
const LINES: usize = 20;
const BAN_LINES: usize = 10;
/// Counts that are kept apart by jail.
const PLACES: usize = 200;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this, and say what came of it.
    Send(Arc<Message>),
    /// Ask again then.
    Wait(Duration),
    /// Nothing waits.
    Idle,
}

/// What one target's notices came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Notices that the target has taken.
    pub sent: u64,
    /// Tries that came to nothing.
    pub failed: u64,
    /// Notices that were given up, because the target never will take them.
    pub dropped: u64,
    /// Why the last try came to nothing, and when; none: the last one did not.
    pub last_error: Option<(Timestamp, String)>,
}

/// What waits for one target.
#[derive(Debug)]
pub struct Outbox {
    lines: VecDeque<Notice>,
    more: Counts,
    under_way: Option<Arc<Message>>,
    /// Not before this: what belongs together comes together, and a target that failed
    /// has its rest.
    not_before: Duration,
    /// When the rate would be used up evenly (a leaky bucket by its times).
    paced: Duration,
    tries: u32,
    closing: bool,
    totals: Totals,
    chance: u64,
}

impl Outbox {
    /// An empty one; `seed` is what chance hangs on.
    pub fn new(seed: u64) -> Outbox {
        Outbox {
            lines: VecDeque::new(),
            more: Counts::new(),
            under_way: None,
            not_before: Duration::ZERO,
            paced: Duration::ZERO,
            tries: 0,
            closing: false,
            totals: Totals::default(),
            chance: seed | 1,
        }
    }

    /// Something happened. `make` is asked for words only where there is room for them.
    pub fn offer(
        &mut self,
        now: Duration,
        kind: NoticeKind,
        jail: Option<&JailName>,
        make: impl FnOnce() -> Option<Notice>,
    ) {
        if self.lines.is_empty() && self.more.is_empty() {
            self.not_before = self.not_before.max(now + GATHER);
        }
        if self.has_room(kind)
            && let Some(notice) = make()
        {
            self.lines.push_back(notice);
            return;
        }
        self.count((kind, jail.cloned()), 1);
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Duration) -> Next {
        if self.under_way.is_some() || (self.lines.is_empty() && self.more.is_empty()) {
            return Next::Idle;
        }
        let at = if self.closing {
            // The last word: neither gathered nor paced. A target that just failed is let be.
            if self.tries > 0 { self.not_before } else { now }
        } else {
            self.not_before.max(self.paced.saturating_sub(EVERY * (self.burst() - 1)))
        };
        if at > now {
            return Next::Wait(at);
        }
        self.paced = self.paced.max(now) + EVERY;
        let lines = std::mem::take(&mut self.lines).into();
        let more = std::mem::take(&mut self.more);
        let message = Arc::new(Message { lines, more, test: false });
        self.under_way = Some(Arc::clone(&message));
        Next::Send(message)
    }

    /// What came of the message under way; `clock` is only shown.
    pub fn handle_outcome(&mut self, now: Duration, clock: Timestamp, outcome: Outcome) {
        let Some(message) = self.under_way.take() else { return };
        match outcome {
            Outcome::Sent(_) => {
                self.totals.sent += message.count();
                self.totals.last_error = None;
                self.tries = 0;
            }
            Outcome::Failed { why, after } => {
                self.totals.failed += 1;
                self.totals.last_error = Some((clock, why));
                self.tries = self.tries.saturating_add(1);
                self.put_back(&message);
                self.rest(now, after);
            }
            Outcome::Refused(why) => {
                self.totals.failed += 1;
                self.totals.last_error = Some((clock, why));
                self.totals.dropped += message.count();
                self.tries = self.tries.saturating_add(1);
                self.rest(now, None);
            }
        }
    }

    /// guard ends: what waits goes now, or not at all.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Is nothing waiting that could still be sent by `until`?
    pub fn is_done(&self, until: Duration) -> bool {
        let rests = self.tries > 0 && self.not_before > until;
        self.under_way.is_none() && (rests || (self.lines.is_empty() && self.more.is_empty()))
    }

    /// Notices that were not taken yet.
    pub fn waiting(&self) -> u64 {
        let under_way = self.under_way.as_ref().map_or(0, |message| message.count());
        self.lines.len() as u64 + self.more.values().sum::<u64>() + under_way
    }

    /// What it came to.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// A flood of bans does not keep trouble waiting.
    fn burst(&self) -> u32 {
        let trouble = |kind: NoticeKind| !kind.is_ban();
        let lines = self.lines.iter().any(|notice| trouble(notice.kind));
        let more = || self.more.keys().any(|(kind, _)| trouble(*kind));
        if lines || more() { TROUBLE_BURST } else { BURST }
    }

    fn has_room(&self, kind: NoticeKind) -> bool {
        let bans = || self.lines.iter().filter(|notice| notice.kind.is_ban()).count();
        self.lines.len() < LINES && (!kind.is_ban() || bans() < BAN_LINES)
    }

    fn count(&mut self, (kind, jail): (NoticeKind, Option<JailName>), many: u64) {
        let place = (kind, jail);
        let place = if self.more.len() < PLACES || self.more.contains_key(&place) {
            place
        } else {
            (kind, None)
        };
        let count = self.more.entry(place).or_default();
        *count = count.saturating_add(many);
    }

    /// What did not get through is told with what came meanwhile: the older lines stay.
    fn put_back(&mut self, message: &Message) {
        let newer = std::mem::take(&mut self.lines);
        for notice in message.lines.iter().cloned().chain(newer) {
            if self.has_room(notice.kind) {
                self.lines.push_back(notice);
            } else {
                self.count((notice.kind, notice.jail), 1);
            }
        }
        for (place, many) in &message.more {
            self.count(place.clone(), *many);
        }
    }

    /// No try for a while: longer each time, never the same, and as long as was asked for.
    fn rest(&mut self, now: Duration, asked: Option<Duration>) {
        let doublings = self.tries.saturating_sub(1).min(16);
        let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        // Between three and five quarters: targets that failed together do not come back
        // together.
        let wait = wait * 3 / 4 + wait / 2 * self.random(1000) / 1000;
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        self.not_before = self.not_before.max(now + wait.max(asked));
    }

    /// xorshift: no secret hangs on it.
    fn random(&mut self, below: u32) -> u32 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 33) as u32 % below
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
