//! Taking away what nobody wants any more: after a jail, and at a clean stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::iptables::{self, ToolError, has_legacy_table};
use super::keeper::{Backend, FULL_EVERY, Keeper};
use super::kind::Kind;
use super::names::{Family, set_family};
use super::netlink::SetHeader;
use super::nft::{self, Nft};
use super::plan::{Change, Leftovers, plan};
use super::rules::{Table, Unreadable};
use super::sets::{SetError, Sets};

impl Keeper {
    /// Takes the sets away that nobody needs: their chains are gone by now.
    pub(crate) fn remove_sets(&mut self, headers: &BTreeMap<String, SetHeader>) {
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

    /// Takes away, once, what an earlier guard left in a family that is off now: nobody
    /// would tend it, and its bans would stand for ever.
    pub(crate) fn sweep(&mut self, family: Family) {
        let state = &self.families[family as usize];
        let due = match (&state.swept, state.swept_at) {
            (Some(Ok(())), _) => false,
            // A tool may hang each time.
            (Some(Err(_)), Some(at)) => at.elapsed() >= FULL_EVERY,
            _ => true,
        };
        if due {
            let mut removed = Removed::default();
            removed.rules_of_family(family);
            if let Some(Backend::Ipset(sets)) = &mut self.backend {
                removed.sets(sets, Some(family));
            }
            for what in &removed.removed {
                tracing::info!("{} is off: an earlier guard's {what} is gone", family.as_str());
            }
            let why = removed.failed.first().cloned();
            self.families[family as usize].swept = Some(why.map_or(Ok(()), Err));
            self.families[family as usize].swept_at = Some(Instant::now());
        }
        if let Some(Err(why)) = &self.families[family as usize].swept {
            // No problem: most often nothing is there, and it is off because nothing works.
            let what =
                format!("{} is off, and an earlier guard's rules may stand", family.as_str());
            self.findings.notes.insert(format!("{what}: {why}"));
        }
    }

    /// Takes away everything that bears guard's mark, of every backend.
    pub(crate) fn dismantle(&mut self) {
        let mut removed = Removed::default();
        removed.rules();
        // What another backend left in an earlier run goes, too.
        if let Some(Backend::Ipset(sets)) = &mut self.backend {
            removed.sets(sets, None);
        } else if let Ok(mut sets) = Sets::open() {
            removed.sets(&mut sets, None);
        }
        removed.tables(None);
        removed.warn();
    }
}

/// Takes away every rule and chain of iptables that bears guard's mark, in both
/// families and kinds. Is all of it gone?
pub(crate) fn dismantle_iptables() -> bool {
    let mut removed = Removed::default();
    removed.rules();
    removed.warn()
}

/// Takes guard's own tables away, but the one that is `used`. Are they gone?
pub(crate) fn dismantle_nft(used: Option<&str>) -> bool {
    let mut removed = Removed::default();
    removed.tables(used);
    removed.warn()
}

/// Takes away all sets that are named and made as guard's are. Are they gone?
pub(crate) fn dismantle_sets(sets: &mut Sets) -> bool {
    let mut removed = Removed::default();
    removed.sets(sets, None);
    removed.warn()
}

/// What was taken away, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// In words for people, such as `chain f2b-web (iptables-nft)`.
    pub removed: Vec<String>,
    /// What is still there, and why.
    pub failed: Vec<String>,
}

/// Takes away everything that guard left in this thread's network namespace: its
/// rules, chains and sets of every kind, in both families. For when no guard runs.
pub fn clean_up() -> Removed {
    let mut removed = Removed::default();
    removed.rules();
    match Sets::open() {
        Ok(mut sets) => removed.sets(&mut sets, None),
        // Where there are no sets, guard has left none.
        Err(SetError::Unusable(_)) => {}
        Err(error) => removed.failed.push(error.to_string()),
    }
    removed.tables(None);
    removed
}

impl Removed {
    /// Tells what could not be taken away; `true`: nothing is left.
    fn warn(self) -> bool {
        for failure in &self.failed {
            tracing::warn!("{failure}");
        }
        self.failed.is_empty()
    }

