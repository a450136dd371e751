//! One target's thread: takes messages from its outbox and has them sent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::answer::Outcome;
use super::notice::{Message, Notice};
use super::outbox::{Next, Outbox, Totals};
use super::send::Sender;
use super::target::Target;
use crate::model::{Event, JailName, NoticeKind};

/// A target with what waits for it. Nobody but its own thread waits for the target.
#[derive(Debug)]
pub struct Post {
    target: Target,
    outbox: Mutex<Outbox>,
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
        let (outbox, begun) = (Mutex::new(Outbox::new(seed)), Instant::now());
        let post = Arc::new(Post { target, outbox, changed: Condvar::new(), begun });
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
        let outbox = self.lock();
        View { totals: outbox.totals().clone(), waiting: outbox.waiting() }
    }

    /// What waits goes now; see [`Post::close`].
    pub fn begin_close(&self) {
        self.lock().close();
        self.changed.notify_all();
    }

    /// What waits goes now. Returns when it went, or at `until`: how much did not.
    pub fn close(&self, until: Instant) -> u64 {
        let end = until.saturating_duration_since(self.begun);
        let mut outbox = self.lock();
        outbox.close();
        self.changed.notify_all();
        loop {
            let left = end.saturating_sub(self.now());
            if outbox.is_done(end) || left.is_zero() {
                return outbox.waiting();
            }
            outbox = self.wait(outbox, left);
        }
    }

    fn deliver(&self, sender: &Sender) {
        let mut outbox = self.lock();
        loop {
            let now = self.now();
            outbox = match outbox.next(now) {
                Next::Idle => self.changed.wait(outbox).unwrap_or_else(PoisonError::into_inner),
                Next::Wait(until) => self.wait(outbox, until.saturating_sub(now)),
                Next::Send(message) => {
                    drop(outbox);
                    let outcome = self.send(sender, &message);
                    let mut outbox = self.lock();
                    self.tell(&outbox, &outcome);
                    outbox.handle_outcome(self.now(), Timestamp::now(), outcome);
                    // Whoever closes the outbox looks again.
                    self.changed.notify_all();
                    outbox
                }
            };
        }
    }

    /// A try; a defect in it is the target's trouble, and nobody else's.
    fn send(&self, sender: &Sender, message: &Message) -> Outcome {
        let sent = catch_unwind(AssertUnwindSafe(|| sender.send(&self.target, message)));
        sent.unwrap_or_else(|_| Outcome::Failed {
            why: "sending died, which is a defect of guard's".to_owned(),
            after: None,
        })
    }

    /// Says when a target does not take notices any more, and when it does again.
    fn tell(&self, outbox: &Outbox, outcome: &Outcome) {
        let Target { name, service, place, .. } = &self.target;
        let was_well = outbox.totals().last_error.is_none();
        let word = service.word();
        match outcome {
            Outcome::Sent(_) if was_well => {
                tracing::debug!("notices to {name} ({word} at {place}): sent")
            }
            Outcome::Sent(_) => tracing::info!("notices to {name} ({word} at {place}): well again"),
            Outcome::Failed { why, .. } if was_well => {
                tracing::warn!("notices to {name} ({word} at {place}) fail, and wait: {why}");
            }
            Outcome::Failed { why, .. } => {
                tracing::debug!("notices to {name} ({word} at {place}) fail still: {why}");
            }
            Outcome::Refused(why) => {
                tracing::warn!("a notice to {name} ({word} at {place}) is given up: {why}");
            }
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, outbox: MutexGuard<'a, Outbox>, time: Duration) -> MutexGuard<'a, Outbox> {
        self.changed.wait_timeout(outbox, time).unwrap_or_else(PoisonError::into_inner).0
    }
}
