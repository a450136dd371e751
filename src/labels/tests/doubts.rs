//! Regexes that work, but hardly as meant.

use super::*;

#[test]
fn a_regex_that_lets_others_decide_is_a_warning() {
    let regexes = "fine <HOST>$\nLogin failed for user '.*' \\[IP: <HOST>\\]";
    let reading = reading(&container(&[("guard.failregex", regexes)]));
    assert_eq!(reading.jails.len(), 1, "the jail works");
    let [told] = reading.complaints.as_slice() else { panic!("{:?}", reading.complaints) };
    assert_eq!((told.severity, &told.value[told.span.clone()]), (Severity::Warning, ".*"));
    let remedy = told.remedy.as_deref().unwrap();
    assert!(remedy.contains("would get 192.0.2.66 banned: `Login failed"), "{remedy}");
    assert!(remedy.contains(r"`Login failed for user '.*' \[IP: <HOST>\]$`"), "{remedy}");
    assert!(remedy.contains("write `$$`"), "{remedy}");
}

#[test]
fn a_date_in_a_failregex_matters_for_files_only() {
    let regex = ("guard.failregex", r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d bad <HOST>$");
    assert_eq!(outcome(&[regex]).1, [""; 0]);
    let (_, told) = outcome(&[regex, ("guard.logpath", "/var/log/app.log")]);
    assert!(told[0].contains("in a log file this never matches"), "{told:?}");
}
