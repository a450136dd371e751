//! The database as one file, and one that was given back.
//!
//! A backup is a database of its own (`VACUUM INTO`), made by a connection beside the
//! writer's: one moment, whole, whatever is written meanwhile, and no log beside it.
//!
//! What is given back is anybody's file until it was [examined](examine): it must be
//! marked as guard's, of a version that this guard knows, have exactly the tables of that
//! version, and be sound from end to end. Only then is it brought to today's version and
//! read. It never takes the place of the database: what it says is carried out by the
//! warden, and written like anything else.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::database::{self, Trouble, beside};
use super::{rows, schema};
use crate::model::{Memory, Timestamp};

/// Beside the database: a backup on its way out…
const OUTGOING: &str = ".backup";

/// …one on its way in…
const INCOMING: &str = ".incoming";

/// …and one that is whole, examined and read.
const RESTORING: &str = ".restoring";

/// How an SQLite database begins, and how long its head is, in bytes.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEAD: usize = 100;

const NO_DATABASE: &str = "it is no backup of guard's: no SQLite database at all";

/// Longest backup that is taken back.
const MAX_BYTES: u64 = 4 << 30;

/// A copy of the database at one moment. Its file has no name any more: whatever
/// happens, nothing of it stays.
#[derive(Debug)]
pub struct Snapshot {
    file: File,
    /// How long it is.
    pub bytes: u64,
    /// The version of its schema.
    pub schema: i64,
    /// Bans in it, those that are over by now among them.
    pub bans: u64,
    /// Bans in its history.
    pub history: u64,
}

impl Snapshot {
    /// The piece that begins at `at`, at most `length` bytes; empty: the end.
    ///
    /// # Errors
    /// What the system says.
    pub fn piece(&self, at: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let mut piece = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(&mut piece[filled..], at + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        piece.truncate(filled);
        Ok(piece)
    }
}

/// A backup that was examined, and what it says.
#[derive(Debug)]
pub struct Candidate {
    pub(super) path: PathBuf,
    /// What it remembers.
    pub memory: Memory,
    /// The version that its schema had.
    pub schema: i64,
    /// Bans in its history.
    pub history: u64,
    /// What was left out of it, a sentence each.
    pub notes: Vec<String>,
}

/// Makes a copy of the database at `path`. Blocks, but keeps no writer waiting.
pub(super) fn snapshot(path: &Path) -> Result<Snapshot, String> {
    let copy = beside(path, OUTGOING);
    let made = copy_into(path, &copy).and_then(|()| {
        let mut file = File::open(&copy).map_err(|error| cannot(&copy, &error))?;
        let bytes = file.seek(SeekFrom::End(0)).map_err(|error| cannot(&copy, &error))?;
        let connection = database::open_for_reading(&copy).map_err(|why| why.tell(&copy))?;
        let count = |table| count(&connection, table).map_err(|error| told(&copy, &error));
        let (bans, history) = (count("bans")?, count("history")?);
        Ok(Snapshot { file, bytes, schema: schema::CURRENT, bans, history })
    });
    // Open, it is still there; and nobody else is to find it.
    let _ = fs::remove_file(&copy);
    made
}

/// Copies the database to a name that says when and why; gives the name.
pub(super) fn keep_aside(path: &Path, now: Timestamp) -> Result<PathBuf, String> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let name = |count: u32| match count {
        0 => beside(path, &format!(".before-restore-{stamp}")),
        _ => beside(path, &format!(".before-restore-{stamp}-{count}")),
    };
    let free = (0..1000).map(name).find(|name| fs::symlink_metadata(name).is_err());
    let copy = free.ok_or("too many databases were kept aside already: remove some")?;
    let made = copy_into(path, &copy);
    if made.is_err() {
        let _ = fs::remove_file(&copy);
    }
    made.map(|()| copy)
}

