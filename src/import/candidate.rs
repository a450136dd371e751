//! One jail for one service: its options, checked by guard's own parser of labels.

use std::collections::BTreeSet;

use super::Remarks;
use super::action::Block;
use super::draft::Draft;
use super::place::Target;
use super::source::Source;
use crate::filter::Library;
use crate::labels::{self, Complaint, Defaults, PortsWanted, Severity};
use crate::model::{BlockType, Chain, Container, JailName, LabelSet, Protocol, PublishedPort};

/// How the labels of a jail begin while they are checked.
const LABELS: &str = "guard.jails.it.";

/// A jail can do without so many of its options and ports.
const MOST_LEFT_OUT: usize = 50;

/// Options without which a jail still bans those whom it did.
const SPARED: [&str; 7] = [
    "bantime.factor",
    "bantime.multipliers",
    "bantime.maxtime",
    "bantime.rndtime",
    "bantime.overalljails",
    "logencoding",
    "logtimezone",
];

/// Options and their values, in order.
pub(super) type Options = Vec<(String, String)>;

/// Some of a jail's paths, those of one service.
pub(super) struct Part {
    pub(super) target: Target,
    pub(super) paths: Vec<String>,
}

/// A jail on its way to a service.
pub(super) struct Candidate<'a> {
    pub(super) draft: &'a Draft,
    pub(super) part: &'a Part,
    pub(super) jail: &'a JailName,
}

impl Candidate<'_> {
    /// Its options, as guard takes them; `None`: it does not, and a remark says why.
    pub(super) fn options(
        &self,
        library: &mut Library,
        remarks: &mut Remarks,
    ) -> Option<(Options, labels::Jail)> {
        let mut options = self.before_ports(remarks);
        let ports = self.draft.block.ports.as_ref();
        if let Some(ports) = ports {
            options.push(("port".to_owned(), ports.words.join(",")));
            options.extend(protocol(&ports.protocols));
        }
        self.after_ports(&mut options, remarks);
        let jail = self.check(&mut options, library, remarks)?;
        self.client_ports(&mut options, &jail.ports, remarks);
        Some((options, jail))
    }

    fn before_ports(&self, remarks: &mut Remarks) -> Options {
        let Draft { options: drafted, source, ignore, .. } = self.draft;
        let mut options = vec![("name".to_owned(), self.jail.as_str().to_owned())];
        let limits = drafted.iter().position(|(option, _)| option == "maxretry");
        let (filter, rest) = drafted.split_at(limits.unwrap_or(drafted.len()));
        options.extend_from_slice(filter);
        match source {
            Source::Files(_) => options.push(("logpath".to_owned(), self.part.paths.join("\n"))),
            Source::Journal(terms) => options.push(("journal".to_owned(), terms.clone())),
            Source::Bans => {}
        }
        options.extend_from_slice(rest);
        let mut kept = Vec::new();
        for (entry, place) in ignore {
            if entry.starts_with("file:") && self.part.target != Target::Own {
                let what =
                    format!("`ignoreip = {entry}`: a container's labels name no files of guard's");
                remarks.lost(
                    place,
                    what,
                    "set GUARD_IGNOREIP on guard, which counts for all jails",
                );
            } else {
                kept.push(entry.as_str());
            }
        }
        if !kept.is_empty() {
            options.push(("ignoreip".to_owned(), kept.join(" ")));
        }
        options
    }

    fn after_ports(&self, options: &mut Options, remarks: &mut Remarks) {
        let Block { chains, block_type, closes, place, .. } = &self.draft.block;
        match &self.part.target {
            Target::Own if self.draft.source == Source::Bans => {}
            Target::Own if chains.contains(&Chain::DockerUser) => {
                let names: Vec<String> = chains.iter().map(ToString::to_string).collect();
                options.push(("chain".to_owned(), names.join(",")));
            }
            Target::Service { host_network: false, .. } | Target::Unknown { .. }
                if !chains.contains(&Chain::DockerUser) && *closes =>
            {
                let what = "INPUT never sees what goes to a container: guard bans in DOCKER-USER";
                remarks.note(place, what, "");
            }
            Target::Service { host_network: true, .. } if chains.contains(&Chain::DockerUser) => {
                let what = "the container is in the host's network: guard bans in INPUT";
                remarks.note(place, what, "");
            }
            Target::Own | Target::Service { .. } | Target::Unknown { .. } => {}
        }
        match block_type {
            BlockType::Reject => {}
            BlockType::Drop => options.push(("blocktype".to_owned(), "drop".to_owned())),
            BlockType::TcpReset => options.push(("blocktype".to_owned(), "tcp-reset".to_owned())),
        }
        if !closes {
            options.push(("dryrun".to_owned(), "true".to_owned()));
        }
    }

    /// Reads the options as labels, as guard will. An option without which the jail bans the
    /// same people is left out where guard refuses it, and a remark says so.
    fn check(
        &self,
        options: &mut Options,
        library: &mut Library,
        remarks: &mut Remarks,
    ) -> Option<labels::Jail> {
        for _ in 0..MOST_LEFT_OUT {
            let label =
                |(option, value): &(String, String)| (format!("{LABELS}{option}"), value.clone());
            let container = container(&self.part.target, options.iter().map(label).collect());
            let reading = labels::read(&container, &Defaults::default(), library);
            let (doubts, wrong): (Vec<_>, Vec<_>) = reading
                .complaints
                .into_iter()
                .partition(|complaint| complaint.severity == Severity::Warning);
            let jail = reading.jails.into_iter().next();
            let (spared, wrong): (Vec<_>, Vec<_>) = wrong
                .into_iter()
                .partition(|complaint| jail.is_none() && leave_out(options, complaint));
            // What costs the jail is told last.
            for complaint in spared.iter().chain(&wrong) {
                self.tell(complaint, remarks);
            }
            if jail.is_some() && !doubts.is_empty() {
                let what = "guard will warn of its regexes, as of some in which the attacker's \
                            text decides who is banned";
                let remedy = "the jail's status shows them, and so does `guardctl lint`";
                remarks.note(&self.draft.place, what, remedy);
            }
            if jail.is_some() || spared.is_empty() {
                return jail;
            }
        }
        None
    }

    /// What guard refuses, in fail2ban's words.
    fn tell(&self, complaint: &Complaint, remarks: &mut Remarks) {
        let option = complaint.label.strip_prefix(LABELS).unwrap_or(&complaint.label);
        let places = self.draft.places.iter().rev();
        let mut places = places.filter(|(known, _)| known == option).map(|(_, place)| place);
        let place = match option {
            "port" | "protocol" => Some(&self.draft.block.place),
            _ => places.next(),
        };
        let remedy = match option {
            "port" => "write its number: guard knows few of them by name",
            _ => complaint.remedy.as_deref().unwrap_or_default(),
        };
        let what = format!("`{option}`: {}", complaint.what);
        remarks.lost(place.unwrap_or(&self.draft.place), what, remedy);
    }

    /// Of ports in DOCKER-USER of which nobody can say here whose they are.
    fn doubt_ports(&self, remarks: &mut Remarks) {
        if !self.draft.block.chains.contains(&Chain::DockerUser) {
            return;
        }
        remarks.changed(
            &self.draft.block.place,
            "`port` is copied as it is, but in DOCKER-USER fail2ban's is the container's, and \
             guard's the one that the client used",
            "write the ports that clients use, or `published`, or `published:PROXY` behind a proxy",
        );
    }

    /// Of a container guard knows the ports that clients use; in DOCKER-USER iptables
    /// sees the container's own.
    fn client_ports(&self, options: &mut Options, wanted: &PortsWanted, remarks: &mut Remarks) {
        let PortsWanted::Some(wanted) = wanted else { return };
        let published = match &self.part.target {
            Target::Service { host_network: false, published, .. } => published,
            Target::Service { .. } => return,
            _ => return self.doubt_ports(remarks),
        };
        if published.is_empty() {
            return self.doubt_ports(remarks);
        }
        let meets = |open: &&PublishedPort| {
            wanted.iter().any(|(protocol, range)| {
                *protocol == open.protocol
                    && range.first() <= open.port.last()
                    && open.port.first() <= range.last()
            })
        };
        if published.iter().any(|open| meets(&open)) {
            if !published.iter().all(|open| meets(&open)) {
                self.doubt_ports(remarks);
            }
            return;
        }
        let protocols: BTreeSet<Protocol> = published.iter().map(|open| open.protocol).collect();
        let said = options.iter().find(|(option, _)| option == "port");
        let what = format!(
            "`port = {}`: guard's port is the one that the client used, before Docker's DNAT; \
             those of this container are {}, and so `published` closes them",
            said.map_or("", |(_, value)| value),
            shown(published),
        );
        remarks.changed(&self.draft.block.place, what, "");
        let at = options.iter().position(|(option, _)| option == "port");
        options.retain(|(option, _)| option != "port" && option != "protocol");
        let at = at.unwrap_or(options.len()).min(options.len());
        options.insert(at, ("port".to_owned(), "published".to_owned()));
        if let Some(protocol) = protocol(&protocols) {
            options.insert(at + 1, protocol);
        }
    }
}

