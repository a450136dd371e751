mod silent;

use std::collections::BTreeMap;

use super::*;
use crate::compose::labels_of;
use crate::filters::Catalog;
use crate::labels::{self, Defaults, PortsWanted, Sources};
use crate::model::{Chain, Mount, MountKind, PortRange, Protocol, PublishedPort, ServiceId};
use crate::suggest::tests::checked;

/// A configuration in memory, in the folder `f`.
#[derive(Clone, Debug)]
struct Tree(BTreeMap<String, String>);

impl FilterFiles for Tree {
    fn folders(&self) -> Vec<String> {
        vec!["f".to_owned()]
    }
    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        let path = format!("{folder}/{name}");
        let path = if name.starts_with('/') { name } else { &path };
        Ok(self.0.get(path).cloned())
    }
    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        let before = format!("{folder}/{name}/");
        let names = self.0.keys().filter_map(|path| path.strip_prefix(&before));
        Ok(names.map(str::to_owned).collect())
    }
}

const IPTABLES: &str = "[Definition]\nactionstart = <iptables> -I <chain> -j f2b-<name>\n\
    actionban = <iptables> -I f2b-<name> 1 -s <ip> -j <blocktype>\ntype = multiport\n\
    [Init]\nchain = DOCKER-USER\nport = ssh\nprotocol = tcp\n\
    blocktype = REJECT --reject-with icmp-port-unreachable\niptables = iptables\n";

const DEFAULTS: &str = "[DEFAULT]\nbantime = 10m\nfindtime = 10m\nmaxretry = 5\nusedns = warn\n\
    backend = auto\nmode = normal\nfilter = %(__name__)s[mode=%(mode)s]\nport = 0:65535\n\
    protocol = tcp\nchain = <known/chain>\nbanaction = iptables-multiport\n\
    action_ = %(banaction)s[port=\"%(port)s\", protocol=\"%(protocol)s\", chain=\"%(chain)s\"]\n\
    action = %(action_)s\n";

const FLASK: &str = r"Login failed for user '.*' \[IP: <HOST>\]$";

fn containers() -> Vec<Container> {
    let service = |name: &str, source: &str, destination: &str, port: u16| {
        let mut container = checked(name, &[], &[]).container;
        container.name = format!("shop-{name}-1").into();
        container.service = ServiceId::Compose { project: "shop".into(), service: name.into() };
        let (source, destination) = (source.to_owned(), destination.to_owned());
        container.mounts = vec![Mount { kind: MountKind::Volume, source, destination }];
        let port = PortRange::new(port, port);
        let published = port.map(|port| PublishedPort { port, protocol: Protocol::Tcp });
        container.ports = published.into_iter().collect();
        container
    };
    vec![
        service("cloud", "/var/lib/docker/volumes/shop_data/_data", "/mnt/data", 8082),
        service("flask", "/var/lib/docker/volumes/shop_log/_data", "/var/log/flask", 80),
    ]
}

fn imported(files: &[(&str, &str)], containers: Option<Vec<Container>>) -> Import {
    imported_on(files, |ground| ground.containers = containers)
}

fn imported_on(files: &[(&str, &str)], change: impl FnOnce(&mut Ground)) -> Import {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    all.insert("f/jail.conf".to_owned(), DEFAULTS.to_owned());
    all.insert("f/action.d/iptables-multiport.conf".to_owned(), IPTABLES.to_owned());
    let path = |name: &str| match name.starts_with('/') {
        true => name.to_owned(),
        false => format!("f/{name}"),
    };
    all.extend(files.iter().map(|(name, text)| (path(name), (*text).to_owned())));
    let tree = Tree(all);
    let settings = Settings::read("jail", &tree).unwrap();
    let mut ground = Ground {
        files: Arc::new(tree),
        filter_folders: vec!["f/filter.d".to_owned()],
        action_folders: vec!["f/action.d".to_owned()],
        on_host: Some(vec![("f".to_owned(), "/etc/fail2ban".to_owned())]),
        own: Arc::new(Catalog::new("")),
        prefer_own: false,
        containers: None,
    };
    change(&mut ground);
    import(settings, &ground)
}

