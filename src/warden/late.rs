//! What was remembered could be read only after the start: it is taken in late.
//!
//! What happened since the start is newer and wins: a ban that was lifted
//! meanwhile stays lifted, one made by hand keeps its end. What was counted is not
//! taken over: without places in the logs, the lines of the last findtime were
//! read again.

use std::collections::BTreeMap;

use super::Warden;
use super::effect::{Effects, UnbanRequest, UnbanWhich};
use super::ignore::NeverBan;
use super::jail::{Jail, Presence};
use crate::model::{Ban, BanOrigin, JailMemory, JailName, Memory, Network, Record, Timestamp};

/// Most unbans that are remembered one by one; of more, all bans count as lifted.
const MAX_LIFTED: usize = 100_000;

/// The unbans since a start without memory.
#[derive(Debug, Default)]
pub struct Meanwhile {
    /// In which jail (none: all), and whom (none: everybody).
    lifted: Vec<(Option<JailName>, Option<Network>)>,
    too_many: bool,
}

impl Meanwhile {
    /// Notes an unban.
    pub fn note(&mut self, request: &UnbanRequest) {
        let jail = &request.jail;
        match &request.which {
            UnbanWhich::All => self.lifted.push((jail.clone(), None)),
            UnbanWhich::Networks(networks) => {
                let one = |network: &Network| (jail.clone(), Some(*network));
                self.lifted.extend(networks.iter().take(MAX_LIFTED + 1).map(one));
            }
        }
        if self.lifted.len() > MAX_LIFTED {
            // Rather let somebody in who was banned than ban who was let in.
            self.too_many = true;
            self.lifted = Vec::new();
        }
    }

    /// Would one of them have lifted this ban?
    fn has_lifted(&self, ban: &Ban) -> bool {
        let holds = |network: Network| {
            network.length() <= ban.network.length() && network.contains(ban.network.address())
        };
        let hits = |(jail, network): &(Option<JailName>, Option<Network>)| {
            jail.as_ref().is_none_or(|jail| *jail == ban.jail) && network.is_none_or(holds)
        };
        self.too_many || self.lifted.iter().any(hits)
    }
}

impl Warden {
    /// What was remembered before the start could be read only now. The caller owes a
    /// word on each jail that is not live, as after [`Warden::new`].
    pub fn handle_memory(&mut self, now: Timestamp, memory: Memory, meanwhile: &Meanwhile) {
        self.observe(now);
        let Warden { jails, never, out, .. } = self;
        for remembered in memory.jails {
            take_jail(jails, remembered, never, out);
        }
        for (name, network, at) in memory.floors {
            match jails.get_mut(&name) {
                Some(jail) => drop(jail.floors.raise(now, network, at.min(now))),
                None => out.remember(Record::FloorGone(name, network)),
            }
        }
        for (name, network, _) in memory.failures {
            if !jails.get(&name).is_some_and(|jail| jail.counts.know(network)) {
                out.remember(Record::Failures(name, network, Vec::new()));
            }
        }
        for ban in memory.bans {
            let (name, network) = (ban.jail.clone(), ban.network);
            let lifted = meanwhile.has_lifted(&ban);
            let stands = match jails.get_mut(&name) {
                Some(jail) => jail.take_ban(now, ban, lifted, never, out),
                None => false,
            };
            if !stands {
                out.remember(Record::BanGone(name, network));
            }
        }
    }
}

fn take_jail(
    jails: &mut BTreeMap<JailName, Jail>,
    remembered: JailMemory,
    never: &NeverBan,
    out: &mut Effects,
) {
    let JailMemory { rules, found, banned } = remembered;
    let jail = jails.entry(rules.name.clone()).or_insert_with(|| {
        let jail = Jail::new(rules, Presence::Awaited, never);
        jail.install(out);
        jail
    });
    jail.found = jail.found.saturating_add(found);
    jail.banned = jail.banned.saturating_add(banned);
    out.remember(jail.record());
}

impl Jail {
    /// Takes a ban over, unless something newer speaks against it; says whether
    /// the network is banned now.
    fn take_ban(
        &mut self,
        now: Timestamp,
        mut ban: Ban,
        lifted: bool,
        never: &NeverBan,
        out: &mut Effects,
    ) -> bool {
        let standing = self.bans.get(ban.network).map(|standing| standing.ban.clone());
        let refused = lifted
            || ban.until.is_over(now)
            || (ban.origin != BanOrigin::Hand && self.exempt(never, ban.network).is_some());
        let newer = standing.as_ref().is_some_and(|standing| {
            standing.origin == BanOrigin::Hand || standing.until >= ban.until
        });
        if refused || newer {
            return standing.is_some();
        }
        ban.since = ban.since.min(now);
        self.bans.insert(ban.clone(), self.ordered());
        self.block(&ban, out);
        out.remember(Record::Ban(ban));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Limits, Until};
    use crate::warden::{BanRequest, Effect, JailView, Settings};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ban(jail: &str, network: &str, until: i64) -> Ban {
        Ban {
            jail: JailName::from_lossy(jail),
            network: network.parse().unwrap(),
            since: at(0),
            until: Until::Time(at(until)),
            origin: BanOrigin::Failures,
            failures: 5,
        }
    }

