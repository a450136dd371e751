//! The jails: do they read, do they match, do their bans keep anybody out?

use super::facts::{Facts, JailFacts, Probe, Running};
use crate::model::{Chain, Finding, Level, Ports, ServiceId};

/// Most reaching addresses, hidden clients and the like that are told of one jail.
const MAX_OF_ONE: usize = 5;

/// A log with so many lines should have been recognised, if it is one.
const MANY_LINES: u64 = 100;

/// What is no jail's own.
pub(super) fn general(running: &Running, found: &mut Vec<Finding>) {
    for problem in &running.firewall_problems {
        found.push(Finding::new(Level::Error, "firewall", problem.clone()));
    }
    for note in &running.firewall_notes {
        found.push(Finding::new(Level::Note, "firewall", note.clone()));
    }
    if running.firewall_problems.is_empty() && !running.firewall.is_empty() {
        let what = format!("all bans are in the kernel ({})", running.firewall);
        found.push(Finding::new(Level::Ok, "firewall", what));
    }
    if running.repairs > 0 {
        let what = format!("{} times something of guard's was taken away", running.repairs);
        let finding = Finding::new(Level::Note, "firewall", what);
        found.push(finding.why("guard put it back; another program changes the same rules"));
    }
    if running.keeps_rules {
        found.push(Finding::new(Level::Note, "firewall", "GUARD_ON_STOP is `keep`").why(
            "bans outlive guard, also when it is removed; \
                 `docker run … -e GUARD_ON_STOP=remove` once takes them away",
        ));
    }
    if let Some(problem) = &running.store_problem {
        found.push(
            Finding::new(Level::Error, "database", problem.clone())
                .why("bans made meanwhile are forgotten by a restart"),
        );
    }
    for note in &running.store_notes {
        found.push(Finding::new(Level::Note, "database", note.clone()));
    }
    if let Some(metrics) = &running.metrics {
        let served = format!("metrics are served at {}", metrics.address);
        found.push(match (&metrics.problem, &metrics.warning) {
            (Some(problem), _) => Finding::new(Level::Warning, "metrics", problem.clone())
                .why("Prometheus sees a guard that is down, and guard works all the same"),
            (None, Some(warning)) => {
                Finding::new(Level::Note, "metrics", served).why(warning.clone())
            }
            (None, None) => Finding::new(Level::Ok, "metrics", served),
        });
    }
    for (container, complaint) in &running.refused {
        found.push(
            Finding::new(Level::Error, format!("labels of {container}"), complaint.clone())
                .why("there is no jail until it is mended"),
        );
    }
    for trouble in &running.lists {
        found.push(Finding::new(Level::Warning, "ignoreip", trouble.clone()));
    }
    if running.all_told && running.jails.iter().all(|jail| !jail.live) && running.refused.is_empty()
    {
        found.push(
            Finding::new(Level::Warning, "jails", "no container has labels of guard's")
                .why("nothing is watched")
                .cure("guardctl suggest"),
        );
    }
}

/// One jail.
pub(super) fn jail(jail: &JailFacts, facts: &Facts, found: &mut Vec<Finding>) {
    let before = found.len();
    let about = format!("jail {}", jail.rules.name);
    for (what, cure) in jail.hidden.iter().take(MAX_OF_ONE) {
        found.push(Finding::new(Level::Error, &*about, what.clone()).cure(cure.clone()));
    }
    for warning in &jail.warnings {
        found.push(Finding::new(Level::Warning, &*about, warning.clone()));
    }
    reaching(jail, &about, found);
    ports(jail, facts, &about, found);
    if jail.pending > 0 {
        let what = format!("{} of its bans are not in the kernel", jail.pending);
        found.push(Finding::new(Level::Error, &*about, what).why("they keep nobody out yet"));
    }
    sources(jail, &about, found);
    if let Some(probe) = &jail.probe {
        matches(jail, probe, &about, found);
    }
    if jail.live && found.len() == before && jail.rules.service != ServiceId::BuiltIn {
        let what = format!("it reads, and has found {} failures", jail.found);
        found.push(Finding::new(Level::Ok, about, what));
    }
}

