//! The jails' task: which containers there are, which jails their labels make,
//! and which followers run now. It owns that map, and nobody else writes it.
//!
//! It works by level, not by edge: whatever happened, what *should* run is
//! worked out anew from all containers and compared with what does.

mod doctor;
mod metrics;
mod sources;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub(crate) use self::doctor::{DoctorGround, ProbeGround};
pub(crate) use self::metrics::MetricsGround;
use super::follow::{Came, FollowerState};
use super::lists::{self, Lists};
use super::metrics::Meters;
use super::names::{self, Names};
use super::notices::Listeners;
use super::pump::{self, Command, Report};
use super::start::{Start, located, path_space};
use super::surroundings::Parts;
use super::trial::Ground;
use super::wanted::reach::{self, Paths};
use super::wanted::{
    Before, FollowerKey, FollowerSpec, Known, Target, Wanted, What, counts, wanted,
};
use crate::docker::{Change, Engine, EngineInfo};
use crate::filter::Library;
use crate::filters::Catalog;
use crate::firewall::{self, DockerFirewall};
use crate::labels::{self, Complaint, Defaults, Severity};
use crate::model::{
    About, Container, ContainerId, Event, Finding, IgnoreEntry, JailName, Memory, News, SourceId,
    Timestamp, Written,
};

/// The host's own addresses are read again so often.
const LOOK_AROUND: Duration = Duration::from_secs(5);
/// The first look-up of names and lists delays the first follower so long at most.
const NAMES_WAIT: Duration = Duration::from_secs(2);
/// So many changes are taken together.
const CHANGES_AT_ONCE: usize = 64;

/// A look at the task's state; what it gives goes its own way.
type Look = Box<dyn FnOnce(&Jails) + Send>;

/// The way to ask the jails' task.
#[derive(Clone)]
pub(crate) struct AskJails(mpsc::Sender<Look>);

impl AskJails {
    /// Runs `look` in the jails' task; `None` when guard is stopping.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Jails) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |jails| {
            // The asker may have gone.
            let _ = answer.send(look(jails));
        });
        self.0.send(look).await.ok()?;
        answered.await.ok()
    }
}

/// What the task is made of.
pub(crate) struct Parameters {
    pub(crate) defaults: Defaults,
    /// The filters that there are, by name.
    pub(crate) filters: Catalog,
    /// guard's own zone, for dates that nothing else tells the zone of.
    pub(crate) zone: TimeZone,
    /// Names of the daemon's own ignore list.
    pub(crate) ignore: Vec<IgnoreEntry>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) firewall: Arc<firewall::Handle>,
    pub(crate) events: Listeners,
    pub(crate) meters: Arc<Meters>,
    pub(crate) cancel: CancellationToken,
}

/// The state of the task.
pub(crate) struct Jails {
    parameters: Parameters,
    engine: EngineState,
    containers: BTreeMap<ContainerId, Known>,
    library: Library,
    /// The jails in force, what was last told of them, and whose they are.
    before: Before,
    complaints: Vec<Complaint>,
    /// What was told of sources that can't be read.
    unreadable: sources::Unreadable,
    /// Since when the engine has answered, without a break.
    answers_since: Timestamp,
    /// Woken by followers to whom something happened that is to be told.
    noticed: Arc<Notify>,
    followers: HashMap<FollowerKey, Running>,
    tasks: JoinSet<Came>,
    /// Which task is whose.
    owners: HashMap<Id, FollowerKey>,
    /// How far each jail came in each source that nobody follows now.
    came: HashMap<JailName, Came>,
    surroundings: Parts,
    names: watch::Sender<BTreeSet<String>>,
    lists: watch::Sender<BTreeSet<String>>,
    /// Docker's networks are known: without them a gateway could be banned.
    networks_known: bool,
    /// All containers were told once, guard's own among them: only its mounts say
    /// where guard sees the files of the others.
    listed: bool,
    all_told: bool,
}

