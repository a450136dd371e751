//! inotify as a hint that something moved, for those who read files that grow.
//!
//! Events wake, they never tell: they do not come from network file systems, nor
//! for a link's far directory, and they can be lost. The tick is the rule; without
//! inotify everything works, only a little later.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Most directories that are watched for one jail.
const MAX_WATCHES: usize = 256;

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Files have new content.
    Content,
    /// Names appeared, vanished or changed.
    Names,
}

/// Watches directories.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// `None` until it is needed, and where the kernel grants none.
    inotify: Option<AsyncFd<OwnedFd>>,
    refused: bool,
    watched: HashMap<String, i32>,
}

impl Wake {
    /// Watches the directory of this name too, if it can be opened and watched.
    pub(crate) fn watch(&mut self, folder: &str, open: impl FnOnce() -> Option<OwnedFd>) {
        if self.watched.contains_key(folder) || self.watched.len() >= MAX_WATCHES {
            return;
        }
        let Some(inotify) = self.inotify() else { return };
        let Some(directory) = open() else { return };
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ONLYDIR;
        if let Ok(number) = inotify::add_watch(inotify, path, flags) {
            self.watched.insert(folder.to_owned(), number);
        }
    }

    /// Waits until something moved; for ever where nothing can be watched.
    pub(crate) async fn moved(&mut self) -> Moved {
        loop {
            let Some(inotify) = &self.inotify else { return std::future::pending().await };
            let Ok(mut ready) = inotify.readable().await else {
                self.inotify = None;
                continue;
            };
            let (moved, gone) = drain(inotify.get_ref());
            ready.clear_ready();
            self.watched.retain(|_, number| !gone.contains(number));
            if let Some(moved) = moved {
                return moved;
            }
        }
    }

    fn inotify(&mut self) -> Option<&OwnedFd> {
        if self.inotify.is_none() && !self.refused {
            let made = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
            self.inotify = made.ok().and_then(asynchronous);
            self.refused = self.inotify.is_none();
        }
        self.inotify.as_ref().map(AsyncFd::get_ref)
    }
}

// Deprecated because a type may lie about its descriptor; `OwnedFd` can't, and
// the constructor that replaces this one is `unsafe`, which guard forbids itself.
#[allow(deprecated)]
fn asynchronous(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

/// Takes all events: what they hint at, and which watches have ended.
fn drain(fd: &OwnedFd) -> (Option<Moved>, Vec<i32>) {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut reader = Reader::new(fd, &mut buffer);
    let (mut moved, mut gone) = (None, Vec::new());
    while let Ok(event) = reader.next() {
        if event.events().contains(ReadFlags::IGNORED) {
            gone.push(event.wd());
        }
        let content = event.events() == ReadFlags::MODIFY;
        if !content {
            moved = Some(Moved::Names);
        }
        moved.get_or_insert(Moved::Content);
    }
    (moved, gone)
}
