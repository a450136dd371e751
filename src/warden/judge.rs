//! What a failure leads to: nothing, a count, a ban, a longer ban.

use super::effect::Effects;
use super::ignore::{Exempt, NeverBan, Why, is_too_wide};
use super::jail::{Jail, Lifted};
use super::window::before;
use crate::model::{Ban, BanOrigin, Failure, Network, News, Record, Timestamp};

impl Jail {
    /// Judges a failure. Everything it leads to goes out together with how far
    /// its source is judged now: after a crash it counts neither twice nor never.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        failure: Failure,
        never: &NeverBan,
        out: &mut Effects,
    ) {
        let Failure { network, source, progress, .. } = failure;
        let at = failure.at.min(now);
        out.remember(Record::Progress(self.name(), source, progress));
        if let Some(exempt) = self.exempt_failure(never, network) {
            self.ignore_failure(now, network, &exempt, out);
            return;
        }
        if let Some(since) = self.bans.in_force_since(network)
            && self.reaching.note(network, at, since)
        {
            let jail = self.name();
            out.tell(now, News::Reaches { jail, network, cause: None });
        }
        let limits = self.rules.limits;
        if at < before(now, limits.find_time) || self.floors.hold(network, at) {
            return;
        }
        self.found = self.found.saturating_add(1);
        out.remember(self.record());
        let counted = self.counts.add(now, (network, at), &limits, never.track_max());
        if let Some(dropped) = counted.dropped {
            self.forgot(dropped, out);
        }
        let count = u32::try_from(counted.times.len()).unwrap_or(u32::MAX);
        out.tell(now, News::Found { jail: self.name(), network, line_time: at, count });
        if counted.due {
            self.sentence(now, (network, counted.times), never, out);
        } else {
            out.remember(Record::Failures(self.name(), network, counted.times));
        }
    }

    /// A log must not be able to shut out half the internet with one `<SUBNET>`.
    fn exempt_failure(&self, never: &NeverBan, network: Network) -> Option<Exempt> {
        let exempt = self.exempt(never, network);
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
            let reason = exempt.to_string();
            out.tell(now, News::Ignored { jail: self.name(), network, reason });
        }
    }

    /// Bans for these failures, which are consumed by it. As in fail2ban the ban
    /// begins with the last of them, so one that would be over by now is none.
    /// A ban that stands is prolonged, never shortened; a banned prefix stays as
    /// it is, and the address in it gets a ban of its own if that lasts longer.
    pub(super) fn sentence(
        &mut self,
        now: Timestamp,
        (network, times): (Network, Vec<Timestamp>),
        never: &NeverBan,
        out: &mut Effects,
    ) {
        let Some(last) = times.last().copied() else { return };
        let since = last.min(now);
        self.forgot(network, out);
        self.set_floor(now, network, since, out);
        let until = self.rules.limits.ban_time.from(since);
        let is_out_as_long =
            self.bans.covering(network).any(|standing| standing.ban.until >= until);
        if until.is_over(now) || is_out_as_long || self.exempt(never, network).is_some() {
            return;
        }
        let failures = u32::try_from(times.len()).unwrap_or(u32::MAX);
        let standing = self.bans.get(network);
        if standing.is_some_and(|standing| standing.ban.until.is_over(now)) {
            self.lift(now, network, Lifted::ByItself, out);
        }
        let Some(standing) = self.bans.get(network) else {
            let origin = BanOrigin::Failures;
            let jail = self.name();
            self.start(now, Ban { jail, network, since, until, origin, failures }, out);
            return;
        };
        let (mut ban, state) = (standing.ban.clone(), standing.state);
        ban.until = until;
        ban.failures = ban.failures.saturating_add(failures);
        self.bans.insert(ban.clone(), state);
        self.block(&ban, out);
        out.remember(Record::Ban(ban.clone()));
        out.tell(now, News::Prolonged { ban });
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
