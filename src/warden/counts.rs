//! The failures of a jail's addresses, in bounded memory.
//!
//! A spray of addresses that fail once each must not push out the one that is
//! about to be banned. So those with one failure and those with more are kept
//! apart, each in the order in which they were last seen; when the jail is full,
//! the first to go is the least recently seen of those with one.

use std::hash::RandomState;

use hashlink::LinkedHashMap;

use super::window::{NOISE, Window, after};
use crate::model::{Limits, Network, Timestamp};

/// Addresses that were forgotten because there were too many of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Those that had failed once.
    pub once: u64,
    /// Those that had failed more often.
    pub more: u64,
}

/// What a failure led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// The failures of the address that count now, oldest first.
    pub(super) times: Vec<Timestamp>,
    /// They suffice for a ban, and are not kept any more.
    pub(super) due: bool,
    /// The address that had to make room.
    pub(super) dropped: Option<Network>,
}

/// The failures that count, by address. Attackers choose the keys, so the maps
/// hash them with std's keyed hash.
#[derive(Debug, Default)]
pub(super) struct Counts {
    once: LinkedHashMap<Network, Timestamp, RandomState>,
    more: LinkedHashMap<Network, Window, RandomState>,
    /// Those whose ban waits for the breaker.
    held: LinkedHashMap<Network, Window, RandomState>,
    dropped: Dropped,
}

