//! A jail's bans in force, by address and by their end.
//!
//! Invariants: every ban with an end is in `ends` exactly once, under that end; and
//! `in_force` says how many are in the kernel, so that nobody has to count them.

use std::collections::BTreeSet;

use super::netmap::NetMap;
use super::window::{NOISE, after};
use crate::model::{Ban, Network, Timestamp, Until};

/// A ban, and what the firewall says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The ban.
    pub ban: Ban,
    /// Is it in the kernel?
    pub state: BanState,
    /// Since when, in seconds of Unix time; 0: it is not. So small that it costs no memory.
    in_force: u32,
}

/// Whether the kernel has a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanState {
    /// The firewall has not answered yet.
    Pending,
    /// The kernel has it.
    InForce,
    /// The firewall could not set it, and tries again.
    HeldBack,
    /// The jail is a dry run: it never gets there.
    DryRun,
}

/// The bans of a jail.
#[derive(Debug, Default)]
pub(super) struct Bans {
    standing: NetMap<Standing>,
    ends: BTreeSet<(Timestamp, Network)>,
    in_force: usize,
}

impl Bans {
    /// How many the kernel has.
    pub(super) fn in_force(&self) -> usize {
        self.in_force
    }

    pub(super) fn len(&self) -> usize {
        self.standing.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    pub(super) fn get(&self, network: Network) -> Option<&Standing> {
        self.standing.get(network)
    }

    /// All bans, by address.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.standing.iter().map(|(_, standing)| standing)
    }

    /// The bans that hold the whole of `network`, the narrowest first.
    pub(super) fn covering(&self, network: Network) -> impl Iterator<Item = &Standing> {
        self.standing.covering(network).map(|(_, standing)| standing)
    }

    /// The bans of `network` and of what lies inside it, by address.
    pub(super) fn inside(&self, network: Network) -> impl Iterator<Item = &Standing> {
        self.standing.inside(network).map(|(_, standing)| standing)
    }

    /// Puts a ban in the place of one of the same network.
    pub(super) fn insert(&mut self, ban: Ban, state: BanState) {
        let network = ban.network;
        let until = ban.until;
        let in_force = match (state, self.standing.get(network)) {
            (BanState::InForce, Some(old)) => old.in_force,
            _ => 0,
        };
        self.in_force += usize::from(state == BanState::InForce);
        if let Some(old) = self.standing.insert(network, Standing { ban, state, in_force }) {
            self.is_gone(&old);
        }
        if let Until::Time(end) = until {
            self.ends.insert((end, network));
        }
    }

    pub(super) fn remove(&mut self, network: Network) -> Option<Ban> {
        let old = self.standing.remove(network)?;
        self.is_gone(&old);
        Some(old.ban)
    }

    /// Notes what the firewall says of a ban.
    pub(super) fn set_state(&mut self, now: Timestamp, network: Network, state: BanState) {
        if let Some(standing) = self.standing.get_mut(network) {
            if state != BanState::InForce {
                standing.in_force = 0;
            } else if standing.in_force == 0 {
                standing.in_force = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
            }
            let before = std::mem::replace(&mut standing.state, state);
            self.in_force += usize::from(state == BanState::InForce);
            self.in_force -= usize::from(before == BanState::InForce);
        }
    }

    /// Since when the kernel has kept out all of `network`, to the second.
    pub(super) fn in_force_since(&self, network: Network) -> Option<Timestamp> {
        let since = |standing: &Standing| match standing.in_force {
            0 => None,
            second => Timestamp::from_second(second.into()).ok(),
        };
        self.covering(network).filter_map(since).min()
    }

    /// Notes the same of all bans.
    pub(super) fn set_states(&mut self, state: BanState) {
        for (_, standing) in self.standing.iter_mut() {
            standing.state = state;
            standing.in_force = 0;
        }
        self.in_force = if state == BanState::InForce { self.len() } else { 0 };
    }

    /// When the next ban ends.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// A ban that is over.
    pub(super) fn overdue(&self, now: Timestamp) -> Option<Network> {
        self.ends.first().filter(|(end, _)| *end <= now).map(|(_, network)| *network)
    }

