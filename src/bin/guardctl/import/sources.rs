//! The configuration that `guardctl import` is given: folders, single files, an archive.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guard::filter::{FilterFileError, FilterFiles, Settings};
use guard::filters::Catalog;
use guard::import::SharedFiles;

use super::archive::Archive;

/// The longest archive on standard input, in bytes.
const MAX_ARCHIVE: u64 = 64 << 20;

/// A configuration, and where what belongs to it is.
pub(super) struct Configuration {
    pub(super) settings: Settings,
    /// What is said to fail2ban's server, by each folder that has it.
    pub(super) server: Vec<Settings>,
    pub(super) files: SharedFiles,
    pub(super) filter_folders: Vec<String>,
    pub(super) action_folders: Vec<String>,
}

/// Reads what the arguments name, later ones over earlier ones.
///
/// # Errors
/// Something can't be read, with the file and the line.
pub(super) fn read(paths: &[PathBuf]) -> Result<Configuration, String> {
    if paths.iter().any(|path| path.as_os_str() == "-") {
        if paths.len() > 1 {
            return Err("`-` stands alone: standard input is the whole configuration".to_owned());
        }
        return archive();
    }
    let files: SharedFiles = Arc::new(Catalog::without_own(Vec::new()));
    let mut gathered = Configuration {
        settings: Settings::default(),
        server: Vec::new(),
        files,
        filter_folders: Vec::new(),
        action_folders: Vec::new(),
    };
    let mut root = None;
    for path in paths {
        let path = std::path::absolute(path).map_err(|error| format!("{path:?}: {error}"))?;
        let kind = std::fs::metadata(&path);
        let kind = kind.map_err(|error| format!("{}: {error}", path.display()))?;
        if kind.is_dir() {
            let filters = gathered.folder(&path)?;
            root.get_or_insert(filters);
        } else {
            gathered.file(&path)?;
        }
    }
    let root = root.or_else(|| gathered.filter_folders.first().cloned()).unwrap_or_default();
    gathered.known(&root);
    Ok(gathered)
}

fn archive() -> Result<Configuration, String> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_ARCHIVE + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("standard input: {error}"))?;
    if bytes.len() as u64 > MAX_ARCHIVE {
        return Err(format!("standard input is longer than {MAX_ARCHIVE} bytes"));
    }
    let archive = Archive::read(&bytes).map_err(|what| format!("standard input: {what}"))?;
    let root = archive.root.clone();
    let files: SharedFiles = Arc::new(archive);
    let settings = jails(&root, files.as_ref())?;
    let server = server(&root, files.as_ref())?;
    let mut configuration = Configuration {
        settings,
        server: server.into_iter().collect(),
        files,
        filter_folders: vec![format!("{root}/filter.d")],
        action_folders: vec![format!("{root}/action.d")],
    };
    configuration.known(&root);
    Ok(configuration)
}

impl Configuration {
    /// A whole configuration; its folder of filters.
    fn folder(&mut self, path: &Path) -> Result<String, String> {
        let root = path.display().to_string();
        let root = root.trim_end_matches('/').to_owned();
        let settings = jails(&root, self.files.as_ref())?;
        self.settings.extend(settings);
        self.server.extend(server(&root, self.files.as_ref())?);
        let filters = format!("{root}/filter.d");
        self.filter_folders.insert(0, filters.clone());
        self.action_folders.insert(0, format!("{root}/action.d"));
        Ok(filters)
    }

    /// A file with jails; or a filter or an action, beside which there may be more.
    fn file(&mut self, path: &Path) -> Result<(), String> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let these = [(folder.display().to_string(), name)];
        let settings = Settings::read_these(&these, self.files.as_ref()).map_err(told)?;
        let shown = folder.display().to_string();
        if settings.sections().any(|(name, _)| name == "Definition") {
            self.filter_folders.insert(0, shown.clone());
            self.action_folders.insert(0, shown);
            return Ok(());
        }
        self.settings.extend(settings);
        let above = folder.parent().filter(|_| shown.ends_with(".d"));
        for folder in [Some(folder), above].into_iter().flatten() {
            self.filter_folders.push(folder.join("filter.d").display().to_string());
            self.action_folders.push(folder.join("action.d").display().to_string());
        }
        Ok(())
    }

    /// What fail2ban itself gives to every file.
    fn known(&mut self, filters: &str) {
        let root = filters.trim_end_matches("/filter.d");
        self.settings.give("fail2ban_version", "1.0.2");
        self.settings.give("fail2ban_confpath", root);
    }
}

/// One folder of some files.
struct In<'a>(&'a str, &'a dyn FilterFiles);

impl FilterFiles for In<'_> {
    fn folders(&self) -> Vec<String> {
        vec![self.0.to_owned()]
    }
    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        self.1.read(folder, name)
    }
    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        self.1.list(folder, name)
    }
}

/// Reads `jail.conf` and all that is beside it.
fn jails(root: &str, files: &dyn FilterFiles) -> Result<Settings, String> {
    Settings::read("jail", &In(root, files)).map_err(told)
}

/// The same of `fail2ban.conf`, which need not be there.
fn server(root: &str, files: &dyn FilterFiles) -> Result<Option<Settings>, String> {
    match Settings::read("fail2ban", &In(root, files)) {
        Ok(settings) => Ok(Some(settings)),
        Err(FilterFileError::NotFound { .. }) => Ok(None),
        Err(error) => Err(told(error)),
    }
}

fn told(error: FilterFileError) -> String {
    match error {
        FilterFileError::NotFound { folders, .. } => {
            format!("there is neither jail.conf nor jail.local in {}", folders.join(", "))
        }
        FilterFileError::Wrong { place, what, remedy } => {
            let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
            format!("{place}: {what}{remedy}")
        }
    }
}
