//! Everything that is known of an address or prefix: for people who ask why it is in or out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Warden;
use super::bans::Standing;
use super::ignore::{Exempt, Why};
use super::jail::Jail;
use super::window::{after, before};
use crate::model::{Growth, JailName, JailRules, Network, Timestamp};

/// At most so many failing addresses, and so many bans, of a prefix are told for each jail.
const MOST: usize = 100;

/// What one jail knows of an address or prefix.
#[derive(Clone, Debug)]
pub struct Known {
    /// The jail.
    pub jail: JailName,
    /// Its rules.
    pub rules: Arc<JailRules>,
    /// Why the jail never bans it, if so.
    pub exempt: Option<Exempt>,
    /// Those in it, or it itself, whose failures count now: those who failed last come last.
    pub failing: Vec<Failing>,
    /// Further ones.
    pub more_failing: usize,
    /// The bans on it: of it, of what it lies in, and of what lies in it.
    pub bans: Vec<Standing>,
    /// Further ones.
    pub more_bans: usize,
    /// No failure at or before this counts: a ban or an unban has used them up.
    pub floor: Option<Timestamp>,
    /// How often the jail banned it, as far as is remembered.
    pub earlier: u32,
}

/// Somebody whose failures count now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Whom they count for: an address, or the prefix that is one client with it.
    pub network: Network,
    /// When, by the lines, oldest first.
    pub times: Vec<Timestamp>,
    /// So many more lines are a ban, if they come…
    pub needed: u32,
    /// …no later than this, when the oldest ceases to count.
    pub until: Timestamp,
    /// Why the ban that is due does not come yet.
    pub waits: Option<Waits>,
}

/// Why a ban that is due waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The jail began too many within a minute.
    Burst,
    /// For the end of the SSH connection of this address to the host.
    Ssh(Network),
}

impl Known {
    /// Is there anything to tell?
    pub fn is_something(&self) -> bool {
        self.exempt.is_some()
            || !self.failing.is_empty()
            || !self.bans.is_empty()
            || self.floor.is_some()
            || self.earlier > 0
    }
}

impl Why {
    /// What to do to have such an address banned all the same.
    pub fn remedy(&self) -> &'static str {
        match self {
            Why::Special | Why::Own | Why::TooWide => "only `guardctl ban --force` bans it",
            Why::Gateway { .. } | Why::Ingress => {
                "whoever comes with it can't be told from others: `guardctl status JAIL` says how to \
                 see the clients' own addresses"
            }
            Why::Container { .. } => {
                "GUARD_IGNOREDOCKER=false has containers banned, too; if it stands for clients \
                 outside, `guardctl status JAIL` says how to see their own addresses"
            }
            Why::Settings(_) => "take it out of GUARD_IGNOREIP to have it banned",
            Why::Jail(_) => "take it out of the label `ignoreip` to have it banned",
            Why::LoggedIn(_) => "it is left alone for GUARD_PARDON after a login (`successregex`)",
            Why::Proxy => "the clients behind it are banned, not the proxy (GUARD_TRUSTED_PROXIES)",
            Why::Behind(_) => "ban it in the proxy",
            Why::LiveSsh => "the ban comes when the connection ends (GUARD_PROTECT_SSH)",
        }
    }
}

impl Warden {
    /// What each jail knows of `network`; of those that know nothing, too.
    pub fn known(&self, now: Timestamp, network: Network) -> Vec<Known> {
        self.jails.values().map(|jail| self.known_in(jail, now, network)).collect()
    }

    fn known_in(&self, jail: &Jail, now: Timestamp, network: Network) -> Known {
        let client = jail.client(&self.never, network, now).0;
        let (failing, more_failing) = self.failing(jail, now, (network, client));
        let mut on = super::JailView(jail).bans_on(network);
        let bans: Vec<Standing> = on.by_ref().take(MOST).cloned().collect();
        let exempt = jail.exempt_failure(&self.never, network, now);
        Known {
            jail: jail.name(),
            rules: Arc::clone(&jail.rules),
            exempt,
            failing,
            more_failing,
            bans,
            more_bans: on.count(),
            floor: jail.floors.highest(network),
            earlier: self.offenders.bans(now, &jail.rules.name, client),
        }
    }

    /// Those who failed last, and how many others did. A prefix may hold all that a jail
    /// counts, so no more is gathered than is told.
    fn failing(
        &self,
        jail: &Jail,
        now: Timestamp,
        (network, client): (Network, Network),
    ) -> (Vec<Failing>, usize) {
        let find_time = jail.rules.limits.find_time;
        let oldest = before(now, find_time);
        let (mut last, mut more) = (BTreeMap::new(), 0);
        for (network, times, is_held) in jail.counts.each(network, client) {
            let Some(newest) = times.last().filter(|at| **at >= oldest) else { continue };
            last.insert((*newest, network), (times, is_held));
            if last.len() > MOST {
                last.pop_first();
                more += 1;
            }
        }
        let failing = last.into_iter().filter_map(|((_, network), (times, is_held))| {
            let times: Vec<_> = times.iter().copied().filter(|at| *at >= oldest).collect();
            let until = after(*times.first()?, find_time);
            let waits = self.waits(jail, network, is_held);
            let needed = self.needed(jail, now, network, times.len());
            Some(Failing { network, times, needed, until, waits })
        });
        (failing.collect(), more)
    }

    /// How many more failures are a ban: of one who was banned before, one counts as several.
    fn needed(&self, jail: &Jail, now: Timestamp, network: Network, counted: usize) -> u32 {
        let max_retry = jail.rules.limits.max_retry.get();
        let weight = match jail.rules.policy.growth {
            Some(_) => {
                Growth::weight(self.offenders.bans(now, &jail.rules.name, network), max_retry)
            }
            None => 1,
        };
        let counted = u32::try_from(counted).unwrap_or(u32::MAX);
        max_retry.saturating_sub(counted).div_ceil(weight.max(1))
    }

    fn waits(&self, jail: &Jail, network: Network, is_held: bool) -> Option<Waits> {
        if is_held {
            return Some(Waits::Burst);
        }
        let is_waiting = jail.awaits_ssh.iter().any(|waiting| waiting.network == network);
        let peer = self.never.live_ssh(&jail.rules, network).filter(|_| is_waiting);
        peer.map(|exempt| Waits::Ssh(exempt.entry))
    }
}
