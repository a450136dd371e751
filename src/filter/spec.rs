//! A filter as a user wrote it.

use std::fmt;
use std::str::FromStr;

/// A filter as a user wrote it: its options after all substitutions, in fail2ban's
/// language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterSpec {
    /// A line that one of these matches is a failure of the address in it.
    pub failregex: Vec<String>,
    /// Unless one of these matches as well.
    pub ignoreregex: Vec<String>,
    /// A line that one of these matches and that is no failure says that the address in
    /// it logged in. fail2ban has no such thing.
    pub successregex: Vec<String>,
    /// What a line must match first; its group `content` (`<F-CONTENT>`) is all that
    /// failregex and, mostly, ignoreregex see.
    pub prefregex: Option<String>,
    /// What dates look like, one pattern a line; `None`: fail2ban's default templates.
    pub datepattern: Option<String>,
    /// So many lines are matched together; 0 and 1: each by itself.
    pub max_lines: u32,
    /// What becomes of names where an address should be.
    pub use_dns: UseDns,
    /// The name of the daemon whose lines these are, as a regex: fail2ban's `_daemon`.
    /// A line that does not match is tried again as syslog would have written it.
    pub daemon: Option<String>,
}

/// What `<HOST>` may be, and what a name means (fail2ban's `usedns`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UseDns {
    /// A name is looked up, and each of its addresses has failed.
    Yes,
    /// The same, and it is told: who controls the name's zone decides who is banned.
    Warn,
    /// Only addresses are taken. guard's default, other than fail2ban's.
    #[default]
    No,
    /// A name is taken as it is.
    Raw,
}

impl fmt::Display for UseDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UseDns::Yes => "yes",
            UseDns::Warn => "warn",
            UseDns::No => "no",
            UseDns::Raw => "raw",
        })
    }
}

/// A text that is no [`UseDns`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of `yes`, `warn`, `no` and `raw`")]
pub struct InvalidUseDns(String);

impl FromStr for UseDns {
    type Err = InvalidUseDns;

    fn from_str(text: &str) -> Result<UseDns, InvalidUseDns> {
        match text.trim().to_ascii_lowercase().as_str() {
            "yes" => Ok(UseDns::Yes),
            "warn" => Ok(UseDns::Warn),
            "no" => Ok(UseDns::No),
            "raw" => Ok(UseDns::Raw),
            _ => Err(InvalidUseDns(text.trim().to_owned())),
        }
    }
}
