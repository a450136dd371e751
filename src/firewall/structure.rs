//! Chains, jumps and sets: looked at, and put right.
//!
//! A failure in one family never keeps the other from being put right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::{Chain, JailName, JailRules, Network, Timestamp, Until};

use super::iptables::{self, ToolError};
use super::keeper::{Backend, Keeper, Placed};
use super::kind::{DOCKER_USER, DockerHook, Kind};
use super::look::Look;
use super::names::{ATTEMPTS, Family, Names};
use super::netlink::SetHeader;
use super::plan::{Change, Leftovers, Owner, has_marks, owner, plan};
use super::rescue;
use super::shape::{self, WantedChain, Who};

/// So many moves of a jump to the head within a minute are a fight.
const MOVES_MAX: usize = 3;
const MOVES_WITHIN: Duration = Duration::from_secs(60);

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
        if matches!(self.backend, Some(Backend::Nftables(_))) {
            self.nft_structure();
            return;
        }
        let looks: BTreeMap<Family, Look> = Family::ALL
            .into_iter()
            .filter_map(|family| Some((family, self.look(family)?)))
            .collect();
        let Some(headers) = self.headers() else { return };
        self.name_jails(&looks, &headers);
        self.adopt_from_others(Some(&looks));
        for placed in self.placed.values_mut() {
            placed.broken = [false; 2];
        }
        self.make_sets(&looks, &headers);
        let mut whole = Family::ALL
            .iter()
            .all(|family| looks.contains_key(family) || self.families[*family as usize].off);
        for (family, look) in &looks {
            match self.put_right(*family, look, now) {
                Ok(()) => self.left_chains[*family as usize].clear(),
                Err(error) => {
                    whole = false;
                    self.keep_what_stands(*family, look, now);
                    self.family_failed(*family, &error);
                }
            }
        }
        if whole {
            self.remove_sets(&headers);
            self.left_chains = Default::default();
            self.clear_others |= self.clean_up;
            self.clean_up = false;
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

    /// Gives a jail the names chosen for it.
    pub(crate) fn place(&mut self, name: &JailName, choice: Option<(u32, Names)>) {
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
            for family in Family::ALL {
                let set = placed.names.set(family);
                let at = family as usize;
                let header = headers.get(set).filter(|header| header.fits(family));
                placed.has_set[at] = header.is_some();
                if let Some(header) = header {
                    placed.suspect[at] |= !count_fits(placed, family, header.elements);
                    continue;
                }
                placed.applied.retain(|network, _| Family::of(*network) != family);
                placed.suspect[at] = true;
                if !looks.contains_key(&family) {
                    // No rule looks into a set that is gone, and what does is not known now.
                    placed.made[at] = false;
                    placed.ready[at] = false;
                    continue;
                }
                if placed.adopted[at] {
                    self.mended.push(format!("set {set}"));
                }
                match sets.create(set, family, self.settings.max_elements) {
                    Ok(()) => placed.has_set[at] = true,
                    Err(error) => {
                        placed.broken[at] = true;
                        self.findings.jail_problem(name, error.to_string());
                        self.failed = true;
                    }
                }
            }
        }
    }

    /// Puts the chains and jumps of one family right.
    fn put_right(&mut self, family: Family, look: &Look, now: Instant) -> Result<(), ToolError> {
        self.adopt_rules(family, look);
        self.findings.notes.extend(rescue::notes(family, &look.table));
        let wanted = self.wanted_chains(family, look.hook.chain);
        let pinned = self.pinned(family, now);
        let left = self.left_chains[family as usize].clone();
        let leftovers = if self.clean_up { Leftovers::All } else { Leftovers::These(&left) };
        let steps = plan(&look.table, &wanted, leftovers, &pinned);
        if !steps.lines.is_empty()
            && let Err(error) = self.restore(family, look.kind, &steps.lines)
        {
            return self.one_by_one(family, look, &wanted, error);
        }
        if look.kind == Kind::Legacy && !steps.lines.is_empty() {
            // Legacy tables are exchanged as a whole: whoever wrote last has won.
            let table = iptables::save(family, look.kind)?;
            if !plan(&table, &wanted, leftovers, &pinned).lines.is_empty() {
                return Err(ToolError::Overwritten);
            }
        }
        if let Some(other) = look.other.as_ref().filter(|other| has_marks(other)) {
            let away = plan(other, &[], Leftovers::All, &BTreeSet::new());
            if let Err(error) = self.restore(family, look.kind.other(), &away.lines) {
                self.findings.problem(&format!("{}: {error}", family.as_str()));
            }
        }
        self.note_changes(family, &steps.changes, now);
        for (hook, rule) in steps.low {
            self.findings.problem(&format!(
                "{}: another program keeps putting rules above guard's jumps in {hook}; for the next \
                 minute guard leaves them below `{rule}`",
                family.as_str()
            ));
        }
        self.note_ready(family, &look.hook);
        Ok(())
    }

    /// After a restore that failed: whose chain and jumps were there before it, is as
    /// safe as it was.
    fn keep_what_stands(&mut self, family: Family, look: &Look, now: Instant) {
        let none = BTreeSet::new();
        let pinned = self.pinned(family, now);
        let wanted = self.wanted_chains(family, look.hook.chain);
        let is_whole = |chain: &&WantedChain| {
            let one = std::slice::from_ref(*chain);
            plan(&look.table, one, Leftovers::These(&none), &pinned).lines.is_empty()
        };
        let whole: BTreeSet<&str> =
            wanted.iter().filter(is_whole).map(|chain| chain.name.as_str()).collect();
        let at = family as usize;
        for placed in self.placed.values_mut() {
            let stands = whole.contains(placed.names.chain.as_str());
            placed.made[at] &= stands;
            placed.ready[at] &= stands;
            placed.suspect[at] |= !stands;
        }
    }

    /// After a restore that failed: jail by jail, so that one whose rules this
    /// kernel refuses (a target that it lacks) does not keep the others out.
    fn one_by_one(
        &mut self,
        family: Family,
        look: &Look,
        wanted: &[WantedChain],
        error: ToolError,
    ) -> Result<(), ToolError> {
        let none = BTreeSet::new();
        let mut refused = Vec::new();
        for chain in wanted {
            let one = std::slice::from_ref(chain);
            let steps = plan(&look.table, one, Leftovers::These(&none), &none);
            if steps.lines.is_empty() {
                continue;
            }
            match self.restore(family, look.kind, &steps.lines) {
                Ok(()) => {}
                Err(error @ ToolError::Failed { .. }) => refused.push((&chain.name, error)),
                Err(error) => return Err(error),
            }
        }
        if refused.is_empty() || refused.len() == wanted.len() {
            return Err(error);
        }
        for (chain, error) in refused {
            let jail = self.placed.iter_mut().find(|(_, placed)| placed.names.chain == *chain);
            if let Some((name, placed)) = jail {
                placed.broken[family as usize] = true;
                let what = format!("{}: {error}", family.as_str());
                self.findings.jail_problem(name, what);
            }
        }
        self.failed = true;
        self.note_ready(family, &look.hook);
        Ok(())
    }

    /// Which chains are to be there, and how.
    fn wanted_chains(&self, family: Family, hook: Option<&str>) -> Vec<WantedChain> {
        let now = Timestamp::now();
        let mut chains = Vec::with_capacity(self.placed.len());
        for (name, placed) in &self.placed {
            let Some(rules) = self.rules(name) else { continue };
            if placed.broken[family as usize] {
                continue;
            }
            let banned;
            let who = match self.backend {
                Some(Backend::Iptables) => {
                    banned = self.banned(name, placed, family, now);
                    Who::Rules(&banned)
                }
                Some(Backend::Ipset(_) | Backend::Nftables(_)) | None => {
                    Who::Set(placed.names.set(family))
                }
            };
            chains.push(WantedChain {
                name: placed.names.chain.clone(),
                body: shape::body(family, &rules.block, &who),
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
                if !jail.bans.contains_key(&network)
                    && !self.lifting.waits(name, network)
                    && placed.undecided.insert(network)
                {
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
            placed.made[family as usize] = !placed.broken[family as usize];
            placed.stood[family as usize] |= placed.made[family as usize];
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
        let at = family as usize;
        let stood: BTreeMap<&str, bool> = self
            .placed
            .values()
            .filter(|placed| placed.made[at])
            .map(|placed| (placed.names.chain.as_str(), placed.ready[at]))
            .collect();
        // What was waiting for Docker, and now moves to its chain, was not taken away.
        let is_back = |change: &&Change| match (stood.get(change.chain()), change) {
            (None, _) => false,
            (Some(false), Change::Jump(hook, _)) => hook != DOCKER_USER,
            (Some(false), Change::Remove(_)) => false,
            (Some(_), _) => true,
        };
        let back = changes.iter().filter(is_back);
        let words =
            back.map(|change| format!("{} ({})", change, family.as_str())).collect::<Vec<_>>();
        let moved: BTreeSet<&String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Move(hook, chain) if stood.contains_key(chain.as_str()) => Some(hook),
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
}

/// Can a set with so many elements hold just those that it should? Near its end
/// an element may be gone or not.
pub(crate) fn count_fits(placed: &Placed, family: Family, count: u32) -> bool {
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
