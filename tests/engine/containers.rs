//! What can be found out about a container: its clock, and whether it is guard's own.

use std::path::Path;

use guard::docker::{Engine, container_ids};
use guard::model::{Container, Timestamp};
use jiff::tz::TimeZone;

use crate::lab::{LABEL, Lab, all_output, in_every_lab, lines, texts, to_the_end};

const SLEEP: &str = "exec /bin/busybox sleep 1000";

#[test]
fn a_containers_clock_and_identity_are_known() {
    in_every_lab("a_containers_clock_and_identity_are_known", async |lab| {
        a_container_knows_itself_whatever_its_host_name(lab).await;
        a_container_without_a_zone_is_in_utc(lab).await;
        if Path::new("/usr/share/zoneinfo/Europe/Paris").exists() {
            a_containers_own_zone_is_known(lab).await;
        } else {
            eprintln!("SKIPPED zone files: this machine has no tz database");
        }
    });
}

async fn a_container_knows_itself_whatever_its_host_name(lab: &Lab) {
    let options = [LABEL, ["--network", "host"]];
    lab.run(
        "itself",
        &options.concat(),
        "/bin/busybox cat /proc/self/mountinfo; echo //; /bin/busybox cat /proc/self/cgroup",
    );
    let (engine, container) = lab.found("itself").await;
    let all = to_the_end(&mut all_output(&engine, &container)).await;
    let text = texts(&all).join("\n");
    let (mountinfo, cgroup) = text.split_once("//").unwrap();
    assert_eq!(container_ids("", mountinfo), [container.id.0.to_string()]);
    assert_eq!(container_ids(cgroup, mountinfo)[0], *container.id.0);
}

async fn zone(engine: &Engine, container: &Container) -> Option<TimeZone> {
    engine.time_zone(&container.id).await.unwrap()
}

async fn a_container_without_a_zone_is_in_utc(lab: &Lab) {
    lab.run("bare", &LABEL, SLEEP);
    let (engine, container) = lab.found("bare").await;
    assert_eq!(zone(&engine, &container).await, Some(TimeZone::UTC));
}

async fn a_containers_own_zone_is_known(lab: &Lab) {
    // The file itself, as a bind mount of the host's gives it.
    let mount = ["-v", "/usr/share/zoneinfo/Europe/Paris:/etc/localtime:ro"];
    lab.run("file", &[LABEL, mount].concat(), SLEEP);
    let (engine, container) = lab.found("file").await;
    is_in_paris(&engine, &container).await;
    // A link to it, as Debian has it …
    let mount = ["-v", "/usr/share/zoneinfo:/zone/zoneinfo:ro"];
    let (engine, container) = linked(lab, "linked", &mount).await;
    is_in_paris(&engine, &container).await;
    // … and one that leads nowhere: libc takes UTC.
    let (engine, container) = linked(lab, "dangling", &[]).await;
    assert_eq!(zone(&engine, &container).await, Some(TimeZone::UTC));
}

/// A container in which `/etc/localtime` is a link.
async fn linked(lab: &Lab, name: &str, mount: &[&str]) -> (Engine, Container) {
    let link = "/bin/busybox ln -s ../zone/zoneinfo/Europe/Paris /etc/localtime && echo linked";
    lab.run(name, &[&LABEL, mount].concat(), &format!("{link}; {SLEEP}"));
    let (engine, container) = lab.found(name).await;
    let told = lines(&mut all_output(&engine, &container), 1).await;
    assert_eq!(texts(&told), ["linked"]);
    (engine, container)
}

async fn is_in_paris(engine: &Engine, container: &Container) {
    let zone = zone(engine, container).await.unwrap();
    for at in ["2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"] {
        let at: Timestamp = at.parse().unwrap();
        let paris = TimeZone::get("Europe/Paris").unwrap();
        assert_eq!(zone.to_offset(at), paris.to_offset(at), "{at}");
    }
}
