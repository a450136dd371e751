//! SQLite: what must survive a restart. The only module that knows SQL.
//!
//! [`open`] reads everything in one go and starts the one thread that writes.
//! [`Store::write`] never waits for the disk: it merges records into a batch
//! that the thread commits in one transaction, at once when it is idle and at
//! most every 50 ms under load. Whoever must know asks [`Store::committed`].
//!
//! Whatever the disk does, guard goes on: a full or read-only disk, an I/O
//! error or a missing directory is told in [`Status`] with the remedy, what
//! waits is kept and merged, and the thread tries again until it is well. Only
//! a file that is no sound database is moved away (`guard.db.corrupt-…`), and what
//! can still be read of it is kept; one of a newer guard is refused. A database that breaks or vanishes under a
//! running guard is written anew from the thread's own copy of what it holds.
//!
//! ```text
//!  write() ─merge─▶ Inbox ─take─▶ "guard-store" ─one transaction─▶ guard.db
//!                                      │  └─▶ Mirror (what the file holds)
//!  committed() ◀──────── Committed ◀───┘
//! ```

mod backup;
mod batch;
mod database;
pub mod fail2ban;
mod history;
mod inbox;
mod rows;
mod salvage;
mod schema;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use backup::{Candidate, Snapshot};

use crate::model::{HistoryQuery, Memory, PastBans, Record, Timestamp};
use inbox::{EndOnDrop, Shared};
use writer::{Thread, Writer};

/// How long [`Store::committed`] waits for a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long [`Store::stop`] waits for the last commit.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// The store and what it remembered.
#[derive(Debug)]
pub struct Opened {
    /// Takes what must be remembered from now on.
    pub store: Store,
    /// What was remembered.
    pub memory: Memory,
    /// What people should know about the opening, a sentence each.
    pub notes: Vec<String>,
}

/// Why guard can't start with this data directory.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Going on would lose what the newer guard remembered.
    #[error(
        "{} was made by a newer guard: it has schema version {found}, this guard knows versions up to {known}; run the newer guard, or set GUARD_DATA to another directory",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this guard knows.
        known: i64,
    },
    /// The thread that writes can't be started.
    #[error("can't start the store's thread")]
    Thread(#[source] std::io::Error),
}

/// How the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The database.
    pub path: PathBuf,
    /// What is wrong and what to do about it; `None`: all is written, or soon will be.
    pub problem: Option<String>,
    /// Lines of history dropped because too many waited for the disk.
    pub dropped_history: u64,
    /// What happened to the database since the start, newest last (a broken one set aside, …).
    pub notes: Vec<String>,
}

impl Status {
    /// Does what is written reach the disk?
    pub fn healthy(&self) -> bool {
        self.problem.is_none()
    }
}

/// Takes what must be remembered. Cheap to clone; the thread ends with the last
/// clone, or by [`Store::stop`].
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<Thread>>>,
    /// Ends the thread when the last clone is dropped.
    _end: Arc<EndOnDrop>,
}

/// How long history is kept unless it is said.
pub const KEEP_HISTORY: Duration = Duration::from_secs(90 * 24 * 3600);

/// [`open_keeping`] history for as long as usual.
///
/// # Errors
/// As there.
pub fn open(directory: &Path) -> Result<Opened, OpenError> {
    open_keeping(directory, KEEP_HISTORY)
}

/// Opens `guard.db` in `directory` and reads what it remembers. Blocks; call it
/// before anything else runs. An unusable directory is no error: guard then
/// starts without memory, says so in the notes and the status, and tries again.
/// Bans that began longer than `history` ago are deleted from history.
///
/// # Errors
/// A newer guard made the database, or no thread can be started.
pub fn open_keeping(directory: &Path, history: Duration) -> Result<Opened, OpenError> {
    let path = directory.join(database::FILE);
    backup::tidy(&path);
    let shared = Arc::new(Shared::new(path.clone()));
    let mut writer = Writer::new(Arc::clone(&shared), path, history);
    let (memory, notes) = writer.start()?;
    let thread = Thread::spawn(writer).map_err(OpenError::Thread)?;
    let store = Store {
        _end: Arc::new(EndOnDrop(Arc::clone(&shared))),
        thread: Arc::new(Mutex::new(Some(thread))),
        shared,
    };
    Ok(Opened { store, memory, notes })
}

