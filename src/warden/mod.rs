//! The warden: who is banned, and for how long. (pure)
//!
//! Failures, requests and time go in; effects come out. It does no I/O and reads
//! no clock, so thousands of hours run in a test in milliseconds. It is the only
//! owner of the truth about bans: the kernel and the database are copies,
//! repaired from it.
//!
//! ```text
//!  Failure ──▶ never banned? ──▶ too old, below a floor? ──▶ counted ──▶ due? ──▶ Ban
//!              ignore, hidden    floors                      counts      window   bans
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod around;
mod bans;
mod breaker;
mod counts;
mod effect;
mod floors;
mod hidden;
mod ignore;
mod import;
mod jail;
mod judge;
mod late;
mod logins;
mod memory;
mod netmap;
mod offenders;
mod proxies;
mod reaching;
mod requests;
mod restored;
mod ssh;
mod view;
mod why;
mod window;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

pub use around::{EngineTraits, Passed, Surroundings};
pub use bans::{BanState, Standing};
pub use counts::Dropped;
pub use effect::{
    BanRefusal, BanRequest, Covered, Effect, FoundBan, NoSuchJail, Outcome, Settings, UnbanRequest,
    UnbanWhich, Unbanned,
};
pub use hidden::HiddenClients;
pub use ignore::{Exempt, Why};
pub use import::{ImportRequest, Imported};
pub use late::Meanwhile;
pub use restored::Restored;
pub use view::JailView;
pub use why::{Failing, Known, Waits};

use effect::Effects;
use ignore::NeverBan;
use jail::{Jail, Presence};
use judge::Court;
use offenders::Offenders;

use crate::model::{
    About, Failure, JailName, JailRules, Login, Network, News, Progress, Record, SourceId,
    Timestamp,
};

/// How much one [`Warden::handle_time`] does at most: of 100,000 bans that end
/// in the same moment, no failure and no request waits for more than these.
const WORK_A_TURN: usize = 1000;

/// Judges failures.
///
/// Its methods are of four kinds:
///
/// - **inputs**, `handle_*(now, …)`: something happened. Each takes the time; it
///   should not go back, but may. [`Warden::handle_surroundings`] comes before
///   the first failure, or nobody knows yet whom never to ban.
/// - **outputs**, [`Warden::poll_effect`]: what the world must do about it. Call
///   it until it gives `None` after each input, in whose order effects come;
///   all [`Effect::Remember`] of one input belong into one transaction.
/// - **time**, [`Warden::next_wakeup`]: when to call [`Warden::handle_time`] at
///   the latest, which may be at once. It changes with every input.
/// - **questions**, [`Warden::jails`], [`Warden::jail`], [`Warden::bans_on`], [`Warden::known`]:
///   how things stand. They change nothing.
#[derive(Debug)]
pub struct Warden {
    jails: BTreeMap<JailName, Jail>,
    never: NeverBan,
    offenders: Offenders,
    /// Who was banned just now.
    fresh: Vec<Network>,
    /// The latest time that was given, since the clock was last set back.
    clock: Timestamp,
    out: Effects,
}

impl Warden {
    /// A line matched a jail's filter. One for a jail that is gone is dropped.
    pub fn handle_failure(&mut self, now: Timestamp, failure: Failure) {
        self.observe(now);
        let (jails, mut court) = self.split();
        if let Some(jail) = jails.get_mut(&failure.jail) {
            jail.judge(now, failure, &mut court);
        }
        self.count_bans(now);
    }

    /// A line says that somebody logged in. It must come in its place between the
    /// failures. One for a jail that is gone is dropped.
    pub fn handle_login(&mut self, now: Timestamp, login: Login) {
        self.observe(now);
        let (jails, mut court) = self.split();
        if let Some(jail) = jails.get_mut(&login.jail) {
            jail.log_in(now, login, &mut court);
        }
    }

    /// A jail got further in a source, without a failure.
    pub fn handle_progress(
        &mut self,
        now: Timestamp,
        jail: &JailName,
        source: SourceId,
        progress: Progress,
    ) {
        self.observe(now);
        if self.jails.contains_key(jail) {
            self.out.remember(Record::Progress(jail.clone(), source, progress));
        }
    }

    /// A source of a jail is gone for good.
    pub fn handle_source_gone(&mut self, now: Timestamp, jail: &JailName, source: SourceId) {
        self.observe(now);
        if self.jails.contains_key(jail) {
            self.out.remember(Record::SourceGone(jail.clone(), source));
        }
    }

    /// A jail has containers: it came, came back, or has other rules. Other limits
    /// apply to what was counted already; bans that stand keep their end.
    pub fn handle_jail(&mut self, now: Timestamp, rules: Arc<JailRules>) {
        self.observe(now);
        let (jails, mut court) = self.split();
        if jails.get(&rules.name).is_some_and(Jail::is_built_in) {
            let what = format!(
                "the jail name {} is guard's own; {} needs another",
                rules.name, rules.service
            );
            let (about, jail) = (About::Refused, Some(rules.name.clone()));
            court.out.tell(now, News::Trouble { about, jail, what, over: false });
            return;
        }
        match jails.entry(rules.name.clone()) {
            Entry::Occupied(jail) => jail.into_mut().update(now, rules, &mut court),
            Entry::Vacant(place) => {
                let jail = place.insert(Jail::new(rules, Presence::Live, court.never));
                jail.install(court.out);
                court.out.remember(jail.record());
                court.out.tell(now, News::JailStarted { jail: jail.name() });
            }
        }
        self.count_bans(now);
    }

