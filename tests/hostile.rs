//! Lines and regexes that are made to cost time: each line is judged all the same, or
//! counted as given up.
//!
//! No test looks at a clock. Without the bounds they would not end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

use std::sync::Arc;
use std::time::Duration;

use guard::filter::{Filter, FilterSpec, Judge, Phase, Verdict, Who, parse_zone};
use guard::model::{MAX_LINE, Timestamp};

/// Blanks may be in the words and between them: there are as many ways to take a line
/// apart as there are sets of its blanks.
const WORDS: &str = r"^relayd: (?:[^\[\]]+ )*";

/// How many words the lines have.
const COUNTS: [usize; 6] = [24, 40, 100, 500, 1000, 2000];

fn compile(regex: &str) -> Result<Arc<Filter>, String> {
    let spec = FilterSpec { failregex: vec![regex.to_owned()], ..FilterSpec::default() };
    Filter::new(&spec).map(Arc::new).map_err(|errors| errors[0].to_string())
}

fn judge(regex: &str, backtracking: bool) -> Judge {
    let filter = compile(regex).unwrap();
    assert_eq!(filter.backtracking() > 0, backtracking, "the engine of {regex}");
    Judge::new(filter, parse_zone("UTC").unwrap(), Duration::from_secs(600))
}

/// Who failed in `line`; empty: nobody.
fn failed(judge: &mut Judge, line: &str) -> String {
    let now = Timestamp::from_second(1_750_000_000).unwrap();
    match judge.feed_text(line, None, now, Phase::Live) {
        Verdict::Failure(hit) => match hit.who {
            Who::Network(network) => network.to_string(),
            other => panic!("{other:?}"),
        },
        Verdict::Missed => String::new(),
        other => panic!("{other:?}"),
    }
}

fn words(count: usize, end: &str) -> String {
    format!("relayd: {}{end}", "w ".repeat(count))
}

#[test]
fn words_upon_words_cost_a_linear_regex_nothing() {
    let mut judge = judge(&format!(r"{WORDS}\[<HOST>\] sent a wrong secret$"), false);
    for count in COUNTS {
        let line = words(count, "[192.0.2.1] sent a wrong secret");
        assert_eq!(failed(&mut judge, &line), "192.0.2.1", "{count} words");
        for end in ["[192.0.2.1] sent a wrong secret?", "[192.0.2.1", "", "[] sent a wrong secret"]
        {
            assert_eq!(failed(&mut judge, &words(count, end)), "", "{count} words, {end}");
        }
    }
    assert_eq!(judge.given_up(), 0);
}

/// All of the line is there, and only the look-ahead forbids it: the engine would try
/// every way to take the words apart.
#[test]
fn words_upon_words_before_a_look_ahead_are_given_up_and_counted() {
    let mut judge = judge(&format!(r"{WORDS}\[<HOST>\] sent (?!no)\w+ secret$"), true);
    for (count, before) in COUNTS.into_iter().zip(0..) {
        let line = words(count, "[192.0.2.1] sent a secret");
        assert_eq!(failed(&mut judge, &line), "192.0.2.1", "{count} words");
        assert_eq!(judge.given_up(), before, "{count} words that match");
        // What does not even match without the look-ahead never gets to that engine.
        assert_eq!(failed(&mut judge, &words(count, "[192.0.2.1 sent a secret")), "");
        assert_eq!(judge.given_up(), before, "{count} words without a bracket");
        assert_eq!(failed(&mut judge, &words(count, "[192.0.2.1] sent no secret")), "");
        assert_eq!(judge.given_up(), before + 1, "{count} words that don't match");
    }
}

/// 99 bytes are enough: a bound on the line's length alone would be none.
#[test]
fn a_line_of_99_bytes_is_given_up() {
    let mut judge = judge(&format!(r"{WORDS}\[<HOST>\] sent (?!no)\w+ secret$"), true);
    let line = words(32, "[192.0.2.1] sent no secret").replacen("w ", "ww ", 1);
    assert_eq!(line.len(), 99);
    assert_eq!(failed(&mut judge, &line), "");
    assert_eq!(judge.given_up(), 1);
}

/// The longest lines are not given to the engine that turns back; they are counted.
#[test]
fn the_longest_lines_are_counted_and_not_run() {
    for end in ["from 192.0.2.1 ok", "from 192.0.2.1"] {
        let short = format!("{} {end}", "x".repeat(8 << 10));
        let long = format!("{} {end}", "x".repeat(MAX_LINE - 64));
        let mut linear = judge("from <HOST>(?: ok)?$", false);
        assert_eq!(failed(&mut linear, &long), "192.0.2.1");
        assert_eq!(linear.given_up(), 0);
        let mut irregular = judge("from <HOST>(?! port)", true);
        assert_eq!(failed(&mut irregular, &short), "192.0.2.1");
        assert_eq!(irregular.given_up(), 0);
        for times in 1..=3 {
            assert_eq!(failed(&mut irregular, &long), "");
            assert_eq!(irregular.given_up(), times);
        }
        assert_eq!(failed(&mut irregular, &"from ".repeat(MAX_LINE / 5)), "");
        assert_eq!(irregular.given_up(), 3, "a line without an address is not even a candidate");
    }
}

