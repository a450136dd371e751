//! What people can be told of by notices, and how a target or a jail chooses.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{JailName, Level, News};

/// What trouble is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The kernel does not hold what guard wants.
    Firewall,
    /// The Docker engine does not answer.
    Engine,
    /// What must be remembered does not reach the disk.
    Database,
    /// A jail bans more than it may within a minute.
    Burst,
    /// A label is wrong, and its jail is not there.
    Refused,
    /// A log can't be read.
    Unreadable,
    /// The metrics can't be served.
    Metrics,
    /// A part of guard died.
    #[default]
    Defect,
}

/// A kind of notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// An address was banned.
    Banned,
    /// A ban was lifted by a person.
    Unbanned,
    /// Somebody is banned and still comes through.
    Reaches,
    /// A jail bans more than it may within a minute, and further bans wait.
    Burst,
    /// A label is wrong, and its jail is not there.
    Refused,
    /// A log can't be read.
    Unreadable,
    /// The Docker engine is lost, or back.
    Engine,
    /// Not all bans are in the kernel, or they are again.
    Firewall,
    /// What someone took from the firewall was put back.
    Repaired,
    /// What must be remembered does not reach the disk, or does again.
    Database,
    /// The metrics can't be served where they should be, or can again.
    Metrics,
    /// A part of guard died.
    Defect,
}

/// Words that stand for several kinds.
const GROUPS: [&str; 3] = ["all", "bans", "trouble"];

impl NoticeKind {
    /// All of them, in the order in which they are told.
    pub const ALL: [NoticeKind; 12] = [
        NoticeKind::Banned,
        NoticeKind::Unbanned,
        NoticeKind::Reaches,
        NoticeKind::Burst,
        NoticeKind::Refused,
        NoticeKind::Unreadable,
        NoticeKind::Engine,
        NoticeKind::Firewall,
        NoticeKind::Repaired,
        NoticeKind::Database,
        NoticeKind::Metrics,
        NoticeKind::Defect,
    ];

    /// The word for it in labels, variables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeKind::Banned => "banned",
            NoticeKind::Unbanned => "unbanned",
            NoticeKind::Reaches => "reaches",
            NoticeKind::Burst => "burst",
            NoticeKind::Refused => "refused",
            NoticeKind::Unreadable => "unreadable",
            NoticeKind::Engine => "engine",
            NoticeKind::Firewall => "firewall",
            NoticeKind::Repaired => "repaired",
            NoticeKind::Database => "database",
            NoticeKind::Metrics => "metrics",
            NoticeKind::Defect => "defect",
        }
    }

    /// How bad it is.
    pub fn level(self) -> Level {
        match self {
            NoticeKind::Banned | NoticeKind::Unbanned => Level::Note,
            NoticeKind::Repaired | NoticeKind::Burst | NoticeKind::Metrics => Level::Warning,
            NoticeKind::Reaches
            | NoticeKind::Refused
            | NoticeKind::Unreadable
            | NoticeKind::Engine
            | NoticeKind::Firewall
            | NoticeKind::Database
            | NoticeKind::Defect => Level::Error,
        }
    }

    /// Is it about bans, rather than about something that is wrong?
    pub fn is_ban(self) -> bool {
        matches!(self, NoticeKind::Banned | NoticeKind::Unbanned)
    }

    /// The kind of a piece of news and its jail; `None`: no notice tells of it.
    pub fn of(news: &News) -> Option<(NoticeKind, Option<&JailName>)> {
        Some(match news {
            News::Banned { ban, .. } => (NoticeKind::Banned, Some(&ban.jail)),
            News::Unbanned { jail, by_hand: true, .. } => (NoticeKind::Unbanned, Some(jail)),
            News::Reaches { jail, .. } => (NoticeKind::Reaches, Some(jail)),
            News::Repaired { .. } => (NoticeKind::Repaired, None),
            News::Trouble { about, jail, .. } => ((*about).into(), jail.as_ref()),
            News::Found { .. }
            | News::Ignored { .. }
            | News::Narrowed { .. }
            | News::LoggedIn { .. }
            | News::Prolonged { .. }
            | News::Unbanned { .. }
            | News::JailStarted { .. }
            | News::JailStopped { .. } => return None,
        })
    }

    /// All words that [`NoticeKind::list`] takes.
    pub fn words() -> impl Iterator<Item = &'static str> {
        GROUPS.into_iter().chain(NoticeKind::ALL.map(NoticeKind::as_str))
    }

    /// Reads a list with commas or blanks between its words.
    ///
    /// # Errors
    /// The first word that is none of [`NoticeKind::words`].
    pub fn list(text: &str) -> Result<BTreeSet<NoticeKind>, &str> {
        let mut kinds = BTreeSet::new();
        let words = text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
        for word in words {
            match word.to_ascii_lowercase().as_str() {
                "all" => kinds.extend(NoticeKind::ALL),
                "bans" => kinds.extend(NoticeKind::ALL.into_iter().filter(|kind| kind.is_ban())),
                "trouble" => {
                    kinds.extend(NoticeKind::ALL.into_iter().filter(|kind| !kind.is_ban()));
                }
                word_ => {
                    let kind = NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == word_);
                    kinds.insert(kind.ok_or(word)?);
                }
            }
        }
        Ok(kinds)
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<About> for NoticeKind {
    fn from(about: About) -> NoticeKind {
        match about {
            About::Firewall => NoticeKind::Firewall,
            About::Engine => NoticeKind::Engine,
            About::Database => NoticeKind::Database,
            About::Burst => NoticeKind::Burst,
            About::Refused => NoticeKind::Refused,
            About::Unreadable => NoticeKind::Unreadable,
            About::Metrics => NoticeKind::Metrics,
            About::Defect => NoticeKind::Defect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let list = |text| NoticeKind::list(text).map(|kinds| kinds.into_iter().collect::<Vec<_>>());
        assert_eq!(list("bans"), Ok(vec![NoticeKind::Banned, NoticeKind::Unbanned]));
        assert_eq!(list("Banned, engine"), Ok(vec![NoticeKind::Banned, NoticeKind::Engine]));
        assert_eq!(list("all").map(|all| all.len()), Ok(12));
        assert_eq!(list("trouble").map(|all| all.len()), Ok(10));
        assert_eq!(list(""), Ok(Vec::new()));
        assert_eq!(list("banned,ban"), Err("ban"));
    }

    #[test]
    fn words_are_those_of_json() {
        for kind in NoticeKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }
}
