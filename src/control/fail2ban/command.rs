//! fail2ban's words: what a client of it wants.
//!
//! The words of `fail2ban-client` 1.0 and 1.1 that ask, ban and unban mean here
//! what they mean there. Those that change a jail's options are refused with the
//! way to do it: guard's jails are labels, and what a command changed would be
//! gone with the next look at them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::Network;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `ping`
    Ping,
    /// `version`
    Version,
    /// `echo WORD…`
    Echo(Vec<String>),
    /// `flushlogs`
    FlushLogs,
    /// `status`
    Status,
    /// `status --all`, `stats`: all jails, one after the other.
    StatusAll(Detail),
    /// `status JAIL [FLAVOR]`
    StatusJail(String, Detail),
    /// `banned`: all jails with their bans.
    Banned,
    /// `banned IP…`: for each the jails that ban it.
    BannedIn(Vec<Network>),
    /// `get JAIL banned`, and `get JAIL banned IP…`: 1 or 0 for each.
    JailBanned(String, Vec<Network>),
    /// `get JAIL banip [--with-time]`
    BanList {
        /// The jail.
        jail: String,
        /// With begin, length and end?
        with_time: bool,
    },
    /// `set JAIL banip IP…`
    Ban(String, Vec<Network>),
    /// `set JAIL unbanip [--report-absent] IP…`, and `unban IP…` in all jails.
    Unban {
        /// Only in this jail.
        jail: Option<String>,
        /// Whom.
        networks: Vec<Network>,
        /// Is one who is not banned an error?
        report_absent: bool,
    },
    /// `unban --all`
    UnbanAll,
    /// `get JAIL OPTION`
    Option(String, String),
    /// `get OPTION` of the server: `loglevel`, `dbfile`, ….
    Server(String),
}

/// How much a jail's status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// With the list of addresses.
    Basic,
    /// Without it.
    Short,
}

