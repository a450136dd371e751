//! The thread's own state, and one turn of its loop.
//!
//! A turn takes the orders that wait, looks at chains and sets if there is a
//! reason to ([`structure`](super::structure)), brings the elements in
//! ([`elements`](super::elements)), and tells what came of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::{JailName, Network, News, Timestamp, Until};

use super::changes::Hearing;
use super::iptables::{self, ToolError};
use super::kind::Kind;
use super::lifting::Lifting;
use super::look::{Seen, UnderWay, pause};
use super::names::{Family, Names};
use super::nft::{DockerFirewall, Nft};
use super::sets::{SetError, Sets};
use super::status::{Findings, JailStatus, Status};
use super::structure::count_fits;
use super::wanted::{Touched, Wanted};

use super::{BackendChoice, Inbox, OnStop, Settings, Told};

/// Every element is looked at this often.
pub(crate) const FULL_EVERY: Duration = Duration::from_secs(600);
/// Nobody tells when a set is emptied: their headers, which cost next to nothing,
/// are read this often.
const SETS_EVERY: Duration = Duration::from_secs(2);
/// After a failure the next try comes soon, then later and later.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// How chains know who is banned.
#[derive(Debug)]
pub(crate) enum Backend {
    /// By sets.
    Ipset(Sets),
    /// By a rule for each ban.
    Iptables,
    /// By sets in a table of guard's own.
    Nftables(Nft),
}

/// A ban, by its jail and whom it keeps out.
type Standing = (JailName, Network);

/// What is known of one family.
#[derive(Debug, Default)]
pub(crate) struct FamilyState {
    /// The kind of iptables in use, by the last look that did not fail.
    pub(crate) kind: Option<Kind>,
    /// Has it ever worked?
    pub(crate) worked: bool,
    /// Is it left alone, by choice or because this host has none? Its bans wait
    /// for nothing then.
    pub(crate) off: bool,
    /// When jumps were moved back to the head, by chain.
    pub(crate) moves: BTreeMap<String, VecDeque<Instant>>,
    /// The last look, if it can stand in for the next one.
    pub(crate) seen: Option<Seen>,
    /// Where it is off by choice: is what an earlier guard left gone, or why not? `None`:
    /// that was not tried.
    pub(crate) swept: Option<Result<(), String>>,
    /// When that was tried last.
    pub(crate) swept_at: Option<Instant>,
    /// Was it ever looked at? Only the first look is waited for.
    pub(crate) looked: bool,
    /// Was there a jump to DOCKER-USER, of either kind, at the last look that did not fail?
    pub(crate) docker_jump: Option<bool>,
    /// The look that the tools are run for.
    pub(crate) under_way: Option<UnderWay>,
}

/// What is known of a jail in the kernel.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Its names, and which try they are.
    pub(crate) names: Names,
    pub(crate) attempt: u32,
    /// Who is in the kernel, and when the kernel lets him go; `None`: never.
    pub(crate) applied: HashMap<Network, Option<Timestamp>>,
    /// Found in the kernel, not ordered, not answered yet.
    pub(crate) undecided: HashSet<Network>,
    /// Ordered, and not in force.
    pub(crate) held: HashSet<Network>,
    /// Bans of which something is to be told at the end of the turn.
    pub(crate) changed: HashSet<Network>,
    /// By family: is the chain there, and do packets come to it?
    pub(crate) ready: [bool; 2],
    /// By family: is the chain (and its set) there?
    pub(crate) made: [bool; 2],
    /// By family: is the set there? Elements need no more, whatever the chains are like.
    pub(crate) has_set: [bool; 2],
    /// By family: was what an earlier guard left looked at?
    pub(crate) adopted: [bool; 2],
    /// Was its chain ever as it should be? Until then it may hold an earlier guard's rules.
    pub(crate) stood: [bool; 2],
    /// By family: `applied` may be wrong.
    pub(crate) suspect: [bool; 2],
    /// By family: the set or the chain could not be made.
    pub(crate) broken: [bool; 2],
    /// Were the bans looked at that another backend may hold for it?
    pub(crate) others_asked: bool,
}

