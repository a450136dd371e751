//! A follower: one source (or the files of one jail in one container), read in
//! its own task, judged by the jail's filter, and reported.

mod counted;
#[cfg(test)]
mod files_tests;
mod journal;
mod reached;

use self::reached::Reached;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::pump::Report;
use super::resolver::Resolver;
use crate::docker::{Engine, Gap, OutputBatch, OutputChoice, OutputNews, OutputStart};
use crate::files::{FileReader, FileState, Since};
use crate::filter::{Dating, Filter, Hit, Judge, Phase, UseDns, Verdict, Who, ZoneHint};
use crate::journal::JournalState;
use crate::model::{
    Container, Failure, JailName, Line, Login, Network, Position, Progress, SourceId, Timestamp,
};
use crate::report::metrics::SourceCounters;

/// Progress without failures is reported so often at most.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What one follower does for one jail.
pub(crate) struct Follower {
    pub(crate) jail: JailName,
    pub(crate) filter: Arc<Filter>,
    pub(crate) find_time: Duration,
    pub(crate) zone: TimeZone,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) state: watch::Sender<FollowerState>,
    /// Woken when something can't be read any more, or can again.
    pub(crate) noticed: Arc<Notify>,
    /// What is counted for the metrics, whichever follower does it.
    pub(crate) counters: Arc<SourceCounters>,
    pub(crate) cancel: CancellationToken,
}

/// How a follower does, for `guardctl status`.
#[derive(Clone, Debug, Default)]
pub(crate) struct FollowerState {
    /// The container's output: what is wrong with it, if anything.
    pub(crate) problem: Option<String>,
    /// It ended: the container stopped.
    pub(crate) ended: bool,
    /// The files, as they were last seen.
    pub(crate) files: Vec<FileState>,
    /// The journal, as it was last seen.
    pub(crate) journal: Option<JournalState>,
    /// Live dates are off by whole quarters of an hour.
    pub(crate) zone_hint: Option<ZoneHint>,
    /// Lines on which a regex took more steps than it may.
    pub(crate) given_up: u64,
    /// Failures of somebody who has no address, and so can't be banned.
    pub(crate) nobody: u64,
    /// The container's output, as far as it was read.
    pub(crate) output: OutputState,
}

/// How the reading of a container's output goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputState {
    /// Lines judged.
    pub(crate) lines: u64,
    /// More lines are there already than were judged: the time of the last that was.
    pub(crate) behind: Option<Timestamp>,
    /// It can't be read at the moment, since when and why.
    pub(crate) trouble: Option<(Timestamp, String)>,
    /// How often the engine had dropped what was to be read next, and the last time.
    pub(crate) gaps: u64,
    pub(crate) last_gap: Option<Gap>,
    /// How often the clock was set back.
    pub(crate) clock_steps: u64,
    /// Bytes that were cut off long lines.
    pub(crate) cut_bytes: u64,
}

impl OutputState {
    /// What a reader that follows this one at the same output begins with.
    pub(crate) fn handed_on(&self) -> OutputState {
        OutputState { behind: None, trouble: None, ..self.clone() }
    }

    /// How many seconds lie between now and what was judged; none: all that there
    /// is was judged.
    pub(crate) fn behind_seconds(&self, now: Timestamp) -> u64 {
        let trouble = self.trouble.as_ref().map(|(since, _)| *since);
        let since = self.behind.into_iter().chain(trouble).min();
        since.map_or(0, |since| u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0))
    }
}

/// How far a follower came when it ended.
pub(crate) type Came = HashMap<SourceId, Progress>;

/// One source's place and the judge of its lines.
struct Track {
    judge: Judge,
    resolver: Resolver,
    /// So many searches of the judge's that were given up are told.
    given_up: u64,
    /// Failures of nobody that are not told yet.
    nobody: u64,
    reached: Reached,
    /// Judged lines are not reported yet.
    dirty: bool,
    /// When progress was last reported.
    reported: Instant,
}

impl Track {
    fn new(judge: Judge, reached: Reached) -> Self {
        let resolver = Resolver::new();
        let reported = Instant::now();
        Track { judge, resolver, given_up: 0, nobody: 0, reached, dirty: false, reported }
    }