impl Store {
    /// Remembers the records, all in one transaction. Never blocks on the disk.
    pub fn write(&self, records: Vec<Record>) {
        if !records.is_empty() {
            self.shared.put(records);
        }
    }

    /// Resolves when everything written so far is on disk; an error says why it
    /// is only in memory.
    pub async fn committed(&self) -> Result<(), String> {
        let Some(ticket) = self.shared.ask() else { return Ok(()) };
        let mut commits = self.shared.commits.subscribe();
        let waited =
            tokio::time::timeout(PATIENCE, commits.wait_for(|now| ticket.is_answered(now)));
        match waited.await {
            Ok(Ok(now)) if now.number >= ticket.number => Ok(()),
            Ok(Ok(now)) => Err(now.problem.clone().unwrap_or_else(|| "the store has ended".into())),
            Ok(Err(_)) => Err("the store has ended".into()),
            Err(_) => Err(format!("the disk has not answered for {} s", PATIENCE.as_secs())),
        }
    }

    /// What is on disk of the bans that were. Blocks, but keeps no writer waiting.
    ///
    /// # Errors
    /// Why it can't be read, for people.
    pub fn history(&self, query: &HistoryQuery) -> Result<PastBans, String> {
        let path = self.shared.status.borrow().path.clone();
        history::read(&path, query).map_err(|trouble| trouble.tell(&path))
    }

    /// A copy of the database at one moment. Blocks, but keeps no writer waiting.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn snapshot(&self) -> Result<Snapshot, String> {
        backup::snapshot(&self.path())
    }

    /// Takes the piece at `at` of a backup that is given back; 0 begins one. Gives how
    /// much of it is there. Blocks.
    ///
    /// # Errors
    /// Why it can't be taken, for people.
    pub fn receive(&self, at: u64, piece: &[u8]) -> Result<u64, String> {
        backup::receive(&self.path(), at, piece)
    }

    /// Reads the backup that was received, `bytes` long, if it is one. Blocks.
    ///
    /// # Errors
    /// What is wrong with it, for people; nothing was changed.
    pub fn examine(&self, bytes: u64) -> Result<Candidate, String> {
        backup::examine(&self.path(), bytes)
    }

    /// Removes what [`Store::examine`] has read, when nothing comes of it.
    pub fn forget(&self, backup: &Candidate) {
        backup::forget(&backup.path);
    }

    /// Copies the database to a name that tells the time; gives that name. Blocks.
    ///
    /// # Errors
    /// Why it can't, for people.
    pub fn keep_aside(&self, now: Timestamp) -> Result<PathBuf, String> {
        backup::keep_aside(&self.path(), now)
    }

    /// Remembers the records, and in the same transaction takes the backup's history in
    /// place of the present one. Never blocks on the disk.
    pub fn write_restored(&self, from: &Candidate, records: Vec<Record>) {
        self.shared.put_restored(from.path.clone(), records);
    }

    fn path(&self) -> PathBuf {
        self.shared.status.borrow().path.clone()
    }

    /// Where what could not be read at the start comes, once it can be; what was written
    /// since is newer, and is not in it. `None`: all was read, or this was asked before.
    pub fn late(&self) -> Option<oneshot::Receiver<Memory>> {
        self.shared.late.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How the store is, and when that changes.
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.shared.status.subscribe()
    }

    /// Writes what waits, closes the database and ends the thread; an error says
    /// why something is not on disk. Blocks for at most two seconds.
    pub fn stop(self) -> Result<(), String> {
        self.shared.end();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| !thread.join(LAST_COMMIT)) {
            return Err("the disk does not answer; the last changes may be lost".into());
        }
        self.shared.unwritten().map_or(Ok(()), Err)
    }
}
