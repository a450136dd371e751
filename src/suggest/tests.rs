use super::*;
use crate::filter::FilterReference;
use crate::filters::Catalog;
use crate::model::{
    Container, ContainerId, Mount, MountKind, PortRange, Protocol, PublishedPort, ServiceId,
};

pub(crate) fn checked(image: &str, mounts: &[&str], ports: &[u16]) -> ContainerCheckup {
    let mounts = mounts.iter().map(|destination| Mount {
        kind: MountKind::Volume,
        source: "/var/lib/docker/volumes/x/_data".into(),
        destination: (*destination).into(),
    });
    let ports = ports.iter().filter_map(|port| {
        Some(PublishedPort { port: PortRange::new(*port, *port)?, protocol: Protocol::Tcp })
    });
    ContainerCheckup {
        container: Container {
            id: ContainerId("x".into()),
            name: "shop-web-1".into(),
            service: ServiceId::Compose { project: "shop".into(), service: "web".into() },
            network_mode: "shop_default".into(),
            ports: ports.collect(),
            mounts: mounts.collect(),
            ..Container::named("shop-web-1")
        },
        image: image.into(),
        restart: "no".into(),
        networks: Vec::new(),
        published_v6: Vec::new(),
        has_v6: false,
    }
}

#[test]
fn images_are_known_by_any_of_their_names() {
    let check = |image: &str, filter: Option<&str>| {
        assert_eq!(known(image).map(|known| known.filter), filter, "{image}");
    };
    check("nginx", Some("nginx-http-auth"));
    check("docker.io/library/nginx:1.27-alpine", Some("nginx-http-auth"));
    check("registry.example:5000/team/Nginx@sha256:0123", Some("nginx-http-auth"));
    check("lscr.io/linuxserver/nextcloud:latest", Some("nextcloud"));
    check("gotify/server", Some("gotify"));
    check("mynginx", None);
    check("", None);
    check("docker.io/vaultwarden/server:1.32.0", Some("vaultwarden"));
}

#[test]
fn every_filter_in_the_table_is_guards_own() {
    let catalog = Catalog::new("");
    let names: Vec<_> = catalog.list().into_iter().map(|listed| listed.name).collect();
    for filter in TABLE.iter().map(|known| known.filter).chain(LOOSE.iter().copied()) {
        assert!(names.iter().any(|name| name == filter), "{filter}");
        catalog.load(&filter.parse::<FilterReference>().unwrap()).unwrap();
    }
    for image in TABLE.iter().flat_map(|known| known.images) {
        assert_eq!(bare(image), *image);
        assert!(super::known(image).is_some(), "{image}");
    }
}

#[test]
fn what_was_found_outweighs_what_is_usual() {
    let found = |filter: &str, failures| Found {
        filter: filter.into(),
        failures,
        example: "x".repeat(1000),
    };
    let output = |lines, found: Vec<Found>| Output { lines, found, problem: None };
    let suggested = |image: &str, mounts: &[&str], ports: &[u16], output: &Output| {
        suggestion(&checked(image, mounts, ports), output, "guard").map(|told| {
            let labels: Vec<_> =
                told.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
            (told.sure, labels.join(" "), told.notes.join(" "))
        })
    };
    let (sure, labels, notes) =
        suggested("own/app", &[], &[8080], &output(9, vec![found("sshd", 1), found("gitea", 2)]))
            .unwrap();
    assert_eq!((sure, &*labels), (Sure::Proven, "guard.filter=gitea guard.port=published"));
    assert!(notes.starts_with("2 of its last 9 lines") && notes.len() < 400, "{notes}");
    assert_eq!(suggested("own/app", &[], &[8080], &output(9, vec![])), None);

    let (sure, labels, notes) =
        suggested("nextcloud", &["/var/www/html"], &[], &output(9, vec![])).unwrap();
    let path = "guard.filter=nextcloud guard.logpath=/var/www/html/data/nextcloud.log";
    assert_eq!((sure, &*labels), (Sure::Guess, path));
    assert!(notes.contains("look whether") && notes.contains("publishes no port"), "{notes}");
    let (_, _, notes) = suggested("nextcloud", &["/var/www/htm"], &[], &output(9, vec![])).unwrap();
    assert!(notes.contains("on none of its volumes"), "{notes}");

    let (sure, labels, _) = suggested("postgres:17", &[], &[5432], &output(9, vec![])).unwrap();
    assert_eq!((sure, &*labels), (Sure::Likely, "guard.filter=postgres guard.port=published"));
    // The image's own filter wins over one that finds more.
    let both = output(9, vec![found("sshd", 5), found("postgres", 1)]);
    assert!(suggested("postgres", &[], &[], &both).unwrap().1.contains("=postgres"));
}
