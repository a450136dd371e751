//! Answers guardctl: gathers what the warden, the jails' task, the firewall and
//! the store know, and hands bans and unbans to the warden.

mod fail2ban;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};

use super::follow::gap_words;
use super::jails::{AskJails, EngineState, FollowerView, Jails};
use super::metrics::Served;
use super::proof::{self, Evidence};
use super::pump::Ask;
use super::trial::Wish;
use crate::control::protocol::{
    BanRefused, BanView, Counter, EngineView, FirewallView, Health, InForce, JailPackets,
    JailState, JailStatus, JailSummary, Options, Overview, Packets, Refusal, RefusedKind, Reply,
    Request, SourceKind, SourceState, SourceStatus, StoreView, Which,
};
use crate::control::server::Asked;
use crate::files::FileStatus;
use crate::firewall;
use crate::journal::JournalState;
use crate::labels::{self, Complaint, Severity};
use crate::model::{Ban, BanTime, JailName, Network, ServiceId, Timestamp};
use crate::store::Store;
use crate::warden::{
    BanRequest, BanState, JailView, NoSuchJail, Standing, UnbanRequest, UnbanWhich, Warden,
};

mod backup;
mod doctor;
mod import;
mod metrics;
mod notify;
mod past;
mod why;

/// guard is stopping: nobody answers any more.
struct Stopping;

/// Answers requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) warden: Ask,
    pub(crate) jails: AskJails,
    pub(crate) firewall: Arc<firewall::Handle>,
    pub(crate) store: Store,
    /// What the start had to say.
    pub(crate) notes: Vec<String>,
    pub(crate) started: Timestamp,
    /// What the warden began with.
    pub(crate) settings: crate::warden::Settings,
    /// What the doctor is told of the settings.
    pub(crate) ward: super::doctor::Ward,
    /// Where notices go.
    pub(crate) notices: super::notices::Notices,
    /// Who has it may try a log.
    pub(crate) trials: Arc<Semaphore>,
    /// Who has it may make a backup, or restore one.
    pub(crate) backups: Arc<Semaphore>,
    /// Where the metrics are, if there are to be any.
    pub(crate) metrics: Option<watch::Receiver<Served>>,
}

/// What the jails' task knows of one jail.
#[derive(Default)]
struct Watched {
    followers: Vec<FollowerView>,
    complaints: Vec<Complaint>,
}

/// What the warden knows of one jail.
struct Judged {
    name: JailName,
    service: ServiceId,
    live: bool,
    failed_now: u64,
    found: u64,
    banned_now: u64,
    banned: u64,
    options: Options,
    warnings: Vec<String>,
    /// Whom its bans do not keep out.
    reaching: Vec<Network>,
    dropped: Vec<Counter>,
}

impl Operator {
    /// Answers until nobody asks any more; a slow answer keeps no other waiting.
    pub(crate) async fn run(self, mut questions: mpsc::Receiver<Asked>) {
        while let Some(Asked { request, mut answer, progress }) = questions.recv().await {
            let operator = self.clone();
            tokio::spawn(async move {
                let reply = tokio::select! {
                    reply = operator.answer(request, progress.clone()) => reply,
                    // What takes long is not done for nobody; all else is.
                    () = answer.closed(), if progress.is_some() => return,
                };
                let reply = reply.unwrap_or_else(|Stopping| {
                    Reply::refused(RefusedKind::Busy, "guard is stopping")
                });
                // The client may have gone.
                let _ = answer.send(reply);
            });
        }
    }

