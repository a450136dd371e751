//! Labels in, jails and complaints out.

mod doubts;
mod filters;
mod mistakes;
mod policy;
mod written;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    BanTime, BlockType, Chain, ContainerId, IgnoreEntry, LabelSet, Limits, LogEncoding, PortRange,
    Ports, Protocol, ServiceId,
};

fn container(labels: &[(&str, &str)]) -> Container {
    Container {
        id: ContainerId("0123456789abcdef".into()),
        name: "shop-web-1".into(),
        service: ServiceId::Compose { project: "shop".into(), service: "web".into() },
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        network_mode: "shop_default".to_owned(),
        ..Container::named("shop-web-1")
    }
}

fn reading(container: &Container) -> Reading {
    read(container, &Defaults::default(), &mut Library::default())
}

/// The jails of labels that are all right.
fn jails(labels: &[(&str, &str)]) -> Vec<Jail> {
    let reading = reading(&container(labels));
    let complaints: Vec<String> = reading.complaints.iter().map(Complaint::render).collect();
    assert_eq!(complaints, [""; 0], "{labels:?}");
    reading.jails
}

const FAIL: (&str, &str) = ("guard.failregex", "login failed from <HOST>$");

fn jail(labels: &[(&str, &str)]) -> Jail {
    let mut jails = jails(&[&[FAIL], labels].concat());
    assert_eq!(jails.len(), 1, "{labels:?}");
    jails.remove(0)
}

/// The names of jails, and the complaints in one line each.
fn outcome(labels: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let Reading { jails, complaints } = reading(&container(labels));
    let names = jails.iter().map(|jail| jail.name.to_string()).collect();
    (names, complaints.iter().map(Complaint::one_line).collect())
}

#[test]
fn a_jail_of_one_label() {
    let jail = jail(&[]);
    assert_eq!(jail.name.as_str(), "shop-web");
    assert_eq!(jail.sources, Sources::Output(StreamChoice::Both));
    assert_eq!(jail.limits, Limits::default());
    assert_eq!(jail.chains, [Chain::DockerUser].into());
    assert_eq!(jail.ports, PortsWanted::All);
    assert_eq!((jail.block_type, jail.dry_run), (BlockType::Reject, false));
    assert!(jail.ignore.is_empty() && jail.log_zone.is_none());
}

#[test]
fn a_jail_of_all_labels() {
    let jail = jail(&[
        ("guard.enable", "true"),
        ("guard.name", "login"),
        ("guard.failregex.1", "also <HOST>$\nand <HOST>$"),
        ("guard.ignoreregex", "healthcheck"),
        ("guard.logpath", "/var/log/*.log\n/var/log/a.log\n/var/log/*.log"),
        ("guard.maxretry", "3"),
        ("guard.findtime", "1h"),
        ("guard.bantime", "-1"),
        ("guard.ignoreip", "192.0.2.0/24 home.example.org"),
        ("guard.port", "http,8000-8010"),
        ("guard.protocol", "tcp,udp"),
        ("guard.chain", "input"),
        ("guard.blocktype", "DROP"),
        ("guard.dryrun", "yes"),
        ("guard.logtimezone", "Europe/Paris"),
        ("guard.logencoding", "utf-16-le"),
        ("com.docker.compose.project", "shop"),
    ]);
    assert_eq!(jail.name.as_str(), "login");
    let paths = ["/var/log/*.log", "/var/log/a.log"].map(str::to_owned);
    assert_eq!(jail.sources, Sources::Files(paths.to_vec()));
    assert_eq!(jail.limits.max_retry.get(), 3);
    assert_eq!(jail.limits.find_time, Duration::from_secs(3600));
    assert_eq!(jail.limits.ban_time, BanTime::Forever);
    assert_eq!(jail.ignore.len(), 2);
    assert_eq!(jail.chains, [Chain::Input].into());
    let PortsWanted::Some(ports) = &jail.ports else { panic!("{:?}", jail.ports) };
    assert_eq!(ports.len(), 4);
    assert_eq!((jail.block_type, jail.dry_run), (BlockType::Drop, true));
    assert_eq!(jail.log_zone.as_ref().and_then(|zone| zone.iana_name()), Some("Europe/Paris"));
    assert_eq!(jail.log_encoding, LogEncoding::parse("utf-16-le").unwrap());
}

