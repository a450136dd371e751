//! A small world around a warden: a clock, a store and a firewall that do at once
//! what they are told, and complain when the warden contradicts itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guard::model::{
    Ban, BanOrigin, Event, Failure, Hop, JailMemory, JailName, JailRules, Lifting, Login, Memory,
    Network, Offence, Position, Progress, Record, SourceId, Timestamp, Until,
};
use guard::warden::{Effect, Settings, Surroundings, Warden};

/// The second at which a world's clock shows 0.
const EPOCH: i64 = 1_750_000_000;

/// The moment `second` of a world.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(EPOCH + second).unwrap()
}

/// The second of a world, for people.
pub(crate) fn second(time: Timestamp) -> i64 {
    time.as_second() - EPOCH
}

/// An end, for people.
pub(crate) fn end(until: Until) -> String {
    match until {
        Until::Time(time) => second(time).to_string(),
        Until::Forever => "ever".to_owned(),
    }
}

/// What a store would have on disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Disk {
    pub(crate) jails: BTreeMap<JailName, JailMemory>,
    pub(crate) bans: BTreeMap<(JailName, Network), Ban>,
    pub(crate) failures: BTreeMap<(JailName, Network), Vec<Timestamp>>,
    pub(crate) floors: BTreeMap<(JailName, Network), Timestamp>,
    pub(crate) progress: BTreeMap<(JailName, SourceId), Progress>,
    pub(crate) history: Vec<Ban>,
    pub(crate) offences: BTreeMap<(JailName, Network), Offence>,
    pub(crate) lifted: Vec<Lifting>,
}

impl Disk {
    fn write(&mut self, record: Record) {
        match record {
            Record::Jail(jail) => {
                self.jails.insert(jail.rules.name.clone(), jail);
            }
            Record::JailGone(jail) => {
                self.jails.remove(&jail);
                self.bans.retain(|(name, _), _| *name != jail);
                self.failures.retain(|(name, _), _| *name != jail);
                self.floors.retain(|(name, _), _| *name != jail);
                self.progress.retain(|(name, _), _| *name != jail);
            }
            Record::Ban(ban) => {
                assert!(self.jails.contains_key(&ban.jail), "a ban of no jail: {ban:?}");
                self.bans.insert((ban.jail.clone(), ban.network), ban);
            }
            Record::BanGone(jail, network) => {
                assert!(self.bans.remove(&(jail, network)).is_some(), "{network} was not banned");
            }
            Record::History(ban) => {
                let same = |old: &Ban| {
                    (&old.jail, old.network, old.since) == (&ban.jail, ban.network, ban.since)
                };
                self.history.retain(|old| !same(old));
                self.history.push(ban);
            }
            Record::Lifted(lifting) => self.lifted.push(lifting),
            Record::Lines { .. } => panic!("the warden knows no lines"),
            Record::Failures(jail, network, times) if times.is_empty() => {
                self.failures.remove(&(jail, network));
            }
            Record::Failures(jail, network, times) => {
                self.failures.insert((jail, network), times);
            }
            Record::Floor(jail, network, time) => {
                self.floors.insert((jail, network), time);
            }
            Record::FloorGone(jail, network) => {
                assert!(self.floors.remove(&(jail, network)).is_some());
            }
            Record::Offence(jail, network, offence) => {
                self.offences.insert((jail, network), offence);
            }
            Record::OffenceGone(jail, network) => {
                assert!(self.offences.remove(&(jail, network)).is_some());
            }
            Record::Progress(jail, source, progress) => {
                self.progress.insert((jail, source), progress);
            }
            Record::SourceGone(jail, source) => {
                self.progress.remove(&(jail, source));
            }
            Record::Names(_) => panic!("the warden looks up no names"),
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        let key = |(jail, network): &(JailName, Network)| (jail.clone(), *network);
        Memory {
            jails: self.jails.values().cloned().collect(),
            bans: self.bans.values().cloned().collect(),
            failures: self.failures.iter().map(|(k, t)| (key(k).0, k.1, t.clone())).collect(),
            floors: self.floors.iter().map(|(k, t)| (key(k).0, k.1, *t)).collect(),
            offences: self.offences(),
            progress: Vec::new(),
            names: BTreeMap::new(),
        }
    }
}

impl Disk {
    /// In the order in which the store reads them.
    fn offences(&self) -> Vec<(JailName, Network, Offence)> {
        let each =
            self.offences.iter().map(|((jail, net), offence)| (jail.clone(), *net, *offence));
        let mut all: Vec<_> = each.collect();
        all.sort_by_key(|(_, _, offence)| offence.until);
        all
    }
}

/// A warden in its world.
pub(crate) struct World {
    pub(crate) warden: Warden,
    pub(crate) settings: Settings,
    pub(crate) surroundings: Surroundings,
    pub(crate) disk: Disk,
    /// The jails and bans in the kernel.
    pub(crate) installed: BTreeSet<JailName>,
    pub(crate) kernel: BTreeMap<(JailName, Network), Until>,
    /// The world's clock, in seconds.
    pub(crate) clock: i64,
    /// What the last input gave.
    pub(crate) orders: Vec<Effect>,
    pub(crate) told: Vec<Event>,
}

impl World {
    /// A new world in which nothing is remembered.
    pub(crate) fn new(settings: Settings, surroundings: Surroundings) -> World {
        let warden = Warden::new(at(0), Memory::default(), settings.clone());
        let mut world = World {
            warden,
            settings,
            surroundings: surroundings.clone(),
            disk: Disk::default(),
            installed: BTreeSet::new(),
            kernel: BTreeMap::new(),
            clock: 0,
            orders: Vec::new(),
            told: Vec::new(),
        };
        world.drain();
        world.input(0, |warden, now| warden.handle_surroundings(now, surroundings));
        world
    }

