//! Filter files of anybody: how the filter is asked for, its `.conf`, what that may
//! include, its `.local`, with a NUL between one and the next.
//!
//! Whatever is in them, reading them ends, and mistakes are shown at lines that exist.
#![no_main]

use guard::filter::{FilterFileError, FilterFiles, FilterReference, load};
use guard_fuzz::{compiled, parts};
use libfuzzer_sys::fuzz_target;

/// The filter's name.
const NAME: &str = "mine";

/// What may be included.
const INCLUDED: &str = "common.conf";

fuzz_target!(|input: &str| {
    let [options, conf, included, local] = parts(input);
    let files = Files { conf, included, local };
    let asked = format!("{NAME}[{options}]").parse();
    let asked =
        asked.unwrap_or_else(|_| FilterReference { name: NAME.into(), ..Default::default() });
    match load(&asked, &files) {
        Ok(loaded) => {
            assert_eq!(loaded.spec.failregex.len(), loaded.fail_places.len());
            assert_eq!(loaded.spec.ignoreregex.len(), loaded.ignore_places.len());
            drop(compiled(&loaded.spec));
        }
        Err(FilterFileError::Wrong { place, .. }) => {
            let text = files.read("mem", place.file.rsplit('/').next().unwrap_or_default());
            let lines = text.ok().flatten().map_or(0, |text| text.lines().count());
            assert!(place.line as usize <= lines + 1, "{place} is behind the end, line {lines}");
        }
        Err(error @ FilterFileError::NotFound { .. }) => panic!("{error}"),
    }
});

struct Files<'t> {
    conf: &'t str,
    included: &'t str,
    local: &'t str,
}

impl FilterFiles for Files<'_> {
    fn folders(&self) -> Vec<String> {
        vec!["mem".to_owned()]
    }

    fn read(&self, _: &str, name: &str) -> Result<Option<String>, String> {
        Ok(match name {
            "mine.conf" => Some(self.conf.to_owned()),
            "mine.local" => Some(self.local.to_owned()),
            INCLUDED => Some(self.included.to_owned()),
            _ => None,
        })
    }

    fn list(&self, _: &str, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}
