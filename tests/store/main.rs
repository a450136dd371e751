//! The store against real SQLite on real file systems: what was committed is
//! there after any end, and whatever the disk does, guard goes on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the report")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use guard::model::{
    Ban, BanOrigin, BanTime, BlockRules, BlockType, Chain, ContainerId, FileMark, IgnoreEntry,
    JailMemory, JailName, JailRules, Limits, Memory, Network, Offence, Policy, PortRange, Ports,
    Position, Progress, Protocol, Record, ServiceId, SourceId, StreamMark, Timestamp, Until,
};
use guard::store::{self, OpenError, Opened};
use rusqlite::Connection;

mod disks;
mod history;
mod meaning;

fn jail(name: &str) -> JailName {
    name.parse().unwrap()
}

fn net(text: &str) -> Network {
    text.parse().unwrap()
}

fn nano(at: i64) -> Timestamp {
    Timestamp::from_nanosecond(at.into()).unwrap()
}

fn ban(jail_name: &str, network: &str) -> Ban {
    Ban {
        jail: jail(jail_name),
        network: net(network),
        since: nano(1_700_000_000_123_456_789),
        until: Until::Time(nano(1_900_000_000_000_000_001)),
        origin: BanOrigin::Failures,
        failures: 5,
    }
}

fn memory_of(name: &str, found: u64) -> JailMemory {
    let rules = JailRules {
        name: jail(name),
        service: ServiceId::Compose { project: "shop".into(), service: name.into() },
        limits: Limits { ban_time: BanTime::Forever, ..Limits::default() },
        ignore: vec![
            IgnoreEntry::Network(net("198.51.100.0/24")),
            IgnoreEntry::Name("home.example".into()),
        ],
        block: BlockRules {
            chains: [Chain::DockerUser, Chain::Input].into(),
            ports: Ports::Some([(Protocol::Tcp, PortRange::new(80, 81).unwrap())].into()),
            block_type: BlockType::TcpReset,
        },
        dry_run: false,
        policy: Policy::default(),
    };
    JailMemory { rules: Arc::new(rules), found, banned: found / 5 }
}

fn open(directory: &Path) -> Opened {
    store::open(directory).unwrap()
}

/// Opens, reads and closes.
fn remembered(directory: &Path) -> Memory {
    let opened = open(directory);
    assert_eq!(opened.notes, Vec::<String>::new());
    opened.store.stop().unwrap();
    opened.memory
}

fn bans(memory: &Memory) -> Vec<Network> {
    memory.bans.iter().map(|ban| ban.network).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn committed(store: &store::Store) -> Result<(), String> {
    runtime().block_on(store.committed())
}

/// Waits for the store to be well or not.
fn wait_for_health(store: &store::Store, healthy: bool) -> Arc<store::Status> {
    let mut status = store.status();
    runtime().block_on(async {
        let changed = status.wait_for(|status| status.healthy() == healthy);
        let changed = tokio::time::timeout(Duration::from_secs(60), changed).await;
        changed.expect("the store's health changes within a minute").unwrap().clone()
    })
}

#[test]
fn everything_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { store, memory, notes } = open(directory.path());
    assert_eq!((memory, notes), (Memory::default(), Vec::new()));

    let output = SourceId::Output(ContainerId("c0ffee".into()));
    let file = SourceId::File("/var/log/app.log".into());
    let stdout = Some(StreamMark { at: nano(1_700_000_000_000_000_009), seen: 3 });
    let at_output = Progress {
        resume: Position::OUTPUT_START,
        judged: Position::Output { stdout, stderr: None },
    };
    let mark = FileMark { device: u64::MAX, inode: 7, offset: 99, head: u64::MAX, head_len: 9 };
    let in_file = Progress { resume: Position::File(None), judged: Position::File(Some(mark)) };
    let forever =
        Ban { until: Until::Forever, origin: BanOrigin::Hand, ..ban("web", "2001:db8::/64") };
    let names: BTreeMap<_, _> =
        [("home.example".to_owned(), vec!["2001:db8::7".parse().unwrap()])].into();
    let times = vec![nano(5), nano(6), nano(6)];
    let twice = Offence { bans: 2, until: Until::Time(nano(7)) };
    let forever_again = Offence { bans: u32::MAX, until: Until::Forever };
    store.write(vec![
        Record::Jail(memory_of("web", 12)),
        Record::Ban(forever.clone()),
        Record::Ban(ban("manual", "192.0.2.1")),
        Record::Failures(jail("web"), net("192.0.2.7"), times.clone()),
        Record::Floor(jail("web"), net("192.0.2.0/24"), nano(-1)),
        Record::Offence(jail("web"), net("192.0.2.8"), forever_again),
        Record::Offence(jail("gone"), net("2001:db8::/64"), twice),
        Record::JailGone(jail("gone")),
        Record::Progress(jail("web"), output.clone(), at_output.clone()),
        Record::Progress(jail("web"), file.clone(), in_file.clone()),
        Record::Names([("gone.example".to_owned(), Vec::new())].into()),
        Record::Names(names.clone()),
    ]);
    store.stop().unwrap();

    let mut memory = remembered(directory.path());
    memory.progress.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(
        memory,
        Memory {
            jails: vec![memory_of("web", 12)],
            bans: vec![ban("manual", "192.0.2.1"), forever],
            failures: vec![(jail("web"), net("192.0.2.7"), times)],
            floors: vec![(jail("web"), net("192.0.2.0/24"), nano(-1))],
            offences: vec![
                (jail("gone"), net("2001:db8::/64"), twice),
                (jail("web"), net("192.0.2.8"), forever_again),
            ],
            progress: vec![(jail("web"), output, at_output), (jail("web"), file, in_file)],
            names,
        }
    );
}