    /// Lines that were judged in an earlier life: they only make the judge know again
    /// what it knew.
    fn feed(&mut self, lines: &[Line]) {
        let now = Timestamp::now();
        for line in lines {
            self.judge.feed(line, now, Phase::Backlog);
            self.reached.feed(&mut self.judge, &line.mark);
        }
    }

    fn progress(&mut self) -> Progress {
        self.reached.progress(&mut self.judge)
    }
}

impl Follower {
    /// Follows a container's output until it ends or the follower is cancelled.
    pub(crate) async fn output(
        self,
        engine: Engine,
        container: Container,
        choice: OutputChoice,
        known: Option<Progress>,
    ) -> Came {
        let source = SourceId::Output(container.id.clone());
        let start = match &known {
            Some(progress) => OutputStart::Again(progress.clone()),
            None => OutputStart::Since(self.oldest()),
        };
        let reached = known.map_or(Reached::at(Position::OUTPUT_START), Reached::after);
        let mut track = Track::new(self.judge(), reached);
        let mut reader = engine.output(&container, &start, choice);
        loop {
            let is_behind = self.state.borrow().output.behind.is_some();
            let batch = tokio::select! {
                () = self.cancel.cancelled() => break,
                () = tokio::time::sleep(PROGRESS_EVERY), if track.dirty || is_behind => {
                    self.caught_up();
                    self.progress(&source, &mut track).await;
                    continue;
                }
                batch = reader.next() => batch,
            };
            match batch {
                Ok(OutputBatch::Known(lines)) => track.feed(&lines),
                Ok(OutputBatch::Lines { lines, live, place }) => {
                    self.batch(&source, &mut track, lines, live, place).await;
                }
                Ok(OutputBatch::News(news)) => {
                    if matches!(&news, OutputNews::Gap(gap) if gap.all_new) {
                        // Told once, even if guard ends before the next line comes.
                        track.reached.begin_anew(Position::OUTPUT_START);
                        track.dirty = true;
                    }
                    self.news(&container.name, news);
                }
                Ok(OutputBatch::Ended) => {
                    self.caught_up();
                    self.state.send_modify(|state| state.ended = true);
                    break;
                }
                Err(error) => {
                    self.problem(error.sentence());
                    if error.is_permanent() {
                        break;
                    }
                }
            }
        }
        self.progress(&source, &mut track).await;
        HashMap::from([(source, track.progress())])
    }

    /// Judges a batch of a container's output.
    async fn batch(
        &self,
        source: &SourceId,
        track: &mut Track,
        lines: Vec<Line>,
        live: bool,
        place: Option<Position>,
    ) {
        let count = lines.len() as u64;
        let last = lines.last().and_then(|line| line.at);
        let phase = if live { Phase::Live } else { Phase::Backlog };
        self.judge_lines(source, track, lines, phase).await;
        if let Some(place) = place.clone().filter(|place| place != track.reached.judged()) {
            track.reached.move_to(place);
            track.dirty = true;
        }
        self.state.send_modify(|state| {
            state.problem = None;
            state.output.lines += count;
            state.output.behind = if live && place.is_some() { None } else { last };
        });
    }

    /// Nothing is there that was not judged.
    fn caught_up(&self) {
        self.state.send_if_modified(|state| state.output.behind.take().is_some());
    }

    /// What a person must mend; the jails' task tells it.
    fn problem(&self, words: String) {
        if self.state.borrow().problem.as_ref() != Some(&words) {
            self.state.send_modify(|state| state.problem = Some(words));
            self.noticed.notify_one();
        }
    }

