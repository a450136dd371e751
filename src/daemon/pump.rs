//! The warden's task: the one owner of counts and bans, between the channels.
//!
//! After every thing that happened the warden's effects are drained and handed
//! on: orders to the firewall, records to the store in one write (and so in one
//! transaction), events to the log and to watchers. Neither hand-over waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::evidence::Evidence;
use super::metrics::Meters;
use super::notices::Listeners;
use super::proof;
use crate::control::protocol::Options;
use crate::firewall::{self, Order, Told};
use crate::model::{
    Address, Ban, Event, Failure, JailName, JailRules, Login, Memory, Network, News, NoticeKind,
    Progress, Record, SourceId, Timestamp,
};
use crate::store::{Candidate, Store};
use crate::warden::{
    BanRefusal, BanRequest, Effect, FoundBan, ImportRequest, Imported, Known, Meanwhile,
    NoSuchJail, Outcome, Restored, Surroundings, UnbanRequest, UnbanWhich, Unbanned, Warden,
};

/// Never sleep longer: the wall clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// An answer waits so long for the kernel and the disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// Reports judged before anything else is looked at again.
const REPORTS_AT_ONCE: usize = 256;

/// What followers tell.
pub(crate) enum Report {
    /// A line matched, this one: one failure, or one for each address of the name in it. They
    /// have one place, so they are judged, and written, together. It was read then.
    Failures(Vec<Failure>, Box<str>, Instant),
    /// A line says that somebody logged in.
    Login(Login),
    /// A source was judged so far.
    Progress { jail: JailName, source: SourceId, progress: Progress },
    /// A source is gone for good.
    SourceGone { jail: JailName, source: SourceId },
}

/// What the rest of the daemon tells.
pub(crate) enum Command {
    /// A jail came, or its rules changed.
    Jail(Arc<JailRules>),
    /// The last container of a jail is gone.
    JailLeft(JailName),
    /// The host's addresses, Docker's networks or DNS names changed.
    Surroundings(Surroundings),
    /// Others have had an SSH connection to the host for longer than a login takes.
    SshPeers(BTreeSet<Address>),
    /// The names that are left alone have these addresses.
    Names(BTreeMap<String, Vec<Address>>),
    /// All jails that there are have been told: what is left of others may go.
    AllTold,
}

/// A look at the warden's state; what it gives goes its own way.
pub(crate) type Look = Box<dyn FnOnce(&Warden) + Send>;

/// Answers to bans by hand, in the order of the request.
type BanAnswers = Vec<Result<Ban, BanRefusal>>;
/// The answer to an unban.
type UnbanAnswer = Result<Unbanned, NoSuchJail>;

/// The answer to bans that are taken over.
type ImportAnswer = Result<Imported, NoSuchJail>;

/// An answer that was given after the commit.
pub(crate) struct Said<T> {
    pub(crate) answers: T,
    /// Why it would not survive a restart; none: it is on disk.
    pub(crate) only_in_memory: Option<String>,
    /// Why the kernel may not have it, or may still refuse whom it was to let in; none: it
    /// was tried, and nobody who was to be let in is still refused.
    pub(crate) not_in_kernel: Option<String>,
}

/// Waits until the kernel has what was ordered. Why it may not have it; none: it was tried.
pub(crate) async fn in_kernel(firewall: &firewall::Handle, patience: Duration) -> Option<String> {
    match tokio::time::timeout(patience, firewall.settled()).await {
        Ok(true) => None,
        Ok(false) => Some("guard's part for the firewall has died: restart guard".to_owned()),
        Err(_) => Some(format!("the firewall has not answered for {} s", patience.as_secs())),
    }
}

/// What people ask.
pub(crate) enum Question {
    Ban(BanRequest, oneshot::Sender<Said<BanAnswers>>),
    Import(ImportRequest, oneshot::Sender<Said<ImportAnswer>>),
    Unban(UnbanRequest, oneshot::Sender<Said<UnbanAnswer>>),
    Look(Look),
    Restore(Box<Candidate>, oneshot::Sender<Restored>),
    Why(Timestamp, Network, oneshot::Sender<WhyAnswer>),
}

/// What the jails know of somebody, and the last lines of him.
type WhyAnswer = (Vec<Known>, Vec<(JailName, Network, Box<str>)>);

/// The ways to the warden's task.
#[derive(Clone)]
pub(crate) struct Ask(mpsc::Sender<Question>);

