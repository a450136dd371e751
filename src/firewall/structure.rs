//! Chains, jumps and sets: looked at, and put right.
//!
//! A failure in one family never keeps the other from being put right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::{Chain, JailName, JailRules, Network, Timestamp, Until};

use super::iptables::{self, ToolError};
use super::keeper::{Backend, Keeper, Placed};
use super::kind::{self, DockerHook, Kind};
use super::names::{Family, Names, set_family};
use super::netlink::SetHeader;
use super::plan::{Change, Leftovers, Owner, has_marks, owner, plan};
use super::rules::Table;
use super::sets::Sets;
use super::shape::{self, WantedChain, Who};
use super::{Ipv6, iptables::has_legacy_table};

/// So many moves of a jump to the head within a minute are a fight.
const MOVES_MAX: usize = 3;
const MOVES_WITHIN: Duration = Duration::from_secs(60);

/// A name that is another's is tried with so many hashes.
const ATTEMPTS: u32 = 8;

/// One family's filter table, as it was found.
pub(crate) struct Look {
    kind: Kind,
    table: Table,
    /// The table of the other kind, if it is there.
    other: Option<Table>,
    hook: DockerHook,
}

impl Keeper {
    /// Looks at everything but the elements, and puts it right.
    pub(crate) fn structure(&mut self, now: Instant) {
        let before: Vec<[bool; 2]> = self.placed.values().map(|placed| placed.ready).collect();
        let names: Vec<JailName> = self.placed.keys().cloned().collect();
        self.look_and_mend(now);
        // A jail that became ready or is not ready any more: all its bans are news.
        for (name, before) in names.iter().zip(before) {
            self.tell_all_of(name, before);
        }
    }

    fn tell_all_of(&mut self, name: &JailName, before: [bool; 2]) {
        let (Some(placed), Some(jail)) = (self.placed.get_mut(name), self.wanted.jails.get(name))
        else {
            return;
        };
        let now = placed.ready;
        let changed = |network: &&Network| {
            let family = Family::of(**network) as usize;
            before[family] != now[family]
        };
        placed.changed.extend(jail.bans.keys().filter(changed));
    }

    fn look_and_mend(&mut self, now: Instant) {
        if !self.has_backend() {
            return;
        }
        let looks: BTreeMap<Family, Look> = Family::ALL
            .into_iter()
            .filter_map(|family| Some((family, self.look(family)?)))
            .collect();
        let Some(headers) = self.headers() else { return };
        self.name_jails(&looks, &headers);
        self.make_sets(&looks, &headers);
        let mut whole = Family::ALL
            .iter()
            .all(|family| looks.contains_key(family) || self.families[*family as usize].off);
        for (family, look) in &looks {
            if let Err(error) = self.put_right(*family, look, now) {
                whole = false;
                self.family_failed(*family, &error);
            }
        }
        if whole {
            self.remove_sets(&headers);
            self.left_chains.clear();
            self.clean_up = false;
        }
    }

    /// One family's table; `None`: the family is off, or it failed and that was noted.
    fn look(&mut self, family: Family) -> Option<Look> {
        let off = family == Family::V6 && !self.wants_ipv6();
        self.families[family as usize].off = off;
        if off {
            self.stop_family(family);
            return None;
        }
        match self.try_look(family) {
            Ok(look) => {
                self.families[family as usize].kind = Some(look.kind);
                self.families[family as usize].worked = true;
                Some(look)
            }
            Err(error) => {
                self.family_failed(family, &error);
                None
            }
        }
    }

    fn wants_ipv6(&mut self) -> bool {
        match self.settings.ipv6 {
            Ipv6::On => true,
            Ipv6::Off => false,
            Ipv6::Auto if iptables::has_ipv6() => true,
            Ipv6::Auto => {
                self.findings.notes.insert("IPv6 is left alone: this host has none".to_owned());
                false
            }
        }
    }

