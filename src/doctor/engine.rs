//! The engine: does it answer, to all that guard asks, and what keeps its clients'
//! addresses, or the bans, from where they belong?

use super::facts::{CLOCK, Facts};
use crate::model::{EngineCheckup, Finding, Level};

const ABOUT: &str = "engine";

pub(super) fn engine(facts: &Facts, found: &mut Vec<Finding>) {
    let engine = match &facts.engine {
        Ok(engine) => engine,
        Err(why) => {
            let finding = Finding::new(Level::Error, ABOUT, format!("no Docker engine: {why}"));
            found.push(finding.why("without it guard sees no labels and no logs"));
            return;
        }
    };
    permissions(engine, found);
    firewall(engine, found);
    clock(engine, found);
    for warning in &engine.warnings {
        found.push(Finding::new(Level::Note, ABOUT, format!("Docker says: {warning}")));
    }
}

fn permissions(engine: &EngineCheckup, found: &mut Vec<Finding>) {
    for (what, why) in &engine.refused {
        let (level, effect) = match *what {
            "/info" => (
                Level::Warning,
                "guard can't tell rootless engines, Docker's firewall backend and the clock",
            ),
            "/events" => (Level::Error, "guard hears of new containers late or never"),
            "/networks" => {
                (Level::Error, "guard can't tell gateways from clients, and bans nobody")
            }
            _ => (Level::Error, "guard sees no container"),
        };
        let finding = Finding::new(level, ABOUT, format!("{what} is refused: {why}")).why(effect);
        found.push(finding.cure(
            "docker-socket-proxy needs: CONTAINERS=1 EVENTS=1 INFO=1 NETWORKS=1 PING=1 VERSION=1 POST=0",
        ));
    }
    if engine.refused.is_empty() {
        let what = format!(
            "{} {} (API {}) answers all that guard asks",
            engine.platform.name(),
            engine.version,
            engine.api_version
        );
        found.push(Finding::new(Level::Ok, ABOUT, what));
    }
}

fn firewall(engine: &EngineCheckup, found: &mut Vec<Finding>) {
    let backend = engine.firewall_backend.as_deref().unwrap_or_default();
    if backend.starts_with("nftables") {
        found.push(
            Finding::new(Level::Note, ABOUT, "Docker's firewall backend is nftables")
                .why("it has no DOCKER-USER: guard bans in a table of its own, unless GUARD_FIREWALL says otherwise"),
        );
    }
    if backend.contains("firewalld") {
        found.push(Finding::new(Level::Note, ABOUT, "firewalld is active").why(
            "a zone with masquerading hides clients' addresses from containers; \
                 `firewall-cmd --list-all-zones` shows it",
        ));
    }
    if engine.swarm {
        found.push(
            Finding::new(Level::Note, ABOUT, "this engine is part of a swarm")
                .why("ports of a service that go through the routing mesh hide the client's address")
                .cure("publish with `mode: host`, and give services their labels below `labels:`, not `deploy: labels:`"),
        );
    }
}

fn clock(engine: &EngineCheckup, found: &mut Vec<Finding>) {
    let Some(ahead) = engine.clock else { return };
    if ahead.abs() <= CLOCK {
        return;
    }
    let seconds = ahead.abs().as_secs();
    let way = if ahead.is_positive() { "ahead of" } else { "behind" };
    found.push(
        Finding::new(
            Level::Warning,
            ABOUT,
            format!("the engine's clock is {seconds} s {way} guard's"),
        )
        .why("failures count by the engine's time: bans begin and end by so much too early or late")
        .cure("let both machines keep time: timedatectl set-ntp true"),
    );
}
