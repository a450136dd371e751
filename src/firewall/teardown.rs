//! Taking away what nobody wants any more: after a jail, and at a clean stop.

use std::collections::BTreeMap;

use super::keeper::{Backend, Keeper};
use super::names::set_family;
use super::netlink::SetHeader;
use super::others::{dismantle_iptables, dismantle_nft};
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

    /// Takes away everything that bears guard's mark, of every backend.
    pub(crate) fn dismantle(&mut self) {
        if let Some(Backend::Nftables(nft)) = &mut self.backend
            && let Err(error) = nft.remove_table()
        {
            tracing::warn!("{error}");
        }
        dismantle_iptables();
        // What another backend left in an earlier run goes, too.
        if let Some(Backend::Ipset(sets)) = &mut self.backend {
            dismantle_sets(sets);
        } else if let Ok(mut sets) = Sets::open() {
            dismantle_sets(&mut sets);
        }
        dismantle_nft();
    }
}

/// Takes away all sets that are named and made as guard's are.
pub(crate) fn dismantle_sets(sets: &mut Sets) {
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
