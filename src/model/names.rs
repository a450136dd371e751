//! Names of jails, services, containers and sources.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A jail's name: 1 to 100 of `A-Z a-z 0-9 . _ -`, beginning with a letter or
/// digit. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JailName(Arc<str>);

/// Text that can't be a jail's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` can't name a jail: use 1 to 100 letters, digits, `.`, `_` and `-`, the first a letter or digit"
)]
pub struct InvalidName(pub String);

impl JailName {
    /// Longest name, in bytes.
    pub const MAX: usize = 100;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name nearest to any text: other characters become `-`, what is too
    /// long is cut. For names that Docker or compose chose, which nobody can mend.
    pub fn from_lossy(text: &str) -> Self {
        let name: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
            .skip_while(|c| !c.is_ascii_alphanumeric())
            .take(Self::MAX)
            .collect();
        JailName(if name.is_empty() { "unnamed".into() } else { name.into() })
    }
}

impl FromStr for JailName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if first && rest && text.len() <= Self::MAX {
            Ok(JailName(text.into()))
        } else {
            Err(InvalidName(text.chars().take(120).collect()))
        }
    }
}

impl fmt::Display for JailName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for JailName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<JailName> for String {
    fn from(name: JailName) -> Self {
        name.0.to_string()
    }
}

/// A container's full id, as the engine gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerId(pub Arc<str>);

impl ContainerId {
    /// The first 12 characters, as `docker ps` shows them.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whom a jail protects: state belongs to it, not to a container's id, so that
/// a service can be recreated without losing counters or bans.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ServiceId {
    /// A compose service (or a Swarm service, whose stack stands for the project).
    Compose {
        /// `com.docker.compose.project`
        project: Arc<str>,
        /// `com.docker.compose.service`
        service: Arc<str>,
    },
    /// One container that belongs to no service, by its name.
    Container(Arc<str>),
    /// guard's own built-in jails.
    BuiltIn,
}

impl ServiceId {
    /// The name a person gave it: the service's within its project, or the container's.
    pub fn short(&self) -> &str {
        match self {
            ServiceId::Compose { service, .. } => service,
            ServiceId::Container(name) => name,
            ServiceId::BuiltIn => "guard",
        }
    }

    /// The default name of its jail: `<project>-<service>`, or the container's name.
    pub fn jail_name(&self) -> JailName {
        match self {
            ServiceId::Compose { project, service } => {
                JailName::from_lossy(&format!("{project}-{service}"))
            }
            ServiceId::Container(name) => JailName::from_lossy(name),
            ServiceId::BuiltIn => JailName::from_lossy(super::MANUAL_JAIL),
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceId::Compose { project, service } => write!(f, "{project}/{service}"),
            ServiceId::Container(name) => f.write_str(name),
            ServiceId::BuiltIn => f.write_str("guard"),
        }
    }
}

/// Where lines come from. Positions are kept per jail and source, so the same
/// source always has the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SourceId {
    /// A container's output.
    Output(ContainerId),
    /// A log file, by the path at which guard itself opens its directory tree:
    /// the same file seen by several containers is one source.
    File(Arc<str>),
    /// The host's journal.
    Journal,
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceId::Output(id) => write!(f, "output of {}", id.short()),
            SourceId::File(path) => f.write_str(path),
            SourceId::Journal => f.write_str("journal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["web", "my-project-web.1", "0", "A_b"] {
            assert!(good.parse::<JailName>().is_ok(), "{good}");
        }
        for bad in ["", "-web", ".web", "we b", "wéb", "a/b", &"x".repeat(101)] {
            assert!(bad.parse::<JailName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn any_text_gives_a_name() {
        for (text, name) in [("/web", "web"), ("we b", "we-b"), ("", "unnamed"), ("--", "unnamed")]
        {
            assert_eq!(JailName::from_lossy(text).as_str(), name);
        }
        assert_eq!(JailName::from_lossy(&"x".repeat(500)).as_str().len(), JailName::MAX);
    }
}
