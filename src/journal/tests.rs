//! The parser on real files, whole and damaged. How they were made:
//! `tests/journal/samples/README.md`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::JournalState;
use super::entry::{Told, tell};
use super::file::{Bytes, JournalFile};
use super::layout::Damage;
use super::terms::Terms;
use crate::model::{JournalMatch, MAX_LINE};

/// A file with some of its bytes changed.
#[derive(Clone, Debug, Default)]
struct Sample {
    bytes: Arc<Vec<u8>>,
    changed: BTreeMap<u64, u8>,
    /// Cut off here.
    end: Option<u64>,
}

impl Bytes for Sample {
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let whole = self.bytes.len() as u64;
        let end = self.end.unwrap_or(whole).min(whole);
        let length = buffer.len().min(end.saturating_sub(at) as usize);
        if length > 0 {
            buffer[..length].copy_from_slice(&self.bytes[at as usize..at as usize + length]);
        }
        for (place, byte) in self.changed.range(at..at.saturating_add(length as u64)) {
            buffer[(place - at) as usize] = *byte;
        }
        Ok(length)
    }
}

fn sample(packed: &[u8]) -> Sample {
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed).unwrap().read_to_end(&mut bytes).unwrap();
    Sample { bytes: Arc::new(bytes), ..Sample::default() }
}

macro_rules! samples {
    ($($name:literal),*) => {
        LazyLock::new(|| vec![$(($name, sample(include_bytes!(concat!(
            "../../tests/journal/samples/", $name, ".journal.zst"
        ))))),*])
    };
}

static SAMPLES: LazyLock<Vec<(&str, Sample)>> = samples!("zstd", "lz4", "plain", "xz");

/// All entries that can be read.
fn read(sample: &Sample, wanted: Option<&str>) -> Result<Vec<Told>, Damage> {
    let mut file = JournalFile::open(sample.clone())?;
    let wanted: Option<JournalMatch> = wanted.map(|terms| terms.parse().unwrap());
    let mut terms = Terms::default();
    if let Some(wanted) = &wanted {
        terms.find(&file, wanted);
    }
    let mut told = Vec::new();
    let mut index = 0;
    while index < file.header().entries {
        let list = file.list(index)?;
        assert!(!list.is_empty());
        for at in list {
            index += 1;
            let Ok(entry) = file.entry(at) else { continue };
            let fits = wanted.as_ref().map(|wanted| terms.fit(&file, wanted, &entry));
            if fits.is_none_or(|fits| fits == Ok(true)) {
                told.push(tell(&file, &entry));
            }
        }
    }
    Ok(told)
}

fn texts(sample: &Sample, wanted: Option<&str>) -> Vec<String> {
    read(sample, wanted).unwrap().into_iter().map(|told| told.text).collect()
}

#[test]
fn entries_become_lines() {
    for (name, sample) in SAMPLES.iter().filter(|(name, _)| *name != "xz") {
        let long = format!("box sshd[104]: long {} from 192.0.2.4", "x".repeat(2000));
        let lines = [
            "box sshd[101]: Bad password for alice from 192.0.2.1 port 4001",
            "box sshd[102]: Bad password for bob from 192.0.2.2 port 4002",
            "box CRON[7]: (root) CMD (true)",
            "box sshd[9]: two lines\\nof one message from 192.0.2.3\\n",
            &long,
            "box kernel: [   12.345678] eth0: link up",
            "box daemon[70]: no identifier",
            "nothing but a message",
            "box sshd[105]: one two",
            "box sshd[106]: raw \u{fffd}\u{fffd} bytes",
            "box sshd[107]: ",
            "box sshd[108]: last from 192.0.2.5",
        ];
        assert_eq!(texts(sample, None), lines, "{name}");
        let told = read(sample, None).unwrap();
        let second = |n: u64| super::entry::time((1_700_000_000 + n) * 1_000_000);
        assert_eq!(told[0].at, second(1));
        assert_eq!(told[1].at.unwrap().as_microsecond(), 1_700_000_001_750_000);
        assert!(told.iter().all(|told| !told.unreadable));
    }
}

