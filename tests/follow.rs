//! Log files under random writes, rotations, truncations and restarts of the
//! reader, against a model: every line once, none lost, none invented.
// Clippy knows only `#[test]` functions as tests, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guard::files::{FileBatch, FileReader, FileStatus, Pace, PathSpace, SpaceMount};
use guard::model::{MAX_LINE, Mark, Position, Progress, SourceId};
use proptest::prelude::*;

/// How long to wait for what must come.
const DEADLINE: Duration = Duration::from_secs(10);

/// So long nothing comes where nothing must come: a failure that comes later than
/// this is missed, never a success.
const QUIET: Duration = Duration::from_millis(60);

const PACE: Pace = Pace {
    busy: Duration::from_millis(4),
    idle: Duration::from_millis(8),
    handover: Duration::from_millis(15),
    rotate_wait: Duration::from_millis(30),
};

/// A container with a volume at `/logs`, and what was read of it.
struct World {
    dir: tempfile::TempDir,
    patterns: Vec<String>,
    reader: FileReader,
    places: HashMap<SourceId, Position>,
    read: Vec<String>,
}

impl World {
    fn new(pattern: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let patterns = vec![pattern.to_owned()];
        let reader = reader(dir.path(), &patterns, HashMap::new());
        World { dir, patterns, reader, places: HashMap::new(), read: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// guard dies and is started again: only the places of the lines survive.
    fn restart(&mut self) {
        let known = self.places.iter().map(|(source, place)| {
            let progress = Progress { resume: place.clone(), judged: place.clone() };
            (source.clone(), progress)
        });
        self.reader = reader(self.dir.path(), &self.patterns, known.collect());
    }

    fn take(&mut self, batch: &FileBatch) {
        assert!(batch.lines.len() <= 256);
        let place = self.places.entry(batch.source.clone()).or_insert(Position::File(None));
        for line in &batch.lines {
            place.advance(&line.mark);
            self.read.push(line.text.clone());
        }
        if batch.lines.is_empty() && !batch.gone {
            *place = Position::File(batch.place);
        }
    }

    /// Reads until so many lines have come in all, and then that no more come.
    /// The wait is broken off all the time: nothing may get lost by that.
    async fn drain(&mut self, count: usize) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let mut quiet_since = tokio::time::Instant::now();
        loop {
            match tokio::time::timeout(Duration::from_millis(3), self.reader.next()).await {
                Ok(batch) => {
                    self.take(&batch);
                    quiet_since = tokio::time::Instant::now();
                }
                Err(_) if self.read.len() >= count && quiet_since.elapsed() > QUIET => return,
                Err(_) => {}
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{} of {count} lines: {:?}",
                self.read.len(),
                self.reader.states()
            );
        }
    }

    async fn batch(&mut self) -> FileBatch {
        let batch = tokio::time::timeout(DEADLINE, self.reader.next()).await.unwrap();
        self.take(&batch);
        batch
    }
}

fn reader(dir: &Path, patterns: &[String], known: HashMap<SourceId, Progress>) -> FileReader {
    let mount = SpaceMount {
        destination: "/logs".into(),
        host: "/srv/logs".into(),
        here: Some(dir.to_owned()),
        remedy: None,
    };
    FileReader::new(PathSpace::new(vec![mount]), patterns.to_vec(), known).with_pace(PACE)
}

fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(test);
}

/// What happens to the file between two looks of guard.
#[derive(Clone, Debug)]
enum Upset {
    Nothing,
    /// Renamed and created anew; the writer notices late.
    Rename,
    /// Copied and emptied.
    CopyTruncate,
    /// Emptied without a copy, after all was read.
    Truncate,
    /// Deleted and created anew, after all was read; the writer notices late.
    Delete,
    /// Only deleted, and created at the next write.
    Vanish,
}

