//! Taking a host down, however it was left: by a test that ended, that panicked, or
//! by a test program that was killed.
//!
//! What belongs to a host is found by its name alone (`gt<pid>x<n>`): its folder, its
//! namespaces, its control groups, and each process that lives in one of them. So
//! nothing has to be remembered, and nothing of another program can be hit.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Where hosts have their folders: on the file system of the target folder, because
/// Docker's overlay2 does not work on every file system.
pub fn testbed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("testbed")
}

/// Where a host may have a second folder, which any user can reach: those above the
/// target folder are closed to others on some machines.
pub fn reachable() -> PathBuf {
    PathBuf::from("/var/tmp/guard-testbed")
}

/// The name of this program's host number `n`.
pub fn host_name(n: u32) -> String {
    format!("gt{}x{n}", std::process::id())
}

/// Removes, once, the hosts of test programs that are gone.
pub fn sweep() {
    static SWEEP: Once = Once::new();
    SWEEP.call_once(|| {
        let mut hosts: Vec<String> = [PathBuf::from("/run/netns"), testbed(), reachable()]
            .iter()
            .flat_map(|folder| names_in(folder))
            .filter_map(|name| owner(&name).map(|(pid, host)| (pid, host.to_owned())))
            .filter(|(pid, _)| !Path::new(&format!("/proc/{pid}")).exists())
            .map(|(_, host)| host)
            .collect();
        hosts.sort();
        hosts.dedup();
        for host in hosts {
            eprintln!("removing what is left of {host}");
            remove(&host);
        }
    });
}

/// The process that made a namespace or folder of this name, and its host's name:
/// `gt12x3a4` is an attacker of `gt12x3`.
fn owner(name: &str) -> Option<(u32, &str)> {
    let host = name.split('a').next()?;
    let (pid, number) = host.strip_prefix("gt")?.split_once('x')?;
    number.parse::<u32>().ok()?;
    Some((pid.parse().ok()?, host))
}

/// Removes a host and all that belongs to it; does what it can and never panics.
pub fn remove(host: &str) {
    let namespaces: Vec<String> = names_in(Path::new("/run/netns"))
        .into_iter()
        .filter(|name| owner(name).is_some_and(|(_, its_host)| its_host == host))
        .collect();
    kill_all(host, &namespaces);
    let folders = [testbed(), reachable()].map(|bed| bed.join(host));
    folders.iter().for_each(|folder| unmount_below(folder));
    for namespace in &namespaces {
        let _ = Command::new("ip").args(["netns", "del", namespace]).status();
    }
    remove_control_groups(host);
    for folder in folders {
        if let Err(error) = fs::remove_dir_all(&folder)
            && folder.exists()
        {
            eprintln!("cannot remove {}: {error}", folder.display());
        }
    }
    // While it is empty, of no other program.
    let _ = fs::remove_dir(reachable());
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Kills the engine, its containers and all else that lives in the host.
fn kill_all(host: &str, namespaces: &[String]) {
    let networks: Vec<u64> = namespaces
        .iter()
        .filter_map(|name| fs::metadata(Path::new("/run/netns").join(name)).ok())
        .map(|metadata| metadata.ino())
        .collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    // In rounds: the engine starts new processes until it is gone itself.
    loop {
        let living = living_in(host, &networks);
        if living.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in living {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The processes in these networks, and those in the host's control group: containers
/// have networks of their own.
fn living_in(host: &str, networks: &[u64]) -> Vec<Pid> {
    let group = format!("/{host}/");
    let lives_there = |pid: &i32| {
        let network = fs::metadata(format!("/proc/{pid}/ns/net"));
        network.is_ok_and(|network| networks.contains(&network.ino()))
            || fs::read_to_string(format!("/proc/{pid}/cgroup"))
                .is_ok_and(|groups| groups.contains(&group))
    };
    names_in(Path::new("/proc"))
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(|pid| !is_dead(*pid))
        .filter(lives_there)
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != rustix::process::getpid())
        .collect()
}

/// Dead, and only waiting for its parent to notice?
pub fn is_dead(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// Unmounts what the engine left: its namespaces and containers' file systems.
fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let prefix = format!("{}/", folder.display());
    let mut points: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|point| point.starts_with(&prefix))
        .collect();
    // What lies deeper goes first.
    points.sort_unstable();
    points.reverse();
    if !points.is_empty() {
        let _ = Command::new("umount").arg("-l").args(&points).status();
    }
}

/// Removes the host's control groups, of either version.
fn remove_control_groups(host: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let mut groups: Vec<PathBuf> =
        names_in(root).iter().map(|controller| root.join(controller).join(host)).collect();
    groups.push(root.join(host));
    groups.retain(|group| group.is_dir());
    let deadline = Instant::now() + Duration::from_secs(2);
    // The kernel lets go of a group some moments after its last process.
    while !groups.is_empty() && Instant::now() < deadline {
        groups.retain(|group| remove_control_group(group).is_err());
        if !groups.is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A control group is removed like a folder, but its files are not.
fn remove_control_group(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_control_group(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
