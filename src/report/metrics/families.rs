//! What is told: one table, from which come the text, and the check of
//! `docs/metrics.md`, of the dashboard and of the alerts.

use super::ledger::{JailCounters, Latency};
use super::snapshot::{JailFigures, JailState, Read, Snapshot, SourceFigures, SourceState};
use super::sources::SourceKind;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at guard's start.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Always 1; the labels say it.
    Info,
    /// How many were at most so large.
    Histogram,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

/// Values with those of the family's labels.
type Series<'a> = Box<dyn Iterator<Item = (Vec<&'a str>, Number)> + 'a>;

/// Where a family's values are in a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    Series(Give),
    Histogram(for<'a> fn(&'a Snapshot) -> &'a Latency),
}

/// A family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name, without its unit and what its kind adds.
    pub(super) name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The base unit, if it has one.
    pub unit: Option<&'static str>,
    /// The labels.
    pub labels: &'static [&'static str],
    /// What it means: a sentence without its end.
    pub help: &'static str,
    pub(super) values: Values,
}

impl Family {
    /// Its name, as queries have it; a histogram's without the endings of its parts.
    pub fn name(&self) -> String {
        let unit = self.unit.map(|unit| format!("_{unit}")).unwrap_or_default();
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{ending}", self.name)
    }
}

/// Where the numbers of a family come from.
type Give = for<'a> fn(&'a Snapshot) -> Series<'a>;

const fn family(
    kind: Kind,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    give: Give,
) -> Family {
    Family { name, kind, unit: None, labels, help, values: Values::Series(give) }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    give: Give,
) -> Family {
    family(Kind::Counter, name, labels, help, give)
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    give: Give,
) -> Family {
    family(Kind::Gauge, name, labels, help, give)
}

const fn info(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    give: Give,
) -> Family {
    family(Kind::Info, name, labels, help, give)
}

impl Family {
    const fn of(self, unit: &'static str) -> Family {
        Family { unit: Some(unit), ..self }
    }
}

const JAIL: &[&str] = &["jail"];
const SOURCE: &[&str] = &["jail", "source"];

