//! Files, tried without a guard.

use std::collections::BTreeMap;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use guard::daemon::settings::Settings;
use guard::filter::{Carrier, Judge, Library, Who};
use guard::labels::{self, Severity};
use guard::model::{Address, Container, IgnoreEntry, LabelSet, Timestamp, Tried};
use guard::replay::{Replay, overlay};
use guard::warden::Surroundings;
use jiff::tz::TimeZone;

use super::Options;
use crate::test::{Log, Sink, Told, Trial};
use crate::{Failure, catalog};

/// What the log is called where a service would be named.
const NAME: &str = "log";

/// Judges the files' lines.
///
/// # Errors
/// Wrong options, a file that can't be read.
pub(super) fn tried(options: &Options) -> Result<Tried, Failure> {
    let settings = settings()?;
    let jail = jail(options, &settings)?;
    let now = options.now.unwrap_or_else(Timestamp::now);
    let rules = jail.rules(&[].into()).map_err(|told| Failure::Mistakes(told.render()))?;
    let around = around(settings.ignore.iter().chain(&rules.ignore));
    let zone = jail.log_zone.clone().unwrap_or_else(TimeZone::system);
    let mut replay = Replay::new(vec![Arc::new(rules)], options.since);
    for file in &options.file {
        let judge = Judge::new(Arc::clone(&jail.filter), zone.clone(), Duration::MAX);
        let mut trial = Trial::new(judge, Arc::clone(&jail.filter), Carrier::Log);
        Log::open(file)?.feed(&mut trial, Some(now), &mut Failures(&mut replay), false)?;
        replay.lines(0, trial.lines);
    }
    Ok(replay.play(now, settings.of_warden(0), around))
}

/// guard's own variables count here too.
fn settings() -> Result<Settings, Failure> {
    let all = std::env::vars_os();
    let all =
        all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Settings::read(all).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Failure::Usage(lines.join("; "))
    })
}

/// The jail that the options describe, read as labels are.
fn jail(options: &Options, settings: &Settings) -> Result<labels::Jail, Failure> {
    let labels = overlay(&LabelSet::new(), settings.defaults.prefix(), &options.given());
    let container = Container { labels, ..Container::named(NAME) };
    let mut library = Library::of(catalog::catalog(&options.filter_path)?);
    let mut reading = labels::read(&container, &settings.defaults, &mut library);
    let wrong = reading.complaints.iter().any(|told| told.severity == Severity::Error);
    match reading.jails.pop() {
        Some(jail) if !wrong => Ok(jail),
        _ if reading.complaints.is_empty() => Err(Failure::Usage(
            "give --failregex or --filter: which lines are failures?".to_owned(),
        )),
        _ => {
            let told: Vec<String> =
                reading.complaints.iter().map(labels::Complaint::render).collect();
            Err(Failure::Mistakes(told.join("\n")))
        }
    }
}

/// The addresses of names that are never banned.
fn around<'e>(ignore: impl Iterator<Item = &'e IgnoreEntry>) -> Surroundings {
    let mut names: BTreeMap<String, Vec<Address>> = BTreeMap::new();
    for entry in ignore {
        if let IgnoreEntry::Name(name) = entry {
            let found = (name.as_str(), 0).to_socket_addrs().into_iter().flatten();
            names.insert(name.clone(), found.map(|socket| Address::new(socket.ip())).collect());
        }
    }
    Surroundings { names, ..Surroundings::default() }
}

/// Where the failures go.
struct Failures<'r>(&'r mut Replay);

impl Sink for Failures<'_> {
    fn line(&mut self, _number: u64, text: &str, told: &Told, _judge: &Judge) -> io::Result<()> {
        let found = match told {
            Told::Matched(found) => found,
            Told::LoggedIn(network, at) => {
                self.0.login(0, (*network, *at));
                return Ok(());
            }
            _ => return Ok(()),
        };
        match &found.hit.who {
            Who::Network(network) => {
                self.0.failure(0, (*network, &found.hit.forwarded, found.hit.at), text)
            }
            Who::Name(_) => {
                for network in found.hosts.iter().filter_map(|host| host.parse().ok()) {
                    self.0.failure(0, (network, &found.hit.forwarded, found.hit.at), text);
                }
            }
            Who::Text(_) => self.0.nobody(0),
        }
        Ok(())
    }

    fn sees_missed(&self) -> bool {
        false
    }

    fn missed(&mut self, _lines: u64) {}

    fn chunk_ends(&mut self) -> io::Result<()> {
        Ok(())
    }
}