fn copy_into(path: &Path, copy: &Path) -> Result<(), String> {
    // SQLite takes an empty file for none, and leaves it its mode.
    fresh(copy).map_err(|error| cannot(copy, &error))?;
    let connection = database::open_for_reading(path).map_err(|why| why.tell(path))?;
    let name = copy.to_str().ok_or("the data directory's name is no text: set GUARD_DATA")?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|error| told(copy, &error))?;
    let kept = File::open(copy).and_then(|file| file.sync_all());
    kept.map_err(|error| cannot(copy, &error))
}

/// A new empty file for its owner alone, in place of whatever has the name.
fn fresh(path: &Path) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Adds a piece of a backup that is given back; at 0 another begins. Gives the length now.
pub(super) fn receive(path: &Path, at: u64, piece: &[u8]) -> Result<u64, String> {
    let incoming = beside(path, INCOMING);
    let failed = |error: std::io::Error| cannot(&incoming, &error);
    let mut file = match at {
        0 => fresh(&incoming).map_err(failed)?,
        _ => OpenOptions::new().read(true).append(true).open(&incoming).map_err(failed)?,
    };
    let length = file.metadata().map_err(failed)?.len();
    if length != at {
        return Err("another backup is being given back at the same time: try again".to_owned());
    }
    let length = length.saturating_add(piece.len() as u64);
    if let Err(why) = bound(&file, at, piece, length) {
        let _ = fs::remove_file(&incoming);
        return Err(why);
    }
    if let Err(error) = file.write_all(piece) {
        // The disk may be full, and others need what is left of it.
        let _ = fs::remove_file(&incoming);
        return Err(failed(error));
    }
    Ok(length)
}

/// Refuses what can be no backup before it has filled the disk.
fn bound(file: &File, at: u64, piece: &[u8], length: u64) -> Result<(), String> {
    if at == 0 && !piece.starts_with(MAGIC) {
        return Err(NO_DATABASE.to_owned());
    }
    let mut first = [0; HEAD];
    let head = match at {
        0 => piece.first_chunk(),
        _ => file.read_exact_at(&mut first, 0).is_ok().then_some(&first),
    };
    if let Some(whole) = head.and_then(whole)
        && length > whole
    {
        return Err(format!("it goes on after its {whole} bytes"));
    }
    match length {
        0..=MAX_BYTES => Ok(()),
        _ => Err(format!("a backup has at most {} GiB", MAX_BYTES >> 30)),
    }
}

/// Looks whether what was given back, `bytes` of it, is a backup of guard's, and reads
/// it. Blocks.
pub(super) fn examine(path: &Path, bytes: u64) -> Result<Candidate, String> {
    let (incoming, restoring) = (beside(path, INCOMING), beside(path, RESTORING));
    let came = fs::metadata(&incoming).map_or(0, |file| file.len());
    if came != bytes || bytes == 0 {
        let _ = fs::remove_file(&incoming);
        return Err(match bytes {
            0 => "it is empty".to_owned(),
            _ => format!("only {came} of its {bytes} bytes came: try again"),
        });
    }
    forget(&restoring);
    fs::rename(&incoming, &restoring).map_err(|error| cannot(&restoring, &error))?;
    let read = read(&restoring);
    if read.is_err() {
        forget(&restoring);
    }
    read
}

fn read(path: &Path) -> Result<Candidate, String> {
    head(path)?;
    let told = |error: rusqlite::Error| match database::trouble(path, &error) {
        Trouble::Broken(why) => format!("it is damaged ({why})"),
        other => other.tell(path),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path, flags).map_err(told)?;
    // Whoever made it: nothing in it is obeyed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(told)?;
    connection.pragma_update(None, "trusted_schema", false).map_err(told)?;
    connection.pragma_update(None, "cell_size_check", true).map_err(told)?;
    let schema = known(&connection).map_err(told)??;
    let found: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(told)?;
    if found != "ok" {
        return Err(format!("it is damaged ({})", found.replace('\n', " ").trim()));
    }
    // What is copied from it must be in this one file.
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    connection.query_row("PRAGMA journal_mode = DELETE", [], mode).map_err(told)?;
    schema::migrate(&mut connection).map_err(told)?;
    let (memory, notes) = rows::load(&connection).map_err(told)?;
    let history = count(&connection, "history").map_err(told)?;
    Ok(Candidate { path: path.to_owned(), memory, schema, history, notes })
}

