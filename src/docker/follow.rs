//! One container's output, followed: history, live, cut streams, the last words.
//!
//! The engine ends a stream when the container stops, when it is restarted
//! itself, and whenever a proxy in between gets bored (quiet streams after 10
//! minutes); so a stream's end says nothing, and the container's state is asked.
//! While it runs, reading goes on at the place that was reached. When it has
//! stopped, its log is read once more without following, because a following
//! engine loses the last line if that has no newline.
//!
//! Invariants: no line is lost or given twice, as long as the engine still has
//! it; at most one batch of lines and one open line a stream are held.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::frames::Frames;
use super::messages::Framing;
use super::{Backoff, DockerError, Engine};
use crate::model::{Container, ContainerId, Line, Position, StreamMark, Timestamp};

/// Most lines in a batch.
const BATCH: usize = 256;

/// A stream that is quiet for so long has given all its history.
const QUIET: Duration = Duration::from_millis(300);

/// A connection over a network that says nothing for so long may be dead without
/// anyone having noticed; attaching anew at the place reached costs little.
const REMOTE_QUIET: Duration = Duration::from_secs(120);

/// A stream that lived so long was healthy.
const HEALTHY: Duration = Duration::from_secs(5);

/// Which of a container's streams to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputChoice {
    /// Standard output and standard error.
    Both,
    /// Standard output alone.
    Stdout,
    /// Standard error alone.
    Stderr,
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputStart {
    /// With the first message of this time or later.
    Since(Timestamp),
    /// With the first message after this place.
    After(Position),
}

/// What came of a container's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputBatch {
    /// Lines in the order of each stream.
    Lines {
        /// At most 256.
        lines: Vec<Line>,
        /// Was all that the engine had stored before read by then?
        live: bool,
    },
    /// The container has stopped (or is gone) and all its output was read. If it
    /// is started again, a new reader goes on at [`OutputReader::position`].
    Ended,
}

type Raw = Pin<Box<dyn futures::Stream<Item = Result<Vec<u8>, DockerError>> + Send>>;

/// Reads one container's output.
pub struct OutputReader {
    engine: Engine,
    id: ContainerId,
    driver: String,
    choice: OutputChoice,
    frames: Frames,
    lines: VecDeque<Line>,
    state: State,
    backoff: Backoff,
    live: bool,
    trouble: Option<String>,
}

enum State {
    /// To be attached, not before this time.
    Detached(Instant),
    /// The container runs; its log is followed.
    Following {
        raw: Raw,
        since: Instant,
    },
    /// The container stands; its log is read to the end.
    Draining(Raw),
    Ended,
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
        let (stdout, stderr) = match from {
            OutputStart::Since(at) => {
                let place = Some(StreamMark { at: *at, seen: 0 });
                (place, place)
            }
            OutputStart::After(Position::Output { stdout, stderr }) => (*stdout, *stderr),
            OutputStart::After(Position::File(_) | Position::Journal(_)) => (None, None),
        };
        OutputReader {
            engine: self.clone(),
            id: container.id.clone(),
            driver: container.log_driver.clone(),
            choice,
            frames: Frames::new(framing, stdout, stderr),
            lines: VecDeque::new(),
            state: State::Detached(Instant::now()),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(15)),
            live: false,
            trouble: None,
        }
    }
}

impl OutputReader {
    /// The next lines; waits if there are none. May be dropped while it waits and
    /// called again: nothing is lost.
    ///
    /// Trouble that may pass (the engine restarts, the network breaks) is not an
    /// error: the reader tries again, ever more slowly, until it is dropped. An
    /// error is for a person: a driver that can't be read
    /// ([`DockerError::is_permanent`]), a proxy that refuses. After the latter,
    /// calling again tries again.
    pub async fn next(&mut self) -> Result<OutputBatch, DockerError> {
        loop {
            if !self.lines.is_empty() {
                let count = self.lines.len().min(BATCH);
                return Ok(OutputBatch::Lines {
                    lines: self.lines.drain(..count).collect(),
                    live: self.live,
                });
            }
            match &mut self.state {
                State::Ended => return Ok(OutputBatch::Ended),
                State::Detached(not_before) => {
                    tokio::time::sleep_until(*not_before).await;
                    self.attach().await?;
                }
                State::Following { .. } => self.follow().await?,
                State::Draining(raw) => match raw.next().await {
                    Some(Ok(bytes)) => self.take(&bytes),
                    Some(Err(error)) => self.lost(error)?,
                    None => self.drained().await,
                },
            }
        }
    }

