//! Prometheus' own tool takes the metrics and the alerts.

use guard::report::metrics::Format;

use crate::prometheus::{check, tools};
use crate::sample;

#[test]
fn promtool_finds_nothing_wrong() {
    let Some(tools) = tools("promtool_finds_nothing_wrong") else { return };
    let text = sample::of(3).text(Format::Prometheus).unwrap();
    assert_eq!(check(&tools, &["metrics"], &text), Ok(()));
    let wrong = text.replace("guard_bans_active", "guard_bans_active_total");
    assert!(check(&tools, &["metrics"], &wrong).is_err(), "it finds what is wrong");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grafana/alerts.yml");
    assert_eq!(check(&tools, &["rules", "--lint-fatal", rules], ""), Ok(()));
}