#[test]
fn equal_labels_give_equal_jails_and_one_filter() {
    let mut library = Library::default();
    let web = container(&[FAIL, ("guard.port", "80")]);
    let mut jail = || read(&web, &Defaults::default(), &mut library).jails;
    let (one, two) = (jail(), jail());
    assert_eq!(one, two);
    assert_ne!(one, reading(&web).jails, "another library has other filters");
}

#[test]
fn the_chain_follows_the_network() {
    let check = |change: &dyn Fn(&mut Container), chain: Chain| {
        let mut container = container(&[FAIL, ("guard.logpath", "/log")]);
        change(&mut container);
        let Reading { jails, complaints } = reading(&container);
        assert_eq!(complaints, []);
        assert_eq!(jails[0].chains, [chain].into());
    };
    check(&|_| {}, Chain::DockerUser);
    check(&|c| c.network_mode = "host".to_owned(), Chain::Input);
    check(&|c| c.network_mode = "container:0123".to_owned(), Chain::DockerUser);
    check(&|c| c.own = true, Chain::Input);
}

#[test]
fn further_jails_take_limits_and_actions_but_no_regexes_and_sources() {
    let jails = jails(&[
        FAIL,
        ("guard.logpath", "/log"),
        ("guard.maxretry", "9"),
        ("guard.bantime", "1d"),
        ("guard.ignoreip", "192.0.2.1"),
        ("guard.dryrun", "on"),
        ("guard.jails.admin.failregex", "admin <HOST>$"),
        ("guard.jails.admin.bantime", "2d"),
        ("guard.jails.api.failregex", "api <HOST>$"),
        ("guard.jails.api.name", "api"),
        ("guard.jails.api.stream", "stderr"),
        ("guard.jails.off.enable", "false"),
        ("guard.jails.off.maxretry", "nonsense"),
    ]);
    let names: Vec<&str> = jails.iter().map(|jail| jail.name.as_str()).collect();
    assert_eq!(names, ["shop-web", "shop-web-admin", "api"]);
    let days = |days: u64| BanTime::For(Duration::from_secs(days * 86_400));
    let bans: Vec<BanTime> = jails.iter().map(|jail| jail.limits.ban_time).collect();
    assert_eq!(bans, [days(1), days(2), days(1)]);
    assert!(jails.iter().all(|jail| jail.limits.max_retry.get() == 9 && jail.dry_run));
    assert!(jails.iter().all(|jail| jail.ignore.len() == 1));
    assert_eq!(jails[0].sources, Sources::Files(vec!["/log".to_owned()]));
    assert_eq!(jails[1].sources, Sources::Output(StreamChoice::Both));
    assert_eq!(jails[2].sources, Sources::Output(StreamChoice::Stderr));
}

#[test]
fn options_may_be_only_defaults_for_further_jails() {
    let one = ("guard.jails.login.failregex", "<HOST>$");
    let found = jails(&[("guard.maxretry", "2"), ("guard.protocol", "udp"), one]);
    assert_eq!((found.len(), found[0].limits.max_retry.get()), (1, 2));
    let (names, complaints) = outcome(&[("guard.logpath", "/log"), one]);
    assert_eq!(names, ["shop-web-login"]);
    assert_eq!(complaints.len(), 1, "a source without a regex is no default: {complaints:?}");
}

#[test]
fn variables_give_defaults() {
    let variables = [("MAXRETRY", "7"), ("PORT", "published"), ("BANTIME", "1w")];
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (defaults, complaints) = Defaults::new("f2b", &variables);
    assert_eq!(complaints, []);
    let web = container(&[
        ("f2b.failregex", "<HOST>$"),
        ("f2b.bantime", "1d"),
        ("f2b.jails.b.failregex", "^<HOST>b"),
        ("guard.nonsense", "of another guard"),
    ]);
    let Reading { jails, complaints } = read(&web, &defaults, &mut Library::default());
    assert_eq!(complaints, []);
    assert_eq!(jails.len(), 2);
    for jail in jails {
        assert_eq!(jail.limits.max_retry.get(), 7);
        assert_eq!(jail.limits.ban_time, BanTime::For(Duration::from_secs(86_400)));
        let complaint = jail.rules(&BTreeSet::new()).unwrap_err();
        assert!(
            complaint.one_line().starts_with("container shop-web-1, variable GUARD_PORT:1:1: ")
        );
    }
}