/// How the engine does.
#[derive(Clone)]
pub(crate) enum EngineState {
    /// Not reached yet.
    Connecting,
    /// Answers.
    Connected(Engine),
    /// Does not, and why; what was known of it still holds.
    Lost(Option<Engine>, String),
}

impl EngineState {
    fn engine(&self) -> Option<&Engine> {
        match self {
            EngineState::Connecting => None,
            EngineState::Connected(engine) => Some(engine),
            EngineState::Lost(engine, _) => engine.as_ref(),
        }
    }
}

/// A follower that runs, or ran.
struct Running {
    spec: FollowerSpec,
    /// When its container had been started.
    started: Option<Timestamp>,
    /// Does it read files by way of a process, which ends with the container?
    by_process: bool,
    state: watch::Receiver<FollowerState>,
    cancel: CancellationToken,
    /// Its task has ended.
    ended: bool,
    /// And not as it should have.
    died: bool,
}

/// One follower, as the status shows it.
pub(crate) struct FollowerView {
    pub(crate) container: Arc<str>,
    pub(crate) output: bool,
    /// The terms, if it reads the journal.
    pub(crate) journal: Option<String>,
    /// Its reader died of a defect.
    pub(crate) died: bool,
    pub(crate) state: FollowerState,
}

/// Makes the task and the way to ask it, from what the store remembered.
pub(crate) fn prepare(parameters: Parameters, memory: &Memory) -> (Task, AskJails) {
    let (ask, looks) = mpsc::channel(16);
    let mut came: HashMap<JailName, Came> = HashMap::new();
    for (jail, source, progress) in &memory.progress {
        came.entry(jail.clone()).or_default().insert(source.clone(), progress.clone());
    }
    let remembered = memory.jails.iter().map(|jail| &jail.rules);
    let holders = remembered.map(|rules| (rules.name.clone(), rules.service.clone())).collect();
    let before = Before { jails: BTreeMap::new(), holders };
    let library = Library::of(parameters.filters.clone());
    let jails = Jails {
        parameters,
        engine: EngineState::Connecting,
        containers: BTreeMap::new(),
        library,
        before,
        complaints: Vec::new(),
        unreadable: sources::Unreadable::default(),
        answers_since: Timestamp::now(),
        noticed: Arc::new(Notify::new()),
        followers: HashMap::new(),
        tasks: JoinSet::new(),
        owners: HashMap::new(),
        came,
        surroundings: Parts::beginning_with(memory.names.clone()),
        names: watch::Sender::new(BTreeSet::new()),
        lists: watch::Sender::new(BTreeSet::new()),
        networks_known: false,
        listed: false,
        all_told: false,
    };
    (Task { jails, looks }, AskJails(ask))
}

/// The task, ready to run.
pub(crate) struct Task {
    jails: Jails,
    looks: mpsc::Receiver<Look>,
}

