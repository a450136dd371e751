//! What the stand-in answers: a host with two jails, one ban, one that is about to be.

use std::time::Duration;

use guard::control::protocol::{
    BanView, EngineView, FailingView, FirewallView, Health, InForce, JailState, JailStatus,
    JailSummary, Known, KnownIn, LineOf, NotifyTried, Options, Overview, Refusal, RefusedKind,
    Reply, Request, SourceKind, SourceStatus, StoreView, TargetView, Times, Which,
};
use guard::model::{
    Ban, BanOrigin, BanTime, HistoryEntry, JailName, Level, LiftedBy, Network, NoticeKind, Origin,
    Timestamp, Until, Written,
};

pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-03-01T{time}Z").parse().unwrap()
}

pub(crate) fn net(text: &str) -> Network {
    text.parse().unwrap()
}

fn name(text: &str) -> JailName {
    text.parse().unwrap()
}

/// The ban that stands.
pub(crate) fn ban(network: &str, since: &str, until: &str) -> Ban {
    Ban {
        jail: name("shop-web"),
        network: net(network),
        since: at(since),
        until: Until::Time(at(until)),
        origin: BanOrigin::Failures,
        failures: 3,
    }
}

fn standing() -> Ban {
    ban("203.0.113.9", "11:58:20", "12:58:20")
}

fn view(ban: &Ban) -> BanView {
    BanView::new(ban, InForce::Yes)
}

pub(crate) fn reply(request: Request) -> Reply {
    match request {
        Request::Ping => Reply::Pong(Health {
            firewall_problem: None,
            engine_problem: None,
            store_problem: None,
        }),
        Request::Version => Reply::Version { guard: env!("CARGO_PKG_VERSION").into() },
        Request::Status { jail: None } => Reply::Status(overview()),
        Request::Status { jail: Some(jail) } if jail == "web" || jail == "shop-web" => {
            Reply::Jail(Box::new(jail_status()))
        }
        Request::Status { jail: Some(jail) } => Reply::refused(
            RefusedKind::NotFound,
            format!("there is no jail `{jail}`; did you mean `shop-web`?"),
        ),
        Request::Banned { network: None } => {
            Reply::Banned { network: None, bans: vec![view(&standing())] }
        }
        Request::Banned { network: Some(network) } => {
            let bans = Some(standing()).filter(|ban| ban.network.covers(network));
            Reply::Banned { network: Some(network), bans: bans.iter().map(view).collect() }
        }
        Request::Notify { target } => Reply::Notified { targets: notified(target.as_deref()) },
        Request::Doctor | Request::Suggest => {
            Reply::refused(RefusedKind::Busy, "this guard has nothing to look at")
        }
        Request::Backup | Request::Upload { .. } | Request::Restore { .. } => {
            Reply::refused(RefusedKind::Busy, "this guard remembers nothing")
        }
        Request::Why { network } => Reply::Why(Box::new(why(network))),
        Request::Ban { networks, time, .. } => {
            let time = time.unwrap_or(BanTime::For(Duration::from_secs(600)));
            let ban = |network| Ban {
                jail: name("manual"),
                network,
                since: at("12:00:00"),
                until: time.from(at("12:00:00")),
                origin: BanOrigin::Hand,
                failures: 0,
            };
            let banned = networks.into_iter().map(|network| view(&ban(network))).collect();
            Reply::Ban { banned, refused: Vec::new(), only_in_memory: None, not_in_kernel: None }
        }
        Request::Unban { which, .. } => {
            let networks = match which {
                Which::All => vec![standing().network],
                Which::Networks(networks) => networks,
            };
            let (lifted, absent): (Vec<_>, Vec<_>) =
                networks.into_iter().partition(|network| *network == standing().network);
            Reply::Unban {
                lifted: lifted.iter().map(|_| view(&standing())).collect(),
                absent,
                covered: Vec::new(),
                only_in_memory: None,
                not_in_kernel: None,
            }
        }
        Request::Flush => Reply::Flushed { lifted: 1, only_in_memory: None, not_in_kernel: None },
        Request::History { network, .. } => Reply::History {
            network,
            now: at("12:00:00"),
            bans: history(),
            more: 0,
            times: vec![Times { network: standing().network, times: 2 }],
            problem: None,
        },
        Request::Try { service, .. } => Reply::refused(RefusedKind::NotFound, service),
        Request::ImportBans { jail, .. } => Reply::refused(RefusedKind::NotFound, jail),
        Request::Fail2ban { .. } => {
            Reply::refused(RefusedKind::Usage, "it is not part of this test")
        }
        Request::Watch => Reply::refused(RefusedKind::Usage, "the server does that"),
    }
}

/// Where notices go.
fn target() -> TargetView {
    TargetView {
        name: "phone".into(),
        service: "ntfy".into(),
        place: "ntfy.sh".into(),
        events: NoticeKind::ALL.into(),
        level: Level::Note,
        sent: 12,
        failed: 0,
        waiting: 0,
        dropped: 0,
        last_error: None,
        last_error_at: None,
    }
}

fn notified(asked: Option<&str>) -> Vec<NotifyTried> {
    let tried = |name: &str, service: &str, place: &str, ok, answer: &str| NotifyTried {
        name: name.into(),
        service: service.into(),
        place: place.into(),
        ok,
        answer: answer.into(),
    };
    let all = vec![
        tried("phone", "ntfy", "ntfy.sh", true, "HTTP 200: {\"id\":\"hwQ2YpKdmg\"}"),
        tried(
            "mail",
            "mail",
            "mail.example.org",
            false,
            "permanent error (535): 5.7.8 Authentication failed",
        ),
    ];
    all.into_iter().filter(|tried| asked.is_none_or(|asked| tried.name == asked)).collect()
}

