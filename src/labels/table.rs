//! Every label, once. What is written here drives the parser, the hints for
//! typos, the variables that give defaults, the help and the README's table.

use std::fmt;
use std::fmt::Write as _;

use super::options::{Given, Options, PortSetting};
use super::{Flaw, duration, encoding, hint, ignore, numbers, ports, values, zone};
use crate::filter::MAX_LINES;

/// A label's option: `maxretry` in `guard.maxretry` and `guard.jails.login.maxretry`.
#[derive(Debug)]
pub struct Label {
    /// Its name, in lower case.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What counts if it is not set, as a person would write it; empty: nothing.
    pub default: &'static str,
    /// What it does: a sentence or two of Markdown.
    pub help: &'static str,
    /// Which jails a value is for.
    pub reach: Reach,
    /// Other words that people use for it, for hints only.
    pub(super) also: &'static [&'static str],
    /// Reads a value and keeps it.
    pub(super) read: fn(&mut Options, Given<'_>) -> Result<(), Vec<Flaw>>,
}

/// Which jails an option's value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Only the jail whose label it is.
    Jail,
    /// `guard.<option>` is also for the further jails of the service that do not set it.
    Service,
    /// So is `guard.<option>`, and `GUARD_<OPTION>` is for all jails that do not set it.
    Host,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// A jail's name.
    Name,
    /// Regular expressions, one a line or each in a numbered label.
    Regexes,
    /// One regular expression.
    Regex,
    /// A filter's name, with options perhaps.
    Filter,
    /// Date patterns, one a line.
    DatePatterns,
    /// Paths, one a line or each in a numbered label.
    Paths,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several of these words.
    Words(&'static [&'static str]),
    /// A whole number from 1 to this.
    Count(u32),
    /// A length of time.
    Time,
    /// A length of time, or for ever.
    BanTime,
    /// A number, with a fraction perhaps.
    Number,
    /// Whole numbers.
    Numbers,
    /// The length of a prefix, from the first to the last.
    PrefixLength(u8, u8),
    /// Addresses, prefixes and DNS names.
    Addresses,
    /// Ports.
    Ports,
    /// A time zone.
    Zone,
    /// A text's encoding.
    Encoding,
    /// Match terms of the journal.
    Terms,
    /// What people are told of.
    Notices,
}

impl Kind {
    /// May the option be written as `option.0`, `option.1`, …?
    pub fn is_numbered(self) -> bool {
        matches!(self, Kind::Regexes | Kind::Paths)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Switch => "`true` or `false`",
            Kind::Name => "a name of letters, digits, `.`, `_` and `-`",
            Kind::Regexes => "regular expressions, one a line",
            Kind::Regex => "one regular expression",
            Kind::Filter => "a filter's name, such as `sshd` or `sshd[mode=aggressive]`",
            Kind::DatePatterns => "date patterns such as `%Y-%m-%d %H:%M:%S`, one a line",
            Kind::Paths => "absolute paths, one a line",
            Kind::Word(words) => return words_or(words, f),
            Kind::Words(words) => {
                words_or(words, f)?;
                return f.write_str(", or both with a comma between");
            }
            Kind::Count(most) => return write!(f, "a whole number from 1 to {most}"),
            Kind::Time => "a time such as `600`, `10m` or `1d 3h`",
            Kind::BanTime => "a time such as `600`, `10m` or `1d 3h`, or `-1` for ever",
            Kind::Number => "a number above 0 such as `2` or `1.5`",
            Kind::Numbers => "whole numbers such as `1 5 30 60 300`",
            Kind::PrefixLength(first, last) => {
                return write!(f, "the length of a prefix, from {first} to {last}");
            }
            Kind::Addresses => "addresses, prefixes such as `192.0.2.0/24`, and DNS names",
            Kind::Ports => {
                "`all`, `published`, `published:SERVICE`, or ports such as `80,443,8000-8010,https`"
            }
            Kind::Terms => "match terms such as `_SYSTEMD_UNIT=ssh.service`",
            Kind::Notices => {
                "`true`, `false`, or some of `banned`, `unbanned`, `reaches`, `burst`, `unreadable`, \
                 `trouble` with commas between"
            }
            Kind::Zone => "a zone such as `Europe/Paris`, `UTC` or `UTC+0200`",
            Kind::Encoding => "`auto`, or an encoding such as `utf-8`, `latin-1` or `utf-16-le`",
        })
    }
}

