//! From the labels of one jail to the jail, or to what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::jail::{Jail, PortsAsked, PortsWanted, Sources, StreamChoice};
use super::keys::{Entry, Finding, Sheet};
use super::options::{Given, Options, Piece};
use super::ports::PortWish;
use super::table::Reach;
use super::values::{MAX_PATHS, MAX_VALUE};
use super::{Flaw, Severity};
use crate::filter::{Filter, FilterSpec, Library};
use crate::model::{
    BanTime, BlockType, Chain, Container, IgnoreEntry, JailName, Limits, MANUAL_JAIL, NoticeKind,
    Protocol,
};

/// Labels that are about a log.
const OF_A_LOG: [&str; 9] = [
    "filter",
    "failregex",
    "ignoreregex",
    "successregex",
    "prefregex",
    "logpath",
    "journal",
    "stream",
    "datepattern",
];

/// One jail's labels with their values read.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    entries: Vec<Entry<'a>>,
    pub(super) options: Options,
    /// Options whose value can't be used.
    pub(super) spoilt: BTreeSet<&'static str>,
    pub(super) findings: Vec<Finding<'a>>,
    /// Is one of the keys wrong? Then a missing option may just be misspelt.
    pub(super) misspelt: bool,
    /// Do other jails take what they don't set from here?
    pub(super) serves_others: bool,
    /// The first label, for complaints about the whole.
    pub(super) first: Option<Given<'a>>,
    /// What the named filter says, if there is one.
    pub(super) of_filter: FilterSpec,
}

/// What a jail is built from, besides its own labels.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) container: &'a Container,
    /// What counts where the jail's labels say nothing: `guard.<option>` for a
    /// further jail, then the variables.
    pub(super) inherited: &'a Options,
    /// Labels whose value is wrong, by the option that can't be inherited from them.
    pub(super) spoilt: &'a BTreeMap<&'static str, Given<'a>>,
}

impl<'a> Draft<'a> {
    /// Reads all values.
    pub(super) fn new(sheet: Sheet<'a>) -> Self {
        let Sheet { entries, findings, first } = sheet;
        let misspelt = !findings.is_empty();
        let mut draft = Draft {
            entries: Vec::new(),
            options: Options::default(),
            spoilt: BTreeSet::new(),
            findings,
            misspelt,
            serves_others: false,
            first,
            of_filter: FilterSpec::default(),
        };
        for entry in entries.into_values() {
            if let Err(flaws) = read(&mut draft.options, &entry) {
                draft.spoilt.insert(entry.label.name);
                let found = flaws.into_iter().map(|flaw| Finding::in_value(entry.given, flaw));
                draft.findings.extend(found);
            }
            draft.entries.push(entry);
        }
        draft
    }

    /// Are there labels that make sense only for a jail of their own?
    pub(super) fn describes_jail(&self) -> bool {
        let own =
            |entry: &Entry<'_>| entry.label.reach == Reach::Jail && entry.label.name != "enable";
        self.entries.iter().any(own)
    }

    /// Has it labels at all?
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The labels whose wrong value others must not inherit, by option.
    pub(super) fn spoilt_for_others(&self) -> BTreeMap<&'static str, Given<'a>> {
        let reaches = |entry: &&Entry<'_>| entry.label.reach > Reach::Jail;
        let spoilt = |entry: &&Entry<'_>| self.spoilt.contains(entry.label.name);
        let entries = self.entries.iter().filter(reaches).filter(spoilt);
        entries.map(|entry| (entry.label.name, entry.given)).collect()
    }

    /// The labels with a sound value that further jails take over.
    pub(super) fn for_others(&self) -> BTreeMap<&'static str, Given<'a>> {
        let reaches = |entry: &&Entry<'_>| entry.label.reach > Reach::Jail;
        let sound = |entry: &&Entry<'_>| !self.spoilt.contains(entry.label.name);
        let entries = self.entries.iter().filter(reaches).filter(sound);
        entries.map(|entry| (entry.label.name, entry.given)).collect()
    }

