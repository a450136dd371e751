//! Bans that were: written beside the bans that are, read by a connection of its
//! own, which never keeps the writer waiting, and purged in small pieces.
//!
//! A ban whose end has passed needs no second record: it was over then, unless
//! it was lifted before. How often an address was banned is a count over the
//! index `history_by_network`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Row, ToSql, Transaction};

use super::batch::Past;
use super::database::{self, Trouble};
use super::rows::{self, Nonsense, column, nanoseconds};
use super::write::ban_columns;
use crate::model::{
    Ban, HistoryEntry, HistoryQuery, LiftedBy, Lifting, Network, PastBans, Timestamp,
};

/// So many rows are deleted in one transaction.
const PIECE: u32 = 500;

/// So many rows are kept, the newest, however young the others are: with lines of
/// full length half a gigabyte.
const MAX_ROWS: u32 = 500_000;

/// All that is read of a ban that was, after `SELECT`.
pub(super) const FROM_HISTORY: &str = "jail, network, since, until, origin, failures, prolonged, lines, lifted, lifted_by FROM history";

/// The name of the backup whose history is taken.
const BACKUP: &str = "backup";

/// Opens a backup beside the database.
pub(super) fn attach(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    let sql = format!("ATTACH DATABASE ?1 AS {BACKUP}");
    connection.execute(&sql, [path.to_string_lossy()]).map(drop)
}

/// Closes it.
pub(super) fn detach(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("DETACH DATABASE {BACKUP}"))
}

/// Takes the history of the backup that is [attached](attach) for one's own.
pub(super) fn replace(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let columns = FROM_HISTORY.trim_end_matches(" FROM history");
    transaction.execute_batch(&format!(
        "DELETE FROM main.history;
         INSERT OR IGNORE INTO main.history ({columns}) SELECT {columns} FROM {BACKUP}.history;"
    ))
}

/// Adds what happened to history; told twice, it is there once.
pub(super) fn write(transaction: &Transaction<'_>, past: &Past) -> rusqlite::Result<()> {
    match past {
        Past::Ban(ban) => write_ban(transaction, ban),
        Past::Lifted(lifting) => write_lifting(transaction, lifting),
        Past::Lines { jail, network, since, lines } => {
            let sql = "UPDATE history SET lines = ?4
                 WHERE since = ?1 AND jail = ?2 AND network = ?3";
            let (since, network) = (nanoseconds(*since), network.to_string());
            let values = (since, jail.as_str(), network, rows::to_json(lines)?);
            transaction.prepare_cached(sql)?.execute(values).map(drop)
        }
    }
}

fn write_ban(transaction: &Transaction<'_>, ban: &Ban) -> rusqlite::Result<()> {
    let sql = "INSERT INTO history (jail, network, since, until, origin, failures)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (since, jail, network) DO UPDATE SET
             prolonged = prolonged OR until IS NOT excluded.until,
             until = excluded.until, origin = excluded.origin, failures = excluded.failures";
    transaction.prepare_cached(sql)?.execute(ban_columns(ban)).map(drop)
}

/// The ban that is lifted is the last that began.
fn write_lifting(transaction: &Transaction<'_>, lifting: &Lifting) -> rusqlite::Result<()> {
    let sql = "UPDATE history SET lifted = ?3, lifted_by = ?4
         WHERE jail = ?1 AND network = ?2 AND lifted IS NULL AND since =
             (SELECT max(since) FROM history WHERE network = ?2 AND jail = ?1)";
    let Lifting { jail, network, at, by } = lifting;
    let values = (jail.as_str(), network.to_string(), nanoseconds(*at), lifted_by_name(*by));
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

fn lifted_by_name(by: LiftedBy) -> &'static str {
    match by {
        LiftedBy::Hand => "hand",
        LiftedBy::NeverBan => "never_ban",
    }
}

/// Deletes a piece of what is older than `keep`, or too much; says whether there
/// may be more to delete.
pub(super) fn purge(
    connection: &Connection,
    now: Timestamp,
    keep: Duration,
) -> rusqlite::Result<bool> {
    let oldest = now.checked_sub(keep).map_or(i64::MIN, nanoseconds);
    let newest_surplus = "SELECT since FROM history ORDER BY since DESC LIMIT 1 OFFSET ?1";
    let surplus = connection
        .prepare_cached(newest_surplus)?
        .query_map([MAX_ROWS], |row| row.get::<_, i64>(0))?
        .next()
        .transpose()?;
    let before = surplus.map_or(oldest, |since| oldest.max(since.saturating_add(1)));
    let sql = "DELETE FROM history WHERE (since, jail, network) IN
         (SELECT since, jail, network FROM history WHERE since < ?1 ORDER BY since LIMIT ?2)";
    let deleted = connection.prepare_cached(sql)?.execute((before, PIECE))?;
    Ok(deleted >= PIECE as usize)
}

