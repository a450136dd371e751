//! The DNS names of `ignoreip` and the like, looked up in the background.
//!
//! The system's resolver tells no TTL, and a resolver of our own would be a second
//! opinion on what `/etc/hosts`, `nsswitch` and the container's DNS say. So every name is
//! asked for again once a minute: that is what dynamic DNS is usually set to. The last
//! good answer counts until there is another one, also over a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::model::Address;

/// A name is looked up again so often.
const REFRESH: Duration = Duration::from_secs(60);
/// One look-up may take so long.
const LOOK_UP: Duration = Duration::from_secs(10);
/// A name may have so many addresses.
const MOST_ADDRESSES: usize = 64;
/// More names than these are forgotten where nobody wants them.
const MOST_KEPT: usize = 2000;
/// So many names are looked up at once, each on a thread of its own.
const AT_ONCE: usize = 16;

/// What is known of all names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Their addresses: the last good answer.
    pub(crate) addresses: BTreeMap<String, Vec<Address>>,
    /// Why some could not be looked up the last time.
    pub(crate) failing: BTreeMap<String, String>,
}

impl Names {
    /// What is wrong, a sentence each.
    pub(crate) fn troubles(&self) -> impl Iterator<Item = String> {
        self.failing.iter().map(|(name, why)| {
            let addresses = self.addresses.get(name).map(Vec::as_slice).unwrap_or_default();
            let known: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let still = match known.as_slice() {
                [] => "nobody is spared by it".to_owned(),
                known => format!("what it was before still counts ({})", known.join(", ")),
            };
            format!("the name {name} can't be looked up: {why}; {still}")
        })
    }

    /// Takes an answer in; says whether it changes anything.
    fn take(&mut self, name: &str, answer: Result<Vec<Address>, String>) -> bool {
        match answer {
            Ok(addresses) => {
                let was_failing = self.failing.remove(name).is_some();
                if was_failing {
                    tracing::info!("well again: the name {name} is found");
                }
                let before = self.addresses.insert(name.to_owned(), addresses);
                was_failing || before.as_ref() != self.addresses.get(name)
            }
            Err(why) => {
                let before = self.failing.insert(name.to_owned(), why);
                if before.is_none() {
                    for trouble in self.troubles().filter(|told| told.contains(name)) {
                        tracing::warn!("{trouble}");
                    }
                }
                before.as_ref() != self.failing.get(name)
            }
        }
    }
}

/// Looks up the names in `wanted` now and once a minute, and tells all that is known
/// whenever that changes. `known` is where it begins.
pub(crate) async fn resolve(
    mut wanted: watch::Receiver<BTreeSet<String>>,
    mut known: Names,
    found: mpsc::Sender<Names>,
    cancel: CancellationToken,
) {
    loop {
        let names = wanted.borrow_and_update().clone();
        // Which jails there are is known a while after the start: their names are kept.
        if known.addresses.len() > MOST_KEPT {
            known.addresses.retain(|name, _| names.contains(name));
        }
        known.failing.retain(|name, _| names.contains(name));
        // Side by side, each told as it comes: one that hangs holds up few others.
        let mut waiting = names.into_iter();
        let ask = |name: String| async { (look_up(&name).await, name) };
        let mut answers: FuturesUnordered<_> = waiting.by_ref().take(AT_ONCE).map(ask).collect();
        while let Some((answer, name)) = answers.next().await {
            answers.extend(waiting.next().map(ask));
            if known.take(&name, answer) && found.send(known.clone()).await.is_err() {
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
            match addresses.is_empty() {
                true => Err("it has no address".to_owned()),
                false => Ok(addresses.into_iter().collect()),
            }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LOOK_UP.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_answer_stays() {
        let mut names = Names::default();
        let home = "home.example";
        let address: Address = "192.0.2.1".parse().unwrap();
        assert!(names.take(home, Err("no answer".into())));
        assert!(names.troubles().next().unwrap().contains("nobody is spared"));
        assert!(names.take(home, Ok(vec![address])));
        assert!(!names.take(home, Ok(vec![address])), "nothing is new");
        assert_eq!(names.troubles().count(), 0);
        assert!(names.take(home, Err("no answer".into())));
        assert!(!names.take(home, Err("no answer".into())));
        assert_eq!(names.addresses[home], [address]);
        let told: Vec<_> = names.troubles().collect();
        assert!(told[0].contains("home.example") && told[0].contains("192.0.2.1"), "{told:?}");
    }

    #[tokio::test]
    async fn names_are_told_as_they_come() {
        let names = BTreeSet::from(["localhost".to_owned(), "no such name".to_owned()]);
        let (wanted, found) = (watch::Sender::new(names), mpsc::channel(4));
        let task = resolve(wanted.subscribe(), Names::default(), found.0, CancellationToken::new());
        let task = tokio::spawn(task);
        let mut found = found.1;
        let mut last = Names::default();
        while last.addresses.is_empty() || last.failing.is_empty() {
            last = found.recv().await.unwrap();
        }
        assert!(last.addresses.contains_key("localhost"), "{last:?}");
        assert!(last.failing.contains_key("no such name"), "{last:?}");
        task.abort();
    }
}