    /// The labels that set an option, in the order in which they count.
    pub(super) fn all_given(&self, option: &str) -> impl Iterator<Item = Given<'a>> {
        self.entries.iter().filter(move |entry| entry.label.name == option).map(|entry| entry.given)
    }

    /// The label that set an option, if one did.
    pub(super) fn given(&self, option: &str) -> Option<Given<'a>> {
        self.entries.iter().find(|entry| entry.label.name == option).map(|entry| entry.given)
    }

    /// Keeps a finding about the jail as a whole, at its first label.
    pub(super) fn about_whole(&mut self, flaw: impl FnOnce(std::ops::Range<usize>) -> Flaw) {
        if let Some(given) = self.first {
            self.findings.push(Finding::in_key(given, flaw(0..given.key.len())));
        }
    }

    /// Which notices are wanted of the jail, also if it can't be; a label that is wrong
    /// itself wants all.
    pub(super) fn notify(&self, inherited: &Options) -> Option<BTreeSet<NoticeKind>> {
        let is_notify = |key: &str| key.to_ascii_lowercase().ends_with(".notify");
        let twice = self.findings.iter().any(|found| found.in_key && is_notify(found.given.key));
        let spoilt = twice || self.spoilt.contains("notify");
        if spoilt { None } else { self.options.or(inherited).notify }
    }

    /// The jail; `None` if anything is wrong with it, and then there is a finding.
    pub(super) fn build(
        &mut self,
        name: &JailName,
        setting: Setting<'a>,
        library: &mut Library,
    ) -> Option<Jail> {
        let options = self.options.or(setting.inherited);
        if name.as_str() == MANUAL_JAIL && !self.spoilt.contains("name") {
            self.about_whole(|span| {
                Flaw::new(span, "`manual` is the jail of bans made by hand")
                    .mend("give this one another name with the label `name`")
            });
        }
        let recidive = options.recidive == Some(true);
        let (filter, sources) = if recidive {
            (self.no_filter(setting.container, library), Some(Sources::Bans))
        } else {
            let filter = self.filter(setting.container, &options, library);
            (filter, self.sources(setting.container))
        };
        self.warn(&options, setting.container);
        self.refuse_lists(&options, setting.container);
        self.refuse_spoilt(setting.spoilt);
        if self.findings.iter().any(|finding| finding.severity == Severity::Error) {
            return None;
        }
        let (limits, ports) = if recidive {
            (limits(&self.options, recidive_limits()), ports(&self.options))
        } else {
            (limits(&options, Limits::default()), ports(&options))
        };
        let chains = match recidive {
            true => self.options.chains.clone().unwrap_or_else(|| EVERYWHERE.into()),
            false => {
                let asked = options.chains.clone();
                asked.unwrap_or_else(|| [default_chain(setting.container)].into())
            }
        };
        let policy = options.policy();
        let asked = options.ports.map(|set| PortsAsked {
            container: setting.container.name.to_string(),
            label: set.key,
            value: set.value,
        });
        Some(Jail {
            name: name.clone(),
            service: setting.container.service.clone(),
            filter: filter?,
            sources: sources?,
            limits,
            ignore: options.ignore.unwrap_or_default(),
            chains,
            ports,
            block_type: options.block_type.unwrap_or(BlockType::Reject),
            dry_run: options.dry_run.unwrap_or(false),
            policy,
            log_zone: options.log_zone,
            log_encoding: options.log_encoding.unwrap_or_default(),
            asked: asked.unwrap_or_default(),
            written: Arc::default(),
        })
    }

    /// Files are guard's own: whoever may label some container must not have them read.
    fn refuse_lists(&mut self, options: &Options, container: &Container) {
        let lists = options.ignore.iter().flatten();
        let has_list = lists.into_iter().any(|entry| matches!(entry, IgnoreEntry::File(_)));
        if container.own || !has_list {
            return;
        }
        self.about_whole(|span| {
            Flaw::new(span, "`ignoreip` names a file, and files are read for guard itself only")
                .mend("put the list into GUARD_IGNOREIP, or write the addresses here")
        });
    }

    /// A jail can't take an option from `guard.<option>` where that is wrong.
    fn refuse_spoilt(&mut self, spoilt: &BTreeMap<&'static str, Given<'a>>) {
        for (option, given) in spoilt {
            if self.given(option).is_some() {
                continue;
            }
            let what = format!("this jail takes `{option}` from here, where it is wrong");
            let flaw = Flaw::new(0..given.value.len(), what)
                .mend(format!("mend it, or set `{option}` for the jail itself"));
            self.findings.push(Finding::in_value(*given, flaw));
        }
    }

    /// The filter of a jail whose failures are bans: none of its own.
    fn no_filter(&mut self, container: &Container, library: &mut Library) -> Option<Arc<Filter>> {
        if let Some(given) = self.given("recidive").filter(|_| !container.own) {
            let what = "only a jail on guard's own container sees the bans of all others";
            let flaw = Flaw::new(0..given.key.len(), what);
            let remedy = "move the label to guard's own service, or set `GUARD_RECIDIVE=on` there";
            self.findings.push(Finding::in_key(given, flaw.mend(remedy)));
        }
        for option in OF_A_LOG {
            if let Some(given) = self.given(option) {
                let what = format!("`{option}` means nothing here: the jail reads no log");
                let flaw = Flaw::new(0..given.key.len(), what).mend("leave it out");
                self.findings.push(Finding::in_key(given, flaw));
            }
        }
        library.get(&FilterSpec::default()).ok()
    }

    fn sources(&mut self, container: &Container) -> Option<Sources> {
        if let Some(sources) = self.journal(container) {
            return sources;
        }
        let mut paths = self.options.logpath.clone();
        if paths.is_empty() {
            let spoilt = self.spoilt.contains("logpath") || self.spoilt.contains("journal");
            if container.own && !spoilt {
                self.about_whole(|span| {
                    Flaw::new(span, "guard's own output is no source of failures").mend(
                        "give `journal`, such as `_SYSTEMD_UNIT=ssh.service`, or `logpath`, a file \
                         as guard sees it: mount the host's `/var/log` and name the file there",
                    )
                });
            }
            let stream = self.options.stream.unwrap_or(StreamChoice::Both);
            return (!container.own).then_some(Sources::Output(stream));
        }
        let mut seen = BTreeSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        if paths.len() > MAX_PATHS {
            self.about_whole(|span| {
                Flaw::new(span, format!("the jail has more than {MAX_PATHS} log paths"))
                    .mend("no label can raise that bound; use wildcards")
            });
            return None;
        }
        Some(Sources::Files(paths))
    }

    /// The journal, if the jail asks for it; `Some(None)`: it can't have it.
    fn journal(&mut self, container: &Container) -> Option<Option<Sources>> {
        let given = self.given("journal")?;
        let key = 0..given.key.len();
        let flaw = if !container.own {
            let what = "the host's journal is read by jails on guard's own container only";
            let remedy = "move the jail's labels to guard's own service; for this container's output \
                          leave the label out";
            Some(Flaw::new(key, what).mend(remedy))
        } else if self.given("logpath").is_some() {
            let what = "a jail reads the journal or files, not both";
            Some(Flaw::new(key, what).mend("make it two jails, or leave out one of them"))
        } else {
            None
        };
        if let Some(flaw) = flaw {
            self.findings.push(Finding::in_key(given, flaw));
            return Some(None);
        }
        Some(self.options.journal.clone().map(Sources::Journal))
    }

    /// What is not wrong, but can't be meant so.
    fn warn(&mut self, options: &Options, container: &Container) {
        let mut found = Vec::new();
        if let Some(given) = self.given("stream") {
            let whole = 0..given.value.len();
            if self.given("logpath").or(self.given("journal")).is_some() {
                let what = "`stream` means nothing beside `logpath` and `journal`: the output is not followed";
                found.push(Finding::warning(given, Flaw::new(whole, what)));
            } else if container.tty && options.stream == Some(StreamChoice::Stderr) {
                let what = "this container has a terminal, and so no standard error";
                let flaw = Flaw::new(whole, what).mend("everything it writes is `stdout`");
                found.push(Finding::warning(given, flaw));
            }
        }
        let grows = options.growth.increment == Some(true) || self.serves_others;
        for option in ["factor", "multipliers", "maxtime", "rndtime", "overalljails"] {
            let option = format!("bantime.{option}");
            if let Some(given) =
                self.given(&option).filter(|_| !grows && !self.spoilt.contains(&*option))
            {
                let what = format!("`{option}` means nothing without `bantime.increment: true`");
                found.push(Finding::warning(given, Flaw::new(0..given.value.len(), what)));
            }
        }
        let all = options.ports.as_ref().is_none_or(|set| set.wish == PortWish::All);
        if let Some(given) = self.given("protocol").filter(|_| all && !self.serves_others) {
            let what = "`protocol` means nothing with `port: all`: every protocol is closed";
            let flaw = Flaw::new(0..given.value.len(), what).mend("set `port` too, or neither");
            found.push(Finding::warning(given, flaw));
        }
        self.findings.extend(found);
    }
}