    /// The place after the last line given or about to be given.
    pub fn position(&self) -> Position {
        self.frames.position()
    }

    /// Why nothing comes at the moment, if something is wrong.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// How many bytes of lines longer than [`MAX_LINE`](crate::model::MAX_LINE)
    /// were cut off since the last call.
    pub fn take_cut(&mut self) -> u64 {
        self.frames.take_cut()
    }

    /// Asks whether the container runs and opens the stream that fits.
    async fn attach(&mut self) -> Result<(), DockerError> {
        let running = match self.engine.runs(&self.id).await {
            Ok(running) => running,
            Err(DockerError::NotFound(_)) => {
                self.end();
                return Ok(());
            }
            Err(error) => return self.lost(error),
        };
        self.frames.rewind();
        self.state = if running {
            State::Following { raw: self.open("true"), since: Instant::now() }
        } else {
            State::Draining(self.open("false"))
        };
        Ok(())
    }

    fn open(&self, follow: &str) -> Raw {
        let (stdout, stderr) = match self.choice {
            OutputChoice::Both => ("true", "true"),
            OutputChoice::Stdout => ("true", "false"),
            OutputChoice::Stderr => ("false", "true"),
        };
        let since = self.frames.since().map(|second| format!("&since={}", second.max(0)));
        let query = format!(
            "follow={follow}&stdout={stdout}&stderr={stderr}&timestamps=true&tail=all{}",
            since.unwrap_or_default()
        );
        let raw = self.engine.raw_logs(&self.id, &query);
        Box::pin(raw.map(|item| item.map(|bytes| bytes.as_ref().to_vec())))
    }

    /// Waits for more of the stream, or for a silence that means something.
    async fn follow(&mut self) -> Result<(), DockerError> {
        let remote = self.engine.is_remote();
        let State::Following { raw, since } = &mut self.state else { return Ok(()) };
        let patience = match () {
            () if !self.live => QUIET,
            () if remote => REMOTE_QUIET,
            () => Duration::MAX,
        };
        let item = match tokio::time::timeout(patience, raw.next()).await {
            Ok(item) => item,
            Err(_) if !self.live => {
                self.live = true;
                return Ok(());
            }
            Err(_) => {
                self.state = State::Detached(Instant::now());
                return Ok(());
            }
        };
        if since.elapsed() >= HEALTHY {
            self.backoff.reset();
        }
        self.received(item)?;
        self.take_what_is_ready()
    }

    /// Gathers a batch from what has already arrived, without waiting.
    fn take_what_is_ready(&mut self) -> Result<(), DockerError> {
        while self.lines.len() < BATCH {
            let State::Following { raw, .. } = &mut self.state else { break };
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
            Ok(None) if self.lines.is_empty() => {}
            Ok(None) => self.recovered(),
            Ok(Some(said)) => self.note(format!("the Docker engine says: {said}")),
            Err(bad) => {
                self.note(bad.to_string());
                self.state = State::Detached(Instant::now() + self.backoff.delay());
            }
        }
        if !self.live {
            let newest = self.lines.back().and_then(|line| line.at);
            let now = Timestamp::now();
            self.live = newest.is_some_and(|at| now.duration_since(at).as_secs() < 1);
        }
    }

    /// The log of a container that stood was read to its end. If it stands still,
    /// that was all; if it was started meanwhile, an open line may go on.
    async fn drained(&mut self) {
        match self.engine.runs(&self.id).await {
            Ok(false) | Err(DockerError::NotFound(_)) => self.end(),
            Ok(true) | Err(_) => self.state = State::Detached(Instant::now()),
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
            DockerError::Unreadable(_) => {
                let driver = if self.driver.is_empty() { "unknown" } else { &self.driver };
                Err(DockerError::Unreadable(driver.to_owned()))
            }
            error @ DockerError::Forbidden(_) => Err(error),
            error => {
                self.note(error.sentence());
                Ok(())
            }
        }
    }

    /// Tells of trouble once, until it has changed or passed.
    fn note(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            // Debug: when the engine is gone, every reader notices; discovery tells.
            tracing::debug!(container = self.id.short(), "reading its output: {trouble}");
        }
        self.trouble = Some(trouble);
    }

    fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            tracing::debug!(container = self.id.short(), "its output can be read again");
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
