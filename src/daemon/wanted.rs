//! (pure) From all containers with their labels to the jails and followers there should be.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::labels::{Complaint, Jail, PortsWanted, Reading, Severity, Sources, StreamChoice};
use crate::model::{
    Container, ContainerId, JailName, JailRules, JournalMatch, MANUAL_JAIL, PortRange, Protocol,
    ServiceId,
};

pub(crate) mod reach;

/// A container, and what its labels say.
pub(crate) struct Known {
    pub(crate) container: Container,
    pub(crate) reading: Reading,
}

/// Do the container's labels count? `docker compose run` gives its containers the
/// service's labels, but a person at a terminal is no attacker; so a one-off container
/// is left alone unless it bears `guard.enable: true`.
pub(crate) fn counts(container: &Container, prefix: &str) -> bool {
    let is_enable = |key: &str| {
        let prefixed = key.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix));
        prefixed.is_some() && key[prefix.len()..].eq_ignore_ascii_case(".enable")
    };
    let yes = |value: &str| {
        let value = value.trim();
        ["true", "yes", "on", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
    };
    !container.one_off || container.labels.iter().any(|(key, value)| is_enable(key) && yes(value))
}

/// What the containers ask for, taken together.
#[derive(Default)]
pub(crate) struct Wanted {
    /// The jails.
    pub(crate) jails: BTreeMap<JailName, Arc<JailRules>>,
    /// The followers, each with the container and the jail that it is for.
    pub(crate) followers: BTreeMap<FollowerKey, FollowerSpec>,
    /// All that is wrong with labels.
    pub(crate) complaints: Vec<Complaint>,
}

/// What tells one follower from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FollowerKey {
    pub(crate) jail: JailName,
    pub(crate) target: Target,
}

/// What a follower reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A container's output.
    Output(ContainerId),
    /// The files on one mount, by its place on the host: replicas and the old and
    /// new container of a service that is being recreated share the mount and so
    /// the follower, whatever their patterns, or failures would count twice.
    Files(String),
    /// The host's journal.
    Journal,
}

/// How to follow.
#[derive(Clone)]
pub(crate) struct FollowerSpec {
    pub(crate) container: ContainerId,
    pub(crate) jail: Arc<Jail>,
    pub(crate) what: What,
}

/// What to follow, of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Its output.
    Output(StreamChoice),
    /// Files, as the container names them.
    Files(Vec<String>),
    /// The entries of the host's journal with these fields.
    Journal(JournalMatch),
}

impl FollowerSpec {
    /// Would the two judge the same lines in the same way?
    pub(crate) fn same_as(&self, other: &FollowerSpec) -> bool {
        self.what == other.what
            // Its zone and its mounts may be others.
            && self.container == other.container
            && Arc::ptr_eq(&self.jail.filter, &other.jail.filter)
            && self.jail.limits.find_time == other.jail.limits.find_time
            && self.jail.log_zone == other.jail.log_zone
            && self.jail.log_encoding == other.jail.log_encoding
    }
}

/// What was so far.
#[derive(Default)]
pub(crate) struct Before {
    /// The rules in force.
    pub(crate) jails: BTreeMap<JailName, Arc<JailRules>>,
    /// Whose each jail is, or was when guard last ran: who comes later with the
    /// same name does not take it away.
    pub(crate) holders: BTreeMap<JailName, ServiceId>,
}

/// One container that asks for a jail.
struct Claim<'a> {
    container: &'a Container,
    jail: &'a Jail,
}

