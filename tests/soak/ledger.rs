//! What was written, what was judged, and the verdict.
//!
//! Each line is the failure of an address of its own, so the store itself says which
//! lines were judged, and how often: it keeps the times of each address's failures,
//! and they are written in one transaction with the place in the source. A line that
//! was judged but not committed before guard was killed is judged again, and stands
//! there once; one that counted twice has two times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// A set of lines' numbers.
pub(crate) type Numbers = BTreeSet<u64>;

/// Which lines a jail judged, and how often each.
pub(crate) type Judged = BTreeMap<u64, u64>;

/// The address whose failure line `number` is.
pub(crate) fn address(number: u64) -> IpAddr {
    let [.., a, b, c] = number.to_be_bytes();
    IpAddr::from([10, a, b, c])
}

/// The number of the line that is a failure of this address.
fn number(address: IpAddr) -> Option<u64> {
    match address {
        IpAddr::V4(v4) => {
            let [first, a, b, c] = v4.octets();
            (first == 10).then(|| u64::from_be_bytes([0, 0, 0, 0, 0, a, b, c]))
        }
        IpAddr::V6(v6) => {
            let [0x2001, 0xdb8, 0, 0, 0, 0, high, low] = v6.segments() else { return None };
            Some(u64::from(high) << 16 | u64::from(low))
        }
    }
}

/// The numbers of the lines in a log, those without an end left out.
pub(crate) fn numbers_in(log: &str) -> Numbers {
    let ends = |line: &str| number(line.trim_end().rsplit_once("from ")?.1.parse().ok()?);
    log.lines().filter_map(ends).collect()
}

/// What the store says of all jails.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) judged: BTreeMap<String, Judged>,
    /// Failures found, by jail.
    pub(crate) found: BTreeMap<String, u64>,
    /// Whatever must not be there: bans, floors, other addresses.
    pub(crate) strange: Vec<String>,
}

impl Store {
    /// Reads all that guard has committed.
    pub(crate) fn read(database: &Path) -> rusqlite::Result<Store> {
        let connection = open(database)?;
        let snapshot = connection.unchecked_transaction()?;
        let mut store = Store::default();
        let mut statement = snapshot.prepare("SELECT jail, network, times FROM failures")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (jail, network, times): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let count = times.split(',').count() as u64;
            match network.parse().ok().and_then(number) {
                Some(number) => {
                    store.judged.entry(jail).or_default().insert(number, count);
                }
                None => store.strange.push(format!("{jail}: a failure of {network}")),
            }
        }
        for table in ["bans", "history", "floors"] {
            let query = format!("SELECT jail || ' ' || network FROM {table}");
            let mut statement = snapshot.prepare(&query)?;
            for row in statement.query_map([], |row| row.get::<_, String>(0))? {
                store.strange.push(format!("{table}: {}", row?));
            }
        }
        let mut statement = snapshot.prepare("SELECT name, found FROM jails")?;
        for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (jail, found): (String, i64) = row?;
            store.found.insert(jail, u64::try_from(found).unwrap_or(0));
        }
        Ok(store)
    }

    /// What a jail judged.
    pub(crate) fn of(&self, jail: &str) -> Judged {
        self.judged.get(jail).cloned().unwrap_or_default()
    }
}

fn open(database: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

/// How many failures all jails have found.
pub(crate) fn found_in_all(database: &Path) -> u64 {
    let sum = |connection: Connection| {
        connection.query_row("SELECT sum(found) FROM jails", [], |row| row.get::<_, i64>(0))
    };
    open(database).and_then(sum).ok().and_then(|sum| sum.try_into().ok()).unwrap_or(0)
}

/// One writer's account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    /// What the writer wrote for sure.
    pub(crate) written: Numbers,
    /// What it may have written when it was killed.
    pub(crate) unsure: Numbers,
    /// What could be read of it: what Docker had kept in the end, or before it was
    /// told to remove it.
    pub(crate) kept: Numbers,
    pub(crate) judged: Judged,
}

impl Account {
    /// All that was there to be judged.
    pub(crate) fn all(&self) -> usize {
        self.kept.iter().chain(self.judged.keys()).collect::<BTreeSet<_>>().len()
    }

    /// What was to be judged and was not.
    pub(crate) fn lost(&self) -> Vec<u64> {
        self.kept.iter().filter(|line| !self.judged.contains_key(line)).copied().collect()
    }

    /// What counted more than once.
    pub(crate) fn doubled(&self) -> Vec<u64> {
        self.judged.iter().filter(|(_, count)| **count > 1).map(|(line, _)| *line).collect()
    }

    /// What was judged and never written.
    pub(crate) fn made_up(&self) -> Vec<u64> {
        let known = |line: &u64| {
            self.kept.contains(line) || self.written.contains(line) || self.unsure.contains(line)
        };
        self.judged.keys().filter(|line| !known(line)).copied().collect()
    }

    /// What was written, but neither kept by Docker nor judged.
    pub(crate) fn dropped(&self) -> Vec<u64> {
        let known = |line: &u64| self.kept.contains(line) || self.judged.contains_key(line);
        self.written.iter().filter(|line| !known(line)).copied().collect()
    }
}

/// Numbers in few words: `3-7, 9`.
pub(crate) fn ranges(numbers: &[u64]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..).take_while(|(number, next)| *number == next).count();
        let last = first + run as u64 - 1;
        words.push(if run == 1 { first.to_string() } else { format!("{first}-{last}") });
        rest = &rest[run..];
    }
    if let more @ 1.. = words.len().saturating_sub(12) {
        words.truncate(12);
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

/// All accounts, as a table.
pub(crate) struct Table<'a>(pub(crate) &'a [Account]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, written, judged, lost, doubled, dropped] =
            ["writer", "written", "judged", "lost", "doubled", "dropped by Docker"];
        writeln!(f, "{name:<16} {written:>9} {judged:>9} {lost:>6} {doubled:>8}  {dropped}")?;
        for account in self.0 {
            writeln!(
                f,
                "{:<16} {:>9} {:>9} {:>6} {:>8}  {}",
                account.name,
                account.all(),
                account.judged.len(),
                account.lost().len(),
                account.doubled().len(),
                account.dropped().len(),
            )?;
            let details = [
                ("lost", account.lost()),
                ("doubled", account.doubled()),
                ("never written", account.made_up()),
                ("dropped by Docker", account.dropped()),
            ];
            for (what, numbers) in details.iter().filter(|(_, numbers)| !numbers.is_empty()) {
                writeln!(f, "    {what}: {}", ranges(numbers))?;
            }
        }
        Ok(())
    }
}