#[derive(Clone, Debug)]
struct Step {
    /// Lines that guard sees in the file before it is upset: without any, a guard
    /// that is restarted later has nothing to recognise the file by.
    before: Vec<usize>,
    restart_before: bool,
    /// Lines that it does not see, if the upset leaves them somewhere.
    unread: Vec<usize>,
    /// Is there a line without its end then?
    partial: bool,
    upset: Upset,
    after: Vec<usize>,
    restart_after: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let upset = prop_oneof![
        2 => Just(Upset::Nothing),
        3 => Just(Upset::Rename),
        3 => Just(Upset::CopyTruncate),
        1 => Just(Upset::Truncate),
        1 => Just(Upset::Delete),
        1 => Just(Upset::Vanish),
    ];
    let lines =
        |least| prop::collection::vec(prop_oneof![9 => 0usize..80, 1 => 500usize..5000], least..6);
    let step = ((lines(1), lines(0), lines(0)), any::<bool>(), upset, any::<bool>(), any::<bool>())
        .prop_map(|((before, unread, after), partial, upset, restart_before, restart_after)| {
            Step { before, unread, partial, upset, after, restart_before, restart_after }
        });
    prop::collection::vec(step, 1..6)
}

/// What was written, each line with its number.
struct Writer {
    expected: Vec<String>,
    number: usize,
    partial: String,
}

impl Writer {
    fn line(&mut self, length: usize) -> String {
        self.number += 1;
        let text = format!("{:06}{}", self.number, "x".repeat(length));
        self.expected.push(std::mem::take(&mut self.partial) + &text);
        text + "\n"
    }

    fn lines(&mut self, lengths: &[usize]) -> String {
        lengths.iter().map(|length| self.line(*length)).collect()
    }

    /// A line's beginning; what is written to the same file next is its rest.
    fn begin(&mut self) -> String {
        self.number += 1;
        let text = format!("{:06}begun ", self.number);
        self.partial += &text;
        text
    }

    /// The file ends here: what has no newline is a line.
    fn close(&mut self) {
        if !self.partial.is_empty() {
            self.expected.push(std::mem::take(&mut self.partial));
        }
    }
}

async fn play(steps: Vec<Step>) {
    let mut world = World::new("/logs/app.log");
    let mut writer = Writer { expected: Vec::new(), number: 0, partial: String::new() };
    for (turn, step) in steps.into_iter().enumerate() {
        let text = writer.lines(&step.before);
        world.append("app.log", &text);
        if step.restart_before {
            world.restart();
        }
        world.drain(writer.expected.len()).await;
        let kept = matches!(step.upset, Upset::Nothing | Upset::Rename | Upset::CopyTruncate);
        if kept {
            let text = writer.lines(&step.unread);
            world.append("app.log", &text);
        }
        if step.partial {
            let text = writer.begin();
            world.append("app.log", &text);
        }
        if !kept {
            world.drain(writer.expected.len()).await;
        }
        let old = OpenOptions::new().append(true).open(world.path("app.log"));
        let renamed = world.path(&format!("app.log.{turn}"));
        match step.upset {
            Upset::Nothing => {}
            Upset::Rename => {
                std::fs::rename(world.path("app.log"), &renamed).unwrap();
                File::create(world.path("app.log")).unwrap();
                let late = writer.lines(&[10, 20]);
                old.unwrap().write_all(late.as_bytes()).unwrap();
                writer.close();
            }
            Upset::CopyTruncate => {
                std::fs::copy(world.path("app.log"), &renamed).unwrap();
                File::options().write(true).truncate(true).open(world.path("app.log")).unwrap();
                writer.close();
            }
            Upset::Truncate => {
                File::options().write(true).truncate(true).open(world.path("app.log")).unwrap();
                writer.close();
            }
            Upset::Delete => {
                std::fs::remove_file(world.path("app.log")).unwrap();
                File::create(world.path("app.log")).unwrap();
                if !step.restart_after {
                    let late = writer.lines(&[10]);
                    old.unwrap().write_all(late.as_bytes()).unwrap();
                }
                writer.close();
            }
            Upset::Vanish => {
                std::fs::remove_file(world.path("app.log")).unwrap();
                writer.close();
            }
        }
        // A guard that is dead by then can't have seen a line without an end in a file
        // that is no more, nor tell a short copy from any other file.
        let recoverable = match step.upset {
            Upset::Nothing | Upset::Rename => true,
            Upset::Truncate | Upset::Delete | Upset::Vanish => !step.partial,
            Upset::CopyTruncate => false,
        };
        if step.restart_after && recoverable {
            world.restart();
        }
        let text = writer.lines(&step.after);
        world.append("app.log", &text);
        world.drain(writer.expected.len()).await;
    }
    let mut read = world.read.clone();
    read.sort();
    let mut expected = writer.expected.clone();
    expected.sort();
    assert_eq!(read, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_once(steps in steps()) {
        run(play(steps));
    }
}

#[test]
fn a_link_that_is_switched_is_followed() {
    run(async {
        let mut world = World::new("/logs/current.log");
        world.append("1.log", "a\nb\n");
        symlink("1.log", world.path("current.log")).unwrap();
        world.drain(2).await;
        world.append("1.log", "c\n");
        world.append("2.log", "d\n");
        symlink("2.log", world.path("next")).unwrap();
        std::fs::rename(world.path("next"), world.path("current.log")).unwrap();
        world.append("1.log", "late\n");
        world.drain(5).await;
        assert_eq!(world.read, ["a", "b", "c", "late", "d"]);
        world.restart();
        world.append("2.log", "e\n");
        world.drain(6).await;
        assert_eq!(world.read.last().map(String::as_str), Some("e"));
    });
}

#[test]
fn a_rename_while_guard_was_down_is_read_to_its_end_first() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append("app.log", "one\ntwo\n");
        world.drain(2).await;
        world.append("app.log", "three\n");
        std::fs::rename(world.path("app.log"), world.path("app.log.1")).unwrap();
        world.append("app.log", "four\n");
        world.restart();
        world.drain(4).await;
        assert_eq!(world.read, ["one", "two", "three", "four"]);
    });
}

