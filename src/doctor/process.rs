//! guard's process: what it may do, and how much of everything it has.

use super::facts::{Data, Facts, Process};
use crate::model::{Finding, Level};

/// A capability: its bit, its name, and what guard can't do without it.
struct Capability(u32, &'static str, Level, &'static str);

/// Those that guard uses (linux/capability.h).
const CAPABILITIES: [Capability; 3] = [
    Capability(12, "NET_ADMIN", Level::Error, "guard can't change the firewall, and bans nobody"),
    Capability(13, "NET_RAW", Level::Error, "iptables does not work without it"),
    Capability(
        2,
        "DAC_READ_SEARCH",
        Level::Note,
        "guard can't read log files that root may not read by their mode",
    ),
];

/// Root may read any file with this one too.
const DAC_OVERRIDE: u32 = 1;

/// With fewer open files than this, a host with many containers is too much.
const FEW_FILES: u64 = 1024;

/// Fewer inotify instances than this are soon used up by others.
const FEW_INOTIFY: u64 = 64;

/// So little room is soon used up.
const LITTLE_ROOM: u64 = 64 << 20;

pub(super) fn process(facts: &Facts, found: &mut Vec<Finding>) {
    capabilities(&facts.process, found);
    limits(&facts.process, found);
    data(&facts.process.data, facts, found);
}

fn capabilities(process: &Process, found: &mut Vec<Finding>) {
    let Some(held) = process.capabilities else { return };
    let has = |bit: u32| held & (1 << bit) != 0;
    let mut complete = true;
    for Capability(bit, name, level, effect) in CAPABILITIES {
        if has(bit) || (name == "DAC_READ_SEARCH" && has(DAC_OVERRIDE)) {
            continue;
        }
        complete = false;
        found.push(
            Finding::new(level, "guard", format!("the capability {name} is missing"))
                .why(effect)
                .cure("in guard's service: cap_add: [NET_ADMIN, NET_RAW, DAC_READ_SEARCH]"),
        );
    }
    if complete {
        found.push(Finding::new(Level::Ok, "guard", "it has the capabilities that it needs"));
    }
}

fn limits(process: &Process, found: &mut Vec<Finding>) {
    if let Some((most, open)) = process.files {
        let scarce = open.saturating_mul(10) >= most.saturating_mul(8);
        if scarce || most < FEW_FILES {
            let level = if scarce { Level::Warning } else { Level::Note };
            found.push(
                Finding::new(level, "guard", format!("{open} of {most} files are open"))
                    .why("every followed container and file needs one")
                    .cure("in guard's service: ulimits: {nofile: 65536}"),
            );
        }
    }
    if let Some(instances) = process.inotify.filter(|instances| *instances < FEW_INOTIFY) {
        let what = format!("this host allows {instances} inotify instances a user");
        found.push(
            Finding::new(Level::Note, "guard", what)
                .why("without one, lines of files are read up to a second later")
                .cure("sysctl -w fs.inotify.max_user_instances=512"),
        );
    }
}

fn data(data: &Data, facts: &Facts, found: &mut Vec<Finding>) {
    let kind = data.file_system.as_deref().unwrap_or_default();
    let path = &data.path;
    let lost = match kind {
        "tmpfs" | "ramfs" => Some("lies in memory"),
        "overlay" | "aufs" => Some("lies in the container itself"),
        _ => None,
    };
    // On a host without a container, whoever mounts a tmpfs there means it.
    let in_container = facts.own.is_some() || kind == "overlay";
    match lost {
        Some(lost) if in_container => found.push(
            Finding::new(Level::Warning, "database", format!("{path} {lost}"))
                .why(
                    "bans, history and places in logs are gone when guard's container is made anew",
                )
                .cure("in guard's service, below volumes: - guard-data:/var/lib/guard")
                .cure("and at the end of the file: volumes: {guard-data: {}}"),
        ),
        _ if data.size.is_some() => {
            let size = data.size.unwrap_or_default().div_ceil(1024);
            let what = format!("{path}: {size} KiB on {kind}");
            found.push(Finding::new(Level::Ok, "database", what));
        }
        _ => {}
    }
    if let Some(free) = data.free.filter(|free| *free < LITTLE_ROOM) {
        let what = format!("only {} MiB are free where {path} is", free >> 20);
        found.push(
            Finding::new(Level::Warning, "database", what)
                .why("bans survive a restart only if they can be written"),
        );
    }
}
