//! The metrics of a guard that works: they agree with history, and Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::promql::named;
use crate::support::*;
use crate::{prometheus, written};

/// Where guard's metrics are, and where Prometheus is, each in a host's own network.
const METRICS: &str = "127.0.0.1:9871";
const PROMETHEUS: &str = "127.0.0.1:9090";

/// The body of an answer, if it is one of success.
fn read(mut stream: impl Read + Write, path: &str) -> Result<String, String> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes());
    asked.and_then(|()| stream.read_to_string(&mut answer)).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let is_well = head.split(' ').nth(1) == Some("200");
    if is_well { Ok(body.to_owned()) } else { Err(answer) }
}

/// A page of a server in the host's network.
fn get(host: &Host, server: &str, path: &str) -> Result<String, String> {
    let server: SocketAddr = server.parse().expect("an address");
    let stream = host.namespace().enter(|| TcpStream::connect(server));
    let stream = stream.map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    read(stream, path)
}

/// The values of a scrape, by name and labels.
fn values(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| line.rsplit_once(' '));
    values.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

fn scrape(host: &Host) -> Result<BTreeMap<String, f64>, String> {
    get(host, METRICS, "/metrics").map(|text| values(&text))
}

/// The sum of a family's values whose labels say all these words.
fn sum(values: &BTreeMap<String, f64>, name: &str, words: &[&str]) -> f64 {
    let of = |key: &str| {
        let labels = key.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('{'));
        labels.is_some_and(|labels| words.iter().all(|word| labels.contains(word)))
    };
    values.iter().filter(|(key, _)| of(key)).map(|(_, value)| value).sum()
}

/// A real Prometheus that scrapes guard every second; killed when dropped.
struct Prometheus<'a> {
    host: &'a Host,
    child: Child,
}

