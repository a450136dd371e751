//! (pure) guard's settings: environment strings → [`Settings`], all mistakes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::filters;
use crate::firewall::{self, BackendChoice, Ipv6, OnStop};
use crate::labels::{self, Defaults, duration};
use crate::model::IgnoreEntry;
use crate::report::address::Address;
use crate::report::notify;
use crate::store::KEEP_HISTORY as HISTORY;
use crate::warden;

/// What all of guard's variables begin with.
const PREFIX: &str = "GUARD_";
/// sshd's usual port.
const SSH: u16 = 22;
/// So many ports of sshd are taken.
const MOST_SSH_PORTS: usize = 16;
/// sshd ends a connection without a login after 120 s, unless told otherwise.
const SSH_GRACE: Duration = Duration::from_secs(150);
/// A jail remembers at most so many addresses: with five failures each, some 40 MB.
const TRACK_MAX: usize = 200_000;
/// Somebody who logged in is left alone for so long.
const PARDON: Duration = Duration::from_secs(600);
/// So many bans may a jail begin within a minute.
const BAN_BURST: u32 = 200;
const DAY: Duration = Duration::from_secs(86_400);
const FORMULA: &str = "fail2ban's bantime.formula is Python, which guard does not run; set GUARD_BANTIME_FACTOR or GUARD_BANTIME_MULTIPLIERS";
/// No setting raises the bound beyond this: the machine has other things to do.
const TRACK_MAX_LIMIT: usize = 10_000_000;

/// All that can be set from outside.
#[derive(Debug)]
pub struct Settings {
    /// Where the database lies.
    pub data: PathBuf,
    /// The socket that guardctl talks to.
    pub socket: PathBuf,
    /// The socket that fail2ban's own tools talk to; none unless asked for.
    pub fail2ban_socket: Option<PathBuf>,
    /// Where metrics are served; nowhere unless asked for.
    pub metrics: Option<Address>,
    /// Prefix of the labels, and the jails' defaults.
    pub defaults: Defaults,
    /// The folders in which filters are looked for by name, `:` between them.
    pub filter_path: String,
    /// The firewall's settings.
    pub firewall: firewall::Settings,
    /// Addresses that no jail bans.
    pub ignore: Vec<IgnoreEntry>,
    /// Proxies whose word is taken for their clients' addresses.
    pub trusted_proxies: Vec<IgnoreEntry>,
    /// Whom no ban may cut off from sshd.
    pub protect_ssh: ProtectSsh,
    /// Leave the addresses of containers alone?
    pub ignore_docker: bool,
    /// How many addresses a jail counts at once.
    pub track_max: usize,
    /// How long an address that logged in is left alone; 0: not at all.
    pub pardon: Duration,
    /// How many bans a jail may begin within a minute; 0: any number.
    pub ban_burst: u32,
    /// How long history and offenders are remembered.
    pub history: Duration,
    /// Is there a jail for those whom other jails banned?
    pub recidive: bool,
    /// Where notices go.
    pub notify: notify::Settings,
    /// Level or filter of the log, in tracing's syntax.
    pub log: String,
    /// How the log is written.
    pub log_format: LogFormat,
}

/// Those with an SSH connection to the host are not banned in INPUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectSsh {
    /// The ports of sshd; none: nobody is protected.
    pub ports: BTreeSet<u16>,
    /// A connection counts once it is so old: longer than a login may take.
    pub grace: Duration,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
    /// The lines that fail2ban writes.
    Fail2ban,
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
    fail2ban_socket: Option<String>,
    metrics: Option<String>,
    label_prefix: Option<String>,
    filter_path: Option<String>,
    firewall: Option<String>,
    ipv6: Option<String>,
    on_stop: Option<String>,
    ignoreip: Option<String>,
    ignoredocker: Option<String>,
    trusted_proxies: Option<String>,
    protect_ssh: Option<String>,
    ssh_grace: Option<String>,
    track_max: Option<String>,
    pardon: Option<String>,
    ban_burst: Option<String>,
    history: Option<String>,
    recidive: Option<String>,
    notify: Option<String>,
    notify_file: Option<String>,
    notify_ca: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

