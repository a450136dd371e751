//! Where Docker is not as usual, and where guard's own container is not as it should be:
//! `docs/platforms.md` says what works, and these that it does.

use std::process::{Child, Command, Stdio};

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

/// What guard's container has in the example, but its mounts.
const USUAL: &[&str] = &[
    "--network=host",
    "--cap-drop=ALL",
    "--cap-add=NET_ADMIN",
    "--cap-add=NET_RAW",
    "--cap-add=DAC_READ_SEARCH",
    "--security-opt=no-new-privileges",
    "--read-only",
    "--tmpfs=/run",
    "--tmpfs=/tmp",
    "--volume=guard-data:/var/lib/guard",
];

/// Starts guard in a container of this name, which takes the place of the one before.
fn start_guard(host: &Host, options: &[&[&str]]) -> Result<String, String> {
    let _ = try_run(host.docker_command().args(["rm", "--force", "guard"]));
    let mut docker = host.docker_command();
    docker.args(["run", "--detach", "--name=guard"]).args(options.concat()).arg("guard");
    try_run(&mut docker)
}

fn socket(host: &Host) -> String {
    format!("--volume={}:/var/run/docker.sock:ro", host.socket().display())
}

/// Waits until guard's container has said all these words in its log.
#[track_caller]
fn logs(host: &Host, words: &[&str]) {
    eventually(&format!("guard's log says {words:?}"), || {
        let output = host.docker_command().args(["logs", "guard"]).output();
        let output = output.map_err(|error| error.to_string())?;
        let log = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure(words.iter().all(|word| log.contains(word)), log)
    });
}

