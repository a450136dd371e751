//! What guard remembers, taken away and given back: on disk, in the kernel, to packets.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;

use crate::support::*;

const LABELS: [(&str, &str); 3] =
    [("failregex", FLASK_REGEX), ("maxretry", "2"), ("bantime", "1h")];

/// So many addresses are banned while backups are made.
const LOAD: u32 = 5_000;

/// `guardctl ban -` with many addresses, under way.
fn load(socket: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_guardctl"))
        .args(["ban", "-", "--for", "1d"])
        .env("GUARD_SOCKET", socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("guardctl starts");
    let mut to = child.stdin.take().expect("it is piped");
    std::thread::spawn(move || {
        for n in 0..LOAD {
            let [_, a, b, c] = n.to_be_bytes();
            writeln!(to, "198.{}.{b}.{c}", 18 + a).expect("guardctl reads");
        }
    });
    child
}

fn bans_in(backup: &Path) -> i64 {
    let connection = Connection::open(backup).expect("a database");
    let sound: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    connection.query_row("SELECT count(*) FROM bans", [], |row| row.get(0)).unwrap()
}

/// A copy of the backup that was tampered with.
fn spoilt(backup: &Path, name: &str, spoil: impl FnOnce(&Path)) -> String {
    let path = backup.with_file_name(name);
    fs::copy(backup, &path).expect("the host's folder can be written");
    spoil(&path);
    path.display().to_string()
}

fn sql(path: &Path, statements: &str) {
    Connection::open(path).unwrap().execute_batch(statements).unwrap();
}

fn kept_databases(data: &Path) -> usize {
    let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains("before-restore")).count()
}

#[test]
fn a_backup_brings_back_the_bans_and_their_history() {
    on_every_engine("a_backup_brings_back_the_bans_and_their_history", |engine| {
        let host = Host::start(engine);
        let mallory = host.attacker();
        Service::new("web").dual().publish("8080:80").guarded(&LABELS).run(&host);
        let mut guard = Guard::start(&host, &[]);
        guard.has_jail("web");
        let at = |n: u16| mallory.at(mallory.address(Family::V4, n));
        let name = |n: u16| mallory.address(Family::V4, n).to_string();
        for n in [10, 30] {
            at(n).fail(8080, 2);
            at(n).is_refused(8080);
        }
        guard.ctl_ok(&["ban", &name(20), "--for", "1d"]);

        // While bans come in by thousands: each is one moment, whole, and nobody's but ours.
        let socket = host.folder().join("guard/guard.sock");
        let mut busy = load(&socket);
        let backup = host.folder().join("guard.backup");
        let file = backup.display().to_string();
        let mut before = 0;
        for round in 0.. {
            let said = guard.json(&["backup", &file]);
            let bans = bans_in(&backup);
            assert_eq!(said["bans"], bans, "{said}");
            assert_eq!(said["bytes"], fs::metadata(&backup).unwrap().len());
            assert!(bans >= before.max(3), "{before} bans, then {bans}");
            before = bans;
            if round > 0 && busy.try_wait().unwrap().is_some_and(|status| status.success()) {
                break;
            }
        }
        guard.ctl_ok(&["backup", &file]);
        assert_eq!(bans_in(&backup), i64::from(LOAD) + 3);
        assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
        let data = host.folder().join("guard/data");
        let left: Vec<_> = fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains(".backup")), "{left:?}");

        let old = what_is_no_backup_changes_nothing(&guard, &backup, &data);

        // It is as it was then: in the kernel, too, and what was is kept.
        guard.ctl_ok(&["unban", &name(10)]);
        at(10).is_served(8080);
        guard.ctl_ok(&["ban", &name(50)]);
        at(50).is_refused(8080);
        let said = guard.json(&["restore", &old]);
        at(10).is_refused(8080);
        at(20).is_still_refused(8080);
        at(50).is_served(8080);
        assert_eq!((&said["standing"], &said["lifted"]), (&(LOAD + 3).into(), &1.into()), "{said}");
        assert_eq!(said["schema"], 3, "an older guard's is read");
        let kept = said["kept"].as_str().unwrap();
        assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(bans_in(Path::new(kept)), i64::from(LOAD) + 3, "one less, one more");
        let history = guard.ctl_ok(&["history", "--limit", "10000", &name(10)]);
        assert!(!history.contains("unbanned"), "of what came later it knows nothing: {history}");

        // On an empty volume, with a rule that was not there; and over a kill.
        guard.sigterm();
        guard.set("GUARD_DATA", &host.folder().join("guard/other").display().to_string());
        guard.set("GUARD_IGNOREIP", &name(30));
        guard.start_again();
        guard.has_jail("web");
        at(20).is_served(8080);
        guard.ctl_ok(&["restore", &file]);
        for _ in 0..2 {
            at(10).is_refused(8080);
            at(20).is_refused(8080);
            at(30).is_served(8080);
            guard.has_banned("web", &name(10));
            let history = guard.ctl_ok(&["history", &name(10)]);
            assert!(history.contains(&format!("[IP: {}]", name(10))), "{history}");
            guard.kill9();
            guard.start_again();
            guard.has_jail("web");
        }
    });
}

/// Each is refused with its reason; gives the name of a good one of an older schema.
fn what_is_no_backup_changes_nothing(guard: &Guard, backup: &Path, data: &Path) -> String {
    let bytes = fs::read(backup).unwrap();
    let write = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |path: &Path| fs::write(path, &bytes).unwrap()
    };
    let mut holed = bytes.clone();
    let middle = holed.len() / 2;
    holed[middle..middle + 4096].fill(0x55);
    let before = guard.ctl_ok(&["banned"]);
    for (file, why) in [
        (spoilt(backup, "empty", write(b"")), "it is empty"),
        (spoilt(backup, "text", write(&[b'x'; 3000])), "no SQLite database at all"),
        (spoilt(backup, "cut", write(&bytes[..bytes.len() - 5000])), "it is cut off"),
        (spoilt(backup, "holed", write(&holed)), "it is damaged"),
        (
            spoilt(backup, "foreign", |path| sql(path, "PRAGMA application_id = 7")),
            "a database of another program",
        ),
        (
            spoilt(backup, "newer", |path| sql(path, "PRAGMA user_version = 99")),
            "it has schema version 99",
        ),
        (
            spoilt(backup, "changed", |path| {
                sql(path, "CREATE TRIGGER t DELETE ON bans BEGIN DELETE FROM history; END")
            }),
            "somebody changed it",
        ),
    ] {
        let said = guard.ctl(&["restore", &file]);
        assert_eq!(said.code, Some(1), "{file}: {said:?}");
        assert!(said.err.contains(why) && said.err.contains("nothing is changed"), "{said:?}");
    }
    assert_eq!(guard.ctl_ok(&["banned"]), before);
    assert_eq!(kept_databases(data), 0);
    let said = guard.ctl(&["restore", "/nowhere/guard.backup"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    spoilt(backup, "old", |path| sql(path, "DROP TABLE names; PRAGMA user_version = 3"))
}
