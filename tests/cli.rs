//! guardctl, the program, against guard's real end of the socket: exit codes,
//! what goes to which stream, JSON. Behind the server a small task stands in for
//! the daemon's wiring; it knows one jail, `web`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use guard::control::fail2ban::{Exception, Value};
use guard::control::protocol::{
    BackedUp, BanRefused, BanView, EngineView, FirewallView, Health, InForce, Overview,
    RefusedKind, Reply, Request, StoreView, Which,
};
use guard::control::{Asked, server::Server};
use guard::model::{
    Ban, BanOrigin, BanTime, Event, Finding, ForeignBan, Level, Network, News, Suggestion, Sure,
    Timestamp, Until,
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// A running server with a temporary socket.
struct World {
    directory: tempfile::TempDir,
    events: broadcast::Sender<Event>,
    /// What was asked.
    asked: Arc<Mutex<Vec<Request>>>,
    cancel: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let path = directory.path().join("guard.sock");
        let server = runtime.block_on(Server::bind(&path)).unwrap();
        let (requests, mut incoming) = mpsc::channel::<Asked>(4);
        let (events, _) = broadcast::channel(64);
        let (asked, cancel) = (Arc::<Mutex<Vec<Request>>>::default(), CancellationToken::new());
        runtime.spawn(server.run(requests, events.clone(), cancel.clone()));
        let log = Arc::clone(&asked);
        runtime.spawn(async move {
            while let Some(Asked { request, answer, .. }) = incoming.recv().await {
                log.lock().unwrap().push(request.clone());
                let _ = answer.send(reply(request));
            }
        });
        World { directory, events, asked, cancel, _runtime: runtime }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("guard.sock")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        guardctl(&self.socket(), arguments).output().unwrap()
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = guardctl(&self.socket(), arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

/// The program with nothing of the tester's environment that it could see.
fn guardctl(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardctl"));
    command.args(arguments).env_clear().env("TZ", "UTC").env("GUARD_SOCKET", socket);
    command
}

fn view(network: Network) -> BanView {
    let ban = Ban {
        jail: "web".parse().unwrap(),
        network,
        since: "2025-05-26T11:57:27Z".parse().unwrap(),
        until: Until::Forever,
        origin: BanOrigin::Failures,
        failures: 5,
    };
    BanView::new(&ban, InForce::Yes)
}

fn net(text: &str) -> Network {
    text.parse().unwrap()
}

/// What the stand-in answers: 127.0.0.1 is never banned, 192.0.2.99 is not banned.
fn reply(request: Request) -> Reply {
    match request {
        Request::Ping => Reply::Pong(Health {
            firewall_problem: Some("iptables is missing: install it".into()),
            engine_problem: None,
            store_problem: None,
        }),
        Request::Version => Reply::Version { guard: "9.9.9".into() },
        Request::Status { jail: None } => Reply::Status(Overview {
            guard: "9.9.9".into(),
            uptime: 60,
            engine: EngineView { connected: false, words: "evil\u{1b}[31m".into() },
            firewall: FirewallView {
                backend: "ipset".into(),
                healthy: true,
                problems: Vec::new(),
                repairs: 0,
                heard: 0,
            },
            store: StoreView {
                path: "/x".into(),
                healthy: true,
                problem: None,
                dropped_history: 0,
            },
            notices: Vec::new(),
            metrics: None,
            jails: Vec::new(),
            refused: Vec::new(),
            notes: Vec::new(),
        }),
        Request::Status { jail: Some(jail) } => {
            Reply::refused(RefusedKind::NotFound, format!("the jail `{jail}` does not exist"))
        }
        Request::Fail2ban { words } if words.contains(&"nojail".to_owned()) => {
            Reply::Raised { exception: Exception::UnknownJail, message: "nojail".into() }
        }
        Request::Fail2ban { .. } => Reply::Fail2ban { value: Value::texts(["a", "b\u{1b}[31m"]) },
        Request::Why { .. } => Reply::refused(RefusedKind::Busy, "guard is stopping"),
        Request::Banned { network: Some(network) } if network == net("192.0.2.99") => {
            Reply::Banned { network: Some(network), bans: Vec::new() }
        }
        Request::Banned { network } => {
            Reply::Banned { network, bans: vec![view(net("192.0.2.1"))] }
        }
        Request::Ban { networks, .. } => {
            let (no, yes): (Vec<_>, Vec<_>) =
                networks.into_iter().partition(|network| *network == net("127.0.0.1"));
            let refuse = |network| BanRefused { network, message: "it is this host".into() };
            Reply::Ban {
                banned: yes.into_iter().map(view).collect(),
                refused: no.into_iter().map(refuse).collect(),
                only_in_memory: None,
                not_in_kernel: None,
            }
        }
        Request::ImportBans { jail, .. } if !["web", "web-flask"].contains(&jail.as_str()) => {
            Reply::refused(RefusedKind::NotFound, format!("there is no jail `{jail}`"))
        }
        Request::ImportBans { jail, bans } => {
            let is_own = |ban: &ForeignBan| ban.network == net("127.0.0.1");
            let refuse = |ban: &ForeignBan| BanRefused {
                network: ban.network,
                message: "it is this host".into(),
            };
            Reply::Imported {
                jail: jail.parse().unwrap(),
                banned: bans.iter().filter(|ban| !is_own(ban)).count() as u64,
                standing: 0,
                ended: 0,
                refused: bans.iter().filter(|ban| is_own(ban)).map(refuse).collect(),
                only_in_memory: None,
                not_in_kernel: None,
            }
        }
        Request::Unban { which: Which::All, .. } => Reply::Unban {
            lifted: vec![view(net("192.0.2.1"))],
            absent: Vec::new(),
            covered: Vec::new(),
            only_in_memory: None,
            not_in_kernel: None,
        },
        Request::Unban { which: Which::Networks(networks), .. } => {
            let (no, yes): (Vec<_>, Vec<_>) =
                networks.into_iter().partition(|network| *network == net("192.0.2.99"));
            let lifted = yes.into_iter().map(view).collect();
            Reply::Unban {
                lifted,
                absent: no,
                covered: Vec::new(),
                only_in_memory: None,
                not_in_kernel: None,
            }
        }
        Request::Flush => Reply::Flushed { lifted: 7, only_in_memory: None, not_in_kernel: None },
        Request::History { network, limit, .. } => Reply::History {
            network,
            now: "2025-05-26T12:00:00Z".parse().unwrap(),
            bans: Vec::new(),
            more: u64::from(limit),
            times: Vec::new(),
            problem: None,
        },
        Request::Try { service, .. } => Reply::refused(RefusedKind::NotFound, service),
        Request::Doctor => {
            let evil = Finding::new(Level::Warning, "jail web", "evil\u{1b}[31m\nok: forged");
            let findings =
                vec![evil.why("because").cure("- a:b:ro"), Finding::new(Level::Ok, "x", "y")];
            Reply::Doctor { worst: Level::Warning, findings }
        }
        Request::Notify { .. } => Reply::refused(RefusedKind::Busy, "guard is stopping"),
        Request::Suggest => {
            let suggestion = Suggestion {
                container: "web-1".into(),
                service: "web".into(),
                image: "nginx".into(),
                filter: "nginx-http-auth".into(),
                sure: Sure::Guess,
                notes: vec!["evil\nforged: x".into()],
                labels: vec![("guard.logpath".into(), "/a$b\"c".into())],
            };
            Reply::Suggested { looked_at: 1, suggestions: vec![suggestion], notes: Vec::new() }
        }
        // Says that it sent what it did not.
        Request::Backup => {
            Reply::BackedUp(BackedUp { bytes: 5, schema: 4, bans: 1, history: 2, problem: None })
        }
        Request::Restore { .. } => Reply::refused(RefusedKind::Refused, "it is damaged"),
        Request::Upload { at, piece } => Reply::Uploaded { bytes: at + piece.len() as u64 },
        Request::Watch => Reply::refused(RefusedKind::Usage, "the server does that"),
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Checks exit code, standard output, and that standard error holds some words.
fn check(output: &Output, code: i32, out: &str, err: &str) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(text(&output.stdout), out, "{told}");
    assert!(if err.is_empty() { told.is_empty() } else { told.contains(err) }, "{told}");
}

#[test]
fn commands_print_and_end_with_their_code() {
    let world = World::new();
    let check = |arguments: &[&str], code, out, err| check(&world.run(arguments), code, out, err);
    check(&["ban", "192.0.2.7"], 0, "192.0.2.7 banned in jail web for ever\n", "");
    check(&["history", "--since", "24h", "--limit", "3"], 0, "", "nobody was banned");
    check(&["history", "192.0.2.7"], 1, "", "192.0.2.7 was never banned");
    check(&["history", "--since", "never"], 2, "", "--since");
    check(&["history", "--limit", "10001"], 2, "", "--limit");
    check(&["ban", "127.0.0.1"], 1, "", "error: 127.0.0.1 is not banned: it is this host");
    check(&["unban", "192.0.2.7"], 0, "192.0.2.7 unbanned from jail web\n", "");
    check(&["unban", "192.0.2.99"], 1, "", "192.0.2.99 is not banned");
    check(&["unban", "--all"], 0, "192.0.2.1 unbanned from jail web\n", "");
    check(&["flush"], 0, "7 bans lifted\n", "");
    check(
        &["banned"],
        0,
        "192.0.2.1  web  since 2025-05-26 11:57:27 UTC  for ever  (5 failures)\n",
        "",
    );
    check(&["banned", "192.0.2.99"], 1, "", "192.0.2.99 is not banned");
    check(&["status", "nope"], 1, "", "error: the jail `nope` does not exist");
    let version = format!("guardctl {}\nguard 9.9.9\n", env!("CARGO_PKG_VERSION"));
    check(&["version"], 0, &version, "");
}

#[test]
fn a_ping_fails_when_bans_are_not_in_the_kernel() {
    let output = World::new().run(&["ping"]);
    check(&output, 1, "Server replied: pong\n", "iptables is missing: install it");
}

#[test]
fn options_reach_guard() {
    let world = World::new();
    let time = Some(BanTime::For(std::time::Duration::from_secs(3600)));
    let (one, jail) = (vec![net("192.0.2.0/24")], Some("web".to_owned()));
    world.run(&["ban", "192.0.2.7/24", "--jail", "web", "--for", "1h", "--force"]);
    world.run(&["ban", "192.0.2.7/24", "--for", "-1"]);
    world.run(&["unban", "--jail", "web", "--all"]);
    let forever = Some(BanTime::Forever);
    assert_eq!(
        world.asked(),
        [
            Request::Ban { networks: one.clone(), jail: jail.clone(), time, force: true },
            Request::Ban { networks: one, jail: None, time: forever, force: false },
            Request::Unban { which: Which::All, jail },
        ]
    );
}

#[test]
fn what_makes_no_sense_is_usage_and_asks_nobody() {
    let world = World::new();
    for arguments in [
        &[][..],
        &["dance"],
        &["ban"],
        &["ban", "999.1.1.1"],
        &["ban", "0.0.0.0/0"],
        &["ban", "192.0.2.1", "--for", "soon"],
        &["unban"],
        &["unban", "192.0.2.1", "--all"],
        &["banned", "x"],
        &["help", "dance"],
    ] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
    let output = world.run_with_input(&["ban", "-"], "192.0.2.1\nbad\n");
    check(&output, 2, "", "standard input, line 2: `bad` is no IP address");
    assert_eq!(world.asked(), []);
}

#[test]
fn without_a_guard_it_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = directory.path().join("guard.sock");
    for arguments in [&["status"][..], &["ping"], &["watch"], &["--json", "banned"]] {
        let output = guardctl(&nobody, arguments).output().unwrap();
        check(&output, 3, "", "docker logs guard");
    }
    drop(UnixListener::bind(&nobody).unwrap());
    check(&guardctl(&nobody, &["ping"]).output().unwrap(), 3, "", "is it running?");
}

#[test]
fn the_option_beats_the_variable() {
    let world = World::new();
    let mut command = guardctl(Path::new("/nowhere"), &["flush", "--socket"]);
    let output = command.arg(world.socket()).output().unwrap();
    check(&output, 0, "7 bans lifted\n", "");
}

/// One answer of a guard that is not like ours.
fn against(answer: &'static [u8]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let guard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
        stream.write_all(answer).unwrap();
    });
    let output = guardctl(&path, &["ping"]).output().unwrap();
    guard.join().unwrap();
    output
}

#[test]
fn a_guard_that_is_not_like_ours() {
    check(&against(b"{\"version\":2}\n"), 1, "", "version 2 of the protocol");
    check(&against(b"HTTP/1.1 400 Bad Request\r\n"), 1, "", "not understood");
    check(&against(b""), 3, "", "stopped answering");
    check(&against(b"{\"version\":1,\"reply\":\"po"), 3, "", "stopped answering");
}

#[test]
fn json_is_one_document_and_the_code_stays() {
    let world = World::new();
    let output = world.run(&["--json", "ping"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), ""));
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["reply"], "pong");
    assert_eq!(reply["firewall_problem"], "iptables is missing: install it");

    let output = world.run(&["status", "--json"]);
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["engine"]["words"], "evil\u{1b}[31m");
    let output = world.run(&["status", "nope", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["kind"], "not_found");
}

