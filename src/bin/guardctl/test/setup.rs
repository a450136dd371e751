//! From the options to a filter that is ready.

use std::sync::Arc;
use std::time::Duration;

use guard::filter::{Carrier, FilePlace, Filter, FilterReference, FilterSpec, Judge, LoadedFilter};
use jiff::tz::TimeZone;

use super::Options;
use crate::Failure;
use crate::catalog::{self, Places};

/// What lines are tried with.
#[derive(Debug)]
pub(super) struct Setup {
    /// The filter's name and options; `None`: only regexes were given.
    pub(super) name: Option<FilterReference>,
    /// The files that it was read from.
    pub(super) files: Vec<String>,
    pub(super) spec: FilterSpec,
    pub(super) places: Places,
    pub(super) filter: Arc<Filter>,
    pub(super) zone: TimeZone,
    pub(super) carrier: Carrier,
}

impl Setup {
    /// # Errors
    /// No such filter, or something is wrong in its files or with its regexes.
    pub(super) fn new(options: &Options) -> Result<Setup, Failure> {
        let (name, loaded) = match &options.filter {
            Some(text) => {
                let mut reference = catalog::reference(text)?;
                if options.journal && reference.options.iter().all(|(name, _)| name != "logtype") {
                    reference.options.push(("logtype".to_owned(), "journal".to_owned()));
                }
                let catalog = catalog::catalog(&options.filter_path)?;
                let loaded = catalog::load(&catalog, &reference)?;
                (Some(reference), loaded)
            }
            None => (None, LoadedFilter::default()),
        };
        let (spec, places, files) = changed(loaded, options);
        let filter =
            Filter::new(&spec).map_err(|errors| catalog::mistakes(errors, &spec, &places))?;
        Ok(Setup {
            name,
            files,
            spec,
            places,
            filter: Arc::new(filter),
            zone: options.timezone.clone().unwrap_or_else(TimeZone::system),
            carrier: if options.journal { Carrier::Journal } else { Carrier::Log },
        })
    }

    /// A judge that looks at every line and keeps the groups.
    pub(super) fn judge(&self) -> Judge {
        Judge::new(Arc::clone(&self.filter), self.zone.clone(), Duration::MAX)
            .on(self.carrier)
            .keeping_groups()
    }
}

/// The filter with what was given on the command line.
fn changed(loaded: LoadedFilter, options: &Options) -> (FilterSpec, Places, Vec<String>) {
    let LoadedFilter { mut spec, fail_places, ignore_places, pref_place, date_place, .. } = loaded;
    let mut places =
        Places { fail: fail_places, ignore: ignore_places, pref: pref_place, date: date_place };
    spec.failregex.extend(options.failregex.iter().cloned());
    spec.ignoreregex.extend(options.ignoreregex.iter().cloned());
    if let Some(regex) = &options.prefregex {
        spec.prefregex = Some(regex.clone());
        places.pref = FilePlace::default();
    }
    if let Some(pattern) = &options.datepattern {
        spec.datepattern = Some(pattern.clone());
        places.date = FilePlace::default();
    }
    spec.max_lines = options.maxlines.unwrap_or(spec.max_lines);
    spec.use_dns = options.usedns.unwrap_or(spec.use_dns);
    (spec, places, loaded.files)
}
