//! A jail, as a container's labels describe it: nothing in it can be wrong any more.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Complaint, Severity};
use crate::filter::Filter;
use crate::model::{
    BlockRules, BlockType, Chain, IgnoreEntry, JailName, JailRules, JournalMatch, Limits,
    LogEncoding, Policy, PortRange, Ports, Protocol, ServiceId, Written,
};

/// A valid jail.
#[derive(Clone)]
pub struct Jail {
    /// Its name.
    pub name: JailName,
    /// Whom it protects.
    pub service: ServiceId,
    /// Which lines are failures, and whose.
    pub filter: Arc<Filter>,
    /// Where the lines come from.
    pub sources: Sources,
    /// When to ban, and for how long.
    pub limits: Limits,
    /// Whom this jail never bans.
    pub ignore: Vec<IgnoreEntry>,
    /// The chains that a ban hooks into; never empty.
    pub chains: BTreeSet<Chain>,
    /// What a ban closes.
    pub ports: PortsWanted,
    /// How a banned client is refused.
    pub block_type: BlockType,
    /// Count and tell, but leave the firewall alone.
    pub dry_run: bool,
    /// What it does beyond counting.
    pub policy: Policy,
    /// The zone of dates without one; `None`: the container's own, else guard's.
    pub log_zone: Option<TimeZone>,
    /// How the bytes of its log files are text.
    pub log_encoding: LogEncoding,
    /// Its options as they were written, and where.
    pub written: Arc<[Written]>,
    /// Who asked for the ports, for a complaint that comes late.
    pub(super) asked: PortsAsked,
}

/// Where a jail's lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// The container's output.
    Output(StreamChoice),
    /// Log files: absolute paths as the container names them, perhaps with
    /// `*`, `?` and `[…]`; never empty, each once.
    Files(Vec<String>),
    /// The bans of the other jails.
    Bans,
    /// The entries of the host's journal with these fields; only of a jail on guard's
    /// own container.
    Journal(JournalMatch),
}

/// Which of the two streams of a container's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamChoice {
    /// Both.
    Both,
    /// Only standard output.
    Stdout,
    /// Only standard error.
    Stderr,
}

/// The ports that a ban is to close, as far as labels alone can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortsWanted {
    /// All of them, and every protocol.
    All,
    /// Those that lead to the container, or to another service's containers.
    Published {
        /// The other service (that of the proxy in front); `None`: the jail's own.
        service: Option<String>,
        /// Only ports of these protocols; never empty.
        protocols: BTreeSet<Protocol>,
    },
    /// These; never empty.
    Some(BTreeSet<(Protocol, PortRange)>),
}

/// Where `port` came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PortsAsked {
    pub(super) container: String,
    pub(super) label: String,
    pub(super) value: String,
}

impl Jail {
    /// The jail without filter and sources. `published` are the host's ports
    /// that lead to the containers that [`PortsWanted::Published`] means; if
    /// none of them serves, that is a complaint: a ban that closes nothing
    /// would protect nobody.
    pub fn rules(
        &self,
        published: &BTreeSet<(Protocol, PortRange)>,
    ) -> Result<JailRules, Box<Complaint>> {
        let ports = match &self.ports {
            PortsWanted::All => Ports::All,
            PortsWanted::Some(ports) => Ports::Some(ports.clone()),
            PortsWanted::Published { service, protocols } => {
                let open = published.iter().filter(|(protocol, _)| protocols.contains(protocol));
                let open: BTreeSet<_> = open.copied().collect();
                if open.is_empty() {
                    let complaint =
                        self.nothing_published(service.as_deref(), protocols, published);
                    return Err(Box::new(complaint));
                }
                Ports::Some(open)
            }
        };
        let block = BlockRules { chains: self.chains.clone(), ports, block_type: self.block_type };
        Ok(JailRules {
            name: self.name.clone(),
            service: self.service.clone(),
            limits: self.limits,
            ignore: self.ignore.clone(),
            block,
            dry_run: self.dry_run,
            policy: self.policy.clone(),
        })
    }

    fn nothing_published(
        &self,
        service: Option<&str>,
        protocols: &BTreeSet<Protocol>,
        published: &BTreeSet<(Protocol, PortRange)>,
    ) -> Complaint {
        let who = service.map_or("the container".to_owned(), |name| format!("service `{name}`"));
        let wanted: Vec<String> = protocols.iter().map(ToString::to_string).collect();
        let wanted = wanted.join(" or ");
        let remedy = match published.first() {
            Some((other, ports)) => {
                format!(
                    "{other} port {ports} is published; to close it, set `protocol` to `{other}`"
                )
            }
            None => "publish a port, write `published:SERVICE` with the service of the proxy in \
                     front, or write the port numbers"
                .to_owned(),
        };
        Complaint {
            severity: Severity::Error,
            jail: Some(self.name.clone()),
            container: self.asked.container.clone(),
            label: self.asked.label.clone(),
            value: self.asked.value.clone(),
            span: 0..self.asked.value.len(),
            in_key: false,
            what: format!("{who} publishes no {wanted} port, so a ban would close nothing"),
            remedy: Some(remedy),
            notify: self.policy.notify.clone(),
        }
    }
}

/// Two jails are the same if they would do the same. The library gives equal
/// filters as one, so that comparing pointers is enough.
impl PartialEq for Jail {
    fn eq(&self, other: &Self) -> bool {
        let Jail { name, service, filter, sources, limits, ignore, .. } = self;
        Arc::ptr_eq(filter, &other.filter)
            && (name, service, sources) == (&other.name, &other.service, &other.sources)
            && (limits, ignore) == (&other.limits, &other.ignore)
            && (&self.chains, &self.ports) == (&other.chains, &other.ports)
            && (self.block_type, self.dry_run) == (other.block_type, other.dry_run)
            && (&self.log_zone, &self.policy) == (&other.log_zone, &other.policy)
            && self.log_encoding == other.log_encoding
    }
}

impl Eq for Jail {}

impl fmt::Debug for Jail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jail")
            .field("name", &self.name)
            .field("service", &self.service)
            .field("sources", &self.sources)
            .field("limits", &self.limits)
            .field("ignore", &self.ignore)
            .field("chains", &self.chains)
            .field("ports", &self.ports)
            .field("block_type", &self.block_type)
            .field("dry_run", &self.dry_run)
            .field("log_zone", &self.log_zone)
            .field("policy", &self.policy)
            .field("log_encoding", &self.log_encoding)
            .finish_non_exhaustive()
    }
}
