//! A fail2ban configuration → the labels that make guard do the same, and a word on
//! everything that has no counterpart. (pure)
//!
//! ```text
//! jail.conf, jail.local, … ─Settings─▶ jail: Draft ─place─▶ service ─label─▶ compose
//!                                       │ action: what a ban closes
//!                                       └ filter: by name, or its regexes
//! ```
//!
//! fail2ban's files are read by [`filter`](crate::filter)'s own reader. What comes out was
//! read back by guard's label parser before it is shown; what that refuses is told, too.
//!
//! Invariants: one jail's mistake costs no other jail; nothing is left out silently.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod arithmetic;
mod candidate;
mod compose;
mod draft;
mod filter;
mod label;
mod mount;
mod place;
mod server;
mod source;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use compose::ComposeFile;
use label::Assembly;
pub use server::of_server;

use crate::filter::{FilePlace, FilterFileError, FilterFiles, Library, Settings};
use crate::model::Container;

/// Most jails that are taken over, enabled ones.
const MAX_JAILS: usize = 1000;

/// Files that may be shared with a library of filters.
pub type SharedFiles = Arc<dyn FilterFiles + Send + Sync>;

/// What the configuration is held against.
#[derive(Clone)]
pub struct Ground {
    /// Reads fail2ban's files, in any folder.
    pub files: SharedFiles,
    /// Where its filters are.
    pub filter_folders: Vec<String>,
    /// Where its actions are.
    pub action_folders: Vec<String>,
    /// Folders of `files` and what the host calls each; none: it calls all files the same.
    /// A file in no such folder can't be mounted.
    pub on_host: Option<Vec<(String, String)>>,
    /// The filters that guard has without any mount.
    pub own: SharedFiles,
    /// Is guard's own filter taken where there is one of the same name?
    pub prefer_own: bool,
    /// All containers; none: nobody could be asked.
    pub containers: Option<Vec<Container>>,
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").field("on_host", &self.on_host).finish_non_exhaustive()
    }
}

/// What a configuration came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// How many jails are enabled.
    pub enabled: usize,
    /// The jails that were taken over, one for each service that has some of its logs.
    pub jails: Vec<Taken>,
    /// The labels as compose files, one for each project.
    pub files: Vec<ComposeFile>,
    /// What is otherwise, in the order of the jails.
    pub remarks: Vec<Remark>,
}

impl Import {
    /// How many of the enabled jails came over, at least in part.
    pub fn over(&self) -> usize {
        self.names().len()
    }

    /// How many of them came over with nothing lost.
    pub fn whole(&self) -> usize {
        let lost = |name: &&str| {
            self.remarks
                .iter()
                .any(|remark| remark.level == Level::Lost && remark.jail.as_deref() == Some(name))
        };
        self.names().iter().filter(|name| !lost(name)).count()
    }

    fn names(&self) -> BTreeSet<&str> {
        self.jails.iter().map(|taken| taken.name.as_str()).collect()
    }
}

/// A jail that was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// fail2ban's name of it.
    pub name: String,
    /// guard's name of it.
    pub jail: String,
    /// The project of the service that gets its labels, where that is known.
    pub project: Option<String>,
    /// That service.
    pub service: String,
    /// The labels, as Docker is to have them.
    pub labels: Vec<(String, String)>,
    /// Where the jail is described.
    pub place: FilePlace,
}

/// How much of something came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is as good as the same.
    Note,
    /// guard does it in another way.
    Changed,
    /// It is not taken over.
    Lost,
}

impl Level {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Changed => "changed",
            Level::Lost => "not taken over",
        }
    }
}

/// A word on something that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// How much of it came over.
    pub level: Level,
    /// The jail, by fail2ban's name; none: it is about all.
    pub jail: Option<String>,
    /// Where it is written.
    pub place: FilePlace,
    /// What it is, and why.
    pub what: String,
    /// What to do instead.
    pub remedy: Option<String>,
}

/// Remarks on one jail.
#[derive(Debug, Default)]
struct Remarks {
    jail: Option<String>,
    all: Vec<Remark>,
}

