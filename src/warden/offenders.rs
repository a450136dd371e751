//! Who was banned how often, by which jail: fail2ban's memory of offenders.
//!
//! It is kept over restarts and outlives the jails. An offender is forgotten when
//! his last ban has been over for as long as history is kept, and where there are
//! too many of them, the one whose last ban began longest ago.

use std::hash::RandomState;
use std::time::Duration;

use hashlink::LinkedHashMap;

use super::window::after;
use crate::model::{JailName, Network, Offence, Timestamp, Until};

/// A jail, by its place in the list of names: the map has one entry for each ban.
type Number = u16;

/// All offenders, the one whose last ban began longest ago first. Attackers choose
/// the keys, so the map hashes them with std's keyed hash.
#[derive(Debug)]
pub(super) struct Offenders {
    known: LinkedHashMap<(Network, Number), Offence, RandomState>,
    /// The jails that ever banned somebody.
    jails: Vec<JailName>,
    most: usize,
    keep: Duration,
}

impl Offenders {
    /// At most so many, each kept for so long after the end of the last ban.
    pub(super) fn new(most: usize, keep: Duration) -> Self {
        let known = LinkedHashMap::with_hasher(RandomState::new());
        Offenders { known, jails: Vec::new(), most: most.max(1), keep }
    }

    /// How often `jail` banned `network`, as far as that is remembered.
    pub(super) fn bans(&self, now: Timestamp, jail: &JailName, network: Network) -> u32 {
        let number = self.jails.iter().position(|known| known == jail);
        number.map_or(0, |number| self.by(now, number, network))
    }

    /// How often any jail banned `network`.
    pub(super) fn bans_of_all(&self, now: Timestamp, network: Network) -> u32 {
        let each = (0..self.jails.len()).map(|number| self.by(now, number, network));
        each.fold(0, u32::saturating_add)
    }

    fn by(&self, now: Timestamp, number: usize, network: Network) -> u32 {
        let Ok(number) = Number::try_from(number) else { return 0 };
        let known = self.known.get(&(network, number));
        known.filter(|offence| !self.is_stale(offence, now)).map_or(0, |offence| offence.bans)
    }

    /// All that is remembered.
    pub(super) fn all(&self) -> impl Iterator<Item = (JailName, Network, Offence)> {
        let named = |(key, offence): (&(Network, Number), &Offence)| {
            self.named(*key).map(|(jail, network)| (jail, network, *offence))
        };
        self.known.iter().filter_map(named)
    }

    /// Notes what `jail` did so far. Gives the one who had to make room.
    pub(super) fn note(
        &mut self,
        jail: &JailName,
        network: Network,
        offence: Offence,
    ) -> Option<(JailName, Network)> {
        let key = (network, self.number(jail)?);
        let is_full = self.known.len() >= self.most && !self.known.contains_key(&key);
        let gone = if is_full { self.known.pop_front() } else { None };
        self.known.insert(key, offence);
        gone.and_then(|(key, _)| self.named(key))
    }

    /// The last ban ends at another time. Says what is to be remembered now.
    pub(super) fn moved(
        &mut self,
        jail: &JailName,
        network: Network,
        until: Until,
    ) -> Option<Offence> {
        let key = (network, self.number(jail)?);
        let known = self.known.get_mut(&key)?;
        known.until = until;
        Some(*known)
    }

    /// Forgets what `jail` did to `network`; says whether there was anything.
    pub(super) fn forgive(&mut self, jail: &JailName, network: Network) -> bool {
        self.number(jail).is_some_and(|number| self.known.remove(&(network, number)).is_some())
    }

    /// Forgets all that `jail` did, and says to whom.
    pub(super) fn forgive_all(&mut self, jail: &JailName) -> Vec<Network> {
        let Some(number) = self.number(jail) else { return Vec::new() };
        let of_jail = |(network, by): &(Network, Number)| (*by == number).then_some(*network);
        let mut gone: Vec<Network> = self.known.keys().filter_map(of_jail).collect();
        gone.sort_unstable();
        for network in &gone {
            self.known.remove(&(*network, number));
        }
        gone
    }

    /// When the one who is first to go may be forgotten.
    pub(super) fn next_stale(&self) -> Option<Timestamp> {
        match self.known.front()?.1.until {
            Until::Time(end) => Some(after(end, self.keep)),
            Until::Forever => None,
        }
    }

    /// Forgets one whose last ban has been over for long enough. Others may wait
    /// behind one with a longer ban; they count for nothing in the meantime.
    pub(super) fn take_stale(&mut self, now: Timestamp) -> Option<(JailName, Network)> {
        let (key, offence) = self.known.front()?;
        if !self.is_stale(offence, now) {
            return None;
        }
        let key = *key;
        self.known.remove(&key);
        self.named(key)
    }

    /// Would a last ban that ended then be forgotten by now?
    pub(super) fn is_forgotten(&self, now: Timestamp, end: Timestamp) -> bool {
        after(end, self.keep) <= now
    }

    fn is_stale(&self, offence: &Offence, now: Timestamp) -> bool {
        match offence.until {
            Until::Time(end) => after(end, self.keep) <= now,
            Until::Forever => false,
        }
    }

    fn named(&self, (network, number): (Network, Number)) -> Option<(JailName, Network)> {
        self.jails.get(usize::from(number)).map(|jail| (jail.clone(), network))
    }

    /// A jail's number; a new one for a jail that had none. `None`: there are too many.
    fn number(&mut self, jail: &JailName) -> Option<Number> {
        if let Some(number) = self.jails.iter().position(|known| known == jail) {
            return Number::try_from(number).ok();
        }
        let number = Number::try_from(self.jails.len()).ok()?;
        self.jails.push(jail.clone());
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn jail(name: &str) -> JailName {
        name.parse().unwrap()
    }

    fn offence(bans: u32, until: i64) -> Offence {
        Offence { bans, until: Until::Time(at(until)) }
    }

    #[test]
    fn each_jail_counts_for_itself_and_all_together() {
        let mut offenders = Offenders::new(10, Duration::from_secs(100));
        let (web, mail, one) = (jail("web"), jail("mail"), net("203.0.113.1"));
        assert_eq!(offenders.note(&web, one, offence(2, 10)), None);
        offenders.note(&mail, one, offence(3, 50));
        let counts = |offenders: &Offenders, now| {
            let now = at(now);
            (offenders.bans(now, &web, one), offenders.bans_of_all(now, one))
        };
        assert_eq!(counts(&offenders, 109), (2, 5));
        assert_eq!(counts(&offenders, 110), (0, 3), "over for as long as history is kept");
        assert_eq!(offenders.take_stale(at(109)), None);
        assert_eq!(offenders.take_stale(at(110)), Some((web.clone(), one)));
        assert!(offenders.forgive(&mail, one));
        assert_eq!(counts(&offenders, 50), (0, 0));
    }

    #[test]
    fn the_one_banned_longest_ago_makes_room() {
        let mut offenders = Offenders::new(2, Duration::from_secs(100));
        let web = jail("web");
        for (number, network) in ["10.0.0.1", "10.0.0.2", "10.0.0.1"].into_iter().enumerate() {
            assert_eq!(offenders.note(&web, net(network), offence(number as u32 + 1, 10)), None);
        }
        let gone = offenders.note(&web, net("10.0.0.3"), offence(1, 10));
        assert_eq!(gone, Some((web, net("10.0.0.2"))));
    }
}
