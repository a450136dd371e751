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
/// Addresses that are kept.
const ROOM: usize = 16;

#[derive(Debug)]
struct Seen {
    first: Timestamp,
    told: bool,
}

/// The banned addresses that still reach a jail's services.
#[derive(Debug, Default)]
pub(super) struct Reaching {
    seen: LinkedHashMap<Network, Seen>,
    told: u64,
}

impl Reaching {
    /// A line of `at` has a banned address, whose ban is in the kernel since
    /// `in_force`. Is that worth telling? Once for each address, and where there
    /// are many, ever less often.
    pub(super) fn note(&mut self, network: Network, at: Timestamp, in_force: Timestamp) -> bool {
        if at < after(in_force, GRACE) {
            return false;
        }
        if let Some(seen) = self.seen.to_back(&network) {
            if seen.told || at < after(seen.first, APART) {
                return false;
            }
            seen.told = true;
            self.told = self.told.saturating_add(1);
            return self.told <= ROOM as u64 || super::hidden::is_power_of_ten(self.told);
        }
        if self.seen.len() >= ROOM {
            self.seen.pop_front();
        }
        self.seen.insert(network, Seen { first: at, told: false });
        false
    }

    /// The ban of `network` is over.
    pub(super) fn forget(&mut self, network: Network) {
        self.seen.retain(|seen, _| !network.overlaps(*seen));
    }

    /// Those of which it is certain, the one seen last first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Network> {
        self.seen.iter().rev().filter(|(_, seen)| seen.told).map(|(network, _)| *network)
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
