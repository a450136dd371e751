//! (pure) An outbox for each recipient of a target: so one who is refused holds nobody up,
//! and who has a message does not get it again because another has not.
//!
//! Only mail has several. What comes for all of them goes together, as long as nothing
//! parts them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::sync::Arc;
use std::time::Duration;

use super::answer::Outcome;
use super::notice::{Message, Notice};
use super::outbox::{Next, Outbox, Totals};
use crate::model::{JailName, NoticeKind, Timestamp};

/// A message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which of the target's recipients, from 0; see [`Target::recipients`](super::Target).
    pub recipient: usize,
    /// What for.
    pub message: Arc<Message>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these at once, and say what came of each.
    Send(Vec<Due>),
    /// Ask again then.
    Wait(Duration),
    /// Nothing waits.
    Idle,
}

/// What waits for each recipient of one target.
#[derive(Debug)]
pub struct Outboxes {
    each: Vec<Outbox>,
    /// Who goes first next time.
    turn: usize,
}

impl Outboxes {
    /// Empty ones; those of one target have the same `seed`, so that what failed for all
    /// is tried again for all.
    pub fn new(recipients: usize, seed: u64) -> Outboxes {
        Outboxes { each: (0..recipients.max(1)).map(|_| Outbox::new(seed)).collect(), turn: 0 }
    }

    /// Something happened. `make` is asked for words only where there is room for them.
    pub fn offer(
        &mut self,
        now: Duration,
        kind: NoticeKind,
        jail: Option<&JailName>,
        make: impl Fn() -> Option<Notice>,
    ) {
        self.each.iter_mut().for_each(|outbox| outbox.offer(now, kind, jail, &make));
    }

    /// What to do at `now`. Another goes first each time, so that he at whom a server hangs
    /// up is not always before the same others.
    pub fn next(&mut self, now: Duration) -> Step {
        let (mut due, mut wait) = (Vec::new(), None::<Duration>);
        for (recipient, outbox) in self.each.iter_mut().enumerate() {
            match outbox.next(now) {
                Next::Send(message) => due.push(Due { recipient, message }),
                Next::Wait(until) => wait = Some(wait.map_or(until, |wait| wait.min(until))),
                Next::Idle => {}
            }
        }
        match (due.is_empty(), wait) {
            (false, _) => {
                let first = self.turn % due.len();
                due.rotate_left(first);
                self.turn = self.turn.wrapping_add(1);
                Step::Send(due)
            }
            (true, Some(until)) => Step::Wait(until),
            (true, None) => Step::Idle,
        }
    }

    /// What came of a recipient's message; `clock` is only shown.
    pub fn handle_outcome(
        &mut self,
        now: Duration,
        clock: Timestamp,
        recipient: usize,
        outcome: Outcome,
    ) {
        if let Some(outbox) = self.each.get_mut(recipient) {
            outbox.handle_outcome(now, clock, outcome);
        }
    }

    /// Did the recipient's last message come?
    pub fn is_well(&self, recipient: usize) -> bool {
        self.each.get(recipient).is_none_or(|outbox| outbox.totals().last_error.is_none())
    }

    /// guard ends: what waits goes now, or not at all.
    pub fn close(&mut self) {
        self.each.iter_mut().for_each(Outbox::close);
    }

    /// Is nothing waiting that could still be sent by `until`?
    pub fn is_done(&self, until: Duration) -> bool {
        self.each.iter().all(|outbox| outbox.is_done(until))
    }

    /// Notices that were not taken yet, each recipient's counted.
    pub fn waiting(&self) -> u64 {
        self.each.iter().map(Outbox::waiting).sum()
    }

    /// What it came to, all recipients together, who have these names.
    pub fn totals(&self, names: &[String]) -> Totals {
        let mut sum = Totals::default();
        let mut errors = Vec::new();
        for (recipient, outbox) in self.each.iter().enumerate() {
            let Totals { sent, failed, dropped, last_error } = outbox.totals();
            (sum.sent, sum.failed) = (sum.sent + sent, sum.failed + failed);
            sum.dropped += dropped;
            errors.extend(last_error.as_ref().map(|(at, why)| (recipient, *at, why.as_str())));
        }
        let last = errors.iter().map(|(_, at, _)| *at).max();
        let words = errors.iter().map(|(recipient, _, why)| (*recipient, *why));
        sum.last_error = last.map(|at| (at, sum_up(names, words)));
        sum
    }
}

