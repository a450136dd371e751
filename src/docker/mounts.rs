//! Where a container's files lie on the host, and where guard itself sees them. Pure.
//!
//! A container sees host directories at its mounts' destinations; guard sees host
//! directories at its own. What both see is found by the path on the host.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::PathBuf;

use crate::model::{Container, Mount, MountKind, clean_path};

/// Where the engine keeps its volumes, unless it was moved.
const VOLUMES: &str = "/var/lib/docker/volumes";

/// A mount of a container, as guard can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleMount {
    /// Where the container sees it.
    pub destination: String,
    /// Where it lies on the host; empty for what is no directory of the host (tmpfs).
    pub host: String,
    /// Where guard sees it; `None`: nowhere.
    pub here: Option<PathBuf>,
    /// What to do so that guard sees it, where it does not.
    pub remedy: Option<String>,
}

/// The mounts of `container`. `own` is guard's own container; `None`: guard runs
/// on the host itself and sees every path of it where it is. guard's own
/// container sees everything where it is, mounted or not.
pub fn path_space(container: &Container, own: Option<&Container>) -> Vec<VisibleMount> {
    let mut space: Vec<VisibleMount> = container
        .mounts
        .iter()
        .map(|mount| {
            let here = if container.own {
                Some(PathBuf::from(&mount.destination))
            } else {
                reach(mount, own)
            };
            let remedy = if here.is_none() { remedy(mount, own) } else { None };
            VisibleMount {
                destination: clean_path(&mount.destination),
                host: if mount.source.is_empty() {
                    String::new()
                } else {
                    clean_path(&mount.source)
                },
                here,
                remedy,
            }
        })
        .collect();
    if container.own && !space.iter().any(|mount| mount.destination == "/") {
        space.push(VisibleMount {
            destination: "/".into(),
            host: "/".into(),
            here: Some("/".into()),
            remedy: None,
        });
    }
    space
}

/// Where guard sees what lies at `host` on the host.
fn reach(mount: &Mount, own: Option<&Container>) -> Option<PathBuf> {
    if mount.source.is_empty() || mount.kind == MountKind::Other {
        return None;
    }
    let host = clean_path(&mount.source);
    let Some(own) = own else { return Some(host.into()) };
    let mut ways: Vec<(usize, String)> = own
        .mounts
        .iter()
        .filter(|way| way.kind != MountKind::Other && !way.source.is_empty())
        .filter_map(|way| {
            let source = clean_path(&way.source);
            let rest = below(&host, &source)?;
            let destination = clean_path(&way.destination);
            let here = join(&destination, rest);
            // Another of guard's mounts may lie over it there.
            let covered = own.mounts.iter().any(|other| {
                let other = clean_path(&other.destination);
                other.len() > destination.len() && below(&here, &other).is_some()
            });
            (!covered).then_some((source.len(), here))
        })
        .collect();
    ways.sort();
    ways.pop().map(|(_, here)| here.into())
}

/// The line to add to guard's service, so that it sees the mount.
fn remedy(mount: &Mount, own: Option<&Container>) -> Option<String> {
    if mount.kind == MountKind::Other || mount.source.is_empty() {
        return Some(
            "put the log on a volume or a bind mount, or add `pid: host` and \
             `cap_add: [SYS_PTRACE]` to guard's service"
                .into(),
        );
    }
    own?;
    let source = clean_path(&mount.source);
    let source = volumes(mount, &source).unwrap_or(&source);
    Some(format!("add to guard's volumes: `{}`", mount_line(source)))
}

/// The folder in which the engine keeps all its volumes, this one among them: one line
/// shows guard those that are made later, too.
fn volumes<'s>(mount: &Mount, source: &'s str) -> Option<&'s str> {
    if mount.kind != MountKind::Volume {
        return None;
    }
    if below(source, VOLUMES).is_some() {
        return Some(VOLUMES);
    }
    // Where it was moved, by `data-root`, `userns-remap`, a snap or Podman.
    let (folder, _name) = source.strip_suffix("/_data")?.rsplit_once('/')?;
    folder.ends_with("/volumes").then_some(folder)
}

/// A line for `volumes:` of guard's service that shows it a directory of the host.
pub fn mount_line(host: &str) -> String {
    let target =
        if host == VOLUMES { host.to_owned() } else { join("/host", host.trim_start_matches('/')) };
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+@,=".contains(&b));
    if plain {
        return format!("- {host}:{target}:ro,rslave");
    }
    // Colons, spaces and quotes need YAML's long form.
    let quoted = |text: &str| {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                '$' => quoted.push_str("$$"),
                c if c.is_control() => quoted.push('?'),
                c => quoted.push(c),
            }
        }
        quoted + "\""
    };
    format!(
        "- {{type: bind, source: {}, target: {}, read_only: true, bind: {{propagation: rslave}}}}",
        quoted(host),
        quoted(&target)
    )
}

/// What of `path` lies below `top`, without a leading slash; `None` if it does not.
fn below<'a>(path: &'a str, top: &str) -> Option<&'a str> {
    if top == "/" {
        return Some(path.trim_start_matches('/'));
    }
    let rest = path.strip_prefix(top)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

