//! A jail's filter → `filter`, or the regexes themselves where they are few.

use std::sync::Arc;

use super::draft::Reader;
use super::mount::Mounted;
use super::{Ground, SharedFiles};
use crate::filter::{
    FilePlace, Filter, FilterFileError, FilterFiles, FilterReference, FilterSpec, LoadedFilter,
    MAX_LINES, Setting, UseDns, load,
};

/// A filter of one's own with so many regexes at most goes into the labels.
const FEW: usize = 5;

/// And with so many bytes of them.
const SHORT: usize = 800;

/// What a jail may say in place of its filter.
const REPLACED: [&str; 6] =
    ["failregex", "ignoreregex", "prefregex", "datepattern", "maxlines", "journalmatch"];

/// fail2ban's filters and guard's, as they will be where guard runs.
pub(super) struct Filters {
    files: SharedFiles,
    folders: Vec<String>,
    own: SharedFiles,
    own_first: bool,
}

impl Filters {
    pub(super) fn of(ground: &Ground) -> Filters {
        Filters {
            files: Arc::clone(&ground.files),
            folders: ground.filter_folders.clone(),
            own: Arc::clone(&ground.own),
            own_first: ground.prefer_own,
        }
    }

    fn whose(&self, folder: &str) -> &SharedFiles {
        // A folder in an archive may be called as one of this host.
        let is_theirs = self.folders.iter().any(|theirs| folder == theirs);
        let is_own = || self.own.folders().iter().any(|own| folder == own);
        if !is_theirs && is_own() { &self.own } else { &self.files }
    }
}

impl FilterFiles for Filters {
    fn folders(&self) -> Vec<String> {
        match self.own_first {
            true => [self.own.folders(), self.folders.clone()].concat(),
            false => [self.folders.clone(), self.own.folders()].concat(),
        }
    }
    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        self.whose(folder).read(folder, name)
    }
    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        self.whose(folder).list(folder, name)
    }
}

/// The same files, of which only these folders are looked into.
pub(super) struct Only<'a>(pub(super) &'a SharedFiles, pub(super) &'a [String]);

impl FilterFiles for Only<'_> {
    fn folders(&self) -> Vec<String> {
        self.1.to_vec()
    }
    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        self.0.read(folder, name)
    }
    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        self.0.list(folder, name)
    }
}

/// What became of a jail's filter.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Its labels: option and value.
    pub(super) options: Vec<(String, String)>,
    /// Match terms for the journal.
    pub(super) journalmatch: Option<String>,
    /// The files of fail2ban's that must be mounted for it.
    pub(super) mount: Vec<Mounted>,
    /// Is it fail2ban's filter for its own log?
    pub(super) recidive: bool,
    /// Where it is written.
    pub(super) place: FilePlace,
}

impl Chosen {
    fn set(&mut self, option: &str, value: &str) {
        self.options.push((option.to_owned(), value.to_owned()));
    }
}

