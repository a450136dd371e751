//! What can be wrong with a user's regex, and where.

use std::fmt;
use std::ops::Range;

/// Which regex of a [`FilterSpec`](super::FilterSpec).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RegexPlace {
    /// `failregex`, by its index in the spec.
    Fail(usize),
    /// `ignoreregex`, by its index in the spec.
    Ignore(usize),
    /// `successregex`, by its index in the spec.
    Success(usize),
    /// `prefregex`.
    Pref,
    /// `datepattern`.
    Date,
}

impl fmt::Display for RegexPlace {
    /// Counted from 1, as fail2ban-regex does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegexPlace::Fail(index) => write!(f, "failregex {}", index + 1),
            RegexPlace::Ignore(index) => write!(f, "ignoreregex {}", index + 1),
            RegexPlace::Success(index) => write!(f, "successregex {}", index + 1),
            RegexPlace::Pref => f.write_str("prefregex"),
            RegexPlace::Date => f.write_str("datepattern"),
        }
    }
}

/// A regex that guard can't run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct RegexError {
    /// Which regex.
    pub place: RegexPlace,
    /// Where in it: bytes of the text that the user wrote, on character boundaries.
    pub span: Range<usize>,
    /// What is wrong there.
    pub what: String,
    /// What to do about it, where that is known.
    pub remedy: Option<String>,
}

/// A [`RegexError`] before it is known which regex it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) what: String,
    pub(super) remedy: Option<String>,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, what: impl Into<String>) -> Fault {
        Fault { span, what: what.into(), remedy: None }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Fault {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn at(self, place: RegexPlace) -> RegexError {
        RegexError { place, span: self.span, what: self.what, remedy: self.remedy }
    }
}
