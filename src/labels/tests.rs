//! Labels in, jails and complaints out.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    BanTime, BlockType, Chain, ContainerId, LabelSet, Limits, PortRange, Ports, Protocol,
    ServiceId, Timestamp,
};

fn container(labels: &[(&str, &str)]) -> Container {
    Container {
        id: ContainerId("0123456789abcdef".into()),
        name: "shop-web-1".into(),
        service: ServiceId::Compose { project: "shop".into(), service: "web".into() },
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        created: Timestamp::UNIX_EPOCH,
        started: None,
        running: true,
        tty: false,
        log_driver: "json-file".to_owned(),
        network_mode: "shop_default".to_owned(),
        ports: Vec::new(),
        mounts: Vec::new(),
        timezone: None,
        one_off: false,
        own: false,
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
        ("guard.failregex.1", "also <HOST>\nand <HOST>"),
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
        ("guard.jails.admin.failregex", "admin <HOST>"),
        ("guard.jails.admin.bantime", "2d"),
        ("guard.jails.api.failregex", "api <HOST>"),
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
    let one = ("guard.jails.login.failregex", "<HOST>");
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
        ("f2b.failregex", "<HOST>"),
        ("f2b.bantime", "1d"),
        ("f2b.jails.b.failregex", "<HOST>b"),
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
        ("guard.jails.a.failregex", "a <HOST>"),
        ("guard.jails.b.failregex", "b <HOST>"),
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
        ("guard.jails.a.failregex", "a <HOST>"),
        ("guard.jails.b.failregex", "b <HOST>"),
        ("guard.jails.b.bantime", "1h"),
    ]);
    assert_eq!(names, ["shop-web-b"]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
}