    /// Nothing is known of the family's chains any more.
    fn stop_family(&mut self, family: Family) {
        self.families[family as usize].kind = None;
        for placed in self.placed.values_mut() {
            placed.ready[family as usize] = false;
            placed.suspect[family as usize] = true;
        }
    }

    fn try_look(&mut self, family: Family) -> Result<Look, ToolError> {
        let nft = iptables::save(family, Kind::Nft);
        let legacy = has_legacy_table(family).then(|| iptables::save(family, Kind::Legacy));
        let legacy_table = legacy.as_ref().and_then(|legacy| legacy.as_ref().ok());
        let kind = kind::choose(nft.as_ref().ok(), legacy_table);
        let (chosen, other) = match (kind, legacy) {
            (Kind::Legacy, Some(legacy)) => (legacy, nft.ok()),
            (_, legacy) => (nft, legacy.and_then(Result::ok)),
        };
        let table = chosen?;
        let hook = kind::docker_hook(family, &table);
        Ok(Look { kind, table, other, hook })
    }

    /// Notes a failure. Where IPv6 never worked and nobody asked for it, that is
    /// how this host is, and no reason to call guard unwell.
    fn family_failed(&mut self, family: Family, error: &ToolError) {
        self.stop_family(family);
        let state = &mut self.families[family as usize];
        let optional = family == Family::V6
            && self.settings.ipv6 == Ipv6::Auto
            && !state.worked
            && !matches!(error, ToolError::Denied(_));
        state.off = optional;
        if optional {
            self.findings.notes.insert(format!("IPv6 is not protected: {error}"));
        } else {
            self.findings.problem(&format!("{}: {error}", family.as_str()));
            self.failed = true;
        }
    }

    /// The headers of all sets; none without the ipset backend. `None`: it failed.
    fn headers(&mut self) -> Option<BTreeMap<String, SetHeader>> {
        let Some(Backend::Ipset(sets)) = &mut self.backend else {
            return Some(BTreeMap::new());
        };
        match sets.headers() {
            Ok(headers) => Some(headers),
            Err(error) => {
                self.findings.problem(&error);
                self.failed = true;
                None
            }
        }
    }