impl Ask {
    /// Runs `look` in the warden's task; `None` when guard is stopping.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Warden) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |warden| {
            // The asker may have gone.
            let _ = answer.send(look(warden));
        });
        self.0.send(Question::Look(look)).await.ok()?;
        answered.await.ok()
    }

    /// Bans by hand; answered when it is in the kernel and on disk.
    pub(crate) async fn ban(&self, request: BanRequest) -> Option<Said<BanAnswers>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Ban(request, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Takes over bans; answered when they are in the kernel and on disk.
    pub(crate) async fn import(&self, request: ImportRequest) -> Option<Said<ImportAnswer>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Import(request, answer)).await.ok()?;
        answered.await.ok()
    }

    /// What is known of somebody; `None` when guard is stopping.
    pub(crate) async fn why(&self, now: Timestamp, network: Network) -> Option<WhyAnswer> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Why(now, network, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Returns to a backup; answered before it is in the kernel and on disk. `None` when
    /// guard is stopping.
    pub(crate) async fn restore(&self, backup: Candidate) -> Option<Restored> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Restore(Box::new(backup), answer)).await.ok()?;
        answered.await.ok()
    }

    /// Lifts bans by hand; answered when it is in the kernel and on disk.
    pub(crate) async fn unban(&self, request: UnbanRequest) -> Option<Said<UnbanAnswer>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Unban(request, answer)).await.ok()?;
        answered.await.ok()
    }
}

/// The receiving ends of the warden's task.
pub(crate) struct Inbox {
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) told: mpsc::Receiver<(Instant, Told)>,
    questions: mpsc::Receiver<Question>,
}

/// The sending ends, each for one kind of teller.
pub(crate) struct Outboxes {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// What the firewall tells, and when.
    pub(crate) told: mpsc::Sender<(Instant, Told)>,
    pub(crate) ask: Ask,
}

/// Makes the channels of the warden's task.
pub(crate) fn channels() -> (Outboxes, Inbox) {
    let (reports, reports_in) = mpsc::channel(1024);
    let (commands, commands_in) = mpsc::channel(64);
    let (told, told_in) = mpsc::channel(64);
    let (questions, questions_in) = mpsc::channel(64);
    (
        Outboxes { reports, commands, told, ask: Ask(questions) },
        Inbox {
            reports: reports_in,
            commands: commands_in,
            told: told_in,
            questions: questions_in,
        },
    )
}

/// Where the warden's effects go.
pub(crate) struct Pump {
    pub(crate) warden: Warden,
    pub(crate) firewall: Arc<firewall::Handle>,
    pub(crate) store: Store,
    pub(crate) events: Listeners,
    /// What could not be read at the start, and the unbans since then.
    pub(crate) late: Option<(oneshot::Receiver<Memory>, Meanwhile)>,
    /// All jails that there are have been told.
    pub(crate) all_told: bool,
    pub(crate) evidence: Evidence,
    pub(crate) meters: Arc<Meters>,
    /// What was drained and is not handed on yet.
    pub(crate) drained: Drained,
}

/// A batch of drained effects.
#[derive(Default)]
pub(crate) struct Drained {
    pub(crate) orders: Vec<Order>,
    pub(crate) records: Vec<Record>,
    pub(crate) events: Vec<Event>,
}

/// Takes all effects that wait, and counts them; `read` is when the line was read that
/// led to them.
pub(crate) fn drain(
    warden: &mut Warden,
    drained: &mut Drained,
    meters: &Meters,
    read: Option<Instant>,
) {
    let before = (drained.records.len(), drained.events.len());
    while let Some(effect) = warden.poll_effect() {
        match effect {
            Effect::Install(rules) => drained.orders.push(Order::Install(rules)),
            Effect::Uninstall(jail) => drained.orders.push(Order::Uninstall(jail)),
            Effect::Block(ban) => drained.orders.push(Order::Block(ban)),
            Effect::Release(jail, network) => drained.orders.push(Order::Release(jail, network)),
            Effect::Remember(record) => drained.records.push(record),
            Effect::Tell(event) => drained.events.push(event),
        }
    }
    meters.note(&drained.records[before.0..], &drained.events[before.1..], read);
}

