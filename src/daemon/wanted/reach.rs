//! (pure) Jails whose containers no ban of this host can protect.

use std::collections::{BTreeMap, BTreeSet};

use super::{Known, Wanted};
use crate::labels::{Complaint, Severity};
use crate::model::{BlockRules, Chain, Container, ContainerId, DockerNetwork, JailName};

/// What is known of how traffic comes to containers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths<'a> {
    /// Does Docker run without root, in a network namespace of its own?
    pub(crate) rootless: bool,
    /// Is guard inside of it, where the host's INPUT is out of reach?
    pub(crate) inside: bool,
    /// Is all of it in Docker Desktop's virtual machine?
    pub(crate) desktop: bool,
    pub(crate) networks: &'a [DockerNetwork],
}

impl Paths<'_> {
    /// Why no packet for this container passes the host's firewall, and what to do.
    fn past_the_firewall(
        &self,
        container: &Container,
        block: &BlockRules,
    ) -> Option<(String, &'static str)> {
        if container.own {
            return None;
        }
        if self.desktop {
            let what = "this is Docker Desktop: all clients enter its virtual machine with one address, so a \
                        ban would keep out all of them or nobody";
            return Some((what.to_owned(), "run the service on Docker Engine, on Linux itself"));
        }
        if self.rootless && self.inside {
            let what = "the engine is rootless, and guard inside of it: this host's firewall is out of \
                        its reach, so a ban would keep nobody out";
            return Some((what.to_owned(), "run guard as root on the host (docs/platforms.md)"));
        }
        // A process of the engine's user takes packets in, like any server of the host's.
        if self.rootless && !block.chains.contains(&Chain::Input) {
            let what = "the engine is rootless: packets for its containers pass this host's INPUT and not \
                        DOCKER-USER, so a ban there would keep nobody out";
            return Some((
                what.to_owned(),
                "set GUARD_CHAIN=INPUT, or guard.chain: INPUT on the service, and see to it that the \
                 log shows clients' addresses (docs/platforms.md)",
            ));
        }
        let network = &container.network_mode;
        let is_lan = |of: &&DockerNetwork| of.name == *network && of.is_lan();
        // What is published comes by a bridge that it is in, too.
        if container.ports.is_empty() && self.networks.iter().any(|of| is_lan(&of)) {
            let what = format!(
                "the network {network} is a macvlan or ipvlan: its containers are hosts of the LAN \
                 themselves, and no packet for them passes this host's firewall, so a ban would keep \
                 nobody out"
            );
            return Some((
                what,
                "put the service into a bridge network and publish its ports, or ban where the LAN \
                 begins",
            ));
        }
        None
    }
}

/// Refuses the jails of whose containers none can be protected. A dry run harms
/// nobody and stays.
pub(crate) fn refuse(
    wanted: &mut Wanted,
    containers: &BTreeMap<ContainerId, Known>,
    paths: Paths<'_>,
) {
    let mut refused: BTreeSet<JailName> = BTreeSet::new();
    for (name, rules) in &wanted.jails {
        let with_it = |known: &&Known| known.reading.jails.iter().any(|jail| jail.name == *name);
        let mut flaws = Vec::new();
        let mut all = 0;
        for known in containers.values().filter(with_it) {
            all += 1;
            let flaw = paths.past_the_firewall(&known.container, &rules.block);
            flaws.extend(flaw.map(|flaw| (&known.container, flaw)));
        }
        if rules.dry_run || flaws.len() < all {
            continue;
        }
        let Some((container, (what, remedy))) = flaws.pop() else { continue };
        refused.insert(name.clone());
        wanted.complaints.push(Complaint {
            severity: Severity::Error,
            jail: Some(name.clone()),
            container: container.name.to_string(),
            label: "network_mode".to_owned(),
            value: container.network_mode.clone(),
            span: 0..container.network_mode.len(),
            in_key: false,
            what,
            remedy: Some(remedy.to_owned()),
            notify: rules.policy.notify.clone(),
        });
    }
    wanted.jails.retain(|name, _| !refused.contains(name));
    wanted.followers.retain(|key, _| !refused.contains(&key.jail));
}