/// What the compose files give, read as Docker and guard will: the only jail.
#[track_caller]
fn only(import: &Import) -> (labels::Jail, LabelsOf) {
    let taken = &import.jails[0];
    let file = import.files.iter().find(|file| file.project == taken.project).unwrap();
    let all = labels_of(&file.text).unwrap_or_else(|why| panic!("{why}\n{}", file.text));
    let labels = all[&taken.service].clone();
    let mut container = checked("x", &[], &[]).container;
    container.labels = labels.clone();
    container.own = taken.service == "guard";
    let mut library = Library::of(Catalog::new(""));
    let reading = labels::read(&container, &Defaults::default(), &mut library);
    assert_eq!(reading.jails.len(), 1, "{:?}\n{}", reading.complaints, file.text);
    let jail = reading.jails.into_iter().next().unwrap();
    (jail, LabelsOf(labels))
}

struct LabelsOf(crate::model::LabelSet);

impl LabelsOf {
    fn get(&self, option: &str) -> Option<&str> {
        let key = self.0.keys().find(|key| {
            let key = key.trim_start_matches("guard.");
            let key = key
                .strip_prefix("jails.")
                .and_then(|rest| rest.split_once('.'))
                .map_or(key, |(_, o)| o);
            key == option
        });
        key.and_then(|key| self.0.get(key)).map(String::as_str)
    }
}

/// The levels and words of all remarks.
fn told(import: &Import) -> Vec<String> {
    let one =
        |remark: &Remark| format!("{}: {}: {}", remark.level.word(), remark.place, remark.what);
    import.remarks.iter().map(one).collect()
}

#[track_caller]
fn tells(import: &Import, words: &str) {
    assert!(told(import).iter().any(|line| line.contains(words)), "{:#?}", told(import));
}

const FLASK_JAIL: &str = "[flask]\nenabled = true\nfilter = flask\nport = http\n\
    logpath = /var/lib/docker/volumes/shop_log/_data/login.log\nmaxretry = 3\nbantime = 1h\n";
fn flask_filter() -> String {
    format!("[Definition]\nfailregex = {FLASK}\n")
}

#[test]
fn a_jail_on_a_volume_becomes_labels_of_its_service() {
    let filter = flask_filter();
    let import = imported(
        &[("jail.local", FLASK_JAIL), ("filter.d/flask.conf", &filter)],
        Some(containers()),
    );
    assert_eq!((import.enabled, import.over(), import.whole()), (1, 1, 1), "{:#?}", told(&import));
    let taken = &import.jails[0];
    assert_eq!((taken.project.as_deref(), &*taken.service), (Some("shop"), "flask"));
    assert_eq!(taken.place.to_string(), "f/jail.local:2");
    let (jail, labels) = only(&import);
    assert_eq!(labels.get("failregex"), Some(FLASK));
    assert_eq!(labels.get("filter"), None, "few regexes need no mount");
    assert_eq!(jail.name.as_str(), "flask");
    assert_eq!(jail.sources, Sources::Files(vec!["/var/log/flask/login.log".to_owned()]));
    assert_eq!(jail.limits.max_retry.get(), 3);
    assert_eq!(
        jail.limits.ban_time,
        crate::model::BanTime::For(std::time::Duration::from_secs(3600))
    );
    assert_eq!(jail.chains, [Chain::DockerUser].into());
    assert_eq!(labels.get("port"), Some("http"), "it is what the container publishes");
    assert_eq!(labels.get("usedns"), Some("warn"));
    let text = &import.files.iter().map(|file| file.text.as_str()).collect::<String>();
    assert!(text.contains("/var/lib/docker/volumes:/var/lib/docker/volumes:ro,rslave"), "{text}");
}