#[test]
fn a_jail_that_goes_leaves_only_its_history() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let recent = Ban { since: Timestamp::now(), ..ban("web", "192.0.2.1") };
    store.write(vec![
        Record::Jail(memory_of("web", 1)),
        Record::Ban(ban("web", "192.0.2.1")),
        Record::History(recent),
        Record::Failures(jail("web"), net("192.0.2.7"), vec![nano(1)]),
        Record::Floor(jail("web"), net("192.0.2.7"), nano(1)),
        Record::Ban(ban("ssh", "192.0.2.1")),
    ]);
    committed(&store).unwrap();
    store.write(vec![Record::JailGone(jail("web"))]);
    store.stop().unwrap();
    let rest = Memory { bans: vec![ban("ssh", "192.0.2.1")], ..Memory::default() };
    assert_eq!(remembered(directory.path()), rest);
    assert_eq!(history(directory.path()), 1);
}

/// How many lines of history there are.
fn history(directory: &Path) -> i64 {
    let connection = Connection::open(directory.join("guard.db")).unwrap();
    connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).unwrap()
}

#[test]
fn history_older_than_90_days_goes_when_the_store_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let recent = Ban { since: Timestamp::now(), ..ban("web", "192.0.2.2") };
    store.write(vec![Record::History(ban("web", "192.0.2.1")), Record::History(recent)]);
    store.stop().unwrap();
    assert_eq!(history(directory.path()), 2);
    remembered(directory.path());
    assert_eq!(history(directory.path()), 1);
    let day = Duration::from_secs(86_400);
    let old = Ban { since: Timestamp::now() - 2 * day, ..ban("web", "192.0.2.3") };
    let opened = store::open_keeping(directory.path(), 3 * day).unwrap();
    opened.store.write(vec![Record::History(old)]);
    opened.store.stop().unwrap();
    assert_eq!(history(directory.path()), 2);
    store::open_keeping(directory.path(), day).unwrap().store.stop().unwrap();
    assert_eq!(history(directory.path()), 1);
}

#[test]
fn nobody_else_can_read_it() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    let store = open(&directory).store;
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    committed(&store).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["guard.db", "guard.db-wal", "guard.db-shm"] {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&directory), 0o700);
}

#[test]
fn dropping_the_last_clone_writes_what_waits() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.clone().write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    let mut status = store.status();
    drop(store);
    // The thread drops its end of the status when it is done.
    runtime().block_on(async { while status.changed().await.is_ok() {} });
    assert_eq!(bans(&remembered(directory.path())), [net("192.0.2.1")]);
}

/// Not a test by itself: the writer that `a_killed_writer…` kills.
#[test]
fn writer_to_be_killed() {
    let Some(directory) = std::env::var_os("GUARD_TEST_KILL") else { return };
    let store = open(Path::new(&directory)).store;
    for number in 1_u32.. {
        let at = nano(number.into());
        let mark = FileMark { device: 1, inode: 1, offset: number.into(), head: 0, head_len: 0 };
        let place = Position::File(Some(mark));
        let progress = Progress { resume: place.clone(), judged: place };
        store.write(vec![
            Record::Failures(jail("web"), net("192.0.2.1"), vec![at]),
            Record::Floor(jail("other"), net("192.0.2.1"), at),
            Record::Progress(jail("web"), SourceId::File("/log".into()), progress),
        ]);
        if number.is_multiple_of(7) {
            committed(&store).unwrap();
            println!("\ncommitted {number}");
        }
    }
}

