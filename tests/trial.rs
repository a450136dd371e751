//! `guardctl test` and `guardctl filters`, the programs, on real files: verdicts, what
//! people see, exit codes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value as Json, json};

/// A folder with a log in it, and filters.
struct World(tempfile::TempDir);

impl World {
    fn new(log: impl AsRef<[u8]>) -> World {
        let world = World(tempfile::tempdir().unwrap());
        fs::write(world.log(), log).unwrap();
        fs::create_dir(world.folder()).unwrap();
        world
    }

    /// The same with a filter `NAME.conf`.
    fn with(self, name: &str, text: &str) -> World {
        fs::write(self.folder().join(name), text).unwrap();
        self
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("app.log")
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("filter.d")
    }

    /// Runs guardctl; nothing of the tester's own filters and zone is seen.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardctl"));
        let path = self.folder().display().to_string();
        command.args(arguments).env_clear().env("TZ", "UTC").env("GUARD_FILTER_PATH", path);
        command
    }

    fn test(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&["test", "--now", "2026-03-01T12:00:00Z"]);
        command.args(arguments).arg(self.log()).output().unwrap()
    }

    /// The verdicts in JSON, one a line of the log.
    fn verdicts(&self, arguments: &[&str]) -> Vec<Json> {
        let output = self.test(&[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(text(&output.stderr), "");
        objects(&output)
    }
}

fn objects(output: &Output) -> Vec<Json> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// It ended with `code`, and said all of `words` on the stream for that.
#[track_caller]
fn check(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let told = text(if code == 0 { &output.stdout } else { &output.stderr });
    for words in words {
        assert!(told.contains(words), "{words:?} is not in:\n{told}");
    }
}

const STORY: &str = "\
[Definition]
failregex = ^\\s*conn <F-MLFID>\\d+</F-MLFID> <F-NOFAIL>opened</F-NOFAIL> by <HOST>$
            ^\\s*conn <F-MLFID>\\d+</F-MLFID> refused <F-USER>\\S+</F-USER>$
            ^\\s*batch <F-TUPLE_CODE>\\d+</F-TUPLE_CODE>/<F-CODE>\\d+</F-CODE> <SUBNET>$
            ^\\s*token <F-ID>\\S+</F-ID> is wrong$
ignoreregex = refused probe$
";

#[test]
fn each_kind_of_verdict_in_json() {
    let world = World::new(
        "2026-03-01 11:59:00 conn 7 opened by 192.0.2.1\n\
         2026-03-01 11:59:01.250 conn 7 refused joe\n\
         \n\
         # 2026-03-01 11:59:02 conn 7 refused joe\n\
         2026-03-01 11:59:03 conn 7 refused probe\n\
         2026-03-01 11:59:04 batch 1/2 198.51.100.7/24\n\
         2026-03-01 11:59:05 token a\u{202e}b is wrong\n",
    )
    .with("story.conf", STORY);
    let rows = world.verdicts(&["--filter", "story"]);
    let verdicts: Vec<_> = rows.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    let expected = ["nofail", "matched", "missed", "missed", "ignored", "matched", "matched"];
    assert_eq!(verdicts, expected);
    assert_eq!(rows[0], json!({"line": 1, "verdict": "nofail", "regex": 1}));
    assert_eq!(rows[3], json!({"line": 4, "verdict": "missed"}));
    assert_eq!(rows[4], json!({"line": 5, "verdict": "ignored"}));
    let joe = &rows[1];
    assert_eq!((&joe["host"], &joe["regex"]), (&json!("192.0.2.1"), &json!(2)));
    assert_eq!((&joe["time"], &joe["attempts"]), (&json!("2026-03-01T11:59:01.25Z"), &json!(2)));
    assert_eq!(joe["groups"]["user"], "joe");
    assert_eq!(joe["groups"]["users"], json!(["joe"]));
    assert_eq!((&rows[5]["host"], &rows[5]["regex"]), (&json!("198.51.100.0/24"), &json!(3)));
    assert_eq!(rows[5]["groups"]["code"], json!(["2", "1"]));
    assert_eq!(rows[6]["host"], "a\u{202e}b");
}

#[test]
fn json_can_be_shown_on_a_terminal() {
    let world = World::new("token a\u{202e}\u{7}b is wrong\n").with("story.conf", STORY);
    let output = world.test(&["--json", "--filter", "story"]);
    assert!(text(&output.stdout).contains(r"a\u202e\u0007b"), "{output:?}");
}

#[test]
fn what_the_command_line_gives_adds_to_the_filter_or_replaces() {
    let world = World::new("a 192.0.2.1\nb 192.0.2.2\nb 192.0.2.3 x\nb host.example\n")
        .with("app.conf", "[Definition]\nfailregex = ^a <HOST>$\nprefregex = ^\\w <F-CONTENT>\n");
    let hosts = |arguments: &[&str]| {
        let rows = world.verdicts(arguments);
        let host = |row: &Json| row["host"].as_str().unwrap_or("-").to_owned();
        rows.iter().map(host).collect::<Vec<_>>().join(" ")
    };
    let add: [&str; 6] = ["--filter", "app", "--prefregex", "^", "--failregex", "^b <HOST>"];
    assert_eq!(hosts(&add), "192.0.2.1 192.0.2.2 192.0.2.3 -");
    assert_eq!(hosts(&[&add[..], &["--ignoreregex", "x$"]].concat()), "192.0.2.1 192.0.2.2 - -");
    let two = ["--failregex", "^a <HOST>", "--failregex", "^b <HOST>", "--usedns", "raw"];
    assert_eq!(hosts(&two), "192.0.2.1 192.0.2.2 192.0.2.3 host.example");
    let lines = ["--failregex", "^a <HOST>$<SKIPLINES>^b \\S+ x", "--maxlines", "3"];
    let rows = world.verdicts(&lines);
    assert_eq!((&rows[2]["host"], &rows[2]["attempts"]), (&json!("192.0.2.1"), &json!(2)));
}

#[test]
fn names_are_looked_up_when_asked() {
    let world = World::new("from localhost\nfrom no-such-host.invalid\n");
    let rows = world.verdicts(&["--failregex", "from <HOST>", "--usedns", "warn"]);
    let host = rows[0]["host"].as_str().unwrap();
    assert!(host == "127.0.0.1" || host == "::1", "{rows:?}");
    assert_eq!(rows[1]["verdict"], "missed");
}

#[test]
fn dates_are_read_in_the_zone_and_year_that_were_given() {
    let world = World::new("Aug 14 12:00:00 x 192.0.2.1\n");
    let time = |zone: &str, now: &str| {
        let output = world
            .command(&["test", "--json", "--failregex", "x <HOST>", "--now", now, "--timezone"])
            .args([zone.as_ref(), world.log().as_os_str()])
            .output()
            .unwrap();
        objects(&output)[0]["time"].as_str().unwrap().to_owned()
    };
    let summer = "2005-08-14T10:00:00Z";
    for zone in ["Europe/Paris", "UTC+0200", "CEST", "CET-01CEST-02,M3.5.0,M10.5.0"] {
        assert_eq!(time(zone, "2005-08-20T00:00:00Z"), summer, "{zone}");
    }
    assert_eq!(time("UTC", "2006-01-01T00:00:00Z"), "2005-08-14T12:00:00Z");
    let pattern = ["--datepattern", "^T=%Y%m%d", "--failregex", "x <HOST>"];
    let rows = World::new("T=20260102 x 192.0.2.1").verdicts(&pattern);
    assert_eq!(rows[0]["time"], "2026-01-02T00:00:00Z");
    check(&world.test(&["--failregex", "<HOST>", "--timezone", "Mars/Base"]), 2, &["Mars/Base"]);
    check(&world.test(&["--failregex", "<HOST>", "--timezone", "X1"]), 2, &["X1"]);
}

#[test]
fn the_journals_lines_are_of_now() {
    let filter =
        "[Definition]\nfailregex = ^<pre_<logtype>>bad <HOST>$\npre_file = f \npre_journal = j \n";
    let filter = filter.replace("f \n", "f:\n").replace("j \n", "j:\n");
    let world =
        World::new("j:bad 192.0.2.1\nf:bad 192.0.2.2\n2025-01-01 10:00:00 j:bad 192.0.2.3\n")
            .with("app.conf", &filter);
    let rows = world.verdicts(&["--filter", "app", "--journal"]);
    assert_eq!(rows[0]["time"], "2026-03-01T12:00:00Z");
    assert_eq!((&rows[1]["verdict"], &rows[2]["verdict"]), (&json!("missed"), &json!("missed")));
    let rows = world.verdicts(&["--filter", "app[logtype=file]", "--journal"]);
    assert_eq!((&rows[0]["verdict"], &rows[1]["host"]), (&json!("missed"), &json!("192.0.2.2")));
    let rows = world.verdicts(&["--filter", "app"]);
    assert_eq!((&rows[1]["host"], &rows[2]["verdict"]), (&json!("192.0.2.2"), &json!("missed")));
}

#[test]
fn lines_of_all_shapes() {
    let long = "y".repeat(70_000);
    let mut log = b"a 192.0.2.1\r\n\r\na \xff 192.0.2.2\na \0 192.0.2.3\n".to_vec();
    log.extend(format!("a 192.0.2.4 {long}\n{long} 192.0.2.5\n").into_bytes());
    log.extend("z".repeat(3 << 20).into_bytes());
    log.extend(b"\na 192.0.2.6");
    let world = World::new(&log);
    let regexes = ["--failregex", r"^a (?:\W )?<HOST>(?: y+)?$", "--failregex", "^y+ <HOST>"];
    let rows = world.verdicts(&regexes);
    let hosts: Vec<_> = rows.iter().map(|row| row["host"].as_str().unwrap_or("-")).collect();
    let all = ["192.0.2.1", "-", "192.0.2.2", "192.0.2.3", "192.0.2.4", "-", "-", "192.0.2.6"];
    assert_eq!(hosts, all, "what is beyond 64 KiB is cut");
    let numbers: Vec<_> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());

    let mut command = world.command(&["test", "--json", "-"]);
    command.args(regexes).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&log).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let same: Vec<_> = objects(&output).iter().map(|row| row["host"].clone()).collect();
    assert_eq!(same, rows.iter().map(|row| row["host"].clone()).collect::<Vec<_>>());
    assert!(World::new("").verdicts(&regexes).is_empty());
}

