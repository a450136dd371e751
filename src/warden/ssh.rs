//! Bans that wait because they would end somebody's SSH connection to the host.
//!
//! The failures stay counted. The ban comes as soon as the connection is gone, if they
//! still count then, or with the next failure.

use super::Warden;
use super::ignore::{Exempt, NeverBan, Why};
use super::jail::Jail;
use super::judge::Court;
use crate::model::{Address, Chain, JailRules, Network, News, Ports, Protocol, Record, Timestamp};

impl Warden {
    /// Others have SSH connections to the host now, that are older than a login may take.
    pub fn handle_ssh_peers(&mut self, now: Timestamp, peers: impl IntoIterator<Item = Address>) {
        self.observe(now);
        self.never.ssh_peers = peers.into_iter().collect();
        let (jails, mut court) = self.split();
        for jail in jails.values_mut() {
            jail.recheck_ssh(now, &mut court);
        }
        self.count_bans(now);
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
    pub(super) fn waits_for_ssh(
        &mut self,
        now: Timestamp,
        (network, times): (Network, &[Timestamp]),
        court: &mut Court<'_>,
    ) -> bool {
        let Some(exempt) = court.never.live_ssh(&self.rules, network) else { return false };
        if self.rules.dry_run || self.bans.covering(network).next().is_some() {
            return false;
        }
        let reason = exempt.to_string();
        if self.awaits_ssh.note(now, network, exempt) {
            court.out.tell(now, News::Ignored { jail: self.name(), network, reason });
        }
        self.counts.put_back(network, times.to_vec(), &self.rules.limits);
        court.out.remember(Record::Failures(self.name(), network, times.to_vec()));
        true
    }

    /// Bans those whose connection is gone, if their failures still count.
    fn recheck_ssh(&mut self, now: Timestamp, court: &mut Court<'_>) {
        let never = court.never;
        let held: Vec<Network> = self.awaits_ssh.iter().map(|held| held.network).collect();
        let free = |network: &Network| never.live_ssh(&self.rules, *network).is_none();
        for network in held.into_iter().filter(free).collect::<Vec<_>>() {
            self.awaits_ssh.retain(|known| known != network);
            let times = self.counts.take_due(now, network, &self.rules.limits);
            self.sentence(now, (network, times), court);
        }
    }
}