/// What guardctl in guard's container says, however it ends.
fn ctl(host: &Host, arguments: &[&str]) -> String {
    let mut docker = host.docker_command();
    let output = docker.args(["exec", "guard", "guardctl"]).args(arguments).output();
    let output = output.expect("docker starts");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[track_caller]
fn says(host: &Host, arguments: &[&str], words: &[&str]) {
    eventually(&format!("guardctl {arguments:?} says {words:?}"), || {
        let said = ctl(host, arguments);
        ensure(words.iter().all(|word| said.contains(word)), said)
    });
}

/// With `userns-remap` and a data-root of its own, guard works by `userns_mode: host` and
/// the line for the volumes that it names itself; without, it says why not. (For `default`
/// Docker makes a user `dockremap` on the machine, once.)
#[test]
fn a_daemon_that_maps_users_is_guarded_from_the_hosts_own() {
    on_every_engine("a_daemon_that_maps_users_is_guarded_from_the_hosts_own", |engine| {
        let mut host = Host::without_engine(engine);
        let root = host.reachable_folder().join("data");
        host.start_engine_with(&format!(
            r#"{{"userns-remap": "default", "data-root": "{}"}}"#,
            root.display()
        ));
        host.import();
        guard_image::import(&host);
        let mallory = host.attacker();
        let web = Service::new("web").publish("8080:80").arguments(FLASK);
        web.guarded(&LABELS).run(&host);
        let cloud = Service::new("cloud").publish("8081:80").mount("files:/mnt/data/files");
        let log = ("logpath", "/mnt/data/files/owncloud.log");
        let labels = [("failregex", OWNCLOUD_REGEX), LABELS[1], LABELS[2], log];
        cloud.arguments(OWNCLOUD).guarded(&labels).run(&host);
        let socket = socket(&host);

        // Docker itself refuses the first mistake.
        let refused = start_guard(&host, &[USUAL, &[&socket]]).expect_err("no host network");
        assert!(refused.contains("user namespace"), "{refused}");
        // The second is guard's to tell: it may not even open the socket.
        let elsewhere: Vec<&str> =
            USUAL.iter().copied().filter(|o| *o != "--network=host").collect();
        start_guard(&host, &[&elsewhere, &[&socket]]).expect("a container like any other");
        logs(&host, &["ERROR", "another user on the host", "userns_mode: host"]);
        says(&host, &["status"], &["another user on the host", "userns_mode: host"]);

        let named = "docker info".split(' ').skip(1).chain(["--format", "{{.DockerRootDir}}"]);
        let named = host.docker(&named.collect::<Vec<_>>());
        assert!(
            named.starts_with(&root.display().to_string()) && named != root.display().to_string()
        );
        // A volume would belong to the mapped root, and guard may not write to it.
        let data = host.folder().join("data");
        std::fs::create_dir(&data).expect("the host's folder can be written");
        let data = format!("--volume={}:/var/lib/guard", data.display());
        let as_host: Vec<&str> =
            USUAL.iter().copied().filter(|o| !o.contains("guard-data")).collect();
        let as_host = [&as_host, ["--userns=host", &socket, &data].as_slice()].concat();
        start_guard(&host, &[&as_host]).expect("as docs/platforms.md says");
        // guard tells the line itself; with it, it reads the volume.
        let line = format!("{named}/volumes:/host{named}/volumes:ro,rslave");
        says(&host, &["status", "cloud"], &[&line]);
        let volumes = format!("--volume={}", line.trim_end_matches(",rslave"));
        start_guard(&host, &[&as_host, &[&volumes]]).expect("as docs/platforms.md says");
        says(&host, &["doctor"], &["0 errors", "userns-remap"]);
        for (port, jail, address) in [(8080, "web", 20), (8081, "cloud", 21)] {
            let mallory = mallory.at(mallory.address(Family::V4, address));
            says(&host, &["status", jail], &["Currently banned:\t0"]);
            mallory.is_served(port);
            mallory.fail(port, 2);
            mallory.is_refused(port);
        }
    });
}

/// With the mount of `docs/platforms.md` guard's iptables and Docker's wait for each other.
#[test]
fn a_lock_of_guards_own_is_told_where_iptables_is_legacy() {
    let Some(engine) = engines("a_lock_of_guards_own_is_told_where_iptables_is_legacy").pop()
    else {
        return;
    };
    let host = Host::start(&engine.with_legacy_iptables());
    guard_image::import(&host);
    let socket = socket(&host);
    start_guard(&host, &[USUAL, &[&socket]]).expect("it starts");
    says(&host, &["doctor"], &["iptables is legacy", "create_host_path: false"]);

    let lock = host.folder().join("xtables.lock");
    let file = std::fs::File::create(&lock).expect("the host's folder can be written");
    let mount = format!("--mount=type=bind,source={},target=/run/xtables.lock", lock.display());
    start_guard(&host, &[USUAL, &[&socket, &mount]]).expect("as docs/platforms.md says");
    says(&host, &["status"], &["iptables-legacy"]);
    let said = ctl(&host, &["doctor"]);
    assert!(said.contains("0 errors") && !said.contains("iptables is legacy"), "{said}");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("nobody has it");
    let add = "exec guard iptables-legacy -w 1 -A INPUT -s 192.0.2.1 -j DROP".split(' ');
    let refused = try_run(host.docker_command().args(add)).expect_err("it is locked");
    assert!(refused.contains("xtables lock"), "{refused}");
}

/// Each thing that is forgotten in guard's own service is named, with the line that mends
/// it, in the log and by the doctor.
#[test]
fn what_guards_own_container_lacks_is_told() {
    let Some(engine) = engines("what_guards_own_container_lacks_is_told").pop() else { return };
    let host = Host::start(&engine);
    guard_image::import(&host);
    Service::new("web").publish("8080:80").guarded(&LABELS).run(&host);
    let socket = socket(&host);
    let without = |lacking: &str| -> Vec<&str> {
        USUAL.iter().copied().filter(|option| !option.contains(lacking)).collect()
    };
    let start = |options: &[&str]| start_guard(&host, &[options]).expect("it starts");

    start(&[without("network").as_slice(), &[&socket]].concat());
    let words = ["guard's container has the network", "network_mode: host"];
    says(&host, &["doctor"], &words);
    logs(&host, &["ERROR guard: guard's container has the network"]);

    start(&[without("NET_ADMIN").as_slice(), &[&socket]].concat());
    says(&host, &["doctor"], &["the capability NET_ADMIN is missing", "cap_add: [NET_ADMIN"]);
    says(&host, &["status"], &["NOT in force"]);
    logs(&host, &["ERROR guard: the capability NET_ADMIN is missing"]);

    start(USUAL);
    let line = "- /var/run/docker.sock:/var/run/docker.sock:ro";
    says(&host, &["doctor"], &["there is no Docker socket", line]);
    logs(&host, &["there is no Docker socket", line]);

    // DAC_READ_SEARCH opens no socket for a user who may not write to it.
    let group = host.folder().join("docker.sock").display().to_string();
    host.run(&["chown", "0:4242", &group]);
    let home = host.folder().join("home");
    std::fs::create_dir(&home).expect("the host's folder can be written");
    host.run(&["chown", "4241", &home.display().to_string()]);
    let home = format!("--volume={}:/home", home.display());
    let user = [
        "--user=4241",
        "--env=GUARD_SOCKET=/home/guard.sock",
        "--env=GUARD_DATA=/home/data",
        &home,
        &socket,
    ];
    start(&[without("guard-data").as_slice(), &user].concat());
    logs(&host, &["permission denied", "group_add", "label=disable"]);
}

/// A Podman in the place of the engine, which a host does not have otherwise.
struct Podman<'h> {
    host: &'h Host,
    service: Child,
}

