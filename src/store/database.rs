//! The database file: opening it, writing a batch, setting a broken one aside.
//!
//! Everything that can go wrong with it is one of three [`Trouble`]s, and only
//! one of them, a file that is no sound database, moves the file away.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use super::batch::Batch;
use super::{history, rows, schema};
use crate::model::{Memory, Timestamp};

/// The file's name in the data directory.
pub(super) const FILE: &str = "guard.db";

/// How long to wait for another program's lock before reporting it.
const BUSY: Duration = Duration::from_secs(1);

/// Why the database can't be used now.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file is corrupt or no database of guard's: it can be set aside.
    Broken(String),
    /// A newer guard made it; its version.
    Newer(i64),
    /// The disk does not let us; a sentence and what to do. It may get well by itself.
    Failing {
        /// The sentence.
        why: String,
        /// Is the connection still sound, so that the same write can be tried again on it?
        sound: bool,
    },
}

impl Trouble {
    /// For people, with the remedy.
    pub(super) fn tell(&self, path: &Path) -> String {
        match self {
            Trouble::Broken(why) => format!("{} is no sound database: {why}", path.display()),
            Trouble::Newer(version) => format!(
                "{} was made by a newer guard (schema {version}, this one knows {}): run that guard, or give this one another GUARD_DATA",
                path.display(),
                schema::CURRENT
            ),
            Trouble::Failing { why, .. } => why.clone(),
        }
    }
}

/// An open database, current and sound when it was opened.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file: a path can name another file tomorrow.
    identity: (u64, u64),
}

impl Database {
    /// Opens the database, or makes a new one.
    pub(super) fn open(path: &Path) -> Result<Database, Trouble> {
        prepare_file(path).map_err(|error| cannot(path, &error))?;
        let told = |error: rusqlite::Error| trouble(path, &error);
        let mut connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))
                .map_err(told)?;
        check(&connection, path)?;
        configure(&connection).map_err(told)?;
        schema::migrate(&mut connection).map_err(told)?;
        let identity = identity(path).map_err(|error| cannot(path, &error))?;
        Ok(Database { connection, path: path.to_owned(), identity })
    }

    /// Reads all that is remembered; rows that make no sense are left out, with a note.
    pub(super) fn load(&self) -> Result<(Memory, Vec<String>), Trouble> {
        rows::load(&self.connection).map_err(|error| trouble(&self.path, &error))
    }

    /// Writes the batch in one transaction; on an error nothing of it is written.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), Trouble> {
        match identity(&self.path) {
            Ok(now) if now == self.identity => {}
            _ => {
                let why = format!("{} was removed or replaced", self.path.display());
                return Err(Trouble::Failing { why, sound: false });
            }
        }
        super::write::write(&mut self.connection, batch)
            .map_err(|error| trouble(&self.path, &error))
    }

    /// Deletes a piece of the history that is too old; says whether there may be more.
    pub(super) fn purge(&self, now: Timestamp, keep: Duration) -> Result<bool, Trouble> {
        history::purge(&self.connection, now, keep).map_err(|error| trouble(&self.path, &error))
    }
}

/// A connection that reads beside the writer's.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, Trouble> {
    let told = |error: rusqlite::Error| trouble(path, &error);
    let connection =
        Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY)).map_err(told)?;
    connection.busy_timeout(BUSY).map_err(told)?;
    match schema::version(&connection).map_err(told)? {
        schema::CURRENT => Ok(connection),
        version => Err(Trouble::Newer(version)),
    }
}

/// Reads what is remembered where nothing can be written, so that at least the
/// bans stand.
pub(super) fn read_only(path: &Path) -> Option<(Memory, Vec<String>)> {
    read_full(path).or_else(|| read_immutable(path))
}

/// On a full disk there is no room for SQLite's shared memory file; a connection
/// that wants the database for itself needs none.
fn read_full(path: &Path) -> Option<(Memory, Vec<String>)> {
    let connection =
        Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE)).ok()?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").ok()?;
    read_current(&connection, path)
}

/// On a read-only file system SQLite must be told that nothing changes; sound
/// only where no log waits to be merged in.
fn read_immutable(path: &Path) -> Option<(Memory, Vec<String>)> {
    let name = path.to_str().filter(|name| !name.contains(['?', '#', '%']))?;
    if fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        return None;
    }
    let connection = Connection::open_with_flags(
        format!("file:{name}?immutable=1"),
        flags(OpenFlags::SQLITE_OPEN_READ_ONLY) | OpenFlags::SQLITE_OPEN_URI,
    )
    .ok()?;
    read_current(&connection, path)
}

