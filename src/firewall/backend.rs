//! Which backend is in use, and what is the same for all that have sets.

use std::collections::HashMap;

use crate::model::{Network, Timestamp};

use super::BackendChoice;
use super::elements::TIMEOUT_MAX;
use super::iptables;
use super::keeper::{Backend, Keeper};
use super::names::Family;
use super::netlink::{Element, ElementChange};
use super::nft::{DockerFirewall, Nft};
use super::sets::{Refusals, SetError};

impl Backend {
    /// All elements of a jail's sets of one family.
    pub(crate) fn list(&mut self, set: &str) -> Result<Vec<Element>, SetError> {
        match self {
            Backend::Ipset(sets) => sets.list(set),
            Backend::Nftables(nft) => nft.list(set),
            Backend::Iptables => Ok(Vec::new()),
        }
    }

    /// Changes elements of which those in `there` are in the kernel.
    pub(crate) fn change(
        &mut self,
        set: &str,
        change: ElementChange,
        elements: &[Element],
        there: &HashMap<Network, Option<Timestamp>>,
    ) -> Result<Refusals, SetError> {
        match self {
            Backend::Ipset(sets) => sets.change(set, change, elements),
            Backend::Nftables(nft) => nft.change(set, change, elements, there),
            Backend::Iptables => Ok(Refusals::default()),
        }
    }
}

impl Keeper {
    /// Changes to nftables and back, as Docker's own firewall does. What the other
    /// backend holds stays until the new one has all of it.
    pub(crate) fn follow_docker(&mut self) {
        if self.settings.backend != BackendChoice::Auto {
            if self.settings.backend != BackendChoice::Nftables
                && self.engine == DockerFirewall::Nftables
            {
                self.findings.notes.insert(
                    "Docker's firewall backend is nftables, which has no DOCKER-USER chain: \
                     GUARD_FIREWALL=auto or nftables bans there, too"
                        .to_owned(),
                );
            }
            return;
        }
        let wanted = self.docker_wants_nftables();
        if wanted == matches!(self.backend, Some(Backend::Nftables(_))) {
            return;
        }
        let old = self.backend.take();
        if wanted {
            self.open_nftables();
        }
        if wanted && self.backend.is_none() {
            // Better than nothing: what is said of it stands among the problems.
            self.backend = old;
            return;
        }
        self.no_sets = None;
        if old.is_some() {
            let to = if wanted { "to nftables" } else { "from nftables to iptables" };
            tracing::info!("guard follows Docker's firewall {to}");
            self.placed.clear();
            self.left_chains = Default::default();
            self.left_sets.clear();
            self.families = Default::default();
            self.clear_others = true;
            self.others_hold = true;
            self.others_failed = None;
        }
    }

    pub(crate) fn open_nftables(&mut self) {
        match iptables::has_nft() {
            Err(error) => self.findings.problem(&error),
            Ok(()) => match Nft::open() {
                Ok(nft) => self.backend = Some(Backend::Nftables(nft)),
                Err(error) => self.findings.problem(&error),
            },
        }
        self.failed |= self.backend.is_none();
    }

    /// Can elements be brought into this family's sets, or rules into its chains? Sets
    /// don't need the tools, so they don't wait for a look that fails.
    pub(crate) fn is_up(&self, family: Family) -> bool {
        let state = &self.families[family as usize];
        match &self.backend {
            Some(Backend::Nftables(nft)) => nft.works && !state.off,
            Some(Backend::Ipset(_)) => !state.off,
            Some(Backend::Iptables) | None => state.kind.is_some(),
        }
    }

    /// The longest time that the kernel takes, in seconds.
    pub(crate) fn timeout_max(&self) -> u32 {
        match self.backend {
            Some(Backend::Nftables(_)) => u32::MAX,
            Some(Backend::Ipset(_) | Backend::Iptables) | None => TIMEOUT_MAX,
        }
    }
}