    async fn answer(
        &self,
        request: Request,
        progress: Option<mpsc::Sender<Reply>>,
    ) -> Result<Reply, Stopping> {
        match request {
            Request::Ping => Ok(Reply::Pong(self.health().await?)),
            Request::Version => Ok(Reply::Version { guard: env!("CARGO_PKG_VERSION").to_owned() }),
            Request::Status { jail: None } => self.overview().await,
            Request::Status { jail: Some(jail) } => self.jail_status(&jail).await,
            Request::Banned { network } => self.banned(network).await,
            Request::Ban { networks, jail, time, force } => {
                self.ban(networks, jail, time, force).await
            }
            Request::ImportBans { jail, bans } => self.import_bans(&jail, bans).await,
            Request::Unban { which, jail } => self.unban(which, jail).await,
            Request::Flush => self.flush().await,
            Request::Fail2ban { words } => self.fail2ban(&words).await,
            Request::History { network, jail, since, limit } => {
                self.history((network, jail), since, limit).await
            }
            Request::Why { network } => self.why(network).await,
            Request::Try { service, options, since } => {
                self.trial(&service, Wish { options, since }, progress).await
            }
            Request::Doctor => self.doctor().await,
            Request::Suggest => self.suggest().await,
            Request::Backup => self.backup(progress).await,
            Request::Upload { at, piece } => self.upload(at, piece).await,
            Request::Restore { bytes } => self.restore(bytes).await,
            Request::Notify { target } => Ok(self.notify(target.as_deref()).await),
            // The server itself tells events; the request never comes here.
            Request::Watch => Ok(Reply::Watching),
        }
    }

    async fn health(&self) -> Result<Health, Stopping> {
        let firewall = self.firewall.status().borrow().clone();
        let unlifted = || firewall.may_still_hold(None, None);
        let problem = firewall.problems.first().cloned().or_else(unlifted);
        let engine = self.engine().await?;
        Ok(Health {
            firewall_problem: (!firewall.healthy)
                .then(|| problem.unwrap_or_else(|| "not all bans are in the kernel yet".into())),
            engine_problem: (!engine.connected).then_some(engine.words),
            store_problem: self.store.status().borrow().problem.clone(),
        })
    }

    async fn engine(&self) -> Result<EngineView, Stopping> {
        let state = self.jails.look(|jails| jails.engine().clone()).await.ok_or(Stopping)?;
        Ok(match state {
            EngineState::Connecting => {
                EngineView { connected: false, words: "not reached yet".into() }
            }
            EngineState::Connected(engine) => {
                let info = engine.info();
                let name = info.platform.name();
                let words = format!("{name} {} (API {})", info.version, info.api_version);
                EngineView { connected: true, words }
            }
            EngineState::Lost(_, why) => EngineView { connected: false, words: why },
        })
    }

    async fn overview(&self) -> Result<Reply, Stopping> {
        let judged = self.warden.look(|warden| warden.jails().map(judged).collect::<Vec<_>>());
        let packets = self.firewall.packets().await;
        let mut summaries = Vec::new();
        // All in one go: asked for jail by jail, each would go over all followers.
        let mut all = self.jails.look(all_watched).await.ok_or(Stopping)?;
        for jail in judged.await.ok_or(Stopping)? {
            let watched = all.remove(&jail.name).unwrap_or_default();
            let packets = packets.as_ref().and_then(|all| all.get(&jail.name)).copied();
            summaries.push(self.summary(jail, &watched, packets));
        }
        let complaints = self.jails.look(|jails| jails.complaints().to_vec());
        let limits = self.jails.look(|jails| [jails.limits(), jails.list_troubles()].concat());
        let firewall = self.firewall.status().borrow().clone();
        let store = self.store.status().borrow().clone();
        let uptime = Timestamp::now().duration_since(self.started).as_secs();
        Ok(Reply::Status(Overview {
            guard: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: u64::try_from(uptime).unwrap_or_default(),
            engine: self.engine().await?,
            firewall: FirewallView {
                backend: firewall.backend.clone(),
                healthy: firewall.healthy,
                problems: firewall.problems.iter().cloned().chain(firewall.unlifted()).collect(),
                repairs: firewall.repairs,
                heard: firewall.heard,
            },
            store: StoreView {
                path: store.path.display().to_string(),
                healthy: store.healthy(),
                problem: store.problem.clone(),
                dropped_history: store.dropped_history,
            },
            notices: self.notices.views(),
            metrics: self.metrics_view().map(Box::new),
            jails: summaries,
            // Warnings stand with their jail.
            refused: complaints
                .await
                .ok_or(Stopping)?
                .iter()
                .filter(|told| told.severity == Severity::Error || told.jail.is_none())
                .map(refusal)
                .collect(),
            notes: limits
                .await
                .ok_or(Stopping)?
                .into_iter()
                .chain(self.notes.iter().chain(&store.notes).chain(&firewall.notes).cloned())
                .collect(),
        }))
    }

