//! Following a journal that is written, rotated, moved and removed.

use std::time::Duration;

use guard::journal::{JournalFolders, JournalReader};
use guard::model::{Line, Mark, Position, Timestamp};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::formats::read_to_end;
use crate::journald::{Journald, Setup, tools};

/// So long a line may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader of the test's entries.
fn reader(journald: &Journald, place: Option<Position>) -> JournalReader {
    let terms = "TEST=yes".parse().unwrap();
    JournalReader::new(journald.folders(), terms, place, Timestamp::UNIX_EPOCH)
}

fn log(journald: &Journald, number: usize) {
    let number = number.to_string();
    let fields =
        [("TEST", &b"yes"[..]), ("MESSAGE", number.as_bytes()), ("SYSLOG_IDENTIFIER", b"test")];
    journald.log(&fields);
}

fn log_as(journald: &Journald, user: u32, number: usize) {
    let number = number.to_string();
    let fields = [("TEST", "yes"), ("MESSAGE", &number), ("SYSLOG_IDENTIFIER", "test")];
    journald.log_as(user, &fields);
}

/// The number that a line is about.
fn number(line: &Line) -> usize {
    line.text.rsplit(' ').next().unwrap().parse().unwrap()
}

fn numbers(lines: &[Line]) -> Vec<usize> {
    lines.iter().map(number).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Reads until so many lines have come.
async fn read(reader: &mut JournalReader, count: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let batch = timeout(PATIENCE, reader.next()).await;
        let batch = batch.unwrap_or_else(|_| panic!("{} of {count} lines: {lines:?}", lines.len()));
        lines.extend(batch.lines);
    }
    lines
}

#[test]
fn nothing_is_lost_or_told_twice_over_rotation_and_restarts() {
    let Some(tools) = tools("nothing_is_lost_or_told_twice_over_rotation_and_restarts") else {
        return;
    };
    const COUNT: usize = 1500;
    let setup = Setup { config: "Storage=persistent\nSplitMode=uid", ..Setup::default() };
    let journald = Journald::start(&tools, &setup);
    let mut seen = Vec::new();
    let (mut restarts, mut live) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                match number % 50 {
                    // Users have files of their own.
                    20 => log_as(&journald, 1000, number),
                    40 => log_as(&journald, 1001, number),
                    _ => log(&journald, number),
                }
                if number % 170 == 169 {
                    journald.control("--rotate");
                }
            }
        });
        let mut place = Position::Journal(Vec::new());
        while seen.len() < COUNT {
            restarts += 1;
            // Killed after some lines, in the midst of a batch.
            let mut left = 1 + restarts * 37 % 150;
            let mut reader = reader(&journald, Some(place.clone()));
            runtime().block_on(async {
                while left > 0 && seen.len() < COUNT {
                    let batch = timeout(PATIENCE, reader.next()).await;
                    let batch = batch.unwrap_or_else(|_| panic!("only {} lines", seen.len()));
                    live += usize::from(batch.live && !batch.lines.is_empty());
                    let whole = batch.lines.len() <= left;
                    for line in batch.lines.into_iter().take(left) {
                        place.advance(&line.mark);
                        seen.push(number(&line));
                        left -= 1;
                    }
                    for mark in batch.places.iter().filter(|_| whole) {
                        place.advance(&Mark::Journal(*mark));
                    }
                }
            });
            assert_eq!(reader.state().gap, None);
        }
    });
    assert_eq!(seen, (0..COUNT).collect::<Vec<_>>());
    assert!(journald.files().len() >= 10, "{:?}", journald.files());
    let name = |file: &std::path::PathBuf| file.to_string_lossy().contains("/user-1001@");
    assert!(journald.files().iter().any(name), "{:?}", journald.files());
    assert!(restarts > 10 && live > 0, "{restarts} restarts, {live} live batches");
}