#[test]
fn what_is_wrong_is_shown_where_it_is() {
    let world = World::new("x\n")
        .with("app.conf", "[Definition]\nfailregex = ^a <HOST>$\n            ^b <HOST> (c$\n")
        .with("loop.conf", "[Definition]\nfailregex = <failregex>\n");
    let output = world.test(&["--filter", "app", "--failregex", "é (a <HOST>"]);
    let place = format!(" --> failregex 2, column 11 ({}/app.conf:3)", world.folder().display());
    let carets = "1 | ^b <HOST> (c$\n  |           ^";
    check(&output, 2, &[carets, &place, "failregex 3, column 3\n", "1 | é (a <HOST>\n  |   ^"]);
    assert_eq!(text(&output.stdout), "");
    check(&world.test(&["--filter", "app[x=1"]), 2, &["`]` is missing", " --> filter:1:1", "^^^"]);
    check(&world.test(&["--filter", "loop"]), 2, &["loop.conf:2", "itself"]);
    check(&world.test(&["--failregex", "x"]), 2, &["no place for the address", "put <HOST>"]);
    check(&world.test(&[]), 2, &["--filter"]);
    check(&world.test(&["--failregex", "<HOST>", "--maxlines", "0"]), 2, &["1..=200"]);
    check(&world.test(&["--failregex", "<HOST>", "--usedns", "si"]), 2, &["`si` is none of"]);
    let mut noon = world.command(&["test", "--failregex", "<HOST>", "--now", "noon", "-"]);
    check(&noon.output().unwrap(), 2, &["invalid value 'noon' for '--now"]);
}

