//! What came of a log, for people: in the shape of fail2ban-regex, and then some.

use std::collections::HashMap;
use std::io::{self, Write};

use guard::control::print::escape;
use guard::filter::{Groups, Judge, Value};
use guard::model::Timestamp;
use jiff::tz::TimeZone;

use super::miss::Misses;
use super::setup::Setup;
use super::told::{Match, Told};
use super::trial::Sink;
use crate::shown::{columns, head};

/// So many of the first matches, and of the hosts, are shown.
const MAX_SHOWN: usize = 10;

/// So many hosts are counted: a log may hold any number, memory does not.
const MAX_HOSTS: usize = 100_000;

/// A longer host, group or time is cut, in characters.
const LONGEST: usize = 100;

/// Which lines are shown as they come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    pub(super) matched: bool,
    pub(super) missed: bool,
}

/// Counts verdicts, and shows what they come to.
#[derive(Debug)]
pub(super) struct Report<'s, W> {
    pub(super) out: W,
    setup: &'s Setup,
    echo: Echo,
    /// How often each failregex matched, and was no failure by itself.
    hits: Vec<u64>,
    matched: u64,
    no_failure: u64,
    ignored: u64,
    missed: u64,
    first: Vec<[String; 4]>,
    hosts: HashMap<String, u64>,
    /// Failures of hosts that are not counted.
    others: u64,
    misses: Misses,
}

impl<W: Write> Sink for Report<'_, W> {
    fn line(&mut self, number: u64, text: &str, told: &Told, judge: &Judge) -> io::Result<()> {
        match told {
            Told::Matched(found) => {
                self.matched += 1;
                self.hit(found.hit.regex);
                self.count(found);
                if self.first.len() < MAX_SHOWN {
                    self.first.push(row(number, found, judge.groups(), &self.setup.zone));
                }
            }
            Told::NoFailure(regex) => {
                self.no_failure += 1;
                self.hit(*regex);
            }
            Told::Ignored | Told::LoggedIn(..) => self.ignored += 1,
            Told::Missed => {
                self.missed += 1;
                self.misses.note(number, text, judge, self.setup);
            }
        }
        let word = match told {
            Told::Matched(_) if self.echo.matched => "matched",
            Told::Missed if self.echo.missed => "missed",
            _ => return Ok(()),
        };
        writeln!(self.out, "{word} {number}: {}", escape(text))
    }

    fn sees_missed(&self) -> bool {
        self.echo.missed || self.misses.wants_more()
    }

    fn missed(&mut self, lines: u64) {
        self.missed += lines;
    }

    fn chunk_ends(&mut self) -> io::Result<()> {
        if self.echo.matched || self.echo.missed { self.out.flush() } else { Ok(()) }
    }
}

impl<'s, W: Write> Report<'s, W> {
    pub(super) fn new(out: W, setup: &'s Setup, echo: Echo, now: Option<Timestamp>) -> Self {
        Report {
            out,
            setup,
            echo,
            hits: vec![0; setup.spec.failregex.len()],
            matched: 0,
            no_failure: 0,
            ignored: 0,
            missed: 0,
            first: Vec::new(),
            hosts: HashMap::new(),
            others: 0,
            misses: Misses::new(setup, now),
        }
    }

    fn hit(&mut self, regex: usize) {
        if let Some(hits) = self.hits.get_mut(regex) {
            *hits += 1;
        }
    }

    fn count(&mut self, found: &Match) {
        for host in &found.hosts {
            if let Some(failures) = self.hosts.get_mut(host.as_str()) {
                *failures += 1;
            } else if self.hosts.len() < MAX_HOSTS && host.len() <= LONGEST {
                self.hosts.insert(host.clone(), 1);
            } else {
                self.others += 1;
            }
        }
    }