    fn summary(
        &self,
        jail: Judged,
        watched: &Watched,
        packets: Option<firewall::JailPackets>,
    ) -> JailSummary {
        JailSummary {
            state: state(&jail, watched),
            warnings: self.warnings(&jail, watched, packets),
            packets: packets.map(packets_view),
            service: jail.service.to_string(),
            found: jail.found,
            failed_now: jail.failed_now,
            banned_now: jail.banned_now,
            banned_total: jail.banned,
            dry_run: jail.options.dryrun,
            sources: watched.followers.iter().flat_map(sources).collect(),
            name: jail.name,
        }
    }

    async fn watched(&self, jail: &JailName) -> Result<Watched, Stopping> {
        let jail = jail.clone();
        let look = self.jails.look(move |jails| Watched {
            followers: jails.followers(&jail),
            complaints: jails
                .complaints()
                .iter()
                .filter(|complaint| complaint.jail.as_ref() == Some(&jail))
                .cloned()
                .collect(),
        });
        look.await.ok_or(Stopping)
    }

    /// All that is wrong with a jail, a sentence each.
    fn warnings(
        &self,
        jail: &Judged,
        watched: &Watched,
        packets: Option<firewall::JailPackets>,
    ) -> Vec<String> {
        let firewall = self.firewall.status().borrow().clone();
        let mut warnings = jail.warnings.clone();
        warnings.extend(watched.complaints.iter().map(Complaint::one_line));
        for follower in &watched.followers {
            let state = &follower.state;
            if follower.died {
                warnings.push(format!(
                    "a source in {} is not read any more: its reader died; restart the container, \
                     and report the defect with guard's log",
                    follower.container
                ));
            }
            if let Some(problem) = &state.problem {
                warnings.push(format!("output of {}: {problem}", follower.container));
            }
            if let Some(gap) = &state.output.last_gap {
                let (times, words) = (state.output.gaps, gap_words(gap));
                let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
                warnings.push(format!("output of {}: {words}{times}", follower.container));
            }
            for file in &state.files {
                if let FileStatus::Refused(why) | FileStatus::Unreachable(why) = &file.status {
                    warnings.push(format!("{} in {}: {why}", file.shown, follower.container));
                }
                if let Some(why) = &file.last_gap {
                    let (shown, container) = (&file.shown, &follower.container);
                    warnings.push(format!("{shown} in {container}: lines may be lost: {why}"));
                }
            }
            if state.given_up > 0 {
                warnings.push(format!(
                    "on {} lines of {} a regex took more steps than it may, and they count as no \
                     match: leave out nested repetitions, or what needs look-around",
                    state.given_up, follower.container
                ));
            }
            if state.nobody > 0 {
                warnings.push(format!(
                    "{} failures in {} name no address, so nobody can be banned for them: put \
                     <HOST> where the address is",
                    state.nobody, follower.container
                ));
            }
            warnings.extend(state.journal.iter().flat_map(JournalState::warnings));
            if let Some(hint) = &state.zone_hint {
                warnings.push(zone_warning(&follower.container, hint.offset_seconds));
            }
        }
        if let Some(chain) = firewall.jails.get(&jail.name) {
            warnings.extend(chain.problems.iter().cloned());
        }
        let evidence =
            Evidence { jail: &jail.name, options: &jail.options, firewall: &firewall, packets };
        let reaching = jail.reaching.iter();
        warnings.extend(reaching.map(|who| proof::sentence(*who, &evidence.cause(*who))));
        warnings
    }

