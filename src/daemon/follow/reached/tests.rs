use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::filter::{Filter, FilterSpec, Phase, Verdict};
use crate::model::{FileMark, Line, Stream, StreamMark, Timestamp};

/// Connections whose lines tell one story.
const CONNECTIONS: [&str; 5] = [
    r"^<F-MLFID>c\d</F-MLFID> <F-NOFAIL>open</F-NOFAIL> <HOST>$",
    r"^<F-MLFID>c\d</F-MLFID> bad$",
    r"^<F-MLFID>c\d</F-MLFID> bad <HOST>$",
    r"^<F-MLFID>c\d</F-MLFID> <F-MLFGAINED>good</F-MLFGAINED>$",
    r"^<F-MLFID>c\d</F-MLFID> <F-NOFAIL><F-MLFFORGET>shut</F-MLFFORGET></F-NOFAIL>$",
];
const TOGETHER: [&str; 2] =
    [r"^c\d open <HOST>\n<SKIPLINES>c\d bad$", r"^c(\d) bad\nc\1 shut <HOST>$"];

fn filter(regexes: &[&str], max_lines: u32) -> Arc<Filter> {
    let spec = FilterSpec {
        failregex: regexes.iter().map(|regex| (*regex).to_owned()).collect(),
        max_lines,
        ..FilterSpec::default()
    };
    Arc::new(Filter::new(&spec).unwrap())
}

fn at(second: usize) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second as i64).unwrap()
}

/// A line every ten seconds.
fn line(number: usize, text: &str) -> Line {
    let stream = if number.is_multiple_of(3) { Stream::Stderr } else { Stream::Stdout };
    let at = at(10 * number);
    let mark = Mark::Output(stream, StreamMark { at, seen: 1 });
    Line { at: Some(at), text: text.to_owned(), mark }
}

/// guard with its disk: both are gone, or only what it had in mind.
struct Life<'l> {
    filter: Arc<Filter>,
    log: &'l [Line],
    /// What is on disk.
    disk: Option<Progress>,
    failures: Vec<(usize, String)>,
}

impl Life<'_> {
    fn index(&self, place: &Position) -> usize {
        let Position::Output { stdout, stderr } = place else { panic!("{place:?}") };
        let newest = stdout.iter().chain(stderr).map(|mark| mark.at).max();
        newest.map_or(0, |at| self.log.iter().position(|line| line.at == Some(at)).unwrap() + 1)
    }

    /// Lives until `end` lines are judged; `writes` says after which lines without a
    /// failure progress is written. How many lines were fed again.
    fn live(&mut self, end: usize, writes: &[bool]) -> usize {
        let mut judge =
            Judge::new(Arc::clone(&self.filter), TimeZone::UTC, Duration::from_secs(600));
        let known = self.disk.clone();
        let start = Position::OUTPUT_START;
        let known = known.unwrap_or(Progress { resume: start.clone(), judged: start });
        let (from, to) = (self.index(&known.resume), self.index(&known.judged));
        let mut reached = Reached::after(known);
        let now = at(1_000_000);
        for line in &self.log[from..to] {
            judge.feed(line, now, Phase::Backlog);
            reached.feed(&mut judge, &line.mark);
        }
        for (index, line) in self.log.iter().enumerate().take(end).skip(to) {
            let verdict = judge.feed(line, now, Phase::Live);
            reached.judge(&mut judge, &line.mark);
            if let Verdict::Failure(hit) = verdict {
                // In one transaction.
                self.failures.push((index, format!("{:?} {}", hit.who, hit.lines)));
                self.disk = Some(reached.progress(&mut judge));
            } else if writes[index] {
                self.disk = Some(reached.progress(&mut judge));
            }
        }
        to - from
    }
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let words = prop_oneof![
        3 => (1..5u8).prop_map(|n| format!("open 192.0.2.{n}")),
        3 => Just("bad".to_owned()),
        1 => (1..5u8).prop_map(|n| format!("bad 192.0.2.{n}")),
        1 => Just("good".to_owned()),
        2 => Just("shut".to_owned()),
        1 => (1..5u8).prop_map(|n| format!("shut 192.0.2.{n}")),
        1 => Just("noise".to_owned()),
    ];
    let line = (1..4u8, words).prop_map(|(id, words)| format!("c{id} {words}"));
    // Less than a connection lives.
    proptest::collection::vec(line, 1..28)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whenever guard is killed, each failure is told once, and the same ones as if it
    /// had never been.
    #[test]
    fn a_kill_changes_nothing(
        texts in texts(),
        kills in proptest::collection::vec(0..30usize, 0..6),
        writes in proptest::collection::vec(any::<bool>(), 30),
        connections in any::<bool>(),
        max_lines in 2..5u32,
    ) {
        let filter = match connections {
            true => filter(&CONNECTIONS, 1),
            false => filter(&TOGETHER, max_lines),
        };
        let log: Vec<Line> = texts.iter().enumerate().map(|(n, text)| line(n, text)).collect();
        let life = || Life { filter: Arc::clone(&filter), log: &log, disk: None, failures: vec![] };
        let mut whole = life();
        whole.live(log.len(), &writes);
        let mut broken = life();
        let mut kills = kills;
        kills.sort_unstable();
        for end in kills.into_iter().chain([log.len()]) {
            broken.live(end.min(log.len()), &writes);
        }
        prop_assert_eq!(whole.failures, broken.failures);
    }
}

