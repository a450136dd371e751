//! Compose files, before they run: their services' labels, read as guard will read them.
//!
//! A file is read as Docker Compose reads it, as far as labels go: anchors, merge
//! keys, `extends` within the file, and `$` interpolation, which is where most
//! labels with a regex go wrong. What is found is told with the file's line.
//!
//! | file | |
//! |---|---|
//! | `yaml` | the file as a tree that knows its lines |
//! | `interpolate` | `$NAME`, `${NAME:-default}`, `$$` |
//! | `services` | services with their labels and what else guard looks at |
//! | `lint` | what is wrong |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod interpolate;
mod lint;
mod services;
mod yaml;

use std::collections::BTreeMap;

pub use lint::{Finding, lint};

use crate::model::LabelSet;

/// Longest file that is read, in bytes.
pub const MAX_FILE: usize = 4 << 20;

/// The labels of each service in a compose file, as its containers would get them; no
/// variable is set.
///
/// # Errors
/// It is no compose file, or Compose would refuse a `$` in it: which and where.
pub fn labels_of(file: &str) -> Result<BTreeMap<String, LabelSet>, String> {
    let root = match yaml::read(file) {
        Ok(Some(root)) => root,
        Ok(None) => return Err("the file is empty".to_owned()),
        Err(broken) => return Err(format!("line {}: {}", broken.line, broken.what)),
    };
    let mut all = BTreeMap::new();
    for service in services::services(&root, file, &BTreeMap::new()) {
        let labels = all.entry(service.name).or_insert_with(LabelSet::new);
        for label in service.labels {
            let value = label.value;
            if let Some(wrong) = value.invalid.or_else(|| value.swallowed.first().cloned()) {
                return Err(format!("line {}: {}: `{wrong}`", label.line, label.key));
            }
            labels.insert(label.key, value.text);
        }
    }
    Ok(all)
}