#[test]
fn a_filter_that_is_not_there() {
    let world = World::new("x\n").with("myapp.conf", "[Definition]\nfailregex = <HOST>\n");
    let folder = world.folder().display().to_string();
    let words = ["no filter `myap`", &folder, "guard:", "did you mean `myapp`?"];
    check(&world.test(&["--filter", "myap", "--filter-path", "/no/where"]), 2, &words);
    check(&world.test(&["--filter", "myap", "--filter-path", "/no/where"]), 2, &["/no/where, "]);
    check(&world.test(&["--filter", "sshdd"]), 2, &["did you mean `sshd`?"]);
}

#[test]
fn folders_that_are_given_go_first() {
    let world =
        World::new("a 192.0.2.1\n").with("sshd.conf", "[Definition]\nfailregex = ^a <HOST>\n");
    let other = World::new("").with("sshd.conf", "[Definition]\nfailregex = ^b <HOST>\n");
    assert_eq!(world.verdicts(&["--filter", "sshd"])[0]["verdict"], "matched");
    let path = other.folder().display().to_string();
    let rows = world.verdicts(&["--filter", "sshd", "--filter-path", &path]);
    assert_eq!(rows[0]["verdict"], "missed");
}

#[test]
fn a_log_that_is_not_there() {
    let world = World::new("");
    fs::remove_file(world.log()).unwrap();
    check(&world.test(&["--failregex", "<HOST>"]), 1, &["app.log can't be read", "No such file"]);
    fs::create_dir(world.log()).unwrap();
    check(&world.test(&["--failregex", "<HOST>"]), 1, &["it is a folder"]);
}

