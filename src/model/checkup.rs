//! What the engine says when it is asked how it does, for the doctor.

use jiff::SignedDuration;

use super::{Container, EnginePlatform};

/// An engine, looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineCheckup {
    /// Its version, such as `28.5.2`.
    pub version: String,
    /// The API's version.
    pub api_version: String,
    /// Questions that it, or a socket proxy before it, does not answer: the path
    /// and, in a sentence, why and what to do.
    pub refused: Vec<(&'static str, String)>,
    /// How far its clock is ahead of guard's.
    pub clock: Option<SignedDuration>,
    /// What it runs on.
    pub platform: EnginePlatform,
    /// Is it part of a swarm?
    pub swarm: bool,
    /// Is docker-proxy used? `None`: it does not say.
    pub userland_proxy: Option<bool>,
    /// `iptables`, `nftables`, perhaps with `+firewalld`; `None`: it does not say.
    pub firewall_backend: Option<String>,
    /// What it warns of itself, as far as it concerns a network.
    pub warnings: Vec<String>,
}

/// A container, looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerCheckup {
    /// What guard knows of it anyway.
    pub container: Container,
    /// Its image, as it was asked for.
    pub image: String,
    /// Its restart policy: `no`, `always`, `unless-stopped`, `on-failure`.
    pub restart: String,
    /// The names of its networks.
    pub networks: Vec<String>,
    /// The host's ports that are published at `[::]` and lead to it.
    pub published_v6: Vec<u16>,
    /// Has it an IPv6 address in one of Docker's networks?
    pub has_v6: bool,
}
