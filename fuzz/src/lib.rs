//! What the fuzz targets share: how an input is taken apart, and what must hold of
//! everything that guard says.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use guard::filter::parse_zone;
use guard::filter::{Filter, FilterSpec, Hit, Judge, Phase, RegexError, RegexPlace, Verdict, Who};
use guard::model::{Address, Line, Network, Timestamp};

/// Between the parts of an input that is several texts.
pub const SEPARATOR: char = '\0';

/// The most lines of an input that are judged; more of them find nothing new.
const MOST_LINES: usize = 64;

/// The moment at which lines are judged.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_750_000_000).expect("it is in range")
}

/// A judge in UTC.
pub fn judge(filter: &Arc<Filter>) -> Judge {
    let zone = parse_zone("UTC").expect("it is known");
    Judge::new(Arc::clone(filter), zone, Duration::from_secs(600))
}

/// The parts of `input`; those that it lacks are empty.
pub fn parts<const N: usize>(input: &str) -> [&str; N] {
    let mut parts = input.splitn(N, SEPARATOR);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// The lines of `text`, as they come out of a log.
pub fn lines(text: &[u8]) -> Vec<String> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').take(MOST_LINES).map(Line::text_of).collect()
}

/// `span` is a place in `text`.
pub fn assert_within(span: &Range<usize>, text: &str, what: &str) {
    assert!(text.get(span.clone()).is_some(), "{span:?} is no place in {text:?}: {what}");
}

/// The filter of `spec`; what is wrong with it is shown where it is.
pub fn compiled(spec: &FilterSpec) -> Option<Arc<Filter>> {
    match Filter::new(spec) {
        Ok(filter) => Some(Arc::new(filter)),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            errors.iter().for_each(|error| assert_placed(error, spec));
            None
        }
    }
}

fn assert_placed(error: &RegexError, spec: &FilterSpec) {
    let text = match error.place {
        RegexPlace::Fail(index) => spec.failregex.get(index),
        RegexPlace::Ignore(index) => spec.ignoreregex.get(index),
        RegexPlace::Success(index) => spec.successregex.get(index),
        RegexPlace::Pref => spec.prefregex.as_ref(),
        RegexPlace::Date => spec.datepattern.as_ref(),
    };
    let text = text.unwrap_or_else(|| panic!("there is no {}", error.place));
    assert_within(&error.span, text, &error.to_string());
}

/// Judges a line without a time of its own.
pub fn feed(judge: &mut Judge, line: &str) -> Option<Hit> {
    match judge.feed_text(line, None, now(), Phase::Replay) {
        Verdict::Failure(hit) => Some(hit),
        Verdict::Missed | Verdict::Ignored | Verdict::NoFailure(_) | Verdict::TooOld | Verdict::LoggedIn(_) => None,
    }
}

/// Whoever failed is named in one of the texts that the regexes saw.
pub fn assert_named(who: &Who, seen: &[String]) {
    let named = match who {
        Who::Network(network) => seen.iter().any(|text| names(text, *network)),
        // What the regex took for a name may be put together of several groups.
        Who::Name(_) | Who::Text(_) => true,
    };
    assert!(named, "{who:?} stands nowhere in {seen:?}");
}

/// Does an address of `network` stand anywhere in `text`?
fn names(text: &str, network: Network) -> bool {
    /// The longest way to write an address: IPv6 with an IPv4 address at its end.
    const LONGEST: usize = 45;
    let bytes = text.as_bytes();
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    (0..bytes.len()).any(|start| {
        let len = bytes[start..].iter().take(LONGEST).take_while(|byte| is_part(byte)).count();
        (2..=len).any(|len| {
            let address = text[start..start + len].parse::<IpAddr>();
            address.is_ok_and(|address| network.contains(Address::new(address)))
        })
    })
}
