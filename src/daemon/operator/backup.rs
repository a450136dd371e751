//! Gives all that is remembered as one file, and returns to one.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::super::pump::in_kernel;
use super::{Operator, Stopping};
use crate::control::protocol::{BackedUp, RefusedKind, Reply, RestoredView};
use crate::model::Timestamp;
use crate::store::{Candidate, Snapshot, Store};
use crate::warden::Restored;

/// So much of a backup goes into one reply.
const PIECE: usize = 48 * 1024;

/// A restore waits so long for the kernel and the disk: there may be 100,000 bans.
const PATIENCE: Duration = Duration::from_secs(120);

impl Operator {
    /// A copy of the database, piece by piece; the client's reading sets the pace.
    pub(super) async fn backup(
        &self,
        progress: Option<mpsc::Sender<Reply>>,
    ) -> Result<Reply, Stopping> {
        let Ok(only) = self.backups.clone().try_acquire_owned() else {
            return Ok(busy("another backup or restore is under way: try again when it is done"));
        };
        let problem = self.store.committed().await.err();
        let store = self.store.clone();
        let sent = spawn_blocking(move || {
            let _only = only;
            let snapshot = store.snapshot()?;
            send(&snapshot, progress.as_ref())?;
            Ok::<_, String>(snapshot)
        });
        Ok(match sent.await.map_err(|_| Stopping)? {
            Ok(Snapshot { bytes, schema, bans, history, .. }) => {
                tracing::info!("a backup was made: {bans} bans, {history} of history");
                Reply::BackedUp(BackedUp { bytes, schema, bans, history, problem })
            }
            Err(why) => busy(&format!("no backup can be made: {why}")),
        })
    }

    /// Takes a piece of what is to be restored.
    pub(super) async fn upload(&self, at: u64, piece: Vec<u8>) -> Result<Reply, Stopping> {
        let Ok(_only) = self.backups.try_acquire() else {
            return Ok(busy("another backup or restore is under way: try again when it is done"));
        };
        let store = self.store.clone();
        let received = spawn_blocking(move || store.receive(at, &piece)).await;
        Ok(match received.map_err(|_| Stopping)? {
            Ok(bytes) => Reply::Uploaded { bytes },
            Err(why) => refused(&why),
        })
    }

    /// Returns to what the backup says that was sent.
    pub(super) async fn restore(&self, bytes: u64) -> Result<Reply, Stopping> {
        let Ok(_only) = self.backups.try_acquire() else {
            return Ok(busy("another backup or restore is under way: try again when it is done"));
        };
        // An earlier restore may still wait for the disk, with its file where this one's goes.
        if let Err(why) = self.store.committed().await {
            return Ok(not_kept(&why));
        }
        let store = self.store.clone();
        let examined = spawn_blocking(move || store.examine(bytes)).await.map_err(|_| Stopping)?;
        let backup = match examined {
            Ok(backup) => backup,
            Err(why) => return Ok(refused(&why)),
        };
        // What is there now must be on disk, to be kept, and the disk well, to hold the rest.
        if let Err(why) = self.store.committed().await {
            self.store.forget(&backup);
            return Ok(not_kept(&why));
        }
        let kept = match spawn_blocking(kept_aside(&self.store)).await.map_err(|_| Stopping)? {
            Ok(kept) => kept,
            Err(why) => {
                self.store.forget(&backup);
                return Ok(not_kept(&why));
            }
        };
        let Candidate { schema, history, .. } = backup;
        let notes = backup.notes.clone();
        let Restored { standing, over, never, lifted } =
            self.warden.restore(backup).await.ok_or(Stopping)?;
        let disk = tokio::time::timeout(PATIENCE, self.on_disk());
        let (not_in_kernel, disk) = tokio::join!(in_kernel(&self.firewall, PATIENCE), disk);
        let firewall = self.firewall.status();
        let not_in_kernel = not_in_kernel.or_else(|| firewall.borrow().may_still_hold(None, None));
        let only_in_memory = match disk {
            Ok(problem) => problem,
            Err(_) => Some(format!("the disk has not answered for {} s", PATIENCE.as_secs())),
        };
        let view = RestoredView {
            standing,
            over,
            never,
            lifted,
            history,
            schema,
            kept,
            notes,
            only_in_memory,
            not_in_kernel,
        };
        Ok(Reply::Restored(view))
    }

    /// Waits for the disk as long as it is well; why not, if it is not.
    async fn on_disk(&self) -> Option<String> {
        loop {
            let why = self.store.committed().await.err()?;
            if !self.store.status().borrow().healthy() {
                return Some(why);
            }
        }
    }
}

fn kept_aside(store: &Store) -> impl FnOnce() -> Result<String, String> + use<> {
    let store = store.clone();
    move || store.keep_aside(Timestamp::now()).map(|kept| kept.display().to_string())
}

/// Sends all pieces; ends early when nobody takes them.
fn send(snapshot: &Snapshot, progress: Option<&mpsc::Sender<Reply>>) -> Result<(), String> {
    let Some(progress) = progress else { return Ok(()) };
    let mut at = 0;
    loop {
        let piece = snapshot.piece(at, PIECE).map_err(|error| error.to_string())?;
        if piece.is_empty() {
            return Ok(());
        }
        at += piece.len() as u64;
        if progress.blocking_send(Reply::BackupPiece { piece }).is_err() {
            return Err("nobody takes it any more".to_owned());
        }
    }
}

fn busy(message: &str) -> Reply {
    Reply::refused(RefusedKind::Busy, message)
}

fn not_kept(why: &str) -> Reply {
    refused(&format!("what is remembered now can't be kept: {why}"))
}

fn refused(why: &str) -> Reply {
    let message = format!("the backup is not restored, and nothing is changed: {why}");
    Reply::refused(RefusedKind::Refused, message)
}
