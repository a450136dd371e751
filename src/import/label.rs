//! Drafts and where they belong → labels, checked by guard's own parser of labels.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Candidate, Options, Part, container};
use super::compose::{self, Added, ComposeFile};
use super::draft::Draft;
use super::mount::{Mounted, is_below};
use super::place::{self, Nowhere, Place, Seen, Target};
use super::source::Source;
use super::{Ground, Remark, Remarks, Taken};
use crate::filter::{FilePlace, Library};
use crate::labels::{self, Defaults, MAX_JAILS, MAX_OWN_JAILS, Severity};
use crate::model::{Container, JailName, LabelSet, MANUAL_JAIL, MountKind, ServiceId};

/// Gathers jails by service.
pub(super) struct Assembly<'g> {
    ground: &'g Ground,
    /// By project and service.
    services: BTreeMap<(Option<String>, String), Gathered>,
    names: BTreeSet<String>,
    /// The names of jails that containers have already, and whose they are.
    there: BTreeMap<String, String>,
    seen: BTreeSet<Seen>,
    mounts: BTreeSet<Mounted>,
    journal: bool,
}

/// The jails of one service.
struct Gathered {
    target: Target,
    jails: Vec<Ready>,
}

/// A jail that is ready.
struct Ready {
    name: String,
    jail: JailName,
    options: Options,
    place: FilePlace,
    /// What came of them: it keeps its filter from being compiled again.
    _read: labels::Jail,
}