/// Leaves out what is complained of; false: the jail can't do without it.
fn leave_out(options: &mut Options, complaint: &Complaint) -> bool {
    let Some(option) = complaint.label.strip_prefix(LABELS) else { return false };
    if SPARED.contains(&option) {
        let before = options.len();
        options.retain(|(known, _)| known != option);
        return options.len() < before;
    }
    let Some((_, ports)) = options.iter_mut().find(|(known, _)| known == "port") else {
        return false;
    };
    let wrong = complaint.value.get(complaint.span.clone()).filter(|word| !word.is_empty());
    let Some(wrong) = wrong.filter(|_| option == "port") else { return false };
    let kept: Vec<&str> = ports.split(',').filter(|word| *word != wrong).collect();
    let fewer = !kept.is_empty() && kept.len() < ports.split(',').count();
    if fewer {
        *ports = kept.join(",");
    }
    fewer
}

fn shown(published: &[PublishedPort]) -> String {
    let all = published.iter().map(|open| format!("{}/{}", open.port, open.protocol));
    all.take(20).collect::<Vec<_>>().join(", ")
}

/// `protocol`, where it is not what counts anyway.
fn protocol(protocols: &BTreeSet<Protocol>) -> Option<(String, String)> {
    let names: Vec<String> = protocols.iter().map(ToString::to_string).collect();
    let names = names.join(",");
    (names != "tcp" && !names.is_empty()).then(|| ("protocol".to_owned(), names))
}

/// A container with these labels, as far as the parser of labels looks at it.
pub(super) fn container(target: &Target, labels: LabelSet) -> Container {
    let network = match target {
        Target::Service { host_network: false, .. } | Target::Unknown { .. } => "bridge",
        Target::Service { host_network: true, .. } | Target::Own => "host",
    };
    Container {
        labels,
        network_mode: network.to_owned(),
        own: *target == Target::Own,
        ..Container::named("import")
    }
}
