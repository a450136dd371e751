//! How an engine and its containers do, for the doctor: GET only, like all else.

use bollard::models::{ContainerInspectResponse, LocalNodeState, PortMap, SystemInfo};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use futures::StreamExt;

use super::messages::{Framing, Piece, Splitter};
use super::{DockerError, Engine, error, frames, inspect, platform, userland_proxy};
use crate::model::{
    Container, ContainerCheckup, ContainerId, EngineCheckup, Line, MAX_LINE, Stream, Timestamp,
};

/// A line of an output: Docker's time of it, and its text.
pub type TimedLine = (Option<Timestamp>, String);

/// Most that is read for a container's last lines, in bytes.
const MAX_LAST: usize = 8 << 20;

/// Most of the engine's own warnings that are shown.
const MAX_WARNINGS: usize = 20;

impl Engine {
    /// Asks everything once that guard ever asks, and notes what is refused.
    pub async fn checkup(&self) -> EngineCheckup {
        let known = self.info();
        let mut checkup = EngineCheckup {
            version: known.version.clone(),
            api_version: known.api_version.clone(),
            platform: known.platform.clone(),
            ..EngineCheckup::default()
        };
        let mut refused = Vec::new();
        let before = Timestamp::now();
        match self.ask("/info", self.docker.info()).await {
            Ok(told) => {
                checkup.platform = platform::platform(&told, known.platform.podman, &self.host);
                describe(&mut checkup, told, (before, Timestamp::now()));
            }
            Err(error) => refused.push(("/info", error.sentence())),
        }
        let few = ListContainersOptions { limit: Some(1), ..ListContainersOptions::default() };
        let list = self.ask("/containers/json", self.docker.list_containers(Some(few))).await;
        refused.extend(list.err().map(|error| ("/containers", error.sentence())));
        let networks = self.ask("/networks", self.docker.list_networks(None)).await;
        refused.extend(networks.err().map(|error| ("/networks", error.sentence())));
        let past = |seconds: i64| Some((before.as_second() - seconds).to_string());
        let events = EventsOptions { since: past(2), until: past(1), ..EventsOptions::default() };
        let mut events = Box::pin(self.docker.events(Some(events)));
        let first = async {
            match events.next().await {
                Some(Err(error)) => Err(error),
                Some(Ok(_)) | None => Ok(()),
            }
        };
        let events = self.ask("/events", first).await;
        refused.extend(events.err().map(|error| ("/events", error.sentence())));
        checkup.refused = refused;
        checkup
    }

    /// Looks at a container; `prefix` is what guard's labels begin with, such as `guard.`.
    ///
    /// # Errors
    /// There is no such container, or the engine does not answer.
    pub async fn container_checkup(
        &self,
        id: &ContainerId,
        prefix: &str,
    ) -> Result<ContainerCheckup, DockerError> {
        let question = self.docker.inspect_container(&id.0, None);
        let told = self.ask("/containers/json", question).await?;
        let gone = || DockerError::NotFound("the container has no id".to_owned());
        checkup_of(told, prefix).ok_or_else(gone)
    }

    /// The last `count` lines of a container's output, both streams, oldest first; long
    /// ones cut, and fewer where they are many megabytes.
    ///
    /// # Errors
    /// The output can't be read, or the engine does not answer.
    pub async fn last_lines(
        &self,
        container: &Container,
        count: usize,
    ) -> Result<Vec<TimedLine>, DockerError> {
        let query = format!("follow=false&stdout=true&stderr=true&timestamps=true&tail={count}");
        let mut raw = self.raw_logs(&container.id, &query);
        let framing = if container.tty { Framing::Bare } else { Framing::Framed };
        let gather = async {
            let mut gathered = Gathered::default();
            let mut splitter = Splitter::new(framing);
            while let Some(bytes) = raw.next().await {
                let bytes = bytes?;
                if splitter.push(bytes.as_ref(), &mut |piece| gathered.take(&piece)).is_err()
                    || gathered.bytes > MAX_LAST
                {
                    break;
                }
            }
            splitter.finish(&mut |piece| gathered.take(&piece));
            Ok(gathered.lines)
        };
        super::timed("/containers/logs", gather).await?
    }
}

