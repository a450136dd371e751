//! Wanted against found: the lines of one `nft -f -` that bring guard's table to
//! the wanted state, and nothing else.
//!
//! The table is guard's alone, so that what is in the way there goes; other tables
//! are never spoken of. Applying a plan and planning again gives an empty plan.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};

use super::shape::{Hook, Jail, PRIORITY, Rule, Set, is_mark, parts};
use crate::firewall::names::{CHAIN_PREFIX, Family, set_family};
use crate::firewall::plan::Leftovers;
use crate::firewall::rescue::RESCUE;

/// A table as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Its flags; `None`: it is not there.
    pub(super) flags: Option<u32>,
    /// Its chains.
    pub(super) chains: BTreeMap<String, ChainFound>,
    /// Its sets.
    pub(super) sets: BTreeMap<String, SetFound>,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChainFound {
    /// Where packets come into it; `None`: only by jumps.
    pub(super) base: Option<Base>,
    /// Its rules, in order.
    pub(super) rules: Vec<RuleFound>,
}

/// Where packets come into a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// The hook's number.
    pub(super) hook: u32,
    /// The priority.
    pub(super) priority: i32,
    /// Is it a filter that accepts what its rules let pass?
    pub(super) usual: bool,
}

impl Base {
    /// As guard makes it.
    fn of(hook: Hook) -> Base {
        Base { hook: hook.number(), priority: PRIORITY, usual: true }
    }
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RuleFound {
    /// By this number the kernel knows it.
    pub(super) handle: u64,
    /// Its comment.
    pub(super) comment: Option<String>,
    /// The chain to which it jumps.
    pub(super) jump: Option<String>,
}

/// A set, without its elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SetFound {
    /// Its flags.
    pub(super) flags: u32,
    /// The length of its keys, in bytes.
    pub(super) key_length: u32,
}

impl SetFound {
    /// Is it a set as guard makes them for this family?
    pub(super) fn fits(self, family: Family) -> bool {
        const TIMEOUT: u32 = 0x10;
        let length = match family {
            Family::V4 => 4,
            Family::V6 => 16,
        };
        self.flags == TIMEOUT && self.key_length == length
    }
}

impl Found {
    /// Does the table belong to another program? Its owner says so, or it holds
    /// things of which none is guard's by mark and some not even by name or by hook.
    pub(super) fn is_foreign(&self) -> bool {
        const OWNED: u32 = 2;
        let Some(flags) = self.flags else { return false };
        let mut rules = self.chains.values().flat_map(|chain| &chain.rules);
        if rules.clone().any(RuleFound::is_marked) {
            return flags & OWNED != 0;
        }
        let strange_chain = |name: &String| {
            !name.starts_with(CHAIN_PREFIX) && Hook::ALL.iter().all(|hook| hook.as_str() != name)
        };
        // Emptied by somebody, guard's chains are still hooked as guard hooks them: one that
        // decides by its policy alone needs no rule to be at work.
        let strange_hook = |(name, chain): (&String, &ChainFound)| {
            let own = Hook::ALL.iter().find(|hook| hook.as_str() == name);
            chain.base.is_some() && chain.base != own.map(|hook| Base::of(*hook))
        };
        flags & OWNED != 0
            || rules.next().is_some()
            || self.chains.keys().any(strange_chain)
            || self.chains.iter().any(strange_hook)
            || self.sets.keys().any(|name| set_family(name).is_none())
    }
}

impl RuleFound {
    fn is_marked(&self) -> bool {
        self.comment.as_deref().is_some_and(is_mark)
    }

    /// Does a person let somebody in with it, past guard's bans?
    pub(super) fn is_rescue(&self) -> bool {
        self.comment.as_deref() == Some(RESCUE)
    }
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Lines for `nft -f -`.
    pub(super) lines: Vec<String>,
    /// What they put back: the jail's chain, or none for what all jails share, and what
    /// it was.
    pub(super) changes: Vec<(Option<String>, String)>,
    /// Sets that are new, or will be anew.
    pub(super) new_sets: BTreeSet<String>,
}