impl Counts {
    /// How many addresses have failures that count.
    pub(super) fn len(&self) -> usize {
        self.once.len() + self.more.len() + self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has `network` failures that count?
    pub(super) fn know(&self, network: Network) -> bool {
        self.once.contains_key(&network) || self.more.contains_key(&network)
    }

    /// Whose failures count, of `network`, of what lies inside it, and of `client`, with
    /// the times and whether a ban waits.
    pub(super) fn each(
        &self,
        network: Network,
        client: Network,
    ) -> impl Iterator<Item = (Network, &[Timestamp], bool)> {
        let fits = move |known: &Network| *known == client || network.covers(*known);
        let once = self.once.iter().map(|(known, at)| (*known, std::slice::from_ref(at), false));
        let more = self.more.iter().map(|(known, window)| (*known, window.times(), false));
        let held = self.held.iter().map(|(known, window)| (*known, window.times(), true));
        once.chain(more).chain(held).filter(move |(known, ..)| fits(known))
    }

    pub(super) fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Counts a failure that is neither from the future nor too old, as so many
    /// (`weight`). One of somebody whose ban waits already makes no other due.
    pub(super) fn add(
        &mut self,
        now: Timestamp,
        (network, at, weight): (Network, Timestamp, u32),
        limits: &Limits,
        track_max: usize,
    ) -> Counted {
        if let Some(window) = self.held.get_mut(&network) {
            window.add_times(at, weight, limits);
            return Counted { times: window.times().to_vec(), due: false, dropped: None };
        }
        let mut window = self.take(network).unwrap_or_default();
        if window.is_stale(now, limits) {
            window = Window::default();
        }
        window.add_times(at, weight, limits);
        if window.is_due(limits) {
            return Counted { times: window.into_times(), due: true, dropped: None };
        }
        let dropped = if self.len() >= track_max.max(1) { self.make_room() } else { None };
        let times = window.times().to_vec();
        self.put(network, window);
        Counted { times, due: false, dropped }
    }

    /// Takes in what was remembered, in the order of the newest failures, and
    /// says who found no room.
    pub(super) fn restore(
        &mut self,
        remembered: Vec<(Network, Vec<Timestamp>)>,
        limits: &Limits,
        track_max: usize,
    ) -> Vec<Network> {
        let mut windows: Vec<(Network, Window)> = remembered
            .into_iter()
            .map(|(network, times)| (network, Window::new(times, limits)))
            .collect();
        windows.sort_by_key(|(network, window)| (window.newest(), *network));
        let mut dropped = Vec::new();
        for (network, window) in windows {
            if self.len() >= track_max.max(1) {
                dropped.extend(self.make_room());
            }
            self.put(network, window);
        }
        dropped
    }

    /// Applies other limits and takes out those who are due under them.
    pub(super) fn apply(
        &mut self,
        now: Timestamp,
        limits: &Limits,
    ) -> Vec<(Network, Vec<Timestamp>)> {
        let once = std::mem::take(&mut self.once).into_iter();
        let once = once.map(|(network, time)| (network, Window::new(vec![time], limits)));
        let more = std::mem::take(&mut self.more).into_iter();
        for (_, window) in &mut self.held {
            window.fit(limits);
        }
        let mut due = Vec::new();
        for (network, mut window) in once.chain(more) {
            window.fit(limits);
            if window.is_due(limits) && !window.is_stale(now, limits) {
                due.push((network, window.into_times()));
            } else {
                self.put(network, window);
            }
        }
        due
    }

    /// Forgets the failures of `network` and of what lies inside it, and says whose they were.
    pub(super) fn forget(&mut self, network: Network) -> Vec<Network> {
        if network.is_single() {
            return self.take(network).map(|_| network).into_iter().collect();
        }
        let inside = |known: &Network| {
            known.length() >= network.length() && network.contains(known.address())
        };
        let known = self.once.keys().chain(self.more.keys()).chain(self.held.keys());
        let mut gone: Vec<Network> = known.copied().filter(inside).collect();
        gone.sort_unstable();
        gone.retain(|network| self.take(*network).is_some());
        gone
    }

    /// Forgets all failures, and says whose they were.
    pub(super) fn forget_all(&mut self) -> Vec<Network> {
        let mut gone: Vec<Network> = self.once.drain().map(|(network, _)| network).collect();
        gone.extend(self.more.drain().map(|(network, _)| network));
        gone.extend(self.held.drain().map(|(network, _)| network));
        gone.sort_unstable();
        gone
    }

    /// Counts on what was due, for a ban that waits.
    pub(super) fn put_back(&mut self, network: Network, times: Vec<Timestamp>, limits: &Limits) {
        self.take(network);
        self.put(network, Window::new(times, limits));
    }

    /// Takes out the failures of an address that suffice for a ban; else leaves them.
    pub(super) fn take_due(
        &mut self,
        now: Timestamp,
        network: Network,
        limits: &Limits,
    ) -> Vec<Timestamp> {
        match self.take(network) {
            Some(window) if window.is_due(limits) && !window.is_stale(now, limits) => {
                window.into_times()
            }
            Some(window) => {
                self.put(network, window);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// When the next address may be forgotten because its failures are too old.
    /// They count for nothing a little earlier: there is no hurry.
    pub(super) fn next_stale(&self, limits: &Limits) -> Option<Timestamp> {
        let once = self.once.front().map(|(_, time)| *time);
        let more = self.more.front().and_then(|(_, window)| window.newest());
        let first = once.into_iter().chain(more).min()?;
        Some(after(after(first, limits.find_time), NOISE))
    }

    /// Forgets an address whose failures are all too old. Addresses are in the
    /// order in which they were seen, not in that of their failures' times, so
    /// one may stay a while behind another; it can't count in the meantime.
    pub(super) fn take_stale(&mut self, now: Timestamp, limits: &Limits) -> Option<Network> {
        let is_over = |time: Timestamp| after(after(time, limits.find_time), NOISE) <= now;
        if self.once.front().is_some_and(|(_, time)| is_over(*time)) {
            return self.once.pop_front().map(|(network, _)| network);
        }
        let stale = |window: &Window| window.newest().is_none_or(is_over);
        if self.more.front().is_some_and(|(_, window)| stale(window)) {
            return self.more.pop_front().map(|(network, _)| network);
        }
        None
    }

    /// The clock was set back: failures in the future count as now. Gives those that changed.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) -> Vec<(Network, Vec<Timestamp>)> {
        let future = after(now, NOISE);
        let mut changed = Vec::new();
        for (network, time) in &mut self.once {
            if *time > future {
                *time = now;
                changed.push((*network, vec![now]));
            }
        }
        for (network, window) in self.more.iter_mut().chain(&mut self.held) {
            if window.clock_set_back(now) {
                changed.push((*network, window.times().to_vec()));
            }
        }
        changed
    }

    /// Keeps the failures of somebody whose ban must wait. Gives the one who had to
    /// make room.
    pub(super) fn hold(
        &mut self,
        network: Network,
        times: Vec<Timestamp>,
        limits: &Limits,
        track_max: usize,
    ) -> Option<Network> {
        let dropped = if self.len() >= track_max.max(1) { self.make_room() } else { None };
        self.held.insert(network, Window::new(times, limits));
        dropped
    }

    /// How many bans wait.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The failures of the one who has waited longest for his ban, if they still
    /// suffice; if not, they are counted on.
    pub(super) fn release(
        &mut self,
        now: Timestamp,
        limits: &Limits,
    ) -> Option<(Network, Option<Vec<Timestamp>>)> {
        let (network, window) = self.held.pop_front()?;
        if window.is_due(limits) && !window.is_stale(now, limits) {
            return Some((network, Some(window.into_times())));
        }
        self.put(network, window);
        Some((network, None))
    }

    /// Those who are due wait for their bans: guard ended while they did.
    pub(super) fn hold_due(&mut self, limits: &Limits) {
        if limits.max_retry.get() == 1 {
            let once = self.once.drain().map(|(network, time)| (network, Window::from(time)));
            self.held.extend(once);
        }
        let due = |(_, window): &(&Network, &Window)| window.is_due(limits);
        let due: Vec<Network> = self.more.iter().filter(due).map(|(network, _)| *network).collect();
        for network in due {
            if let Some(window) = self.more.remove(&network) {
                self.held.insert(network, window);
            }
        }
    }

    /// Forgets the failures of exactly `network`; says whether there were any.
    pub(super) fn forget_one(&mut self, network: Network) -> bool {
        self.take(network).is_some()
    }

    /// Forgets the failures of `network` before `until`. Gives those that are left, if
    /// there were such.
    pub(super) fn forgive(
        &mut self,
        network: Network,
        until: Timestamp,
        limits: &Limits,
    ) -> Option<Vec<Timestamp>> {
        let is_held = self.held.contains_key(&network);
        let window = self.take(network)?;
        let before = window.times().len();
        let window = window.since(until);
        let left = window.times().to_vec();
        let changed = left.len() < before;
        if is_held && window.is_due(limits) {
            self.held.insert(network, window);
        } else {
            self.put(network, window);
        }
        changed.then_some(left)
    }

    fn take(&mut self, network: Network) -> Option<Window> {
        if let Some(time) = self.once.remove(&network) {
            return Some(Window::from(time));
        }
        self.more.remove(&network).or_else(|| self.held.remove(&network))
    }

    fn put(&mut self, network: Network, window: Window) {
        match window.times() {
            [] => {}
            [time] => {
                self.once.insert(network, *time);
            }
            _ => {
                self.more.insert(network, window);
            }
        }
    }

    fn make_room(&mut self) -> Option<Network> {
        if let Some((network, _)) = self.once.pop_front() {
            self.dropped.once += 1;
            return Some(network);
        }
        let (network, _) = self.more.pop_front().or_else(|| self.held.pop_front())?;
        self.dropped.more += 1;
        Some(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn add(counts: &mut Counts, network: &str, second: i64) -> Option<Network> {
        counts.add(at(second), (net(network), at(second), 1), &Limits::default(), 3).dropped
    }

    #[test]
    fn those_with_one_failure_make_room_first() {
        let mut counts = Counts::default();
        for (second, network) in ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"].iter().enumerate()
        {
            assert_eq!(add(&mut counts, network, second as i64), None);
        }
        assert_eq!(add(&mut counts, "10.0.0.4", 4), Some(net("10.0.0.2")));
        assert_eq!(add(&mut counts, "10.0.0.3", 5), None, "it is known: nobody has to go");
        assert_eq!(add(&mut counts, "10.0.0.5", 6), Some(net("10.0.0.4")));
        assert_eq!(add(&mut counts, "10.0.0.5", 7), None);
        assert_eq!(add(&mut counts, "10.0.0.6", 8), Some(net("10.0.0.1")), "seen longest ago");
        assert_eq!(counts.dropped(), Dropped { once: 2, more: 1 });
        assert_eq!(counts.len(), 3);
    }

    #[test]
    fn what_is_too_old_is_forgotten_and_counts_for_nothing_before() {
        let mut counts = Counts::default();
        let limits = Limits::default();
        for second in [0, 1, 2, 3] {
            add(&mut counts, "10.0.0.1", second);
        }
        add(&mut counts, "10.0.0.2", 4);
        assert_eq!(counts.next_stale(&limits), Some(at(604)));
        assert_eq!(counts.take_stale(at(603), &limits), None);
        assert_eq!(counts.take_stale(at(604), &limits), Some(net("10.0.0.1")));
        assert_eq!(counts.take_stale(at(605), &limits), Some(net("10.0.0.2")));
        assert_eq!(counts.next_stale(&limits), None);

        add(&mut counts, "10.0.0.1", 1000);
        let counted = counts.add(at(1601), (net("10.0.0.1"), at(1590), 1), &limits, 3);
        assert_eq!(counted.times, [at(1590)], "the other is older than findtime by now");
    }

    #[test]
    fn other_limits_apply_to_what_is_there() {
        let mut counts = Counts::default();
        for second in [0, 1, 2] {
            add(&mut counts, "10.0.0.1", second);
        }
        add(&mut counts, "10.0.0.2", 3);
        let limits = Limits { max_retry: 3.try_into().unwrap(), ..Limits::default() };
        assert_eq!(counts.apply(at(4), &limits), [(net("10.0.0.1"), vec![at(0), at(1), at(2)])]);
        assert_eq!(counts.len(), 1);
        assert_eq!(counts.apply(at(900), &limits), []);
    }

    #[test]
    fn a_prefix_forgets_all_inside() {
        let mut counts = Counts::default();
        for network in ["10.0.0.1", "10.0.0.2", "10.0.1.1"] {
            add(&mut counts, network, 0);
        }
        add(&mut counts, "10.0.0.2", 1);
        assert_eq!(counts.forget(net("10.0.0.0/24")), [net("10.0.0.1"), net("10.0.0.2")]);
        assert_eq!(counts.forget(net("10.0.0.1")), []);
        assert_eq!(counts.forget_all(), [net("10.0.1.1")]);
        assert!(counts.is_empty());
    }

    #[test]
    fn the_oldest_find_no_room_after_a_restart() {
        let mut counts = Counts::default();
        let remembered = [30, 10, 20, 40]
            .map(|second| (net(&format!("10.0.0.{second}")), vec![at(second)]))
            .to_vec();
        let dropped = counts.restore(remembered, &Limits::default(), 3);
        assert_eq!(dropped, [net("10.0.0.10")]);
    }
}