/// Reads one label's value.
fn read(options: &mut Options, entry: &Entry<'_>) -> Result<(), Vec<Flaw>> {
    let Given { key, value } = entry.given;
    if value.len() > MAX_VALUE {
        return Err(Flaw::new(0..0, format!("the value is longer than {MAX_VALUE} bytes"))
            .mend("no label can raise that bound")
            .into());
    }
    let label = entry.label;
    (label.read)(options, entry.given).map_err(|flaws| {
        let quotes = quotes_in_value(key, value);
        let mend = || format!("`{}` takes {}", label.name, label.kind);
        flaws
            .into_iter()
            .map(|flaw| match &quotes {
                Some(remedy) => flaw.mend(remedy.clone()),
                None => flaw.or_mend(mend),
            })
            .collect()
    })
}

/// In YAML's list form, `- guard.maxretry="5"` puts the quotes into the value.
fn quotes_in_value(key: &str, value: &str) -> Option<String> {
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| value.trim().strip_prefix(*quote)?.strip_suffix(*quote))?;
    let whole = super::complaint::shorten(&format!("{key}={inner}"), 80);
    Some(format!("the quotes are part of the value here; in a list, write `- \"{whole}\"`"))
}

/// A flaw in one of a label's texts, as a finding in the label.
pub(super) fn at_piece<'a>(
    container: &'a Container,
    piece: &Piece,
    flaw: Flaw,
) -> Option<Finding<'a>> {
    let (key, value) = container.labels.get_key_value(&piece.key)?;
    Some(Finding::in_value(Given { key, value }, flaw.shifted(piece.start)))
}