    fn unban(jail: Option<&str>, network: Option<&str>) -> UnbanRequest {
        let which = match network {
            Some(network) => UnbanWhich::Networks(vec![network.parse().unwrap()]),
            None => UnbanWhich::All,
        };
        UnbanRequest { which, jail: jail.map(JailName::from_lossy) }
    }

    /// A warden without memory at 100; what came out so far is thrown away.
    fn warden() -> Warden {
        let mut warden = Warden::new(at(100), Memory::default(), Settings::default());
        while warden.poll_effect().is_some() {}
        warden
    }

    fn bans(warden: &Warden) -> Vec<String> {
        let all = warden.jails().flat_map(JailView::bans);
        all.map(|standing| format!("{} {}", standing.ban.network, standing.ban.until)).collect()
    }

    #[test]
    fn bans_are_taken_over_and_ordered() {
        let mut warden = warden();
        let memory = Memory { bans: vec![ban("manual", "203.0.113.1", 900)], ..Memory::default() };
        warden.handle_memory(at(200), memory, &Meanwhile::default());
        assert_eq!(bans(&warden), ["203.0.113.1 1970-01-01T00:15:00Z"]);
        let effects: Vec<_> = std::iter::from_fn(|| warden.poll_effect()).collect();
        assert!(matches!(&effects[0], Effect::Block(ban) if ban.until == Until::Time(at(900))));
        assert!(matches!(&effects[1], Effect::Remember(Record::Ban(_))));
        assert_eq!(effects.len(), 2);
    }

    #[test]
    fn an_unban_meanwhile_wins() {
        let mut meanwhile = Meanwhile::default();
        meanwhile.note(&unban(None, Some("203.0.113.1")));
        meanwhile.note(&unban(Some("other"), Some("203.0.113.2")));
        meanwhile.note(&unban(None, Some("198.51.100.0/24")));
        let networks =
            ["203.0.113.1", "203.0.113.2", "198.51.100.7", "198.51.0.0/16", "203.0.113.0/24"];
        let all = networks.map(|network| ban("manual", network, 900)).into();
        let mut warden = warden();
        let memory = Memory { bans: all, ..Memory::default() };
        warden.handle_memory(at(200), memory.clone(), &meanwhile);
        let mut left = bans(&warden);
        left.iter_mut().for_each(|ban| ban.truncate(ban.find(' ').unwrap()));
        assert_eq!(left, ["198.51.0.0/16", "203.0.113.0/24", "203.0.113.2"]);
        let gone = std::iter::from_fn(|| warden.poll_effect());
        let gone = gone.filter(|effect| matches!(effect, Effect::Remember(Record::BanGone(..))));
        assert_eq!(gone.count(), 2);

        meanwhile.note(&unban(Some("manual"), None));
        let mut warden = self::warden();
        warden.handle_memory(at(200), memory, &meanwhile);
        assert_eq!(bans(&warden), Vec::<String>::new());
    }

    #[test]
    fn a_ban_by_hand_meanwhile_keeps_its_end_and_a_longer_one_wins_otherwise() {
        let mut warden = warden();
        let request = BanRequest {
            networks: vec!["203.0.113.1".parse().unwrap()],
            jail: None,
            time: Some(crate::model::BanTime::For(std::time::Duration::from_secs(60))),
            force: false,
        };
        let _ = warden.handle_ban(at(100), request);
        let all = vec![ban("manual", "203.0.113.1", 900), ban("manual", "203.0.113.2", 150)];
        let memory = Memory { bans: all, ..Memory::default() };
        warden.handle_memory(at(155), memory, &Meanwhile::default());
        assert_eq!(bans(&warden), ["203.0.113.1 1970-01-01T00:02:40Z"]);
    }

    #[test]
    fn a_jail_that_nobody_spoke_of_comes_back_and_may_go() {
        let mut warden = warden();
        let name = JailName::from_lossy("web");
        let manual = warden.jail(&JailName::from_lossy("manual")).unwrap().rules().clone();
        let rules = crate::model::JailRules {
            name: name.clone(),
            limits: Limits::default(),
            ..(*manual).clone()
        };
        let jails = vec![JailMemory { rules: rules.into(), found: 7, banned: 2 }];
        let bans_of = vec![ban("web", "203.0.113.1", 900), ban("gone", "203.0.113.1", 900)];
        let memory = Memory { jails, bans: bans_of, ..Memory::default() };
        warden.handle_memory(at(200), memory, &Meanwhile::default());
        let jail = warden.jail(&name).unwrap();
        assert_eq!((jail.found(), jail.banned(), jail.banned_now()), (7, 2, 1));
        assert!(!jail.is_live());
        warden.handle_jail_left(at(200), &name);
        assert!(warden.jail(&name).is_some(), "its ban stands");
        warden.handle_time(at(901));
        assert!(warden.jail(&name).is_none());
    }

    #[test]
    fn too_many_unbans_count_as_all() {
        let mut meanwhile = Meanwhile::default();
        let network = "198.51.100.1".parse().unwrap();
        let which = UnbanWhich::Networks(vec![network; MAX_LIFTED + 1]);
        meanwhile.note(&UnbanRequest { which, jail: None });
        assert!(meanwhile.has_lifted(&ban("manual", "203.0.113.1", 900)));
    }
}
