//! Settings and wiring: tasks, channels, shutdown. The only module that knows
//! all others.
//!
//! | task or thread | owns | ends when |
//! |---|---|---|
//! | discovery | the list of containers as Docker tells it | cancelled |
//! | jails ([`jails`]) | which jails and followers there are | cancelled, its followers ended |
//! | follower × n ([`follow`]) | one source, its filter's state, its place | cancelled, or its source ended |
//! | warden ([`pump`]) | counts and bans | all followers ended, all reports judged |
//! | firewall (thread) | the kernel's rules | stopped by [`run`], after the warden |
//! | store (thread) | the database | stopped by [`run`], after the warden |
//! | control, operator ([`operator`]) | the socket | cancelled |
//!
//! Every channel is bounded, and no reader of a log ever waits for the kernel
//! or the disk: orders and records are merged where they wait.

mod follow;
mod jails;
mod operator;
mod pump;
pub mod settings;
mod start;
mod surroundings;
mod wanted;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::settings::Settings;
use crate::control::server::{BindError, Server};
use crate::docker::{self, Discovery};
use crate::firewall;
use crate::model::{Event, News, Timestamp};
use crate::store::{self, Opened, Store};
use crate::warden::{self, JailView, Warden};

/// Docker kills after 10 s; guard is done in half of it.
const GRACE: Duration = Duration::from_secs(5);
/// The first bans stand before the first line is read, but a firewall that does
/// not work must not keep guard from starting.
const FIRST_RULES: Duration = Duration::from_secs(15);

/// Why guard could not start.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The database can't be used by this version.
    #[error("the database in {0} can't be used")]
    Store(std::path::PathBuf, #[source] store::OpenError),
    /// The socket can't be had.
    #[error(transparent)]
    Socket(#[from] BindError),
}

impl Fatal {
    /// The exit code of the daemon, after sysexits.h: 70 internal, 77 no permission.
    pub fn exit_code(&self) -> u8 {
        match self {
            Fatal::Socket(BindError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                77
            }
            Fatal::Store(..) | Fatal::Socket(_) => 70,
        }
    }
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries repeat the cause in their own words.
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        cause = error.source();
    }
    words
}

/// Runs guard until `shutdown` is ready, then ends within five seconds with
/// everything written.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<(), Fatal> {
    // First: where another guard runs, nothing of its may be touched.
    let server = Server::bind(&settings.socket).await?;
    let opened =
        store::open(&settings.data).map_err(|error| Fatal::Store(settings.data.clone(), error))?;
    let Opened { store, memory, notes } = opened;
    for note in &notes {
        tracing::warn!("{note}");
    }
    let (outboxes, inbox) = pump::channels();
    let (events, _) = broadcast::channel::<Event>(1024);

    // Bans first: they stand in the kernel before any log is read.
    let memory = Arc::new(memory);
    let mut warden = Warden::new(
        Timestamp::now(),
        memory.as_ref().clone(),
        warden::Settings {
            track_max: settings.track_max,
            ignore: settings.ignore.clone(),
            ignore_docker: settings.ignore_docker,
        },
    );
    let first = pump::drain(&mut warden);
    store.write(first.records);
    let restored = warden.jails().map(JailView::banned_now).sum::<usize>();
    let told = outboxes.told.clone();
    let firewall = Arc::new(firewall::start(settings.firewall, first.orders, move |message| {
        // Blocks the firewall's own thread only, and the warden never waits for it.
        let _ = told.blocking_send(message);
    }));
    for event in first.events {
        pump::announce(&events, event);
    }

    let cancel = CancellationToken::new();
    let pump = pump::Pump {
        warden,
        firewall: Arc::clone(&firewall),
        store: store.clone(),
        events: events.clone(),
    };
    let pump = tokio::spawn(pump.run(inbox));
    if tokio::time::timeout(FIRST_RULES, firewall.settled()).await.is_err() {
        tracing::error!("the firewall is not ready; guard goes on and keeps trying");
    }
    tracing::info!("guard {} started, {restored} bans restored", env!("CARGO_PKG_VERSION"));

    let prefix = format!("{}.", settings.defaults.prefix());
    let discovery = Discovery { prefix, host: None };
    let (jails, ask_jails) = jails::prepare(jails::Parameters {
        defaults: settings.defaults,
        zone: TimeZone::system(),
        ignore: settings.ignore,
        memory,
        commands: outboxes.commands,
        reports: outboxes.reports,
        firewall: Arc::clone(&firewall),
        events: events.clone(),
        cancel: cancel.child_token(),
    });
    let operator = operator::Operator {
        warden: outboxes.ask,
        jails: ask_jails,
        firewall: Arc::clone(&firewall),
        store: store.clone(),
        notes,
        started: Timestamp::now(),
    };
    let (asked, questions) = mpsc::channel(16);
    let control = tokio::spawn(server.run(asked, events.clone(), cancel.child_token()));
    let operator = tokio::spawn(operator.run(questions));
    let (changes, changes_in) = mpsc::channel(64);
    let discovery = tokio::spawn(docker::discover(discovery, changes, cancel.child_token()));
    let trouble = tokio::spawn(tell_trouble(store.status(), events, cancel.child_token()));
    let jails = tokio::spawn(jails.run(changes_in));

    shutdown.await;
    tracing::info!("stopping");
    cancel.cancel();
    let stopping = async {
        for (name, task) in [("discovery", discovery), ("jails", jails), ("control", control)] {
            ended(name, task).await;
        }
        operator.abort();
        trouble.abort();
        ended("warden", pump).await;
        stop_threads(firewall, store).await;
    };
    if tokio::time::timeout(GRACE, stopping).await.is_err() {
        tracing::warn!("not everything ended within {} s; leaving it", GRACE.as_secs());
    }
    Ok(())
}

async fn ended<T>(name: &str, task: JoinHandle<T>) {
    if let Err(error) = task.await {
        tracing::error!("the {name} task died: {error}");
    }
}

/// The rules go (or stay, as set), then the last records are written.
async fn stop_threads(firewall: Arc<firewall::Handle>, store: Store) {
    let stopped = tokio::task::spawn_blocking(move || {
        firewall.stop();
        if let Err(why) = store.stop() {
            tracing::error!("the last changes are not written: {why}");
        }
    });
    ended("last", stopped).await;
    tracing::info!("stopped");
}

/// Tells when the database fails, and when it is well again.
async fn tell_trouble(
    mut status: tokio::sync::watch::Receiver<Arc<store::Status>>,
    events: broadcast::Sender<Event>,
    cancel: CancellationToken,
) {
    let mut last: Option<String> = None;
    loop {
        let problem = status.borrow_and_update().problem.clone();
        if problem != last {
            let (what, over) = match (&problem, &last) {
                (Some(what), _) => (what.clone(), false),
                (None, Some(what)) => (what.clone(), true),
                (None, None) => continue,
            };
            let event = Event { at: Timestamp::now(), news: News::Trouble { what, over } };
            pump::announce(&events, event);
            last = problem;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}