/// Every family, in the order in which it is told.
pub const FAMILIES: &[Family] = &[
    info("guard_build", &["version"], "The guard that runs", |s| {
        one(&s.version, (!s.version.is_empty()).then_some(1))
    }),
    counter("guard_lines", SOURCE, "Lines of logs that were judged", |s| read(s, |r| r.lines)),
    counter("guard_failures", JAIL, "Failures that counted", |s| counted(s, |c| c.failures)),
    counter(
        "guard_failures_ignored",
        JAIL,
        "Failures that did not count because of whose address they bear: never-ban set, ignoreip, proxies, pardons",
        |s| counted(s, |c| c.warden.ignored),
    ),
    counter(
        "guard_failures_without_address",
        SOURCE,
        "Failures in lines that name nobody who could be banned",
        |s| read(s, |r| r.nobody),
    ),
    counter(
        "guard_lines_over_step_limit",
        SOURCE,
        "Lines on which a regex that turns back took more steps than it may, and that count as no match",
        |s| read(s, |r| r.given_up),
    ),
    counter(
        "guard_bans",
        &["jail", "origin"],
        "Bans begun, those of dry runs among them, by who asked for them: failures, a hand, the kernel, where a crash left them (adopted), or fail2ban (imported)",
        |s| split(s, &["failures", "hand", "adopted", "imported"], |c| &c.bans),
    ),
    counter("guard_bans_prolonged", JAIL, "Bans that were given another end", |s| {
        counted(s, |c| c.prolonged)
    }),
    counter(
        "guard_unbans",
        &["jail", "reason"],
        "Bans that ended: their time was over, a hand lifted them, or their address is never banned any more",
        |s| split(s, &["over", "hand", "never_ban"], |c| &c.unbans),
    ),
    counter("guard_pardons", JAIL, "Logins that forgave the failures of their address", |s| {
        counted(s, |c| c.pardons)
    }),
    counter(
        "guard_bans_ineffective",
        JAIL,
        "Bans that were seen not to keep their address out",
        |s| counted(s, |c| c.ineffective),
    ),
    counter(
        "guard_addresses_evicted",
        &["jail", "failures"],
        "Addresses whose failures were forgotten because the jail tracks too many (GUARD_TRACK_MAX), by how many failures they had",
        |s| split(s, &["one", "several"], |c| &c.warden.evicted),
    ),
    gauge("guard_addresses_failing", JAIL, "Addresses with failures that count now", |s| {
        figure(s, |f| f.failing)
    }),
    gauge("guard_bans_active", JAIL, "Bans that stand, those of dry runs among them", |s| {
        figure(s, |f| f.active)
    }),
    gauge("guard_bans_wanted", JAIL, "Bans that guard wants to be in the kernel", |s| {
        figure(s, |f| f.wanted)
    }),
    gauge(
        "guard_bans_in_force",
        JAIL,
        "Bans that are in the kernel, in front of the jail's services, as the firewall last saw it",
        |s| figure(s, |f| f.in_force),
    ),
    gauge(
        "guard_bans_held_back",
        JAIL,
        "Bans that wait because the jail began too many within a minute (GUARD_BAN_BURST)",
        |s| figure(s, |f| f.held_back),
    ),
    gauge(
        "guard_bans_reaching",
        JAIL,
        "Addresses that are banned and reach the service all the same; at most 16 are told",
        |s| figure(s, |f| f.reaching),
    ),
    gauge(
        "guard_hidden_clients",
        JAIL,
        "Addresses in the log that stand for clients who can't be told apart, such as a gateway's; at most 16 are told",
        |s| figure(s, |f| f.hidden),
    ),
    gauge("guard_jail_dry_run", JAIL, "1: the jail only counts and tells", |s| {
        figure(s, |f| f.dry_run)
    }),
    gauge("guard_jails", &["state"], "Jails, guard's own among them, by what they do", |s| {
        let states = JailState::ALL.iter().zip(s.jail_states);
        Box::new(states.map(|(state, n)| (vec![state.as_str()], Number::Whole(n))))
    }),
    gauge("guard_labels_refused", &[], "Labels that make no jail until they are mended", |s| {
        plain(s.engine.refused_labels)
    }),
    gauge(
        "guard_sources",
        &["jail", "source", "state"],
        "Sources of lines, by what goes on with them",
        |s| {
            Box::new(s.sources.iter().flat_map(|((jail, kind), figures)| {
                let states = SourceState::ALL.iter().zip(figures.states);
                states.map(|(state, n)| {
                    (vec![jail.as_str(), kind.as_str(), state.as_str()], Number::Whole(n))
                })
            }))
        },
    ),
    gauge(
        "guard_source_lag",
        SOURCE,
        "Age of the last judged line of the source that is furthest behind; 0: all that there is was judged",
        |s| of_kinds(s, &[SourceKind::Output, SourceKind::File], |f| f.lag),
    )
    .of("seconds"),
    gauge("guard_source_unread", SOURCE, "Bytes of files that are still to be read", |s| {
        of_kinds(s, &[SourceKind::File], |f| f.unread)
    })
    .of("bytes"),
    gauge(
        "guard_source_unread_entries",
        SOURCE,
        "Entries of the journal that were not looked at yet",
        |s| of_kinds(s, &[SourceKind::Journal], |f| f.unread),
    ),
    counter("guard_source_starts", SOURCE, "How often a reader was started", |s| {
        read(s, |r| r.starts)
    }),
    counter(
        "guard_source_gaps",
        SOURCE,
        "How often what was to be read next was gone, so that lines may be lost",
        |s| read(s, |r| r.gaps),
    ),
    counter("guard_source_cut_lines", SOURCE, "Lines of files that were longer than 64 KiB", |s| {
        read(s, |r| r.cut_lines)
    }),
    counter("guard_source_cut", SOURCE, "Bytes cut off lines that were too long", |s| {
        read(s, |r| r.cut_bytes)
    })
    .of("bytes"),
    counter("guard_source_clock_steps", SOURCE, "How often an output's timestamps went back", |s| {
        read(s, |r| r.clock_steps)
    }),
    Family {
        name: "guard_line_to_kernel",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: &[],
        help: "From the read of a line to the kernel's word that the ban which it led to stands; without bans that waited on purpose",
        values: Values::Histogram(|s| &s.counted.latency),
    },
    info("guard_firewall", &["backend"], "By what means bans are made", |s| {
        one(&s.firewall.backend, (!s.firewall.backend.is_empty()).then_some(1))
    }),
    gauge("guard_firewall_healthy", &[], "1: all that guard wants is in the kernel", |s| {
        plain(s.firewall.healthy.into())
    }),
    gauge("guard_firewall_problems", &[], "What is wrong with the firewall, counted", |s| {
        plain(s.firewall.problems)
    }),
    counter(
        "guard_firewall_repairs",
        &[],
        "How often something of guard's that others took away was put back",
        |s| plain(s.firewall.repairs),
    ),
    counter(
        "guard_firewall_changes_heard",
        &[],
        "How often guard looked at once because another program changed nftables' rules",
        |s| plain(s.firewall.heard),
    ),
    gauge("guard_engine_connected", &[], "1: the Docker engine answers", |s| {
        plain(s.engine.connected.into())
    }),
    gauge("guard_database_healthy", &[], "1: changes reach the disk", |s| {
        plain(s.database.healthy.into())
    }),
    gauge("guard_database_size", &[], "Size of the database's file", |s| maybe(s.database.size))
        .of("bytes"),
    counter(
        "guard_database_dropped_history",
        &[],
        "Bans left out of the history because too many waited for the disk",
        |s| plain(s.database.dropped_history),
    ),
    counter("process_cpu", &[], "Total user and system CPU time spent", |s| {
        real(s.process.cpu_seconds)
    })
    .of("seconds"),
    gauge("process_start_time", &[], "Start time of the process since the Unix epoch", |s| {
        real(s.process.started)
    })
    .of("seconds"),
    gauge("process_resident_memory", &[], "Resident memory size", |s| maybe(s.process.resident))
        .of("bytes"),
    gauge("process_virtual_memory", &[], "Virtual memory size", |s| {
        maybe(s.process.virtual_memory)
    })
    .of("bytes"),
    gauge("process_open_fds", &[], "Number of open file descriptors", |s| {
        maybe(s.process.open_files)
    }),
    gauge("process_max_fds", &[], "Maximum number of open file descriptors", |s| {
        maybe(s.process.max_files)
    }),
];

