use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::model::{
    BlockRules, BlockType, Chain, ContainerCheckup, EngineCheckup, JailRules, Limits, Mount,
    MountKind, OwnPlatform, Policy, PortRange, Ports, Protocol, PublishedPort, ServiceId,
    Timestamp,
};

fn well() -> Facts {
    Facts {
        now: Timestamp::UNIX_EPOCH,
        engine: Ok(EngineCheckup { version: "28.5.2".into(), ..EngineCheckup::default() }),
        process: Process {
            platform: OwnPlatform::default(),
            capabilities: Some(1 << 12 | 1 << 13 | 1 << 2),
            files: Some((65_536, 30)),
            inotify: Some(128),
            data: Data {
                path: "/var/lib/guard".into(),
                file_system: Some("ext4".into()),
                free: Some(1 << 34),
                size: Some(4096),
            },
            lock_file: "/run/xtables.lock".into(),
            private_mounts: Vec::new(),
        },
        own: None,
        guarded: Vec::new(),
        published: Vec::new(),
        no_ipv6: false,
        running: None,
    }
}

fn container(name: &str) -> ContainerCheckup {
    let mut checked = crate::suggest::tests::checked("x", &[], &[]);
    checked.container.name = name.into();
    checked.container.service = ServiceId::Container(name.into());
    checked.container.network_mode = "host".into();
    checked.restart = "always".into();
    checked
}

fn jail(name: &str, ports: Ports) -> JailFacts {
    JailFacts {
        rules: Arc::new(JailRules {
            name: name.parse().unwrap(),
            service: ServiceId::Container(name.into()),
            limits: Limits::default(),
            ignore: Vec::new(),
            block: BlockRules {
                chains: BTreeSet::from([Chain::DockerUser]),
                ports,
                block_type: BlockType::Reject,
            },
            dry_run: false,
            policy: Policy::default(),
        }),
        live: true,
        found: 0,
        pending: 0,
        hidden: Vec::new(),
        reaching: Vec::new(),
        warnings: Vec::new(),
        awaited: Vec::new(),
        has_sources: true,
        probe: None,
    }
}

fn with_jail(jail: JailFacts) -> Facts {
    let running = Running { all_told: true, jails: vec![jail], ..Running::default() };
    Facts { running: Some(running), ..well() }
}

/// What is found of these facts is this bad, and says all these words in one finding.
#[track_caller]
fn check(facts: &Facts, level: Level, words: &[&str]) {
    let found = findings(facts);
    let says = |finding: &&Finding| words.iter().all(|word| finding.one_line().contains(word));
    let Some(finding) = found.iter().find(says) else { panic!("{words:?} in {found:#?}") };
    assert_eq!(finding.level, level, "{finding:?}");
    assert_eq!(worst(&found), level, "{found:#?}");
    assert!(
        level == Level::Ok
            || finding.why.is_some()
            || !finding.cure.is_empty()
            || !finding.what.is_empty()
    );
}

#[test]
fn what_is_well_is_said_to_be() {
    let found = findings(&well());
    assert!(found.len() >= 3, "{found:?}");
    check(&well(), Level::Ok, &["Docker 28.5.2", "answers all"]);
    check(&with_jail(jail("web", Ports::All)), Level::Ok, &["jail web", "found 0 failures"]);
}

#[test]
fn where_metrics_are_is_told() {
    let with = |problem: Option<&str>, warning: Option<&str>| {
        let mut facts = with_jail(jail("web", Ports::All));
        let metrics = Metrics {
            address: "http://127.0.0.1:9871/metrics".into(),
            problem: problem.map(Into::into),
            warning: warning.map(Into::into),
        };
        let running = facts.running.as_mut();
        running.into_iter().for_each(|running| running.metrics = Some(metrics.clone()));
        facts
    };
    let served = "metrics are served at http://127.0.0.1:9871/metrics";
    check(&with(None, None), Level::Ok, &[served]);
    check(&with(None, Some("others can read them")), Level::Note, &[served, "others can"]);
    check(&with(Some("the port is taken"), None), Level::Warning, &["the port is taken"]);
}

#[test]
fn engines_that_are_not_as_they_should_be() {
    let of = |change: &dyn Fn(&mut EngineCheckup)| {
        let mut facts = well();
        change(facts.engine.as_mut().unwrap());
        facts
    };
    let gone = Facts { engine: Err("no socket at /x".into()), ..well() };
    check(&gone, Level::Error, &["no socket at /x"]);
    let refused = of(&|e| e.refused.push(("/networks", "403".into())));
    check(&refused, Level::Error, &["/networks", "NETWORKS=1", "bans nobody"]);
    let refused = of(&|e| e.refused.push(("/info", "403".into())));
    check(&refused, Level::Warning, &["/info", "INFO=1"]);
    check(&of(&|e| e.platform.desktop = true), Level::Error, &["Docker Desktop"]);
    check(&of(&|e| e.swarm = true), Level::Note, &["swarm", "mode: host"]);
    let nft = of(&|e| e.firewall_backend = Some("nftables".into()));
    check(&nft, Level::Note, &["nftables", "table of its own"]);
    let firewalld = of(&|e| e.firewall_backend = Some("iptables+firewalld".into()));
    check(&firewalld, Level::Note, &["firewalld"]);
    let seconds = jiff::SignedDuration::from_secs;
    check(&of(&|e| e.clock = Some(seconds(90))), Level::Warning, &["90 s ahead of"]);
    check(&of(&|e| e.clock = Some(seconds(-90))), Level::Warning, &["90 s behind"]);
    check(&of(&|e| e.clock = Some(seconds(1))), Level::Ok, &["answers all"]);
}

