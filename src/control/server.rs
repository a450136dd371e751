//! guard's end of the socket.
//!
//! Only guard's own user and root are served: the socket is 0600, and because
//! there is a moment between making it and saying so, each client's user is
//! checked too. Nobody can hold guard up: clients, the length of a line and
//! every wait are bounded, a client that watches and reads slowly misses events
//! (and is told how many), and `watch` leaves room for those who only ask.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::protocol::{MAX_REQUEST, RefusedKind, Reply, Request, decode_request, encode_reply};
pub use super::socket::BindError;
use super::socket::{Socket, is_allowed};
use crate::model::Event;

/// Most clients at once.
const MAX_CLIENTS: usize = 32;

/// Most of them that watch: the rest is for those who ask, a health check among them.
const MAX_WATCHERS: usize = 16;

/// A reply is written in pieces of this size, each in its own time.
const PIECE: usize = 64 * 1024;

/// A request on its way to the daemon.
#[derive(Debug)]
pub struct Asked {
    /// What is wanted; never [`Request::Watch`], which the server does itself.
    pub request: Request,
    /// Where the answer goes; closed when nobody waits for it any more.
    pub answer: oneshot::Sender<Reply>,
    /// Where it is told how far a long answer is, if it is one.
    pub progress: Option<mpsc::Sender<Reply>>,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For a whole request, from the moment it could begin.
    request: Duration,
    /// For the daemon's answer; a ban answers after its commit.
    answer: Duration,
    /// For the client to take a piece of a reply.
    piece: Duration,
    /// Between signs of life while nothing happens; they show who is gone.
    silence: Duration,
    /// For requests under way when the server ends.
    end: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            request: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            piece: Duration::from_secs(10),
            silence: Duration::from_secs(20),
            end: Duration::from_secs(1),
        }
    }
}

/// Listens at `path` until `cancel`; requests go to `requests`, and whoever
/// watches is told what `events` carries. Fails only at the start.
pub async fn serve(
    path: &Path,
    requests: mpsc::Sender<Asked>,
    events: broadcast::Sender<Event>,
    cancel: CancellationToken,
) -> Result<(), BindError> {
    Server::bind(path).await?.run(requests, events, cancel).await;
    Ok(())
}

/// guard's end of guardctl's socket.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    patience: Patience,
}

impl Server {
    /// Makes the socket; one that a dead guard left is removed first.
    ///
    /// # Errors
    /// Another guard answers there, or the system does not let us.
    pub async fn bind(path: &Path) -> Result<Server, BindError> {
        let socket = Socket::bind(path, "GUARD_SOCKET").await?;
        Ok(Server { socket, patience: Patience::default() })
    }