impl<'g> Assembly<'g> {
    pub(super) fn new(ground: &'g Ground) -> Assembly<'g> {
        Assembly {
            ground,
            services: BTreeMap::new(),
            names: BTreeSet::new(),
            there: there(ground),
            seen: BTreeSet::new(),
            mounts: BTreeSet::new(),
            journal: false,
        }
    }

    /// Takes a jail in, where it can be. Did it come over, at least in part?
    pub(super) fn take(
        &mut self,
        draft: &Draft,
        (library, remarks): (&mut Library, &mut Remarks),
    ) -> bool {
        let (parts, seen) = self.parts(draft, remarks);
        let several = parts.len() > 1;
        let mut came: Vec<(JailName, String)> = Vec::new();
        for (at, part) in parts.into_iter().enumerate() {
            let key = self.key(&part.target, draft, remarks);
            let wanted = match at {
                0 => draft.name.clone(),
                _ => format!("{}-{}", draft.name, key.1),
            };
            let jail = self.name(&wanted, &draft.place, remarks);
            let checked = Candidate { draft, part: &part, jail: &jail };
            let Some((options, read)) = checked.options(library, remarks) else {
                if several {
                    let what = format!("its logs of the service `{}` do not come over", key.1);
                    remarks.lost(&draft.place, what, "");
                }
                continue;
            };
            let target = part.target;
            let gathered = self.services.entry(key.clone());
            let gathered = gathered.or_insert_with(|| Gathered { target, jails: Vec::new() });
            let most = match gathered.target {
                Target::Own => MAX_OWN_JAILS,
                Target::Service { .. } | Target::Unknown { .. } => MAX_JAILS,
            };
            if gathered.jails.len() >= most {
                let what = format!(
                    "more than {most} jails on the service `{}`, which is all that guard takes of \
                     one container's labels",
                    key.1
                );
                remarks.lost(&draft.place, what, "join jails that have the same log");
                continue;
            }
            self.names.insert(jail.as_str().to_owned());
            self.mounts.extend(draft.mount.iter().cloned());
            self.journal |= matches!(draft.source, Source::Journal(_));
            self.seen.extend(seen.iter().cloned());
            let (name, place) = (draft.name.clone(), draft.place.clone());
            came.push((jail.clone(), key.1));
            gathered.jails.push(Ready { name, jail, options, place, _read: read });
        }
        if several && !came.is_empty() {
            let parts: Vec<String> =
                came.iter().map(|(jail, service)| format!("`{jail}` on {service}")).collect();
            let what = format!(
                "the jail's logs belong to several services, and so each gets a jail that counts \
                 for itself: {}",
                parts.join(", ")
            );
            let all = came.iter().map(|(jail, _)| format!(" --jail {}={jail}", draft.name));
            let remedy = format!(
                "a ban of fail2ban's closes them all: guardctl import --bans DB{}",
                all.collect::<String>()
            );
            remarks.changed(&draft.place, what, &remedy);
        }
        !came.is_empty()
    }

    /// The jail's paths by service, and what guard must see for them.
    fn parts(&self, draft: &Draft, remarks: &mut Remarks) -> (Vec<Part>, BTreeSet<Seen>) {
        let mut seen = BTreeSet::new();
        let Source::Files(paths) = &draft.source else {
            return (vec![Part { target: Target::Own, paths: Vec::new() }], seen);
        };
        let mut parts: Vec<Part> = Vec::new();
        for (path, written) in paths {
            let place = match place::place(path, self.ground.containers.as_deref()) {
                Ok(place) => place,
                Err(nowhere) => {
                    let (what, remedy) = nowhere_words(nowhere);
                    remarks.lost(written, format!("`{path}`: {what}"), remedy);
                    continue;
                }
            };
            self.tell(path, &place, (written, remarks));
            seen.extend(place.seen);
            match parts.iter_mut().find(|part| part.target == place.target) {
                Some(part) => part.paths.push(place.path),
                None => parts.push(Part { target: place.target, paths: vec![place.path] }),
            }
        }
        (parts, seen)
    }

    fn tell(&self, path: &str, place: &Place, (written, remarks): (&FilePlace, &mut Remarks)) {
        match &place.target {
            Target::Unknown { volume } => {
                let asked = self.ground.containers.is_some();
                let why = if asked { "no container has it" } else { "no engine was asked" };
                let what = format!(
                    "`{path}`: which service has the volume `{volume}` is not known: {why}"
                );
                let remedy = "put the labels on that service, with the path as it knows it";
                remarks.lost(written, what, remedy);
            }
            Target::Service { id, .. } if !place.others.is_empty() => {
                let others = place.others.join(", ");
                let what =
                    format!("`{path}` is seen by {id} and by {others}; {id} gets the labels");
                remarks.note(written, what, "move them if people come to another one");
            }
            Target::Service { .. } | Target::Own => {}
        }
    }

    /// Project and service that a target's labels are written under.
    fn key(
        &self,
        target: &Target,
        draft: &Draft,
        remarks: &mut Remarks,
    ) -> (Option<String>, String) {
        let of = |id: &ServiceId| match id {
            ServiceId::Compose { project, service } => {
                (Some(project.to_string()), service.to_string())
            }
            other => (None, other.short().to_owned()),
        };
        match target {
            Target::Own => self.own().map_or((None, "guard".to_owned()), |own| of(&own.service)),
            Target::Service { id, .. } => {
                if matches!(id, ServiceId::Container(_)) {
                    let what = format!("the container `{}` is not Compose's", id.short());
                    let remedy = "give these labels to `docker run --label`, without doubling `$`";
                    remarks.note(&draft.place, what, remedy);
                }
                of(id)
            }
            Target::Unknown { volume } => (None, format!("service-with-{volume}")),
        }
    }

    /// guard's own container.
    fn own(&self) -> Option<&'g Container> {
        self.ground.containers.as_deref()?.iter().find(|container| container.own)
    }

    /// A name that guard can take, and that no other jail has.
    fn name(&self, wanted: &str, place: &FilePlace, remarks: &mut Remarks) -> JailName {
        let mut jail = JailName::from_lossy(wanted);
        if jail.as_str() == MANUAL_JAIL {
            jail = JailName::from_lossy("manual-fail2ban");
        }
        for number in 2.. {
            if !self.names.contains(jail.as_str()) && !self.there.contains_key(jail.as_str()) {
                break;
            }
            let cut: String = wanted.chars().take(JailName::MAX - 8).collect();
            jail = JailName::from_lossy(&format!("{cut}-{number}"));
        }
        if jail.as_str() == wanted {
            return jail;
        }
        let called = format!("the jail is called `{jail}` in guard");
        match self.there.get(JailName::from_lossy(wanted).as_str()) {
            Some(service) => {
                let what = format!("{called}: the labels of {service} have one named `{wanted}`");
                let remedy = "where those come from an earlier import, take them away first, and \
                              import again";
                remarks.changed(place, what, remedy);
            }
            None => remarks.changed(place, called, ""),
        }
        jail
    }

