//! Taking away what nobody wants any more: after a jail, and at a clean stop.

use std::collections::{BTreeMap, BTreeSet};

use super::iptables::{self, has_legacy_table};
use super::keeper::{Backend, Keeper};
use super::kind::Kind;
use super::names::{Family, set_family};
use super::netlink::SetHeader;
use super::plan::{Leftovers, plan};
use super::sets::Sets;

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
