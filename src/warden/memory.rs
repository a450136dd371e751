//! Beginning again with what the store remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::effect::{Effects, Settings};
use super::ignore::NeverBan;
use super::jail::{Jail, Presence};
use super::offenders::Offenders;
use super::{Warden, window};
use crate::model::{
    Ban, BanTime, BlockRules, BlockType, Chain, JailMemory, JailName, JailRules, Limits,
    MANUAL_JAIL, Memory, Network, Policy, Ports, Record, ServiceId, Timestamp,
};

/// What was remembered of one jail.
#[derive(Default)]
struct Share {
    bans: Vec<Ban>,
    failures: Vec<(Network, Vec<Timestamp>)>,
    floors: Vec<(Network, Timestamp)>,
}

impl Warden {
    /// Begins with what was remembered. Orders the jails and their bans at once;
    /// what was remembered of jails that are not is dropped.
    ///
    /// Whether these jails still have containers is not known yet. None of them is
    /// removed before [`Warden::handle_jail`] or [`Warden::handle_jail_left`]
    /// has said so, which the caller owes to each of [`Warden::jails`] as soon
    /// as Docker has listed all containers.
    pub fn new(now: Timestamp, memory: Memory, settings: Settings) -> Self {
        let mut warden = Warden {
            jails: BTreeMap::new(),
            offenders: Offenders::new(settings.track_max, settings.history),
            fresh: Vec::new(),
            never: NeverBan::new(settings),
            clock: now,
            out: Effects::default(),
        };
        let mut remembered = BTreeMap::new();
        for jail in memory.jails {
            remembered.insert(jail.rules.name.clone(), jail);
        }
        let offences = memory.offences;
        let mut shares = shares(memory.bans, memory.failures, memory.floors);
        let manual = manual(remembered.remove(&JailName::from_lossy(MANUAL_JAIL)), &mut warden.out);
        let recidive = warden.never.settings().recidive.clone().map(|rules| {
            let known = remembered.remove(&rules.name);
            (built_in(rules, known, &mut warden.out), Presence::Live)
        });
        for (memory, presence) in std::iter::once((manual, Presence::Live))
            .chain(recidive)
            .chain(remembered.into_values().map(|memory| (memory, Presence::Awaited)))
        {
            let share = shares.remove(&memory.rules.name).unwrap_or_default();
            warden.restore(now, (memory, presence), share);
        }
        for (name, share) in shares {
            share.drop_all(&name, &mut warden.out);
        }
        for (jail, network, offence) in offences {
            if let Some((jail, network)) = warden.offenders.note(&jail, network, offence) {
                warden.out.remember(Record::OffenceGone(jail, network));
            }
        }
        warden
    }

    fn restore(
        &mut self,
        now: Timestamp,
        (memory, presence): (JailMemory, Presence),
        share: Share,
    ) {
        let Warden { jails, never, out, .. } = self;
        let name = memory.rules.name.clone();
        let mut jail = Jail::new(memory.rules, presence, never);
        jail.found = memory.found;
        jail.banned = memory.banned;
        let limits = jail.rules.limits;
        for network in jail.counts.restore(share.failures, &limits, never.track_max()) {
            jail.forgot(network, out);
        }
        jail.counts.hold_due(&limits);
        for (network, at) in share.floors {
            jail.floors.raise(now, network, at);
        }
        let state = jail.ordered();
        for ban in share.bans {
            if ban.until.is_over(now) {
                out.remember(Record::BanGone(name.clone(), ban.network));
            } else {
                jail.bans.insert(ban, state);
            }
        }
        jail.clock_set_back(now, out);
        jail.install(out);
        jail.look_around(now, never, out);
        jail.block_all(out);
        jails.insert(name, jail);
    }

    /// Every call brings the time. A clock that was set back must neither
    /// prolong bans nor swallow failures.
    pub(super) fn observe(&mut self, now: Timestamp) {
        if window::after(now, window::NOISE) < self.clock {
            for jail in self.jails.values_mut() {
                for ban in jail.clock_set_back(now, &mut self.out) {
                    jail.block(&ban, &mut self.out);
                }
            }
            self.clock = now;
        }
        self.clock = self.clock.max(now);
    }
}

fn shares(
    bans: Vec<Ban>,
    failures: Vec<(JailName, Network, Vec<Timestamp>)>,
    floors: Vec<(JailName, Network, Timestamp)>,
) -> BTreeMap<JailName, Share> {
    let mut shares: BTreeMap<JailName, Share> = BTreeMap::new();
    for ban in bans {
        shares.entry(ban.jail.clone()).or_default().bans.push(ban);
    }
    for (jail, network, times) in failures {
        shares.entry(jail).or_default().failures.push((network, times));
    }
    for (jail, network, at) in floors {
        shares.entry(jail).or_default().floors.push((network, at));
    }
    shares
}

