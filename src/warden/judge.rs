//! What a failure leads to: nothing, a count, a ban, a longer ban.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::effect::Effects;
use super::ignore::{Exempt, NeverBan, Why, is_too_wide};
use super::jail::{Jail, Lifted};
use super::offenders::Offenders;
use super::window::{after, before};
use crate::model::{
    About, Ban, BanOrigin, Failure, Growth, Login, Network, News, Offence, Record, Timestamp, Until,
};

/// What all jails have in common.
pub(super) struct Court<'a> {
    /// Whom none of them bans.
    pub(super) never: &'a NeverBan,
    /// Whom they banned.
    pub(super) offenders: &'a mut Offenders,
    /// Who was banned just now, for the jails whose failures are bans.
    pub(super) fresh: &'a mut Vec<Network>,
    pub(super) out: &'a mut Effects,
}

impl Jail {
    /// Judges a failure. Everything it leads to goes out together with how far
    /// its source is judged now: after a crash it counts neither twice nor never.
    pub(super) fn judge(&mut self, now: Timestamp, failure: Failure, court: &mut Court<'_>) {
        let Failure { network, forwarded, source, progress, .. } = failure;
        court.out.remember(Record::Progress(self.name(), source, progress));
        let client = court.never.client(network, &forwarded);
        if let Some(proxy) = client.behind
            && self.exempt(court.never, client.network).is_none()
        {
            let exempt = Exempt { entry: client.network, why: Why::Behind(proxy) };
            self.ignore_failure(now, proxy, &exempt, court.out);
            return;
        }
        self.count(now, (client.network, failure.at.min(now)), court);
    }

    /// Counts a failure, whether a line told of it or another jail's ban.
    pub(super) fn count(
        &mut self,
        now: Timestamp,
        (network, at): (Network, Timestamp),
        court: &mut Court<'_>,
    ) {
        if let Some(exempt) = self.exempt_failure(court.never, network, at) {
            self.ignore_failure(now, network, &exempt, court.out);
            return;
        }
        if let Some(since) = self.bans.in_force_since(network)
            && self.reaching.note(network, at, since)
        {
            let jail = self.name();
            court.out.tell(now, News::Reaches { jail, network, cause: None });
        }
        let limits = self.rules.limits;
        if at < before(now, limits.find_time) || self.floors.hold(network, at) {
            return;
        }
        self.found = self.found.saturating_add(1);
        court.out.remember(self.record());
        let client = self.client(court.never, network, at).0;
        let weight = self.weight(now, client, court.offenders);
        let track_max = court.never.track_max();
        let counted = self.counts.add(now, (client, at, weight), &limits, track_max);
        if let Some(dropped) = counted.dropped {
            self.forgot(dropped, court.out);
        }
        let count = u32::try_from(counted.times.len()).unwrap_or(u32::MAX);
        court.out.tell(now, News::Found { jail: self.name(), network, line_time: at, count });
        if counted.due {
            self.sentence(now, (client, counted.times), court);
        } else {
            court.out.remember(Record::Failures(self.name(), client, counted.times));
        }
    }

    /// Somebody logged in: what he did wrong before it and within `GUARD_PARDON` after it
    /// does not count, in whatever order the lines come. Where a prefix counts as one
    /// client, the same is forgotten of the whole of it; but only the address itself is
    /// protected.
    pub(super) fn log_in(&mut self, now: Timestamp, login: Login, court: &mut Court<'_>) {
        let Login { network, source, progress, .. } = login;
        court.out.remember(Record::Progress(self.name(), source, progress));
        let pardon = court.never.settings().pardon;
        if pardon.is_zero() || !network.is_single() || self.exempt(court.never, network).is_some() {
            return;
        }
        let at = login.at.min(now);
        let until = after(at, pardon);
        self.logins.note(network, at);
        let mut had_failed = false;
        let mut clients = vec![network, self.rules.policy.prefixes.widen(network)];
        clients.dedup();
        for client in clients {
            if let Some(left) = self.counts.forgive(client, until, &self.rules.limits) {
                court.out.remember(Record::Failures(self.name(), client, left));
                had_failed = true;
            }
        }
        if had_failed {
            court.out.tell(now, News::LoggedIn { jail: self.name(), network, until });
        }
    }

