//! `guardctl filters`.

use super::*;

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
    // Another filter than the one that was meant would be taken.
    check(&nowhere, 2, &["--filter-path /no/where: no such folder"]);
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
