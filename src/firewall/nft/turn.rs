//! The structure's part of a turn: guard's table looked at, and put right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::{JailName, Network};

use crate::firewall::iptables::ToolError;
use crate::firewall::keeper::{Backend, Keeper, Placed};
use crate::firewall::names::{ATTEMPTS, Family, Names};
use crate::firewall::plan::Leftovers;
use crate::firewall::rescue;
use crate::firewall::wanted::Touched;

use super::choice::{Signs, wants_nftables};
use super::own::NftError;
use super::plan::{Found, Plan, RuleFound, plan};
use super::shape::{self, Jail, full_length, parts, set_name};
use super::{Nft, TABLE};

/// The set for a prefix length that nobody needs stays so long.
const IDLE: Duration = Duration::from_secs(600);

impl Keeper {
    /// Does Docker's set-up ask for nftables?
    pub(crate) fn docker_wants_nftables(&mut self) -> bool {
        // A kernel that can't be asked has no nf_tables, and nothing is to be chosen.
        let nothing = Signs { user: true, ..Signs::default() };
        // What a look has seen need not be asked of a tool, which may be slow.
        let jump = match self.backend {
            Some(Backend::Ipset(_)) => self.families[Family::V4 as usize].docker_jump,
            _ => None,
        };
        let engine = self.engine;
        wants_nftables(engine, || Nft::open().map_or(nothing, |mut nft| nft.signs(engine, jump)))
    }

    /// Looks at guard's table, and puts it right.
    pub(crate) fn nft_structure(&mut self) {
        let off = [false, !self.wants_ipv6()];
        for family in Family::ALL {
            self.families[family as usize].off = off[family as usize];
            self.families[family as usize].kind = None;
        }
        match self.nft_put_right() {
            Ok(()) => self.set_nft_works(true),
            Err(error) => {
                self.set_nft_works(false);
                self.findings.problem(&error);
                self.failed = true;
                for family in Family::ALL {
                    self.stop_family(family);
                }
            }
        }
    }

    fn set_nft_works(&mut self, works: bool) {
        if let Some(Backend::Nftables(nft)) = &mut self.backend {
            nft.works = works;
        }
    }

    fn nft_put_right(&mut self) -> Result<(), NftError> {
        let Some(Backend::Nftables(nft)) = &mut self.backend else { return Ok(()) };
        let (found, others) = nft.look_at_own()?;
        let found = found.clone();
        if nft.table != TABLE {
            self.findings.notes.insert(format!(
                "nftables' table inet {TABLE} belongs to another program; guard uses inet {}",
                nft.table
            ));
        }
        for (name, chain) in &found.chains {
            if chain.rules.iter().any(RuleFound::is_rescue) {
                self.findings.notes.insert(rescue::note_nft(&nft.table, name));
            }
        }
        if nft.is_to_be_counted(others) {
            for placed in self.placed.values_mut() {
                placed.suspect = [true; 2];
            }
        }
        self.nft_name_jails();
        self.adopt_from_others(None);
        for placed in self.placed.values_mut() {
            placed.broken = [false; 2];
        }
        let jails = self.nft_jails(&found);
        let wanted: Vec<Jail> = jails.values().cloned().collect();
        let left = std::mem::take(&mut self.left_chains);
        // Its chains are of both families.
        let these = &left[Family::V4 as usize];
        let leftovers = if self.clean_up { Leftovers::All } else { Leftovers::These(these) };
        let size = self.settings.max_elements;
        let Some(Backend::Nftables(nft)) = &mut self.backend else { return Ok(()) };
        let steps = plan(&found, &nft.table, &wanted, leftovers, size);
        if !steps.lines.is_empty()
            && let Err(error) = nft.write(&steps.lines)
        {
            self.left_chains = left;
            return self.nft_one_by_one(&jails, error);
        }
        self.left_sets.clear();
        if self.clean_up {
            self.clear_others = true;
        }
        self.clean_up = false;
        self.nft_note(&jails, &steps);
        Ok(())
    }

