//! What the doctor wants to know of the jails' task.

use jiff::tz::TimeZone;

use super::{EngineState, Jails};
use crate::daemon::wanted::{FollowerSpec, counts};
use crate::docker::Engine;
use crate::filter::FilterSpec;
use crate::filters::Catalog;
use crate::labels::Complaint;
use crate::model::{Container, ContainerId, JailName, PublishedPort};

/// A source of a jail, to be tried anew.
#[derive(Clone)]
pub(crate) struct ProbeGround {
    pub(crate) jail: JailName,
    pub(crate) spec: FollowerSpec,
    /// What its filter was compiled from.
    pub(crate) source: Option<FilterSpec>,
    pub(crate) container: Container,
}

/// All that the doctor needs of the task's state.
pub(crate) struct DoctorGround {
    pub(crate) engine: Result<Engine, String>,
    /// What labels begin with, such as `guard`.
    pub(crate) prefix: String,
    pub(crate) own: Option<Container>,
    /// Those with jails, or with complaints.
    pub(crate) guarded: Vec<ContainerId>,
    /// Those that run and have no label of guard's.
    pub(crate) unguarded: Vec<ContainerId>,
    pub(crate) published: Vec<PublishedPort>,
    pub(crate) complaints: Vec<Complaint>,
    pub(crate) lists: Vec<String>,
    pub(crate) probes: Vec<ProbeGround>,
    pub(crate) zone: TimeZone,
    pub(crate) filters: Catalog,
    pub(crate) all_told: bool,
}

impl Jails {
    /// Have all containers been told?
    pub(crate) fn is_all_told(&self) -> bool {
        self.all_told
    }

    /// What the doctor needs.
    pub(crate) fn doctor_ground(&self) -> DoctorGround {
        let prefix = self.parameters.defaults.prefix();
        let is_ours = |key: &String| {
            let head = key.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix));
            head.is_some() && key[prefix.len()..].starts_with('.')
        };
        let (mut guarded, mut unguarded, mut published) = (Vec::new(), Vec::new(), Vec::new());
        for known in self.containers.values().filter(|known| known.container.running) {
            let container = &known.container;
            published.extend(container.ports.iter().copied());
            if !known.reading.jails.is_empty() || !known.reading.complaints.is_empty() {
                guarded.push(container.id.clone());
            } else if !container.own
                && counts(container, prefix)
                && !container.labels.keys().any(is_ours)
            {
                unguarded.push(container.id.clone());
            }
        }
        let probes = self.followers.iter().filter_map(|(key, running)| {
            let known = self.containers.get(&running.spec.container)?;
            Some(ProbeGround {
                jail: key.jail.clone(),
                source: self.library.spec_of(&running.spec.jail.filter).cloned(),
                spec: running.spec.clone(),
                container: known.container.clone(),
            })
        });
        DoctorGround {
            engine: match &self.engine {
                EngineState::Connecting => Err("it has not been reached yet".to_owned()),
                EngineState::Connected(engine) => Ok(engine.clone()),
                EngineState::Lost(_, why) => Err(why.clone()),
            },
            prefix: prefix.to_owned(),
            own: self.own().cloned(),
            guarded,
            unguarded,
            published,
            complaints: self.complaints.clone(),
            lists: self.list_troubles(),
            probes: probes.collect(),
            zone: self.parameters.zone.clone(),
            filters: self.parameters.filters.clone(),
            all_told: self.all_told,
        }
    }
}
