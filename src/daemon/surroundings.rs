//! Who must never be banned, as far as the host, Docker and DNS say it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::model::{Address, DockerNetwork};
use crate::warden::Surroundings;

/// A DNS name is looked up again so often.
const REFRESH: Duration = Duration::from_secs(300);
/// One look-up may take so long.
const LOOK_UP: Duration = Duration::from_secs(10);
/// A name may have so many addresses.
const MOST_ADDRESSES: usize = 64;

/// The parts of [`Surroundings`], each from its own teller.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) networks: Vec<DockerNetwork>,
    pub(crate) names: BTreeMap<String, Vec<Address>>,
    told: Option<Surroundings>,
}

impl Parts {
    /// The surroundings as they are now, if they are not what was last told.
    pub(crate) fn changed(&mut self) -> Option<Surroundings> {
        let now = Surroundings {
            own: own_addresses(),
            networks: self.networks.clone(),
            names: self.names.clone(),
        };
        if self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now.clone());
        Some(now)
    }
}

impl Parts {
    /// The surroundings as they were last told.
    pub(crate) fn told(&self) -> Surroundings {
        self.told.clone().unwrap_or_default()
    }
}

/// The addresses of all of the host's interfaces.
fn own_addresses() -> Vec<Address> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => {
            let own: BTreeSet<_> =
                interfaces.iter().map(|interface| Address::new(interface.ip())).collect();
            own.into_iter().collect()
        }
        Err(error) => {
            tracing::warn!("can't read the host's own addresses: {error}");
            Vec::new()
        }
    }
}

/// Looks up the names in `wanted` now and every five minutes, and tells all that
/// is known. A name that has no answer keeps its last good one.
pub(crate) async fn resolve(
    mut wanted: watch::Receiver<BTreeSet<String>>,
    found: mpsc::Sender<BTreeMap<String, Vec<Address>>>,
    cancel: CancellationToken,
) {
    let mut known: BTreeMap<String, Vec<Address>> = BTreeMap::new();
    loop {
        let names = wanted.borrow_and_update().clone();
        known.retain(|name, _| names.contains(name));
        // Side by side, each told as it comes: one that hangs holds up no other.
        let mut answers: FuturesUnordered<_> =
            names.into_iter().map(|name| async { (look_up(&name).await, name) }).collect();
        while let Some((answer, name)) = answers.next().await {
            match answer {
                Ok(addresses) => {
                    known.insert(name, addresses);
                }
                Err(why) => tracing::warn!("ignoreip: {name} has no address now: {why}"),
            }
            if found.send(known.clone()).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(REFRESH) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

async fn look_up(name: &str) -> Result<Vec<Address>, String> {
    match tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(all)) => {
            let addresses: BTreeSet<_> =
                all.take(MOST_ADDRESSES).map(|socket| Address::new(socket.ip())).collect();
            Ok(addresses.into_iter().collect())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOK_UP.as_secs())),
    }
}
