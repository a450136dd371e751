//! A datepattern, a NUL, and lines; an empty one stands for fail2ban's default templates.
//!
//! One piece at most is cut out of a line, and the rest is seen as it was.
#![no_main]

use std::sync::Arc;

use guard::filter::FilterSpec;
use guard_fuzz::{compiled, feed, judge, lines, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let [pattern, text] = parts(input);
    let spec = FilterSpec {
        failregex: vec!["from <HOST>".to_owned()],
        datepattern: Some(pattern.to_owned()).filter(|pattern| !pattern.is_empty()),
        ..FilterSpec::default()
    };
    let Some(filter) = compiled(&spec) else { return };
    let filter = Arc::new(filter.thorough());
    let mut judge = judge(&filter);
    for line in lines(text.as_bytes()) {
        feed(&mut judge, &line);
        if !line.contains('\x1b') {
            assert_one_cut(&line, judge.seen());
        }
    }
});

/// `seen` is `line` without one piece, and with a line end.
fn assert_one_cut(line: &str, seen: &str) {
    let (line, seen) = (line.as_bytes(), seen.strip_suffix('\n').expect("it has one").as_bytes());
    let left = line.iter().zip(seen).take_while(|(a, b)| a == b).count();
    let right = line.iter().rev().zip(seen.iter().rev()).take_while(|(a, b)| a == b).count();
    let is_cut = seen.len() <= line.len() && left + right >= seen.len();
    assert!(is_cut, "{:?} of {:?}", String::from_utf8_lossy(seen), String::from_utf8_lossy(line));
}
