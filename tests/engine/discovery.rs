//! Discovery tells what there is, and what becomes of it.

use guard::docker::Change;
use guard::model::{ServiceId, Timestamp};

use crate::lab::{LABEL, Lab, Watching, in_every_lab};
use crate::proxy::Proxy;

#[test]
fn discovery_tells_what_becomes_of_containers_and_engines() {
    in_every_lab("discovery_tells_what_becomes_of_containers_and_engines", async |lab| {
        a_container_and_a_network_come_change_and_go(lab).await;
        many_are_told_within_two_seconds_of_their_start(lab).await;
        an_engine_that_goes_and_comes_is_told_once_each(lab).await;
    });
}

async fn many_are_told_within_two_seconds_of_their_start(lab: &Lab) {
    // As many as the machine takes in a reasonable time; a script may ask for more.
    let count = std::env::var("GUARD_TEST_MANY").ok().and_then(|text| text.parse().ok());
    let names: Vec<String> = (0..count.unwrap_or(20)).map(|n| format!("many{n}")).collect();
    for name in &names {
        let options = [LABEL, ["--name", name], ["--network", "none"]].concat();
        let command = ["busybox", "/bin/busybox", "sleep", "10000"];
        lab.docker(&[&["create"], &options[..], &command[..]].concat());
    }
    let began = std::time::Instant::now();
    let mut watching = Watching::start(&lab.docker_host());
    watching.wait("listed", |c| matches!(c, Change::Listed).then_some(())).await;
    let listed = began.elapsed();
    assert!(listed.as_secs() < 2, "{} containers took {listed:?}", names.len());
    let mut start = lab.docker_command();
    start.arg("start").args(&names).stdout(std::process::Stdio::null());
    let mut start = start.spawn().unwrap();
    let mut slowest = 0;
    for _ in 0..names.len() {
        let seen = watching.container("running", |c| c.running && c.name.starts_with("many")).await;
        let late = Timestamp::now().duration_since(seen.started.unwrap()).as_millis();
        slowest = slowest.max(late);
    }
    assert!(start.wait().unwrap().success());
    eprintln!(
        "{} containers: listed in {listed:?}, told {slowest} ms after their start",
        names.len()
    );
    assert!(slowest < 2_000, "told {slowest} ms after its start");
    lab.docker(
        &[&["rm", "-f"], &names.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat(),
    );
}

async fn a_container_and_a_network_come_change_and_go(lab: &Lab) {
    let mut watching = Watching::start(&lab.docker_host());
    watching.wait("listed", |change| matches!(change, Change::Listed).then_some(())).await;
    let options = [
        ["--label", "GUARDTEST.FAILREGEX=x <HOST>"],
        ["--label", "com.docker.compose.project=shop"],
        ["--label", "com.docker.compose.service=web"],
        ["-e", "TZ=Europe/Paris"],
        ["-v", "/data"],
        ["-p", "127.0.0.1::80"],
    ];
    lab.run("before", &options.concat(), "exec /bin/busybox sleep 1000");
    let seen = watching.container("running", |c| *c.name == *"before" && c.running).await;
    assert_eq!(seen.service, ServiceId::Compose { project: "shop".into(), service: "web".into() });
    assert_eq!(seen.timezone.as_deref(), Some("Europe/Paris"));
    assert_eq!((seen.mounts.len(), seen.ports.len(), seen.own), (1, 1, false));
    assert!(seen.started.is_some() && !seen.tty && !seen.one_off);
    lab.docker(&["pause", "before"]);
    lab.docker(&["unpause", "before"]);

    lab.docker(&["rename", "before", "after"]);
    watching.container("renamed", |c| *c.name == *"after" && c.id == seen.id).await;
    lab.docker(&["stop", "-t", "0", "after"]);
    watching.container("stopped", |c| c.id == seen.id && !c.running).await;
    lab.docker(&["start", "after"]);
    let again = watching.container("started", |c| c.id == seen.id && c.running).await;
    assert!(again.started > seen.started);

    lab.docker(&["network", "create", "--subnet", "10.213.77.0/24", "extra"]);
    let networks = watching
        .wait("the network", |change| match change {
            Change::Networks(networks) => {
                Some(networks).filter(|all| all.iter().any(|network| network.name == "extra"))
            }
            _ => None,
        })
        .await;
    watching.wait("rules", |c| matches!(c, Change::RulesMayHaveChanged).then_some(())).await;
    lab.docker(&["network", "rm", "extra"]);
    let network = networks.iter().find(|network| network.name == "extra").unwrap();
    assert_eq!(network.subnets, ["10.213.77.0/24".parse().unwrap()]);
    assert_eq!(network.gateways, ["10.213.77.1".parse().unwrap()]);

    lab.docker(&["rm", "-f", "after"]);
    watching
        .wait("vanished", |c| matches!(c, Change::Vanished(id) if id == seen.id).then_some(()))
        .await;
}

async fn an_engine_that_goes_and_comes_is_told_once_each(lab: &Lab) {
    let mut proxy = Proxy::start(lab.socket());
    let mut watching = Watching::start(&proxy.docker_host());
    watching.wait("listed", |c| matches!(c, Change::Listed).then_some(())).await;
    proxy.shut().await;
    let told = watching
        .wait("lost", |c| match c {
            Change::Lost(why) if why.contains("no Docker socket") => Some(why),
            _ => None,
        })
        .await;
    assert!(told.contains(":ro`"), "{told}");
    // What happens meanwhile is told afterwards.
    lab.run("meanwhile", &LABEL, "exec /bin/busybox sleep 1000");
    proxy.open();
    watching
        .wait("connected", |c| match c {
            Change::Connected(_) => Some(()),
            Change::Lost(why) => panic!("told twice: {why}"),
            _ => None,
        })
        .await;
    watching.container("the new one", |c| *c.name == *"meanwhile").await;
}
