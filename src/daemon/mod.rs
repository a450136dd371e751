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
//! | notify (threads, one a target; [`notices`]) | what waits for the target | with the process |
//! | ssh ([`ssh`]) | who is logged in on the host | cancelled |
//! | control, operator ([`operator`]) | the socket | cancelled |
//!
//! Every channel is bounded, and no reader of a log ever waits for the kernel
//! or the disk: orders and records are merged where they wait.

mod alone;
pub mod cleanup;
pub mod doctor;
mod evidence;
mod follow;
mod jails;
mod lists;
pub mod log;
mod metrics;
mod names;
mod notices;
mod operator;
mod proof;
mod pump;
mod resolver;
pub mod settings;
mod ssh;
mod start;
mod surroundings;
mod trial;
mod wanted;

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::alone::Alone;
pub use self::alone::AnotherGuard;
use self::notices::{Listeners, Notices};
use self::pump::Outboxes;
use self::settings::Settings;
use crate::control::fail2ban;
use crate::control::server::{BindError, Server};
use crate::docker::{self, Discovery};
use crate::filters::Catalog;
use crate::firewall;
pub use crate::model::chain;
use crate::model::{About, Event, Memory, News, Timestamp};
use crate::store::{self, Opened, Store};
use crate::warden::{self, JailView, Meanwhile, Warden};

/// Docker kills after 10 s; guard is done in half of it: so long for the tasks, up
/// to 3 s for the firewall and the store.
const GRACE: Duration = Duration::from_millis(1800);
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
    /// Another guard keeps this host's firewall.
    #[error(transparent)]
    Another(#[from] AnotherGuard),
    /// A task that everything hangs on ended by itself.
    #[error("the {0} task died, which is a defect of guard's")]
    Died(&'static str),
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
            Fatal::Store(..) | Fatal::Socket(_) | Fatal::Another(_) | Fatal::Died(_) => 70,
        }
    }
}

/// Runs guard until `shutdown` is ready, then ends within five seconds with
/// everything written.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<(), Fatal> {
    tokio::pin!(shutdown);
    // First: where another guard runs, nothing of its may be touched.
    let server = Server::bind(&settings.socket).await?;
    let _alone = Alone::claim()?;
    let fail2ban = match &settings.fail2ban_socket {
        Some(path) => Some(fail2ban::server::Server::bind(path).await?),
        None => None,
    };
    let opened = store::open_keeping(&settings.data, settings.history)
        .map_err(|error| Fatal::Store(settings.data.clone(), error))?;
    for note in &opened.notes {
        tracing::warn!("{note}");
    }
    let Opened { store, memory, notes } = opened;
    let (mut core, outboxes) = Core::start(&settings, store, &memory);
    let mut stopping = tokio::select! {
        biased;
        () = &mut shutdown => true,
        settled = tokio::time::timeout(FIRST_RULES, core.firewall.settled()) => {
            if settled.is_err() {
                tracing::error!("the firewall is not ready; guard goes on and keeps trying");
            }
            false
        }
    };
    let cancel = CancellationToken::new();
    let mut edges =
        Edges::start(settings, &core, outboxes, (server, fail2ban, &memory, notes), &cancel);
    drop(memory);
    let mut died = None;
    while !stopping {
        died = tokio::select! {
            () = &mut shutdown => None,
            _ = &mut edges.discovery => Some("discovery"),
            _ = &mut edges.jails => Some("jails"),
            _ = &mut core.pump => Some("warden"),
        };
        stopping = true;
    }
    if let Some(task) = died {
        let what = format!("the {task} task died, which is a defect of guard's; guard ends");
        let news = News::Trouble { about: About::Defect, jail: None, what, over: false };
        pump::announce(&core.events, Event { at: Timestamp::now(), news });
    }
    tracing::info!("stopping");
    cancel.cancel();
    stop(core, edges).await;
    died.map_or(Ok(()), |task| Err(Fatal::Died(task)))
}

/// The warden with the firewall and the store: what keeps bans in force.
struct Core {
    store: Store,
    firewall: Arc<firewall::Handle>,
    events: Listeners,
    pump: JoinHandle<Warden>,
    meters: Arc<metrics::Meters>,
    /// What the warden began with.
    settings: warden::Settings,
}

impl Core {
    /// Bans first: they stand in the kernel before any log is read.
    fn start(settings: &Settings, store: Store, memory: &Memory) -> (Core, Outboxes) {
        let (outboxes, inbox) = pump::channels();
        let (watchers, _) = broadcast::channel::<Event>(1024);
        let events = Listeners { watchers, notices: Notices::start(&settings.notify) };
        // Keyed anew in each process.
        let of_warden = settings.of_warden(RandomState::new().hash_one(0));
        let now = Timestamp::now();
        let mut warden = Warden::new(now, memory.clone(), of_warden.clone());
        warden.handle_ssh_peers(now, ssh::at_start(&settings.protect_ssh));
        let meters = Arc::new(metrics::Meters::new(settings.metrics.is_some()));
        let mut first = pump::Drained::default();
        pump::drain(&mut warden, &mut first, &meters, None);
        store.write(first.records);
        let restored = warden.jails().map(JailView::banned_now).sum::<usize>();
        tracing::info!("guard {} started, {restored} bans restored", env!("CARGO_PKG_VERSION"));
        events.notices.jails(warden.jails().map(|jail| jail.rules().as_ref()));
        let told = outboxes.told.clone();
        let tell = move |message| {
            // Blocks the firewall's own thread only, and the warden never waits for it.
            let _ = told.blocking_send((Instant::now(), message));
        };
        let firewall = Arc::new(firewall::start(settings.firewall, first.orders, tell));
        for event in first.events {
            pump::announce(&events, event);
        }
        let pump = pump::Pump {
            warden,
            firewall: Arc::clone(&firewall),
            store: store.clone(),
            events: events.clone(),
            late: store.late().map(|comes| (comes, Meanwhile::default())),
            all_told: false,
            evidence: evidence::Evidence::new(),
            meters: Arc::clone(&meters),
            drained: pump::Drained::default(),
        };
        let pump = tokio::spawn(pump.run(inbox));
        (Core { store, firewall, events, pump, meters, settings: of_warden }, outboxes)
    }
}

