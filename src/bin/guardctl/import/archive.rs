//! fail2ban's folder as a tar archive: where guardctl runs in a container, the host's
//! `/etc` is not there.

use std::collections::{BTreeMap, BTreeSet};

use guard::docker::tar::{self, Packed};
use guard::filter::FilterFiles;
use guard::model::clean_path;

/// A longer file is no configuration, in bytes.
const MAX_FILE: usize = 1 << 20;

/// Links that lead to links, at most.
const MAX_LINKS: usize = 8;

/// The files of an archive, each where it was on the host.
#[derive(Debug, Default)]
pub(super) struct Archive {
    files: BTreeMap<String, Entry>,
    /// The folder with `jail.conf`.
    pub(super) root: String,
}

#[derive(Debug)]
enum Entry {
    Text(String),
    Link(String),
    /// Why it can't be read.
    Unreadable(String),
}

impl Archive {
    /// Reads the archive that `tar -h -C /etc -c fail2ban` makes.
    ///
    /// # Errors
    /// It is no archive, or there is no configuration of fail2ban in it.
    pub(super) fn read(bytes: &[u8]) -> Result<Archive, String> {
        let packed = tar::files(bytes)?;
        let is_root = |path: &&String| {
            let name = path.rsplit('/').next().unwrap_or(path);
            name == "jail.conf" || name == "jail.local"
        };
        let first = packed.keys().filter(is_root).min_by_key(|path| path.matches('/').count());
        let Some(first) = first else {
            return Err("the archive has neither jail.conf nor jail.local: make it with \
                        `tar -h -C /etc -c fail2ban`"
                .to_owned());
        };
        let folder = first.rsplit_once('/').map_or("", |(folder, _)| folder);
        // Where `-C /etc` was; without a folder it was /etc/fail2ban itself.
        let base = match folder {
            "" => "/etc/fail2ban",
            folder if folder == "etc" || folder.starts_with("etc/") => "",
            _ => "/etc",
        };
        let root = format!("{base}/{folder}").trim_end_matches('/').to_owned();
        let entry = |packed: Packed<'_>| match packed {
            Packed::File(bytes) if bytes.len() > MAX_FILE => {
                Entry::Unreadable(format!("the file is longer than {MAX_FILE} bytes"))
            }
            Packed::File(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Entry::Text(text.to_owned()),
                Err(_) => Entry::Unreadable("it is not in UTF-8".to_owned()),
            },
            Packed::Link(to) => Entry::Link(to),
        };
        let files = packed.into_iter();
        let files = files.map(|(path, packed)| (format!("{base}/{path}"), entry(packed)));
        let files: BTreeMap<String, Entry> = files.collect();
        for folder in ["jail.d", "filter.d", "action.d"] {
            if let Some(Entry::Link(to)) = files.get(&format!("{root}/{folder}")) {
                return Err(format!(
                    "{folder} is a link to {to}, and what is behind it is not in the archive: make \
                     it with `tar -h`"
                ));
            }
        }
        Ok(Archive { files, root })
    }

    fn text(&self, path: &str) -> Result<Option<String>, String> {
        let (mut path, mut is_linked) = (clean_path(path), false);
        for _ in 0..MAX_LINKS {
            match self.files.get(&path) {
                None if is_linked => {
                    return Err(format!(
                        "it is a link to {path}, which is not in the archive: make it with `tar -h`"
                    ));
                }
                None => return Ok(None),
                Some(Entry::Text(text)) => return Ok(Some(text.clone())),
                Some(Entry::Unreadable(why)) => return Err(format!("it can't be read: {why}")),
                Some(Entry::Link(to)) => {
                    path = clean_path(&beside(&path, to));
                    is_linked = true;
                }
            }
        }
        Err("it can't be read: too many links".to_owned())
    }
}

impl FilterFiles for Archive {
    fn folders(&self) -> Vec<String> {
        vec![self.root.clone()]
    }

    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        self.text(&if name.starts_with('/') { name.to_owned() } else { format!("{folder}/{name}") })
    }

    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        let before = clean_path(&format!("{folder}/{name}")) + "/";
        let below = self.files.range(before.clone()..).map(|(path, _)| path);
        let names = below.map_while(|path| path.strip_prefix(before.as_str()));
        let names: BTreeSet<&str> = names.filter(|name| !name.contains('/')).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }
}

/// A link's target, beside the link.
fn beside(link: &str, to: &str) -> String {
    let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
    if to.starts_with('/') { to.to_owned() } else { format!("{folder}/{to}") }
}