/// Is it marked as guard's, of a version that is known, with the tables of that version
/// and nothing else? Gives the version.
fn known(connection: &Connection) -> rusqlite::Result<Result<i64, String>> {
    let (mark, version) = (schema::application(connection)?, schema::version(connection)?);
    if mark != schema::APPLICATION || version < 1 {
        return Ok(Err("it is a database of another program, not of guard's".to_owned()));
    }
    if version > schema::CURRENT {
        return Ok(Err(format!(
            "it was made by a newer guard: it has schema version {version}, this guard knows versions up to {}; restore it with that guard, or a newer one",
            schema::CURRENT
        )));
    }
    if schema::shape(connection)? != schema::expected(version)? {
        return Ok(Err(format!(
            "its tables are not those of schema version {version}: somebody changed it"
        )));
    }
    Ok(Ok(version))
}

/// What can be said before SQLite is asked: is it a database, and all of it?
fn head(path: &Path) -> Result<(), String> {
    let mut head = [0; HEAD];
    let mut file = File::open(path).map_err(|error| cannot(path, &error))?;
    if file.read_exact(&mut head).is_err() || !head.starts_with(MAGIC) {
        return Err(NO_DATABASE.to_owned());
    }
    let length = file.metadata().map_err(|error| cannot(path, &error))?.len();
    match whole(&head) {
        Some(whole) if length < whole => {
            Err(format!("it is cut off: {length} bytes are there of {whole}"))
        }
        _ => Ok(()),
    }
}

/// How many bytes a database has, if its head tells (SQLite's file format, 1.3).
fn whole(head: &[u8; HEAD]) -> Option<u64> {
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let page = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    // The count of pages is told as valid by the number of the change that wrote it.
    (number(24) == number(92)).then(|| page * u64::from(number(28)))
}

/// Removes what an earlier run left on its way.
pub(super) fn tidy(path: &Path) {
    for suffix in [OUTGOING, INCOMING, RESTORING] {
        forget(&beside(path, suffix));
    }
}

/// Removes such a file, and what SQLite may have put beside it.
pub(super) fn forget(path: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        // If one stays, nothing is lost: the next takes its place.
        let _ = fs::remove_file(beside(path, suffix));
    }
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {table}");
    let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or_default())
}

