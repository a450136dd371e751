//! Who is in the sets (or has rules of his own): brought in, taken out, counted over.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::model::{BlockType, JailName, Network, Timestamp, Until};

use super::keeper::{Backend, Keeper};
use super::names::Family;
use super::netlink::{Element, ElementChange};
use super::sets::{Refusals, SetError};
use super::shape;
use super::wanted::Touched;

/// In its ipset the kernel counts in milliseconds of 32 bits: no more than this.
pub(crate) const TIMEOUT_MAX: u32 = 2_147_483;

/// So far apart may guard's clock and the kernel's be on one element.
const SLACK: u32 = 3;

/// The kernel's timeout for a ban, rounded up so that it never ends too early;
/// 0 is for ever, `None`: it is over.
/// `most` is what the kernel takes.
fn timeout(until: Until, now: Timestamp, most: u32) -> Option<u32> {
    let end = match until {
        Until::Forever => return Some(0),
        Until::Time(end) => end,
    };
    if end <= now {
        return None;
    }
    let left = Duration::try_from(end.duration_since(now)).ok()?;
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    Some(u32::try_from(seconds).unwrap_or(most).clamp(1, most))
}

/// When the kernel lets an element go.
pub(crate) fn end(timeout: u32, now: Timestamp) -> Option<Timestamp> {
    match timeout {
        0 => None,
        seconds => now.checked_add(Duration::from_secs(seconds.into())).ok(),
    }
}

/// Is the kernel's time another than the wanted one?
fn differs(kernel: u32, wanted: u32) -> bool {
    (kernel == 0) != (wanted == 0) || kernel.abs_diff(wanted) > SLACK
}

impl Keeper {
    /// Brings in what was ordered; after a look also what was held back or is in doubt.
    pub(crate) fn bring_in(&mut self, touched: &Touched, looked: bool) {
        match self.backend {
            Some(Backend::Ipset(_) | Backend::Nftables(_)) => {}
            Some(Backend::Iptables) => return self.bring_in_rules(touched),
            None => return,
        }
        let jails: Vec<JailName> = self.placed.keys().cloned().collect();
        for name in jails {
            let none = Vec::new();
            let mut networks = touched.bans.get(&name).unwrap_or(&none).clone();
            if looked && let Some(placed) = self.placed.get(&name) {
                networks.extend(placed.held.iter().filter(|n| !placed.applied.contains_key(n)));
            }
            for family in Family::ALL {
                if !self.is_up(family) || !self.has_set(&name, family) {
                    continue;
                }
                let here: Vec<Network> =
                    networks.iter().copied().filter(|n| Family::of(*n) == family).collect();
                if let Err(error) = self.bring_in_set(&name, family, &here) {
                    self.findings.jail_problem(&name, error.to_string());
                    self.failed = true;
                    if let Some(placed) = self.placed.get_mut(&name) {
                        placed.suspect[family as usize] = true;
                    }
                }
            }
        }
    }

    fn has_set(&self, name: &JailName, family: Family) -> bool {
        match self.backend {
            Some(Backend::Ipset(_)) => {
                self.placed.get(name).is_some_and(|placed| placed.has_set[family as usize])
            }
            // It makes and knows its own.
            Some(Backend::Nftables(_)) | Some(Backend::Iptables) | None => true,
        }
    }

    fn bring_in_set(
        &mut self,
        name: &JailName,
        family: Family,
        networks: &[Network],
    ) -> Result<(), SetError> {
        let Some(placed) = self.placed.get(name) else { return Ok(()) };
        if !networks.is_empty() {
            self.answer_orders(name, family, networks)?;
        } else if !placed.suspect[family as usize] {
            return Ok(());
        }
        if self.placed.get(name).is_some_and(|placed| placed.suspect[family as usize]) {
            self.audit(name, family)?;
        }
        Ok(())
    }

