//! Bans of another program's that are taken over: each keeps its beginning and its end,
//! and how often there was one before counts for longer bans.

use super::Warden;
use super::effect::{BanRefusal, NoSuchJail};
use super::jail::{Jail, Lifted};
use super::judge::Court;
use crate::model::{
    Ban, BanOrigin, ForeignBan, JailName, Network, Offence, Record, Timestamp, Until,
};

/// Bans to be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRequest {
    /// Into which jail.
    pub jail: JailName,
    /// Which.
    pub bans: Vec<ForeignBan>,
}

/// What became of an [`ImportRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many bans were made, or prolonged.
    pub banned: u64,
    /// How many of those were made.
    pub made: u64,
    /// How many are banned for at least as long.
    pub standing: u64,
    /// How many are over.
    pub ended: u64,
    /// Those who are not banned, and why.
    pub refused: Vec<(Network, BanRefusal)>,
}

impl Warden {
    /// Takes over bans. Nobody is told of each: there may be very many.
    ///
    /// # Errors
    /// There is no such jail.
    pub fn handle_import(
        &mut self,
        now: Timestamp,
        request: ImportRequest,
    ) -> Result<Imported, NoSuchJail> {
        self.observe(now);
        let (jails, mut court) = self.split();
        let jail = jails.get_mut(&request.jail).ok_or(NoSuchJail(request.jail))?;
        let mut done = Imported::default();
        for ban in request.bans {
            if let Err(why) = jail.refuse(court.never, ban.network) {
                done.refused.push((ban.network, why));
                continue;
            }
            jail.take_offence(now, ban, &mut court);
            match jail.take_foreign(now, ban, &mut court) {
                Fate::Banned => {
                    done.banned += 1;
                    done.made += 1;
                }
                Fate::Prolonged => done.banned += 1,
                Fate::Standing => done.standing += 1,
                Fate::Ended => done.ended += 1,
            }
        }
        court.out.remember(jail.record());
        Ok(done)
    }
}

/// What became of one ban.
enum Fate {
    Banned,
    Prolonged,
    Standing,
    Ended,
}

impl Jail {
    fn take_foreign(&mut self, now: Timestamp, foreign: ForeignBan, court: &mut Court<'_>) -> Fate {
        let ForeignBan { network, since, until, .. } = foreign;
        if until.is_over(now) {
            return Fate::Ended;
        }
        if self.bans.get(network).is_some_and(|standing| standing.ban.until.is_over(now)) {
            self.lift(now, network, Lifted::Over, court.out);
        }
        let (ban, state, fate) = match self.bans.get(network) {
            Some(standing) if standing.ban.until >= until => return Fate::Standing,
            Some(standing) => {
                (Ban { until, ..standing.ban.clone() }, standing.state, Fate::Prolonged)
            }
            None => {
                self.banned = self.banned.saturating_add(1);
                let (jail, since) = (self.name(), since.min(now));
                let origin = BanOrigin::Imported;
                let ban = Ban { jail, network, since, until, origin, failures: 0 };
                (ban, self.ordered(), Fate::Banned)
            }
        };
        self.bans.insert(ban.clone(), state);
        self.block(&ban, court.out);
        court.out.remember(Record::Ban(ban.clone()));
        court.out.remember(Record::History(ban));
        fate
    }

    /// Who was banned before is banned for longer the next time, as in fail2ban.
    fn take_offence(&self, now: Timestamp, foreign: ForeignBan, court: &mut Court<'_>) {
        let client = self.rules.policy.prefixes.widen(foreign.network);
        let known = court.offenders.bans(now, &self.rules.name, client);
        let bans = foreign.times.max(1);
        let long_ago = match foreign.until {
            Until::Time(end) => court.offenders.is_forgotten(now, end),
            Until::Forever => false,
        };
        if known >= bans || long_ago {
            return;
        }
        let offence = Offence { bans, until: foreign.until };
        court.out.remember(Record::Offence(self.name(), client, offence));
        if let Some((jail, network)) = court.offenders.note(&self.rules.name, client, offence) {
            court.out.remember(Record::OffenceGone(jail, network));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Memory;
    use crate::warden::{BanRequest, Effect, JailView, Settings};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ban(network: &str, since: i64, until: Option<i64>, times: u32) -> ForeignBan {
        let until = until.map_or(Until::Forever, |until| Until::Time(at(until)));
        ForeignBan { network: network.parse().unwrap(), since: at(since), until, times }
    }

    fn import(warden: &mut Warden, bans: Vec<ForeignBan>) -> Imported {
        let jail = JailName::from_lossy("manual");
        warden.handle_import(at(1000), ImportRequest { jail, bans }).unwrap()
    }

    #[test]
    fn each_ban_keeps_its_end_and_the_longer_one_stands() {
        let mut warden = Warden::new(at(1000), Memory::default(), Settings::default());
        let request = BanRequest {
            networks: vec!["203.0.113.4".parse().unwrap()],
            jail: None,
            time: Some(crate::model::BanTime::Forever),
            force: false,
        };
        let _ = warden.handle_ban(at(1000), request);
        while warden.poll_effect().is_some() {}
        let done = import(
            &mut warden,
            vec![
                ban("203.0.113.1", 900, Some(1500), 1),
                ban("203.0.113.2", 900, None, 3),
                ban("203.0.113.3", 100, Some(200), 7),
                ban("203.0.113.4", 900, Some(1500), 1),
                ban("127.0.0.1", 900, Some(1500), 1),
                ban("203.0.113.1", 900, Some(1600), 2),
            ],
        );
        assert_eq!((done.banned, done.standing, done.ended), (3, 1, 1), "{done:?}");
        assert_eq!(done.refused.len(), 1, "{done:?}");
        assert!(!done.refused[0].1.reason().contains("--force"), "{done:?}");
        let all = warden.jails().flat_map(JailView::bans);
        let mut all: Vec<_> = all
            .map(|standing| &standing.ban)
            .map(|ban| format!("{} {} {}", ban.network, ban.since.as_second(), ban.until))
            .collect();
        all.sort();
        assert_eq!(
            all,
            [
                "203.0.113.1 900 1970-01-01T00:26:40Z",
                "203.0.113.2 900 for ever",
                "203.0.113.4 1000 for ever",
            ]
        );
        let effects: Vec<_> = std::iter::from_fn(|| warden.poll_effect()).collect();
        let offence = |network: &str| {
            effects.iter().rev().find_map(|effect| match effect {
                Effect::Remember(Record::Offence(_, whom, offence))
                    if whom.to_string() == network =>
                {
                    Some(offence.bans)
                }
                _ => None,
            })
        };
        assert_eq!(offence("203.0.113.1"), Some(2));
        assert_eq!(offence("203.0.113.3"), Some(7));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Tell(_))));
    }

    #[test]
    fn an_unknown_jail_is_told() {
        let mut warden = Warden::new(at(1000), Memory::default(), Settings::default());
        let request = ImportRequest { jail: JailName::from_lossy("sshd"), bans: Vec::new() };
        assert!(warden.handle_import(at(1000), request).is_err());
    }
}