    /// Gives every installed jail names, all different.
    fn nft_name_jails(&mut self) {
        let installed: Vec<JailName> = self
            .wanted
            .jails
            .iter()
            .filter(|(_, jail)| jail.rules.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in installed {
            let taken = |names: &Names| {
                self.placed
                    .iter()
                    .any(|(other, placed)| *other != name && placed.names.clash(names))
            };
            let first = self.placed.get(&name).map_or(0, |placed| placed.attempt);
            let choice = (first..first + ATTEMPTS)
                .map(|attempt| (attempt, Names::new(&name, attempt)))
                .find(|(_, names)| !taken(names));
            self.place(&name, choice);
        }
    }

    /// What each jail needs.
    fn nft_jails(&mut self, found: &Found) -> BTreeMap<JailName, Jail> {
        let now = Instant::now();
        let mut jails = BTreeMap::new();
        let mut idle = BTreeMap::new();
        for (name, placed) in &mut self.placed {
            let Some(jail) = self.wanted.jails.get(name) else { continue };
            let Some(rules) = &jail.rules else { continue };
            let mut lengths = BTreeSet::new();
            for family in Family::ALL {
                if self.families[family as usize].off {
                    continue;
                }
                lengths.insert((family, full_length(family)));
                let held = jail.bans.keys().chain(placed.applied.keys()).chain(&placed.undecided);
                let held = held.filter(|network| Family::of(**network) == family);
                lengths.extend(held.map(|network| (family, network.length())));
                // Others may hold bans that an earlier guard left, or be needed again soon.
                let base = placed.names.set(family);
                for (set, length) in lengths_there(found, base, family) {
                    if lengths.contains(&(family, length)) {
                        continue;
                    }
                    let since = match &self.backend {
                        Some(Backend::Nftables(nft)) => nft.idle.get(set).copied(),
                        _ => None,
                    };
                    let since = since.unwrap_or(now);
                    idle.insert(set.clone(), since);
                    if !placed.adopted[family as usize] || now.duration_since(since) < IDLE {
                        lengths.insert((family, length));
                    }
                }
            }
            let lengths: Vec<_> = lengths.into_iter().collect();
            let wanted = shape::jail(&placed.names, &rules.block, &lengths);
            if wanted.sets.iter().any(|set| !found.sets.contains_key(&set.name))
                && wanted.sets.iter().any(|set| found.sets.contains_key(&set.name))
                && new_lengths_only(placed, &wanted, found)
            {
                // A prefix of a new length was ordered: no repair.
                placed.made = [false; 2];
            }
            jails.insert(name.clone(), wanted);
        }
        if let Some(Backend::Nftables(nft)) = &mut self.backend {
            nft.idle = idle;
        }
        jails
    }

    /// After a transaction that failed: jail by jail, so that one whose rules this
    /// kernel refuses does not keep the others out.
    fn nft_one_by_one(
        &mut self,
        jails: &BTreeMap<JailName, Jail>,
        error: ToolError,
    ) -> Result<(), NftError> {
        if !matches!(error, ToolError::Failed { .. }) {
            return Err(error.into());
        }
        let none = BTreeSet::new();
        let size = self.settings.max_elements;
        let (mut all, mut refused) = (Plan::default(), Vec::new());
        for (name, jail) in jails {
            let Some(Backend::Nftables(nft)) = &mut self.backend else { return Ok(()) };
            let found = nft.look()?.0.clone();
            let one = std::slice::from_ref(jail);
            let steps = plan(&found, &nft.table, one, Leftovers::These(&none), size);
            let done = if steps.lines.is_empty() { Ok(()) } else { nft.write(&steps.lines) };
            match done {
                Ok(()) => {
                    all.changes.extend(steps.changes);
                    all.new_sets.extend(steps.new_sets);
                }
                Err(error @ ToolError::Failed { .. }) => refused.push((name, error)),
                Err(error) => return Err(error.into()),
            }
        }
        if refused.len() == jails.len() {
            return Err(error.into());
        }
        if refused.is_empty() {
            // Only what is to go could not be taken away.
            self.findings.notes.insert(format!("nftables: {error}"));
        }
        for (name, error) in refused {
            if let Some(placed) = self.placed.get_mut(name) {
                placed.broken = [true; 2];
            }
            self.findings.jail_problem(name, error.to_string());
        }
        self.failed = true;
        self.nft_note(jails, &all);
        Ok(())
    }

    /// Notes what was made, and what of it was there before.
    fn nft_note(&mut self, jails: &BTreeMap<JailName, Jail>, steps: &Plan) {
        let stood: BTreeSet<&str> = self
            .placed
            .values()
            .filter(|placed| (0..2).any(|at| placed.made[at] && placed.ready[at]))
            .map(|placed| placed.names.chain.as_str())
            .collect();
        let stood = |chain: &Option<String>| match chain {
            Some(chain) => stood.contains(chain.as_str()),
            None => !stood.is_empty(),
        };
        let back = steps.changes.iter().filter(|(chain, _)| stood(chain));
        self.mended.extend(back.map(|(_, what)| format!("{what} (nftables)")));
        let off = [self.families[0].off, self.families[1].off];
        for (name, placed) in &mut self.placed {
            let new = |network: &Network| {
                let family = Family::of(*network);
                let set = set_name(placed.names.set(family), family, network.length());
                steps.new_sets.contains(&set)
            };
            for network in placed.applied.keys().filter(|network| new(network)) {
                placed.suspect[Family::of(*network) as usize] = true;
            }
            placed.applied.retain(|network, _| !new(network));
            for family in Family::ALL {
                let at = family as usize;
                placed.made[at] = jails.contains_key(name) && !placed.broken[at] && !off[at];
                placed.ready[at] = placed.made[at];
            }
        }
    }

    /// Has an order a prefix of a length for which its jail has no set yet?
    pub(crate) fn lacks_sets(&mut self, touched: &Touched) -> bool {
        let Some(Backend::Nftables(nft)) = &mut self.backend else { return false };
        touched.bans.iter().any(|(name, networks)| {
            let bans = self.wanted.jails.get(name).map(|jail| &jail.bans);
            let Some(placed) = self.placed.get(name) else { return false };
            networks
                .iter()
                .filter(|network| !network.is_single())
                .filter(|network| bans.is_some_and(|bans| bans.contains_key(network)))
                .any(|network| {
                    let family = Family::of(*network);
                    let set = set_name(placed.names.set(family), family, network.length());
                    nft.found.as_ref().is_none_or(|found| !found.sets.contains_key(&set))
                })
        })
    }
}

/// Is everything that is missing a set of prefixes that holds nothing yet?
fn new_lengths_only(placed: &Placed, wanted: &Jail, found: &Found) -> bool {
    let missing = wanted.sets.iter().filter(|set| !found.sets.contains_key(&set.name));
    let mut missing = missing.map(|set| (set.family, parts(&set.name).1));
    missing.all(|(family, length)| {
        length.is_some_and(|length| {
            !placed
                .applied
                .keys()
                .any(|network| Family::of(*network) == family && network.length() == length)
        })
    })
}

/// The sets of prefixes that are there for a jail, with their lengths.
fn lengths_there<'a>(
    found: &'a Found,
    base: &'a str,
    family: Family,
) -> impl Iterator<Item = (&'a String, u8)> {
    found.sets.keys().filter_map(move |name| {
        let (of, length) = parts(name);
        let length = length.filter(|length| (1..full_length(family)).contains(length))?;
        (of == base).then_some((name, length))
    })
}
