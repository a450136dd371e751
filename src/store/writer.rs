//! The thread that writes: takes what is merged, commits it, and keeps trying
//! when the disk fails.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::backup;
use super::batch::{Batch, Mirror};
use super::database::{self, Database, Trouble};
use super::inbox::Shared;
use super::salvage::{self, Salvaged};
use super::{OpenError, Status, schema};
use crate::model::{HistoryEntry, Lifting, Memory, Record, Timestamp};

/// Under load commits begin at most this often: each costs an fsync, and one
/// for many records costs no more than one for one.
const GROUP: Duration = Duration::from_millis(50);

/// The first pause after a failure; each next one is twice as long…
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// …up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether history has become too old is looked at this often…
const PURGE_EVERY: Duration = Duration::from_secs(3600);

/// …and while there is some, a piece of it is deleted this often.
const PURGE_ON: Duration = Duration::from_millis(500);

/// Databases that break one after the other mean a broken disk: after this many
/// in one run no more are set aside, lest they fill it.
const MAX_SET_ASIDE: u32 = 10;

/// Most notes kept in the status.
const MAX_NOTES: usize = 20;

/// The running thread.
#[derive(Debug)]
pub(super) struct Thread {
    /// Nothing is ever sent: it closes when the thread ends.
    ended: mpsc::Receiver<()>,
}

impl Thread {
    pub(super) fn spawn(writer: Writer) -> std::io::Result<Thread> {
        let (alive, ended) = mpsc::channel();
        std::thread::Builder::new().name("guard-store".into()).spawn(move || {
            writer.run();
            drop(alive);
        })?;
        Ok(Thread { ended })
    }

    /// Waits for its end; `false` when it takes too long.
    pub(super) fn join(&self, at_most: Duration) -> bool {
        self.ended.recv_timeout(at_most) != Err(mpsc::RecvTimeoutError::Timeout)
    }
}

