//! Bans made and lifted by hand.

use super::Warden;
use super::bans::Standing;
use super::effect::{
    BanRefusal, BanRequest, Covered, Effects, NoSuchJail, UnbanRequest, UnbanWhich, Unbanned,
};
use super::ignore::{NeverBan, SHORTEST, is_too_wide};
use super::jail::{Jail, Lifted};
use super::judge::Court;
use crate::model::{
    Address, Ban, BanOrigin, BanTime, JailName, MANUAL_JAIL, Network, News, Record, Timestamp,
};

/// A request for at most so many networks sets their floors in every jail, so
/// that no line still on its way bans again who was just let in. In a longer
/// list only those have floors whom a jail banned or counted: memory is bounded.
const FLOORS_EVERYWHERE: usize = 256;

impl Warden {
    /// Bans by hand. One answer for each network, in their order.
    pub fn handle_ban(
        &mut self,
        now: Timestamp,
        request: BanRequest,
    ) -> Vec<Result<Ban, BanRefusal>> {
        self.observe(now);
        let name = request.jail.unwrap_or_else(|| JailName::from_lossy(MANUAL_JAIL));
        let Warden { jails, never, out, .. } = self;
        let Some(jail) = jails.get_mut(&name) else {
            let refusal = BanRefusal::from(NoSuchJail(name));
            return request.networks.iter().map(|_| Err(refusal.clone())).collect();
        };
        let time = request.time.unwrap_or(jail.rules.limits.ban_time);
        let ban = |network| {
            if !request.force {
                jail.refuse(never, network)?;
            }
            jail.ban_by_hand(now, network, time, out)
        };
        request.networks.into_iter().map(ban).collect()
    }

    /// Lifts bans by hand, forgets what was counted, and sees to it that no
    /// failure up to now counts again.
    pub fn handle_unban(
        &mut self,
        now: Timestamp,
        request: UnbanRequest,
    ) -> Result<Unbanned, NoSuchJail> {
        self.observe(now);
        let (jails, mut court) = self.split();
        let mut chosen: Vec<&mut Jail> = match request.jail {
            Some(name) => vec![jails.get_mut(&name).ok_or(NoSuchJail(name))?],
            None => jails.values_mut().collect(),
        };
        let mut result = Unbanned::default();
        match request.which {
            UnbanWhich::All => {
                for jail in chosen {
                    jail.unban_all(now, &mut result, &mut court);
                }
            }
            UnbanWhich::Networks(networks) => {
                let floors = if networks.len() <= FLOORS_EVERYWHERE {
                    Floors::Everywhere
                } else {
                    Floors::WhereItWas
                };
                for network in networks {
                    unban(now, (network, floors), &mut chosen, &mut result, &mut court);
                }
            }
        }
        self.drop_done_jails();
        Ok(result)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Floors {
    Everywhere,
    WhereItWas,
}

fn unban(
    now: Timestamp,
    (network, floors): (Network, Floors),
    jails: &mut [&mut Jail],
    result: &mut Unbanned,
    court: &mut Court<'_>,
) {
    let before = (result.lifted.len(), result.covered.len());
    for jail in jails {
        let mut was_there = false;
        let client = jail.rules.policy.prefixes.widen(network);
        let inside = jail.bans.inside(network);
        let banned: Vec<Network> = inside
            .chain(jail.bans.get(client).filter(|standing| is_one_client(standing, network)))
            .map(|standing| standing.ban.network)
            .collect();
        for banned in banned {
            result.lifted.extend(jail.lift(now, banned, Lifted::ByHand, court.out));
            jail.forgive(banned, court);
            was_there = true;
        }
        let mut counted = jail.counts.forget(network);
        counted.extend((client != network && jail.counts.forget_one(client)).then_some(client));
        for counted in counted {
            jail.forgot(counted, court.out);
            was_there = true;
        }
        for known in [network, client] {
            jail.forgive(known, court);
        }
        if was_there || floors == Floors::Everywhere {
            jail.set_floor(now, client, now, court.out);
        }
        if let Some(wider) = jail.bans.covering(network).next() {
            let (jail, prefix) = (jail.name(), wider.ban.network);
            result.covered.push(Covered { network, jail, prefix });
        }
    }
    if before == (result.lifted.len(), result.covered.len()) {
        result.not_banned.push(network);
    }
}

/// Was the prefix banned for the failures of any address in it? Then it goes with
/// `network`, one of them; a prefix that somebody banned by hand is explained instead.
fn is_one_client(standing: &Standing, network: Network) -> bool {
    standing.ban.network != network && standing.ban.origin == BanOrigin::Failures
}

/// The two halves of each family: together they hold every address.
fn everyone() -> impl Iterator<Item = Network> {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let halves: [IpAddr; 4] = [
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::new(128, 0, 0, 0).into(),
        Ipv6Addr::UNSPECIFIED.into(),
        Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0).into(),
    ];
    halves.into_iter().filter_map(|ip| Network::new(Address::new(ip), 1))
}

impl Jail {
    /// Forgets that it banned `network` before, as fail2ban does when a person lifts a ban.
    fn forgive(&self, network: Network, court: &mut Court<'_>) {
        if court.offenders.forgive(&self.rules.name, network) {
            court.out.remember(Record::OffenceGone(self.name(), network));
        }
    }

