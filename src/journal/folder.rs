//! Where journal files are, and opening them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::file::Bytes;

/// Most files and folders that are looked at.
const MAX_FILES: usize = 8192;
const MAX_FOLDERS: usize = 64;

/// The folders in which the host's journal may be, as guard sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalFolders {
    /// Those that hold a folder for each machine, or journal files themselves.
    pub roots: Vec<PathBuf>,
    /// The host's id, if it is known: other machines' journals are left alone.
    pub machine: Option<String>,
}

/// A journal file that there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) inode: u64,
}

impl JournalFolders {
    /// Where the journal is by default, on the host or mounted into guard's container.
    pub fn usual() -> JournalFolders {
        let roots = ["", "/host"].into_iter().flat_map(|at| {
            ["/var/log/journal", "/run/log/journal"].map(|folder| format!("{at}{folder}").into())
        });
        let machine = ["/host/etc/machine-id", "/etc/machine-id"].into_iter().find_map(|path| {
            let id = std::fs::read_to_string(path).ok()?.trim().to_owned();
            is_id(&id).then_some(id)
        });
        JournalFolders { roots: roots.collect(), machine }
    }

    /// The roots that there are.
    pub(super) fn present(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(PathBuf::as_path).filter(|root| root.is_dir())
    }

    /// The folders with the machine's files, and the roots themselves.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for root in self.present() {
            folders.push(root.to_owned());
            if let Some(own) = self.machine.as_ref().map(|id| root.join(id))
                && own.is_dir()
            {
                folders.push(own);
                continue;
            }
            let Ok(entries) = std::fs::read_dir(root) else { continue };
            let machines = entries.flatten().take(MAX_FILES).filter(|entry| {
                entry.file_name().to_str().is_some_and(is_id)
                    && entry.file_type().is_ok_and(|kind| kind.is_dir())
            });
            folders.extend(machines.map(|entry| entry.path()).take(MAX_FOLDERS));
        }
        folders
    }
}

/// The journal files in a folder.
pub(super) fn files_in(folder: &Path) -> io::Result<Vec<Found>> {
    let entries = std::fs::read_dir(folder)?.flatten().take(MAX_FILES);
    let files = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| name.ends_with(".journal") || name.ends_with(".journal~"))
    });
    Ok(files.map(|entry| Found { path: entry.path(), inode: entry.ino() }).collect())
}

impl Found {
    /// Is it one that nothing is added to any more, by its name?
    pub(super) fn is_archived(&self) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.contains('@') || name.ends_with('~')
    }

    /// Opens it, if it is a regular file; never waits for anything else.
    pub(super) fn open(&self) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&self.path)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }
}

/// Has the file been removed?
pub(super) fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|about| about.nlink() == 0)
}

impl Bytes for File {
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }
}

/// Is it a machine's id?
fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