#[test]
fn enable_false_turns_everything_off() {
    for off in ["false", "No", "0"] {
        let labels = [
            FAIL,
            ("guard.nonsense", "x"),
            ("guard.jails.a.failregex", "("),
            ("guard.enable", off),
        ];
        assert_eq!(outcome(&labels), (vec![], vec![]));
    }
}

#[test]
fn other_peoples_labels_are_none_of_ours() {
    assert_eq!(
        outcome(&[("guard", "x"), ("guardian.failregex", "("), ("traefik.enable", "true")]),
        (vec![], vec![])
    );
}

#[test]
fn one_bad_jail_leaves_the_others_alone() {
    let (names, complaints) = outcome(&[
        FAIL,
        ("guard.maxrety", "3"),
        ("guard.jails.a.failregex", "a <HOST>$"),
        ("guard.jails.b.failregex", "b <HOST>$"),
        ("guard.jails.b.port", "0"),
        ("guard.jails.b.bantime", "soon"),
    ]);
    assert_eq!(names, ["shop-web-a"]);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}

#[test]
fn a_wrong_default_refuses_those_that_take_it() {
    let (names, complaints) = outcome(&[
        ("guard.bantime", "soon"),
        ("guard.jails.a.failregex", "a <HOST>$"),
        ("guard.jails.b.failregex", "b <HOST>$"),
        ("guard.jails.b.bantime", "1h"),
    ]);
    assert_eq!(names, ["shop-web-b"]);
    assert_eq!(
        complaints,
        [
            "container shop-web-1, label guard.bantime:1:1: `soon` stands where a number must be; \
             write a number and a unit, such as `10m`, `1h 30m` or `1d`",
            "container shop-web-1, label guard.bantime:1:1: this jail takes `bantime` from here, \
             where it is wrong; mend it, or set `bantime` for the jail itself",
        ]
    );
}

#[test]
fn jails_of_one_name_are_refused() {
    let (names, complaints) = outcome(&[
        ("guard.jails.a.failregex", "a <HOST>$"),
        ("guard.jails.a.name", "x"),
        ("guard.jails.b.failregex", "b <HOST>$"),
        ("guard.jails.b.name", "x"),
        ("guard.jails.c.failregex", "c <HOST>$"),
    ]);
    assert_eq!(names, ["shop-web-c"]);
    assert_eq!(
        complaints,
        [
            "container shop-web-1, label guard.jails.a.name:1:1: the name `x` belongs to the jail of \
             `guard.jails.b.failregex` too; give one of the two another name with the label `name`",
            "container shop-web-1, label guard.jails.b.name:1:1: the name `x` belongs to the jail of \
             `guard.jails.a.failregex` too; give one of the two another name with the label `name`",
        ]
    );
}

#[test]
fn the_journal_is_for_guards_own_container() {
    let journal = ("guard.journal", "_SYSTEMD_UNIT=ssh.service + _COMM=sshd");
    let mut guard = container(&[FAIL, journal]);
    let complaints = |container: &Container| -> Vec<(String, bool)> {
        let complaints = reading(container).complaints.into_iter();
        complaints.map(|complaint| (complaint.what, complaint.in_key)).collect()
    };
    let elsewhere = "the host's journal is read by jails on guard's own container only";
    assert_eq!(complaints(&guard), [(elsewhere.to_owned(), true)]);
    guard.own = true;
    let jail = reading(&guard).jails.remove(0);
    assert_eq!(jail.sources, Sources::Journal(journal.1.parse().unwrap()));
    assert_eq!(jail.chains, [Chain::Input].into());
    guard.labels.insert("guard.logpath".to_owned(), "/log".to_owned());
    assert_eq!(complaints(&guard)[0].0, "a jail reads the journal or files, not both");
    guard.labels.remove("guard.logpath");
    guard.labels.insert("guard.journal".to_owned(), "_COMM=sshd  ssh.service".to_owned());
    let reading = reading(&guard);
    assert_eq!(reading.complaints.len(), 1, "{:?}", reading.complaints);
    let complaint = &reading.complaints[0];
    assert_eq!(&complaint.value[complaint.span.clone()], "ssh.service");
    assert!(complaint.remedy.as_ref().unwrap().contains("`_SYSTEMD_UNIT=`"));
}

