//! `name[option=value, …]` of anybody.
//!
//! It is refused with its place, or comes back the same from how it is shown.
#![no_main]

use guard::filter::FilterReference;
use guard_fuzz::assert_within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    match input.parse::<FilterReference>() {
        Ok(reference) => {
            let shown = reference.to_string();
            let again = shown.parse::<FilterReference>();
            assert_eq!(again.as_ref(), Ok(&reference), "{shown:?} of {input:?}");
        }
        Err(error) => assert_within(&error.span, input, &error.what),
    }
});
