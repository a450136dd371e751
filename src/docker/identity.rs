//! Which container guard itself runs in.
//!
//! Not by the host name: with `network_mode: host` it is the host's. The kernel
//! says it twice: in the name of guard's control group, and in the source of the
//! files `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`, which Docker mounts
//! from the container's own folder. Whoever uses the id asks the engine whether
//! there is such a container, so a wrong guess costs nothing.

/// The files of `/proc/self` that tell, if this is a container.
pub(super) fn own_ids() -> Vec<String> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    container_ids(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
}

/// The ids of containers that a process's `/proc/self/cgroup` and
/// `/proc/self/mountinfo` name, the likelier first. With `network_mode: container:…`
/// the mounted files are the other container's, so the control group goes first.
pub fn container_ids(cgroup: &str, mountinfo: &str) -> Vec<String> {
    // With nested engines the innermost comes last.
    let by_group = cgroup.lines().filter_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            id(part.rsplit(['-', ':']).next()?)
        })
    });
    let by_mount = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        let told = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(&point);
        let mut parts = root.rsplit('/').skip(1);
        told.then(|| parts.find_map(id)).flatten()
    });
    let mut found: Vec<String> = Vec::new();
    for id in by_group.chain(by_mount) {
        if !found.contains(&id) {
            found.push(id);
        }
    }
    found.truncate(4);
    found
}

fn id(text: &str) -> Option<String> {
    let is_id =
        text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "f2d942232e10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn check(cgroup: &str, mountinfo: &str, expected: &[&str]) {
        assert_eq!(container_ids(cgroup, mountinfo), expected, "{cgroup}{mountinfo}");
    }

    #[test]
    fn control_groups_name_it() {
        check(&format!("12:pids:/docker/{A}\n11:cpu:/docker/{A}\n"), "", &[A]);
        check(&format!("0::/system.slice/docker-{A}.scope\n"), "", &[A]);
        check(&format!("4:memory:/docker/{B}/docker/{A}\n"), "", &[A]);
        check(&format!("0::/user.slice/libpod-{A}.scope/container\n"), "", &[A]);
        check("0::/\n", "", &[]);
        check("0::/init.scope\n1:name=systemd:/\n", "", &[]);
    }

    #[test]
    fn mounted_files_name_it() {
        let line = |root: &str, point: &str| {
            format!("679 658 254:1 {root} {point} rw,relatime - ext4 /dev/vda1 rw\n")
        };
        let own = line(&format!("/var/lib/docker/containers/{A}/hostname"), "/etc/hostname");
        check("0::/\n", &own, &[A]);
        let podman =
            line(&format!("/x/overlay-containers/{A}/userdata/resolv.conf"), "/etc/resolv.conf");
        check("0::/\n", &podman, &[A]);
        // The host sees the folders of others, but not mounted on its own files.
        let host = line("/", &format!("/var/lib/docker/containers/{A}/mounts/shm"));
        check("0::/\n", &host, &[]);
        // A control group of its own outweighs files that another container lent.
        let lent = line(&format!("/docker/containers/{B}/hosts"), "/etc/hosts");
        check(&format!("3:cpu:/docker/{A}\n"), &lent, &[A, B]);
    }
}
