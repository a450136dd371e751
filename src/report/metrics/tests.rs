use std::time::Duration;

use super::*;
use crate::model::{
    Ban, BanOrigin, JailName, LiftedBy, Lifting, Network, News, Record, Timestamp, Until,
};

fn jail(name: &str) -> JailName {
    name.parse().unwrap()
}

fn network() -> Network {
    "192.0.2.1".parse().unwrap()
}

fn banned(name: &str, origin: BanOrigin) -> News {
    let (since, until) = (Timestamp::UNIX_EPOCH, Until::Forever);
    let ban = Ban { jail: jail(name), network: network(), since, until, origin, failures: 5 };
    News::Banned { ban, dry_run: false }
}

fn unbanned(name: &str, by_hand: bool) -> News {
    News::Unbanned { jail: jail(name), network: network(), by_hand, dry_run: false }
}

fn text(ledger: &Ledger<Duration>, format: Format) -> String {
    let counted = Counted::of(ledger);
    let snapshot = Snapshot { version: "1.2.3".into(), counted, ..Snapshot::default() };
    snapshot.text(format).unwrap()
}

#[test]
fn what_happened_is_counted_by_jail() {
    let mut ledger = Ledger::<Duration>::default();
    let started = News::JailStarted { jail: jail("quiet") };
    let news = [started, banned("web", BanOrigin::Failures), banned("web", BanOrigin::Hand)];
    ledger.note(&[], news.iter(), None);
    let lifting = Lifting {
        jail: jail("web"),
        network: network(),
        at: Timestamp::UNIX_EPOCH,
        by: LiftedBy::NeverBan,
    };
    ledger.note(&[Record::Lifted(lifting)], [unbanned("web", false)].iter(), None);
    ledger.note(&[], [unbanned("web", false), unbanned("web", true)].iter(), None);
    let text = text(&ledger, Format::Prometheus);
    for line in [
        "guard_build_info{version=\"1.2.3\"} 1",
        "guard_bans_total{jail=\"quiet\",origin=\"failures\"} 0",
        "guard_bans_total{jail=\"web\",origin=\"failures\"} 1",
        "guard_bans_total{jail=\"web\",origin=\"hand\"} 1",
        "guard_unbans_total{jail=\"web\",reason=\"over\"} 1",
        "guard_unbans_total{jail=\"web\",reason=\"hand\"} 1",
        "guard_unbans_total{jail=\"web\",reason=\"never_ban\"} 1",
        "# TYPE guard_bans_total counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn bans_of_another_program_are_counted_as_such() {
    let mut ledger = Ledger::<Duration>::default();
    ledger.imported(&jail("web"), 7, 2);
    let text = text(&ledger, Format::Prometheus);
    let line = "guard_bans_total{jail=\"web\",origin=\"imported\"} 7";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn a_flood_of_jails_makes_no_flood_of_series() {
    let mut ledger = Ledger::<Duration>::default();
    for number in 0..3 * MAX_JAILS {
        let name = format!("jail-{number}");
        ledger.note(&[], [banned(&name, BanOrigin::Failures)].iter(), None);
        ledger.sources(&jail(&name), SourceKind::Output).lines.add(1);
    }
    // Those that were there first go on in their own series.
    ledger.note(&[], [banned("jail-0", BanOrigin::Failures)].iter(), None);
    assert_eq!(ledger.label(&jail("jail-0")), "jail-0");
    assert_eq!(ledger.label(&jail(&format!("jail-{MAX_JAILS}"))), OTHERS);
    let text = text(&ledger, Format::Prometheus);
    let of = |what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!(of("guard_bans_total{"), 4 * (MAX_JAILS + 1));
    assert_eq!(of("guard_lines_total{"), MAX_JAILS + 1);
    for line in [
        "guard_bans_total{jail=\"jail-0\",origin=\"failures\"} 2".to_owned(),
        format!("guard_bans_total{{jail=\"_other\",origin=\"failures\"}} {}", 2 * MAX_JAILS),
        format!("guard_lines_total{{jail=\"_other\",source=\"output\"}} {}", 2 * MAX_JAILS),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn counters_go_on_when_a_jail_is_made_anew() {
    let mut ledger = Ledger::<Duration>::default();
    let web = jail("web");
    let ignored = |ignored| WardenTotals { ignored, evicted: [0; 2] };
    for (seen, sum) in [(5, 5), (7, 7), (7, 7)] {
        ledger.sync(&web, ignored(seen));
        assert_eq!(ledger.jails()[&web].warden.ignored, sum);
    }
    // Gone, and back with more than it had.
    ledger.note(&[Record::JailGone(web.clone())], [].iter(), None);
    ledger.sync(&web, ignored(9));
    assert_eq!(ledger.jails()[&web].warden.ignored, 16);
    // Gone and back, and nobody said so.
    ledger.sync(&web, ignored(1));
    assert_eq!(ledger.jails()[&web].warden.ignored, 17);
    let reader = ledger.sources(&web, SourceKind::File);
    reader.lines.add(3);
    ledger.sources(&web, SourceKind::File).lines.add(4);
    assert_eq!(reader.lines.get(), 7);
}

#[test]
fn the_time_to_the_kernel_is_measured_once_a_ban() {
    let mut ledger = Ledger::default();
    let ban = [(jail("web"), network())];
    let after = |seconds| move |read: Duration| Duration::from_secs(seconds) - read;
    // Read at 1 s, in force at 3 s; told again.
    let read = Some(Duration::from_secs(1));
    ledger.note(&[], [banned("web", BanOrigin::Failures)].iter(), read);
    ledger.in_force(&ban, after(3));
    ledger.in_force(&ban, after(9));
    // By hand, after a wait, and lifted before it stood: none.
    ledger.note(&[], [banned("web", BanOrigin::Hand)].iter(), read);
    ledger.note(&[], [banned("web", BanOrigin::Failures)].iter(), None);
    ledger.in_force(&ban, after(3));
    ledger.note(&[], [banned("web", BanOrigin::Failures), unbanned("web", true)].iter(), read);
    ledger.in_force(&ban, after(3));
    assert_eq!((ledger.latency().counts.iter().sum::<u64>(), ledger.latency().sum), (1, 2.0));
    let text = text(&ledger, Format::OpenMetrics);
    for line in [
        "# UNIT guard_line_to_kernel_seconds seconds",
        "guard_line_to_kernel_seconds_sum 2.0",
        "guard_line_to_kernel_seconds_count 1",
        "guard_line_to_kernel_seconds_bucket{le=\"1.0\"} 0",
        "guard_line_to_kernel_seconds_bucket{le=\"2.5\"} 1",
        "guard_line_to_kernel_seconds_bucket{le=\"+Inf\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn names_and_units_are_as_prometheus_wants_them() {
    let mut names = std::collections::BTreeSet::new();
    for family in FAMILIES {
        let name = family.name();
        let is_ours = name.starts_with("guard_") || name.starts_with("process_");
        assert!(is_ours && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        assert!(!family.help.is_empty() && !family.help.ends_with('.'), "{name}");
        assert!(!family.help.contains(['\n', '\\', '"']), "{name}: its help needs no escapes");
        assert!(matches!(family.unit, None | Some("seconds" | "bytes")), "{name}");
        let allowed = ["jail", "source", "state", "origin", "reason", "failures", "version"];
        let known = |label: &&str| allowed.contains(label) || *label == "backend";
        assert!(family.labels.iter().all(known), "{name}: what can this label hold?");
        assert!(names.insert(family.name), "{name} is there twice");
    }
}
