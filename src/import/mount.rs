//! Which files of fail2ban's guard's container must have for its filters, and where.
//!
//! Only what the labels need is mounted, file by file: a whole folder would take the place
//! of filters of guard's that other jails name. What came of the mounts is read back; a filter
//! that is not the same then is not mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Ground, SharedFiles};
use crate::filter::{FilterFiles, FilterReference, LoadedFilter, load};
use crate::filters::{DEFAULT_PATH, EMBEDDED};
use crate::model::{Container, clean_path};

/// Folders that nothing is mounted in.
const KERNELS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A file of the host's, and where guard's container must have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mounted {
    pub(super) destination: String,
    pub(super) host: String,
}

/// All files that are mounted.
pub(super) struct Mounts {
    view: View,
    /// fail2ban's folders of filters.
    folders: Vec<String>,
    on_host: Option<Vec<(String, String)>>,
    /// The filters that are mounted, each as it is to be.
    filters: Vec<(FilterReference, LoadedFilter)>,
}

impl Mounts {
    pub(super) fn of(ground: &Ground) -> Mounts {
        Mounts {
            view: View {
                files: Arc::clone(&ground.files),
                own: Arc::clone(&ground.own),
                folder: target(ground),
                mounted: BTreeMap::new(),
            },
            folders: ground.filter_folders.clone(),
            on_host: ground.on_host.clone(),
            filters: Vec::new(),
        }
    }

    /// Mounts the files of a filter; `None`: guard would not see it as it is here.
    pub(super) fn take(
        &mut self,
        reference: &FilterReference,
        base: &LoadedFilter,
    ) -> Option<Vec<Mounted>> {
        let mut view = self.view.clone();
        let mut all = Vec::new();
        for file in &base.files {
            let destination = self.destination(file)?;
            let host = self.host(file)?;
            // A colon would be another part of the volume.
            if [&host, &destination].iter().any(|path| path.contains(':')) {
                return None;
            }
            let before = view.mounted.insert(destination.clone(), file.clone());
            if before.is_some_and(|before| clean_path(&before) != clean_path(file)) {
                return None;
            }
            all.push(Mounted { destination, host });
        }
        let same = |reference: &FilterReference, wanted: &LoadedFilter| {
            load(reference, &view).is_ok_and(|found| super::filter::is_same(&found, wanted))
        };
        // Of one folder nothing can come that a filter has not read already.
        let others = self.filters.iter().filter(|_| self.folders.len() > 1);
        if !same(reference, base) || others.into_iter().any(|(one, wanted)| !same(one, wanted)) {
            return None;
        }
        self.view = view;
        self.filters.push((reference.clone(), base.clone()));
        Some(all)
    }

    /// The labels of containers that are there already and mean other filters as soon as
    /// these files are mounted: the service, the label and its value.
    pub(super) fn changes<'c>(
        &self,
        mounted: &BTreeSet<Mounted>,
        containers: &'c [Container],
    ) -> Vec<(&'c Container, &'c str, &'c str)> {
        if mounted.is_empty() {
            return Vec::new();
        }
        let mut view = self.view.clone();
        let is_mounted = |path: &str| mounted.iter().any(|one| one.destination == path);
        view.mounted.retain(|path, _| is_mounted(path));
        let mut found = Vec::new();
        for (container, (key, value)) in
            containers.iter().flat_map(|one| one.labels.iter().map(move |label| (one, label)))
        {
            let lower = key.to_ascii_lowercase();
            let names_one = lower.starts_with("guard.") && lower.ends_with(".filter");
            let Some(reference) = value.parse().ok().filter(|_| names_one) else { continue };
            let Ok(before) = load(&reference, self.view.own.as_ref()) else { continue };
            let after = load(&reference, &view);
            if !after.is_ok_and(|after| super::filter::is_same(&after, &before)) {
                found.push((container, key.as_str(), value.as_str()));
            }
        }
        found
    }

    /// Where guard looks for a file that was read here.
    fn destination(&self, file: &str) -> Option<String> {
        let below = self.folders.iter().filter_map(|folder| {
            file.strip_prefix(folder.trim_end_matches('/'))?.strip_prefix('/')
        });
        let Some(rest) = below.min_by_key(|rest| rest.len()) else {
            let file = clean_path(file);
            let is_kernels = KERNELS.iter().any(|folder| is_below(&file, folder));
            return (!is_kernels).then_some(file);
        };
        let folder = self.view.folder.as_deref()?;
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
        Some(clean_path(&format!("{folder}/{rest}"))).filter(|found| is_below(found, above))
    }

    /// What the host calls a file.
    fn host(&self, file: &str) -> Option<String> {
        let Some(known) = &self.on_host else { return Some(clean_path(file)) };
        let below = known.iter().filter(|(here, _)| is_below(file, here));
        let (here, there) = below.max_by_key(|(here, _)| here.len())?;
        Some(clean_path(&format!("{there}/{}", &file[here.trim_end_matches('/').len()..])))
    }
}

/// The folder in which guard's container can be given filters.
fn target(ground: &Ground) -> Option<String> {
    let own = ground.containers.iter().flatten().find(|container| container.own);
    let looked_into: Vec<String> = match own {
        Some(_) => ground.own.folders(),
        None => DEFAULT_PATH.split(':').map(str::to_owned).collect(),
    };
    // Within a mount of somebody's there may be no room for another.
    let is_taken = |folder: &str, own: &Container| {
        own.mounts.iter().any(|mount| is_below(folder, &clean_path(&mount.destination)))
    };
    let mut folders = looked_into.into_iter().filter(|folder| folder.starts_with('/'));
    folders.find(|folder| folder != EMBEDDED && !own.is_some_and(|own| is_taken(folder, own)))
}

/// The filters as guard's container will have them.
#[derive(Clone)]
struct View {
    files: SharedFiles,
    own: SharedFiles,
    folder: Option<String>,
    /// By where guard sees it: the file as it is called here.
    mounted: BTreeMap<String, String>,
}

impl View {
    fn is_own(&self, folder: &str) -> bool {
        self.own.folders().iter().any(|own| own == folder)
    }
}

impl FilterFiles for View {
    fn folders(&self) -> Vec<String> {
        let own = self.own.folders();
        match &self.folder {
            Some(folder) if !own.contains(folder) => [vec![folder.clone()], own].concat(),
            _ => own,
        }
    }

    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        let path = if name.starts_with('/') {
            clean_path(name)
        } else {
            clean_path(&format!("{folder}/{name}"))
        };
        match self.mounted.get(&path).and_then(|file| file.rsplit_once('/')) {
            Some((folder, name)) => self.files.read(folder, name),
            None if self.is_own(folder) => self.own.read(folder, name),
            None => Ok(None),
        }
    }

    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        let before = clean_path(&format!("{folder}/{name}")) + "/";
        let names = self.mounted.keys().filter_map(|path| path.strip_prefix(&before));
        let mut names: Vec<String> =
            names.filter(|name| !name.contains('/')).map(str::to_owned).collect();
        if self.is_own(folder) {
            names.extend(self.own.list(folder, name)?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// Is a clean path a folder, or below it?
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    !folder.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