#[test]
fn no_escape_reaches_what_is_no_terminal() {
    let world = World::new();
    for arguments in [&["status"][..], &["--json", "status"], &["ban", "127.0.0.1"]] {
        let output = world.run(arguments);
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{output:?}");
    }
    let output = world.run(&["status"]);
    assert!(text(&output.stdout).contains("lost: evil\\x1b[31m"), "{output:?}");
}

#[test]
fn long_lists_come_from_standard_input_in_several_requests() {
    let world = World::new();
    let addresses = (0..25_000_u32).map(|n| std::net::Ipv4Addr::from(0x0a00_0000 + n));
    let mut list: String = addresses.map(|address| format!("{address} # listed\n")).collect();
    list.push_str("127.0.0.1\n");
    let output = world.run_with_input(&["ban", "-", "192.0.2.1"], &list);
    check(&output, 1, "25001 banned in jail web\n", "127.0.0.1 is not banned");
    assert_eq!(world.asked().len(), 3);
    let output = world.run_with_input(&["unban", "-", "--json"], "192.0.2.1\n192.0.2.99\n");
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["absent"], serde_json::json!(["192.0.2.99"]));
    assert_eq!(output.status.code(), Some(1));
}

/// Starts `guardctl watch` and waits until it is heard.
fn watching(world: &World, arguments: &[&str]) -> (std::process::Child, impl BufRead) {
    let mut command = guardctl(&world.socket(), arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while world.events.receiver_count() == 0 {
        assert!(std::time::Instant::now() < deadline, "it never watched");
        std::thread::yield_now();
    }
    (child, out)
}

#[test]
fn watching_shows_events_until_guard_ends() {
    let world = World::new();
    let (mut child, mut out) = watching(&world, &["watch"]);
    let at = Timestamp::UNIX_EPOCH;
    world.events.send(Event { at, news: News::Repaired { what: "a\njump".into() } }).unwrap();
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "1970-01-01 00:00:00 UTC Repaired: a\\njump\n");
    world.cancel.cancel();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("guard stopped answering"), "{told}");
}

