//! The wanted state: a map that orders are merged into, never a queue.
//!
//! Orders wait in a [`Delta`], in which a newer one replaces an older one about
//! the same thing: however slow the kernel is, what waits is bounded by the
//! number of jails and addresses, and nobody who orders has to wait.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{JailName, JailRules, Network, Until};

use super::Order;

/// Orders that were not taken yet, merged.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    jails: BTreeMap<JailName, JailDelta>,
}

#[derive(Debug, Default)]
struct JailDelta {
    /// All from before is gone: the jail was taken away in between.
    reset: bool,
    rules: Option<Arc<JailRules>>,
    /// `None`: not banned.
    bans: HashMap<Network, Option<Until>>,
}

impl Delta {
    /// Is there nothing to do?
    pub(crate) fn is_empty(&self) -> bool {
        self.jails.is_empty()
    }

    /// Adds orders, in the order in which they were given.
    pub(crate) fn merge(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Install(rules) => {
                    self.jail(&rules.name).rules = Some(Arc::clone(&rules));
                }
                Order::Uninstall(name) => {
                    let reset = JailDelta { reset: true, ..JailDelta::default() };
                    self.jails.insert(name, reset);
                }
                Order::Block(ban) => {
                    self.jail(&ban.jail).bans.insert(ban.network, Some(ban.until));
                }
                Order::Release(name, network) => {
                    self.jail(&name).bans.insert(network, None);
                }
            }
        }
    }

    fn jail(&mut self, name: &JailName) -> &mut JailDelta {
        if !self.jails.contains_key(name) {
            self.jails.insert(name.clone(), JailDelta::default());
        }
        self.jails.get_mut(name).expect("it was put in above")
    }
}

/// A jail as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WantedJail {
    /// Its rules; `None` until it is installed.
    pub(crate) rules: Option<Arc<JailRules>>,
    /// Who is kept out, and until when.
    pub(crate) bans: HashMap<Network, Until>,
}

/// Everything as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The jails.
    pub(crate) jails: BTreeMap<JailName, WantedJail>,
}

/// What a delta changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Jails whose chains must be looked at: new ones, and those with other rules.
    pub(crate) jails: BTreeSet<JailName>,
    /// Jails that are not wanted any more.
    pub(crate) gone: BTreeSet<JailName>,
    /// Addresses that an order spoke of.
    pub(crate) bans: BTreeMap<JailName, Vec<Network>>,
}

impl Wanted {
    /// Takes a delta in.
    pub(crate) fn apply(&mut self, delta: Delta) -> Touched {
        let mut touched = Touched::default();
        for (name, change) in delta.jails {
            self.apply_jail(name, change, &mut touched);
        }
        touched
    }

    fn apply_jail(&mut self, name: JailName, change: JailDelta, touched: &mut Touched) {
        let jail = self.jails.entry(name.clone()).or_default();
        let mut spoken_of: BTreeSet<Network> = change.bans.keys().copied().collect();
        if change.reset {
            spoken_of.extend(jail.bans.keys());
            *jail = WantedJail::default();
        }
        if let Some(rules) = change.rules {
            if jail.rules.as_ref().is_none_or(|old| old.block != rules.block) {
                touched.jails.insert(name.clone());
            }
            jail.rules = Some(rules);
        }
        for (network, until) in change.bans {
            match until {
                Some(until) => jail.bans.insert(network, until),
                None => jail.bans.remove(&network),
            };
        }
        if jail.rules.is_none() && change.reset {
            touched.gone.insert(name.clone());
        }
        if jail.rules.is_none() && jail.bans.is_empty() {
            self.jails.remove(&name);
        }
        if !spoken_of.is_empty() {
            touched.bans.insert(name, spoken_of.into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{
        Ban, BanOrigin, BlockRules, BlockType, Chain, Limits, Ports, ServiceId, Timestamp,
    };

    fn rules(jail: u8, block_type: BlockType) -> Arc<JailRules> {
        let chains = [Chain::Input].into();
        Arc::new(JailRules {
            name: name(jail),
            service: ServiceId::BuiltIn,
            limits: Limits::default(),
            ignore: vec![],
            block: BlockRules { chains, ports: Ports::All, block_type },
            dry_run: false,
            policy: crate::model::Policy::default(),
        })
    }

    fn name(jail: u8) -> JailName {
        JailName::from_lossy(&format!("jail{jail}"))
    }

    fn network(host: u8) -> Network {
        format!("192.0.2.{host}").parse().unwrap()
    }

    fn any_order() -> impl Strategy<Value = Order> {
        let block = |(jail, host, end): (u8, u8, i64)| {
            Order::Block(Ban {
                jail: name(jail),
                network: network(host),
                since: Timestamp::UNIX_EPOCH,
                until: Until::Time(Timestamp::from_second(end).unwrap()),
                origin: BanOrigin::Failures,
                failures: 1,
            })
        };
        prop_oneof![
            (0_u8..3).prop_map(|jail| Order::Install(rules(jail, BlockType::Drop))),
            (0_u8..3).prop_map(|jail| Order::Install(rules(jail, BlockType::Reject))),
            (0_u8..3).prop_map(|jail| Order::Uninstall(name(jail))),
            (0_u8..3, 0_u8..4, 0_i64..9).prop_map(block),
            (0_u8..3, 0_u8..4).prop_map(|(jail, host)| Order::Release(name(jail), network(host))),
        ]
    }

    proptest! {
        #[test]
        fn merged_orders_end_where_single_ones_do(
            orders in prop::collection::vec(any_order(), 0..60),
            cut in 0_usize..60,
        ) {
            let mut one_by_one = Wanted::default();
            for order in &orders {
                let mut delta = Delta::default();
                delta.merge(vec![order.clone()]);
                one_by_one.apply(delta);
            }
            let mut at_once = Wanted::default();
            let (first, second) = orders.split_at(cut.min(orders.len()));
            let before = {
                let mut delta = Delta::default();
                delta.merge(first.to_vec());
                at_once.apply(delta);
                at_once.clone()
            };
            let mut delta = Delta::default();
            delta.merge(second.to_vec());
            let touched = at_once.apply(delta);
            prop_assert_eq!(&at_once, &one_by_one);

            // Whatever differs was spoken of.
            for jail in (0..3).map(name) {
                let (old, new) = (before.jails.get(&jail), at_once.jails.get(&jail));
                let ban = |jail: Option<&WantedJail>, host| jail.and_then(|j| j.bans.get(&network(host)).copied());
                for host in 0..4 {
                    if ban(old, host) != ban(new, host) {
                        prop_assert!(touched.bans[&jail].contains(&network(host)));
                    }
                }
                let block = |jail: Option<&WantedJail>| jail.and_then(|j| j.rules.as_ref().map(|r| r.block.clone()));
                if block(old) != block(new) {
                    prop_assert!(touched.jails.contains(&jail) || touched.gone.contains(&jail));
                }
            }
        }
    }
}
