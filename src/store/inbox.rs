//! Where records wait for the thread, and where it says how far it has come.
//!
//! The lock is held only to merge or take records, never during a write: nobody
//! waits for the disk who does not ask to.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use super::Status;
use super::batch::Batch;
use crate::model::{Memory, Record};

/// What the store's clones and its thread share.
#[derive(Debug)]
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    pub(super) wake: Condvar,
    pub(super) commits: watch::Sender<Committed>,
    pub(super) status: watch::Sender<Arc<Status>>,
    /// What could not be read at the start comes here.
    pub(super) late: Mutex<Option<oneshot::Receiver<Memory>>>,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) batch: Batch,
    /// Calls of `write` so far.
    pub(super) number: u64,
    /// Calls of `committed` so far that had to wait.
    pub(super) asked: u64,
    /// One of them waits: don't wait for more to come.
    pub(super) urgent: bool,
    /// End when all is written.
    pub(super) stop: bool,
}

/// How far the thread has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed {
    /// This many writes are on disk.
    pub(super) number: u64,
    /// This many questions were answered by an attempt that began after them.
    pub(super) answered: u64,
    /// Why the last attempt failed.
    pub(super) problem: Option<String>,
}

/// A question whether all written so far is on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    /// Writes that must be on disk.
    pub(super) number: u64,
    asked: u64,
}

impl Ticket {
    pub(super) fn is_answered(self, now: &Committed) -> bool {
        now.number >= self.number || now.answered >= self.asked
    }
}

impl Shared {
    pub(super) fn new(path: PathBuf) -> Shared {
        let status = Status { path, problem: None, dropped_history: 0, notes: Vec::new() };
        Shared {
            inbox: Mutex::default(),
            wake: Condvar::new(),
            commits: watch::Sender::default(),
            status: watch::Sender::new(Arc::new(status)),
            late: Mutex::default(),
        }
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, records: Vec<Record>) {
        self.merge(records, |_| {});
    }

    /// In one turn, so that one transaction has both.
    fn merge(&self, records: Vec<Record>, before: impl FnOnce(&mut Batch)) {
        let mut inbox = self.inbox();
        before(&mut inbox.batch);
        records.into_iter().for_each(|record| inbox.batch.add(record));
        inbox.number += 1;
        drop(inbox);
        self.wake.notify_one();
    }

    /// Like `put`, after taking the history of the file at `from`.
    pub(super) fn put_restored(&self, from: PathBuf, records: Vec<Record>) {
        self.merge(records, |batch| batch.restore_history(from));
    }

    /// Asks for a commit now; `None` when all is on disk already.
    pub(super) fn ask(&self) -> Option<Ticket> {
        let mut inbox = self.inbox();
        if self.commits.borrow().number >= inbox.number {
            return None;
        }
        inbox.asked += 1;
        inbox.urgent = true;
        let ticket = Ticket { number: inbox.number, asked: inbox.asked };
        drop(inbox);
        self.wake.notify_one();
        Some(ticket)
    }

    pub(super) fn end(&self) {
        self.inbox().stop = true;
        self.wake.notify_one();
    }

    /// Why something is not on disk.
    pub(super) fn unwritten(&self) -> Option<String> {
        let written = self.inbox().number;
        let commits = self.commits.borrow();
        (commits.number < written)
            .then(|| commits.problem.clone().unwrap_or_else(|| "the store has ended".into()))
    }
}

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(super) struct EndOnDrop(pub(super) Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}