    /// What happened to a container's output besides lines.
    fn news(&self, container: &str, news: OutputNews) {
        let jail = &self.jail;
        match &news {
            OutputNews::Gap(gap) => {
                tracing::warn!("[{jail}] output of {container}: {}", gap_words(gap));
            }
            OutputNews::ClockSetBack(by) => tracing::warn!(
                "[{jail}] output of {container}: the clock was set back by {} s; no line is lost, \
                 but failures from before are {} s older than they look",
                by.as_secs(),
                by.as_secs(),
            ),
            OutputNews::Cut(bytes) => {
                tracing::debug!("[{jail}] output of {container}: {bytes} bytes of a long line cut");
            }
            // Discovery tells of an engine that is gone, once for all.
            OutputNews::Trouble(_) | OutputNews::Recovered => {}
        }
        match &news {
            OutputNews::Gap(_) => self.counters.gaps.add(1),
            OutputNews::ClockSetBack(_) => self.counters.clock_steps.add(1),
            OutputNews::Cut(bytes) => self.counters.cut_bytes.add(*bytes),
            OutputNews::Trouble(_) | OutputNews::Recovered => {}
        }
        self.state.send_modify(|state| {
            state.problem = None;
            let output = &mut state.output;
            match news {
                OutputNews::Gap(gap) => {
                    output.gaps += 1;
                    output.last_gap = Some(gap);
                }
                OutputNews::ClockSetBack(_) => output.clock_steps += 1,
                OutputNews::Cut(bytes) => output.cut_bytes += bytes,
                OutputNews::Trouble(why) => {
                    let since = output.trouble.take().map(|(since, _)| since);
                    output.trouble = Some((since.unwrap_or_else(Timestamp::now), why));
                }
                OutputNews::Recovered => output.trouble = None,
            }
        });
    }

    /// Follows files until the follower is cancelled.
    pub(crate) async fn files(self, mut reader: FileReader, known: &Came) -> Came {
        let mut tracks: HashMap<SourceId, Track> = HashMap::new();
        let mut looked = Instant::now();
        loop {
            let dirty = tracks.values().any(|track| track.dirty);
            let batch = tokio::select! {
                () = self.cancel.cancelled() => break,
                () = tokio::time::sleep(PROGRESS_EVERY), if dirty => {
                    for (source, track) in &mut tracks {
                        self.progress(source, track).await;
                    }
                    self.file_states(&reader);
                    continue;
                }
                () = tokio::time::sleep(PROGRESS_EVERY), if !dirty => {
                    self.file_states(&reader);
                    continue;
                }
                batch = reader.next() => batch,
            };
            let track = tracks.entry(batch.source.clone()).or_insert_with(|| {
                let known = known.get(&batch.source).cloned();
                let reached = known.map_or(Reached::at(Position::File(None)), Reached::after);
                Track::new(self.judge(), reached)
            });
            if batch.lines.is_empty() && !batch.gone {
                // Where reading begins, or the file came by this name through a rename.
                track.reached.move_to(Position::File(batch.place));
                track.dirty = true;
            }
            let phase = if batch.live { Phase::Live } else { Phase::Backlog };
            let mut lines = batch.lines;
            let new = lines.split_off(batch.known.min(lines.len()));
            track.feed(&lines);
            self.judge_lines(&batch.source, track, new, phase).await;
            if batch.gone {
                tracks.remove(&batch.source);
                let gone = Report::SourceGone { jail: self.jail.clone(), source: batch.source };
                self.report(gone).await;
            }
            // Who reads without a pause is behind, and that is when people want to know.
            if looked.elapsed() >= PROGRESS_EVERY {
                self.file_states(&reader);
                looked = Instant::now();
            }
        }
        self.file_states(&reader);
        // Only what was read here: another follower of the jail may have come
        // further in the other files that were known at the start.
        let mut read = Came::new();
        for (source, mut track) in tracks {
            self.progress(&source, &mut track).await;
            read.insert(source, track.progress());
        }
        read
    }

    fn judge(&self) -> Judge {
        Judge::new(Arc::clone(&self.filter), self.zone.clone(), self.find_time)
    }

    /// So far back a file is read that was never read before.
    pub(super) fn since(&self) -> Since {
        let now = Timestamp::now();
        let mut dating = Dating::new(&self.filter, self.zone.clone(), now);
        Since::new(now, self.oldest(), move |line| dating.date(line))
    }