/// Plans. `size` is how many elements a set may hold.
pub(super) fn plan(
    found: &Found,
    table: &str,
    wanted: &[Jail],
    leftovers: Leftovers<'_>,
    size: u32,
) -> Plan {
    let mut planner = Planner { found, table, size, plan: Plan::default() };
    let names: BTreeSet<&str> = wanted.iter().map(|jail| jail.chain.as_str()).collect();
    let goes = |name: &str| {
        name.starts_with(CHAIN_PREFIX) && !names.contains(name) && leftovers.may_go(name)
    };
    let stays = |name: &str| {
        found.chains.contains_key(name)
            && name.starts_with(CHAIN_PREFIX)
            && !names.contains(name)
            && !goes(name)
    };
    if wanted.is_empty() && !found.chains.keys().any(|name| stays(name)) {
        if found.flags.is_some() {
            planner.line(format!("delete table inet {table}"));
        }
        return planner.plan;
    }
    planner.base_chains();
    for jail in wanted {
        planner.jail(jail);
    }
    for hook in Hook::ALL {
        planner.jumps(hook, wanted, &stays);
    }
    for name in found.chains.keys().filter(|name| goes(name)) {
        planner.line(format!("flush chain inet {table} {name}"));
        planner.line(format!("delete chain inet {table} {name}"));
    }
    planner.old_sets(wanted, &stays);
    planner.finish()
}

struct Planner<'a> {
    found: &'a Found,
    table: &'a str,
    size: u32,
    plan: Plan,
}

