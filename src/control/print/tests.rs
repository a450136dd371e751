use proptest::prelude::*;

use super::*;
use crate::control::protocol::{
    Counter, EngineView, FirewallView, JailState, JailStatus, JailSummary, MetricsView, Options,
    Overview, Refusal, SourceKind, SourceState, SourceStatus, StoreView, decode_reply,
};
use crate::model::{About, BanOrigin, BanTime};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What a terminal without colours shows.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn check(reply: &Reply, out: &str, err: &str) {
    let text = text(reply, &TimeZone::UTC);
    assert_eq!(plain(&text.out), out);
    assert_eq!(plain(&text.err), err);
}

fn view(network: &str, until: Until, in_force: InForce) -> BanView {
    BanView {
        jail: "web".parse().unwrap(),
        network: network.parse().unwrap(),
        since: at("2025-05-26T11:57:27.5Z"),
        until,
        origin: BanOrigin::Failures,
        failures: 5,
        in_force,
    }
}

fn soon() -> Until {
    Until::Time(at("2025-05-26T12:07:27.5Z"))
}

fn an_overview() -> Overview {
    Overview {
        guard: "0.1.0".into(),
        uptime: 93_784,
        engine: EngineView { connected: true, words: "Docker 20.10.24, API 1.41".into() },
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
        notices: Vec::new(),
        metrics: None,
        jails: Vec::new(),
        refused: Vec::new(),
        notes: Vec::new(),
    }
}

#[test]
fn status_says_where_metrics_are() {
    let shown = |overview| plain(&text(&Reply::Status(overview), &TimeZone::UTC).out);
    let with = |problem: Option<&str>, warning: Option<&str>| {
        let mut overview = an_overview();
        overview.metrics = Some(Box::new(MetricsView {
            address: "http://127.0.0.1:9871/metrics".into(),
            problem: problem.map(Into::into),
            warning: warning.map(Into::into),
        }));
        shown(overview)
    };
    let served = "Metrics:\thttp://127.0.0.1:9871/metrics\n";
    assert!(with(None, None).contains(served));
    let open = with(None, Some("others"));
    assert!(open.contains(served) && open.contains("warning: others"), "{open}");
    let taken = with(Some("it is taken"), None);
    assert!(taken.contains("NOT served at http://127.0.0.1:9871/metrics\n"), "{taken}");
    assert!(taken.contains("warning: it is taken"), "{taken}");
    assert!(!shown(an_overview()).contains("Metrics"));
}

fn summary(name: &str, warnings: Vec<String>) -> JailSummary {
    JailSummary {
        name: name.parse().unwrap(),
        service: format!("shop/{name}"),
        state: JailState::Watching,
        found: 5,
        failed_now: 1,
        banned_now: 2,
        banned_total: 3,
        warnings,
        dry_run: false,
        sources: Vec::new(),
        packets: None,
    }
}

fn a_jail() -> JailStatus {
    let source = |shown: &str| SourceStatus::new(shown.into(), SourceKind::File);
    JailStatus {
        name: "sshd".parse().unwrap(),
        service: "guard".into(),
        state: JailState::Watching,
        sources: vec![source("/var/log/auth.log")],
        failed_now: 1,
        found_total: 5,
        banned_now: 2,
        banned_total: 3,
        banned: vec![
            view("192.0.2.1", soon(), InForce::Yes),
            view("2001:db8::1", Until::Forever, InForce::Yes),
        ],
        options: Options {
            maxretry: 5,
            findtime: 600,
            bantime: BanTime::Forever,
            ignoreip: Vec::new(),
            port: vec!["all".into()],
            chain: vec!["INPUT".into()],
            blocktype: "reject".into(),
            dryrun: false,
        },
        written: Vec::new(),
        firewall_chain: Some("f2b-sshd".into()),
        packets: None,
        warnings: Vec::new(),
        dropped: Vec::new(),
    }
}

