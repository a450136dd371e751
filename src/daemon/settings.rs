//! (pure) guard's settings: environment strings → [`Settings`], all mistakes at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::filters;
use crate::firewall::{self, BackendChoice, Ipv6, OnStop};
use crate::labels::{self, Defaults};
use crate::model::IgnoreEntry;

/// What all of guard's variables begin with.
const PREFIX: &str = "GUARD_";
/// A jail remembers at most so many addresses: with five failures each, some 40 MB.
const TRACK_MAX: usize = 200_000;
/// No setting raises the bound beyond this: the machine has other things to do.
const TRACK_MAX_LIMIT: usize = 10_000_000;

/// All that can be set from outside.
#[derive(Debug)]
pub struct Settings {
    /// Where the database lies.
    pub data: PathBuf,
    /// The socket that guardctl talks to.
    pub socket: PathBuf,
    /// Prefix of the labels, and the jails' defaults.
    pub defaults: Defaults,
    /// The folders in which filters are looked for by name, `:` between them.
    pub filter_path: String,
    /// The firewall's settings.
    pub firewall: firewall::Settings,
    /// Addresses that no jail bans.
    pub ignore: Vec<IgnoreEntry>,
    /// Leave the addresses of containers alone?
    pub ignore_docker: bool,
    /// How many addresses a jail counts at once.
    pub track_max: usize,
    /// Level or filter of the log, in tracing's syntax.
    pub log: String,
    /// How the log is written.
    pub log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// A variable that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The variable.
    pub variable: String,
    /// What is wrong with it, and what to do.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.what)
    }
}

/// The variables as they stand in the environment, without their prefix.
#[derive(Deserialize)]
struct Raw {
    data: Option<String>,
    socket: Option<String>,
    label_prefix: Option<String>,
    filter_path: Option<String>,
    firewall: Option<String>,
    ipv6: Option<String>,
    on_stop: Option<String>,
    ignoreip: Option<String>,
    ignoredocker: Option<String>,
    track_max: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

/// All variables of guard itself, without their prefix; besides them, each label that
/// limits or acts has one for its default.
pub const NAMES: [&str; 12] = [
    "DATA",
    "SOCKET",
    "LABEL_PREFIX",
    "FILTER_PATH",
    "FIREWALL",
    "IPV6",
    "ON_STOP",
    "IGNOREIP",
    "IGNOREDOCKER",
    "TRACK_MAX",
    "LOG",
    "LOG_FORMAT",
];

impl Settings {
    /// Reads the settings from an environment; variables of others are passed over,
    /// empty ones count as not set.
    pub fn read(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, Vec<Mistake>> {
        let ours = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.trim().is_empty());
        let raw: Raw = envy::prefixed(PREFIX).from_iter(ours).map_err(|error| {
            vec![Mistake { variable: PREFIX.to_owned() + "*", what: error.to_string() }]
        })?;
        let mut reader = Reader { mistakes: Vec::new() };
        let settings = reader.settings(raw);
        if reader.mistakes.is_empty() { Ok(settings) } else { Err(reader.mistakes) }
    }
}

/// Reads one variable after the other and collects what is wrong.
struct Reader {
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn settings(&mut self, raw: Raw) -> Settings {
        let prefix = raw.label_prefix.unwrap_or_else(|| "guard".to_owned());
        let firewall = firewall::Settings {
            backend: self.choice(
                "FIREWALL",
                raw.firewall.as_deref(),
                &[
                    ("auto", BackendChoice::Auto),
                    ("ipset", BackendChoice::Ipset),
                    ("iptables", BackendChoice::Iptables),
                    ("nftables", BackendChoice::Nftables),
                ],
            ),
            ipv6: self.choice(
                "IPV6",
                raw.ipv6.as_deref(),
                &[
                    ("auto", Ipv6::Auto),
                    ("on", Ipv6::On),
                    ("true", Ipv6::On),
                    ("off", Ipv6::Off),
                    ("false", Ipv6::Off),
                ],
            ),
            on_stop: self.choice(
                "ON_STOP",
                raw.on_stop.as_deref(),
                &[("remove", OnStop::Remove), ("keep", OnStop::Keep)],
            ),
            ..firewall::Settings::default()
        };
        Settings {
            data: self.path("DATA", raw.data.as_deref(), "/var/lib/guard"),
            socket: self.path("SOCKET", raw.socket.as_deref(), "/run/guard/guard.sock"),
            defaults: self.defaults(&prefix, raw.rest),
            filter_path: self.filter_path(raw.filter_path),
            firewall,
            ignore: self.ignore(raw.ignoreip),
            ignore_docker: self.choice("IGNOREDOCKER", raw.ignoredocker.as_deref(), &SWITCH),
            track_max: self.track_max(raw.track_max),
            log: raw.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.choice(
                "LOG_FORMAT",
                raw.log_format.as_deref(),
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            ),
        }
    }

