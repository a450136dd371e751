use proptest::prelude::*;

use super::*;
use crate::filter::RegexPlace::{Fail, Ignore, Pref};
use crate::filters::Catalog;

fn spec(failregex: &[&str]) -> FilterSpec {
    let failregex = failregex.iter().map(|regex| (*regex).to_owned()).collect();
    FilterSpec { failregex, ..FilterSpec::default() }
}

/// What each report says is so.
fn verify(spec: &FilterSpec, found: &[Injection]) {
    let filter = Arc::new(Filter::new(spec).unwrap());
    for Injection { place, span, line, banned, client, anchored, .. } in found {
        assert_eq!(failure(&filter, line).unwrap().0, *banned, "{line}");
        assert!(line.contains(client) && banned != client, "{line}");
        let regex = match place {
            Fail(at) => &spec.failregex[*at],
            _ => spec.prefregex.as_ref().unwrap(),
        };
        assert!(regex.get(span.clone()).is_some(), "{span:?} in {regex}");
        let Some(anchored) = anchored else { continue };
        let mut mended = spec.clone();
        match place {
            Fail(at) => mended.failregex = vec![anchored.clone(); at + 1],
            _ => mended.prefregex = Some(anchored.clone()),
        }
        let mended = Arc::new(Filter::new(&mended).unwrap());
        assert_ne!(failure(&mended, line).map(|(who, _)| who).as_ref(), Some(banned), "{anchored}");
    }
}

/// `regex` can be turned against others by what is at `blamed`, and `anchored` can't.
#[track_caller]
fn forged(regex: &str, blamed: &str, line: &str, anchored: &str) {
    let spec = spec(&[regex]);
    let found = lint(&spec);
    assert_eq!(found.len(), 1, "{regex}: {found:?}");
    verify(&spec, &found);
    assert_eq!(&regex[found[0].span.clone()], blamed, "{regex}");
    assert_eq!(found[0].line, line, "{regex}");
    assert_eq!(found[0].anchored.as_deref().unwrap_or_default(), anchored, "{regex}");
}

#[track_caller]
fn clean(regex: &str) {
    assert_eq!(lint(&spec(&[regex])), [], "{regex}");
}

#[test]
fn a_wildcard_before_the_address() {
    forged(
        r"Login failed for user '.*?' \[IP: <HOST>\]",
        ".*?",
        "Login failed for user 'x' [IP: 192.0.2.66]' [IP: 198.51.100.7]",
        r"Login failed for user '.*?' \[IP: <HOST>\]$",
    );
    forged(
        r"^user=<F-USER>\S+</F-USER> from <HOST>",
        r"\S+",
        "user=x from 192.0.2.66 from 198.51.100.7",
        r"^user=<F-USER>\S+</F-USER> from <HOST>$",
    );
    forged(
        r"^bad user (?P<name>.+?) at <HOST>, .+$",
        ".+?",
        "bad user x at 192.0.2.66, bob at 198.51.100.7, bob",
        "",
    );
    forged(
        r"^Login failed for user '[^']*' \[IP: <HOST>\]",
        "[^']*",
        "Login failed for user 'x' [IP: 192.0.2.66]' [IP: 198.51.100.7]",
        r"^Login failed for user '[^']*' \[IP: <HOST>\]$",
    );
    forged(
        r"^no (?:entry: .*)? from <HOST>\b",
        ".*",
        r#"no entry: bob from 198.51.100.7 user="x from 192.0.2.66""#,
        r"^no (?:entry: .*)? from <HOST>\b$",
    );
    clean(r"^Login failed for user '.*' \[IP: <HOST>\]$");
    clean(r"^Login failed for user '.*?' \[IP: <HOST>\]$");
    clean(r"Login failed for user '.*' \[IP: <HOST>\]$");
    clean(r"^Login failed for user '[^']*' \[IP: <HOST>\]$");
    clean(r"^Login failed for user '\w*' \[IP: <HOST>\]$");
    clean(r"^bad host \w+ at <HOST>");
}

