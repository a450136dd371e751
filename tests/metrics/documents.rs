//! Dashboard, alerts and documentation name the metrics that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use guard::report::metrics::{FAMILIES, Family, Kind};
use serde_json::Value;

use crate::promql::named;
use crate::written::{alerts, dashboard, text};

/// Every name that a query can use, with its labels; besides guard's own, what Prometheus
/// adds to everything that it scrapes.
fn known() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut known = BTreeMap::new();
    for family in FAMILIES {
        let labels: BTreeSet<_> =
            family.labels.iter().copied().chain(["job", "instance"]).collect();
        if family.kind == Kind::Histogram {
            for part in ["sum", "count"] {
                known.insert(format!("{}_{part}", family.name()), labels.clone());
            }
            let with_bound = labels.into_iter().chain(["le"]).collect();
            known.insert(format!("{}_bucket", family.name()), with_bound);
        } else {
            known.insert(family.name(), labels);
        }
    }
    known.insert("up".to_owned(), ["job", "instance"].into());
    known
}

/// What is wrong with an expression, and with the labels that texts beside it name.
fn mistakes(expression: &str, beside: &BTreeSet<String>) -> Vec<String> {
    let known = known();
    let found = named(expression);
    let mut wrong = Vec::new();
    let mut labels = BTreeSet::new();
    for (metric, chosen) in &found.metrics {
        let Some(has) = known.get(metric) else {
            wrong.push(format!("there is no {metric}"));
            continue;
        };
        labels.extend(has.iter().map(|label| (*label).to_owned()));
        for label in chosen.iter().filter(|label| !has.contains(label.as_str())) {
            wrong.push(format!("{metric} has no label {label}"));
        }
    }
    if found.metrics.is_empty() {
        wrong.push("it names no metric".to_owned());
    }
    for label in found.grouped.difference(&labels) {
        wrong.push(format!("nothing has a label {label}"));
    }
    // What is put together has only these.
    let left = if found.grouped.is_empty() { &labels } else { &found.grouped };
    for label in beside.difference(left) {
        wrong.push(format!("it leaves no label {label}"));
    }
    wrong
}

/// The words between `begin` and `end`.
fn between(text: &str, begin: &str, end: &str) -> BTreeSet<String> {
    let parts = text.split(begin).skip(1);
    parts.filter_map(|part| Some(part.split_once(end)?.0.trim().to_owned())).collect()
}

#[test]
fn the_dashboard_names_what_there_is() {
    let expressions = dashboard();
    assert!(expressions.len() > 30, "{}", expressions.len());
    for (expression, legend) in expressions {
        let wrong = mistakes(&expression, &between(&legend, "{{", "}}"));
        assert!(wrong.is_empty(), "{expression}: {wrong:?}");
    }
    let dashboard: Value = serde_json::from_str(&text("examples/grafana/guard.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().filter_map(|known| known["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "job", "instance", "jail"]);
    for query in variables.iter().filter_map(|known| known["definition"].as_str()) {
        let inside = query.strip_prefix("label_values(").and_then(|q| q.strip_suffix(')'));
        let (series, label) = inside.unwrap().rsplit_once(',').unwrap();
        let wrong = mistakes(series, &[label.trim().to_owned()].into());
        assert!(wrong.is_empty(), "{query}: {wrong:?}");
    }
    // Each panel asks the data source that was chosen.
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
}

#[test]
fn the_alerts_name_what_there_is() {
    let alerts = alerts();
    assert!(alerts.len() > 10);
    for (expression, beside) in alerts {
        let wrong = mistakes(&expression, &between(&beside, "$labels.", " "));
        assert!(wrong.is_empty(), "{expression}: {wrong:?}");
    }
}

#[test]
fn wrong_names_are_found() {
    let none = BTreeSet::new();
    assert!(
        mistakes("sum by (jail) (rate(guard_bans_total{origin=\"hand\"}[5m]))", &none).is_empty()
    );
    for (expression, wrong) in [
        ("rate(guard_ban_total[5m])", "there is no guard_ban_total"),
        ("guard_bans_total{name=\"x\"}", "guard_bans_total has no label name"),
        ("sum by (kind) (guard_lines_total)", "nothing has a label kind"),
        ("sum by (le) (guard_line_to_kernel_seconds_sum)", "nothing has a label le"),
        ("1 + 2", "it names no metric"),
    ] {
        assert_eq!(mistakes(expression, &none), [wrong]);
    }
    let jail = BTreeSet::from(["jail".to_owned()]);
    assert_eq!(mistakes("sum by (source) (guard_lines_total)", &jail), ["it leaves no label jail"]);
}

const BEGIN: &str = "<!-- metrics: generated by `make readme` -->\n";
const END: &str = "<!-- end of metrics -->\n";

#[test]
fn the_documentation_tells_of_each() {
    let path = "docs/metrics.md";
    let document = text(path);
    let (before, rest) = document.split_once(BEGIN).expect("the table begins");
    let (table, after) = rest.split_once(END).expect("the table ends");
    let made = table_of(FAMILIES);
    if std::env::var_os("GUARD_WRITE_TRANSCRIPTS").is_some() {
        let document = format!("{before}{BEGIN}{made}{END}{after}");
        fs::write(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")), document).unwrap();
        return;
    }
    assert_eq!(table, made, "run `make readme`");
}

fn table_of(families: &[Family]) -> String {
    let mut table = "| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels, help) = (family.name(), labels.join(" "), family.help);
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    table
}
