//! Counters that outlive jails and readers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::sources::{SourceCounters, SourceKind};
use crate::model::{BanOrigin, JailName, LiftedBy, Network, News, Record};

/// So many jails have series of their own in the life of a process. Who can start
/// containers can make jails, as many as he likes.
pub const MAX_JAILS: usize = 1000;

/// All other jails together. No jail can be called so: names begin with a letter or digit.
pub const OTHERS: &str = "_other";

/// Bans of which the kernel has not said anything yet; of more, the time is not measured.
const MAX_PENDING: usize = 65_536;

/// The histogram's bounds, in seconds.
pub const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The place among bans of those that were taken over.
const IMPORTED: usize = 3;

/// What was counted of one jail since guard was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JailCounters {
    /// Failures that counted.
    pub failures: u64,
    /// Bans begun, by who asked for them: failures, a person, an earlier guard,
    /// fail2ban.
    pub bans: [u64; 4],
    /// Bans that got another end.
    pub prolonged: u64,
    /// Bans ended: over, lifted by a person, lifted for the never-ban set.
    pub unbans: [u64; 3],
    /// Logins that forgave failures.
    pub pardons: u64,
    /// Bans that turned out not to keep their address out.
    pub ineffective: u64,
    /// What the warden counts itself.
    pub warden: WardenTotals,
}

/// What the warden counts of a jail, for as long as there is that jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WardenTotals {
    /// Failures that did not count because of whose address they bear.
    pub ignored: u64,
    /// Addresses with one failure, and with several, forgotten for want of room.
    pub evicted: [u64; 2],
}

impl WardenTotals {
    /// What is new since `before`; a jail that was made anew begins again.
    fn since(self, before: WardenTotals) -> WardenTotals {
        let more = |new: u64, old: u64| new.checked_sub(old).unwrap_or(new);
        WardenTotals {
            ignored: more(self.ignored, before.ignored),
            evicted: [0, 1].map(|which| more(self.evicted[which], before.evicted[which])),
        }
    }

    fn add(&mut self, more: WardenTotals) {
        self.ignored += more.ignored;
        for (sum, more) in self.evicted.iter_mut().zip(more.evicted) {
            *sum += more;
        }
    }
}

/// How long it took from the read of a line to the kernel's word that its ban stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latency {
    /// How many took at most as long as each of [`BUCKETS`], and longer than the one
    /// before; then all others.
    pub counts: [u64; BUCKETS.len() + 1],
    /// The sum of all, in seconds.
    pub sum: f64,
}

impl Latency {
    fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound);
        self.counts[bucket.unwrap_or(BUCKETS.len())] += 1;
        self.sum += seconds;
    }
}

/// The counters, since guard was started. `T` is a moment of a clock that is never set.
#[derive(Debug)]
pub struct Ledger<T> {
    jails: BTreeMap<JailName, JailCounters>,
    others: Option<JailCounters>,
    /// What was last seen of the warden's own counters.
    seen: HashMap<JailName, WardenTotals>,
    sources: BTreeMap<(Option<JailName>, SourceKind), Arc<SourceCounters>>,
    latency: Latency,
    /// When the line was read whose ban the kernel does not have yet.
    pending: HashMap<(JailName, Network), T>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Ledger {
            jails: BTreeMap::new(),
            others: None,
            seen: HashMap::new(),
            sources: BTreeMap::new(),
            latency: Latency::default(),
            pending: HashMap::new(),
        }
    }
}