#[test]
fn what_the_process_lacks() {
    let of = |change: &dyn Fn(&mut Process)| {
        let mut facts = well();
        change(&mut facts.process);
        facts
    };
    check(&of(&|p| p.capabilities = Some(1 << 13 | 2)), Level::Error, &["NET_ADMIN", "cap_add"]);
    check(&of(&|p| p.capabilities = Some(1 << 12 | 2)), Level::Error, &["NET_RAW"]);
    let no_read = of(&|p| p.capabilities = Some(1 << 12 | 1 << 13));
    check(&no_read, Level::Note, &["DAC_READ_SEARCH"]);
    check(&of(&|p| p.files = Some((100, 90))), Level::Warning, &["90 of 100 files", "ulimits"]);
    check(&of(&|p| p.files = Some((512, 9))), Level::Note, &["9 of 512 files"]);
    check(&of(&|p| p.inotify = Some(8)), Level::Note, &["inotify"]);
    check(&of(&|p| p.data.free = Some(1 << 20)), Level::Warning, &["only 1 MiB"]);
    let layer = of(&|p| p.data.file_system = Some("overlay".into()));
    check(&layer, Level::Warning, &["in the container itself", "guard-data:/var/lib/guard"]);
    // On the host, that may be meant so.
    check(&of(&|p| p.data.file_system = Some("tmpfs".into())), Level::Ok, &["on tmpfs"]);
}

#[test]
fn containers_that_hide_what_guard_needs() {
    let own = |change: &dyn Fn(&mut ContainerCheckup)| {
        let mut own = container("guard");
        change(&mut own);
        Facts { own: Some(own), ..well() }
    };
    check(&own(&|_| ()), Level::Ok, &["capabilities"]);
    let bridged = own(&|own| own.container.network_mode = "bridge".into());
    check(&bridged, Level::Error, &["network_mode: host"]);
    check(&own(&|own| own.restart = "no".into()), Level::Warning, &["restart: unless-stopped"]);

    let of = |change: &dyn Fn(&mut ContainerCheckup)| {
        let mut web = container("web");
        change(&mut web);
        Facts { guarded: vec![web], ..well() }
    };
    check(&of(&|_| ()), Level::Ok, &["container web", "nothing hides"]);
    check(&of(&|web| web.container.log_driver = "none".into()), Level::Error, &["json-file"]);
    check(&of(&|web| web.container.log_driver = "syslog".into()), Level::Note, &["cache-disabled"]);
    let v6 = |web: &mut ContainerCheckup| web.published_v6 = vec![8080];
    check(&of(&v6), Level::Note, &["8080", "docker-proxy", "enable_ipv6", "userland-proxy"]);
    let mut without = of(&v6);
    without.engine.as_mut().unwrap().userland_proxy = Some(false);
    check(&without, Level::Ok, &["nothing hides"]);
    let both = |web: &mut ContainerCheckup| (web.published_v6, web.has_v6) = (vec![8080], true);
    check(&of(&both), Level::Ok, &["nothing hides"]);
    let off = Facts { no_ipv6: true, ..of(&both) };
    check(&off, Level::Warning, &["container web", "GUARD_IPV6"]);
    let ingress = |web: &mut ContainerCheckup| web.networks.push("ingress".into());
    check(&of(&ingress), Level::Warning, &["routing mesh", "mode: host"]);
}

#[test]
fn jails_that_do_not_do_their_work() {
    let of = |change: &dyn Fn(&mut JailFacts)| {
        let mut jail = jail("web", Ports::All);
        change(&mut jail);
        with_jail(jail)
    };
    let hidden = of(&|jail| jail.hidden.push(("hidden 172.17.0.1".into(), "cure".into())));
    check(&hidden, Level::Error, &["jail web", "172.17.0.1", "cure"]);
    check(&of(&|jail| jail.warnings.push("file x".into())), Level::Warning, &["file x"]);
    check(&of(&|jail| jail.pending = 3), Level::Error, &["3 of its bans"]);
    check(&of(&|jail| jail.has_sources = false), Level::Warning, &["nothing of it is read"]);
    check(&of(&|jail| jail.awaited.push("/x".into())), Level::Note, &["no /x yet"]);
    let reaching = |jail: &mut JailFacts| jail.reaching.push("192.0.2.7".parse().unwrap());
    check(&of(&reaching), Level::Error, &["192.0.2.7 is banned, and goes on failing", "INPUT"]);

    let probe = |lines, matched, missed: Option<Missed>| {
        let sources = vec!["web".to_owned()];
        Some(Probe { sources, lines, matched, missed, suspicious: 4 })
    };
    let missed = Missed { line: "Login failed".into(), near: Some("failregex 1".into()) };
    let blind = of(&|jail| jail.probe = probe(10, 0, Some(missed.clone())));
    check(
        &blind,
        Level::Warning,
        &["none of the last 10 lines of web", "4 look", "Login failed", "failregex 1"],
    );
    check(&of(&|jail| jail.probe = probe(10, 1, Some(missed.clone()))), Level::Ok, &["it reads"]);
    check(&of(&|jail| jail.probe = probe(999, 0, None)), Level::Note, &["none of the last 999"]);
    check(&of(&|jail| jail.probe = probe(9, 0, None)), Level::Ok, &["it reads"]);
    check(&of(&|jail| jail.probe = probe(0, 0, None)), Level::Note, &["no line yet"]);
}

