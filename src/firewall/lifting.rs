//! Bans that were lifted: is the kernel rid of them? Where it may not be, that is known
//! and told, and tried again with every turn, so that nobody is told "unbanned" who is
//! still refused.
//!
//! Usually a turn has done it by the time it comes here. What is left are families that
//! could not be looked at, and what an earlier guard made in other backends, which stands
//! until all jails are known.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{JailName, Network};

use super::keeper::{Backend, Keeper};
use super::names::Family;
use super::netlink::{Element, ElementChange};
use super::status::Unlifted;
use super::wanted::Touched;

/// So many of a jail are named; beyond, all of it counts as in doubt until it is well.
const MOST: usize = 4096;

/// Lifted bans that the kernel may still hold.
#[derive(Debug, Default)]
pub(crate) struct Lifting {
    /// In the backend that is in use.
    own: BTreeMap<(JailName, Family), Waiting>,
    /// In what an earlier guard left in the others.
    others: BTreeMap<JailName, Waiting>,
}

/// Those of one jail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) networks: BTreeSet<Network>,
    more: bool,
    why: String,
}

impl Waiting {
    fn add(&mut self, network: Network) {
        if self.networks.len() < MOST {
            self.networks.insert(network);
        } else {
            self.more |= !self.networks.contains(&network);
        }
    }

    /// Those of `networks` are banned again.
    fn forget(&mut self, networks: &[Network]) {
        for network in networks {
            self.networks.remove(network);
        }
    }

    fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.more
    }
}

impl Lifting {
    /// Is the kernel rid of all that was lifted?
    pub(crate) fn is_done(&self) -> bool {
        self.own.is_empty() && self.others.is_empty()
    }

    /// Was this ban lifted, and may still stand? Then it is not to be taken over.
    pub(crate) fn waits(&self, jail: &JailName, network: Network) -> bool {
        let key = (jail.clone(), Family::of(network));
        self.own.get(&key).is_some_and(|waiting| waiting.networks.contains(&network))
    }

    /// For people.
    pub(crate) fn all(&self) -> Vec<Unlifted> {
        let own = self.own.iter().map(|((jail, _), waiting)| (jail, waiting));
        let told = |(jail, waiting): (&JailName, &Waiting)| Unlifted {
            jail: jail.clone(),
            networks: waiting.networks.clone(),
            more: waiting.more,
            why: waiting.why.clone(),
        };
        own.chain(&self.others).map(told).collect()
    }

    fn note(&mut self, jail: &JailName, lifted: &[Network], others: bool) {
        for network in lifted {
            let key = (jail.clone(), Family::of(*network));
            self.own.entry(key).or_default().add(*network);
            if others {
                self.others.entry(jail.clone()).or_default().add(*network);
            }
        }
    }

    fn forget(&mut self, jail: &JailName, banned: &[Network]) {
        if self.is_done() {
            return;
        }
        for ((of, _), waiting) in &mut self.own {
            if of == jail {
                waiting.forget(banned);
            }
        }
        if let Some(waiting) = self.others.get_mut(jail) {
            waiting.forget(banned);
        }
    }
}

impl Keeper {
    /// At the end of a turn: is what it lifted gone from the kernel, and what waits?
    pub(crate) fn see_to_lifted(&mut self, touched: &Touched) {
        for (name, networks) in &touched.bans {
            let bans = self.wanted.jails.get(name).map(|jail| &jail.bans);
            let is_banned = |network: &Network| bans.is_some_and(|bans| bans.contains_key(network));
            let (banned, lifted): (Vec<Network>, Vec<Network>) =
                networks.iter().partition(|network| is_banned(network));
            self.lifting.forget(name, &banned);
            self.lifting.note(name, &lifted, self.others_hold);
        }
        if !self.lifting.is_done() {
            self.lift_from_others();
            self.lift_from_own();
        }
    }

    fn lift_from_others(&mut self) {
        let mut waiting = std::mem::take(&mut self.lifting.others);
        waiting.retain(|_, waiting| !waiting.is_empty());
        if !self.others_hold || waiting.is_empty() {
            return;
        }
        match self.take_out_of_others(&waiting) {
            Ok(holding) => {
                self.others_hold = holding;
                waiting.retain(|_, waiting| waiting.more && holding);
                for waiting in waiting.values_mut() {
                    waiting.why = "an earlier guard left rules with another backend".to_owned();
                }
            }
            Err(why) => {
                for waiting in waiting.values_mut() {
                    waiting.why = format!("an earlier guard left it with another backend: {why}");
                }
            }
        }
        self.lifting.others = waiting;
    }

    fn lift_from_own(&mut self) {
        for ((name, family), mut waiting) in std::mem::take(&mut self.lifting.own) {
            if waiting.is_empty() || self.is_lifted(&name, family, &waiting) {
                continue;
            }
            waiting.why = self.why_not_lifted(&name, family);
            self.lifting.own.insert((name, family), waiting);
        }
    }

