//! A small HTTP server: a few pages that are asked for with GET, and nothing else.
//!
//! Whoever may reach it can neither hold guard up nor fill its memory: clients, the
//! size of a head and all times are bounded, bodies are not read, each connection gets
//! one answer, and [`serve`]'s caller decides how often pages are made anew.
//!
//! Nor does he easily keep others from their answer. A client that has not asked yet has no page
//! and takes no place from those who have; where there are too many, the oldest goes. Who
//! does not fetch his page goes when somebody else waits for a place.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::metrics::Format;

/// Most clients that are answered at once, each of which has a page…
const MAX_ANSWERED: usize = 32;
/// …and most that have none: they have not asked yet, or wait for a place.
const MAX_GUESTS: usize = 256;
/// How often who keeps a place looks whether somebody waits for it.
const LOOK: Duration = Duration::from_millis(100);
/// Most bytes of a request's head, and most lines of it.
const MAX_HEAD: usize = 16 * 1024;
const MAX_LINES: usize = 64;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the whole head of a request.
    pub head: Duration,
    /// For a connection from its begin to its end.
    pub all: Duration,
    /// For a page to be fetched, if others wait for a place.
    pub fetch: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            head: Duration::from_secs(5),
            all: Duration::from_secs(20),
            fetch: Duration::from_secs(1),
        }
    }
}

/// What is listened at.
#[derive(Debug)]
pub enum Listener {
    /// An address and a port.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// A page that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The metrics, in this form.
    Metrics(Format),
    /// Is guard well?
    Health,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 503 otherwise.
    pub well: bool,
    /// The page.
    pub text: Arc<str>,
}

/// Where `/` leads.
const INDEX: &str = "<!doctype html>\n<title>guard</title>\n<h1>guard</h1>\n\
                     <p><a href=\"/metrics\">metrics</a>, for Prometheus</p>\n\
                     <p><a href=\"/healthz\">health</a></p>\n";

/// Serves until `cancel`; what is on `ask`'s pages is its own matter. `None`: guard is stopping.
pub async fn serve<F, A>(listener: Listener, patience: Patience, ask: F, cancel: CancellationToken)
where
    F: Fn(Page) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Option<Answer>> + Send + 'static,
{
    let room = Arc::new(Room {
        places: Arc::new(Semaphore::new(MAX_ANSWERED)),
        waiting: AtomicUsize::new(0),
        patience,
    });
    let mut clients = JoinSet::new();
    let mut guests = Guests::default();
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            // Those under way go with the set: a scrape is asked for again.
            () = cancel.cancelled() => return,
            Some(_) = clients.join_next() => continue,
            accepted = listener.next() => accepted,
        };
        let visit = Visit::default();
        let task = match accepted {
            Ok(Stream::Tcp(stream)) => {
                clients.spawn(attend(stream, ask.clone(), Arc::clone(&room), visit.clone()))
            }
            Ok(Stream::Unix(stream)) => {
                clients.spawn(attend(stream, ask.clone(), Arc::clone(&room), visit.clone()))
            }
            Err(error) => {
                // Out of file descriptors, most likely; it comes back at once.
                match std::mem::replace(&mut is_failing, true) {
                    false => tracing::warn!("can't accept who asks for metrics: {error}"),
                    true => tracing::debug!("still can't accept who asks for metrics: {error}"),
                }
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        if std::mem::take(&mut is_failing) {
            tracing::info!("who asks for metrics is accepted again");
        }
        guests.welcome(task, visit);
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn next(&self) -> io::Result<Stream> {
        Ok(match self {
            Listener::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
            Listener::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }
}

/// How far a client has come; it only goes up.
#[derive(Clone, Default)]
struct Visit(Arc<AtomicU8>);

impl Visit {
    /// Has asked, and waits for a place.
    const ASKED: u8 = 1;
    /// Has one.
    const ANSWERED: u8 = 2;

    fn at(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn comes_to(&self, stage: u8) {
        self.0.store(stage, Ordering::Relaxed);
    }
}

/// Those who have no page, the oldest first.
#[derive(Default)]
struct Guests(Vec<(AbortHandle, Visit)>);

impl Guests {
    /// One more; if there are too many, the oldest who has not asked yet goes, or else the
    /// one who has waited longest.
    fn welcome(&mut self, task: AbortHandle, visit: Visit) {
        self.0.retain(|(task, visit)| !task.is_finished() && visit.at() < Visit::ANSWERED);
        if self.0.len() >= MAX_GUESTS {
            let silent = self.0.iter().position(|(_, visit)| visit.at() < Visit::ASKED);
            self.0.remove(silent.unwrap_or(0)).0.abort();
        }
        self.0.push((task, visit));
    }
}

/// Where clients get their answers.
struct Room {
    places: Arc<Semaphore>,
    /// So many wait for a place.
    waiting: AtomicUsize,
    patience: Patience,
}

impl Room {
    /// A place, once there is one.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _counted = Waiting::of(&self.waiting);
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Waits until a client who has a place since then has had it for long enough.
    async fn is_over(&self, since: &OnceLock<(OwnedSemaphorePermit, Instant)>) {
        loop {
            sleep(LOOK.min(self.patience.fetch)).await;
            let is_long =
                since.get().is_some_and(|(_, since)| since.elapsed() >= self.patience.fetch);
            if is_long && self.waiting.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }
}

/// Counts as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn of(count: &AtomicUsize) -> Waiting<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection, until it was answered, or its time is over.
async fn attend<S, F, A>(stream: S, ask: F, room: Arc<Room>, visit: Visit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Fn(Page) -> A + Send + Sync,
    A: Future<Output = Option<Answer>> + Send,
{
    // Kept to the connection's end: until then it has the page.
    let place = OnceLock::new();
    let (ask, kept, at) = (&ask, &place, &*room);
    let service = service_fn(|request: Request<Incoming>| {
        let visit = visit.clone();
        async move {
            visit.comes_to(Visit::ASKED);
            let place = at.place().await;
            if place.is_some() {
                visit.comes_to(Visit::ANSWERED);
            }
            let page = answer(&request, ask).await;
            // How long the page takes to make is not his fault.
            if let Some(place) = place {
                let _ = kept.set((place, Instant::now()));
            }
            Ok::<_, Infallible>(page)
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(room.patience.head)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_LINES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // Who hangs up, or sends what is no HTTP, has his reasons.
        _ = timeout(room.patience.all, connection) => {}
        () = room.is_over(&place) => {}
    }
}

async fn answer<F, A>(request: &Request<Incoming>, ask: &F) -> Response<Full<Bytes>>
where
    F: Fn(Page) -> A,
    A: Future<Output = Option<Answer>>,
{
    const TEXT: &str = "text/plain; charset=utf-8";
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let (wanted, kind) = match request.uri().path() {
        "/metrics" => {
            let format = Format::accepted(accept);
            (Page::Metrics(format), format.content_type())
        }
        "/healthz" => (Page::Health, TEXT),
        "/" => return page(StatusCode::OK, "text/html; charset=utf-8", INDEX),
        _ => return page(StatusCode::NOT_FOUND, TEXT, "there are /metrics and /healthz\n"),
    };
    match ask(wanted).await {
        Some(Answer { well, text }) => {
            let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            page(status, kind, Bytes::from_owner(Shared(text)))
        }
        None => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "guard is stopping\n"),
    }
}

/// A page as all who ask for it have it.
struct Shared(Arc<str>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(text.into()));
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
