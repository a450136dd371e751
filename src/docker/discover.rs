//! Which containers and networks there are: events, and a list to be sure.
//!
//! Events are subscribed to before the list is taken, so nothing falls between
//! the two; the engine keeps only its last 256 events and drops them for slow
//! readers, so the list is taken again every 30 s and after each reconnect. What
//! is told is the difference to what was told before.
//!
//! Invariants: a [`Change::Lost`] is told once for each loss (and again if its
//! reason changes); a container is told again only if something about it changed.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, EventMessage, EventMessageTypeEnum,
};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Backoff, DockerError, Engine, identity, inspect};
use crate::model::{Container, ContainerId, DockerNetwork, Timestamp};

/// How often the whole list is taken.
const RELIST: Duration = Duration::from_secs(30);

/// Every so many lists, each container of guard's is looked at, whatever the list says
/// of it: it does not say everything.
const LOOK_AT_ALL: u32 = 10;

/// How often a silent engine is asked for a sign of life.
const PING: Duration = Duration::from_secs(15);

/// How long to gather events before asking about them: compose makes a dozen at once.
const GATHER: Duration = Duration::from_millis(50);

/// How long a proxy gets to refuse the subscription.
const SUBSCRIBE: Duration = Duration::from_millis(200);

/// Events that say something new; a health check's `exec_…` would be most of them.
const EVENTS: [&str; 14] = [
    "create",
    "start",
    "restart",
    "die",
    "stop",
    "destroy",
    "rename",
    "update",
    "unpause",
    "pause",
    "connect",
    "disconnect",
    "reload",
    "remove",
];

/// So many containers are inspected at once: enough to find hundreds within a second.
const AT_ONCE: usize = 8;

/// Most containers that guard looks at.
const MAX_CONTAINERS: usize = 20_000;

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// What guard's labels begin with, such as `guard.`; case does not matter.
    pub prefix: String,
    /// Where the engine is, instead of where `DOCKER_HOST` says.
    pub host: Option<String>,
}

/// What happened at the engine.
#[derive(Clone, Debug)]
pub enum Change {
    /// The engine answers (again).
    Connected(Engine),
    /// The engine is gone, or was never there: why and what to do, in one sentence.
    Lost(String),
    /// A container is there, or something about it changed.
    Appeared(Box<Container>),
    /// A container is gone for good.
    Vanished(ContainerId),
    /// All networks as they are now.
    Networks(Vec<DockerNetwork>),
    /// All containers there are have been told.
    Listed,
    /// Docker may have touched its firewall rules.
    RulesMayHaveChanged,
}

/// Why watching an engine ended.
enum Stop {
    /// Nobody wants to know any more.
    Over,
    Lost(DockerError),
}

impl From<DockerError> for Stop {
    fn from(error: DockerError) -> Self {
        Stop::Lost(error)
    }
}

/// Tells `changes` what is there and what becomes of it, until `cancel` or until
/// nobody listens. Connects by itself, and again after each loss.
pub async fn discover(
    discovery: Discovery,
    changes: mpsc::Sender<Change>,
    cancel: CancellationToken,
) {
    let mut watch = Watch {
        prefix: discovery.prefix,
        host: discovery.host,
        own: identity::own_ids(),
        changes,
        containers: HashMap::new(),
        listed: HashMap::new(),
        lists: 0,
        networks: None,
    };
    cancel.run_until_cancelled(watch.run()).await;
}

/// What was told so far.
struct Watch {
    prefix: String,
    host: Option<String>,
    /// Ids that may be guard's own container's.
    own: Vec<String>,
    changes: mpsc::Sender<Change>,
    containers: HashMap<ContainerId, Container>,
    /// What the list said of containers when they were last looked at, hashed.
    listed: HashMap<String, u64>,
    /// How often the list was taken from this engine.
    lists: u32,
    networks: Option<Vec<DockerNetwork>>,
}

/// What events said that is to be looked at.
#[derive(Default)]
struct Pending {
    containers: BTreeSet<String>,
    list: bool,
    networks: bool,
    rules: bool,
    since: Option<Instant>,
}