#[test]
fn a_ban_must_close_a_port_that_somebody_publishes() {
    let port = |number| PortRange::new(number, number).unwrap();
    let closes = |number| Ports::Some(BTreeSet::from([(Protocol::Tcp, port(number))]));
    let facts = |jail: JailFacts| {
        let mut facts = with_jail(jail);
        facts.published = vec![PublishedPort { port: port(8080), protocol: Protocol::Tcp }];
        let mut web = container("web");
        web.container.ports.clone_from(&facts.published);
        facts.guarded = vec![web];
        facts
    };
    let wrong = facts(jail("web", closes(80)));
    check(
        &wrong,
        Level::Warning,
        &["closes tcp/80", "it publishes tcp/8080", "guard.port: published"],
    );
    check(&facts(jail("web", closes(8080))), Level::Ok, &["it reads"]);
    // Somebody on the host may listen there.
    let mut input = jail("web", closes(80));
    Arc::get_mut(&mut input.rules).unwrap().block.chains.insert(Chain::Input);
    check(&facts(input), Level::Ok, &["it reads"]);
}

#[test]
fn what_a_running_guard_knows() {
    let of = |change: &dyn Fn(&mut Running)| {
        let mut facts = with_jail(jail("web", Ports::All));
        change(facts.running.as_mut().unwrap());
        facts
    };
    let firewall = of(&|r| r.firewall_problems.push("no DOCKER-USER".into()));
    check(&firewall, Level::Error, &["firewall", "no DOCKER-USER"]);
    check(&of(&|r| r.store_problem = Some("disk full".into())), Level::Error, &["disk full"]);
    check(&of(&|r| r.keeps_rules = true), Level::Note, &["GUARD_ON_STOP"]);
    check(&of(&|r| r.repairs = 2), Level::Note, &["2 times"]);
    check(
        &of(&|r| r.refused.push(("x".into(), "typo".into()))),
        Level::Error,
        &["labels of x", "typo"],
    );
    check(&of(&|r| r.jails.clear()), Level::Warning, &["guardctl suggest"]);
    let many = of(&|r| r.refused = vec![("x".into(), "typo".into()); 10_000]);
    let found = findings(&many);
    assert_eq!((found.len(), worst(&found)), (MAX_FINDINGS, Level::Error));
}

/// Legacy tables are written whole, one at a time: who has a lock of his own breaks in.
#[test]
fn a_lock_that_is_not_the_hosts_is_told_of_where_tables_are_legacy() {
    let lock = "/run/xtables.lock";
    let told = |firewall: &str, lock_file: &str, mount: Option<(MountKind, &str)>| {
        let mut own = container("guard");
        own.container.mounts.extend(mount.map(|(kind, destination)| Mount {
            kind,
            source: "/somewhere".into(),
            destination: destination.into(),
        }));
        let mut facts = Facts { own: Some(own), ..well() };
        facts.running = Some(Running { firewall: firewall.into(), ..Running::default() });
        facts.process.lock_file = lock_file.into();
        let found = findings(&facts);
        let notes = found.iter().filter(|finding| finding.level == Level::Note);
        notes.filter(|note| note.one_line().contains("create_host_path: false")).count() == 1
    };
    for firewall in ["ipset, iptables-legacy", "iptables-nft, ip6tables-legacy"] {
        assert!(told(firewall, lock, None));
        assert!(told(firewall, lock, Some((MountKind::Other, "/run"))));
        assert!(told(firewall, lock, Some((MountKind::Bind, "/run/xtables"))));
        assert!(told(firewall, lock, Some((MountKind::Volume, "/run"))), "a volume is guard's");
        for mounted in [lock, "/run", "/var/run", "/var/run/xtables.lock", "/"] {
            assert!(!told(firewall, lock, Some((MountKind::Bind, mounted))), "{mounted}");
        }
        assert!(!told(firewall, "/host/lock", Some((MountKind::Bind, "/host"))));
    }
    assert!(!told("ipset, iptables-nft", lock, None));
    assert!(!told("nftables", lock, None));
    let running = Running { firewall: "iptables-legacy".into(), ..Running::default() };
    let on_the_host = Facts { running: Some(running), ..well() };
    assert!(!findings(&on_the_host).iter().any(|finding| finding.one_line().contains("lock")));
}
