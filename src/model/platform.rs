//! What an engine and guard's own process run on, as they say it themselves.

/// What the engine says of itself and its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnginePlatform {
    /// Is it Podman behind Docker's API?
    pub podman: bool,
    /// Does it run without root? Then its networks are not the host's.
    pub rootless: bool,
    /// Is root in its containers another user on the host (`userns-remap`)?
    pub remapped: bool,
    /// Does it confine its containers with SELinux?
    pub selinux: bool,
    /// Does it run in Docker Desktop's machine?
    pub desktop: bool,
    /// The system's name, such as `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// The kernel's release, such as `6.1.0-18-amd64`.
    pub kernel: String,
    /// The folder with its volumes and images, such as `/var/lib/docker`.
    pub root: String,
}

impl EnginePlatform {
    /// Its name for people.
    pub fn name(&self) -> &'static str {
        if self.podman { "Podman" } else { "Docker" }
    }
}

/// What guard's own process runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPlatform {
    /// Are its users others on the host? Then it has no rights over the host's network.
    pub mapped: bool,
    /// Its type in SELinux, such as `container_t`; `None`: SELinux is not there.
    pub selinux: Option<String>,
    /// Does Kubernetes run it?
    pub kubernetes: bool,
}

impl OwnPlatform {
    /// By what `/proc/self/uid_map` and `/proc/self/attr/current` hold.
    pub fn read(uid_map: &str, context: &str) -> OwnPlatform {
        let mapped = !uid_map.trim().is_empty()
            && uid_map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"];
        // AppArmor writes its profile into the same file: it has no colons.
        let mut parts = context.trim_matches(['\0', '\n']).split(':');
        let kind = parts.nth(2).filter(|_| parts.next().is_some());
        OwnPlatform { mapped, selinux: kind.map(str::to_owned), kubernetes: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_in_what_it_runs() {
        let check = |uid_map: &str, context: &str, mapped: bool, selinux: Option<&str>| {
            let own = OwnPlatform::read(uid_map, context);
            assert_eq!(
                (own.mapped, own.selinux.as_deref()),
                (mapped, selinux),
                "{uid_map}{context}"
            );
        };
        let whole = "         0          0 4294967295\n";
        check(whole, "", false, None);
        check("", "", false, None);
        check("         0     100000      65536\n", "docker-default (enforce)\n", true, None);
        check("0 1000 1\n1 100000 65536\n", "unconfined\n", true, None);
        check(whole, "system_u:system_r:container_t:s0:c218,c771\0", false, Some("container_t"));
        check(whole, "system_u:system_r:spc_t:s0\n", false, Some("spc_t"));
        check(whole, "a:b", false, None);
    }
}