#[test]
fn lists_in_files_are_for_guards_own_container() {
    let list = ("guard.ignoreip", "192.0.2.1 file:/etc/guard/ignore.txt");
    let mut guard = container(&[FAIL, list, ("guard.logpath", "/log")]);
    let Reading { jails, complaints } = reading(&guard);
    assert_eq!((jails.len(), complaints.len()), (0, 1));
    assert!(complaints[0].what.contains("files are read for guard itself only"));
    guard.own = true;
    let jail = reading(&guard).jails.remove(0);
    assert_eq!(jail.ignore[1], IgnoreEntry::File("/etc/guard/ignore.txt".to_owned()));
}

#[test]
fn guards_own_output_is_no_source() {
    let mut guard = container(&[FAIL]);
    guard.own = true;
    let Reading { jails, complaints } = reading(&guard);
    assert_eq!((jails.len(), complaints.len()), (0, 1));
    assert_eq!(complaints[0].what, "guard's own output is no source of failures");
    guard.labels.insert("guard.logpath".to_owned(), "/host/log/auth.log".to_owned());
    assert_eq!(reading(&guard).jails.len(), 1);
}

#[test]
fn a_container_named_manual_needs_another_name() {
    let mut manual = container(&[FAIL]);
    manual.service = ServiceId::Container("manual".into());
    assert_eq!(reading(&manual).jails, []);
    assert_eq!(reading(&manual).complaints.len(), 1);
    manual.labels.insert("guard.name".to_owned(), "hand".to_owned());
    assert_eq!(reading(&manual).jails.len(), 1);
}

#[test]
fn warnings_refuse_nothing() {
    let check = |labels: &[(&str, &str)], tty: bool, label: &str| {
        let mut container = container(&[&[FAIL], labels].concat());
        container.tty = tty;
        let Reading { jails, complaints } = reading(&container);
        let found: Vec<(Severity, &str)> =
            complaints.iter().map(|c| (c.severity, c.label.as_str())).collect();
        assert_eq!(found, [(Severity::Warning, label)]);
        assert_eq!(jails.len(), 1);
    };
    check(&[("guard.stream", "stdout"), ("guard.logpath", "/log")], false, "guard.stream");
    check(&[("guard.stream", "stderr")], true, "guard.stream");
    check(&[("guard.protocol", "udp")], false, "guard.protocol");
}

#[test]
fn bounds_hold() {
    let huge = "<HOST>\n".repeat(10_000);
    assert!(outcome(&[("guard.failregex", &huge)]).1[0].contains("longer than 65536 bytes"));
    let many = "<HOST>\n".repeat(101);
    let (names, complaints) = outcome(&[("guard.failregex", &many)]);
    assert!(names.is_empty() && complaints[0].contains(":101:1: more than 100 regexes"));
    let paths: String = (0..101).map(|n| format!("/log/{n}\n")).collect();
    assert!(outcome(&[FAIL, ("guard.logpath", &paths)]).1[0].contains("more than 100 log paths"));
    let keys: Vec<String> = (0..1000).map(|n| format!("guard.nonsense{n}")).collect();
    let labels: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "x")).collect();
    let (_, complaints) = outcome(&labels);
    assert_eq!(complaints.len(), 100);
    assert!(complaints[99].contains("and 900 more mistakes"));
}

