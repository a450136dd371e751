//! A container's files, as the container names them, opened by guard.
//!
//! Whoever runs a container may put any link into its log's path, to read files
//! of guard or of the host through guard. So the kernel follows no link for
//! guard: every component is opened by itself, beneath the one before it, and
//! links are read and resolved here, in the *container's* space: an absolute
//! one begins at the container's root, `..` never climbs above it, and a step
//! that reaches a mount's destination goes on in that mount.
//!
//! Invariants: nothing outside the container's mounts is ever opened; only
//! regular files are read; opening never blocks.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::model::clean_path;

use super::process::{ContainerProcess, RootError};

/// Most links in one path; the kernel's own bound.
const MAX_LINKS: u32 = 40;

/// Most components that are walked for one path, links' included.
const MAX_STEPS: u32 = 1000;

/// Most names that are read of one directory.
const MAX_NAMES: usize = 20_000;

/// A mount of a container, as guard sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceMount {
    /// Where the container sees it.
    pub destination: String,
    /// Where it lies on the host.
    pub host: String,
    /// Where guard sees it; `None`: nowhere.
    pub here: Option<PathBuf>,
    /// What to do so that guard sees it, if it does not.
    pub remedy: Option<String>,
}

/// The part of a container's file system that guard can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathSpace {
    mounts: Vec<SpaceMount>,
    /// The way to what is on none of the mounts that guard sees.
    process: Option<ContainerProcess>,
}

/// A file that may be read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// Why a path can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenError {
    /// There is no such file (yet).
    #[error("there is no file {0}")]
    Missing(String),
    /// The path is on a mount that guard does not see.
    #[error("guard does not see {path}{}", remedy.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Unreachable { path: String, remedy: Option<String> },
    /// The path is on no mount at all.
    #[error(
        "{path} is on no volume or bind mount of the container: mount one there (`- logs:{}`), or {remedy}",
        folder(path)
    )]
    Outside { path: String, remedy: RootError },
    /// A link leads where guard must not or can't follow.
    #[error("the link {link} leads to {target}: {reason}")]
    Link { link: String, target: String, reason: String },
    #[error("{path} is a {kind}, not a regular file")]
    NotAFile { path: String, kind: &'static str },
    #[error(
        "guard may not read {0}: give its container `cap_add: [DAC_READ_SEARCH]`, or make the file readable"
    )]
    Denied(String),
    #[error(
        "the kernel or the seccomp profile refuses openat2, without which guard can't follow {0} safely: it needs Linux 5.6 and Docker 20.10.0 or newer"
    )]
    NoOpenat2(String),
    #[error("{0}: too many links, or a link goes round in a circle")]
    TooManyLinks(String),
    #[error("{path} can't be opened: {error}")]
    Failed { path: String, error: Errno },
}

impl OpenError {
    /// Is it only that the file is not there now?
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, OpenError::Missing(_))
    }

    /// The same of the whole path, of which `todo` is left, the next part last: a mount
    /// is missing where the file is, not at the first folder on the way.
    fn further(self, todo: &[String]) -> OpenError {
        match self {
            OpenError::Outside { path, remedy } => {
                let rest = todo.iter().rev().map(|part| format!("/{part}"));
                OpenError::Outside { path: path + &rest.collect::<String>(), remedy }
            }
            other => other,
        }
    }

    /// Is it that guard's own mounts, or the container's, lack something?
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, OpenError::Unreachable { .. } | OpenError::Outside { .. })
    }
}

impl PathSpace {
    /// The space of a container with these mounts.
    pub fn new(mounts: Vec<SpaceMount>) -> Self {
        let clean =
            |mount: SpaceMount| SpaceMount { destination: clean_path(&mount.destination), ..mount };
        PathSpace { mounts: mounts.into_iter().map(clean).collect(), process: None }
    }

    /// The same, and what is on none of the mounts that guard sees is reached by way of
    /// a process of the container.
    pub fn with_process(self, process: Option<ContainerProcess>) -> Self {
        PathSpace { process, ..self }
    }

    /// Is the path on no mount that guard sees, by its name alone?
    pub fn needs_process(&self, path: &str) -> bool {
        let mount = self.mount_over(&clean_path(path));
        mount.is_none_or(|mount| mount.here.is_none())
    }

