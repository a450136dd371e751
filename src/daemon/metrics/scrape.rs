//! A snapshot of everything.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::{Meters, totals};
use crate::control::protocol::{SourceState as Told, SourceStatus};
use crate::daemon::jails::{AskJails, FollowerView, Jails, MetricsGround};
use crate::daemon::operator::sources;
use crate::daemon::pump::Ask;
use crate::firewall;
use crate::model::{JailName, ServiceId};
use crate::report::http::{Answer, Page};
use crate::report::metrics::{
    Counted, Database, Engine, Firewall, Format, JailFigures, JailState, Process, Snapshot,
    SourceFigures, SourceKind, SourceState, WardenTotals,
};
use crate::store::Store;
use crate::warden::JailView;

/// Whoever asks sooner is told the same again, however many they are: a scrape of a
/// thousand jails costs milliseconds of the tasks that it asks.
const FRESH: Duration = Duration::from_millis(250);

/// A page that is wanted, and who wants it.
pub(super) type Wanted = (Page, oneshot::Sender<Answer>);

/// Looks at everything for those who ask.
pub(crate) struct Scraper {
    pub(crate) warden: Ask,
    pub(crate) jails: AskJails,
    pub(crate) firewall: Arc<firewall::Handle>,
    pub(crate) store: Store,
    pub(crate) meters: Arc<Meters>,
}

/// The last snapshot, and what was made of it.
struct Last {
    at: Instant,
    snapshot: Snapshot,
    texts: [Option<Arc<str>>; 2],
}

/// What the warden knows of one jail.
struct Judged {
    name: JailName,
    figures: JailFigures,
    state: JailState,
    totals: WardenTotals,
}

impl Scraper {
    /// Answers until nobody asks any more, or guard stops.
    pub(super) async fn run(self, mut wanted: mpsc::Receiver<Wanted>) {
        let mut last: Option<Last> = None;
        while let Some((page, answer)) = wanted.recv().await {
            if last.as_ref().is_none_or(|last| last.at.elapsed() > FRESH) {
                let Some(snapshot) = self.snapshot().await else { return };
                last = Some(Last { at: Instant::now(), snapshot, texts: [None, None] });
            }
            if let Some(last) = &mut last {
                // Who asked may have gone.
                let _ = answer.send(last.page(page));
            }
        }
    }

    /// Everything, as it is now; `None`: guard is stopping.
    async fn snapshot(&self) -> Option<Snapshot> {
        let look = self.warden.look(|warden| warden.jails().map(judged).collect::<Vec<_>>());
        let judged = look.await?;
        let ground = self.jails.look(Jails::metrics_ground).await?;
        let firewall = self.firewall.status().borrow().clone();
        let store = self.store.status().borrow().clone();
        let mut snapshot = Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            firewall: Firewall {
                backend: firewall.backend.clone(),
                healthy: firewall.healthy,
                problems: firewall.problems.len() as u64,
                repairs: firewall.repairs,
                heard: firewall.heard,
            },
            engine: Engine { connected: ground.connected, refused_labels: ground.refused },
            database: Database {
                healthy: store.healthy(),
                dropped_history: store.dropped_history,
                size: fs::metadata(&store.path).ok().map(|file| file.len()),
            },
            process: process(),
            ..Snapshot::default()
        };
        self.count(&mut snapshot, &judged, &ground);
        Some(snapshot)
    }

    fn count(&self, snapshot: &mut Snapshot, judged: &[Judged], ground: &MetricsGround) {
        let mut ledger = self.meters.lock();
        for Judged { name, figures, state, totals } in judged {
            ledger.sync(name, *totals);
            let label = ledger.label(name).to_owned();
            snapshot.jails.entry(label).or_default().add(figures);
            let state = JailState::ALL.iter().position(|known| known == state);
            state.into_iter().for_each(|state| snapshot.jail_states[state] += 1);
        }
        for (jail, follower) in &ground.followers {
            let label = ledger.label(jail);
            for (kind, state, lag, unread) in seen(follower) {
                let key = (label.to_owned(), kind);
                let figures: &mut SourceFigures = snapshot.sources.entry(key).or_default();
                let state = SourceState::ALL.iter().position(|known| *known == state);
                state.into_iter().for_each(|state| figures.states[state] += 1);
                figures.lag = figures.lag.max(lag);
                figures.unread += unread;
            }
        }
        snapshot.counted = Counted::of(&ledger);
    }
}