fn reaching(jail: &JailFacts, about: &str, found: &mut Vec<Finding>) {
    for network in jail.reaching.iter().take(MAX_OF_ONE) {
        let finding = Finding::new(
            Level::Error,
            about,
            format!("{network} is banned, and goes on failing"),
        )
        .why("its packets do not pass the chain, or come to a port that the ban does not close");
        let chains: Vec<String> = jail.rules.block.chains.iter().map(ToString::to_string).collect();
        let chains = chains.join(" and ");
        let finding = match &jail.rules.block.ports {
            Ports::Some(ports) => {
                let ports: Vec<String> =
                    ports.iter().map(|(protocol, range)| format!("{protocol}/{range}")).collect();
                finding.cure(format!(
                    "the ban closes only {} in {chains}; to close all: guard.port: all",
                    ports.join(", ")
                ))
            }
            Ports::All => finding.cure(format!(
                "the ban closes all ports, but only in {chains}; for a service with the host's network, or a \
                 program on the host before it: guard.chain: \"DOCKER-USER INPUT\""
            )),
        };
        found.push(finding.cure(
            "if a proxy off this host passes its clients' addresses on, bans here can't reach them: ban there",
        ));
    }
}

/// A ban on ports where nothing listens keeps nobody out.
fn ports(jail: &JailFacts, facts: &Facts, about: &str, found: &mut Vec<Finding>) {
    let Ports::Some(closed) = &jail.rules.block.ports else { return };
    // Who listens on the host itself is not known.
    let only_docker = jail.rules.block.chains.iter().all(|chain| *chain == Chain::DockerUser);
    if !jail.live || !only_docker || facts.published.is_empty() {
        return;
    }
    let open = |(protocol, range): &(_, crate::model::PortRange)| {
        facts.published.iter().any(|open| {
            open.protocol == *protocol
                && open.port.first() <= range.last()
                && range.first() <= open.port.last()
        })
    };
    if closed.iter().any(open) {
        return;
    }
    let shown = |(protocol, range): &(crate::model::Protocol, _)| format!("{protocol}/{range}");
    let closed: Vec<String> = closed.iter().map(shown).collect();
    let own =
        facts.guarded.iter().filter(|checked| checked.container.service == jail.rules.service);
    let published: Vec<String> = own
        .flat_map(|checked| &checked.container.ports)
        .map(|open| format!("{}/{}", open.protocol, open.port))
        .collect();
    let published = match published.is_empty() {
        true => "it publishes none itself".to_owned(),
        false => format!("it publishes {}", published.join(", ")),
    };
    found.push(
        Finding::new(
            Level::Warning,
            about,
            format!(
                "a ban closes {}, which no container publishes; {published}",
                closed.join(", ")
            ),
        )
        .why("the port that counts is the one that the client uses, the left one of `8080:80`")
        .cure("guard.port: published")
        .cure("or, behind a proxy: guard.port: \"published:PROXY\", with the name of the proxy's service"),
    );
}

fn sources(jail: &JailFacts, about: &str, found: &mut Vec<Finding>) {
    for file in jail.awaited.iter().take(MAX_OF_ONE) {
        found.push(
            Finding::new(Level::Note, about, format!("there is no {file} yet"))
                .why("guard reads it as soon as it is there; or the path is another one"),
        );
    }
    if jail.live && !jail.has_sources && jail.rules.service != ServiceId::BuiltIn {
        let finding = Finding::new(Level::Warning, about, "nothing of it is read");
        found.push(finding.why("its container does not run, or what it names can't be followed"));
    }
}

fn matches(jail: &JailFacts, probe: &Probe, about: &str, found: &mut Vec<Finding>) {
    let sources = probe.sources.join(", ");
    if probe.lines == 0 {
        found.push(
            Finding::new(Level::Note, about, format!("{sources}: there is no line yet"))
                .why("it is new, or its service logs elsewhere (guard.logpath)"),
        );
        return;
    }
    if probe.matched > 0 || jail.found > 0 {
        return;
    }
    let of = format!("none of the last {} lines of {sources}", probe.lines);
    match &probe.missed {
        Some(missed) => {
            let mut finding = Finding::new(
                Level::Warning,
                about,
                format!(
                    "{of} matches a failregex, though {} look like failures, such as: {}",
                    probe.suspicious, missed.line
                ),
            );
            if let Some(near) = &missed.near {
                finding = finding.why(near.clone());
            }
            found.push(finding.cure(
                "try other regexes on it before you change the label: guardctl try SERVICE --failregex '…'",
            ));
        }
        None if probe.lines >= MANY_LINES => found.push(
            Finding::new(Level::Note, about, format!("{of} matches a failregex"))
                .why("well, if nobody has failed: log in with a wrong password, and look again"),
        ),
        None => {}
    }
}