impl Task {
    /// Runs until cancelled, and then until all followers have ended.
    pub(crate) async fn run(self, mut changes: mpsc::Receiver<Change>) {
        let Task { mut jails, mut looks } = self;
        let (found, mut names_found) = mpsc::channel(4);
        let known = jails.surroundings.names.clone();
        let cancel = || jails.parameters.cancel.child_token();
        let resolver = names::resolve(jails.names.subscribe(), known, found, cancel());
        let (found, mut lists_found) = mpsc::channel(4);
        let reader = lists::watch(jails.lists.subscribe(), found, cancel());
        jails.tell_names();
        let resolver = tokio::spawn(resolver);
        let reader = tokio::spawn(reader);
        // Who is to be left alone by name is known before the first failure counts,
        // unless DNS is slow.
        let wait = tokio::time::sleep(NAMES_WAIT);
        tokio::pin!(wait);
        while jails.awaits_names() {
            tokio::select! {
                () = &mut wait => break,
                Some(names) = names_found.recv() => jails.names_found(names).await,
                Some(lists) = lists_found.recv() => {
                    jails.surroundings.lists = lists;
                    jails.tell_names();
                }
                () = jails.parameters.cancel.cancelled() => break,
            }
        }
        let mut look_around = tokio::time::interval(LOOK_AROUND);
        let mut batch = Vec::with_capacity(CHANGES_AT_ONCE);
        let cancel = jails.parameters.cancel.clone();
        let noticed = Arc::clone(&jails.noticed);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                count = changes.recv_many(&mut batch, CHANGES_AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                    jails.changes(batch.drain(..)).await;
                }
                Some(names) = names_found.recv() => jails.names_found(names).await,
                Some(lists) = lists_found.recv() => jails.lists_found(lists).await,
                Some(ended) = jails.tasks.join_next_with_id() => jails.follower_ended(ended).await,
                Some(look) = looks.recv() => look(&jails),
                () = noticed.notified() => jails.tell_unreadable(),
                _ = look_around.tick() => {
                    jails.look_around().await;
                    jails.tell_sources();
                }
            }
        }
        jails.stop().await;
        resolver.abort();
        reader.abort();
    }
}

impl Jails {
    /// How the engine does.
    pub(crate) fn engine(&self) -> &EngineState {
        &self.engine
    }

    /// All that is wrong with labels.
    pub(crate) fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// The followers of a jail.
    pub(crate) fn followers(&self, jail: &JailName) -> Vec<FollowerView> {
        let mut views: Vec<_> = self
            .followers
            .iter()
            .filter(|(key, _)| key.jail == *jail)
            .map(|(_, running)| self.follower(running))
            .collect();
        views.sort_by(|a, b| a.container.cmp(&b.container));
        views
    }

    /// All followers, with the jail of each, in no order.
    pub(crate) fn all_followers(&self) -> impl Iterator<Item = (&JailName, FollowerView)> {
        self.followers.iter().map(|(key, running)| (&key.jail, self.follower(running)))
    }

    fn follower(&self, running: &Running) -> FollowerView {
        FollowerView {
            container: self.containers.get(&running.spec.container).map_or_else(
                || running.spec.container.short().into(),
                |known| Arc::clone(&known.container.name),
            ),
            output: matches!(running.spec.what, What::Output(_)),
            journal: match &running.spec.what {
                What::Journal(terms) => Some(terms.to_string()),
                What::Output(_) | What::Files(_) => None,
            },
            died: running.died,
            state: running.state.borrow().clone(),
        }
    }

    /// The options of a jail as they were written, by the labels that count for it.
    pub(crate) fn written(&self, name: &JailName) -> Vec<Written> {
        let Some(rules) = self.before.jails.get(name) else { return Vec::new() };
        let of = |known: &&Known| {
            known
                .reading
                .jails
                .iter()
                .any(|jail| jail.name == *name && jail.service == rules.service)
        };
        let newest = self.containers.values().filter(of);
        let newest = newest.max_by_key(|known| (known.container.running, known.container.created));
        let jails = newest.into_iter().flat_map(|known| &known.reading.jails);
        let jail = jails.into_iter().find(|jail| jail.name == *name);
        jail.map(|jail| jail.written.to_vec()).unwrap_or_default()
    }

    /// What a trial of the service, container or jail `asked` needs.
    pub(crate) fn trial_ground(&self, asked: &str) -> Ground {
        let is_meant = |known: &Known| {
            let container = &known.container;
            let mut jails = known.reading.jails.iter();
            container.service.short() == asked
                || container.service.to_string() == asked
                || &*container.name == asked
                || jails.any(|jail| jail.name.as_str() == asked)
        };
        let (meant, others): (Vec<&Known>, Vec<&Known>) =
            self.containers.values().partition(|known| is_meant(known));
        Ground {
            engine: match &self.engine {
                EngineState::Connected(engine) => Some(engine.clone()),
                EngineState::Connecting | EngineState::Lost(..) => None,
            },
            containers: meant.iter().map(|known| known.container.clone()).collect(),
            others: others
                .iter()
                .flat_map(|known| {
                    [known.container.service.short().to_owned(), known.container.name.to_string()]
                })
                .collect(),
            own: self.own().cloned(),
            defaults: self.parameters.defaults.clone(),
            filters: self.parameters.filters.clone(),
            zone: self.parameters.zone.clone(),
            around: self.surroundings.told(),
        }
    }