    /// Older lines can't count any more.
    pub(super) fn oldest(&self) -> Timestamp {
        Timestamp::now().checked_sub(self.find_time).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    async fn judge_lines(
        &self,
        source: &SourceId,
        track: &mut Track,
        lines: Vec<Line>,
        phase: Phase,
    ) {
        let now = Timestamp::now();
        let read = Instant::now();
        self.counters.lines.add(lines.len() as u64);
        for line in lines {
            let verdict = track.judge.feed(&line, now, phase);
            track.reached.judge(&mut track.judge, &line.mark);
            track.dirty = true;
            let hit = match verdict {
                Verdict::Failure(hit) => hit,
                Verdict::LoggedIn(Hit { who: Who::Network(network), at, .. }) => {
                    self.login(source, track, (network, at)).await;
                    continue;
                }
                Verdict::Missed
                | Verdict::Ignored
                | Verdict::NoFailure(_)
                | Verdict::TooOld
                | Verdict::LoggedIn(_) => continue,
            };
            let networks = self.networks(hit.who, track).await;
            if networks.is_empty() {
                continue;
            }
            let progress = track.progress();
            let failures = networks.into_iter().map(|network| Failure {
                jail: self.jail.clone(),
                network,
                forwarded: hit.forwarded.clone(),
                at: hit.at,
                source: source.clone(),
                progress: progress.clone(),
            });
            track.dirty = false;
            track.reported = Instant::now();
            let text = shortened(&line.text);
            self.report(Report::Failures(failures.collect(), text, read)).await;
        }
        if track.reported.elapsed() >= PROGRESS_EVERY {
            self.progress(source, track).await;
        }
        self.tell(track);
        // A source with a long backlog shares the worker with the others.
        tokio::task::yield_now().await;
    }

    /// Reports that somebody logged in.
    async fn login(
        &self,
        source: &SourceId,
        track: &mut Track,
        (network, at): (Network, Timestamp),
    ) {
        track.dirty = false;
        track.reported = Instant::now();
        let login = Login {
            jail: self.jail.clone(),
            network,
            at,
            source: source.clone(),
            progress: track.progress(),
        };
        self.report(Report::Login(login)).await;
    }

    /// What a judge noticed, for `guardctl status`.
    fn tell(&self, track: &mut Track) {
        let hint = track.judge.zone_hint();
        let more = track.judge.given_up() - track.given_up;
        track.given_up += more;
        let nobody = std::mem::take(&mut track.nobody);
        self.counters.given_up.add(more);
        self.counters.nobody.add(nobody);
        self.state.send_if_modified(|state| {
            if more > 0 && state.given_up == 0 {
                tracing::warn!(
                    "[{}] a line took a regex more steps than it may, and counts as no match",
                    self.jail
                );
            }
            let changed = state.zone_hint != hint || more > 0 || nobody > 0;
            state.zone_hint = hint;
            state.given_up += more;
            state.nobody += nobody;
            changed
        });
    }

    /// Whose addresses a failure is of.
    async fn networks(&self, who: Who, track: &mut Track) -> Vec<Network> {
        match who {
            Who::Network(network) => vec![network],
            Who::Name(name) => {
                let found = track.resolver.addresses(&name).await;
                if self.filter.use_dns() == UseDns::Warn {
                    let addresses: Vec<_> = found.iter().map(ToString::to_string).collect();
                    let name = name.escape_debug();
                    tracing::warn!("[{}] the name {name} is {}", self.jail, addresses.join(", "));
                }
                found
            }
            Who::Text(_) => {
                track.nobody += 1;
                Vec::new()
            }
        }
    }

    fn file_states(&self, reader: &FileReader) {
        let files = reader.states();
        counted::files(&self.counters, &self.state.borrow().files, &files);
        let changed = self.state.send_if_modified(|state| {
            let changed = state.files != files;
            state.files = files;
            changed
        });
        if changed {
            self.noticed.notify_one();
        }
    }

    async fn progress(&self, source: &SourceId, track: &mut Track) {
        if !std::mem::take(&mut track.dirty) {
            return;
        }
        track.reported = Instant::now();
        let report = Report::Progress {
            jail: self.jail.clone(),
            source: source.clone(),
            progress: track.progress(),
        };
        self.report(report).await;
    }

    /// Waits only when failures come faster than they can be judged.
    async fn report(&self, report: Report) {
        // The warden ends only after its followers did.
        let _ = self.reports.send(report).await;
    }
}

/// A gap, and what helps against it.
pub(crate) fn gap_words(gap: &Gap) -> String {
    let until = gap.before.map_or_else(String::new, |before| format!(" and {before:.0}"));
    let between = if until.is_empty() { "after" } else { "between" };
    format!(
        "Docker's log does not reach back to where guard had read it; what was written {between} \
         {:.0}{until} may be lost. Give the service a larger log: logging option max-size, or max-file",
        gap.after
    )
}

/// So much of a line as may be shown of it one day.
fn shortened(line: &str) -> Box<str> {
    line[..line.floor_char_boundary(300)].into()
}