    fn unban_all(&mut self, now: Timestamp, result: &mut Unbanned, court: &mut Court<'_>) {
        for network in court.offenders.forgive_all(&self.rules.name) {
            court.out.remember(Record::OffenceGone(self.name(), network));
        }
        let out = &mut *court.out;
        let banned: Vec<Network> = self.bans.iter().map(|standing| standing.ban.network).collect();
        for network in banned {
            result.lifted.extend(self.lift(now, network, Lifted::ByHand, out));
        }
        for network in self.counts.forget_all() {
            self.forgot(network, out);
        }
        for half in everyone() {
            self.set_floor(now, half, now, out);
        }
    }

    pub(super) fn refuse(&self, never: &NeverBan, network: Network) -> Result<(), BanRefusal> {
        if let Some(exempt) = self.exempt(never, network) {
            return Err(BanRefusal::NeverBan { network, exempt });
        }
        if let Some(exempt) = never.live_ssh(&self.rules, network) {
            return Err(BanRefusal::NeverBan { network, exempt });
        }
        if is_too_wide(network) {
            let shortest = if network.is_ipv6() { SHORTEST.1 } else { SHORTEST.0 };
            return Err(BanRefusal::TooWide { network, shortest });
        }
        Ok(())
    }

    /// A ban that stands takes the end that was asked for, be it earlier or later.
    fn ban_by_hand(
        &mut self,
        now: Timestamp,
        network: Network,
        time: BanTime,
        out: &mut Effects,
    ) -> Result<Ban, BanRefusal> {
        let until = time.from(now);
        if until.is_over(now) {
            return Err(BanRefusal::NoTime(network));
        }
        let origin = BanOrigin::Hand;
        if self.bans.get(network).is_some_and(|standing| standing.ban.until.is_over(now)) {
            self.lift(now, network, Lifted::Over, out);
        }
        let Some(standing) = self.bans.get(network) else {
            let jail = self.name();
            let ban = Ban { jail, network, since: now, until, origin, failures: 0 };
            self.start(now, ban.clone(), out);
            return Ok(ban);
        };
        let ban = Ban { until, origin, ..standing.ban.clone() };
        let state = standing.state;
        self.bans.insert(ban.clone(), state);
        self.block(&ban, out);
        out.remember(Record::Ban(ban.clone()));
        out.remember(Record::History(ban.clone()));
        out.tell(now, News::Prolonged { ban: ban.clone(), dry_run: self.rules.dry_run });
        Ok(ban)
    }
}
