//! Conformance: fail2ban's stock filters on its own sample logs, as its own test of the
//! samples runs them.
//!
//! The files are not part of guard: they are read where Debian's package `fail2ban` is
//! unpacked. `GUARD_TEST_FAIL2BAN` names folders (`NAME=FOLDER`, with commas between);
//! without it those that `scripts/fail2ban.sh` left in cargo's target folder are taken.
//! Where there is none the test says so, or fails if `GUARD_TEST_REQUIRE` lists `fail2ban`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use guard::filter::{
    Carrier, Filter, FilterReference, Groups, Judge, Phase, UseDns, Value, Verdict, Who,
};
use guard::filters::Catalog;
use guard::model::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

/// The frame of fail2ban's test: its clock stands still, and this is its zone.
const NOW: i64 = 1_124_013_600;
const ZONE: &str = "CET-01CEST-02,M3.5.0,M10.5.0";

/// How many cases there are, and how many must match, by version; all must pass.
const KNOWN: [(&str, usize, usize); 1] = [("1.0.2", 1627, 1317)];

#[test]
fn stock_filters_on_their_sample_logs() {
    let packages = packages();
    if packages.is_empty() {
        let reason = "no unpacked fail2ban (scripts/fail2ban.sh)";
        let required = std::env::var("GUARD_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|what| what == "fail2ban"), "{reason}");
        eprintln!("SKIPPED stock_filters_on_their_sample_logs: {reason}");
        return;
    }
    let mut wrong = Vec::new();
    for (name, root) in packages {
        let package = Package::at(&root);
        let mut score = Score::default();
        for filter in package.filters() {
            run_filter(&package, &filter, Whose::Fail2bans, &mut score);
        }
        for failure in &score.failures {
            eprintln!("{failure}");
        }
        println!(
            "fail2ban {} ({name}): {} of {} cases pass, {} of {} matches as expected, {} filters, \
             {} regexes need the backtracking engine, {} searches were given up",
            package.version,
            score.cases - score.failures.len(),
            score.cases,
            score.matched,
            score.to_match,
            score.filters,
            score.backtracking,
            score.given_up,
        );
        let known = KNOWN.iter().find(|known| known.0 == package.version);
        if known.is_some_and(|known| (known.1, known.2) != (score.cases, score.to_match)) {
            wrong.push(format!("{name}: cases are lost"));
        }
        if !score.failures.is_empty() || score.given_up > 0 {
            wrong.push(format!("{name}: {} cases fail", score.failures.len()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Lines of which guard's own filters say something else than fail2ban's, on purpose: the
/// filter, a part of the line, and why.
const OTHERWISE: [(&str, &str, &str); 2] = [
    (
        "sshd",
        "port 58946 ssh2: from 10.10.1.2 port 55555 ssh2",
        "sshd writes this for a client at the second address whose user name holds the first",
    ),
    ("postfix", "lost connection after AUTH", "newer versions of fail2ban take it for no failure"),
];

/// A filter of guard's that fail2ban has too catches at least what fail2ban's catches.
#[test]
fn guards_own_filters_catch_what_fail2bans_catch() {
    let own: BTreeSet<String> =
        Catalog::new("").list().into_iter().map(|listed| listed.name).collect();
    let mut missed = Vec::new();
    for (name, root) in packages() {
        let package = Package::at(&root);
        let (mut score, mut filters) = (Score::default(), 0);
        for filter in package.filters().intersection(&own) {
            filters += 1;
            run_filter(&package, filter, Whose::Guards, &mut score);
        }
        println!(
            "guard's own filters on the samples of fail2ban {} ({name}): {} of {} matches as \
             expected, {filters} filters",
            package.version, score.matched, score.to_match
        );
        let otherwise = |failure: &&String| {
            OTHERWISE
                .iter()
                .any(|(filter, part, _)| failure.starts_with(filter) && failure.contains(part))
        };
        missed.extend(score.failures.iter().filter(|failure| !otherwise(failure)).cloned());
    }
    missed.iter().for_each(|failure| eprintln!("{failure}"));
    assert!(missed.is_empty(), "{} lines are not caught", missed.len());
}

/// Whose filter of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Fail2bans,
    Guards,
}

fn packages() -> Vec<(String, PathBuf)> {
    if let Ok(named) = std::env::var("GUARD_TEST_FAIL2BAN") {
        let named = named.split(',').filter_map(|one| one.split_once('='));
        return named.map(|(name, path)| (name.to_owned(), path.into())).collect();
    }
    let Ok(program) = std::env::current_exe() else { return Vec::new() };
    // target/debug/deps/fail2ban-…
    let target = program.ancestors().nth(3).map(|target| target.join("fail2ban"));
    let folders = target.and_then(|target| fs::read_dir(target).ok()).into_iter().flatten();
    let mut found: Vec<_> = folders
        .flatten()
        .map(|folder| (folder.file_name().to_string_lossy().into_owned(), folder.path()))
        .filter(|(_, path)| path.join("etc/fail2ban/filter.d").is_dir())
        .collect();
    found.sort();
    found
}

/// An unpacked package.
struct Package {
    version: String,
    filters: PathBuf,
    test_filters: PathBuf,
    logs: PathBuf,
}

impl Package {
    fn at(root: &Path) -> Package {
        let python = root.join("usr/lib/python3/dist-packages/fail2ban");
        let version = fs::read_to_string(python.join("version.py")).unwrap_or_default();
        let version = version.lines().find_map(|line| line.strip_prefix("version = "));
        Package {
            version: version.unwrap_or("?").trim_matches(['"', '\'']).to_owned(),
            filters: root.join("etc/fail2ban/filter.d"),
            test_filters: python.join("tests/config/filter.d"),
            logs: python.join("tests/files/logs"),
        }
    }

    /// The filters that have a sample log.
    fn filters(&self) -> BTreeSet<String> {
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap().flatten();
            entries.filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".conf")?.to_owned()))
        };
        let stock = names(&self.filters).filter(|name| !name.ends_with("common"));
        let test = names(&self.test_filters).filter(|name| name.starts_with("zzz-"));
        stock.chain(test).collect()
    }
}

#[derive(Default)]
struct Score {
    filters: usize,
    cases: usize,
    to_match: usize,
    matched: usize,
    backtracking: usize,
    given_up: u64,
    failures: Vec<String>,
}

/// A filter with one set of options, which lives as long as the test of its log.
struct Instance {
    name: String,
    judge: Judge,
    used: BTreeSet<usize>,
    regexes: Vec<String>,
}

type Options = BTreeMap<String, Json>;

fn run_filter(package: &Package, name: &str, whose: Whose, score: &mut Score) {
    score.filters += 1;
    let mut run = Run {
        package,
        name,
        whose,
        instances: HashMap::new(),
        current: Vec::new(),
        common: Options::new(),
        logs: vec![name.to_owned()],
    };
    let mut at = 0;
    while let Some(log) = run.logs.get(at).cloned() {
        run.log(&log, score);
        at += 1;
    }
    if whose == Whose::Guards {
        return;
    }
    let used: BTreeSet<String> = run
        .instances
        .values()
        .flat_map(|instance| instance.used.iter().map(|used| instance.regexes[*used].clone()))
        .collect();
    for instance in run.instances.values() {
        score.given_up += instance.judge.given_up();
        for (index, regex) in instance.regexes.iter().enumerate() {
            if !instance.used.contains(&index) && !used.contains(regex) {
                let failure = format!("{}: no sample hit regex {index}: {regex}", instance.name);
                score.failures.push(failure);
            }
        }
    }
}

struct Run<'p> {
    package: &'p Package,
    name: &'p str,
    whose: Whose,
    instances: HashMap<String, Instance>,
    /// The instances that the next lines go through, with their options.
    current: Vec<(String, Options)>,
    common: Options,
    logs: Vec<String>,
}