    fn wrong(&mut self, name: &str, what: String) {
        self.mistakes.push(Mistake { variable: PREFIX.to_owned() + name, what });
    }

    /// One of a few words; the first is the default.
    fn choice<T: Copy>(&mut self, name: &str, value: Option<&str>, words: &[(&str, T)]) -> T {
        let default = words[0].1;
        let Some(value) = value.map(str::trim) else { return default };
        if let Some((_, chosen)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value)) {
            return *chosen;
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.wrong(name, format!("`{}` is none of {}", shown(value), known.join(", ")));
        default
    }

    fn path(&mut self, name: &str, value: Option<&str>, default: &str) -> PathBuf {
        let path = PathBuf::from(value.unwrap_or(default));
        if !path.is_absolute() {
            self.wrong(name, format!("`{}` is no absolute path", shown(&path.to_string_lossy())));
        }
        path
    }

    fn filter_path(&mut self, value: Option<String>) -> String {
        let Some(value) = value else { return filters::DEFAULT_PATH.to_owned() };
        for folder in value.split(':').filter(|folder| !folder.is_empty()) {
            if !folder.starts_with('/') {
                self.wrong("FILTER_PATH", format!("`{}` is no absolute path", shown(folder)));
            }
        }
        value
    }

    fn ignore(&mut self, value: Option<String>) -> Vec<IgnoreEntry> {
        let Some(value) = value else { return Vec::new() };
        labels::parse_ignore(&value).unwrap_or_else(|flaws| {
            for flaw in flaws {
                let remedy = flaw.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
                self.wrong("IGNOREIP", flaw.what + &remedy);
            }
            Vec::new()
        })
    }

    fn track_max(&mut self, value: Option<String>) -> usize {
        let Some(value) = value else { return TRACK_MAX };
        match value.trim().parse::<usize>() {
            Ok(number) if (1..=TRACK_MAX_LIMIT).contains(&number) => number,
            _ => {
                let what = format!("`{}` is no number from 1 to {TRACK_MAX_LIMIT}", shown(&value));
                self.wrong("TRACK_MAX", what);
                TRACK_MAX
            }
        }
    }