impl Remarks {
    fn add(&mut self, level: Level, place: &FilePlace, what: impl Into<String>, remedy: &str) {
        let remedy = Some(remedy).filter(|text| !text.is_empty()).map(str::to_owned);
        let remark = Remark {
            level,
            jail: self.jail.clone(),
            place: place.clone(),
            what: what.into(),
            remedy,
        };
        if !self.all.contains(&remark) {
            self.all.push(remark);
        }
    }

    fn lost(&mut self, place: &FilePlace, what: impl Into<String>, remedy: &str) {
        self.add(Level::Lost, place, what, remedy);
    }

    fn changed(&mut self, place: &FilePlace, what: impl Into<String>, remedy: &str) {
        self.add(Level::Changed, place, what, remedy);
    }

    fn note(&mut self, place: &FilePlace, what: impl Into<String>, remedy: &str) {
        self.add(Level::Note, place, what, remedy);
    }

    /// A file that can't be read as it should.
    fn broken(&mut self, what: &str, error: &FilterFileError) {
        self.broken_at(what, error, &FilePlace::default());
    }

    /// The same; what no file says was asked for at `from`.
    fn broken_at(&mut self, what: &str, error: &FilterFileError, from: &FilePlace) {
        match error {
            FilterFileError::Wrong { place, what: why, remedy } => {
                let remedy = remedy.clone().unwrap_or_default();
                let place = if place.file.is_empty() { from } else { place };
                self.lost(place, format!("{what}: {why}"), &remedy);
            }
            FilterFileError::NotFound { .. } => self.lost(from, format!("{what}: {error}"), ""),
        }
    }

    /// The jail did not come over: what was lost last is why.
    fn gone(&mut self, place: &FilePlace) {
        match self.all.iter_mut().rfind(|remark| remark.level == Level::Lost) {
            Some(remark) => remark.what.push_str(", so the jail does not come over"),
            None => self.lost(place, "the jail does not come over", ""),
        }
    }
}

/// Takes over the jails that `settings` enable.
pub fn import(mut settings: Settings, ground: &Ground) -> Import {
    let sections: Vec<(String, FilePlace)> =
        settings.sections().map(|(name, place)| (name.to_owned(), place.clone())).collect();
    let mut library = Library::of(filter::Filters::of(ground));
    let mut mounts = mount::Mounts::of(ground);
    let mut assembly = Assembly::new(ground);
    let mut import = Import::default();
    for (section, place) in sections.into_iter().filter(|(name, _)| !name.contains('?')) {
        let mut remarks = Remarks { jail: Some(section.clone()), ..Remarks::default() };
        let enabled = match settings.get(&section, "enabled") {
            Ok(setting) => setting.is_some_and(|setting| is_on(&setting.text())),
            Err(error) => {
                remarks.broken("`enabled`", &error);
                false
            }
        };
        if enabled && import.enabled >= MAX_JAILS {
            remarks.lost(&place, format!("more than {MAX_JAILS} enabled jails"), "import in parts");
        } else if enabled {
            import.enabled += 1;
            let jail = draft::Jail { section: &section, place: &place };
            let draft = draft::read(&mut settings, jail, (ground, &mut mounts), &mut remarks);
            let came =
                draft.is_some_and(|draft| assembly.take(&draft, (&mut library, &mut remarks)));
            if !came {
                remarks.gone(&place);
            }
        }
        import.remarks.append(&mut remarks.all);
    }
    let mut overall = Remarks::default();
    let there = ground.containers.as_deref().unwrap_or_default();
    for (container, key, value) in mounts.changes(assembly.mounts(), there) {
        let what = format!(
            "the label `{key}: {value}` of {} will mean fail2ban's filter, which is mounted, and \
             not the one that it means now",
            container.service
        );
        let remedy = "import with --own-filters, or write its regexes into that label's jail";
        overall.changed(&FilePlace::default(), what, remedy);
    }
    import.remarks.append(&mut overall.all);
    let (jails, files, mut remarks) = assembly.done(&mut library);
    import.remarks.append(&mut remarks);
    Import { jails, files, ..import }
}

/// fail2ban's words for yes.
fn is_on(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "yes" | "true" | "on")
}

#[cfg(test)]
mod tests;