impl Pump {
    /// Runs until all reports and commands are judged and their senders are gone.
    pub(crate) async fn run(mut self, mut inbox: Inbox) -> Warden {
        let mut reports = Vec::with_capacity(REPORTS_AT_ONCE);
        let (mut reporting, mut commanding) = (true, true);
        while reporting || commanding {
            let sleep = tokio::time::sleep(self.sleep());
            tokio::select! {
                biased;
                // Before the questions: an answer shows what the kernel said to it.
                Some((at, told)) = inbox.told.recv() => self.told(at, told),
                Some(question) = inbox.questions.recv() => self.answer(question),
                memory = late(&mut self.late) => self.take_late(memory),
                command = inbox.commands.recv(), if commanding => match command {
                    Some(command) => self.command(command),
                    None => commanding = false,
                },
                count = inbox.reports.recv_many(&mut reports, REPORTS_AT_ONCE), if reporting => {
                    reporting = count > 0;
                    for report in reports.drain(..) {
                        self.report(report);
                    }
                }
                () = sleep => {}
            }
            // After each round, or a flood of failures would starve the releases.
            self.warden.handle_time(Timestamp::now());
            self.flush();
        }
        self.warden
    }

    fn sleep(&self) -> Duration {
        let Some(wakeup) = self.warden.next_wakeup() else { return LONGEST_SLEEP };
        let wait = wakeup.duration_since(Timestamp::now());
        Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
    }

    fn drain(&mut self, read: Option<Instant>) {
        drain(&mut self.warden, &mut self.drained, &self.meters, read);
    }

    fn flush(&mut self) {
        let records = self.flush_to_all_but_store();
        if !records.is_empty() {
            self.store.write(records);
        }
    }

    /// Hands on what waits but the records, which it gives.
    fn flush_to_all_but_store(&mut self) -> Vec<Record> {
        self.drain(None);
        let Drained { orders, mut records, events } = std::mem::take(&mut self.drained);
        let lines = self.evidence.of(&records);
        records.extend(lines);
        if !orders.is_empty() {
            self.firewall.order(orders);
        }
        for event in events {
            match event.news {
                News::Reaches { jail, network, .. } => self.explain(event.at, jail, network),
                _ => announce(&self.events, event),
            }
        }
        records
    }

    /// What a backup says is true from now on; its history comes with what that changed.
    fn restore(&mut self, mut backup: Candidate) -> Restored {
        self.flush();
        // An older database that appears from now on has nothing to say.
        self.late = None;
        let now = Timestamp::now();
        let memory = std::mem::take(&mut backup.memory);
        let restored = self.warden.handle_restored(now, memory);
        if self.all_told {
            self.let_go(now);
        }
        let records = self.flush_to_all_but_store();
        self.store.write_restored(&backup, records);
        let Restored { standing, over, never, lifted } = restored;
        tracing::warn!(
            event = "restored",
            standing,
            over,
            never,
            lifted,
            "a backup was restored: {standing} bans of it stand, {lifted} others were lifted"
        );
        restored
    }

    /// Tells of a ban that does not work, when the likeliest cause is known: the
    /// firewall is asked for it, and nothing waits for the answer.
    fn explain(&self, at: Timestamp, jail: JailName, network: Network) {
        let Some(view) = self.warden.jail(&jail) else { return };
        let options = Options::from(view.rules().as_ref());
        let (firewall, events) = (Arc::clone(&self.firewall), self.events.clone());
        tokio::spawn(async move {
            let packets = firewall.packets().await;
            let packets = packets.map(|all| all.get(&jail).copied().unwrap_or_default());
            let status = firewall.status().borrow().clone();
            let evidence =
                proof::Evidence { jail: &jail, options: &options, firewall: &status, packets };
            let cause = Some(evidence.cause(network));
            announce(&events, Event { at, news: News::Reaches { jail, network, cause } });
        });
    }

    fn report(&mut self, report: Report) {
        let now = Timestamp::now();
        match report {
            Report::Failures(failures, line, read) => {
                for failure in failures {
                    self.evidence.note(&failure.jail, failure.network, &line);
                    self.warden.handle_failure(now, failure);
                }
                self.drain(Some(read));
            }
            Report::Login(login) => self.warden.handle_login(now, login),
            Report::Progress { jail, source, progress } => {
                self.warden.handle_progress(now, &jail, source, progress);
            }
            Report::SourceGone { jail, source } => {
                self.warden.handle_source_gone(now, &jail, source);
            }
        }
    }

