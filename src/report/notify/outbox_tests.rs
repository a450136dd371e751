use proptest::prelude::*;

use super::*;
use crate::model::Level;

const SECOND: Duration = Duration::from_secs(1);

fn seconds(n: u64) -> Duration {
    SECOND * u32::try_from(n).unwrap()
}

fn notice(kind: NoticeKind, jail: Option<&JailName>) -> Notice {
    Notice {
        at: Timestamp::UNIX_EPOCH,
        kind,
        level: Level::Note,
        jail: jail.cloned(),
        over: false,
        line: "x".into(),
    }
}

/// Offers `count` notices at `now`.
fn offer(outbox: &mut Outbox, now: Duration, kind: NoticeKind, jail: &str, count: usize) {
    let jail = jail.parse().ok();
    for _ in 0..count {
        outbox.offer(now, kind, jail.as_ref(), || Some(notice(kind, jail.as_ref())));
    }
}

/// The message that is sent at `now`.
fn sent(outbox: &mut Outbox, now: Duration) -> Arc<Message> {
    match outbox.next(now) {
        Next::Send(message) => message,
        other => panic!("{other:?}"),
    }
}

fn comes(outbox: &mut Outbox, now: Duration, outcome: Outcome) {
    outbox.handle_outcome(now, Timestamp::UNIX_EPOCH, outcome);
}

fn failed(after: Option<Duration>) -> Outcome {
    Outcome::Failed { why: "no".into(), after }
}

fn ok() -> Outcome {
    Outcome::Sent("ok".into())
}

#[test]
fn what_comes_together_is_one_message() {
    let mut outbox = Outbox::new(1);
    assert_eq!(outbox.next(seconds(5)), Next::Idle);
    offer(&mut outbox, seconds(5), NoticeKind::Banned, "web", 3);
    assert_eq!(outbox.next(seconds(5)), Next::Wait(seconds(6)));
    let message = sent(&mut outbox, seconds(6));
    assert_eq!((message.lines.len(), message.count()), (3, 3));
    // One is under way: nothing else goes.
    offer(&mut outbox, seconds(6), NoticeKind::Engine, "", 1);
    assert_eq!(outbox.next(seconds(60)), Next::Idle);
    comes(&mut outbox, seconds(60), ok());
    assert_eq!(sent(&mut outbox, seconds(60)).count(), 1);
    assert_eq!((outbox.totals().sent, outbox.waiting()), (3, 1));
}

#[test]
fn a_flood_is_a_digest_with_every_ban_and_trouble_has_its_place() {
    let mut outbox = Outbox::new(1);
    offer(&mut outbox, SECOND, NoticeKind::Banned, "web", 10_000);
    offer(&mut outbox, SECOND, NoticeKind::Firewall, "", 1);
    let message = sent(&mut outbox, seconds(3));
    assert_eq!(message.count(), 10_001);
    assert!(message.lines.iter().any(|notice| notice.kind == NoticeKind::Firewall));
    assert!(message.lines.len() <= LINES);
    assert_eq!(message.more.len(), 1);
}

#[test]
fn counts_of_more_places_than_there_is_room_for_go_together() {
    let mut outbox = Outbox::new(1);
    for n in 0..5000 {
        offer(&mut outbox, SECOND, NoticeKind::Banned, &format!("jail-{n}"), 1);
    }
    let message = sent(&mut outbox, seconds(3));
    assert_eq!(message.count(), 5000);
    assert!(message.more.len() <= PLACES + 1);
}

#[test]
fn the_rate_is_kept() {
    let (mut outbox, mut now, mut messages) = (Outbox::new(1), SECOND, 0);
    while now < seconds(3600) {
        offer(&mut outbox, now, NoticeKind::Banned, "web", 1);
        if let Next::Send(_) = outbox.next(now) {
            messages += 1;
            comes(&mut outbox, now, ok());
        }
        now += SECOND;
    }
    assert!((115..=BURST + 3600 / 30).contains(&messages), "{messages}");
}

#[test]
fn bans_that_used_up_the_rate_do_not_hold_up_trouble() {
    let mut outbox = Outbox::new(1);
    for n in 0..u64::from(BURST) {
        offer(&mut outbox, seconds(2 * n), NoticeKind::Banned, "web", 1);
        sent(&mut outbox, seconds(2 * n + 1));
        comes(&mut outbox, seconds(2 * n + 1), ok());
    }
    offer(&mut outbox, seconds(20), NoticeKind::Banned, "web", 1);
    assert!(matches!(outbox.next(seconds(21)), Next::Wait(_)));
    offer(&mut outbox, seconds(21), NoticeKind::Engine, "", 1);
    assert_eq!(sent(&mut outbox, seconds(21)).count(), 2);
}