impl Reader<'_> {
    /// The jail's filter; `None`: there is none that works, and a remark says why.
    pub(super) fn filter(&mut self, journal: bool) -> Option<Chosen> {
        let asked = self.get("filter")?.unwrap_or_default();
        let text = asked.text();
        // `filter =` has no line of its own.
        let place = Some(asked.place()).filter(|place| !place.file.is_empty());
        let place = place.unwrap_or_else(|| self.place.clone());
        let mut loaded = None;
        if !text.is_empty() {
            let reference: FilterReference = match text.parse() {
                Ok(reference) => reference,
                Err(error) => {
                    self.remarks.lost(&place, format!("`filter = {text}`: {error}"), "");
                    return None;
                }
            };
            if reference.name == "recidive" {
                return Some(Chosen { recidive: true, ..Chosen::default() });
            }
            loaded = Some(self.load(reference, journal, &place)?);
        }
        if let Some(Found { base, .. }) = &loaded {
            self.make_known(base);
        }
        let replaced = self.replaced()?;
        let full = match &loaded {
            Some(found) => match load(&found.reference.with(&replaced), found.files.as_ref()) {
                Ok(full) => full,
                Err(error) => {
                    self.remarks.broken_at("the filter", &error, &place);
                    return None;
                }
            },
            None => bare(&replaced),
        };
        if full.spec.failregex.is_empty() {
            let what = "the jail has no failregex, so it can't ban anybody";
            self.remarks.lost(&place, what, "");
            return None;
        }
        let dns = replaced.iter().any(|(option, _)| option == "usedns");
        let of_filter = loaded.as_ref().map(|found| first_place(&found.base));
        let mut chosen = self.choose(loaded, &full, dns);
        chosen.place = of_filter.filter(|place| !place.file.is_empty()).unwrap_or(place);
        Some(chosen)
    }

    /// The jail's own words in place of the filter's.
    fn replaced(&mut self) -> Option<Vec<(String, String)>> {
        let mut replaced = Vec::new();
        for option in REPLACED {
            // An empty one takes the place of the filter's, too.
            let Some(setting) = self.get(option)? else { continue };
            let text = match option {
                "maxlines" if setting.is_empty() => "1".to_owned(),
                "maxlines" => self.max_lines(&setting)?,
                "datepattern" if setting.is_empty() => "{NONE}".to_owned(),
                _ => setting.text(),
            };
            replaced.push((option.to_owned(), text));
        }
        if let Some(setting) = self.get("usedns")? {
            if setting.is_empty() {
                replaced.push(("usedns".to_owned(), UseDns::No.to_string()));
                return Some(replaced);
            }
            match setting.text().to_ascii_lowercase().parse::<UseDns>() {
                Ok(UseDns::Raw) => self.remarks.lost(
                    &setting.place(),
                    "`usedns = raw`: guard bans addresses, not names",
                    "names in the log count for nothing; `guard.usedns: warn` looks them up",
                ),
                Ok(dns) => replaced.push(("usedns".to_owned(), dns.to_string())),
                Err(error) => {
                    self.remarks.lost(&setting.place(), format!("`usedns`: {error}"), "");
                }
            }
        }
        Some(replaced)
    }

    /// `maxlines` as guard takes it; `None`: it means nothing, and a remark says so.
    fn max_lines(&mut self, setting: &Setting) -> Option<String> {
        let text = setting.text();
        match text.trim().parse::<u32>() {
            Ok(lines) if lines > MAX_LINES => {
                let what =
                    format!("`maxlines = {lines}`: guard takes {MAX_LINES} together at most");
                self.remarks.changed(&setting.place(), what, "");
                Some(MAX_LINES.to_string())
            }
            Ok(1..) => Some(text),
            _ => {
                let what = format!("`maxlines = {text}` is no number from 1 to {MAX_LINES}");
                self.remarks.lost(&setting.place(), what, "");
                None
            }
        }
    }

    /// Reads the filter from fail2ban's files, else from guard's.
    fn load(
        &mut self,
        reference: FilterReference,
        journal: bool,
        place: &FilePlace,
    ) -> Option<Found> {
        let logtype = if journal { "journal" } else { "file" };
        let mut wanted = Wanted { reference, logtype };
        let theirs: SharedFiles = Arc::new(Filters {
            folders: self.ground.filter_folders.clone(),
            own: Arc::new(Nothing),
            ..Filters::of(self.ground)
        });
        let name = wanted.reference.name.clone();
        match load(&wanted.with(&[]), theirs.as_ref()) {
            Ok(base) => {
                wanted.simplify(&base, theirs.as_ref());
                Some(Found { reference: wanted, base, files: theirs, theirs: true })
            }
            Err(FilterFileError::NotFound { .. }) => {
                let own = Arc::clone(&self.ground.own);
                let Ok(base) = load(&wanted.with(&[]), own.as_ref()) else {
                    let what = format!("there is no filter `{name}`, neither here nor in guard");
                    let remedy = "give the folder with filter.d: guardctl import /etc/fail2ban";
                    self.remarks.lost(place, what, remedy);
                    return None;
                };
                let what = format!("filter.d/{name}.conf is not here: guard's own `{name}` counts");
                self.remarks.changed(place, what, "");
                wanted.simplify(&base, own.as_ref());
                Some(Found { reference: wanted, base, files: own, theirs: false })
            }
            Err(error) => {
                self.remarks.broken_at(&format!("filter `{name}`"), &error, place);
                None
            }
        }
    }

    /// `%(known/failregex)s` and its like are what the filter says.
    fn make_known(&mut self, base: &LoadedFilter) {
        let spec = &base.spec;
        let known = [
            ("failregex", Some(spec.failregex.join("\n"))),
            ("ignoreregex", Some(spec.ignoreregex.join("\n"))),
            ("prefregex", spec.prefregex.clone()),
            ("datepattern", spec.datepattern.clone()),
            ("maxlines", Some(spec.max_lines.max(1).to_string())),
            ("journalmatch", base.journalmatch.clone()),
        ];
        for (option, value) in known {
            let option = format!("known/{option}");
            if let Some(value) = value
                && !self.settings.is_own(self.section, &option)
            {
                self.settings.set(self.section, &option, &value);
            }
        }
    }

    /// By name, or by its regexes.
    fn choose(&mut self, found: Option<Found>, full: &LoadedFilter, dns: bool) -> Chosen {
        let mut chosen = Chosen { journalmatch: full.journalmatch.clone(), ..Chosen::default() };
        let Some(found) = found else {
            inline(&mut chosen, full, dns);
            return chosen;
        };
        let Found { reference, base, theirs, .. } = &found;
        let name = &reference.reference.name;
        let own = load(&reference.with(&[]), self.ground.own.as_ref()).ok();
        let same = own.as_ref().is_some_and(|own| is_same(own, base));
        let builds_on = |all: &[String], some: &[String]| all.starts_with(some);
        let adds = builds_on(&full.spec.failregex, &base.spec.failregex)
            && builds_on(&full.spec.ignoreregex, &base.spec.ignoreregex);
        let own = own.filter(|own| self.ground.prefer_own && Filter::new(&own.spec).is_ok());
        let loses = base.spec.prefregex.is_some() && full.spec.prefregex.is_none();
        let mount = *theirs && !same && own.is_none();
        let by_name = adds && !loses && !(mount && is_small(base));
        // What guard will not see as it is here goes into the label.
        let mounted = match by_name && mount {
            true => self.mounts.take(&reference.with(&[]), base),
            false => Some(Vec::new()),
        };
        let Some(mounted) = mounted.filter(|_| by_name) else {
            inline(&mut chosen, full, dns);
            return chosen;
        };
        if own.is_some() && *theirs && !same {
            let what = format!("guard's own filter `{name}` takes the place of fail2ban's");
            self.remarks.changed(&first_place(base), what, "compare them: guardctl filters");
        }
        chosen.mount = mounted;
        chosen.set("filter", &reference.reference.to_string());
        let extra = |all: &[String], some: &[String]| all[some.len().min(all.len())..].join("\n");
        for (option, value) in [
            ("failregex", extra(&full.spec.failregex, &base.spec.failregex)),
            ("ignoreregex", extra(&full.spec.ignoreregex, &base.spec.ignoreregex)),
        ] {
            if !value.is_empty() {
                chosen.set(option, &value);
            }
        }
        let differs =
            |new: &Option<String>, old: &Option<String>| new.clone().filter(|_| new != old);
        for (option, value) in [
            ("prefregex", differs(&full.spec.prefregex, &base.spec.prefregex)),
            ("datepattern", differs(&full.spec.datepattern, &base.spec.datepattern)),
        ] {
            if let Some(value) = value {
                chosen.set(option, &value);
            }
        }
        if full.spec.max_lines.max(1) != base.spec.max_lines.max(1) {
            chosen.set("maxlines", &full.spec.max_lines.to_string());
        }
        // Said even where the filter says it, which `GUARD_USEDNS` would go before.
        if dns {
            chosen.set("usedns", &full.spec.use_dns.to_string());
        }
        chosen
    }
}