    /// The clock was set back: a ban from the future begins now, and keeps its
    /// length. Gives those that changed.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) -> Vec<Ban> {
        let future = after(now, NOISE);
        let late = self.standing.iter().filter(|(_, standing)| standing.ban.since > future);
        let late: Vec<Standing> = late.map(|(_, standing)| standing.clone()).collect();
        let mut changed = Vec::new();
        for Standing { mut ban, state, .. } in late {
            let shift = ban.since.duration_since(now);
            ban.since = now;
            if let Until::Time(end) = ban.until {
                ban.until = Until::Time(end.checked_sub(shift).unwrap_or(now));
            }
            changed.push(ban.clone());
            self.insert(ban, state);
        }
        changed
    }

    fn is_gone(&mut self, old: &Standing) {
        if let Until::Time(end) = old.ban.until {
            self.ends.remove(&(end, old.ban.network));
        }
        self.in_force -= usize::from(old.state == BanState::InForce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BanOrigin, JailName};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ban(network: &str, since: i64, until: Until) -> Ban {
        Ban {
            jail: JailName::from_lossy("web"),
            network: network.parse().unwrap(),
            since: at(since),
            until,
            origin: BanOrigin::Failures,
            failures: 5,
        }
    }

    #[test]
    fn a_ban_has_one_end() {
        let mut bans = Bans::default();
        bans.insert(ban("10.0.0.1", 0, Until::Time(at(600))), BanState::Pending);
        bans.insert(ban("10.0.0.1", 0, Until::Time(at(900))), BanState::Pending);
        assert_eq!(bans.next_end(), Some(at(900)));
        bans.insert(ban("10.0.0.1", 0, Until::Forever), BanState::Pending);
        assert_eq!(bans.next_end(), None);
        bans.insert(ban("10.0.0.1", 0, Until::Time(at(5))), BanState::Pending);
        assert_eq!(bans.overdue(at(4)), None);
        assert_eq!(bans.overdue(at(5)), Some("10.0.0.1".parse().unwrap()));
        bans.remove("10.0.0.1".parse().unwrap());
        assert_eq!(bans.next_end(), None);
        assert!(bans.is_empty());
    }

    #[test]
    fn those_in_force_are_counted() {
        let mut bans = Bans::default();
        let networks: Vec<Network> =
            (1..=4).map(|n| format!("10.0.0.{n}").parse().unwrap()).collect();
        let counted = |bans: &Bans| bans.iter().filter(|s| s.state == BanState::InForce).count();
        for network in &networks {
            let state = BanState::Pending;
            bans.insert(ban(&network.to_string(), 0, Until::Time(at(600))), state);
            bans.set_state(at(1), *network, BanState::InForce);
            bans.set_state(at(2), *network, BanState::InForce);
        }
        assert_eq!((bans.in_force(), counted(&bans)), (4, 4));
        bans.set_state(at(3), networks[0], BanState::HeldBack);
        bans.insert(ban("10.0.0.2", 0, Until::Time(at(900))), BanState::InForce);
        bans.insert(ban("10.0.0.3", 0, Until::Forever), BanState::Pending);
        assert_eq!((bans.in_force(), counted(&bans)), (2, 2));
        bans.remove(networks[3]);
        bans.remove(networks[0]);
        assert_eq!((bans.in_force(), counted(&bans)), (1, 1));
        bans.set_states(BanState::DryRun);
        assert_eq!((bans.in_force(), counted(&bans)), (0, 0));
    }

    #[test]
    fn the_clock_set_back_does_not_prolong() {
        let mut bans = Bans::default();
        bans.insert(ban("10.0.0.1", 10_000, Until::Time(at(10_600))), BanState::InForce);
        bans.insert(ban("10.0.0.2", 50, Until::Time(at(650))), BanState::InForce);
        let changed = bans.clock_set_back(at(100));
        assert_eq!(changed, [ban("10.0.0.1", 100, Until::Time(at(700)))]);
        assert_eq!(bans.next_end(), Some(at(650)));
    }
}
