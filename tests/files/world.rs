//! A volume of a container, and a reader of it that is started anew now and then.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use guard::files::{FileBatch, FileReader, FileState, Pace, PathSpace, Since, SpaceMount};
use guard::model::{FileMark, LogEncoding, Mark, Position, Progress, SourceId, Timestamp};

/// How long to wait for what must come.
const DEADLINE: Duration = Duration::from_secs(10);

/// So long nothing comes where nothing must come: a failure that comes later than
/// this is missed, never a success.
const QUIET: Duration = Duration::from_millis(60);

pub(crate) const PACE: Pace = Pace {
    busy: Duration::from_millis(4),
    idle: Duration::from_millis(8),
    handover: Duration::from_millis(15),
    rotate_wait: Duration::from_millis(30),
};

/// The volume, seen at `/logs`, and what was read of it.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pattern: String,
    encoding: LogEncoding,
    /// How far back a first start reads; `None`: all there is.
    pub(crate) find_time: Option<Duration>,
    /// How many lines of what was read are wanted again by the next reader.
    pub(crate) wanted: usize,
    reader: Option<FileReader>,
    places: HashMap<SourceId, Reached>,
    /// How many lines were given again.
    pub(crate) again: usize,
    pub(crate) read: Vec<String>,
}

impl World {
    /// With a reader that runs.
    pub(crate) fn new(pattern: &str) -> World {
        let mut world = World::unread(pattern);
        world.start();
        world
    }

    /// Without a reader yet.
    pub(crate) fn unread(pattern: &str) -> World {
        World {
            dir: tempfile::tempdir().unwrap(),
            pattern: pattern.to_owned(),
            encoding: LogEncoding::Auto,
            find_time: None,
            wanted: 0,
            reader: None,
            places: HashMap::new(),
            again: 0,
            read: Vec::new(),
        }
    }

    pub(crate) fn encoded(mut self, name: &str) -> World {
        self.encoding = LogEncoding::parse(name).unwrap();
        self
    }

    /// So many lines of what was read are wanted again after a start.
    pub(crate) fn wanting(mut self, lines: usize) -> World {
        self.wanted = lines;
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn copy_and_truncate(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).unwrap();
        File::options().write(true).truncate(true).open(self.path(from)).unwrap();
    }

    /// As gzip does: beside it, with its time, and then it is gone.
    pub(crate) fn pack(&self, name: &str) {
        let text = std::fs::read(self.path(name)).unwrap();
        let written = std::fs::metadata(self.path(name)).unwrap().modified().unwrap();
        let packed = File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut packer = GzEncoder::new(packed, Compression::fast());
        packer.write_all(&text).unwrap();
        packer.finish().unwrap().set_modified(written).unwrap();
        std::fs::remove_file(self.path(name)).unwrap();
    }

    /// guard is killed: only the places of the lines survive.
    pub(crate) fn stop(&mut self) {
        self.reader = None;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.reader.is_some()
    }

    /// guard is started (again).
    pub(crate) fn start(&mut self) {
        self.start_later(Duration::ZERO);
    }

    /// The same, on a clock that is so far ahead.
    pub(crate) fn start_later(&mut self, by: Duration) {
        let known = self.places.iter().map(|(source, place)| (source.clone(), place.progress()));
        let mount = SpaceMount {
            destination: "/logs".into(),
            host: "/srv/logs".into(),
            here: Some(self.dir.path().to_owned()),
            remedy: None,
        };
        let space = PathSpace::new(vec![mount]);
        let patterns = self.pattern.split(' ').map(str::to_owned);
        let reader = FileReader::new(space, patterns.collect(), known.collect());
        let reader = reader.encoded(self.encoding).with_pace(PACE);
        self.reader = Some(match self.find_time {
            None => reader,
            Some(find_time) => {
                let now = Timestamp::now() + by;
                reader.since(Since::new(now, now - find_time, date))
            }
        });
    }

    fn take(&mut self, batch: &FileBatch) {
        let place = self.places.entry(batch.source.clone()).or_default();
        let (known, new) = batch.lines.split_at(batch.known);
        for line in known {
            assert!(self.read.contains(&line.text), "{} is not known", line.text);
            self.again += 1;
        }
        for line in new {
            place.advance(&line.mark, self.wanted);
            self.read.push(line.text.clone());
        }
        if batch.lines.is_empty() && !batch.gone {
            place.judged = batch.place;
        }
        if batch.gone {
            self.places.remove(&batch.source);
        }
    }

    /// One batch, if there is one soon.
    pub(crate) async fn read_a_little(&mut self) {
        let reader = self.reader.as_mut().unwrap();
        let soon = Duration::from_millis(3);
        if let Ok(batch) = tokio::time::timeout(soon, reader.next()).await {
            self.take(&batch);
        }
    }

    /// Reads until so many lines have come in all, and then that no more come.
    pub(crate) async fn drain(&mut self, count: usize) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let mut quiet_since = tokio::time::Instant::now();
        loop {
            let reader = self.reader.as_mut().unwrap();
            match tokio::time::timeout(Duration::from_millis(3), reader.next()).await {
                Ok(batch) => {
                    self.take(&batch);
                    quiet_since = tokio::time::Instant::now();
                }
                Err(_) if self.read.len() >= count && quiet_since.elapsed() > QUIET => return,
                Err(_) => {}
            }
            let states = self.states();
            let late = tokio::time::Instant::now() >= deadline;
            assert!(!late, "{} of {count} lines: {:?} {states:?}", self.read.len(), self.missing());
        }
    }

    /// Of numbered lines, those that are not there among those that are.
    fn missing(&self) -> Vec<usize> {
        let read: Vec<usize> = self.read.iter().filter_map(|l| l.get(..6)?.parse().ok()).collect();
        let last = read.iter().max().copied().unwrap_or(0);
        (1..=last).filter(|number| !read.contains(number)).take(20).collect()
    }

    pub(crate) fn states(&self) -> Vec<FileState> {
        self.reader.as_ref().unwrap().states()
    }

    /// How often lines may be missing, by guard's own word.
    pub(crate) fn gaps(&self) -> u64 {
        self.states().iter().map(|state| state.gaps).sum()
    }
}

/// How far a file was judged, and the places before the last lines of it.
#[derive(Default)]
struct Reached {
    judged: Option<FileMark>,
    before: VecDeque<FileMark>,
}

impl Reached {
    fn advance(&mut self, mark: &Mark, wanted: usize) {
        let Mark::File(mark) = mark else { panic!("{mark:?} of a file") };
        let start = FileMark { offset: 0, ..*mark };
        let last = self.judged.unwrap_or(start);
        let goes_on = last.inode == mark.inode && last.offset <= mark.offset;
        if !goes_on {
            self.before.clear();
        }
        self.before.push_back(if goes_on { last } else { start });
        let old = self.before.len().saturating_sub(wanted);
        self.before.drain(..old);
        self.judged = Some(*mark);
    }

    fn progress(&self) -> Progress {
        let resume = self.before.front().copied().or(self.judged);
        Progress { resume: Position::File(resume), judged: Position::File(self.judged) }
    }
}

/// The date with which a line of these tests begins, if it has one.
pub(crate) fn date(line: &str) -> Option<Timestamp> {
    line.split(' ').next()?.parse().ok()
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(test);
}

/// A line that is long enough to tell files from each other by a few of them.
pub(crate) fn line(number: usize) -> String {
    format!("{number:06} {}\n", "x".repeat(100))
}

/// The numbers of such lines.
pub(crate) fn numbers(lines: &[String]) -> Vec<usize> {
    lines.iter().map(|line| line[..6].parse().unwrap()).collect()
}