    /// Who is counted, and banned, for a failure of `network`: the prefix that is one
    /// client with it, or, where that holds somebody who must not be banned, it
    /// alone. Then also says who that is.
    pub(super) fn client(
        &self,
        never: &NeverBan,
        network: Network,
        at: Timestamp,
    ) -> (Network, Option<Exempt>) {
        let prefix = self.rules.policy.prefixes.widen(network);
        if prefix == network {
            return (network, None);
        }
        let exempt = self.exempt(never, prefix).or_else(|| self.logged_in(never, prefix, at));
        match exempt.or_else(|| never.live_ssh(&self.rules, prefix)) {
            Some(exempt) => (network, Some(exempt)),
            None => (prefix, None),
        }
    }

    fn weight(&self, now: Timestamp, client: Network, offenders: &Offenders) -> u32 {
        if self.rules.policy.growth.is_none() {
            return 1;
        }
        let earlier = offenders.bans(now, &self.rules.name, client);
        Growth::weight(earlier, self.rules.limits.max_retry.get())
    }

    /// Whose login in `network` makes a failure at this time none.
    fn logged_in(&self, never: &NeverBan, network: Network, at: Timestamp) -> Option<Exempt> {
        let login = self.logins.protect(network, at, never.settings().pardon);
        login.map(|(entry, at)| Exempt { entry, why: Why::LoggedIn(at) })
    }

    /// A log must not be able to shut out half the internet with one `<SUBNET>`.
    pub(super) fn exempt_failure(
        &self,
        never: &NeverBan,
        network: Network,
        at: Timestamp,
    ) -> Option<Exempt> {
        let exempt = self.exempt(never, network).or_else(|| self.logged_in(never, network, at));
        exempt.or_else(|| {
            is_too_wide(network).then_some(Exempt { entry: network, why: Why::TooWide })
        })
    }

    fn ignore_failure(
        &mut self,
        now: Timestamp,
        network: Network,
        exempt: &Exempt,
        out: &mut Effects,
    ) {
        let tally = if exempt.why.hides_clients() { &mut self.hidden } else { &mut self.ignored };
        if tally.note(now, network, exempt.clone()) {
            let network = if matches!(exempt.why, Why::Behind(_)) { exempt.entry } else { network };
            let reason = exempt.to_string();
            out.tell(now, News::Ignored { jail: self.name(), network, reason });
        }
    }

    /// Bans for these failures, which are consumed by it, or holds the ban where there
    /// are too many. As in fail2ban the ban begins with the last of them, so one that
    /// would be over by now is none. A ban that stands is prolonged by the time that
    /// it was made for, never shortened; a banned prefix stays as it is, and the
    /// address in it gets a ban of its own if that lasts longer.
    pub(super) fn sentence(
        &mut self,
        now: Timestamp,
        (network, times): (Network, Vec<Timestamp>),
        court: &mut Court<'_>,
    ) {
        let Some(last) = times.last().copied() else { return };
        if self.waits_for_ssh(now, (network, &times), court) {
            return;
        }
        let since = last.min(now);
        let standing = self.bans.get(network).filter(|standing| !standing.ban.until.is_over(now));
        let stands = standing.map(|standing| (standing.ban.clone(), standing.state));
        let until = self.end(now, (network, since), stands.as_ref().map(|(ban, _)| ban), court);
        let is_out_as_long =
            self.bans.covering(network).any(|standing| standing.ban.until >= until);
        let is_none =
            until.is_over(now) || is_out_as_long || self.exempt(court.never, network).is_some();
        if !is_none && stands.is_none() && self.hold(now, (network, &times), court) {
            return;
        }
        self.forgot(network, court.out);
        self.set_floor(now, network, since, court.out);
        if is_none {
            return;
        }
        let failures = u32::try_from(times.len()).unwrap_or(u32::MAX);
        if let Some((mut ban, state)) = stands {
            ban.until = until;
            ban.failures = ban.failures.saturating_add(failures);
            self.bans.insert(ban.clone(), state);
            self.block(&ban, court.out);
            self.offence_moved(&ban, court);
            court.out.remember(Record::Ban(ban.clone()));
            court.out.remember(Record::History(ban.clone()));
            court.out.tell(now, News::Prolonged { ban, dry_run: self.rules.dry_run });
            return;
        }
        if self.bans.get(network).is_some() {
            self.lift(now, network, Lifted::Over, court.out);
        }
        let ban =
            Ban { jail: self.name(), network, since, until, origin: BanOrigin::Failures, failures };
        self.begin(now, ban, court);
    }

