//! A backup is restored: the bans are those of then, in the kernel as on disk.
//!
//! What then was is true again, but for what time and rules say: a ban whose end has
//! passed does not begin anew, and who is never banned now is not. Counts of failures and
//! places in logs stay as they are: the logs went on, and each line counts once. A jail's
//! options are today's labels, and no jail goes because the backup does not know it.

use std::collections::{HashMap, HashSet};

use super::Warden;
use super::effect::{Effect, Effects};
use super::ignore::{NeverBan, is_too_wide};
use super::jail::{Jail, Presence};
use super::offenders::Offenders;
use crate::model::{
    Ban, BanOrigin, JailMemory, JailName, LiftedBy, Lifting, Memory, Network, Offence, Record,
    Timestamp,
};

/// What became of the bans of a backup, and of those that stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Bans of the backup that stand now, those that stood before among them.
    pub standing: u64,
    /// Those whose end has passed, or whose jail is not in the backup.
    pub over: u64,
    /// Those of addresses that are never banned now.
    pub never: u64,
    /// Bans that stood, are not in the backup, and were lifted.
    pub lifted: u64,
}

type Key = (JailName, Network);

impl Warden {
    /// A backup was read. The caller owes a word on each jail that is not live, as after
    /// [`Warden::new`]. Of the history only what begins now is remembered from here on.
    pub fn handle_restored(&mut self, now: Timestamp, memory: Memory) -> Restored {
        self.observe(now);
        for remembered in memory.jails {
            self.take_totals(remembered);
        }
        let mut restored = Restored::default();
        let wanted: HashMap<Key, Ban> =
            memory.bans.into_iter().map(|ban| ((ban.jail.clone(), ban.network), ban)).collect();
        let Warden { jails, never, out, .. } = self;
        for jail in jails.values_mut() {
            restored.lifted += jail.drop_others(&wanted, out);
        }
        // In an order of their own, so that the same backup gives the same orders.
        let mut wanted: Vec<Ban> = wanted.into_values().collect();
        wanted.sort_unstable_by(|a, b| {
            (a.since, &a.jail, a.network).cmp(&(b.since, &b.jail, b.network))
        });
        for ban in wanted {
            match jails.get_mut(&ban.jail) {
                Some(jail) => jail.return_to(now, ban, never, (&mut restored, out)),
                None => restored.over += 1,
            }
        }
        for (name, network, at) in memory.floors {
            if let Some(jail) = jails.get_mut(&name) {
                jail.set_floor(now, network, at.min(now), out);
            }
        }
        self.take_offences(memory.offences);
        restored
    }

    fn take_totals(&mut self, remembered: JailMemory) {
        let Warden { jails, never, out, .. } = self;
        let JailMemory { rules, found, banned } = remembered;
        let jail = jails.entry(rules.name.clone()).or_insert_with(|| {
            let jail = Jail::new(rules, Presence::Awaited, never);
            jail.install(out);
            jail
        });
        (jail.found, jail.banned) = (found, banned);
        out.remember(jail.record());
    }

    fn take_offences(&mut self, offences: Vec<(JailName, Network, Offence)>) {
        let settings = self.never.settings();
        let mut offenders = Offenders::new(settings.track_max, settings.history);
        for (jail, network, offence) in offences {
            // Who has to make room was never written here, or is found below.
            let _ = offenders.note(&jail, network, offence);
        }
        let known: HashSet<Key> =
            offenders.all().map(|(jail, network, _)| (jail, network)).collect();
        for (jail, network, _) in self.offenders.all() {
            if !known.contains(&(jail.clone(), network)) {
                self.out.remember(Record::OffenceGone(jail, network));
            }
        }
        for (jail, network, offence) in offenders.all() {
            self.out.remember(Record::Offence(jail, network, offence));
        }
        self.offenders = offenders;
    }
}

impl Jail {
    /// Lifts the bans that the backup does not have; says how many.
    fn drop_others(&mut self, wanted: &HashMap<Key, Ban>, out: &mut Effects) -> u64 {
        let name = self.name();
        let is_other = |network: &Network| !wanted.contains_key(&(name.clone(), *network));
        let standing = self.bans.iter().map(|standing| standing.ban.network);
        let others: Vec<Network> = standing.filter(is_other).collect();
        for network in &others {
            self.let_in(*network, out);
        }
        others.len() as u64
    }

    /// Ends a ban without a word of its own: it is not in the history, either.
    fn let_in(&mut self, network: Network, out: &mut Effects) {
        if self.bans.remove(network).is_none() {
            return;
        }
        self.reaching.forget(network);
        if !self.rules.dry_run {
            out.push(Effect::Release(self.name(), network));
        }
        out.remember(Record::BanGone(self.name(), network));
    }