#[test]
fn quantifiers_of_quantifiers() {
    for tower in
        ["(?:(?:(?:a+)+)*)+", "(?:a|aa)+", "(?:a+a+)+", "(?:a*)*a", "(?:a+ ?)+", "(?:a|a)*"]
    {
        let mut linear = judge(&format!("^{tower} from <HOST>$"), false);
        let mut irregular = judge(&format!("^{tower} from <HOST>(?!!)(?:.|$)$"), true);
        for (count, lines) in [30, 300, 3000].into_iter().zip(1..) {
            let good = format!("{} from 192.0.2.1", "a".repeat(count));
            assert_eq!(failed(&mut linear, &good), "192.0.2.1", "{tower}");
            assert_eq!(failed(&mut linear, &format!("{good}!")), "", "{tower}");
            assert_eq!(failed(&mut irregular, &format!("{good}!")), "", "{tower}");
            assert!(irregular.given_up() <= lines, "{tower}");
        }
        assert_eq!(linear.given_up(), 0);
        // The engine sees through towers of one letter, and no others.
        let given_up = if tower.ends_with("*)+") || tower == "(?:a*)*a" { 0 } else { 3 };
        assert_eq!(irregular.given_up(), given_up, "{tower}");
    }
}

#[test]
fn back_references_to_anything() {
    for regex in [r"^(x+x+)+\1! from <HOST>$", r"^(?:(x+)\1)+! from <HOST>$"] {
        let mut judge = judge(regex, true);
        for (count, before) in [41, 401, 4001].into_iter().zip(0..) {
            // The gate takes the reference for anything at all.
            assert_eq!(failed(&mut judge, &format!("{}y! from 192.0.2.1", "x".repeat(count))), "");
            assert_eq!(judge.given_up(), before + 1, "{regex}, {count}");
        }
    }
}

#[test]
fn numbers_upon_numbers_are_refused() {
    for regex in [
        "(?:a{999}){999} <HOST>",
        "(?:a{999}){999}(?!b) <HOST>",
        "(?:(?:a{99}){99}){99} <HOST>",
        r"(?:\w{250}){250}(?=x) <HOST>",
        "a{4294967295} <HOST>",
        "(?:(?=a)a){4000000000} <HOST>",
        r"(?=(?:\w{99}){99})<HOST>",
    ] {
        let error = compile(regex).unwrap_err();
        assert!(error.contains("too large"), "{regex}: {error}");
    }
}

/// Each is small, and compiled by itself: only together are they gigabytes.
#[test]
fn hundreds_of_look_arounds_are_refused() {
    let each = (0..700).map(|number| format!(r"(?=\w{{30}}{number})"));
    let together = format!("{}<HOST>", each.clone().collect::<String>());
    assert!(compile(&together).unwrap_err().contains("too large together"));
    let failregex = each.map(|around| format!("{around}<HOST>")).collect();
    let errors = Filter::new(&FilterSpec { failregex, ..FilterSpec::default() }).unwrap_err();
    assert!(errors[0].what.contains("too large together"), "{errors:?}");
}

#[test]
fn thousands_of_alternatives() {
    let alternatives: Vec<_> = (0..1500).map(|number| format!("{number:03x}")).collect();
    let choice = format!("^(?:{})", alternatives.join("|"));
    let mut linear = judge(&format!("{choice}+ from <HOST>$"), false);
    let mut irregular = judge(&format!("{choice}{{1,9}} from <HOST>(?!!)"), true);
    for judge in [&mut linear, &mut irregular] {
        assert_eq!(failed(judge, "5db from 192.0.2.1"), "192.0.2.1");
        assert_eq!(failed(judge, "0005db from 192.0.2.1"), "192.0.2.1");
        assert_eq!(failed(judge, "fff from 192.0.2.1"), "");
        assert_eq!(failed(judge, &format!("{}f from 192.0.2.1", "5db".repeat(5000))), "");
        assert_eq!(judge.given_up(), 0);
    }
}

#[test]
fn deep_nesting_is_refused() {
    for depth in [101, 1000, 2000] {
        for (open, close) in [("(", ")"), ("(?:", ")*"), ("(?=", ")"), ("(?!(", "))")] {
            let regex = format!("{}{} <HOST>", open.repeat(depth), close.repeat(depth));
            let error = compile(&regex).map(drop).unwrap_err();
            let named = ["nest", "deep", "more than"].iter().any(|word| error.contains(word));
            assert!(named, "{depth} of {open}: {error}");
        }
    }
}

/// The daemon's name is made up from its regex, which is never compiled.
#[test]
fn a_daemon_of_nothing_over_and_over_has_no_name_to_wait_for() {
    for daemon in ["(?:(?:a*){4000000000}){4000000000}", "(?:(?:a?){4000000000}){4000000000}sshd"] {
        let spec = FilterSpec {
            failregex: vec!["from <HOST>".to_owned()],
            daemon: Some(daemon.to_owned()),
            ..FilterSpec::default()
        };
        assert!(Filter::new(&spec).is_ok(), "{daemon}");
    }
}
