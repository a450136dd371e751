//! Coming from fail2ban: Debian's configuration with jails for ownCloud and Flask from the
//! host's files, taken over in guard's container, started as it was printed, attacked.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use crate::support::*;

const PROJECT: &str = "shop";

/// What Docker Compose is on this machine.
fn compose(engine: &Engine) -> Option<Vec<String>> {
    let plugin = engine.folder().join("../libexec/docker/cli-plugins/docker-compose");
    if plugin.is_file() {
        // Without Docker before it, it is a program of its own.
        return Some(vec![plugin.display().to_string()]);
    }
    let docker = Command::new("docker-compose").arg("version").output();
    docker.is_ok_and(|output| output.status.success()).then(|| vec!["docker-compose".to_owned()])
}

/// A stack with guard in it, and fail2ban's folder on its host.
struct Stack<'h> {
    host: &'h Host,
    compose: Vec<String>,
    folder: PathBuf,
}

impl Stack<'_> {
    fn compose(&self, words: &[&str]) -> String {
        let mut command = Command::new(&self.compose[0]);
        command
            .args(&self.compose[1..])
            .args(["-p", PROJECT, "--project-directory"])
            .arg(&self.folder)
            .args(words)
            .env("PATH", self.host.engine().path())
            .env("DOCKER_HOST", self.host.docker_host());
        run(&mut command)
    }

    /// guardctl in guard's container, with this on its standard input.
    fn guardctl(&self, arguments: &[&str], input: Option<&Path>) -> Output {
        let mut command = self.host.docker_command();
        command.args(["exec", "-i", "guard", "/programs/guardctl"]).args(arguments);
        if let Some(input) = input {
            command.stdin(fs::File::open(input).unwrap());
        }
        command.output().unwrap()
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.guardctl(arguments, None);
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.ask(&["status"]));
            let logs = self.host.docker_command().args(["logs", "--tail", "40", "guard"]).output();
            eprintln!("{}", logs.map(|logs| text(&logs.stderr)).unwrap_or_default());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A compose file with the two services, and guard in a container of its own.
fn stack(host: &Host) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_guardctl")).parent().unwrap().display();
    let socket = host.socket().display().to_string();
    let volumes =
        Path::new(&host.docker(&["info", "--format", "{{.DockerRootDir}}"])).join("volumes");
    let volumes = volumes.display();
    format!(
        "version: '2.4'\nservices:\n\
         \x20 guard:\n    image: login-service\n    container_name: guard\n    network_mode: host\n\
         \x20   command: [/programs/guard]\n    cap_add: [NET_ADMIN, NET_RAW, DAC_READ_SEARCH]\n\
         \x20   tmpfs: [/run, /tmp, /var/lib/guard]\n    environment:\n      PATH: /usr/sbin:/usr/bin\n\
         \x20   volumes:\n      - {socket}:/var/run/docker.sock\n      - {programs}:/programs:ro\n\
         \x20     - /usr:/usr:ro\n      - /usr/lib:/lib:ro\n      - /usr/lib64:/lib64:ro\n\
         \x20     - /etc/alternatives:/etc/alternatives:ro\n      - {volumes}:{volumes}:ro,rslave\n\
         \x20 owncloud:\n    image: login-service\n    ports: ['8082:80']\n    stop_signal: SIGKILL\n\
         \x20   command: [/login-service, --format, owncloud, --file, /mnt/data/files/owncloud.log]\n\
         \x20   volumes: ['cloud:/mnt/data']\n\
         \x20 flask:\n    image: login-service\n    ports: ['8080:80']\n    stop_signal: SIGKILL\n\
         \x20   command: [/login-service, --format, flask, --file, /var/log/flask/login.log]\n\
         \x20   volumes: ['log:/var/log/flask']\n\
         volumes:\n  cloud:\n  log:\n"
    )
}

