//! A request on fail2ban's socket.
//!
//! It is refused, or its words are no more than the bytes that made them, and mean
//! something or nothing.
#![no_main]

use guard::control::fail2ban::{Command, words};
use libfuzzer_sys::fuzz_target;

/// The longest text that a pickle may make, however often it repeats itself.
const MOST: usize = 4 << 20;

fuzz_target!(|input: &[u8]| {
    match words(input) {
        Ok(words) => {
            assert!(words.len() <= input.len(), "{} words", words.len());
            assert!(words.iter().map(String::len).sum::<usize>() <= MOST + input.len());
            let _ = Command::parse(&words);
        }
        Err(why) => assert!(!why.is_empty() && why.len() < 500, "{why}"),
    }
});