    /// All that came over, as labels and as compose files.
    pub(super) fn done(
        mut self,
        library: &mut Library,
    ) -> (Vec<Taken>, Vec<ComposeFile>, Vec<Remark>) {
        let mut remarks = Remarks::default();
        let volumes = self.volumes();
        if !volumes.is_empty() {
            let key = match self.own() {
                Some(Container { service: ServiceId::Compose { project, service }, .. }) => {
                    (Some(project.to_string()), service.to_string())
                }
                Some(own) => (None, own.service.short().to_owned()),
                None => (None, "guard".to_owned()),
            };
            let none = || Gathered { target: Target::Own, jails: Vec::new() };
            self.services.entry(key).or_insert_with(none);
        }
        let mut taken = Vec::new();
        let mut projects: BTreeMap<(Option<String>, bool), BTreeMap<String, Added>> =
            BTreeMap::new();
        for ((project, service), gathered) in &self.services {
            let mut added = Added { note: gathered.note(service), ..Added::default() };
            for (ready, labels) in gathered.labelled() {
                let title = format!("fail2ban's jail {}: {}", ready.name, ready.place);
                added.jails.push((title, labels.clone()));
                taken.push(Taken {
                    name: ready.name.clone(),
                    jail: ready.jail.as_str().to_owned(),
                    project: project.clone(),
                    service: service.clone(),
                    labels,
                    place: ready.place.clone(),
                });
            }
            if gathered.target == Target::Own {
                added.volumes.clone_from(&volumes);
            }
            together(service, gathered, &added, (library, &mut remarks));
            let key = (project.clone(), gathered.is_outside(self.own()));
            projects.entry(key).or_default().insert(service.clone(), added);
        }
        let files = projects.into_iter().map(|((project, outside), services)| {
            let title = match (&project, outside) {
                (Some(project), _) => format!("For the compose file of project {project}."),
                (None, true) => "For no compose file: these containers are not Compose's. Give \
                                 the labels to `docker run --label`, with one $ for $$."
                    .to_owned(),
                (None, false) => "For the compose file that has these services.".to_owned(),
            };
            ComposeFile { text: compose::write(&title, &services), project, outside }
        });
        (taken, files.collect(), remarks.all)
    }

    /// The files of fail2ban's that are mounted.
    pub(super) fn mounts(&self) -> &BTreeSet<Mounted> {
        &self.mounts
    }

    /// What guard's own service must mount besides what it does, and why.
    fn volumes(&self) -> Vec<(String, String)> {
        let mut wanted: Vec<(String, String, String)> = Vec::new();
        let mut want = |why: &str, host: &str, here: &str, mode: &str| {
            let line = format!("{host}:{here}:{mode}");
            wanted.push((host.to_owned(), why.to_owned(), line));
        };
        if self.journal {
            want("the host's journal", "/var/log/journal", "/var/log/journal", "ro");
        }
        for seen in &self.seen {
            match seen {
                Seen::Volumes(all) => want("log files on named volumes", all, all, "ro,rslave"),
                Seen::Folder(folder) => {
                    let here = format!("/host/{}", folder.trim_start_matches('/'));
                    let here = here.trim_end_matches('/');
                    want("log files in a folder of the host", folder, here, "ro");
                }
                Seen::Own(folder) if self.is_inside_another(folder) => {}
                Seen::Own(folder) => want("logs of the host", folder, folder, "ro"),
            }
        }
        let own = self.own();
        let has = |host: &str| {
            own.is_some_and(|own| {
                own.mounts
                    .iter()
                    .any(|mount| mount.kind != MountKind::Other && is_below(host, &mount.source))
            })
        };
        wanted.retain(|(host, ..)| !has(host));
        let filters = self.mounts.iter().map(|Mounted { destination, host }| {
            let why = "fail2ban's filters that the labels name".to_owned();
            (why, format!("{host}:{destination}:ro"))
        });
        filters.chain(wanted.into_iter().map(|(_, why, line)| (why, line))).collect()
    }

