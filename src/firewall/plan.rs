//! Wanted against found: the lines of one `iptables-restore --noflush` that
//! bring a table to the wanted state, and nothing else.
//!
//! Invariants: rules of others are never touched and keep their order; applying
//! a plan and planning again gives an empty plan; a chain is guard's only when
//! every rule in it and every jump to it bears the mark.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::names::CHAIN_PREFIX;
use super::rescue;
use super::rules::{Rule, Table, Target};
use super::shape::WantedChain;

/// Whose a chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It is not there.
    Nobody,
    /// guard's, or empty and unused.
    Guard,
    /// Another program's: fail2ban names its chains like this too.
    Other,
}

/// Whose is the chain of that name?
pub(crate) fn owner(table: &Table, name: &str) -> Owner {
    let Some(chain) = table.chain(name) else { return Owner::Nobody };
    let foreign_rule = chain.rules.iter().any(|rule| !rule.marked);
    let foreign_jump = table
        .chains
        .iter()
        .flat_map(|chain| &chain.rules)
        .any(|rule| !rule.marked && rule.names() == Some(name));
    if foreign_rule || foreign_jump { Owner::Other } else { Owner::Guard }
}

/// Has anything in the table guard's mark?
pub(crate) fn has_marks(table: &Table) -> bool {
    table.chains.iter().flat_map(|chain| &chain.rules).any(|rule| rule.marked)
}

/// What may go besides what is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leftovers<'a> {
    /// Chains of these names: jails that are gone, names given up.
    These(&'a BTreeSet<String>),
    /// Everything that bears the mark.
    All,
}

impl Leftovers<'_> {
    /// May the chain of that name go?
    pub(crate) fn may_go(&self, name: &str) -> bool {
        match self {
            Leftovers::These(names) => names.contains(name),
            Leftovers::All => true,
        }
    }
}

/// What has to be done to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Lines for `iptables-restore`, without `*filter` and `COMMIT`.
    pub(crate) lines: Vec<String>,
    /// What they do.
    pub(crate) changes: Vec<Change>,
    /// Pinned chains in which a jump is below a rule that lets packets past, and that rule.
    pub(crate) low: BTreeMap<String, String>,
}

/// One thing that a plan does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The chain was missing.
    Make(String),
    /// The chain's rules were not as they should be.
    Mend(String),
    /// Chain `.0` had no jump to chain `.1`.
    Jump(String, String),
    /// In chain `.0` the jump to chain `.1` was below a rule that lets packets past.
    Move(String, String),
    /// The chain, or a jump to it, is not wanted any more.
    Remove(String),
}

impl Change {
    /// guard's chain that it is about.
    pub(crate) fn chain(&self) -> &str {
        match self {
            Change::Make(chain)
            | Change::Mend(chain)
            | Change::Jump(_, chain)
            | Change::Move(_, chain)
            | Change::Remove(chain) => chain,
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::Make(chain) => write!(f, "chain {chain}"),
            Change::Mend(chain) => write!(f, "the rules of chain {chain}"),
            Change::Jump(hook, chain) => write!(f, "the jump from {hook} to {chain}"),
            Change::Move(hook, chain) => {
                write!(f, "the jump from {hook} to {chain} to the head of {hook}")
            }
            Change::Remove(chain) => write!(f, "what was left of {chain}"),
        }
    }
}

/// Plans. In the chains of `pinned` a jump that is there is not moved: another
/// program keeps pushing it down, and pushing back for ever helps nobody.
pub(crate) fn plan(
    found: &Table,
    wanted: &[WantedChain],
    leftovers: Leftovers<'_>,
    pinned: &BTreeSet<String>,
) -> Plan {
    let mut plan = Plan::default();
    for chain in wanted {
        plan.bodies(found, chain);
    }
    let wanted_names: HashSet<&str> = wanted.iter().map(|chain| chain.name.as_str()).collect();
    let goes = |name: &str| {
        name.starts_with(CHAIN_PREFIX) && !wanted_names.contains(name) && leftovers.may_go(name)
    };
    let removed: Vec<&str> = found
        .chains
        .iter()
        .map(|chain| chain.name.as_str())
        .filter(|name| goes(name) && is_marked(found, name))
        .collect();
    for hook in &found.chains {
        // A body is rewritten whole, and a chain that goes is emptied below.
        if wanted_names.contains(hook.name.as_str()) || removed.contains(&hook.name.as_str()) {
            continue;
        }
        plan.jumps(found, hook, wanted, pinned, &goes);
    }
    for name in removed {
        plan.remove(found, name);
    }
    plan
}

impl Plan {
    fn bodies(&mut self, found: &Table, chain: &WantedChain) {
        match found.chain(&chain.name) {
            Some(there) if same_body(&there.rules, &chain.body) => return,
            Some(_) => self.changes.push(Change::Mend(chain.name.clone())),
            None => self.changes.push(Change::Make(chain.name.clone())),
        }
        // With --noflush this line makes the chain, or empties it if it is there.
        self.lines.push(format!(":{} - [0:0]", chain.name));
        let rules = chain.body.iter().flatten();
        self.lines.extend(rules.map(|rule| format!("-A {} {rule}", chain.name)));
    }

