//! What guard and the engine run on: where bans work as usual, where with a line more,
//! and where not at all. `docs/platforms.md` is the long answer.

use crate::model::{EnginePlatform, Finding, Level, OwnPlatform};

const ABOUT: &str = "platform";

/// Where the engine keeps all that it has, unless it was moved.
const ROOT: &str = "/var/lib/docker";

/// The types that SELinux confines containers to.
const CONFINED: [&str; 3] = ["container_t", "container_init_t", "svirt_lxc_net_t"];

/// openat2 is there since this version.
const OPENAT2: (u32, u32) = (5, 6);

/// All that can be said; `engine`: none answers.
pub fn platform(engine: Option<&EnginePlatform>, own: &OwnPlatform) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(users(engine, own));
    found.extend(selinux(engine, own));
    match engine {
        Some(engine) => {
            found.extend(virtual_machines(engine));
            found.extend(systems(engine));
            found.extend(podman(engine));
            found.extend(kernel(engine));
        }
        None => found.extend(kubernetes(own)),
    }
    found
}

fn finding(level: Level, what: impl Into<String>) -> Finding {
    Finding::new(level, ABOUT, what)
}

/// Whose rights has guard's root?
fn users(engine: Option<&EnginePlatform>, own: &OwnPlatform) -> Option<Finding> {
    let remap = "with userns-remap, in guard's service: userns_mode: host";
    let root = "with a rootless engine, run guard as root on the host itself: DOCKER_HOST=unix:///run/user/1000/docker.sock, \
                GUARD_CHAIN=INPUT";
    match (engine, own.mapped) {
        (Some(engine), true) if engine.rootless => Some(
            finding(Level::Error, format!("{} is rootless, and guard runs inside of it", engine.name()))
                .why("the host's firewall is out of its reach, and it bans nobody")
                .cure(root),
        ),
        (engine, true) => {
            let mut told = finding(Level::Error, "guard's root is another user on the host (a user namespace)")
                .why("it has no rights over the host's network, and bans nobody")
                .cure(remap);
            if engine.is_none() {
                told = told.cure(root);
            }
            Some(told)
        }
        (Some(engine), false) if engine.rootless => Some(
            finding(Level::Note, format!("{} is rootless", engine.name()))
                .why(
                    "packets for its containers pass INPUT and not DOCKER-USER, and its port driver may hide their \
                     addresses",
                )
                .cure("in guard's environment: GUARD_CHAIN=INPUT")
                .cure("and a port driver that passes addresses on: pasta, or slirp4netns"),
        ),
        (Some(engine), false) if engine.remapped => Some(
            finding(Level::Note, "the containers' root is another user on the host (userns-remap)")
                .why(format!(
                    "guard's is not, as it should be; volumes lie in {}/volumes and belong to that user, so that guard \
                     may not write its database to one",
                    engine.root
                ))
                .cure("mkdir -m 700 /var/lib/guard")
                .cure("in guard's service, instead of the volume: - /var/lib/guard:/var/lib/guard"),
        ),
        _ => None,
    }
}

fn selinux(engine: Option<&EnginePlatform>, own: &OwnPlatform) -> Option<Finding> {
    let kind = own.selinux.as_deref()?;
    if CONFINED.contains(&kind) {
        return Some(
            finding(Level::Error, format!("SELinux confines guard ({kind})"))
                .why("it may neither open Docker's socket nor read others' files")
                .cure("in guard's service: security_opt: [label=disable]"),
        );
    }
    let on = engine.is_some_and(|engine| engine.selinux);
    on.then(|| finding(Level::Ok, format!("SELinux is on and lets guard do its work ({kind})")))
}

fn virtual_machines(engine: &EnginePlatform) -> Option<Finding> {
    if engine.desktop {
        return Some(
            finding(Level::Error, "this is Docker Desktop")
                .why(
                    "its containers run in a virtual machine, which all clients enter with one address: nobody \
                     can be told from another, nor banned",
                )
                .cure("run the services on Docker Engine, on Linux itself"),
        );
    }
    // WSL1 has no Docker.
    engine.kernel.to_ascii_lowercase().contains("microsoft").then(|| {
        finding(Level::Note, "this is WSL2, a virtual machine in Windows")
            .why(
                "clients that Windows passes on (localhost, netsh portproxy) come with Windows' address; only with \
                 networkingMode=mirrored do they come with their own",
            )
            .cure("in .wslconfig: [wsl2] networkingMode=mirrored")
    })
}