#[test]
fn the_overview_tells_what_is_read_and_how_far_behind() {
    let mut overview = an_overview();
    let mut jail = summary("nginx", Vec::new());
    let source = |shown: &str, kind| SourceStatus::new(shown.into(), kind);
    jail.sources = vec![
        source("web-1", SourceKind::Output),
        SourceStatus { behind_seconds: 75, ..source("web-2", SourceKind::Output) },
        SourceStatus { state: SourceState::Waiting, ..source("/a\u{1b}", SourceKind::File) },
        SourceStatus { behind: 9, ..source("/b", SourceKind::File) },
    ];
    jail.sources.extend((0..8).map(|n| source(&format!("/{n}"), SourceKind::File)));
    overview.jails = vec![jail];
    let text = plain(&text(&Reply::Status(overview), &TimeZone::UTC).out);
    let expected = "  reads web-1, web-2 (1m 15s behind), /a\\x1b (not there now), /b (9 bytes behind), \
                    /0, /1, /2, /3, /4, /5, 2 more\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn the_overview_begins_as_fail2ban_client_prints_it() {
    let mut overview = an_overview();
    overview.jails = vec![summary("nginx", Vec::new()), summary("sshd", Vec::new())];
    check(
        &Reply::Status(overview),
        "\
Status
|- Number of jail:\t2
`- Jail list:\tnginx, sshd

guard:\t\t0.1.0, up 1d 2h 3m 4s
Engine:\t\tDocker 20.10.24, API 1.41
Firewall:\tipset, iptables-nft; in force
Store:\t\t/var/lib/guard/guard.db; on disk

nginx (shop/nginx):\twatching; failed 1 (total 5), banned 2 (total 3)
sshd (shop/sshd):\twatching; failed 1 (total 5), banned 2 (total 3)
",
        "",
    );
}

#[test]
fn the_overview_tells_all_that_is_wrong() {
    let mut overview = an_overview();
    overview.engine = EngineView { connected: false, words: "no socket; mount it".into() };
    overview.firewall.healthy = false;
    overview.firewall.problems = vec!["no iptables; install it".into()];
    overview.firewall.repairs = 3;
    overview.store.healthy = false;
    overview.store.problem = Some("the disk is full: free some space".into());
    overview.jails = vec![summary("web", vec!["192.168.32.6 is a gateway".into()])];
    overview.refused = vec![Refusal {
        container: "shop-db-1".into(),
        label: "guard.maxretyr".into(),
        complaint: "error: no such option\n  | \u{1b}[2J\r\n  = help: maxretry".into(),
    }];
    overview.notes = vec!["a note\nof two lines".into()];
    check(
        &Reply::Status(overview),
        "\
Status
|- Number of jail:\t1
`- Jail list:\tweb

guard:\t\t0.1.0, up 1d 2h 3m 4s
Engine:\t\tlost: no socket; mount it
Firewall:\tipset, iptables-nft; NOT in force; repaired 3 times
Store:\t\t/var/lib/guard/guard.db; ONLY in memory
warning: no iptables; install it
warning: the disk is full: free some space

web (shop/web):\twatching; failed 1 (total 5), banned 2 (total 3)
warning: web: 192.168.32.6 is a gateway

Refused:\tcontainer shop-db-1, label guard.maxretyr
  error: no such option
    | \\x1b[2J
    = help: maxretry

warning: a note\\nof two lines
",
        "",
    );
}

#[test]
fn a_jail_has_fail2ban_clients_tree() {
    check(
        &Reply::Jail(Box::new(a_jail())),
        "\
Status for the jail: sshd
|- Filter
|  |- Currently failed:\t1
|  |- Total failed:\t5
|  `- File list:\t/var/log/auth.log
`- Actions
   |- Currently banned:\t2
   |- Total banned:\t3
   `- Banned IP list:\t192.0.2.1 2001:db8::1

Service:\tguard
State:\t\twatching
Options:\tmaxretry 5, findtime 10m, bantime -1, port all, chain INPUT, blocktype reject
Firewall chain:\tf2b-sshd
",
        "",
    );
}

#[test]
fn a_jail_tells_what_it_reads_of_the_journal() {
    let mut jail = a_jail();
    let terms = "_SYSTEMD_UNIT=ssh.service + _COMM=sshd";
    jail.sources[0].kind = SourceKind::Journal;
    jail.sources[0].shown = terms.into();
    let printed = super::status::jail(&jail);
    assert!(printed.contains(&format!("|  `- Journal matches:\t{terms}\n")), "{printed}");
}

#[test]
fn below_its_tree_a_jail_tells_what_is_wrong() {
    let mut jail = a_jail();
    jail.state = JailState::NoContainers;
    jail.sources = ["web-1", "web-2"]
        .map(|name| SourceStatus {
            state: SourceState::Refused,
            reason: Some("the log driver `none` can't be read".into()),
            ..SourceStatus::new(name.into(), SourceKind::Output)
        })
        .into();
    jail.sources[1].state = SourceState::Following;
    jail.sources[1].reason = None;
    jail.sources[1].behind = 4096;
    jail.banned = vec![view("192.0.2.1", soon(), InForce::Pending)];
    jail.options.ignoreip = vec!["10.0.0.0/8".into(), "home.example".into()];
    jail.options.bantime = BanTime::For(std::time::Duration::from_secs(5400));
    jail.options.dryrun = true;
    jail.firewall_chain = None;
    jail.dropped = vec![Counter { what: "addresses, for want of room".into(), count: 7 }];
    jail.warnings = vec!["set guard.logtimezone to +02:00".into()];
    let expected = "\
|  `- Output of:\tweb-1 web-2
`- Actions
   |- Currently banned:\t2
   |- Total banned:\t3
   `- Banned IP list:\t192.0.2.1

Service:\tguard
State:\t\tno containers
Options:\tmaxretry 5, findtime 10m, bantime 1h 30m, port all, chain INPUT, blocktype reject, dryrun true
Ignored:\t10.0.0.0/8 home.example
Firewall chain:\tnone
Pending:\t1 bans are not in the kernel yet
Source:\t\tweb-1 not read: the log driver `none` can't be read
Source:\t\tweb-2 followed, 4096 bytes behind
Dropped:\t7 addresses, for want of room
warning: set guard.logtimezone to +02:00
";
    let text = plain(&text(&Reply::Jail(Box::new(jail)), &TimeZone::UTC).out);
    assert_eq!(text.split_once("Total failed:\t5\n").unwrap().1, expected);
}

#[test]
fn pings() {
    let health = Health { firewall_problem: None, engine_problem: None, store_problem: None };
    check(&Reply::Pong(health.clone()), "Server replied: pong\n", "");
    assert_eq!(outcome(&Reply::Pong(health.clone())), Outcome::Done);
    let lost = Health { engine_problem: Some("no engine; start it".into()), ..health.clone() };
    check(&Reply::Pong(lost.clone()), "Server replied: pong\n", "warning: no engine; start it\n");
    assert_eq!(outcome(&Reply::Pong(lost)), Outcome::Done);
    let ill = Reply::Pong(Health { firewall_problem: Some("no iptables".into()), ..health });
    check(
        &ill,
        "Server replied: pong\n",
        "error: what guard wants is not in the kernel: no iptables\n",
    );
    assert_eq!(outcome(&ill), Outcome::Refused);
}

#[test]
fn who_is_banned() {
    let mut by_hand = view("2001:db8::/64", Until::Forever, InForce::Pending);
    by_hand.origin = BanOrigin::Hand;
    let bans = vec![view("192.0.2.1", soon(), InForce::Yes), by_hand];
    check(
        &Reply::Banned { network: None, bans },
        "\
192.0.2.1      web  since 2025-05-26 11:57:27 UTC  until 2025-05-26 12:07:27 UTC  (5 failures)
2001:db8::/64  web  since 2025-05-26 11:57:27 UTC  for ever  (by hand, not in the kernel yet)
",
        "",
    );
    check(&Reply::Banned { network: None, bans: Vec::new() }, "nobody is banned\n", "");
    let nobody = Reply::Banned { network: "192.0.2.1".parse().ok(), bans: Vec::new() };
    check(&nobody, "", "192.0.2.1 is not banned\n");
    assert_eq!(outcome(&nobody), Outcome::Refused);
}

#[test]
fn bans_and_refusals() {
    let reply = Reply::Ban {
        banned: vec![view("192.0.2.1", soon(), InForce::Pending)],
        refused: vec![BanRefused {
            network: "127.0.0.1".parse().unwrap(),
            message: "it is this host; --force bans it all the same".into(),
        }],
        only_in_memory: Some("the disk is full: free some space".into()),
        not_in_kernel: None,
    };
    check(
        &reply,
        "192.0.2.1 banned in jail web until 2025-05-26 12:07:27 UTC (not in the kernel yet: guardctl status says why)\n",
        "\
error: 127.0.0.1 is not banned: it is this host; --force bans it all the same
warning: done, but forgotten at a restart: the disk is full: free some space
",
    );
    assert_eq!(outcome(&reply), Outcome::Refused);
    let many = vec![view("192.0.2.1", soon(), InForce::Yes); 21];
    let reply =
        Reply::Ban { banned: many, refused: Vec::new(), only_in_memory: None, not_in_kernel: None };
    check(&reply, "21 banned in jail web\n", "");
}

#[test]
fn unbans() {
    let reply = Reply::Unban {
        lifted: vec![view("192.0.2.1", soon(), InForce::Yes)],
        absent: vec!["192.0.2.2".parse().unwrap()],
        covered: Vec::new(),
        only_in_memory: None,
        not_in_kernel: None,
    };
    check(&reply, "192.0.2.1 unbanned from jail web\n", "192.0.2.2 is not banned\n");
    assert_eq!(outcome(&reply), Outcome::Refused);
    check(
        &Reply::Flushed { lifted: 3, only_in_memory: None, not_in_kernel: None },
        "3 bans lifted\n",
        "",
    );
}

/// Kernel and disk fail each for itself, and only what is true of it is said.
#[test]
fn what_the_kernel_has_not_done_is_no_matter_of_a_restart() {
    let why = "192.0.2.1 in jail web may still be refused: IPv4: iptables-nft-save failed";
    let unban = Reply::Unban {
        lifted: vec![view("192.0.2.1", soon(), InForce::Yes)],
        absent: Vec::new(),
        covered: Vec::new(),
        only_in_memory: None,
        not_in_kernel: Some(why.into()),
    };
    let told = format!("error: not lifted in the kernel yet: {why} (guard goes on trying)\n");
    check(&unban, "192.0.2.1 unbanned from jail web\n", &told);
    assert_eq!(outcome(&unban), Outcome::Refused);
    assert!(json(&unban).contains(&format!(r#""not_in_kernel":"{why}""#)), "{}", json(&unban));
    let flushed =
        Reply::Flushed { lifted: 1, only_in_memory: None, not_in_kernel: Some(why.into()) };
    check(&flushed, "1 ban lifted\n", &told);
    assert_eq!(outcome(&flushed), Outcome::Refused);
    let slow = "the firewall has not answered for 5 s";
    let ban = Reply::Ban {
        banned: vec![view("192.0.2.1", soon(), InForce::Pending)],
        refused: Vec::new(),
        only_in_memory: None,
        not_in_kernel: Some(slow.into()),
    };
    check(
        &ban,
        "192.0.2.1 banned in jail web until 2025-05-26 12:07:27 UTC (not in the kernel yet: guardctl status says why)\n",
        &format!("warning: perhaps not in the kernel yet: {slow}\n"),
    );
    assert_eq!(outcome(&ban), Outcome::Done);
}

#[test]
fn what_happens_is_told_in_the_words_of_fail2bans_log() {
    let jail = || "web".parse().unwrap();
    let network = "192.0.2.1".parse().unwrap();
    let check_news = |news: News, expected: &str| {
        let event = Event { at: at("2025-05-26T11:57:28Z"), news };
        check(&Reply::Event(event), &format!("2025-05-26 11:57:28 UTC {expected}\n"), "");
    };
    let line_time = at("2025-05-26T11:57:27Z");
    check_news(
        News::Found { jail: jail(), network, line_time, count: 3 },
        "[web] Found 192.0.2.1 - 2025-05-26 11:57:27 UTC (3)",
    );
    check_news(
        News::Ignored { jail: jail(), network, reason: "own\u{9b}2J address".into() },
        "[web] Ignore 192.0.2.1 - own\\u{9b}2J address",
    );
    check_news(
        News::Unbanned { jail: jail(), network, by_hand: true, dry_run: false },
        "[web] Unban 192.0.2.1 (by hand)",
    );
    check_news(
        News::Trouble { about: About::Engine, jail: None, what: "x".into(), over: false },
        "Trouble: x",
    );
    check_news(
        News::Trouble { about: About::Engine, jail: None, what: "x".into(), over: true },
        "Well again: x",
    );
}

#[test]
fn spans() {
    for (seconds, shown) in [(0, "0s"), (59, "59s"), (600, "10m"), (90_061, "1d 1h 1m 1s")] {
        assert_eq!(span(seconds), shown);
    }
}

#[test]
fn nothing_harmful_gets_through() {
    let check = |text: &str, shown: &str| assert_eq!(escape(text), shown);
    check("plain, naïve, 日本", "plain, naïve, 日本");
    check("\u{1b}[2J\u{7f}\u{9b}1A", "\\x1b[2J\\x7f\\u{9b}1A");
    check("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00");
    check("\u{202e}gpj.exe", "\\u{202e}gpj.exe");
}

proptest! {
    #[test]
    fn no_reply_writes_a_control_character(message in any::<String>()) {
        let reply = Reply::refused(RefusedKind::Refused, message.clone());
        let text = text(&reply, &TimeZone::UTC);
        let shown = plain(&text.err);
        prop_assert!(!shown.trim_end_matches('\n').contains(is_unsafe));
        let line = json(&reply);
        prop_assert!(!line.trim_end_matches('\n').contains(is_unsafe));
        prop_assert_eq!(decode_reply(line.as_bytes()).unwrap(), reply);
    }
}

#[test]
fn history_says_how_each_ban_ended() {
    use crate::control::protocol::Times;
    use crate::model::{Ban, HistoryEntry, LiftedBy};
    let entry = |network: &str, until, origin| HistoryEntry {
        ban: Ban {
            jail: "web".parse().unwrap(),
            network: network.parse().unwrap(),
            since: at("2025-05-26T11:57:27.5Z"),
            until,
            origin,
            failures: 5,
        },
        prolonged: false,
        lines: Vec::new(),
        lifted: None,
        lifted_by: None,
    };
    let lifted = |by| HistoryEntry {
        lifted: Some(at("2025-05-26T11:59:00Z")),
        lifted_by: Some(by),
        ..entry("192.0.2.2", Until::Forever, BanOrigin::Hand)
    };
    let over = HistoryEntry {
        prolonged: true,
        ..entry("192.0.2.1", Until::Time(at("2025-05-26T11:58:27.5Z")), BanOrigin::Failures)
    };
    let reply = Reply::History {
        network: None,
        now: at("2025-05-26T12:00:00Z"),
        bans: vec![
            over,
            lifted(LiftedBy::Hand),
            lifted(LiftedBy::NeverBan),
            entry("2001:db8::/64", soon(), BanOrigin::Adopted),
        ],
        more: 7,
        times: vec![Times { network: "192.0.2.1".parse().unwrap(), times: 3 }],
        problem: Some("full\u{1b}".into()),
    };
    let end = [
        "expired, its end was changed  [banned 3 times]",
        "unbanned by hand after 1m 32s",
        "lifted, as it is never banned any more, after 1m 32s",
        "stands until 2025-05-26 12:07:27 UTC",
    ];
    let rows = [
        ("192.0.2.1    ", "for 1m  ", "5 failures         "),
        ("192.0.2.2    ", "for ever", "by hand            "),
        ("192.0.2.2    ", "for ever", "by hand            "),
        ("2001:db8::/64", "for 10m ", "found in the kernel"),
    ];
    let out: String = rows
        .iter()
        .zip(end)
        .map(|((network, length, why), end)| {
            format!("2025-05-26 11:57:27 UTC  web  {network}  {length}  {why}  {end}\n")
        })
        .collect();
    check(
        &reply,
        &out,
        "7 older bans are left out: --limit, --since\nwarning: the newest bans may be missing: full\\x1b\n",
    );
    let shown = |network: Option<&str>| {
        let lines = vec!["failed\u{1b}[2J".to_owned()];
        let ban = HistoryEntry { lines, ..entry("192.0.2.1", soon(), BanOrigin::Failures) };
        let reply = Reply::History {
            network: network.map(|network| network.parse().unwrap()),
            now: at("2025-05-26T12:00:00Z"),
            bans: vec![ban],
            more: 0,
            times: Vec::new(),
            problem: None,
        };
        plain(&text(&reply, &TimeZone::UTC).out)
    };
    assert!(!shown(None).contains("failed"));
    assert!(shown(Some("192.0.2.1")).ends_with("\n    | failed\\x1b[2J\n"));
    let json: serde_json::Value = serde_json::from_str(&json(&reply)).unwrap();
    assert_eq!(json["bans"][1]["lifted_by"], "hand");
    assert_eq!(json["bans"][0]["network"], "192.0.2.1");
    assert_eq!(decode_reply(json.to_string().as_bytes()).unwrap(), reply);
}
