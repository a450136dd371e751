//! Gathers what [`doctor`](crate::doctor) judges by, and what
//! [`suggest`](crate::suggest) goes by: asks the engine, this process, the logs.

mod probe;
mod process;
mod suggest;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(crate) use self::process::platform as own_platform;
pub(crate) use self::suggest::suggestions;
use super::jails::{AskJails, DoctorGround, Jails};
use crate::docker::{self, Engine};
use crate::doctor::{self, Facts, Probe};
use crate::model::{
    ContainerCheckup, ContainerId, EngineCheckup, Finding, JailName, Level, Timestamp,
};

/// So many containers are looked at.
const MAX_CONTAINERS: usize = 500;

/// So long logs are tried; jails whose turn has not come by then are not.
const PROBES: Duration = Duration::from_secs(30);

/// So long the first examination waits until all containers were told.
const FIRST: Duration = Duration::from_secs(120);

/// What the doctor is told of guard's settings.
#[derive(Clone, Debug)]
pub(crate) struct Ward {
    /// Where the database lies.
    pub(crate) data: PathBuf,
    /// Do rules stay when guard stops?
    pub(crate) keeps_rules: bool,
    /// Is IPv6 left alone because somebody said so (`GUARD_IPV6`)?
    pub(crate) no_ipv6: bool,
}

/// What lies around guard, as it is now; what only guard itself knows is left out.
pub(crate) async fn around(ground: &DoctorGround, ward: &Ward) -> Facts {
    let engine = checkup(ground.engine.as_ref()).await;
    let (mut own, mut guarded) = (None, Vec::new());
    if let Ok(engine) = &ground.engine {
        let prefix = format!("{}.", ground.prefix);
        let look = async |id: &ContainerId| engine.container_checkup(id, &prefix).await.ok();
        if let Some(container) = &ground.own {
            own = look(&container.id).await;
        }
        for id in ground.guarded.iter().take(MAX_CONTAINERS) {
            guarded.extend(look(id).await);
        }
    }
    Facts {
        now: Timestamp::now(),
        engine,
        process: process::look(&ward.data),
        own,
        guarded,
        published: ground.published.clone(),
        no_ipv6: ward.no_ipv6,
        running: None,
    }
}

async fn checkup(engine: Result<&Engine, &String>) -> Result<EngineCheckup, String> {
    let why = match engine {
        Ok(engine) => return Ok(engine.checkup().await),
        Err(why) => why.clone(),
    };
    // Discovery ends at the first thing that is refused; people want to know all of them.
    match Engine::connect().await {
        Ok(engine) => {
            Some(engine.checkup().await).filter(|told| !told.refused.is_empty()).ok_or(why)
        }
        Err(_) => Err(why),
    }
}

/// Tries the filters of these jails on what their logs hold.
pub(crate) async fn probes(ground: &DoctorGround, jails: &[JailName]) -> BTreeMap<JailName, Probe> {
    let mut probes = BTreeMap::new();
    let Ok(engine) = &ground.engine else { return probes };
    let all = async {
        for jail in jails {
            let sources: Vec<_> =
                ground.probes.iter().filter(|source| source.jail == *jail).cloned().collect();
            let at = (ground.own.as_ref(), &ground.zone);
            if let Some(probe) = probe::probe(engine, &sources, at).await {
                probes.insert(jail.clone(), probe);
            }
        }
    };
    // Those that were tried by then are told.
    let _ = tokio::time::timeout(PROBES, all).await;
    probes
}

/// Once all containers were told, tells in the log what is wrong around guard.
pub(crate) async fn examine_once(jails: AskJails, ward: Ward, cancel: CancellationToken) {
    // What the engine need not answer for, which may be why it does not.
    let at_once = doctor::platform(None, &own_platform());
    at_once.iter().for_each(tell);
    let examine = async {
        let wait = async {
            while jails.look(Jails::is_all_told).await == Some(false) {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        if tokio::time::timeout(FIRST, wait).await.is_err() {
            // Why not, discovery has told.
            return;
        }
        let Some(ground) = jails.look(Jails::doctor_ground).await else { return };
        let facts = around(&ground, &ward).await;
        let found = doctor::surroundings(&facts);
        found
            .iter()
            .filter(|finding| at_once.iter().all(|told| told.what != finding.what))
            .for_each(tell);
    };
    cancel.run_until_cancelled(examine).await;
}

fn tell(finding: &Finding) {
    match finding.level {
        Level::Error => tracing::error!("{}", finding.one_line()),
        Level::Warning => tracing::warn!("{}", finding.one_line()),
        Level::Note => tracing::info!("{}", finding.one_line()),
        Level::Ok => {}
    }
}

/// What can be found without a running guard: the engine, and this process in the
/// place of guard's; run in guard's container, it may do what guard may.
pub async fn alone(data: &Path, why: &str) -> Vec<Finding> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let ids = docker::container_ids(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    let connected = Engine::connect().await.map_err(|error| error.sentence());
    let mut own: Option<ContainerCheckup> = None;
    if let Ok(engine) = &connected {
        for id in ids {
            let id = ContainerId(id.into());
            own = own.or(engine.container_checkup(&id, "guard.").await.ok());
        }
    }
    let facts = Facts {
        now: Timestamp::now(),
        engine: checkup(connected.as_ref()).await,
        process: process::look(data),
        own,
        guarded: Vec::new(),
        published: Vec::new(),
        no_ipv6: false,
        running: None,
    };
    let silent = Finding::new(Level::Error, "guard", why)
        .why("only what can be seen without it is looked at")
        .cure("docker logs guard");
    [vec![silent], doctor::findings(&facts)].concat()
}
