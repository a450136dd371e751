//! Whatever is written and whenever guard is restarted, the store remembers what
//! a naive application of the records would.

use std::collections::BTreeMap;
use std::fs;

use guard::model::{
    Address, Ban, BanOrigin, ContainerId, FileMark, JailMemory, JailName, JournalMark, Memory,
    Network, Offence, Position, Progress, Record, SourceId, StreamMark, Timestamp, Until,
};
use proptest::prelude::*;

use super::{committed, jail, memory_of, nano, net, open, remembered};

/// What the records mean, applied one by one.
#[derive(Clone, Debug, Default, PartialEq)]
struct Naive {
    jails: BTreeMap<JailName, JailMemory>,
    bans: BTreeMap<(JailName, Network), Ban>,
    failures: BTreeMap<(JailName, Network), Vec<Timestamp>>,
    floors: BTreeMap<(JailName, Network), Timestamp>,
    offences: BTreeMap<(JailName, Network), Offence>,
    progress: BTreeMap<(JailName, SourceId), Progress>,
    names: BTreeMap<String, Vec<Address>>,
}

impl Naive {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Jail(memory) => drop(self.jails.insert(memory.rules.name.clone(), memory)),
            Record::JailGone(jail) => {
                self.jails.remove(&jail);
                self.bans.retain(|key, _| key.0 != jail);
                self.failures.retain(|key, _| key.0 != jail);
                self.floors.retain(|key, _| key.0 != jail);
                self.progress.retain(|key, _| key.0 != jail);
            }
            Record::Ban(ban) => drop(self.bans.insert((ban.jail.clone(), ban.network), ban)),
            Record::BanGone(jail, network) => drop(self.bans.remove(&(jail, network))),
            Record::History(_) | Record::Lifted(_) | Record::Lines { .. } => {}
            Record::Failures(jail, network, times) if times.is_empty() => {
                self.failures.remove(&(jail, network));
            }
            Record::Failures(jail, network, times) => {
                self.failures.insert((jail, network), times);
            }
            Record::Floor(jail, network, at) => drop(self.floors.insert((jail, network), at)),
            Record::FloorGone(jail, network) => drop(self.floors.remove(&(jail, network))),
            Record::Offence(jail, network, offence) => {
                self.offences.insert((jail, network), offence);
            }
            Record::OffenceGone(jail, network) => drop(self.offences.remove(&(jail, network))),
            Record::Progress(jail, source, progress) => {
                self.progress.insert((jail, source), progress);
            }
            Record::SourceGone(jail, source) => drop(self.progress.remove(&(jail, source))),
            Record::Names(names) => self.names = names,
        }
    }
}

impl From<Memory> for Naive {
    fn from(memory: Memory) -> Naive {
        let mut naive = Naive::default();
        memory.jails.into_iter().map(Record::Jail).for_each(|record| naive.apply(record));
        memory.bans.into_iter().map(Record::Ban).for_each(|record| naive.apply(record));
        for (jail, network, times) in memory.failures {
            naive.apply(Record::Failures(jail, network, times));
        }
        for (jail, network, at) in memory.floors {
            naive.apply(Record::Floor(jail, network, at));
        }
        for (jail, network, offence) in memory.offences {
            naive.apply(Record::Offence(jail, network, offence));
        }
        for (jail, source, progress) in memory.progress {
            naive.apply(Record::Progress(jail, source, progress));
        }
        naive.names = memory.names;
        naive
    }
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(nano)
}

/// One of three jails and one of four networks: few, so that records meet.
fn any_key() -> impl Strategy<Value = (JailName, Network)> {
    let networks = vec!["2001:db8::/64", "192.0.2.1", "192.0.2.0/24", "2001:db8::1"];
    (prop::sample::select(vec!["a", "b", "manual"]), prop::sample::select(networks))
        .prop_map(|(name, network)| (jail(name), net(network)))
}

fn any_ban() -> impl Strategy<Value = Ban> {
    (any_key(), any_time(), prop::option::of(any_time()), any::<u32>()).prop_map(
        |((jail, network), since, until, failures)| {
            let until = until.map_or(Until::Forever, Until::Time);
            Ban { jail, network, since, until, origin: BanOrigin::Adopted, failures }
        },
    )
}