/// The sockets, what the store remembered, and what the start had to say.
type Start<'a> = (Server, Option<fail2ban::server::Server>, &'a Memory, Vec<String>);

/// The tasks between the core and the world.
struct Edges {
    discovery: JoinHandle<()>,
    jails: JoinHandle<()>,
    control: JoinHandle<()>,
    operator: JoinHandle<()>,
    trouble: JoinHandle<()>,
    ssh: JoinHandle<()>,
}

impl Edges {
    fn start(
        settings: Settings,
        core: &Core,
        outboxes: Outboxes,
        (server, fail2ban, memory, notes): Start<'_>,
        cancel: &CancellationToken,
    ) -> Edges {
        let prefix = format!("{}.", settings.defaults.prefix());
        let ward = doctor::Ward {
            data: settings.data.clone(),
            keeps_rules: settings.firewall.on_stop == firewall::OnStop::Keep,
            no_ipv6: settings.firewall.ipv6 == firewall::Ipv6::Off,
        };
        let parameters = jails::Parameters {
            defaults: settings.defaults,
            filters: Catalog::new(&settings.filter_path),
            zone: TimeZone::system(),
            ignore: [settings.ignore, settings.trusted_proxies].concat(),
            commands: outboxes.commands,
            reports: outboxes.reports,
            firewall: Arc::clone(&core.firewall),
            events: core.events.clone(),
            meters: Arc::clone(&core.meters),
            cancel: cancel.child_token(),
        };
        let peers = parameters.commands.clone();
        let (jails, ask_jails) = jails::prepare(parameters, memory);
        let operator = operator::Operator {
            warden: outboxes.ask,
            jails: ask_jails,
            firewall: Arc::clone(&core.firewall),
            store: core.store.clone(),
            notes,
            started: Timestamp::now(),
            settings: core.settings.clone(),
            trials: Arc::new(Semaphore::new(1)),
            backups: Arc::new(Semaphore::new(1)),
            ward: ward.clone(),
            notices: core.events.notices.clone(),
            metrics: None,
        };
        let operator = match settings.metrics {
            Some(address) => operator.with_metrics(address, core, cancel),
            None => operator,
        };
        // Ends by itself, or with the others.
        tokio::spawn(doctor::examine_once(operator.jails.clone(), ward, cancel.child_token()));
        let (asked, questions) = mpsc::channel(16);
        let (changes, changes_in) = mpsc::channel(64);
        if let Some(fail2ban) = fail2ban {
            // Ends with the others; nobody waits for what its clients still want.
            tokio::spawn(fail2ban.run(asked.clone(), cancel.child_token()));
        }
        let discovery = Discovery { prefix, host: None };
        let status = core.store.status();
        Edges {
            control: tokio::spawn(server.run(
                asked,
                core.events.watchers.clone(),
                cancel.child_token(),
            )),
            operator: tokio::spawn(operator.run(questions)),
            discovery: tokio::spawn(docker::discover(discovery, changes, cancel.child_token())),
            trouble: tokio::spawn(tell_trouble(status, core.events.clone(), cancel.child_token())),
            jails: tokio::spawn(jails.run(changes_in)),
            ssh: tokio::spawn(ssh::watch(settings.protect_ssh, peers, cancel.child_token())),
        }
    }
}

/// The sources end, then the warden, then firewall and store: those two in any
/// case, whoever else is late.
async fn stop(core: Core, edges: Edges) {
    let Core { store, firewall, pump, events, .. } = core;
    let tasks = async {
        for (name, task) in
            [("discovery", edges.discovery), ("jails", edges.jails), ("control", edges.control)]
        {
            ended(name, task).await;
        }
        edges.ssh.abort();
        edges.operator.abort();
        edges.trouble.abort();
        ended("warden", pump).await;
    };
    if tokio::time::timeout(GRACE, tasks).await.is_err() {
        tracing::warn!("not every task ended within {} ms; going on", GRACE.as_millis());
    }
    // Both wait for the kernel or the disk: side by side.
    let rules = tokio::task::spawn_blocking(move || firewall.stop());
    let disk = tokio::task::spawn_blocking(move || {
        if let Err(why) = store.stop() {
            tracing::error!("the last changes are not written: {why}");
        }
    });
    // The last news is the warden's; a dead target costs a second at most, beside the others.
    let notices = tokio::task::spawn_blocking(move || events.notices.stop());
    ended("firewall", rules).await;
    ended("store", disk).await;
    ended("notices", notices).await;
    tracing::info!("stopped");
}

/// Waits for a task; one that was waited for before has ended.
async fn ended<T>(name: &str, task: JoinHandle<T>) {
    if task.is_finished() {
        return;
    }
    if let Err(error) = task.await {
        tracing::error!("the {name} task died: {error}");
    }
}

/// Tells when the database fails, and when it is well again.
async fn tell_trouble(
    mut status: tokio::sync::watch::Receiver<Arc<store::Status>>,
    events: Listeners,
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
            let news = News::Trouble { about: About::Database, jail: None, what, over };
            let event = Event { at: Timestamp::now(), news };
            pump::announce(&events, event);
            last = problem;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}
