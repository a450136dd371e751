//! Banned addresses that go on failing: the proof that a ban keeps nobody out.
//!
//! A line may be written before the ban and read after it, and while guard stands
//! still nobody bans. So a proof is several failures, each read as it was written,
//! over a longer time, of somebody who is in the kernel.

use std::time::Duration;

use hashlink::LinkedHashMap;

use super::window::after;
use crate::model::{Network, Timestamp};

/// So many addresses of a jail are kept apart.
const ROOM: usize = 16;

/// A line that was written longer ago tells of another time.
const LIVE: Duration = Duration::from_secs(5);

/// So long a request may be under way when its client is banned.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// So many failures are a proof, …
const PROOF: u64 = 3;

/// …if so much time lies between the first and the last.
const SPAN: Duration = Duration::from_secs(10);

/// Someone who fails while banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Who.
    pub network: Network,
    /// When that was first seen.
    pub first: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
}

/// Those of a jail, the one seen last at the end.
#[derive(Debug, Default)]
pub(super) struct Leaks(LinkedHashMap<Network, Leak>);

impl Leaks {
    /// `network` failed at `at`, while a ban that began at `since` stood in the kernel.
    pub(super) fn note(
        &mut self,
        now: Timestamp,
        network: Network,
        (at, since): (Timestamp, Timestamp),
    ) {
        if after(at, LIVE) < now || at <= after(since, UNDER_WAY) {
            return;
        }
        if let Some(leak) = self.0.to_back(&network) {
            // An earlier ban's: that one may have had another reason.
            if leak.last < since {
                *leak = Leak { network, first: at, last: at, count: 0 };
            }
            leak.last = at;
            leak.count = leak.count.saturating_add(1);
            return;
        }
        if self.0.len() >= ROOM {
            self.0.pop_front();
        }
        self.0.insert(network, Leak { network, first: at, last: at, count: 1 });
    }

    /// Those that are proofs.
    pub(super) fn proven(&self) -> impl Iterator<Item = &Leak> {
        let is_proof = |leak: &&Leak| leak.count >= PROOF && leak.last >= after(leak.first, SPAN);
        self.0.values().rev().filter(is_proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn net(last: u32) -> Network {
        crate::model::Address::new(std::net::Ipv4Addr::from(0x0a00_0000 + last).into()).into()
    }

    #[test]
    fn only_what_goes_on_is_a_proof() {
        let mut leaks = Leaks::default();
        let proven = |leaks: &Leaks| leaks.proven().map(|leak| leak.count).collect::<Vec<_>>();
        // Under way when the ban began, and lines of old.
        for second in 1000..=1005 {
            leaks.note(at(second), net(1), (at(second), at(1000)));
        }
        leaks.note(at(2000), net(1), (at(1500), at(1000)));
        assert_eq!(leaks.0.len(), 0);
        // A burst is none, the same over a while is one.
        for _ in 0..5 {
            leaks.note(at(1010), net(1), (at(1010), at(1000)));
        }
        assert_eq!(proven(&leaks), Vec::<u64>::new());
        leaks.note(at(1020), net(1), (at(1020), at(1000)));
        assert_eq!(proven(&leaks), [6]);
        // With the next ban it begins anew.
        leaks.note(at(3010), net(1), (at(3010), at(3000)));
        assert_eq!(proven(&leaks), Vec::<u64>::new());
        for number in 2..100 {
            leaks.note(at(3010), net(number), (at(3010), at(3000)));
        }
        assert_eq!(leaks.0.len(), ROOM);
    }
}
