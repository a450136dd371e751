//! What guard made with other backends than the one in use: in an earlier run with
//! other settings, or before Docker changed its own. Its bans are adopted like those
//! found in the backend's own sets; then it goes.

use std::collections::BTreeMap;

use crate::model::{JailName, Network, Timestamp, Until};

use super::elements;
use super::iptables::{self, has_legacy_table};
use super::keeper::{Backend, Keeper};
use super::kind::Kind;
use super::look::Look;
use super::names::{Family, Names};
use super::nft::Nft;
use super::rules::Table;
use super::sets::Sets;
use super::teardown::{dismantle_iptables, dismantle_nft, dismantle_sets};

/// A ban and its end; `None`: nobody knows.
type Left = (Network, Option<Until>);

/// The other backends, each if it holds anything that could be of interest.
struct Others {
    sets: Option<Sets>,
    nft: Option<Nft>,
    tables: Vec<Table>,
}

impl Keeper {
    /// Tells of bans that stand in other backends for jails that are new here and
    /// that nobody ordered.
    pub(crate) fn adopt_from_others(&mut self, looks: Option<&BTreeMap<Family, Look>>) {
        let new: Vec<(JailName, Names)> = self
            .placed
            .iter_mut()
            .filter_map(|(name, placed)| {
                let asked = std::mem::replace(&mut placed.others_asked, true);
                (!asked).then(|| (name.clone(), placed.names.clone()))
            })
            .collect();
        if new.is_empty() || self.others_removed {
            return;
        }
        let mut others = self.others(looks);
        let now = Timestamp::now();
        for (name, names) in new {
            let Some(jail) = self.wanted.jails.get(&name) else { continue };
            let Some(rules) = &jail.rules else { continue };
            // A rule does not say how long it should stay.
            let unsaid = rules.limits.ban_time.from(now);
            let mut left: BTreeMap<Network, Until> = BTreeMap::new();
            for (network, until) in others.bans(&names, now) {
                if !jail.bans.contains_key(&network) {
                    left.entry(network).or_insert(until.unwrap_or(unsaid));
                }
            }
            self.found.extend(left.into_iter().map(|(net, until)| (name.clone(), net, until)));
        }
    }

    fn others(&self, looks: Option<&BTreeMap<Family, Look>>) -> Others {
        let tables = match (&self.backend, looks) {
            (Some(Backend::Iptables), _) => Vec::new(),
            (_, Some(looks)) => looks
                .values()
                .flat_map(|look| [Some(&look.table), look.other.as_ref()])
                .flatten()
                .cloned()
                .collect(),
            (_, None) => iptables_tables(),
        };
        Others {
            sets: match self.backend {
                Some(Backend::Ipset(_)) => None,
                _ => Sets::open().ok(),
            },
            nft: match self.backend {
                Some(Backend::Nftables(_)) => None,
                _ => Nft::open_existing(),
            },
            tables,
        }
    }

    /// Takes away what guard made with other backends.
    pub(crate) fn remove_others(&mut self) {
        self.clear_others = false;
        self.others_removed = true;
        match self.backend {
            Some(Backend::Nftables(_)) => dismantle_iptables(),
            Some(Backend::Ipset(_) | Backend::Iptables) | None => dismantle_nft(),
        }
        // Sets go after the rules that look into them.
        if !matches!(self.backend, Some(Backend::Ipset(_)))
            && let Ok(mut sets) = Sets::open()
        {
            dismantle_sets(&mut sets);
        }
    }
}

impl Others {
    /// The bans of a jail that has these names.
    fn bans(&mut self, names: &Names, now: Timestamp) -> Vec<Left> {
        let mut all: Vec<Left> = Vec::new();
        let mut take = |elements: Vec<super::netlink::Element>| {
            let until = |timeout| elements::end(timeout, now).map_or(Until::Forever, Until::Time);
            all.extend(elements.iter().map(|e| (e.network, Some(until(e.timeout)))));
        };
        for family in Family::ALL {
            let set = names.set(family);
            if let Some(sets) = &mut self.sets
                && sets.headers().is_ok_and(|all| all.get(set).is_some_and(|it| it.fits(family)))
            {
                take(sets.list(set).unwrap_or_default());
            }
            if let Some(nft) = &mut self.nft {
                take(nft.list(set).unwrap_or_default());
            }
        }
        let chains = self.tables.iter().filter_map(|table| table.chain(&names.chain));
        let rules = chains.flat_map(|chain| &chain.rules).filter(|rule| rule.marked);
        let sources = rules.filter_map(|rule| rule.source()?.parse().ok());
        all.extend(sources.map(|network| (network, None)));
        all
    }
}

fn iptables_tables() -> Vec<Table> {
    iptables_kinds().filter_map(|(family, kind)| iptables::save(family, kind).ok()).collect()
}

/// The tables that there may be; merely calling the legacy tools would make theirs.
fn iptables_kinds() -> impl Iterator<Item = (Family, Kind)> {
    let all = Family::ALL.into_iter().flat_map(|f| [(f, Kind::Nft), (f, Kind::Legacy)]);
    all.filter(|(family, kind)| *kind == Kind::Nft || has_legacy_table(*family))
}
