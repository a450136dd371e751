//! Looking at a family's filter table, and what it means if that fails.

use super::Ipv6;
use super::iptables::{self, ToolError, has_legacy_table};
use super::keeper::{Backend, Keeper};
use super::kind::{self, DockerHook, Kind};
use super::names::Family;
use super::rules::Table;

/// Most rules of a table that is remembered.
const MAX_REMEMBERED: usize = 4096;

/// A look, and nftables' generation right before it: as long as that is the same, so is
/// the table, and no tool needs to be run to know.
#[derive(Debug)]
pub(crate) struct Seen {
    generation: u32,
    look: Look,
}

/// One family's filter table, as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// The kind of iptables in use.
    pub(crate) kind: Kind,
    /// Its table.
    pub(crate) table: Table,
    /// The table of the other kind, if it is there.
    pub(crate) other: Option<Table>,
    /// Where forwarded traffic is caught.
    pub(crate) hook: DockerHook,
}

impl Keeper {
    /// One family's table; `None`: the family is off, or it failed and that was noted.
    pub(crate) fn look(&mut self, family: Family) -> Option<Look> {
        let off = family == Family::V6 && !self.wants_ipv6();
        self.families[family as usize].off = off;
        if off {
            self.stop_family(family);
            self.sweep(family);
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

    /// Is IPv6 to be kept as well?
    pub(crate) fn wants_ipv6(&mut self) -> bool {
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
    pub(crate) fn stop_family(&mut self, family: Family) {
        self.families[family as usize].kind = None;
        for placed in self.placed.values_mut() {
            placed.ready[family as usize] = false;
            placed.suspect[family as usize] = true;
        }
    }

    fn try_look(&mut self, family: Family) -> Result<Look, ToolError> {
        let legacy = has_legacy_table(family);
        let generation = match &mut self.backend {
            Some(Backend::Ipset(sets)) if !legacy => sets.rules_generation(),
            _ => None,
        };
        let seen = self.families[family as usize].seen.take();
        let seen = seen.filter(|seen| Some(seen.generation) == generation);
        let look = match &seen {
            Some(seen) => seen.look.clone(),
            None => run_tools(family, legacy)?,
        };
        let rules: usize = look.table.chains.iter().map(|chain| chain.rules.len()).sum();
        self.families[family as usize].seen = generation
            .filter(|_| look.kind == Kind::Nft && rules <= MAX_REMEMBERED)
            .map(|generation| Seen { generation, look: look.clone() });
        Ok(look)
    }

    /// The next look is not at what was remembered.
    pub(crate) fn forget_seen(&mut self) {
        for family in &mut self.families {
            family.seen = None;
        }
    }

    /// Notes a failure. Where IPv6 never worked and nobody asked for it, that is
    /// how this host is, and no reason to call guard unwell.
    pub(crate) fn family_failed(&mut self, family: Family, error: &ToolError) {
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
}

fn run_tools(family: Family, legacy: bool) -> Result<Look, ToolError> {
    let nft = iptables::save(family, Kind::Nft);
    let legacy = legacy.then(|| iptables::save(family, Kind::Legacy));
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
