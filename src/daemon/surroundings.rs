//! Who must never be banned, as far as the host, Docker, DNS and files say it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::lists::Lists;
use super::names::Names;
use crate::docker::EngineInfo;
use crate::model::{Address, Container, DockerNetwork, IgnoreEntry};
use crate::warden::{EngineTraits, Surroundings};

/// The parts of [`Surroundings`], each from its own teller.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) networks: Vec<DockerNetwork>,
    pub(crate) names: Names,
    pub(crate) lists: Lists,
    own: Vec<Address>,
    told: Option<Surroundings>,
}

impl Parts {
    /// What is known at first: the addresses that names had before.
    pub(crate) fn beginning_with(names: BTreeMap<String, Vec<Address>>) -> Parts {
        let names = Names { addresses: names, ..Names::default() };
        Parts { names, ..Parts::default() }
    }

    /// The surroundings as they are now, if they are not what was last told.
    pub(crate) fn changed<'c>(
        &mut self,
        containers: impl Iterator<Item = &'c Container>,
        engine: Option<&EngineInfo>,
    ) -> Option<Surroundings> {
        self.look_at_own();
        let now = Surroundings {
            own: self.own.clone(),
            networks: self.networks.clone(),
            containers: by_address(containers),
            engine: engine.map(traits).unwrap_or_default(),
            names: self.names.addresses.clone(),
            lists: self.lists.entries.clone(),
        };
        if self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now.clone());
        Some(now)
    }

    /// The surroundings as they were last told.
    pub(crate) fn told(&self) -> Surroundings {
        self.told.clone().unwrap_or_default()
    }

    /// The names in lists; those elsewhere are known to who wrote them.
    pub(crate) fn listed_names(&self) -> impl Iterator<Item = &IgnoreEntry> {
        self.lists.entries.values().flatten()
    }

    /// What is wrong with names and lists, a sentence each.
    pub(crate) fn troubles(&self) -> Vec<String> {
        self.names.troubles().chain(self.lists.troubles.values().flatten().cloned()).collect()
    }

    /// The addresses of all of the host's interfaces. If they can't be read, the host
    /// has those that it had.
    fn look_at_own(&mut self) {
        match if_addrs::get_if_addrs() {
            Ok(interfaces) => {
                let own: BTreeSet<_> =
                    interfaces.iter().map(|interface| Address::new(interface.ip())).collect();
                self.own = own.into_iter().collect();
            }
            Err(error) => tracing::warn!("can't read the host's own addresses: {error}"),
        }
    }
}

/// Which running container has an address.
fn by_address<'c>(containers: impl Iterator<Item = &'c Container>) -> BTreeMap<Address, Arc<str>> {
    containers
        .filter(|container| container.running)
        .flat_map(|container| {
            container.addresses.iter().map(|address| (*address, Arc::clone(&container.name)))
        })
        .collect()
}

fn traits(engine: &EngineInfo) -> EngineTraits {
    let firewall = engine.firewall_backend.as_deref().unwrap_or_default();
    EngineTraits {
        rootless: engine.platform.rootless,
        desktop: engine.platform.desktop,
        userland_proxy: engine.userland_proxy,
        firewalld: firewall.contains("firewalld"),
    }
}
