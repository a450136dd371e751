//! Values ↔ columns. Nothing that is read is believed: a row that makes no sense
//! (a hand with `sqlite3`, a bug of another version) is left out with a note.

use std::sync::Arc;

use rusqlite::{Connection, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{
    Address, Ban, BanOrigin, JailMemory, JailName, JailRules, Memory, Network, Offence, PortRange,
    Ports, Position, Progress, SourceId, Timestamp, Until,
};

/// Most notes about rows of one table; the rest is counted.
const MAX_NOTES: usize = 3;

/// Most failure times that are read of one address.
const MAX_TIMES: usize = 1 << 20;

/// Nanoseconds since 1970. Times before 1678 or after 2262 become the nearest
/// that can be written; no log has them.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    let clamped = at.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into());
    i64::try_from(clamped).expect("it was clamped to the range")
}

/// `None` is for ever; so is an end after 2262.
pub(super) fn until_nanoseconds(until: Until) -> Option<i64> {
    match until {
        Until::Time(at) => i64::try_from(at.as_nanosecond()).ok(),
        Until::Forever => None,
    }
}

/// A total as a column; SQLite's integers have a sign.
pub(super) fn total(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whoever may have asked for a ban.
const ORIGINS: [BanOrigin; 4] =
    [BanOrigin::Failures, BanOrigin::Hand, BanOrigin::Adopted, BanOrigin::Imported];

/// How an origin is written.
pub(super) fn origin_name(origin: BanOrigin) -> &'static str {
    match origin {
        BanOrigin::Failures => "failures",
        BanOrigin::Hand => "hand",
        BanOrigin::Adopted => "adopted",
        BanOrigin::Imported => "imported",
    }
}

/// JSON for a column.
pub(super) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Failure times for a column.
pub(super) fn times_to_json(times: &[Timestamp]) -> rusqlite::Result<String> {
    to_json(&times.iter().map(|at| nanoseconds(*at)).collect::<Vec<_>>())
}

/// Why a row is left out.
pub(super) type Nonsense = String;

/// Reads everything; notes say what was left out.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<(Memory, Vec<String>)> {
    // One snapshot, whoever else writes.
    let snapshot = connection.unchecked_transaction()?;
    let mut notes = Vec::new();
    let mut read = Reader { connection: &snapshot, notes: &mut notes };
    let memory = Memory {
        jails: read.table("jails", "SELECT name, rules, found, banned FROM jails", jail)?,
        bans: read.table(
            "bans",
            "SELECT jail, network, since, until, origin, failures FROM bans ORDER BY since, network",
            ban,
        )?,
        failures: read.table("failures", "SELECT jail, network, times FROM failures", failures)?,
        floors: read.table("floors", "SELECT jail, network, at FROM floors", floor)?,
        offences: read.table(
            "offences",
            "SELECT jail, network, bans, until FROM offences ORDER BY until IS NULL, until, network, jail",
            offence,
        )?,
        progress: read.table(
            "progress",
            "SELECT jail, source, resume, judged FROM progress",
            progress,
        )?,
        names: read
            .table("names", "SELECT name, addresses FROM names", name)?
            .into_iter()
            .collect(),
    };
    Ok((memory, notes))
}

struct Reader<'a> {
    connection: &'a Connection,
    notes: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// Reads a table. An error of the database itself ends it; a bad row does not.
    fn table<T>(
        &mut self,
        table: &str,
        sql: &str,
        parse: fn(&Row<'_>) -> Result<T, Nonsense>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let (mut values, mut bad) = (Vec::new(), 0_usize);
        while let Some(row) = rows.next()? {
            match parse(row) {
                Ok(value) => values.push(value),
                Err(why) => {
                    bad += 1;
                    if bad <= MAX_NOTES {
                        self.notes.push(format!("left out a row of table {table}: {why}"));
                    }
                }
            }
        }
        if let more @ 1.. = bad.saturating_sub(MAX_NOTES) {
            self.notes.push(format!("left out {more} more rows of table {table}"));
        }
        Ok(values)
    }
}

pub(super) fn column<T: rusqlite::types::FromSql>(
    row: &Row<'_>,
    name: &str,
) -> Result<T, Nonsense> {
    row.get(name).map_err(|error| error.to_string())
}

/// A column whose text means a value.
fn parsed<T: std::str::FromStr<Err: ToString>>(row: &Row<'_>, name: &str) -> Result<T, Nonsense> {
    column::<String>(row, name)?.parse().map_err(|error: T::Err| error.to_string())
}