    /// Adds and removes what orders spoke of.
    fn answer_orders(
        &mut self,
        name: &JailName,
        family: Family,
        networks: &[Network],
    ) -> Result<(), SetError> {
        let now = Timestamp::now();
        let most = self.timeout_max();
        let Some(jail) = self.wanted.jails.get(name) else { return Ok(()) };
        let Some(placed) = self.placed.get_mut(name) else { return Ok(()) };
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for network in networks.iter().copied() {
            placed.undecided.remove(&network);
            match jail.bans.get(&network).map(|until| timeout(*until, now, most)) {
                Some(Some(timeout)) => add.push(Element { network, timeout }),
                Some(None) => {}
                None => remove.push(Element { network, timeout: 0 }),
            }
        }
        // First what makes room, then what is there already and takes none.
        add.sort_by_key(|element| !placed.applied.contains_key(&element.network));
        self.change(name, family, ElementChange::Remove, &remove)?;
        self.change(name, family, ElementChange::Add, &add)
    }

    /// Compares a whole set with what is wanted.
    fn audit(&mut self, name: &JailName, family: Family) -> Result<(), SetError> {
        let most = self.timeout_max();
        let Some(backend) = &mut self.backend else { return Ok(()) };
        let Some(jail) = self.wanted.jails.get(name) else { return Ok(()) };
        let Some(placed) = self.placed.get_mut(name) else { return Ok(()) };
        let set = placed.names.set(family).to_owned();
        let kernel: HashMap<Network, u32> = backend
            .list(&set)?
            .into_iter()
            .map(|element| (element.network, element.timeout))
            .collect();
        let now = Timestamp::now();
        let first = !std::mem::replace(&mut placed.adopted[family as usize], true);

        let (mut add, mut missing) = (Vec::new(), 0_usize);
        for (network, until) in jail.bans.iter().filter(|(n, _)| Family::of(**n) == family) {
            let Some(timeout) = timeout(*until, now, most) else { continue };
            match kernel.get(network) {
                Some(there) if !differs(*there, timeout) => continue,
                Some(_) => {}
                None => missing += usize::from(placed.applied.contains_key(network)),
            }
            add.push(Element { network: *network, timeout });
        }
        let mut strange = Vec::new();
        for (network, timeout) in &kernel {
            if jail.bans.contains_key(network) || placed.undecided.contains(network) {
                continue;
            }
            if first && !self.lifting.waits(name, *network) {
                placed.undecided.insert(*network);
                let until = end(*timeout, now).map_or(Until::Forever, Until::Time);
                self.found.push((name.clone(), *network, until));
            } else if *timeout == 0 || *timeout > SLACK {
                strange.push(Element { network: *network, timeout: 0 });
            }
        }
        placed.undecided.retain(|n| Family::of(*n) != family || kernel.contains_key(n));
        placed.applied.retain(|n, _| Family::of(*n) != family);
        placed.applied.extend(kernel.iter().map(|(network, left)| (*network, end(*left, now))));
        placed.suspect[family as usize] = false;
        if !first && missing > 0 {
            let bans = if missing == 1 { "ban" } else { "bans" };
            self.mended.push(format!("{missing} {bans} in set {set}"));
        }
        if !strange.is_empty() {
            self.mended.push(format!("set {set} without {} that nobody ordered", strange.len()));
        }
        self.change(name, family, ElementChange::Remove, &strange)?;
        self.change(name, family, ElementChange::Add, &add)
    }

    /// Changes elements of a jail's set, and remembers what came of it.
    fn change(
        &mut self,
        name: &JailName,
        family: Family,
        change: ElementChange,
        elements: &[Element],
    ) -> Result<(), SetError> {
        let Some(backend) = &mut self.backend else { return Ok(()) };
        let Some(placed) = self.placed.get_mut(name) else { return Ok(()) };
        if elements.is_empty() {
            return Ok(());
        }
        let set = placed.names.set(family).to_owned();
        let now = Timestamp::now();
        let refusals = backend.change(&set, change, elements, &placed.applied)?;
        for element in elements {
            match change {
                ElementChange::Remove => {
                    placed.applied.remove(&element.network);
                }
                ElementChange::Add => {
                    let end = end(element.timeout, now);
                    if placed.applied.insert(element.network, end).is_none() {
                        placed.changed.insert(element.network);
                    }
                }
            }
        }
        self.note_refusals(name, &set, &refusals);
        Ok(())
    }