/// Words that guard does not follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// No such words.
    #[error("Invalid command")]
    Unknown,
    /// Something is missing after them.
    #[error("Invalid command: {0}")]
    Missing(&'static str),
    /// No address.
    #[error("'{0}' is no address and no prefix")]
    NoAddress(String),
    /// guard does that by labels.
    #[error("guard's jails are labels of containers: {0}")]
    ByLabels(&'static str),
}

/// Are these words of fail2ban that guardctl has no command of its own for?
pub fn is_foreign(words: &[String]) -> bool {
    let first = words.first().map(String::as_str);
    matches!(first, Some("set" | "get" | "echo" | "flushlogs" | "reload" | "restart" | "stats"))
}

const CHANGE_LABEL: &str =
    "change the label in docker-compose.yml, and `docker compose up -d` makes it so";

impl Command {
    /// Understands the words.
    pub fn parse(words: &[String]) -> Result<Command, InvalidCommand> {
        let all: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(match all.as_slice() {
            ["ping"] => Command::Ping,
            ["version"] => Command::Version,
            ["echo", rest @ ..] => Command::Echo(rest.iter().map(|&word| word.into()).collect()),
            ["flushlogs"] => Command::FlushLogs,
            ["status"] => Command::Status,
            ["status", "--all"] | ["stats" | "statistics"] => Command::StatusAll(Detail::Basic),
            ["status", "--all", flavor] => Command::StatusAll(detail(flavor)),
            ["status", jail] => Command::StatusJail((*jail).into(), Detail::Basic),
            ["status", jail, flavor] => Command::StatusJail((*jail).into(), detail(flavor)),
            ["banned"] => Command::Banned,
            ["banned", who @ ..] => Command::BannedIn(networks(who)?),
            ["unban"] => return Err(InvalidCommand::Missing("unban IP…, or unban --all")),
            ["unban", "--all"] => Command::UnbanAll,
            ["unban", who @ ..] => {
                Command::Unban { jail: None, networks: networks(who)?, report_absent: false }
            }
            ["get", rest @ ..] => get(rest)?,
            ["set", rest @ ..] => set(rest)?,
            ["reload" | "restart" | "start" | "add", ..] => {
                return Err(InvalidCommand::ByLabels(
                    "it follows them by itself, there is nothing to start or to reload",
                ));
            }
            ["stop", ..] => {
                return Err(InvalidCommand::ByLabels(
                    "`docker stop guard` stops all of them, the label guard.enable=false one",
                ));
            }
            _ => return Err(InvalidCommand::Unknown),
        })
    }
}

fn get(words: &[&str]) -> Result<Command, InvalidCommand> {
    Ok(match words {
        [] => return Err(InvalidCommand::Missing("get JAIL OPTION")),
        [option] => Command::Server((*option).into()),
        [jail, "banned", who @ ..] => Command::JailBanned((*jail).into(), networks(who)?),
        [jail, "banip", how @ ..] => Command::BanList {
            jail: (*jail).into(),
            with_time: how.first() == Some(&"--with-time"),
        },
        [jail, option, ..] => Command::Option((*jail).into(), (*option).into()),
    })
}

fn set(words: &[&str]) -> Result<Command, InvalidCommand> {
    Ok(match words {
        [] | [_] => return Err(InvalidCommand::Missing("set JAIL banip IP…")),
        [jail, "banip", who @ ..] => Command::Ban((*jail).into(), some_networks(who)?),
        [jail, "unbanip", "--report-absent", who @ ..] => Command::Unban {
            jail: Some((*jail).into()),
            networks: some_networks(who)?,
            report_absent: true,
        },
        [jail, "unbanip", who @ ..] => Command::Unban {
            jail: Some((*jail).into()),
            networks: some_networks(who)?,
            report_absent: false,
        },
        _ => return Err(InvalidCommand::ByLabels(CHANGE_LABEL)),
    })
}

fn detail(flavor: &str) -> Detail {
    if flavor == "short" { Detail::Short } else { Detail::Basic }
}

fn some_networks(words: &[&str]) -> Result<Vec<Network>, InvalidCommand> {
    if words.is_empty() {
        return Err(InvalidCommand::Missing("an address is missing"));
    }
    networks(words)
}

fn networks(words: &[&str]) -> Result<Vec<Network>, InvalidCommand> {
    let parse = |word: &&str| {
        word.parse().map_err(|_| InvalidCommand::NoAddress(word.chars().take(64).collect()))
    };
    words.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, InvalidCommand> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Command::parse(&words)
    }

    #[test]
    fn the_words_of_fail2bans_client_are_understood() {
        let net = |text: &str| text.parse::<Network>().unwrap();
        let check = |line: &str, command: Command| assert_eq!(parse(line), Ok(command), "{line}");
        check("ping", Command::Ping);
        check("status", Command::Status);
        check("status web", Command::StatusJail("web".into(), Detail::Basic));
        check("status web short", Command::StatusJail("web".into(), Detail::Short));
        check("status web cymru", Command::StatusJail("web".into(), Detail::Basic));
        check("status --all short", Command::StatusAll(Detail::Short));
        check("banned", Command::Banned);
        check("banned 192.0.2.1", Command::BannedIn(vec![net("192.0.2.1")]));
        check("get web banned", Command::JailBanned("web".into(), vec![]));
        check("get web banip", Command::BanList { jail: "web".into(), with_time: false });
        check(
            "get web banip --with-time",
            Command::BanList { jail: "web".into(), with_time: true },
        );
        check("get web bantime", Command::Option("web".into(), "bantime".into()));
        check("get dbfile", Command::Server("dbfile".into()));
        check("set web banip 192.0.2.0/24", Command::Ban("web".into(), vec![net("192.0.2.0/24")]));
        let unban = |jail: Option<&str>, report_absent| Command::Unban {
            jail: jail.map(str::to_owned),
            networks: vec![net("2001:db8::1")],
            report_absent,
        };
        check("set web unbanip 2001:db8::1", unban(Some("web"), false));
        check("set web unbanip --report-absent 2001:db8::1", unban(Some("web"), true));
        check("unban 2001:db8::1", unban(None, false));
        check("unban --all", Command::UnbanAll);
    }

    #[test]
    fn what_guard_does_otherwise_is_refused_with_the_way() {
        let refused = |line: &str, words: &str| {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(words), "{line}: {error}");
        };
        refused("set web bantime 600", "change the label");
        refused("reload", "nothing to start or to reload");
        refused("stop web", "guard.enable=false");
        refused("unban", "unban IP");
        refused("set web banip", "an address is missing");
        refused("set web banip 999.1.1.1", "'999.1.1.1' is no address");
        refused("sleep 100", "Invalid command");
    }
}
