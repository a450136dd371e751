//! What a container's labels mean: jails, and complaints that point into the label.
//!
//! `guard.<option>` describes the service's own jail, `guard.jails.<name>.<option>`
//! further ones, which take limits, times and actions that they do not set from
//! `guard.<option>`. All options are in [`LABELS`], which drives everything.
//!
//! Reading never fails. A label that is wrong refuses the jail that it belongs
//! to and no other; each mistake is a [`Complaint`] with its place and a
//! remedy, and all mistakes are found at once.
//!
//! Labels are input of people who may not be trusted with the host: they name
//! no chain but two, start nothing, and raise no bound.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod build;
mod complaint;
mod defaults;
pub mod duration;
mod encoding;
mod filter;
mod hint;
mod ignore;
mod jail;
mod keys;
mod numbers;
mod options;
mod ports;
mod table;
mod values;
mod written;
mod zone;

use std::collections::{BTreeMap, BTreeSet};

pub use complaint::{Complaint, Flaw, Severity};
pub(crate) use complaint::{line_and_column, render};
pub use defaults::Defaults;
pub use hint::nearest;
pub use ignore::{parse_ignore, parse_ignore_list};
pub use jail::{Jail, PortsWanted, Sources, StreamChoice};
pub use keys::{MAX_JAILS, MAX_OWN_JAILS};
pub use table::{Kind, LABELS, Label, Reach, markdown_table};

use crate::filter::Library;
use crate::model::{Container, JailName, NoticeKind};
use build::{Draft, Setting};
use keys::{Finding, Sheets};
use options::Given;

/// Most complaints about one container; the rest is only counted.
const MAX_COMPLAINTS: usize = 100;

/// What a container's labels came to.
#[derive(Debug, Default)]
pub struct Reading {
    /// The jails that can work; no two have the same name.
    pub jails: Vec<Jail>,
    /// What is wrong with the others.
    pub complaints: Vec<Complaint>,
}

/// Reads a container's labels. Both lists are empty if none is guard's, or if
/// `enable` is false.
pub fn read(container: &Container, defaults: &Defaults, library: &mut Library) -> Reading {
    let Sheets { own, further, findings, .. } = sorted(container, defaults);
    let mut own = Draft::new(own);
    own.serves_others = !further.is_empty();
    if own.options.enable == Some(false) {
        return Reading::default();
    }
    let own_name = own.options.name.clone().unwrap_or_else(|| container.service.jail_name());
    let own_wanted = match further.is_empty() {
        true => !own.is_empty(),
        false => own.describes_jail(),
    };
    let service = own.options.or(defaults.options());
    let spoilt = own.spoilt_for_others();
    let for_others = own.for_others();
    let none = BTreeMap::new();

    let mut plans = vec![Plan {
        name: own_name.clone(),
        draft: own,
        wanted: own_wanted,
        setting: Setting { container, inherited: defaults.options(), spoilt: &none },
        service: None,
    }];
    for (name, sheet) in further {
        let draft = Draft::new(sheet);
        if draft.options.enable == Some(false) {
            continue;
        }
        let joined = JailName::from_lossy(&format!("{own_name}-{name}"));
        plans.push(Plan {
            name: draft.options.name.clone().unwrap_or(joined),
            draft,
            wanted: true,
            setting: Setting { container, inherited: &service, spoilt: &spoilt },
            service: Some(&for_others),
        });
    }
    refuse_twins(&mut plans);

    let mut reading = Reading::default();
    let notify = plans.first().and_then(|own| own.draft.notify(own.setting.inherited));
    let loose = findings.into_iter();
    let loose = loose.map(|finding| complaint(container, None, notify.as_ref(), finding));
    reading.complaints.extend(loose);
    for Plan { name, mut draft, wanted, setting, service } in plans {
        if wanted && let Some(jail) = draft.build(&name, setting, library) {
            let written = written::written(&draft, &jail, service, defaults);
            reading.jails.push(Jail { written, ..jail });
        }
        let (jail, notify) = (wanted.then_some(&name), draft.notify(setting.inherited));
        let found = draft.findings.into_iter();
        let found = found.map(|finding| complaint(container, jail, notify.as_ref(), finding));
        reading.complaints.extend(found);
    }
    bound(&mut reading.complaints);
    reading
}