/// What was said of each recipient, in one text: once if it is the same for all of them.
pub fn sum_up<'a>(
    names: &[String],
    said: impl Iterator<Item = (usize, &'a str)> + Clone,
) -> String {
    let mut texts = said.clone().map(|(_, text)| text);
    let first = texts.next().unwrap_or_default();
    if said.clone().count() >= names.len() && texts.all(|text| text == first) {
        return first.to_owned();
    }
    let name = |at: usize| names.get(at).map_or("", String::as_str);
    let lines: Vec<_> = said.map(|(at, text)| format!("{}: {text}", name(at))).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;

    const SECOND: Duration = Duration::from_secs(1);

    fn offer(boxes: &mut Outboxes, now: Duration) {
        let (at, kind, level) = (Timestamp::UNIX_EPOCH, NoticeKind::Banned, Level::Note);
        let line = "x".to_owned();
        let notice = Notice { at, kind, level, jail: None, over: false, line };
        boxes.offer(now, kind, None, || Some(notice.clone()));
    }

    /// Who is sent how many notices at `now`.
    fn sent(boxes: &mut Outboxes, now: Duration) -> Vec<(usize, u64)> {
        match boxes.next(now) {
            Step::Send(due) => due.iter().map(|it| (it.recipient, it.message.count())).collect(),
            Step::Wait(_) | Step::Idle => Vec::new(),
        }
    }

    /// The same in the order of the recipients.
    fn all_sent(boxes: &mut Outboxes, now: Duration) -> Vec<(usize, u64)> {
        let mut sent = sent(boxes, now);
        sent.sort_unstable();
        sent
    }

    fn comes(boxes: &mut Outboxes, now: Duration, recipient: usize, outcome: Outcome) {
        boxes.handle_outcome(now, Timestamp::UNIX_EPOCH, recipient, outcome);
    }

    fn ok() -> Outcome {
        Outcome::Sent("250 ok".into())
    }

    fn failed(why: &str) -> Outcome {
        Outcome::Failed { why: why.into(), after: None }
    }

    fn names() -> Vec<String> {
        ["me@x", "gone@x"].map(str::to_owned).into()
    }

    #[test]
    fn who_has_it_does_not_get_it_again_and_waits_for_nobody() {
        let mut boxes = Outboxes::new(2, 7);
        offer(&mut boxes, SECOND);
        assert_eq!(sent(&mut boxes, 2 * SECOND), [(0, 1), (1, 1)]);
        comes(&mut boxes, 2 * SECOND, 0, ok());
        comes(&mut boxes, 2 * SECOND, 1, failed("450 later"));
        assert_eq!((boxes.is_well(0), boxes.is_well(1)), (true, false));
        // What comes meanwhile goes to the one at once, and to the other with the rest.
        offer(&mut boxes, 2 * SECOND);
        assert_eq!(sent(&mut boxes, 3 * SECOND), [(0, 1)]);
        comes(&mut boxes, 3 * SECOND, 0, ok());
        assert_eq!(sent(&mut boxes, 9 * SECOND), [(1, 2)]);
        assert_eq!(boxes.totals(&names()).last_error.unwrap().1, "gone@x: 450 later");
        comes(&mut boxes, 9 * SECOND, 1, ok());
        let totals = boxes.totals(&names());
        assert_eq!((totals.sent, totals.failed, totals.last_error), (4, 1, None));
        assert_eq!((boxes.waiting(), boxes.next(99 * SECOND)), (0, Step::Idle));
    }

    #[test]
    fn what_fails_for_all_is_tried_again_for_all_and_told_once() {
        let mut boxes = Outboxes::new(2, 7);
        offer(&mut boxes, SECOND);
        for now in [2, 9, 19] {
            assert_eq!(all_sent(&mut boxes, now * SECOND), [(0, 1), (1, 1)]);
            comes(&mut boxes, now * SECOND, 0, failed("refused"));
            comes(&mut boxes, now * SECOND, 1, failed("refused"));
            assert_eq!(boxes.totals(&names()).last_error.unwrap().1, "refused");
        }
    }

    /// A server that hangs up at one of them: whoever is behind him gets nothing.
    #[test]
    fn he_at_whom_a_server_hangs_up_starves_nobody() {
        let mut boxes = Outboxes::new(3, 7);
        offer(&mut boxes, SECOND);
        let mut served = std::collections::BTreeSet::new();
        for minute in 1..4 {
            let now = minute * 600 * SECOND;
            let mut outcome = ok();
            for (recipient, _) in sent(&mut boxes, now) {
                if recipient == 1 {
                    outcome = failed("hung up");
                }
                let is_served = matches!(outcome, Outcome::Sent(_));
                served.extend(is_served.then_some(recipient));
                comes(&mut boxes, now, recipient, outcome.clone());
            }
        }
        assert_eq!(served.into_iter().collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn who_is_refused_for_ever_is_named_and_counted() {
        let mut boxes = Outboxes::new(2, 7);
        offer(&mut boxes, SECOND);
        assert_eq!(sent(&mut boxes, 2 * SECOND).len(), 2);
        comes(&mut boxes, 2 * SECOND, 0, ok());
        comes(&mut boxes, 2 * SECOND, 1, Outcome::Refused("550 nobody".into()));
        let totals = boxes.totals(&names());
        assert_eq!((totals.sent, totals.dropped, boxes.waiting()), (1, 1, 0));
        assert_eq!(totals.last_error.unwrap().1, "gone@x: 550 nobody");
    }
}
