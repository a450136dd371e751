//! Whose log a path of the host is: a container's, as the container knows it, or the
//! host's own.

use crate::files::glob;
use crate::model::{Container, Mount, MountKind, PublishedPort, ServiceId};

/// The folder of volumes, as its last parts are on every host.
const VOLUMES: &str = "/volumes/";
const DATA: &str = "/_data/";

/// Folders that belong to the host, even where a container (a collector of logs, say)
/// sees them.
const HOSTS: [&str; 12] = [
    "/",
    "/var",
    "/var/log",
    "/var/lib",
    "/var/lib/docker",
    "/var/lib/docker/volumes",
    "/etc",
    "/home",
    "/opt",
    "/root",
    "/srv",
    "/run",
];

/// Folders of guard's own container that the host's can't lie over.
const GUARDS: [&str; 14] = [
    "/",
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/var/lib",
    "/var/lib/guard",
];

/// The service that a jail's labels go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// guard's own: logs of the host.
    Own,
    /// One that has containers.
    Service {
        id: ServiceId,
        /// Is it in the host's network?
        host_network: bool,
        /// The host's ports that lead to it.
        published: Vec<PublishedPort>,
        /// Has it labels of guard's already?
        labelled: bool,
    },
    /// One with this volume, that nobody knows.
    Unknown { volume: String },
}

/// Where a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) target: Target,
    /// The path as the target knows it.
    pub(super) path: String,
    /// What guard must see of the host for it, if that is clear.
    pub(super) seen: Option<Seen>,
    /// Other services that see the same.
    pub(super) others: Vec<String>,
}

/// A folder of the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    /// The folder of all volumes.
    Volumes(String),
    /// A folder that a container mounts.
    Folder(String),
    /// A folder of the host's own logs, seen where it is.
    Own(String),
}

/// Why a path is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nowhere {
    /// It is the file in which the engine keeps an output.
    Output,
    /// A wildcard leads into what containers mount.
    Wildcard,
    /// It lies in a container's own layer.
    Layer,
}

/// Whose log `path` is.
pub(super) fn place(path: &str, containers: Option<&[Container]>) -> Result<Place, Nowhere> {
    let path = clean(path);
    if path.contains("/docker/containers/") && path.ends_with(".log") {
        return Err(Nowhere::Output);
    }
    if path.contains("/overlay2/") || path.contains("/docker/rootfs/") {
        return Err(Nowhere::Layer);
    }
    let mut found: Vec<(usize, &Container, &Mount, &str)> = Vec::new();
    for container in containers.unwrap_or_default().iter().filter(|container| !container.one_off) {
        let inside = |mount: &&Mount| {
            (container.own || !HOSTS.contains(&&*clean(&mount.source)))
                && rest(&path, mount).is_some()
        };
        let mounts = container.mounts.iter().filter(inside);
        if let Some(mount) = mounts.max_by_key(|mount| mount.source.len())
            && let Some(rest) = rest(&path, mount)
        {
            found.push((mount.source.len(), container, mount, rest));
        }
    }
    let own = found.iter().find(|(_, container, ..)| container.own).copied();
    found.retain(|(_, container, ..)| !container.own);
    // The one nearest to the file; of several the one that people come to.
    let nearest = found.iter().map(|(length, ..)| *length).max();
    found.retain(|(length, ..)| Some(*length) == nearest);
    found.sort_by_key(|(_, container, ..)| {
        (!container.running, container.ports.is_empty(), container.service.to_string())
    });
    let Some((_, container, mount, rest)) = found.first().copied() else {
        if containers.unwrap_or_default().iter().any(|container| is_among(&path, container)) {
            return Err(Nowhere::Wildcard);
        }
        return unclaimed(&path, own.map(|(_, _, mount, rest)| (mount, rest)));
    };
    let mut others: Vec<String> = found.iter().map(|(_, c, ..)| c.service.to_string()).collect();
    others.retain(|other| *other != container.service.to_string());
    others.dedup();
    let seen = match volume_of(&path) {
        Some(_) => Seen::Volumes(volumes(&mount.source)),
        None => Seen::Folder(clean(&mount.source)),
    };
    Ok(Place {
        target: Target::Service {
            id: container.service.clone(),
            host_network: container.network_mode == "host",
            published: container.ports.clone(),
            labelled: is_labelled(container),
        },
        path: join(&mount.destination, rest),
        seen: Some(seen),
        others,
    })
}