impl<T: Copy> Ledger<T> {
    /// Counts what the warden told, and wants to be remembered, in one turn; `read` is
    /// when the line was read that led to it, if it was one.
    pub fn note<'a>(
        &mut self,
        records: &[Record],
        news: impl Iterator<Item = &'a News>,
        read: Option<T>,
    ) {
        // Which of those that end were lifted for the never-ban set, only the record says.
        let never_ban: HashSet<(&JailName, Network)> = records
            .iter()
            .filter_map(|record| match record {
                Record::Lifted(lifting) if lifting.by == LiftedBy::NeverBan => {
                    Some((&lifting.jail, lifting.network))
                }
                _ => None,
            })
            .collect();
        // Of some that go nobody is told.
        if !self.pending.is_empty() {
            for record in records {
                if let Record::BanGone(jail, network) = record {
                    self.pending.remove(&(jail.clone(), *network));
                }
            }
        }
        for news in news {
            match news {
                News::Found { jail, .. } => self.of(jail).failures += 1,
                News::Banned { ban, dry_run } => {
                    let origin = match ban.origin {
                        BanOrigin::Failures => 0,
                        BanOrigin::Hand => 1,
                        BanOrigin::Adopted => 2,
                        BanOrigin::Imported => IMPORTED,
                    };
                    self.of(&ban.jail).bans[origin] += 1;
                    if let (BanOrigin::Failures, false, Some(read)) = (ban.origin, dry_run, read)
                        && self.pending.len() < MAX_PENDING
                    {
                        self.pending.insert((ban.jail.clone(), ban.network), read);
                    }
                }
                News::Prolonged { ban, .. } => self.of(&ban.jail).prolonged += 1,
                News::Unbanned { jail, network, by_hand, .. } => {
                    let reason = match by_hand {
                        true => 1,
                        false if never_ban.contains(&(jail, *network)) => 2,
                        false => 0,
                    };
                    self.of(jail).unbans[reason] += 1;
                    if !self.pending.is_empty() {
                        self.pending.remove(&(jail.clone(), *network));
                    }
                }
                News::LoggedIn { jail, .. } => self.of(jail).pardons += 1,
                News::Reaches { jail, .. } => self.of(jail).ineffective += 1,
                // Its series are there before anything happens in it.
                News::JailStarted { jail } => drop(self.of(jail)),
                News::Ignored { .. }
                | News::Narrowed { .. }
                | News::JailStopped { .. }
                | News::Repaired { .. }
                | News::Trouble { .. } => {}
            }
        }
        for record in records {
            if let Record::JailGone(jail) = record {
                self.seen.remove(jail);
            }
        }
    }

    /// The kernel has these bans; `took` says how long ago a moment was.
    pub fn in_force(&mut self, bans: &[(JailName, Network)], took: impl Fn(T) -> Duration) {
        if self.pending.is_empty() {
            return;
        }
        for ban in bans {
            if let Some(read) = self.pending.remove(ban) {
                self.latency.observe(took(read));
            }
        }
    }

    /// Counts bans that were taken over from another program, of which no news tells.
    pub fn imported(&mut self, jail: &JailName, made: u64, prolonged: u64) {
        let of = self.of(jail);
        of.bans[IMPORTED] += made;
        of.prolonged += prolonged;
    }

    /// Takes in what the warden counted of a jail so far.
    pub fn sync(&mut self, jail: &JailName, totals: WardenTotals) {
        let before = self.seen.insert(jail.clone(), totals).unwrap_or_default();
        self.of(jail).warden.add(totals.since(before));
    }

    /// The counters for a jail's sources of a kind, for their reader.
    pub fn sources(&mut self, jail: &JailName, kind: SourceKind) -> Arc<SourceCounters> {
        self.of(jail);
        let key = (self.jails.contains_key(jail).then(|| jail.clone()), kind);
        Arc::clone(self.sources.entry(key).or_default())
    }

    /// The jails with series of their own.
    pub fn jails(&self) -> &BTreeMap<JailName, JailCounters> {
        &self.jails
    }

    /// All other jails, if there was one.
    pub fn others(&self) -> Option<&JailCounters> {
        self.others.as_ref()
    }

    /// The label of a jail.
    pub fn label<'a>(&self, jail: &'a JailName) -> &'a str {
        if self.jails.contains_key(jail) || self.jails.len() < MAX_JAILS {
            jail.as_str()
        } else {
            OTHERS
        }
    }

    /// What was read, by label and kind.
    pub fn read(&self) -> impl Iterator<Item = (&str, SourceKind, &SourceCounters)> {
        self.sources.iter().map(|((jail, kind), counters)| {
            (jail.as_ref().map_or(OTHERS, JailName::as_str), *kind, &**counters)
        })
    }

    /// How long bans took.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    fn of(&mut self, jail: &JailName) -> &mut JailCounters {
        // Those that come first have their own: a series must not move to another label.
        if self.jails.len() >= MAX_JAILS && !self.jails.contains_key(jail) {
            return self.others.get_or_insert_default();
        }
        self.jails.entry(jail.clone()).or_default()
    }
}
