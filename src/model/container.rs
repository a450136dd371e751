//! What guard knows of a container, a mount and a network, whatever the API called it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Address, ContainerId, Network, PortRange, Protocol, ServiceId, Timestamp};

/// A container's labels, as Docker has them.
pub type LabelSet = BTreeMap<String, String>;

/// A container, as far as guard needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its full id.
    pub id: ContainerId,
    /// Its name, without the leading `/`.
    pub name: Arc<str>,
    /// The service that it is one of.
    pub service: ServiceId,
    /// All its labels.
    pub labels: LabelSet,
    /// When it was created: of two containers of one service, the newer one's labels count.
    pub created: Timestamp,
    /// When it was last started; `None`: never, or unknown.
    pub started: Option<Timestamp>,
    /// Does it run now?
    pub running: bool,
    /// The number of its first process, as the engine's host sees it; `None`: it does
    /// not run, or nobody told.
    pub pid: Option<u32>,
    /// Has it a TTY (one raw stream instead of two framed ones)?
    pub tty: bool,
    /// `HostConfig.LogConfig.Type`, for messages.
    pub log_driver: String,
    /// `HostConfig.NetworkMode`: `host`, `bridge`, a network's name, `container:…`, …
    pub network_mode: String,
    /// Its addresses in Docker's networks.
    pub addresses: Vec<Address>,
    /// The host's ports that lead to it.
    pub ports: Vec<PublishedPort>,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// Its `TZ` variable, if set.
    pub timezone: Option<String>,
    /// Is it a one-off container (`docker compose run`)?
    pub one_off: bool,
    /// Is it guard's own?
    pub own: bool,
}

impl Container {
    /// A container of this name that runs in Docker's default network, with its output in
    /// a file of JSON; no more is known of it.
    pub fn named(name: &str) -> Container {
        Container {
            id: ContainerId(name.into()),
            name: name.into(),
            service: ServiceId::Container(name.into()),
            labels: LabelSet::new(),
            created: Timestamp::UNIX_EPOCH,
            started: None,
            running: true,
            pid: None,
            tty: false,
            log_driver: "json-file".to_owned(),
            network_mode: "bridge".to_owned(),
            addresses: Vec::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
            timezone: None,
            one_off: false,
            own: false,
        }
    }
}

/// A port of the host that leads to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublishedPort {
    /// The host's port: what the client used.
    pub port: PortRange,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A file system that is mounted in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What kind it is.
    pub kind: MountKind,
    /// Where it lies on the host; empty where that means nothing (tmpfs).
    pub source: String,
    /// Where the container sees it.
    pub destination: String,
}

/// The kinds of mounts that guard tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume; its source is its `_data` folder on the host.
    Volume,
    /// Anything else (tmpfs, npipe, cluster): no path of the host.
    Other,
}

/// One of Docker's networks: what must never be banned, and why an address is hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerNetwork {
    /// Its name.
    pub name: String,
    /// Its subnets; none of a macvlan or ipvlan network, whose hosts are those of the LAN.
    pub subnets: Vec<Network>,
    /// Its gateways: the host's own addresses in it.
    pub gateways: Vec<Address>,
}

impl DockerNetwork {
    /// Are its containers hosts of the LAN, so that no packet for them passes this host's firewall?
    pub fn is_lan(&self) -> bool {
        self.subnets.is_empty()
    }
}