/// Does a wildcard in the path lead into a mount of the container's?
fn is_among(path: &str, container: &Container) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let leads = |mount: &Mount| {
        let source = clean(&mount.source);
        let folders: Vec<&str> = source.split('/').collect();
        !HOSTS.contains(&&*source)
            && folders.len() <= parts.len()
            && folders.iter().zip(&parts).all(|(name, pattern)| glob::matches(pattern, name))
    };
    let is_real = |mount: &&Mount| mount.kind != MountKind::Other && !mount.source.is_empty();
    !container.own && !container.one_off && container.mounts.iter().filter(is_real).any(leads)
}

fn is_labelled(container: &Container) -> bool {
    container.labels.keys().any(|key| key.to_ascii_lowercase().starts_with("guard."))
}

/// A path that no container but guard's sees.
fn unclaimed(path: &str, own: Option<(&Mount, &str)>) -> Result<Place, Nowhere> {
    if let Some((volume, rest)) = volume_of(path) {
        if volume.contains(['*', '?', '[']) {
            return Err(Nowhere::Wildcard);
        }
        let path = format!("/where-{volume}-is-mounted/{rest}");
        let (target, seen) = (Target::Unknown { volume }, Some(Seen::Volumes(volumes(""))));
        return Ok(Place { target, path, seen, others: Vec::new() });
    }
    let target = Target::Own;
    if let Some((mount, rest)) = own {
        let path = join(&mount.destination, rest);
        return Ok(Place { target, path, seen: None, others: Vec::new() });
    }
    let folder = folder(path);
    if GUARDS.contains(&folder.as_str()) {
        let seen = Some(Seen::Folder(folder));
        return Ok(Place { target, path: format!("/host{path}"), seen, others: Vec::new() });
    }
    let seen = Some(Seen::Own(folder));
    Ok(Place { target, path: path.to_owned(), seen, others: Vec::new() })
}

/// What is left of a path below a mount's source.
fn rest<'p>(path: &'p str, mount: &Mount) -> Option<&'p str> {
    if mount.kind == MountKind::Other || mount.source.is_empty() {
        return None;
    }
    let source = clean(&mount.source);
    if source == "/" {
        return Some(path.trim_start_matches('/'));
    }
    if let Some(rest) = path.strip_prefix(&source) {
        // A mount may be the file itself.
        return (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'));
    }
    // The engine's folder may have been moved, or be reached by a link.
    let (volume, below) = volume_of(path)?;
    let ends = source.ends_with(&format!("{VOLUMES}{volume}/_data"));
    (mount.kind == MountKind::Volume && ends).then(|| &path[path.len() - below.len()..])
}

/// The engine's folder of volumes, by one in it; by none, where it usually is.
fn volumes(source: &str) -> String {
    match source.rfind(VOLUMES) {
        Some(at) => clean(&source[..at + VOLUMES.len()]),
        None => "/var/lib/docker/volumes".to_owned(),
    }
}

/// The volume of a path in the engine's folder of volumes, and what is below it.
fn volume_of(path: &str) -> Option<(String, String)> {
    let start = path.find(VOLUMES)?;
    let after = &path[start + VOLUMES.len()..];
    let (volume, below) = after.split_once(DATA)?;
    let good = !volume.is_empty() && !volume.contains('/');
    good.then(|| (volume.to_owned(), below.to_owned()))
}

/// The folder that a file lies in, above any wildcard.
fn folder(path: &str) -> String {
    let literal = path.split(['*', '?', '[']).next().unwrap_or(path);
    match literal.rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(at) => literal[..at].to_owned(),
    }
}

