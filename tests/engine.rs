//! Discovery and output against a real Docker engine: the one that `docker` finds.
//! Only containers, networks and an image named `guard-test-<pid>…` are made, and
//! all are removed again.
// Clippy knows only `#[test]` functions as tests, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use guard::docker::{
    Change, Discovery, DockerError, Engine, OutputBatch, OutputChoice, OutputReader, OutputStart,
    container_ids, discover,
};
use guard::model::{Container, Line, Position, ServiceId, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(40);

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn docker_ok(arguments: &[&str]) -> String {
    let output = docker(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An engine with an image of busybox, for as long as any test needs it.
struct Lab;

static USERS: Mutex<usize> = Mutex::new(0);
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// `None` where there is no engine, with a word about it.
    fn open(test: &str) -> Option<Lab> {
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let engine = Command::new("docker").arg("version").output();
        let reason = match (busybox, engine.is_ok_and(|output| output.status.success())) {
            (None, _) => "there is no static busybox",
            (_, false) => "no Docker engine answers",
            (Some(busybox), true) => {
                let mut users = USERS.lock().unwrap();
                if *users == 0 {
                    import(busybox);
                }
                *users += 1;
                return Some(Lab);
            }
        };
        let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|word| word.trim() == "docker"), "{test}: {reason}");
        eprintln!("SKIPPED {test}: {reason}");
        None
    }

    fn name(&self) -> String {
        format!("{}-{}", image(), NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs a container with more of `docker run`'s arguments and a shell script.
    fn run(&self, arguments: &[&str], script: &str) -> Running {
        let name = self.name();
        let image = image();
        let mut all = vec!["run", "-d", "--name", &name];
        all.extend(arguments);
        all.extend([image.as_str(), "/bin/busybox", "sh", "-c", script]);
        docker_ok(&all);
        Running { name }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap();
        *users -= 1;
        if *users == 0 {
            docker(&["rmi", "-f", &image()]);
        }
    }
}

fn image() -> String {
    format!("guard-test-{}", std::process::id())
}

fn import(busybox: &str) {
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "tmp", "etc"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    std::fs::copy(busybox, root.path().join("bin/busybox")).unwrap();
    let tar = root.path().join("../").join(format!("{}.tar", image()));
    let packed =
        Command::new("tar").arg("-C").arg(root.path()).arg("-cf").arg(&tar).arg(".").status();
    assert!(packed.unwrap().success());
    docker_ok(&["import", tar.to_str().unwrap(), &image()]);
    std::fs::remove_file(tar).unwrap();
}

/// A container, removed in the end.
struct Running {
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.name]);
    }
}

/// What discovery tells.
struct Watching {
    changes: mpsc::Receiver<Change>,
    cancel: CancellationToken,
}

impl Watching {
    fn start(prefix: &str, host: Option<String>) -> Self {
        let (sender, changes) = mpsc::channel(64);
        let cancel = CancellationToken::new();
        tokio::spawn(discover(Discovery { prefix: prefix.into(), host }, sender, cancel.clone()));
        Watching { changes, cancel }
    }