    async fn jail_status(&self, asked: &str) -> Result<Reply, Stopping> {
        let name = match self.jail_named(asked).await? {
            Ok(name) => name,
            Err(refused) => return Ok(refused),
        };
        let look = {
            let name = name.clone();
            self.warden.look(move |warden| {
                warden.jail(&name).map(|jail| (judged(jail), oldest_first(jail.bans())))
            })
        };
        let Some((jail, banned)) = look.await.ok_or(Stopping)? else {
            return Ok(not_found(asked));
        };
        let watched = self.watched(&name).await?;
        let asked = name.clone();
        let written = self.jails.look(move |jails| jails.written(&asked)).await.ok_or(Stopping)?;
        let packets = self.firewall.packets().await;
        let packets = packets.as_ref().and_then(|all| all.get(&name)).copied();
        let firewall = self.firewall.status().borrow().clone();
        Ok(Reply::Jail(Box::new(JailStatus {
            state: state(&jail, &watched),
            warnings: self.warnings(&jail, &watched, packets),
            packets: packets.map(packets_view),
            service: jail.service.to_string(),
            sources: watched.followers.iter().flat_map(sources).collect(),
            failed_now: jail.failed_now,
            found_total: jail.found,
            banned_now: jail.banned_now,
            banned_total: jail.banned,
            banned,
            options: jail.options,
            written,
            firewall_chain: firewall.jails.get(&name).map(|jail| jail.chain.clone()),
            dropped: jail.dropped,
            name,
        })))
    }

    async fn banned(&self, network: Option<Network>) -> Result<Reply, Stopping> {
        let look = self.warden.look(move |warden| match network {
            Some(network) => oldest_first(warden.bans_on(network)),
            None => oldest_first(warden.jails().flat_map(JailView::bans)),
        });
        Ok(Reply::Banned { network, bans: look.await.ok_or(Stopping)? })
    }

    async fn ban(
        &self,
        networks: Vec<Network>,
        jail: Option<String>,
        time: Option<BanTime>,
        force: bool,
    ) -> Result<Reply, Stopping> {
        let jail = match self.optional_jail(jail).await? {
            Ok(jail) => jail,
            Err(refused) => return Ok(refused),
        };
        let asked = networks.clone();
        let request = BanRequest { networks, jail, time, force };
        let said = self.warden.ban(request).await.ok_or(Stopping)?;
        let (mut made, mut refused) = (Vec::new(), Vec::new());
        for (network, said) in asked.into_iter().zip(said.answers) {
            match said {
                Ok(ban) => made.push(ban),
                Err(why) => refused.push(BanRefused { network, message: why.to_string() }),
            }
        }
        let look = self.warden.look(move |warden| views(warden, &made));
        let banned = look.await.ok_or(Stopping)?;
        let (only_in_memory, not_in_kernel) = (said.only_in_memory, said.not_in_kernel);
        Ok(Reply::Ban { banned, refused, only_in_memory, not_in_kernel })
    }

    async fn unban(&self, which: Which, jail: Option<String>) -> Result<Reply, Stopping> {
        let jail = match self.optional_jail(jail).await? {
            Ok(jail) => jail,
            Err(refused) => return Ok(refused),
        };
        let which = match which {
            Which::All => UnbanWhich::All,
            Which::Networks(networks) => UnbanWhich::Networks(networks),
        };
        let said = self.warden.unban(UnbanRequest { which, jail }).await.ok_or(Stopping)?;
        Ok(match said.answers {
            Ok(unbanned) => Reply::Unban {
                lifted: unbanned.lifted.iter().map(lifted).collect(),
                absent: unbanned.not_banned,
                covered: unbanned
                    .covered
                    .iter()
                    .map(|covered| BanRefused {
                        network: covered.network,
                        message: covered.to_string(),
                    })
                    .collect(),
                only_in_memory: said.only_in_memory,
                not_in_kernel: said.not_in_kernel,
            },
            Err(NoSuchJail(jail)) => not_found(jail.as_str()),
        })
    }

    async fn flush(&self) -> Result<Reply, Stopping> {
        let request = UnbanRequest { which: UnbanWhich::All, jail: None };
        let said = self.warden.unban(request).await.ok_or(Stopping)?;
        let lifted = said.answers.map_or(0, |unbanned| unbanned.lifted.len());
        let (only_in_memory, not_in_kernel) = (said.only_in_memory, said.not_in_kernel);
        Ok(Reply::Flushed { lifted: lifted as u64, only_in_memory, not_in_kernel })
    }

    async fn optional_jail(
        &self,
        jail: Option<String>,
    ) -> Result<Result<Option<JailName>, Reply>, Stopping> {
        match jail {
            None => Ok(Ok(None)),
            Some(jail) => Ok(self.jail_named(&jail).await?.map(Some)),
        }
    }