    /// A jail has no containers any more: its bans run out, then it is removed.
    pub fn handle_jail_left(&mut self, now: Timestamp, jail: &JailName) {
        self.observe(now);
        let Some(jail) = self.jails.get_mut(jail) else { return };
        if jail.is_built_in() || jail.presence == Presence::Left {
            return;
        }
        jail.presence = Presence::Left;
        self.out.tell(now, News::JailStopped { jail: jail.name() });
        self.drop_done_jails();
    }

    /// The host's addresses, Docker's networks or the addresses of a DNS name are
    /// others. Bans that now hit someone who is never banned are lifted, except
    /// those made by hand.
    pub fn handle_surroundings(&mut self, now: Timestamp, surroundings: Surroundings) {
        self.observe(now);
        let Warden { jails, never, out, .. } = self;
        if never.look_around(surroundings) {
            for jail in jails.values_mut() {
                jail.look_around(now, never, out);
            }
            self.drop_done_jails();
        }
    }

    /// The firewall says which bans the kernel has.
    pub fn handle_outcome(&mut self, now: Timestamp, outcome: Outcome) {
        self.observe(now);
        let in_force = outcome.in_force.into_iter().map(|ban| (ban, BanState::InForce));
        let held_back = outcome.held_back.into_iter().map(|ban| (ban, BanState::HeldBack));
        for ((jail, network), state) in in_force.chain(held_back) {
            if let Some(jail) = self.jails.get_mut(&jail).filter(|jail| !jail.rules.dry_run) {
                jail.bans.set_state(now, network, state);
            }
        }
    }

    /// The kernel has bans that were not ordered. They are adopted where the store
    /// lost them in a crash, and released where they were lifted.
    pub fn handle_found(&mut self, now: Timestamp, found: Vec<FoundBan>) {
        self.observe(now);
        let Warden { jails, never, out, .. } = self;
        for ban in found {
            match jails.get_mut(&ban.jail) {
                Some(jail) => jail.find(now, ban, never, out),
                None => out.push(Effect::Release(ban.jail, ban.network)),
            }
        }
    }

    /// Time has passed: bans end, failures and floors are forgotten, at most
    /// 1000 in one call. If that was not all, [`Warden::next_wakeup`] is not later than now.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.observe(now);
        let mut budget = WORK_A_TURN;
        let (jails, mut court) = self.split();
        for jail in jails.values_mut() {
            jail.pass_time(now, &mut budget, &mut court);
        }
        self.count_bans(now);
        while budget > 0
            && let Some((jail, network)) = self.offenders.take_stale(now)
        {
            budget -= 1;
            self.out.remember(Record::OffenceGone(jail, network));
        }
        self.drop_done_jails();
    }

    /// The next thing that the world must do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    /// When to call [`Warden::handle_time`] at the latest; `None`: nothing will
    /// happen by itself.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let pardon = self.never.settings().pardon;
        let jails = self.jails.values().filter_map(|jail| jail.next_wakeup(pardon));
        jails.chain(self.offenders.next_stale()).min()
    }

    /// All jails, by name.
    pub fn jails(&self) -> impl Iterator<Item = JailView<'_>> {
        self.jails.values().map(JailView)
    }

    /// A jail.
    pub fn jail(&self, name: &JailName) -> Option<JailView<'_>> {
        self.jails.get(name).map(JailView)
    }

    /// The bans in any jail that concern `network`: its own, those of prefixes that
    /// hold it, and those inside it.
    pub fn bans_on(&self, network: Network) -> impl Iterator<Item = &Standing> {
        self.jails().flat_map(move |jail| jail.bans_on(network))
    }

    /// The jails, and what they have in common.
    fn split(&mut self) -> (&mut BTreeMap<JailName, Jail>, Court<'_>) {
        let Warden { jails, never, offenders, fresh, out, .. } = self;
        (jails, Court { never, offenders, fresh, out })
    }

    /// Every ban that has just begun is a failure in the jails for those whom others banned.
    fn count_bans(&mut self, now: Timestamp) {
        if self.fresh.is_empty() {
            return;
        }
        let fresh = std::mem::take(&mut self.fresh);
        let (jails, mut court) = self.split();
        let counting =
            |jail: &&mut Jail| jail.rules.policy.recidive && jail.presence != Presence::Left;
        for jail in jails.values_mut().filter(counting) {
            for network in &fresh {
                jail.count(now, (*network, now), &mut court);
            }
        }
    }

    fn drop_done_jails(&mut self) {
        let out = &mut self.out;
        self.jails.retain(|name, jail| {
            let is_done = jail.is_done();
            if is_done {
                jail.uninstall(out);
                out.remember(Record::JailGone(name.clone()));
            }
            !is_done
        });
    }
}
