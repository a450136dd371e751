//! (pure) Jails whose containers no ban of this host can protect.

use std::collections::{BTreeMap, BTreeSet};

use super::{Known, Wanted};
use crate::labels::{Complaint, Severity};
use crate::model::{Container, ContainerId, DockerNetwork, JailName};

/// What is known of how traffic comes to containers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths<'a> {
    /// Does Docker run without root, in a network namespace of its own?
    pub(crate) rootless: bool,
    pub(crate) networks: &'a [DockerNetwork],
}

impl Paths<'_> {
    /// Why no packet for this container passes the host's firewall, and what to do.
    fn past_the_firewall(&self, container: &Container) -> Option<(String, &'static str)> {
        if container.own {
            return None;
        }
        if self.rootless {
            let what = "Docker is rootless: the traffic of its containers passes the firewall of a \
                        network of its own and not this host's, so a ban would keep nobody out";
            return Some((what.to_owned(), "run the service on a Docker that root runs"));
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
            let flaw = paths.past_the_firewall(&known.container);
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
        });
    }
    wanted.jails.retain(|name, _| !refused.contains(name));
    wanted.followers.retain(|key, _| !refused.contains(&key.jail));
}
