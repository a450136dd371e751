//! Records on their way to the disk, merged by what they are about.
//!
//! Almost every [`Record`] says what *is*, so of two about the same thing only
//! the newer is kept: a slow or full disk costs memory for each thing that is
//! remembered, never for each time it changed. [`Batch`] holds what is not on
//! disk yet, [`Mirror`] what is (or should be): with it a database that was
//! deleted or broke under a running guard is written anew, whole.
//!
//! Pure: it touches neither disk nor clock.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;

use crate::model::{
    Address, Ban, JailMemory, JailName, Lifting, Memory, Network, Offence, Progress, Record,
    SourceId, Timestamp,
};

/// Most lines of history that wait for the disk; of more, the oldest are dropped and counted.
pub(super) const MAX_HISTORY: usize = 100_000;

/// What is to be written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Begin by deleting everything but the history: what follows is all there is.
    pub(super) anew: bool,
    /// Changes, by jail.
    pub(super) jails: BTreeMap<JailName, Changes>,
    /// The addresses of names, all of them, if they changed.
    pub(super) names: Option<BTreeMap<String, Vec<Address>>>,
    /// Begin by taking the history of this file in place of the present one.
    pub(super) history_from: Option<PathBuf>,
    /// What happened to bans, oldest first.
    pub(super) history: VecDeque<Past>,
    /// Who was banned how often; they outlive their jails. `None`: forget it.
    pub(super) offences: HashMap<(JailName, Network), Option<Offence>>,
    /// Lines of history dropped because too many waited.
    pub(super) dropped: u64,
}

/// A change to history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// A ban began, or has another end.
    Ban(Ban),
    /// What led to it.
    Lines { jail: JailName, network: Network, since: Timestamp, lines: Vec<Box<str>> },
    /// It was lifted.
    Lifted(Lifting),
}

/// Changes to one jail. `None` (no times, for failures) means: forget it.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Begin by deleting everything of this jail.
    pub(super) gone: bool,
    /// The jail itself, if it changed.
    pub(super) memory: Option<JailMemory>,
    /// Its bans.
    pub(super) bans: HashMap<Network, Option<Ban>>,
    /// Its counts.
    pub(super) failures: HashMap<Network, Vec<Timestamp>>,
    /// Its floors.
    pub(super) floors: HashMap<Network, Option<Timestamp>>,
    /// How far it came in its sources.
    pub(super) progress: HashMap<SourceId, Option<Progress>>,
}

impl Batch {
    /// Is there nothing to write?
    pub(super) fn is_empty(&self) -> bool {
        !self.anew
            && self.jails.is_empty()
            && self.history_from.is_none()
            && self.history.is_empty()
            && self.offences.is_empty()
            && self.names.is_none()
    }