impl Share {
    fn drop_all(self, name: &JailName, out: &mut Effects) {
        for ban in self.bans {
            out.remember(Record::BanGone(name.clone(), ban.network));
        }
        for (network, _) in self.failures {
            out.remember(Record::Failures(name.clone(), network, Vec::new()));
        }
        for (network, _) in self.floors {
            out.remember(Record::FloorGone(name.clone(), network));
        }
    }
}

/// The built-in jail: what this version says of it, with the totals that were remembered.
fn manual(remembered: Option<JailMemory>, out: &mut Effects) -> JailMemory {
    let rules = JailRules {
        name: JailName::from_lossy(MANUAL_JAIL),
        service: ServiceId::BuiltIn,
        limits: Limits { ban_time: BanTime::Forever, ..Limits::default() },
        ignore: Vec::new(),
        block: BlockRules {
            chains: BTreeSet::from([Chain::DockerUser, Chain::Input]),
            ports: Ports::All,
            block_type: BlockType::Reject,
        },
        dry_run: false,
        policy: Policy::default(),
    };
    built_in(Arc::new(rules), remembered, out)
}

/// A jail of guard's own, with the totals that were remembered.
fn built_in(
    rules: Arc<JailRules>,
    remembered: Option<JailMemory>,
    out: &mut Effects,
) -> JailMemory {
    match remembered {
        Some(memory) if memory.rules == rules => memory,
        other => {
            let (found, banned) = other.map_or((0, 0), |memory| (memory.found, memory.banned));
            let memory = JailMemory { rules, found, banned };
            out.remember(Record::Jail(memory.clone()));
            memory
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BanOrigin, IgnoreEntry, Until};
    use crate::warden::Effect;

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

    /// The orders and the records that a start at 100 gives, in their order.
    fn check(memory: Memory, expected: &[&str]) {
        let ignore = vec![IgnoreEntry::Network("10.0.0.0/8".parse().unwrap())];
        let settings = Settings { ignore, ..Settings::default() };
        let mut warden = Warden::new(at(100), memory, settings);
        let mut found = Vec::new();
        while let Some(effect) = warden.poll_effect() {
            found.push(match effect {
                Effect::Install(rules) => format!("install {}", rules.name),
                Effect::Block(ban) => format!("block {}", ban.network),
                Effect::Release(_, network) => format!("release {network}"),
                Effect::Remember(Record::BanGone(_, network)) => format!("ban gone {network}"),
                Effect::Remember(Record::Lifted(lifting)) => format!("lifted {}", lifting.network),
                Effect::Remember(Record::FloorGone(_, network)) => format!("floor gone {network}"),
                Effect::Remember(Record::Failures(_, network, times)) => {
                    format!("failures {network} {}", times.len())
                }
                Effect::Remember(Record::Jail(jail)) => format!("jail {}", jail.rules.name),
                Effect::Tell(_) => continue,
                other => format!("{other:?}"),
            });
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn the_built_in_jail_is_always_there() {
        check(Memory::default(), &["jail manual", "install manual"]);
        let other = manual(None, &mut Effects::default());
        let jails = vec![other.clone()];
        check(Memory { jails, ..Memory::default() }, &["install manual"]);
        let rules = JailRules { dry_run: true, ..(*other.rules).clone() };
        let jails = vec![JailMemory { rules: Arc::new(rules), ..other }];
        check(Memory { jails, ..Memory::default() }, &["jail manual", "install manual"]);
    }

    #[test]
    fn what_no_longer_stands_is_dropped() {
        let memory = Memory {
            names: BTreeMap::new(),
            jails: vec![manual(None, &mut Effects::default())],
            bans: vec![
                ban("manual", "203.0.113.1", 100),
                ban("manual", "203.0.113.2", 101),
                ban("manual", "10.0.0.1", 101),
                ban("gone", "203.0.113.3", 101),
            ],
            failures: vec![(
                JailName::from_lossy("gone"),
                "203.0.113.4".parse().unwrap(),
                vec![at(99)],
            )],
            floors: vec![(JailName::from_lossy("gone"), "203.0.113.5".parse().unwrap(), at(99))],
            ..Memory::default()
        };
        check(
            memory,
            &[
                "ban gone 203.0.113.1",
                "install manual",
                "release 10.0.0.1",
                "ban gone 10.0.0.1",
                "lifted 10.0.0.1",
                "block 203.0.113.2",
                "ban gone 203.0.113.3",
                "failures 203.0.113.4 0",
                "floor gone 203.0.113.5",
            ],
        );
    }
}