/// `` `a`, `b` or `c` ``
fn words_or(words: &[&str], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, word) in words.iter().enumerate() {
        let before = match at {
            0 => "",
            at if at + 1 == words.len() => " or ",
            _ => ", ",
        };
        write!(f, "{before}`{word}`")?;
    }
    Ok(())
}

/// All options, in the order in which a person meets them.
pub static LABELS: &[Label] = &[
    Label {
        name: "enable",
        kind: Kind::Switch,
        default: "`true`",
        help: "`guard.enable: false` turns all jails of the container off, \
               `guard.jails.<name>.enable: false` one of them.",
        reach: Reach::Jail,
        also: &["enabled", "disable", "disabled", "on", "active"],
        read: |options, given| keep(&mut options.enable, values::switch(given.value)),
    },
    Label {
        name: "name",
        kind: Kind::Name,
        default: "`<project>-<service>`, or the container's name",
        help: "The jail's name, as `guardctl` and the chain `f2b-<name>` show it. A further jail \
               `guard.jails.login` is called `<name of the service's jail>-login` unless it \
               sets its own.",
        reach: Reach::Jail,
        also: &["jail", "title"],
        read: |options, given| keep(&mut options.name, values::name(given.value)),
    },
    Label {
        name: "filter",
        kind: Kind::Filter,
        default: "",
        help: "A filter by name, with options as in fail2ban: `sshd`, `sshd[mode=aggressive]`. From \
               `GUARD_FILTER_PATH`, else one of guard's own (`guardctl filters` lists them).",
        reach: Reach::Jail,
        also: &["filters"],
        read: |options, given| keep(&mut options.filter, values::filter(given)),
    },
    Label {
        name: "failregex",
        kind: Kind::Regexes,
        default: "",
        help: "Which lines are failures, and of whom: one or more regular expressions with `<HOST>`, \
               one a line (YAML `|`), or in `failregex.0`, `failregex.1`, … A jail needs this or \
               `filter`; with both, both count.",
        reach: Reach::Jail,
        also: &["regex", "regexp", "regexes", "pattern", "match", "fail"],
        read: |options, given| {
            options.failregex.extend(values::regexes(given)?);
            Ok(())
        },
    },
    Label {
        name: "ignoreregex",
        kind: Kind::Regexes,
        default: "",
        help: "Which of those lines are no failures after all; written like `failregex`.",
        reach: Reach::Jail,
        also: &["exclude"],
        read: |options, given| {
            options.ignoreregex.extend(values::regexes(given)?);
            Ok(())
        },
    },
    Label {
        name: "successregex",
        kind: Kind::Regexes,
        default: "",
        help: "Which lines say that a login worked, and whose; written like `failregex`. What the \
               address did wrong before is forgotten, and for `GUARD_PARDON` none of its failures \
               counts in this jail. So whoever has an account can try others' passwords from where \
               he logs in: leave it out where anybody can have one.",
        reach: Reach::Jail,
        also: &["success", "login", "loggedin", "accepted", "pardon"],
        read: |options, given| {
            options.successregex.extend(values::regexes(given)?);
            Ok(())
        },
    },
    Label {
        name: "prefregex",
        kind: Kind::Regex,
        default: "the filter's",
        help: "What a line must match before any `failregex` is asked; what `<F-CONTENT>` matches \
               in it is all that they see.",
        reach: Reach::Jail,
        also: &["prefilter"],
        read: |options, given| keep(&mut options.prefregex, values::regex(given)),
    },
    Label {
        name: "datepattern",
        kind: Kind::DatePatterns,
        default: "the filter's, else all usual dates",
        help: "What dates in log files look like, in fail2ban's words: `%Y-%m-%d %H:%M:%S`, \
               `^[^\\[]*\\[({DATE})`, `{^LN-BEG}`, `EPOCH`, `{NONE}`.",
        reach: Reach::Jail,
        also: &["dateformat", "timeformat", "dates"],
        read: |options, given| keep(&mut options.datepattern, values::whole(given)),
    },
    Label {
        name: "maxlines",
        kind: Kind::Count(MAX_LINES),
        default: "the filter's, else `1`",
        help: "How many lines are matched together, for messages that span several; at most 200.",
        reach: Reach::Jail,
        also: &["multiline"],
        read: |options, given| keep(&mut options.max_lines, values::max_lines(given.value)),
    },
    Label {
        name: "usedns",
        kind: Kind::Word(&["no", "warn", "yes"]),
        default: "the filter's, else `no`",
        help: "What a name is where an address should be: nothing (`no`), or looked up, each of its \
               addresses having failed (`warn` says so in the log). Whoever owns a name decides \
               which addresses it has.",
        reach: Reach::Host,
        also: &["dns", "resolve"],
        read: |options, given| keep(&mut options.use_dns, values::use_dns(given.value)),
    },
    Label {
        name: "logpath",
        kind: Kind::Paths,
        default: "the container's output",
        help: "Log files to follow in place of the output: absolute paths as the container names \
               them, one a line (or `logpath.0`, …), `*`, `?` and `[…]` allowed. On guard's own \
               container, paths as guard sees them.",
        reach: Reach::Jail,
        also: &["log", "logs", "logfile", "logfiles", "file", "files", "path", "paths"],
        read: |options, given| {
            options.logpath.extend(values::paths(given.value)?);
            Ok(())
        },
    },
    Label {
        name: "journal",
        kind: Kind::Terms,
        default: "",
        help: "Which entries of the host's journal to follow, as `journalctl` and fail2ban's \
               `journalmatch` write it: `_SYSTEMD_UNIT=ssh.service _COMM=sshd`; terms of one field \
               are alternatives, and so is what `+` or a line's end separates. Only on guard's own \
               container, which needs `/var/log/journal:/var/log/journal:ro` (or \
               `/run/log/journal`).",
        reach: Reach::Jail,
        also: &["journalmatch", "journald", "systemd", "unit"],
        read: |options, given| keep(&mut options.journal, values::journal(given.value)),
    },
    Label {
        name: "stream",
        kind: Kind::Word(&["both", "stdout", "stderr"]),
        default: "`both`",
        help: "Which part of the container's output to follow: `both`, `stdout` or `stderr`.",
        reach: Reach::Jail,
        also: &["output", "stdout", "stderr"],
        read: |options, given| keep(&mut options.stream, values::stream(given.value)),
    },
    Label {
        name: "maxretry",
        kind: Kind::Count(values::MAX_RETRY),
        default: "`5`",
        help: "So many failures of an address within `findtime` lead to a ban; at most 10000.",
        reach: Reach::Host,
        also: &["retries", "retry", "attempts", "tries", "maxfailures", "threshold", "limit"],
        read: |options, given| keep(&mut options.max_retry, values::count(given.value)),
    },
    Label {
        name: "findtime",
        kind: Kind::Time,
        default: "`10m`",
        help: "How long a failure counts: seconds, or words such as `10m`, `1d 3h`; at most a year.",
        reach: Reach::Host,
        also: &["window", "period", "within"],
        read: |options, given| keep(&mut options.find_time, values::find_time(given.value)),
    },
    Label {
        name: "bantime",
        kind: Kind::BanTime,
        default: "`10m`",
        help: "How long a ban lasts; `-1` is for ever.",
        reach: Reach::Host,
        also: &["ban", "duration", "banduration", "timeout"],
        read: |options, given| keep(&mut options.ban_time, duration::parse(given.value)),
    },
    Label {
        name: "bantime.increment",
        kind: Kind::Switch,
        default: "`false`",
        help: "Ban those who were banned before for longer each time, from the first packet on: \
               `bantime` × 2, × 4, × 8, …; and of somebody who was banned n times before, count a \
               failure as 2, 3, 5, 9, … of them. Offenders are remembered for `GUARD_HISTORY` after \
               their last ban.",
        reach: Reach::Host,
        also: &["increment", "incremental", "bantimeincr", "progressive"],
        read: |options, given| keep(&mut options.growth.increment, values::switch(given.value)),
    },
    Label {
        name: "bantime.factor",
        kind: Kind::Number,
        default: "`1`",
        help: "With `bantime.increment`: raised times are multiplied by this.",
        reach: Reach::Host,
        also: &["factor"],
        read: |options, given| keep(&mut options.growth.factor, numbers::factor(given.value)),
    },
    Label {
        name: "bantime.multipliers",
        kind: Kind::Numbers,
        default: "",
        help: "With `bantime.increment`: what `bantime` is multiplied by in place of powers of 2: the \
               second number for the second ban, and so on; the last for all that follow.",
        reach: Reach::Host,
        also: &["multiplier", "multipliers"],
        read: |options, given| {
            keep(&mut options.growth.multipliers, numbers::multipliers(given.value))
        },
    },
    Label {
        name: "bantime.maxtime",
        kind: Kind::Time,
        default: "",
        help: "With `bantime.increment`: no ban is longer.",
        reach: Reach::Host,
        also: &["maxtime", "maxbantime"],
        read: |options, given| {
            keep(&mut options.growth.max_time, duration::parse_finite(given.value))
        },
    },
    Label {
        name: "bantime.rndtime",
        kind: Kind::Time,
        default: "",
        help: "With `bantime.increment`: up to so much is added to a raised time by chance, so that \
               nobody can know when to come back.",
        reach: Reach::Host,
        also: &["rndtime", "random", "jitter"],
        read: |options, given| {
            keep(&mut options.growth.random_time, duration::parse_finite(given.value))
        },
    },
    Label {
        name: "bantime.overalljails",
        kind: Kind::Switch,
        default: "`false`",
        help: "With `bantime.increment`: the bans of all jails make a ban longer, not only the \
               jail's own.",
        reach: Reach::Host,
        also: &["overalljails", "overall", "alljails"],
        read: |options, given| keep(&mut options.growth.overall, values::switch(given.value)),
    },
    Label {
        name: "prefix.v4",
        kind: Kind::PrefixLength(16, 32),
        default: "`32`",
        help: "Addresses that have so many bits in common count, and are banned, as one client: `24` \
               bans `192.0.2.0/24`. Where such a prefix holds somebody who is never banned, the \
               single address is banned.",
        reach: Reach::Host,
        also: &["prefixv4", "ipv4prefix", "v4prefix"],
        read: |options, given| keep(&mut options.prefix_v4, numbers::prefix_length(given.value, 0)),
    },
    Label {
        name: "prefix.v6",
        kind: Kind::PrefixLength(32, 128),
        default: "`64`",
        help: "The same for IPv6. A /64 is what one customer has at least, and one machine may use \
               all of it.",
        reach: Reach::Host,
        also: &["prefixv6", "ipv6prefix", "v6prefix", "prefix"],
        read: |options, given| keep(&mut options.prefix_v6, numbers::prefix_length(given.value, 1)),
    },
    Label {
        name: "recidive",
        kind: Kind::Switch,
        default: "`false`",
        help: "On guard's own container: the jail has neither filter nor source; its failures are \
               the bans of all other jails (but dry runs and bans by hand). Unless it sets them \
               itself: `maxretry` 5, `findtime` 1d, `bantime` 1w, all ports, both chains. \
               `GUARD_RECIDIVE=on` makes such a jail without labels.",
        reach: Reach::Jail,
        also: &["recidivist", "repeatoffenders"],
        read: |options, given| keep(&mut options.recidive, values::switch(given.value)),
    },
    Label {
        name: "ignoreip",
        kind: Kind::Addresses,
        default: "",
        help: "Whom the jail never bans: addresses, prefixes and DNS names, with blanks or commas \
               between; on guard's own container also lists in files (`file:/etc/guard/ignore.txt`). Added to `GUARD_IGNOREIP` and what guard never bans anyway.",
        reach: Reach::Service,
        also: &["ignore", "ignoreips", "allow", "allowlist", "whitelist", "allowip", "trusted"],
        read: |options, given| keep(&mut options.ignore, ignore::parse_ignore(given.value)),
    },
    Label {
        name: "port",
        kind: Kind::Ports,
        default: "`all`",
        help: "What a ban closes, as the client sees it: `all`, `published` (the container's \
               published ports), `published:SERVICE` (those of the proxy in front), or numbers, \
               ranges and names such as `80,443,8000-8010,https`.",
        reach: Reach::Host,
        also: &["ports", "publish", "published"],
        read: |options, given| {
            let wish = ports::wish(given.value)?;
            let (key, value) = (given.key.to_owned(), given.value.to_owned());
            options.ports = Some(PortSetting { wish, key, value });
            Ok(())
        },
    },
    Label {
        name: "protocol",
        kind: Kind::Words(&["tcp", "udp"]),
        default: "`tcp`",
        help: "Of which protocol the ports are: `tcp`, `udp` or `tcp,udp`. With `port: all` every \
               protocol is closed.",
        reach: Reach::Host,
        also: &["proto", "protocols"],
        read: |options, given| keep(&mut options.protocols, ports::protocols(given.value)),
    },
    Label {
        name: "chain",
        kind: Kind::Words(&["DOCKER-USER", "INPUT"]),
        default: "by network",
        help: "Where a ban hooks in: `DOCKER-USER` (traffic to containers), `INPUT` (traffic to \
               the host), or both. Unless set, `INPUT` for `network_mode: host` and for jails on \
               guard's own container, else `DOCKER-USER`; a container that shares another's \
               network (`network_mode: container:…` or `service:…`) gets \
               `DOCKER-USER` too, which is wrong only if that other one has the host's.",
        reach: Reach::Host,
        also: &["chains", "hook", "table"],
        read: |options, given| keep(&mut options.chains, values::chains(given.value)),
    },
    Label {
        name: "blocktype",
        kind: Kind::Word(&["reject", "drop", "tcp-reset"]),
        default: "`reject`",
        help: "How a banned client is refused: `reject` (ICMP port unreachable), `drop` (no \
               answer), `tcp-reset`.",
        reach: Reach::Host,
        also: &["action", "banaction", "block", "target"],
        read: |options, given| keep(&mut options.block_type, values::block_type(given.value)),
    },
    Label {
        name: "dryrun",
        kind: Kind::Switch,
        default: "`false`",
        help: "Count and tell, but leave the firewall alone.",
        reach: Reach::Host,
        also: &["dry", "test", "simulate", "noop"],
        read: |options, given| keep(&mut options.dry_run, values::switch(given.value)),
    },
    Label {
        name: "logtimezone",
        kind: Kind::Zone,
        default: "the container's",
        help: "The zone of dates in log files that name none: `Europe/Paris`, `UTC`, `UTC+0200`. \
               Unless set, the container's own zone, else guard's.",
        reach: Reach::Host,
        also: &["timezone", "tz", "zone", "logtz"],
        read: |options, given| keep(&mut options.log_zone, zone::read(given.value)),
    },
    Label {
        name: "logencoding",
        kind: Kind::Encoding,
        default: "`auto`",
        help: "How the bytes of log files are text: `utf-8`, `latin-1`, `cp1252`, `utf-16-le`, … \
               `auto` is UTF-8, or UTF-16 where the file begins with its mark.",
        reach: Reach::Host,
        also: &["encoding", "charset", "codec"],
        read: |options, given| keep(&mut options.log_encoding, encoding::read(given.value)),
    },
    Label {
        name: "notify",
        kind: Kind::Notices,
        default: "`true`",
        help: "Which notices are sent of this jail: all of them, none (`false`), or some of \
               `banned`, `unbanned`, `reaches`, `burst`, `refused`, `unreadable`, or `trouble` for all \
               but bans. \
               Where they are sent is `GUARD_NOTIFY`, which is no default of this label.",
        reach: Reach::Service,
        also: &["notice", "notices", "notification", "notifications", "alert", "alerts"],
        read: |options, given| keep(&mut options.notify, values::notify(given.value)),
    },
];