    /// Adds a record; an older one about the same thing is replaced.
    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Jail(memory) => {
                let name = memory.rules.name.clone();
                self.of(name).memory = Some(memory);
            }
            Record::JailGone(name) => {
                self.jails.insert(name, Changes { gone: true, ..Changes::default() });
            }
            Record::Ban(ban) => {
                self.of(ban.jail.clone()).bans.insert(ban.network, Some(ban));
            }
            Record::BanGone(name, network) => {
                self.of(name).bans.insert(network, None);
            }
            Record::History(ban) => self.remember(Past::Ban(ban)),
            Record::Lines { jail, network, since, lines } => {
                self.remember(Past::Lines { jail, network, since, lines });
            }
            Record::Lifted(lifting) => self.remember(Past::Lifted(lifting)),
            Record::Failures(name, network, times) => {
                self.of(name).failures.insert(network, times);
            }
            Record::Floor(name, network, at) => {
                self.of(name).floors.insert(network, Some(at));
            }
            Record::FloorGone(name, network) => {
                self.of(name).floors.insert(network, None);
            }
            Record::Offence(name, network, offence) => {
                self.offences.insert((name, network), Some(offence));
            }
            Record::OffenceGone(name, network) => {
                self.offences.insert((name, network), None);
            }
            Record::Progress(name, source, progress) => {
                self.of(name).progress.insert(source, Some(progress));
            }
            Record::SourceGone(name, source) => {
                self.of(name).progress.insert(source, None);
            }
            Record::Names(names) => self.names = Some(names),
        }
    }

    /// History is that of this file now; what waited to be added to the old one is void.
    pub(super) fn restore_history(&mut self, from: PathBuf) {
        self.history.clear();
        self.history_from = Some(from);
    }

    fn of(&mut self, name: JailName) -> &mut Changes {
        self.jails.entry(name).or_default()
    }

    fn remember(&mut self, past: Past) {
        if self.history.len() >= MAX_HISTORY {
            self.history.pop_front();
            self.dropped += 1;
        }
        self.history.push_back(past);
    }

    /// Adds what came later.
    pub(super) fn absorb(&mut self, newer: Batch) {
        let Batch { anew, jails, names, history_from, history, offences, dropped } = newer;
        self.names = names.or(self.names.take());
        if anew {
            self.anew = true;
            self.jails.clear();
            self.offences.clear();
        }
        self.offences.extend(offences);
        if let Some(from) = history_from {
            self.restore_history(from);
        }
        for (name, changes) in jails {
            if changes.gone {
                self.jails.insert(name, changes);
            } else {
                self.of(name).absorb(changes);
            }
        }
        self.dropped += dropped;
        for past in history {
            self.remember(past);
        }
    }

    /// Leaves out deletions of what is not on disk. Without this, every address
    /// that comes and goes while the disk is full would stay in memory.
    pub(super) fn prune(&mut self, disk: &Mirror) {
        let nothing = Changes::default();
        let anew = self.anew;
        self.jails.retain(|name, changes| {
            let on_disk = if anew || changes.gone { None } else { disk.jails.get(name) };
            changes.prune(on_disk.unwrap_or(&nothing));
            changes.gone &= !anew && disk.jails.contains_key(name);
            !changes.is_empty()
        });
        self.offences
            .retain(|key, offence| offence.is_some() || (!anew && disk.offences.contains_key(key)));
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        !self.gone
            && self.memory.is_none()
            && self.bans.is_empty()
            && self.failures.is_empty()
            && self.floors.is_empty()
            && self.progress.is_empty()
    }

    fn absorb(&mut self, newer: Changes) {
        if newer.memory.is_some() {
            self.memory = newer.memory;
        }
        self.bans.extend(newer.bans);
        self.failures.extend(newer.failures);
        self.floors.extend(newer.floors);
        self.progress.extend(newer.progress);
    }

    fn prune(&mut self, disk: &Changes) {
        self.bans.retain(|key, value| value.is_some() || disk.bans.contains_key(key));
        self.failures.retain(|key, value| !value.is_empty() || disk.failures.contains_key(key));
        self.floors.retain(|key, value| value.is_some() || disk.floors.contains_key(key));
        self.progress.retain(|key, value| value.is_some() || disk.progress.contains_key(key));
    }
}

/// What the database holds, history apart. In it nothing is deleted or empty:
/// what is not there is not remembered.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    jails: BTreeMap<JailName, Changes>,
    offences: HashMap<(JailName, Network), Option<Offence>>,
    names: BTreeMap<String, Vec<Address>>,
}

impl Mirror {
    /// The mirror of what was read.
    pub(super) fn of(memory: &Memory) -> Mirror {
        let mut all = Batch::default();
        memory.jails.iter().cloned().map(Record::Jail).for_each(|record| all.add(record));
        memory.bans.iter().cloned().map(Record::Ban).for_each(|record| all.add(record));
        for (jail, network, times) in &memory.failures {
            all.add(Record::Failures(jail.clone(), *network, times.clone()));
        }
        for (jail, network, at) in &memory.floors {
            all.add(Record::Floor(jail.clone(), *network, *at));
        }
        for (jail, source, progress) in &memory.progress {
            all.add(Record::Progress(jail.clone(), source.clone(), progress.clone()));
        }
        for (jail, network, offence) in &memory.offences {
            all.add(Record::Offence(jail.clone(), *network, *offence));
        }
        Mirror { jails: all.jails, offences: all.offences, names: memory.names.clone() }
    }

    /// Notes that the batch was written.
    pub(super) fn apply(&mut self, batch: Batch) {
        if batch.anew {
            self.jails.clear();
            self.offences.clear();
        }
        settle(&mut self.offences, batch.offences, Option::is_some);
        if let Some(names) = batch.names {
            self.names = names;
        }
        for (name, changes) in batch.jails {
            if changes.gone {
                self.jails.remove(&name);
            }
            let kept = self.jails.entry(name.clone()).or_default();
            kept.settle(changes);
            if kept.is_empty() {
                self.jails.remove(&name);
            }
        }
    }

    /// Everything, to be written into a database that holds none of it.
    pub(super) fn into_batch(self) -> Batch {
        let Mirror { jails, offences, names } = self;
        Batch { anew: true, jails, offences, names: Some(names), ..Batch::default() }
    }
}

impl Changes {
    /// Carries out `changes`, so that nothing deleted stays as a deletion.
    fn settle(&mut self, changes: Changes) {
        if changes.memory.is_some() {
            self.memory = changes.memory;
        }
        settle(&mut self.bans, changes.bans, Option::is_some);
        settle(&mut self.failures, changes.failures, |times| !times.is_empty());
        settle(&mut self.floors, changes.floors, Option::is_some);
        settle(&mut self.progress, changes.progress, Option::is_some);
    }
}