    /// The jail of that name, or the only one of the service of that name.
    async fn jail_named(&self, asked: &str) -> Result<Result<JailName, Reply>, Stopping> {
        let look = self.warden.look(|warden| {
            let all = warden.jails();
            all.map(|jail| (jail.name().clone(), jail.rules().service.clone())).collect::<Vec<_>>()
        });
        let all = look.await.ok_or(Stopping)?;
        if let Some((name, _)) = all.iter().find(|(name, _)| name.as_str() == asked) {
            return Ok(Ok(name.clone()));
        }
        let of_service: BTreeSet<_> = all
            .iter()
            .filter(|(_, service)| service.short() == asked)
            .map(|(name, _)| name)
            .collect();
        let mut of_service = of_service.into_iter();
        Ok(match (of_service.next(), of_service.next()) {
            (Some(only), None) => Ok(only.clone()),
            (Some(first), Some(second)) => Err(Reply::refused(
                RefusedKind::NotFound,
                format!(
                    "several jails belong to `{asked}` ({first}, {second}, …): name one of them"
                ),
            )),
            (None, _) => {
                let names = all.iter().map(|(name, _)| name.as_str());
                Err(match labels::nearest(asked, names) {
                    Some(near) => Reply::refused(
                        RefusedKind::NotFound,
                        format!("there is no jail `{asked}`; did you mean `{near}`?"),
                    ),
                    None => not_found(asked),
                })
            }
        })
    }
}

fn all_watched(jails: &Jails) -> HashMap<JailName, Watched> {
    let mut all: HashMap<JailName, Watched> = HashMap::new();
    for (jail, follower) in jails.all_followers() {
        all.entry(jail.clone()).or_default().followers.push(follower);
    }
    for watched in all.values_mut() {
        watched.followers.sort_by(|a, b| a.container.cmp(&b.container));
    }
    for complaint in jails.complaints() {
        if let Some(jail) = &complaint.jail {
            all.entry(jail.clone()).or_default().complaints.push(complaint.clone());
        }
    }
    all
}

fn not_found(jail: &str) -> Reply {
    let message = format!(
        "Sorry but the jail '{jail}' does not exist; `guardctl status` lists those that do"
    );
    Reply::refused(RefusedKind::NotFound, message)
}

fn state(jail: &Judged, watched: &Watched) -> JailState {
    let refused = watched.complaints.iter().any(|complaint| complaint.severity == Severity::Error);
    match (jail.live, refused) {
        (true, _) => JailState::Watching,
        (false, true) => JailState::Refused,
        (false, false) => JailState::NoContainers,
    }
}

fn judged(jail: JailView<'_>) -> Judged {
    let rules = jail.rules();
    let count =
        |what: &str, count: u64| (count > 0).then(|| Counter { what: what.to_owned(), count });
    let dropped = jail.dropped();
    Judged {
        name: jail.name().clone(),
        service: rules.service.clone(),
        // guard's own jail has no containers to wait for.
        live: jail.is_live() || rules.service == ServiceId::BuiltIn,
        failed_now: jail.failed_now() as u64,
        found: jail.found(),
        banned_now: jail.banned_now() as u64,
        banned: jail.banned(),
        options: Options::from(rules.as_ref()),
        warnings: jail
            .hidden()
            .chain(jail.awaits_ssh())
            .map(|hidden| format!("{} ({} times). {}", hidden.what(), hidden.count, hidden.cure()))
            .chain(held(jail.held()))
            .collect(),
        reaching: jail.reaching().collect(),
        dropped: [
            count("failures of addresses that are never banned", jail.ignored()),
            count("addresses with one failure, forgotten for want of room", dropped.once),
            count("addresses with several failures, forgotten for want of room", dropped.more),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

/// Bans that wait.
fn held(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{count} bans are held back, because the jail began too many within a minute \
             (GUARD_BAN_BURST): a flood of forged addresses, or a regex that matches too much"
        )
    })
}

