//! Common mistakes, exactly as people see them.

use super::*;

/// The complaints of these labels, as a person sees them.
fn check(labels: &[(&str, &str)], rendered: &str) {
    let complaints = reading(&container(labels)).complaints;
    let got: Vec<String> = complaints.iter().map(Complaint::render).collect();
    let got = got.join("\n\n");
    assert_eq!(got, rendered.trim(), "\n{got}\n");
}

#[test]
fn common_mistakes_as_they_are_shown() {
    check(
        &[FAIL, ("guard.maxrety", "3")],
        r#"
error: unknown option `maxrety`
 --> container shop-web-1, label guard.maxrety
  |
1 | guard.maxrety
  |       ^^^^^^^
  |
  = help: did you mean `guard.maxretry`?
"#,
    );
    check(
        &[FAIL, ("guard.jail.login.maxretry", "3")],
        r#"
error: unknown option `jail.login.maxretry`
 --> container shop-web-1, label guard.jail.login.maxretry
  |
1 | guard.jail.login.maxretry
  |       ^^^^^^^^^^^^^^^^^^^
  |
  = help: did you mean `guard.jails.login.maxretry`?
"#,
    );
    check(
        &[FAIL, ("guard.maxretry", "five")],
        r#"
error: `five` is no whole number
 --> container shop-web-1, label guard.maxretry:1:1
  |
1 | five
  | ^^^^
  |
  = help: `maxretry` takes a whole number from 1 to 10000
"#,
    );
    check(
        &[FAIL, ("guard.maxretry", "\"5\"")],
        r#"
error: `"5"` is no whole number
 --> container shop-web-1, label guard.maxretry:1:1
  |
1 | "5"
  | ^^^
  |
  = help: the quotes are part of the value here; in a list, write `- "guard.maxretry=5"`
"#,
    );
    check(
        &[FAIL, ("guard.bantime", "1dw")],
        r#"
error: `dw` is no unit of time
 --> container shop-web-1, label guard.bantime:1:2
  |
1 | 1dw
  |  ^^
  |
  = help: the units are `s`, `m`, `h`, `d`, `w`, `mo` and `y`
"#,
    );
    check(
        &[FAIL, ("guard.findtime", "-1")],
        r#"
error: a time must be above 0
 --> container shop-web-1, label guard.findtime:1:1
  |
1 | -1
  | ^^
  |
  = help: `findtime` takes a time such as `600`, `10m` or `1d 3h`
"#,
    );
    check(
        &[FAIL, ("guard.chain", "FORWARD")],
        r#"
error: `FORWARD` is not allowed here
 --> container shop-web-1, label guard.chain:1:1
  |
1 | FORWARD
  | ^^^^^^^
  |
  = help: `chain` takes `DOCKER-USER` or `INPUT`, or both with a comma between
"#,
    );
    check(
        &[FAIL, ("guard.port", "80,htpps")],
        r#"
error: `htpps` is no port that guard knows by name
 --> container shop-web-1, label guard.port:1:4
  |
1 | 80,htpps
  |    ^^^^^
  |
  = help: did you mean `https`? Otherwise write the number
"#,
    );
    check(
        &[FAIL, ("guard.logpath", "/log/a.log\nlogs/b.log")],
        r#"
error: `logs/b.log` is not absolute
 --> container shop-web-1, label guard.logpath:2:1
  |
2 | logs/b.log
  | ^^^^^^^^^^
  |
  = help: write the path from `/` on, as the container names it
"#,
    );
    check(
        &[("guard.maxretry", "3")],
        r#"
error: the jail has neither `filter` nor `failregex`
 --> container shop-web-1, label guard.maxretry
  |
1 | guard.maxretry
  | ^^^^^^^^^^^^^^
  |
  = help: add one: it says which lines are failures, a failregex with `<HOST>` where the address is
"#,
    );
    check(
        &[("guard.failregex", "")],
        r#"
error: the value is empty
 --> container shop-web-1, label guard.failregex:1:1
  |
1 |
  | ^
  |
  = help: `failregex` takes regular expressions, one a line
"#,
    );
    check(
        &[FAIL, ("guard.ignoreip", "10.0.0.0/8 192.168.0.0/33")],
        r#"
error: `192.168.0.0/33` is no address, prefix or DNS name
 --> container shop-web-1, label guard.ignoreip:1:12
  |
1 | 10.0.0.0/8 192.168.0.0/33
  |            ^^^^^^^^^^^^^^
  |
  = help: `ignoreip` takes addresses, prefixes such as `192.0.2.0/24`, and DNS names
"#,
    );
    check(
        &[FAIL, ("guard.blocktype", "dorp")],
        r#"
error: `dorp` is not allowed here
 --> container shop-web-1, label guard.blocktype:1:1
  |
1 | dorp
  | ^^^^
  |
  = help: did you mean `drop`?
"#,
    );
    check(
        &[FAIL, ("guard.logtimezone", "Paris")],
        r#"
error: `Paris` is no time zone
 --> container shop-web-1, label guard.logtimezone:1:1
  |
1 | Paris
  | ^^^^^
  |
  = help: `logtimezone` takes a zone such as `Europe/Paris`, `UTC` or `UTC+0200`
"#,
    );
    check(
        &[FAIL, ("guard.name", "my web")],
        r#"
error: ` ` can't stand here in a name
 --> container shop-web-1, label guard.name:1:3
  |
1 | my web
  |   ^
  |
  = help: use letters, digits, `.`, `_` and `-`, the first a letter or digit
"#,
    );
    check(
        &[FAIL, ("guard.enable", "maybe")],
        r#"
error: `maybe` is not allowed here
 --> container shop-web-1, label guard.enable:1:1
  |
1 | maybe
  | ^^^^^
  |
  = help: `enable` takes `true` or `false`
"#,
    );
}

