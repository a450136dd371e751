//! `guardctl try` on files: who would have been banned.

use super::*;

const REGEX: &str = "^\\s*login failed for .* from <HOST>$";

const LOG: &str = "\
2026-03-01 11:00:00 login failed for joe from 203.0.113.9
2026-03-01 11:00:10 login failed for joe from 203.0.113.9
2026-03-01 11:00:20 login failed for j\u{1b}[31moe from 203.0.113.9
2026-03-01 11:00:25 started
2026-03-01 11:00:30 login failed for joe from 127.0.0.1
2026-03-01 11:20:20 login failed for joe from 203.0.113.9
2026-03-01 11:20:21 login failed for joe from 203.0.113.9
2026-03-01 11:20:22 login failed for joe from 203.0.113.9
2026-03-01 11:20:23 login failed for joe from 198.51.100.7
";

impl World {
    fn tries(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&["try", "--now", "2026-03-01T12:00:00Z", "--file"]);
        command.arg(self.log()).args(arguments).output().unwrap()
    }

    /// The bans, as `ADDRESS SINCE UNTIL`, and the whole answer.
    fn bans(&self, arguments: &[&str]) -> (Vec<String>, Json) {
        let output = self.tries(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
        let word = |ban: &Json, key: &str| ban[key].as_str().unwrap_or("ever").to_owned();
        let bans = answer["bans"].as_array().unwrap().iter().map(|ban| {
            format!(
                "{} {} {}",
                word(ban, "network"),
                &word(ban, "since")[11..19],
                word(ban, "until")
            )
        });
        (bans.collect(), answer)
    }
}

#[test]
fn bans_come_and_go_in_the_time_of_the_lines() {
    let world = World::new(LOG);
    let (bans, answer) = world.bans(&["--failregex", REGEX, "--maxretry", "3"]);
    let expected =
        ["203.0.113.9 11:00:20 2026-03-01T11:10:20Z", "203.0.113.9 11:20:22 2026-03-01T11:30:22Z"];
    assert_eq!(bans, expected);
    let jail = &answer["jails"][0];
    assert_eq!((&jail["lines"], &jail["failures"]), (&json!(9), &json!(8)));
    assert_eq!((&jail["addresses"], &jail["ignored"]), (&json!(3), &json!(1)));
    assert_eq!(answer["never"][0]["network"], "127.0.0.1");
    let lines = answer["bans"][1]["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].as_str().unwrap().contains("11:20:20"));

    // The first ban still stands at the second three failures, and is prolonged.
    let (bans, answer) = world.bans(&["--failregex", REGEX, "--maxretry", "3", "--bantime", "1h"]);
    assert_eq!(bans, ["203.0.113.9 11:00:20 2026-03-01T12:20:22Z"]);
    assert_eq!(answer["bans"][0]["prolonged"], true);
    let (bans, _) = world.bans(&["--failregex", REGEX, "--maxretry", "3", "--bantime", "-1"]);
    assert_eq!(bans, ["203.0.113.9 11:00:20 ever"]);
}

#[test]
fn options_have_the_words_of_labels() {
    let world = World::new(LOG).with("app.conf", &format!("[Definition]\nfailregex = {REGEX}\n"));
    let check = |arguments: &[&str], count: usize| {
        assert_eq!(world.bans(arguments).0.len(), count, "{arguments:?}");
    };
    check(&["--filter", "app"], 0);
    check(&["--filter", "app", "--findtime", "1h"], 1);
    check(&["--filter", "app", "--maxretry", "6"], 0);
    check(&["--filter", "app", "--findtime", "5s", "--maxretry", "3"], 1);
    check(&["--filter", "app", "--maxretry", "3", "--ignoreip", "203.0.113.0/24"], 0);
    check(&["--filter", "app", "--maxretry", "3", "--ignoreregex", "from 203"], 0);
    check(&["--filter", "app", "--maxretry", "3", "--since", "2026-03-01T11:10:00Z"], 1);
    check(&["--filter", "app", "--set", "maxretry=3"], 2);
    let hour = world.bans(&["--filter", "app", "--maxretry", "3", "--logtimezone", "UTC+0100"]).0;
    assert!(hour[0].contains("10:00:20"), "{hour:?}");
}

#[test]
fn guards_own_variables_count() {
    let world = World::new(LOG);
    let mut command = world.command(&["try", "--now", "2026-03-01T12:00:00Z", "--json", "--file"]);
    command.arg(world.log()).args(["--failregex", REGEX]).env("GUARD_MAXRETRY", "3");
    command.env("GUARD_IGNOREIP", "198.51.100.0/24");
    let answer: Json = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(answer["bans"].as_array().unwrap().len(), 2);
    assert_eq!(answer["never"].as_array().unwrap().len(), 2);
    check(&command.env("GUARD_MAXRETRY", "x").output().unwrap(), 2, &["GUARD_MAXRETRY"]);
}

#[test]
fn several_files_are_one_log_in_whatever_order() {
    let world = World::new(LOG.lines().skip(2).collect::<Vec<_>>().join("\n"));
    let older = world.0.path().join("app.log.1");
    fs::write(&older, LOG.lines().take(2).collect::<Vec<_>>().join("\n")).unwrap();
    let older = older.to_str().unwrap();
    let (bans, answer) = world.bans(&["--file", older, "--failregex", REGEX, "--maxretry", "3"]);
    assert_eq!(bans.len(), 2, "{answer}");
    assert_eq!(answer["jails"][0]["lines"], 9);
}

#[test]
fn people_see_lines_escaped_and_totals() {
    let world = World::new(LOG);
    let output = world.tries(&["--failregex", REGEX, "--maxretry", "3"]);
    check(
        &output,
        0,
        &[
            "Jail log: 3 failures within 10m are a ban",
            "9 lines, 8 failures of 3 addresses",
            "Would have been banned (2):",
            "2026-03-01 11:00:20 UTC  log  203.0.113.9  for 10m, until 2026-03-01 11:10:20 UTC (3 failures)",
            "j\\x1b[31moe",
            "Never banned:\n  127.0.0.1  log  1 failure: ",
        ],
    );
    assert!(!text(&output.stdout).contains('\u{1b}'));
}

#[test]
fn what_is_wrong_is_said_as_for_labels() {
    let world = World::new(LOG);
    check(&world.tries(&[]), 2, &["--failregex or --filter"]);
    check(&world.tries(&["--failregex", "x(<HOST>"]), 2, &["guard.failregex"]);
    check(&world.tries(&["--failregex", REGEX, "--bantime", "1dw"]), 2, &["no unit of time"]);
    check(&world.tries(&["--failregex", REGEX, "--set", "maxretri=1"]), 2, &["guard.maxretry"]);
    check(&world.tries(&["--failregex", REGEX, "--set", "x"]), 2, &["OPTION=VALUE"]);
    check(&world.tries(&["--failregex", REGEX, "--file", "/nowhere"]), 1, &["/nowhere"]);
    check(&world.command(&["try"]).output().unwrap(), 2, &["SERVICE"]);
    let socket = ["--socket", "/nowhere/guard.sock", "try", "web"];
    check(&world.command(&socket).output().unwrap(), 3, &["no guard answers"]);
}
