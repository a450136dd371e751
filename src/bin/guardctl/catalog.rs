//! The filters as guardctl finds them, and what is wrong with them, for people.

use std::path::PathBuf;

use guard::control::print::escape;
use guard::filter::{
    FilePlace, FilterFileError, FilterReference, FilterSpec, LoadedFilter, RegexError, RegexPlace,
};
use guard::filters::{Catalog, DEFAULT_PATH};
use guard::labels::{Flaw, Severity, nearest};

use crate::Failure;

/// More mistakes than this are counted instead.
const MAX_MISTAKES: usize = 20;

/// The filters in `folders`, then those that guard finds.
///
/// # Errors
/// One of `folders` is none: another filter than the one that was meant would be taken.
pub(crate) fn catalog(folders: &[PathBuf]) -> Result<Catalog, Failure> {
    if let Some(none) = folders.iter().find(|folder| !folder.is_dir()) {
        return Err(Failure::Usage(format!("--filter-path {}: no such folder", none.display())));
    }
    let path = std::env::var("GUARD_FILTER_PATH").ok().filter(|path| !path.is_empty());
    let path = path.as_deref().unwrap_or(DEFAULT_PATH);
    Ok(Catalog::new(path).after(folders.to_vec()))
}

/// Reads how a filter is asked for.
///
/// # Errors
/// What is wrong, with its place.
pub(crate) fn reference(text: &str) -> Result<FilterReference, Failure> {
    text.parse().map_err(|error: guard::filter::InvalidReference| {
        let flaw = Flaw { span: error.span, what: error.what, remedy: None };
        let place = |line, column| format!("filter:{line}:{column}");
        Failure::Mistakes(flaw.render(Severity::Error, text, place))
    })
}

/// Reads the filter that `reference` asks for.
///
/// # Errors
/// There is none, and which one may have been meant; or what is wrong with its files.
pub(crate) fn load(
    catalog: &Catalog,
    reference: &FilterReference,
) -> Result<LoadedFilter, Failure> {
    catalog.load(reference).map_err(|error| match &error {
        FilterFileError::NotFound { name, .. } => {
            let listed = catalog.list();
            let meant = nearest(name, listed.iter().map(|listed| listed.name.as_str()));
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
            Failure::Usage(format!(
                "{error}{} (`guardctl filters` lists all)",
                meant.unwrap_or_default()
            ))
        }
        FilterFileError::Wrong { remedy, .. } => {
            let remedy = remedy.as_deref().map(|remedy| format!("; {remedy}"));
            Failure::Usage(format!("{error}{}", remedy.unwrap_or_default()))
        }
    })
}

/// Where the parts of a filter are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Where each failregex is.
    pub(crate) fail: Vec<FilePlace>,
    /// Where each ignoreregex is.
    pub(crate) ignore: Vec<FilePlace>,
    /// Where prefregex is.
    pub(crate) pref: FilePlace,
    /// Where datepattern is.
    pub(crate) date: FilePlace,
}

impl Places {
    /// Where a regex is written; `None`: on the command line.
    pub(crate) fn of(&self, place: RegexPlace) -> Option<&FilePlace> {
        let place = match place {
            RegexPlace::Fail(index) => self.fail.get(index),
            RegexPlace::Ignore(index) => self.ignore.get(index),
            RegexPlace::Success(_) => None,
            RegexPlace::Pref => Some(&self.pref),
            RegexPlace::Date => Some(&self.date),
        };
        place.filter(|place| !place.file.is_empty())
    }

    /// The same as text.
    pub(crate) fn told(&self, place: RegexPlace) -> String {
        match self.of(place) {
            Some(place) => escape(&place.to_string()).into_owned(),
            None => "command line".to_owned(),
        }
    }
}

/// The text of a regex of `spec`.
pub(crate) fn text_of(spec: &FilterSpec, place: RegexPlace) -> &str {
    match place {
        RegexPlace::Fail(index) => spec.failregex.get(index).map(String::as_str),
        RegexPlace::Ignore(index) => spec.ignoreregex.get(index).map(String::as_str),
        RegexPlace::Success(index) => spec.successregex.get(index).map(String::as_str),
        RegexPlace::Pref => spec.prefregex.as_deref(),
        RegexPlace::Date => spec.datepattern.as_deref(),
    }
    .unwrap_or_default()
}

/// Shows what is wrong with the regexes of `spec`, each with a caret under the place.
pub(crate) fn mistakes(errors: Vec<RegexError>, spec: &FilterSpec, places: &Places) -> Failure {
    let more = errors.len().saturating_sub(MAX_MISTAKES);
    let mut shown: Vec<String> = Vec::new();
    for error in errors.into_iter().take(MAX_MISTAKES) {
        let text = text_of(spec, error.place);
        let place = |_, column| match places.of(error.place) {
            Some(file) => format!("{}, column {column} ({file})", error.place),
            None => format!("{}, column {column}", error.place),
        };
        let flaw = Flaw { span: error.span, what: error.what, remedy: error.remedy };
        shown.push(flaw.render(Severity::Error, text, place));
    }
    if more > 0 {
        shown.push(format!("and {more} more mistakes"));
    }
    Failure::Mistakes(shown.join("\n"))
}
