//! Bans that wait because they would end somebody's SSH connection to the host.
//!
//! The failures stay counted. The ban comes as soon as the connection is gone, if they
//! still count then, or with the next failure.

use super::Warden;
use super::effect::Effects;
use super::ignore::{Exempt, NeverBan, Why};
use super::jail::Jail;
use crate::model::{Address, Chain, JailRules, Network, News, Ports, Protocol, Record, Timestamp};

impl Warden {
    /// Others have SSH connections to the host now, that are older than a login may take.
    pub fn handle_ssh_peers(&mut self, now: Timestamp, peers: impl IntoIterator<Item = Address>) {
        self.observe(now);
        let Warden { jails, never, out, .. } = self;
        never.ssh_peers = peers.into_iter().collect();
        for jail in jails.values_mut() {
            jail.recheck_held(now, never, out);
        }
    }
}

impl NeverBan {
    /// The live SSH connection that a ban under these rules would end, if so.
    pub(super) fn live_ssh(&self, rules: &JailRules, network: Network) -> Option<Exempt> {
        let peer = self.ssh_peers.iter().find(|peer| network.contains(**peer))?;
        let is_held = rules.block.chains.contains(&Chain::Input) && self.closes_ssh(rules);
        is_held.then(|| Exempt { entry: Network::from(*peer), why: Why::LiveSsh })
    }

    fn closes_ssh(&self, rules: &JailRules) -> bool {
        match &rules.block.ports {
            Ports::All => true,
            Ports::Some(ports) => ports.iter().any(|(protocol, range)| {
                let mut ssh = self.ssh_ports().iter();
                *protocol == Protocol::Tcp
                    && ssh.any(|port| (range.first()..=range.last()).contains(port))
            }),
        }
    }
}

impl Jail {
    /// Should a ban for these failures wait? Then they are counted on. One who is banned
    /// already has lost the connection.
    pub(super) fn holds(
        &mut self,
        now: Timestamp,
        (network, times): (Network, &[Timestamp]),
        never: &NeverBan,
        out: &mut Effects,
    ) -> bool {
        let Some(exempt) = never.live_ssh(&self.rules, network) else { return false };
        if self.rules.dry_run || self.bans.covering(network).next().is_some() {
            return false;
        }
        let reason = exempt.to_string();
        if self.held.note(now, network, exempt) {
            out.tell(now, News::Ignored { jail: self.name(), network, reason });
        }
        self.counts.put_back(network, times.to_vec(), &self.rules.limits);
        out.remember(Record::Failures(self.name(), network, times.to_vec()));
        true
    }

    /// Bans those whose connection is gone, if their failures still count.
    fn recheck_held(&mut self, now: Timestamp, never: &NeverBan, out: &mut Effects) {
        let held: Vec<Network> = self.held.iter().map(|held| held.network).collect();
        let free = |network: &Network| never.live_ssh(&self.rules, *network).is_none();
        for network in held.into_iter().filter(free).collect::<Vec<_>>() {
            self.held.retain(|known| known != network);
            let times = self.counts.take_due(now, network, &self.rules.limits);
            self.sentence(now, (network, times), never, out);
        }
    }
}
