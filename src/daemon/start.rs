//! How a follower begins: its container's files, its zone, its reader.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::follow::{Came, Follower, FollowerState};
use super::pump::Report;
use super::wanted::{FollowerSpec, What};
use crate::docker::{Engine, OutputChoice, mounts};
use crate::files::{ContainerProcess, FileReader, PathSpace, SpaceMount};
use crate::journal::{JournalFolders, JournalReader};
use crate::labels::StreamChoice;
use crate::model::{Container, JailName};
use crate::report::metrics::SourceCounters;

/// All that a follower's task begins with.
pub(super) struct Start {
    pub(super) engine: Engine,
    pub(super) container: Container,
    pub(super) space: PathSpace,
    pub(super) zone: TimeZone,
    pub(super) jail: JailName,
    pub(super) spec: FollowerSpec,
    pub(super) came: Came,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) state: watch::Sender<FollowerState>,
    pub(super) noticed: Arc<Notify>,
    pub(super) counters: Arc<SourceCounters>,
    pub(super) cancel: CancellationToken,
}

impl Start {
    /// Follows until the source ends or it is cancelled; gives back how far it came.
    pub(super) async fn run(self) -> Came {
        let zone = match &self.spec.what {
            // Docker gives the time of a container's line.
            What::Output(_) => self.zone,
            // journald gives that of an entry.
            What::Journal(_) => self.zone,
            What::Files(_) => {
                let container = &self.container;
                let jail = &self.spec.jail;
                let asked = log_zone(&self.engine, container, jail.log_zone.as_ref(), self.zone);
                let Some(zone) = self.cancel.run_until_cancelled(asked).await else {
                    return Came::new();
                };
                zone
            }
        };
        let follower = Follower {
            jail: self.jail,
            filter: Arc::clone(&self.spec.jail.filter),
            find_time: self.spec.jail.limits.find_time,
            zone,
            reports: self.reports,
            state: self.state,
            noticed: self.noticed,
            counters: self.counters,
            cancel: self.cancel,
        };
        match self.spec.what {
            What::Output(choice) => {
                let known = self.came.into_values().next();
                follower.output(self.engine, self.container, choice.into(), known).await
            }
            What::Files(patterns) => {
                let reader = FileReader::new(self.space, patterns, self.came.clone())
                    .encoded(self.spec.jail.log_encoding)
                    .since(follower.since());
                follower.files(reader, &self.came).await
            }
            What::Journal(terms) => {
                let known = self.came.into_values().next();
                let (resume, judged) =
                    known.clone().map(|known| (known.resume, known.judged)).unzip();
                let folders = JournalFolders::usual();
                let reader = JournalReader::new(folders, terms, judged, follower.oldest());
                let reader = reader.again_from(resume);
                follower.journal(reader, known).await
            }
        }
    }
}

impl From<StreamChoice> for OutputChoice {
    fn from(choice: StreamChoice) -> OutputChoice {
        match choice {
            StreamChoice::Both => OutputChoice::Both,
            StreamChoice::Stdout => OutputChoice::Stdout,
            StreamChoice::Stderr => OutputChoice::Stderr,
        }
    }
}

/// The zone of a file's dates that name none: the label's, else the container's
/// own (`TZ`, `/etc/localtime`), else guard's.
pub(super) async fn log_zone(
    engine: &Engine,
    container: &Container,
    label: Option<&TimeZone>,
    own: TimeZone,
) -> TimeZone {
    if let Some(zone) = label {
        return zone.clone();
    }
    if container.own {
        return own;
    }
    if let Some(text) = &container.timezone {
        let name = text.strip_prefix(':').unwrap_or(text);
        match TimeZone::get(name).or_else(|_| TimeZone::posix(name)) {
            Ok(zone) => return zone,
            Err(error) => tracing::warn!("{}: TZ={text:?} is no zone: {error}", container.name),
        }
    }
    match engine.time_zone(&container.id).await {
        Ok(Some(zone)) => zone,
        Ok(None) => own,
        Err(error) => {
            let why = error.sentence();
            tracing::info!("{}: its time zone can't be read: {why}", container.name);
            own
        }
    }
}

/// The container's files, as far as guard sees them.
pub(super) fn path_space(container: &Container, own: Option<&Container>) -> PathSpace {
    if container.own {
        return PathSpace::own();
    }
    let mounts = mounts::path_space(container, own).into_iter().map(|mount| SpaceMount {
        destination: mount.destination,
        host: mount.host,
        here: mount.here,
        remedy: mount.remedy,
    });
    let process =
        container.pid.map(|pid| ContainerProcess { pid, container: container.id.0.to_string() });
    PathSpace::new(mounts.collect()).with_process(process)
}

/// Where the mount with the files of a pattern lies on the host; a path on no
/// mount is the container's alone.
pub(super) fn located(container: &Container, own: Option<&Container>, pattern: &str) -> String {
    // A mount below a wildcard is not looked for: which would it be?
    let literal = pattern.split(['*', '?', '[']).next().unwrap_or(pattern);
    let covers = |destination: &str| {
        literal.strip_prefix(destination).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || destination.ends_with('/')
        })
    };
    mounts::path_space(container, own)
        .into_iter()
        .filter(|mount| covers(&mount.destination))
        .max_by_key(|mount| mount.destination.len())
        // A tmpfs is the container's alone, too.
        .filter(|mount| !mount.host.is_empty())
        .map_or_else(|| format!("{}:", container.id), |mount| mount.host)
}