    /// guard's own tables in nftables, but the one that is `used`.
    fn tables(&mut self, used: Option<&str>) {
        let (all, error) = Nft::open_all(used);
        self.failed.extend(error.map(|error| error.to_string()));
        for mut nft in all {
            match nft.remove_table() {
                Ok(()) => self.removed.push(format!("table inet {}", nft.table())),
                Err(error) => self.failed.push(error.to_string()),
            }
        }
    }

    fn rules(&mut self) {
        for family in Family::ALL {
            self.rules_of_family(family);
        }
    }

    /// The rules of both kinds.
    fn rules_of_family(&mut self, family: Family) {
        for kind in [Kind::Nft, Kind::Legacy] {
            if kind == Kind::Legacy && !has_legacy_table(family) {
                continue;
            }
            if let Err(error) = self.rules_of(family, kind) {
                let left = "guard's rules could not be taken away";
                self.failed.push(format!("{}: {left}: {error}", family.as_str()));
            }
        }
    }

    fn rules_of(&mut self, family: Family, kind: Kind) -> Result<(), ToolError> {
        let table = match left_table(family, kind) {
            Ok(Some(table)) => table,
            Ok(None) => return Ok(()),
            Err(ToolError::Unreadable(_, Unreadable::Incompatible)) if kind == Kind::Nft => {
                self.rules_beside(family);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let away = plan(&table, &[], Leftovers::All, &BTreeSet::new());
        if away.lines.is_empty() {
            return Ok(());
        }
        iptables::restore(family, kind, &away.lines)?;
        let chains: BTreeSet<&str> = away.changes.iter().map(Change::chain).collect();
        self.chains_removed(family, kind, chains);
        Ok(())
    }

    fn chains_removed<'a>(
        &mut self,
        family: Family,
        kind: Kind,
        chains: impl IntoIterator<Item = &'a str>,
    ) {
        let stem = if family == Family::V4 { "iptables" } else { "ip6tables" };
        let words = chains.into_iter();
        self.removed.extend(words.map(|chain| format!("chain {chain} ({stem}-{})", kind.as_str())));
    }

    /// Where a rule of nft's keeps iptables from showing and deleting anything.
    fn rules_beside(&mut self, family: Family) {
        match nft::take_away(family) {
            Ok(chains) => {
                self.chains_removed(family, Kind::Nft, chains.iter().map(String::as_str));
            }
            Err(error) => self.failed.push(format!(
                "{}: iptables can't show its filter table, because of a rule made with nft, and guard's rules \
                 could not be taken out of it with nft either: {error}",
                family.as_str()
            )),
        }
    }

    /// The sets of one family, or of both.
    fn sets(&mut self, sets: &mut Sets, of: Option<Family>) {
        let headers = match sets.headers() {
            Ok(headers) => headers,
            Err(error) => return self.failed.push(error.to_string()),
        };
        let wanted = |header: &&SetHeader| {
            is_ours(header) && (of.is_none() || of == set_family(&header.name))
        };
        for header in headers.values().filter(wanted) {
            match sets.destroy(&header.name) {
                Ok(()) => self.removed.push(format!("set {}", header.name)),
                Err(error) => self.failed.push(error.to_string()),
            }
        }
    }
}

/// The filter table of a kind that is not in use, for what an earlier guard left there;
/// `None`: nothing can be there.
pub(crate) fn left_table(family: Family, kind: Kind) -> Result<Option<Table>, ToolError> {
    match iptables::save(family, kind) {
        Ok(table) => Ok(Some(table)),
        // A tool that is missing can't have left anything.
        Err(ToolError::Missing(_)) => Ok(None),
        // Others may write what the tool can't show; without chains of guard's name there is
        // nothing to be missed.
        Err(ToolError::Unreadable(..) | ToolError::Failed { .. })
            if kind == Kind::Nft && Nft::has_jail_chains(family).is_ok_and(|has| !has) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Is it a set as guard makes and names them?
pub(crate) fn is_ours(header: &SetHeader) -> bool {
    set_family(&header.name).is_some_and(|family| header.fits(family))
}