/// Answers a query from the database at `path`. Blocks.
///
/// # Errors
/// Why it can't be read, for people.
pub(super) fn read(path: &Path, query: &HistoryQuery) -> Result<PastBans, Trouble> {
    let connection = database::open_for_reading(path)?;
    select(&connection, query).map_err(|error| database::trouble(path, &error))
}

fn select(connection: &Connection, query: &HistoryQuery) -> rusqlite::Result<PastBans> {
    let snapshot = connection.unchecked_transaction()?;
    let (sql, values) = statement(query);
    let values: Vec<&dyn ToSql> = values.iter().map(|value| &**value).collect();
    let mut statement = snapshot.prepare(&sql)?;
    let mut rows = statement.query(values.as_slice())?;
    let mut past = PastBans::default();
    // Only these are not chosen by SQL.
    let inside = query.network.filter(|network| !network.is_single());
    while let Some(row) = rows.next()? {
        let full = past.entries.len() >= query.limit;
        if full && inside.is_none() {
            past.more += 1;
            continue;
        }
        // What makes no sense is left out, as it is where bans are read.
        let Ok(entry) = entry(row) else { continue };
        if inside.is_some_and(|network| !network.overlaps(entry.ban.network)) {
            continue;
        }
        if full {
            past.more += 1;
        } else {
            past.entries.push(entry);
        }
    }
    past.entries.reverse();
    past.times = times(&snapshot, &past.entries)?;
    Ok(past)
}

type Value = Box<dyn ToSql>;

fn statement(query: &HistoryQuery) -> (String, Vec<Value>) {
    let mut sql = format!("SELECT {FROM_HISTORY} WHERE since >= ?");
    let mut values: Vec<Value> = vec![Box::new(query.since.map_or(i64::MIN, nanoseconds))];
    if let Some(jail) = &query.jail {
        sql.push_str(" AND jail = ?");
        values.push(Box::new(jail.as_str().to_owned()));
    }
    if let Some(address) = query.network.filter(|network| network.is_single()) {
        // The prefixes that hold it: few enough to look each up in the index.
        let holding = (0..=address.length()).filter_map(|length| {
            Network::new(address.address(), length).map(|network| network.to_string())
        });
        let before = values.len();
        values.extend(holding.map(|network| Box::new(network) as Value));
        let marks = vec!["?"; values.len() - before].join(", ");
        sql.push_str(&format!(" AND network IN ({marks})"));
    }
    sql.push_str(" ORDER BY since DESC, jail DESC, network DESC");
    (sql, values)
}

fn times(
    connection: &Connection,
    entries: &[HistoryEntry],
) -> rusqlite::Result<Vec<(Network, u64)>> {
    let networks: BTreeSet<Network> = entries.iter().map(|entry| entry.ban.network).collect();
    let mut count = connection.prepare("SELECT count(*) FROM history WHERE network = ?1")?;
    let counted = networks.into_iter().map(|network| {
        let times: i64 = count.query_row([network.to_string()], |row| row.get(0))?;
        Ok((network, u64::try_from(times).unwrap_or_default()))
    });
    counted.collect()
}

/// A row of [`FROM_HISTORY`].
pub(super) fn entry(row: &Row<'_>) -> Result<HistoryEntry, Nonsense> {
    let lifted_by = column::<Option<String>>(row, "lifted_by")?;
    let known = |name: &str| {
        [LiftedBy::Hand, LiftedBy::NeverBan].into_iter().find(|by| lifted_by_name(*by) == name)
    };
    Ok(HistoryEntry {
        ban: rows::ban(row)?,
        prolonged: column(row, "prolonged")?,
        lines: column::<Option<String>>(row, "lines")?
            .and_then(|lines| serde_json::from_str(&lines).ok())
            .unwrap_or_default(),
        lifted: column::<Option<i64>>(row, "lifted")?.map(rows::time),
        lifted_by: lifted_by.and_then(|name| known(&name)),
    })
}