impl Placed {
    /// A jail of which nothing is known yet.
    pub(crate) fn new(names: Names, attempt: u32) -> Placed {
        Placed {
            names,
            attempt,
            applied: HashMap::new(),
            undecided: HashSet::new(),
            held: HashSet::new(),
            changed: HashSet::new(),
            ready: [false; 2],
            made: [false; 2],
            has_set: [false; 2],
            adopted: [false; 2],
            stood: [false; 2],
            suspect: [true; 2],
            broken: [false; 2],
            others_asked: false,
        }
    }

    /// Is the ban in front of the jail's services?
    fn is_in_force(&self, network: Network) -> bool {
        self.ready[Family::of(network) as usize] && self.applied.contains_key(&network)
    }
}

/// Keeps the kernel in the wanted state.
pub(crate) struct Keeper {
    pub(crate) settings: Settings,
    tell: Box<dyn Fn(Told) + Send>,
    status: watch::Sender<Arc<Status>>,
    pub(crate) wanted: Wanted,
    pub(crate) placed: BTreeMap<JailName, Placed>,
    pub(crate) backend: Option<Backend>,
    /// Why there are no sets, where guard chose to do without.
    pub(crate) no_sets: Option<String>,
    pub(crate) families: [FamilyState; 2],
    /// Chains and sets of jails that are gone, and names given up.
    pub(crate) left_chains: [BTreeSet<String>; 2],
    pub(crate) left_sets: BTreeSet<String>,
    /// Is everything that no jail wants to go?
    pub(crate) clean_up: bool,
    /// What Docker says of its own firewall.
    pub(crate) engine: DockerFirewall,
    /// Is what other backends left to go, and is it gone?
    pub(crate) clear_others: bool,
    pub(crate) others_removed: bool,
    /// May other backends still hold bans of an earlier guard?
    pub(crate) others_hold: bool,
    /// When not all of that could be taken away; it is tried again after a while.
    pub(crate) others_failed: Option<Instant>,
    /// Bans that were lifted and may not be gone from the kernel.
    pub(crate) lifting: Lifting,
    /// What is wrong now, and what was after the turn before.
    pub(crate) findings: Findings,
    told_findings: Findings,
    /// What this turn put back.
    pub(crate) mended: Vec<String>,
    /// What this turn found left by an earlier guard.
    pub(crate) found: Vec<(JailName, Network, Until)>,
    /// Did something in this turn fail that is worth another try soon?
    pub(crate) failed: bool,
    repairs: u64,
    pub(crate) hearing: Hearing,
    /// A look's tools are not at their end: when they are asked for again.
    pub(crate) awaited: Option<Instant>,
    /// Something happened since the look that is awaited began: one more is due.
    look_again: bool,
    /// When this look's tools were started.
    look_begun: Instant,
    /// What this turn's look cost.
    pub(crate) look_cost: Duration,
    next_check: Instant,
    next_sets: Instant,
    next_full: Instant,
    retry: Option<Instant>,
    backoff: Duration,
}

impl Keeper {
    pub(crate) fn new(
        settings: Settings,
        tell: Box<dyn Fn(Told) + Send>,
        status: watch::Sender<Arc<Status>>,
    ) -> Keeper {
        let now = Instant::now();
        Keeper {
            settings,
            tell,
            status,
            wanted: Wanted::default(),
            placed: BTreeMap::new(),
            backend: None,
            no_sets: None,
            families: Default::default(),
            left_chains: Default::default(),
            left_sets: BTreeSet::new(),
            clean_up: false,
            engine: DockerFirewall::Unknown,
            clear_others: false,
            others_removed: false,
            others_hold: true,
            others_failed: None,
            lifting: Lifting::default(),
            findings: Findings::default(),
            told_findings: Findings::default(),
            mended: Vec::new(),
            found: Vec::new(),
            failed: false,
            repairs: 0,
            hearing: Hearing::new(now),
            awaited: None,
            look_again: false,
            look_begun: now,
            look_cost: Duration::ZERO,
            next_check: now,
            next_sets: now,
            next_full: now,
            retry: None,
            backoff: RETRY_FIRST,
        }
    }