fn overview() -> Overview {
    let summary = |jail: &str, service: &str, found, banned_total| JailSummary {
        name: name(jail),
        service: service.into(),
        state: JailState::Watching,
        found,
        failed_now: u64::from(found > 0),
        banned_now: u64::from(found > 0),
        banned_total,
        warnings: Vec::new(),
        dry_run: false,
        sources: match jail {
            "manual" => Vec::new(),
            _ => vec![SourceStatus::new("shop-web-1".into(), SourceKind::Output)],
        },
        packets: None,
    };
    Overview {
        guard: env!("CARGO_PKG_VERSION").into(),
        uptime: 93_784,
        engine: EngineView { connected: true, words: "Docker 28.5.2 (API 1.51)".into() },
        firewall: FirewallView {
            backend: "ipset, iptables-nft".into(),
            healthy: true,
            problems: Vec::new(),
            repairs: 0,
            heard: 0,
        },
        store: StoreView {
            path: "/var/lib/guard/guard.db".into(),
            healthy: true,
            problem: None,
            dropped_history: 0,
        },
        notices: vec![target()],
        metrics: None,
        jails: vec![summary("manual", "guard", 0, 0), summary("shop-web", "shop/web", 7, 2)],
        refused: vec![Refusal {
            container: "shop-db-1".into(),
            label: "guard.maxrety".into(),
            complaint: "error: unknown option `maxrety`\n --> container shop-db-1, label \
                        guard.maxrety:1:7\n  |\n1 | guard.maxrety\n  |       ^^^^^^^\n  |\n  = \
                        help: did you mean `guard.maxretry`?\n"
                .into(),
        }],
        notes: Vec::new(),
    }
}

fn jail_status() -> JailStatus {
    let written = |option: &str, value: &str, origin| Written {
        option: option.into(),
        value: value.into(),
        origin,
    };
    let label = |key: &str| Origin::Label(key.into());
    JailStatus {
        name: name("shop-web"),
        service: "shop/web".into(),
        state: JailState::Watching,
        sources: vec![SourceStatus::new("shop-web-1".into(), SourceKind::Output)],
        failed_now: 1,
        found_total: 7,
        banned_now: 1,
        banned_total: 2,
        banned: vec![view(&standing())],
        options: Options {
            maxretry: 3,
            findtime: 600,
            bantime: BanTime::For(Duration::from_secs(3600)),
            ignoreip: vec!["192.168.1.0/24".into()],
            port: vec!["tcp/8080".into()],
            chain: vec!["DOCKER-USER".into()],
            blocktype: "reject".into(),
            dryrun: false,
        },
        written: vec![
            written("filter", "nginx-http-auth", label("guard.filter")),
            written("failregex", "^first <HOST>$", Origin::Filter("nginx-http-auth".into())),
            written("failregex", "^second <HOST>$", Origin::Filter("nginx-http-auth".into())),
            written("failregex", "^login failed from <HOST>$", label("guard.failregex")),
            written("maxretry", "3", label("guard.maxretry")),
            written("findtime", "10m", Origin::Default),
            written("bantime", "1h", Origin::Variable("GUARD_BANTIME".into())),
            written("ignoreip", "192.168.1.0/24", label("guard.ignoreip")),
            written("port", "published", label("guard.port")),
            written("blocktype", "reject", Origin::Default),
        ],
        firewall_chain: Some("f2b-shop-web".into()),
        packets: None,
        warnings: Vec::new(),
        dropped: Vec::new(),
    }
}

fn history() -> Vec<HistoryEntry> {
    let entry = |ban, lifted, lines: &[&str]| HistoryEntry {
        ban,
        prolonged: false,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        lifted,
        lifted_by: lifted.map(|_| LiftedBy::Hand),
    };
    vec![
        entry(ban("203.0.113.9", "09:12:00", "10:12:00"), Some(at("09:20:00")), &[]),
        entry(
            standing(),
            None,
            &["login failed from 203.0.113.9", "login failed from 203.0.113.9"],
        ),
    ]
}

fn why(network: Network) -> Known {
    let mut jail = KnownIn {
        jail: name("shop-web"),
        service: "shop/web".into(),
        maxretry: 3,
        findtime: 600,
        bantime: BanTime::For(Duration::from_secs(3600)),
        dry_run: false,
        never: None,
        bans: Vec::new(),
        more_bans: 0,
        failing: Vec::new(),
        more_failing: 0,
        forgiven_until: None,
        earlier_bans: 0,
        lines: Vec::new(),
    };
    let (mut jails, mut bans, mut times) = (Vec::new(), Vec::new(), Vec::new());
    if network == standing().network {
        jail.bans.push(view(&standing()));
        jail.forgiven_until = Some(at("11:58:20"));
        jails.push(jail);
        bans = history();
        times.push(Times { network, times: 2 });
    } else if network == net("203.0.113.77") {
        jail.failing.push(FailingView {
            network,
            times: vec![at("11:55:00"), at("11:59:30")],
            needed: 1,
            until: at("12:05:00"),
            waits: None,
        });
        let line = "login failed from 203.0.113.77".to_owned();
        jail.lines = vec![LineOf { network, line: line.clone() }, LineOf { network, line }];
        jails.push(jail);
    }
    Known {
        network,
        now: at("12:00:00"),
        jails,
        all_jails: 2,
        history: bans,
        more: 0,
        times,
        problem: None,
    }
}