#[test]
fn a_killed_writer_loses_nothing_committed_and_splits_nothing() {
    for round in 0..3_u32 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer_to_be_killed", "--nocapture"])
            .env("GUARD_TEST_KILL", directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut promises = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("committed ")?.parse::<i128>().ok());
        let mut promised = 0;
        for _ in 0..(3 + round * 9) {
            promised = promises.next().expect("the child goes on writing");
        }
        child.kill().unwrap();
        promised = promises.last().unwrap_or(promised);
        child.wait().unwrap();

        let memory = remembered(directory.path());
        let at = memory.failures[0].2[0].as_nanosecond();
        assert!(at >= promised, "{at} is older than {promised}");
        assert_eq!(memory.floors[0].2.as_nanosecond(), at);
        let Position::File(Some(mark)) = &memory.progress[0].2.judged else { panic!("no file") };
        assert_eq!(i128::from(mark.offset), at);
    }
}

#[test]
fn a_copy_of_the_files_taken_mid_way_opens() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    committed(&store).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in ["guard.db", "guard.db-wal"] {
        fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(bans(&remembered(copy.path())), [net("192.0.2.1")]);
}

/// The files of a data directory that were set aside.
fn set_aside(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("guard.db.corrupt-"))
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_no_database_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("guard.db"), "no database".repeat(999)).unwrap();
    let Opened { store, memory, notes } = open(directory.path());
    assert_eq!(memory, Memory::default());
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("guard.db.corrupt-"), "{notes:?}");
    assert_eq!(set_aside(directory.path()).len(), 1);
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    store.stop().unwrap();
    assert_eq!(bans(&remembered(directory.path())), [net("192.0.2.1")]);
}

#[test]
fn a_damaged_page_is_found_when_the_store_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let addresses = (0..2000_u32).map(|n| std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string());
    store.write(addresses.map(|address| Record::Ban(ban("web", &address))).collect());
    store.stop().unwrap();
    let path = directory.path().join("guard.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let Opened { store, memory, notes } = open(directory.path());
    assert_eq!(set_aside(directory.path()).len(), 1);
    // What lies before and behind the page is saved, and in the new database.
    assert!((1000..2000).contains(&memory.bans.len()), "{} of 2000: {notes:?}", memory.bans.len());
    assert!(notes[0].contains(&format!("the {} bans", memory.bans.len())), "{notes:?}");
    store.stop().unwrap();
    let sort = |mut memory: Memory| {
        memory.bans.sort_by_key(|ban| ban.network);
        memory
    };
    assert_eq!(sort(remembered(directory.path())), sort(memory));
}

#[test]
fn tables_of_someone_else_are_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE jails (x)").unwrap();
    assert_eq!(open(directory.path()).notes.len(), 1);
    assert_eq!(set_aside(directory.path()).len(), 1);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 77).unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let error = store::open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 77, .. }));
    let told = error.to_string();
    assert!(told.contains("77") && told.contains("versions up to"), "{told}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(set_aside(directory.path()), Vec::<String>::new());
}

