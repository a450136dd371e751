//! A model of the engine's log: every line after the place, exactly once.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::docker::OutputChoice;
use crate::docker::frames::Frames;
use crate::docker::messages::Framing;
use crate::model::Line;

/// The engine's own buffer: longer lines are split.
const PART: usize = 16 * 1024;
const SECOND: i128 = 1_000_000_000;
const TINY: Lengths = Lengths { first: 2, growth: 3, last: 512, scanned: 20 };

#[derive(Clone)]
struct Message {
    kind: u8,
    at: Timestamp,
    text: String,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Message { kind, at, text } = self;
        let (head, end) = (&text[..text.len().min(8)], text.ends_with('\n'));
        let nanos = at.as_nanosecond() - time(0).as_nanosecond();
        write!(f, "{kind} {nanos} {:?}{}", head.trim_end(), if end { "" } else { "…" })
    }
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        let text = format!("{:.9} {}", self.at, self.text);
        let mut bytes = vec![self.kind, 0, 0, 0];
        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }
}

fn time(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(1_700_000_000 * SECOND + nanos).unwrap()
}

fn message(kind: u8, second: i64, text: &str) -> Message {
    Message { kind, at: time(i128::from(second) * SECOND), text: format!("{text}\n") }
}

/// How an engine reads its log.
#[derive(Clone, Copy, Debug)]
struct Engine {
    /// Does the container run?
    runs: bool,
    /// Up to 20.10 `since` filters all messages, later only those before the first
    /// one that is not too old.
    filters_all: bool,
}

const RUNS: Engine = Engine { runs: true, filters_all: true };
const STANDS: Engine = Engine { runs: false, filters_all: false };

/// What was asked and what came of it.
#[derive(Debug, Default)]
struct Reading {
    lines: Vec<Line>,
    asked: Vec<Ask>,
    gap: Option<Gap>,
}

impl Engine {
    fn answer(self, log: &[Message], extent: Extent) -> Vec<Message> {
        match extent {
            Extent::All => log.to_vec(),
            Extent::Tail(count) => log[log.len().saturating_sub(count as usize)..].to_vec(),
            Extent::Since(second) => {
                let early = |message: &&Message| message.at.as_second() < second;
                if self.filters_all {
                    log.iter().filter(|message| !early(message)).cloned().collect()
                } else {
                    log.iter().skip_while(early).cloned().collect()
                }
            }
        }
    }

    /// Attaches and reads until nothing more comes, as `follow` does.
    fn attach(self, frames: &mut Frames, log: &[Message]) -> Reading {
        let mut reading = Reading::default();
        let mut lines = VecDeque::new();
        for _ in 0..40 {
            frames.rewind();
            let ask = frames.ask();
            reading.asked.push(ask);
            let bytes: Vec<u8> =
                self.answer(log, ask.extent).iter().flat_map(Message::bytes).collect();
            let mut told = frames.push(&bytes, &mut lines).unwrap();
            reading.gap = reading.gap.or(told.gap);
            if !told.again && ask.follow && self.runs {
                told.again = frames.is_searching() && frames.silent();
            } else if !told.again {
                told = frames.end(&mut lines);
                reading.gap = reading.gap.or(told.gap);
            }
            if !told.again {
                reading.lines = lines.into();
                return reading;
            }
        }
        panic!("it asks for ever: {:?}", reading.asked);
    }
}

fn frames(mut search: Search, lengths: Lengths) -> Frames {
    search.lengths = lengths;
    search.answer.found = true;
    let again_from = search.again_from.take();
    search.begin();
    search.again_from = again_from;
    Frames::new(Framing::Framed, search, OutputChoice::Both)
}

fn everything(log: &[Message]) -> Vec<Line> {
    RUNS.attach(&mut frames(Search::everything(), TINY), log).lines
}