    async fn changes(&mut self, changes: impl Iterator<Item = Change>) {
        let mut check = false;
        for change in changes {
            match change {
                Change::Connected(engine) => self.connected(engine),
                Change::Lost(why) => self.lost(why),
                Change::Appeared(container) => self.appeared(*container),
                Change::Vanished(id) => {
                    self.containers.remove(&id);
                }
                Change::Networks(networks) => {
                    self.surroundings.networks = networks;
                    self.networks_known = true;
                }
                Change::Listed => self.listed = true,
                Change::RulesMayHaveChanged => check = true,
            }
        }
        self.look_around().await;
        if self.is_informed() {
            self.reconcile().await;
        }
        if self.all_told {
            self.forget_old_outputs().await;
        }
        if self.is_informed() && !self.all_told {
            self.all_told = true;
            self.forget_old_outputs().await;
            self.command(Command::AllTold).await;
        }
        if check {
            self.parameters.firewall.check_now();
        }
    }

    /// Is enough known to follow and to ban?
    fn is_informed(&self) -> bool {
        self.networks_known && self.listed
    }

    fn connected(&mut self, engine: Engine) {
        let info = engine.info();
        tracing::info!(
            "{} {} answers (API {})",
            info.platform.name(),
            info.version,
            info.api_version
        );
        if let EngineState::Lost(_, why) = &self.engine {
            let (about, what) = (About::Engine, why.clone());
            self.tell(News::Trouble { about, jail: None, what, over: true });
        }
        if let Some(why) = &info.info_refused {
            tracing::warn!("{}", no_info(why));
        }
        self.parameters.firewall.docker_says(docker_firewall(info));
        self.engine = EngineState::Connected(engine);
        self.answers_since = Timestamp::now();
    }

    fn tell(&self, news: News) {
        pump::announce(&self.parameters.events, Event { at: Timestamp::now(), news });
    }

    fn trouble(&self, about: About, jail: Option<JailName>, what: String) {
        self.tell(News::Trouble { about, jail, what, over: false });
    }

    /// What guard can't do with this engine, a sentence each.
    pub(crate) fn limits(&self) -> Vec<String> {
        limits(self.engine.engine())
    }

    fn lost(&mut self, why: String) {
        self.trouble(About::Engine, None, why.clone());
        self.engine = EngineState::Lost(self.engine.engine().cloned(), why);
    }

    fn appeared(&mut self, container: Container) {
        let reading = if !counts(&container, self.parameters.defaults.prefix()) {
            labels::Reading::default()
        } else {
            // A label may hold hundreds of regexes; others of this worker's tasks go on.
            tokio::task::block_in_place(|| {
                labels::read(&container, &self.parameters.defaults, &mut self.library)
            })
        };
        self.containers.insert(container.id.clone(), Known { container, reading });
    }

    async fn names_found(&mut self, names: Names) {
        if names.addresses != self.surroundings.names.addresses {
            self.command(Command::Names(names.addresses.clone())).await;
        }
        self.surroundings.names = names;
        self.look_around().await;
    }

    async fn lists_found(&mut self, lists: Lists) {
        self.surroundings.lists = lists;
        self.tell_names();
        self.look_around().await;
    }