fn told(path: &Path, error: &rusqlite::Error) -> String {
    database::trouble(path, error).tell(path)
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    database::cannot(path, error).tell(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BanOrigin, Record, Until};
    use crate::store::{open, schema};

    fn ban(network: &str) -> crate::model::Ban {
        crate::model::Ban {
            jail: "manual".parse().unwrap(),
            network: network.parse().unwrap(),
            since: Timestamp::UNIX_EPOCH,
            until: Until::Forever,
            origin: BanOrigin::Hand,
            failures: 0,
        }
    }

    fn give(path: &Path, bytes: &[u8]) -> Result<Candidate, String> {
        for (number, piece) in bytes.chunks(1000).enumerate() {
            receive(path, number as u64 * 1000, piece).unwrap();
        }
        examine(path, bytes.len() as u64)
    }

    #[test]
    fn a_backup_of_every_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(database::FILE);
        for version in 1..=schema::CURRENT {
            let old = folder.path().join(format!("{version}.db"));
            let connection = Connection::open(&old).unwrap();
            schema::make(&connection, version).unwrap();
            let sql = "INSERT INTO bans VALUES ('web', '192.0.2.1', 1, NULL, 'failures', 5);
                INSERT INTO history (since, jail, network, until, origin, failures)
                    VALUES (1, 'web', '192.0.2.1', NULL, 'failures', 5)";
            connection.execute_batch(sql).unwrap();
            drop(connection);
            let backup = give(&path, &fs::read(&old).unwrap()).unwrap();
            assert_eq!((backup.schema, backup.history), (version, 1));
            assert_eq!(backup.memory.bans.len(), 1);
            assert_eq!(backup.memory.bans[0].failures, 5);
        }
        let old = folder.path().join("newer.db");
        let connection = Connection::open(&old).unwrap();
        schema::make(&connection, schema::CURRENT).unwrap();
        connection.pragma_update(None, "user_version", schema::CURRENT + 1).unwrap();
        drop(connection);
        let why = give(&path, &fs::read(&old).unwrap()).unwrap_err();
        assert!(why.contains("newer guard"), "{why}");
    }

    #[test]
    fn pieces_come_in_order_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(database::FILE);
        assert_eq!(receive(&path, 0, MAGIC), Ok(16));
        assert!(receive(&path, 15, b"two").is_err());
        assert_eq!(receive(&path, 0, MAGIC), Ok(16));
        assert!(receive(&path, 18, b"two").is_err());
        assert!(examine(&path, 17).unwrap_err().contains("only 16 of its 17 bytes"));
        assert!(examine(&path, 16).unwrap_err().contains("only 0 of its 16 bytes"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn what_is_no_backup_fills_no_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(database::FILE);
        let refused = |at: u64, piece: &[u8], why: &str| {
            let said = receive(&path, at, piece).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert!(!beside(&path, INCOMING).exists(), "nothing is left");
        };
        refused(0, &[0; 1000], "no SQLite database");
        let old = folder.path().join("old.db");
        schema::make(&Connection::open(&old).unwrap(), schema::CURRENT).unwrap();
        let old = fs::read(&old).unwrap();
        let end = receive(&path, 0, &old).unwrap();
        refused(end, b"\0", "goes on after its");
        refused(0, &[&old[..], b"\0"].concat(), "goes on after its");
    }

    #[tokio::test]
    async fn a_history_is_taken_in_one_transaction_with_what_follows() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap().store;
        store.write(vec![Record::History(ban("192.0.2.1")), Record::Ban(ban("192.0.2.1"))]);
        store.committed().await.unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!((snapshot.bans, snapshot.history), (1, 1));
        let whole = snapshot.piece(0, 1 << 20).unwrap();
        assert_eq!(whole.len() as u64, snapshot.bytes);
        assert!(snapshot.piece(snapshot.bytes, 10).unwrap().is_empty());

        store.write(vec![Record::History(ban("192.0.2.2"))]);
        store.committed().await.unwrap();
        let path = folder.path().join(database::FILE);
        let backup = give(&path, &whole).unwrap();
        // Waits for the disk, is of the past that is given up, and never gets there.
        store.write(vec![Record::History(ban("192.0.2.3"))]);
        store.write_restored(&backup, vec![Record::History(ban("192.0.2.4"))]);
        store.committed().await.unwrap();
        let query = crate::model::HistoryQuery { network: None, jail: None, since: None, limit: 9 };
        let past = store.history(&query).unwrap();
        let past: Vec<String> =
            past.entries.iter().map(|entry| entry.ban.network.to_string()).collect();
        assert_eq!(past, ["192.0.2.1", "192.0.2.4"]);
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(
            left.iter().all(|left| !left.display().to_string().contains("restoring")),
            "{left:?}"
        );

        // A backup that vanished is told, and nothing else is lost for it.
        let backup = give(&path, &whole).unwrap();
        forget(&backup.path);
        store.write_restored(&backup, vec![Record::History(ban("192.0.2.5"))]);
        store.committed().await.unwrap();
        assert!(store.status().borrow().notes[0].contains("was not taken over"));
        assert_eq!(store.history(&query).unwrap().entries.len(), 3);
        assert!(store.keep_aside(Timestamp::UNIX_EPOCH).unwrap().is_file());
        store.stop().unwrap();
    }
}