/// What all `containers` together ask for. `before` are the rules in force, kept
/// where a service's published ports can't be told at the moment; `locate` tells
/// where the mount with a path of a container lies on the host.
pub(crate) fn wanted(
    containers: &BTreeMap<ContainerId, Known>,
    before: &Before,
    locate: impl Fn(&Container, &str) -> String,
) -> Wanted {
    let mut wanted = Wanted::default();
    for known in containers.values() {
        wanted.complaints.extend(known.reading.complaints.iter().cloned());
    }
    for (name, mut claims) in claims(containers) {
        if let Some(complaint) = conflict(&name, &claims) {
            wanted.complaints.push(complaint);
            let holder = holder(&claims, before.holders.get(&name));
            claims.retain(|claim| Some(&claim.jail.service) == holder.as_ref());
        }
        // The newest container's labels count: a service is being recreated.
        claims.sort_by_key(|claim| (claim.container.running, claim.container.created));
        let Some(newest) = claims.last() else { continue };
        match rules(newest, containers, before.jails.get(&name)) {
            Ok(Some(rules)) => {
                wanted.jails.insert(name.clone(), rules);
            }
            Ok(None) => continue,
            Err(complaint) => {
                wanted.complaints.push(*complaint);
                continue;
            }
        }
        for claim in &claims {
            wanted.followers.extend(followers(&name, claim, &locate));
        }
    }
    wanted.complaints = without_repeats(wanted.complaints, containers);
    wanted
}

fn claims(containers: &BTreeMap<ContainerId, Known>) -> BTreeMap<JailName, Vec<Claim<'_>>> {
    let mut claims: BTreeMap<JailName, Vec<Claim<'_>>> = BTreeMap::new();
    for Known { container, reading } in containers.values() {
        for jail in &reading.jails {
            claims.entry(jail.name.clone()).or_default().push(Claim { container, jail });
        }
    }
    claims
}

