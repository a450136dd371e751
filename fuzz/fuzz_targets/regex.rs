//! A regex in Python's dialect, a NUL, and lines.
//!
//! It is compiled or refused with its place, and whoever is found stands in the text.
#![no_main]

use guard::filter::FilterSpec;
use guard_fuzz::{assert_named, compiled, feed, judge, lines, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let [regex, text] = parts(input);
    let spec = FilterSpec { failregex: vec![regex.to_owned()], ..FilterSpec::default() };
    let Some(filter) = compiled(&spec) else { return };
    let mut judge = judge(&filter);
    // A connection's address may be in one of its earlier lines.
    let mut seen = Vec::new();
    for line in lines(text.as_bytes()) {
        let hit = feed(&mut judge, &line);
        seen.push(judge.seen().to_owned());
        if let Some(hit) = hit {
            assert_named(&hit.who, &seen);
        }
    }
    // Each line is searched as it is, without its date, and without escapes.
    let most = 6 * seen.len() as u64 * filter.backtracking() as u64;
    assert!(judge.given_up() <= most, "{} searches given up, of {most}", judge.given_up());
});
