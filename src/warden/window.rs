//! The failures of one address, as far as they count: an exact window.
//!
//! fail2ban keeps a rate estimate that can ban an address with fewer failures
//! than `maxretry`. guard does what its manual says: a ban is due when
//! `maxretry` failures lie within `findtime`, by the lines' own times.
//!
//! Invariant: the times are in order, all within `findtime` of the newest, and
//! there are at most `maxretry`.

use std::time::Duration;

use crate::model::{Limits, Timestamp};

/// A clock that goes back by no more than this is noise, not another time.
pub(super) const NOISE: Duration = Duration::from_secs(1);

/// `time` less `span`, or the beginning of the calendar.
pub(super) fn before(time: Timestamp, span: Duration) -> Timestamp {
    time.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// `time` and `span`, or the end of the calendar.
pub(super) fn after(time: Timestamp, span: Duration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// The times of one address's failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Window(Vec<Timestamp>);

impl Window {
    /// The window that holds what still counts of these times.
    pub(super) fn new(mut times: Vec<Timestamp>, limits: &Limits) -> Self {
        times.sort_unstable();
        let mut window = Window(times);
        window.fit(limits);
        window
    }

    /// The times, oldest first.
    pub(super) fn times(&self) -> &[Timestamp] {
        &self.0
    }

    /// The times, oldest first.
    pub(super) fn into_times(self) -> Vec<Timestamp> {
        self.0
    }

    /// The newest failure's time.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.0.last().copied()
    }

    /// Counts a failure. It may be older than some that were counted before.
    pub(super) fn add(&mut self, at: Timestamp, limits: &Limits) {
        let place = self.0.partition_point(|time| *time <= at);
        self.0.insert(place, at);
        self.fit(limits);
    }

    /// Counts a failure as so many.
    pub(super) fn add_times(&mut self, at: Timestamp, weight: u32, limits: &Limits) {
        for _ in 0..weight.clamp(1, limits.max_retry.get()) {
            self.add(at, limits);
        }
    }

    /// What is left of it without the failures before `time`.
    pub(super) fn since(mut self, time: Timestamp) -> Self {
        self.0.retain(|at| *at >= time);
        self
    }

    /// Drops what does not count under these limits.
    pub(super) fn fit(&mut self, limits: &Limits) {
        let Some(newest) = self.newest() else { return };
        let oldest = before(newest, limits.find_time);
        let stale = self.0.partition_point(|time| *time < oldest);
        let max = usize::try_from(limits.max_retry.get()).unwrap_or(usize::MAX);
        let surplus = self.0.len().saturating_sub(max);
        self.0.drain(..stale.max(surplus));
    }

    /// Do the failures suffice for a ban?
    pub(super) fn is_due(&self, limits: &Limits) -> bool {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX) >= limits.max_retry.get()
    }

    /// Does nothing of it count at `now`, because even the newest failure is too old?
    pub(super) fn is_stale(&self, now: Timestamp, limits: &Limits) -> bool {
        self.newest().is_none_or(|newest| newest < before(now, limits.find_time))
    }

    /// The clock was set back: what lies in the future now counts as now. Says
    /// whether that changed anything.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) -> bool {
        let future = after(now, NOISE);
        let first = self.0.partition_point(|time| *time <= future);
        let noise = self.0.partition_point(|time| *time <= now);
        if first == self.0.len() {
            return false;
        }
        // What is noise goes along, or the times would be out of order.
        for time in &mut self.0[noise..] {
            *time = now;
        }
        true
    }
}

impl From<Timestamp> for Window {
    /// One failure.
    fn from(time: Timestamp) -> Self {
        Window(vec![time])
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::model::BanTime;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn limits(max_retry: u32, find_time: u64) -> Limits {
        Limits {
            max_retry: NonZeroU32::new(max_retry).unwrap(),
            find_time: Duration::from_secs(find_time),
            ban_time: BanTime::Forever,
        }
    }

    /// After which of the failures (1 is the first) a ban is due, if ever.
    fn check(times: &[i64], max_retry: u32, due: Option<usize>) {
        let limits = limits(max_retry, 600);
        let mut window = Window::default();
        let found = times.iter().position(|time| {
            window.add(at(*time), &limits);
            window.is_due(&limits)
        });
        assert_eq!(found.map(|place| place + 1), due, "{times:?}");
    }

    #[test]
    fn due_when_so_many_lie_within_findtime() {
        check(&[0, 1, 2, 3, 4], 5, Some(5));
        check(&[0, 0, 0, 0, 0], 5, Some(5));
        check(&[7], 1, Some(1));
        // The ends of the window belong to it.
        check(&[0, 150, 300, 450, 600], 5, Some(5));
        check(&[0, 150, 300, 450, 601], 5, None);
    }

    #[test]
    fn no_rate_estimate_bans_too_early() {
        // fail2ban bans at the last of these.
        check(&[0, 1, 2, 3, 650], 5, None);
        check(&[0, 200, 400, 601, 801], 5, None);
    }

    #[test]
    fn order_does_not_matter() {
        check(&[4, 3, 2, 1, 0], 5, Some(5));
        check(&[600, 0, 300, 1, 2], 5, Some(5));
        // The newest was there first, and the others are too old beside it.
        check(&[700, 10, 20, 30, 40], 5, None);
    }

    #[test]
    fn limits_beyond_the_calendar_count_for_ever() {
        let limits = limits(3, u64::MAX);
        let mut window = Window::default();
        for time in [Timestamp::MIN, at(0), Timestamp::MAX] {
            window.add(time, &limits);
        }
        assert!(window.is_due(&limits));
    }

    #[test]
    fn what_the_clock_leaves_in_the_future_counts_as_now() {
        let limits = limits(5, 600);
        let mut window = Window::new(vec![at(10), at(5000), at(5001)], &limits);
        assert!(window.clock_set_back(at(300)));
        assert_eq!(window.times(), [at(300), at(300)]);
        assert!(!window.clock_set_back(at(299)), "a second is noise");
    }

    proptest! {
        /// The naive model: remember everything, count what lies within
        /// findtime of the newest.
        #[test]
        fn counts_as_the_naive_model(
            steps in prop::collection::vec((0i64..300, -400i64..50), 1..200),
            max_retry in 1u32..8,
            find_time in 0u64..900,
        ) {
            let limits = limits(max_retry, find_time);
            let (mut clock, mut window) = (0, Window::default());
            let mut all: Vec<i64> = Vec::new();
            for (pause, offset) in steps {
                clock += pause;
                let time = clock + offset;
                window.add(at(time), &limits);
                all.push(time);
                let newest = all.iter().max().copied().unwrap();
                let oldest = newest - i64::try_from(find_time).unwrap();
                let count = all.iter().filter(|time| **time >= oldest).count();
                let due = count >= max_retry as usize;
                prop_assert_eq!(window.is_due(&limits), due);
                prop_assert!(window.times().is_sorted());
                prop_assert!(window.times().len() <= max_retry as usize);
                if due {
                    window = Window::default();
                    all.clear();
                }
            }
        }
    }
}
