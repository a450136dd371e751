//! The database of another program: fail2ban's bans, read once and never written.
//!
//! fail2ban may be running. It keeps its journal in memory and waits five seconds for a
//! lock; the lock that reading takes lasts for one statement. Nothing is made beside the
//! file and nothing is rolled back: what would need that is refused. Whatever is in the
//! file is taken for hostile: only tables are read, no views and no computed columns, and
//! everything is bounded.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use crate::model::{ForeignBan, Network, Timestamp, Until};

/// A larger file is not read, in bytes.
pub const MAX_FILE: u64 = 1 << 30;

/// Most bans that are read.
const MAX_BANS: usize = 1_000_000;

/// So long fail2ban may hold its lock.
const BUSY: Duration = Duration::from_secs(5);

/// So long a file may take to be read.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest jail's name and id that are looked at, in bytes.
const LONGEST: usize = 256;

/// Bans as fail2ban remembers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The last ban of each address in each jail: the jail's name, and the ban.
    pub bans: Vec<(String, ForeignBan)>,
    /// Those who are no addresses, as they are written, with their jail; the first few.
    pub strange: Vec<(String, String)>,
    /// How many those are.
    pub strangers: u64,
}

/// Reads the database at `path`.
///
/// # Errors
/// Why it can't be read, with the path and what to do.
pub fn read(path: &Path) -> Result<Remembered, String> {
    let shown = path.display();
    let told = |why: String| format!("{shown}: {why}");
    let kind = std::fs::metadata(path).map_err(|error| told(error.to_string()))?;
    if !kind.is_file() {
        let what = if kind.file_type().is_fifo() { "a pipe" } else { "no regular file" };
        return Err(told(format!("it is {what}: on standard input, write `--bans -`")));
    }
    check_size(kind.len()).map_err(told)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags);
    let read = connection.map_err(|error| words(&error)).and_then(|connection| all(&connection));
    read.map_err(told)
}

/// Reads a copy that nobody else has, such as one of standard input.
///
/// # Errors
/// Why it can't be read.
pub fn read_copy(path: &Path) -> Result<Remembered, String> {
    check_size(std::fs::metadata(path).map_err(|error| error.to_string())?.len())?;
    // Immutable: no locks, and no journal that could be hot.
    let name = path.display().to_string();
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let uri = format!("file:{name}?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags).map_err(|error| words(&error))?;
    all(&connection)
}

fn check_size(length: u64) -> Result<(), String> {
    match length {
        0 => Err("it is empty".to_owned()),
        length if length > MAX_FILE => Err(format!(
            "it is larger than {} MiB: let fail2ban purge it (`fail2ban-client set dbpurgeage 1d`)",
            MAX_FILE >> 20
        )),
        _ => Ok(()),
    }
}

fn all(connection: &Connection) -> Result<Remembered, String> {
    let stop = connection.get_interrupt_handle();
    let (done, waits) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::Builder::new().name("import-watch".to_owned());
    let watch = watch.spawn(move || {
        if waits.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            stop.interrupt();
        }
    });
    let found = bans(connection);
    drop(done);
    if let Ok(watch) = watch {
        // It ends at once, and has nothing to tell.
        let _ = watch.join();
    }
    found
}

fn bans(connection: &Connection) -> Result<Remembered, String> {
    let wrong = |error: rusqlite::Error| words(&error);
    connection.busy_timeout(BUSY).map_err(wrong)?;
    for (name, on) in [("trusted_schema", false), ("cell_size_check", true), ("query_only", true)] {
        connection.pragma_update(None, name, on).map_err(wrong)?;
    }
    let table = table(connection)?;
    let sql = match table {
        "bips" => "SELECT jail, ip, timeofban, bantime, bancount FROM bips",
        // Of one address in one jail, the row with the last ban.
        _ => "SELECT jail, ip, max(timeofban), bantime, bancount FROM bans GROUP BY jail, ip",
    };
    let mut statement = connection.prepare(sql).map_err(wrong)?;
    let mut rows = statement.query([]).map_err(wrong)?;
    let mut found = Remembered::default();
    while let Some(row) = rows.next().map_err(wrong)? {
        if found.bans.len() >= MAX_BANS || found.strangers >= MAX_BANS as u64 {
            return Err(format!("it holds more than {MAX_BANS} bans"));
        }
        match ban(row) {
            Ok(ban) => found.bans.push(ban),
            Err(strange) => {
                found.strangers += 1;
                if found.strange.len() < 20 {
                    found.strange.push(strange);
                }
            }
        }
    }
    Ok(found)
}