    /// Puts the jumps of one chain right: wanted ones once, and above every rule
    /// that can end a packet's way; marked ones that nobody wants go.
    fn jumps(
        &mut self,
        found: &Table,
        hook: &super::rules::ChainFound,
        wanted: &[WantedChain],
        pinned: &BTreeSet<String>,
        goes: &dyn Fn(&str) -> bool,
    ) {
        let end = hook.rules.iter().position(|rule| may_end(found, rule)).unwrap_or(usize::MAX);
        let mut here: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, rule) in hook.rules.iter().enumerate() {
            if rule.marked && rule.names().is_some_and(|name| name.starts_with(CHAIN_PREFIX)) {
                here.entry(&rule.key).or_default().push(at);
            }
        }
        for chain in wanted {
            for (_, text) in chain.jumps.iter().filter(|(name, _)| *name == hook.name) {
                let key = Rule::parse(text).map_or_else(|| text.clone(), |rule| rule.key);
                let places = here.remove(key.as_str()).unwrap_or_default();
                let low = places.first().is_some_and(|first| *first > end);
                match places.as_slice() {
                    [_] if !low => continue,
                    [_] if pinned.contains(&hook.name) => {
                        self.low.insert(hook.name.clone(), hook.rules[end].text.clone());
                        continue;
                    }
                    [] => self.changes.push(Change::Jump(hook.name.clone(), chain.name.clone())),
                    _ => self.changes.push(Change::Move(hook.name.clone(), chain.name.clone())),
                }
                for at in places {
                    self.lines.push(format!("-D {} {}", hook.name, hook.rules[at].text));
                }
                let place = rescue::place(hook);
                self.lines.push(format!("-I {} {place} {text}", hook.name));
            }
        }
        let known = |name: &str| goes(name) || wanted.iter().any(|chain| chain.name == name);
        for at in here.into_values().flatten() {
            let rule = &hook.rules[at];
            let Some(name) = rule.names().filter(|name| known(name)) else { continue };
            self.lines.push(format!("-D {} {}", hook.name, rule.text));
            self.changes.push(Change::Remove(name.to_owned()));
        }
    }

    /// Takes a chain away, or, if another uses it by now, only guard's rules in it.
    fn remove(&mut self, found: &Table, name: &str) {
        self.changes.push(Change::Remove(name.to_owned()));
        if owner(found, name) == Owner::Guard {
            self.lines.push(format!("-F {name}"));
            self.lines.push(format!("-X {name}"));
            return;
        }
        for rule in found.chain(name).map_or(&[][..], |chain| &chain.rules) {
            if rule.marked {
                self.lines.push(format!("-D {name} {}", rule.text));
            }
        }
    }
}

/// Does the chain hold a marked rule, or does a marked jump lead to it? An empty
/// chain that nobody uses could be anybody's.
fn is_marked(table: &Table, name: &str) -> bool {
    table.chain(name).is_some_and(|chain| chain.rules.iter().any(|rule| rule.marked))
        || table
            .chains
            .iter()
            .flat_map(|chain| &chain.rules)
            .any(|rule| rule.marked && rule.names() == Some(name))
}

fn same_body(found: &[Rule], wanted: &[Vec<String>]) -> bool {
    let mut rest = found;
    for block in wanted {
        let Some((here, after)) = rest.split_at_checked(block.len()) else { return false };
        let mut here: Vec<&str> = here.iter().map(|rule| rule.key.as_str()).collect();
        let mut block: Vec<String> = block
            .iter()
            .map(|text| Rule::parse(text).map_or_else(|| text.clone(), |rule| rule.key))
            .collect();
        here.sort_unstable();
        block.sort_unstable();
        if here != block {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// Can a packet that meets this rule leave the chain without coming to the
/// rules below, and live? A refusal ends its way too, but does nobody a favour; a rescue
/// rule does, and that is what it is for.
pub(crate) fn may_end(table: &Table, rule: &Rule) -> bool {
    if rule.is_rescue() {
        return false;
    }
    match &rule.target {
        Target::None => false,
        Target::Goto(_) => true,
        Target::Jump(name) if name == "RETURN" => true,
        Target::Jump(name) => may_accept(table, name, &mut HashSet::new()),
    }
}

/// Can this verdict, or a rule of this chain, accept a packet?
fn may_accept<'a>(table: &'a Table, name: &'a str, seen: &mut HashSet<&'a str>) -> bool {
    const HARMLESS: [&str; 25] = [
        "DROP",
        "REJECT",
        "TARPIT",
        "RETURN",
        "LOG",
        "NFLOG",
        "ULOG",
        "MARK",
        "CONNMARK",
        "SET",
        "TOS",
        "DSCP",
        "TCPMSS",
        "TTL",
        "HL",
        "CLASSIFY",
        "TRACE",
        "AUDIT",
        "SECMARK",
        "CONNSECMARK",
        "CHECKSUM",
        "RATEEST",
        "LED",
        "ECN",
        "HMARK",
    ];
    if HARMLESS.contains(&name) {
        return false;
    }
    let Some(chain) = table.chain(name) else {
        return true; // ACCEPT, QUEUE, NFQUEUE, and targets that guard does not know.
    };
    // A chain that was looked at already, or is being looked at, adds nothing.
    seen.insert(name)
        && chain.rules.iter().filter_map(Rule::names).any(|next| may_accept(table, next, seen))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