#[test]
fn without_need_both_places_are_one() {
    let filter = filter(&["^bad <HOST>$"], 1);
    let log = [line(0, "bad 192.0.2.1"), line(1, "x")];
    let mut life = Life { filter, log: &log, disk: None, failures: vec![] };
    life.live(2, &[true; 2]);
    let Progress { resume, judged } = life.disk.unwrap();
    assert_eq!(resume, judged);
}

#[test]
fn an_open_connection_is_not_waited_for_for_ever() {
    let texts =
        (0..9000).map(|n| if n == 3 { "c1 open 192.0.2.1".into() } else { format!("x{n}") });
    // All at one time.
    let log: Vec<Line> = texts
        .enumerate()
        .map(|(n, text): (usize, String)| Line { at: Some(at(n / 1000)), ..line(n, &text) })
        .collect();
    let mut judge = Judge::new(filter(&CONNECTIONS, 1), TimeZone::UTC, Duration::from_secs(600));
    let mut reached = Reached::at(Position::OUTPUT_START);
    for (number, line) in log.iter().enumerate() {
        judge.feed(line, at(9), Phase::Live);
        reached.judge(&mut judge, &line.mark);
        let Progress { resume, judged } = reached.progress(&mut judge);
        let held = number >= 3 && (number as u64) < 3 + MAX_LINES;
        assert_eq!(resume != judged, held, "{number}");
    }
}

#[test]
fn marks_are_bounded() {
    let mut judge = Judge::new(filter(&TOGETHER, 2000), TimeZone::UTC, Duration::from_secs(600));
    let mut reached = Reached::at(Position::OUTPUT_START);
    for number in 0..3000 {
        let line = line(number, "x");
        judge.feed(&line, at(0), Phase::Live);
        reached.judge(&mut judge, &line.mark);
        assert!(reached.marks.len() <= MAX_MARKS);
    }
}

#[test]
fn a_file_that_was_rotated_away_is_not_read_again() {
    let mark = |inode, offset| FileMark { device: 1, inode, offset, head: 0, head_len: 0 };
    let mut judge = Judge::new(filter(&TOGETHER, 3), TimeZone::UTC, Duration::from_secs(600));
    let mut reached = Reached::at(Position::File(None));
    let mut feed = |text: &str, mark: FileMark| {
        judge.feed_text(text, None, at(0), Phase::Live);
        reached.judge(&mut judge, &Mark::File(mark));
        let Position::File(resume) = reached.progress(&mut judge).resume else { panic!() };
        let resume = resume.unwrap();
        (resume.inode, resume.offset)
    };
    assert_eq!(feed("a", mark(1, 2)), (1, 0));
    assert_eq!(feed("b", mark(1, 4)), (1, 0));
    assert_eq!(feed("c", mark(1, 6)), (1, 0));
    assert_eq!(feed("d", mark(1, 8)), (1, 2));
    // Another one.
    assert_eq!(feed("e", mark(2, 2)), (2, 0));
    // Emptied.
    assert_eq!(feed("f", mark(2, 1)), (2, 0));
    assert_eq!(feed("g", mark(2, 3)), (2, 0));
}
