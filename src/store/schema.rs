//! The tables, and how a database of an older guard becomes one of today.
//!
//! `PRAGMA user_version` counts the migrations that were applied. They only go
//! forward: a database of a newer guard is refused, because nobody can know
//! what it means. A migration that was released is never edited.
//!
//! There are no foreign keys between jails and what belongs to them: a ban that
//! is known without its jail must still be restored, so nothing may depend on
//! the order in which the two arrive.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as guard's (`PRAGMA application_id`): "guar".
pub(super) const APPLICATION: i64 = 0x6775_6172;

/// What brings a database from version N to N + 1, in order.
const MIGRATIONS: &[&str] = &[VERSION_1, OFFENCES, HISTORY_ENDS, NAMES];

/// The version that this guard writes and reads.
pub(super) const CURRENT: i64 = MIGRATIONS.len() as i64;

/// Times are nanoseconds since 1970 in UTC, networks are written as `192.0.2.1`
/// or `2001:db8::/64`, and what has structure is JSON. A ban for ever has no `until`.
const VERSION_1: &str = "
CREATE TABLE jails (
    name TEXT PRIMARY KEY, rules TEXT NOT NULL, found INTEGER NOT NULL, banned INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE bans (
    jail TEXT NOT NULL, network TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER,
    origin TEXT NOT NULL, failures INTEGER NOT NULL,
    PRIMARY KEY (jail, network)
) STRICT, WITHOUT ROWID;
CREATE TABLE history (
    since INTEGER NOT NULL, jail TEXT NOT NULL, network TEXT NOT NULL, until INTEGER,
    origin TEXT NOT NULL, failures INTEGER NOT NULL,
    PRIMARY KEY (since, jail, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_by_network ON history (network, since);
CREATE TABLE failures (
    jail TEXT NOT NULL, network TEXT NOT NULL, times TEXT NOT NULL,
    PRIMARY KEY (jail, network)
) STRICT, WITHOUT ROWID;
CREATE TABLE floors (
    jail TEXT NOT NULL, network TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (jail, network)
) STRICT, WITHOUT ROWID;
CREATE TABLE progress (
    jail TEXT NOT NULL, source TEXT NOT NULL, resume TEXT NOT NULL, judged TEXT NOT NULL,
    PRIMARY KEY (jail, source)
) STRICT, WITHOUT ROWID;
";

/// Who was banned how often; `until` is the end of the last ban. History tells it for
/// the time before.
const OFFENCES: &str = "
CREATE TABLE offences (
    jail TEXT NOT NULL, network TEXT NOT NULL, bans INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (jail, network)
) STRICT, WITHOUT ROWID;
INSERT INTO offences (jail, network, bans, until)
    SELECT jail, network, count(*), CASE WHEN count(until) = count(*) THEN max(until) END
    FROM history WHERE origin = 'failures' GROUP BY jail, network;
";

/// How a ban ended: `lifted` is when it was, before its `until`, and by whom; and what
/// led to it, a JSON list of lines.
const HISTORY_ENDS: &str = "
ALTER TABLE history ADD COLUMN prolonged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE history ADD COLUMN lifted INTEGER;
ALTER TABLE history ADD COLUMN lifted_by TEXT;
ALTER TABLE history ADD COLUMN lines TEXT;
";

/// The addresses of DNS names, as they were last found.
const NAMES: &str = "
CREATE TABLE names (name TEXT PRIMARY KEY, addresses TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// The version of the database.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// What marks the database, if anything does.
pub(super) fn application(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// All that the database declares: kind, name and SQL of each table and index.
pub(super) fn shape(connection: &Connection) -> rusqlite::Result<Vec<[String; 3]>> {
    let sql = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    rows.collect()
}

/// The [`shape`] that a database of this version has.
pub(super) fn expected(version: i64) -> rusqlite::Result<Vec<[String; 3]>> {
    let connection = Connection::open_in_memory()?;
    make(&connection, version)?;
    shape(&connection)
}

/// Makes an empty database what it was at this version.
pub(super) fn make(connection: &Connection, version: i64) -> rusqlite::Result<()> {
    for step in MIGRATIONS.iter().take(usize::try_from(version).unwrap_or(0)) {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", version)
}

/// Brings the database to [`CURRENT`], all steps in one transaction. The caller
/// has made sure that it is not newer.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if version(connection)? == CURRENT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again: under the lock it can't change any more.
    let from = usize::try_from(version(&transaction)?).unwrap_or(0);
    for step in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", CURRENT)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_database_becomes_current_and_stays_so() {
        let mut connection = Connection::open_in_memory().unwrap();
        for _ in 0..2 {
            migrate(&mut connection).unwrap();
            assert_eq!(version(&connection).unwrap(), CURRENT);
        }
    }

    #[test]
    fn offences_are_taken_from_the_history() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(VERSION_1).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        for (since, network, until, origin) in [
            (1, "192.0.2.1", Some(9), "failures"),
            (2, "192.0.2.1", Some(7), "failures"),
            (3, "192.0.2.2", Some(9), "hand"),
            (4, "192.0.2.3", None, "failures"),
            (5, "192.0.2.3", Some(9), "failures"),
        ] {
            let sql = "INSERT INTO history VALUES (?1, 'web', ?2, ?3, ?4, 5)";
            connection.execute(sql, (since, network, until, origin)).unwrap();
        }
        migrate(&mut connection).unwrap();
        let sql = "SELECT network, bans, until FROM offences ORDER BY network";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let rows: Vec<(String, u32, Option<i64>)> = rows.unwrap().map(Result::unwrap).collect();
        let of = |network: &str, until| (network.to_owned(), 2, until);
        assert_eq!(rows, [of("192.0.2.1", Some(9)), of("192.0.2.3", None)]);
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE history (x)").unwrap();
        migrate(&mut connection).unwrap_err();
        assert_eq!(version(&connection).unwrap(), 0);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(tables, 1);
    }
}
