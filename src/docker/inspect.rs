//! What the engine says of containers and networks → guard's own words. Pure.
//!
//! Invariant: every text and list is bounded here, once; nothing deeper in guard
//! sees more labels, mounts, ports or subnets than these bounds.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use bollard::models;

use crate::model::{
    Address, Container, ContainerId, DockerNetwork, LabelSet, Mount, MountKind, Network, PortRange,
    Protocol, PublishedPort, ServiceId, Timestamp,
};

const MAX_LABELS: usize = 2_000;
const MAX_LABEL_BYTES: usize = 1024 * 1024;
const MAX_MOUNTS: usize = 1_000;
const MAX_NETWORKS: usize = 4_000;
const MAX_NAME: usize = 256;
const MAX_PATH: usize = 4_096;

/// Does the label belong to guard? Docker's keys differ by case, people's don't.
pub(super) fn is_ours(key: &str, prefix: &str) -> bool {
    key.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// A container, from everything that the engine knows of it.
pub(super) fn container(told: models::ContainerInspectResponse, prefix: &str) -> Option<Container> {
    let config = told.config.unwrap_or_default();
    let host = told.host_config.unwrap_or_default();
    let state = told.state.unwrap_or_default();
    let labels = bounded(config.labels.unwrap_or_default(), prefix);
    let name = bounded_name(&told.name.unwrap_or_default());
    let running = state.running.unwrap_or(false) && !state.restarting.unwrap_or(false);
    let settings = told.network_settings.unwrap_or_default();
    let addresses = addresses(settings.networks.as_ref());
    let published = settings.ports.unwrap_or_default();
    // A stopped container has no ports, but will have these again.
    let wanted = host.port_bindings.unwrap_or_default();
    let ports = ports_of(if published.is_empty() && !running { &wanted } else { &published });
    Some(Container {
        id: container_id(told.id?)?,
        service: service(&labels, &name),
        name,
        created: told.created.and_then(|text| time(&text)).unwrap_or(Timestamp::UNIX_EPOCH),
        started: state.started_at.and_then(|text| time(&text)),
        running,
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| running && *pid > 0),
        tty: config.tty.unwrap_or(false),
        log_driver: host
            .log_config
            .and_then(|log| log.typ)
            .map(|typ| cut(&typ, MAX_NAME))
            .unwrap_or_default(),
        network_mode: cut(&host.network_mode.unwrap_or_default(), MAX_NAME),
        addresses,
        ports,
        mounts: told
            .mounts
            .unwrap_or_default()
            .into_iter()
            .take(MAX_MOUNTS)
            .filter_map(mount)
            .collect(),
        timezone: config.env.unwrap_or_default().iter().find_map(|pair| {
            pair.strip_prefix("TZ=")
                .filter(|zone| !zone.is_empty() && zone.len() <= MAX_NAME)
                .map(str::to_owned)
        }),
        one_off: is_one_off(&labels),
        own: false,
        labels,
    })
}

/// A container without guard's labels, from the list alone: enough to know whose
/// ports lead to it, and cheap for the engine.
pub(super) fn listed(told: models::ContainerSummary, prefix: &str) -> Option<Container> {
    let labels = bounded(told.labels.unwrap_or_default(), prefix);
    let name = bounded_name(told.names.unwrap_or_default().first().map_or("", String::as_str));
    let addresses = addresses(told.network_settings.and_then(|s| s.networks).as_ref());
    let ports = told.ports.unwrap_or_default();
    let ports = ports.iter().filter_map(|port| {
        let protocol = match port.typ? {
            models::PortSummaryTypeEnum::TCP => Protocol::Tcp,
            models::PortSummaryTypeEnum::UDP => Protocol::Udp,
            models::PortSummaryTypeEnum::SCTP | models::PortSummaryTypeEnum::EMPTY => return None,
        };
        Some((protocol, port.public_port?))
    });
    Some(Container {
        id: container_id(told.id?)?,
        service: service(&labels, &name),
        name,
        created: told
            .created
            .and_then(|s| Timestamp::from_second(s).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH),
        started: None,
        running: told.state.is_some_and(is_running),
        pid: None,
        tty: false,
        log_driver: String::new(),
        network_mode: cut(
            &told.host_config.and_then(|host| host.network_mode).unwrap_or_default(),
            MAX_NAME,
        ),
        addresses,
        ports: joined(ports.collect()),
        mounts: Vec::new(),
        timezone: None,
        one_off: is_one_off(&labels),
        own: false,
        labels,
    })
}

/// A container's addresses in all of its networks.
fn addresses(networks: Option<&HashMap<String, models::EndpointSettings>>) -> Vec<Address> {
    let addresses: BTreeSet<Address> = networks
        .into_iter()
        .flatten()
        .take(MAX_NETWORKS)
        .flat_map(|(_, endpoint)| [&endpoint.ip_address, &endpoint.global_ipv6_address])
        .filter_map(|text| text.as_deref()?.parse().ok())
        .collect();
    addresses.into_iter().collect()
}