/// Systems with ways of their own.
fn systems(engine: &EnginePlatform) -> Option<Finding> {
    let volumes = format!("- {0}/volumes:/host{0}/volumes:ro,rslave", engine.root);
    if engine.root.contains("/@docker") {
        return Some(
            finding(Level::Note, "this is a Synology")
                .why(
                    "its kernel has neither nftables nor, most often, sets: guard bans by rules of iptables-legacy, and \
                     log files need Linux 5.6 (a container's output needs nothing)",
                )
                .cure(format!("for files on volumes, in guard's service: {volumes}")),
        );
    }
    if engine.kernel.ends_with("-Unraid") || engine.system.starts_with("Unraid") {
        return Some(finding(Level::Note, "this is Unraid").why(
            "containers on br0 or another custom network are hosts of the LAN, which no ban reaches: only those on \
             `bridge` or with Docker's own networks are protected",
        ));
    }
    if engine.root.starts_with("/var/snap/docker/") {
        return Some(
            finding(Level::Note, "Docker is installed as a snap")
                .why(format!(
                    "its volumes lie in {}/volumes, and it can't mount folders outside /home",
                    engine.root
                ))
                .cure(format!("for files on volumes, in guard's service: {volumes}")),
        );
    }
    None
}

fn podman(engine: &EnginePlatform) -> Option<Finding> {
    (engine.podman && !engine.rootless).then(|| {
        finding(Level::Note, "this is Podman")
            .why("it has no DOCKER-USER: guard bans in a table of its own in nftables")
            .cure("so that containers come back after a restart of the machine: systemctl enable podman-restart")
    })
}