    /// Shows what it all comes to.
    ///
    /// # Errors
    /// What is printed into is gone or full.
    pub(super) fn results(&mut self, verbose: bool) -> io::Result<()> {
        writeln!(self.out, "Results\n=======\n")?;
        self.regexes(verbose)?;
        let (lines, ignored) = (
            self.matched + self.no_failure + self.ignored + self.missed,
            self.no_failure + self.ignored,
        );
        let (matched, missed) = (self.matched, self.missed);
        writeln!(
            self.out,
            "Lines: {lines} lines, {ignored} ignored, {matched} matched, {missed} missed"
        )?;
        if self.no_failure > 0 {
            let told = "matched as a part of a connection's story (nofail)";
            writeln!(self.out, "       {} of the ignored {told}", self.no_failure)?;
        }
        self.matches()?;
        self.misses.show(&mut self.out, self.missed)
    }

    fn regexes(&mut self, verbose: bool) -> io::Result<()> {
        let total: u64 = self.hits.iter().sum();
        writeln!(self.out, "Failregex: {total} total")?;
        let spec = &self.setup.spec;
        let rows = spec.failregex.iter().zip(&self.hits).enumerate();
        let rows: Vec<_> = rows
            .filter(|(_, (_, hits))| verbose || **hits > 0)
            .map(|(index, (regex, hits))| {
                let place = self.setup.places.told(guard::filter::RegexPlace::Fail(index));
                let text = if verbose { escape(regex).into_owned() } else { head(regex, LONGEST) };
                [format!("{})", index + 1), format!("[{hits}]"), place, text]
            })
            .collect();
        write!(self.out, "{}", columns(&rows, [true, true, false, false]))?;
        writeln!(self.out, "\nIgnoreregex: {} total", self.ignored)?;
        if verbose {
            for regex in &spec.ignoreregex {
                writeln!(self.out, "  {}", escape(regex))?;
            }
        }
        writeln!(self.out)
    }

    fn matches(&mut self) -> io::Result<()> {
        if self.first.is_empty() {
            return Ok(());
        }
        let title = ["line", "time", "host", "groups"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(title).chain(self.first.drain(..)).collect();
        let shown = rows.len() - 1;
        writeln!(self.out, "\nMatched lines, {shown} of {}:", self.matched)?;
        write!(self.out, "{}", columns(&rows, [true, false, false, false]))?;
        let mut hosts: Vec<(&String, &u64)> = self.hosts.iter().collect();
        hosts.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let shown = hosts.len().min(MAX_SHOWN);
        writeln!(self.out, "\nHosts by failures, {shown} of {}:", hosts.len())?;
        let rows = hosts.iter().take(MAX_SHOWN);
        let rows: Vec<_> =
            rows.map(|(host, failures)| [failures.to_string(), escape(host).into()]).collect();
        write!(self.out, "{}", columns(&rows, [true, false]))?;
        if self.others > 0 {
            writeln!(self.out, "  {} failures of more hosts than are counted", self.others)?;
        }
        Ok(())
    }
}

/// A line of the table of matches.
fn row(number: u64, found: &Match, groups: &Groups, zone: &TimeZone) -> [String; 4] {
    let time = found.hit.at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    let hosts = head(&found.hosts.join(" "), LONGEST);
    let mut told: Vec<String> = Vec::new();
    for (name, value) in groups.iter().filter(|(name, value)| tells(name, value)) {
        told.push(format!("{name}={}", value.to_text()));
    }
    // The user first.
    told.sort_by_key(|told| !told.starts_with("user="));
    [number.to_string(), time, hosts, head(&told.join(" "), LONGEST)]
}

/// Does the group tell more than its host, and what it is built from?
fn tells(name: &str, value: &Value) -> bool {
    const BUILT: [&str; 8] = ["ip4", "ip6", "dns", "cidr", "fid", "content", "mlfid", "nofail"];
    let several = !matches!(value, Value::Tuple(parts) if name == "users" && parts.len() < 2);
    let parts = ["alt_", "tuple_", "mlf"];
    several && !BUILT.contains(&name) && !parts.iter().any(|part| name.starts_with(part))
}