/// Does it run? A container between two tries of its restart policy does not.
pub(super) fn is_running(state: models::ContainerSummaryStateEnum) -> bool {
    use models::ContainerSummaryStateEnum as State;
    matches!(state, State::RUNNING | State::PAUSED)
}

/// The networks' addresses. The hosts of a macvlan or ipvlan network are not
/// Docker's: its subnet is the LAN itself, so only its gateway counts.
pub(super) fn networks(told: Vec<models::Network>) -> Vec<DockerNetwork> {
    let mut networks: Vec<DockerNetwork> =
        told.into_iter().take(MAX_NETWORKS).filter_map(network).collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    networks
}

fn network(told: models::Network) -> Option<DockerNetwork> {
    let lan = matches!(told.driver.as_deref(), Some("macvlan" | "ipvlan"));
    let mut network = DockerNetwork {
        name: cut(&told.name?, MAX_NAME),
        subnets: Vec::new(),
        gateways: Vec::new(),
    };
    for config in told.ipam.unwrap_or_default().config.unwrap_or_default().iter().take(64) {
        let subnet = config.subnet.as_deref().and_then(|text| text.parse::<Network>().ok());
        let gateway = config
            .gateway
            .as_deref()
            .and_then(|text| text.split('/').next().unwrap_or(text).parse::<Address>().ok());
        // Engines leave it out for networks where they chose it: the first address.
        network
            .gateways
            .extend(gateway.or_else(|| if lan { None } else { first_address(subnet?) }));
        network.subnets.extend(subnet.filter(|_| !lan));
    }
    if !lan && network.subnets.is_empty() {
        // No subnets is the sign of a LAN.
        network.subnets.extend(network.gateways.iter().copied().map(Network::from));
    }
    (lan || !network.subnets.is_empty()).then_some(network)
}

fn first_address(subnet: Network) -> Option<Address> {
    if subnet.is_single() {
        return None;
    }
    Some(Address::new(match subnet.address().ip() {
        IpAddr::V4(ip) => IpAddr::V4(u32::from(ip).checked_add(1)?.into()),
        IpAddr::V6(ip) => IpAddr::V6(u128::from(ip).checked_add(1)?.into()),
    }))
}

/// Whom the container serves: compose's words, else Swarm's, else its name.
fn service(labels: &LabelSet, name: &Arc<str>) -> ServiceId {
    let label =
        |key: &str| labels.get(key).filter(|value| !value.is_empty()).map(|v| cut(v, MAX_NAME));
    if let (Some(project), Some(service)) =
        (label("com.docker.compose.project"), label("com.docker.compose.service"))
    {
        return ServiceId::Compose { project: project.into(), service: service.into() };
    }
    let Some(swarm) = label("com.docker.swarm.service.name") else {
        return ServiceId::Container(name.clone());
    };
    match label("com.docker.stack.namespace") {
        Some(stack) => {
            let service = swarm.strip_prefix(&format!("{stack}_")).unwrap_or(&swarm).into();
            ServiceId::Compose { project: stack.into(), service }
        }
        // Its tasks are called `name.1.x8f…`, so no container has this name.
        None => ServiceId::Container(swarm.into()),
    }
}

fn is_one_off(labels: &LabelSet) -> bool {
    labels.get("com.docker.compose.oneoff").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// All labels, or, of an absurd set, guard's own, then Docker's, then the others
/// as far as they fit.
fn bounded(told: HashMap<String, String>, prefix: &str) -> LabelSet {
    let mut labels: Vec<(String, String)> = told.into_iter().collect();
    let rank = |key: &str| match () {
        () if is_ours(key, prefix) => 0,
        () if key.starts_with("com.docker.") => 1,
        () => 2,
    };
    labels.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    let mut bytes = 0;
    labels
        .into_iter()
        .take(MAX_LABELS)
        .take_while(|(key, value)| {
            bytes += key.len() + value.len();
            bytes <= MAX_LABEL_BYTES
        })
        .collect()
}

fn container_id(text: String) -> Option<ContainerId> {
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| ContainerId(text.into()))
}

fn bounded_name(name: &str) -> Arc<str> {
    cut(name.strip_prefix('/').unwrap_or(name), MAX_NAME).into()
}

fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

/// Docker writes the year 1 for "never".
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

fn mount(told: models::MountPoint) -> Option<Mount> {
    let kind = match told.typ.as_deref() {
        Some("bind") => MountKind::Bind,
        Some("volume") => MountKind::Volume,
        _ => MountKind::Other,
    };
    let source = match kind {
        MountKind::Bind | MountKind::Volume => told.source.unwrap_or_default(),
        MountKind::Other => String::new(),
    };
    let destination = told.destination?;
    let fits = source.len() <= MAX_PATH && destination.len() <= MAX_PATH;
    (fits && destination.starts_with('/')).then_some(Mount { kind, source, destination })
}

