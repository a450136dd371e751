//! Names in logs, looked up where a jail asks for it (`usedns`).
//!
//! Attackers choose the names, so a lookup that takes long must not hold up the reading:
//! each is given up after a moment, and when several are in a row, none is tried for a
//! while.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hashlink::LruCache;

use crate::model::{Address, Network};

/// A lookup may take so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// An answer, or that there is none, is good for so long (fail2ban's).
const LIFETIME: Duration = Duration::from_secs(300);

/// Answers that are kept at once (fail2ban's).
const MOST: usize = 1000;

/// Addresses of one name that count; more are somebody's trick.
const MOST_ADDRESSES: usize = 16;

/// So many lookups in a row that took too long stop them for [`REST`].
const TOO_MANY: u32 = 3;

const REST: Duration = Duration::from_secs(60);

/// Looks names up, for one follower.
pub(crate) struct Resolver {
    answers: LruCache<String, (Instant, Vec<Network>)>,
    /// Lookups in a row that took too long.
    slow: u32,
    rests_until: Option<Instant>,
}

impl Resolver {
    pub(crate) fn new() -> Resolver {
        Resolver { answers: LruCache::new(MOST), slow: 0, rests_until: None }
    }

    /// The addresses of `name`; none if it has none, or they can't be had in time.
    pub(crate) async fn addresses(&mut self, name: &str) -> Vec<Network> {
        let now = Instant::now();
        if let Some((since, answer)) = self.answers.get(name)
            && now.duration_since(*since) < LIFETIME
        {
            return answer.clone();
        }
        if self.rests_until.is_some_and(|until| now < until) {
            return Vec::new();
        }
        let lookup = tokio::net::lookup_host((name, 0));
        let answer = match tokio::time::timeout(PATIENCE, lookup).await {
            Ok(found) => {
                self.slow = 0;
                let addresses = found.into_iter().flatten().map(|socket| socket.ip());
                networks(addresses)
            }
            Err(_) => {
                self.slow += 1;
                if self.slow >= TOO_MANY {
                    self.rests_until = Some(now + REST);
                    tracing::warn!(
                        "names take too long to look up; none is for {} s",
                        REST.as_secs()
                    );
                }
                Vec::new()
            }
        };
        self.answers.insert(name.to_owned(), (now, answer.clone()));
        answer
    }
}

fn networks(addresses: impl Iterator<Item = IpAddr>) -> Vec<Network> {
    let mut networks: Vec<Network> = Vec::new();
    for address in addresses {
        let network = Network::from(Address::from(address));
        if networks.len() < MOST_ADDRESSES && !networks.contains(&network) {
            networks.push(network);
        }
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_looked_up_once() {
        let mut resolver = Resolver::new();
        let found = resolver.addresses("localhost").await;
        assert!(found.iter().any(|network| network.to_string() == "127.0.0.1"), "{found:?}");
        assert_eq!(resolver.addresses("localhost").await, found);
        assert!(resolver.addresses("no such name").await.is_empty());
        assert_eq!(resolver.answers.len(), 2);
    }
}