    /// When the next turn is due if nobody orders anything.
    pub(crate) fn next_turn(&self) -> Instant {
        let sets = matches!(self.backend, Some(Backend::Ipset(_))).then_some(self.next_sets);
        sets.into_iter().chain(self.hearing.due()).fold(self.next_look(), Instant::min)
    }

    fn next_look(&self) -> Instant {
        if let Some(awaited) = self.awaited {
            return awaited;
        }
        self.retry.map_or(self.next_check, |retry| retry.min(self.next_check))
    }

    /// Changes rules of the filter table; that guard did it is remembered.
    pub(crate) fn restore(
        &mut self,
        family: Family,
        kind: Kind,
        lines: &[String],
    ) -> Result<(), ToolError> {
        self.hearing.generations.own(|| iptables::restore(family, kind, lines))
    }

    /// One turn.
    pub(crate) fn turn(&mut self, inbox: Inbox) {
        if inbox.stop && self.settings.on_stop == OnStop::Remove {
            return; // All of it goes in a moment.
        }
        let now = Instant::now();
        let touched = self.wanted.apply(inbox.delta);
        self.clean_up |= inbox.clean_up;
        self.engine = inbox.engine.unwrap_or(self.engine);
        for gone in &touched.gone {
            if let Some(placed) = self.placed.remove(gone) {
                self.give_up(placed.names);
            }
        }
        for changed in &touched.jails {
            // What changes now was ordered, and is no repair.
            if let Some(placed) = self.placed.get_mut(changed) {
                placed.made = [false; 2];
            }
        }
        let heard = self.hearing.hears(inbox.changed, now);
        let every_element = inbox.check || now >= self.next_full;
        let due = every_element
            || heard
            || inbox.clean_up
            || now >= self.next_look()
            || !touched.jails.is_empty()
            || !touched.gone.is_empty()
            || self.sets_differ(now)
            || self.lacks_sets(&touched);
        self.failed = false;
        if every_element || inbox.clean_up || self.retry.is_some() {
            self.forget_seen();
        }
        if self.awaited.is_none() && due {
            self.hearing.generations.looking();
            self.look_begun = now;
        } else {
            self.look_again |= every_element || heard || inbox.clean_up;
        }
        let look = (due || self.awaited.is_some()) && self.has_looked();
        if look {
            self.findings = Findings::default();
            self.look_cost = Duration::ZERO;
            self.structure(now);
            let again = std::mem::take(&mut self.look_again);
            let pause = if again { Duration::ZERO } else { self.pause() };
            self.next_check = Instant::now() + pause;
            self.hearing.looked(self.look_begun);
        }
        // nf_tables itself tells whether anybody changed an element.
        let told = matches!(self.backend, Some(Backend::Nftables(_))) && now < self.next_full;
        if every_element && !told {
            self.next_full = now + FULL_EVERY;
            self.doubt_sets();
        }
        self.bring_in(&touched, look);
        let due = self.others_failed.is_none_or(|at| at.elapsed() >= FULL_EVERY);
        if look && due && self.clear_others && !self.failed {
            self.remove_others();
        }
        self.see_to_lifted(&touched);
        self.report(&touched);
        self.schedule(look);
        if !inbox.count.is_empty() {
            let packets = self.packets();
            for asked in inbox.count {
                // Who asked may have lost patience.
                let _ = asked.send(packets.clone());
            }
        }
    }

    /// How long no look is due.
    fn pause(&self) -> Duration {
        let legacy = |state: &FamilyState| state.kind == Some(Kind::Legacy);
        let nobody_tells = self.families.iter().any(legacy) || !self.hearing.is_listening();
        pause(self.look_cost, !nobody_tells)
    }

