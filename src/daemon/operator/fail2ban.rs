//! What fail2ban's server would answer, from what guard knows.

use std::collections::{BTreeMap, HashSet};

use jiff::tz::TimeZone;

use super::{Operator, Stopping};
use crate::control::fail2ban::{Command, Detail, Exception, Value};
use crate::control::protocol::{
    BanView, JailStatus, JailSummary, RefusedKind, Reply, SourceKind, SourceStatus, Which,
};
use crate::labels;
use crate::model::{BanTime, Network, Origin, Timestamp, Until, Written};

/// A request that is answered by an exception, or not at all.
enum Failed {
    Stopping,
    Raised(Exception, String),
}

impl From<Stopping> for Failed {
    fn from(_: Stopping) -> Failed {
        Failed::Stopping
    }
}

fn raise<T>(message: impl Into<String>) -> Result<T, Failed> {
    Err(Failed::Raised(Exception::Other, message.into()))
}

impl Operator {
    /// Answers fail2ban's words.
    pub(super) async fn fail2ban(&self, words: &[String]) -> Result<Reply, Stopping> {
        let answer = match Command::parse(words) {
            Ok(command) => self.follow_words(command).await,
            Err(invalid) => raise(invalid.to_string()),
        };
        match answer {
            Ok(value) => Ok(Reply::Fail2ban { value }),
            Err(Failed::Raised(exception, message)) => Ok(Reply::Raised { exception, message }),
            Err(Failed::Stopping) => Err(Stopping),
        }
    }

    async fn follow_words(&self, command: Command) -> Result<Value, Failed> {
        match command {
            Command::Ping => Ok(Value::text("pong")),
            Command::Version => Ok(Value::text(env!("CARGO_PKG_VERSION"))),
            Command::Echo(words) => Ok(Value::texts(words)),
            // guard writes to its standard error, which Docker rotates.
            Command::FlushLogs => Ok(Value::text("flushed")),
            Command::Status => {
                let jails = self.summaries().await?;
                let names: Vec<_> = jails.iter().map(|jail| jail.name.as_str()).collect();
                Ok(Value::List(vec![
                    Value::named("Number of jail", Value::count(names.len() as u64)),
                    Value::named("Jail list", Value::text(names.join(", "))),
                ]))
            }
            Command::StatusAll(detail) => {
                let mut all = Vec::new();
                for jail in self.summaries().await? {
                    let jail = self.jail_of_words(jail.name.as_str()).await?;
                    all.push((jail.name.to_string(), status(&jail, detail)));
                }
                Ok(Value::Map(all))
            }
            Command::StatusJail(jail, detail) => {
                Ok(status(&self.jail_of_words(&jail).await?, detail))
            }
            Command::Banned => self.all_banned().await,
            Command::BannedIn(networks) => self.banned_in(&networks).await,
            Command::JailBanned(jail, networks) => {
                let banned = self.jail_of_words(&jail).await?.banned;
                Ok(match networks.as_slice() {
                    [] => addresses(&banned),
                    [one] => is_banned(&banned, *one),
                    many => Value::List(many.iter().map(|one| is_banned(&banned, *one)).collect()),
                })
            }
            Command::BanList { jail, with_time } => {
                let mut banned = self.jail_of_words(&jail).await?.banned;
                banned.sort_by_key(|ban| (end(ban.until), ban.network));
                if !with_time {
                    return Ok(addresses(&banned));
                }
                let zone = TimeZone::system();
                Ok(Value::texts(banned.iter().map(|ban| with_times(ban, &zone))))
            }
            Command::Ban(jail, networks) => self.ban_by_words(&jail, networks).await,
            Command::Unban { jail, networks, report_absent } => {
                self.unban_by_words(jail.as_deref(), networks, report_absent).await
            }
            Command::UnbanAll => match self.unban(Which::All, None).await? {
                Reply::Unban { not_in_kernel: Some(why), .. } => raise(not_lifted(&why)),
                Reply::Unban { lifted, .. } => Ok(Value::count(lifted.len() as u64)),
                _ => raise("guard misunderstood itself"),
            },
            Command::Option(jail, option) => {
                let jail = self.jail_of_words(&jail).await?;
                match option_value(&jail, &option) {
                    Some(value) => Ok(value),
                    None => raise("Invalid command (no get action or not yet implemented)"),
                }
            }
            Command::Server(option) => match option.as_str() {
                "loglevel" => Ok(Value::text("INFO")),
                "logtarget" => Ok(Value::text("STDERR")),
                "syslogsocket" => Ok(Value::text("auto")),
                "dbfile" => {
                    Ok(Value::text(self.store.status().borrow().path.display().to_string()))
                }
                _ => raise("Invalid command"),
            },
        }
    }

