//! Filters that are in use, so that equal ones are compiled once.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::{Filter, FilterSpec, RegexError};

/// Compiles each distinct [`FilterSpec`] once, however many containers have it. A
/// filter that nobody holds any more is forgotten.
#[derive(Debug, Default)]
pub struct Library {
    filters: HashMap<FilterSpec, Weak<Filter>>,
}

impl Library {
    /// An empty library.
    pub fn new() -> Library {
        Library::default()
    }

    /// The filter for `spec`: the one in use, or a new one.
    ///
    /// # Errors
    /// All that is wrong with the spec, see [`Filter::new`].
    pub fn get(&mut self, spec: &FilterSpec) -> Result<Arc<Filter>, Vec<RegexError>> {
        if let Some(filter) = self.filters.get(spec).and_then(Weak::upgrade) {
            return Ok(filter);
        }
        let filter = Arc::new(Filter::new(spec)?);
        self.filters.retain(|_, filter| filter.strong_count() > 0);
        self.filters.insert(spec.clone(), Arc::downgrade(&filter));
        Ok(filter)
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
        drop(first);
        assert!(library.get(&spec("(")).is_err());
        drop(library.get(&spec("c <HOST>")).unwrap());
        assert_eq!(library.filters.len(), 2, "b, still held, and c, just made");
    }
}