fn oldest_first<'a>(bans: impl Iterator<Item = &'a Standing>) -> Vec<BanView> {
    let mut views: Vec<_> = bans.map(view).collect();
    views.sort_by_key(|view| (view.since, view.network));
    views
}

fn views(warden: &Warden, bans: &[Ban]) -> Vec<BanView> {
    bans.iter()
        .map(|ban| {
            let jail = warden.jail(&ban.jail);
            let standing = jail.and_then(|jail| {
                jail.bans_on(ban.network).find(|standing| standing.ban.network == ban.network)
            });
            standing.map_or_else(|| BanView::new(ban, InForce::Pending), view)
        })
        .collect()
}

fn view(standing: &Standing) -> BanView {
    BanView::new(
        &standing.ban,
        match standing.state {
            BanState::InForce => InForce::Yes,
            BanState::Pending | BanState::HeldBack => InForce::Pending,
            BanState::DryRun => InForce::DryRun,
        },
    )
}

fn lifted(ban: &Ban) -> BanView {
    BanView::new(ban, InForce::Yes)
}

fn packets_view(packets: firewall::JailPackets) -> JailPackets {
    let view = |packets: firewall::Packets| Packets {
        refused: packets.refused,
        replies_dropped: packets.replies_dropped,
        passed: packets.passed,
    };
    JailPackets { ipv4: view(packets.v4), ipv6: view(packets.v6) }
}

fn refusal(complaint: &Complaint) -> Refusal {
    Refusal {
        container: complaint.container.clone(),
        label: complaint.label.clone(),
        complaint: complaint.render(),
    }
}

pub(super) fn sources(follower: &FollowerView) -> Vec<SourceStatus> {
    if follower.output {
        return vec![output(follower)];
    }
    if let Some(terms) = &follower.journal {
        let unseen = follower.state.journal.as_ref().is_some_and(JournalState::is_unseen);
        return vec![SourceStatus {
            state: if unseen { SourceState::Waiting } else { SourceState::Following },
            reason: unseen.then(|| "guard sees no journal".to_owned()),
            ..SourceStatus::new(terms.clone(), SourceKind::Journal)
        }];
    }
    let files = follower.state.files.iter().map(|file| {
        let (state, reason) = match &file.status {
            FileStatus::Following => (SourceState::Following, None),
            FileStatus::Waiting => (SourceState::Waiting, Some("no such file yet".to_owned())),
            FileStatus::Refused(why) | FileStatus::Unreachable(why) => {
                (SourceState::Refused, Some(why.clone()))
            }
        };
        let source = SourceStatus::new(file.shown.clone(), SourceKind::File);
        SourceStatus {
            state,
            reason,
            behind: file.behind,
            behind_seconds: file.behind_seconds,
            gaps: file.gaps,
            cut_lines: file.cut_lines,
            cut_bytes: file.cut_bytes,
            ..source
        }
    });
    files.collect()
}

fn output(follower: &FollowerView) -> SourceStatus {
    let state = &follower.state;
    let (source_state, reason) = match &state.problem {
        Some(problem) => (SourceState::Refused, Some(problem.clone())),
        None if state.ended => (SourceState::Waiting, Some("the container stopped".to_owned())),
        None => (SourceState::Following, None),
    };
    let output = &state.output;
    SourceStatus {
        state: source_state,
        reason,
        behind_seconds: output.behind_seconds(Timestamp::now()),
        lines: output.lines,
        trouble: output.trouble.as_ref().map(|(_, why)| why.clone()),
        gaps: output.gaps,
        clock_steps: output.clock_steps,
        cut_bytes: output.cut_bytes,
        ..SourceStatus::new(follower.container.to_string(), SourceKind::Output)
    }
}

fn zone_warning(container: &str, offset: i64) -> String {
    let minutes = offset.abs() / 60;
    let (direction, sign) = if offset > 0 { ("ahead", '+') } else { ("behind", '-') };
    format!(
        "dates in the log of {container} are {}:{:02} h {direction}; lines count as just written. \
         Set guard.logtimezone to the zone that the log is written in, such as Europe/Paris or \
         UTC{sign}{:02}{:02}",
        minutes / 60,
        minutes % 60,
        minutes / 60,
        minutes % 60,
    )
}