/// The table that has the bans: a plain one with fail2ban's columns.
fn table(connection: &Connection) -> Result<&'static str, String> {
    let mut old = false;
    for name in ["bips", "bans"] {
        let sql = "SELECT type, coalesce(sql, '') FROM sqlite_schema WHERE name = ?1";
        let kind = connection
            .query_row(sql, [name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let (kind, made) = match kind {
            Ok(kind) => kind,
            Err(rusqlite::Error::QueryReturnedNoRows) => continue,
            Err(error) => return Err(words(&error)),
        };
        if kind != "table" || made.trim_start().to_ascii_uppercase().starts_with("CREATE VIRTUAL") {
            return Err(format!("`{name}` in it is no plain table: this is not fail2ban's"));
        }
        let columns = columns(connection, name).map_err(|error| words(&error))?;
        let has = |wanted: &str| columns.iter().any(|(name, plain)| *plain && name == wanted);
        if ["jail", "ip", "timeofban", "bantime", "bancount"].into_iter().all(has) {
            return Ok(name);
        }
        let names = |name: &str| columns.iter().any(|(column, _)| column == name);
        old |= ["jail", "ip", "timeofban"].iter().all(|name| names(name)) && !names("bantime");
    }
    Err(match old {
        true => "a fail2ban before 0.11 made it, and it does not say how long bans last: take \
                 over the addresses by `fail2ban-client get JAIL banip | guardctl ban - --jail JAIL`"
            .to_owned(),
        false => "it has no bans of fail2ban's: is it the file that `fail2ban-client get dbfile` \
                  names?"
            .to_owned(),
    })
}

/// A table's columns, and which of them are plain.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<(String, bool)>> {
    let mut found = Vec::new();
    connection.pragma(None, "table_xinfo", table, |row| {
        found.push((row.get::<_, String>("name")?, row.get::<_, i64>("hidden")? == 0));
        Ok(())
    })?;
    Ok(found)
}

/// A ban, or who is no address and in which jail.
fn ban(row: &Row<'_>) -> Result<(String, ForeignBan), (String, String)> {
    let jail = text(row, 0);
    let whom = text(row, 1);
    let made = || {
        let since = Timestamp::from_second(whole(row, 2)?).ok()?;
        let until = match whole(row, 3)? {
            time if time < 0 => Until::Forever,
            time => since
                .checked_add(Duration::from_secs(time.unsigned_abs()))
                .map_or(Until::Forever, Until::Time),
        };
        let network: Network = whom.parse().ok()?;
        let times = whole(row, 4).and_then(|times| u32::try_from(times).ok()).unwrap_or(1);
        Some(ForeignBan { network, since, until, times })
    };
    match made() {
        Some(ban) => Ok((jail, ban)),
        None => Err((jail, whom)),
    }
}

fn text(row: &Row<'_>, column: usize) -> String {
    match row.get_ref(column) {
        Ok(ValueRef::Text(bytes)) => {
            String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned()
        }
        _ => String::new(),
    }
}