    async fn summaries(&self) -> Result<Vec<JailSummary>, Failed> {
        match self.overview().await? {
            Reply::Status(overview) => Ok(overview.jails),
            _ => raise("guard misunderstood itself"),
        }
    }

    /// fail2ban's tools know one way to be told that a jail is not there.
    async fn jail_of_words(&self, asked: &str) -> Result<JailStatus, Failed> {
        match self.jail_status(asked).await? {
            Reply::Jail(jail) => Ok(*jail),
            Reply::Refused { kind: RefusedKind::NotFound, .. } => {
                Err(Failed::Raised(Exception::UnknownJail, asked.to_owned()))
            }
            Reply::Refused { message, .. } => raise(message),
            _ => raise("guard misunderstood itself"),
        }
    }

    async fn bans_of(&self, network: Option<Network>) -> Result<Vec<BanView>, Failed> {
        match self.banned(network).await? {
            Reply::Banned { bans, .. } => Ok(bans),
            _ => raise("guard misunderstood itself"),
        }
    }

    async fn all_banned(&self) -> Result<Value, Failed> {
        let mut by_jail: BTreeMap<String, Vec<BanView>> = BTreeMap::new();
        for jail in self.summaries().await? {
            by_jail.insert(jail.name.to_string(), Vec::new());
        }
        for ban in self.bans_of(None).await? {
            by_jail.entry(ban.jail.to_string()).or_default().push(ban);
        }
        let maps =
            by_jail.into_iter().map(|(jail, bans)| Value::Map(vec![(jail, addresses(&bans))]));
        Ok(Value::List(maps.collect()))
    }

    async fn banned_in(&self, networks: &[Network]) -> Result<Value, Failed> {
        let all = self.bans_of(None).await?;
        let jails = |network: &Network| {
            let jails = all.iter().filter(|ban| ban.network.covers(*network));
            let mut jails: Vec<_> = jails.map(|ban| ban.jail.to_string()).collect();
            jails.sort_unstable();
            jails.dedup();
            Value::texts(jails)
        };
        Ok(Value::List(networks.iter().map(jails).collect()))
    }

    /// The number of those who were not banned before, as fail2ban has it.
    async fn ban_by_words(&self, jail: &str, networks: Vec<Network>) -> Result<Value, Failed> {
        let jail = self.jail_of_words(jail).await?;
        let before: HashSet<Network> = jail.banned.iter().map(|ban| ban.network).collect();
        let name = Some(jail.name.to_string());
        match self.ban(networks, name, None, false).await? {
            Reply::Ban { banned, refused, .. } => {
                if let Some(first) = refused.first() {
                    return raise(format!("{}: {}", first.network, first.message));
                }
                let new: HashSet<_> = banned.iter().map(|ban| ban.network).collect();
                Ok(Value::count(new.difference(&before).count() as u64))
            }
            Reply::Refused { message, .. } => raise(message),
            _ => raise("guard misunderstood itself"),
        }
    }

    async fn unban_by_words(
        &self,
        jail: Option<&str>,
        networks: Vec<Network>,
        report_absent: bool,
    ) -> Result<Value, Failed> {
        let jail = match jail {
            Some(jail) => Some(self.jail_of_words(jail).await?.name.to_string()),
            None => None,
        };
        match self.unban(Which::Networks(networks), jail).await? {
            Reply::Unban { not_in_kernel: Some(why), .. } => raise(not_lifted(&why)),
            Reply::Unban { absent, .. } if report_absent && !absent.is_empty() => raise(format!(
                "not banned: {}",
                Value::texts(absent.iter().map(Network::to_string))
            )),
            Reply::Unban { lifted, .. } => Ok(Value::count(lifted.len() as u64)),
            Reply::Refused { message, .. } => raise(message),
            _ => raise("guard misunderstood itself"),
        }
    }
}

/// What is lifted in guard only must not pass for done.
fn not_lifted(why: &str) -> String {
    format!("not lifted in the kernel yet: {why} (guard goes on trying)")
}

fn status(jail: &JailStatus, detail: Detail) -> Value {
    let journal = jail.sources.iter().any(|source| source.kind == SourceKind::Journal);
    let sources = jail.sources.iter().map(|source| source.shown.clone());
    let mut actions = vec![
        Value::named("Currently banned", Value::count(jail.banned_now)),
        Value::named("Total banned", Value::count(jail.banned_total)),
    ];
    if detail == Detail::Basic {
        actions.push(Value::named("Banned IP list", addresses(&jail.banned)));
    }
    let list = if journal { "Journal matches" } else { "File list" };
    Value::List(vec![
        Value::named(
            "Filter",
            Value::List(vec![
                Value::named("Currently failed", Value::count(jail.failed_now)),
                Value::named("Total failed", Value::count(jail.found_total)),
                Value::named(list, Value::texts(sources)),
            ]),
        ),
        Value::named("Actions", Value::List(actions)),
    ])
}