fn sorted<'a>(container: &'a Container, defaults: &Defaults) -> Sheets<'a> {
    let most = if container.own { MAX_OWN_JAILS } else { MAX_JAILS };
    keys::sort(&container.labels, defaults.prefix(), most)
}

/// The names of the jails that a container's labels describe, whether they are right or not.
pub fn names(container: &Container, defaults: &Defaults) -> Vec<JailName> {
    let Sheets { own, further, .. } = sorted(container, defaults);
    let own = Draft::new(own);
    if own.options.enable == Some(false) {
        return Vec::new();
    }
    let own_name = own.options.name.clone().unwrap_or_else(|| container.service.jail_name());
    let own_wanted = if further.is_empty() { !own.is_empty() } else { own.describes_jail() };
    let mut names: Vec<JailName> = own_wanted.then(|| own_name.clone()).into_iter().collect();
    for (name, sheet) in further {
        let options = Draft::new(sheet).options;
        if options.enable != Some(false) {
            let joined = || JailName::from_lossy(&format!("{own_name}-{name}"));
            names.push(options.name.clone().unwrap_or_else(joined));
        }
    }
    names
}

/// A jail to be.
struct Plan<'a> {
    name: JailName,
    draft: Draft<'a>,
    /// False: its labels only serve as defaults for others.
    wanted: bool,
    setting: Setting<'a>,
    /// The labels of the service's own jail that count for it, too.
    service: Option<&'a BTreeMap<&'static str, Given<'a>>>,
}

/// Two jails of one name would share their bans and counts by accident.
fn refuse_twins(plans: &mut [Plan<'_>]) {
    let wanted: Vec<(usize, JailName)> = plans
        .iter()
        .enumerate()
        .filter(|(_, p)| p.wanted)
        .map(|(at, p)| (at, p.name.clone()))
        .collect();
    for (at, name) in &wanted {
        let twin = wanted.iter().find(|(other, same)| other != at && same == name);
        let Some(twin) = twin.and_then(|(other, _)| plans[*other].draft.first) else { continue };
        let flaw = |span| {
            let twin = complaint::shorten(twin.key, 80);
            Flaw::new(span, format!("the name `{name}` belongs to the jail of `{twin}` too"))
                .mend("give one of the two another name with the label `name`")
        };
        let draft = &mut plans[*at].draft;
        let finding = match (draft.given("name"), draft.first) {
            (Some(given), _) => Finding::in_value(given, flaw(0..given.value.len())),
            (None, Some(given)) => Finding::in_key(given, flaw(0..given.key.len())),
            (None, None) => continue,
        };
        draft.findings.push(finding);
    }
}

fn complaint(
    container: &Container,
    jail: Option<&JailName>,
    notify: Option<&BTreeSet<NoticeKind>>,
    finding: Finding<'_>,
) -> Complaint {
    let Finding { severity, given, in_key, flaw } = finding;
    Complaint {
        severity,
        jail: jail.cloned(),
        container: container.name.to_string(),
        label: given.key.to_owned(),
        value: given.value[..given.value.floor_char_boundary(values::MAX_VALUE)].to_owned(),
        span: flaw.span,
        in_key,
        what: flaw.what,
        remedy: flaw.remedy,
        notify: notify.cloned(),
    }
}

/// A container with thousands of wrong labels must not fill the log.
fn bound(complaints: &mut Vec<Complaint>) {
    let more = complaints.len().saturating_sub(MAX_COMPLAINTS);
    complaints.truncate(MAX_COMPLAINTS);
    if let (Some(last), true) = (complaints.last_mut(), more > 0) {
        last.what.push_str(&format!(" (and {more} more mistakes on this container)"));
    }
}

#[cfg(test)]
mod tests;
