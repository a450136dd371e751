//! A line on guardctl's socket.
//!
//! It is refused, or comes back the same from how guardctl would write it.
#![no_main]

use guard::control::print;
use guard::control::protocol::{decode_reply, decode_request, encode_reply, encode_request};
use guard::filter::parse_zone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(request) = decode_request(input) {
        let line = encode_request(&request);
        assert_eq!(decode_request(&line).as_ref(), Ok(&request), "{}", String::from_utf8_lossy(&line));
    }
    // guardctl reads what guard, or whoever sits at the socket in its place, answers.
    if let Ok(reply) = decode_reply(input) {
        assert!(decode_reply(&encode_reply(&reply)).is_ok());
        let zone = parse_zone("UTC").expect("it is known");
        for text in [print::text(&reply, &zone).out, print::json(&reply)] {
            let unsafe_one = |c: char| c.is_control() && !matches!(c, '\n' | '\x1b');
            assert!(!text.contains(unsafe_one), "{text:?}");
        }
    }
});
