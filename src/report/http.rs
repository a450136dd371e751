//! A small HTTP server: a few pages that are asked for with GET, and nothing else.
//!
//! Whoever may reach it can neither hold guard up nor fill its memory: clients, the
//! size of a head and all times are bounded, bodies are not read, each connection gets
//! one answer, and [`serve`]'s caller decides how often pages are made anew.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
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
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::metrics::Format;

/// Most clients at once; the next ones wait in the kernel's queue.
const MAX_CLIENTS: usize = 16;
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
}

impl Default for Patience {
    fn default() -> Self {
        Patience { head: Duration::from_secs(5), all: Duration::from_secs(20) }
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
    let room = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            // Those under way go with the set: a scrape is asked for again.
            () = cancel.cancelled() => return,
            Some(_) = clients.join_next() => {}
            accepted = listener.next(&room) => match accepted {
                Ok((Stream::Tcp(stream), place)) => {
                    clients.spawn(attend(stream, patience, ask.clone(), place));
                }
                Ok((Stream::Unix(stream), place)) => {
                    clients.spawn(attend(stream, patience, ask.clone(), place));
                }
                Err(error) => {
                    // Out of file descriptors, most likely; it comes back at once.
                    tracing::warn!("can't accept who asks for metrics: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            },
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// The next client, once there is room for it.
    async fn next(&self, room: &Arc<Semaphore>) -> io::Result<(Stream, OwnedSemaphorePermit)> {
        let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
        let stream = match self {
            Listener::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
            Listener::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        };
        Ok((stream, place))
    }
}

/// One connection, until it was answered, or its time is over.
async fn attend<S, F, A>(stream: S, patience: Patience, ask: F, _place: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Fn(Page) -> A + Send + Sync,
    A: Future<Output = Option<Answer>> + Send,
{
    let ask = &ask;
    let service = service_fn(move |request: Request<Incoming>| async move {
        Ok::<_, Infallible>(answer(&request, ask).await)
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_LINES)
        .serve_connection(TokioIo::new(stream), service);
    // Who hangs up, or sends what is no HTTP, has his reasons.
    let _ = timeout(patience.all, connection).await;
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
        Some(Answer { well: true, text }) => page(StatusCode::OK, kind, &*text),
        Some(Answer { well: false, text }) => page(StatusCode::SERVICE_UNAVAILABLE, kind, &*text),
        None => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "guard is stopping\n"),
    }
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<String>) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(Bytes::from(text.into())));
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