fn kernel(engine: &EnginePlatform) -> Option<Finding> {
    let version = version(&engine.kernel).filter(|version| *version < OPENAT2)?;
    Some(
        finding(Level::Note, format!("the kernel is Linux {}.{}", version.0, version.1))
            .why("before 5.6 there is no openat2, so log files (logpath) are refused; containers' output is read"),
    )
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kubernetes(own: &OwnPlatform) -> Option<Finding> {
    own.kubernetes.then(|| {
        finding(Level::Error, "this is Kubernetes")
            .why("guard reads labels and logs by Docker's API, which containerd and CRI-O don't have")
            .cure("ban where traffic comes in: at the ingress, or on the load balancer")
    })
}

/// Does guard's own mount of the usual folder show nothing, because the volumes are
/// elsewhere? `mounted`: the folders of the host that guard's container mounts.
pub(super) fn moved<'a>(
    engine: &EnginePlatform,
    mut mounted: impl Iterator<Item = &'a str> + Clone,
) -> Option<Finding> {
    let usual = format!("{ROOT}/volumes");
    let covers = |path: &str, top: &str| {
        path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let volumes = format!("{}/volumes", engine.root);
    let is_seen = mounted.clone().any(|top| top == "/" || covers(&volumes, top));
    if engine.root.is_empty() || engine.root == ROOT || is_seen || !mounted.any(|top| top == usual)
    {
        return None;
    }
    Some(
        finding(
            Level::Note,
            format!("guard mounts {usual}, but this engine's volumes lie in {volumes}"),
        )
        .why("log files on volumes are not found")
        .cure(format!("in its place, in guard's service: - {volumes}:/host{volumes}:ro,rslave")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(change: &dyn Fn(&mut EnginePlatform)) -> EnginePlatform {
        let mut engine = EnginePlatform {
            system: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.1.0-18-amd64".into(),
            root: ROOT.into(),
            ..EnginePlatform::default()
        };
        change(&mut engine);
        engine
    }

    fn mapped() -> OwnPlatform {
        OwnPlatform::read("0 100000 65536", "")
    }

    /// One finding, this bad, that says all these words.
    #[track_caller]
    fn check(engine: Option<&EnginePlatform>, own: &OwnPlatform, level: Level, words: &[&str]) {
        let found = platform(engine, own);
        let [finding] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(finding.level, level, "{finding:?}");
        let line = finding.one_line();
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
    }

    #[test]
    fn of_an_ordinary_host_there_is_nothing_to_say() {
        let own = OwnPlatform::default();
        assert_eq!(platform(Some(&engine(&|_| {})), &own), []);
        assert_eq!(platform(None, &own), []);
    }

    #[test]
    fn each_platform_is_named_with_what_works_there() {
        let told = |change: &dyn Fn(&mut EnginePlatform), level, words: &[&str]| {
            check(Some(&engine(change)), &OwnPlatform::default(), level, words);
        };
        told(&|e| e.desktop = true, Level::Error, &["Docker Desktop", "Docker Engine"]);
        told(
            &|e| e.rootless = true,
            Level::Note,
            &["Docker is rootless", "GUARD_CHAIN=INPUT", "pasta"],
        );
        told(&|e| (e.rootless, e.podman) = (true, true), Level::Note, &["Podman is rootless"]);
        told(&|e| e.remapped = true, Level::Note, &["userns-remap", "/var/lib/docker/volumes"]);
        told(&|e| e.podman = true, Level::Note, &["Podman", "nftables", "podman-restart"]);
        let wsl = "6.6.87.2-microsoft-standard-WSL2";
        told(&|e| e.kernel = wsl.into(), Level::Note, &["WSL2", "networkingMode=mirrored"]);
        let synology = "- /volume1/@docker/volumes:/host/volume1/@docker/volumes:ro,rslave";
        told(&|e| e.root = "/volume1/@docker".into(), Level::Note, &["Synology", synology]);
        told(&|e| e.kernel = "6.6.78-Unraid".into(), Level::Note, &["Unraid", "br0"]);
        let snap = "/var/snap/docker/common/var-lib-docker";
        told(&|e| e.root = snap.into(), Level::Note, &["snap", "/host/var/snap/docker/common"]);
        told(&|e| e.kernel = "4.4.302+".into(), Level::Note, &["Linux 4.4", "logpath"]);
        let both = engine(&|e| (e.desktop, e.kernel) = (true, wsl.into()));
        check(Some(&both), &OwnPlatform::default(), Level::Error, &["Docker Desktop"]);
    }

    #[test]
    fn what_guard_itself_runs_in_keeps_it_from_its_work() {
        let remapped = engine(&|e| e.remapped = true);
        check(Some(&remapped), &mapped(), Level::Error, &["userns_mode: host", "bans nobody"]);
        let rootless = engine(&|e| e.rootless = true);
        let words = ["inside of it", "out of its reach", "DOCKER_HOST=unix:///run/user/"];
        check(Some(&rootless), &mapped(), Level::Error, &words);
        check(None, &mapped(), Level::Error, &["userns_mode: host", "DOCKER_HOST"]);
        let with = |context: &str| OwnPlatform::read("", context);
        let confined = with("system_u:system_r:container_t:s0:c1,c2");
        check(None, &confined, Level::Error, &["SELinux", "label=disable"]);
        let on = engine(&|e| e.selinux = true);
        check(Some(&on), &confined, Level::Error, &["SELinux", "label=disable"]);
        check(Some(&on), &with("system_u:system_r:spc_t:s0"), Level::Ok, &["spc_t"]);
        let pod = OwnPlatform { kubernetes: true, ..OwnPlatform::default() };
        check(None, &pod, Level::Error, &["Kubernetes", "containerd"]);
        assert_eq!(platform(Some(&engine(&|_| {})), &pod), [], "Docker answers there");
    }

    #[test]
    fn a_mount_of_the_usual_folder_shows_nothing_where_it_is_elsewhere() {
        let check = |root: &str, mounted: &[&str], told: bool| {
            let engine = engine(&|e| e.root = root.into());
            assert_eq!(
                moved(&engine, mounted.iter().copied()).is_some(),
                told,
                "{root} {mounted:?}"
            );
        };
        let usual = "/var/lib/docker/volumes";
        check("/srv/docker", &[usual], true);
        check("/srv/docker", &[usual, "/srv/docker/volumes"], false);
        check("/srv/docker", &[usual, "/srv"], false);
        check("/srv/docker", &[usual, "/srv/dock"], true);
        check("/srv/docker", &[], false);
        check("/var/lib/docker", &[usual], false);
        check("/var/lib/docker/100000.100000", &[usual], true);
        check("", &[usual], false);
    }
}
