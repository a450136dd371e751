use super::*;
use crate::filter::Library;
use crate::labels::{self, Defaults};
use crate::model::{DockerNetwork, Ports, PublishedPort, Timestamp};

const REGEX: (&str, &str) = ("guard.failregex", "failed <HOST>$");

/// A world of containers, as discovery would tell it.
#[derive(Default)]
struct World {
    containers: BTreeMap<ContainerId, Known>,
    library: Library,
    before: Before,
}

fn container(id: &str, service: &str) -> Container {
    Container {
        id: ContainerId(id.into()),
        name: format!("shop-{service}-{id}").into(),
        service: ServiceId::Compose { project: "shop".into(), service: service.into() },
        started: Some(Timestamp::UNIX_EPOCH),
        ..Container::named(service)
    }
}

fn publish(mut container: Container, port: u16) -> Container {
    let port = PortRange::new(port, port).unwrap();
    container.ports.push(PublishedPort { port, protocol: Protocol::Tcp });
    container
}

impl World {
    fn with(mut self, mut container: Container, labels: &[(&str, &str)]) -> Self {
        container.labels =
            labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let reading = labels::read(&container, &Defaults::default(), &mut self.library);
        self.containers.insert(container.id.clone(), Known { container, reading });
        self
    }

    fn wanted(&self) -> Wanted {
        wanted(&self.containers, &self.before, |container, path| match path.starts_with("/data") {
            true => "/volume".to_owned(),
            false => format!("{}:", container.id),
        })
    }
}

#[test]
fn a_one_off_container_counts_only_where_its_labels_say_so() {
    let counts = |one_off: bool, labels: &[(&str, &str)]| {
        let mut container = container("a", "web");
        container.one_off = one_off;
        container.labels =
            labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        super::counts(&container, "guard")
    };
    assert!(counts(false, &[REGEX]));
    assert!(!counts(true, &[REGEX]));
    assert!(counts(true, &[REGEX, ("Guard.Enable", "True")]));
    for other in [
        ("guard.enable", "false"),
        ("guard.jails.x.enable", "true"),
        ("other.enable", "true"),
        ("guard", "true"),
    ] {
        assert!(!counts(true, &[REGEX, other]), "{other:?}");
    }
}

fn names(wanted: &Wanted) -> Vec<&str> {
    wanted.jails.keys().map(JailName::as_str).collect()
}

fn ports(wanted: &Wanted, jail: &str) -> Vec<u16> {
    match &wanted.jails[&jail.parse::<JailName>().unwrap()].block.ports {
        Ports::All => Vec::new(),
        Ports::Some(ports) => ports.iter().map(|(_, range)| range.first()).collect(),
    }
}

#[test]
fn replicas_share_the_jail_and_each_output_is_followed() {
    let world = World::default()
        .with(container("a", "web"), &[REGEX])
        .with(container("b", "web"), &[REGEX])
        .with(container("c", "db"), &[]);
    let wanted = world.wanted();
    assert_eq!(names(&wanted), ["shop-web"]);
    assert_eq!(wanted.followers.len(), 2);
    assert_eq!(wanted.complaints, []);
}

#[test]
fn replicas_that_share_a_volume_share_the_follower() {
    let file = [REGEX, ("guard.logpath", "/data/app.log")];
    let world =
        World::default().with(container("a", "web"), &file).with(container("b", "web"), &file);
    assert_eq!(world.wanted().followers.len(), 1);

    // Also while the service is being recreated with another pattern: the newer's counts.
    let glob = [REGEX, ("guard.logpath", "/data/*.log")];
    let mut newer = container("c", "web");
    newer.created = Timestamp::from_second(100).unwrap();
    let world = World::default().with(newer.clone(), &glob).with(container("d", "web"), &file);
    let wanted = world.wanted();
    let specs: Vec<_> = wanted.followers.values().collect();
    let [spec] = &specs[..] else { panic!("{} followers", specs.len()) };
    assert_eq!(spec.what, What::Files(vec!["/data/*.log".to_owned()]));

    // A path on no volume is each container's own.
    let file = [REGEX, ("guard.logpath", "/tmp/app.log")];
    let world =
        World::default().with(container("a", "web"), &file).with(container("b", "web"), &file);
    assert_eq!(world.wanted().followers.len(), 2);
}