    /// Serves until `cancel`, then gives requests under way a moment to be answered.
    pub async fn run(
        self,
        requests: mpsc::Sender<Asked>,
        events: broadcast::Sender<Event>,
        cancel: CancellationToken,
    ) {
        let patience = self.patience;
        let watchers = Arc::new(Semaphore::new(MAX_WATCHERS));
        let service = Service { requests, events, cancel: cancel.clone(), watchers, patience };
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = clients.join_next() => {}
                accepted = self.socket.listener.accept() => match accepted {
                    Ok((stream, _)) if !is_allowed(&stream) => {}
                    Ok((stream, _)) if clients.len() >= MAX_CLIENTS => turn_away(stream),
                    Ok((stream, _)) => drop(clients.spawn(service.clone().attend(stream))),
                    Err(error) => {
                        // Out of file descriptors, most likely; it comes back at once.
                        tracing::warn!("can't accept a client: {error}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
        let all = async { while clients.join_next().await.is_some() {} };
        let _ = timeout(patience.end, all).await;
    }
}

/// One client too many: says so without waiting for it.
fn turn_away(stream: UnixStream) {
    let message = format!("guard has {MAX_CLIENTS} clients already; try again when one has ended");
    let line = encode_reply(&Reply::refused(RefusedKind::Busy, message));
    // A new socket has room for a line; if it has none, the client is no loss.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(&line));
}

/// What each client's task needs.
#[derive(Clone)]
struct Service {
    requests: mpsc::Sender<Asked>,
    events: broadcast::Sender<Event>,
    cancel: CancellationToken,
    watchers: Arc<Semaphore>,
    patience: Patience,
}

impl Service {
    /// Answers a client until it ends, takes too long, or sends what is too long.
    async fn attend(self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = Lines::new(read);
        loop {
            let next = timeout(self.patience.request, lines.next());
            let Some(Ok(Ok(input))) = self.cancel.run_until_cancelled(next).await else { return };
            let reply = match input {
                Input::End => return,
                Input::TooLong => {
                    let message = format!("a request has at most {MAX_REQUEST} bytes");
                    let reply = Reply::refused(RefusedKind::Usage, message);
                    if self.send(&mut write, &encode_reply(&reply)).await.is_ok() {
                        lines.drain(self.patience.piece).await;
                    }
                    return;
                }
                Input::Line(line) if line.trim_ascii().is_empty() => continue,
                Input::Line(line) => match decode_request(&line) {
                    Ok(Request::Watch) => {
                        let _ = self.watch(lines, write).await;
                        return;
                    }
                    Ok(
                        request @ (Request::Try { .. }
                        | Request::Doctor
                        | Request::Suggest
                        | Request::Notify { .. }),
                    ) => {
                        if self.long(request, &mut write).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    Ok(request) => self.ask(request).await,
                    Err(error) => Reply::refused(RefusedKind::Usage, error.to_string()),
                },
            };
            if self.send(&mut write, &encode_reply(&reply)).await.is_err() {
                return;
            }
        }
    }

    /// Asks the daemon.
    async fn ask(&self, request: Request) -> Reply {
        let asked = async {
            let (answer, answered) = oneshot::channel();
            self.requests.send(Asked { request, answer, progress: None }).await.ok()?;
            answered.await.ok()
        };
        let busy = |message: &str| Reply::refused(RefusedKind::Busy, message);
        match timeout(self.patience.answer, asked).await {
            Ok(Some(reply)) => reply,
            Ok(None) => busy("guard is ending"),
            Err(_) => busy("guard did not answer in time; its log may tell why"),
        }
    }

    /// Asks the daemon what takes long, with signs of life meanwhile; a client that is
    /// gone ends it.
    async fn long(&self, request: Request, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let (answer, mut answered) = oneshot::channel();
        let (progress, mut told) = mpsc::channel(1);
        let asked = Asked { request, answer, progress: Some(progress) };
        // If the daemon is ending, the answer is closed.
        let _ = self.requests.send(asked).await;
        let mut silence = tokio::time::interval(self.patience.piece / 4);
        loop {
            let line = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Ok(()),
                reply = &mut answered => {
                    let ending = |_| Reply::refused(RefusedKind::Busy, "guard is ending");
                    return self.send(to, &encode_reply(&reply.unwrap_or_else(ending))).await;
                }
                Some(reply) = told.recv() => encode_reply(&reply),
                _ = silence.tick() => b"\n".to_vec(),
            };
            self.send(to, &line).await?;
        }
    }

    /// Sends a line; an error when the client does not take it.
    async fn send(&self, to: &mut OwnedWriteHalf, line: &[u8]) -> io::Result<()> {
        for piece in line.chunks(PIECE) {
            timeout(self.patience.piece, to.write_all(piece)).await??;
        }
        Ok(())
    }

    /// Tells the client what happens, until it is gone.
    async fn watch(
        &self,
        mut lines: Lines<OwnedReadHalf>,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        let Ok(_place) = self.watchers.try_acquire() else {
            let message = format!("{MAX_WATCHERS} clients watch already; end one of them");
            let reply = Reply::refused(RefusedKind::Busy, message);
            return self.send(&mut to, &encode_reply(&reply)).await;
        };
        let mut events = self.events.subscribe();
        self.send(&mut to, &encode_reply(&Reply::Watching)).await?;
        let mut silence = tokio::time::interval(self.patience.silence);
        let mut listening = true;
        loop {
            let line = tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                event = events.recv() => match event {
                    Ok(event) => encode_reply(&Reply::Event(event)),
                    Err(broadcast::error::RecvError::Lagged(count)) => {
                        encode_reply(&Reply::Missed { count })
                    }
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                // An end of its requests may be only a half-closed socket (`… | nc -U`):
                // whether anybody still reads, the next sign of life shows.
                ended = lines.skip(), if listening => { ended?; listening = false; continue }
                _ = silence.tick() => b"\n".to_vec(),
            };
            self.send(&mut to, &line).await?;
        }
    }
}

/// What comes from a client.
enum Input {
    Line(Vec<u8>),
    TooLong,
    End,
}

/// Reads lines of bounded length.
struct Lines<R> {
    source: R,
    /// What was read, and how much of it was given: a line costs what it is long, however
    /// many of them come at once.
    buffer: Vec<u8>,
    given: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(source: R) -> Lines<R> {
        Lines { source, buffer: Vec::new(), given: 0 }
    }

    /// The next line without its end; what lacks an end at the very end is one too.
    async fn next(&mut self) -> io::Result<Input> {
        let mut searched = self.given;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let (start, end) = (self.given, searched + end);
                self.given = end + 1;
                if end - start > MAX_REQUEST {
                    return Ok(Input::TooLong);
                }
                return Ok(Input::Line(self.buffer[start..end].to_vec()));
            }
            self.buffer.drain(..self.given);
            self.given = 0;
            if self.buffer.is_empty() {
                // One that was long is not kept for the next.
                self.buffer = Vec::new();
            }
            searched = self.buffer.len();
            if searched > MAX_REQUEST {
                return Ok(Input::TooLong);
            }
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                let rest = std::mem::take(&mut self.buffer);
                return Ok(if rest.is_empty() { Input::End } else { Input::Line(rest) });
            }
        }
    }

    /// Throws away what comes, until the end.
    async fn skip(&mut self) -> io::Result<()> {
        let mut waste = [0; 4096];
        while self.source.read(&mut waste).await? > 0 {}
        Ok(())
    }

    /// Throws away what comes, for a while: closed with bytes unread, the socket
    /// could break under the client before it has read why.
    async fn drain(&mut self, at_most: Duration) {
        let _ = timeout(at_most, self.skip()).await;
    }
}

#[cfg(test)]
mod tests;