#[test]
fn what_journald_moves_to_var_is_told_once() {
    let Some(tools) = tools("what_journald_moves_to_var_is_told_once") else { return };
    let journald = Journald::start(&tools, &Setup { config: "Storage=auto", ..Setup::default() });
    (0..50).for_each(|number| log(&journald, number));
    let mut reader = reader(&journald, None);
    let lines = runtime().block_on(async {
        let mut lines = read(&mut reader, 50).await;
        assert!(reader.state().folders[0].ends_with("run/log/journal"));
        journald.make_persistent_folder();
        journald.control("--flush");
        (50..100).for_each(|number| log(&journald, number));
        lines.extend(read(&mut reader, 50).await);
        lines
    });
    assert_eq!(numbers(&lines), (0..100).collect::<Vec<_>>());
    assert!(reader.state().folders[0].ends_with("/log/journal"));
    // And after a restart.
    let mut place = Position::Journal(Vec::new());
    lines[..75].iter().for_each(|line| place.advance(&line.mark));
    let rest = read_to_end(&mut self::reader(&journald, Some(place)));
    assert_eq!(numbers(&rest), (75..100).collect::<Vec<_>>());
}

#[test]
fn a_gap_is_told() {
    let Some(tools) = tools("a_gap_is_told") else { return };
    let journald = Journald::start(&tools, &Setup::default());
    (0..20).for_each(|number| log(&journald, number));
    let mut place = Position::Journal(Vec::new());
    for line in &runtime().block_on(read(&mut reader(&journald, None), 20))[..10] {
        place.advance(&line.mark);
    }
    journald.control("--rotate");
    (20..30).for_each(|number| log(&journald, number));
    journald.control("--rotate");
    (30..40).for_each(|number| log(&journald, number));
    journald.control("--sync");
    let mut whole = reader(&journald, Some(place.clone()));
    assert_eq!(numbers(&read_to_end(&mut whole)), (10..40).collect::<Vec<_>>());
    assert_eq!(whole.state().gap, None);
    // The oldest file goes, as journald removes it when there is too much.
    std::fs::remove_file(&journald.archived()[0]).unwrap();
    let mut rest = reader(&journald, Some(place));
    assert_eq!(numbers(&read_to_end(&mut rest)), (20..40).collect::<Vec<_>>());
    assert!(rest.state().gap.unwrap().contains("were removed before guard read them"));
}

#[test]
fn a_file_that_is_removed_while_it_is_read_is_read_to_its_end() {
    let Some(tools) = tools("a_file_that_is_removed_while_it_is_read_is_read_to_its_end") else {
        return;
    };
    let journald = Journald::start(&tools, &Setup::default());
    (0..2000).for_each(|number| log(&journald, number));
    journald.control("--sync");
    let mut reader = reader(&journald, None);
    let lines = runtime().block_on(async {
        let mut lines = read(&mut reader, 1).await;
        assert!(lines.len() < 2000);
        journald.control("--rotate");
        std::fs::remove_file(&journald.archived()[0]).unwrap();
        (2000..2010).for_each(|number| log(&journald, number));
        lines.extend(read(&mut reader, 2010 - lines.len()).await);
        lines
    });
    assert_eq!(numbers(&lines), (0..2010).collect::<Vec<_>>());
    assert_eq!(reader.state().files, 1);
}

#[test]
fn what_journald_wipes_before_it_is_read_is_counted() {
    let Some(tools) = tools("what_journald_wipes_before_it_is_read_is_counted") else { return };
    let journald = Journald::start(&tools, &Setup::default());
    (0..2000).for_each(|number| log(&journald, number));
    journald.control("--sync");
    let mut reader = reader(&journald, None);
    let lines = runtime().block_on(async {
        let mut lines = read(&mut reader, 1).await;
        journald.control("--rotate");
        // It does not only remove the oldest file, it wipes it.
        journald.control("--vacuum-files=1");
        (2000..2010).for_each(|number| log(&journald, number));
        while lines.last().is_none_or(|line| number(line) < 2009) {
            lines.extend(read(&mut reader, 1).await);
        }
        lines
    });
    let state = reader.state();
    let lost = 2010 - lines.len();
    assert!(numbers(&lines).is_sorted() && numbers(&lines).ends_with(&[2008, 2009]));
    assert!(lost > 0 && state.damaged as usize >= lost, "{lost} lost, {} told", state.damaged);
}