fn addresses(bans: &[BanView]) -> Value {
    Value::texts(bans.iter().map(|ban| ban.network.to_string()))
}

fn is_banned(bans: &[BanView], network: Network) -> Value {
    Value::Number(bans.iter().any(|ban| ban.network.covers(network)).into())
}

/// For ever comes last.
fn end(until: Until) -> (bool, Option<Timestamp>) {
    match until {
        Until::Time(end) => (false, Some(end)),
        Until::Forever => (true, None),
    }
}

/// `192.0.2.1 \t2024-01-01 00:00:00 + 600 = 2024-01-01 00:10:00`
fn with_times(ban: &BanView, zone: &TimeZone) -> String {
    let shown = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let (length, end) = match ban.until {
        Until::Time(end) => (end.duration_since(ban.since).as_secs(), shown(end)),
        Until::Forever => (-1, "9999-12-31 23:59:59".to_owned()),
    };
    format!("{} \t{} + {length} = {end}", ban.network, shown(ban.since))
}

fn option_value(jail: &JailStatus, option: &str) -> Option<Value> {
    let options = &jail.options;
    let of_kind = |kind: SourceKind| {
        let sources = jail.sources.iter().filter(move |source| source.kind == kind);
        sources.map(|source: &SourceStatus| source.shown.clone())
    };
    Some(match option {
        "bantime" => match options.bantime {
            BanTime::For(time) => Value::count(time.as_secs()),
            BanTime::Forever => Value::Number(-1),
        },
        "findtime" => Value::count(options.findtime),
        "maxretry" | "maxmatches" => Value::Number(options.maxretry.into()),
        "ignoreip" => Value::texts(options.ignoreip.iter().cloned()),
        "ignoreself" => Value::Bool(true),
        "ignorecommand" => Value::text(""),
        "logpath" => Value::texts(of_kind(SourceKind::File)),
        "journalmatch" => Value::List(
            of_kind(SourceKind::Journal)
                .map(|terms| Value::texts(terms.split(' ').map(str::to_owned)))
                .collect(),
        ),
        "actions" => Value::texts(jail.firewall_chain.iter().cloned()),
        "ignorecache" => Value::None,
        _ => return written_value(jail, option),
    })
}

/// What labels, variables and the filter say, in fail2ban's types.
fn written_value(jail: &JailStatus, option: &str) -> Option<Value> {
    let all = |option: &str| -> Vec<&Written> {
        jail.written.iter().filter(|written| written.option == option).collect()
    };
    let set = all(option).into_iter().find(|written| written.origin != Origin::Default);
    let text = set.map(|written| written.value.as_str());
    Some(match option {
        "failregex" | "ignoreregex" => {
            Value::texts(all(option).into_iter().map(|written| written.value.clone()))
        }
        "prefregex" => Value::text(text.unwrap_or_default()),
        // A pattern and its name; fail2ban has the same for both.
        "datepattern" => match text {
            Some(pattern) => Value::Tuple(vec![Value::text(pattern), Value::text(pattern)]),
            None => Value::Tuple(vec![Value::None, Value::text("Default Detectors")]),
        },
        "logtimezone" => text.map_or(Value::None, Value::text),
        "maxlines" => Value::Number(text.and_then(|text| text.parse().ok()).unwrap_or(1)),
        // `auto` is in fail2ban what the system's locale says.
        "logencoding" => Value::text(text.filter(|text| *text != "auto").unwrap_or("UTF-8")),
        "usedns" => Value::text(text.unwrap_or("no").to_lowercase()),
        "bantime.increment" | "bantime.overalljails" => match text {
            Some(text) => {
                let on = ["true", "yes", "on", "1"];
                Value::Bool(on.iter().any(|word| text.eq_ignore_ascii_case(word)))
            }
            None => Value::None,
        },
        "bantime.factor" | "bantime.multipliers" => text.map_or(Value::None, Value::text),
        "bantime.maxtime" | "bantime.rndtime" => match text.map(labels::duration::parse_finite) {
            Some(Ok(time)) => Value::count(time.as_secs()),
            Some(Err(_)) | None => Value::None,
        },
        _ => return None,
    })
}