    /// Are there names or lists of which nothing is known, not even that they fail?
    fn awaits_names(&self) -> bool {
        let Parts { names, lists, .. } = &self.surroundings;
        let known =
            |name: &String| names.addresses.contains_key(name) || names.failing.contains_key(name);
        let read =
            |path: &String| lists.entries.contains_key(path) || lists.troubles.contains_key(path);
        !self.names.borrow().iter().all(known) || !self.lists.borrow().iter().all(read)
    }

    /// What is wrong with names and lists of addresses, a sentence each.
    pub(crate) fn list_troubles(&self) -> Vec<String> {
        self.surroundings.troubles()
    }

    /// Tells the warden who must never be banned, if that changed.
    async fn look_around(&mut self) {
        let containers = self.containers.values().map(|known| &known.container);
        let engine = self.engine.engine().map(Engine::info);
        if let Some(surroundings) = self.surroundings.changed(containers, engine) {
            self.command(Command::Surroundings(surroundings)).await;
        }
    }

    async fn command(&self, command: Command) {
        // The warden ends only after this task did.
        let _ = self.parameters.commands.send(command).await;
    }

    /// Brings jails and followers to what the containers ask for now.
    async fn reconcile(&mut self) {
        let own = self.own().cloned();
        let mut wanted = wanted(&self.containers, &self.before, |container, path| {
            located(container, own.as_ref(), path)
        });
        let platform = self.engine.engine().map(|engine| &engine.info().platform);
        let paths = Paths {
            rootless: platform.is_some_and(|platform| platform.rootless),
            inside: super::doctor::own_platform().mapped,
            desktop: platform.is_some_and(|platform| platform.desktop),
            networks: &self.surroundings.networks,
        };
        reach::refuse(&mut wanted, &self.containers, paths);
        self.tell_complaints(&wanted.complaints);
        self.tell_jails(&wanted).await;
        self.tell_names();
        self.complaints = wanted.complaints;
        self.stop_followers(&wanted.followers);
        for (key, spec) in wanted.followers {
            self.start_follower(key, spec);
        }
    }

    fn own(&self) -> Option<&Container> {
        self.containers.values().map(|known| &known.container).find(|container| container.own)
    }

    /// Each complaint is told once, when it comes up, and what keeps a jail away also when
    /// that is over.
    fn tell_complaints(&self, complaints: &[Complaint]) {
        let tell = |complaint: &Complaint, over| {
            let (about, jail) = (About::Refused, complaint.jail.clone());
            let news = News::Trouble { about, jail, what: complaint.one_line(), over };
            let event = Event { at: Timestamp::now(), news };
            match complaint.is_noticed() {
                true => pump::announce(&self.parameters.events, event),
                false => pump::announce_unnoticed(&self.parameters.events, event),
            }
        };
        for complaint in complaints.iter().filter(|complaint| !self.complaints.contains(complaint))
        {
            match complaint.severity {
                Severity::Error => tell(complaint, false),
                Severity::Warning => tracing::warn!("{}", complaint.one_line()),
            }
        }
        // One that stands and whose notices were turned off meanwhile is not over.
        let stands = |old: &Complaint| {
            let is_old = |new: &Complaint| {
                *new == *old || Complaint { notify: old.notify.clone(), ..new.clone() } == *old
            };
            complaints.iter().any(is_old)
        };
        let over = self.complaints.iter().filter(|complaint| !stands(complaint));
        for complaint in over.filter(|complaint| complaint.severity == Severity::Error) {
            tell(complaint, true);
        }
    }

    async fn tell_jails(&mut self, wanted: &Wanted) {
        let known = self.before.jails.keys();
        let gone: Vec<_> =
            known.filter(|name| !wanted.jails.contains_key(*name)).cloned().collect();
        for name in gone {
            self.before.jails.remove(&name);
            if self.all_told {
                self.before.holders.remove(&name);
            }
            self.command(Command::JailLeft(name)).await;
        }
        for (name, rules) in &wanted.jails {
            if self.before.jails.get(name) != Some(rules) {
                self.before.jails.insert(name.clone(), Arc::clone(rules));
                self.before.holders.insert(name.clone(), rules.service.clone());
                self.command(Command::Jail(Arc::clone(rules))).await;
            }
        }
    }