/// Of several services that want one jail, the one that keeps it: whose it was, or
/// the only one that runs. guard's own jail is nobody's.
fn holder(claims: &[Claim<'_>], before: Option<&ServiceId>) -> Option<ServiceId> {
    if claims.iter().any(|claim| claim.jail.name.as_str() == MANUAL_JAIL) {
        return None;
    }
    if let Some(before) = before
        && claims.iter().any(|claim| claim.jail.service == *before)
    {
        return Some(before.clone());
    }
    let running = claims.iter().filter(|claim| claim.container.running);
    let services: BTreeSet<&ServiceId> = running.map(|claim| &claim.jail.service).collect();
    match services.len() {
        1 => services.first().map(|service| (*service).clone()),
        _ => None,
    }
}

/// Two services can't have one jail, and `manual` is guard's own.
fn conflict(name: &JailName, claims: &[Claim<'_>]) -> Option<Complaint> {
    let services: BTreeSet<&ServiceId> = claims.iter().map(|claim| &claim.jail.service).collect();
    let reserved = name.as_str() == MANUAL_JAIL;
    if services.len() < 2 && !reserved {
        return None;
    }
    let what = if reserved {
        format!("`{MANUAL_JAIL}` is the name of guard's own jail for bans by hand")
    } else {
        let names: Vec<_> = services.iter().map(|service| format!("`{service}`")).collect();
        format!("the services {} want the same jail name `{name}`", names.join(" and "))
    };
    let containers: Vec<&str> = claims.iter().map(|claim| &*claim.container.name).collect();
    Some(Complaint {
        severity: Severity::Error,
        jail: Some(name.clone()),
        container: containers.join(", "),
        label: "guard.name".to_owned(),
        value: name.to_string(),
        span: 0..name.as_str().len(),
        in_key: false,
        what,
        remedy: Some("give each its own `guard.name`".to_owned()),
        // Whoever wants to be told is.
        notify: claims
            .iter()
            .map(|claim| claim.jail.policy.notify.clone())
            .reduce(|all, one| Some(&all? | &one?))
            .flatten(),
    })
}

/// The rules of a jail; `None`: nothing runs that could say which ports are published.
fn rules(
    claim: &Claim<'_>,
    containers: &BTreeMap<ContainerId, Known>,
    before: Option<&Arc<JailRules>>,
) -> Result<Option<Arc<JailRules>>, Box<Complaint>> {
    let published = match &claim.jail.ports {
        PortsWanted::Published { service, protocols } => {
            let mut ports = published(claim.container, service.as_deref(), containers);
            ports.retain(|(protocol, _)| protocols.contains(protocol));
            ports
        }
        PortsWanted::All | PortsWanted::Some(_) => BTreeSet::new(),
    };
    match claim.jail.rules(&published) {
        Ok(rules) => match before {
            Some(before) if **before == rules => Ok(Some(Arc::clone(before))),
            _ => Ok(Some(Arc::new(rules))),
        },
        Err(_) if !claim.container.running => {
            // A stopped container publishes nothing: what held before still does.
            Ok(before.filter(|before| before.service == claim.jail.service).cloned())
        }
        Err(complaint) => Err(complaint),
    }
}

/// The host's ports that lead to a service: the claimant's own, or that of a
/// proxy, looked for in the same project first.
fn published(
    claimant: &Container,
    service: Option<&str>,
    containers: &BTreeMap<ContainerId, Known>,
) -> BTreeSet<(Protocol, PortRange)> {
    let project = |id: &ServiceId| match id {
        ServiceId::Compose { project, .. } => Some(Arc::clone(project)),
        ServiceId::Container(_) | ServiceId::BuiltIn => None,
    };
    let ports = |fits: &dyn Fn(&Container) -> bool| -> BTreeSet<(Protocol, PortRange)> {
        let all = containers.values().map(|known| &known.container);
        all.filter(|container| fits(container))
            .flat_map(|container| &container.ports)
            .map(|published| (published.protocol, published.port))
            .collect()
    };
    let Some(service) = service else {
        return ports(&|container| container.service == claimant.service);
    };
    let home = project(&claimant.service);
    let near = ports(&|container| {
        container.service.short() == service && project(&container.service) == home
    });
    if near.is_empty() {
        ports(&|container| container.service.short() == service || &*container.name == service)
    } else {
        near
    }
}

/// One follower for the output, or one for each mount with files.
fn followers(
    name: &JailName,
    claim: &Claim<'_>,
    locate: &impl Fn(&Container, &str) -> String,
) -> BTreeMap<FollowerKey, FollowerSpec> {
    let container = claim.container.id.clone();
    let jail = Arc::new(claim.jail.clone());
    let mut targets: BTreeMap<Target, What> = BTreeMap::new();
    match &claim.jail.sources {
        Sources::Output(choice) => {
            targets.insert(Target::Output(container.clone()), What::Output(*choice));
        }
        Sources::Files(patterns) => {
            for pattern in patterns {
                let target = Target::Files(locate(claim.container, pattern));
                let what = targets.entry(target).or_insert_with(|| What::Files(Vec::new()));
                if let What::Files(patterns) = what {
                    patterns.push(pattern.clone());
                }
            }
        }
        // The warden sees those itself.
        Sources::Bans => {}
        Sources::Journal(terms) => {
            targets.insert(Target::Journal, What::Journal(terms.clone()));
        }
    }
    targets
        .into_iter()
        .map(|(target, what)| {
            let spec = FollowerSpec { container: container.clone(), jail: Arc::clone(&jail), what };
            (FollowerKey { jail: name.clone(), target }, spec)
        })
        .collect()
}

/// Replicas have the same labels: each mistake is told once.
fn without_repeats(
    complaints: Vec<Complaint>,
    containers: &BTreeMap<ContainerId, Known>,
) -> Vec<Complaint> {
    let service = |container: &str| {
        let mut all = containers.values().map(|known| &known.container);
        all.find(|known| &*known.name == container).map(|known| known.service.clone())
    };
    let mut seen = BTreeSet::new();
    complaints
        .into_iter()
        .filter(|complaint| {
            let whose = service(&complaint.container)
                .map_or_else(|| complaint.container.clone(), |service| service.to_string());
            let place = (complaint.span.start, complaint.span.end, complaint.in_key);
            seen.insert((whose, complaint.label.clone(), place, complaint.what.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