#[test]
fn terms_choose() {
    for (name, sample) in &*SAMPLES {
        let count = |terms: &str| texts(sample, Some(terms)).len();
        assert_eq!(count("_SYSTEMD_UNIT=ssh.service"), 8, "{name}");
        assert_eq!(count("_SYSTEMD_UNIT=ssh.service _COMM=cron"), 0, "{name}");
        assert_eq!(count("_COMM=sshd _COMM=cron"), 9, "{name}");
        assert_eq!(count("_COMM=cron + _PID=101 + _TRANSPORT=kernel"), 3, "{name}");
        assert_eq!(count("_COMM=none + _PID=9999"), 0, "{name}");
        assert_eq!(count("_SYSTEMD_UNIT=ssh.servic"), 0, "{name}");
    }
}

#[test]
fn a_message_that_cannot_be_unpacked_is_told() {
    let (_, sample) = SAMPLES.iter().find(|(name, _)| *name == "xz").unwrap();
    let unreadable: Vec<_> = read(sample, None).unwrap().iter().map(|t| t.unreadable).collect();
    assert_eq!(unreadable.iter().filter(|unreadable| **unreadable).count(), 1);
    assert!(unreadable[4]);
}

#[test]
fn a_damaged_table_of_fields_makes_no_entry_vanish() {
    for (name, sample) in &*SAMPLES {
        let header = *JournalFile::open(sample.clone()).unwrap().header();
        let mut sample = sample.clone();
        for byte in 0..header.buckets * 16 {
            sample.changed.insert(header.table_at + byte, 0xff);
        }
        assert_eq!(texts(&sample, Some("_SYSTEMD_UNIT=ssh.service")).len(), 8, "{name}");
    }
}

#[test]
fn what_to_mount_is_told() {
    let mut state = JournalState::default();
    let lines = ["/var/log/journal:/var/log/journal:ro", "/run/log/journal:/run/log/journal:ro"];
    let told = state.warnings();
    assert!(told.len() == 1 && lines.iter().all(|line| told[0].contains(line)), "{told:?}");
    state.folders = vec!["/var/log/journal".into()];
    let told = state.warnings();
    assert!(told.len() == 1 && told[0].contains("no journal file in /var/log/journal"), "{told:?}");
    state.found = 1;
    assert_eq!(state.warnings(), [""; 0]);
}

#[test]
fn what_is_no_journal_is_refused() {
    let bytes = |bytes: &[u8]| Sample { bytes: Arc::new(bytes.to_vec()), ..Sample::default() };
    for nothing in [&b""[..], b"LPKSHHRH", &[0; 4096], &[b'x'; 4096]] {
        assert_eq!(read(&bytes(nothing), None), Err(Damage::NoJournal));
    }
    let mut newer = SAMPLES[0].1.clone();
    newer.changed.insert(12, 0x3c);
    assert_eq!(read(&newer, None), Err(Damage::Unknown(0x20)));
}

#[test]
fn a_search_finds_the_first() {
    for (name, sample) in &*SAMPLES {
        let mut file = JournalFile::open(sample.clone()).unwrap();
        for number in 0..14 {
            let found = file.search(|head| head.number <= number);
            assert_eq!(found, number.min(12), "{name}");
        }
        let at = (1_700_000_000 + 5) * 1_000_000;
        assert_eq!(file.search(|head| head.realtime < at), 4, "{name}");
    }
}

/// Bytes that mean something: those that are set, and their neighbours.
static PLACES: LazyLock<Vec<Vec<u64>>> = LazyLock::new(|| {
    let places = |(_, sample): &(&str, Sample)| {
        let set = |at: &u64| sample.bytes[*at as usize] != 0;
        (0..sample.bytes.len() as u64).filter(set).flat_map(|at| [at, at + 1]).collect()
    };
    SAMPLES.iter().map(places).collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn damage_is_survived(
        which in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30),
        header in prop::collection::vec((0_u64..272, any::<u8>()), 0..3),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut damaged = SAMPLES[which].1.clone();
        let places = &PLACES[which];
        for (place, byte) in changes {
            damaged.changed.insert(*place.get(places), byte);
        }
        // What refuses the file at once is no interesting damage.
        damaged.changed.extend(header.into_iter().filter(|(at, _)| *at > 16));
        damaged.changed.retain(|at, _| *at > 16);
        damaged.end = end.map(|end| *end.get(places));
        for terms in [None, Some("_SYSTEMD_UNIT=ssh.service + _COMM=cron _PID=7")] {
            for told in read(&damaged, terms).unwrap_or_default() {
                prop_assert!(told.text.len() <= MAX_LINE);
            }
        }
        if let Ok(mut file) = JournalFile::open(damaged) {
            file.search(|head| head.number < 6);
        }
    }
}
