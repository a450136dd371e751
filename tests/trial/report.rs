//! What people see.

use super::*;

/// A log in which every kind of line is.
const LOG: &str = "\
2026-03-01 11:59:00 conn 7 opened by 192.0.2.1
2026-03-01 11:59:01 conn 7 refused joe
2026-03-01 11:59:03 conn 7 refused probe

2026-03-01 11:59:04 batch 1/2 198.51.100.7/24
2026-03-01 11:59:05 conn 7 refused ann
2026-03-01 11:59:06 conn 8 opend by 192.0.2.1
token \u{1b}[31mabc was wrong
";

#[test]
fn what_people_see() {
    let world = World::new(LOG).with("story.conf", STORY);
    let file = format!("{}/story.conf", world.folder().display());
    let output = world.test(&["--filter", "story"]);
    let regex_two = format!("   2)  [2]  {file}:3  ^\\s*conn <F-MLFID>");
    let words = [
        "  filter:   story\n",
        &format!("  read:     {file}\n"),
        "  regexes:  4 failregex, 1 ignoreregex\n",
        "  dates:    the usual ones\n",
        "Failregex: 4 total\n",
        regex_two.trim_start(),
        "Ignoreregex: 1 total\n",
        "Lines: 8 lines, 2 ignored, 3 matched, 3 missed\n",
        "1 of the ignored matched as a part of a connection's story (nofail)",
        "Matched lines, 3 of 3:\n",
        "     2  2026-03-01 11:59:01 UTC  192.0.2.1        user=joe",
        "Hosts by failures, 2 of 2:\n  2  192.0.2.1\n  1  198.51.100.0/24\n",
        "Missed lines, 2 of 3",
        "matches ` conn 8 open`, but then `d by 192.0.2.1` is not `ed</F-NOFAIL> by <HOST>$`",
        "     8: token \\x1b[31mabc was wrong\n",
        "matches `token \\x1b[31mabc `, but then `was wrong` is not `is wrong$`",
        "no date was found in it",
        "; searches given up after too many steps: 0]",
    ];
    check(&output, 0, &words);
    let told = text(&output.stdout);
    assert!(!told.contains("4)  ["), "a regex without hits is not listed: {told}");
    assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn verbose_shows_all_regexes() {
    let long = "x".repeat(200);
    let world = World::new(LOG);
    let output = world.test(&["-v", "--failregex", &format!("^{long} <HOST>"), "--journal"]);
    let words = [format!("[0]  command line  ^{long} <HOST>\n"), "the journal tells".to_owned()];
    check(&output, 0, &[&words[0], &words[1], "Failregex: 0 total"]);
}

#[test]
fn all_lines_can_be_shown_as_they_come() {
    let world = World::new(LOG).with("story.conf", STORY);
    let all = ["--filter", "story", "--print-all-missed", "--print-all-matched"];
    let told = text(&world.test(&all).stdout);
    let (before, _) = told.split_once("Results\n").unwrap();
    let lines: Vec<_> = before.lines().filter(|line| line.starts_with('m')).collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!(lines[0], "matched 2: 2026-03-01 11:59:01 conn 7 refused joe");
    assert_eq!(lines[1], "missed 4: ");
    assert_eq!(lines[5], "missed 8: token \\x1b[31mabc was wrong");
    let told = text(&world.test(&["--filter", "story"]).stdout);
    assert!(!told.contains("matched 2:"), "{told}");
}

#[test]
fn what_nearly_matched_is_told() {
    let told = |log: &str, arguments: &[&str], words: &str| {
        check(&World::new(log).test(arguments), 0, &[words]);
    };
    let one = ["--failregex", "^login failed for <HOST>$"];
    told("2026-03-01 11:59:00 login failed for 192.0.2.1\n", &one, "begin it with `^\\s*`");
    told("login faild\n", &one, "failregex 1 (command line) matches `login fail`, but then `d`");
    told("login\n", &one, "matches `login`, but then the end is not ` failed for <HOST>$`");
    let pref = ["--failregex", "a <HOST>$", "--prefregex", "^app: <F-CONTENT>.*</F-CONTENT>"];
    told("x\n", &pref, "prefregex (command line) does not match: `x` is not `app: <F-");
    let name = ["--failregex", "^login of <DNS>$"];
    told("login of a.example\n", &name, "matches, but finds no address (usedns is no)");
    let ahead = ["--failregex", "^user (?!joe)\\S+ <HOST>$"];
    told("user joe 192.0.2.1\n", &ahead, "but for its look-arounds");
    told("user joe 192.0.2.1\n", &ahead, "1 needs the backtracking engine");
}

#[test]
fn searches_that_are_given_up_are_counted() {
    let world = World::new(format!("user {}c b 192.0.2.1\n", "a".repeat(40)));
    let regex = ["--failregex", r"^user (a|aa)+\1b <HOST>$"];
    check(&world.test(&regex), 0, &["; searches given up after too many steps: 1]", "1 missed"]);
}

#[test]
fn help_teaches_by_example() {
    let world = World::new("");
    let words = [
        "no guard has to run",
        "Examples:",
        "guardctl test --filter sshd /var/log/auth.log",
        "nofail",
    ];
    check(&world.command(&["help", "test"]).output().unwrap(), 0, &words);
    check(
        &world.command(&["help", "filters"]).output().unwrap(),
        0,
        &["guardctl filters 'sshd[", "The first folder"],
    );
}
