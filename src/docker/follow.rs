//! One container's output, followed: history, live, cut streams, the last words.
//!
//! The engine ends a stream when the container stops, when it is restarted
//! itself, and whenever a proxy in between gets bored (quiet streams after some
//! minutes); so a stream's end says nothing, and the container's state is asked.
//! While it runs, reading goes on at the place that was reached (see `tail`). When
//! it has stopped, its log is read once more without following, because a
//! following engine loses the last line if that has no newline.
//!
//! A connection that breaks is no trouble either, as long as the next one holds.
//!
//! Invariants: no line is lost or given twice, as long as the engine still has
//! it; what it has no more is told once; at most one batch of lines and one open
//! line a stream are held.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::frames::{Frames, OutputChoice, Told};
use super::messages::Framing;
use super::output::{OutputBatch, OutputNews, OutputStart};
use super::tail::{Extent, Search};
use super::{Backoff, DockerError, Engine};
use crate::model::{Container, ContainerId, Line, Position, Timestamp};

/// Most lines in a batch.
const BATCH: usize = 256;

/// A stream that is quiet for so long has given all its history.
const QUIET: Duration = Duration::from_millis(300);

/// A stream that says nothing for so long may be dead without anyone having noticed:
/// the network is, or the engine missed that it rotated the log (20.10 can, while one
/// attaches). Attaching anew at the place reached costs little.
const REMOTE_QUIET: Duration = Duration::from_secs(120);

/// [`REMOTE_QUIET`] for a socket on this host, which can't die without a word.
const LOCAL_QUIET: Duration = Duration::from_secs(300);

/// An answer in which the place was not met and that is silent for so long has
/// given all its history, it seems.
const SILENT: Duration = Duration::from_secs(1);

/// A stream that lived so long was healthy.
const HEALTHY: Duration = Duration::from_secs(5);

/// Where only the stream that is not wanted speaks, its place is told so often at most.
const TELL_PLACE: Duration = Duration::from_secs(10);

/// So many failures in a row are trouble; a single one is a stream that was cut.
const TROUBLE: u32 = 2;

type Raw = Pin<Box<dyn futures::Stream<Item = Result<Vec<u8>, DockerError>> + Send>>;

/// Reads one container's output.
pub struct OutputReader {
    engine: Engine,
    id: ContainerId,
    driver: String,
    frames: Frames,
    lines: VecDeque<Line>,
    news: VecDeque<OutputNews>,
    state: State,
    backoff: Backoff,
    live: bool,
    /// Failures since the last answer that was one.
    failures: u32,
    trouble: Option<String>,
    /// The place moved without a line, and when a place was last told.
    moved: bool,
    told: Instant,
    /// Only what is there already is wanted.
    past: bool,
}

enum State {
    /// To be attached, not before this time.
    Detached(Instant),
    /// The log is followed.
    Following(Raw, Attached),
    /// The log is read to its end: the container stands, or history is looked at.
    Draining(Raw),
    Ended,
}

/// When a stream was attached.
#[derive(Clone, Copy)]
struct Attached {
    since: Instant,
    at: Timestamp,
}

impl Engine {
    /// A reader of the container's output. Nothing is asked before [`OutputReader::next`].
    pub fn output(
        &self,
        container: &Container,
        from: &OutputStart,
        choice: OutputChoice,
    ) -> OutputReader {
        let framing = if container.tty { Framing::Bare } else { Framing::Framed };
        let search = match from {
            // Nothing of it can be older.
            OutputStart::Since(at) if container.created >= *at => Search::everything(),
            OutputStart::Since(at) => Search::from(*at),
            OutputStart::After(place) => Search::after(place.clone()),
            OutputStart::Again(progress) => Search::again(progress.clone()),
        };
        OutputReader {
            engine: self.clone(),
            id: container.id.clone(),
            driver: container.log_driver.clone(),
            frames: Frames::new(framing, search, choice).repeating(!self.info.platform.podman),
            lines: VecDeque::new(),
            news: VecDeque::new(),
            state: State::Detached(Instant::now()),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(15)),
            live: false,
            failures: 0,
            trouble: None,
            moved: false,
            told: Instant::now(),
            past: false,
        }
    }
}

impl OutputReader {
    /// Ends with what the engine has already, as if the container stood still.
    pub(crate) fn only_past(self) -> OutputReader {
        OutputReader { past: true, ..self }
    }