#[test]
fn a_jail_on_guards_own_container_follows_the_journal() {
    let mut guard = container("g", "guard");
    guard.own = true;
    let world = World::default().with(guard, &[REGEX, ("guard.journal", "_COMM=sshd")]);
    let wanted = world.wanted();
    let followers: Vec<_> =
        wanted.followers.iter().map(|(key, spec)| (&key.target, &spec.what)).collect();
    let terms = "_COMM=sshd".parse().unwrap();
    assert_eq!(followers, [(&Target::Journal, &What::Journal(terms))]);
}

#[test]
fn two_services_with_one_name_are_refused_and_others_go_on() {
    let name = ("guard.name", "login");
    let world = World::default()
        .with(container("a", "web"), &[REGEX, name])
        .with(container("b", "shop"), &[REGEX, name])
        .with(container("c", "mail"), &[REGEX]);
    let wanted = world.wanted();
    assert_eq!(names(&wanted), ["shop-mail"]);
    let [complaint] = &wanted.complaints[..] else { panic!("{:?}", wanted.complaints) };
    assert!(complaint.what.contains("`shop/shop` and `shop/web`"), "{}", complaint.what);
    assert_eq!(complaint.container, "shop-web-a, shop-shop-b");
}

#[test]
fn who_has_a_name_keeps_it() {
    let name = ("guard.name", "login");
    let mut created = container("b", "other");
    created.running = false;
    // One that only was created takes nothing from one that runs.
    let world =
        World::default().with(container("a", "web"), &[REGEX, name]).with(created, &[REGEX, name]);
    let wanted = world.wanted();
    assert_eq!(names(&wanted), ["login"]);
    assert_eq!((wanted.followers.len(), wanted.complaints.len()), (1, 1));

    // And one that runs nothing from one that had it before.
    let mut world = World::default()
        .with(container("a", "web"), &[REGEX, name])
        .with(container("b", "other"), &[REGEX, name]);
    let login = "login".parse::<JailName>().unwrap();
    world.before.holders.insert(login.clone(), container("b", "other").service);
    let wanted = world.wanted();
    assert_eq!(wanted.jails[&login].service, container("b", "other").service);
    assert_eq!((wanted.followers.len(), wanted.complaints.len()), (1, 1));
}

#[test]
fn the_newest_containers_labels_count() {
    let mut newer = container("a", "web");
    newer.created = Timestamp::from_second(100).unwrap();
    let world = World::default()
        .with(newer, &[REGEX, ("guard.maxretry", "3")])
        .with(container("b", "web"), &[REGEX, ("guard.maxretry", "9")]);
    let wanted = world.wanted();
    let rules = wanted.jails.values().next().unwrap();
    assert_eq!(rules.limits.max_retry.get(), 3);
}

#[test]
fn published_ports_follow_the_containers() {
    let own = [REGEX, ("guard.port", "published")];
    let behind = [REGEX, ("guard.port", "published:proxy")];
    let world = World::default()
        .with(publish(container("a", "web"), 8080), &own)
        .with(publish(container("b", "web"), 8081), &own)
        .with(container("c", "app"), &behind)
        .with(publish(container("d", "proxy"), 443), &[]);
    let wanted = world.wanted();
    assert_eq!(ports(&wanted, "shop-web"), [8080, 8081]);
    assert_eq!(ports(&wanted, "shop-app"), [443]);
}

