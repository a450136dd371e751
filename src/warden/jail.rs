//! One jail's state, and what changes it but failures: rules, time, the kernel.

use std::sync::Arc;
use std::time::Duration;

use super::bans::{BanState, Bans};
use super::breaker::Breaker;
use super::counts::Counts;
use super::effect::{Effect, Effects, FoundBan};
use super::floors::Floors;
use super::hidden::Tally;
use super::ignore::{Exempt, NeverBan, Why};
use super::judge::Court;
use super::logins::Logins;
use super::netmap::NetMap;
use super::reaching::Reaching;
use crate::model::{
    Ban, BanOrigin, JailMemory, JailName, JailRules, LiftedBy, Lifting, Network, News, Record,
    ServiceId, Timestamp,
};

/// Whether a jail has containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It has.
    Live,
    /// It was remembered, and nobody has said yet whether it still has: it is
    /// kept, for its totals and positions go with it.
    Awaited,
    /// It has none: it goes when nothing is left in it.
    Left,
}

/// A jail.
#[derive(Debug)]
pub(super) struct Jail {
    pub(super) rules: Arc<JailRules>,
    pub(super) presence: Presence,
    pub(super) counts: Counts,
    pub(super) floors: Floors,
    pub(super) bans: Bans,
    pub(super) logins: Logins,
    pub(super) breaker: Breaker,
    /// Failures and bans since the jail was made.
    pub(super) found: u64,
    pub(super) banned: u64,
    /// Failures that hide their clients, and others that do not count.
    pub(super) hidden: Tally,
    pub(super) ignored: Tally,
    /// Bans that wait for the end of an SSH connection.
    pub(super) awaits_ssh: Tally,
    /// Whom a ban does not keep out.
    pub(super) reaching: Reaching,
    ignore: NetMap<Why>,
}

impl Jail {
    pub(super) fn new(rules: Arc<JailRules>, presence: Presence, never: &NeverBan) -> Self {
        Jail {
            ignore: never.of_jail(&rules.ignore),
            rules,
            presence,
            counts: Counts::default(),
            floors: Floors::default(),
            bans: Bans::default(),
            logins: Logins::default(),
            breaker: Breaker::default(),
            found: 0,
            banned: 0,
            hidden: Tally::default(),
            ignored: Tally::default(),
            awaits_ssh: Tally::default(),
            reaching: Reaching::default(),
        }
    }

    pub(super) fn name(&self) -> JailName {
        self.rules.name.clone()
    }

    /// Is it one of guard's own, which have no containers?
    pub(super) fn is_built_in(&self) -> bool {
        self.rules.service == ServiceId::BuiltIn && self.presence == Presence::Live
    }

    /// Is it done with: no containers, and nothing to remember? A floor is
    /// something: the jail's positions go with it, and with its service back
    /// within findtime the lines before an unban would be read again.
    pub(super) fn is_done(&self) -> bool {
        self.presence == Presence::Left
            && self.bans.is_empty()
            && self.counts.is_empty()
            && self.floors.is_empty()
    }

    /// Why this jail never bans `network`, if so.
    pub(super) fn exempt(&self, never: &NeverBan, network: Network) -> Option<Exempt> {
        never.exempt(&self.ignore, network)
    }

    /// The jail as it is to be remembered.
    pub(super) fn record(&self) -> Record {
        let rules = self.rules.clone();
        Record::Jail(JailMemory { rules, found: self.found, banned: self.banned })
    }

    /// Orders the jail in the firewall.
    pub(super) fn install(&self, out: &mut Effects) {
        if !self.rules.dry_run {
            out.push(Effect::Install(self.rules.clone()));
        }
    }

    /// Takes it away again.
    pub(super) fn uninstall(&self, out: &mut Effects) {
        if !self.rules.dry_run {
            out.push(Effect::Uninstall(self.name()));
        }
    }

    /// Orders all its bans.
    pub(super) fn block_all(&self, out: &mut Effects) {
        for standing in self.bans.iter() {
            self.block(&standing.ban, out);
        }
    }