#[test]
fn rows_that_make_no_sense_are_left_out_with_a_note() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.write(vec![Record::Jail(memory_of("web", 1)), Record::Ban(ban("web", "192.0.2.1"))]);
    store.stop().unwrap();
    let connection = Connection::open(directory.path().join("guard.db")).unwrap();
    let nonsense = r#"
        INSERT INTO bans VALUES ('web', '999.1.1.1', 1, NULL, 'hand', 0);
        INSERT INTO bans VALUES ('we b', '192.0.2.2', 1, NULL, 'hand', 0);
        INSERT INTO bans VALUES ('web', '0.0.0.0/0', 1, NULL, 'hand', 0);
        INSERT INTO bans VALUES ('web', '192.0.2.3', 1, NULL, 'someone', 0);
        INSERT INTO bans VALUES ('web', '192.0.2.4', 1, NULL, 'hand', -1);
        INSERT INTO bans VALUES ('web', '192.0.2.5', 1, -5, 'hand', 4294967296);
        INSERT INTO failures VALUES ('web', '192.0.2.1', 'x');
        INSERT INTO failures VALUES ('web', '192.0.2.2', '[1e99]');
        INSERT INTO progress VALUES ('web', '{"File":"/x"}', '{"File":null}',
            '{"Output":{"stdout":null,"stderr":null}}');
        INSERT INTO jails SELECT 'web2', rules, found, banned FROM jails;
        INSERT INTO jails SELECT 'bad', replace(replace(rules, '"web"', '"bad"'),
            '"first":80', '"first":0'), 0, 0 FROM jails WHERE name = 'web';
        INSERT INTO jails VALUES ('minus', '{}', -1, 0);
        "#;
    connection.execute_batch(nonsense).unwrap();
    drop(connection);
    let Opened { memory, notes, .. } = open(directory.path());
    assert_eq!(memory.bans, [ban("web", "192.0.2.1")]);
    assert_eq!(memory.jails, [memory_of("web", 1)]);
    assert_eq!((memory.failures.len(), memory.progress.len()), (0, 0));
    let of = |table: &str| notes.iter().filter(|note| note.contains(table)).count();
    assert_eq!([of("table bans"), of("table failures")], [4, 2], "{notes:#?}");
    assert_eq!([of("table progress"), of("table jails")], [1, 3], "{notes:#?}");
    assert!(notes.iter().any(|note| note.contains("3 more rows of table bans")), "{notes:#?}");
    assert!(notes.iter().any(|note| note.contains("ports that can't be")), "{notes:#?}");
}

#[test]
fn a_missing_directory_is_told_and_used_when_it_is_there() {
    let parent = tempfile::tempdir().unwrap();
    let in_the_way = parent.path().join("data");
    fs::write(&in_the_way, "a file").unwrap();
    let Opened { store, notes, .. } = open(&in_the_way);
    assert!(notes[0].contains("nothing is remembered") && notes[0].contains("GUARD_DATA"));
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    let why = committed(&store).unwrap_err();
    assert_eq!(wait_for_health(&store, false).problem, Some(why));

    fs::remove_file(&in_the_way).unwrap();
    store.write(vec![Record::Ban(ban("web", "192.0.2.2"))]);
    committed(&store).unwrap();
    wait_for_health(&store, true);
    store.stop().unwrap();
    assert_eq!(bans(&remembered(&in_the_way)), [net("192.0.2.1"), net("192.0.2.2")]);
}

#[test]
fn it_gets_well_by_itself_without_anybody_asking() {
    let parent = tempfile::tempdir().unwrap();
    let in_the_way = parent.path().join("data");
    fs::write(&in_the_way, "a file").unwrap();
    let store = open(&in_the_way).store;
    wait_for_health(&store, false);
    fs::remove_file(&in_the_way).unwrap();
    wait_for_health(&store, true);
}

#[test]
fn another_program_that_holds_it_is_told_and_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let other = Connection::open(directory.path().join("guard.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    let why = committed(&store).unwrap_err();
    assert!(why.contains("another program holds"), "{why}");
    other.execute_batch("ROLLBACK").unwrap();
    committed(&store).unwrap();
    drop(other);
    store.stop().unwrap();
    assert_eq!(bans(&remembered(directory.path())), [net("192.0.2.1")]);
}

#[test]
fn a_database_removed_under_guard_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.write(vec![
        Record::Jail(memory_of("web", 3)),
        Record::Ban(ban("web", "192.0.2.1")),
        Record::Ban(ban("web", "192.0.2.2")),
    ]);
    committed(&store).unwrap();
    for name in ["guard.db", "guard.db-wal", "guard.db-shm"] {
        fs::remove_file(directory.path().join(name)).unwrap();
    }
    store.write(vec![Record::BanGone(jail("web"), net("192.0.2.2"))]);
    committed(&store).unwrap();
    store.stop().unwrap();
    let memory = remembered(directory.path());
    assert_eq!(bans(&memory), [net("192.0.2.1")]);
    assert_eq!(memory.jails, [memory_of("web", 3)]);
}

#[test]
fn a_database_that_breaks_under_guard_is_set_aside_and_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    committed(&store).unwrap();
    let path = directory.path().join("guard.db");
    // A change by another program, moved from the log into the file, makes
    // guard's SQLite read the pages again; then they are overwritten.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("DELETE FROM floors; CREATE TABLE x (y);").unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(other);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&vec![0xa5; length], 0).unwrap();

    store.write(vec![Record::Ban(ban("web", "192.0.2.2"))]);
    committed(&store).unwrap();
    let status = store.status().borrow().clone();
    assert!(status.healthy() && status.notes[0].contains("guard.db.corrupt-"), "{status:?}");
    store.stop().unwrap();
    assert_eq!(bans(&remembered(directory.path())), [net("192.0.2.1"), net("192.0.2.2")]);
    assert!(!set_aside(directory.path()).is_empty());
}

