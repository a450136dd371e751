//! Where each option of a jail was set: for people who ask why it is as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::Draft;
use super::defaults::Defaults;
use super::jail::{Jail, Sources};
use super::options::{Given, Piece};
use super::table::{LABELS, Label, Reach};
use crate::filter::UseDns;
use crate::model::{Origin, Written};

/// What a jail without a log takes from nobody: for those that others banned, limits
/// that were meant for all jails are not meant.
const OWN_OF_RECIDIVE: [(&str, &str); 6] = [
    ("maxretry", "5"),
    ("findtime", "1d"),
    ("bantime", "1w"),
    ("port", "all"),
    ("protocol", ""),
    ("chain", "DOCKER-USER,INPUT"),
];

/// All options that the jail has, in the table's order. `service` are the labels of the
/// service's own jail that count for this one, too.
pub(super) fn written(
    draft: &Draft<'_>,
    jail: &Jail,
    service: Option<&BTreeMap<&'static str, Given<'_>>>,
    defaults: &Defaults,
) -> Arc<[Written]> {
    let layers = Layers { draft, jail, service, defaults };
    let all = LABELS.iter().flat_map(|label| {
        let values = layers.values(label).into_iter().filter(|(value, _)| !value.is_empty());
        values.map(|(value, origin)| Written { option: label.name.to_owned(), value, origin })
    });
    all.collect()
}

/// What a jail's options come from, the first one first.
struct Layers<'a> {
    draft: &'a Draft<'a>,
    jail: &'a Jail,
    service: Option<&'a BTreeMap<&'static str, Given<'a>>>,
    defaults: &'a Defaults,
}

impl Layers<'_> {
    fn values(&self, label: &Label) -> Vec<(String, Origin)> {
        let of_filter = &self.draft.of_filter;
        let options = &self.draft.options;
        match label.name {
            "enable" => Vec::new(),
            "failregex" => self.regexes(&of_filter.failregex, &options.failregex),
            "ignoreregex" => self.regexes(&of_filter.ignoreregex, &options.ignoreregex),
            "successregex" => self.regexes(&of_filter.successregex, &options.successregex),
            "logpath" => self.lines(label),
            _ if self.is_about_a_log(label) => Vec::new(),
            _ => match self.set(label) {
                Some(set) => vec![set],
                None => vec![self.unset(label)],
            },
        }
    }

    /// The filter's, then the labels'.
    fn regexes(&self, of_filter: &[String], own: &[Piece]) -> Vec<(String, Origin)> {
        let of_filter = of_filter.iter().map(|regex| (regex.clone(), self.filter()));
        let own = own.iter().map(|piece| (piece.text.clone(), Origin::Label(piece.key.clone())));
        of_filter.chain(own).collect()
    }

    /// One a line.
    fn lines(&self, label: &Label) -> Vec<(String, Origin)> {
        let given = self.draft.all_given(label.name);
        let lines = given.flat_map(|Given { key, value }| {
            value.lines().map(|line| (line.trim().to_owned(), Origin::Label(key.to_owned())))
        });
        lines.collect()
    }

    /// Does it mean nothing for this jail's source?
    fn is_about_a_log(&self, label: &Label) -> bool {
        match &self.jail.sources {
            Sources::Bans => {
                let options = [
                    "prefregex",
                    "datepattern",
                    "maxlines",
                    "usedns",
                    "logtimezone",
                    "logencoding",
                ];
                options.contains(&label.name) || label.name == "stream"
            }
            Sources::Files(_) | Sources::Journal(_) => label.name == "stream",
            Sources::Output(_) => false,
        }
    }

    /// What a label or variable says.
    fn set(&self, label: &Label) -> Option<(String, Origin)> {
        let text =
            |given: Given<'_>| (given.value.trim().to_owned(), Origin::Label(given.key.to_owned()));
        if let Some(given) = self.draft.given(label.name) {
            return Some(text(given));
        }
        if self.own_of_recidive(label).is_some() {
            return None;
        }
        if let Some(given) = self.service.and_then(|service| service.get(label.name)) {
            return Some(text(*given));
        }
        let said = self.defaults.text(label.name).filter(|_| label.reach == Reach::Host)?;
        Some((said.to_owned(), Origin::Variable(label.variable()?)))
    }

    /// What counts where nothing was said.
    fn unset(&self, label: &Label) -> (String, Origin) {
        let of_filter = &self.draft.of_filter;
        let filter = |value: String| (value, self.filter());
        let default = |value: String| (value, Origin::Default);
        if let Some(value) = self.own_of_recidive(label) {
            return default(value.to_owned());
        }
        match label.name {
            "name" => default(self.jail.name.to_string()),
            "prefregex" => filter(of_filter.prefregex.clone().unwrap_or_default()),
            "datepattern" => filter(of_filter.datepattern.clone().unwrap_or_default()),
            "maxlines" if of_filter.max_lines > 1 => filter(of_filter.max_lines.to_string()),
            "maxlines" => default("1".to_owned()),
            "usedns" if of_filter.use_dns != UseDns::default() => {
                filter(of_filter.use_dns.to_string())
            }
            "usedns" => default(UseDns::default().to_string()),
            "chain" => {
                let chains: Vec<_> = self.jail.chains.iter().map(ToString::to_string).collect();
                default(chains.join(","))
            }
            "protocol" if self.jail.ports == super::PortsWanted::All => default(String::new()),
            _ => default(label.default.replace('`', "")),
        }
    }

    fn own_of_recidive(&self, label: &Label) -> Option<&'static str> {
        let own = OWN_OF_RECIDIVE.iter().find(|(option, _)| *option == label.name);
        own.filter(|_| self.jail.policy.recidive).map(|(_, value)| *value)
    }

    fn filter(&self) -> Origin {
        let named = self.draft.options.filter.as_ref();
        named.map_or(Origin::Default, |(_, reference)| Origin::Filter(reference.name.clone()))
    }
}
