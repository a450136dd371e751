//! What the examples ask Prometheus.

use std::fs;

use serde_json::Value;

/// What stands in the repository.
pub(crate) fn text(path: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    fs::read_to_string(format!("{root}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The dashboard's expressions, each with its legend.
pub(crate) fn dashboard() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text("examples/grafana/guard.json")).unwrap();
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((of(&target["expr"]), of(&target["legendFormat"])));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        found.push((of(&annotation["expr"]), String::new()));
    }
    found
}

/// Every alert's expression and all that is said beside it.
pub(crate) fn alerts() -> Vec<(String, String)> {
    let text = text("examples/grafana/alerts.yml");
    let rules = text.split("- alert: ").skip(1);
    let each = rules.map(|rule| {
        let (_, rest) = rule.split_once("expr: ").expect("an alert has an expression");
        let (expression, beside) = match rest.strip_prefix(">-\n") {
            Some(folded) => folded.split_once('\n').expect("it goes on"),
            None => rest.split_once('\n').expect("it goes on"),
        };
        (expression.trim().to_owned(), beside.to_owned())
    });
    each.collect()
}