    /// When a ban for failures ends: later for one who was banned before. The ban that
    /// stands is none of those before.
    fn end(
        &self,
        now: Timestamp,
        (network, since): (Network, Timestamp),
        standing: Option<&Ban>,
        court: &Court<'_>,
    ) -> Until {
        let base = self.rules.limits.ban_time;
        let Some(growth) = &self.rules.policy.growth else { return base.from(since) };
        let bans = match growth.overall {
            true => court.offenders.bans_of_all(now, network),
            false => court.offenders.bans(now, &self.rules.name, network),
        };
        let counted = standing
            .is_some_and(|ban| matches!(ban.origin, BanOrigin::Failures | BanOrigin::Imported));
        let mut chance = DefaultHasher::new();
        (court.never.settings().seed, network, since).hash(&mut chance);
        growth.time(base, bans.saturating_sub(u32::from(counted)), chance.finish()).from(since)
    }

    /// Holds a ban back where the jail made too many lately; says whether it did.
    fn hold(
        &mut self,
        now: Timestamp,
        (network, times): (Network, &[Timestamp]),
        court: &mut Court<'_>,
    ) -> bool {
        let most = court.never.settings().ban_burst;
        if self.breaker.allows(now, most) {
            return false;
        }
        let limits = self.rules.limits;
        let times = times.to_vec();
        court.out.remember(Record::Failures(self.name(), network, times.clone()));
        let dropped = self.counts.hold(network, times, &limits, court.never.track_max());
        if let Some(dropped) = dropped {
            self.forgot(dropped, court.out);
        }
        self.tell_held(now, most, court.out);
        true
    }

    /// Begins the bans that waited, as far as it may.
    pub(super) fn release(&mut self, now: Timestamp, budget: &mut usize, court: &mut Court<'_>) {
        let most = court.never.settings().ban_burst;
        while *budget > 0 && self.breaker.allows(now, most) {
            let Some((network, times)) = self.counts.release(now, &self.rules.limits) else {
                break;
            };
            *budget -= 1;
            if let Some(times) = times {
                self.sentence(now, (network, times), court);
            }
        }
        self.tell_held(now, most, court.out);
    }

    /// Tells that bans wait, or wait no longer, if that is new.
    pub(super) fn tell_held(&mut self, now: Timestamp, most: u32, out: &mut Effects) {
        let waiting = self.counts.held() > 0;
        if self.breaker.turn(waiting) {
            let name = &self.rules.name;
            let what = format!(
                "jail {name} began {most} bans within a minute (GUARD_BAN_BURST): further ones wait until it is over"
            );
            let (about, jail) = (About::Burst, Some(self.name()));
            out.tell(now, News::Trouble { about, jail, what, over: !waiting });
        }
    }

    /// Begins a ban for failures.
    fn begin(&mut self, now: Timestamp, ban: Ban, court: &mut Court<'_>) {
        let (network, until) = (ban.network, ban.until);
        self.breaker.count(now);
        let prefix = self.rules.policy.prefixes.widen(network);
        if let (_, Some(exempt)) = self.client(court.never, network, ban.since) {
            let jail = self.name();
            let reason = format!("{} is {exempt}", exempt.entry);
            court.out.tell(now, News::Narrowed { jail, network, prefix, reason });
        }
        self.start(now, ban, court.out);
        let bans = court.offenders.bans(now, &self.rules.name, network).saturating_add(1);
        let offence = Offence { bans, until };
        court.out.remember(Record::Offence(self.name(), network, offence));
        if let Some((jail, network)) = court.offenders.note(&self.rules.name, network, offence) {
            court.out.remember(Record::OffenceGone(jail, network));
        }
        if !self.rules.dry_run && !self.rules.policy.recidive {
            court.fresh.push(network);
        }
    }

    fn offence_moved(&self, ban: &Ban, court: &mut Court<'_>) {
        if let Some(offence) = court.offenders.moved(&ban.jail, ban.network, ban.until) {
            court.out.remember(Record::Offence(self.name(), ban.network, offence));
        }
    }

    /// Begins a ban of a network that has none.
    pub(super) fn start(&mut self, now: Timestamp, ban: Ban, out: &mut Effects) {
        self.banned = self.banned.saturating_add(1);
        self.bans.insert(ban.clone(), self.ordered());
        self.block(&ban, out);
        out.remember(Record::Ban(ban.clone()));
        out.remember(Record::History(ban.clone()));
        out.remember(self.record());
        out.tell(now, News::Banned { ban, dry_run: self.rules.dry_run });
    }
}
