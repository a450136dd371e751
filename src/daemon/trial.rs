//! `guardctl try SERVICE`: reads what is still there of a service's log, and tells
//! what guard would have done with it.
//!
//! It touches nothing: its followers, judges and warden are its own, and end with
//! it. One runs at a time, and gives way to everything else after each batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::resolver::Resolver;
use super::start::{located, log_zone, path_space};
use super::wanted::{Before, FollowerSpec, Known, What, wanted};
use crate::control::protocol::{RefusedKind, Reply};
use crate::docker::{Engine, OutputBatch, OutputChoice, OutputNews, OutputStart};
use crate::files::{FileReader, FileState, FileStatus};
use crate::filter::{Hit, Judge, Library, Phase, Verdict, Who};
use crate::filters::Catalog;
use crate::labels::{self, Complaint, Defaults};
use crate::model::{Container, ContainerId, JailName, Line, SourceId, Timestamp, Tried};
use crate::replay::{Replay, overlay};
use crate::warden::{Settings, Surroundings};

/// Longer than this nobody waits.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// How often it tells how far it is.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Files that say nothing for so long were read to their ends.
const QUIET: Duration = Duration::from_secs(1);

/// What is asked for.
pub(crate) struct Wish {
    /// Options in place of those in the labels.
    pub(crate) options: Vec<(String, String)>,
    /// Failures before this don't count.
    pub(crate) since: Option<Timestamp>,
}

/// All that a trial needs of the daemon's state.
pub(crate) struct Ground {
    pub(crate) engine: Option<Engine>,
    /// The service's containers.
    pub(crate) containers: Vec<Container>,
    /// The names of all others, for who mistypes.
    pub(crate) others: Vec<String>,
    /// guard's own container.
    pub(crate) own: Option<Container>,
    pub(crate) defaults: Defaults,
    pub(crate) filters: Catalog,
    pub(crate) zone: TimeZone,
    pub(crate) around: Surroundings,
}

/// Runs it. It is cancelled by being dropped.
pub(crate) async fn run(
    asked: &str,
    wish: Wish,
    (ground, settings): (Ground, Settings),
    progress: Option<mpsc::Sender<Reply>>,
) -> Reply {
    let Some(engine) = ground.engine.clone() else {
        return Reply::refused(RefusedKind::Busy, "no Docker engine is connected");
    };
    if ground.containers.is_empty() {
        return unknown(asked, &ground);
    }
    let mut library = Library::of(ground.filters.clone());
    let known = readings(&ground, &wish, &mut library);
    let own = ground.own.as_ref();
    let wanted =
        wanted(&known, &Before::default(), |container, path| located(container, own, path));
    if wanted.jails.is_empty() {
        return no_jail(asked, &wanted.complaints);
    }
    let names: BTreeMap<JailName, usize> =
        wanted.jails.keys().cloned().enumerate().map(|(place, name)| (name, place)).collect();
    let mut trial = Trial {
        engine,
        now: Timestamp::now(),
        since: wish.since,
        replay: Replay::new(wanted.jails.into_values().collect(), wish.since),
        resolver: Resolver::new(),
        notes: wanted.complaints.iter().map(Complaint::one_line).collect(),
        progress,
        began: Instant::now(),
        told: Instant::now(),
    };
    for (key, spec) in wanted.followers {
        let Some(place) = names.get(&key.jail) else { continue };
        let Some(known) = known.get(&spec.container) else { continue };
        trial.read(&known.container, &ground, (*place, &spec)).await;
    }
    trial.end(settings, ground.around).await
}

fn readings(ground: &Ground, wish: &Wish, library: &mut Library) -> BTreeMap<ContainerId, Known> {
    let prefix = ground.defaults.prefix();
    let read = |container: &Container| {
        let labels = overlay(&container.labels, prefix, &wish.options);
        let container = Container { labels, ..container.clone() };
        let reading = labels::read(&container, &ground.defaults, library);
        (container.id.clone(), Known { container, reading })
    };
    ground.containers.iter().map(read).collect()
}