/// A filter that was found.
struct Found {
    reference: Wanted,
    base: LoadedFilter,
    files: SharedFiles,
    /// Is it fail2ban's?
    theirs: bool,
}

/// A filter as it is asked for.
struct Wanted {
    reference: FilterReference,
    logtype: &'static str,
}

impl Wanted {
    /// The same with further options, where it does not set them itself.
    fn with(&self, more: &[(String, String)]) -> FilterReference {
        let mut reference = self.reference.clone();
        let logtype = ("logtype".to_owned(), self.logtype.to_owned());
        for (option, value) in more.iter().chain([&logtype]) {
            if !reference.options.iter().any(|(known, _)| known == option) {
                reference.options.push((option.clone(), value.clone()));
            }
        }
        reference
    }

    /// Leaves out options that change nothing, such as the `mode` that fail2ban gives to
    /// every filter.
    fn simplify(&mut self, base: &LoadedFilter, files: &dyn FilterFiles) {
        let mut at = 0;
        while at < self.reference.options.len() {
            let option = self.reference.options.remove(at);
            let same = load(&self.with(&[]), files).is_ok_and(|without| is_same(&without, base));
            if !same {
                self.reference.options.insert(at, option);
                at += 1;
            }
        }
    }
}

/// No filter at all.
struct Nothing;