    /// The mount that a clean path is on.
    fn mount_over(&self, path: &str) -> Option<&SpaceMount> {
        self.mounts
            .iter()
            .filter(|mount| below(path, &mount.destination).is_some())
            .max_by_key(|mount| mount.destination.len())
    }

    /// guard's own file system, or the host's where guard runs on it.
    pub fn own() -> Self {
        PathSpace::new(vec![SpaceMount {
            destination: "/".into(),
            host: "/".into(),
            here: Some("/".into()),
            remedy: None,
        }])
    }

    /// Where the container's path lies on the host, by its name alone; the path
    /// itself, with the container before it, where it is on no mount.
    pub fn host_path(&self, path: &str) -> String {
        let path = clean_path(path);
        let mount = self.mount_over(&path).filter(|mount| !mount.host.is_empty());
        match mount.and_then(|mount| Some((mount, below(&path, &mount.destination)?))) {
            Some((mount, "")) => mount.host.clone(),
            Some((mount, rest)) => format!("{}/{rest}", mount.host.trim_end_matches('/')),
            None => match &self.process {
                Some(process) => format!("{}:{path}", process.container),
                None => path,
            },
        }
    }

    /// Opens a regular file for reading.
    pub(super) fn open(&self, path: &str) -> Result<Opened, OpenError> {
        let walk = Walk::to(self, path)?;
        let Entry { place, kind, .. } = walk.last()?;
        if *kind != FileType::RegularFile {
            return Err(OpenError::NotAFile { path: walk.shown(), kind: kind_name(*kind) });
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = place.open(flags).map_err(|error| walk.failed(error))?;
        let stat = rustix::fs::fstat(&fd).map_err(|error| walk.failed(error))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(OpenError::NotAFile { path: walk.shown(), kind: kind_name(kind) });
        }
        if walk.by_process && is_kernels(&fd).map_err(|error| walk.failed(error))? {
            return Err(OpenError::NotAFile { path: walk.shown(), kind: "file of the kernel's" });
        }
        Ok(Opened { file: File::from(fd), device: stat.st_dev, inode: stat.st_ino })
    }

    /// The names in a directory, at most [`MAX_NAMES`]; of one that guard does not
    /// see, those that lead to mounts.
    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, OpenError> {
        let path = clean_path(path);
        let mut names: Vec<String> = self
            .mounts
            .iter()
            .filter_map(|mount| below(&mount.destination, &path)?.split('/').next())
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        match self.directory(&path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(fd) => {
                let failed = |error| OpenError::Failed { path: path.clone(), error };
                for entry in Dir::new(fd).map_err(failed)?.take(MAX_NAMES) {
                    let entry = entry.map_err(failed)?;
                    let name = entry.file_name().to_str();
                    names.extend(
                        name.ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned),
                    );
                }
            }
            Err(_) if !names.is_empty() => {}
            Err(error) => return Err(error),
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// A directory, opened with the flags.
    pub(super) fn directory(&self, path: &str, flags: OFlags) -> Result<OwnedFd, OpenError> {
        let walk = Walk::to(self, path)?;
        let entry = walk.last()?;
        if entry.kind != FileType::Directory {
            return Err(OpenError::Missing(walk.shown()));
        }
        entry.place.open(flags | OFlags::DIRECTORY).map_err(|error| walk.failed(error))
    }

    fn mount_at(&self, path: &str) -> Option<&SpaceMount> {
        self.mounts.iter().rfind(|mount| mount.destination == path)
    }

    fn leads_to_mount(&self, path: &str) -> bool {
        self.mounts
            .iter()
            .any(|mount| below(&mount.destination, path).is_some_and(|rest| !rest.is_empty()))
    }
}

/// A name beneath a directory that is open.
#[derive(Debug)]
struct Place {
    directory: OwnedFd,
    name: PathBuf,
}

impl Place {
    /// Opens it; no link is followed, neither at its end nor before.
    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        // The kernel says EAGAIN where a rename nearby makes it unsure.
        for _ in 0..8 {
            match rustix::fs::openat2(&self.directory, &self.name, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }
}

/// What the walk has come to: something guard sees, …
#[derive(Debug)]
struct Entry {
    name: String,
    place: Place,
    /// Opened as a mere place, neither for reading nor for writing.
    fd: OwnedFd,
    kind: FileType,
}

/// … or a directory of the container that only leads to a mount.
#[derive(Debug)]
enum Level {
    Seen(Entry),
    Unseen(String),
}

/// A path on its way.
struct Walk<'a> {
    space: &'a PathSpace,
    /// What the whole walk is for.
    path: &'a str,
    root: Option<Entry>,
    levels: Vec<Level>,
    /// The last link that was followed, and its target.
    link: Option<(String, String)>,
    /// Does `root` belong to a process of the container?
    by_process: bool,
    /// Why it can't be had.
    no_process: RootError,
}

impl<'a> Walk<'a> {
    /// Over the mounts that guard sees if that leads there; else by way of a process.
    fn to(space: &'a PathSpace, path: &'a str) -> Result<Self, OpenError> {
        let over_mounts = Walk::new(space, path);
        let Some(process) = &space.process else { return over_mounts.go() };
        if !space.needs_process(path) {
            use OpenError::{Link, Outside, Unreachable};
            match over_mounts.go() {
                Err(Outside { .. } | Unreachable { .. } | Link { .. }) => {}
                found => return found,
            }
        }
        let mut walk = Walk::new(space, path);
        match process.root() {
            Ok(fd) => {
                let directory = fd.try_clone().map_err(|_| walk.failed(Errno::MFILE))?;
                let place = Place { directory, name: PathBuf::from(".") };
                let kind = FileType::Directory;
                walk.root = Some(Entry { name: String::new(), place, fd, kind });
                walk.by_process = true;
            }
            Err(error) => walk.no_process = error,
        }
        walk.go()
    }

