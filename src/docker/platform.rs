//! What an engine's answers say of the platform that it runs on. (pure)
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use bollard::models::{SystemInfo, SystemVersion};

use super::error::shorten;
use crate::model::EnginePlatform;

/// Is it Podman that answers `/version`?
pub(super) fn is_podman(version: &SystemVersion) -> bool {
    let parts = version.components.as_deref().unwrap_or_default();
    parts.iter().any(|part| part.name == "Podman Engine")
}

/// The platform, by `/info` of an engine at `host`.
pub(super) fn platform(told: &SystemInfo, podman: bool, host: &str) -> EnginePlatform {
    let text = |text: &Option<String>| shorten(text.as_deref().unwrap_or_default());
    let options = told.security_options.as_deref().unwrap_or_default();
    // `name=seccomp,profile=default`
    let has = |name: &str| {
        options
            .iter()
            .any(|option| option.split(',').any(|word| word.strip_prefix("name=") == Some(name)))
    };
    let (system, root) = (text(&told.operating_system), text(&told.docker_root_dir));
    // Podman says it in a field that Docker does not have, and not among the options.
    let at_home = root.contains("/.local/share/containers/") || host.contains("/run/user/");
    EnginePlatform {
        podman,
        rootless: has("rootless") || (podman && at_home),
        remapped: has("userns"),
        selinux: has("selinux"),
        desktop: system.contains("Docker Desktop"),
        system,
        kernel: text(&told.kernel_version),
        root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What engines said that were run for it, cut down to what is read; the last four are as
    /// people show them in public.
    #[test]
    fn engines_say_what_they_run_on() {
        type Check = fn(&EnginePlatform) -> bool;
        let plain: Check = |p| {
            *p == EnginePlatform {
                system: p.system.clone(),
                kernel: p.kernel.clone(),
                root: p.root.clone(),
                ..EnginePlatform::default()
            }
        };
        let checks: [(&str, Check); 9] = [
            // Docker 20.10.24, `--userns-remap=default`.
            (
                r#"{"OperatingSystem":"Debian GNU/Linux 12 (bookworm)","KernelVersion":"6.18.44","DockerRootDir":"/var/lib/docker/100000.100000","SecurityOptions":["name=seccomp,profile=default","name=userns"]}"#,
                |p| p.remapped && !p.rootless,
            ),
            // Docker 28.5.2, no kernel with SELinux.
            (
                r#"{"OperatingSystem":"Debian GNU/Linux 12 (bookworm)","DockerRootDir":"/srv/docker","SecurityOptions":["name=seccomp,profile=builtin"]}"#,
                plain,
            ),
            // Docker 20.10.24 by rootlesskit 1.1.0.
            (
                r#"{"OperatingSystem":"Debian GNU/Linux 12 (bookworm)","DockerRootDir":"/home/u/.local/share/docker","SecurityOptions":["name=seccomp,profile=default","name=rootless"],"CgroupDriver":"none"}"#,
                |p| p.rootless && !p.podman,
            ),
            // Podman 4.3.1, as root and as a user.
            (
                r#"{"OperatingSystem":"debian","DockerRootDir":"/var/lib/containers/storage","SecurityOptions":["name=seccomp,profile=default"],"Rootless":false,"BuildahVersion":"1.28.2"}"#,
                |p| p.podman && !p.rootless,
            ),
            (
                r#"{"OperatingSystem":"debian","DockerRootDir":"/home/u/.local/share/containers/storage","SecurityOptions":["name=seccomp,profile=default"],"Rootless":true}"#,
                |p| p.podman && p.rootless,
            ),
            (
                r#"{"OperatingSystem":"Docker Desktop","KernelVersion":"6.6.87.2-microsoft-standard-WSL2","DockerRootDir":"/var/lib/docker"}"#,
                |p| p.desktop,
            ),
            (
                r#"{"OperatingSystem":" (containerized)","KernelVersion":"4.4.302+","DockerRootDir":"/volume1/@docker","SecurityOptions":["name=apparmor"]}"#,
                |p| p.root == "/volume1/@docker" && p.system == "(containerized)",
            ),
            (
                r#"{"OperatingSystem":"Fedora Linux 42","SecurityOptions":["name=seccomp,profile=builtin","name=selinux","name=cgroupns"]}"#,
                |p| p.selinux && !p.remapped,
            ),
            ("{}", plain),
        ];
        for (json, check) in checks {
            let told: SystemInfo = serde_json::from_str(json).unwrap();
            let podman = json.contains("containers/storage");
            let read = platform(&told, podman, "unix:///var/run/docker.sock");
            assert!(check(&read), "{json}: {read:?}");
        }
        let told = SystemInfo::default();
        assert!(platform(&told, true, "unix:///run/user/1000/podman/podman.sock").rootless);
        assert!(!platform(&told, false, "unix:///run/user/1000/docker.sock").rootless);
    }

    #[test]
    fn podman_is_known_by_its_components() {
        let check = |json: &str, podman: bool| {
            let version: SystemVersion = serde_json::from_str(json).unwrap();
            assert_eq!(is_podman(&version), podman, "{json}");
        };
        check(
            r#"{"Version":"4.3.1","ApiVersion":"1.41","Components":[{"Name":"Podman Engine","Version":"4.3.1","Details":{"APIVersion":"4.3.1"}},{"Name":"Conmon","Version":"conmon version 2.1.6, commit: unknown"}]}"#,
            true,
        );
        check(
            r#"{"Version":"20.10.24+dfsg1","Components":[{"Name":"Engine","Version":"20.10.24+dfsg1"},{"Name":"containerd","Version":"1.6.20~ds1"}]}"#,
            false,
        );
        check(r#"{"Version":"19.03.15"}"#, false);
    }
}