/// The owner of the database.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    path: PathBuf,
    /// `None` while it can't be opened.
    database: Option<Database>,
    /// What the database holds; `None` until it was read once.
    mirror: Option<Mirror>,
    /// What was read of a broken database before it was known.
    saved: Option<Memory>,
    /// What was taken from the inbox and is not on disk.
    waiting: Batch,
    problem: Option<String>,
    pause: Duration,
    /// When to try again after a failure, or to commit after a commit.
    not_before: Instant,
    next_purge: Instant,
    /// How long history is kept.
    keep: Duration,
    /// Where what could not be read at the start goes.
    late: Option<oneshot::Sender<Memory>>,
    set_aside: u32,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, path: PathBuf, keep: Duration) -> Writer {
        let now = Instant::now();
        Writer {
            shared,
            path,
            database: None,
            mirror: None,
            saved: None,
            waiting: Batch::default(),
            problem: None,
            pause: FIRST_PAUSE,
            not_before: now,
            next_purge: now,
            keep,
            late: None,
            set_aside: 0,
        }
    }

    /// Opens the database and reads it; sets a broken one aside.
    pub(super) fn start(&mut self) -> Result<(Memory, Vec<String>), OpenError> {
        let mut notes = Vec::new();
        let opened = match self.open() {
            Err(Trouble::Broken(why)) => match self.set_broken_aside(&why) {
                Ok(note) => {
                    notes.push(note);
                    self.open()
                }
                Err(trouble) => Err(trouble),
            },
            opened => opened,
        };
        match opened {
            Ok((memory, bad_rows)) => {
                notes.extend(bad_rows);
                Ok((memory, notes))
            }
            Err(Trouble::Newer(found)) => {
                Err(OpenError::Newer { path: self.path.clone(), found, known: schema::CURRENT })
            }
            Err(trouble) => Ok(self.start_without(&trouble, notes)),
        }
    }

    /// Starts although the database can't be written.
    fn start_without(
        &mut self,
        trouble: &Trouble,
        mut notes: Vec<String>,
    ) -> (Memory, Vec<String>) {
        let why = trouble.tell(&self.path);
        notes.push(format!("nothing is remembered over a restart: {why}"));
        self.failed(why);
        let Some((memory, bad_rows)) = database::read_only(&self.path) else {
            let (late, comes) = oneshot::channel();
            *self.shared.late.lock().unwrap_or_else(PoisonError::into_inner) = Some(comes);
            self.late = Some(late);
            return (Memory::default(), notes);
        };
        notes.push(format!("what {} remembers was read all the same", self.path.display()));
        notes.extend(bad_rows);
        self.mirror = Some(Mirror::of(&memory));
        (memory, notes)
    }

    /// Opens the database. One that was not read yet is read; else all that
    /// should be in it waits to be written.
    fn open(&mut self) -> Result<(Memory, Vec<String>), Trouble> {
        let database = Database::open(&self.path)?;
        let mut read = (self.saved.take().unwrap_or_default(), Vec::new());
        if let Some(mirror) = self.mirror.take() {
            let newer = std::mem::replace(&mut self.waiting, mirror.into_batch());
            self.waiting.absorb(newer);
            self.mirror = Some(Mirror::default());
        } else {
            read = database.load()?;
            self.mirror = Some(Mirror::of(&read.0));
        }
        self.database = Some(database);
        Ok(read)
    }

    /// Runs until the store is stopped.
    fn run(mut self) {
        loop {
            let turn = self.wait();
            self.waiting.absorb(turn.batch);
            self.attempt(&turn.until);
            if turn.last {
                break;
            }
        }
    }

    /// Waits until there is something to do, and takes what came.
    fn wait(&self) -> Turn {
        let mut inbox = self.shared.inbox();
        loop {
            let now = Instant::now();
            let idle = inbox.batch.is_empty() && self.problem.is_none();
            let due = if idle { self.next_purge } else { self.not_before.min(self.next_purge) };
            let urgent = inbox.urgent || inbox.stop;
            if urgent || due <= now {
                inbox.urgent = false;
                return Turn {
                    batch: std::mem::take(&mut inbox.batch),
                    until: Until { number: inbox.number, asked: inbox.asked },
                    last: inbox.stop,
                };
            }
            let woken = self.shared.wake.wait_timeout(inbox, due - now);
            inbox = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Tries to bring everything to disk, and tells how it went.
    fn attempt(&mut self, until: &Until) {
        let began = Instant::now();
        let dropped = std::mem::take(&mut self.waiting.dropped);
        let result = self.purge_if_due(began).and_then(|()| self.commit()).or_else(|trouble| {
            // What only needs a new connection or file must not wait for the next turn.
            self.recover(trouble).and_then(|()| self.commit())
        });
        match result {
            Ok(()) => self.well(began),
            Err(trouble) => {
                self.give_up_connection(&trouble);
                if let Some(mirror) = &self.mirror {
                    self.waiting.prune(mirror);
                }
                self.failed(trouble.tell(&self.path));
            }
        }
        self.tell(|status| status.dropped_history += dropped);
        self.shared.commits.send_modify(|commits| {
            commits.answered = until.asked;
            commits.problem.clone_from(&self.problem);
            if self.problem.is_none() {
                commits.number = until.number;
            }
        });
    }

    fn purge_if_due(&mut self, now: Instant) -> Result<(), Trouble> {
        if now < self.next_purge {
            return Ok(());
        }
        self.next_purge = now + PURGE_EVERY;
        let Some(database) = &self.database else { return Ok(()) };
        if database.purge(Timestamp::now(), self.keep)? {
            self.next_purge = now + PURGE_ON;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        if self.database.is_none() {
            let (found, bad_rows) = self.open()?;
            bad_rows.into_iter().for_each(|note| self.note(note));
            let late = self.late.take();
            if found != Memory::default() {
                let bans = found.bans.len();
                self.note(format!(
                    "{} could be read only after the start: what it remembers was taken over then, {bans} bans among it",
                    self.path.display()
                ));
                // Where guard is stopping nobody takes it, and it stays on disk.
                if let Some(late) = late {
                    let _ = late.send(found);
                }
            }
        }
        // A backup that can't be read any more must not keep everything else from the disk.
        if let Some(from) = &self.waiting.history_from
            && let Err(trouble) = database::open_for_reading(from)
        {
            let why = trouble.tell(from);
            self.leave_history(&why);
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        if let Some(database) = &mut self.database {
            database.write(&self.waiting)?;
        }
        let mut written = std::mem::take(&mut self.waiting);
        if let Some(from) = written.history_from.take() {
            backup::forget(&from);
        }
        self.mirror.get_or_insert_default().apply(written);
        Ok(())
    }

    /// Does what a second try needs; an error means that it makes no sense now.
    fn recover(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        self.give_up_connection(&trouble);
        match trouble {
            // Which of the two is broken nobody knows; without it, the next try shows.
            Trouble::Broken(why) if self.waiting.history_from.is_some() => {
                self.leave_history(&why);
                Ok(())
            }
            Trouble::Broken(why) => {
                let note = self.set_broken_aside(&why)?;
                self.note(note);
                Ok(())
            }
            Trouble::Failing { sound: false, .. } => Ok(()),
            Trouble::Failing { sound: true, .. } | Trouble::Newer(_) => Err(trouble),
        }
    }

    /// After some errors nobody knows what the connection still holds.
    fn give_up_connection(&mut self, trouble: &Trouble) {
        if !matches!(trouble, Trouble::Failing { sound: true, .. }) {
            self.database = None;
        }
    }

    fn set_broken_aside(&mut self, why: &str) -> Result<String, Trouble> {
        let path = self.path.display();
        let failing = |why| Trouble::Failing { why, sound: false };
        if self.set_aside >= MAX_SET_ASIDE {
            return Err(failing(format!(
                "{path} broke {MAX_SET_ASIDE} times ({why}): replace the disk"
            )));
        }
        let aside = database::set_aside(&self.path, Timestamp::now()).map_err(|error| {
            failing(format!("{path} is broken ({why}) and can't be renamed ({error}): remove it"))
        })?;
        self.set_aside += 1;
        let saved = self.save_from(&aside);
        Ok(format!(
            "{} was no sound database ({why}): it is now {}, and a new one was begun{saved}",
            self.path.display(),
            aside.display()
        ))
    }

    /// Saves what can be read of a broken database, for the new one; says what.
    fn save_from(&mut self, aside: &Path) -> String {
        let Salvaged { memory, history } = salvage::salvage(aside);
        let past = history.len();
        for HistoryEntry { ban, lines, lifted, lifted_by, .. } in history {
            let (jail, network, since) = (ban.jail.clone(), ban.network, ban.since);
            self.waiting.add(Record::History(ban));
            if !lines.is_empty() {
                let (jail, lines) = (jail.clone(), lines.into_iter().map(Into::into).collect());
                self.waiting.add(Record::Lines { jail, network, since, lines });
            }
            if let (Some(at), Some(by)) = (lifted, lifted_by) {
                self.waiting.add(Record::Lifted(Lifting { jail, network, at, by }));
            }
        }
        if self.mirror.is_some() {
            return format!(" from memory, with {past} bans of history");
        }
        let bans = memory.bans.len();
        if memory != Memory::default() {
            self.mirror = Some(Mirror::of(&memory));
            self.saved = Some(memory);
        }
        format!(", with the {bans} bans that could still be read, and {past} of history")
    }

    /// A backup's history can't be taken: the present one stays, and it is told.
    fn leave_history(&mut self, why: &str) {
        if let Some(from) = self.waiting.history_from.take() {
            backup::forget(&from);
            self.note(format!("the backup's history was not taken over: {why}"));
        }
    }

    fn well(&mut self, began: Instant) {
        self.pause = FIRST_PAUSE;
        self.not_before = began + GROUP;
        if self.problem.take().is_some() {
            tracing::info!(path = %self.path.display(), "the store is well again");
            self.tell(|status| status.problem = None);
        }
    }

    fn failed(&mut self, why: String) {
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.problem.as_ref() != Some(&why) {
            tracing::error!("changes are only in memory: {why}");
            self.tell(|status| status.problem = Some(why.clone()));
            self.problem = Some(why);
        }
    }

    fn note(&self, note: String) {
        tracing::warn!("{note}");
        self.tell(|status| {
            status.notes.push(note);
            let surplus = status.notes.len().saturating_sub(MAX_NOTES);
            status.notes.drain(..surplus);
        });
    }

    /// Changes the status; watchers are woken only when it really changed.
    fn tell(&self, change: impl FnOnce(&mut Status)) {
        self.shared.status.send_if_modified(|status| {
            let mut new = Status::clone(status);
            change(&mut new);
            let changed = **status != new;
            if changed {
                *status = Arc::new(new);
            }
            changed
        });
    }
}

/// What the thread took from the inbox.
struct Turn {
    batch: Batch,
    until: Until,
    last: bool,
}

/// How much of what was written and asked the turn covers.
struct Until {
    number: u64,
    asked: u64,
}