    fn new(space: &'a PathSpace, path: &'a str) -> Self {
        Walk {
            space,
            path,
            root: None,
            levels: Vec::new(),
            link: None,
            by_process: false,
            no_process: RootError::NotHere,
        }
    }

    fn go(self) -> Result<Self, OpenError> {
        let Walk { space, path, .. } = self;
        let mut walk = self;
        if let Some(mount) = space.mount_at("/") {
            walk.root = Some(walk.enter(mount, "/")?);
        }
        let mut todo: Vec<String> = parts(path);
        let (mut links, mut steps) = (0, 0);
        while let Some(name) = todo.pop() {
            steps += 1;
            if steps > MAX_STEPS {
                return Err(OpenError::TooManyLinks(path.to_owned()));
            }
            if name == ".." {
                walk.levels.pop();
                continue;
            }
            let step = walk.step(name).map_err(|error| error.further(&todo));
            let Some(target) = step? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(OpenError::TooManyLinks(path.to_owned()));
            }
            walk.follow(&target, &mut todo);
        }
        Ok(walk)
    }

    /// Goes to `name` in the directory reached; a link's target if it is one.
    fn step(&mut self, name: String) -> Result<Option<String>, OpenError> {
        let at = format!("{}/{name}", self.at());
        let space = self.space;
        // A process sees the mounts that guard does not.
        if let Some(mount) = space.mount_at(&at)
            && (mount.here.is_some() || !self.by_process)
        {
            let entry = self.enter(mount, &name)?;
            self.levels.push(Level::Seen(entry));
            return Ok(None);
        }
        let Some(parent) = self.seen() else {
            if !space.leads_to_mount(&at) {
                return Err(self.outside(at));
            }
            self.levels.push(Level::Unseen(name));
            return Ok(None);
        };
        let directory = parent
            .fd
            .try_clone()
            .map_err(|_| OpenError::Failed { path: at.clone(), error: Errno::MFILE })?;
        let place = Place { directory, name: PathBuf::from(&name) };
        let fd = match place.open(OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) if space.leads_to_mount(&at) => {
                self.levels.push(Level::Unseen(name));
                return Ok(None);
            }
            result => result.map_err(|error| self.failed_at(&at, error))?,
        };
        let kind = kind_of(&fd).map_err(|error| self.failed_at(&at, error))?;
        if kind != FileType::Symlink {
            self.levels.push(Level::Seen(Entry { name, place, fd, kind }));
            return Ok(None);
        }
        let target = rustix::fs::readlinkat(&fd, "", Vec::new())
            .map_err(|error| self.failed_at(&at, error))?;
        let target = target.into_string().map_err(|_| self.failed_at(&at, Errno::ILSEQ))?;
        self.link = Some((at, target.clone()));
        Ok(Some(target))
    }

    /// Goes on along a link's target.
    fn follow(&mut self, target: &str, todo: &mut Vec<String>) {
        if target.starts_with('/') {
            self.levels.clear();
        }
        todo.extend(parts(target));
    }

    /// The root of a mount, by guard's own path to it, in which no link is allowed
    /// either: a container that shares the parent could have put one there.
    fn enter(&self, mount: &SpaceMount, name: &str) -> Result<Entry, OpenError> {
        let Some(here) = &mount.here else {
            let path = self.path.to_owned();
            return Err(self.explain(OpenError::Unreachable { path, remedy: mount.remedy.clone() }));
        };
        let shown = || here.display().to_string();
        let top = rustix::fs::open(
            "/",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| OpenError::Failed { path: "/".into(), error })?;
        let relative = here.strip_prefix("/").unwrap_or(here);
        let relative = if relative == Path::new("") { Path::new(".") } else { relative };
        let place = Place { directory: top, name: relative.to_owned() };
        let fd = place.open(OFlags::PATH).map_err(|error| match error {
            Errno::LOOP => self.link_here(&shown()),
            error => self.failed_at(&shown(), error),
        })?;
        let kind = kind_of(&fd).map_err(|error| self.failed_at(&shown(), error))?;
        if kind == FileType::Symlink {
            return Err(self.link_here(&shown()));
        }
        Ok(Entry { name: name.to_owned(), place, fd, kind })
    }

    fn link_here(&self, here: &str) -> OpenError {
        OpenError::Unreachable {
            path: self.path.to_owned(),
            remedy: Some(format!(
                "there is a link in guard's own path to it, {here}: mount the real directory"
            )),
        }
    }

    /// The place reached, as the container names it; empty for its root.
    fn at(&self) -> String {
        let name = |level: &Level| match level {
            Level::Seen(entry) => format!("/{}", entry.name),
            Level::Unseen(name) => format!("/{name}"),
        };
        self.levels.iter().map(name).collect()
    }

    fn seen(&self) -> Option<&Entry> {
        match self.levels.last() {
            Some(Level::Seen(entry)) => Some(entry),
            Some(Level::Unseen(_)) => None,
            None => self.root.as_ref(),
        }
    }

    fn last(&self) -> Result<&Entry, OpenError> {
        self.seen().ok_or_else(|| self.outside(self.shown()))
    }

    fn outside(&self, path: String) -> OpenError {
        self.explain(OpenError::Outside { path, remedy: self.no_process.clone() })
    }

    fn shown(&self) -> String {
        self.path.to_owned()
    }

    fn failed(&self, error: Errno) -> OpenError {
        self.failed_at(self.path, error)
    }

    fn failed_at(&self, path: &str, error: Errno) -> OpenError {
        let path = path.to_owned();
        match error {
            Errno::NOENT | Errno::NOTDIR => OpenError::Missing(path),
            Errno::ACCESS => OpenError::Denied(path),
            // seccomp profiles from before openat2 answer EPERM.
            Errno::NOSYS | Errno::PERM => OpenError::NoOpenat2(path),
            Errno::LOOP => OpenError::Failed { path, error: Errno::AGAIN },
            error => OpenError::Failed { path, error },
        }
    }

    /// Names the link to blame, if one led here.
    fn explain(&self, error: OpenError) -> OpenError {
        let Some((link, target)) = self.link.clone() else { return error };
        let output = ["/dev/stdout", "/dev/stderr", "/proc/self/fd/"];
        let reason = if output.iter().any(|out| target.starts_with(out)) {
            "the log goes to the container's output, so leave out guard.logpath".into()
        } else {
            error.to_string()
        };
        OpenError::Link { link, target, reason }
    }
}

fn kind_of(fd: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// Is the file one that the kernel makes up (`/proc`, `/sys`)?
fn is_kernels(fd: &OwnedFd) -> Result<bool, Errno> {
    const MADE_UP: [u64; 7] = [
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x0027_e0eb, // cgroup
        0x6367_7270, // cgroup2
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0x7363_6673, // securityfs
    ];
    let kind = rustix::fs::fstatfs(fd)?.f_type;
    Ok(MADE_UP.contains(&(kind as u64)))
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "directory",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}

/// A path's components, the first last.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

/// What of a clean path lies below another, without a leading slash.
fn below<'a>(path: &'a str, top: &str) -> Option<&'a str> {
    if top == "/" {
        return Some(path.trim_start_matches('/'));
    }
    let rest = path.strip_prefix(top)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// The directory of a path.
pub(super) fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
