//! (pure) What is wrong with a target, in words that show no secret.

use std::fmt;

/// What is wrong with a target. It never holds anything of the target's but its scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Which target of the list, from 1.
    pub number: usize,
    /// Its scheme, if that looks like one.
    pub scheme: Option<String>,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flaw { number, scheme, what } = self;
        match scheme {
            Some(scheme) => write!(f, "target {number} ({scheme}://…): {what}"),
            None => write!(f, "target {number}: {what}"),
        }
    }
}
