//! A container's whole file system, by way of one of its processes.
//!
//! `/proc/PID/root` leads to it, if guard sees the host's processes (`pid: host`) and
//! may look into others' (`SYS_PTRACE`). A process ends, and its number goes to
//! another; so the directory `/proc/PID` is opened once, which stays that process's
//! own, and only if the kernel says that it belongs to the container is its root taken.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Most bytes of what the kernel says about a process.
const MOST_TOLD: u64 = 1024 * 1024;

/// Which process of which container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerProcess {
    /// Its number in the namespace of the engine.
    pub pid: u32,
    /// The container's full id.
    pub container: String,
}

/// Why a container's file system can't be had in this way. Each says what to add to
/// guard's service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RootError {
    /// No process of the container's has this number here.
    #[error("add `pid: host` and `cap_add: [SYS_PTRACE]` to guard's service")]
    NotHere,
    #[error("add `cap_add: [SYS_PTRACE]` to guard's service")]
    Denied,
    #[error("the files of the container's process can't be opened: {0}")]
    Failed(Errno),
}

impl ContainerProcess {
    /// The root of its file system, as a mere place.
    pub(super) fn root(&self) -> Result<OwnedFd, RootError> {
        let place = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = format!("/proc/{}", self.pid);
        let process = rustix::fs::open(folder, place | OFlags::NOFOLLOW, Mode::empty())?;
        // The second needs more rights than the first, which does not always tell.
        if !self.is_in(&process, "cgroup")? && !self.is_in(&process, "mountinfo")? {
            return Err(RootError::NotHere);
        }
        Ok(rustix::fs::openat(&process, "root", place, Mode::empty())?)
    }

    /// Does this file of the process's name the container?
    fn is_in(&self, process: &OwnedFd, file: &str) -> Result<bool, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(process, file, flags, Mode::empty())?;
        let mut told = Vec::new();
        let read = File::from(file).take(MOST_TOLD).read_to_end(&mut told);
        read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let id = self.container.as_bytes();
        Ok(!id.is_empty() && memchr::memmem::find(&told, id).is_some())
    }
}

impl From<Errno> for RootError {
    fn from(error: Errno) -> RootError {
        match error {
            Errno::NOENT | Errno::SRCH => RootError::NotHere,
            Errno::ACCESS | Errno::PERM => RootError::Denied,
            error => RootError::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_own_process_is_taken() {
        let pid = std::process::id();
        let of = |container: &str| ContainerProcess { pid, container: container.into() }.root();
        assert_eq!(of(&"0".repeat(64)).unwrap_err(), RootError::NotHere);
        assert_eq!(of("").unwrap_err(), RootError::NotHere);
        let nobody = ContainerProcess { pid: u32::MAX, container: "/".into() };
        assert_eq!(nobody.root().unwrap_err(), RootError::NotHere);
        // Every control group has a slash in it.
        assert!(of("/").is_ok());
    }
}