impl Run<'_> {
    fn log(&mut self, log: &str, score: &mut Score) {
        let path = self.package.logs.join(log);
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = String::from_utf8_lossy(&text).into_owned();
        let (mut ignored, mut expected) = (false, Json::Null);
        for (line, number) in text.lines().zip(1..) {
            if let Some((kind, json)) = directive(line) {
                match kind {
                    "fileOptions" => self.common = options(&json),
                    "addFILE" => self.logs.extend(json.as_str().map(str::to_owned)),
                    "filterOptions" => ignored = !self.use_options(&json, score),
                    _ => expected = json,
                }
                continue;
            }
            let described = !expected.is_null();
            if !described && (line.starts_with('#') || line.trim().is_empty()) {
                continue;
            }
            let expected = std::mem::take(&mut expected);
            if ignored {
                continue;
            }
            if self.current.is_empty() {
                self.instance(self.name.to_owned(), Options::new(), score);
            }
            self.line(line, &expected, &format!("{log}:{number}"), score);
        }
    }

    /// Takes these sets of options for the lines that follow; false: they don't count.
    fn use_options(&mut self, json: &Json, score: &mut Score) -> bool {
        self.current.clear();
        let sets = match json {
            Json::Array(sets) => sets.clone(),
            one => vec![one.clone()],
        };
        for set in sets {
            let mut all = self.common.clone();
            all.extend(options(&set));
            if let Some(condition) = all.get("test.condition").and_then(Json::as_str)
                && !self.holds(condition, &all)
            {
                return false;
            }
            let own = all.iter().filter(|(key, _)| !key.starts_with("test."));
            let name = all.get("test.filter-name").and_then(Json::as_str).map(str::to_owned);
            let name = name.unwrap_or_else(|| format!("{:?}", own.collect::<Vec<_>>()));
            self.instance(format!("{}{name}", self.name), all, score);
        }
        true
    }

    fn instance(&mut self, key: String, options: Options, score: &mut Score) {
        if !self.instances.contains_key(&key) {
            let instance = self.load(&key, &options, score);
            self.instances.insert(key.clone(), instance);
        }
        self.current.push((key, options));
    }

    fn load(&self, key: &str, options: &Options, score: &mut Score) -> Instance {
        let package = self.package;
        let catalog = match self.whose {
            Whose::Fail2bans => {
                Catalog::without_own(vec![package.filters.clone(), package.test_filters.clone()])
            }
            Whose::Guards => Catalog::new(""),
        };
        let text = |value: &Json| match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let own = options.iter().filter(|(key, _)| !key.starts_with("test."));
        let options = own.map(|(key, value)| (key.clone(), text(value))).collect();
        let reference = FilterReference { name: self.name.to_owned(), options };
        let loaded = catalog.load(&reference).unwrap_or_else(|error| panic!("{key}: {error}"));
        // Names stay as they are, as in the frame of fail2ban's test.
        let spec = guard::filter::FilterSpec { use_dns: UseDns::Raw, ..loaded.spec };
        let filter = Filter::new(&spec).unwrap_or_else(|errors| panic!("{key}: {errors:?}"));
        score.backtracking += filter.backtracking();
        let zone = TimeZone::posix(ZONE).unwrap();
        let journal = reference.options.iter().any(|(k, v)| k == "logtype" && v == "journal");
        let carrier = if journal { Carrier::Journal } else { Carrier::Log };
        let judge = Judge::new(Arc::new(filter), zone, Duration::MAX);
        Instance {
            name: key.to_owned(),
            judge: judge.on(carrier).keeping_groups(),
            used: BTreeSet::new(),
            regexes: spec.failregex,
        }
    }

    fn line(&mut self, line: &str, expected: &Json, place: &str, score: &mut Score) {
        for (key, options) in std::mem::take(&mut self.current) {
            let constraint = expected.get("constraint").and_then(Json::as_str);
            if constraint.is_none_or(|constraint| self.holds(constraint, &options)) {
                let journal = options.get("logtype").is_some_and(|logtype| logtype == "journal");
                let prefix = options.get("test.prefix-line").and_then(Json::as_str);
                let line = match prefix.filter(|_| journal) {
                    Some(prefix) => format!("{prefix}{line}"),
                    None => line.to_owned(),
                };
                let instance = self.instances.get_mut(&key).unwrap();
                let told = check(instance, &line, journal, expected);
                let must = expected.get("match") == Some(&Json::Bool(true));
                if self.whose == Whose::Guards && !must {
                    self.current.push((key, options));
                    continue;
                }
                score.cases += 1;
                score.to_match += usize::from(must);
                match told {
                    Ok(()) => score.matched += usize::from(must),
                    Err(what) => {
                        score.failures.push(format!("{key} {place}: {what}\n    {line}"));
                    }
                }
            }
            self.current.push((key, options));
        }
    }

    /// The few expressions of Python that the samples use.
    fn holds(&self, expression: &str, options: &Options) -> bool {
        let words: Vec<_> = expression.split(['\'', '"']).collect();
        let option = |name: &str| options.get(name).and_then(Json::as_str).unwrap_or_default();
        match words[..] {
            ["name == " | "name==", name, ""] => self.name == name,
            ["opts.get(", option_name, ") == ", value, ""] => option(option_name) == value,
            ["opts.get(", option_name, ") != ", value, ""] => option(option_name) != value,
            _ => panic!("an expression that this test does not know: {expression}"),
        }
    }
}