impl<'a> Prometheus<'a> {
    fn start(host: &'a Host, tools: &Path) -> Prometheus<'a> {
        let folder = host.folder().join("prometheus");
        fs::create_dir_all(&folder).expect("the host's folder can be written");
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grafana/alerts.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}']\n\
             scrape_configs:\n- job_name: guard\n  static_configs: [{{targets: ['{METRICS}']}}]\n"
        );
        fs::write(folder.join("prometheus.yml"), config).expect("it can be written");
        let log = fs::File::create(folder.join("log")).expect("it can be written");
        let child = host
            .namespace()
            .command(tools.join("prometheus"))
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={PROMETHEUS}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Prometheus { host, child: child.expect("nsenter starts") }
    }

    /// What an expression is now.
    fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.host, PROMETHEUS, &format!("/api/v1/query?query={encoded}"))?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        match answer["data"]["result"].as_array() {
            Some(result) if answer["status"] == "success" => Ok(result.clone()),
            _ => Err(answer.to_string()),
        }
    }

    fn number(&self, expression: &str) -> Result<f64, String> {
        let result = self.query(expression)?;
        let value = result.first().and_then(|series| series["value"][1].as_str());
        value.and_then(|text| text.parse().ok()).ok_or(format!("{expression}: {result:?}"))
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A dashboard's expression, as Grafana would ask it.
fn filled_in(expression: &str) -> String {
    let chosen = ["$job", "$instance", "$jail"];
    let filled =
        chosen.iter().fold(expression.to_owned(), |filled, name| filled.replace(name, ".*"));
    filled.replace("$__rate_interval", "10s").replace("[24h]", "[1m]")
}

/// How many bans of a jail history has.
fn in_history(guard: &Guard, jail: &str) -> f64 {
    let history = guard.json(&["history", "--jail", jail, "--limit", "10000"]);
    history["bans"].as_array().expect("a list").len() as f64
}

fn ban(client: &Client, port: u16, first: u8, count: u8) {
    for last in first..first + count {
        client.log(port, &format!("Login failed for user 'eve' [IP: 203.0.113.{last}]"));
    }
}

#[test]
fn the_metrics_agree_with_history_and_prometheus_reads_them() {
    let name = "the_metrics_agree_with_history_and_prometheus_reads_them";
    // Which engine it is makes no difference here.
    let Some(engine) = engines(name).into_iter().next() else { return };
    let Some(tools) = prometheus::tools(name) else { return };
    let host = Host::start(&engine);
    let mallory = host.attacker();
    let limits = [("failregex", FLASK_REGEX), ("maxretry", "1")];
    let web = Service::new("web").dual().publish("8080:80").guarded(&limits);
    let web = web.guarded(&[("bantime", "3s")]);
    web.run(&host);
    let files = Service::new("files").dual().publish("8081:80").guarded(&limits);
    let files = files.mount("logs:/var/log/app").guarded(&[("logpath", "/var/log/app/*.log")]);
    files.arguments(&["--file", "/var/log/app/login.log"]).run(&host);

    // The port is taken: guard says so, protects all the same, and takes it when it can.
    let port: SocketAddr = METRICS.parse().expect("an address");
    let taken = host.namespace().enter(|| TcpListener::bind(port)).expect("it is free");
    let environment = [("GUARD_METRICS", METRICS), ("GUARD_BAN_BURST", "0")];
    let mut guard = Guard::start(&host, &environment);
    guard.says(
        None,
        &["NOT served at http://127.0.0.1:9871", "another program listens at port 9871"],
    );
    for jail in ["web", "files"] {
        guard.has_jail(jail);
    }
    let client = mallory.v4();
    client.is_served(8080);
    ban(&client, 8080, 0, 1);
    guard.until("web", "it bans without metrics", |status| status.total_banned == 1);
    drop(taken);
    eventually("metrics are served", || scrape(&host).map(drop));
    let said = guard.says(None, &["http://127.0.0.1:9871/metrics"]);
    assert!(!said.contains("NOT served"), "{said}");
    let doctor = guard.ctl(&["doctor"]).out;
    assert!(doctor.contains("metrics are served at http://127.0.0.1:9871/metrics"), "{doctor}");

    let prometheus = Prometheus::start(&host, &tools);
    eventually("Prometheus has scraped guard", || {
        ensure(prometheus.number("up{job=\"guard\"}")? == 1.0, "down")?;
        ensure(prometheus.number("sum(guard_bans_total)")? == 1.0, "not yet")
    });
    by_real_lines(&host, &guard, &client);
    a_jail_comes_back(&host, &guard, &client, &web);
    what_prometheus_has(&host, &guard, &prometheus);
    let text = get(&host, METRICS, "/metrics").expect("it is served");
    assert_eq!(prometheus::check(&tools, &["metrics"], &text), Ok(()));
    assert_eq!(get(&host, METRICS, "/healthz").as_deref(), Ok("ok\n"));

    // By a socket, of a new process: its counters begin anew.
    let socket = host.folder().join("guard/metrics.sock");
    guard.set("GUARD_METRICS", &format!("unix:{}", socket.display()));
    guard.restart();
    let by_socket = || read(UnixStream::connect(&socket).map_err(|e| e.to_string())?, "/metrics");
    let text = eventually("metrics are served by a socket", by_socket);
    assert_eq!(sum(&values(&text), "guard_bans_total", &[]), 0.0);
    let mode = fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    assert!(scrape(&host).is_err(), "nobody asked for a port");
    guard.sigterm();
    assert!(!socket.exists(), "it goes with guard");
}

/// Hundreds of bans by lines of real services, and some by hand; many end meanwhile.
fn by_real_lines(host: &Host, guard: &Guard, client: &Client) {
    ban(client, 8080, 1, 200);
    ban(client, 8081, 1, 120);
    guard.ctl_ok(&["ban", "198.51.100.1", "198.51.100.2", "198.51.100.3"]);
    guard.until("files", "all are banned", |status| status.total_banned == 120);
    guard.until("web", "all were banned", |status| status.total_banned == 201);
    guard.ctl_ok(&["unban", "203.0.113.7", "203.0.113.8", "198.51.100.3"]);
    guard.until("web", "their time is over", |status| status.banned == 0);
    let now = eventually("metrics and history agree", || {
        let now = scrape(host)?;
        for (jail, bans) in [("web", 201.0), ("files", 120.0), ("manual", 3.0)] {
            let label = format!("jail=\"{jail}\"");
            let counted = sum(&now, "guard_bans_total", &[&label]);
            let history = in_history(guard, jail);
            ensure((counted, history) == (bans, bans), (jail, counted, history, bans))?;
        }
        // A scrape may be a quarter of a second old.
        let standing = sum(&now, "guard_bans_active", &["\"web\""]);
        ensure(standing == 0.0, standing)?;
        let lines = |jail| sum(&now, "guard_lines_total", &[jail]);
        ensure((lines("\"web\""), lines("\"files\"")) == (201.0, 120.0), &now)?;
        Ok(now)
    });
    for (metric, words, value) in [
        ("guard_failures_total", &["\"web\""][..], 201.0),
        ("guard_lines_total", &["\"files\"", "\"file\""], 120.0),
        ("guard_unbans_total", &["\"files\"", "\"hand\""], 2.0),
        ("guard_unbans_total", &["\"manual\"", "\"hand\""], 1.0),
        ("guard_bans_total", &["\"hand\""], 3.0),
        ("guard_bans_active", &["\"files\""], 118.0),
        ("guard_bans_wanted", &[], 120.0),
        ("guard_bans_in_force", &[], 120.0),
        ("guard_line_to_kernel_seconds_count", &[], 321.0),
        ("guard_sources", &["following"], 2.0),
        ("guard_jails", &["watching"], 3.0),
        ("guard_firewall_healthy", &[], 1.0),
        ("guard_engine_connected", &[], 1.0),
        ("guard_database_healthy", &[], 1.0),
    ] {
        assert_eq!(sum(&now, metric, words), value, "{metric} {words:?} in {now:#?}");
    }
    let over = sum(&now, "guard_unbans_total", &["\"web\"", "\"over\""]);
    let by_hand = sum(&now, "guard_unbans_total", &["\"web\"", "\"hand\""]);
    assert_eq!(over + by_hand, 201.0);
    let mean = now["guard_line_to_kernel_seconds_sum"] / 321.0;
    eprintln!("  from line to kernel: {:.1} ms on average", mean * 1000.0);
    assert!(mean > 0.0, "no time at all");
}

/// No counter goes back when a container, its reader, and at last its jail go and come.
fn a_jail_comes_back(host: &Host, guard: &Guard, client: &Client, web: &Service) {
    let before = scrape(host).expect("it is served");
    host.docker(&["rm", "--force", "web"]);
    guard.says(Some("web"), &["no container"]);
    web.run(host);
    client.is_served(8080);
    ban(client, 8080, 210, 5);
    let now = eventually("the jail goes on", || {
        let now = scrape(host)?;
        let bans = sum(&now, "guard_bans_total", &["\"web\""]);
        ensure(bans == 206.0 && in_history(guard, "web") == bans, bans)?;
        Ok(now)
    });
    let counters = before.iter().filter(|(name, _)| name.contains("_total"));
    for (name, value) in counters {
        assert!(now.get(name).is_some_and(|now| now >= value), "{name} went back from {value}");
    }
    assert_eq!(sum(&now, "guard_source_starts_total", &["\"web\""]), 2.0);
}

/// Prometheus knows the same, and the dashboard's questions have answers.
fn what_prometheus_has(host: &Host, guard: &Guard, prometheus: &Prometheus) {
    let total: f64 = ["web", "files", "manual"].iter().map(|jail| in_history(guard, jail)).sum();
    eventually("Prometheus counts what history has", || {
        let bans = prometheus.number("sum(guard_bans_total)")?;
        ensure((bans, total) == (329.0, 329.0), (bans, total))?;
        // What it saw begin, after its first scrape.
        let grown = "sum(max_over_time(guard_bans_total{jail=\"web\"}[10m]) \
                     - min_over_time(guard_bans_total{jail=\"web\"}[10m]))";
        ensure(prometheus.number(grown)? == 205.0, prometheus.number(grown))?;
        let rate = prometheus.number("sum(rate(guard_bans_total{jail=\"web\"}[10m]))")?;
        ensure(rate > 0.0, rate)
    });
    let live = get(host, METRICS, "/metrics").expect("it is served");
    let keys: Vec<_> = values(&live).into_keys().collect();
    let described: BTreeSet<&str> =
        live.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for (expression, _) in written::dashboard().into_iter().chain(written::alerts()) {
        for (metric, labels) in named(&expression).metrics {
            if metric == "up" {
                continue;
            }
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
            let known = described.contains(metric.as_str())
                || base.is_some_and(|base| described.contains(base));
            assert!(known, "{expression}: no {metric} in\n{live}");
            let series = keys.iter().find(|key| key.split('{').next() == Some(&metric));
            for label in
                labels.iter().filter(|label| !["job", "instance"].contains(&label.as_str()))
            {
                let has = |key: &String| key.contains(&format!("{label}=\""));
                assert!(series.is_none_or(has), "{expression}: {series:?} has no {label}");
            }
        }
        let filled = filled_in(&expression);
        let result = prometheus.query(&filled).expect(&filled);
        // Alerts are silent, guard did not just start, and there is no journal.
        let may_be_empty = !expression.contains("$instance")
            || expression.contains("changes(")
            || expression.contains("unread_entries");
        assert!(may_be_empty || !result.is_empty(), "{filled}: nothing");
    }
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").expect("it answers");
    assert!(firing.is_empty(), "{firing:?}");
}