    /// Makes a ban as it was then, if it may be.
    fn return_to(
        &mut self,
        now: Timestamp,
        mut ban: Ban,
        never: &NeverBan,
        (restored, out): (&mut Restored, &mut Effects),
    ) {
        let network = ban.network;
        if ban.until.is_over(now) {
            restored.over += 1;
            return self.let_in(network, out);
        }
        let by_hand = ban.origin == BanOrigin::Hand;
        let is_exempt = !by_hand && (self.exempt(never, network).is_some() || is_too_wide(network));
        let is_new = self.bans.get(network).is_none();
        // Who is connected keeps his connection, whatever was true then.
        if is_exempt || (is_new && never.live_ssh(&self.rules, network).is_some()) {
            restored.never += 1;
            self.let_in(network, out);
            let (jail, by) = (self.name(), LiftedBy::NeverBan);
            return out.remember(Record::Lifted(Lifting { jail, network, at: now, by }));
        }
        restored.standing += 1;
        ban.since = ban.since.min(now);
        if self.bans.get(network).is_some_and(|standing| standing.ban == ban) {
            return;
        }
        self.bans.insert(ban.clone(), self.ordered());
        self.block(&ban, out);
        out.remember(Record::Ban(ban));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IgnoreEntry, Until};
    use crate::warden::{BanRequest, JailView, Settings};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ban(network: &str, origin: BanOrigin, until: i64) -> Ban {
        Ban {
            jail: JailName::from_lossy("manual"),
            network: network.parse().unwrap(),
            since: at(0),
            until: Until::Time(at(until)),
            origin,
            failures: 5,
        }
    }

    /// A warden at 100 that banned these by hand, for 1000 s.
    fn warden(banned: &[&str]) -> Warden {
        let ignore = vec![IgnoreEntry::Network("10.0.0.0/8".parse().unwrap())];
        let settings = Settings { ignore, ..Settings::default() };
        let mut warden = Warden::new(at(100), Memory::default(), settings);
        let request = BanRequest {
            networks: banned.iter().map(|network| network.parse().unwrap()).collect(),
            jail: None,
            time: Some(crate::model::BanTime::For(std::time::Duration::from_secs(1000))),
            force: false,
        };
        let _ = warden.handle_ban(at(100), request);
        while warden.poll_effect().is_some() {}
        warden
    }

    fn bans(warden: &Warden) -> Vec<String> {
        let all = warden.jails().flat_map(JailView::bans);
        all.map(|standing| format!("{} {}", standing.ban.network, standing.ban.until)).collect()
    }

    fn effects(warden: &mut Warden) -> Vec<String> {
        let all = std::iter::from_fn(|| warden.poll_effect());
        let word = |effect| match effect {
            Effect::Block(ban) => format!("block {}", ban.network),
            Effect::Release(_, network) => format!("release {network}"),
            Effect::Remember(Record::Ban(ban)) => format!("ban {}", ban.network),
            Effect::Remember(Record::BanGone(_, network)) => format!("gone {network}"),
            Effect::Remember(Record::Lifted(lifting)) => format!("lifted {}", lifting.network),
            other => format!("{other:?}"),
        };
        all.map(word).collect()
    }

    #[test]
    fn it_is_as_it_was_then() {
        let mut warden = warden(&["203.0.113.1", "203.0.113.2"]);
        let bans_then = vec![
            ban("203.0.113.2", BanOrigin::Failures, 900),
            ban("203.0.113.3", BanOrigin::Failures, 901),
            ban("203.0.113.4", BanOrigin::Failures, 200),
            ban("10.0.0.1", BanOrigin::Failures, 900),
            ban("128.0.0.0/1", BanOrigin::Failures, 900),
            ban("10.0.0.2", BanOrigin::Hand, 900),
            Ban { jail: JailName::from_lossy("gone"), ..ban("203.0.113.5", BanOrigin::Hand, 900) },
        ];
        let restored =
            warden.handle_restored(at(200), Memory { bans: bans_then, ..Memory::default() });
        assert_eq!(restored, Restored { standing: 3, over: 2, never: 2, lifted: 1 });
        assert_eq!(
            bans(&warden),
            [
                "10.0.0.2 1970-01-01T00:15:00Z",
                "203.0.113.2 1970-01-01T00:15:00Z",
                "203.0.113.3 1970-01-01T00:15:01Z",
            ]
        );
        let expected = [
            "release 203.0.113.1",
            "gone 203.0.113.1",
            "lifted 10.0.0.1",
            "block 10.0.0.2",
            "ban 10.0.0.2",
            "lifted 128.0.0.0/1",
            "block 203.0.113.2",
            "ban 203.0.113.2",
            "block 203.0.113.3",
            "ban 203.0.113.3",
        ];
        assert_eq!(effects(&mut warden), expected);
    }

    #[test]
    fn restoring_what_is_changes_nothing_and_the_past_is_that_of_then() {
        let mut warden = warden(&["203.0.113.1"]);
        let all: Vec<Ban> =
            warden.jails().flat_map(JailView::bans).map(|standing| standing.ban.clone()).collect();
        let (name, network) = (JailName::from_lossy("web"), "203.0.113.9".parse().unwrap());
        let offence = Offence { bans: 3, until: Until::Time(at(50)) };
        let memory = Memory {
            bans: all,
            offences: vec![(name.clone(), network, offence)],
            ..Memory::default()
        };
        let restored = warden.handle_restored(at(200), memory);
        assert_eq!(restored, Restored { standing: 1, ..Restored::default() });
        assert_eq!(effects(&mut warden).len(), 1, "the offence is written, no ban is touched");
        assert_eq!(warden.offenders.bans(at(200), &name, network), 3);
        warden.handle_restored(at(200), Memory::default());
        assert_eq!(warden.offenders.bans(at(200), &name, network), 0);
        assert_eq!(bans(&warden), Vec::<String>::new());
    }
}
