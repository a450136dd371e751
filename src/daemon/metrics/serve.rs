//! Where the metrics are served.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Scraper;
use crate::control::socket::{Socket, SocketFile};
use crate::daemon::notices::Listeners;
use crate::daemon::{chain, pump};
use crate::model::{About, Event, News, Timestamp};
use crate::report::address::Address;
use crate::report::http::{self, Listener, Patience};

/// A listener that can't be had is tried again soon, then later and later.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// Where the metrics are, and why they are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) address: Address,
    /// Why nobody can be served there; tried again.
    pub(crate) problem: Option<String>,
}

/// Serves metrics until guard stops. Protection goes first: what is wrong here keeps
/// guard from nothing else.
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) scraper: Scraper,
    pub(crate) events: Listeners,
    pub(crate) cancel: CancellationToken,
}

impl Server {
    /// Starts it; what comes of it is told.
    pub(crate) fn start(self) -> watch::Receiver<Served> {
        if self.address.is_open() {
            tracing::warn!("metrics: {}", open_words(&self.address));
        }
        let served = Served { address: self.address.clone(), problem: None };
        let (told, served) = watch::channel(served);
        // Ends with the others; nobody waits for those who ask.
        tokio::spawn(self.run(told));
        served
    }

    async fn run(self, told: watch::Sender<Served>) {
        let Server { address, scraper, events, cancel } = self;
        let (ask, wanted) = mpsc::channel(64);
        tokio::spawn(scraper.run(wanted));
        let bound = cancel.run_until_cancelled(listen(&address, &told, &events)).await;
        let Some((listener, _file)) = bound else { return };
        tracing::info!("metrics are served at {}", at(&address));
        let page = move |page| {
            let ask = ask.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                ask.send((page, answer)).await.ok()?;
                answered.await.ok()
            }
        };
        http::serve(listener, Patience::default(), page, cancel).await;
    }
}

/// The page, as a browser or `curl` finds it.
pub(crate) fn at(address: &Address) -> String {
    match address {
        Address::Tcp(_) => format!("{address}/metrics"),
        Address::Unix(_) => address.to_string(),
    }
}

/// What it means that others can reach it.
pub(crate) fn open_words(address: &Address) -> String {
    format!(
        "{address} can be reached from outside of this host, unless something else keeps others \
         from it: whoever can reads the names of jails and how often they ban"
    )
}

/// Tries until it can be listened there; each kind of trouble is told once.
async fn listen(
    address: &Address,
    told: &watch::Sender<Served>,
    events: &Listeners,
) -> (Listener, Option<SocketFile>) {
    let mut wait = RETRY_FIRST;
    let tell = |what: String, over| {
        let news = News::Trouble { about: About::Metrics, jail: None, what, over };
        pump::announce(events, Event { at: Timestamp::now(), news });
    };
    loop {
        let problem = match bind(address).await {
            Ok(bound) => {
                let before = told.borrow().problem.clone();
                told.send_modify(|served| served.problem = None);
                before.into_iter().for_each(|what| tell(what, true));
                return bound;
            }
            Err(why) => format!("metrics can't be served at {address}: {why}"),
        };
        if told.borrow().problem.as_ref() != Some(&problem) {
            tell(problem.clone(), false);
            told.send_modify(|served| served.problem = Some(problem));
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}

async fn bind(address: &Address) -> Result<(Listener, Option<SocketFile>), String> {
    match address {
        Address::Tcp(socket) => match TcpListener::bind(socket).await {
            Ok(listener) => Ok((Listener::Tcp(listener), None)),
            Err(error) => Err(cure(&error, socket.port())),
        },
        // As open as 127.0.0.1 is: whom it is for, its folder says.
        Address::Unix(path) => match Socket::bind_open(path, "GUARD_METRICS", 0o666).await {
            Ok(socket) => {
                let (listener, file) = socket.into_parts();
                Ok((Listener::Unix(listener), Some(file)))
            }
            Err(error) => Err(chain(&error)),
        },
    }
}

fn cure(error: &io::Error, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program listens at port {port}; stop it, or set GUARD_METRICS to another port")
        }
        io::ErrorKind::AddrNotAvailable => {
            "this host has no such address now; set GUARD_METRICS to one that it has, such as 127.0.0.1".into()
        }
        io::ErrorKind::PermissionDenied if port < 1024 => {
            "ports below 1024 need the capability NET_BIND_SERVICE; set GUARD_METRICS to a higher port".into()
        }
        _ => error.to_string(),
    }
}
