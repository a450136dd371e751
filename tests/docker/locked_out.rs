//! The ways back in, as `docs/locked-out.md` tells them: each of the page's commands is
//! run as it stands there, and there is none that is not.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

/// What the page's addresses stand for.
const PLACEHOLDERS: [&str; 2] = ["203.0.113.9", "2001:db8::9"];

/// The page, and which of its commands were run.
struct Page<'h> {
    host: &'h Host,
    addresses: [String; 2],
    commands: Vec<String>,
    done: RefCell<BTreeSet<String>>,
}

impl Page<'_> {
    fn open<'h>(host: &'h Host, mallory: &Attacker) -> Page<'h> {
        let page = include_str!("../../docs/locked-out.md");
        let commands = page.lines().filter_map(|line| line.strip_prefix("$ "));
        Page {
            host,
            addresses: Family::ALL.map(|family| mallory.first(family).to_string()),
            commands: commands.map(str::to_owned).collect(),
            done: RefCell::default(),
        }
    }

    /// Runs one of the page's commands for this attacker.
    #[track_caller]
    fn run(&self, command: &str) -> String {
        assert!(self.commands.iter().any(|known| known == command), "not in the page: {command}");
        self.done.borrow_mut().insert(command.to_owned());
        self.carry_out(command)
    }

    /// The same for a command that follows from one of the page's.
    #[track_caller]
    fn carry_out(&self, command: &str) -> String {
        let mut line = command.to_owned();
        let there =
            || try_run(self.host.namespace().command("ip6tables").args(["-S", "DOCKER-USER"]));
        if line.starts_with("ip6tables") && there().is_err() {
            // As the page says.
            line = line.replace("DOCKER-USER", "FORWARD").replace("RETURN", "ACCEPT");
        }
        for (placeholder, address) in PLACEHOLDERS.iter().zip(&self.addresses) {
            line = line.replace(placeholder, address);
        }
        eprintln!("  $ {line}");
        let host = self.host;
        let mut shell = host.namespace().command("sh");
        run(shell
            .args(["-c", &line])
            .env("DOCKER_HOST", host.docker_host())
            .env("PATH", host.engine().path()))
    }

    /// Runs all commands that begin so; a page without any is wrong.
    #[track_caller]
    fn run_all(&self, beginning: &str) {
        let all: Vec<_> = self.commands.iter().filter(|c| c.starts_with(beginning)).collect();
        assert!(!all.is_empty(), "{beginning}");
        for command in all {
            self.run(command);
        }
    }

    #[track_caller]
    fn is_done(&self) {
        let done = self.done.borrow();
        let missed: Vec<_> =
            self.commands.iter().filter(|command| !done.contains(*command)).collect();
        assert!(missed.is_empty(), "the page tells what nobody has tried: {missed:#?}");
    }
}

/// As a release is named, so that no command of the page may guess it.
const IMAGE: &str = "registry.example/owner/guard:0.0.1";

/// Starts guard in a container, as the example does.
fn start_guard(host: &Host, variables: &[&str]) {
    let socket = format!("{}:/var/run/docker.sock:ro", host.socket().display());
    let mut docker = host.docker_command();
    docker.args(
        "run --detach --name guard --network host --read-only --tmpfs /run --tmpfs /tmp".split(' '),
    );
    docker.args(
        "--cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW --cap-add DAC_READ_SEARCH".split(' '),
    );
    docker.args(["--volume", &socket, "--volume", "guard-data:/var/lib/guard"]);
    docker.args(variables.iter().flat_map(|variable| ["--env", variable]));
    run(docker.arg(IMAGE));
    is_ready(host);
}

/// Waits until guard has its jails, and bans stand again.
fn is_ready(host: &Host) {
    eventually("guard has its jails", || {
        let status =
            try_run(host.docker_command().args(["exec", "guard", "guardctl", "status", "web"]))?;
        try_run(host.docker_command().args(["exec", "guard", "guardctl", "ping"]))?;
        ensure(status.contains("Output of:\tweb"), status)
    });
}

/// The service in the host's network, and the one that is published.
const PORTS: [u16; 2] = [8080, 8090];

/// Bans the attacker by hand, everywhere, and sees it refused.
#[track_caller]
fn ban(host: &Host, mallory: &Attacker, families: &[Family]) {
    for family in families {
        let address = mallory.first(*family).to_string();
        host.docker(&["exec", "guard", "guardctl", "ban", &address]);
        is_out(mallory, &[*family]);
    }
}

#[track_caller]
fn is_out(mallory: &Attacker, families: &[Family]) {
    for family in families {
        for port in PORTS {
            // A banned neighbour's neighbour discovery may be kept out as well: silence will do.
            eventually(&format!("{family:?} is kept out of port {port}"), || {
                let outcome = mallory.of(*family).visit(port);
                ensure(!outcome.is_answer(), outcome)
            });
        }
    }
}

#[track_caller]
fn is_in(mallory: &Attacker, families: &[Family]) {
    for family in families {
        for port in PORTS {
            mallory.of(*family).is_served(port);
        }
    }
}

const V4: &[Family] = &[Family::V4];
const V6: &[Family] = &[Family::V6];
const BOTH: &[Family] = &[Family::V4, Family::V6];