impl Last {
    fn page(&mut self, page: Page) -> Answer {
        match page {
            Page::Health => health(&self.snapshot),
            Page::Metrics(format) => {
                let place = match format {
                    Format::OpenMetrics => &mut self.texts[0],
                    Format::Prometheus => &mut self.texts[1],
                };
                let text = place.get_or_insert_with(|| {
                    self.snapshot.clone().text(format).map_or_else(
                        |_| {
                            tracing::error!("the metrics can't be written: a defect of guard's");
                            "".into()
                        },
                        Into::into,
                    )
                });
                Answer { well: !text.is_empty(), text: Arc::clone(text) }
            }
        }
    }
}

/// Words of guard's own only: who may ask for it may not be meant to read more.
fn health(snapshot: &Snapshot) -> Answer {
    let parts = [
        (snapshot.firewall.healthy, "the firewall is not in force"),
        (snapshot.engine.connected, "the Docker engine does not answer"),
        (snapshot.database.healthy, "changes do not reach the disk"),
    ];
    let wrong: Vec<&str> =
        parts.iter().filter(|(well, _)| !well).map(|(_, words)| *words).collect();
    let text = if wrong.is_empty() { "ok\n".into() } else { wrong.join("\n") + "\n" };
    Answer { well: wrong.is_empty(), text: text.into() }
}

fn judged(jail: JailView<'_>) -> Judged {
    let rules = jail.rules();
    let standing = jail.banned_now() as u64;
    let figures = JailFigures {
        failing: jail.failed_now() as u64,
        active: standing,
        wanted: if rules.dry_run { 0 } else { standing },
        in_force: jail.in_force() as u64,
        held_back: jail.held() as u64,
        reaching: jail.reaching().count() as u64,
        hidden: jail.hidden().count() as u64,
        dry_run: rules.dry_run.into(),
    };
    // guard's own jails have no containers to wait for.
    let watching = jail.is_live() || rules.service == ServiceId::BuiltIn;
    Judged {
        name: jail.name().clone(),
        figures,
        state: if watching { JailState::Watching } else { JailState::NoContainers },
        totals: totals(jail),
    }
}

/// A follower's sources: kind, state, how far behind in seconds, and in what is unread.
fn seen(follower: &FollowerView) -> Vec<(SourceKind, SourceState, u64, u64)> {
    let kind = match (follower.output, &follower.journal) {
        (true, _) => SourceKind::Output,
        (false, Some(_)) => SourceKind::Journal,
        (false, None) => SourceKind::File,
    };
    let entries = follower.state.journal.as_ref().map_or(0, |journal| journal.behind);
    let one = |source: SourceStatus| {
        let state = match source.state {
            _ if follower.died => SourceState::Died,
            Told::Following => SourceState::Following,
            Told::Waiting => SourceState::Waiting,
            Told::Refused => SourceState::Refused,
        };
        let unread = if kind == SourceKind::Journal { entries } else { source.behind };
        (kind, state, source.behind_seconds, unread)
    };
    sources(follower).into_iter().map(one).collect()
}

/// This process; `/proc` is the kernel's memory, and nobody waits for it.
fn process() -> Process {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (stat, limits) = (read("/proc/self/stat"), read("/proc/self/limits"));
    let page = rustix::param::page_size() as u64;
    Process {
        // The listing itself has one open.
        open_files: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|files| (files.count() as u64).saturating_sub(1)),
        ..Process::read(&stat, &limits, &read("/proc/stat"), page)
    }
}