    fn is_lifted(&mut self, name: &JailName, family: Family, waiting: &Waiting) -> bool {
        if self.is_sound(name, family) {
            return true;
        }
        let state = &self.families[family as usize];
        let off = state.off && !matches!(state.swept, Some(Err(_)));
        let swept = state.off && matches!(state.swept, Some(Ok(())));
        match &self.backend {
            // A family that guard leaves alone because it can't be used holds nothing either.
            Some(Backend::Iptables) => off,
            // Neither set nor rule of an earlier guard is left, and this one makes none.
            Some(Backend::Ipset(_)) if swept => true,
            // Its table has nothing of a family that is off.
            Some(Backend::Nftables(nft)) if off && nft.works => true,
            Some(Backend::Ipset(_) | Backend::Nftables(_)) => {
                // Where its chain was never right it may hold rules that an earlier guard
                // made, whatever the set says.
                let stood = self.placed.get(name).is_some_and(|it| it.stood[family as usize]);
                let gone = self.take_out(name, family, &waiting.networks);
                // Where the family never worked nobody can ask for those without a name.
                gone && (off || (stood && !waiting.more))
            }
            None => false,
        }
    }

    /// Is the kernel's side of a jail known to be as it should?
    fn is_sound(&self, name: &JailName, family: Family) -> bool {
        let at = family as usize;
        match self.placed.get(name) {
            Some(placed) => self.is_up(family) && placed.made[at] && !placed.suspect[at],
            // One that is gone went with all its bans, unless that failed.
            None => {
                let jail = self.wanted.jails.get(name);
                let is_installed = jail.is_some_and(|jail| jail.rules.is_some());
                self.backend.is_some() && !is_installed && self.left_chains[at].is_empty()
            }
        }
    }

    /// Takes elements out of a set in a family that could not be looked at: by netlink,
    /// which works where a tool does not. Are they gone?
    fn take_out(&mut self, name: &JailName, family: Family, networks: &BTreeSet<Network>) -> bool {
        let Some(placed) = self.placed.get_mut(name) else { return false };
        let set = placed.names.set(family).to_owned();
        let elements = without_time(networks);
        let done = match &mut self.backend {
            Some(Backend::Ipset(sets)) => sets.headers().and_then(|headers| {
                let there = headers.get(&set).is_some_and(|header| header.fits(family));
                if !there {
                    return Ok(Default::default());
                }
                sets.change(&set, ElementChange::Remove, &elements)
            }),
            // Before the first good look the table may be another's.
            Some(Backend::Nftables(nft)) if placed.adopted[family as usize] => {
                nft.change(&set, ElementChange::Remove, &elements, &HashMap::new())
            }
            Some(Backend::Nftables(_) | Backend::Iptables) | None => return false,
        };
        let gone = done.is_ok_and(|refusals| refusals.odd.is_empty());
        if gone {
            placed.applied.retain(|network, _| !networks.contains(network));
        }
        gone
    }

    fn why_not_lifted(&self, name: &JailName, family: Family) -> String {
        let of_jail = self.findings.jail_problems.get(name).and_then(|all| all.first());
        let swept = self.families[family as usize].swept.as_ref().and_then(|it| it.as_ref().err());
        let problems = &self.findings.problems;
        let of_family = problems.iter().find(|problem| problem.starts_with(family.as_str()));
        let why = of_jail.or(swept).or(of_family).or_else(|| problems.first());
        why.cloned().unwrap_or_else(|| "guard could not look at its rules yet".to_owned())
    }
}

/// As elements to be removed.
pub(crate) fn without_time<'a>(networks: impl IntoIterator<Item = &'a Network>) -> Vec<Element> {
    networks.into_iter().map(|network| Element { network: *network, timeout: 0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_nothing_is_forgotten() {
        let jail: JailName = "web".parse().unwrap();
        let net = |n: usize| -> Network {
            format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255).parse().unwrap()
        };
        let all: Vec<Network> = (0..=MOST).map(net).collect();
        let mut lifting = Lifting::default();
        lifting.note(&jail, &all[..MOST], true);
        lifting.note(&jail, &all[..MOST], true);
        assert!(lifting.all().iter().all(|told| !told.more && told.networks.len() == MOST));
        lifting.note(&jail, &all, false);
        let told = lifting.all();
        assert_eq!((told[0].more, told[1].more), (true, false));
        assert_eq!(told[0].networks.len(), MOST);
        lifting.forget(&jail, &all);
        assert!(lifting.own.values().all(|waiting| !waiting.is_empty()), "the one not named");
        assert!(lifting.others.values().all(Waiting::is_empty));
    }
}