impl Watch {
    async fn run(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
        let mut told: Option<String> = None;
        loop {
            let connected = match &self.host {
                Some(host) => Engine::connect_to(host, false).await,
                None => Engine::connect().await,
            };
            let stop = match connected {
                Ok(engine) => {
                    let since = Instant::now();
                    let stop = self.watch(engine, &mut told).await;
                    if since.elapsed() > Duration::from_secs(10) {
                        backoff.reset();
                    }
                    stop
                }
                Err(error) => Stop::Lost(error),
            };
            let Stop::Lost(error) = stop else { return };
            let sentence = error.sentence();
            if told.as_ref() != Some(&sentence) {
                if self.tell(Change::Lost(sentence.clone())).await.is_err() {
                    return;
                }
                told = Some(sentence);
            }
            tokio::time::sleep(backoff.delay()).await;
        }
    }

    /// Watches one engine until it is lost.
    async fn watch(&mut self, engine: Engine, told: &mut Option<String>) -> Stop {
        match self.watch_events(&engine, told).await {
            Ok(()) => Stop::Over,
            Err(stop) => stop,
        }
    }

    async fn watch_events(
        &mut self,
        engine: &Engine,
        told: &mut Option<String>,
    ) -> Result<(), Stop> {
        // The subscription is only sent when it is polled, and nothing says when it
        // was accepted; so it begins a little in the past, from the events that the
        // engine keeps, and gets a moment to be refused before anything is told.
        let mut events = Box::pin(engine.docker.events(Some(subscription(Timestamp::now()))));
        let mut pending = Pending { list: true, networks: true, rules: true, ..Pending::default() };
        pending.since = Some(Instant::now() + SUBSCRIBE);
        let (mut relist, mut ping) = (Instant::now() + RELIST, Instant::now() + PING);
        let mut connected = false;
        self.lists = 0;
        loop {
            let wait = pending.since;
            tokio::select! {
                event = events.next() => {
                    ping = Instant::now() + PING;
                    match event {
                        Some(Ok(event)) => self.note(&event, &mut pending),
                        Some(Err(error)) => {
                            return Err(DockerError::from_bollard(&error, "/events", &engine.host).into());
                        }
                        None => return Err(ended().into()),
                    }
                }
                () = sleep_until(wait.unwrap_or(relist)), if wait.is_some() => {
                    self.look(engine, std::mem::take(&mut pending), connected).await?;
                    if !connected {
                        connected = true;
                        *told = None;
                    }
                }
                () = sleep_until(relist) => {
                    pending.list = true;
                    pending.networks = true;
                    pending.since = Some(Instant::now());
                    relist = Instant::now() + RELIST;
                }
                () = sleep_until(ping) => {
                    engine.ping().await?;
                    ping = Instant::now() + PING;
                }
            }
        }
    }

    /// Notes what an event is about; it is looked at a moment later.
    fn note(&self, event: &EventMessage, pending: &mut Pending) {
        let action = event.action.as_deref().unwrap_or_default();
        let actor = event.actor.as_ref();
        let id = actor.and_then(|actor| actor.id.as_deref()).unwrap_or_default();
        match event.typ {
            Some(EventMessageTypeEnum::CONTAINER) => {
                let labelled =
                    actor.and_then(|actor| actor.attributes.as_ref()).is_some_and(|labels| {
                        labels.keys().any(|key| inspect::is_ours(key, &self.prefix))
                    });
                // Containers without labels of guard's are known from the list alone.
                if labelled || self.own.iter().any(|own| own == id) {
                    pending.containers.insert(id.to_owned());
                } else {
                    pending.list = true;
                }
                pending.rules |= matches!(action, "start" | "restart" | "die");
            }
            Some(EventMessageTypeEnum::NETWORK) => {
                pending.networks = true;
                pending.rules = true;
            }
            _ => {
                pending.list = true;
                pending.networks = true;
                pending.rules = true;
            }
        }
        // Other people's containers may come and go by the dozen; a list is dear.
        let dear = pending.list && pending.containers.is_empty();
        let at = Instant::now() + if dear { 10 * GATHER } else { GATHER };
        pending.since = Some(pending.since.map_or(at, |since| since.min(at)));
    }