impl Planner<'_> {
    fn line(&mut self, line: String) {
        self.plan.lines.push(line);
    }

    /// The table itself comes first, also where only its flags are wrong: a
    /// dormant one wakes up.
    fn finish(mut self) -> Plan {
        const DORMANT: u32 = 1;
        let asleep = self.found.flags.is_none_or(|flags| flags & DORMANT != 0);
        if asleep && self.found.flags.is_some() {
            self.plan.changes.push((None, format!("table inet {}, which was dormant", self.table)));
        }
        if asleep || !self.plan.lines.is_empty() {
            self.plan.lines.insert(0, format!("add table inet {}", self.table));
        }
        self.plan
    }

    fn base_chains(&mut self) {
        let table = self.table;
        for hook in Hook::ALL {
            let name = hook.as_str();
            let found = self.found.chains.get(name);
            if found.is_some_and(|chain| chain.base == Some(Base::of(hook))) {
                continue;
            }
            if self.found.flags.is_some() {
                self.plan.changes.push((None, format!("chain {name}")));
            }
            if found.is_some() {
                self.line(format!("flush chain inet {table} {name}"));
                self.line(format!("delete chain inet {table} {name}"));
            }
            self.line(format!(
                "add chain inet {table} {name} {{ type filter hook {name} priority {PRIORITY}; policy accept; }}"
            ));
        }
    }

    /// Was the base chain there as it should be, so that its rules still are?
    fn is_whole(&self, hook: Hook) -> bool {
        let found = self.found.chains.get(hook.as_str());
        found.is_some_and(|chain| chain.base == Some(Base::of(hook)))
    }

    fn jail(&mut self, jail: &Jail) {
        let table = self.table;
        let found = self.found.chains.get(&jail.chain);
        let wrong_sets: Vec<&Set> = jail
            .sets
            .iter()
            .filter(|set| self.found.sets.get(&set.name).is_none_or(|f| !f.fits(set.family)))
            .collect();
        let replaced = wrong_sets.iter().any(|set| self.found.sets.contains_key(&set.name));
        let whole = found
            .is_some_and(|chain| chain.base.is_none() && same_body(&chain.rules, &jail.body))
            && !replaced;
        match found {
            Some(_) if whole => {}
            // One with a hook can't be jumped to; nothing jumps to it, so it can go.
            Some(chain) if chain.base.is_some() => {
                self.line(format!("flush chain inet {table} {}", jail.chain));
                self.line(format!("delete chain inet {table} {}", jail.chain));
                self.line(format!("add chain inet {table} {}", jail.chain));
            }
            Some(_) => self.line(format!("flush chain inet {table} {}", jail.chain)),
            None => self.line(format!("add chain inet {table} {}", jail.chain)),
        }
        for set in wrong_sets {
            self.new_set(&jail.chain, set);
        }
        if whole {
            return;
        }
        let what = if found.is_some() { "the rules of chain" } else { "chain" };
        self.plan.changes.push((Some(jail.chain.clone()), format!("{what} {}", jail.chain)));
        for rule in &jail.body {
            self.add(&jail.chain, rule);
        }
    }

    fn new_set(&mut self, chain: &str, set: &Set) {
        let (table, name) = (self.table, &set.name);
        if self.found.sets.contains_key(name) {
            self.line(format!("delete set inet {table} {name}"));
        }
        let kind = match set.family {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        };
        let size = self.size;
        self.line(format!(
            "add set inet {table} {name} {{ type {kind}; flags timeout; size {size}; }}"
        ));
        self.plan.changes.push((Some(chain.to_owned()), format!("set {name}")));
        self.plan.new_sets.insert(name.clone());
    }

    fn add(&mut self, chain: &str, rule: &Rule) {
        let table = self.table;
        self.line(format!(
            "add rule inet {table} {chain} {} comment \"{}\"",
            rule.text, rule.comment
        ));
    }

    /// Puts the jumps of one base chain right. Their order does not matter: each
    /// chain ends a packet's way or gives it back. So they are added and deleted one
    /// by one, and those of jails that nobody installed yet stay.
    fn jumps(&mut self, hook: Hook, wanted: &[Jail], stays: &dyn Fn(&str) -> bool) {
        let whole = self.is_whole(hook);
        let found = self.found.chains.get(hook.as_str()).filter(|_| whole);
        let mut there: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut away = Vec::new();
        for rule in found.map_or(&[][..], |chain| &chain.rules) {
            if rule.is_rescue() {
                continue;
            }
            match rule.comment.as_deref().filter(|comment| is_mark(comment)) {
                Some(_) if rule.jump.as_deref().is_some_and(stays) => {}
                Some(comment) => there.entry(comment).or_default().push(rule.handle),
                None => away.push(rule.handle),
            }
        }
        for jail in wanted {
            for (_, rule) in jail.jumps.iter().filter(|(place, _)| *place == hook) {
                match there.get_mut(rule.comment.as_str()).and_then(Vec::pop) {
                    Some(_) => {}
                    None => {
                        let what = format!("the jump from {} to {}", hook.as_str(), jail.chain);
                        self.plan.changes.push((Some(jail.chain.clone()), what));
                        self.add(hook.as_str(), rule);
                    }
                }
            }
        }
        if !away.is_empty() {
            let what = format!("chain {} without rules that are not guard's", hook.as_str());
            self.plan.changes.push((None, what));
        }
        away.extend(there.into_values().flatten());
        let table = self.table;
        for handle in away {
            self.line(format!("delete rule inet {table} {} handle {handle}", hook.as_str()));
        }
    }

    /// Sets that no rule looks into any more. While there are chains of jails that
    /// nobody installed yet, any other set may be theirs.
    fn old_sets(&mut self, wanted: &[Jail], stays: &dyn Fn(&str) -> bool) {
        let used: BTreeSet<&str> =
            wanted.iter().flat_map(|jail| &jail.sets).map(|set| set.name.as_str()).collect();
        let bases: BTreeSet<&str> = used.iter().map(|name| parts(name).0).collect();
        let anything_stays = self.found.chains.keys().any(|name| stays(name));
        let table = self.table;
        for name in self.found.sets.keys().filter(|name| !used.contains(name.as_str())) {
            let (base, _) = parts(name);
            if set_family(base).is_some() && (bases.contains(base) || !anything_stays) {
                self.line(format!("delete set inet {table} {name}"));
            }
        }
    }
}

fn same_body(found: &[RuleFound], wanted: &[Rule]) -> bool {
    found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(f, w)| f.comment.as_deref() == Some(&w.comment))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
