//! This process, as `/proc` and its file systems show it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::doctor::{Data, Process};
use crate::model::OwnPlatform;

/// Where iptables keeps its lock, unless it is told otherwise.
const LOCK_FILE: &str = "/run/xtables.lock";

/// Looks at this process, which keeps, or would keep, its database in `data`.
pub(crate) fn look(data: &Path) -> Process {
    let status = read("/proc/self/status");
    let capabilities = field(&status, "CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let limits = read("/proc/self/limits");
    let most = field(&limits, "Max open files").and_then(|soft| match soft {
        "unlimited" => Some(u64::MAX),
        soft => soft.parse().ok(),
    });
    let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count() as u64).ok();
    let mounts = read("/proc/self/mountinfo");
    Process {
        platform: platform(),
        capabilities,
        files: most.zip(open),
        inotify: read("/proc/sys/fs/inotify/max_user_instances").trim().parse().ok(),
        data: database(data, &mounts),
        lock_file: std::env::var("XTABLES_LOCKFILE").unwrap_or_else(|_| LOCK_FILE.to_owned()),
        private_mounts: private_mounts(&mounts),
    }
}

/// What this process runs in.
pub(crate) fn platform() -> OwnPlatform {
    let own = OwnPlatform::read(&read("/proc/self/uid_map"), &read("/proc/self/attr/current"));
    // Set by the kubelet in every container of a pod.
    OwnPlatform { kubernetes: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(), ..own }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first word behind a key at the beginning of a line.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()
}

fn database(folder: &Path, mounts: &str) -> Data {
    // Where it is not there yet, its parent tells where it will be.
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let real = there.canonicalize().unwrap_or_else(|_| there.to_owned());
    let room = rustix::fs::statvfs(&real).ok();
    let sizes = ["guard.db", "guard.db-wal"].map(|name| fs::metadata(folder.join(name)));
    let sizes: Vec<u64> = sizes.into_iter().flatten().map(|file| file.len()).collect();
    Data {
        path: folder.display().to_string(),
        file_system: file_system(&real, mounts),
        free: room.map(|room| room.f_bavail.saturating_mul(room.f_frsize)),
        size: (!sizes.is_empty()).then(|| sizes.iter().sum()),
    }
}

/// A line of mountinfo: where it is mounted, its optional fields, its kind.
fn mount(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (head, tail) = line.split_once(" - ")?;
    let point = head.split(' ').nth(4)?.replace("\\040", " ");
    let options = head.splitn(7, ' ').nth(6).unwrap_or_default();
    Some((point.into(), options, tail.split(' ').next()?))
}

/// The kind of file system that a path lies on: that of the mount nearest to it, of two
/// at one place the later.
fn file_system(path: &Path, mounts: &str) -> Option<String> {
    let all = mounts.lines().filter_map(mount);
    let above = all.filter(|(point, ..)| path.starts_with(point));
    let nearest = above.max_by_key(|(point, ..)| point.components().count());
    nearest.map(|(_, _, kind)| kind.to_owned())
}

/// Mounts into which nothing comes that is mounted outside later.
fn private_mounts(mounts: &str) -> Vec<String> {
    let all = mounts.lines().filter_map(mount);
    let private =
        all.filter(|(_, options, _)| !options.contains("master:") && !options.contains("shared:"));
    private.map(|(point, ..)| point.display().to_string()).take(1000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 0:20 / / rw,relatime - overlay overlay rw
23 22 8:1 /v/guard/_data /var/lib/guard rw master:1 - ext4 /dev/sda1 rw
24 22 0:21 / /run rw - tmpfs tmpfs rw
25 22 8:1 /vol /my\\040vol rw shared:2 master:3 - xfs /dev/sda2 rw
";

    #[test]
    fn mounts_tell_where_a_path_lies() {
        let check = |path: &str, kind: &str| {
            assert_eq!(file_system(Path::new(path), MOUNTS).as_deref(), Some(kind), "{path}");
        };
        check("/var/lib/guard", "ext4");
        check("/var/lib/guard/x", "ext4");
        check("/var/lib/guardian", "overlay");
        check("/run/guard", "tmpfs");
        check("/my vol/x", "xfs");
        assert_eq!(private_mounts(MOUNTS), ["/", "/run"]);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("guard.db"), "12345").unwrap();
        let process = look(folder.path());
        assert!(process.capabilities.is_some() && process.files.is_some(), "{process:?}");
        assert_eq!(process.data.size, Some(5));
        assert!(process.data.free.is_some() && process.data.file_system.is_some(), "{process:?}");
        assert_eq!(look(&folder.path().join("not/yet")).data.size, None);
    }
}