#[test]
fn a_port_behind_dnat_is_what_the_container_publishes() {
    let jail = "[cloud]\nenabled = true\nfailregex = x <HOST>$\nfilter =\nport = http,https\n\
        logpath = /var/lib/docker/volumes/shop_data/_data/files/*.log\n";
    let import = imported(&[("jail.local", jail)], Some(containers()));
    let (jail, labels) = only(&import);
    assert_eq!(labels.get("port"), Some("published"));
    assert!(matches!(jail.ports, PortsWanted::Published { .. }));
    assert_eq!(jail.sources, Sources::Files(vec!["/mnt/data/files/*.log".to_owned()]));
    tells(&import, "changed: f/jail.conf:13: `port = http,https`: guard's port is the one");
}

#[test]
fn logs_of_the_host_are_for_guard_and_its_input() {
    let import = imported(
        &[(
            "jail.local",
            "[host]\nenabled = yes\nfilter =\nfailregex = x <HOST>\n y <HOST>$\nport = ssh\n\
             logpath = /var/log/auth.log tail\nignoreip = 127.0.0.1/8 ::1 192.0.2.0/24, home.example\n\
             action = iptables-multiport[chain=INPUT, port=\"%(port)s\", blocktype=DROP]\n",
        )],
        Some(containers()),
    );
    let (jail, labels) = only(&import);
    assert_eq!(jail.chains, [Chain::Input].into());
    assert_eq!(labels.get("failregex"), Some("x <HOST>\ny <HOST>$"));
    assert_eq!(labels.get("blocktype"), Some("drop"));
    assert_eq!(labels.get("ignoreip"), Some("192.0.2.0/24 home.example"));
    assert_eq!(labels.get("chain"), None);
    tells(&import, "note: f/jail.local:7: `tail`");
    assert!(import.files[0].text.contains("/var/log:/var/log:ro"), "{}", import.files[0].text);
}

#[test]
fn a_journal_is_followed_by_its_terms() {
    let import = imported(
        &[(
            "jail.local",
            "[host]\nenabled = 1\nbackend = systemd\nfilter =\nfailregex = x <HOST>$\n\
            journalmatch = _SYSTEMD_UNIT=a.service + _COMM=b\n",
        )],
        None,
    );
    let (jail, labels) = only(&import);
    assert!(matches!(jail.sources, Sources::Journal(_)));
    assert_eq!(labels.get("journal"), Some("_SYSTEMD_UNIT=a.service + _COMM=b"));
    assert!(import.files[0].text.contains("/var/log/journal:/var/log/journal:ro"));
}

#[test]
fn what_has_no_counterpart_is_told_with_its_place() {
    let jail = "[flask]\nenabled = true\nport = http\nlogpath = /var/lib/docker/volumes/shop_log/_data/a\n\
        ignorecommand = /bin/true <ip>\nbantime.increment = true\nbantime.formula = ban.Time * 7\n\
        bantime.maxtime = 5w\naction = %(action_)s\n sendmail-whois[name=x, dest=\"a b\"]\n\
        \tmyown[x=1]\n cloudflare\n";
    let filter = flask_filter();
    let import = imported(
        &[
            ("jail.local", jail),
            ("filter.d/flask.conf", &filter),
            ("action.d/myown.conf", "[Definition]\nactionban = curl -d <ip> https://example.org\n"),
        ],
        Some(containers()),
    );
    assert_eq!((import.over(), import.whole()), (1, 0));
    for words in [
        "not taken over: f/jail.local:5: `ignorecommand`: guard starts no programs",
        "not taken over: f/jail.local:7: `bantime.formula` is Python",
        "not taken over: f/jail.local:10: action `sendmail-whois` sends messages",
        "not taken over: f/jail.local:11: action `myown` runs commands of its own",
        "not taken over: f/jail.local:12: action `cloudflare` bans elsewhere",
    ] {
        tells(&import, words);
    }
    let (jail, labels) = only(&import);
    assert_eq!(labels.get("bantime.maxtime"), Some("5w"));
    assert!(jail.policy.growth.is_some());
}