    /// Asks the engine about what is pending and tells what changed.
    async fn look(
        &mut self,
        engine: &Engine,
        pending: Pending,
        connected: bool,
    ) -> Result<(), Stop> {
        // The lists come first: an engine that refuses them is not connected.
        let listed = if pending.list { Some(list(engine).await?) } else { None };
        let networks = if pending.networks { Some(networks(engine).await?) } else { None };
        if !connected {
            self.tell(Change::Connected(engine.clone())).await?;
        }
        if let Some(networks) = networks
            && self.networks.as_ref() != Some(&networks)
        {
            self.networks = Some(networks.clone());
            self.tell(Change::Networks(networks)).await?;
        }
        if let Some(listed) = listed {
            self.reconcile(engine, listed).await?;
            self.tell(Change::Listed).await?;
        }
        self.inspect(engine, pending.containers).await?;
        if pending.rules {
            self.tell(Change::RulesMayHaveChanged).await?;
        }
        Ok(())
    }

    /// Compares the engine's whole list with what was told. A container of which it
    /// says the same as before is mostly left alone: events tell what becomes of it.
    async fn reconcile(
        &mut self,
        engine: &Engine,
        listed: Vec<ContainerSummary>,
    ) -> Result<(), Stop> {
        let (mut alive, mut ours) = (BTreeSet::new(), BTreeSet::new());
        let all = self.lists.is_multiple_of(LOOK_AT_ALL);
        self.lists = self.lists.wrapping_add(1);
        let before = std::mem::take(&mut self.listed);
        for summary in listed.into_iter().take(MAX_CONTAINERS) {
            let Some(id) = summary.id.clone() else { continue };
            let own = self.own.contains(&id);
            let labels = summary.labels.iter().flatten();
            let labelled = labels.into_iter().any(|(key, _)| inspect::is_ours(key, &self.prefix));
            if own || labelled {
                let said = fingerprint(&summary);
                if all || before.get(&id) != Some(&said) {
                    ours.insert(id.clone());
                }
                self.listed.insert(id.clone(), said);
            } else if summary.state.is_some_and(inspect::is_running)
                && let Some(container) = inspect::listed(summary, &self.prefix)
            {
                self.appeared(container).await?;
            } else {
                continue;
            }
            alive.insert(id);
        }
        self.inspect(engine, ours).await?;
        let gone: Vec<ContainerId> =
            self.containers.keys().filter(|id| !alive.contains(&*id.0)).cloned().collect();
        for id in gone {
            self.vanished(&id).await?;
        }
        Ok(())
    }

    async fn inspect(&mut self, engine: &Engine, ids: BTreeSet<String>) -> Result<(), Stop> {
        let answers = futures::stream::iter(ids).map(async |id| {
            let question = engine.docker.inspect_container(&id, None);
            let answer = engine.ask("/containers/json", question).await;
            (id, answer)
        });
        let mut answers = Box::pin(answers.buffered(AT_ONCE));
        while let Some((id, answer)) = answers.next().await {
            self.inspected(&id, answer).await?;
        }
        Ok(())
    }