impl FilterFiles for Nothing {
    fn folders(&self) -> Vec<String> {
        Vec::new()
    }
    fn read(&self, _: &str, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn list(&self, _: &str, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

pub(super) fn is_same(one: &LoadedFilter, other: &LoadedFilter) -> bool {
    one.spec == other.spec && one.journalmatch == other.journalmatch
}

/// Is it simpler to write its regexes than to mount it?
fn is_small(loaded: &LoadedFilter) -> bool {
    let FilterSpec { failregex, ignoreregex, daemon, .. } = &loaded.spec;
    let all = failregex.iter().chain(ignoreregex);
    loaded.files.len() == 1
        && daemon.is_none()
        && failregex.len() + ignoreregex.len() <= FEW
        && all.map(String::len).sum::<usize>() <= SHORT
}

/// The filter of a jail that names none.
fn bare(replaced: &[(String, String)]) -> LoadedFilter {
    let get = |option: &str| {
        replaced.iter().find(|(known, _)| known == option).map(|(_, value)| value.clone())
    };
    let lines = |option: &str| -> Vec<String> {
        get(option).iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
    };
    let spec = FilterSpec {
        failregex: lines("failregex"),
        ignoreregex: lines("ignoreregex"),
        prefregex: get("prefregex"),
        datepattern: get("datepattern"),
        max_lines: get("maxlines").and_then(|text| text.trim().parse().ok()).unwrap_or_default(),
        use_dns: get("usedns").and_then(|text| text.parse().ok()).unwrap_or_default(),
        ..FilterSpec::default()
    };
    LoadedFilter { spec, journalmatch: get("journalmatch"), ..LoadedFilter::default() }
}

fn inline(chosen: &mut Chosen, full: &LoadedFilter, dns: bool) {
    let spec = &full.spec;
    for (option, value) in [
        ("failregex", spec.failregex.join("\n")),
        ("ignoreregex", spec.ignoreregex.join("\n")),
        ("prefregex", spec.prefregex.clone().unwrap_or_default()),
        ("datepattern", spec.datepattern.clone().unwrap_or_default()),
    ] {
        if !value.is_empty() {
            chosen.set(option, &value);
        }
    }
    if spec.max_lines > 1 {
        chosen.set("maxlines", &spec.max_lines.to_string());
    }
    if dns {
        chosen.set("usedns", &spec.use_dns.to_string());
    }
}

fn first_place(loaded: &LoadedFilter) -> FilePlace {
    loaded.fail_places.first().cloned().unwrap_or_default()
}
