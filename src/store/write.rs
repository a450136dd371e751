//! A batch → rows, in one transaction.

use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior};

use super::batch::{Batch, Changes};
use super::history;
use super::rows::{self, nanoseconds, until_nanoseconds};
use crate::model::{Ban, Offence};

/// The tables whose rows belong to a jail and go with it; history stays.
const OF_A_JAIL: [&str; 4] = ["bans", "failures", "floors", "progress"];

/// Writes the batch; on an error nothing of it is written.
pub(super) fn write(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let Some(from) = &batch.history_from else { return write_all(connection, batch) };
    history::attach(connection, from)?;
    let written = write_all(connection, batch);
    // What was written is, whether the file can be let go of or not.
    let _ = history::detach(connection);
    written
}

fn write_all(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if batch.anew {
        transaction.execute("DELETE FROM jails", [])?;
        transaction.execute("DELETE FROM offences", [])?;
        for table in OF_A_JAIL {
            transaction.execute(&format!("DELETE FROM {table}"), [])?;
        }
    }
    for (name, changes) in &batch.jails {
        let rows = JailRows { transaction: &transaction, jail: name.as_str() };
        if changes.gone {
            rows.clear()?;
        }
        rows.memory(changes)?;
        rows.bans(changes)?;
        rows.failures(changes)?;
        rows.floors(changes)?;
        rows.progress(changes)?;
    }
    if let Some(names) = &batch.names {
        transaction.execute("DELETE FROM names", [])?;
        for (name, addresses) in names {
            let sql = "INSERT INTO names (name, addresses) VALUES (?1, ?2)";
            let addresses = rows::to_json(addresses)?;
            transaction.prepare_cached(sql)?.execute([name, &addresses])?;
        }
    }
    if batch.history_from.is_some() {
        history::replace(&transaction)?;
    }
    for past in &batch.history {
        history::write(&transaction, past)?;
    }
    write_offences(&transaction, batch)?;
    transaction.commit()
}

fn write_offences(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    for ((jail, network), offence) in &batch.offences {
        let (jail, network) = (jail.as_str(), network.to_string());
        match offence {
            Some(Offence { bans, until }) => transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO offences (jail, network, bans, until)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((jail, network, bans, until_nanoseconds(*until)))?,
            None => transaction
                .prepare_cached("DELETE FROM offences WHERE jail = ?1 AND network = ?2")?
                .execute((jail, network))?,
        };
    }
    Ok(())
}

/// The rows of one jail.
struct JailRows<'a> {
    transaction: &'a Transaction<'a>,
    jail: &'a str,
}

impl JailRows<'_> {
    fn run(&self, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn clear(&self) -> rusqlite::Result<()> {
        self.run("DELETE FROM jails WHERE name = ?1", &[&self.jail])?;
        for table in OF_A_JAIL {
            self.run(&format!("DELETE FROM {table} WHERE jail = ?1"), &[&self.jail])?;
        }
        Ok(())
    }

    fn memory(&self, changes: &Changes) -> rusqlite::Result<()> {
        let Some(memory) = &changes.memory else { return Ok(()) };
        let rules = rows::to_json(&*memory.rules)?;
        let (found, banned) = (rows::total(memory.found), rows::total(memory.banned));
        self.run(
            "INSERT OR REPLACE INTO jails (name, rules, found, banned) VALUES (?1, ?2, ?3, ?4)",
            &[&self.jail, &rules, &found, &banned],
        )
    }

    fn bans(&self, changes: &Changes) -> rusqlite::Result<()> {
        for (network, ban) in &changes.bans {
            match ban {
                Some(ban) => write_ban(self.transaction, ban)?,
                None => self.run(
                    "DELETE FROM bans WHERE jail = ?1 AND network = ?2",
                    &[&self.jail, &network.to_string()],
                )?,
            }
        }
        Ok(())
    }

    fn failures(&self, changes: &Changes) -> rusqlite::Result<()> {
        for (network, times) in &changes.failures {
            let network = network.to_string();
            if times.is_empty() {
                let sql = "DELETE FROM failures WHERE jail = ?1 AND network = ?2";
                self.run(sql, &[&self.jail, &network])?;
            } else {
                let sql =
                    "INSERT OR REPLACE INTO failures (jail, network, times) VALUES (?1, ?2, ?3)";
                self.run(sql, &[&self.jail, &network, &rows::times_to_json(times)?])?;
            }
        }
        Ok(())
    }

    fn floors(&self, changes: &Changes) -> rusqlite::Result<()> {
        for (network, at) in &changes.floors {
            let network = network.to_string();
            match at {
                Some(at) => self.run(
                    "INSERT OR REPLACE INTO floors (jail, network, at) VALUES (?1, ?2, ?3)",
                    &[&self.jail, &network, &nanoseconds(*at)],
                )?,
                None => self.run(
                    "DELETE FROM floors WHERE jail = ?1 AND network = ?2",
                    &[&self.jail, &network],
                )?,
            }
        }
        Ok(())
    }

    fn progress(&self, changes: &Changes) -> rusqlite::Result<()> {
        for (source, progress) in &changes.progress {
            let source = rows::to_json(source)?;
            match progress {
                Some(progress) => {
                    let resume = rows::to_json(&progress.resume)?;
                    let judged = rows::to_json(&progress.judged)?;
                    self.run(
                        "INSERT OR REPLACE INTO progress (jail, source, resume, judged)
                         VALUES (?1, ?2, ?3, ?4)",
                        &[&self.jail, &source, &resume, &judged],
                    )?;
                }
                None => self.run(
                    "DELETE FROM progress WHERE jail = ?1 AND source = ?2",
                    &[&self.jail, &source],
                )?,
            }
        }
        Ok(())
    }
}

fn write_ban(transaction: &Transaction<'_>, ban: &Ban) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO bans (jail, network, since, until, origin, failures)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    transaction.prepare_cached(sql)?.execute(ban_columns(ban)).map(drop)
}

/// Both tables of bans have these columns.
pub(super) fn ban_columns(ban: &Ban) -> impl rusqlite::Params {
    (
        ban.jail.as_str().to_owned(),
        ban.network.to_string(),
        nanoseconds(ban.since),
        until_nanoseconds(ban.until),
        rows::origin_name(ban.origin),
        ban.failures,
    )
}