/// The jails as one has them who followed the log files to the volumes.
fn jails(stack: &Stack<'_>, package: &Path) {
    let from = package.join("etc/fail2ban");
    let to = stack.folder.join("etc");
    fs::create_dir_all(&to).unwrap();
    run(Command::new("cp").arg("-r").arg(from).arg(&to));
    let volume = |name: &str| {
        let name = format!("{PROJECT}_{name}");
        stack.host.docker(&["volume", "inspect", &name, "--format", "{{.Mountpoint}}"])
    };
    let iptables = fs::read_to_string(to.join("fail2ban/action.d/iptables.conf")).unwrap();
    let docker = iptables.replace("chain = INPUT", "chain = DOCKER-USER");
    assert_ne!(docker, iptables);
    stack.write("etc/fail2ban/action.d/docker.conf", &docker);
    stack.write(
        "etc/fail2ban/filter.d/flask-login.conf",
        &format!("[Definition]\nfailregex = {FLASK_REGEX}\nignoreregex =\n"),
    );
    stack.write(
        "etc/fail2ban/filter.d/owncloud.conf",
        &format!("[Definition]\nfailregex = {OWNCLOUD_REGEX}\ndatepattern = \"time\":\"%%Y-%%m-%%dT%%H:%%M:%%S\n"),
    );
    let log = stack.folder.join("host-log/auth.log");
    stack.write("host-log/auth.log", "");
    stack.write(
        "etc/fail2ban/jail.local",
        &format!(
            "[DEFAULT]\nbantime = 1h\nmaxretry = 3\nignorecommand = /bin/false <ip>\n\
             [sshd]\nenabled = true\nlogpath = {}\n\
             [owncloud]\nenabled = true\nport = http,https\nlogpath = {}/files/owncloud.log\n\
             action = docker[name=owncloud, port=\"%(port)s\"]\n\
             \x20        sendmail-whois[name=owncloud, dest=root]\n\
             [flask]\nenabled = true\nfilter = flask-login\nport = 80\nlogpath = {}/login.log\n\
             action = docker[name=flask, port=80, blocktype=DROP]\n",
            log.display(),
            volume("cloud"),
            volume("log"),
        ),
    );
}

/// A database like fail2ban's with ten thousand bans of `flask`, this one among them, and one
/// of a jail that guard does not have.
fn database(path: &Path, address: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let now = jiff::Timestamp::now().as_second();
    let sql = format!(
        "CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT NULL,
             bantime INTEGER NOT NULL, bancount INTEGER NOT NULL default 1, data JSON,
             PRIMARY KEY(ip, jail));
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9998)
         INSERT INTO bips SELECT '203.' || (i / 250) || '.113.' || (i % 250), 'flask', {now}, 600 + i, 1, ''
             FROM n;
         INSERT INTO bips VALUES ('{address}', 'flask', {now} - 60, 3600, 2, ''),
             ('127.0.0.1', 'flask', {now}, 600, 1, ''), ('192.0.2.1', 'postfix', {now}, 600, 1, ''),
             ('192.0.2.2', 'flask', {now} - 700, 600, 1, '');"
    );
    connection.execute_batch(&sql).unwrap();
}

/// Three failed logins, as sshd tells them.
fn sshd_lines(address: &str) -> String {
    let now = jiff::Timestamp::now();
    let line =
        format!("{now:.0} host sshd[77]: Failed password for root from {address} port 4022 ssh2\n");
    line.repeat(3)
}