    fn note_refusals(&mut self, name: &JailName, set: &str, refusals: &Refusals) {
        let Some(placed) = self.placed.get_mut(name) else { return };
        let refused = refusals.full.iter().chain(refusals.odd.iter().map(|(network, _)| network));
        for network in refused {
            placed.applied.remove(network);
            placed.changed.insert(*network);
        }
        if !refusals.full.is_empty() {
            let what = format!(
                "set {set} is full ({} elements): {} bans wait until others end",
                self.settings.max_elements,
                refusals.full.len()
            );
            self.findings.jail_problem(name, what);
        }
        if let Some((network, why)) = refusals.odd.first() {
            let what = format!(
                "{} of its bans can't be put into set {set}, such as {network}: {why}",
                refusals.odd.len()
            );
            self.findings.jail_problem(name, what);
        }
    }

    /// With a rule for each ban: what a look did not bring in already.
    fn bring_in_rules(&mut self, touched: &Touched) {
        for family in Family::ALL {
            let Some(kind) = self.families[family as usize].kind else { continue };
            let (mut lines, mut steps) = (Vec::new(), BTreeMap::new());
            for (name, networks) in &touched.bans {
                if let Some(step) = self.rule_step(name, family, networks) {
                    lines.extend(step.lines());
                    steps.insert(name.clone(), step);
                }
            }
            if lines.is_empty() {
                continue;
            }
            let done = self.restore(family, kind, &lines);
            if let Err(error) = &done {
                // Something is not as it was: the next look writes the chains anew.
                self.findings.problem(&format!("{}: {error}", family.as_str()));
                self.failed = true;
                for name in steps.keys() {
                    if let Some(placed) = self.placed.get_mut(name) {
                        placed.suspect[family as usize] = true;
                    }
                }
                continue;
            }
            for (name, step) in steps {
                let Some(placed) = self.placed.get_mut(&name) else { continue };
                placed.applied.retain(|network, _| !step.remove.contains(network));
                placed.applied.extend(step.add.into_iter().map(|network| (network, None)));
            }
        }
    }

    fn rule_step(
        &mut self,
        name: &JailName,
        family: Family,
        networks: &[Network],
    ) -> Option<RuleStep> {
        let now = Timestamp::now();
        let jail = self.wanted.jails.get(name)?;
        let block_type = jail.rules.as_ref()?.block.block_type;
        let placed = self.placed.get_mut(name)?;
        let networks = networks.iter().copied().filter(|n| Family::of(*n) == family);
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for network in networks {
            placed.undecided.remove(&network);
            let there = placed.applied.contains_key(&network);
            match jail.bans.get(&network) {
                Some(until) if !there && !until.is_over(now) => add.push(network),
                None if there => remove.push(network),
                Some(_) | None => {}
            }
        }
        let made = placed.made[family as usize] && !placed.suspect[family as usize];
        let chain = placed.names.chain.clone();
        (made && !(add.is_empty() && remove.is_empty())).then_some(RuleStep {
            chain,
            block_type,
            add,
            remove,
        })
    }
}

/// Rules of one chain to be added and removed.
struct RuleStep {
    chain: String,
    block_type: BlockType,
    add: Vec<Network>,
    remove: Vec<Network>,
}

impl RuleStep {
    fn lines(&self) -> Vec<String> {
        shape::ban_lines(&self.chain, self.block_type, &self.add, &self.remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_never_end_too_early_and_fit_the_kernel() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let check = |millis: i64, wanted: Option<u32>| {
            let end = now + jiff::SignedDuration::from_millis(millis);
            assert_eq!(timeout(Until::Time(end), now, TIMEOUT_MAX), wanted, "{millis}");
        };
        check(-1, None);
        check(0, None);
        check(1, Some(1));
        check(1000, Some(1));
        check(1001, Some(2));
        check(2_147_483_000, Some(2_147_483));
        check(2_147_483_001, Some(2_147_483));
        check(400 * 86_400_000, Some(2_147_483));
        assert_eq!(timeout(Until::Forever, now, TIMEOUT_MAX), Some(0));
    }

    #[test]
    fn times_differ_beyond_the_slack() {
        assert!(!differs(600, 603));
        assert!(differs(600, 604));
        assert!(differs(0, 1));
        assert!(differs(1, 0));
        assert!(!differs(0, 0));
    }
}