/// `# failJSON: {…}` and its like.
fn directive(line: &str) -> Option<(&str, Json)> {
    let (kind, json) =
        line.strip_prefix('#')?.trim_start_matches('#').trim_start().split_once(':')?;
    if !["failJSON", "fileOptions", "filterOptions", "addFILE"].contains(&kind) {
        return None;
    }
    Some((kind, serde_json::from_str(json).unwrap_or_else(|error| panic!("{line}: {error}"))))
}

fn options(json: &Json) -> Options {
    json.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Is the line what the sample says?
fn check(
    instance: &mut Instance,
    line: &str,
    journal: bool,
    expected: &Json,
) -> Result<(), String> {
    let now = Timestamp::from_second(NOW).unwrap();
    let verdict = instance.judge.feed_text(line, journal.then_some(now), now, Phase::Replay);
    let hit = match verdict {
        Verdict::Failure(hit) => Some(hit),
        Verdict::NoFailure(regex) => {
            instance.used.insert(regex);
            None
        }
        Verdict::Missed | Verdict::Ignored | Verdict::TooOld | Verdict::LoggedIn(_) => None,
    };
    let must = expected.get("match") == Some(&Json::Bool(true));
    let Some(hit) = hit else {
        return if must { Err("not matched".to_owned()) } else { Ok(()) };
    };
    if !must {
        return Err(format!("matched by regex {}, but should not: {:?}", hit.regex, hit.who));
    }
    instance.used.insert(hit.regex);
    let groups = instance.judge.groups();
    for (key, value) in expected.as_object().into_iter().flatten() {
        let found = match key.as_str() {
            "match" | "desc" | "constraint" => continue,
            "time" if value.is_null() => continue,
            "time" => local_time(hit.at),
            "attempts" => hit.lines.to_string(),
            "host" => {
                group(groups, "host").or_else(|| group(groups, "fid")).unwrap_or_else(|| match &hit
                    .who
                {
                    Who::Network(network) => network.to_string(),
                    Who::Name(text) | Who::Text(text) => text.clone(),
                })
            }
            other => group(groups, other).unwrap_or_default(),
        };
        let wanted = wanted(value);
        let same = match key.as_str() {
            // To the second: fail2ban drops what is below. One sample has a bare `7`.
            "time" => wanted.replace("-7T", "-07T").starts_with(&found),
            "host" => found.eq_ignore_ascii_case(&wanted),
            _ => found == wanted,
        };
        if !same {
            return Err(format!("{key} is {found:?}, should be {wanted:?}"));
        }
    }
    Ok(())
}

fn wanted(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(parts) => {
            let mut parts: Vec<_> = parts.iter().map(wanted).collect();
            parts.sort();
            parts.join(" ")
        }
        other => other.to_string(),
    }
}

fn group(groups: &Groups, name: &str) -> Option<String> {
    let (_, value) = groups.iter().find(|(known, _)| known == name)?;
    Some(match value {
        Value::Text(text) => text.clone(),
        Value::Tuple(parts) => {
            let mut parts: Vec<_> = parts.iter().flatten().cloned().collect();
            parts.sort();
            parts.join(" ")
        }
    })
}

fn local_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::posix(ZONE).unwrap()).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}
