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

pub use lint::{Finding, lint};

/// Longest file that is read, in bytes.
pub const MAX_FILE: usize = 4 << 20;
