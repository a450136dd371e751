//! Floors: times at or before which the failures of an address never count again.
//!
//! A ban and an unban consume the failures before them. Where lines are read a
//! second time (after a crash, or because a reader lags behind), the floor says
//! so. It is needed as long as findtime would let such a line count.

use std::collections::BTreeSet;
use std::time::Duration;

use super::netmap::NetMap;
use super::window::{NOISE, after};
use crate::model::{Network, Timestamp};

#[derive(Clone, Copy, Debug)]
struct Floor {
    at: Timestamp,
    /// When it was set or read from the store: one from the store also tells
    /// which of the kernel's bans were lifted, so it outlives the start.
    kept_since: Timestamp,
}

/// A jail's floors.
#[derive(Debug, Default)]
pub(super) struct Floors {
    floors: NetMap<Floor>,
    by_age: BTreeSet<(Timestamp, Network)>,
}

impl Floors {
    pub(super) fn is_empty(&self) -> bool {
        self.floors.is_empty()
    }

    /// Sets a floor, or raises it; says whether it is higher than before.
    pub(super) fn raise(&mut self, now: Timestamp, network: Network, at: Timestamp) -> bool {
        let old = self.floors.get(network).copied();
        if let Some(old) = old {
            if old.at >= at {
                return false;
            }
            self.by_age.remove(&(old.kept_since, network));
        }
        self.floors.insert(network, Floor { at, kept_since: now });
        self.by_age.insert((now, network));
        true
    }

    /// Does a failure of `network` at this time count for nothing?
    pub(super) fn hold(&self, network: Network, at: Timestamp) -> bool {
        self.floors.covering(network).any(|(_, floor)| at <= floor.at)
    }

    /// Until when failures of `network` count for nothing, if they do.
    pub(super) fn highest(&self, network: Network) -> Option<Timestamp> {
        self.floors.covering(network).map(|(_, floor)| floor.at).max()
    }

    /// Was `network`, or a prefix that holds it, banned or unbanned lately?
    pub(super) fn know(&self, network: Network) -> bool {
        self.floors.covering(network).next().is_some()
    }

    /// When the next floor is not needed any more.
    pub(super) fn next_stale(&self, find_time: Duration) -> Option<Timestamp> {
        let (kept_since, _) = self.by_age.first()?;
        Some(after(after(*kept_since, find_time), NOISE))
    }

    /// Drops a floor that is not needed any more.
    pub(super) fn take_stale(&mut self, now: Timestamp, find_time: Duration) -> Option<Network> {
        if self.next_stale(find_time)? > now {
            return None;
        }
        let (_, network) = self.by_age.pop_first()?;
        self.floors.remove(network);
        Some(network)
    }

    /// The clock was set back: a floor in the future would swallow real
    /// failures, so it becomes now. Gives those that changed.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) -> Vec<Network> {
        let future = after(now, NOISE);
        let mut changed = Vec::new();
        let mut by_age = BTreeSet::new();
        for (network, floor) in self.floors.iter_mut() {
            if floor.at > future {
                floor.at = now;
                changed.push(network);
            }
            floor.kept_since = floor.kept_since.min(now);
            by_age.insert((floor.kept_since, network));
        }
        self.by_age = by_age;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIND_TIME: Duration = Duration::from_secs(600);

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn hold_everything_at_or_before_them() {
        let mut floors = Floors::default();
        assert!(floors.raise(at(100), net("10.0.0.0/24"), at(100)));
        assert!(!floors.raise(at(110), net("10.0.0.0/24"), at(90)), "never lowered");
        assert!(floors.hold(net("10.0.0.7"), at(100)));
        assert!(!floors.hold(net("10.0.0.7"), at(101)));
        assert!(!floors.hold(net("10.0.1.7"), at(100)));
        assert!(!floors.hold(net("10.0.0.0/16"), at(100)), "wider than the floor");
    }

    #[test]
    fn go_when_findtime_is_over() {
        let mut floors = Floors::default();
        floors.raise(at(100), net("10.0.0.1"), at(50));
        floors.raise(at(200), net("10.0.0.1"), at(200));
        assert_eq!(floors.next_stale(FIND_TIME), Some(at(801)));
        assert_eq!(floors.take_stale(at(800), FIND_TIME), None);
        assert_eq!(floors.take_stale(at(801), FIND_TIME), Some(net("10.0.0.1")));
        assert!(floors.is_empty());
        assert_eq!(floors.next_stale(FIND_TIME), None);
    }

    #[test]
    fn do_not_stay_in_the_future() {
        let mut floors = Floors::default();
        floors.raise(at(9000), net("10.0.0.1"), at(9000));
        assert_eq!(floors.clock_set_back(at(100)), [net("10.0.0.1")]);
        assert!(!floors.hold(net("10.0.0.1"), at(101)));
        assert_eq!(floors.next_stale(FIND_TIME), Some(at(701)));
    }
}