    fn is_inside_another(&self, folder: &str) -> bool {
        self.seen.iter().any(|seen| match seen {
            Seen::Own(other) => other != folder && is_below(folder, other),
            Seen::Volumes(_) | Seen::Folder(_) => false,
        })
    }
}

/// The names of the jails that there are already, and whose labels describe each.
fn there(ground: &Ground) -> BTreeMap<String, String> {
    let mut there = BTreeMap::new();
    let containers = ground.containers.iter().flatten().filter(|container| !container.one_off);
    for container in containers {
        for name in labels::names(container, &Defaults::default()) {
            there.insert(name.as_str().to_owned(), container.service.to_string());
        }
    }
    there
}

impl Gathered {
    fn note(&self, service: &str) -> Option<String> {
        match &self.target {
            Target::Own => Some("guard's own service: jails of the host".to_owned()),
            Target::Unknown { volume } => Some(format!(
                "{service} stands for the service that mounts the volume {volume}; mend logpath \
                 below"
            )),
            Target::Service { id: ServiceId::Container(_), .. } => {
                Some("a container without compose: docker run --label, with one $ for $$".into())
            }
            Target::Service { .. } => None,
        }
    }

    /// Are these containers that Compose has not made?
    fn is_outside(&self, own: Option<&Container>) -> bool {
        let id = match &self.target {
            Target::Own => own.map(|own| &own.service),
            Target::Service { id, .. } => Some(id),
            Target::Unknown { .. } => None,
        };
        id.is_some_and(|id| !matches!(id, ServiceId::Compose { .. }))
    }

    /// Each jail with its labels. The only one of a service is the service's own.
    fn labelled(&self) -> Vec<(&Ready, Options)> {
        let alone = match &self.target {
            Target::Own => false,
            Target::Service { labelled, .. } => self.jails.len() == 1 && !labelled,
            Target::Unknown { .. } => self.jails.len() == 1,
        };
        let mut keys = BTreeSet::new();
        let mut all = Vec::new();
        for ready in &self.jails {
            let plain = ready.jail.as_str().to_ascii_lowercase().replace('.', "-");
            let mut key = plain.clone();
            for number in 2.. {
                if keys.insert(key.clone()) {
                    break;
                }
                key = format!("{plain}-{number}");
            }
            let prefix = if alone { "guard".to_owned() } else { format!("guard.jails.{key}") };
            let label =
                |(option, value): &(String, String)| (format!("{prefix}.{option}"), value.clone());
            all.push((ready, ready.options.iter().map(label).collect()));
        }
        all
    }
}

/// The labels of a service are read once more, all of them together.
fn together(
    service: &str,
    gathered: &Gathered,
    added: &Added,
    (library, remarks): (&mut Library, &mut Remarks),
) {
    let labels: LabelSet =
        added.jails.iter().flat_map(|(_, labels)| labels.iter().cloned()).collect();
    let container = container(&gathered.target, labels);
    let reading = labels::read(&container, &Defaults::default(), library);
    let is_error = |complaint: &&labels::Complaint| complaint.severity == Severity::Error;
    for complaint in reading.complaints.iter().filter(is_error) {
        let what = format!("labels of `{service}`: {}", complaint.one_line());
        remarks.lost(&FilePlace::default(), what, "");
    }
}

fn nowhere_words(nowhere: Nowhere) -> (&'static str, &'static str) {
    match nowhere {
        Nowhere::Output => (
            "guard follows a container's output itself, without the engine's JSON around it",
            "give the container `guard.failregex` as the line is in `docker logs`, and no logpath",
        ),
        Nowhere::Wildcard => (
            "its wildcard leads into a volume or a folder that a container mounts",
            "give each service that has one its own labels, with the path as it knows it",
        ),
        Nowhere::Layer => (
            "the file is in a container's own layer",
            "give that container the labels, with the path as it knows it, better on a volume",
        ),
    }
}
