//! What the warden must know of the host, and what it says of hidden clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Address, DockerNetwork, IgnoreEntry};

/// What the warden must know of the host, beyond its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Every address of the host.
    pub own: Vec<Address>,
    /// Docker's networks.
    pub networks: Vec<DockerNetwork>,
    /// The names of the containers, by their addresses in those networks.
    pub containers: BTreeMap<Address, Arc<str>>,
    /// How Docker passes connections on.
    pub engine: EngineTraits,
    /// The addresses of the DNS names in `ignoreip` and the like, each name as its
    /// [`IgnoreEntry::Name`](crate::model::IgnoreEntry::Name) has it.
    pub names: BTreeMap<String, Vec<Address>>,
    /// What the lists in files hold, by their paths.
    pub lists: BTreeMap<String, Vec<IgnoreEntry>>,
}

/// What decides whether a service in a container sees its clients' addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTraits {
    /// It runs without root.
    pub rootless: bool,
    /// It runs in Docker Desktop's machine.
    pub desktop: bool,
    /// Is docker-proxy used? Only engines since 29.5 say it.
    pub userland_proxy: Option<bool>,
    /// firewalld is at work on the host.
    pub firewalld: bool,
}

/// The likeliest reason why clients come with a gateway's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The port driver of a rootless engine.
    ByRootless,
    /// Docker Desktop.
    ByDesktop,
    /// docker-proxy passes on IPv6 to a network without it.
    WithoutIpv6,
    /// docker-proxy, for the host itself and for other containers.
    ByProxy,
    /// No docker-proxy runs: something rewrites the addresses before Docker.
    ByMasquerade,
}

impl EngineTraits {
    /// The likeliest reason in a network.
    pub(super) fn passed(self, network: &DockerNetwork) -> Passed {
        let has_ipv6 = network.subnets.iter().any(|subnet| subnet.is_ipv6());
        match self {
            EngineTraits { rootless: true, .. } => Passed::ByRootless,
            EngineTraits { desktop: true, .. } => Passed::ByDesktop,
            EngineTraits { userland_proxy: Some(false), .. } => Passed::ByMasquerade,
            EngineTraits { .. } if !has_ipv6 => Passed::WithoutIpv6,
            EngineTraits { firewalld: true, .. } => Passed::ByMasquerade,
            EngineTraits { .. } => Passed::ByProxy,
        }
    }
}

impl Passed {
    /// What to do about it in the network of this name.
    pub(super) fn cure(self, network: &str) -> String {
        match self {
            Passed::ByRootless => "Docker is rootless, and its port driver passes no addresses on. Choose one that \
                                   does, in ~/.config/systemd/user/docker.service.d/override.conf under [Service]: \
                                   Environment=\"DOCKERD_ROOTLESS_ROOTLESSKIT_NET=pasta\" \
                                   \"DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=implicit\""
                .to_owned(),
            Passed::ByDesktop => "Docker Desktop passes every connection into its own machine under this address. \
                                  Run the service with Docker Engine on Linux"
                .to_owned(),
            Passed::WithoutIpv6 => format!(
                "The network {network} has no IPv6, so that docker-proxy passes all IPv6 clients on under this \
                 address. Give it IPv6, {}; or end docker-proxy with \"userland-proxy\": false in \
                 /etc/docker/daemon.json",
                enable_ipv6(network)
            ),
            Passed::ByProxy => "docker-proxy passes on under this address what comes from this host itself, or from a \
                                container to a published port. Let them speak to the container by its name in their \
                                common network; or end docker-proxy with \"userland-proxy\": false in \
                                /etc/docker/daemon.json"
                .to_owned(),
            Passed::ByMasquerade => "The host rewrites the clients' addresses on their way to Docker, as firewalld does in \
                                     a zone that masquerades: firewall-cmd --permanent --zone=public \
                                     --remove-masquerade && firewall-cmd --reload"
                .to_owned(),
        }
    }
}

fn enable_ipv6(network: &str) -> String {
    match network.rsplit_once('_') {
        _ if network == "bridge" => {
            "in /etc/docker/daemon.json: \"ipv6\": true, \"fixed-cidr-v6\": \"fd00:d0c::/64\""
                .to_owned()
        }
        Some((_, key)) => {
            format!("in compose.yaml: networks: {{ {key}: {{ enable_ipv6: true }} }}")
        }
        None => format!("docker network create --ipv6 {network} (after its removal)"),
    }
}