#[test]
fn every_way_back_in_is_one() {
    let Some(engine) = engines("every_way_back_in_is_one").pop() else { return };
    let host = Host::start(&engine);
    let (mallory, eve) = (host.attacker(), host.attacker());
    guard_image::import(&host);
    host.docker(&["tag", "guard", IMAGE]);
    host.docker(&["rmi", "guard"]);
    Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);
    let node = Service::new("node").option("--network", "host").arguments(&["--port", "8090"]);
    node.guarded(&LABELS).run(&host);
    start_guard(&host, &[]);
    let page = Page::open(&host, &mallory);

    lifting(&page, &mallory);
    stopping(&page, &mallory);
    rescue_rules(&page, (&mallory, &eve));
    keeping(&page, &mallory);
    rescue_in_nftables(&page, &mallory);
    page.is_done();
}

fn lifting(page: &Page<'_>, mallory: &Attacker) {
    mallory.v4().is_served(8080);
    mallory.v4().fail(8080, 2);
    mallory.v4().is_refused(8080);
    assert!(page.run("docker exec guard guardctl banned").contains(&page.addresses[0]));
    assert!(page.run("docker exec guard guardctl why 203.0.113.9").contains("web"));
    page.run("docker exec guard guardctl unban 203.0.113.9");
    is_in(mallory, V4);
    ban(page.host, mallory, BOTH);
    page.run("docker exec guard guardctl unban 2001:db8::9");
    is_in(mallory, V6);
    is_out(mallory, V4);
    page.run("docker exec guard guardctl unban --all");
    is_in(mallory, BOTH);
}

const CLEANUP: &str = r#"docker run --rm --network host --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW "$(docker inspect -f '{{.Config.Image}}' guard)" cleanup"#;

fn stopping(page: &Page<'_>, mallory: &Attacker) {
    let host = page.host;
    ban(host, mallory, BOTH);
    page.run("docker stop guard");
    is_in(mallory, BOTH);
    assert_eq!(host.traces_of_guard(), Vec::<String>::new());
    // The ban is not over.
    page.run("docker start guard");
    is_ready(host);
    is_out(mallory, BOTH);
    // A ban ends without guard.
    page.run("docker exec guard guardctl unban --all");
    let address = mallory.first(Family::V4).to_string();
    host.docker(&["exec", "guard", "guardctl", "ban", &address, "--for", "5s"]);
    is_out(mallory, V4);
    page.run("docker kill guard");
    is_in(mallory, V4);
    page.run("docker start guard");
    is_ready(host);
    ban(host, mallory, BOTH);
    page.run("docker kill guard");
    is_out(mallory, BOTH);
    page.run(CLEANUP);
    is_in(mallory, BOTH);
    assert_eq!(host.traces_of_guard(), Vec::<String>::new());
    page.run("docker start guard");
    is_ready(host);
    is_out(mallory, BOTH);
}

/// Rescue rules stand while guard heals, gets new jails, and is started anew; and let in
/// nobody else.
fn rescue_rules(page: &Page<'_>, (mallory, eve): (&Attacker, &Attacker)) {
    let host = page.host;
    ban(host, eve, V4);
    page.run_all("iptables -I");
    page.run_all("ip6tables -I");
    is_in(mallory, BOTH);
    // Any other rule that lets packets by makes guard move its jumps, and not past these.
    for (chain, verdict) in [("DOCKER-USER", "RETURN"), ("INPUT", "ACCEPT")] {
        host.run(&["iptables", "-I", chain, "3", "-p", "tcp", "-j", verdict]);
    }
    is_out(eve, V4);
    Service::new("late").dual().publish("8081:80").guarded(&LABELS).run(host);
    eventually("there is a new jail", || {
        try_run(host.docker_command().args(["exec", "guard", "guardctl", "status", "late"]))
    });
    host.docker(&["exec", "guard", "guardctl", "ban", &page.addresses[0], "--jail", "late"]);
    host.docker(&["restart", "guard"]);
    is_ready(host);
    is_in(mallory, BOTH);
    mallory.v4().is_served(8081);
    is_out(eve, V4);
    let status = host.docker(&["exec", "guard", "guardctl", "status"]);
    assert!(status.contains("rescue rule in DOCKER-USER"), "{status}");
    page.run_all("iptables -D");
    is_out(mallory, V4);
    is_in(mallory, V6);
    let rules = page.commands.iter().filter(|command| command.starts_with("ip6tables -I"));
    rules.for_each(|rule| drop(page.carry_out(&rule.replace("-I", "-D"))));
    is_out(mallory, V6);
}

/// As the example is set up: a stop opens no door.
fn keeping(page: &Page<'_>, mallory: &Attacker) {
    let host = page.host;
    host.docker(&["rm", "--force", "guard"]);
    start_guard(host, &["GUARD_ON_STOP=keep"]);
    is_out(mallory, V4);
    page.run("docker stop guard");
    is_out(mallory, V4);
    page.run(CLEANUP);
    is_in(mallory, BOTH);
}

fn rescue_in_nftables(page: &Page<'_>, mallory: &Attacker) {
    let host = page.host;
    host.docker(&["rm", "--force", "guard"]);
    start_guard(host, &["GUARD_FIREWALL=nftables"]);
    is_out(mallory, V4);
    page.run_all("nft insert rule");
    is_in(mallory, V4);
    // guard looks at its table, and changes it.
    ban(host, mallory, &[Family::V6]);
    host.run(&["nft", "add", "rule", "inet", "guard", "input", "accept"]);
    eventually("guard put its table right", || {
        let table = host.run(&["nft", "list", "chain", "inet", "guard", "input"]);
        ensure(!table.lines().any(|line| line.trim() == "accept"), table)
    });
    is_in(mallory, V4);
    let status = host.docker(&["exec", "guard", "guardctl", "status"]);
    assert!(status.contains("rescue rule in chain forward"), "{status}");
    // The last of the ways, and the simplest.
    page.run("docker exec guard guardctl unban --all");
    is_in(mallory, BOTH);
}
