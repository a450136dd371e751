//! Filter files: fail2ban's `filter.d/NAME.conf`, with all that may be beside them.
//!
//! Text comes in through [`FilterFiles`], a [`FilterSpec`] comes out; no file is opened
//! here. The order is fail2ban's: `NAME.conf`, `NAME.d/*.conf`, `NAME.local`,
//! `NAME.d/*.local`, each with what it includes before and after it, later ones over
//! earlier ones; then `%(name)s`, then `<tag>`. The first folder that has any of them is
//! taken. Other than in fail2ban, an include that is not in the including file's own
//! folder is looked for in the others, so that a filter of one's own can build on a
//! `common.conf` that it does not bring along.

mod include;
mod ini;
mod interpolate;
mod reference;
mod settings;
mod substitute;
mod text;

use std::collections::HashMap;
use std::fmt;

use super::spec::{FilterSpec, UseDns};
use interpolate::{Config, Mistake};
pub use reference::{FilterReference, InvalidReference};
pub use settings::{Setting, Settings};
use substitute::Options;
use text::{Origin, Text};

/// Where the text of filter files is.
pub trait FilterFiles {
    /// The folders in which filters are looked for, in this order.
    fn folders(&self) -> Vec<String>;
    /// The text of a file in a folder, or at an absolute path. `Ok(None)`: there is none.
    ///
    /// # Errors
    /// Why it can't be read.
    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String>;
    /// The names of the files in `name`, a folder in a folder, in order; none if it is not
    /// there.
    ///
    /// # Errors
    /// Why it can't be read.
    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String>;
}

/// A filter as its files describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedFilter {
    /// What is to be compiled.
    pub spec: FilterSpec,
    /// Where each failregex is written.
    pub fail_places: Vec<FilePlace>,
    /// Where each ignoreregex is written.
    pub ignore_places: Vec<FilePlace>,
    /// Where prefregex is written.
    pub pref_place: FilePlace,
    /// Where datepattern is written.
    pub date_place: FilePlace,
    /// Match terms for the journal, a line each (fail2ban's `journalmatch`).
    pub journalmatch: Option<String>,
    /// The files that were read, in the order in which they count.
    pub files: Vec<String>,
}

/// A line of a filter file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePlace {
    /// The file; empty: what the filter was asked for with.
    pub file: String,
    /// The line in it, from 1; 0: the file as a whole.
    pub line: u32,
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => f.write_str("the filter's options"),
            (file, 0) => f.write_str(file),
            (file, line) => write!(f, "{file}:{line}"),
        }
    }
}

/// A filter that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterFileError {
    /// No folder has it.
    #[error("there is no filter `{name}` in {}", .folders.join(", "))]
    NotFound {
        /// The filter's name.
        name: String,
        /// Where it was looked for.
        folders: Vec<String>,
    },
    /// Something in its files is wrong.
    #[error("{place}: {what}")]
    Wrong {
        /// Where.
        place: FilePlace,
        /// What.
        what: String,
        /// What to do about it, where that is known.
        remedy: Option<String>,
    },
}

/// The options of a filter that guard uses; all others are only there to build them.
const STANDARD: [&str; 7] =
    ["prefregex", "failregex", "ignoreregex", "maxlines", "datepattern", "journalmatch", "usedns"];

/// The most lines that a filter may match together.
pub const MAX_LINES: u32 = 200;

/// Reads the filter that `reference` asks for.
///
/// # Errors
/// There is no such filter, or something is wrong with its files.
pub fn load(
    reference: &FilterReference,
    files: &dyn FilterFiles,
) -> Result<LoadedFilter, FilterFileError> {
    let read = include::read(&reference.name, files)?;
    let given = |(name, value): &(String, String)| {
        (name.clone(), Text::given(value, Origin { file: read.names.len(), line: 0 }))
    };
    let mut given: HashMap<String, Text> = reference.options.iter().map(given).collect();
    let mut config = Config::new(given.clone());
    let order = read.files.iter().map(|(number, _)| *number).collect();
    read.files.into_iter().for_each(|(_, sections)| config.merge(sections));
    if !config.is_given("logtype") && !config.has("Definition", "logtype") {
        given.insert("logtype".to_owned(), Text::given("file", Origin::default()));
        config.give("logtype", "file");
    }
    let reader = Reader { names: read.names, order, config, given };
    reader.loaded().map_err(|mistake| reader.told(mistake))
}