    /// Something happens at `second`; then time passes as far as it has to.
    pub(crate) fn input<T>(
        &mut self,
        second: i64,
        act: impl FnOnce(&mut Warden, Timestamp) -> T,
    ) -> T {
        self.clock = second;
        self.orders.clear();
        self.told.clear();
        let given = act(&mut self.warden, at(second));
        self.drain();
        self.catch_up();
        given
    }

    /// guard dies and comes back with what is on disk; a clean stop before it
    /// took everything from the kernel.
    pub(crate) fn restart(&mut self, second: i64) {
        self.clock = second;
        self.installed.clear();
        self.kernel.clear();
        self.orders.clear();
        self.told.clear();
        self.warden = Warden::new(at(second), self.disk.memory(), self.settings.clone());
        self.drain();
        let surroundings = self.surroundings.clone();
        self.warden.handle_surroundings(at(second), surroundings);
        self.drain();
        self.catch_up();
    }

    /// A line at `line` says that `network` failed.
    pub(crate) fn fail(
        &mut self,
        second: i64,
        jail: &JailName,
        (network, forwarded): (Network, &[Hop]),
        line: i64,
    ) {
        let failure = Failure {
            jail: jail.clone(),
            network,
            forwarded: forwarded.to_vec(),
            at: at(line),
            source: SourceId::File("/log".into()),
            progress: Progress { resume: Position::File(None), judged: Position::File(None) },
        };
        self.input(second, |warden, now| warden.handle_failure(now, failure));
    }

    /// A line at `line` says that `network` logged in.
    pub(crate) fn login(&mut self, second: i64, jail: &JailName, network: Network, line: i64) {
        let login = Login {
            jail: jail.clone(),
            network,
            at: at(line),
            source: SourceId::File("/log".into()),
            progress: Progress { resume: Position::File(None), judged: Position::File(None) },
        };
        self.input(second, |warden, now| warden.handle_login(now, login));
    }

    pub(crate) fn jail(&mut self, second: i64, rules: JailRules) {
        self.input(second, |warden, now| warden.handle_jail(now, Arc::new(rules)));
    }

    /// The bans that stand, for people.
    pub(crate) fn bans(&self) -> Vec<String> {
        let bans = self.warden.jails().flat_map(guard::warden::JailView::bans);
        bans.map(|standing| show_ban(&standing.ban)).collect()
    }