fn whole(row: &Row<'_>, column: usize) -> Option<i64> {
    match row.get_ref(column).ok()? {
        ValueRef::Integer(number) => Some(number),
        // Out of range it is the nearest end, which no time is.
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second is no matter")]
        ValueRef::Real(number) => Some(number as i64),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

fn words(error: &rusqlite::Error) -> String {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "it is no SQLite database".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => format!(
            "the database is corrupt ({error}): fail2ban repairs or makes it anew when it starts"
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it locked; try again".to_owned()
        }
        Some(ErrorCode::OperationInterrupted) => {
            format!("it took longer than {} s to read", PATIENCE.as_secs())
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => format!(
            "it can't be opened without changing it ({error}): something was not written to its \
             end; start and stop fail2ban once, or read a copy: `guardctl import --bans - < FILE`"
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As fail2ban 1.0 makes them.
    const SCHEMA: &str = "CREATE TABLE fail2banDb(version INTEGER);
        INSERT INTO fail2banDb VALUES (4);
        CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT NULL,
            bantime INTEGER NOT NULL, bancount INTEGER NOT NULL default 1, data JSON,
            PRIMARY KEY(ip, jail));";

    fn made(sql: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fail2ban.sqlite3");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        (folder, path)
    }

    fn shown(found: &Remembered) -> Vec<String> {
        let one = |(jail, ban): &(String, ForeignBan)| {
            let since = ban.since.as_second();
            format!("{jail} {} {since} {} {}", ban.network, ban.until, ban.times)
        };
        found.bans.iter().map(one).collect()
    }

    #[track_caller]
    fn refuse(sql: &str, what: &str) {
        let (_folder, path) = made(sql);
        let told = read(&path).unwrap_err();
        assert!(told.contains(what), "{told}");
    }

    #[test]
    fn bans_are_read_and_nothing_is_left_beside_the_file() {
        let rows = "INSERT INTO bips VALUES
            ('192.0.2.1', 'sshd', 1000, 600, 1, '{}'), ('2001:db8::1', 'web', 1000, -1, 4, NULL),
            ('192.0.2.0/24', 'web', 1000, 60, 0, NULL), ('bob', 'web', 1000, 60, 1, NULL),
            ('192.0.2.9', 'web', 1000, 9223372036854775807, 1, NULL);";
        let (folder, path) = made(&format!("{SCHEMA}{rows}"));
        let before = std::fs::read(&path).unwrap();
        let found = read(&path).unwrap();
        assert_eq!(
            shown(&found),
            [
                "sshd 192.0.2.1 1000 1970-01-01T00:26:40Z 1",
                "web 2001:db8::1 1000 for ever 4",
                "web 192.0.2.0/24 1000 1970-01-01T00:17:40Z 0",
                "web 192.0.2.9 1000 for ever 1",
            ]
        );
        assert_eq!(found.strange, [("web".to_owned(), "bob".to_owned())]);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(read_copy(&path).unwrap(), found);
        // fail2ban goes on writing meanwhile.
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF").unwrap();
        let held = writer.prepare("SELECT ip FROM bips").unwrap();
        assert_eq!(read(&path).unwrap(), found);
        drop(held);
        writer.execute_batch("DELETE FROM bips WHERE jail = 'web'").unwrap();
        assert_eq!(read(&path).unwrap().bans.len(), 1);
    }

    #[test]
    fn an_older_table_serves_and_the_last_ban_of_it_counts() {
        let sql = "CREATE TABLE bans(jail TEXT, ip TEXT, timeofban INTEGER, bantime INTEGER,
                bancount INTEGER, data JSON);
            INSERT INTO bans VALUES ('a', '192.0.2.1', 10, 20, 1, ''), ('a', '192.0.2.1', 30, 40, 2, '');";
        let (_folder, path) = made(sql);
        assert_eq!(shown(&read(&path).unwrap()), ["a 192.0.2.1 30 1970-01-01T00:01:10Z 2"]);
    }

    #[test]
    fn what_is_not_fail2bans_is_refused() {
        refuse("CREATE TABLE x(y)", "no bans of fail2ban's");
        refuse("CREATE VIEW bips AS SELECT 1 AS jail, 2 AS ip, 3 AS timeofban", "no plain table");
        refuse("CREATE VIRTUAL TABLE bips USING fts5(jail)", "no plain table");
        refuse(
            "CREATE TABLE bans(jail TEXT, ip TEXT, timeofban INTEGER, data JSON)",
            "before 0.11",
        );
        let computed = "CREATE TABLE bips(ip, jail, timeofban, bancount,
            bantime AS (length(hex(zeroblob(900000000)))));";
        refuse(computed, "no bans of fail2ban's");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(read(&path).unwrap_err().contains("no SQLite database"));
        std::fs::write(&path, "").unwrap();
        assert!(read(&path).unwrap_err().contains("it is empty"));
        assert!(read(folder.path()).unwrap_err().contains("no regular file"));
        let large = std::fs::File::create(&path).unwrap();
        large.set_len(MAX_FILE + 1).unwrap();
        assert!(read(&path).unwrap_err().contains("larger than"));
    }

    #[test]
    fn a_damaged_file_is_refused_or_gives_rows_but_never_panics() {
        let rows: String = (0..2000)
            .map(|n| {
                format!(
                    "INSERT INTO bips VALUES ('10.0.{}.{}', 'a', {n}, 600, 1, '');",
                    n / 250,
                    n % 250
                )
            })
            .collect();
        let (_folder, path) = made(&format!("BEGIN;{SCHEMA}{rows}COMMIT;"));
        let sound = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for step in 0..60_usize {
            let mut bytes = sound.clone();
            let at = (step * 7919) % bytes.len();
            let end = (at + 64).min(bytes.len());
            bytes[at..end].fill(0xff);
            std::fs::write(&path, &bytes).unwrap();
            refused += usize::from(read(&path).is_err());
        }
        assert!(refused > 0);
        std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
        assert!(read(&path).is_err());
    }
}
