//! Numbered lines in a file, and every way in which files are rotated.
//!
//! A thread of the test writes into the volume of a container: so it can be held
//! while the file is rotated, and the method itself loses nothing.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::ledger::address;
use crate::support::run;

/// How many rotated files are kept.
const KEPT: u32 = 7;
/// So many lines still go to a file that was renamed before its writer notices.
const LATE: u32 = 5;

/// So many lines make a burst.
const BURST: u64 = 1000;

/// How a file is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Renamed; its writer goes on with it for some lines, and then makes a new one.
    Rename,
    /// Copied and emptied.
    Copy,
    /// Emptied.
    Truncate,
    /// Deleted and made anew.
    Delete,
    /// A link that is switched to a new file.
    Link,
    /// Renamed; the one renamed before is compressed.
    Compress,
    /// A new file with another name, which the jail's pattern matches.
    Dated,
}

impl Method {
    pub(crate) const ALL: [Method; 7] = [
        Method::Rename,
        Method::Copy,
        Method::Truncate,
        Method::Delete,
        Method::Link,
        Method::Compress,
        Method::Dated,
    ];

    /// Its name.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Its jail.
    pub(crate) fn jail(self) -> String {
        format!("file-{}", self.name())
    }

    /// Its file, or the pattern of its files, in this folder.
    pub(crate) fn pattern(self, folder: &str) -> String {
        let days = if self == Method::Dated { "-*" } else { "" };
        format!("{folder}/{}{days}.log", self.name())
    }
}

/// A file that is written.
pub(crate) struct FileWriter {
    pub(crate) method: Method,
    page: Arc<Mutex<Page>>,
    over: Arc<AtomicBool>,
}

/// The file as its writer has it.
struct Page {
    method: Method,
    folder: PathBuf,
    file: File,
    /// The next line's number.
    next: u64,
    rotations: u32,
    /// So many lines until a new file is made.
    late: Option<u32>,
}

impl FileWriter {
    /// Writes into `folder`, a line each `pause`.
    pub(crate) fn start(method: Method, folder: &Path, pause: Duration) -> FileWriter {
        let mut page = Page {
            method,
            folder: folder.to_owned(),
            file: append(&folder.join("first")),
            next: 0,
            rotations: 0,
            late: None,
        };
        let _ = fs::remove_file(folder.join("first"));
        page.open();
        let page = Arc::new(Mutex::new(page));
        let over = Arc::new(AtomicBool::new(false));
        let (writing, ending) = (Arc::clone(&page), Arc::clone(&over));
        std::thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                let pause = writing.lock().expect("no holder panics").write(pause);
                std::thread::sleep(pause);
            }
        });
        FileWriter { method, page, over }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().expect("no holder panics")
    }

    /// The number of the next line: so many were written.
    pub(crate) fn next(&self) -> u64 {
        self.page().next
    }

    /// Writes many lines at once.
    pub(crate) fn burst(&self) {
        let mut page = self.page();
        for _ in 0..BURST {
            page.write(Duration::ZERO);
        }
    }

    /// Rotates it. `is_level` waits until the lines before a number were judged, for
    /// methods that would take unread ones away.
    pub(crate) fn rotate(&self, is_level: impl Fn(u64)) {
        if self.method == Method::Delete {
            // guard must have opened the file, but need not have read all of it.
            is_level(self.next());
        }
        let mut page = self.page();
        match self.method {
            Method::Truncate => is_level(page.next),
            Method::Compress if page.rotations > 0 => is_level(page.next),
            _ => {}
        }
        page.rotate();
        let next = page.next;
        drop(page);
        if self.method == Method::Delete {
            is_level(next);
        }
    }

    /// Ends it; so many lines were written.
    pub(crate) fn end(&self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.next()
    }
}

impl Page {
    /// Writes the next line, some in two pieces, some without a pause after them.
    fn write(&mut self, pause: Duration) -> Duration {
        let number = self.next;
        let now = jiff::Timestamp::now();
        let line = format!("{now:.3} soak {number} from {}\n", address(number));
        let (head, rest) = line.split_at(if number % 10 == 3 { 30 } else { 0 });
        self.file.write_all(head.as_bytes()).expect("a disk with room");
        if !head.is_empty() {
            std::thread::sleep(pause / 2);
        }
        self.file.write_all(rest.as_bytes()).expect("a disk with room");
        self.next += 1;
        self.late = self.late.map(|left| left - 1);
        if self.late == Some(0) {
            self.late = None;
            self.open();
        }
        if number % 200 < 40 { Duration::ZERO } else { pause }
    }

    fn path(&self) -> PathBuf {
        let name = self.method.name();
        self.folder.join(match self.method {
            Method::Dated => format!("{name}-{:04}.log", self.rotations),
            _ => format!("{name}.log"),
        })
    }

    fn open(&mut self) {
        if self.method == Method::Link {
            let target = format!("link-{:04}", self.rotations);
            self.file = append(&self.folder.join(&target));
            let new = self.folder.join("link-new");
            symlink(target, &new).expect("a new link");
            fs::rename(new, self.path()).expect("the same folder");
        } else {
            self.file = append(&self.path());
        }
    }

    fn rotate(&mut self) {
        if self.late.take().is_some() {
            self.open();
        }
        self.rotations += 1;
        match self.method {
            Method::Rename => {
                self.shift();
                fs::rename(self.path(), self.old(1)).expect("the same folder");
                self.late = Some(LATE);
            }
            Method::Copy => {
                self.shift();
                fs::copy(self.path(), self.old(1)).expect("a disk with room");
                self.file.set_len(0).expect("it is ours");
            }
            Method::Truncate => self.file.set_len(0).expect("it is ours"),
            Method::Delete => {
                fs::remove_file(self.path()).expect("it is there");
                self.open();
            }
            Method::Compress => {
                self.shift();
                let former = self.old(2);
                if former.exists() {
                    run(Command::new("gzip").arg(former));
                }
                fs::rename(self.path(), self.old(1)).expect("the same folder");
                self.open();
            }
            Method::Link | Method::Dated => self.open(),
        }
    }

    /// `x.log.1` becomes `x.log.2` and so on, as logrotate does it.
    fn shift(&self) {
        for number in (1..=KEPT).rev() {
            for ending in ["", ".gz"] {
                let path = |number: u32| {
                    let old = self.old(number);
                    old.with_file_name(format!("{}{ending}", name(&old)))
                };
                if number == KEPT {
                    let _ = fs::remove_file(path(number));
                } else {
                    let _ = fs::rename(path(number), path(number + 1));
                }
            }
        }
    }

    fn old(&self, number: u32) -> PathBuf {
        let path = self.path();
        path.with_file_name(format!("{}.{number}", name(&path)))
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn append(path: &Path) -> File {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