/// Lines, whole ones only: the parts of a long one are put together.
#[derive(Default)]
struct Gathered {
    lines: Vec<TimedLine>,
    /// What has no line end yet, of standard output and standard error.
    open: [Vec<u8>; 2],
    bytes: usize,
}

impl Gathered {
    fn take(&mut self, piece: &Piece<'_>) {
        let Piece::Message(message) = piece else { return };
        let (at, text) = frames::split_timestamp(message.bytes);
        self.bytes = self.bytes.saturating_add(text.len());
        let open = &mut self.open[usize::from(message.stream == Stream::Stderr)];
        let room = MAX_LINE.saturating_sub(open.len());
        open.extend_from_slice(&text[..text.len().min(room)]);
        if message.ends_line {
            self.lines.push((at, Line::text_of(&std::mem::take(open))));
        }
    }
}

fn describe(checkup: &mut EngineCheckup, told: SystemInfo, asked: (Timestamp, Timestamp)) {
    let clock = told.system_time.and_then(|text| text.parse::<Timestamp>().ok());
    checkup.clock = clock.map(|at| match () {
        () if at < asked.0 => at.duration_since(asked.0),
        () if at > asked.1 => at.duration_since(asked.1),
        () => jiff::SignedDuration::ZERO,
    });
    let state = told.swarm.and_then(|swarm| swarm.local_node_state);
    checkup.swarm = state == Some(LocalNodeState::ACTIVE);
    let firewall = told.firewall_backend.unwrap_or_default();
    checkup.userland_proxy = userland_proxy(&firewall.info.unwrap_or_default());
    checkup.firewall_backend = firewall.driver.map(|driver| error::shorten(&driver));
    let concerns = |warning: &String| {
        let warning = warning.to_ascii_lowercase();
        ["iptables", "ip6tables", "ipv4", "ipv6", "bridge-nf"]
            .iter()
            .any(|word| warning.contains(word))
    };
    let warnings = told.warnings.unwrap_or_default();
    checkup.warnings = warnings
        .iter()
        .filter(|w| concerns(w))
        .take(MAX_WARNINGS)
        .map(|w| error::shorten(w))
        .collect();
}

fn checkup_of(told: ContainerInspectResponse, prefix: &str) -> Option<ContainerCheckup> {
    let image = told.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
    let policy = told.host_config.as_ref().and_then(|host| host.restart_policy.as_ref());
    let restart = policy.and_then(|policy| policy.name).map(|name| name.to_string());
    let settings = told.network_settings.as_ref();
    let networks = settings.and_then(|settings| settings.networks.as_ref());
    let networks = networks.into_iter().flatten().take(64).map(|(name, _)| name.clone()).collect();
    let ports = settings.and_then(|settings| settings.ports.as_ref());
    let published_v6 = ports.map(published_v6).unwrap_or_default();
    let container = inspect::container(told, prefix)?;
    Some(ContainerCheckup {
        has_v6: container.addresses.iter().any(|address| address.ip().is_ipv6()),
        container,
        image: error::shorten(&image),
        restart: restart.filter(|name| !name.is_empty()).unwrap_or_else(|| "no".to_owned()),
        networks,
        published_v6,
    })
}

fn published_v6(ports: &PortMap) -> Vec<u16> {
    let bindings = ports.values().flatten().flatten();
    let mut ports: Vec<u16> = bindings
        .filter(|binding| binding.host_ip.as_deref() == Some("::"))
        .filter_map(|binding| binding.host_port.as_deref()?.parse().ok())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports.truncate(64);
    ports
}
