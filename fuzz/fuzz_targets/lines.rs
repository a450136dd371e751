//! A letter for a filter (see [`FILTERS`]), and lines of anybody.
//!
//! Passing over the lines of a chunk that can't match finds exactly the failures that
//! looking at each line finds, and what the backtracking engine gives up is bounded.
#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use guard::filter::{Carrier, Filter, Judge, Phase, Verdict, Who};
use guard::filters::Catalog;
use guard::model::{Line, Timestamp};
use guard_fuzz::{compiled, judge, now};
use libfuzzer_sys::fuzz_target;

/// Some of guard's own: `a` is the first.
const FILTERS: [&str; 6] =
    ["sshd[mode=aggressive]", "postfix", "nginx-http-auth", "wordpress", "owncloud", "recidive"];

/// Those of the folder that `GUARD_FUZZ_FILTERS` names; they come behind guard's own.
const FURTHER: [&str; 5] =
    ["sshd[mode=aggressive]", "dovecot", "domino-smtp", "apache-auth", "asterisk"];

/// How often a search may be made of one line: with and without escapes, in three views;
/// an ignoreregex before and after the failregex.
const SEARCHES: u64 = 12;

/// A filter, and the same filter that looks at every line.
struct Pair {
    name: &'static str,
    quick: Arc<Filter>,
    thorough: Arc<Filter>,
}

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let own = FILTERS.iter().map(|name| pair(name, &Catalog::new("")));
    let folder = std::env::var("GUARD_FUZZ_FILTERS").ok().filter(|folder| !folder.is_empty());
    let further = folder.into_iter().flat_map(|folder| {
        let catalog = Catalog::without_own(vec![PathBuf::from(folder)]);
        FURTHER.map(|name| pair(name, &catalog))
    });
    own.chain(further).collect()
});

fn pair(name: &'static str, catalog: &Catalog) -> Pair {
    let asked = name.parse().expect("it is a filter's name");
    let loaded = catalog.load(&asked).unwrap_or_else(|error| panic!("{name}: {error}"));
    let quick = compiled(&loaded.spec).unwrap_or_else(|| panic!("{name} does not compile"));
    let thorough = Arc::new(quick.thorough());
    Pair { name, quick, thorough }
}

fuzz_target!(|input: &[u8]| {
    let Some((letter, chunk)) = input.split_first() else { return };
    let pair = &PAIRS[usize::from(letter.wrapping_sub(b'a')) % PAIRS.len()];
    for carrier in [Carrier::Log, Carrier::Journal] {
        let at = (carrier == Carrier::Journal).then(now);
        let mut quick = judge(&pair.quick).on(carrier);
        let mut thorough = judge(&pair.thorough).on(carrier);
        let by_chunk = by_chunk(&mut quick, &pair.quick, chunk, at);
        let by_line = by_line(&mut thorough, chunk, at);
        assert_eq!(by_chunk, by_line, "{} on {carrier:?}", pair.name);
        let lines = chunk.split(|byte| *byte == b'\n').count() as u64;
        let most = SEARCHES * lines * pair.quick.backtracking() as u64;
        for judge in [&quick, &thorough] {
            assert!(judge.given_up() <= most, "{}: {} given up", pair.name, judge.given_up());
        }
    }
});

/// Where in the chunk the line is, who failed in it, by which regex and in how many lines.
type Failure = (usize, Who, usize, u32);

fn by_chunk(
    judge: &mut Judge,
    filter: &Filter,
    chunk: &[u8],
    at: Option<Timestamp>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut from = 0;
    for line in filter.candidates(chunk) {
        let text = Line::text_of(&chunk[line.clone()]);
        let verdict = judge.feed_after(&chunk[from..line.start], &text, at, (now(), Phase::Replay));
        failures.extend(failure(line.start, verdict));
        from = (line.end + 1).min(chunk.len());
    }
    failures
}

fn by_line(judge: &mut Judge, chunk: &[u8], at: Option<Timestamp>) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut start = 0;
    for line in chunk.split(|byte| *byte == b'\n') {
        let verdict = judge.feed_text(&Line::text_of(line), at, now(), Phase::Replay);
        failures.extend(failure(start, verdict));
        start += line.len() + 1;
    }
    failures
}

fn failure(start: usize, verdict: Verdict) -> Option<Failure> {
    match verdict {
        Verdict::Failure(hit) => Some((start, hit.who, hit.regex, hit.lines)),
        Verdict::Missed | Verdict::Ignored | Verdict::NoFailure(_) | Verdict::TooOld | Verdict::LoggedIn(_) => None,
    }
}