    /// Gives every installed jail names that no other program uses.
    fn name_jails(
        &mut self,
        looks: &BTreeMap<Family, Look>,
        headers: &BTreeMap<String, SetHeader>,
    ) {
        let installed: Vec<JailName> = self
            .wanted
            .jails
            .iter()
            .filter(|(_, jail)| jail.rules.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in installed {
            let free = |names: &Names| {
                let chain = |look: &Look| owner(&look.table, &names.chain) != Owner::Other;
                let set = |family: Family| {
                    headers.get(names.set(family)).is_none_or(|header| header.fits(family))
                };
                looks.values().all(chain)
                    && Family::ALL.into_iter().all(set)
                    && !self
                        .placed
                        .iter()
                        .any(|(other, placed)| *other != name && placed.names.clash(names))
            };
            let first = self.placed.get(&name).map_or(0, |placed| placed.attempt);
            let choice = (first..first + ATTEMPTS)
                .map(|attempt| (attempt, Names::new(&name, attempt)))
                .find(|(_, names)| free(names));
            self.place(&name, choice);
        }
    }

    fn place(&mut self, name: &JailName, choice: Option<(u32, Names)>) {
        let Some((attempt, names)) = choice else {
            let plain = Names::new(name, 0).chain;
            let what = format!("{plain} and every name like it belong to other programs");
            self.findings.jail_problem(name, what);
            self.failed = true;
            return;
        };
        if attempt > 0 {
            let plain = Names::new(name, 0);
            self.findings.notes.insert(format!(
                "jail {name}: {} or a set of that name belongs to another program (fail2ban?); guard uses {}",
                plain.chain, names.chain
            ));
        }
        match self.placed.get(name) {
            Some(placed) if placed.names == names => {}
            Some(_) => {
                let new = Placed::new(names, attempt);
                if let Some(old) = self.placed.insert(name.clone(), new) {
                    self.give_up(old.names);
                }
                // Under the new name everything is to be brought in again.
                let bans = self.wanted.jails.get(name).map(|jail| &jail.bans);
                if let (Some(placed), Some(bans)) = (self.placed.get_mut(name), bans) {
                    placed.changed.extend(bans.keys());
                }
            }
            None => {
                let mut placed = Placed::new(names, attempt);
                if let Some(jail) = self.wanted.jails.get(name) {
                    placed.changed.extend(jail.bans.keys());
                }
                self.placed.insert(name.clone(), placed);
            }
        }
    }

    /// Makes the sets that are missing: before the chains that look into them.
    fn make_sets(&mut self, looks: &BTreeMap<Family, Look>, headers: &BTreeMap<String, SetHeader>) {
        let Some(Backend::Ipset(sets)) = &mut self.backend else { return };
        for (name, placed) in &mut self.placed {
            for family in looks.keys().copied() {
                let set = placed.names.set(family);
                let at = family as usize;
                placed.lacks_set[at] = false;
                if let Some(header) = headers.get(set) {
                    placed.suspect[at] |= !count_fits(placed, family, header.elements);
                    continue;
                }
                placed.applied.retain(|network, _| Family::of(*network) != family);
                placed.suspect[at] = true;
                if placed.adopted[at] {
                    self.mended.push(format!("set {set}"));
                }
                if let Err(error) = sets.create(set, family, self.settings.max_elements) {
                    placed.lacks_set[at] = true;
                    self.findings.jail_problem(name, error.to_string());
                    self.failed = true;
                }
            }
        }
    }

    /// Puts the chains and jumps of one family right.
    fn put_right(&mut self, family: Family, look: &Look, now: Instant) -> Result<(), ToolError> {
        self.adopt_rules(family, look);
        let wanted = self.wanted_chains(family, look.hook.chain);
        let pinned = self.pinned(family, now);
        let left = self.left_chains.clone();
        let leftovers = if self.clean_up { Leftovers::All } else { Leftovers::These(&left) };
        let plan = plan(&look.table, &wanted, leftovers, &pinned);
        if !plan.lines.is_empty() {
            iptables::restore(family, look.kind, &plan.lines)?;
        }
        if look.kind == Kind::Legacy && !plan.lines.is_empty() {
            // Legacy tables are exchanged as a whole: whoever wrote last has won.
            let table = iptables::save(family, look.kind)?;
            if !super::plan::plan(&table, &wanted, leftovers, &pinned).lines.is_empty() {
                return Err(ToolError::Overwritten);
            }
        }
        if let Some(other) = look.other.as_ref().filter(|other| has_marks(other)) {
            let none = BTreeSet::new();
            let away = super::plan::plan(other, &[], Leftovers::All, &none);
            iptables::restore(family, look.kind.other(), &away.lines)?;
        }
        self.note_changes(family, &plan.changes, now);
        for (hook, rule) in plan.low {
            self.findings.problem(&format!(
                "{}: another program keeps putting rules above guard's jumps in {hook}; for the next \
                 minute guard leaves them below `{rule}`",
                family.as_str()
            ));
        }
        self.note_ready(family, &look.hook);
        Ok(())
    }

    /// Which chains are to be there, and how.
    fn wanted_chains(&self, family: Family, hook: Option<&str>) -> Vec<WantedChain> {
        let now = Timestamp::now();
        let mut chains = Vec::with_capacity(self.placed.len());
        for (name, placed) in &self.placed {
            let Some(rules) = self.rules(name) else { continue };
            if placed.lacks_set[family as usize] {
                continue;
            }
            let block_type = rules.block.block_type;
            let banned;
            let who = match self.backend {
                Some(Backend::Iptables) => {
                    banned = self.banned(name, placed, family, now);
                    Who::Rules(&banned)
                }
                Some(Backend::Ipset(_)) | None => Who::Set(placed.names.set(family)),
            };
            chains.push(WantedChain {
                name: placed.names.chain.clone(),
                body: shape::body(family, block_type, &who),
                jumps: shape::jumps(&placed.names.chain, &rules.block, hook),
            });
        }
        chains
    }

    pub(crate) fn rules(&self, name: &JailName) -> Option<&JailRules> {
        self.wanted.jails.get(name)?.rules.as_deref()
    }

    /// Who is to have rules of his own in the jail's chain now, with the
    /// `iptables` backend: everybody, or in a chain that stands those who are in
    /// it. Orders of this turn are answered after the look, and are no repairs.
    fn banned(
        &self,
        name: &JailName,
        placed: &Placed,
        family: Family,
        now: Timestamp,
    ) -> Vec<Network> {
        let stands = placed.made[family as usize] && !placed.suspect[family as usize];
        let mut all: BTreeSet<Network> = placed.undecided.iter().copied().collect();
        if stands {
            all.extend(placed.applied.keys());
        } else if let Some(jail) = self.wanted.jails.get(name) {
            let live = jail.bans.iter().filter(|(_, until)| !until.is_over(now));
            all.extend(live.map(|(network, _)| *network));
        }
        all.into_iter().filter(|network| Family::of(*network) == family).collect()
    }

    /// The first look at a chain that an earlier guard filled rule by rule.
    fn adopt_rules(&mut self, family: Family, look: &Look) {
        if !matches!(self.backend, Some(Backend::Iptables)) {
            return;
        }
        for (name, placed) in &mut self.placed {
            if std::mem::replace(&mut placed.adopted[family as usize], true) {
                continue;
            }
            let Some(jail) = self.wanted.jails.get(name) else { continue };
            let Some(rules) = &jail.rules else { continue };
            let chain = look.table.chain(&placed.names.chain);
            let sources = chain.into_iter().flat_map(|chain| &chain.rules);
            for source in sources.filter_map(|rule| rule.source()) {
                let Ok(network) = source.parse::<Network>() else { continue };
                if !jail.bans.contains_key(&network) && placed.undecided.insert(network) {
                    // A rule does not say how long it should stay.
                    let until = rules.limits.ban_time.from(Timestamp::now());
                    self.found.push((name.clone(), network, until));
                }
            }
        }
    }

    fn note_ready(&mut self, family: Family, hook: &DockerHook) {
        let now = Timestamp::now();
        let mut docker_used = false;
        let mut placed = std::mem::take(&mut self.placed);
        for (name, placed) in &mut placed {
            let Some(rules) = self.rules(name) else { continue };
            let uses_docker = rules.block.chains.contains(&Chain::DockerUser);
            docker_used |= uses_docker;
            if matches!(self.backend, Some(Backend::Iptables)) {
                let banned = self.banned(name, placed, family, now);
                placed.suspect[family as usize] = false;
                let old = std::mem::take(&mut placed.applied);
                placed.changed.extend(banned.iter().filter(|n| !old.contains_key(n)));
                placed.applied = old;
                placed.applied.retain(|network, _| Family::of(*network) != family);
                placed.applied.extend(banned.into_iter().map(|network| (network, None)));
            }
            placed.made[family as usize] = !placed.lacks_set[family as usize];
            placed.ready[family as usize] =
                placed.made[family as usize] && (!uses_docker || hook.problem.is_none());
        }
        self.placed = placed;
        if docker_used {
            self.findings.problems.extend(hook.problem.clone());
            self.findings.notes.extend(hook.note.clone());
        }
    }

    /// Remembers moves, and which changes put back what was there before.
    fn note_changes(&mut self, family: Family, changes: &[Change], now: Instant) {
        let stood: BTreeSet<&str> = self
            .placed
            .values()
            .filter(|placed| placed.made[family as usize] && placed.ready[family as usize])
            .map(|placed| placed.names.chain.as_str())
            .collect();
        let back = changes.iter().filter(|change| stood.contains(change.chain()));
        let words =
            back.map(|change| format!("{} ({})", change, family.as_str())).collect::<Vec<_>>();
        let moved: BTreeSet<&String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Move(hook, chain) if stood.contains(chain.as_str()) => Some(hook),
                _ => None,
            })
            .collect();
        let moves = &mut self.families[family as usize].moves;
        for hook in moved {
            moves.entry(hook.clone()).or_default().push_back(now);
        }
        self.mended.extend(words);
    }

    /// The chains in which jumps are not moved for now.
    fn pinned(&mut self, family: Family, now: Instant) -> BTreeSet<String> {
        let moves = &mut self.families[family as usize].moves;
        for times in moves.values_mut() {
            times.retain(|time| now.saturating_duration_since(*time) < MOVES_WITHIN);
        }
        moves.retain(|_, times| !times.is_empty());
        let pinned = moves.iter().filter(|(_, times)| times.len() >= MOVES_MAX);
        pinned.map(|(hook, _)| hook.clone()).collect()
    }

    /// Takes the sets away that nobody needs: their chains are gone by now.
    fn remove_sets(&mut self, headers: &BTreeMap<String, SetHeader>) {
        let mut away = std::mem::take(&mut self.left_sets);
        if self.clean_up {
            away.extend(headers.values().filter(|header| is_ours(header)).map(|h| h.name.clone()));
        }
        for placed in self.placed.values() {
            away.remove(&placed.names.set4);
            away.remove(&placed.names.set6);
        }
        let Some(Backend::Ipset(sets)) = &mut self.backend else { return };
        for set in away {
            if headers.get(&set).is_some_and(is_ours)
                && let Err(error) = sets.destroy(&set)
            {
                self.findings.notes.insert(error.to_string());
            }
        }
    }

    /// Takes away everything that bears guard's mark, in both families and kinds.
    pub(crate) fn dismantle(&mut self) {
        for family in Family::ALL {
            for kind in [Kind::Nft, Kind::Legacy] {
                if kind == Kind::Legacy && !has_legacy_table(family) {
                    continue;
                }
                // A tool that is missing can't have left anything.
                let Ok(table) = iptables::save(family, kind) else { continue };
                let away = plan(&table, &[], Leftovers::All, &BTreeSet::new());
                if !away.lines.is_empty()
                    && let Err(error) = iptables::restore(family, kind, &away.lines)
                {
                    tracing::warn!(
                        "guard's {} rules could not be taken away: {error}",
                        family.as_str()
                    );
                }
            }
        }
        match &mut self.backend {
            Some(Backend::Ipset(sets)) => dismantle_sets(sets),
            Some(Backend::Iptables) | None => {}
        }
    }
}

fn dismantle_sets(sets: &mut Sets) {
    let headers = sets.headers().unwrap_or_default();
    for header in headers.values().filter(|header| is_ours(header)) {
        if let Err(error) = sets.destroy(&header.name) {
            tracing::warn!("{error}");
        }
    }
}

/// Is it a set as guard makes and names them?
fn is_ours(header: &SetHeader) -> bool {
    set_family(&header.name).is_some_and(|family| header.fits(family))
}

/// Can a set with so many elements hold just those that it should? Near its end
/// an element may be gone or not.
fn count_fits(placed: &Placed, family: Family, count: u32) -> bool {
    const SLACK: Duration = Duration::from_secs(3);
    let now = Timestamp::now();
    let (early, late) = (now.checked_sub(SLACK), now.checked_add(SLACK));
    let (Ok(early), Ok(late)) = (early, late) else { return true };
    let (mut least, mut most) = (0_u32, 0_u32);
    for (_, end) in placed.applied.iter().filter(|(network, _)| Family::of(**network) == family) {
        let until = end.map_or(Until::Forever, Until::Time);
        most += u32::from(!until.is_over(early));
        least += u32::from(!until.is_over(late));
    }
    (least..=most).contains(&count)
}