    /// What is left are defaults for labels, or mistakes.
    fn defaults(&mut self, prefix: &str, rest: BTreeMap<String, String>) -> Defaults {
        let mut options = BTreeMap::new();
        for (name, value) in rest {
            let name = name.to_ascii_uppercase();
            if Defaults::is_default_variable(&name) {
                options.insert(name, value);
                continue;
            }
            let defaults = Defaults::variables();
            let known = NAMES.iter().copied().chain(defaults.iter().map(String::as_str));
            let near = labels::nearest(&name, known)
                .map(|near| format!("; did you mean {PREFIX}{near}?"))
                .unwrap_or_default();
            self.wrong(&name, format!("guard knows no such variable{near}"));
        }
        let (defaults, complaints) = Defaults::new(prefix, &options);
        for complaint in complaints {
            let remedy = complaint.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
            self.mistakes
                .push(Mistake { variable: complaint.label, what: complaint.what + &remedy });
        }
        defaults
    }
}

const SWITCH: [(&str, bool); 8] = [
    ("true", true),
    ("yes", true),
    ("on", true),
    ("1", true),
    ("false", false),
    ("no", false),
    ("off", false),
    ("0", false),
];

/// A value as a message may show it: short, without control characters.
fn shown(value: &str) -> String {
    value.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Vec<Mistake>> {
        Settings::read(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())))
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let settings = read(&[("PATH", "/bin"), ("GUARD_DATA", "")]).unwrap();
        assert_eq!(settings.data, PathBuf::from("/var/lib/guard"));
        assert_eq!(settings.socket, PathBuf::from("/run/guard/guard.sock"));
        assert_eq!(settings.defaults.prefix(), "guard");
        assert_eq!(settings.track_max, TRACK_MAX);
        assert!(settings.ignore_docker);
        assert!(settings.ignore.is_empty());
        assert_eq!(settings.log_format, LogFormat::Text);
    }

    #[test]
    fn each_backend_can_be_chosen() {
        for (name, backend) in [
            ("auto", BackendChoice::Auto),
            ("ipset", BackendChoice::Ipset),
            ("iptables", BackendChoice::Iptables),
            ("nftables", BackendChoice::Nftables),
        ] {
            assert_eq!(read(&[("GUARD_FIREWALL", name)]).unwrap().firewall.backend, backend);
        }
    }

    #[test]
    fn everything_can_be_set() {
        let settings = read(&[
            ("GUARD_DATA", "/data"),
            ("GUARD_SOCKET", "/tmp/s"),
            ("GUARD_LABEL_PREFIX", "Acme.guard"),
            ("GUARD_FIREWALL", "iptables"),
            ("GUARD_IPV6", "off"),
            ("GUARD_ON_STOP", "keep"),
            ("GUARD_IGNOREIP", "192.168.1.0/24, 10.0.0.1 home.example"),
            ("GUARD_IGNOREDOCKER", "false"),
            ("GUARD_TRACK_MAX", "1000"),
            ("GUARD_LOG", "debug"),
            ("GUARD_LOG_FORMAT", "json"),
            ("GUARD_MAXRETRY", "3"),
        ])
        .unwrap();
        assert_eq!(settings.defaults.prefix(), "Acme.guard");
        assert_eq!(settings.firewall.backend, BackendChoice::Iptables);
        assert_eq!(settings.firewall.ipv6, Ipv6::Off);
        assert_eq!(settings.firewall.on_stop, OnStop::Keep);
        assert_eq!(settings.ignore.len(), 3);
        assert!(!settings.ignore_docker);
        assert_eq!(settings.track_max, 1000);
        assert_eq!(settings.log_format, LogFormat::Json);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mistakes = read(&[
            ("GUARD_DATA", "data"),
            ("GUARD_FIREWALL", "pf"),
            ("GUARD_FILTER_PATH", "/etc/guard/filter.d:filters"),
            ("GUARD_IGNOREIP", "192.0.2.300"),
            ("GUARD_TRACK_MAX", "many"),
            ("GUARD_MAXRETRI", "3"),
            ("GUARD_BANTIME", "1dw"),
        ])
        .unwrap_err();
        let mut variables: Vec<_> = mistakes.iter().map(|m| m.variable.as_str()).collect();
        variables.sort_unstable();
        assert_eq!(
            variables,
            [
                "GUARD_BANTIME",
                "GUARD_DATA",
                "GUARD_FILTER_PATH",
                "GUARD_FIREWALL",
                "GUARD_IGNOREIP",
                "GUARD_MAXRETRI",
                "GUARD_TRACK_MAX"
            ]
        );
        let typo = mistakes.iter().find(|m| m.variable == "GUARD_MAXRETRI").unwrap();
        assert!(typo.what.contains("GUARD_MAXRETRY"), "{typo}");
    }
}