    /// Is a set gone, or does one hold more or less than it should?
    fn sets_differ(&mut self, now: Instant) -> bool {
        let Some(Backend::Ipset(sets)) = &mut self.backend else { return false };
        if now < self.next_sets {
            return false;
        }
        self.next_sets = now + SETS_EVERY;
        // What fails here fails in the next look too, and is told then.
        let Ok(headers) = sets.headers() else { return true };
        let fits = |placed: &Placed, family: Family| {
            let header = headers.get(placed.names.set(family));
            header.is_some_and(|header| count_fits(placed, family, header.elements))
        };
        let families =
            Family::ALL.into_iter().filter(|f| self.families[*f as usize].kind.is_some());
        families.into_iter().any(|family| {
            self.placed.values().any(|placed| placed.made[family as usize] && !fits(placed, family))
        })
    }

    /// Has every set looked at, element by element. Rules are, with every look.
    fn doubt_sets(&mut self) {
        match &mut self.backend {
            Some(Backend::Ipset(_)) => {
                for placed in self.placed.values_mut() {
                    placed.suspect = [true; 2];
                }
            }
            Some(Backend::Nftables(nft)) => nft.doubt(),
            Some(Backend::Iptables) | None => {}
        }
    }

    /// The next look: soon after a failure, and not sooner for every order that comes.
    fn schedule(&mut self, looked: bool) {
        if !self.failed {
            if looked {
                self.retry = None;
                self.backoff = RETRY_FIRST;
            }
            return;
        }
        if looked || self.retry.is_none() {
            // From now, not from the turn's begin: a tool may have hung for longer than that.
            self.retry = Some(Instant::now() + self.backoff);
            self.backoff = (self.backoff * 2).min(RETRY_LAST);
        }
    }

    /// A jail's names are not wanted any more; what bears them goes with the next look.
    pub(crate) fn give_up(&mut self, names: Names) {
        for left in &mut self.left_chains {
            left.insert(names.chain.clone());
        }
        self.left_sets.extend([names.set4, names.set6]);
    }

    /// Opens the backend; `false`: there is none now.
    pub(crate) fn has_backend(&mut self) -> bool {
        self.follow_docker();
        if self.backend.is_none() {
            self.open_backend();
        }
        self.findings.notes.extend(self.no_sets.clone());
        self.backend.is_some()
    }

    fn open_backend(&mut self) {
        match self.settings.backend {
            BackendChoice::Iptables => {
                self.backend = Some(Backend::Iptables);
                return;
            }
            BackendChoice::Nftables => return self.open_nftables(),
            BackendChoice::Auto | BackendChoice::Ipset => {}
        }
        match Sets::open() {
            Ok(sets) => self.backend = Some(Backend::Ipset(sets)),
            // Without sets a rule for each ban does, unless guard was told otherwise.
            Err(SetError::Unusable(why)) if self.settings.backend == BackendChoice::Auto => {
                self.no_sets =
                    Some(format!("the kernel has no sets ({why}): one rule for each ban"));
                self.backend = Some(Backend::Iptables);
            }
            Err(error) => {
                self.findings.problem(&error);
                self.failed = true;
            }
        }
    }

    /// Tells what came of the turn.
    fn report(&mut self, touched: &Touched) {
        let (in_force, held_back) = self.outcome(touched);
        if !in_force.is_empty() || !held_back.is_empty() {
            (self.tell)(Told::Outcome { in_force, held_back });
        }
        let found = std::mem::take(&mut self.found);
        if !found.is_empty() {
            (self.tell)(Told::Found(found));
        }
        self.report_repairs();
        for news in self.findings.news_since(&self.told_findings) {
            (self.tell)(Told::News(news));
        }
        self.told_findings = self.findings.clone();
        self.publish();
    }