    async fn inspected(
        &mut self,
        id: &str,
        answer: Result<ContainerInspectResponse, DockerError>,
    ) -> Result<(), Stop> {
        match answer {
            Ok(told) => {
                let Some(mut container) = inspect::container(told, &self.prefix) else {
                    return Ok(());
                };
                container.own = self.own.iter().any(|own| **own == *container.id.0);
                self.appeared(container).await
            }
            Err(DockerError::NotFound(_)) => self.vanished(&ContainerId(id.into())).await,
            // One container that the engine can't describe must not hide the others.
            Err(error @ DockerError::Api { .. }) => {
                tracing::warn!(container = id, "it can't be looked at: {error}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn appeared(&mut self, container: Container) -> Result<(), Stop> {
        if self.containers.get(&container.id) == Some(&container) {
            return Ok(());
        }
        self.containers.insert(container.id.clone(), container.clone());
        self.tell(Change::Appeared(Box::new(container))).await
    }

    async fn vanished(&mut self, id: &ContainerId) -> Result<(), Stop> {
        match self.containers.remove(id) {
            Some(_) => self.tell(Change::Vanished(id.clone())).await,
            None => Ok(()),
        }
    }

    async fn tell(&self, change: Change) -> Result<(), Stop> {
        self.changes.send(change).await.map_err(|_| Stop::Over)
    }
}

/// Tells whether two lists say the same of a container, but for how long it has run.
fn fingerprint(summary: &ContainerSummary) -> u64 {
    let said = ContainerSummary { status: None, ..summary.clone() };
    let mut hasher = DefaultHasher::new();
    // By way of a value, in which the labels have an order.
    serde_json::to_value(&said).unwrap_or_default().to_string().hash(&mut hasher);
    hasher.finish()
}

fn subscription(now: Timestamp) -> EventsOptions {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let filters = HashMap::from([
        ("type".to_owned(), texts(&["container", "network", "daemon"])),
        ("event".to_owned(), texts(&EVENTS)),
    ]);
    EventsOptions {
        since: Some((now.as_second() - 5).to_string()),
        until: None,
        filters: Some(filters),
    }
}

/// The stream of events ends when the engine stops.
fn ended() -> DockerError {
    DockerError::Broken { what: "/events", reason: "the engine ended the stream of events".into() }
}

async fn list(engine: &Engine) -> Result<Vec<ContainerSummary>, DockerError> {
    let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
    engine.ask("/containers/json", engine.docker.list_containers(Some(options))).await
}

async fn networks(engine: &Engine) -> Result<Vec<DockerNetwork>, DockerError> {
    let told = engine.ask("/networks", engine.docker.list_networks(None)).await?;
    Ok(inspect::networks(told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::EventActor;

    fn check(
        typ: EventMessageTypeEnum,
        action: &str,
        labels: &[&str],
    ) -> (usize, bool, bool, bool) {
        let watch = Watch {
            prefix: "guard.".into(),
            host: None,
            own: vec!["own".into()],
            changes: mpsc::channel(1).0,
            containers: HashMap::new(),
            listed: HashMap::new(),
            lists: 0,
            networks: None,
        };
        let event = EventMessage {
            typ: Some(typ),
            action: Some(action.into()),
            actor: Some(EventActor {
                id: Some("x".into()),
                attributes: Some(labels.iter().map(|l| ((*l).to_owned(), String::new())).collect()),
            }),
            ..EventMessage::default()
        };
        let mut pending = Pending::default();
        watch.note(&event, &mut pending);
        assert!(pending.since.is_some());
        (pending.containers.len(), pending.list, pending.networks, pending.rules)
    }

    #[test]
    fn events_say_what_to_look_at() {
        use EventMessageTypeEnum as Type;
        assert_eq!(check(Type::CONTAINER, "start", &["GUARD.failregex"]), (1, false, false, true));
        assert_eq!(
            check(Type::CONTAINER, "rename", &["guard.x", "image"]),
            (1, false, false, false)
        );
        assert_eq!(check(Type::CONTAINER, "start", &["image"]), (0, true, false, true));
        assert_eq!(check(Type::NETWORK, "create", &[]), (0, false, true, true));
        assert_eq!(check(Type::DAEMON, "reload", &[]), (0, true, true, true));
    }

    #[tokio::test]
    async fn it_ends_when_nobody_listens() {
        let (changes, listener) = mpsc::channel(1);
        drop(listener);
        let discovery = Discovery { prefix: "guard.".into(), host: None };
        let end = discover(discovery, changes, CancellationToken::new());
        tokio::time::timeout(Duration::from_secs(60), end).await.unwrap();
    }
}