    /// The resolver looks up the names of all ignore lists, and their files are read.
    fn tell_names(&self) {
        let (mut names, mut lists) = (BTreeSet::new(), BTreeSet::new());
        let jails = self.before.jails.values().flat_map(|rules| &rules.ignore);
        let listed = self.surroundings.listed_names();
        for entry in jails.chain(&self.parameters.ignore).chain(listed) {
            match entry {
                IgnoreEntry::Name(name) => names.insert(name.clone()),
                IgnoreEntry::File(path) => lists.insert(path.clone()),
                IgnoreEntry::Network(_) => false,
            };
        }
        for (known, now) in [(&self.names, names), (&self.lists, lists)] {
            known.send_if_modified(|known| {
                let changed = *known != now;
                *known = now;
                changed
            });
        }
    }

    /// Stops the followers that nobody wants, or wants otherwise.
    fn stop_followers(&mut self, wanted: &BTreeMap<FollowerKey, FollowerSpec>) {
        for (key, running) in &self.followers {
            let wanted = wanted.get(key).is_some_and(|spec| spec.same_as(&running.spec));
            let container = self.containers.get(&running.spec.container);
            let restarted = running.by_process
                && container.is_some_and(|known| {
                    known.container.running && known.container.started != running.started
                });
            if !wanted || restarted {
                running.cancel.cancel();
            }
        }
        self.followers.retain(|key, running| !running.ended || wanted.contains_key(key));
    }

    /// Starts a follower, unless it runs, has not ended yet, or has nothing new to read.
    fn start_follower(&mut self, key: FollowerKey, spec: FollowerSpec) {
        let Some(known) = self.containers.get(&spec.container) else { return };
        let Some(engine) = self.engine.engine().cloned() else { return };
        let container = known.container.clone();
        if let Some(running) = self.followers.get(&key) {
            let again = container.started != running.started || !running.spec.same_as(&spec);
            if !running.ended || !again {
                return;
            }
        }
        let came = self.take_progress(&key);
        let before =
            self.followers.get(&key).map(|running| running.state.borrow().output.handed_on());
        let output = before.unwrap_or_default();
        let (state, states) = watch::channel(FollowerState { output, ..FollowerState::default() });
        let cancel = self.parameters.cancel.child_token();
        let space = path_space(&container, self.own());
        let by_process = match &spec.what {
            What::Files(patterns) => patterns.iter().any(|path| space.needs_process(path)),
            What::Output(_) | What::Journal(_) => false,
        };
        let running = Running {
            spec: spec.clone(),
            started: container.started,
            by_process,
            state: states,
            cancel: cancel.clone(),
            ended: false,
            died: false,
        };
        let counters = self.parameters.meters.sources(&key.jail, &spec.what);
        counters.starts.add(1);
        let start = Start {
            counters,
            space,
            zone: self.parameters.zone.clone(),
            reports: self.parameters.reports.clone(),
            noticed: Arc::clone(&self.noticed),
            jail: key.jail.clone(),
            came,
            container,
            engine,
            spec,
            state,
            cancel,
        };
        let task = self.tasks.spawn(start.run());
        self.owners.insert(task.id(), key.clone());
        self.followers.insert(key, running);
    }

    /// What the jail is known to have read of the follower's sources.
    fn take_progress(&mut self, key: &FollowerKey) -> Came {
        let Some(came) = self.came.get_mut(&key.jail) else { return Came::new() };
        match &key.target {
            Target::Output(id) => {
                let source = SourceId::Output(id.clone());
                came.remove(&source).map(|progress| (source, progress)).into_iter().collect()
            }
            Target::Journal => came.remove_entry(&SourceId::Journal).into_iter().collect(),
            // Which files the patterns match is found out by their reader.
            Target::Files(_) => came
                .iter()
                .filter(|(source, _)| matches!(source, SourceId::File(_)))
                .map(|(source, progress)| (source.clone(), progress.clone()))
                .collect(),
        }
    }