#[test]
fn a_target_that_fails_is_let_be_for_longer_and_longer() {
    let (mut outbox, mut now) = (Outbox::new(7), SECOND);
    offer(&mut outbox, now, NoticeKind::Engine, "", 1);
    let mut waits = Vec::new();
    for _ in 0..20 {
        now = match outbox.next(now) {
            Next::Wait(until) => until,
            other => panic!("{other:?}"),
        };
        assert_eq!(sent(&mut outbox, now).count(), 1);
        comes(&mut outbox, now, failed(None));
        let Next::Wait(until) = outbox.next(now) else { panic!() };
        waits.push((until - now).as_secs_f64());
    }
    assert!((1.4..=2.6).contains(&waits[0]), "{waits:?}");
    // The rate does not make it shorter, and it does not grow without end.
    assert!(waits[19] >= 450.0 && waits[19] <= 760.0, "{waits:?}");
    assert_eq!(outbox.totals().failed, 20);
    now += seconds(800);
    assert_eq!(sent(&mut outbox, now).count(), 1);
    comes(&mut outbox, now, ok());
    assert_eq!(outbox.totals().last_error, None);
}

#[test]
fn what_a_server_asks_for_is_kept_to_within_reason() {
    for (asked, kept) in [(90, 90), (1_000_000_000, 3600)] {
        let mut outbox = Outbox::new(7);
        offer(&mut outbox, Duration::ZERO, NoticeKind::Engine, "", 1);
        sent(&mut outbox, SECOND);
        comes(&mut outbox, SECOND, failed(Some(Duration::from_secs(asked))));
        assert_eq!(outbox.next(SECOND), Next::Wait(seconds(1 + kept)));
    }
}

#[test]
fn what_is_refused_for_good_is_counted_and_makes_way() {
    let mut outbox = Outbox::new(7);
    offer(&mut outbox, Duration::ZERO, NoticeKind::Banned, "web", 30);
    sent(&mut outbox, SECOND);
    comes(&mut outbox, SECOND, Outcome::Refused("413".into()));
    assert_eq!((outbox.totals().dropped, outbox.waiting()), (30, 0));
}

#[test]
fn the_last_word_is_not_paced() {
    let mut outbox = Outbox::new(7);
    for n in 0..8 {
        offer(&mut outbox, seconds(2 * n), NoticeKind::Banned, "web", 1);
        if let Next::Send(_) = outbox.next(seconds(2 * n + 1)) {
            comes(&mut outbox, seconds(2 * n + 1), ok());
        }
    }
    assert!(matches!(outbox.next(seconds(16)), Next::Wait(_)));
    outbox.close();
    assert!(!outbox.is_done(seconds(17)));
    sent(&mut outbox, seconds(16));
    comes(&mut outbox, seconds(16), ok());
    assert!(outbox.is_done(seconds(17)));
}

proptest! {
    /// Whatever happens, every notice is sent, waits, or was dropped and counted; and the
    /// room is bounded.
    #[test]
    fn nothing_is_lost_and_nothing_grows(
        steps in prop::collection::vec((0u8..6, 0u8..250, 0u64..400), 1..300),
        seed: u64,
    ) {
        let (mut outbox, mut now, mut offered) = (Outbox::new(seed), Duration::ZERO, 0u64);
        for (what, n, wait) in steps {
            now += Duration::from_millis(wait * 100);
            match what {
                0 => {
                    let kind = NoticeKind::ALL[usize::from(n) % NoticeKind::ALL.len()];
                    let many = usize::from(n) * 3;
                    offer(&mut outbox, now, kind, &format!("jail-{n}"), many);
                    offered += many as u64;
                }
                1 | 2 => { outbox.next(now); }
                3 => comes(&mut outbox, now, ok()),
                4 => comes(&mut outbox, now, failed(Some(SECOND * u32::from(n)))),
                _ => comes(&mut outbox, now, Outcome::Refused("no".into())),
            }
            let totals = outbox.totals();
            prop_assert_eq!(totals.sent + totals.dropped + outbox.waiting(), offered);
            prop_assert!(outbox.lines.len() <= LINES);
            prop_assert!(outbox.more.len() <= PLACES + NoticeKind::ALL.len());
        }
    }
}
