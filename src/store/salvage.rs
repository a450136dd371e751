//! What can still be read out of a database that was set aside.
//!
//! SQLite reads a table up to the first damaged page, so each is read from both
//! ends; every row is doubted as always. What this gives is better than nothing:
//! bans that stand go on standing, and where a log was read to is still known.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use super::database::beside;
use super::history;
use super::rows::{self, Nonsense};
use crate::model::{HistoryEntry, Memory};

/// Most rows that are read of one table.
const MAX_ROWS: usize = 2_000_000;

/// What was saved.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub(super) memory: Memory,
    /// Oldest first.
    pub(super) history: Vec<HistoryEntry>,
}

/// Reads what can be read of the database at `path`, which nobody else uses.
pub(super) fn salvage(path: &Path) -> Salvaged {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(path, flags) else {
        return Salvaged::default();
    };
    let memory = Memory {
        jails: table(&connection, "name, rules, found, banned FROM jails", "name", rows::jail),
        bans: table(
            &connection,
            "jail, network, since, until, origin, failures FROM bans",
            "jail, network",
            rows::ban,
        ),
        failures: table(
            &connection,
            "jail, network, times FROM failures",
            "jail, network",
            rows::failures,
        ),
        names: table(&connection, "name, addresses FROM names", "name", rows::name)
            .into_iter()
            .collect(),
        offences: table(
            &connection,
            "jail, network, bans, until FROM offences",
            "jail, network",
            rows::offence,
        ),
        floors: table(&connection, "jail, network, at FROM floors", "jail, network", rows::floor),
        progress: table(
            &connection,
            "jail, source, resume, judged FROM progress",
            "jail, source",
            rows::progress,
        ),
    };
    let mut history =
        table(&connection, history::FROM_HISTORY, "since, jail, network", history::entry);
    history.sort_by_key(|entry| entry.ban.since);
    drop(connection);
    remove_traces(path);
    Salvaged { memory, history }
}

/// SQLite makes a log and an index of it to read; whatever it was that lay beside the
/// database, it was renamed with it, and is only looked at.
fn remove_traces(path: &Path) {
    let log = beside(path, "-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() == 0) {
        // If they stay, nothing is lost.
        let _ = std::fs::remove_file(log);
        let _ = std::fs::remove_file(beside(path, "-shm"));
    }
}

/// The rows of a table, from the front to what is damaged, then from the back.
fn table<T>(
    connection: &Connection,
    columns: &str,
    key: &str,
    parse: fn(&Row<'_>) -> Result<T, Nonsense>,
) -> Vec<T> {
    let mut found = Found { seen: HashSet::new(), rows: Vec::new() };
    let backwards = key.replace(',', " DESC,") + " DESC";
    for order in [key, &backwards] {
        let sql = format!("SELECT {columns} ORDER BY {order}");
        if found.read(connection, (&sql, key), parse).is_ok() {
            break;
        }
    }
    found.rows
}

struct Found<T> {
    seen: HashSet<Vec<String>>,
    rows: Vec<T>,
}

impl<T> Found<T> {
    /// Reads on to the end, or to what is damaged.
    fn read(
        &mut self,
        connection: &Connection,
        (sql, key): (&str, &str),
        parse: fn(&Row<'_>) -> Result<T, Nonsense>,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if self.rows.len() >= MAX_ROWS {
                break;
            }
            let parts =
                key.split(", ").map(|name| row.get_ref(name).map(|value| format!("{value:?}")));
            let Ok(parts) = parts.collect() else { continue };
            if self.seen.insert(parts)
                && let Ok(value) = parse(row)
            {
                self.rows.push(value);
            }
        }
        Ok(())
    }
}