#[test]
fn fail2bans_jails_and_bans_go_on_in_guard() {
    const NAME: &str = "fail2bans_jails_and_bans_go_on_in_guard";
    let program = std::env::current_exe().unwrap();
    let package = program.ancestors().nth(3).unwrap().join("fail2ban/bookworm");
    if !package.join("etc/fail2ban/jail.conf").is_file() {
        return skip(NAME, "fail2ban", "no unpacked fail2ban (scripts/fail2ban.sh)");
    }
    let Some(engine) = engines(NAME).pop() else { return };
    let Some(compose) = compose(&engine) else {
        return skip(NAME, "docker", "no docker-compose");
    };
    let host = Host::start(&engine);
    let mallory = host.attacker();
    let folder = host.folder().join("stack");
    let shop = Stack { host: &host, compose, folder };
    shop.write("docker-compose.yml", &stack(&host));
    shop.compose(&["up", "-d"]);
    // The host's own sshd, as far as packets go.
    Service::new("sshd").option("--network", "host").arguments(&["--port", "22"]).run(&host);
    jails(&shop, &package);

    let archive = shop.folder.join("fail2ban.tar");
    run(Command::new("tar")
        .arg("-C")
        .arg(shop.folder.join("etc"))
        .arg("-cf")
        .arg(&archive)
        .arg("fail2ban"));
    eventually("guard answers in its container", || {
        let ping = shop.guardctl(&["ping"], None);
        ensure(ping.status.code().is_some_and(|code| code == 0), shop.ask(&["ping"]))
    });
    let printed = shop.guardctl(&["import", "-"], Some(&archive));
    let (labels, report) = (text(&printed.stdout), text(&printed.stderr));
    println!("{labels}\n{report}");
    assert_eq!(printed.status.code(), Some(1), "the mail and the command are lost: {report}");
    for told in [
        "not taken over: /etc/fail2ban/jail.local:4: jails sshd, owncloud, flask: `ignorecommand`",
        "not taken over: /etc/fail2ban/jail.local:13: jail owncloud: action `sendmail-whois`",
        "`port = http,https`: guard's port is the one that the client used",
        "3 of 3 enabled jails came over",
        "labels of shop/owncloud",
        "labels of shop/guard",
    ] {
        assert!(report.contains(told), "no `{told}`: {report}");
    }
    // The filters are mounted where the host has them.
    let filters = shop.folder.join("etc/fail2ban/filter.d").display().to_string();
    let labels = labels.replace("- /etc/fail2ban/filter.d/", &format!("- {filters}/"));
    assert!(labels.contains(&filters), "{labels}");
    shop.write("labels.yml", &format!("version: '2.4'\n{labels}"));
    let both = ["-f", "docker-compose.yml", "-f", "labels.yml"].map(|word| {
        match word.strip_suffix(".yml") {
            Some(_) => shop.folder.join(word).display().to_string(),
            None => word.to_owned(),
        }
    });
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    shop.compose(&[&both[..], &["up", "-d"]].concat());
    for jail in ["flask", "owncloud", "sshd"] {
        eventually(&format!("jail {jail} is there"), || {
            let said = shop.ask(&["status", jail]);
            ensure(said.contains("Currently failed"), said)
        });
    }

    let attack = |n: u16, port: u16| {
        let client = mallory.at(mallory.address(Family::V4, n));
        client.is_served(port);
        client.fail(port, 3);
        client
    };
    let dropped = attack(11, 8080);
    eventually("flask's client is dropped, as `blocktype=DROP` says", || {
        let outcome = dropped.visit(8080);
        ensure(outcome == Outcome::Silent, outcome)
    });
    attack(12, 8082).is_refused(8082);
    let intruder = mallory.at(mallory.address(Family::V4, 13));
    intruder.is_served(22);
    let address = mallory.address(Family::V4, 13).to_string();
    shop.write("host-log/auth.log", &sshd_lines(&address));
    intruder.is_refused(22);
    intruder.is_served(8080);

    let banned = mallory.at(mallory.address(Family::V4, 14));
    banned.is_served(8080);
    let file = shop.folder.join("fail2ban.sqlite3");
    database(&file, &mallory.address(Family::V4, 14).to_string());
    let begun = Instant::now();
    let taken = shop.guardctl(&["import", "--bans", "-"], Some(&file));
    let took = begun.elapsed();
    let said = format!("{}{}", text(&taken.stdout), text(&taken.stderr));
    println!("{said}{took:?} for ten thousand bans");
    assert_eq!(taken.status.code(), Some(1), "{said}");
    for told in ["jail flask: 10000 banned", "1 are over", "127.0.0.1", "--jail postfix=JAIL"] {
        assert!(said.contains(told), "no `{told}`: {said}");
    }
    eventually("whom fail2ban banned is out", || {
        let outcome = banned.visit(8080);
        ensure(outcome == Outcome::Silent, outcome)
    });
    let again = shop.guardctl(&["import", "--bans", "-", "--jail", "postfix=manual"], Some(&file));
    let said = format!("{}{}", text(&again.stdout), text(&again.stderr));
    assert!(said.contains("jail manual: 1 banned"), "{said}");
    assert!(said.contains("10000 were banned here for at least as long"), "{said}");
    let history = shop.ask(&["history", "192.0.2.1"]);
    assert!(history.contains("taken over from fail2ban"), "{history}");
    shop.compose(&["down", "-v"]);
}