fn unknown(asked: &str, ground: &Ground) -> Reply {
    let near = labels::nearest(asked, ground.others.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let message = format!("no service, container or jail `{asked}` is known{near}");
    Reply::refused(RefusedKind::NotFound, message)
}

fn no_jail(asked: &str, complaints: &[Complaint]) -> Reply {
    if complaints.is_empty() {
        let message = format!("the labels of `{asked}` make no jail: give --failregex or --filter");
        return Reply::refused(RefusedKind::Usage, message);
    }
    let lines: Vec<String> = complaints.iter().take(5).map(Complaint::one_line).collect();
    Reply::refused(RefusedKind::Usage, lines.join("; "))
}

/// A trial under way.
struct Trial {
    engine: Engine,
    now: Timestamp,
    since: Option<Timestamp>,
    replay: Replay,
    resolver: Resolver,
    notes: Vec<String>,
    progress: Option<mpsc::Sender<Reply>>,
    began: Instant,
    told: Instant,
}

impl Trial {
    /// Reads all that there is of one source.
    async fn read(
        &mut self,
        container: &Container,
        ground: &Ground,
        (jail, spec): (usize, &FollowerSpec),
    ) {
        let own = ground.zone.clone();
        match &spec.what {
            What::Output(choice) => {
                let judge = Judge::new(Arc::clone(&spec.jail.filter), own, Duration::MAX);
                self.output(container, (*choice).into(), (jail, judge)).await;
            }
            What::Files(patterns) => {
                let label = spec.jail.log_zone.as_ref();
                let zone = log_zone(&self.engine, container, label, own).await;
                let space = path_space(container, ground.own.as_ref());
                let reader = FileReader::new(space, patterns.clone(), HashMap::new());
                let judge =
                    || Judge::new(Arc::clone(&spec.jail.filter), zone.clone(), Duration::MAX);
                self.files(reader, jail, judge).await;
            }
            What::Journal(_) => self.note("the journal is not read by `try`".to_owned()),
        }
    }

    async fn output(
        &mut self,
        container: &Container,
        choice: OutputChoice,
        (jail, mut judge): (usize, Judge),
    ) {
        let since = self.since.unwrap_or(Timestamp::UNIX_EPOCH);
        let start = OutputStart::Since(since);
        let mut reader = self.engine.output(container, &start, choice).only_past();
        while self.has_time() {
            match reader.next().await {
                Ok(OutputBatch::Lines { lines, .. }) => {
                    self.lines(&lines, jail, &mut judge).await;
                }
                Ok(OutputBatch::News(OutputNews::Trouble(why))) => {
                    return self.note(format!("output of {}: {why}", container.name));
                }
                // A trial begins anywhere: nothing was judged before.
                Ok(OutputBatch::Known(_) | OutputBatch::News(_)) => {}
                Ok(OutputBatch::Ended) => return,
                Err(error) => {
                    return self.note(format!(
                        "output of {}: {}",
                        container.name,
                        error.sentence()
                    ));
                }
            }
        }
    }

    async fn files(&mut self, mut reader: FileReader, jail: usize, judge: impl Fn() -> Judge) {
        let mut judges: HashMap<SourceId, Judge> = HashMap::new();
        let mut done: BTreeSet<SourceId> = BTreeSet::new();
        while self.has_time() {
            match tokio::time::timeout(QUIET, reader.next()).await {
                Ok(batch) if batch.live => drop(done.insert(batch.source)),
                Ok(batch) => {
                    let judge = judges.entry(batch.source).or_insert_with(&judge);
                    self.lines(&batch.lines, jail, judge).await;
                    continue;
                }
                Err(_) => {}
            }
            let over = |file: &FileState| {
                let done = file.source.as_ref().is_some_and(|source| done.contains(source));
                done || file.behind == 0 || file.status != FileStatus::Following
            };
            if reader.states().iter().all(over) {
                break;
            }
        }
        for file in reader.states() {
            match &file.status {
                FileStatus::Following => {}
                FileStatus::Waiting => self.note(format!("{}: no such file", file.shown)),
                FileStatus::Refused(why) | FileStatus::Unreachable(why) => {
                    self.note(format!("{}: {why}", file.shown));
                }
            }
        }
    }

    async fn lines(&mut self, lines: &[Line], jail: usize, judge: &mut Judge) {
        self.replay.lines(jail, lines.len() as u64);
        for line in lines {
            let verdict = judge.feed(line, self.now, Phase::Replay);
            let hit = match verdict {
                Verdict::Failure(hit) => hit,
                Verdict::LoggedIn(Hit { who: Who::Network(network), at, .. }) => {
                    self.replay.login(jail, (network, at));
                    continue;
                }
                _ => continue,
            };
            match hit.who {
                Who::Network(network) => {
                    self.replay.failure(jail, (network, &hit.forwarded, hit.at), &line.text);
                }
                Who::Name(name) => {
                    for network in self.resolver.addresses(&name).await {
                        self.replay.failure(jail, (network, &hit.forwarded, hit.at), &line.text);
                    }
                }
                Who::Text(_) => self.replay.nobody(jail),
            }
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            // A client that has not read the last one does without.
            let lines = self.replay.total();
            if let Some(progress) = &self.progress {
                let _ = progress.try_send(Reply::Trying { lines });
            }
        }
        tokio::task::yield_now().await;
    }

    fn has_time(&mut self) -> bool {
        let has_time = self.began.elapsed() < LONGEST;
        if !has_time {
            self.note("there was too much to read: try a shorter time with --since".to_owned());
        }
        has_time
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    async fn end(self, settings: Settings, around: Surroundings) -> Reply {
        let Trial { replay, now, mut notes, .. } = self;
        // A million failures take a second or two.
        let played = tokio::task::spawn_blocking(move || replay.play(now, settings, around)).await;
        let Ok(mut tried) = played else {
            return Reply::refused(RefusedKind::Busy, "the trial died of a defect of guard's");
        };
        notes.append(&mut tried.notes);
        Reply::Tried(Box::new(Tried { notes, ..tried }))
    }
}
