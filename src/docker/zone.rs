//! The time zone that a container's own clock shows.
//!
//! Without `TZ` its libc reads `/etc/localtime`, and takes UTC where that is
//! missing. The file comes through the engine's archive of the container, so the
//! container need not run and needs no tools.

use bollard::query_parameters::DownloadFromContainerOptions;
use futures::StreamExt;
use jiff::tz::TimeZone;

use super::tar::{Entry, first_entry};
use super::{DockerError, Engine};
use crate::model::ContainerId;

/// Most that is read of an archive: the largest zone files are under 4 KiB.
const MAX_ARCHIVE: usize = 128 * 1024;

/// Most links that are followed from `/etc/localtime`.
const MAX_LINKS: usize = 5;

impl Engine {
    /// The zone of the container's `/etc/localtime`; `None` where the file says
    /// nothing that can be understood.
    pub async fn time_zone(&self, id: &ContainerId) -> Result<Option<TimeZone>, DockerError> {
        let mut path = String::from("/etc/localtime");
        let mut name = None;
        for _ in 0..MAX_LINKS {
            let Some(archive) = self.archive(id, &path).await? else {
                return Ok(Some(TimeZone::UTC));
            };
            match first_entry(&archive) {
                Some(Entry::File(content)) => return Ok(zone(name.as_deref(), content)),
                Some(Entry::Link(target)) => {
                    name = zone_name(&target).map(str::to_owned).or(name);
                    path = resolve(&path, &target);
                }
                Some(Entry::Other) | None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The beginning of a container's file as a tar archive; `None`: no such file.
    async fn archive(&self, id: &ContainerId, path: &str) -> Result<Option<Vec<u8>>, DockerError> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut stream = Box::pin(self.docker.download_from_container(&id.0, Some(options)));
        let gather = async {
            let mut bytes = Vec::new();
            while let Some(chunk) = stream.next().await {
                bytes.extend_from_slice(&chunk?);
                if bytes.len() > MAX_ARCHIVE || first_entry(&bytes).is_some() {
                    break;
                }
            }
            Ok(bytes)
        };
        match self.ask("/containers/archive", gather).await {
            Ok(bytes) => Ok(Some(bytes)),
            // Engines say `Could not find the file … in container …`.
            Err(DockerError::NotFound(text)) if !text.starts_with("No such container") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The zone in a file: by its name, if it is a known one, for the name is nicer to
/// read; else by the file's own rules.
fn zone(name: Option<&str>, content: &[u8]) -> Option<TimeZone> {
    if !content.starts_with(b"TZif") {
        return None;
    }
    name.and_then(|name| TimeZone::get(name).ok())
        .or_else(|| TimeZone::tzif(name.unwrap_or("/etc/localtime"), content).ok())
}

/// `Europe/Paris` in `/usr/share/zoneinfo/Europe/Paris`.
fn zone_name(target: &str) -> Option<&str> {
    let (_, name) = target.rsplit_once("zoneinfo/")?;
    let name = name.strip_prefix("posix/").unwrap_or(name);
    (!name.is_empty() && name.len() < 100).then_some(name)
}

/// Where a link at `path` leads.
fn resolve(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_name_zones() {
        for (target, name) in [
            ("/usr/share/zoneinfo/Europe/Paris", Some("Europe/Paris")),
            ("../usr/share/zoneinfo/Etc/UTC", Some("Etc/UTC")),
            ("/usr/share/zoneinfo/posix/Asia/Tokyo", Some("Asia/Tokyo")),
            ("/config/localtime", None),
            ("/usr/share/zoneinfo/", None),
        ] {
            assert_eq!(zone_name(target), name, "{target}");
        }
    }

    #[test]
    fn links_are_relative_to_their_folder() {
        assert_eq!(resolve("/etc/localtime", "../usr/x"), "/etc/../usr/x");
        assert_eq!(resolve("/etc/localtime", "/usr/x"), "/usr/x");
    }

    #[test]
    fn a_file_that_is_no_zone_says_nothing() {
        assert_eq!(zone(Some("Europe/Paris"), b"not a zone"), None);
        assert_eq!(zone(None, b"TZif2 cut"), None);
    }
}