    /// Orders a ban.
    pub(super) fn block(&self, ban: &Ban, out: &mut Effects) {
        if !self.rules.dry_run {
            out.push(Effect::Block(ban.clone()));
        }
    }

    /// The state of a ban that has just been ordered.
    pub(super) fn ordered(&self) -> BanState {
        if self.rules.dry_run { BanState::DryRun } else { BanState::Pending }
    }

    /// Its containers are there, with these rules.
    pub(super) fn update(&mut self, now: Timestamp, rules: Arc<JailRules>, court: &mut Court<'_>) {
        let is_same = self.rules == rules;
        if is_same && self.presence == Presence::Live {
            return;
        }
        self.presence = Presence::Live;
        if !is_same {
            self.change(now, rules, court);
        }
        court.out.tell(now, News::JailStarted { jail: self.name() });
    }

    fn change(&mut self, now: Timestamp, rules: Arc<JailRules>, court: &mut Court<'_>) {
        let out = &mut *court.out;
        let old = std::mem::replace(&mut self.rules, rules);
        out.remember(self.record());
        match (old.dry_run, self.rules.dry_run) {
            (false, false) => self.install(out),
            (true, false) => {
                self.install(out);
                self.bans.set_states(BanState::Pending);
                self.block_all(out);
            }
            (false, true) => {
                out.push(Effect::Uninstall(self.name()));
                self.bans.set_states(BanState::DryRun);
            }
            (true, true) => {}
        }
        self.look_around(now, court.never, court.out);
        if old.limits != self.rules.limits {
            for (network, times) in self.counts.apply(now, &self.rules.limits) {
                self.sentence(now, (network, times), court);
            }
        }
    }

    /// Lifts bans that the never-ban set now forbids; those by hand stay, for
    /// whoever asked for them knew, or will.
    pub(super) fn look_around(&mut self, now: Timestamp, never: &NeverBan, out: &mut Effects) {
        self.ignore = never.of_jail(&self.rules.ignore);
        let counted = self.bans.iter().filter(|standing| standing.ban.origin != BanOrigin::Hand);
        let now_exempt: Vec<Network> = counted
            .map(|standing| standing.ban.network)
            .filter(|network| self.exempt(never, *network).is_some())
            .collect();
        for network in now_exempt {
            self.lift(now, network, Lifted::NotAllowed, out);
        }
        let ignore = &self.ignore;
        let why = |network| never.exempt(ignore, network).map(|exempt| exempt.why);
        self.hidden.refresh(|network| {
            never.exempt(ignore, network).filter(|exempt| exempt.why.hides_clients())
        });
        self.ignored.retain(|network| why(network).is_some_and(|why| !why.hides_clients()));
    }

    /// Ends a ban.
    pub(super) fn lift(
        &mut self,
        now: Timestamp,
        network: Network,
        how: Lifted,
        out: &mut Effects,
    ) -> Option<Ban> {
        let ban = self.bans.remove(network)?;
        self.reaching.forget(network);
        let jail = self.name();
        if !self.rules.dry_run {
            out.push(Effect::Release(jail.clone(), network));
        }
        out.remember(Record::BanGone(jail.clone(), network));
        let by = match how {
            Lifted::ByHand => Some(LiftedBy::Hand),
            Lifted::NotAllowed => Some(LiftedBy::NeverBan),
            Lifted::Over => None,
        };
        if let Some(by) = by {
            out.remember(Record::Lifted(Lifting { jail: jail.clone(), network, at: now, by }));
        }
        let by_hand = how == Lifted::ByHand;
        out.tell(now, News::Unbanned { jail, network, by_hand, dry_run: self.rules.dry_run });
        Some(ban)
    }

    /// Sets a floor, and remembers it.
    pub(super) fn set_floor(
        &mut self,
        now: Timestamp,
        network: Network,
        at: Timestamp,
        out: &mut Effects,
    ) {
        if self.floors.raise(now, network, at) {
            out.remember(Record::Floor(self.name(), network, at));
        }
    }