    fn catch_up(&mut self) {
        loop {
            self.warden.handle_time(at(self.clock));
            let done = self.drain();
            if self.warden.next_wakeup().is_none_or(|wakeup| wakeup > at(self.clock)) {
                break;
            }
            assert!(done >= 1000, "awake for {done} effects, and not at rest");
        }
        self.check();
    }

    /// Does what the warden wants; says how much that was.
    fn drain(&mut self) -> usize {
        let mut count = 0;
        while let Some(effect) = self.warden.poll_effect() {
            count += 1;
            match effect {
                Effect::Remember(record) => self.disk.write(record),
                Effect::Tell(event) => self.told.push(event),
                order => {
                    self.obey(&order);
                    self.orders.push(order);
                }
            }
        }
        count
    }

    fn obey(&mut self, order: &Effect) {
        match order {
            Effect::Install(rules) => {
                assert!(!rules.dry_run, "a dry run in the firewall");
                self.installed.insert(rules.name.clone());
            }
            Effect::Uninstall(jail) => {
                assert!(self.installed.remove(jail), "{jail} was not there");
                self.kernel.retain(|(name, _), _| name != jail);
            }
            Effect::Block(ban) => {
                assert!(self.installed.contains(&ban.jail), "no chain for {ban:?}");
                self.kernel.insert((ban.jail.clone(), ban.network), ban.until);
            }
            Effect::Release(jail, network) => {
                self.kernel.remove(&(jail.clone(), *network));
            }
            Effect::Remember(_) | Effect::Tell(_) => {}
        }
    }

    /// Would a ban hit the host, a gateway, or a subnet of Docker's?
    fn is_own(&self, network: Network) -> bool {
        let own = self.surroundings.own.iter().copied();
        let docker = &self.surroundings.networks;
        let gateways = docker.iter().flat_map(|docker| docker.gateways.iter().copied());
        let subnets = docker.iter().flat_map(|docker| docker.subnets.iter());
        own.chain(gateways).any(|address| network.contains(address))
            || network.address().is_special()
            || (self.settings.ignore_docker && subnets.clone().any(|net| net.overlaps(network)))
    }

    /// The kernel and the disk are copies of what the warden says.
    fn check(&self) {
        let all = || self.warden.jails().flat_map(guard::warden::JailView::bans).map(|s| &s.ban);
        let mut kernel = BTreeMap::new();
        let mut disk = BTreeMap::new();
        for ban in all() {
            assert!(!ban.until.is_over(at(self.clock)), "it is over: {ban:?}");
            assert!(ban.since <= at(self.clock + 1), "from the future: {ban:?}");
            let is_allowed = ban.origin == BanOrigin::Hand || !self.is_own(ban.network);
            assert!(is_allowed, "never to be banned: {ban:?}");
            if self.installed.contains(&ban.jail) {
                kernel.insert((ban.jail.clone(), ban.network), ban.until);
            }
            disk.insert((ban.jail.clone(), ban.network), ban.clone());
        }
        assert_eq!(self.kernel, kernel, "the kernel differs");
        assert_eq!(self.disk.bans, disk, "the disk differs");
        for jail in self.warden.jails() {
            let failing = self.disk.failures.keys().filter(|(name, _)| name == jail.name());
            assert_eq!(failing.count(), jail.failed_now(), "failures on disk of {}", jail.name());
            assert!(jail.failed_now() <= self.settings.track_max);
            let memory = &self.disk.jails[jail.name()];
            assert_eq!((memory.found, memory.banned), (jail.found(), jail.banned()));
            assert_eq!(&memory.rules, jail.rules());
        }
        assert_eq!(self.disk.jails.len(), self.warden.jails().count());
    }
}

/// A ban, for people: `web 203.0.113.9 until 600`.
pub(crate) fn show_ban(ban: &Ban) -> String {
    format!("{} {} until {}", ban.jail, ban.network, end(ban.until))
}
