//! How guard's own container and those that it guards are set up.

use std::path::Path;

use super::facts::{Facts, stays};
use super::platform::moved;
use crate::model::{ContainerCheckup, Finding, Level, MountKind};

/// Where the engine keeps its volumes.
const VOLUMES: &str = "/var/lib/docker/volumes";

/// Drivers whose output the engine reads back itself.
const READABLE: [&str; 3] = ["json-file", "local", "journald"];

/// guard's own container.
pub(super) fn own(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(own) = &facts.own else { return };
    if own.container.network_mode != "host" {
        let what = format!("guard's container has the network `{}`", own.container.network_mode);
        found.push(
            Finding::new(Level::Error, "guard", what)
                .why("its rules are made in the container's own network, where nobody passes")
                .cure("in guard's service: network_mode: host"),
        );
    }
    if matches!(own.restart.as_str(), "no" | "on-failure") {
        found.push(
            Finding::new(
                Level::Warning,
                "guard",
                format!("its restart policy is `{}`", own.restart),
            )
            .why("after a restart of the machine nobody is banned")
            .cure("in guard's service: restart: unless-stopped"),
        );
    }
    found.extend(lock(facts, own));
    if let Ok(engine) = &facts.engine {
        let mounts = own.container.mounts.iter().filter(|mount| stays(mount.kind));
        found.extend(moved(&engine.platform, mounts.map(|mount| mount.source.as_str())));
    }
    for mount in &facts.process.private_mounts {
        let holds_mounts = own.container.mounts.iter().any(|known| {
            known.destination == *mount && stays(known.kind) && known.source.starts_with(VOLUMES)
        });
        if holds_mounts {
            found.push(
                Finding::new(Level::Note, "guard", format!("{mount} is mounted privately"))
                    .why("volumes that are mounted later (NFS, a disk of their own) are not seen there")
                    .cure(format!("- {VOLUMES}:{mount}:ro,rslave")),
            );
        }
    }
}

/// Legacy tables are read, changed and written as a whole. The tools wait for each other
/// by locking a file, which must be one file for all.
fn lock(facts: &Facts, own: &ContainerCheckup) -> Option<Finding> {
    let legacy = facts.running.as_ref().is_some_and(|it| it.firewall.contains("tables-legacy"));
    // /var/run is a link to /run.
    let plain = |path: &str| match path.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
        _ => path.to_owned(),
    };
    let file = plain(&facts.process.lock_file);
    let is_the_hosts = own.container.mounts.iter().any(|mount| {
        mount.kind == MountKind::Bind && Path::new(&file).starts_with(plain(&mount.destination))
    });
    (legacy && !is_the_hosts).then(|| {
        let what = format!("iptables is legacy, and {file} is guard's own, not the host's");
        Finding::new(Level::Note, "guard", what)
            .why(
                "Docker's iptables and guard's don't wait for each other, so that now and then a command of one \
                 of them fails",
            )
            .cure(
                "in guard's service, below volumes: - {type: bind, source: /run/xtables.lock, target: \
                 /run/xtables.lock, bind: {create_host_path: false}}",
            )
            .cure("not `- /run/xtables.lock:/run/xtables.lock`: Docker makes a folder where there is no file")
    })
}

/// Those with labels.
pub(super) fn guarded(facts: &Facts, found: &mut Vec<Finding>) {
    for checked in &facts.guarded {
        let before = found.len();
        output(checked, found);
        clients(checked, facts, found);
        network(checked, found);
        if found.len() == before {
            let about = about(checked);
            found.push(Finding::new(Level::Ok, about, "nothing hides its clients"));
        }
    }
}

fn about(checked: &ContainerCheckup) -> String {
    format!("container {}", checked.container.name)
}

fn output(checked: &ContainerCheckup, found: &mut Vec<Finding>) {
    let driver = checked.container.log_driver.as_str();
    if driver == "none" {
        found.push(
            Finding::new(Level::Error, about(checked), "its logging driver is `none`")
                .why("nobody can read what it writes; only log files (logpath) are left")
                .cure("in its service: logging: {driver: json-file, options: {max-size: 10m, max-file: \"3\"}}"),
        );
    } else if !driver.is_empty() && !READABLE.contains(&driver) {
        found.push(
            Finding::new(Level::Note, about(checked), format!("its logging driver is `{driver}`"))
                .why(
                    "what it writes is read from the engine's cache, which `cache-disabled: \"true\"` \
                     or an engine before 20.10 does not have",
                )
                .cure("if guard reads nothing, in its service: logging: {driver: json-file}"),
        );
    }
}

fn clients(checked: &ContainerCheckup, facts: &Facts, found: &mut Vec<Finding>) {
    let proxy = facts.engine.as_ref().ok().and_then(|engine| engine.userland_proxy);
    if !checked.published_v6.is_empty() && !checked.has_v6 && proxy != Some(false) {
        let ports: Vec<String> = checked.published_v6.iter().map(ToString::to_string).collect();
        found.push(
            Finding::new(
                Level::Note,
                about(checked),
                format!("port {} is open for IPv6, but it has no IPv6 address", ports.join(", ")),
            )
            .why(
                "clients with IPv6 come through docker-proxy: the container sees the gateway's address \
                 instead of theirs, and they can't be banned",
            )
            .cure("give its network IPv6: networks: {default: {enable_ipv6: true}}")
            .cure("or publish for IPv4 only: ports: [\"0.0.0.0:8080:80\"], with your ports")
            .cure("or in /etc/docker/daemon.json: \"userland-proxy\": false"),
        );
    }
    if !checked.published_v6.is_empty() && checked.has_v6 && facts.no_ipv6 {
        found.push(
            Finding::new(
                Level::Warning,
                about(checked),
                "it is open for IPv6, and GUARD_IPV6 is `off`",
            )
            .why("who comes by IPv6 is never kept out")
            .cure("in guard's service, below environment: GUARD_IPV6: auto"),
        );
    }
    if checked.networks.iter().any(|network| network == "ingress") {
        found.push(
            Finding::new(
                Level::Warning,
                about(checked),
                "its ports go through Swarm's routing mesh",
            )
            .why("it replaces the client's address, so nobody can be banned")
            .cure("ports: [{target: 80, published: 80, mode: host}], with your ports"),
        );
    }
}

fn network(checked: &ContainerCheckup, found: &mut Vec<Finding>) {
    let mode = checked.container.network_mode.as_str();
    if mode == "none" {
        let finding = Finding::new(Level::Note, about(checked), "it has no network");
        found.push(finding.why("nobody can reach it, so nobody needs to be banned"));
    }
}