/// All variables of guard itself, without their prefix; besides them, each label that
/// limits or acts has one for its default.
pub const NAMES: [&str; 24] = [
    "PARDON",
    "BAN_BURST",
    "HISTORY",
    "RECIDIVE",
    "DATA",
    "SOCKET",
    "FAIL2BAN_SOCKET",
    "METRICS",
    "LABEL_PREFIX",
    "FILTER_PATH",
    "FIREWALL",
    "IPV6",
    "ON_STOP",
    "IGNOREIP",
    "IGNOREDOCKER",
    "TRUSTED_PROXIES",
    "PROTECT_SSH",
    "SSH_GRACE",
    "TRACK_MAX",
    "NOTIFY",
    "NOTIFY_FILE",
    "NOTIFY_CA",
    "LOG",
    "LOG_FORMAT",
];

impl Settings {
    /// Reads the settings from an environment; variables of others are passed over,
    /// empty ones count as not set.
    pub fn read(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, Vec<Mistake>> {
        Settings::read_with(variables, &|_| Err("no file is read here".to_owned()))
    }

    /// [`Settings::read`], where variables may name files with secrets, which `files` reads.
    pub fn read_with(
        variables: impl IntoIterator<Item = (String, String)>,
        files: &dyn Fn(&Path) -> Result<String, String>,
    ) -> Result<Settings, Vec<Mistake>> {
        let ours = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.trim().is_empty());
        let raw: Raw = envy::prefixed(PREFIX).from_iter(ours).map_err(|error| {
            vec![Mistake { variable: PREFIX.to_owned() + "*", what: error.to_string() }]
        })?;
        let mut reader = Reader { mistakes: Vec::new() };
        let settings = reader.settings(raw, files);
        if reader.mistakes.is_empty() { Ok(settings) } else { Err(reader.mistakes) }
    }

    /// What of it the warden needs; `seed` is what chance in ban times hangs on.
    pub fn of_warden(&self, seed: u64) -> warden::Settings {
        warden::Settings {
            track_max: self.track_max,
            ignore: self.ignore.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            ssh_ports: self.protect_ssh.ports.clone(),
            ignore_docker: self.ignore_docker,
            pardon: self.pardon,
            ban_burst: self.ban_burst,
            history: self.history,
            recidive: self.recidive.then(|| Arc::new(self.defaults.recidive())),
            seed,
        }
    }
}

/// How a file that a variable names is read.
type Files<'a> = dyn Fn(&Path) -> Result<String, String> + 'a;