    /// The bans of which something is to be told: those in force, and those not.
    fn outcome(&mut self, touched: &Touched) -> (Vec<Standing>, Vec<Standing>) {
        let now = Timestamp::now();
        let off: [bool; 2] = [self.families[0].off, self.families[1].off];
        let (mut in_force, mut held_back) = (Vec::new(), Vec::new());
        for (name, networks) in &touched.bans {
            if let Some(placed) = self.placed.get_mut(name) {
                placed.changed.extend(networks);
            } else if let Some(jail) = self.wanted.jails.get(name) {
                let wanted = networks.iter().filter(|network| jail.bans.contains_key(network));
                held_back.extend(wanted.map(|network| (name.clone(), *network)));
            }
        }
        for (name, placed) in &mut self.placed {
            let bans = self.wanted.jails.get(name).map(|jail| &jail.bans);
            for network in std::mem::take(&mut placed.changed) {
                placed.held.remove(&network);
                let until = bans.and_then(|bans| bans.get(&network));
                if until.is_none_or(|until| until.is_over(now)) {
                    continue;
                }
                if placed.is_in_force(network) {
                    in_force.push((name.clone(), network));
                    continue;
                }
                held_back.push((name.clone(), network));
                if !off[Family::of(network) as usize] {
                    placed.held.insert(network);
                }
            }
        }
        (in_force, held_back)
    }

    fn report_repairs(&mut self) {
        const SHOWN: usize = 5;
        let mended = std::mem::take(&mut self.mended);
        if mended.is_empty() {
            return;
        }
        self.repairs += 1;
        let mut what = mended[..mended.len().min(SHOWN)].join(", ");
        if mended.len() > SHOWN {
            what.push_str(&format!(" and {} more", mended.len() - SHOWN));
        }
        (self.tell)(Told::News(News::Repaired { what }));
    }

    fn publish(&self) {
        let jails: BTreeMap<JailName, JailStatus> = self
            .placed
            .iter()
            .map(|(name, placed)| {
                let problems = self.findings.jail_problems.get(name);
                let status = JailStatus {
                    chain: placed.names.chain.clone(),
                    problems: problems.into_iter().flatten().cloned().collect(),
                    pending: placed.held.len(),
                };
                (name.clone(), status)
            })
            .collect();
        let well = |jail: &JailStatus| jail.problems.is_empty() && jail.pending == 0;
        let healthy = !self.failed
            && self.backend.is_some()
            && self.findings.problems.is_empty()
            && self.lifting.is_done()
            && jails.values().all(well);
        let status = Status {
            backend: self.backend_name(),
            healthy,
            problems: self.findings.problems.iter().cloned().collect(),
            notes: self.findings.notes.iter().cloned().collect(),
            repairs: self.repairs,
            heard: self.hearing.heard(),
            jails,
            unlifted: self.lifting.all(),
        };
        self.status.send_if_modified(|old| {
            let new = **old != status;
            if new {
                *old = Arc::new(status);
            }
            new
        });
    }

    fn backend_name(&self) -> String {
        if matches!(self.backend, Some(Backend::Nftables(_))) {
            return "nftables".to_owned();
        }
        let kind = |family: Family| self.families[family as usize].kind;
        let tools = match (kind(Family::V4), kind(Family::V6)) {
            (Some(v4), Some(v6)) if v4 != v6 => {
                format!("iptables-{}, ip6tables-{}", v4.as_str(), v6.as_str())
            }
            (Some(kind), _) | (None, Some(kind)) => format!("iptables-{}", kind.as_str()),
            (None, None) => return String::new(),
        };
        match self.backend {
            Some(Backend::Ipset(_)) => format!("ipset, {tools}"),
            Some(Backend::Iptables) => tools,
            Some(Backend::Nftables(_)) | None => String::new(),
        }
    }

    /// A clean end.
    pub(crate) fn stop(&mut self) {
        if self.settings.on_stop == OnStop::Remove {
            self.dismantle();
        }
    }
}
