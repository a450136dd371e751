//! Options of a jail as people wrote them, and where.

use serde::{Deserialize, Serialize};

/// One option of a jail, as it counts. An option with several values, such as
/// `failregex`, is there several times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its name, as in the table of labels.
    pub option: String,
    /// Its value, as it was written.
    pub value: String,
    /// Where.
    pub origin: Origin,
}

/// Where an option was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// By the label of this key.
    Label(String),
    /// By this variable of guard's container.
    Variable(String),
    /// In the filter of this name.
    Filter(String),
    /// Nowhere: it is guard's default.
    Default,
}
