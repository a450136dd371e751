//! Addresses that logged in: what they do wrong soon after is no attack.
//!
//! Whoever has an account can protect his address so. That is the price: it is his
//! own address, in this jail, for minutes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::netmap::NetMap;
use super::window::{NOISE, after};
use crate::model::{Network, Timestamp};

/// At most so many in a jail; of more, the oldest are forgotten.
const ROOM: usize = 10_000;

/// When each address logged in last.
#[derive(Debug, Default)]
pub(super) struct Logins {
    last: NetMap<Timestamp>,
    by_age: BTreeSet<(Timestamp, Network)>,
}

impl Logins {
    /// Notes a login. One that is older than the last known changes nothing.
    pub(super) fn note(&mut self, network: Network, at: Timestamp) {
        if let Some(last) = self.last.get(network).copied() {
            if last >= at {
                return;
            }
            self.by_age.remove(&(last, network));
        } else if self.last.len() >= ROOM
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.last.remove(oldest);
        }
        self.last.insert(network, at);
        self.by_age.insert((at, network));
    }

    /// The address in `network`, which may be itself, whose login makes a failure at
    /// this time none, and when it logged in.
    pub(super) fn protect(
        &self,
        network: Network,
        at: Timestamp,
        pardon: Duration,
    ) -> Option<(Network, Timestamp)> {
        let mut all = self.last.inside(network).map(|(network, login)| (network, *login));
        all.find(|(_, login)| at < after(*login, pardon))
    }

    /// Forgets a login that is so old.
    pub(super) fn take_stale(&mut self, now: Timestamp, age: Duration) -> Option<Network> {
        let (_, network) = *self.by_age.first().filter(|(at, _)| after(*at, age) <= now)?;
        self.by_age.pop_first();
        self.last.remove(network);
        Some(network)
    }

    /// When the first one will be so old.
    pub(super) fn next_stale(&self, age: Duration) -> Option<Timestamp> {
        self.by_age.first().map(|(at, _)| after(*at, age))
    }

    /// The clock was set back: nobody logged in in the future.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) {
        let future = after(now, NOISE);
        while let Some((at, network)) = self.by_age.last().copied().filter(|(at, _)| *at > future) {
            self.by_age.remove(&(at, network));
            self.by_age.insert((now, network));
            self.last.insert(network, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn net(number: u32) -> Network {
        crate::model::Address::from(std::net::IpAddr::from(number.to_be_bytes())).into()
    }

    const PARDON: Duration = Duration::from_secs(600);

    #[test]
    fn protect_for_a_while() {
        let mut logins = Logins::default();
        logins.note(net(1), at(100));
        logins.note(net(1), at(50));
        let all = "0.0.0.0/8".parse().unwrap();
        for network in [net(1), all] {
            assert_eq!(logins.protect(network, at(699), PARDON), Some((net(1), at(100))));
            assert_eq!(logins.protect(network, at(700), PARDON), None);
        }
        assert_eq!(logins.protect(net(2), at(100), PARDON), None);
        assert_eq!(logins.take_stale(at(699), PARDON), None);
        assert_eq!(logins.take_stale(at(700), PARDON), Some(net(1)));
        assert_eq!(logins.next_stale(PARDON), None);
    }

    #[test]
    fn only_so_many_and_none_from_the_future() {
        let mut logins = Logins::default();
        for number in 1..20_000 {
            logins.note(net(number), at(i64::from(number)));
        }
        assert_eq!(logins.last.len(), ROOM);
        assert_eq!(logins.protect(net(9_999), at(0), PARDON), None);
        logins.clock_set_back(at(15_000));
        assert_eq!(
            logins.protect(net(19_999), at(15_599), PARDON),
            Some((net(19_999), at(15_000)))
        );
        assert_eq!(logins.protect(net(19_999), at(15_600), PARDON), None);
    }
}