    /// The next lines or news; waits if there are none. May be dropped while it waits
    /// and called again: nothing is lost.
    ///
    /// Trouble that may pass (the engine restarts, the network breaks) is not an
    /// error: the reader tries again, ever more slowly, until it is dropped. An
    /// error is for a person: a driver that can't be read
    /// ([`DockerError::is_permanent`]), a proxy that refuses. After the latter,
    /// calling again tries again.
    pub async fn next(&mut self) -> Result<OutputBatch, DockerError> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(OutputBatch::News(news));
            }
            let known = self.frames.take_known();
            if !known.is_empty() {
                return Ok(OutputBatch::Known(known));
            }
            if !self.lines.is_empty() || (self.moved && self.told.elapsed() >= TELL_PLACE) {
                return Ok(self.batch());
            }
            match &mut self.state {
                State::Ended => return Ok(OutputBatch::Ended),
                State::Detached(not_before) => {
                    tokio::time::sleep_until(*not_before).await;
                    self.attach().await?;
                }
                State::Following(..) => self.follow().await?,
                State::Draining(raw) => match raw.next().await {
                    Some(Ok(bytes)) => self.take(&bytes),
                    Some(Err(error)) => self.lost(error)?,
                    None => self.drained().await,
                },
            }
        }
    }

    fn batch(&mut self) -> OutputBatch {
        let count = self.lines.len().min(BATCH);
        let lines = self.lines.drain(..count).collect();
        let place = self.lines.is_empty().then(|| self.frames.position());
        if place.is_some() {
            (self.moved, self.told) = (false, Instant::now());
        }
        OutputBatch::Lines { lines, live: self.live, place }
    }

    /// The place after the last line given or about to be given.
    pub fn position(&self) -> Position {
        self.frames.position()
    }

    /// Asks whether the container runs and opens the stream that fits.
    async fn attach(&mut self) -> Result<(), DockerError> {
        let running = match self.engine.runs(&self.id).await {
            Ok(running) => running && !self.past,
            Err(DockerError::NotFound(_)) => {
                self.end();
                return Ok(());
            }
            Err(error) => return self.lost(error),
        };
        self.frames.rewind();
        let ask = self.frames.ask();
        let follow = ask.follow && running;
        let raw = self.open(ask.extent, follow);
        self.state = if follow {
            State::Following(raw, Attached { since: Instant::now(), at: Timestamp::now() })
        } else {
            State::Draining(raw)
        };
        Ok(())
    }

    fn open(&self, extent: Extent, follow: bool) -> Raw {
        let extent = match extent {
            Extent::All => "tail=all".to_owned(),
            // Podman reads the tail, and only then begins to follow at the end: what is written
            // in between is never given. All there is is read and followed in one.
            Extent::Tail(_) if follow && self.engine.info().platform.podman => {
                "tail=all".to_owned()
            }
            Extent::Tail(count) => format!("tail={count}"),
            Extent::Since(second) => format!("tail=all&since={second}"),
        };
        let query = format!("follow={follow}&stdout=true&stderr=true&timestamps=true&{extent}");
        let raw = self.engine.raw_logs(&self.id, &query);
        Box::pin(raw.map(|item| item.map(|bytes| bytes.as_ref().to_vec())))
    }

    /// Waits for more of the stream, or for a silence that means something.
    async fn follow(&mut self) -> Result<(), DockerError> {
        let remote = self.engine.is_remote();
        // A log that is empty, or has nothing that is new enough, has no place to be found:
        // it is searched until something is written, but not waited for in short steps.
        let soon = self.failures > 0
            || self.frames.awaits_silence()
            || (!self.live && self.frames.is_searching());
        let State::Following(raw, attached) = &mut self.state else { return Ok(()) };
        let patience = match () {
            () if soon => SILENT,
            () if !self.live => QUIET,
            () if remote => REMOTE_QUIET,
            () => LOCAL_QUIET,
        };
        let attached = *attached;
        let Ok(item) = tokio::time::timeout(patience, raw.next()).await else {
            self.quiet();
            return Ok(());
        };
        if attached.since.elapsed() >= HEALTHY {
            self.backoff.reset();
        }
        self.received(item)?;
        self.take_what_is_ready()?;
        // What was written since must lie behind the place.
        let caught_up = self.frames.latest().is_some_and(|latest| latest > attached.at);
        if caught_up && self.frames.is_searching() && self.frames.silent() {
            self.again();
        }
        Ok(())
    }

    /// Nothing came for a while.
    fn quiet(&mut self) {
        if self.frames.is_searching() && self.frames.silent() {
            self.again();
        } else if !self.live || self.failures > 0 {
            self.live = true;
            self.recovered();
        } else {
            self.again();
        }
    }

    /// To be attached anew, at once.
    fn again(&mut self) {
        self.state = State::Detached(Instant::now());
    }

    /// Gathers a batch from what has already arrived, without waiting.
    fn take_what_is_ready(&mut self) -> Result<(), DockerError> {
        while self.lines.len() < BATCH {
            let State::Following(raw, _) = &mut self.state else { break };
            let Some(item) = raw.next().now_or_never() else { break };
            self.received(item)?;
        }
        Ok(())
    }

    fn received(&mut self, item: Option<Result<Vec<u8>, DockerError>>) -> Result<(), DockerError> {
        match item {
            Some(Ok(bytes)) => {
                self.take(&bytes);
                Ok(())
            }
            Some(Err(error)) => self.lost(error),
            None => {
                self.state = State::Detached(Instant::now() + self.backoff.delay());
                Ok(())
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        match self.frames.push(bytes, &mut self.lines) {
            Ok(told) => self.told(told),
            Err(bad) => {
                self.failed(bad.to_string());
                self.state = State::Detached(Instant::now() + self.backoff.delay());
            }
        }
        if !self.live {
            let newest = self.lines.back().and_then(|line| line.at);
            let now = Timestamp::now();
            self.live = newest.is_some_and(|at| now.duration_since(at).as_secs() < 1);
        }
    }

    fn told(&mut self, told: Told) {
        let Told { trouble, cut, step, gap, again, moved } = told;
        self.moved |= moved;
        self.news.extend(gap.map(OutputNews::Gap));
        self.news.extend(step.map(OutputNews::ClockSetBack));
        self.news.extend((cut > 0).then_some(OutputNews::Cut(cut)));
        match trouble {
            // Not a connection's, so it is no cut: it is told at once.
            Some(said) => {
                self.failures = TROUBLE;
                self.failed(format!("the Docker engine says: {said}"));
            }
            None => self.recovered(),
        }
        if again {
            self.again();
        }
    }

    /// What was asked for was read to its end. If the container stands still, that
    /// was all; if it was started meanwhile, an open line may go on.
    async fn drained(&mut self) {
        let stands = match self.engine.runs(&self.id).await {
            Ok(running) => !running || self.past,
            Err(DockerError::NotFound(_)) => true,
            Err(_) => {
                self.state = State::Detached(Instant::now() + self.backoff.delay());
                return;
            }
        };
        if !stands && self.frames.ask().follow {
            return self.again();
        }
        let told = self.frames.end(&mut self.lines);
        let again = told.again;
        self.told(told);
        if !again {
            self.live = true;
            self.state = State::Ended;
        }
    }

    fn end(&mut self) {
        self.frames.finish(&mut self.lines);
        self.live = true;
        self.state = State::Ended;
    }

    /// A stream or a question failed: a person's business, the container's end, or
    /// to be tried again.
    fn lost(&mut self, error: DockerError) -> Result<(), DockerError> {
        self.state = State::Detached(Instant::now() + self.backoff.delay());
        match error {
            DockerError::NotFound(_) => {
                self.end();
                Ok(())
            }
            DockerError::Unreadable { said, .. } => {
                let driver = if self.driver.is_empty() { "unknown" } else { &self.driver };
                Err(DockerError::Unreadable { driver: driver.to_owned(), said })
            }
            error @ DockerError::Forbidden(_) => Err(error),
            error => {
                self.failed(error.sentence());
                Ok(())
            }
        }
    }

    /// Tells of trouble when it lasts, and once until it has changed or passed.
    fn failed(&mut self, trouble: String) {
        self.failures = self.failures.saturating_add(1);
        if self.failures < TROUBLE || self.trouble.as_ref() == Some(&trouble) {
            return;
        }
        // Debug: when the engine is gone, every reader notices; discovery tells.
        tracing::debug!(container = self.id.short(), "reading its output: {trouble}");
        self.trouble = Some(trouble.clone());
        self.news.push_back(OutputNews::Trouble(trouble));
    }

    fn recovered(&mut self) {
        self.failures = 0;
        if self.trouble.take().is_some() {
            tracing::debug!(container = self.id.short(), "its output can be read again");
            self.news.push_back(OutputNews::Recovered);
        }
    }
}

impl Engine {
    /// Does the container run?
    async fn runs(&self, id: &ContainerId) -> Result<bool, DockerError> {
        let told = self.ask("/containers/json", self.docker.inspect_container(&id.0, None)).await?;
        let state = told.state.unwrap_or_default();
        Ok(state.running.unwrap_or(false) && !state.restarting.unwrap_or(false))
    }
}
