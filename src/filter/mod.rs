//! (temporary: only the types that `labels` needs to compile; the real module replaces this file)
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(missing_docs, reason = "thrown away at the merge")]

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterSpec {
    pub failregex: Vec<String>,
    pub ignoreregex: Vec<String>,
}

pub struct Filter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegexPlace {
    Fail(usize),
    Ignore(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexError {
    pub place: RegexPlace,
    pub span: Range<usize>,
    pub what: String,
    pub remedy: Option<String>,
}

impl Filter {
    pub fn new(spec: &FilterSpec) -> Result<Filter, Vec<RegexError>> {
        let fails = spec.failregex.iter().enumerate().map(|(i, r)| (RegexPlace::Fail(i), r));
        let ignores = spec.ignoreregex.iter().enumerate().map(|(i, r)| (RegexPlace::Ignore(i), r));
        let errors: Vec<RegexError> = fails.chain(ignores).filter_map(check).collect();
        if errors.is_empty() { Ok(Filter) } else { Err(errors) }
    }
}

fn check((place, regex): (RegexPlace, &String)) -> Option<RegexError> {
    if matches!(place, RegexPlace::Fail(_)) && !regex.contains("<HOST>") {
        let what = "no `<HOST>` in it".to_owned();
        return Some(RegexError { place, span: 0..regex.len(), what, remedy: None });
    }
    // As long as the tag, so that places stay.
    let plain = regex.replace("<HOST>", "(?:.+)");
    let span = match regex_syntax::parse(&plain) {
        Ok(_) if regex::Regex::new(&plain).is_ok() => return None,
        Ok(_) => 0..regex.len(),
        Err(regex_syntax::Error::Parse(e)) => e.span().start.offset..e.span().end.offset,
        Err(_) => 0..regex.len(),
    };
    Some(RegexError { place, span, what: "bad regex".to_owned(), remedy: None })
}

#[derive(Default)]
pub struct Library {
    filters: HashMap<FilterSpec, Weak<Filter>>,
}

impl Library {
    pub fn get(&mut self, spec: &FilterSpec) -> Result<Arc<Filter>, Vec<RegexError>> {
        if let Some(filter) = self.filters.get(spec).and_then(Weak::upgrade) {
            return Ok(filter);
        }
        let filter = Arc::new(Filter::new(spec)?);
        self.filters.insert(spec.clone(), Arc::downgrade(&filter));
        Ok(filter)
    }
}