#[test]
fn published_ports_are_resolved_late() {
    let ports = |list: &[(Protocol, u16)]| -> BTreeSet<(Protocol, PortRange)> {
        list.iter().map(|(p, port)| (*p, PortRange::new(*port, *port).unwrap())).collect()
    };
    let published = jail(&[("guard.port", "published")]);
    let open = ports(&[(Protocol::Tcp, 8080), (Protocol::Udp, 8080)]);
    let rules = published.rules(&open).unwrap();
    assert_eq!(rules.block.ports, Ports::Some(ports(&[(Protocol::Tcp, 8080)])));
    let shown = |open: &[(Protocol, u16)]| published.rules(&ports(open)).unwrap_err().one_line();
    assert_eq!(
        shown(&[(Protocol::Udp, 53)]),
        "container shop-web-1, label guard.port:1:1: the container publishes no tcp port, so a ban \
         would close nothing; udp port 53 is published; to close it, set `protocol` to `udp`"
    );
    assert!(shown(&[]).contains("publish a port, write `published:SERVICE`"));
    assert_eq!(jail(&[]).rules(&BTreeSet::new()).unwrap().block.ports, Ports::All);
}

/// What exactly is wrong with a regex is the filter's to say; where it stands
/// in the label is ours.
#[test]
fn errors_of_regexes_point_into_the_label() {
    let check = |labels: &[(&str, &str)], label: &str, line: &str| {
        let Reading { jails, complaints } = reading(&container(labels));
        assert_eq!(jails, []);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        let Complaint { label: at, value, span, .. } = &complaints[0];
        assert_eq!(at, label);
        let begin = value.find(line).unwrap();
        assert!(begin <= span.start && span.end <= begin + line.len(), "{complaints:?}");
    };
    check(&[("guard.failregex", "good <HOST>\n  no address\n")], "guard.failregex", "no address");
    check(&[FAIL, ("guard.failregex.1", "\n\n a <HOST> (\n")], "guard.failregex.1", "a <HOST> (");
    check(&[FAIL, ("guard.ignoreregex", "one\n(two")], "guard.ignoreregex", "(two");
}

fn some_label() -> impl Strategy<Value = (String, String)> {
    let option = (0..LABELS.len()).prop_map(|at| LABELS[at].name.to_owned());
    let key = prop_oneof![
        6 => option.clone().prop_map(|option| format!("guard.{option}")),
        3 => ("[a-c]", option.clone()).prop_map(|(jail, o)| format!("guard.jails.{jail}.{o}")),
        2 => (option, "[a-z.0-9A-Z]{0,3}").prop_map(|(option, tail)| format!("guard.{option}{tail}")),
        1 => "guard(\\.jails)?.{0,20}",
        1 => ".{0,20}",
    ];
    let value = prop_oneof![
        4 => proptest::sample::select(&["<HOST>$", "5", "10m", "-1", "all", "tcp", "INPUT", "drop", "/log", "UTC", "x", "true", "192.0.2.1", ""][..])
            .prop_map(str::to_owned),
        1 => "(.|\n){0,60}",
        1 => "[<HOST>()\\[\\]*+|\n]{0,30}",
    ];
    (key, value)
}

fn some_labels() -> impl Strategy<Value = LabelSet> {
    proptest::collection::vec(some_label(), 0..12).prop_map(|labels| labels.into_iter().collect())
}

proptest! {
    #[test]
    fn any_labels_give_jails_or_complaints(labels in some_labels()) {
        let ours = labels.keys().any(|key| key.to_ascii_lowercase().starts_with("guard."));
        let off = labels.keys().any(|key| key.to_ascii_lowercase().ends_with("enable"));
        let Reading { jails, complaints } = reading(&Container { labels, ..container(&[]) });
        let nothing = jails.is_empty() && complaints.is_empty();
        prop_assert!(off || ours != nothing);
        let names: BTreeSet<&JailName> = jails.iter().map(|jail| &jail.name).collect();
        prop_assert_eq!(names.len(), jails.len());
        for complaint in complaints {
            let text = if complaint.in_key { &complaint.label } else { &complaint.value };
            prop_assert!(text.get(complaint.span.clone()).is_some(), "{:?}", complaint);
            prop_assert!(!complaint.what.is_empty());
            prop_assert!(complaint.render().chars().all(|c| c == '\n' || !c.is_control()));
            if let (Severity::Error, Some(name)) = (complaint.severity, &complaint.jail) {
                prop_assert!(!names.contains(name), "{name} is refused and there");
            }
        }
    }
}