#[test]
fn one_jails_mistake_costs_no_other() {
    let jail = format!(
        "{FLASK_JAIL}[broken]\nenabled = true\nlogpath = %(nothing)s\nfilter =\nfailregex = x <HOST>\n\
        [none]\nenabled = true\nlogpath = /var/log/x\n[regex]\nenabled = true\nfilter =\nfailregex = (<HOST>\n\
        logpath = /var/log/x\n[off]\nenabled = false\n[nolog]\nenabled = true\nfilter =\nfailregex = x <HOST>\n\
        [dry]\nenabled = true\nfilter =\nfailregex = x <HOST>\nlogpath = /var/log/y\naction = sendmail\n"
    );
    let filter = flask_filter();
    let import = imported(&[("jail.local", &jail), ("filter.d/flask.conf", &filter)], None);
    assert_eq!(import.enabled, 6);
    let names: Vec<_> = import.jails.iter().map(|taken| taken.name.as_str()).collect();
    assert_eq!(names, ["dry", "flask"]);
    tells(&import, "not taken over: f/jail.local:10: `logpath`: `%(nothing)s` names no option");
    tells(&import, "there is no filter `none`, neither here nor in guard");
    tells(&import, "`failregex`: unclosed group, so the jail does not come over");
    tells(&import, "the jail has no log that guard could read");
    tells(&import, "which service has the volume `shop_log` is not known");
    tells(&import, "so the labels say `dryrun`");
    assert!(!told(&import).iter().any(|line| line.contains("off")));
}

#[test]
fn a_filter_of_many_parts_is_mounted_and_a_jail_may_add_to_it() {
    let filter = "[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex = ^%(pre)s<mode-<mode>> <HOST>$\n\
        mode-normal = a\nmode-more = b\nmode = normal\n[Init]\nmaxlines = 2\n";
    let common = "[DEFAULT]\npre = p\\s\n";
    let jail = "[web]\nenabled = true\nmode = more\nlogpath = /var/lib/docker/volumes/shop_log/_data/a\n\
        failregex = %(known/failregex)s\n    ^added <HOST>$\n";
    let files =
        [("jail.local", jail), ("filter.d/web.conf", filter), ("filter.d/common.conf", common)];
    let import = imported(&files, Some(containers()));
    let taken = &import.jails[0];
    let get = |option: &str| {
        let found = taken.labels.iter().find(|(key, _)| key.ends_with(&format!(".{option}")));
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(get("filter"), Some("web[mode=more]"));
    assert_eq!(get("failregex"), Some("^added <HOST>$"));
    let text = import.files.iter().map(|file| file.text.as_str()).collect::<String>();
    for file in ["web.conf", "common.conf"] {
        let line = format!("- /etc/fail2ban/filter.d/{file}:/etc/guard/filter.d/{file}:ro\n");
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn recidive_needs_no_log() {
    let import = imported(
        &[(
            "jail.local",
            "[recidive]\nenabled = true\nlogpath = /var/log/fail2ban.log\nbantime = 1w\n\
            findtime = 1d\nbanaction = iptables-allports\n",
        )],
        Some(containers()),
    );
    let (jail, labels) = only(&import);
    assert_eq!(jail.sources, Sources::Bans);
    assert_eq!(labels.get("bantime"), Some("1w"));
}

proptest::proptest! {
    #[test]
    fn no_configuration_panics(text in "(\\[[a-c]?[a-c\\]\n%()s<>/=:é]{0,4}|\n ?[a-z]{1,3} ?= ?[ -~]{0,12}|\nenabled = 1|\nfilter = [a-c\\[\\]=,\"]{0,6}|\naction = [a-c\\[\\]=,\"' ]{0,9}|\nlogpath = /[a-c*\\[.]{0,5}|\nfailregex = [a(<HOST>.*$]{0,9}){0,14}") {
        let tree = Tree(BTreeMap::from([("f/jail.local".to_owned(), text)]));
        if let Ok(settings) = Settings::read("jail", &tree) {
            let import = import(settings, &Ground {
                files: Arc::new(tree),
                filter_folders: vec!["f/filter.d".to_owned()],
                action_folders: vec!["f/action.d".to_owned()],
                on_host: None,
                own: Arc::new(Catalog::new("")),
                prefer_own: false,
                containers: Some(containers()),
            });
            for file in &import.files {
                labels_of(&file.text).unwrap();
            }
        }
    }
}