    async fn follower_ended(&mut self, ended: Result<(Id, Came), JoinError>) {
        let (id, came) = match ended {
            Ok((id, came)) => (id, Some(came)),
            Err(error) => (error.id(), None),
        };
        let Some(key) = self.owners.remove(&id) else { return };
        if let Some(running) = self.followers.get_mut(&key) {
            running.ended = true;
            running.died = came.is_none();
            if running.cancel.is_cancelled() {
                self.followers.remove(&key);
            }
        }
        match came {
            Some(came) => self.came.entry(key.jail.clone()).or_default().extend(came),
            // What made it die would do so again at once.
            None => self.trouble(
                About::Defect,
                Some(key.jail.clone()),
                format!(
                    "[{}] the reader of a source died, which is a defect of guard's; it is started \
                 again with its container",
                    key.jail
                ),
            ),
        }
        if let Target::Output(id) = &key.target
            && !self.containers.contains_key(id)
        {
            self.forget(&key.jail, SourceId::Output(id.clone())).await;
        }
        if !self.parameters.cancel.is_cancelled() && self.is_informed() {
            self.reconcile().await;
        }
    }

    /// A source is gone with its container.
    async fn forget(&mut self, jail: &JailName, source: SourceId) {
        if let Some(came) = self.came.get_mut(jail) {
            came.remove(&source);
        }
        // The warden ends only after this task did.
        let _ =
            self.parameters.reports.send(Report::SourceGone { jail: jail.clone(), source }).await;
    }

    /// Places in the output, and in files of their own, of containers that are gone, and
    /// that nobody reads.
    async fn forget_old_outputs(&mut self) {
        let mut gone = Vec::new();
        for (jail, came) in &self.came {
            for source in came.keys() {
                if owner(source).is_some_and(|id| !self.containers.contains_key(&id)) {
                    gone.push((jail.clone(), source.clone()));
                }
            }
        }
        for (jail, source) in gone {
            self.forget(&jail, source).await;
        }
    }

    async fn stop(&mut self) {
        for running in self.followers.values() {
            running.cancel.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What the engine says of its own firewall.
fn docker_firewall(info: &EngineInfo) -> DockerFirewall {
    match info.firewall_backend.as_deref() {
        Some(backend) if backend.starts_with("nftables") => DockerFirewall::Nftables,
        Some(_) => DockerFirewall::Iptables,
        None if info.tells_firewall() => DockerFirewall::Off,
        None => DockerFirewall::Unsaid,
    }
}

/// The container without which a source is not there.
fn owner(source: &SourceId) -> Option<ContainerId> {
    const ID: usize = 64;
    match source {
        SourceId::Output(id) => Some(id.clone()),
        // In its layer, not on a mount.
        SourceId::File(path) => {
            let (id, _) = path.split_once(":/")?;
            (id.len() == ID).then(|| ContainerId(id.into()))
        }
        SourceId::Journal => None,
    }
}

/// What this system's and the engine's set-up keep guard from doing, and what to do about it.
fn limits(engine: Option<&Engine>) -> Vec<String> {
    let info = engine.map(Engine::info);
    let own = super::doctor::own_platform();
    let found = crate::doctor::platform(info.map(|info| &info.platform), &own);
    let bad = found.iter().filter(|finding| crate::doctor::is_bad(finding.level));
    let refused = info.and_then(|info| info.info_refused.as_deref()).map(no_info);
    bad.map(Finding::one_line).chain(refused).collect()
}

fn no_info(why: &str) -> String {
    format!("Docker's /info can't be read: {why}")
}
