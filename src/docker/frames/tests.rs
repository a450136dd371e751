use super::*;
use proptest::prelude::*;

fn frame(kind: u8, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
    bytes.extend_from_slice(text);
    bytes
}

fn message(kind: u8, nanos: i128, text: &str) -> Vec<u8> {
    frame(kind, format!("{} {text}", stamp(nanos)).as_bytes())
}

fn stamp(nanos: i128) -> String {
    let at = Timestamp::from_nanosecond(1_700_000_000_000_000_000 + nanos).unwrap();
    format!("{at:.9}")
}

fn read(frames: &mut Frames, bytes: &[u8]) -> Vec<Line> {
    let mut lines = VecDeque::new();
    frames.push(bytes, &mut lines).unwrap();
    lines.into()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn fresh() -> Frames {
    Frames::new(Framing::Framed, Search::everything(), OutputChoice::Both)
}

#[test]
fn parts_are_joined_for_each_stream() {
    let part = "x".repeat(FULL_PART);
    let log = [
        message(1, 1, &part),
        message(2, 2, "between\n"),
        message(1, 1, &part),
        message(1, 1, "end\r\n"),
    ]
    .concat();
    let lines = read(&mut fresh(), &log);
    assert_eq!(lines[0].text, "between");
    assert_eq!(lines[1].text, format!("{part}{part}end"));
    let Mark::Output(Stream::Stdout, mark) = &lines[1].mark else { panic!() };
    assert_eq!(mark.seen, 3);
}

#[test]
fn the_last_words_of_one_run_do_not_swallow_the_next_runs_first() {
    let log = [message(1, 1, "no newline"), message(1, 2, "next run\n")].concat();
    assert_eq!(texts(&read(&mut fresh(), &log)), ["no newline", "next run"]);
}

#[test]
fn a_split_line_may_lack_its_newline() {
    let part = "x".repeat(FULL_PART);
    let log =
        [message(1, 1, &part), message(1, 1, "end"), message(2, 2, "a\n"), message(1, 3, "b\n")];
    let lines = read(&mut fresh(), &log.concat());
    assert_eq!(texts(&lines), [&format!("{part}end")[..], "a", "b"]);
}

#[test]
fn a_long_line_is_cut_and_counted() {
    let part = "x".repeat(FULL_PART);
    let log: Vec<u8> = (0..6).flat_map(|_| message(1, 1, &part)).collect();
    let (mut frames, mut lines) = (fresh(), VecDeque::new());
    assert_eq!(frames.push(&log, &mut lines), Ok(Told::default()));
    let told = frames.push(&message(1, 1, "end\n"), &mut lines).unwrap();
    assert_eq!(lines[0].text.len(), MAX_LINE);
    assert_eq!(told.cut, 2 * FULL_PART as u64 + 3);
}

#[test]
fn the_engines_own_words_are_no_line() {
    let mut lines = VecDeque::new();
    let said = fresh().push(&frame(3, b"Error grabbing logs: x\n"), &mut lines).unwrap();
    assert_eq!(said.trouble.as_deref(), Some("Error grabbing logs: x"));
    assert!(lines.is_empty());
}

#[test]
fn timestamps_of_any_precision_are_read() {
    for stamp in
        ["2026-11-22T07:27:11Z", "2026-11-22T07:27:11.5Z", "2026-11-22T08:27:11.123456789+01:00"]
    {
        let lines = read(&mut fresh(), &frame(1, format!("{stamp} hi there\n").as_bytes()));
        assert_eq!(texts(&lines), ["hi there"], "{stamp}");
        assert_eq!(lines[0].at, Some(stamp.parse().unwrap()));
    }
}

#[test]
fn an_empty_line_is_a_line() {
    let lines = read(&mut fresh(), &message(1, 1, "\n"));
    assert_eq!(texts(&lines), [""]);
}

#[test]
fn a_message_without_a_timestamp_still_counts() {
    let lines = read(&mut fresh(), &frame(1, b"bare words\n"));
    assert_eq!(texts(&lines), ["bare words"]);
}

#[test]
fn the_stream_that_is_not_wanted_moves_the_place_all_the_same() {
    let mut frames = Frames::new(Framing::Framed, Search::everything(), OutputChoice::Stderr);
    let mut lines = VecDeque::new();
    let told = frames.push(&message(1, 5, "unwanted\n"), &mut lines).unwrap();
    assert!(lines.is_empty() && told.moved);
    assert_ne!(frames.position(), Position::OUTPUT_START);
    frames.push(&message(2, 6, "wanted\n"), &mut lines).unwrap();
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_clock_that_is_set_back_is_told_once() {
    const S: i128 = 1_000_000_000;
    let (mut frames, mut lines) = (fresh(), VecDeque::new());
    let part = "x".repeat(FULL_PART);
    let log = [
        (1, 100 * S, "before\n"),
        // A little is no step, and neither is the rest of a long line.
        (2, 99 * S, "beside\n"),
        (1, 100 * S, &part),
        (2, 110 * S, "later\n"),
        (1, 100 * S, "end\n"),
        (2, 50 * S, "back\n"),
        (1, 50 * S, "back too\n"),
    ];
    let steps: Vec<_> = log
        .iter()
        .map(|(kind, at, text)| frames.push(&message(*kind, *at, text), &mut lines).unwrap().step)
        .collect();
    let sixty = Some(jiff::SignedDuration::from_secs(60));
    assert_eq!(steps, [None, None, None, None, None, sixty, None]);
    assert_eq!(lines.len(), 6);
}

/// A log as the engine keeps it: lines of both streams, some long, with
/// timestamps that repeat.
fn log() -> impl Strategy<Value = Vec<(u8, i128, usize)>> {
    prop::collection::vec(
        (1u8..3, 0i128..3, prop_oneof![9 => 0usize..60, 1 => 16_000usize..40_000]),
        1..30,
    )
}

fn messages(log: &[(u8, i128, usize)]) -> Vec<Vec<u8>> {
    let mut now = 0;
    let mut all = Vec::new();
    for (number, (kind, step, length)) in log.iter().enumerate() {
        now += step;
        let text = format!("{number}:{}", "y".repeat(*length));
        let mut parts = text.as_bytes().chunks(FULL_PART).peekable();
        while let Some(part) = parts.next() {
            let end = if parts.peek().is_none() { "\n" } else { "" };
            all.push(message(*kind, now, &format!("{}{end}", String::from_utf8_lossy(part))));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_portions_give_the_same_lines(log in log(), sizes in prop::collection::vec(1usize..5000, 1..20)) {
        let bytes = messages(&log).concat();
        let whole = read(&mut fresh(), &bytes);
        prop_assert_eq!(whole.len(), log.len());
        let (mut frames, mut lines, mut rest, mut turn) = (fresh(), Vec::new(), &bytes[..], 0);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(sizes[turn % sizes.len()].min(rest.len()));
            lines.extend(read(&mut frames, now));
            rest = later;
            turn += 1;
        }
        prop_assert_eq!(lines, whole);
    }

    #[test]
    fn a_ttys_output_survives_any_portions_too(log in log(), size in 1usize..3000) {
        let text: String = messages(&log).iter()
            .map(|message| String::from_utf8_lossy(&message[8..]).replace('\n', "\r\n"))
            .collect();
        let mut frames = Frames::new(Framing::Bare, Search::everything(), OutputChoice::Both);
        let lines: Vec<Line> =
            text.as_bytes().chunks(size).flat_map(|part| read(&mut frames, part)).collect();
        prop_assert_eq!(lines.len(), log.len());
        for (number, (line, (_, _, length))) in lines.iter().zip(&log).enumerate() {
            prop_assert_eq!(&line.text, &format!("{number}:{}", "y".repeat(*length)));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for framing in [Framing::Framed, Framing::Bare] {
            let mut lines = VecDeque::new();
            let mut frames = Frames::new(framing, Search::everything(), OutputChoice::Both);
            let _ = frames.push(&bytes, &mut lines);
            frames.finish(&mut lines);
        }
    }
}
