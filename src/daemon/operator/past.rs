//! What was, and what would have been: history and trials.

use tokio::sync::mpsc;

use super::{Operator, Stopping};
use crate::control::protocol::{MAX_HISTORY, RefusedKind, Reply, Times};
use crate::daemon::trial::{self, Wish};
use crate::model::{HistoryQuery, Network, Timestamp};

impl Operator {
    /// What is on disk of the past, after the last of it was written.
    pub(super) async fn history(
        &self,
        (network, jail): (Option<Network>, Option<String>),
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Reply, Stopping> {
        let (jail, unknown) = match jail {
            None => (None, None),
            // It may be gone; its history is not.
            Some(asked) => match (self.jail_named(&asked).await?, asked.parse()) {
                (Ok(jail), _) => (Some(jail), None),
                (Err(refused), Ok(jail)) => (Some(jail), Some(refused)),
                (Err(refused), Err(_)) => return Ok(refused),
            },
        };
        let problem = self.store.committed().await.err();
        let limit = limit.min(MAX_HISTORY) as usize;
        let query = HistoryQuery { network, jail, since, limit };
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.history(&query)).await;
        let past = match read {
            Ok(Ok(past)) => past,
            Ok(Err(why)) => return Ok(Reply::refused(RefusedKind::Busy, why)),
            Err(_) => return Err(Stopping),
        };
        if let Some(refused) = unknown.filter(|_| past.entries.is_empty()) {
            return Ok(refused);
        }
        let times = past.times.into_iter().map(|(network, times)| Times { network, times });
        Ok(Reply::History {
            network,
            now: Timestamp::now(),
            bans: past.entries,
            more: past.more,
            times: times.collect(),
            problem,
        })
    }

    pub(super) async fn trial(
        &self,
        asked: &str,
        wish: Wish,
        progress: Option<mpsc::Sender<Reply>>,
    ) -> Result<Reply, Stopping> {
        let Ok(_only) = self.trials.try_acquire() else {
            let message = "guard tries another log already; try again when that has ended";
            return Ok(Reply::refused(RefusedKind::Busy, message));
        };
        let service = asked.to_owned();
        let look = self.jails.look(move |jails| jails.trial_ground(&service));
        let ground = look.await.ok_or(Stopping)?;
        Ok(trial::run(asked, wish, (ground, self.settings.clone()), progress).await)
    }
}