    fn command(&mut self, command: Command) {
        let now = Timestamp::now();
        match command {
            Command::Jail(rules) => {
                self.warden.handle_jail(now, rules);
                let all = self.warden.jails().map(|jail| jail.rules().as_ref());
                self.events.notices.jails(all);
            }
            Command::JailLeft(jail) => {
                self.meters.sync(self.warden.jail(&jail));
                self.warden.handle_jail_left(now, &jail);
            }
            Command::Surroundings(all) => self.warden.handle_surroundings(now, all),
            Command::Names(names) => self.store.write(vec![Record::Names(names)]),
            Command::SshPeers(peers) => self.warden.handle_ssh_peers(now, peers),
            Command::AllTold => {
                self.all_told = true;
                self.let_go(now);
                self.flush();
                self.firewall.clean_up_unknown();
            }
        }
    }

    /// Jails that were remembered and that nobody has any more may go.
    fn let_go(&mut self, now: Timestamp) {
        let waiting = self.warden.jails().filter(|jail| !jail.is_live());
        let gone: Vec<_> = waiting.map(|jail| jail.name().clone()).collect();
        for jail in gone {
            self.warden.handle_jail_left(now, &jail);
        }
    }

    /// The database that could not be read at the start was read, or holds nothing.
    fn take_late(&mut self, memory: Option<Memory>) {
        let Some((_, meanwhile)) = self.late.take() else { return };
        let Some(memory) = memory else { return };
        let now = Timestamp::now();
        self.warden.handle_memory(now, memory, &meanwhile);
        if self.all_told {
            self.let_go(now);
        }
    }

    fn told(&mut self, at: Instant, told: Told) {
        let now = Timestamp::now();
        match told {
            Told::Outcome { in_force, held_back } => {
                self.meters.in_force(&in_force, at);
                self.warden.handle_outcome(now, Outcome { in_force, held_back });
            }
            Told::Found(found) => {
                let found = found
                    .into_iter()
                    .map(|(jail, network, until)| FoundBan { jail, network, until })
                    .collect();
                self.warden.handle_found(now, found);
            }
            Told::News(news) => announce(&self.events, Event { at: now, news }),
        }
    }

    fn answer(&mut self, question: Question) {
        let now = Timestamp::now();
        match question {
            Question::Look(look) => look(&self.warden),
            Question::Restore(backup, answer) => {
                let restored = self.restore(*backup);
                // The asker may have gone.
                let _ = answer.send(restored);
            }
            Question::Why(now, network, answer) => {
                // The asker may have gone.
                let _ = answer.send((self.warden.known(now, network), self.evidence.on(network)));
            }
            Question::Ban(request, answer) => {
                let answers = self.warden.handle_ban(now, request);
                self.answer_after_commit(answer, answers, None);
            }
            Question::Import(request, answer) => {
                let jail = request.jail.clone();
                let taken = self.warden.handle_import(now, request);
                if let Ok(taken) = &taken {
                    self.meters.imported(&jail, taken.made, taken.banned - taken.made);
                }
                self.answer_after_commit(answer, taken, None);
            }
            Question::Unban(request, answer) => {
                if let Some((_, meanwhile)) = &mut self.late {
                    meanwhile.note(&request);
                }
                let whom = LetIn::from(&request);
                let lifted = self.warden.handle_unban(now, request);
                self.answer_after_commit(answer, lifted, Some(whom));
            }
        }
    }

    /// A ban or unban is true when it is in the kernel and on disk; where that takes long,
    /// or can't be, the answer says so. `lifted`: who may be refused no more.
    fn answer_after_commit<T: Send + 'static>(
        &mut self,
        answer: oneshot::Sender<Said<T>>,
        answers: T,
        lifted: Option<LetIn>,
    ) {
        self.flush();
        let (firewall, store) = (Arc::clone(&self.firewall), self.store.clone());
        tokio::spawn(async move {
            let disk = tokio::time::timeout(PATIENCE, store.committed());
            let (kernel, disk) = tokio::join!(in_kernel(&firewall, PATIENCE), disk);
            let only_in_memory = match disk {
                Ok(on_disk) => on_disk.err(),
                Err(_) => Some(format!("the disk has not answered for {} s", PATIENCE.as_secs())),
            };
            let held = || {
                let LetIn { jail, networks } = lifted?;
                let status = firewall.status().borrow().clone();
                status.may_still_hold(jail.as_ref(), networks.as_deref())
            };
            let not_in_kernel = kernel.or_else(held);
            // The asker may have gone.
            let _ = answer.send(Said { answers, only_in_memory, not_in_kernel });
        });
    }
}

/// Who was to be let in.
struct LetIn {
    /// By this jail; none: by all.
    jail: Option<JailName>,
    /// These; none: everybody.
    networks: Option<Vec<Network>>,
}

