//! One target's thread: takes messages from its outbox and has them sent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::answer::Outcome;
use super::notice::Notice;
use super::outbox::Totals;
use super::outboxes::{Due, Outboxes, Step};
use super::send::Sender;
use super::target::Target;
use crate::model::{Event, JailName, NoticeKind};

/// A target with what waits for it. Nobody but its own thread waits for the target.
#[derive(Debug)]
pub struct Post {
    target: Target,
    outboxes: Mutex<Outboxes>,
    changed: Condvar,
    begun: Instant,
}

/// Where a target is.
#[derive(Clone, Debug)]
pub struct View {
    /// What it came to.
    pub totals: Totals,
    /// Notices that it has not taken yet.
    pub waiting: u64,
}

impl Post {
    /// Starts the target's thread, which ends with the process.
    pub fn start(target: Target, sender: Arc<Sender>, seed: u64) -> Arc<Post> {
        let outboxes = Mutex::new(Outboxes::new(target.recipients().len(), seed));
        let (changed, begun) = (Condvar::new(), Instant::now());
        let post = Arc::new(Post { target, outboxes, changed, begun });
        let own = Arc::clone(&post);
        let name = format!("notify-{}", post.target.name.chars().take(8).collect::<String>());
        let thread = std::thread::Builder::new().name(name);
        if let Err(error) = thread.spawn(move || own.deliver(&sender)) {
            tracing::error!("notices to {}: no thread: {error}", post.target.name);
        }
        post
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Something happened; the words are only made if there is room for them.
    pub fn offer(&self, kind: NoticeKind, jail: Option<&JailName>, event: &Event) {
        if kind.level() < self.target.level || !self.target.kinds.contains(&kind) {
            return;
        }
        self.lock().offer(self.now(), kind, jail, || Notice::of(event));
        // Who closes it waits for the same.
        self.changed.notify_all();
    }

    /// Where it is.
    pub fn view(&self) -> View {
        let outboxes = self.lock();
        let totals = outboxes.totals(self.target.recipients());
        View { totals, waiting: outboxes.waiting() }
    }

    /// What waits goes now; see [`Post::close`].
    pub fn begin_close(&self) {
        self.lock().close();
        self.changed.notify_all();
    }

    /// What waits goes now. Returns when it went, or at `until`: how much did not.
    pub fn close(&self, until: Instant) -> u64 {
        let end = until.saturating_duration_since(self.begun);
        let mut outboxes = self.lock();
        outboxes.close();
        self.changed.notify_all();
        loop {
            let left = end.saturating_sub(self.now());
            if outboxes.is_done(end) || left.is_zero() {
                return outboxes.waiting();
            }
            outboxes = self.wait(outboxes, left);
        }
    }

    fn deliver(&self, sender: &Sender) {
        let mut outboxes = self.lock();
        loop {
            let now = self.now();
            outboxes = match outboxes.next(now) {
                Step::Idle => self.changed.wait(outboxes).unwrap_or_else(PoisonError::into_inner),
                Step::Wait(until) => self.wait(outboxes, until.saturating_sub(now)),
                Step::Send(due) => {
                    drop(outboxes);
                    let outcomes = self.send(sender, &due);
                    let mut outboxes = self.lock();
                    self.tell(&outboxes, &due, &outcomes);
                    let (now, clock) = (self.now(), Timestamp::now());
                    for (due, outcome) in due.iter().zip(outcomes) {
                        outboxes.handle_outcome(now, clock, due.recipient, outcome);
                    }
                    // Whoever closes the outbox looks again.
                    self.changed.notify_all();
                    outboxes
                }
            };
        }
    }

    /// A try; a defect in it is the target's trouble, and nobody else's.
    fn send(&self, sender: &Sender, due: &[Due]) -> Vec<Outcome> {
        let sent = catch_unwind(AssertUnwindSafe(|| sender.send(&self.target, due)));
        sent.unwrap_or_else(|_| {
            let why = "sending died, which is a defect of guard's".to_owned();
            vec![Outcome::Failed { why, after: None }; due.len()]
        })
    }

    /// Says when a target, or one of its recipients, does not take notices any more, and
    /// when it does again.
    fn tell(&self, outboxes: &Outboxes, due: &[Due], outcomes: &[Outcome]) {
        let Target { name, service, place, .. } = &self.target;
        let recipients = self.target.recipients();
        let told: Vec<_> = due
            .iter()
            .zip(outcomes)
            .map(|(due, outcome)| (due.recipient, outboxes.is_well(due.recipient), outcome))
            .collect();
        let alike = |one: &(usize, bool, &Outcome), other: &(usize, bool, &Outcome)| {
            one.1 == other.1 && is_alike(one.2, other.2)
        };
        let all_alike =
            told.len() >= recipients.len() && told.windows(2).all(|two| alike(&two[0], &two[1]));
        let lines = if all_alike { 1 } else { told.len() };
        for (recipient, was_well, outcome) in told.iter().take(lines) {
            let word = service.word();
            let whom = match recipients.get(*recipient).filter(|_| !all_alike) {
                Some(recipient) => format!("{name} ({word} at {place}, for {recipient})"),
                None => format!("{name} ({word} at {place})"),
            };
            tell_one(&whom, *was_well, outcome);
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Outboxes> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        outboxes: MutexGuard<'a, Outboxes>,
        time: Duration,
    ) -> MutexGuard<'a, Outboxes> {
        self.changed.wait_timeout(outboxes, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Are two outcomes the same to those who read the log?
fn is_alike(one: &Outcome, other: &Outcome) -> bool {
    one == other || matches!((one, other), (Outcome::Sent(_), Outcome::Sent(_)))
}

fn tell_one(whom: &str, was_well: bool, outcome: &Outcome) {
    match outcome {
        Outcome::Sent(_) if was_well => tracing::debug!("notices to {whom}: sent"),
        Outcome::Sent(_) => tracing::info!("notices to {whom}: well again"),
        Outcome::Failed { why, .. } if was_well => {
            tracing::warn!("notices to {whom} fail, and wait: {why}");
        }
        Outcome::Failed { why, .. } => tracing::debug!("notices to {whom} fail still: {why}"),
        Outcome::Refused(why) => tracing::warn!("a notice to {whom} is given up: {why}"),
    }
}