#[test]
fn a_copytruncate_while_guard_was_down_is_found_in_the_copy() {
    run(async {
        let mut world = World::new("/logs/app.log");
        let banner = format!("{}\n", "b".repeat(300));
        world.append("app.log", &banner);
        world.drain(1).await;
        world.append("app.log", "unread\n");
        std::fs::copy(world.path("app.log"), world.path("app.log.1")).unwrap();
        std::fs::write(world.path("app.log"), "new\n").unwrap();
        world.restart();
        world.drain(3).await;
        assert_eq!(world.read[1..], ["unread", "new"]);
    });
}

#[test]
fn a_file_that_was_filled_again_to_the_same_length_is_read_again() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append("app.log", "12:00:01 failed\n");
        world.drain(1).await;
        std::fs::write(world.path("app.log"), "12:00:02 failed\n").unwrap();
        world.drain(2).await;
        assert_eq!(world.read, ["12:00:01 failed", "12:00:02 failed"]);
    });
}

#[test]
fn a_file_that_was_emptied_and_filled_again_is_read_from_its_beginning() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append("app.log", "old 1\nold 2\n");
        world.drain(2).await;
        std::fs::write(world.path("app.log"), "new 1 is longer\nnew 2 is longer\n").unwrap();
        world.drain(4).await;
        world.restart();
        std::fs::write(world.path("app.log"), "newest 1 is longer still\nnewest 2 is too\n")
            .unwrap();
        world.drain(6).await;
        assert_eq!(world.read[4..], ["newest 1 is longer still", "newest 2 is too"]);
    });
}

#[test]
fn patterns_find_files_that_come_and_go() {
    run(async {
        let mut world = World::new("/logs/*.log");
        assert!(world.reader.states().iter().any(|state| state.status == FileStatus::Waiting));
        world.append("a.log", "a1\n");
        world.append("ignored.txt", "x\n");
        std::fs::create_dir(world.path("dir.log")).unwrap();
        world.drain(1).await;
        world.append("b.log", "b1\n");
        world.append("a.log", "a2\n");
        world.drain(3).await;
        let shown: Vec<String> =
            world.reader.states().into_iter().map(|state| state.shown).collect();
        assert_eq!(shown, ["/logs/a.log", "/logs/b.log"]);
        // Renamed to another name that matches: it is the same file.
        std::fs::rename(world.path("a.log"), world.path("a-1.log")).unwrap();
        world.append("a-1.log", "a3\n");
        world.append("a.log", "a4\n");
        world.drain(5).await;
        std::fs::remove_file(world.path("b.log")).unwrap();
        loop {
            let batch = world.batch().await;
            if batch.gone {
                assert_eq!(batch.source, SourceId::File("/srv/logs/b.log".into()));
                break;
            }
        }
        world.restart();
        world.append("a-1.log", "a5\n");
        world.drain(6).await;
        let mut read = world.read.clone();
        read.sort();
        assert_eq!(read, ["a1", "a2", "a3", "a4", "a5", "b1"]);
    });
}