    /// Remembers that the failures of an address count no more.
    pub(super) fn forgot(&self, network: Network, out: &mut Effects) {
        out.remember(Record::Failures(self.name(), network, Vec::new()));
    }

    /// Ends what is over and forgets what is too old, at most `budget` of it.
    pub(super) fn pass_time(&mut self, now: Timestamp, budget: &mut usize, court: &mut Court<'_>) {
        let limits = self.rules.limits;
        // A line that comes late may be from when a login still protected.
        let protected = court.never.settings().pardon.saturating_add(limits.find_time);
        while let Some(network) = take(budget, || self.bans.overdue(now)) {
            self.lift(now, network, Lifted::Over, court.out);
        }
        if self.counts.held() > 0 || self.breaker.is_told() {
            self.release(now, budget, court);
        }
        let out = &mut *court.out;
        while take(budget, || self.logins.take_stale(now, protected)).is_some() {}
        while let Some(network) = take(budget, || self.counts.take_stale(now, &limits)) {
            self.forgot(network, out);
        }
        while let Some(network) = take(budget, || self.floors.take_stale(now, limits.find_time)) {
            out.remember(Record::FloorGone(self.name(), network));
        }
    }

    /// When [`Jail::pass_time`] has something to do next.
    pub(super) fn next_wakeup(&self, pardon: Duration) -> Option<Timestamp> {
        let limits = &self.rules.limits;
        let waits = self.counts.held() > 0;
        let held = waits.then(|| self.breaker.end().unwrap_or(Timestamp::MIN));
        let logins = self.logins.next_stale(pardon.saturating_add(limits.find_time));
        let ends = self.bans.next_end();
        let counts = self.counts.next_stale(limits);
        let floors = self.floors.next_stale(limits.find_time);
        ends.into_iter().chain(counts).chain(floors).chain(held).chain(logins).min()
    }

    /// The clock was set back: nothing stays in the future. Gives the bans that
    /// the firewall must hear of.
    pub(super) fn clock_set_back(&mut self, now: Timestamp, out: &mut Effects) -> Vec<Ban> {
        let name = self.name();
        self.logins.clock_set_back(now);
        self.breaker.clock_set_back(now);
        for (network, times) in self.counts.clock_set_back(now) {
            out.remember(Record::Failures(name.clone(), network, times));
        }
        for network in self.floors.clock_set_back(now) {
            out.remember(Record::Floor(name.clone(), network, now));
        }
        let bans = self.bans.clock_set_back(now);
        for ban in &bans {
            out.remember(Record::Ban(ban.clone()));
        }
        bans
    }

    /// The kernel has a ban that was not ordered: it is taken over if an earlier
    /// guard made it and died before it was written; if the jail never bans the
    /// network, or banned or unbanned it lately, it goes.
    pub(super) fn find(
        &mut self,
        now: Timestamp,
        found: FoundBan,
        never: &NeverBan,
        out: &mut Effects,
    ) {
        let FoundBan { jail, network, until } = found;
        if self.bans.get(network).is_some() && !self.rules.dry_run {
            return;
        }
        let is_unwanted = self.rules.dry_run
            || until.is_over(now)
            || self.floors.know(network)
            || self.exempt(never, network).is_some();
        if is_unwanted {
            out.push(Effect::Release(jail, network));
            return;
        }
        let origin = BanOrigin::Adopted;
        self.start(now, Ban { jail, network, since: now, until, origin, failures: 0 }, out);
    }
}

/// The next thing to do, while the budget lasts; only what there is costs.
fn take(budget: &mut usize, next: impl FnOnce() -> Option<Network>) -> Option<Network> {
    let network = (*budget > 0).then(next).flatten()?;
    *budget -= 1;
    Some(network)
}

/// How a ban ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifted {
    /// A person lifted it.
    ByHand,
    /// Its time was over.
    Over,
    /// Whom it keeps out is never banned any more.
    NotAllowed,
}
