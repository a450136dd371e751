//! Where options were set.

use super::*;
use crate::filters::Catalog;
use crate::model::{Origin, Written};

/// `option value origin`, one a line, of a jail; `other` are the options to look at.
fn check(labels: &[(&str, &str)], variables: &[(&str, &str)], at: usize, expected: &[[&str; 3]]) {
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (defaults, wrong) = Defaults::new("guard", &variables);
    assert_eq!(wrong, []);
    let mut library = Library::of(Catalog::new(""));
    let mut container = container(labels);
    container.own = labels.iter().any(|(key, _)| key.ends_with("recidive"));
    let reading = read(&container, &defaults, &mut library);
    let errors = reading.complaints.iter().filter(|told| told.severity == Severity::Error);
    let errors: Vec<String> = errors.map(Complaint::render).collect();
    assert_eq!(errors, [""; 0], "{labels:?}");
    let jail = &reading.jails[at];
    for [option, value, origin] in expected {
        let all: Vec<(String, String)> = jail
            .written
            .iter()
            .filter(|written| written.option == *option)
            .map(|written| {
                let origin = match &written.origin {
                    Origin::Label(key) => key.clone(),
                    Origin::Variable(name) => name.clone(),
                    Origin::Filter(name) => format!("filter {name}"),
                    Origin::Default => "default".to_owned(),
                };
                (written.value.clone(), origin)
            })
            .collect();
        let is_there = all.contains(&((*value).to_owned(), (*origin).to_owned()));
        assert!(is_there || (all.is_empty() && value.is_empty()), "{option}: {all:?}");
    }
}

#[test]
fn the_nearest_layer_counts_and_is_named() {
    let variables = [("BANTIME", " 1h"), ("FINDTIME", "2h"), ("MAXRETRY", "9"), ("DRYRUN", "")];
    let labels = [
        FAIL,
        ("guard.maxretry", "3 "),
        ("Guard.jails.login.MaxRetry", "4"),
        ("guard.jails.login.failregex.0", "a <HOST>"),
        ("guard.jails.login.failregex.1", "b <HOST>"),
        ("guard.findtime", "1d 3h"),
        ("guard.ignoreip", "192.0.2.1"),
        ("guard.stream", "stdout"),
    ];
    let own = [
        ["failregex", FAIL.1, FAIL.0],
        ["maxretry", "3", "guard.maxretry"],
        ["findtime", "1d 3h", "guard.findtime"],
        ["bantime", "1h", "GUARD_BANTIME"],
        ["dryrun", "false", "default"],
        ["chain", "DOCKER-USER", "default"],
        ["name", "shop-web", "default"],
        ["stream", "stdout", "guard.stream"],
        ["prefregex", "", ""],
        ["usedns", "no", "default"],
    ];
    check(&labels, &variables, 0, &own);
    let further = [
        ["failregex", "a <HOST>", "guard.jails.login.failregex.0"],
        ["failregex", "b <HOST>", "guard.jails.login.failregex.1"],
        ["maxretry", "4", "Guard.jails.login.MaxRetry"],
        ["findtime", "1d 3h", "guard.findtime"],
        ["ignoreip", "192.0.2.1", "guard.ignoreip"],
        ["bantime", "1h", "GUARD_BANTIME"],
        ["stream", "both", "default"],
    ];
    check(&labels, &variables, 1, &further);
}

#[test]
fn what_the_filter_says_is_its_own() {
    let labels =
        [("guard.filter", "sshd"), ("guard.failregex", "x <HOST>"), ("guard.logpath", "/a\n/b")];
    let expected = [
        ["filter", "sshd", "guard.filter"],
        ["failregex", "x <HOST>", "guard.failregex"],
        ["logpath", "/a", "guard.logpath"],
        ["logpath", "/b", "guard.logpath"],
        ["stream", "", ""],
    ];
    check(&labels, &[], 0, &expected);
    let mut library = Library::of(Catalog::new(""));
    let reading = read(&container(&labels), &Defaults::default(), &mut library);
    let of_filter = |written: &&Written| written.origin == Origin::Filter("sshd".into());
    let from: Vec<_> = reading.jails[0].written.iter().filter(of_filter).collect();
    assert!(from.iter().any(|written| written.option == "failregex"), "{from:?}");
}

#[test]
fn a_jail_of_bans_takes_no_limits_from_elsewhere() {
    let labels = [("guard.recidive", "true"), ("guard.bantime", "2w")];
    let expected = [
        ["bantime", "2w", "guard.bantime"],
        ["maxretry", "5", "default"],
        ["blocktype", "drop", "GUARD_BLOCKTYPE"],
        ["usedns", "", ""],
    ];
    check(&labels, &[("MAXRETRY", "3"), ("BLOCKTYPE", "drop"), ("USEDNS", "warn")], 0, &expected);
}
