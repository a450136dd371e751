//! What the doctor found, and what could be guarded: the answers to `guardctl doctor`
//! and `guardctl suggest`.

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It was looked at, and is as it should be.
    #[default]
    Ok,
    /// Worth knowing; nothing is lost by it.
    Note,
    /// Somebody is not kept out who should be, or will not be some day.
    Warning,
    /// guard, or a jail, does not do its work.
    Error,
}

impl Level {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One thing that the doctor found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is about: `engine`, `firewall`, `jail web`, ….
    pub about: String,
    /// What is the case, in a sentence.
    pub what: String,
    /// Why that matters, where it is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do, a line each, ready to paste where that can be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cure: Vec<String>,
}

impl Finding {
    /// A finding without a reason and a cure.
    pub fn new(level: Level, about: impl Into<String>, what: impl Into<String>) -> Finding {
        let (about, what) = (about.into(), what.into());
        Finding { level, about, what, why: None, cure: Vec::new() }
    }

    /// The same, and why it matters.
    pub fn why(self, why: impl Into<String>) -> Finding {
        Finding { why: Some(why.into()), ..self }
    }

    /// The same, and one more line of what to do.
    pub fn cure(mut self, line: impl Into<String>) -> Finding {
        self.cure.push(line.into());
        self
    }

    /// All of it in one line.
    pub fn one_line(&self) -> String {
        let mut line = format!("{}: {}", self.about, self.what);
        for more in self.why.iter().chain(&self.cure) {
            line.push_str("; ");
            line.push_str(more);
        }
        line
    }
}

/// A container that could be guarded, and with what labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The container's name.
    pub container: String,
    /// Its service, as the compose file calls it.
    pub service: String,
    /// Its image.
    pub image: String,
    /// The filter.
    pub filter: String,
    /// How sure it is that the filter fits.
    pub sure: Sure,
    /// What was seen that speaks for it, or is to be done first, a sentence each.
    pub notes: Vec<String>,
    /// The labels, ready to paste, in their order.
    pub labels: Vec<(String, String)>,
}

/// How sure a suggestion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// The image's name is all there is to go by.
    Guess,
    /// The image is known; its log has no failure to try the filter on.
    Likely,
    /// The filter finds failures in what the container wrote.
    Proven,
}