#[test]
fn a_database_that_appears_late_is_handed_over_and_kept() {
    let parent = tempfile::tempdir().unwrap();
    let (place, elsewhere) = (parent.path().join("data"), parent.path().join("elsewhere"));
    let store = open(&elsewhere).store;
    assert!(store.late().is_none(), "all was read");
    store.write(vec![Record::Jail(memory_of("web", 3)), Record::Ban(ban("web", "192.0.2.1"))]);
    store.stop().unwrap();

    fs::write(&place, "a file in the way").unwrap();
    let Opened { store, memory, .. } = open(&place);
    assert_eq!(memory, Memory::default());
    let late = store.late().expect("something may come");
    store.write(vec![Record::Ban(ban("web", "192.0.2.2"))]);
    committed(&store).unwrap_err();
    fs::remove_file(&place).unwrap();
    fs::rename(&elsewhere, &place).unwrap();
    let memory = runtime().block_on(late).unwrap();
    assert_eq!(bans(&memory), [net("192.0.2.1")]);
    assert_eq!(memory.jails, [memory_of("web", 3)]);
    let status = wait_for_health(&store, true);
    assert!(status.notes[0].contains("only after the start"), "{status:?}");
    store.stop().unwrap();
    assert_eq!(bans(&remembered(&place)), [net("192.0.2.1"), net("192.0.2.2")]);
}

#[test]
fn where_nothing_was_nothing_comes_late() {
    let parent = tempfile::tempdir().unwrap();
    let place = parent.path().join("data");
    fs::write(&place, "a file in the way").unwrap();
    let store = open(&place).store;
    let late = store.late().unwrap();
    fs::remove_file(&place).unwrap();
    runtime().block_on(late).unwrap_err();
}

#[test]
fn a_directory_removed_under_guard_is_made_anew() {
    let parent = tempfile::tempdir().unwrap();
    let place = parent.path().join("data");
    let store = open(&place).store;
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    committed(&store).unwrap();
    fs::remove_dir_all(&place).unwrap();
    store.write(vec![Record::Ban(ban("web", "192.0.2.2"))]);
    committed(&store).unwrap();
    store.stop().unwrap();
    assert_eq!(bans(&remembered(&place)), [net("192.0.2.1"), net("192.0.2.2")]);
}

#[test]
fn zeros_over_the_header_or_the_middle_are_set_aside_and_guard_begins_anew() {
    for (at, length) in [(0, 100), (0, 4096), (4096, 512), (16, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).store;
        let many = (0..200_u32).map(|n| std::net::Ipv4Addr::from(n).to_string());
        store.write(many.map(|address| Record::Ban(ban("web", &address))).collect());
        store.stop().unwrap();
        let path = directory.path().join("guard.db");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&vec![0; length], at).unwrap();
        let damaged = fs::read(&path).unwrap();

        let Opened { store, notes, .. } = open(directory.path());
        assert!(notes[0].contains("guard.db.corrupt-"), "{at} {length}: {notes:?}");
        let aside = set_aside(directory.path());
        assert_eq!(fs::read(directory.path().join(&aside[0])).unwrap(), damaged, "it is evidence");
        assert_eq!(aside.len(), 1, "{aside:?}");
        store.write(vec![Record::Ban(ban("ssh", "192.0.2.1"))]);
        store.stop().unwrap();
        assert!(bans(&remembered(directory.path())).contains(&net("192.0.2.1")));
    }
}

#[test]
fn a_log_that_ends_in_garbage_loses_nothing_that_was_committed() {
    let alive = tempfile::tempdir().unwrap();
    let store = open(alive.path()).store;
    store.write(vec![Record::Ban(ban("web", "192.0.2.1"))]);
    committed(&store).unwrap();
    for tail in [&[0_u8; 5000][..], &[0xa5; 777]] {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(alive.path().join("guard.db"), copy.path().join("guard.db")).unwrap();
        let mut log = fs::read(alive.path().join("guard.db-wal")).unwrap();
        log.extend_from_slice(tail);
        fs::write(copy.path().join("guard.db-wal"), log).unwrap();
        assert_eq!(bans(&remembered(copy.path())), [net("192.0.2.1")]);
    }
}