fn any_progress() -> impl Strategy<Value = (JailName, SourceId, Progress)> {
    (any_key(), any_time(), any::<u64>(), 0..4_u32).prop_map(|((jail, _), at, offset, number)| {
        let (source, judged) = if number == 3 {
            // Wider than any number of SQLite's or of a double.
            let (sequence, boot) = (u128::MAX - u128::from(offset), u128::from(offset) << 64);
            let mark = JournalMark { sequence, number: offset, at, boot, since_boot: offset };
            (SourceId::Journal, Position::Journal(vec![mark]))
        } else if number % 2 == 0 {
            let mark = FileMark { device: 1, inode: offset, offset, head: 3, head_len: 4 };
            (SourceId::File(format!("/{number}\n\"'").into()), Position::File(Some(mark)))
        } else {
            let stderr = Some(StreamMark { at, seen: number });
            let id = ContainerId(number.to_string().into());
            (SourceId::Output(id), Position::Output { stdout: None, stderr })
        };
        (jail, source, Progress { resume: judged.clone(), judged })
    })
}

fn any_record() -> impl Strategy<Value = Record> {
    let times = prop::collection::vec(any_time(), 0..4);
    prop_oneof![
        2 => (prop::sample::select(vec!["a", "b", "c"]), any::<u32>())
            .prop_map(|(name, found)| Record::Jail(memory_of(name, found.into()))),
        1 => any_key().prop_map(|(jail, _)| Record::JailGone(jail)),
        5 => any_ban().prop_map(Record::Ban),
        3 => any_key().prop_map(|(jail, network)| Record::BanGone(jail, network)),
        1 => any_ban().prop_map(Record::History),
        5 => (any_key(), times).prop_map(|((jail, network), mut times)| {
            times.sort();
            Record::Failures(jail, network, times)
        }),
        3 => (any_key(), any_time())
            .prop_map(|((jail, network), at)| Record::Floor(jail, network, at)),
        2 => any_key().prop_map(|(jail, network)| Record::FloorGone(jail, network)),
        3 => (any_key(), any::<u32>(), any_ban()).prop_map(|((jail, network), bans, ban)| {
            Record::Offence(jail, network, Offence { bans, until: ban.until })
        }),
        2 => any_key().prop_map(|(jail, network)| Record::OffenceGone(jail, network)),
        4 => any_progress()
            .prop_map(|(jail, source, progress)| Record::Progress(jail, source, progress)),
        2 => any_progress().prop_map(|(jail, source, _)| Record::SourceGone(jail, source)),
        1 => any::<[u8; 4]>().prop_map(|ip| {
            Record::Names([("home.example".to_owned(), vec![Address::new(ip.into())])].into())
        }),
    ]
}

/// What happens between two writes.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Commit,
    Restart,
    /// Someone deletes the database.
    Removal,
}

fn any_between() -> impl Strategy<Value = Between> {
    prop_oneof![
        6 => Just(Between::Nothing),
        2 => Just(Between::Commit),
        1 => Just(Between::Restart),
        1 => Just(Between::Removal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn after_a_restart_it_remembers_what_the_records_mean(
        writes in prop::collection::vec(
            (prop::collection::vec(any_record(), 0..8), any_between()), 0..12)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut naive = Naive::default();
        let mut store = open(directory.path()).store;
        for (records, then) in writes {
            records.iter().cloned().for_each(|record| naive.apply(record));
            store.write(records);
            match then {
                Between::Nothing => {}
                Between::Commit => committed(&store).unwrap(),
                Between::Restart => {
                    store.stop().unwrap();
                    let opened = open(directory.path());
                    prop_assert_eq!(&Naive::from(opened.memory), &naive);
                    store = opened.store;
                }
                Between::Removal => {
                    committed(&store).unwrap();
                    for entry in fs::read_dir(directory.path()).unwrap() {
                        fs::remove_file(entry.unwrap().path()).unwrap();
                    }
                    // It is noticed at the next write, so there must be one.
                    store.write(vec![Record::FloorGone(jail("x"), net("192.0.2.9"))]);
                }
            }
        }
        store.stop().unwrap();
        prop_assert_eq!(Naive::from(remembered(directory.path())), naive);
    }
}