#[test]
fn jails_of_one_name_are_refused() {
    let (names, complaints) = outcome(&[
        ("guard.jails.a.failregex", "a <HOST>"),
        ("guard.jails.a.name", "x"),
        ("guard.jails.b.failregex", "b <HOST>"),
        ("guard.jails.b.name", "x"),
        ("guard.jails.c.failregex", "c <HOST>"),
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

/// The complaints of these labels, as a person sees them.
fn check(labels: &[(&str, &str)], rendered: &str) {
    let complaints = reading(&container(labels)).complaints;
    let got: Vec<String> = complaints.iter().map(Complaint::render).collect();
    let got = got.join("\n\n");
    assert_eq!(got, rendered.trim(), "\n{got}\n");
}

#[test]
fn common_mistakes_as_they_are_shown() {
    check(
        &[FAIL, ("guard.maxrety", "3")],
        r#"
error: unknown option `maxrety`
 --> container shop-web-1, label guard.maxrety
  |
1 | guard.maxrety
  |       ^^^^^^^
  |
  = help: did you mean `guard.maxretry`?
"#,
    );
    check(
        &[FAIL, ("guard.jail.login.maxretry", "3")],
        r#"
error: unknown option `jail.login.maxretry`
 --> container shop-web-1, label guard.jail.login.maxretry
  |
1 | guard.jail.login.maxretry
  |       ^^^^^^^^^^^^^^^^^^^
  |
  = help: did you mean `guard.jails.login.maxretry`?
"#,
    );
    check(
        &[FAIL, ("guard.maxretry", "five")],
        r#"
error: `five` is no whole number
 --> container shop-web-1, label guard.maxretry:1:1
  |
1 | five
  | ^^^^
  |
  = help: `maxretry` takes a whole number from 1 to 10000
"#,
    );
    check(
        &[FAIL, ("guard.maxretry", "\"5\"")],
        r#"
error: `"5"` is no whole number
 --> container shop-web-1, label guard.maxretry:1:1
  |
1 | "5"
  | ^^^
  |
  = help: the quotes are part of the value here; in a list, write `- "guard.maxretry=5"`
"#,
    );
    check(
        &[FAIL, ("guard.bantime", "1dw")],
        r#"
error: `dw` is no unit of time
 --> container shop-web-1, label guard.bantime:1:2
  |
1 | 1dw
  |  ^^
  |
  = help: the units are `s`, `m`, `h`, `d`, `w`, `mo` and `y`
"#,
    );
    check(
        &[FAIL, ("guard.findtime", "-1")],
        r#"
error: a time must be above 0
 --> container shop-web-1, label guard.findtime:1:1
  |
1 | -1
  | ^^
  |
  = help: `findtime` takes a time such as `600`, `10m` or `1d 3h`
"#,
    );
    check(
        &[FAIL, ("guard.chain", "FORWARD")],
        r#"
error: `FORWARD` is not allowed here
 --> container shop-web-1, label guard.chain:1:1
  |
1 | FORWARD
  | ^^^^^^^
  |
  = help: `chain` takes `DOCKER-USER` or `INPUT`, or both with a comma between
"#,
    );
    check(
        &[FAIL, ("guard.port", "80,htpps")],
        r#"
error: `htpps` is no port that guard knows by name
 --> container shop-web-1, label guard.port:1:4
  |
1 | 80,htpps
  |    ^^^^^
  |
  = help: did you mean `https`? Otherwise write the number
"#,
    );
    check(
        &[FAIL, ("guard.logpath", "/log/a.log\nlogs/b.log")],
        r#"
error: `logs/b.log` is not absolute
 --> container shop-web-1, label guard.logpath:2:1
  |
2 | logs/b.log
  | ^^^^^^^^^^
  |
  = help: write the path from `/` on, as the container names it
"#,
    );
    check(
        &[("guard.maxretry", "3")],
        r#"
error: the jail has no `failregex`
 --> container shop-web-1, label guard.maxretry
  |
1 | guard.maxretry
  | ^^^^^^^^^^^^^^
  |
  = help: add it: it says which lines are failures, with `<HOST>` where the address is
"#,
    );
    check(
        &[("guard.failregex", "")],
        r#"
error: the value is empty
 --> container shop-web-1, label guard.failregex:1:1
  |
1 |
  | ^
  |
  = help: `failregex` takes regular expressions, one a line
"#,
    );
    check(
        &[FAIL, ("guard.ignoreip", "10.0.0.0/8 192.168.0.0/33")],
        r#"
error: `192.168.0.0/33` is no address, prefix or DNS name
 --> container shop-web-1, label guard.ignoreip:1:12
  |
1 | 10.0.0.0/8 192.168.0.0/33
  |            ^^^^^^^^^^^^^^
  |
  = help: `ignoreip` takes addresses, prefixes such as `192.0.2.0/24`, and DNS names
"#,
    );
    check(
        &[FAIL, ("guard.blocktype", "dorp")],
        r#"
error: `dorp` is not allowed here
 --> container shop-web-1, label guard.blocktype:1:1
  |
1 | dorp
  | ^^^^
  |
  = help: did you mean `drop`?
"#,
    );
    check(
        &[FAIL, ("guard.logtimezone", "Paris")],
        r#"
error: `Paris` is no time zone
 --> container shop-web-1, label guard.logtimezone:1:1
  |
1 | Paris
  | ^^^^^
  |
  = help: `logtimezone` takes a zone such as `Europe/Paris`, `UTC` or `UTC+0200`
"#,
    );
    check(
        &[FAIL, ("guard.name", "my web")],
        r#"
error: ` ` can't stand here in a name
 --> container shop-web-1, label guard.name:1:3
  |
1 | my web
  |   ^
  |
  = help: use letters, digits, `.`, `_` and `-`, the first a letter or digit
"#,
    );
    check(
        &[FAIL, ("guard.enable", "maybe")],
        r#"
error: `maybe` is not allowed here
 --> container shop-web-1, label guard.enable:1:1
  |
1 | maybe
  | ^^^^^
  |
  = help: `enable` takes `true` or `false`
"#,
    );
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
        3 => ("[a-c]", option.clone()).prop_map(|(jail, option)| format!("guard.jails.{jail}.{option}")),
        2 => (option, "[a-z.0-9A-Z]{0,3}").prop_map(|(option, tail)| format!("guard.{option}{tail}")),
        1 => "guard(\\.jails)?.{0,20}",
        1 => ".{0,20}",
    ];
    let value = prop_oneof![
        4 => proptest::sample::select(&["<HOST>", "5", "10m", "-1", "all", "tcp", "INPUT", "drop", "/log", "UTC", "x", "true", "192.0.2.1", ""][..])
            .prop_map(str::to_owned),
        1 => "(.|\n){0,60}",
        1 => "[<HOST>()\\[\\]*+|\n]{0,30}",
    ];
    (key, value)
}

proptest! {
    #[test]
    fn any_labels_give_jails_or_complaints(labels in proptest::collection::btree_map(some_label().prop_map(|l| l.0), some_label().prop_map(|l| l.1), 0..12)) {
        let labels: LabelSet = labels;
        let ours = labels.keys().any(|key| key.to_ascii_lowercase().starts_with("guard."));
        let off = labels.keys().any(|key| key.to_ascii_lowercase().ends_with("enable"));
        let Reading { jails, complaints } = reading(&Container { labels, ..container(&[]) });
        prop_assert!(off || ours == !(jails.is_empty() && complaints.is_empty()));
        let names: BTreeSet<&JailName> = jails.iter().map(|jail| &jail.name).collect();
        prop_assert_eq!(names.len(), jails.len());
        for complaint in complaints {
            let text = if complaint.in_key { &complaint.label } else { &complaint.value };
            prop_assert!(text.get(complaint.span.clone()).is_some(), "{:?}", complaint);
            prop_assert!(!complaint.what.is_empty());
            prop_assert!(complaint.render().chars().all(|c| c == '\n' || !c.is_control()));
            let refused = complaint.severity == Severity::Error && complaint.jail.is_some();
            prop_assert!(!(refused && jails.iter().any(|jail| Some(&jail.name) == complaint.jail.as_ref())));
        }
    }
}