#[test]
fn whoever_stops_reading_is_no_failure() {
    let world = World::new("192.0.2.1\n".repeat(200_000));
    let mut command = world.command(&["test", "--json", "--failregex", "<HOST>"]);
    command.arg(world.log()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

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
        "; 0 searches took too many steps",
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
    check(&world.test(&regex), 0, &["; 1 searches took too many steps", "1 missed"]);
}

#[test]
fn the_list_of_filters() {
    let world = World::new("")
        .with("mine.conf", "# Mine: what it is for\n[Definition]\nfailregex = <HOST>\n")
        .with("sshd.conf", "# My sshd\n[Definition]\nfailregex = <HOST>\n")
        .with("x-common.conf", "# Included\n");
    let folder = world.folder().display().to_string();
    let output = world.command(&["filters"]).output().unwrap();
    check(&output, 0, &["Mine: what it is for\n", &folder, "guard:  ", "  nginx-http-auth "]);
    let told = text(&output.stdout);
    let line = told.lines().find(|line| line.starts_with("  mine ")).unwrap();
    assert_eq!(line.split_whitespace().nth(1), Some(folder.as_str()));
    assert!(!told.contains("x-common"), "{told}");
    let output = world.command(&["filters", "--json"]).output().unwrap();
    let all: Json = serde_json::from_slice(&output.stdout).unwrap();
    let sshd: Vec<_> = all.as_array().unwrap().iter().filter(|one| one["name"] == "sshd").collect();
    assert_eq!(sshd, [&json!({"name": "sshd", "folder": folder, "about": "My sshd"})]);
    let nowhere = world.command(&["filters", "--filter-path", "/no/where"]).output().unwrap();
    check(&nowhere, 0, &["filters in /no/where, ", "My sshd"]);
}

#[test]
fn one_filter_as_guard_reads_it() {
    let filter = "[INCLUDES]\nbefore = base.conf\n[Definition]\n_m = a\nmode = normal\n\
                  re-normal = ^%(_m)s <HOST>$\nre-strict = ^s <HOST>$\nfailregex = <re-<mode>>\n\
                  ignoreregex = ^a 192\nmaxlines = 3\ndatepattern = ^%%Y\n";
    let world = World::new("")
        .with("app.conf", filter)
        .with("base.conf", "[Definition]\nprefregex = ^<F-CONTENT>.*</F-CONTENT>$\nusedns = raw\n")
        .with("bad.conf", "[Definition]\nfailregex = ^(<HOST>\n");
    let run = |arguments: &[&str]| world.command(&["filters"]).args(arguments).output().unwrap();
    let folder = world.folder().display().to_string();
    let words = [
        &format!("failregex 1 ({folder}/app.conf:6)\n  ^a <HOST>$\n"),
        &format!("prefregex ({folder}/base.conf:2)\n  ^<F-CONTENT>.*</F-CONTENT>$\n"),
        "ignoreregex 1 (",
        "datepattern (",
        "  ^%Y\n",
        &format!("  read:      {folder}/base.conf\n  read:      {folder}/app.conf\n"),
        "  maxlines:  3\n  usedns:    raw\n",
    ];
    check(&run(&["app"]), 0, &words);
    check(&run(&["app[mode=strict]"]), 0, &["app[mode=strict]\n", "  ^s <HOST>$\n"]);
    let json: Json = serde_json::from_slice(&run(&["app", "--json"]).stdout).unwrap();
    let regex = json!([{"regex": "^a <HOST>$", "file": format!("{folder}/app.conf"), "line": 6}]);
    assert_eq!((&json["failregex"], &json["maxlines"]), (&regex, &json!(3)));
    assert_eq!((&json["usedns"], &json["datepattern"]), (&json!("raw"), &json!("^%Y")));
    check(&run(&["bad"]), 2, &["unclosed group", "bad.conf:2"]);
    assert!(text(&run(&["bad"]).stdout).contains("  ^(<HOST>\n"));
    check(&run(&["ap"]), 2, &["did you mean `app`?"]);
}

#[test]
fn help_teaches_by_example() {
    let world = World::new("");
    let words = ["Examples:", "guardctl test --filter sshd /var/log/auth.log", "nofail"];
    check(&world.command(&["help", "test"]).output().unwrap(), 0, &words);
    check(&world.command(&["help", "filters"]).output().unwrap(), 0, &["guardctl filters 'sshd["]);
}