fn join(folder: &str, rest: &str) -> String {
    let folder = folder.trim_end_matches('/');
    if rest.is_empty() { folder.to_owned() } else { format!("{folder}/{rest}") }
}

/// Without empty and `.` parts.
fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    format!("/{}", parts.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suggest::tests::checked;

    fn with(name: &str, mounts: &[(&str, &str)], own: bool) -> Container {
        let kind = |source: &str| match source.contains(VOLUMES) {
            true => MountKind::Volume,
            false => MountKind::Bind,
        };
        let mount = |(source, destination): &(&str, &str)| Mount {
            kind: kind(source),
            source: (*source).to_owned(),
            destination: (*destination).to_owned(),
        };
        Container {
            service: ServiceId::Container(name.into()),
            mounts: mounts.iter().map(mount).collect(),
            own,
            ..checked(name, &[], &[]).container
        }
    }

    #[test]
    fn without_an_engine_a_volume_is_nobodys() {
        let found = place("/var/lib/docker/volumes/x/_data/a.log", None).unwrap();
        assert_eq!(found.target, Target::Unknown { volume: "x".to_owned() });
        let found = place("/opt/two*.log", None).unwrap();
        assert_eq!(found.seen, Some(Seen::Own("/opt".to_owned())));
        assert_eq!(found.target, Target::Own);
    }

    #[test]
    fn a_path_is_translated_to_what_the_container_calls_it() {
        const CLOUD: &str = "/var/lib/docker/volumes/shop_cloud/_data";
        let all = [
            with("cloud", &[(CLOUD, "/mnt/data")], false),
            with("web", &[("/srv/web/logs", "/var/log/nginx"), ("/srv", "/srv")], false),
            with("moved", &[("/mnt/docker/volumes/m/_data", "/m")], false),
            with("file", &[("/opt/one.log", "/log/app.log")], false),
            with("guard", &[("/var/log", "/host/log"), ("/", "/host")], true),
        ];
        let check = |path: &str, shown: &str| {
            let place = match place(path, Some(&all)) {
                Ok(Place { target: Target::Own, path, seen, .. }) => format!("own {path} {seen:?}"),
                Ok(Place { target: Target::Unknown { volume }, path, .. }) => {
                    format!("? {volume} {path}")
                }
                Ok(Place { target: Target::Service { id, .. }, path, .. }) => {
                    format!("{id} {path}")
                }
                Err(nowhere) => format!("{nowhere:?}"),
            };
            assert_eq!(place, shown, "{path}");
        };
        check(&format!("{CLOUD}/files/owncloud.log"), "cloud /mnt/data/files/owncloud.log");
        check(&format!("{CLOUD}//./*.log"), "cloud /mnt/data/*.log");
        check("/srv/web/logs/access.log", "web /var/log/nginx/access.log");
        check("/srv/web/logs2/access.log", "own /host/srv/web/logs2/access.log None");
        check("/var/lib/docker/volumes/m/_data/a.log", "moved /m/a.log");
        check("/opt/one.log", "file /log/app.log");
        check("/var/log/auth.log", "own /host/log/auth.log None");
        check("/opt/two*.log", "own /host/opt/two*.log None");
        check("/srv/*/logs/access.log", "Wildcard");
        check("/srv/web/*/access.log", "Wildcard");
        check("/srv/we?/logs/*/x.log", "Wildcard");
        check("/srv/*/other/access.log", "own /host/srv/*/other/access.log None");
        check("/srv/*.log", "own /host/srv/*.log None");
        check("/var/lib/docker/volumes/x/_data/a.log", "? x /where-x-is-mounted/a.log");
        check("/var/lib/docker/volumes/*/_data/a.log", "Wildcard");
        check("/var/lib/docker/containers/*/*-json.log", "Output");
        check("/var/lib/docker/overlay2/0/merged/a.log", "Layer");
    }
}