impl Label {
    /// The variable that gives the option's default for all jails, if it has one.
    pub fn variable(&self) -> Option<String> {
        (self.reach == Reach::Host).then(|| format!("GUARD_{}", self.variable_key()))
    }

    /// The variable's name without `GUARD_`.
    pub(super) fn variable_key(&self) -> String {
        self.name.to_uppercase().replace('.', "_")
    }
}

/// The option of this name, in lower case.
pub(super) fn find(name: &str) -> Option<&'static Label> {
    LABELS.iter().find(|label| label.name == name)
}

/// The option that someone who wrote `name` may have meant.
pub(super) fn nearest(name: &str) -> Option<&'static Label> {
    let plain = |text: &str| text.replace(['-', '_', '.', ' '], "");
    let name = plain(name);
    if let Some(label) = LABELS.iter().find(|l| l.name == name || l.also.contains(&name.as_str())) {
        return Some(label);
    }
    let name = hint::nearest(&name, LABELS.iter().map(|label| label.name))?;
    find(name)
}

/// The table of all options, for the README.
pub fn markdown_table() -> String {
    let mut table = "| label | default | meaning | variable |\n|---|---|---|---|\n".to_owned();
    for label in LABELS {
        let default = if label.default.is_empty() { "–" } else { label.default };
        let variable = label.variable().map_or("–".to_owned(), |name| format!("`{name}`"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {variable} |",
            label.name,
            default.replace('|', "\\|"),
            label.help.replace('|', "\\|"),
        );
    }
    table
}

/// Keeps what was read.
fn keep<T, E: Into<Vec<Flaw>>>(slot: &mut Option<T>, read: Result<T, E>) -> Result<(), Vec<Flaw>> {
    *slot = Some(read.map_err(Into::into)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Growth, Limits, Policy};

    #[test]
    fn hints() {
        let check = |wrote: &str, meant: Option<&str>| {
            assert_eq!(nearest(wrote).map(|label| label.name), meant, "{wrote}");
        };
        check("maxrety", Some("maxretry"));
        check("max_retry", Some("maxretry"));
        check("max-retries", Some("maxretry"));
        check("fialregex", Some("failregex"));
        check("regex", Some("failregex"));
        check("bantme", Some("bantime"));
        check("prot", Some("port"));
        check("ports", Some("port"));
        check("logfile", Some("logpath"));
        check("ignore_ip", Some("ignoreip"));
        check("timezone", Some("logtimezone"));
        check("frobnicate", None);
        check("", None);
        check(&"x".repeat(100_000), None);
    }

    #[test]
    fn names_and_hints_are_each_there_once() {
        let mut words: Vec<&str> = LABELS
            .iter()
            .flat_map(|label| label.also.iter().copied().chain([label.name]))
            .collect();
        words.sort_unstable();
        let all = words.len();
        words.dedup();
        assert_eq!(words.len(), all);
        assert!(LABELS.iter().all(|label| label.name == label.name.to_lowercase()));
    }

    #[test]
    fn the_defaults_shown_are_those_that_count() {
        let mut options = Options::default();
        let set = |label: &'static Label| {
            let value = label.default.strip_prefix('`')?.strip_suffix('`')?;
            (!value.contains('<')).then_some((label, value))
        };
        for (label, value) in LABELS.iter().filter_map(set) {
            (label.read)(&mut options, Given { key: label.name, value }).unwrap();
        }
        let Limits { max_retry, find_time, ban_time } = Limits::default();
        assert_eq!(options.max_retry, Some(max_retry));
        assert_eq!(options.find_time, Some(find_time));
        assert_eq!(options.ban_time, Some(ban_time));
        assert_eq!(options.policy(), Policy::default());
        assert_eq!(options.growth.factor, Some(Growth::ONE));
    }

    /// Options of `reach` Service and Host reach other jails, those of Jail do not.
    #[test]
    fn reach_is_what_the_parser_does() {
        for label in LABELS {
            let value = match label.name {
                "enable" | "dryrun" | "recidive" => "true",
                "bantime.increment" | "bantime.overalljails" => "true",
                "bantime.factor" | "bantime.multipliers" => "7",
                "bantime.maxtime" | "bantime.rndtime" => "7",
                "prefix.v4" => "24",
                "prefix.v6" => "56",
                "name" | "failregex" | "ignoreregex" | "successregex" => "x",
                "logpath" => "/x",
                "journal" => "A=x",
                "stream" => "stdout",
                "maxretry" | "findtime" | "bantime" | "port" => "7",
                "ignoreip" => "192.0.2.1",
                "protocol" => "udp",
                "chain" => "INPUT",
                "blocktype" => "drop",
                "logtimezone" => "UTC",
                "logencoding" => "latin-1",
                "notify" => "banned",
                "filter" => "sshd[mode=normal]",
                "prefregex" => "^<F-CONTENT>.+</F-CONTENT>$",
                "datepattern" => "%Y-%m-%d",
                "maxlines" => "3",
                "usedns" => "warn",
                other => panic!("no sample value for {other}"),
            };
            let mut parent = Options::default();
            (label.read)(&mut parent, Given { key: label.name, value }).unwrap();
            assert_ne!(parent, Options::default(), "{}", label.name);
            let child = Options::default().or(&parent);
            assert_eq!(child == parent, label.reach > Reach::Jail, "{}", label.name);
            assert_eq!(child == Options::default(), label.reach == Reach::Jail, "{}", label.name);
        }
    }

    #[test]
    fn markdown() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), LABELS.len() + 2);
        assert!(table.contains("\n| `maxretry` | `5` | So many failures"));
        assert!(table.contains(" | `GUARD_MAXRETRY` |\n"));
        assert!(table.replace("\\|", "").lines().all(|line| line.matches('|').count() == 5));
        assert!(!table.contains("GUARD_FAILREGEX") && !table.contains("GUARD_STREAM"));
    }
}