#[test]
fn watching_in_json_is_an_object_a_line() {
    let world = World::new();
    let (mut child, mut out) = watching(&world, &["--json", "watch"]);
    for what in ["a", "b"] {
        let news = News::Repaired { what: what.into() };
        world.events.send(Event { at: Timestamp::UNIX_EPOCH, news }).unwrap();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&event["event"], &event["what"]), (&"repaired".into(), &what.into()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn whoever_stops_reading_is_no_failure() {
    let world = World::new();
    let (mut child, out) = watching(&world, &["watch"]);
    drop(out);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let status = loop {
        let news = News::Repaired { what: "x".into() };
        let _ = world.events.send(Event { at: Timestamp::UNIX_EPOCH, news });
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "it goes on for nobody");
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn help_needs_no_guard() {
    let check = |arguments: &[&str], words: &str| {
        let output = guardctl(Path::new("/nowhere"), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).contains(words), "{output:?}");
    };
    check(&["help"], "3 no guard answers");
    check(&["help", "ban"], "guardctl ban");
    check(&["help", "labels"], "| default |");
    check(&["--help"], "Usage");
    check(&["unban", "--help"], "--all");
    check(&["--version"], env!("CARGO_PKG_VERSION"));
}

/// `lint` as somebody runs it: without a daemon.
fn lint(arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["lint"], arguments].concat();
    let output = guardctl(Path::new("/nowhere"), &arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn lint_shows_who_could_be_banned() {
    let (code, out, err) = lint(&["--failregex", r"Login failed for user '.*' \[IP: <HOST>\]"]);
    let shown = r#"warning: `.*` reaches for the last address in the line, so text behind the match can decide who is banned
 --> failregex 1:1:24
  |
1 | Login failed for user '.*' \[IP: <HOST>\]
  |                        ^^
  |
  = note: a line that would get 192.0.2.66 banned: Login failed for user 'bob' [IP: 198.51.100.7] user="x' [IP: 192.0.2.66]"
  = note: the client is 198.51.100.7
  = help: anchored: Login failed for user '.*' \[IP: <HOST>\]$
"#;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(1), shown, ""));
    let (code, out, err) = lint(&["--failregex", r"Login failed for user '.*' \[IP: <HOST>\]$"]);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
}

#[test]
fn lint_reads_filters_and_answers_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[Definition]\nfailregex = ^fine <HOST>$\n    refused <HOST>\nignoreregex = .*\n";
    std::fs::write(folder.path().join("mine.conf"), text).unwrap();
    let path = folder.path().to_str().unwrap();
    let (code, out, _) = lint(&["--filter", "mine", "--filter-path", path]);
    assert_eq!(code, Some(1));
    assert!(out.contains(&format!("--> {path}/mine.conf:4, ignoreregex 1:1:1")), "{out}");
    std::fs::write(folder.path().join("mine.conf"), text.replace(".*", "")).unwrap();
    let (code, out, _) = lint(&["--json", "--filter", "mine", "--filter-path", path]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    let finding = &answer["findings"][0];
    assert_eq!((code, answer["findings"].as_array().unwrap().len()), (Some(1), 1));
    assert_eq!(finding["place"], format!("{path}/mine.conf:3, failregex 2"));
    assert_eq!(finding["banned"], "192.0.2.66");
    assert_eq!(finding["anchored"], "refused <HOST>$");
    let (code, out, _) = lint(&["--json", "--filter", "flask-login"]);
    assert_eq!((code, out.contains("\"findings\": []")), (Some(0), true), "{out}");
}

#[test]
fn lint_refuses_what_it_cannot_look_at() {
    let check = |arguments: &[&str], why: &str| {
        let (code, out, err) = lint(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(why), "{err}");
    };
    check(&["--filter", "no-such-filter"], "there is no filter `no-such-filter`");
    check(&["--filter", "sshd[mode"], "--filter sshd[mode");
    check(&["--failregex", "a (<HOST>"], "error: unclosed group");
    check(&["--ignoreregex", "a"], "--failregex");
}

#[test]
fn fail2bans_words_are_passed_on_and_its_answers_printed() {
    let guard = World::new();
    let output = guard.run(&["get", "web", "banip"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a b\\x1b[31m\n");
    let words = ["get", "web", "banip"].map(str::to_owned).to_vec();
    assert_eq!(guard.asked(), [Request::Fail2ban { words }]);
    let output = guard.run(&["set", "nojail", "unbanip", "192.0.2.7"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Sorry but the jail 'nojail' does not exist"), "{said}");
    // What can't be is refused here.
    let output = guard.run(&["set", "web", "bantime", "600"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("change the label"), "{said}");
    assert_eq!(guard.asked().len(), 2);
}

#[test]
fn a_compose_file_is_looked_at_before_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("docker-compose.yml");
    let lint = |text: &str, arguments: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut command = guardctl(Path::new("/nonexistent"), &["lint"]);
        command.args(arguments).arg(&file).output().unwrap()
    };
    let head = "services:\n  web:\n    labels:\n      guard.failregex: '^x <HOST>";
    let output = lint(&format!("{head}$$'\n"), &[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{output:?}");

    let wrong = format!("{head}$$'\n      guard.maxrety: 3\n      guard.ignoreregex: '$who'\n");
    let output = lint(&wrong, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(":5, service web, label guard.maxrety"), "{said}");
    assert!(said.contains("did you mean `guard.maxretry`?"), "{said}");
    assert!(said.contains("write `$$who`") && said.contains("docker-compose.yml:6, "), "{said}");
    let output = lint(&wrong, &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["findings"][0]["line"], 5);

    // `.env` beside the file is what Compose takes variables from.
    std::fs::write(folder.path().join(".env"), "who=^y\n").unwrap();
    assert_eq!(lint(&wrong.replace("maxrety", "maxretry"), &[]).status.code(), Some(0));
    let output = guardctl(Path::new("/nonexistent"), &["lint", "/no/such.yml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    // Without a file it is about what runs, and there is no guard to ask.
    let output = guardctl(Path::new("/nonexistent"), &["lint"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn half_a_backup_is_none() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guard.backup");
    std::fs::write(&file, "the last one").unwrap();
    let output = world.run(&["backup", file.to_str().unwrap()]);
    check(&output, 1, "", "only 0 of 5 bytes came");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the last one");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no part of it is left");
    check(
        &world.run(&["backup", "/nowhere/guard.backup"]),
        1,
        "",
        "/nowhere/guard.backup: No such",
    );
    check(&world.run(&["backup"]), 1, "", "only 0 of 5 bytes came");
}

#[test]
fn a_backup_is_given_back_in_pieces() {
    let world = World::new();
    let output = world.run_with_input(&["restore", "-"], &"x".repeat(1_200_000));
    check(&output, 1, "", "it is damaged");
    let asked = world.asked();
    let pieces: Vec<(u64, usize)> = asked
        .iter()
        .filter_map(|request| match request {
            Request::Upload { at, piece } => Some((*at, piece.len())),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, [(0, 524_288), (524_288, 524_288), (1_048_576, 151_424)]);
    assert_eq!(asked.last(), Some(&Request::Restore { bytes: 1_200_000 }));
    check(&world.run(&["restore"]), 2, "", "<FILE>");
    check(&world.run_with_input(&["restore", "-"], ""), 1, "", "docker exec passes it on with -i");
}

#[test]
fn findings_and_suggestions_are_shown() {
    let world = World::new();
    let output = world.run(&["doctor"]);
    let expected = "warning: jail web: evil\\x1b[31m\\nok: forged\n    because\n  → - a:b:ro\n\
                    ok: x: y\n0 errors, 1 warnings, 0 notes, 1 things are well\n";
    check(&output, 1, expected, "");
    let output = world.run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["worst"], &told["findings"][0]["level"]),
        (&"warning".into(), &"warning".into())
    );
    let output = world.run(&["suggest"]);
    let expected = "# web-1 (nginx): filter nginx-http-auth, a guess\n#   evil\\nforged: x\n  web:\n    \
                    labels:\n      guard.logpath: \"/a$$b\\\"c\"\n\n";
    check(&output, 0, expected, "");
}

#[test]
fn without_a_guard_the_doctor_looks_at_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let doctor = |more: &[&str]| {
        guardctl(&folder.path().join("guard.sock"), &[&["doctor"], more].concat())
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("GUARD_DATA", folder.path())
            .output()
            .unwrap()
    };
    let output = doctor(&[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let out = text(&output.stdout);
    assert!(out.contains("error: guard: ") && out.contains("- /nowhere/docker.sock:"), "{out}");
    let told: serde_json::Value = serde_json::from_slice(&doctor(&["--json"]).stdout).unwrap();
    assert_eq!(told["worst"], "error");
}

/// The exit code, and parts of what was printed.
#[track_caller]
fn holds(output: &Output, code: i32, out: &str, err: &str) {
    let (printed, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{printed}{told}");
    assert!(printed.contains(out), "no `{out}`: {printed}");
    assert!(told.contains(err), "no `{err}`: {told}");
}

#[test]
fn jails_of_fail2ban_become_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jail.local");
    let import = |text: &str, options: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let arguments = [&["import", path.to_str().unwrap(), "--no-docker"], options].concat();
        guardctl(Path::new("/nowhere"), &arguments).output().unwrap()
    };
    let jail = "[web]\nenabled = true\nfilter =\nfailregex = no\\s<HOST>$\nlogpath = /var/log/web.log\n\
                action = iptables[type=allports]\n";
    let output = import(jail, &[]);
    holds(&output, 0, "guard.jails.web.failregex: 'no\\s<HOST>$$'\n", "came over, whole");
    let output = import(&format!("{jail}ignorecommand = /bin/true\n"), &[]);
    holds(&output, 1, "guard.jails.web.", "jail.local:7: jail web: `ignorecommand`");
    let output = import(jail, &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["whole"], 1, "{json}");
    assert_eq!(json["jails"][0]["labels"]["guard.jails.web.failregex"], "no\\s<HOST>$");
    holds(&import("[web]\nenabled = false\n", &[]), 1, "", "no jail is enabled");
    holds(&import("[web]\nfoo\n", &[]), 1, "", "jail.local:2: `foo` is no option");
    let hostile = "[w\u{1b}[31m]\nenabled = true\nfilter =\nfailregex = \u{202e}<HOST>\n a\u{9b}<HOST>\n\
                   logpath = /var/log/x\n  /var/\u{1b}[2J\naction = x\u{7}\u{202e}\n";
    let output = import(hostile, &[]);
    for bytes in [&output.stdout, &output.stderr] {
        let unsafe_one = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text(bytes).contains(unsafe_one), "{:?}", text(bytes));
    }
}

/// What a link in an archive leads to may not be in it: that is no "no such file".
#[test]
fn links_in_an_archive_lose_no_jail_in_silence() {
    let directory = tempfile::tempdir().unwrap();
    let etc = directory.path().join("etc");
    let at = |name: &str| etc.join("fail2ban").join(name);
    std::fs::create_dir_all(at("jail.d")).unwrap();
    let jail = "[web]\nenabled = true\nfilter =\nfailregex = no\\s<HOST>$\nlogpath = /var/log/web.log\n\
                action = iptables[type=allports]\n";
    std::fs::write(directory.path().join("elsewhere"), jail).unwrap();
    std::fs::write(at("jail.conf"), "[DEFAULT]\nmaxretry = 4\n").unwrap();
    std::os::unix::fs::symlink("../../elsewhere", at("jail.local")).unwrap();
    let import = |follow: &[&str]| {
        let archive = directory.path().join("archive");
        let mut tar = Command::new("tar");
        tar.args(follow).arg("-C").arg(&etc).arg("-cf").arg(&archive).arg("fail2ban");
        assert!(tar.status().unwrap().success());
        let mut command = guardctl(Path::new("/nowhere"), &["import", "-", "--no-docker"]);
        command.stdin(std::fs::File::open(&archive).unwrap()).output().unwrap()
    };
    holds(&import(&[]), 1, "", "make it with `tar -h`");
    holds(&import(&["-h"]), 0, "guard.jails.web.failregex: 'no\\s<HOST>$$'", "came over, whole");
    // Two names of one file: tar has the second as a link to the first.
    std::fs::remove_file(at("jail.local")).unwrap();
    std::fs::write(at("a"), jail).unwrap();
    std::fs::hard_link(at("a"), at("jail.local")).unwrap();
    holds(&import(&[]), 0, "guard.jails.web.failregex: 'no\\s<HOST>$$'", "came over, whole");
    std::fs::rename(at("jail.d"), at("d")).unwrap();
    std::os::unix::fs::symlink("d", at("jail.d")).unwrap();
    holds(&import(&[]), 1, "", "jail.d is a link to d");
}

/// What is in another folder, or in one that can't be read, is not left out in silence.
#[test]
fn several_folders_of_fail2ban_are_one_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        std::fs::write(at(name), text).unwrap();
    };
    let many = |word: &str| {
        let regexes: String = (0..6).map(|n| format!("  ^{word}{n} %(pre)s <HOST>$\n")).collect();
        format!("[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex =\n{regexes}")
    };
    let jail = |name: &str| {
        format!(
            "[{name}]\nenabled = true\nlogpath = /var/log/{name}.log\naction = ufw\nfilter = {name}\n"
        )
    };
    for (folder, name) in [("1", "a"), ("2", "b")] {
        write(&format!("{folder}/jail.local"), &jail(name));
        write(&format!("{folder}/filter.d/{name}.conf"), &many(name));
        write(&format!("{folder}/filter.d/common.conf"), &format!("[DEFAULT]\npre = {folder}\n"));
    }
    write("1/fail2ban.local", "[Definition]\ndbpurgeage = 30d\n");
    let import = |more: &[&str]| {
        let (one, two) = (at("1").display().to_string(), at("2").display().to_string());
        let arguments = [&["import", &one, &two, "--no-docker"], more].concat();
        guardctl(Path::new("/nowhere"), &arguments).output().unwrap()
    };
    let mount = |file: &str| {
        format!(
            "- {}:/etc/guard/filter.d/{}:ro\n",
            at(file).display(),
            &file["1/filter.d/".len()..]
        )
    };
    let output = import(&[]);
    holds(&output, 0, &mount("1/filter.d/a.conf"), "came over, whole");
    holds(&output, 0, "^b5 2 <HOST>$$\n", "1/fail2ban.local:2: `dbpurgeage = 30d`");
    holds(&output, 0, &mount("1/filter.d/common.conf"), "set GUARD_HISTORY");
    // A filter that is a link to another folder is a file to be mounted like any other.
    write("elsewhere.conf", &many("c"));
    std::fs::remove_file(at("1/filter.d/a.conf")).unwrap();
    std::os::unix::fs::symlink(at("elsewhere.conf"), at("1/filter.d/a.conf")).unwrap();
    holds(&import(&[]), 0, &mount("1/filter.d/a.conf"), "came over, whole");
    holds(&import(&["--project", "-"]), 0, &mount("1/filter.d/a.conf"), "");
    holds(
        &import(&["--project", "x"]),
        2,
        "",
        "no jail is for a project `x`; those that get labels: -",
    );
    // root reads every folder, so it is one that nobody can.
    std::os::unix::fs::symlink("jail.d", at("2/jail.d")).unwrap();
    holds(&import(&[]), 1, "", "2/jail.d: the folder can't be read");
}

#[test]
fn bans_of_fail2ban_are_handed_over() {
    let world = World::new();
    let path = world.directory.path().join("f.sqlite3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let schema = "CREATE TABLE bips(ip, jail, timeofban, bantime, bancount);
        INSERT INTO bips VALUES ('192.0.2.1', 'web', 10, -1, 1), ('127.0.0.1', 'web', 10, -1, 1),
            ('192.0.2.2', 'old', 10, -1, 1), ('evil\u{1b}[31m', 'web', 10, -1, 1);";
    connection.execute_batch(schema).unwrap();
    let name = path.to_str().unwrap();
    let output = world.run(&["import", "--bans", name]);
    holds(&output, 1, "jail web: 1 banned", "127.0.0.1 is not banned: it is this host");
    holds(&output, 1, "", "--jail old=JAIL");
    holds(&output, 1, "", "left out: `evil\\x1b[31m` of jail web is no address");
    let output = world.run(&["import", "--bans", name, "--jail", "old=web", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["jails"][0]["fail2ban"], "old", "{json}");
    assert_eq!(json["jails"][0]["reply"]["banned"], 1, "{json}");
    // A jail that became several is closed in each.
    let several = ["import", "--bans", name, "--jail", "web=web", "--jail", "web=web-flask"];
    let output = world.run(&several);
    holds(&output, 1, "jail web: ", "");
    holds(&output, 1, "jail web-flask: 1 banned", "");
    holds(
        &world.run(&["import", "--bans", name, "--jail", "x=web"]),
        2,
        "",
        "no ban of a jail `x`",
    );
    let mut command = guardctl(&world.socket(), &["import", "--bans", "-"]);
    let temporary = world.directory.path().join("t");
    std::fs::create_dir(&temporary).unwrap();
    command.env("TMPDIR", &temporary).stdin(std::fs::File::open(&path).unwrap());
    holds(&command.output().unwrap(), 1, "jail web: 1 banned", "");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "a copy is left");
    holds(&world.run_with_input(&["import", "--bans", "-"], "x\n"), 1, "", "no SQLite database");
    let nobody = guardctl(Path::new("/nowhere"), &["import", "--bans", name]).output().unwrap();
    holds(&nobody, 3, "", "");
}
