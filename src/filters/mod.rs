//! The filters that there are: files in folders, and guard's own, which are in the
//! binary. Where a name is in several places, the first folder that has it counts.

mod embedded;
pub mod lint;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::filter::{FilterFileError, FilterFiles, FilterReference, LoadedFilter, load};

/// Where filters are looked for unless `GUARD_FILTER_PATH` says otherwise; what is not
/// there is left out.
pub const DEFAULT_PATH: &str = "/etc/guard/filter.d:/etc/fail2ban/filter.d";

/// How guard's own filters are called where files are named.
pub const EMBEDDED: &str = "guard:";

/// A longer file is no filter, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Filters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    folders: Vec<PathBuf>,
    embedded: bool,
}

/// A filter that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The folder that has it, or [`EMBEDDED`].
    pub folder: String,
    /// The first line of its file that says something.
    pub about: String,
}

impl Catalog {
    /// The filters in the folders of `path`, which has `:` between them, then guard's own.
    pub fn new(path: &str) -> Catalog {
        let folders = path.split(':').filter(|folder| !folder.is_empty());
        Catalog { folders: folders.map(PathBuf::from).collect(), embedded: true }
    }

    /// Only the filters in `folders`.
    pub fn without_own(folders: Vec<PathBuf>) -> Catalog {
        Catalog { folders, embedded: false }
    }

    /// The same, but `folders` are looked into before all others.
    pub fn after(mut self, mut folders: Vec<PathBuf>) -> Catalog {
        folders.append(&mut self.folders);
        Catalog { folders, ..self }
    }

    /// Reads a filter.
    ///
    /// # Errors
    /// There is none of that name, or something is wrong in its files.
    pub fn load(&self, reference: &FilterReference) -> Result<LoadedFilter, FilterFileError> {
        load(reference, self)
    }

    /// All filters, by name. What is only there to be included (`…-common`) is left out.
    pub fn list(&self) -> Vec<Listed> {
        let mut found: BTreeMap<String, Listed> = BTreeMap::new();
        for folder in self.folders() {
            for file in self.names(&folder) {
                let Some(name) = file.strip_suffix(".conf") else { continue };
                if name == "common" || name.ends_with("-common") || found.contains_key(name) {
                    continue;
                }
                let text = self.read(&folder, &file).ok().flatten().unwrap_or_default();
                let name = name.to_owned();
                let about = about(&text);
                found.insert(name.clone(), Listed { name, folder: folder.clone(), about });
            }
        }
        found.into_values().collect()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        if folder == EMBEDDED {
            return embedded::FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        names_in(Path::new(folder))
    }
}

impl FilterFiles for Catalog {
    fn folders(&self) -> Vec<String> {
        let own = self.embedded.then(|| EMBEDDED.to_owned());
        self.folders.iter().map(|folder| folder.display().to_string()).chain(own).collect()
    }

    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        if folder == EMBEDDED && !name.starts_with('/') {
            let file = embedded::FILES.iter().find(|(known, _)| *known == name);
            return Ok(file.map(|(_, text)| (*text).to_owned()));
        }
        let path = Path::new(folder).join(name);
        match read_file(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(format!("it can't be read: {error}")),
        }
    }

    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        match (folder, name) {
            (EMBEDDED, ".") => Ok(self.names(EMBEDDED)),
            (EMBEDDED, _) => Ok(Vec::new()),
            _ => try_names_in(&Path::new(folder).join(name)),
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_file(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not in UTF-8"))
}

/// The names of the files in a folder, in order; none if it can't be read.
fn names_in(folder: &Path) -> Vec<String> {
    try_names_in(folder).unwrap_or_default()
}

/// The same; none if the folder is not there, and an error if it can't be read.
fn try_names_in(folder: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error: io::Error| format!("the folder can't be read: {error}");
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        match entry.map_err(unreadable)?.file_name().into_string() {
            Ok(name) => names.push(name),
            Err(name) => {
                // Only such files are read.
                let shown = name.to_string_lossy();
                if shown.ends_with(".conf") || shown.ends_with(".local") {
                    return Err(format!("the name of the file `{shown}` is not in UTF-8"));
                }
            }
        }
    }
    names.sort();
    Ok(names)
}

/// What a filter's file says of itself in its first comment.
fn about(text: &str) -> String {
    let mut comments = text
        .lines()
        .map_while(|line| line.strip_prefix('#').or(line.is_empty().then_some("")))
        .map(str::trim)
        .filter(|line| line.chars().any(char::is_alphanumeric));
    comments.next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_before_guards_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd.conf");
        fs::write(&path, "# Mine\n\n[Definition]\nfailregex = ^x <HOST>$\n").unwrap();
        fs::write(folder.path().join("latin.conf"), b"[Definition]\nx = \xe9\n").unwrap();
        let catalog = Catalog::new(&format!("/nowhere::{}", folder.path().display()));
        let loaded = catalog.load(&"sshd".parse().unwrap()).unwrap();
        assert_eq!(loaded.spec.failregex, ["^x <HOST>$"]);
        assert_eq!(loaded.files, [path.display().to_string()]);
        let listed = catalog.list();
        let sshd = listed.iter().find(|listed| listed.name == "sshd").unwrap();
        assert_eq!(
            (sshd.about.as_str(), &sshd.folder),
            ("Mine", &folder.path().display().to_string())
        );
        let error = catalog.load(&"latin".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("not in UTF-8"), "{error}");
    }

    /// An unreadable folder is not an empty one: what is in it would be lost in silence.
    #[test]
    fn a_folder_that_cannot_be_read_is_an_error() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().display().to_string();
        let catalog = Catalog::without_own(vec![folder.path().to_owned()]);
        let list = |name_in: &str| FilterFiles::list(&catalog, &name, name_in);
        assert_eq!(list("none.d"), Ok(Vec::new()));
        std::os::unix::fs::symlink("jail.d", folder.path().join("jail.d")).unwrap();
        assert!(list("jail.d").unwrap_err().contains("can't be read"));
        fs::write(folder.path().join("jail.conf"), "[a]\n").unwrap();
        let error = crate::filter::Settings::read("jail", &catalog).unwrap_err();
        assert!(error.to_string().contains("jail.d: the folder can't be read"), "{error}");
        let latin = std::ffi::OsStr::from_bytes(b"x/\xe9.conf");
        fs::create_dir(folder.path().join("x")).unwrap();
        fs::write(folder.path().join(latin), "").unwrap();
        assert!(list("x").unwrap_err().contains("not in UTF-8"));
    }

    #[test]
    fn all_of_guards_own_filters_are_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("filters");
        let embedded: Vec<_> = embedded::FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded, names_in(&folder));
    }
}
