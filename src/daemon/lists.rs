//! Lists of addresses in files (`file:/etc/guard/ignore.txt`), read again when they
//! change.
//!
//! They lie in guard's own file system, and only guard's operator can name them. A file
//! that can't be read any more leaves what it held: an allow-list that is lost for a
//! moment must not let its owner be banned.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::labels;
use crate::model::IgnoreEntry;

/// A file is looked at again so often.
const LOOK: Duration = Duration::from_secs(5);
/// A list may be so long, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;
/// So many wrong lines are told of one file.
const MOST_WRONG: usize = 5;

/// What all lists hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    /// By path, of those that could be read once.
    pub(crate) entries: BTreeMap<String, Vec<IgnoreEntry>>,
    /// What is wrong, a sentence each, by path.
    pub(crate) troubles: BTreeMap<String, Vec<String>>,
}

/// What tells one state of a file from another.
type Stamp = (u64, u64, i64, i64, u64);

/// Reads the lists in `wanted` and tells what they hold: at first, and whenever that
/// changes.
pub(crate) async fn watch(
    mut wanted: watch::Receiver<BTreeSet<String>>,
    found: mpsc::Sender<Lists>,
    cancel: CancellationToken,
) {
    let (mut lists, mut stamps) = (Lists::default(), BTreeMap::new());
    let mut told = None;
    loop {
        let paths = wanted.borrow_and_update().clone();
        // Its own thread: a file may lie on a network that is gone.
        let read = tokio::task::spawn_blocking(move || {
            read_all(&paths, &mut lists, &mut stamps);
            (lists, stamps)
        });
        let Some(Ok(read)) = cancel.run_until_cancelled(read).await else { return };
        (lists, stamps) = read;
        if told.as_ref() != Some(&lists) {
            tell_troubles(&lists, told.as_ref());
            told = Some(lists.clone());
            if found.send(lists.clone()).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

fn tell_troubles(lists: &Lists, before: Option<&Lists>) {
    for (path, troubles) in &lists.troubles {
        if before.and_then(|before| before.troubles.get(path)) != Some(troubles) {
            for trouble in troubles {
                tracing::warn!("{trouble}");
            }
        }
    }
}

fn read_all(paths: &BTreeSet<String>, lists: &mut Lists, stamps: &mut BTreeMap<String, Stamp>) {
    lists.entries.retain(|path, _| paths.contains(path));
    lists.troubles.retain(|path, _| paths.contains(path));
    stamps.retain(|path, _| paths.contains(path));
    for path in paths {
        match read(path, stamps.get(path)) {
            Ok(None) => {}
            Ok(Some((stamp, text))) => {
                let (entries, wrong) = labels::parse_ignore_list(&text);
                stamps.insert(path.clone(), stamp);
                lists.entries.insert(path.clone(), entries);
                lists.troubles.remove(path);
                if !wrong.is_empty() {
                    lists.troubles.insert(path.clone(), wrong_lines(path, &wrong));
                }
            }
            Err(why) => {
                stamps.remove(path);
                let known = lists.entries.contains_key(path);
                let still = if known { "; what it held before still counts" } else { "" };
                let trouble = format!("the list {path} can't be read: {why}{still}");
                lists.troubles.insert(path.clone(), vec![trouble]);
            }
        }
    }
}

fn wrong_lines(path: &str, wrong: &[(usize, String)]) -> Vec<String> {
    let mut told: Vec<String> = wrong
        .iter()
        .take(MOST_WRONG)
        .map(|(line, what)| format!("{path}:{line}: {what}; the line does not count"))
        .collect();
    if let more @ 1.. = wrong.len().saturating_sub(MOST_WRONG) {
        told.push(format!("{path}: {more} more lines are wrong"));
    }
    told
}

/// The text of a file; `None`: it is as it was.
fn read(path: &str, known: Option<&Stamp>) -> Result<Option<(Stamp, String)>, String> {
    // A pipe must not make the reader wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| error.to_string())?;
    let file = std::fs::File::from(file);
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let stamp = (about.dev(), about.ino(), about.mtime(), about.mtime_nsec(), about.size());
    if known == Some(&stamp) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    Ok(Some((stamp, String::from_utf8_lossy(&bytes).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_when_it_changes_and_kept_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list").display().to_string();
        let paths = BTreeSet::from([path.clone()]);
        let (mut lists, mut stamps) = (Lists::default(), BTreeMap::new());
        let mut look = |lists: &mut Lists| read_all(&paths, lists, &mut stamps);
        look(&mut lists);
        assert!(lists.entries.is_empty() && lists.troubles[&path][0].contains("can't be read"));

        std::fs::write(&path, "192.0.2.1\nnonsense!\n").unwrap();
        look(&mut lists);
        assert_eq!(lists.entries[&path].len(), 1);
        let told = &lists.troubles[&path];
        assert!(told[0].starts_with(&format!("{path}:2: ")), "{told:?}");
        let before = lists.clone();
        look(&mut lists);
        assert_eq!(lists, before);

        std::fs::write(&path, "192.0.2.1\n192.0.2.2\n").unwrap();
        look(&mut lists);
        assert_eq!((lists.entries[&path].len(), lists.troubles.len()), (2, 0));
        std::fs::remove_file(&path).unwrap();
        look(&mut lists);
        assert_eq!(lists.entries[&path].len(), 2);
        assert!(lists.troubles[&path][0].contains("still counts"), "{lists:?}");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        assert!(read(&path(""), None).unwrap_err().contains("regular"));
        assert!(read("/dev/zero", None).unwrap_err().contains("regular"));
        std::fs::write(path("long"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(read(&path("long"), None).unwrap_err().contains("longer"));
    }
}
