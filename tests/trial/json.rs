//! Verdicts for programs.

use super::*;

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
    assert_eq!((&joe["time"], &joe["attempts"]), (&json!("2026-03-01T11:59:01Z"), &json!(2)));
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
fn whoever_stops_reading_is_no_failure() {
    let world = World::new("192.0.2.1\n".repeat(200_000));
    let mut command = world.command(&["test", "--json", "--failregex", "<HOST>"]);
    command.arg(world.log()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