impl Podman<'_> {
    fn start(host: &Host) -> Podman<'_> {
        let mut podman = command(host);
        let service = podman
            .args(["system", "service", "--time=0", &host.docker_host()])
            // It leaves there what is imported.
            .env("TMPDIR", host.folder())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nsenter starts");
        eventually("Podman answers", || {
            ensure(host.socket().exists(), "no socket")?;
            try_run(host.docker_command().arg("version"))
        });
        Podman { host, service }
    }
}

fn command(host: &Host) -> Command {
    let folder = host.folder().display();
    let mut podman = host.namespace().command(find("podman").expect("it was looked for"));
    podman.args([
        format!("--root={folder}/storage"),
        format!("--runroot={folder}/run"),
        format!("--tmpdir={folder}/tmp"),
        format!("--network-config-dir={folder}/networks"),
        "--cgroup-manager=cgroupfs".to_owned(),
        "--events-backend=file".to_owned(),
        "--storage-driver=overlay".to_owned(),
    ]);
    // Older ones of crun refuse machines that have both versions of control groups.
    if let Some(runc) = find("runc") {
        podman.arg("--runtime").arg(runc);
    }
    podman
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
        let _ = try_run(command(self.host).args(["rm", "--all", "--force", "--time=0"]));
    }
}

/// Podman's socket in the place of Docker's: output, events, real packets of both
/// families, and what it can't do is said.
#[test]
fn podman_is_guarded_in_nftables() {
    let name = "podman_is_guarded_in_nftables";
    let Some(engine) = engines(name).pop() else { return };
    if find("podman").is_none() {
        return skip(name, "podman", "no `podman` in PATH");
    }
    let host = Host::without_engine(&engine);
    let _podman = Podman::start(&host);
    host.import();
    let subnets = ["--subnet", "172.30.0.0/16", "--subnet", "fd30::/64", "dual"];
    host.docker(&[&["network", "create", "--ipv6"], subnets.as_slice()].concat());
    let (alice, mallory) = (host.attacker(), host.attacker());
    let web = |name: &str, port: &str| {
        Service::new(name)
            .dual()
            .publish(port)
            .option("--cgroup-parent", &format!("/{}", host.namespace().name()))
            // What the machine itself may have, whatever Podman would like.
            .option("--ulimit", "nofile=1024:1024")
            .option("--ulimit", "nproc=1000:1000")
            .guarded(&LABELS)
            .guarded(&[("port", "published")])
            .run(&host)
    };
    web("web", "8080:80");
    let mut guard = Guard::start(&host, &[]);
    guard.has_jail("web");
    guard.says(None, &["Engine:\t\tPodman", "nftables; in force"]);
    for family in BOTH {
        let mallory = mallory.of(family);
        mallory.is_served(8080);
        mallory.fail(8080, 2);
        mallory.is_refused(8080);
        alice.of(family).is_still_served(8080);
    }
    // Podman's times are whole seconds: still no line counts twice.
    let total = guard.jail("web").expect("it is there").total_failed;
    guard.restart();
    guard.has_jail("web");
    let third = mallory.at(mallory.address(Family::V4, 20));
    third.is_served(8080);
    third.fail(8080, 1);
    guard.until("web", "one more failure and no other", |status| status.failed == 1);
    assert_eq!(total, 4);
    mallory.v4().is_still_refused(8080);
    // The same line twice in one of them is two failures.
    let other = mallory.address(Family::V4, 21);
    for _ in 0..2 {
        third.log(8080, &format!("Login failed for user 'x' [IP: {other}]"));
    }
    guard.has_banned("web", &other);
    // A new network has netavark write its rules anew; bans are not theirs.
    web("other", "8081:80");
    guard.has_jail("other");
    mallory.v4().is_served(8081);
    mallory.v4().is_still_refused(8080);
    let doctor = guard.ctl(&["doctor"]).out;
    assert!(doctor.contains("this is Podman") && doctor.contains("0 errors"), "{doctor}");
    guard.sigterm();
    assert_eq!(host.traces_of_guard(), Vec::<String>::new());
    mallory.v4().is_served(8080);
}

const BOTH: [Family; 2] = Family::ALL;