fn read_current(connection: &Connection, path: &Path) -> Option<(Memory, Vec<String>)> {
    check(connection, path).ok()?;
    if schema::version(connection).ok()? != schema::CURRENT {
        return None;
    }
    rows::load(connection).ok()
}

/// Renames a broken database, with its log, and says to what. Never overwrites anything.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let name = |count: u32| match count {
        0 => beside(path, &format!(".corrupt-{stamp}")),
        _ => beside(path, &format!(".corrupt-{stamp}-{count}")),
    };
    let free = (0..1000)
        .map(name)
        .find(|name| fs::symlink_metadata(name).is_err())
        .ok_or_else(|| io::Error::other("too many broken databases are there already"))?;
    // The log first: a new database must never meet the log of an old one.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, suffix), beside(&free, suffix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
            result => result?,
        }
    }
    Ok(free)
}

/// The path of a file whose name begins like that of the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

/// Makes the directory and the file, readable by their owner alone: SQLite gives
/// its log the same mode. The addresses of a service's users are nobody's business.
fn prepare_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent()
        && !directory.is_dir()
    {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Is it a database, sound, and not from the future?
fn check(connection: &Connection, path: &Path) -> Result<(), Trouble> {
    let told = |error: rusqlite::Error| trouble(path, &error);
    connection.busy_timeout(BUSY).map_err(told)?;
    let version = schema::version(connection).map_err(told)?;
    if version > schema::CURRENT {
        return Err(Trouble::Newer(version));
    }
    if version < 0 {
        return Err(Trouble::Broken(format!("its schema version is {version}")));
    }
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(told)?;
    if found == "ok" { Ok(()) } else { Err(Trouble::Broken(found)) }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_readonly(MAIN_DB)? {
        // SQLite falls back to reading where it may not write.
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY),
            None,
        ));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // After a burst the log shrinks again.
    connection.pragma_update_and_check(None, "journal_size_limit", 4 << 20, |_| Ok(()))
}

/// What an error of SQLite means, and what to do about it.
pub(super) fn trouble(path: &Path, error: &rusqlite::Error) -> Trouble {
    let path = path.display();
    let failing = |why: String, sound| Trouble::Failing { why, sound };
    if matches!(error, rusqlite::Error::SqlInputError { .. }) {
        // Our SQL is right: the tables are not those that the version promises.
        return Trouble::Broken(error.to_string());
    }
    match error.sqlite_error_code() {
        // SQLITE_ERROR: as above.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
            Trouble::Broken(error.to_string())
        }
        Some(ErrorCode::DiskFull) => {
            failing(format!("the disk that holds {path} is full: free some space on it"), true)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            failing(format!("another program holds {path} locked: end it"), true)
        }
        Some(ErrorCode::ReadOnly) => {
            failing(format!("{path} can't be written: mount its directory writable"), false)
        }
        Some(ErrorCode::OutOfMemory) => failing(format!("no memory is left to write {path}"), true),
        _ => failing(
            format!(
                "{path} can't be read or written ({error}): look for disk errors in the kernel's log, and whether its directory is mounted and writable"
            ),
            false,
        ),
    }
}

pub(super) fn cannot(path: &Path, error: &io::Error) -> Trouble {
    let shown = path.display();
    let why = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("the disk that holds {shown} is full: free some space on it")
        }
        _ => format!(
            "{shown} can't be opened for writing ({error}): mount a writable directory there, or set GUARD_DATA to one"
        ),
    };
    Trouble::Failing { why, sound: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_database_goes_aside_with_its_log_and_overwrites_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let now = "2025-05-26T11:57:27Z".parse().unwrap();
        for round in 0..2 {
            for suffix in ["", "-wal", "-shm"] {
                fs::write(beside(&path, suffix), format!("{round}{suffix}")).unwrap();
            }
            set_aside(&path, now).unwrap();
        }
        let content = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(content("guard.db.corrupt-20250526T115727Z"), "0");
        assert_eq!(content("guard.db.corrupt-20250526T115727Z-wal"), "0-wal");
        assert_eq!(content("guard.db.corrupt-20250526T115727Z-1"), "1");
        assert_eq!(content("guard.db.corrupt-20250526T115727Z-1-shm"), "1-shm");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 6);
        assert!(set_aside(&path, now).is_err(), "there is nothing to set aside");
    }
}