fn json<T: DeserializeOwned>(row: &Row<'_>, name: &str) -> Result<T, Nonsense> {
    let text: String = column(row, name)?;
    serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))
}

pub(super) fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).expect("every i64 of nanoseconds is in range")
}

fn key(row: &Row<'_>) -> Result<(JailName, Network), Nonsense> {
    Ok((parsed(row, "jail")?, parsed(row, "network")?))
}

fn until(row: &Row<'_>) -> Result<Until, Nonsense> {
    let until = column::<Option<i64>>(row, "until")?;
    Ok(until.map_or(Until::Forever, |at| Until::Time(time(at))))
}

fn count(row: &Row<'_>, name: &str) -> Result<u64, Nonsense> {
    let count: i64 = column(row, name)?;
    u64::try_from(count).map_err(|_| format!("{name} is {count}"))
}

pub(super) fn jail(row: &Row<'_>) -> Result<JailMemory, Nonsense> {
    let name: JailName = parsed(row, "name")?;
    let rules: JailRules = json(row, "rules")?;
    if rules.name != name {
        return Err(format!("the rules of jail {name} are those of {}", rules.name));
    }
    if let Some(why) = nonsense(&rules) {
        return Err(format!("the rules of jail {name}: {why}"));
    }
    Ok(JailMemory {
        rules: Arc::new(rules),
        found: count(row, "found")?,
        banned: count(row, "banned")?,
    })
}

/// What the types of the rules promise, and JSON alone does not keep.
fn nonsense(rules: &JailRules) -> Option<&'static str> {
    if !rules.policy.prefixes.are_allowed() {
        return Some("prefixes that can't be");
    }
    if rules.block.chains.is_empty() {
        return Some("no chain");
    }
    if let Ports::Some(ports) = &rules.block.ports {
        let sound = |range: &PortRange| PortRange::new(range.first(), range.last()).is_some();
        if ports.is_empty() || !ports.iter().all(|(_, range)| sound(range)) {
            return Some("ports that can't be");
        }
    }
    None
}

pub(super) fn ban(row: &Row<'_>) -> Result<Ban, Nonsense> {
    let (jail, network) = key(row)?;
    let origin: String = column(row, "origin")?;
    Ok(Ban {
        jail,
        network,
        since: time(column(row, "since")?),
        until: until(row)?,
        origin: ORIGINS
            .into_iter()
            .find(|known| origin_name(*known) == origin)
            .ok_or_else(|| format!("no ban has the origin `{}`", origin.escape_debug()))?,
        failures: column(row, "failures")?,
    })
}

pub(super) fn failures(row: &Row<'_>) -> Result<(JailName, Network, Vec<Timestamp>), Nonsense> {
    let (jail, network) = key(row)?;
    let mut times: Vec<i64> = json(row, "times")?;
    if times.is_empty() || times.len() > MAX_TIMES {
        return Err(format!("{} failures of {network}", times.len()));
    }
    times.sort_unstable();
    Ok((jail, network, times.into_iter().map(time).collect()))
}

pub(super) fn name(row: &Row<'_>) -> Result<(String, Vec<Address>), Nonsense> {
    Ok((column(row, "name")?, json(row, "addresses")?))
}

pub(super) fn floor(row: &Row<'_>) -> Result<(JailName, Network, Timestamp), Nonsense> {
    let (jail, network) = key(row)?;
    Ok((jail, network, time(column(row, "at")?)))
}

pub(super) fn offence(row: &Row<'_>) -> Result<(JailName, Network, Offence), Nonsense> {
    let (jail, network) = key(row)?;
    Ok((jail, network, Offence { bans: column(row, "bans")?, until: until(row)? }))
}

pub(super) fn progress(row: &Row<'_>) -> Result<(JailName, SourceId, Progress), Nonsense> {
    let jail = parsed(row, "jail")?;
    let source: SourceId = json(row, "source")?;
    let progress = Progress { resume: json(row, "resume")?, judged: json(row, "judged")? };
    let fits = |position: &Position| match (&source, position) {
        (SourceId::Output(_), Position::Output { .. })
        | (SourceId::File(_), Position::File(_))
        | (SourceId::Journal, Position::Journal(_)) => true,
        (SourceId::Output(_), Position::File(_) | Position::Journal(_))
        | (SourceId::File(_), Position::Output { .. } | Position::Journal(_))
        | (SourceId::Journal, Position::Output { .. } | Position::File(_)) => false,
    };
    if fits(&progress.resume) && fits(&progress.judged) {
        Ok((jail, source, progress))
    } else {
        Err(format!("a position of another kind than {source}"))
    }
}