/// The chains that everything goes through.
pub(super) const EVERYWHERE: [Chain; 2] = [Chain::DockerUser, Chain::Input];

/// What fail2ban's jail `recidive` has: a week for five bans within a day. A default for
/// all jails is not meant for this one.
pub(super) fn recidive_limits() -> Limits {
    const DAY: Duration = Duration::from_secs(86_400);
    Limits { find_time: DAY, ban_time: BanTime::For(7 * DAY), ..Limits::default() }
}

fn limits(options: &Options, usual: Limits) -> Limits {
    Limits {
        max_retry: options.max_retry.unwrap_or(usual.max_retry),
        find_time: options.find_time.unwrap_or(usual.find_time),
        ban_time: options.ban_time.unwrap_or(usual.ban_time),
    }
}

fn ports(options: &Options) -> PortsWanted {
    let protocols = options.protocols.clone().unwrap_or_else(|| [Protocol::Tcp].into());
    match options.ports.as_ref().map(|set| &set.wish) {
        None | Some(PortWish::All) => PortsWanted::All,
        Some(PortWish::Published(service)) => {
            PortsWanted::Published { service: service.clone(), protocols }
        }
        Some(PortWish::Some(ranges)) => {
            let of = |protocol: &Protocol| {
                let protocol = *protocol;
                ranges.iter().map(move |range| (protocol, *range))
            };
            PortsWanted::Some(protocols.iter().flat_map(of).collect())
        }
    }
}

/// Where packets to the container come by, unless a label says it. Of a
/// container that shares another's network nothing more is known here; nearly
/// all have one of Docker's.
fn default_chain(container: &Container) -> Chain {
    if container.own || container.network_mode == "host" { Chain::Input } else { Chain::DockerUser }
}