fn settle<K: Eq + std::hash::Hash, V>(
    kept: &mut HashMap<K, V>,
    changes: HashMap<K, V>,
    is_there: impl Fn(&V) -> bool,
) {
    for (key, value) in changes {
        if is_there(&value) {
            kept.insert(key, value);
        } else {
            kept.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BanOrigin, Until};

    fn jail(name: &str) -> JailName {
        name.parse().unwrap()
    }

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn second(at: i64) -> Timestamp {
        Timestamp::from_second(at).unwrap()
    }

    fn ban(name: &str, network: &str, failures: u32) -> Ban {
        Ban {
            jail: jail(name),
            network: net(network),
            since: second(0),
            until: Until::Forever,
            origin: BanOrigin::Hand,
            failures,
        }
    }

    fn batch(records: impl IntoIterator<Item = Record>) -> Batch {
        let mut batch = Batch::default();
        records.into_iter().for_each(|record| batch.add(record));
        batch
    }

    #[test]
    fn the_newer_record_of_a_thing_is_kept() {
        let all = batch([
            Record::Ban(ban("web", "192.0.2.1", 1)),
            Record::Ban(ban("web", "192.0.2.2", 1)),
            Record::Ban(ban("web", "192.0.2.1", 7)),
            Record::BanGone(jail("web"), net("192.0.2.2")),
        ]);
        let bans = &all.jails[&jail("web")].bans;
        assert_eq!(bans[&net("192.0.2.1")], Some(ban("web", "192.0.2.1", 7)));
        assert_eq!(bans[&net("192.0.2.2")], None);
    }

    #[test]
    fn a_jail_that_goes_takes_what_came_before_but_not_its_history() {
        let all = batch([
            Record::Ban(ban("web", "192.0.2.1", 1)),
            Record::History(ban("web", "192.0.2.1", 1)),
            Record::JailGone(jail("web")),
            Record::Floor(jail("web"), net("192.0.2.9"), second(5)),
        ]);
        let changes = &all.jails[&jail("web")];
        assert!(changes.gone && changes.bans.is_empty());
        assert_eq!(changes.floors.len(), 1);
        assert_eq!(all.history.len(), 1);
    }

    #[test]
    fn history_is_bounded_and_counts_what_it_drops() {
        let one = ban("web", "192.0.2.1", 1);
        let mut older = batch((0..MAX_HISTORY).map(|_| Record::History(one.clone())));
        older.absorb(batch([
            Record::History(ban("web", "192.0.2.1", 2)),
            Record::History(ban("web", "192.0.2.1", 3)),
        ]));
        assert_eq!((older.history.len(), older.dropped), (MAX_HISTORY, 2));
        assert_eq!(older.history.back(), Some(&Past::Ban(ban("web", "192.0.2.1", 3))));
    }

    #[test]
    fn addresses_that_come_and_go_leave_nothing_behind() {
        let mut disk = Mirror::default();
        disk.apply(batch([Record::Ban(ban("web", "192.0.2.1", 1))]));
        let mut waiting = batch([
            Record::BanGone(jail("web"), net("192.0.2.1")),
            Record::BanGone(jail("web"), net("192.0.2.2")),
            Record::Failures(jail("web"), net("192.0.2.3"), Vec::new()),
            Record::FloorGone(jail("ssh"), net("192.0.2.4")),
            Record::JailGone(jail("mail")),
        ]);
        waiting.prune(&disk);
        assert_eq!(waiting.jails.len(), 1);
        let changes = &waiting.jails[&jail("web")];
        assert_eq!(changes.bans.keys().collect::<Vec<_>>(), [&net("192.0.2.1")]);
        assert!(changes.failures.is_empty());
    }

    #[test]
    fn a_jail_that_went_and_came_back_is_still_deleted_first() {
        let mut disk = Mirror::default();
        disk.apply(batch([Record::Ban(ban("web", "192.0.2.1", 1))]));
        let mut waiting =
            batch([Record::JailGone(jail("web")), Record::BanGone(jail("web"), net("192.0.2.1"))]);
        waiting.prune(&disk);
        assert!(waiting.jails[&jail("web")].gone);
        disk.apply(waiting);
        assert!(disk.jails.is_empty());
    }

    #[test]
    fn the_mirror_written_anew_replaces_everything() {
        let mut disk = Mirror::default();
        disk.apply(batch([Record::Ban(ban("web", "192.0.2.1", 1))]));
        let mut anew = disk.into_batch();
        anew.absorb(batch([Record::Ban(ban("web", "192.0.2.2", 1))]));
        assert!(anew.anew);
        assert_eq!(anew.jails[&jail("web")].bans.len(), 2);
    }
}