struct Reader {
    /// The files' names, by their numbers.
    names: Vec<String>,
    /// The files' numbers, in the order in which they count.
    order: Vec<usize>,
    config: Config,
    given: Options,
}

impl Reader {
    fn loaded(&self) -> Result<LoadedFilter, Mistake> {
        let options = self.options()?;
        let get = |name: &str| -> Result<Option<Text>, Mistake> {
            let Some(text) = options.get(name) else { return Ok(None) };
            substitute::substitute(name, text, (&options, &self.config)).map(Some)
        };
        let files = self.order.iter().filter_map(|number| self.names.get(*number).cloned());
        let mut loaded = LoadedFilter { files: files.collect(), ..LoadedFilter::default() };
        let spec = &mut loaded.spec;
        (spec.failregex, loaded.fail_places) = self.regexes(get("failregex")?);
        (spec.ignoreregex, loaded.ignore_places) = self.regexes(get("ignoreregex")?);
        (spec.prefregex, loaded.pref_place) = self.whole(get("prefregex")?);
        (spec.datepattern, loaded.date_place) = self.whole(get("datepattern")?);
        (loaded.journalmatch, _) = self.whole(get("journalmatch")?);
        if let Some(text) = get("maxlines")? {
            spec.max_lines = max_lines(&text)?;
        }
        if let Some(text) = get("usedns")? {
            spec.use_dns = use_dns(&text)?;
        }
        spec.daemon = self.daemon(&options);
        Ok(loaded)
    }

    /// The standard options with `%(…)s` replaced, `[Init]`, and what was given; each
    /// goes before the former.
    fn options(&self) -> Result<Options, Mistake> {
        let mut options = Options::new();
        for name in STANDARD {
            if let Some(text) = self.config.get("Definition", name)? {
                options.insert(name.to_owned(), text);
            }
        }
        for name in self.config.own("Init") {
            if let Some(text) = self.config.get("Init", &name)? {
                options.insert(format!("known/{name}"), text.clone());
                options.insert(name, text);
            }
        }
        options.extend(self.given.clone());
        Ok(options)
    }

    /// The filter's `_daemon`, where it has one.
    fn daemon(&self, options: &Options) -> Option<String> {
        let text = self.config.get("Definition", "_daemon").ok()??;
        let text = substitute::substitute("_daemon", &text, (options, &self.config)).ok()?;
        Some(text.to_string()).filter(|text| !text.is_empty())
    }

    /// One regex a line.
    fn regexes(&self, text: Option<Text>) -> (Vec<String>, Vec<FilePlace>) {
        let text = text.unwrap_or_default();
        let lines = text.lines().iter().filter(|(line, _)| !line.is_empty());
        lines.map(|(line, origin)| (line.clone(), self.place(*origin))).unzip()
    }

    fn whole(&self, text: Option<Text>) -> (Option<String>, FilePlace) {
        let text = text.unwrap_or_default();
        let origin = text.lines().first().map_or(Origin::default(), |(_, origin)| *origin);
        let whole = Some(text.to_string()).filter(|text| !text.trim().is_empty());
        (whole, self.place(origin))
    }

    fn place(&self, origin: Origin) -> FilePlace {
        match self.names.get(origin.file) {
            Some(file) => FilePlace { file: file.clone(), line: origin.line },
            None => FilePlace::default(),
        }
    }

    fn told(&self, mistake: Mistake) -> FilterFileError {
        let Mistake { origin, what, remedy } = mistake;
        FilterFileError::Wrong { place: self.place(origin), what, remedy }
    }
}

fn max_lines(text: &Text) -> Result<u32, Mistake> {
    let value = text.to_string();
    match value.trim().parse() {
        Ok(lines @ 1..=MAX_LINES) => Ok(lines),
        _ => {
            let remedy = Some(format!("write a number from 1 to {MAX_LINES}"));
            Err(wrong(text, format!("`maxlines = {value}`"), remedy))
        }
    }
}

fn use_dns(text: &Text) -> Result<UseDns, Mistake> {
    text.to_string()
        .parse()
        .map_err(|error: super::InvalidUseDns| wrong(text, format!("`usedns`: {error}"), None))
}

fn wrong(text: &Text, what: String, remedy: Option<String>) -> Mistake {
    let origin = text.lines().first().map_or(Origin::default(), |(_, origin)| *origin);
    Mistake { origin, what, remedy }
}

#[cfg(test)]
mod tests;
