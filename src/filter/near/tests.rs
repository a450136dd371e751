use super::*;

fn spec(fail: &[&str]) -> FilterSpec {
    let failregex = fail.iter().map(|regex| (*regex).to_owned()).collect();
    FilterSpec { failregex, ..FilterSpec::default() }
}

/// What got furthest in `text`, as `REGEX: MATCHED TEXT | WHERE THE REGEX STOPPED`;
/// empty: nothing.
fn told(spec: &FilterSpec, text: &str) -> String {
    let mut nearest = Nearest::new(spec).unwrap();
    let Some(near) = nearest.look(&format!("{text}\n")) else { return String::new() };
    let regex = match near.place {
        RegexPlace::Fail(index) => &spec.failregex[index],
        _ => spec.prefregex.as_ref().unwrap(),
    };
    let stop = match near.stop {
        Stop::At(part) => regex[part].to_owned(),
        other => format!("{other:?}"),
    };
    format!("{}: {} | {stop}", near.place, &near.text[near.matched])
}

#[track_caller]
fn check(fail: &[&str], text: &str, expected: &str) {
    assert_eq!(told(&spec(fail), text), expected, "{fail:?} on {text}");
}

#[test]
fn the_longest_beginning_counts() {
    let one = ["^Failed password for <F-USER>\\S+</F-USER> from <HOST>$"];
    let check = |text: &str, matched: &str, stop: &str| {
        check(&one, text, &format!("failregex 1: {matched} | {stop}"));
    };
    let rest = "ord for <F-USER>\\S+</F-USER> from <HOST>$";
    check("Failed passwd for joe from x", "Failed passw", rest);
    check("Failed password for joe by x", "Failed password for joe ", "from <HOST>$");
    check("Failed password for joe from x", "Failed password for joe from ", "<HOST>$");
    let text = "Failed password for joe from 192.0.2.1 port";
    check(text, "Failed password for joe from 192.0.2.1", "$");
}

#[test]
fn what_gets_nowhere_is_not_told() {
    let one = ["^Failed password for <HOST>$"];
    check(&one, "Fa", "");
    check(&one, "x Failed password", "");
    check(&one, "", "");
    let long = format!("Failed password for {}", "x".repeat(MAX_TEXT));
    check(&one, &long, "");
    check(&["^.*<HOST>$"], "whatever it is", "");
}

#[test]
fn of_several_the_one_that_demands_most() {
    let several = ["^.*bad <HOST>$", "^login .* failed for <HOST>$", "^login .* refused <HOST>$"];
    check(&several, "login joe refused x", "failregex 3: login joe refused  | <HOST>$");
    check(&several, "login joe faild", "failregex 2: login joe fail | ed for <HOST>$");
    check(&several, "it is bad", "failregex 1: it is bad | \x20<HOST>$");
    check(&several, "login joe", "failregex 2: login  | \x20failed for <HOST>$");
}

#[test]
fn groups_alternatives_and_flags() {
    let regex = ["(?i)^(?:user (?:(?:a|b) x))? ?\\w+ denied <HOST>|^kicked (?P<nofail>by)$"];
    check(&regex, "JOE DENY", "failregex 1: JOE DEN | ied <HOST>");
    check(&regex, "KICKED x", "failregex 1: KICKED  | by)$");
    let nested = ["^(?:user (?P<user>\\w+):(?:a|b)) denied <HOST>"];
    check(&nested, "user joe:c denied", "failregex 1: user joe: | (?:a|b)) denied <HOST>");
    check(&nested, "user joe:a refused", "failregex 1: user joe:a  | denied <HOST>");
    check(&["^a.*?b{2,3}?c <HOST>"], "axbb bbd", "failregex 1: axbb | c <HOST>");
}

#[test]
fn what_only_the_backtracking_engine_says() {
    let regex = ["^user (?!joe)\\w+ from <HOST>$"];
    check(&regex, "user joe from 192.0.2.1", "failregex 1: user joe from 192.0.2.1 | Irregular");
    check(&["^same (a+) \\1x <HOST>$"], "same aa aay", "failregex 1: same aa  | x <HOST>$");
    check(
        &["^login of <DNS>$"],
        "login of host.example",
        "failregex 1: login of host.example | Nobody",
    );
}

#[test]
fn the_blank_that_a_date_leaves() {
    check(&["^login <HOST>$"], " login x", "failregex 1: login  | Blank");
    check(&["^\\s*login <HOST>$"], " login x", "failregex 1:  login  | <HOST>$");
    check(&["^login <HOST>$"], " other", "");
}

#[test]
fn prefregex_goes_first() {
    let mut spec = spec(&["^login failed for <HOST>$"]);
    spec.prefregex = Some("^app\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$".to_owned());
    let stop = "\\]: <F-CONTENT>.+</F-CONTENT>$";
    assert_eq!(told(&spec, "app[12: login"), format!("prefregex: app[1 | {stop}"));
    assert_eq!(told(&spec, "app[12]: login fail"), "failregex 1: login fail | ed for <HOST>$");
    assert_eq!(told(&spec, "app[12]: x"), "");
    let whole = "app\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$";
    assert_eq!(told(&spec, "x"), format!("prefregex:  | {whole}"));
}

#[test]
fn the_work_is_bounded() {
    let one = spec(&["^login <HOST>$"]);
    let mut nearest = Nearest::new(&one).unwrap();
    let found = nearest.look("log\n");
    assert!(found.is_some());
    let used = MAX_COMPILED - nearest.left;
    nearest.left = 0;
    assert_eq!(nearest.look("log\n"), found, "what is compiled is kept");
    assert_eq!(nearest.look("login\n"), None);
    nearest = Nearest::new(&one).unwrap();
    nearest.left = used - 1;
    assert_eq!(nearest.look("log\n"), None);
}
