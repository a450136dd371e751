//! What can be asked of a jail. Views borrow: they cost nothing to make.

use std::sync::Arc;

use super::bans::Standing;
use super::counts::Dropped;
use super::hidden::HiddenClients;
use super::jail::{Jail, Presence};
use crate::model::{JailName, JailRules, Network};

/// A jail, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct JailView<'a>(pub(super) &'a Jail);

impl<'a> JailView<'a> {
    /// Its name.
    pub fn name(self) -> &'a JailName {
        &self.0.rules.name
    }

    /// Its rules.
    pub fn rules(self) -> &'a Arc<JailRules> {
        &self.0.rules
    }

    /// Does it have containers, as far as is known?
    pub fn is_live(self) -> bool {
        self.0.presence == Presence::Live
    }

    /// Addresses with failures that count now (fail2ban's "Currently failed").
    pub fn failed_now(self) -> usize {
        self.0.counts.len()
    }

    /// Failures found since the jail was made (fail2ban's "Total failed").
    pub fn found(self) -> u64 {
        self.0.found
    }

    /// Bans that stand.
    pub fn banned_now(self) -> usize {
        self.0.bans.len()
    }

    /// Those of them that the kernel has.
    pub fn in_force(self) -> usize {
        self.0.bans.in_force()
    }

    /// Bans made since the jail was made.
    pub fn banned(self) -> u64 {
        self.0.banned
    }

    /// The bans that stand, by address.
    pub fn bans(self) -> impl Iterator<Item = &'a Standing> {
        self.0.bans.iter()
    }

    /// The bans that concern `network`: its own, those of prefixes that hold it,
    /// and those inside it.
    pub fn bans_on(self, network: Network) -> impl Iterator<Item = &'a Standing> {
        let bans = &self.0.bans;
        let wider = bans.covering(network).filter(move |standing| standing.ban.network != network);
        wider.chain(bans.inside(network))
    }

    /// Bans that wait because the jail made too many within a minute.
    pub fn held(self) -> usize {
        self.0.counts.held()
    }

    /// Addresses in the log that stand for clients who can't be told apart, the
    /// one seen last first; at most 16.
    pub fn hidden(self) -> impl Iterator<Item = &'a HiddenClients> {
        self.0.hidden.iter()
    }

    /// Those whose ban waits for the end of their SSH connection to the host; at most 16.
    pub fn awaits_ssh(self) -> impl Iterator<Item = &'a HiddenClients> {
        self.0.awaits_ssh.iter()
    }

    /// Addresses that are banned and still reach the jail's services, the one seen
    /// last first; at most 16.
    pub fn reaching(self) -> impl Iterator<Item = Network> {
        self.0.reaching.iter()
    }

    /// Failures that did not count because of whose address they bear, since guard was started.
    pub fn ignored(self) -> u64 {
        self.0.ignored.total().saturating_add(self.0.hidden.total())
    }

    /// Addresses whose failures were forgotten because there were too many addresses,
    /// since guard was started.
    pub fn dropped(self) -> Dropped {
        self.0.counts.dropped()
    }
}