fn join(top: &str, rest: &str) -> String {
    match (top, rest) {
        (top, "") => top.to_owned(),
        ("/", rest) => format!("/{rest}"),
        (top, rest) => format!("{top}/{rest}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn container(mounts: &[(MountKind, &str, &str)]) -> Container {
        Container {
            mounts: mounts
                .iter()
                .map(|(kind, source, destination)| Mount {
                    kind: *kind,
                    source: (*source).into(),
                    destination: (*destination).into(),
                })
                .collect(),
            ..Container::named("x")
        }
    }

    fn check(source: &str, own: &[(&str, &str)], expected: Option<&str>) {
        let own: Vec<_> = own.iter().map(|(s, d)| (MountKind::Bind, *s, *d)).collect();
        let space =
            path_space(&container(&[(MountKind::Bind, source, "/logs")]), Some(&container(&own)));
        assert_eq!(space[0].here.as_deref(), expected.map(std::path::Path::new), "{source}");
        assert_eq!(space[0].remedy.is_some(), expected.is_none());
    }

    #[test]
    fn guard_sees_the_host_through_its_own_mounts() {
        let volumes = ("/var/lib/docker/volumes", "/var/lib/docker/volumes");
        check(
            "/var/lib/docker/volumes/x/_data",
            &[volumes],
            Some("/var/lib/docker/volumes/x/_data"),
        );
        check("/srv/logs", &[("/", "/host")], Some("/host/srv/logs"));
        check("/srv/logs", &[("/", "/host"), ("/srv/logs/", "/l")], Some("/l"));
        check("/srv/logs/web", &[("/srv/logs", "/host/logs")], Some("/host/logs/web"));
        check("/srv/logs2", &[("/srv/logs", "/host/logs")], None);
        check("/srv", &[("/srv/logs", "/host/logs")], None);
        check("/srv/logs", &[], None);
    }

    #[test]
    fn a_mount_that_another_covers_is_no_way() {
        check("/srv/logs", &[("/", "/host"), ("/other", "/host/srv")], None);
        check(
            "/srv/logs",
            &[("/", "/host"), ("/other", "/host/srv"), ("/srv", "/s")],
            Some("/s/logs"),
        );
    }

    #[test]
    fn on_the_host_every_path_is_where_it_is() {
        let space = path_space(
            &container(&[(MountKind::Volume, "/var/lib/docker/volumes/v/_data", "/data")]),
            None,
        );
        assert_eq!(space[0].here, Some("/var/lib/docker/volumes/v/_data".into()));
    }

    #[test]
    fn what_is_missing_is_ready_to_paste() {
        let own = container(&[]);
        let remedy = |mount: (MountKind, &str, &str)| {
            path_space(&container(&[mount]), Some(&own))[0].remedy.clone().unwrap()
        };
        assert!(
            remedy((MountKind::Bind, "/srv/logs", "/l"))
                .contains("`- /srv/logs:/host/srv/logs:ro,rslave`")
        );
        assert!(
            remedy((MountKind::Volume, "/var/lib/docker/volumes/a/_data", "/l"))
                .contains("`- /var/lib/docker/volumes:/var/lib/docker/volumes:ro,rslave`")
        );
        for root in ["/volume1/@docker", "/var/lib/docker/100000.100000", "/srv"] {
            assert_eq!(
                remedy((MountKind::Volume, &format!("{root}/volumes/a/_data"), "/l")),
                format!("add to guard's volumes: `- {root}/volumes:/host{root}/volumes:ro,rslave`")
            );
        }
        // A plugin's volume lies anywhere.
        assert!(remedy((MountKind::Volume, "/mnt/nfs/a", "/l")).contains("- /mnt/nfs/a:"));
        assert!(remedy((MountKind::Other, "", "/l")).contains("put the log on a volume"));
        assert!(mount_line("/a b:c").contains("source: \"/a b:c\""));
    }

    #[test]
    fn guards_own_container_sees_its_own_files() {
        let mut own = container(&[(MountKind::Bind, "/var/log", "/host/log")]);
        own.own = true;
        let space = path_space(&own, Some(&own));
        let shown: Vec<_> = space
            .iter()
            .map(|m| (m.destination.as_str(), m.host.as_str(), m.here.clone().unwrap()))
            .collect();
        assert_eq!(shown, [("/host/log", "/var/log", "/host/log".into()), ("/", "/", "/".into())]);
    }

    proptest! {
        #[test]
        fn a_way_ends_where_the_host_path_does(
            host in "(/[ab]{1,2}){1,4}",
            own in prop::collection::vec(("(/[ab]{1,2}){0,3}/?", "(/[xy]{1,2}){1,2}"), 0..4),
        ) {
            let own: Vec<_> = own.iter().map(|(s, d)| (MountKind::Bind, if s.is_empty() { "/" } else { s }, d.as_str())).collect();
            let space = path_space(&container(&[(MountKind::Bind, &host, "/l")]), Some(&container(&own)));
            if let Some(here) = &space[0].here {
                let here = here.to_str().unwrap();
                // The innermost of guard's mounts that holds the path is the way that was taken.
                let top = own.iter().filter(|(_, _, d)| below(here, d).is_some()).max_by_key(|(_, _, d)| d.len());
                let (_, source, destination) = top.unwrap();
                // Two mounts at one place can't both be seen; Docker refuses that.
                if own.iter().filter(|(_, _, d)| d == destination).count() == 1 {
                    prop_assert_eq!(join(&clean_path(source), below(here, destination).unwrap()), host);
                }
            }
        }
    }
}