#[test]
fn what_is_wrong_bears_what_the_labels_say_to_notices() {
    let noticed = |labels: &[(&str, &str)]| -> Vec<(Option<String>, bool)> {
        let complaints = reading(&container(labels)).complaints;
        let one =
            |told: &Complaint| (told.jail.as_ref().map(JailName::to_string), told.is_noticed());
        complaints.iter().map(one).collect()
    };
    let wrong = ("guard.maxretry", "five");
    let own = || Some("shop-web".to_owned());
    assert_eq!(noticed(&[FAIL, wrong]), [(own(), true)]);
    for (wish, told) in [("false", false), ("banned", false), ("trouble", true), ("true", true)] {
        assert_eq!(noticed(&[FAIL, wrong, ("guard.notify", wish)]), [(own(), told)], "{wish}");
    }
    // The wish itself is wrong, in its value or its name.
    let all = noticed(&[FAIL, wrong, ("guard.notify", "never")]);
    assert!(all.len() == 2 && all.iter().all(|(_, told)| *told), "{all:?}");
    let all = noticed(&[FAIL, wrong, ("guard.notfy", "false")]);
    assert!(all.len() == 2 && all.iter().all(|(_, told)| *told), "{all:?}");
    let all = noticed(&[FAIL, ("guard.Notify", "true"), ("guard.notify", "false")]);
    assert_eq!(all, [(own(), true)], "nobody knows which of the two is meant");
    // A further jail takes it from the service, unless it is wrong there, or here.
    let further = [("guard.jails.x.failregex", "<HOST> ("), ("guard.notify", "false")];
    assert_eq!(noticed(&further), [(Some("shop-web-x".to_owned()), false)]);
    let more = |more| [further.as_slice(), &[("guard.jails.x.notify", more)]].concat();
    assert_eq!(noticed(&more("refused")), [(Some("shop-web-x".to_owned()), true)]);
    assert!(noticed(&more("never")).iter().all(|(_, told)| *told));
    // What belongs to no jail is the service's.
    assert_eq!(
        noticed(&[FAIL, ("guard.jails.-.maxretry", "5"), ("guard.notify", "false")]),
        [(None, false)]
    );
}