fn place_after(lines: &[Line]) -> Position {
    let mut place = Position::OUTPUT_START;
    lines.iter().for_each(|line| place.advance(&line.mark));
    place
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn tails(reading: &Reading) -> Vec<Extent> {
    reading.asked.iter().map(|ask| ask.extent).collect()
}

/// Resumes after the first `place` lines of `old` in a log that became `now`.
fn resume(old: &[Message], place: usize, now: &[Message], engine: Engine) -> Reading {
    let place = place_after(&everything(old)[..place]);
    engine.attach(&mut frames(Search::after(place), TINY), now)
}

fn numbered(range: std::ops::Range<i64>) -> Vec<Message> {
    range.map(|n| message(1, n, &n.to_string())).collect()
}

#[test]
fn the_tail_grows_until_it_begins_before_the_place() {
    let log = numbered(0..100);
    let reading = resume(&log, 90, &log, RUNS);
    assert_eq!(texts(&reading.lines), (90..100).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(tails(&reading), [2, 6, 18].map(Extent::Tail));
    assert!(reading.asked.iter().all(|ask| ask.follow), "found and followed in one request");
    assert_eq!(reading.gap, None);
}

#[test]
fn nothing_new_takes_one_request() {
    let log = numbered(0..100);
    for engine in [RUNS, STANDS] {
        let reading = resume(&log, 100, &log, engine);
        assert_eq!((reading.lines.len(), reading.asked.len()), (0, 1), "{:?}", reading.asked);
    }
}

#[test]
fn a_log_of_one_line_is_known_by_its_beginning() {
    let log = numbered(0..1);
    let reading = resume(&log, 1, &log, RUNS);
    assert_eq!((reading.lines.len(), tails(&reading)), (0, [2, 6].map(Extent::Tail).to_vec()));
}

#[test]
fn a_quiet_stream_is_not_looked_for() {
    let mut log = vec![message(2, 0, "once")];
    log.extend(numbered(1..200));
    let mut now = log.clone();
    now.extend([message(2, 300, "again"), message(1, 301, "more")]);
    let reading = resume(&log, 200, &now, RUNS);
    assert_eq!(texts(&reading.lines), ["again", "more"]);
    assert!(reading.asked.len() <= 3, "{:?}", reading.asked);
}

#[test]
fn what_was_rotated_away_is_a_gap_once() {
    let log = numbered(0..10);
    for engine in [RUNS, STANDS] {
        let now = numbered(50..60);
        let place = place_after(&everything(&log));
        let mut frames = frames(Search::after(place), TINY);
        let reading = engine.attach(&mut frames, &now);
        assert_eq!(reading.lines, everything(&now));
        let (after, before) = (time(9 * SECOND), Some(time(50 * SECOND)));
        assert_eq!(reading.gap, Some(Gap { after, before, all_new: true }));
        assert_eq!(engine.attach(&mut frames, &now).gap, None);
    }
}

#[test]
fn a_log_that_was_emptied_is_a_gap_once() {
    let place = place_after(&everything(&numbered(0..3)));
    let mut frames = frames(Search::after(place), TINY);
    let reading = RUNS.attach(&mut frames, &[]);
    let after = time(2 * SECOND);
    assert_eq!(reading.gap, Some(Gap { after, before: None, all_new: true }));
    assert_eq!(frames.position(), Position::OUTPUT_START);
    let reading = RUNS.attach(&mut frames, &numbered(5..6));
    assert_eq!((texts(&reading.lines), reading.gap), (vec!["5"], None));
}

#[test]
fn a_clock_set_back_behind_the_place_loses_nothing() {
    let mut log = numbered(100..103);
    let place = log.len();
    log.extend((50..54).map(|n| message(1, n, &n.to_string())));
    // Read from before the step, from within and from behind it.
    for place in place..=log.len() {
        for engine in [RUNS, STANDS] {
            let reading = resume(&log, place, &log, engine);
            assert_eq!(reading.lines, everything(&log)[place..]);
            assert_eq!(reading.gap, None);
        }
    }
}

#[test]
fn a_rotated_log_whose_clock_was_set_back_is_all_new() {
    let reading = resume(&numbered(100..110), 10, &numbered(50..60), RUNS);
    assert_eq!(reading.lines, everything(&numbered(50..60)));
    assert!(reading.gap.is_some());
}

#[test]
fn a_first_start_reads_from_its_time_on() {
    let log = numbered(0..400);
    for (from, tail) in [(390, 18), (350, 54), (100, 486)] {
        let mut frames = frames(Search::from(time(from * SECOND)), TINY);
        let reading = RUNS.attach(&mut frames, &log);
        assert_eq!(reading.lines, everything(&log)[from as usize..]);
        assert_eq!(tails(&reading).last(), Some(&Extent::Tail(tail)));
    }
    // A log that is younger: two tails begin alike.
    let mut frames = frames(Search::from(time(-SECOND)), TINY);
    let reading = RUNS.attach(&mut frames, &log[..4]);
    assert_eq!((reading.lines.len(), tails(&reading)), (4, [2, 6, 18].map(Extent::Tail).to_vec()));
}

#[test]
fn where_nothing_is_new_enough_silence_says_nothing() {
    for log in [&[][..], &numbered(0..3)] {
        let mut frames = frames(Search::from(time(9 * SECOND)), TINY);
        assert_eq!(RUNS.attach(&mut frames, log).lines, []);
        assert!(frames.is_searching() && !frames.awaits_silence());
    }
    let mut frames = frames(Search::after(place_after(&everything(&numbered(0..3)))), TINY);
    frames.rewind();
    assert!(frames.awaits_silence());
}

#[test]
fn beyond_the_longest_tail_time_is_asked_for_and_then_a_tail() {
    let short = Lengths { last: 6, ..TINY };
    let log = numbered(0..400);
    let place = place_after(&everything(&log)[..300]);
    for search in [Search::after(place), Search::from(time(300 * SECOND))] {
        let reading = RUNS.attach(&mut frames(search, short), &log);
        assert_eq!(reading.lines, everything(&log)[300..]);
        let asked = &reading.asked[reading.asked.len() - 2..];
        assert!(matches!(asked[0].extent, Extent::Since(_)) && !asked[0].follow);
        assert_eq!(asked[1], Ask { extent: Extent::Tail(2), follow: true });
    }
}

#[test]
fn the_head_of_a_line_that_was_open_is_read_again() {
    let part = |text: &str| Message { kind: 2, at: time(5 * SECOND), text: text.to_owned() };
    let head = "x".repeat(PART);
    let mut log = numbered(0..5);
    log.push(part(&head));
    log.extend(numbered(6..40));
    let place = place_after(&everything(&log));
    log.extend([message(1, 50, "new"), part("end\n")]);
    let reading = RUNS.attach(&mut frames(Search::after(place), TINY), &log);
    assert_eq!(texts(&reading.lines)[0], "new");
    assert_eq!(reading.lines[1].text, format!("{head}end"));
}

/// Resumes after `judged` lines, and reads those from `from` on again.
fn again(log: &[Message], (from, judged): (usize, usize), engine: Engine) -> (Reading, Vec<Line>) {
    let all = everything(log);
    let (resume, judged) = (place_after(&all[..from]), place_after(&all[..judged]));
    let search = Search::again(Progress { resume, judged });
    let mut frames = frames(search, TINY);
    let reading = engine.attach(&mut frames, log);
    let known = frames.take_known();
    assert_eq!(engine.attach(&mut frames, log).lines, []);
    assert_eq!(frames.take_known(), [], "once");
    (reading, known)
}

#[test]
fn what_a_filter_needs_comes_again_before_what_is_new() {
    let log = numbered(0..50);
    for engine in [RUNS, STANDS] {
        for (length, from, judged) in [(50, 45, 48), (15, 0, 14), (50, 49, 50), (50, 47, 47)] {
            let log = &log[..length];
            let (reading, known) = again(log, (from, judged), engine);
            assert_eq!(known, everything(log)[from..judged], "{from} {judged}");
            assert_eq!(reading.lines, everything(log)[judged..]);
        }
    }
    // Too far back: it is done without.
    let log = numbered(0..400);
    let (reading, known) = again(&log, (10, 390), RUNS);
    assert_eq!((reading.lines.len(), known.len()), (10, 0));
    assert_eq!(tails(&reading).last(), Some(&Extent::Tail(54)));
    // What the engine has no more, too, and that is no gap.
    let (resume, judged) = (place_after(&everything(&log)[..3]), place_after(&everything(&log)));
    let mut frames = frames(Search::again(Progress { resume, judged }), TINY);
    let reading = RUNS.attach(&mut frames, &log[390..]);
    assert_eq!((reading.lines.len(), reading.gap, frames.take_known()), (0, None, vec![]));
}

/// A log: lines of both streams, some split, some interleaved, with timestamps that
/// repeat and, if wanted, a clock that is set back.
fn log(steps_back: bool) -> impl Strategy<Value = Vec<Message>> {
    let step = prop_oneof![
        6 => 0i128..3,
        2 => 0i128..3 * SECOND,
        u32::from(steps_back) => Just(-20 * SECOND - 500),
    ];
    let line = (1u8..3, step, prop_oneof![9 => Just(0usize), 1 => PART..2 * PART], any::<bool>());
    // Each stream is stamped for itself, and one may wait for the other.
    let late = prop_oneof![Just(0i128), 0i128..8];
    (prop::collection::vec(line, 1..40), late).prop_map(|(lines, late)| {
        let (mut now, mut all) = (0, Vec::new());
        let mut held: Option<Message> = None;
        for (number, (kind, step, length, hold)) in lines.into_iter().enumerate() {
            now += step;
            // The end of a long line waits for a line of the other stream.
            let waits = held.as_ref().is_some_and(|held| held.kind != kind);
            if !waits {
                all.extend(held.take());
            }
            let text = format!("{number}:{}", "y".repeat(length));
            let parts: Vec<&[u8]> = text.as_bytes().chunks(PART).collect();
            for (index, part) in parts.iter().enumerate() {
                let is_last = index + 1 == parts.len();
                let end = if is_last { "\n" } else { "" };
                let text = format!("{}{end}", String::from_utf8_lossy(part));
                let at = if kind == 2 { time(now - late) } else { time(now) };
                let message = Message { kind, at, text };
                if is_last && index > 0 && hold && held.is_none() {
                    held = Some(message);
                } else {
                    all.push(message);
                }
            }
            if waits {
                all.extend(held.take());
            }
        }
        all.extend(held);
        all
    })
}

fn engine() -> impl Strategy<Value = Engine> {
    (any::<bool>(), any::<bool>()).prop_map(|(runs, filters_all)| Engine { runs, filters_all })
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn known_lines_come_again_and_new_ones_once(
        log in log(true),
        places in (0usize..100, 0usize..100),
        engine in engine(),
    ) {
        let all = everything(&log);
        let judged = places.0.min(all.len());
        let from = places.1.min(judged);
        let (reading, known) = again(&log, (from, judged), engine);
        prop_assert_eq!(&reading.lines[..], &all[judged..]);
        prop_assert_eq!(reading.gap, None);
        // What comes again only feeds a judge. Where timestamps go back it may be more or less
        // than what was asked for, and a tail that begins among messages of one time counts
        // those that it has.
        let steady = all.windows(2).all(|pair| pair[0].at <= pair[1].at);
        // The beginning of a log is known by two tails that begin alike.
        if steady && log.len() <= if from == 0 { 18 } else { 54 } {
            let told = |lines: &[Line]| -> Vec<(Option<Timestamp>, String)> {
                lines.iter().map(|line| (line.at, line.text.clone())).collect()
            };
            prop_assert_eq!(told(&known), told(&all[from..judged]));
        }
    }

    #[test]
    fn every_line_after_the_place_comes_once(
        log in log(false), place in 0usize..40, last in prop_oneof![Just(512u32), 2u32..20], engine in engine(),
    ) {
        let all = everything(&log);
        let place = place.min(all.len());
        let search = Search::after(place_after(&all[..place]));
        let reading = engine.attach(&mut frames(search, Lengths { last, ..TINY }), &log);
        prop_assert_eq!(&reading.lines[..], &all[place..]);
        prop_assert_eq!(reading.gap, None);
    }

    #[test]
    fn also_when_the_clock_is_set_back(log in log(true), place in 0usize..40, engine in engine()) {
        let all = everything(&log);
        let place = place.min(all.len());
        let reading = engine.attach(&mut frames(Search::after(place_after(&all[..place])), TINY), &log);
        prop_assert_eq!(&reading.lines[..], &all[place..]);
        prop_assert_eq!(reading.gap, None);
    }

    #[test]
    fn a_connection_cut_at_any_messages_loses_and_doubles_nothing(
        log in log(true), cuts in prop::collection::vec(0usize..80, 1..5), engine in engine(),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(log.len())).collect();
        cuts.sort_unstable();
        let mut frames = frames(Search::everything(), TINY);
        let mut lines = Vec::new();
        for cut in cuts {
            // Nothing but a running container's stream is cut.
            lines.extend(Engine { runs: true, ..engine }.attach(&mut frames, &log[..cut]).lines);
        }
        lines.extend(engine.attach(&mut frames, &log).lines);
        prop_assert_eq!(lines, everything(&log));
    }

    #[test]
    fn what_rotation_left_comes_once(
        log in log(false), place in 1usize..40, dropped in 0usize..60, engine in engine(),
    ) {
        let all = everything(&log);
        let place = place.min(all.len());
        let left = &log[dropped.min(log.len())..];
        let reading = engine.attach(&mut frames(Search::after(place_after(&all[..place])), TINY), left);
        let reached = all[place - 1].clone();
        // Of one time it can't be told how many were dropped. (A time is one line's: its
        // parts have no use without their head.)
        let kind = |line: &Line| matches!(line.mark, Mark::Output(Stream::Stderr, _));
        let first = left.iter().find(|message| (message.kind == 2) == kind(&reached));
        prop_assume!(first.is_none_or(|first| Some(first.at) != reached.at));
        let rest = everything(left);
        match rest.iter().position(|line| line.text == reached.text) {
            Some(at) => {
                prop_assert_eq!(&reading.lines[..], &rest[at + 1..]);
                prop_assert_eq!(reading.gap, None);
            }
            // Of messages with the place's own time none is known to be new.
            None => {
                let newest = all[..place].iter().filter_map(|line| line.at).max().unwrap();
                for line in &rest {
                    let times = reading.lines.iter().filter(|read| read.text == line.text).count();
                    prop_assert!(times <= 1);
                    prop_assert!(times == 1 || line.at.unwrap() <= newest, "lost {:?}", line.text);
                }
                let told = reading.gap.is_some();
                prop_assert!(told || rest.iter().any(|line| line.at == Some(newest)));
            }
        }
    }
}