    /// The first change that `wanted` makes something of.
    async fn wait<T>(&mut self, what: &str, mut wanted: impl FnMut(Change) -> Option<T>) -> T {
        let search = async {
            loop {
                let change = self.changes.recv().await.unwrap();
                if let Some(found) = wanted(change) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| panic!("never told: {what}"))
    }

    async fn container(&mut self, what: &str, wanted: impl Fn(&Container) -> bool) -> Container {
        self.wait(what, |change| match change {
            Change::Appeared(container) if wanted(&container) => Some(*container),
            _ => None,
        })
        .await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The container as discovery tells it.
async fn found(running: &Running) -> (Engine, Container) {
    let mut watching = Watching::start("guardtest.", None);
    let engine = watching
        .wait("connected", |change| match change {
            Change::Connected(engine) => Some(engine),
            _ => None,
        })
        .await;
    let container = watching.container(&running.name, |c| *c.name == *running.name).await;
    (engine, container)
}

/// All lines until the container has ended.
async fn to_the_end(reader: &mut OutputReader) -> Vec<Line> {
    let mut all = Vec::new();
    let read = async {
        while let OutputBatch::Lines { lines, .. } = reader.next().await.unwrap() {
            assert!(lines.len() <= 256);
            all.extend(lines);
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    all
}

async fn lines(reader: &mut OutputReader, count: usize) -> Vec<Line> {
    let mut all = Vec::new();
    let read = async {
        while all.len() < count {
            match reader.next().await.unwrap() {
                OutputBatch::Lines { lines, .. } => all.extend(lines),
                OutputBatch::Ended => panic!("ended after {} of {count} lines", all.len()),
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    all
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn start() -> OutputStart {
    OutputStart::After(Position::OUTPUT_START)
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_tells_what_becomes_of_containers() {
    let Some(lab) = Lab::open("discovery") else { return };
    let prefix = format!("{}.", image());
    let mut watching = Watching::start(&prefix, None);
    watching.wait("listed", |change| matches!(change, Change::Listed).then_some(())).await;
    let label = format!("{}.FAILREGEX=x <HOST>", image().to_uppercase());
    let running = lab.run(
        &[
            "--label",
            &label,
            "--label",
            "com.docker.compose.project=shop",
            "--label",
            "com.docker.compose.service=web",
            "-e",
            "TZ=Europe/Paris",
            "-v",
            "/data",
            "-p",
            "127.0.0.1::80",
        ],
        "sleep 1000",
    );
    let name = running.name.clone();
    let seen = watching.container("running", |c| *c.name == *name && c.running).await;
    assert_eq!(seen.service, ServiceId::Compose { project: "shop".into(), service: "web".into() });
    assert_eq!(seen.timezone.as_deref(), Some("Europe/Paris"));
    assert_eq!((seen.mounts.len(), seen.ports.len(), seen.own), (1, 1, false));
    assert!(seen.started.is_some() && !seen.tty && !seen.one_off);
    docker_ok(&["pause", &name]);
    docker_ok(&["unpause", &name]);

    let renamed = Running { name: lab.name() };
    docker_ok(&["rename", &name, &renamed.name]);
    watching.container("renamed", |c| *c.name == *renamed.name && c.id == seen.id).await;
    docker_ok(&["stop", "-t", "0", &renamed.name]);
    watching.container("stopped", |c| c.id == seen.id && !c.running).await;
    docker_ok(&["start", &renamed.name]);
    let again = watching.container("started", |c| c.id == seen.id && c.running).await;
    assert!(again.started > seen.started);

    docker_ok(&["network", "create", "--subnet", "10.213.77.0/24", &name]);
    let networks = watching
        .wait("the network", |change| match change {
            Change::Networks(networks) => {
                Some(networks).filter(|all| all.iter().any(|network| network.name == name))
            }
            _ => None,
        })
        .await;
    watching.wait("rules", |c| matches!(c, Change::RulesMayHaveChanged).then_some(())).await;
    docker_ok(&["network", "rm", &name]);
    let network = networks.iter().find(|network| network.name == name).unwrap();
    assert_eq!(network.subnets, ["10.213.77.0/24".parse().unwrap()]);
    assert_eq!(network.gateways, ["10.213.77.1".parse().unwrap()]);

    docker_ok(&["rm", "-f", &renamed.name]);
    watching
        .wait("vanished", |c| matches!(c, Change::Vanished(id) if id == seen.id).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_both_streams_is_read_to_its_last_word() {
    let Some(lab) = Lab::open("output") else { return };
    let script =
        "echo one; echo two >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'last words'";
    let script = format!(
        "alias head='busybox head' tr='busybox tr'; PATH=/bin; {}",
        script.replace("head", "/bin/busybox head").replace("| tr", "| /bin/busybox tr")
    );
    let running = lab.run(&["--label", "guardtest.x=1"], &script);
    let (engine, container) = found(&running).await;
    let mut reader = engine.output(&container, &start(), OutputChoice::Both);
    let all = to_the_end(&mut reader).await;
    let mut seen = texts(&all);
    seen.sort_by_key(|text| text.len());
    assert_eq!(seen[..3], ["one", "two", "last words"]);
    assert_eq!((seen.len(), seen[3].len()), (4, 40_000));
    let OutputBatch::Ended = reader.next().await.unwrap() else { panic!("it has ended") };

    for (choice, expected) in [(OutputChoice::Stderr, 1), (OutputChoice::Stdout, 3)] {
        let mut reader = engine.output(&container, &start(), choice);
        assert_eq!(to_the_end(&mut reader).await.len(), expected);
    }
    // From any line's place, exactly the lines after it.
    for count in 0..=all.len() {
        let mut position = Position::OUTPUT_START;
        all[..count].iter().for_each(|line| position.advance(&line.mark));
        let mut reader =
            engine.output(&container, &OutputStart::After(position), OutputChoice::Both);
        assert_eq!(texts(&to_the_end(&mut reader).await), texts(&all[count..]));
        assert_eq!(reader.position(), {
            let mut end = Position::OUTPUT_START;
            all.iter().for_each(|line| end.advance(&line.mark));
            end
        });
    }
    let later = OutputStart::Since(Timestamp::now() + jiff::SignedDuration::from_secs(60));
    let mut reader = engine.output(&container, &later, OutputChoice::Both);
    assert_eq!(to_the_end(&mut reader).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ttys_output_hides_nothing() {
    let Some(lab) = Lab::open("tty") else { return };
    let script = "printf 'one\\n\\001\\000\\000\\000\\000\\000\\000\\377two\\nthree\\n'; \
        /bin/busybox head -c 40000 /dev/zero | /bin/busybox tr '\\0' x; printf '\\nlast\\n'";
    let running = lab.run(&["-t", "--label", "guardtest.x=1"], script);
    let (engine, container) = found(&running).await;
    assert!(container.tty);
    let mut reader = engine.output(&container, &start(), OutputChoice::Both);
    let all = to_the_end(&mut reader).await;
    let seen = texts(&all);
    assert_eq!((seen.len(), seen[0], seen[2], seen[4]), (5, "one", "three", "last"));
    assert!(seen[1].ends_with("two"));
    assert_eq!(seen[3].len(), 40_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let Some(lab) = Lab::open("restart") else { return };
    let running = lab.run(
        &["--label", "guardtest.x=1"],
        "echo $(/bin/busybox date +%s%N) begins; printf 'no end'; exec /bin/busybox sleep 1000",
    );
    let (engine, container) = found(&running).await;
    let mut reader = engine.output(&container, &start(), OutputChoice::Both);
    assert!(lines(&mut reader, 1).await[0].text.ends_with("begins"));
    docker_ok(&["restart", "-t", "0", &running.name]);
    // Ends and is made anew, or re-attaches by itself: that depends on who is quicker.
    let mut all = Vec::new();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while all.len() < 2 {
        assert!(tokio::time::Instant::now() < deadline, "{all:?}");
        match reader.next().await.unwrap() {
            OutputBatch::Lines { lines, .. } => all.extend(lines),
            OutputBatch::Ended => {
                reader = engine.output(
                    &container,
                    &OutputStart::After(reader.position()),
                    OutputChoice::Both,
                );
            }
        }
    }
    assert_eq!(all[0].text, "no end");
    assert!(all[1].text.ends_with("begins"), "{}", all[1].text);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_under_the_reader_neither_loses_nor_repeats() {
    let Some(lab) = Lab::open("rotation") else { return };
    let running = lab.run(
        &["--label", "guardtest.x=1", "--log-opt", "max-size=60k", "--log-opt", "max-file=5"],
        "/bin/busybox sleep 1; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); \
         [ $((i%20)) = 0 ] && /bin/busybox usleep 8000; done; exec /bin/busybox sleep 1000",
    );
    let (engine, container) = found(&running).await;
    let mut reader = engine.output(&container, &start(), OutputChoice::Both);
    let all = lines(&mut reader, 3000).await;
    for (number, line) in all.iter().enumerate() {
        assert_eq!(line.text, format!("line {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_driver_is_named() {
    let Some(lab) = Lab::open("driver") else { return };
    let running =
        lab.run(&["--label", "guardtest.x=1", "--log-driver", "none"], "/bin/busybox sleep 1000");
    let (engine, container) = found(&running).await;
    let mut reader = engine.output(&container, &start(), OutputChoice::Both);
    let error = tokio::time::timeout(DEADLINE, reader.next()).await.unwrap().unwrap_err();
    assert_eq!(error, DockerError::Unreadable("none".into()));
    assert!(error.is_permanent() && error.sentence().contains("guard.logpath"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_own_clock_is_known() {
    let Some(lab) = Lab::open("zone") else { return };
    let make = "/bin/busybox sleep 1000";
    let bare = lab.run(&["--label", "guardtest.x=1"], make);
    let (engine, container) = found(&bare).await;
    let zone = engine.time_zone(&container.id).await.unwrap().unwrap();
    assert_eq!(zone, jiff::tz::TimeZone::UTC);

    let paris = Path::new("/usr/share/zoneinfo/Europe/Paris");
    if !paris.exists() {
        eprintln!("SKIPPED zone files: this machine has no tz database");
        return;
    }
    let check = async |engine: &Engine, container: &Container| {
        let zone = engine.time_zone(&container.id).await.unwrap().unwrap();
        for at in ["2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"] {
            let at: Timestamp = at.parse().unwrap();
            let paris = jiff::tz::TimeZone::get("Europe/Paris").unwrap();
            assert_eq!(zone.to_offset(at), paris.to_offset(at), "{at}");
        }
    };
    // The file itself, as a bind mount of the host's gives it.
    let file = lab.run(
        &["--label", "guardtest.x=1", "-v", "/usr/share/zoneinfo/Europe/Paris:/etc/localtime:ro"],
        make,
    );
    let (engine, container) = found(&file).await;
    check(&engine, &container).await;
    // A link to it, as Debian has it …
    let link =
        "/bin/busybox ln -s ../zone/zoneinfo/Europe/Paris /etc/localtime; /bin/busybox sleep 1000";
    let linked =
        lab.run(&["--label", "guardtest.x=1", "-v", "/usr/share/zoneinfo:/zone/zoneinfo:ro"], link);
    let (engine, container) = found(&linked).await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while engine.time_zone(&container.id).await.unwrap() == Some(jiff::tz::TimeZone::UTC) {
        assert!(tokio::time::Instant::now() < deadline);
    }
    check(&engine, &container).await;
    // … and one that leads nowhere: libc takes UTC.
    let dangling = lab.run(&["--label", "guardtest.x=1"], link);
    let (engine, container) = found(&dangling).await;
    let zone = engine.time_zone(&container.id).await.unwrap();
    assert_eq!(zone, Some(jiff::tz::TimeZone::UTC));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_knows_itself_whatever_its_host_name() {
    let Some(lab) = Lab::open("identity") else { return };
    let running = lab.run(
        &["--label", "guardtest.x=1", "--network", "host"],
        "/bin/busybox cat /proc/self/mountinfo; echo //; /bin/busybox cat /proc/self/cgroup",
    );
    let (engine, container) = found(&running).await;
    let all = to_the_end(&mut engine.output(&container, &start(), OutputChoice::Both)).await;
    let text = texts(&all).join("\n");
    let (mountinfo, cgroup) = text.split_once("//").unwrap();
    assert_eq!(container_ids("", mountinfo), [container.id.0.to_string()]);
    assert_eq!(container_ids(cgroup, mountinfo)[0], *container.id.0);
}

/// A socket of one's own in front of the engine's, that can be shut.
struct Proxy {
    path: PathBuf,
    _dir: tempfile::TempDir,
    cut: tokio::sync::broadcast::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    fn start() -> Proxy {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let cut = tokio::sync::broadcast::Sender::new(4);
        let cuts = cut.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
                    let socket = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
                    let mut engine = tokio::net::UnixStream::connect(socket).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut engine) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Proxy { path, _dir: dir, cut, task }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_and_double_nothing() {
    let Some(lab) = Lab::open("cut") else { return };
    let running = lab.run(
        &["--label", "guardtest.x=1"],
        "/bin/busybox sleep 1; i=0; while [ $i -lt 400 ]; do echo out $i; echo err $i >&2; i=$((i+1)); \
         /bin/busybox usleep 4000; done; exec /bin/busybox sleep 1000",
    );
    let (_, container) = found(&running).await;
    let proxy = Proxy::start();
    let engine = Engine::connect_to(&proxy.host(), false).await.unwrap();
    let mut reader = engine.output(&container, &start(), OutputChoice::Both);
    let (mut all, mut cuts) = (Vec::new(), 0);
    let read = async {
        while all.len() < 800 {
            match reader.next().await.unwrap() {
                OutputBatch::Lines { lines, .. } => all.extend(lines),
                OutputBatch::Ended => panic!("it runs"),
            }
            if all.len() / 100 > cuts {
                cuts = all.len() / 100;
                let _ = proxy.cut.send(());
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    assert!(cuts >= 5);
    for stream in ["out", "err"] {
        let texts: Vec<&str> =
            all.iter().map(|l| l.text.as_str()).filter(|t| t.starts_with(stream)).collect();
        let expected: Vec<String> = (0..400).map(|number| format!("{stream} {number}")).collect();
        assert_eq!(texts, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_and_comes_is_told_once_each() {
    let Some(lab) = Lab::open("lost") else { return };
    let proxy = Proxy::start();
    let mut watching = Watching::start("guardtest.", Some(proxy.host()));
    watching.wait("listed", |c| matches!(c, Change::Listed).then_some(())).await;
    // The socket is gone, and every connection with it.
    proxy.task.abort();
    let hidden = proxy.path.with_extension("hidden");
    std::fs::rename(&proxy.path, &hidden).unwrap();
    let _ = proxy.cut.send(());
    let told = watching
        .wait("lost", |c| match c {
            Change::Lost(why) if why.contains("no Docker socket") => Some(why),
            _ => None,
        })
        .await;
    assert!(told.contains(":ro`"), "{told}");
    // What happens meanwhile is told afterwards.
    let running = lab.run(&["--label", "guardtest.x=1"], "/bin/busybox sleep 1000");
    let listener = tokio::net::UnixListener::bind(&proxy.path).unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut engine =
                    tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    watching.wait("connected", |c| matches!(c, Change::Connected(_)).then_some(())).await;
    watching.container("the new one", |c| *c.name == *running.name).await;
    serving.abort();
}
