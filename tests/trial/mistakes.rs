//! What is wrong, and where; what is not there.

use super::*;

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
    check(&world.test(&["--filter", "myap"]), 2, &words);
    let elsewhere = ["--filter", "myapp", "--filter-path", "/no/where"];
    check(&world.test(&elsewhere), 2, &["--filter-path /no/where: no such folder"]);
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
