//! What guard made with other backends than the one in use: in an earlier run with
//! other settings, or before Docker changed its own. Its bans are adopted like those
//! found in the backend's own sets; then it goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use crate::model::{JailName, Network, Timestamp, Until};

use super::elements;
use super::iptables::{self, has_legacy_table};
use super::keeper::{Backend, Keeper};
use super::kind::Kind;
use super::lifting::{Waiting, without_time};
use super::look::Look;
use super::names::{ATTEMPTS, Family, Names};
use super::netlink::ElementChange;
use super::nft::Nft;
use super::plan::has_marks;
use super::rules::{Rule, Table};
use super::sets::{Refusals, SetError, Sets};
use super::teardown::{dismantle_iptables, dismantle_nft, dismantle_sets, is_ours, left_table};

/// A ban and its end; `None`: nobody knows.
type Left = (Network, Option<Until>);

/// The other backends, each if it holds anything that could be of interest.
struct Others {
    sets: Option<Sets>,
    nft: Vec<Nft>,
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
            nft: Nft::open_all(self.used_table()).0,
            tables,
        }
    }

    /// Takes away what guard made with other backends.
    pub(crate) fn remove_others(&mut self) {
        self.others_removed = true;
        let mut gone = dismantle_nft(self.used_table());
        if matches!(self.backend, Some(Backend::Nftables(_))) {
            gone &= dismantle_iptables();
        }
        // Sets go after the rules that look into them.
        if !matches!(self.backend, Some(Backend::Ipset(_)))
            && let Ok(mut sets) = Sets::open()
        {
            gone &= dismantle_sets(&mut sets);
        }
        self.clear_others = !gone;
        self.others_failed = (!gone).then(Instant::now);
        self.others_hold &= !gone;
    }

    /// The table of guard's own that is in use.
    fn used_table(&self) -> Option<&str> {
        match &self.backend {
            Some(Backend::Nftables(nft)) => Some(nft.table()),
            Some(Backend::Ipset(_) | Backend::Iptables) | None => None,
        }
    }

    /// Takes bans that were lifted out of what an earlier guard made with other backends.
    /// Do those hold anything of guard's at all? An error says why it may be in there still.
    pub(crate) fn take_out_of_others(
        &self,
        lifted: &BTreeMap<JailName, Waiting>,
    ) -> Result<bool, String> {
        let mut holding = false;
        let lifted: Vec<Part<'_>> = lifted.iter().flat_map(parts).collect();
        // Rules first, then the sets into which they look.
        if matches!(self.backend, Some(Backend::Nftables(_)) | None) {
            for (family, kind) in iptables_kinds() {
                let table = left_table(family, kind).map_err(|error| error.to_string())?;
                let Some(table) = table else { continue };
                holding |= has_marks(&table);
                let here = lifted.iter().filter(|(_, of, _)| *of == family);
                let lines: Vec<String> = here.flat_map(|it| rules_away(&table, it)).collect();
                if !lines.is_empty() {
                    iptables::restore(family, kind, &lines).map_err(|error| error.to_string())?;
                }
            }
        }
        let (tables, error) = Nft::open_all(self.used_table());
        for mut nft in tables {
            holding = true;
            for (names, family, networks) in &lifted {
                let elements = without_time(networks.iter().copied());
                let none = HashMap::new();
                let done = nft.change(names.set(*family), ElementChange::Remove, &elements, &none);
                is_gone(done)?;
            }
        }
        if let Some(error) = error {
            return Err(error.to_string());
        }
        if !matches!(self.backend, Some(Backend::Ipset(_))) {
            let mut sets = match Sets::open() {
                Ok(sets) => sets,
                // Where there are no sets, guard has left none.
                Err(SetError::Unusable(_)) => return Ok(holding),
                Err(error) => return Err(error.to_string()),
            };
            let headers = sets.headers().map_err(|error| error.to_string())?;
            holding |= headers.values().any(is_ours);
            for (names, family, networks) in &lifted {
                let set = names.set(*family);
                if headers.get(set).is_some_and(|header| header.fits(*family)) {
                    let elements = without_time(networks.iter().copied());
                    is_gone(sets.change(set, ElementChange::Remove, &elements))?;
                }
            }
        }
        Ok(holding)
    }
}

/// Bans that were lifted: a name that their jail may have had, their family, and whose they are.
type Part<'a> = (Names, Family, BTreeSet<&'a Network>);

/// What is lifted, by every name that the jail may have had, and by family.
fn parts<'a>(
    (jail, waiting): (&'a JailName, &'a Waiting),
) -> impl Iterator<Item = Part<'a>> + use<'a> {
    let of = |family: Family| -> BTreeSet<&Network> {
        waiting.networks.iter().filter(|n| Family::of(**n) == family).collect()
    };
    let families = Family::ALL.map(|family| (family, of(family)));
    let families = families.into_iter().filter(|(_, networks)| !networks.is_empty());
    families.flat_map(move |(family, networks)| {
        (0..ATTEMPTS).map(move |attempt| (Names::new(jail, attempt), family, networks.clone()))
    })
}

/// The lines that take the rules of these networks out of the jail's chain.
fn rules_away(table: &Table, (names, _, networks): &Part<'_>) -> Vec<String> {
    let rules = table.chain(&names.chain).map_or(&[][..], |chain| &chain.rules);
    let is_of = |rule: &&Rule| {
        let whose = rule.text.strip_prefix("-s ").or_else(|| rule.text.strip_prefix("-d "));
        let whose = whose.and_then(|rest| rest.split(' ').next()?.parse::<Network>().ok());
        rule.marked && whose.is_some_and(|whose| networks.contains(&whose))
    };
    rules.iter().filter(is_of).map(|rule| format!("-D {} {}", names.chain, rule.text)).collect()
}

fn is_gone(done: Result<Refusals, SetError>) -> Result<(), String> {
    let refusals = done.map_err(|error| error.to_string())?;
    match refusals.odd.first() {
        Some((network, why)) => Err(format!("{network}: {why}")),
        None => Ok(()),
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
            for nft in &mut self.nft {
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