fn ports_of(map: &models::PortMap) -> Vec<PublishedPort> {
    let mut ports = BTreeSet::new();
    for (key, bindings) in map {
        let (inner, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => continue,
        };
        for binding in bindings.iter().flatten() {
            let outer = binding.host_port.as_deref().unwrap_or_default();
            // In a routed network nothing is mapped: the container's own port is open.
            let text = if outer.is_empty() { inner } else { outer };
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
                ports.extend((first..=last).map(|port| (protocol, port)));
            }
        }
    }
    joined(ports)
}

/// Ports in a row as ranges.
fn joined(ports: BTreeSet<(Protocol, u16)>) -> Vec<PublishedPort> {
    let mut ranges: Vec<(Protocol, u16, u16)> = Vec::new();
    for (protocol, port) in ports {
        match ranges.last_mut() {
            Some((same, _, last)) if *same == protocol && last.checked_add(1) == Some(port) => {
                *last = port
            }
            _ => ranges.push((protocol, port, port)),
        }
    }
    let published = |(protocol, first, last)| {
        Some(PublishedPort { port: PortRange::new(first, last)?, protocol })
    };
    ranges.into_iter().filter_map(published).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label_set(pairs: &[(&str, &str)]) -> LabelSet {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_container_belongs_to_its_service() {
        let check = |pairs: &[(&str, &str)], shown: &str| {
            assert_eq!(service(&label_set(pairs), &"web-1".into()).to_string(), shown);
        };
        check(&[], "web-1");
        check(
            &[("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web")],
            "shop/web",
        );
        check(&[("com.docker.compose.project", "shop")], "web-1");
        check(&[("com.docker.swarm.service.name", "web")], "web");
        check(
            &[
                ("com.docker.swarm.service.name", "shop_web"),
                ("com.docker.stack.namespace", "shop"),
            ],
            "shop/web",
        );
    }

    #[test]
    fn absurd_labels_keep_guards_own() {
        let mut told: HashMap<String, String> =
            (0..10_000).map(|n| (format!("a{n}"), "x".repeat(1000))).collect();
        told.insert("Guard.maxretry".into(), "3".into());
        told.insert("com.docker.compose.service".into(), "web".into());
        let labels = bounded(told, "guard.");
        assert!(labels.len() < 1100);
        assert_eq!(labels.get("Guard.maxretry").map(String::as_str), Some("3"));
        assert!(labels.contains_key("com.docker.compose.service"));
    }

    #[test]
    fn ports_are_those_the_client_used() {
        let binding = |port: &str| models::PortBinding {
            host_ip: Some("0.0.0.0".into()),
            host_port: Some(port.into()),
        };
        let map: models::PortMap = HashMap::from([
            ("80/tcp".into(), Some(vec![binding("8080"), binding("8080")])),
            ("81/tcp".into(), Some(vec![binding("8081")])),
            ("53/udp".into(), Some(vec![binding("53")])),
            ("443/tcp".into(), Some(vec![binding("")])),
            ("9/sctp".into(), Some(vec![binding("9")])),
            ("22/tcp".into(), None),
        ]);
        let shown: Vec<String> =
            ports_of(&map).iter().map(|p| format!("{}/{}", p.port, p.protocol)).collect();
        assert_eq!(shown, ["443/tcp", "8080:8081/tcp", "53/udp"]);
    }

    #[test]
    fn networks_give_gateways_and_subnets() {
        let net = |driver: &str, subnet: &str, gateway: Option<&str>| models::Network {
            name: Some(driver.into()),
            driver: Some(driver.into()),
            ipam: Some(models::Ipam {
                config: Some(vec![models::IpamConfig {
                    subnet: Some(subnet.into()),
                    gateway: gateway.map(str::to_owned),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let shown = networks(vec![
            net("bridge", "172.17.0.0/16", None),
            net("macvlan", "192.168.1.0/24", Some("192.168.1.1")),
            net("overlay", "fd00::/64", Some("fd00::9")),
            net("ipvlan", "192.168.2.0/24", None),
            net("null", "nonsense", None),
        ]);
        let text: Vec<String> = shown
            .iter()
            .map(|n| {
                format!(
                    "{} {:?} {:?}",
                    n.name,
                    n.subnets.first().map(ToString::to_string),
                    n.gateways.first().map(ToString::to_string)
                )
            })
            .collect();
        assert_eq!(
            text,
            [
                r#"bridge Some("172.17.0.0/16") Some("172.17.0.1")"#,
                "ipvlan None None",
                r#"macvlan None Some("192.168.1.1")"#,
                r#"overlay Some("fd00::/64") Some("fd00::9")"#,
            ]
        );
    }

    #[test]
    fn prefixes_ignore_case() {
        assert!(is_ours("GUARD.Failregex", "guard."));
        assert!(!is_ours("guardian.x", "guard."));
        assert!(!is_ours("gu", "guard."));
        assert!(!is_ours("gué.", "guar"));
    }
}
