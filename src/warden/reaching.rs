//! Banned addresses whose failures go on: their ban does not work, whatever the
//! firewall says.
//!
//! One line is no proof: a service may write it down late. Two are, some seconds
//! apart and both from well after the ban. What is kept is bounded, and so is what is told.

use std::time::Duration;

use hashlink::LinkedHashMap;

use super::window::after;
use crate::model::{Network, Timestamp};

/// Lines from so soon after the kernel had the ban prove nothing.
const GRACE: Duration = Duration::from_secs(5);
/// Lines that are no further apart may have been written out together.
const APART: Duration = Duration::from_secs(2);
/// Addresses that are kept: of those told, and of those of whom one line has come.
const ROOM: usize = 16;
/// Whose second line has not come for so long makes room for others.
const STALE: Duration = Duration::from_secs(300);

/// The banned addresses that still reach a jail's services.
#[derive(Debug, Default)]
pub(super) struct Reaching {
    /// Those of which it is certain, the one seen last at the back.
    certain: LinkedHashMap<Network, ()>,
    /// Those of whom one line has come, and when. Nobody is pushed out by the next one:
    /// where all bans fail, each would be gone before his second line.
    waiting: LinkedHashMap<Network, Timestamp>,
    told: u64,
}

impl Reaching {
    /// A line of `at` has a banned address, whose ban is in the kernel since
    /// `in_force`. Is that worth telling? Once for each address, and where there
    /// are many, ever less often.
    pub(super) fn note(&mut self, network: Network, at: Timestamp, in_force: Timestamp) -> bool {
        if at < after(in_force, GRACE) || self.certain.to_back(&network).is_some() {
            return false;
        }
        let Some(first) = self.waiting.get(&network) else {
            self.wait(network, at);
            return false;
        };
        if at < after(*first, APART) {
            return false;
        }
        self.waiting.remove(&network);
        if self.certain.len() >= ROOM {
            self.certain.pop_front();
        }
        self.certain.insert(network, ());
        self.told = self.told.saturating_add(1);
        self.told <= ROOM as u64 || super::hidden::is_power_of_ten(self.told)
    }

    fn wait(&mut self, network: Network, at: Timestamp) {
        if self.waiting.len() >= ROOM {
            self.waiting.retain(|_, first| at < after(*first, STALE));
        }
        if self.waiting.len() < ROOM {
            self.waiting.insert(network, at);
        }
    }

    /// The ban of `network` is over.
    pub(super) fn forget(&mut self, network: Network) {
        self.certain.retain(|seen, ()| !network.overlaps(*seen));
        self.waiting.retain(|seen, _| !network.overlaps(*seen));
    }

    /// Those of which it is certain, the one seen last first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Network> {
        self.certain.iter().rev().map(|(network, ())| *network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn net(number: u32) -> Network {
        format!("192.0.{}.{}", number / 200, number % 200).parse().unwrap()
    }

    #[test]
    fn late_lines_are_told_once_and_only_with_proof() {
        let mut reaching = Reaching::default();
        let told: Vec<i64> =
            (0..60).filter(|second| reaching.note(net(1), at(*second), at(10))).collect();
        assert_eq!(told, [17], "5 s after the ban, and 2 s after the first");
        assert_eq!(reaching.iter().collect::<Vec<_>>(), [net(1)]);
        reaching.forget("192.0.0.0/24".parse().unwrap());
        assert_eq!(reaching.iter().count(), 0);
    }

    #[test]
    fn what_was_written_out_together_proves_nothing() {
        let mut reaching = Reaching::default();
        assert!(!(0..100).any(|_| reaching.note(net(1), at(60), at(10))));
        assert_eq!(reaching.iter().count(), 0);
    }

    #[test]
    fn where_all_bans_fail_it_is_told_however_many_come_in_turn() {
        let check = |addresses: u32, expected: usize| {
            let mut reaching = Reaching::default();
            let mut told = 0;
            for (second, number) in (20..).zip((0..addresses).cycle()).take(10_000) {
                told += usize::from(reaching.note(net(number), at(second), at(0)));
                assert!(reaching.certain.len().max(reaching.waiting.len()) <= ROOM);
            }
            assert!(told >= expected, "{addresses} addresses: {told}");
            assert!(told <= ROOM + 4, "{addresses} addresses: {told}");
            assert_eq!(reaching.iter().count(), expected, "{addresses} addresses");
        };
        check(1, 1);
        check(16, 16);
        check(17, 16);
        check(100, 16);
        check(250, 16);
    }

    #[test]
    fn who_does_not_come_back_makes_room() {
        let mut reaching = Reaching::default();
        for number in 0..100 {
            assert!(!reaching.note(net(number), at(20), at(0)));
        }
        assert!(!reaching.note(net(200), at(300), at(0)), "no room yet");
        assert!(!reaching.note(net(200), at(310), at(0)));
        assert!(!reaching.note(net(200), at(330), at(0)), "now it waits");
        assert!(reaching.note(net(200), at(340), at(0)));
        assert_eq!(reaching.iter().collect::<Vec<_>>(), [net(200)]);
    }

    #[test]
    fn many_addresses_neither_fill_nor_flood() {
        let mut reaching = Reaching::default();
        let told = |number: &u32| {
            let network = net(*number);
            reaching.note(network, at(20), at(0));
            reaching.note(network, at(30), at(0))
        };
        assert_eq!(
            (1..=1000).filter(told).count(),
            ROOM + 2,
            "the first 16, the 100th and the 1000th"
        );
        assert_eq!(reaching.iter().count(), ROOM);
    }
}
