//! Filters that are in use, so that equal ones are compiled once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use super::{
    Filter, FilterFileError, FilterFiles, FilterReference, FilterSpec, LoadedFilter, RegexError,
    Report,
};

/// Compiles each distinct [`FilterSpec`] once, however many containers have it. A
/// filter that nobody holds any more is forgotten.
#[derive(Default)]
pub struct Library {
    filters: HashMap<FilterSpec, Known>,
    /// Where filters are found by name; `None`: nowhere.
    files: Option<Box<dyn FilterFiles + Send + Sync>>,
}

/// A filter in use, and what is to be said of it, once somebody asked.
#[derive(Debug)]
struct Known {
    filter: Weak<Filter>,
    report: Option<Arc<Report>>,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("filters", &self.filters.len()).finish_non_exhaustive()
    }
}

impl Library {
    /// An empty library.
    pub fn new() -> Library {
        Library::default()
    }

    /// The same, with the filters in `files`.
    pub fn of(files: impl FilterFiles + Send + Sync + 'static) -> Library {
        Library { files: Some(Box::new(files)), ..Library::default() }
    }

    /// Reads a filter's files, anew each time: they may have changed.
    ///
    /// # Errors
    /// There is no such filter, or something is wrong in its files.
    pub fn load(&self, reference: &FilterReference) -> Result<LoadedFilter, FilterFileError> {
        match &self.files {
            Some(files) => super::load(reference, files.as_ref()),
            None => {
                let name = reference.name.clone();
                Err(FilterFileError::NotFound { name, folders: Vec::new() })
            }
        }
    }

    /// The names of the filters that there are.
    pub fn names(&self) -> Vec<String> {
        let Some(files) = &self.files else { return Vec::new() };
        let folders = files.folders();
        let all = folders.iter().flat_map(|folder| files.list(folder, ".").unwrap_or_default());
        all.filter_map(|file| Some(file.strip_suffix(".conf")?.to_owned())).collect()
    }

    /// The filter for `spec`: the one in use, or a new one.
    ///
    /// # Errors
    /// All that is wrong with the spec, see [`Filter::new`].
    pub fn get(&mut self, spec: &FilterSpec) -> Result<Arc<Filter>, Vec<RegexError>> {
        let known = self.filters.get(spec).and_then(|known| known.filter.upgrade());
        if let Some(filter) = known {
            return Ok(filter);
        }
        let filter = Arc::new(Filter::new(spec)?);
        self.filters.retain(|_, known| known.filter.strong_count() > 0);
        let known = Known { filter: Arc::downgrade(&filter), report: None };
        self.filters.insert(spec.clone(), known);
        Ok(filter)
    }

    /// What `filter` was compiled from; `None`: it is not of this library.
    pub fn spec_of(&self, filter: &Arc<Filter>) -> Option<&FilterSpec> {
        let is_it = |known: &Known| std::ptr::eq(known.filter.as_ptr(), Arc::as_ptr(filter));
        self.filters.iter().find(|(_, known)| is_it(known)).map(|(spec, _)| spec)
    }

    /// What is to be said of the filter for `spec`. It is worked out once for a filter in use.
    pub fn report(&mut self, spec: &FilterSpec) -> Arc<Report> {
        match self.filters.get_mut(spec) {
            Some(known) => {
                Arc::clone(known.report.get_or_insert_with(|| Arc::new(Report::of(spec))))
            }
            None => Arc::new(Report::of(spec)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_specs_share_a_filter_while_it_is_held() {
        let spec = |regex: &str| FilterSpec { failregex: vec![regex.into()], ..Default::default() };
        let mut library = Library::new();
        let first = library.get(&spec("a <HOST>")).unwrap();
        assert!(Arc::ptr_eq(&first, &library.get(&spec("a <HOST>")).unwrap()));
        let other = library.get(&spec("b <HOST>")).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let report = library.report(&spec("a <HOST>"));
        assert!(Arc::ptr_eq(&report, &library.report(&spec("a <HOST>"))));
        assert_eq!(report.injections.len(), 1, "{report:?}");
        drop(first);
        assert!(library.get(&spec("(")).is_err());
        drop(library.get(&spec("c <HOST>")).unwrap());
        assert_eq!(library.filters.len(), 2, "b, still held, and c, just made");
    }
}