fn plain<'a>(number: u64) -> Series<'a> {
    maybe(Some(number))
}

fn maybe<'a>(number: Option<u64>) -> Series<'a> {
    Box::new(number.into_iter().map(|number| (Vec::new(), Number::Whole(number))))
}

fn real<'a>(number: Option<f64>) -> Series<'a> {
    Box::new(number.into_iter().map(|number| (Vec::new(), Number::Real(number))))
}

fn one(label: &str, number: Option<u64>) -> Series<'_> {
    Box::new(number.into_iter().map(move |number| (vec![label], Number::Whole(number))))
}

fn counted(snapshot: &Snapshot, of: fn(&JailCounters) -> u64) -> Series<'_> {
    let jails = snapshot.counted.jails.iter();
    Box::new(jails.map(move |(jail, counters)| (vec![jail.as_str()], Number::Whole(of(counters)))))
}

/// A jail's counters of one thing, by a further label.
fn split<'a, const N: usize>(
    snapshot: &'a Snapshot,
    words: &'static [&'static str; N],
    of: fn(&JailCounters) -> &[u64; N],
) -> Series<'a> {
    Box::new(snapshot.counted.jails.iter().flat_map(move |(jail, counters)| {
        let each = words.iter().zip(of(counters));
        each.map(move |(word, number)| (vec![jail.as_str(), *word], Number::Whole(*number)))
    }))
}

fn figure(snapshot: &Snapshot, of: fn(&JailFigures) -> u64) -> Series<'_> {
    let jails = snapshot.jails.iter();
    Box::new(jails.map(move |(jail, figures)| (vec![jail.as_str()], Number::Whole(of(figures)))))
}

fn read(snapshot: &Snapshot, of: fn(&Read) -> u64) -> Series<'_> {
    Box::new(snapshot.counted.read.iter().map(move |((jail, kind), read)| {
        (vec![jail.as_str(), kind.as_str()], Number::Whole(of(read)))
    }))
}

fn of_kinds<'a>(
    snapshot: &'a Snapshot,
    kinds: &'static [SourceKind],
    of: fn(&SourceFigures) -> u64,
) -> Series<'a> {
    let sources = snapshot.sources.iter().filter(|((_, kind), _)| kinds.contains(kind));
    Box::new(sources.map(move |((jail, kind), figures)| {
        (vec![jail.as_str(), kind.as_str()], Number::Whole(of(figures)))
    }))
}