#[test]
fn the_first_start_begins_at_a_time() {
    let Some(tools) = tools("the_first_start_begins_at_a_time") else { return };
    let journald = Journald::start(&tools, &Setup::default());
    for (from, to) in [(0, 40), (40, 80), (80, 120)] {
        (from..to).for_each(|number| log(&journald, number));
        journald.control("--rotate");
    }
    let entries = journald.entries(&["TEST=yes"]);
    for begin in [0, 1, 39, 40, 95, 119] {
        let since = crate::formats::mark(&entries[begin]).at;
        let terms = "TEST=yes".parse().unwrap();
        let mut reader = JournalReader::new(journald.folders(), terms, None, since);
        assert_eq!(numbers(&read_to_end(&mut reader)), (begin..120).collect::<Vec<_>>());
    }
}

#[test]
fn damage_in_one_file_spares_the_others() {
    let Some(tools) = tools("damage_in_one_file_spares_the_others") else { return };
    let journald = Journald::start(&tools, &Setup::default());
    (0..300).for_each(|number| log(&journald, number));
    journald.control("--rotate");
    (300..400).for_each(|number| log(&journald, number));
    journald.control("--sync");
    let archived = journald.archived();
    let mut bytes = std::fs::read(&archived[0]).unwrap();
    // The file is cut short, as after a crash, and bears the name of such files.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes.truncate(used - 20_000);
    let torn = archived[0].with_extension("journal~");
    std::fs::write(&torn, bytes).unwrap();
    std::fs::remove_file(&archived[0]).unwrap();
    std::fs::write(archived[0].with_file_name("none.journal"), "not a journal").unwrap();

    let mut reader = reader(&journald, None);
    let found = numbers(&read_to_end(&mut reader));
    let state = reader.state();
    assert!(found.len() > 200 && found.len() < 400, "{} lines", found.len());
    assert!(found.ends_with(&(300..400).collect::<Vec<_>>()));
    assert!(found.is_sorted());
    assert!(
        state.problems.iter().any(|p| p.contains("none.journal: it is no journal file")),
        "{state:?}"
    );
    assert!(state.damaged > 0, "{state:?}");

    // And alone, without any file that tells how far the numbers have come.
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::copy(&torn, folder.path().join("torn.journal~")).unwrap();
    let folders = JournalFolders { roots: vec![folder.path().to_owned()], machine: None };
    let terms = "TEST=yes".parse().unwrap();
    let mut alone = JournalReader::new(folders, terms, None, Timestamp::UNIX_EPOCH);
    let same = numbers(&read_to_end(&mut alone));
    assert_eq!(same, found.into_iter().filter(|number| *number < 300).collect::<Vec<_>>());
}

#[test]
fn without_a_journal_there_is_nothing_but_a_look_now_and_then() {
    let folder = tempfile::TempDir::new().unwrap();
    let root = folder.path().join("journal");
    let folders = JournalFolders { roots: vec![root.clone()], machine: None };
    let mut reader =
        JournalReader::new(folders, "A=1".parse().unwrap(), None, Timestamp::UNIX_EPOCH);
    runtime().block_on(async {
        let look = Duration::from_millis(50);
        assert!(timeout(look, reader.next()).await.is_err());
        assert!(reader.state().folders.is_empty());
        std::fs::create_dir(&root).unwrap();
        assert!(timeout(Duration::from_secs(2), reader.next()).await.is_err());
        assert_eq!(reader.state().folders, [root.display().to_string()]);
    });
}