/// Reads one variable after the other and collects what is wrong.
struct Reader {
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn settings(&mut self, raw: Raw, files: &Files<'_>) -> Settings {
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
            fail2ban_socket: self.fail2ban_socket(raw.fail2ban_socket.as_deref()),
            metrics: self.metrics(raw.metrics.as_deref()),
            defaults: self.defaults(&prefix, raw.rest),
            filter_path: self.filter_path(raw.filter_path),
            firewall,
            ignore: self.entries("IGNOREIP", raw.ignoreip),
            trusted_proxies: self.entries("TRUSTED_PROXIES", raw.trusted_proxies),
            protect_ssh: ProtectSsh {
                ports: self.ssh_ports(raw.protect_ssh),
                grace: self.ssh_grace(raw.ssh_grace),
            },
            ignore_docker: self.choice("IGNOREDOCKER", raw.ignoredocker.as_deref(), &SWITCH),
            track_max: self.track_max(raw.track_max),
            pardon: self.pardon(raw.pardon.as_deref()),
            ban_burst: self.ban_burst(raw.ban_burst.as_deref()),
            history: self.history(raw.history.as_deref()),
            recidive: self.choice("RECIDIVE", raw.recidive.as_deref(), &SWITCH_OFF),
            notify: self.notify((raw.notify, raw.notify_file, raw.notify_ca), files),
            log: raw.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.choice(
                "LOG_FORMAT",
                raw.log_format.as_deref(),
                &[
                    ("text", LogFormat::Text),
                    ("json", LogFormat::Json),
                    ("fail2ban", LogFormat::Fail2ban),
                ],
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

    /// `on` is where fail2ban's tools look.
    fn fail2ban_socket(&mut self, value: Option<&str>) -> Option<PathBuf> {
        const USUAL: &str = "/var/run/fail2ban/fail2ban.sock";
        let value = value?.trim();
        match SWITCH.iter().find(|(word, _)| word.eq_ignore_ascii_case(value)) {
            Some((_, true)) => Some(PathBuf::from(USUAL)),
            Some((_, false)) => None,
            None => Some(self.path("FAIL2BAN_SOCKET", Some(value), USUAL)),
        }
    }

    /// An address; `off` is none.
    fn metrics(&mut self, value: Option<&str>) -> Option<Address> {
        let value = value?.trim();
        if value.eq_ignore_ascii_case("off") {
            return None;
        }
        match Address::parse(value) {
            Ok(address) => Some(address),
            Err(why) => {
                self.wrong("METRICS", format!("`{}`: {why}", shown(value)));
                None
            }
        }
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

    fn entries(&mut self, name: &str, value: Option<String>) -> Vec<IgnoreEntry> {
        let Some(value) = value else { return Vec::new() };
        labels::parse_ignore(&value).unwrap_or_else(|flaws| {
            for flaw in flaws {
                let remedy = flaw.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
                self.wrong(name, flaw.what + &remedy);
            }
            Vec::new()
        })
    }

    /// `on` is sshd's usual port, `off` none; else its ports.
    fn ssh_ports(&mut self, value: Option<String>) -> BTreeSet<u16> {
        let Some(value) = value else { return BTreeSet::from([SSH]) };
        let word = SWITCH.iter().find(|(word, _)| word.eq_ignore_ascii_case(value.trim()));
        if let Some((_, on)) = word.filter(|(word, _)| !matches!(*word, "0" | "1")) {
            return on.then_some(SSH).into_iter().collect();
        }
        let mut ports = BTreeSet::new();
        for text in value.split([',', ' ']).filter(|text| !text.is_empty()).take(MOST_SSH_PORTS) {
            match text.parse::<u16>() {
                Ok(port @ 1..) => {
                    ports.insert(port);
                }
                _ => {
                    let what = format!("`{}` is neither on, off nor a port of sshd", shown(text));
                    self.wrong("PROTECT_SSH", what);
                }
            }
        }
        ports
    }

    fn ssh_grace(&mut self, value: Option<String>) -> Duration {
        let Some(value) = value else { return SSH_GRACE };
        duration::parse_finite(value.trim()).unwrap_or_else(|flaw| {
            self.wrong("SSH_GRACE", flaw.what);
            SSH_GRACE
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

    /// 0 or a time of at most a day.
    fn pardon(&mut self, value: Option<&str>) -> Duration {
        match value.map(str::trim) {
            None => PARDON,
            Some("0") => Duration::ZERO,
            Some(value) => self.time("PARDON", value, (Duration::ZERO, DAY)).unwrap_or(PARDON),
        }
    }

    /// From a day to ten years: a shorter memory knows no offenders.
    fn history(&mut self, value: Option<&str>) -> Duration {
        let value = value.and_then(|value| self.time("HISTORY", value, (DAY, 3660 * DAY)));
        value.unwrap_or(HISTORY)
    }

    fn time(
        &mut self,
        name: &str,
        value: &str,
        (least, most): (Duration, Duration),
    ) -> Option<Duration> {
        match labels::duration::parse_finite(value) {
            Ok(time) if time < least => {
                let least = labels::duration::show(least);
                self.wrong(name, format!("`{}` is shorter than {least}", shown(value)));
            }
            Ok(time) if time > most => {
                let most = labels::duration::show(most);
                self.wrong(name, format!("`{}` is longer than {most}", shown(value)));
            }
            Ok(time) => return Some(time),
            Err(flaw) => {
                let remedy = flaw.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
                self.wrong(name, flaw.what + &remedy);
            }
        }
        None
    }

    /// The targets of both places, and the private CA.
    fn notify(
        &mut self,
        (list, file, ca): (Option<String>, Option<String>, Option<String>),
        files: &Files<'_>,
    ) -> notify::Settings {
        let file = self.file("NOTIFY_FILE", file, files);
        let lists = [list.unwrap_or_default(), file.unwrap_or_default()];
        let targets = notify::targets(&[&lists[0], &lists[1]]).unwrap_or_else(|flaws| {
            for (which, flaw) in flaws {
                self.wrong(["NOTIFY", "NOTIFY_FILE"][which], flaw.to_string());
            }
            Vec::new()
        });
        let ca = self.file("NOTIFY_CA", ca, files);
        if let Some(Err(why)) = ca.as_deref().map(notify::send::certificates) {
            self.wrong("NOTIFY_CA", why);
        }
        notify::Settings { targets, ca }
    }

    /// What stands in the file that a variable names.
    fn file(&mut self, name: &str, path: Option<String>, files: &Files<'_>) -> Option<String> {
        let path = PathBuf::from(path?.trim());
        if !path.is_absolute() {
            // It may be the secret itself, in the wrong variable: it is not shown.
            self.wrong(name, "it is no absolute path of a file".to_owned());
            return None;
        }
        let shown = shown(&path.to_string_lossy());
        files(&path).map_err(|why| self.wrong(name, format!("`{shown}` can't be read: {why}"))).ok()
    }

    fn ban_burst(&mut self, value: Option<&str>) -> u32 {
        let Some(value) = value else { return BAN_BURST };
        value.trim().parse().unwrap_or_else(|_| {
            self.wrong("BAN_BURST", format!("`{}` is no whole number", shown(value)));
            BAN_BURST
        })
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
            if name == "BANTIME_FORMULA" {
                self.wrong(&name, FORMULA.to_owned());
                continue;
            }
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

const SWITCH_OFF: [(&str, bool); 8] = [
    ("off", false),
    ("false", false),
    ("no", false),
    ("0", false),
    ("on", true),
    ("true", true),
    ("yes", true),
    ("1", true),
];

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
        assert_eq!(settings.fail2ban_socket, None);
        assert_eq!(settings.metrics, None);
        assert_eq!(settings.defaults.prefix(), "guard");
        assert_eq!(settings.track_max, TRACK_MAX);
        assert!(settings.ignore_docker);
        assert!(settings.ignore.is_empty());
        assert_eq!(settings.protect_ssh.ports, BTreeSet::from([22]));
        assert_eq!(settings.protect_ssh.grace, SSH_GRACE);
        assert_eq!(settings.log_format, LogFormat::Text);
        assert_eq!((settings.pardon, settings.ban_burst), (Duration::from_secs(600), 200));
        assert_eq!((settings.history, settings.recidive), (90 * DAY, false));
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
            ("GUARD_FAIL2BAN_SOCKET", "on"),
            ("GUARD_METRICS", "127.0.0.1:9871"),
            ("GUARD_LABEL_PREFIX", "Acme.guard"),
            ("GUARD_FIREWALL", "iptables"),
            ("GUARD_IPV6", "off"),
            ("GUARD_ON_STOP", "keep"),
            ("GUARD_IGNOREIP", "192.168.1.0/24, 10.0.0.1 home.example file:/etc/guard/ignore"),
            ("GUARD_TRUSTED_PROXIES", "198.51.100.0/24"),
            ("GUARD_PROTECT_SSH", "22, 2222"),
            ("GUARD_SSH_GRACE", "11m"),
            ("GUARD_IGNOREDOCKER", "false"),
            ("GUARD_TRACK_MAX", "1000"),
            ("GUARD_PARDON", "0"),
            ("GUARD_BAN_BURST", "0"),
            ("GUARD_HISTORY", "1d"),
            ("GUARD_RECIDIVE", "on"),
            ("GUARD_LOG", "debug"),
            ("GUARD_LOG_FORMAT", "json"),
            ("GUARD_MAXRETRY", "3"),
        ])
        .unwrap();
        let usual = PathBuf::from("/var/run/fail2ban/fail2ban.sock");
        assert_eq!(settings.fail2ban_socket, Some(usual));
        assert_eq!(settings.metrics, Some(Address::Tcp("127.0.0.1:9871".parse().unwrap())));
        assert_eq!(settings.defaults.prefix(), "Acme.guard");
        assert_eq!(settings.firewall.backend, BackendChoice::Iptables);
        assert_eq!(settings.firewall.ipv6, Ipv6::Off);
        assert_eq!(settings.firewall.on_stop, OnStop::Keep);
        assert_eq!(settings.ignore.len(), 4);
        assert_eq!(settings.trusted_proxies.len(), 1);
        assert_eq!(settings.protect_ssh.ports, BTreeSet::from([22, 2222]));
        assert_eq!(settings.protect_ssh.grace, Duration::from_secs(660));
        let off = read(&[("GUARD_PROTECT_SSH", "Off")]).unwrap();
        assert!(off.protect_ssh.ports.is_empty());
        assert!(!settings.ignore_docker);
        assert_eq!(settings.track_max, 1000);
        assert_eq!(settings.log_format, LogFormat::Json);
        assert_eq!((settings.pardon, settings.ban_burst), (Duration::ZERO, 0));
        assert_eq!((settings.history, settings.recidive), (DAY, true));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mistakes = read(&[
            ("GUARD_DATA", "data"),
            ("GUARD_FAIL2BAN_SOCKET", "fail2ban.sock"),
            ("GUARD_METRICS", ":9871"),
            ("GUARD_FIREWALL", "pf"),
            ("GUARD_FILTER_PATH", "/etc/guard/filter.d:filters"),
            ("GUARD_IGNOREIP", "192.0.2.300"),
            ("GUARD_TRUSTED_PROXIES", "file:ignore"),
            ("GUARD_PROTECT_SSH", "ssh"),
            ("GUARD_SSH_GRACE", "-1"),
            ("GUARD_TRACK_MAX", "many"),
            ("GUARD_MAXRETRI", "3"),
            ("GUARD_BANTIME", "1dw"),
            ("GUARD_BANTIME_FORMULA", "ban.Time"),
            ("GUARD_BAN_BURST", "-1"),
            ("GUARD_HISTORY", "1h"),
            ("GUARD_PARDON", "2d"),
            ("GUARD_PREFIX_V6", "0"),
            ("GUARD_RECIDIVE", "maybe"),
            ("GUARD_NOTIFY", "nfty://SECRET@x/y"),
            ("GUARD_NOTIFY_FILE", "targets"),
            ("GUARD_NOTIFY_CA", "/no/such/file"),
        ])
        .unwrap_err();
        let mut variables: Vec<_> = mistakes.iter().map(|m| m.variable.as_str()).collect();
        variables.sort_unstable();
        assert_eq!(
            variables,
            [
                "GUARD_BANTIME",
                "GUARD_BANTIME_FORMULA",
                "GUARD_BAN_BURST",
                "GUARD_DATA",
                "GUARD_FAIL2BAN_SOCKET",
                "GUARD_FILTER_PATH",
                "GUARD_FIREWALL",
                "GUARD_HISTORY",
                "GUARD_IGNOREIP",
                "GUARD_MAXRETRI",
                "GUARD_METRICS",
                "GUARD_NOTIFY",
                "GUARD_NOTIFY_CA",
                "GUARD_NOTIFY_FILE",
                "GUARD_PARDON",
                "GUARD_PREFIX_V6",
                "GUARD_PROTECT_SSH",
                "GUARD_RECIDIVE",
                "GUARD_SSH_GRACE",
                "GUARD_TRACK_MAX",
                "GUARD_TRUSTED_PROXIES"
            ]
        );
        let typo = mistakes.iter().find(|m| m.variable == "GUARD_MAXRETRI").unwrap();
        assert!(typo.what.contains("GUARD_MAXRETRY"), "{typo}");
        assert!(mistakes.iter().all(|mistake| !mistake.what.contains("SECRET")), "{mistakes:?}");
    }

    #[test]
    fn targets_of_notices_may_stand_in_a_file() {
        let variables =
            [("GUARD_NOTIFY", "ntfy://a/b"), ("GUARD_NOTIFY_FILE", "/run/secrets/notify")];
        let read = |text: &str| {
            let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let text = text.to_owned();
            Settings::read_with(variables, &move |path| match path.to_str() {
                Some("/run/secrets/notify") => Ok(text.clone()),
                other => Err(format!("{other:?}")),
            })
        };
        let settings = read("# mine\ngotify://g/SECRET\n").unwrap();
        let names: Vec<_> = settings.notify.targets.iter().map(|target| &target.name).collect();
        assert_eq!(names, ["ntfy", "gotify"]);
        assert!(!format!("{settings:?}").contains("SECRET"));
        // A target where a file's name belongs.
        let wrong = [("GUARD_NOTIFY_FILE".to_owned(), "ntfy://SECRET@ntfy.sh/t".to_owned())];
        let mistakes = Settings::read_with(wrong, &|_| Ok(String::new())).unwrap_err();
        assert!(!mistakes[0].to_string().contains("SECRET"), "{}", mistakes[0]);
        let mistakes = read("gotify://g/SECRET\nx://SECRET").unwrap_err();
        assert_eq!(
            mistakes[0].to_string(),
            "GUARD_NOTIFY_FILE: target 2 (x://…): guard knows no such scheme; it knows https, http, ntfy, gotify, discord, slack, mattermost, rocketchat, telegram, smtp, smtps"
        );
    }
}