#[test]
fn a_stopped_container_keeps_the_ports_that_it_had() {
    let own = [REGEX, ("guard.port", "published")];
    let mut world = World::default().with(publish(container("a", "web"), 8080), &own);
    world.before.jails = world.wanted().jails;
    let mut stopped = container("a", "web");
    stopped.running = false;
    let world = World { before: world.before, ..World::default() }.with(stopped.clone(), &own);
    assert_eq!(ports(&world.wanted(), "shop-web"), [8080]);

    // One that was never seen running is waited for, without a word.
    let wanted = World::default().with(stopped, &own).wanted();
    assert!(wanted.jails.is_empty() && wanted.complaints.is_empty());
}

#[test]
fn nothing_published_is_a_complaint() {
    let world = World::default().with(container("a", "web"), &[REGEX, ("guard.port", "published")]);
    let wanted = world.wanted();
    assert!(wanted.jails.is_empty() && wanted.followers.is_empty());
    assert_eq!(wanted.complaints.len(), 1);
}

#[test]
fn a_mistake_of_all_replicas_is_told_once() {
    let wrong = [REGEX, ("guard.maxretri", "3")];
    let world = World::default()
        .with(container("a", "web"), &wrong)
        .with(container("b", "web"), &wrong)
        .with(container("c", "db"), &wrong);
    assert_eq!(world.wanted().complaints.len(), 2);
}

#[test]
fn rules_that_did_not_change_are_the_same() {
    let mut world = World::default().with(container("a", "web"), &[REGEX]);
    world.before.jails = world.wanted().jails;
    let again = world.wanted();
    let name = "shop-web".parse::<JailName>().unwrap();
    assert!(Arc::ptr_eq(&again.jails[&name], &world.before.jails[&name]));
}

#[test]
fn what_passes_no_firewall_of_this_host_is_refused() {
    let lan = DockerNetwork { name: "lan".into(), subnets: vec![], gateways: vec![] };
    let bridge = DockerNetwork {
        name: "bridge".into(),
        subnets: vec!["172.17.0.0/16".parse().unwrap()],
        gateways: vec![],
    };
    let networks = [lan, bridge];
    let networks = networks.as_slice();
    let refused_by = |container: Container, labels: &[(&str, &str)], paths: reach::Paths<'_>| {
        let world = World::default().with(container, labels);
        let mut wanted = world.wanted();
        reach::refuse(&mut wanted, &world.containers, paths);
        assert_eq!(wanted.jails.is_empty(), wanted.followers.is_empty());
        assert_eq!(wanted.jails.is_empty(), !wanted.complaints.is_empty());
        wanted.complaints.first().map(Complaint::one_line).unwrap_or_default()
    };
    let usual = reach::Paths { rootless: false, inside: false, desktop: false, networks };
    let refused = |container, labels: &[(&str, &str)], rootless: bool| {
        refused_by(container, labels, reach::Paths { rootless, ..usual })
    };
    let on_lan = || Container { network_mode: "lan".into(), ..container("a", "web") };
    assert_eq!(refused(container("a", "web"), &[REGEX], false), "");
    assert!(refused(on_lan(), &[REGEX], false).contains("macvlan or ipvlan"));
    assert_eq!(refused(publish(on_lan(), 80), &[REGEX], false), "", "it is in a bridge, too");
    assert_eq!(refused(on_lan(), &[REGEX, ("guard.dryrun", "true")], false), "");
    let told = refused(container("a", "web"), &[REGEX], true);
    assert!(told.contains("rootless") && told.contains("GUARD_CHAIN=INPUT"), "{told}");
    let input = [REGEX, ("guard.chain", "INPUT")];
    assert_eq!(refused(container("a", "web"), &input, true), "", "that does keep out");
    let inside = reach::Paths { rootless: true, inside: true, ..usual };
    let told = refused_by(container("a", "web"), &input, inside);
    assert!(told.contains("out of its reach"), "{told}");
    let told = refused_by(container("a", "web"), &input, reach::Paths { desktop: true, ..usual });
    assert!(told.contains("Docker Desktop") && told.contains("Docker Engine"), "{told}");
    let own = Container { own: true, ..container("a", "web") };
    assert_eq!(refused(own, &[REGEX, ("guard.logpath", "/data/auth.log")], true), "");
}