#[test]
fn a_wildcard_that_reaches_behind_the_address() {
    forged(
        r"Login failed for user '.*' \[IP: <HOST>\]",
        ".*",
        r#"Login failed for user 'bob' [IP: 198.51.100.7] user="x' [IP: 192.0.2.66]""#,
        r"Login failed for user '.*' \[IP: <HOST>\]$",
    );
    forged(
        r"^login of .* from <HOST>, agent .*$",
        ".*",
        "login of bob from 198.51.100.7, agent x from 192.0.2.66, agent bob",
        "",
    );
    clean(r"^<HOST> .* denied");
    clean(r"^login from <HOST> as .*$");
}

#[test]
fn a_match_anywhere() {
    forged(
        "refused <HOST>",
        "",
        r#"198.51.100.7 searched for "refused 192.0.2.66" and found nothing"#,
        "refused <HOST>$",
    );
    forged(
        "(?i)refused <HOST>|denied <HOST_>",
        "",
        r#"198.51.100.7 searched for "refused 192.0.2.66" and found nothing"#,
        "(?i)(?:refused <HOST>|denied <HOST_>)$",
    );
    clean("^refused <HOST>");
    clean("refused <HOST>$");
    // Whoever writes JSON escapes the quotes in it.
    clean(r#""message":"Login failed: '.*' \(Remote IP: '<HOST>'\)""#);
    clean(r#""message":"Login failed: '.*?' \(Remote IP: '<HOST>'\)""#);
}

#[test]
fn addresses_of_one_kind() {
    let found = lint(&spec(&["refused <IP6>"]));
    verify(&spec(&["refused <IP6>"]), &found);
    assert_eq!(found[0].banned, "2001:db8:bad::66");
    assert_eq!(lint(&spec(&["refused <IP4>/<CIDR>"]))[0].banned, "192.0.2.66");
    assert_eq!(lint(&spec(&["refused (?P<ip4>[0-9.]+)!"]))[0].banned, "192.0.2.66");
}

#[test]
fn the_wildcard_may_be_prefregexes() {
    let spec = FilterSpec {
        prefregex: Some("^app: .*?<F-CONTENT>bad .+</F-CONTENT>$".to_owned()),
        ..spec(&["^bad login from <HOST>"])
    };
    let found = lint(&spec);
    verify(&spec, &found);
    assert_eq!((found.len(), found[0].place, found[0].span.clone()), (1, Pref, 6..9));
}

#[test]
fn the_filter_as_a_whole_decides() {
    let ignored = FilterSpec {
        ignoreregex: vec!["searched for".to_owned(), "user=".to_owned()],
        ..spec(&["bad login from <HOST>"])
    };
    assert_eq!(lint(&ignored), []);
    let both = ["^.*login from <HOST>$", "login from <HOST>"];
    let found = lint(&spec(&both));
    verify(&spec(&both), &found);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, Fail(1));
}

#[test]
fn what_is_not_looked_at() {
    clean("a (<HOST>");
    clean("(?:(?:bad|good){90}){90} <HOST>");
    let several = FilterSpec { max_lines: 2, ..spec(&["refused <HOST>"]) };
    assert_eq!((lint(&several), notes(&several)), (vec![], vec![]));
    let long = spec(&[&format!("{}<HOST>", "x".repeat(MAX_REGEX))]);
    assert_eq!(lint(&long), []);
    assert!(notes(&long)[0].what.contains("too large"));
    let heavy = spec(&["(?:(?:bad|good){40}){40} <HOST>", "^fine <HOST>$"]);
    assert_eq!((lint(&heavy), notes(&heavy)[0].place, notes(&heavy).len()), (vec![], Fail(0), 1));
}

/// What is said of a filter, without its lines.
fn said(spec: &FilterSpec) -> Vec<(RegexPlace, String)> {
    notes(spec).into_iter().map(|note| (note.place, note.what)).collect()
}

#[test]
fn a_date_in_a_failregex() {
    let regex = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d bad <HOST>$";
    let found = notes(&spec(&[regex]));
    assert!(found[0].what.contains("never matches") && found[0].files_only, "{found:?}");
    assert_eq!(found[0].line.as_deref(), Some("2012-12-12 12:12:12 bad 198.51.100.7"));
    let none = FilterSpec { datepattern: Some("{NONE}".to_owned()), ..spec(&[regex]) };
    assert_eq!(said(&none), []);
    assert_eq!(said(&spec(&[r"^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)? ?bad <HOST>$"])), []);
    assert_eq!(said(&spec(&[r"^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d bad <HOST>$"])).len(), 1);
}

#[test]
fn a_failregex_that_is_never_first() {
    let found = said(&spec(&["^bad .* from <HOST>$", "^bad day from <HOST>$", "^good <HOST>$"]));
    assert_eq!(found, [(Fail(1), "failregex 1 takes all lines of this one".to_owned())]);
    assert_eq!(said(&spec(&["^bad day from <HOST>$", "^bad .* from <HOST>$"])), []);
}

#[test]
fn an_ignoreregex_that_leaves_nothing() {
    let with = |ignore: &[&str]| {
        let ignoreregex = ignore.iter().map(|regex| (*regex).to_owned()).collect();
        said(&FilterSpec { ignoreregex, ..spec(&["^bad <HOST>$", "^worse from <HOST>$"]) })
    };
    let told = "this ignores every failure, so nobody is ever banned".to_owned();
    assert_eq!(with(&["good", ".*"]), [(Ignore(1), told)]);
    assert_eq!(with(&["good", "^bad"]), []);
}

#[test]
fn a_wildcard_that_eats_the_address() {
    let found = said(&spec(&["^bad .*<HOST>$"]));
    assert!(found[0].1.contains("bans 8.51.100.7"), "{found:?}");
    assert_eq!(said(&spec(&["^bad .* <HOST>$"])), []);
}

/// guard's own filters are clean, except where the daemons themselves (PAM, version 1 of
/// SSH, a guest's call in Asterisk) put a name that isn't quoted or escaped into a line that can look
/// the same for two addresses.
#[test]
fn guards_own_filters() {
    const KNOWN: &[(&str, RegexPlace)] = &[
        ("asterisk", Fail(1)),
        ("pam-generic", Fail(1)),
        ("pam-generic", Fail(2)),
        ("sshd", Fail(3)),
        ("vsftpd", Fail(0)),
    ];
    let catalog = Catalog::new("");
    let mut all = Vec::new();
    for listed in catalog.list() {
        let loaded = catalog.load(&listed.name.parse().unwrap()).unwrap();
        let found = lint(&loaded.spec);
        verify(&loaded.spec, &found);
        for each in found {
            if !KNOWN.contains(&(listed.name.as_str(), each.place)) {
                all.push(format!("{}: {each:#?}", listed.name));
            }
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "<HOST>", "<ADDR>", "<IP4>", ".*", ".*?", r"\S+", "[^']*", "(?:a b )*", r"\d+", "$",
            "^", "|", " from ", "user='", "' ", "é", r"\[", "(?!x)", "(?P<user>.*)", r"\b", "a?",
            "<F-USER>.+</F-USER>", "(?i:X)", "{3}", "[[:x", ")", r"(\w+) \1",
        ]).prop_map(str::to_owned),
        1 => "[a-z' ]{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn reports_are_true(
        parts in prop::collection::vec(part(), 1..8),
        second in prop::option::of(prop::collection::vec(part(), 1..5)),
        pref in prop::option::weighted(0.2, prop::collection::vec(part(), 0..3)),
    ) {
        let mut failregex = vec![parts.concat()];
        failregex.extend(second.map(|parts| parts.concat()));
        let prefregex = pref.map(|parts| format!("{}<F-CONTENT>.*</F-CONTENT>$", parts.concat()));
        let spec = FilterSpec { failregex, prefregex, ..FilterSpec::default() };
        let found = lint(&spec);
        let said = notes(&spec);
        if Filter::new(&spec).is_ok() {
            verify(&spec, &found);
        } else {
            prop_assert!(found.is_empty() && said.is_empty());
        }
    }
}