#[test]
fn a_file_with_two_names_is_read_once() {
    run(async {
        let mut world = World::new("/logs/*.log");
        world.append("1.log", "a\n");
        symlink("1.log", world.path("current.log")).unwrap();
        std::fs::hard_link(world.path("1.log"), world.path("also.log")).unwrap();
        world.drain(1).await;
        world.append("1.log", "b\n");
        world.drain(2).await;
        assert_eq!(world.read, ["a", "b"]);
    });
}

#[test]
fn files_take_turns() {
    run(async {
        let mut world = World::new("/logs/*.log");
        world.append("big.log", &"x\n".repeat(100_000));
        world.append("small.log", "hello\n");
        let first: Vec<SourceId> = [world.batch().await.source, world.batch().await.source].into();
        assert_ne!(first[0], first[1]);
    });
}

#[test]
fn live_begins_at_the_end_of_the_file() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append("app.log", "old\n");
        assert!(!world.batch().await.live);
        world.drain(1).await;
        world.append("app.log", "new\n");
        assert!(world.batch().await.live);
    });
}

#[test]
fn hostile_lines_are_bounded_and_readable() {
    run(async {
        let mut world = World::new("/logs/app.log");
        let mut file = File::create(world.path("app.log")).unwrap();
        file.write_all(b"crlf\r\n\xff\xfe\nnul\0inside\n").unwrap();
        file.write_all(&vec![b'y'; 3 * MAX_LINE]).unwrap();
        file.write_all(b"\nafter\n").unwrap();
        world.drain(5).await;
        assert_eq!(world.read[..3], ["crlf", "\u{fffd}\u{fffd}", "nul\0inside"]);
        assert_eq!(world.read[3].len(), MAX_LINE);
        assert_eq!(world.read[4], "after");
    });
}

#[test]
fn a_mark_is_the_end_of_its_line() {
    run(async {
        let mut world = World::new("/logs/app.log");
        world.append("app.log", "one\ntwo\nopen");
        let batch = world.batch().await;
        let offsets: Vec<u64> = batch
            .lines
            .iter()
            .map(|line| match line.mark {
                Mark::File(mark) => mark.offset,
                Mark::Output(..) | Mark::Journal(_) => panic!("a file's line"),
            })
            .collect();
        assert_eq!(offsets, [4, 8]);
        assert_eq!(batch.source, SourceId::File("/srv/logs/app.log".into()));
    });
}

#[test]
fn what_cannot_be_read_says_why_and_is_tried_again() {
    run(async {
        let mut world = World::new("/logs/app.log");
        std::fs::create_dir(world.path("app.log")).unwrap();
        world.drain(0).await;
        let status = world.reader.states().remove(0).status;
        assert!(
            matches!(&status, FileStatus::Refused(why) if why.contains("directory")),
            "{status:?}"
        );
        std::fs::remove_dir(world.path("app.log")).unwrap();
        world.append("app.log", "now\n");
        world.drain(1).await;
        let mount = SpaceMount {
            destination: "/data".into(),
            host: "/srv/data".into(),
            here: None,
            remedy: Some("add to guard's volumes: `- /srv/data:/host/srv/data:ro`".into()),
        };
        let space = PathSpace::new(vec![mount]);
        for pattern in ["/data/app.log", "/data/*.log"] {
            let mut reader = FileReader::new(space.clone(), vec![pattern.into()], HashMap::new());
            let _ = tokio::time::timeout(Duration::from_millis(20), reader.next()).await;
            let status = reader.states().remove(0).status;
            assert!(
                matches!(&status, FileStatus::Unreachable(what) if what.contains("- /srv/data:/host/srv/data:ro")),
                "{status:?}"
            );
        }
    });
}