impl From<&UnbanRequest> for LetIn {
    fn from(request: &UnbanRequest) -> LetIn {
        let networks = match &request.which {
            UnbanWhich::All => None,
            UnbanWhich::Networks(networks) => Some(networks.clone()),
        };
        LetIn { jail: request.jail.clone(), networks }
    }
}

fn banned(ban: &Ban, dry_run: bool) {
    let Ban { jail, network, until, origin, failures, .. } = ban;
    let (end, cause) = (until.phrase(), origin.cause(*failures));
    if dry_run {
        tracing::warn!(
            event = "would_ban", %jail, ip = %network, %until, failures,
            "[{jail}] Would ban {network} {end} (dry run, {cause})"
        );
    } else {
        tracing::warn!(
            event = "banned", %jail, ip = %network, %until, failures,
            "[{jail}] Ban {network} {end} ({cause})"
        );
    }
}

/// What was read late; never, where nothing is to come.
async fn late(late: &mut Option<(oneshot::Receiver<Memory>, Meanwhile)>) -> Option<Memory> {
    match late {
        Some((comes, _)) => comes.await.ok(),
        None => std::future::pending().await,
    }
}

/// Writes an event to the log and tells it to those who want to know.
pub(crate) fn announce(listeners: &Listeners, event: Event) {
    log(&event);
    listeners.tell(event);
}

/// The same without notices.
pub(crate) fn announce_unnoticed(listeners: &Listeners, event: Event) {
    log(&event);
    listeners.tell_watchers(event);
}

fn log(event: &Event) {
    match &event.news {
        News::Found { jail, network, count, line_time } => tracing::info!(
            event = "found", %jail, ip = %network, %line_time, count,
            "[{jail}] Found {network} - {line_time} ({count} now)"
        ),
        News::Ignored { jail, network, reason } => tracing::info!(
            event = "ignored", %jail, ip = %network, reason,
            "[{jail}] Ignore {network}: {reason}"
        ),
        News::Banned { ban, dry_run } => banned(ban, *dry_run),
        News::Narrowed { jail, network, prefix, reason } => tracing::warn!(
            event = "narrowed", %jail, ip = %network, %prefix, reason,
            "[{jail}] Only {network} is banned, and not {prefix}: {reason}"
        ),
        News::LoggedIn { jail, network, until } => tracing::info!(
            event = "logged_in", %jail, ip = %network, %until,
            "[{jail}] {network} logged in: its failures are forgotten, and none counts until {until:.0}"
        ),
        News::Prolonged { ban: Ban { jail, network, until, .. }, dry_run } => {
            let (stays, dry) = if *dry_run { ("would stay", " (dry run)") } else { ("stays", "") };
            tracing::warn!(
                event = if *dry_run { "would_prolong" } else { "prolonged" },
                %jail, ip = %network, %until,
                "[{jail}] {network} {stays} banned {}{dry}", until.phrase()
            );
        }
        News::Unbanned { jail, network, by_hand, dry_run } => {
            let how = if *by_hand { " by hand" } else { "" };
            let (unban, dry) = if *dry_run { ("Would unban", " (dry run)") } else { ("Unban", "") };
            tracing::warn!(
                event = if *dry_run { "would_unban" } else { "unbanned" },
                %jail, ip = %network, by_hand,
                "[{jail}] {unban} {network}{how}{dry}"
            );
        }
        News::JailStarted { jail } => {
            tracing::info!(event = "started", %jail, "[{jail}] Jail started");
        }
        News::JailStopped { jail } => {
            tracing::info!(event = "stopped", %jail, "[{jail}] Jail stopped");
        }
        News::Repaired { what } => {
            tracing::warn!(event = "repaired", what, "firewall repaired: {what}");
        }
        News::Trouble { about, jail, what, over: false } => {
            let (about, jail) =
                (NoticeKind::from(*about).as_str(), jail.as_ref().map(JailName::as_str));
            tracing::error!(event = "trouble", about, jail, what, over = false, "{what}");
        }
        News::Trouble { about, jail, what, over: true } => {
            let (about, jail) =
                (NoticeKind::from(*about).as_str(), jail.as_ref().map(JailName::as_str));
            tracing::info!(event = "trouble", about, jail, what, over = true, "well again: {what}");
        }
        News::Reaches { jail, network, cause } => {
            let cause = cause.as_deref().unwrap_or("the cause is not known");
            tracing::error!(
                event = "reaches", %jail, ip = %network, cause,
                "[{jail}] {}", proof::sentence(*network, cause)
            );
        }
    }
}
