//! Attaching to a log that is there already: whatever became of it meanwhile.
//!
//! What an engine can't be brought to do in a test, such as a clock that is set back,
//! is written into its `json-file` while the container stands.

use std::fmt::Write as _;
use std::fs;

use guard::docker::{Engine, OutputBatch, OutputChoice, OutputNews, OutputReader, OutputStart};
use guard::model::{Container, Line, Position, Timestamp};

use crate::lab::{DEADLINE, LABEL, Lab, in_every_lab, texts};
use crate::proxy::Proxy;

#[test]
fn attaching_finds_its_place_in_any_log() {
    in_every_lab("attaching_finds_its_place_in_any_log", async |lab| {
        let (engine, container) = standing(lab).await;
        what_was_rotated_away_is_told_once(lab, &engine, &container).await;
        a_clock_that_was_set_back_loses_nothing(lab, &engine, &container).await;
        a_place_deep_in_a_long_log_is_found(lab, &engine, &container).await;
        a_first_start_goes_back_to_its_time(lab, &engine, &container).await;
        a_quiet_stream_that_is_cut_is_no_news(lab).await;
    });
}

#[test]
fn an_engine_that_is_restarted_loses_and_doubles_nothing() {
    in_every_lab("an_engine_that_is_restarted_loses_and_doubles_nothing", async |lab| {
        for settings in ["{}", r#"{"live-restore": true}"#] {
            lab.restart_engine(settings);
            across_an_engines_restart(lab, settings).await;
        }
    });
}

/// A container that has ended; its log is the tests' to write.
async fn standing(lab: &Lab) -> (Engine, Container) {
    lab.run("standing", &LABEL, "echo begin");
    lab.docker(&["wait", "standing"]);
    lab.found("standing").await
}

/// A log of one line a second, numbered by its second.
fn log(seconds: impl Iterator<Item = i64>) -> String {
    let mut log = String::new();
    for second in seconds {
        let at = Timestamp::from_second(1_700_000_000 + second).unwrap();
        let stream = if second % 5 == 0 { "stderr" } else { "stdout" };
        let entry = r#"{"log":"line SECOND\n","stream":"STREAM","time":"TIME"}"#;
        let entry = entry.replace("SECOND", &second.to_string());
        let entry = entry.replace("STREAM", stream).replace("TIME", &at.to_string());
        writeln!(log, "{entry}").unwrap();
    }
    log
}

fn expected(seconds: impl Iterator<Item = i64>) -> Vec<String> {
    seconds.map(|second| format!("line {second}")).collect()
}

/// All that comes of a container that stands.
async fn read(reader: &mut OutputReader) -> (Vec<Line>, Vec<OutputNews>) {
    let (mut all, mut news) = (Vec::new(), Vec::new());
    let read = async {
        loop {
            match reader.next().await.unwrap() {
                OutputBatch::Lines { lines, .. } => all.extend(lines),
                OutputBatch::News(told) => news.push(told),
                OutputBatch::Known(lines) => panic!("nothing is read again: {lines:?}"),
                OutputBatch::Ended => break,
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    (all, news)
}

async fn read_from(
    engine: &Engine,
    container: &Container,
    start: OutputStart,
) -> (Vec<Line>, Vec<OutputNews>, Position) {
    let mut reader = engine.output(container, &start, OutputChoice::Both);
    let (lines, news) = read(&mut reader).await;
    (lines, news, reader.position())
}

const START: OutputStart = OutputStart::After(Position::OUTPUT_START);

async fn what_was_rotated_away_is_told_once(lab: &Lab, engine: &Engine, container: &Container) {
    fs::write(lab.log_file("standing"), log(0..100)).unwrap();
    let (lines, news, place) = read_from(engine, container, START).await;
    assert_eq!((texts(&lines).len(), news), (100, vec![]));
    fs::write(lab.log_file("standing"), log(500..700)).unwrap();
    let (lines, news, place) = read_from(engine, container, OutputStart::After(place)).await;
    assert_eq!(texts(&lines), expected(500..700));
    let [OutputNews::Gap(gap)] = news[..] else { panic!("{news:?}") };
    assert_eq!(gap.after.as_second(), 1_700_000_099);
    assert_eq!(gap.before.map(Timestamp::as_second), Some(1_700_000_500));
    let (lines, news, _) = read_from(engine, container, OutputStart::After(place)).await;
    assert_eq!((texts(&lines).len(), news), (0, vec![]));
}

async fn a_clock_that_was_set_back_loses_nothing(
    lab: &Lab,
    engine: &Engine,
    container: &Container,
) {
    let file = lab.log_file("standing");
    fs::write(&file, log(10_000..10_400)).unwrap();
    let (_, _, place) = read_from(engine, container, START).await;
    // Two hours back.
    let both = log(10_000..10_400) + &log(2_800..3_100);
    fs::write(&file, both).unwrap();
    let (lines, news, end) = read_from(engine, container, OutputStart::After(place.clone())).await;
    assert_eq!(texts(&lines), expected(2_800..3_100));
    let [OutputNews::ClockSetBack(by)] = news[..] else { panic!("{news:?}") };
    assert_eq!(by.as_secs(), 10_399 - 2_800);
    // From every place behind the step, too.
    for number in (0..lines.len()).step_by(37) {
        let mut from = place.clone();
        lines[..=number].iter().for_each(|line| from.advance(&line.mark));
        let (rest, news, reached) = read_from(engine, container, OutputStart::After(from)).await;
        assert_eq!((&rest[..], news, reached), (&lines[number + 1..], vec![], end.clone()));
    }
}

async fn a_place_deep_in_a_long_log_is_found(lab: &Lab, engine: &Engine, container: &Container) {
    const LINES: i64 = 60_000;
    let file = lab.log_file("standing");
    for back in [0, 1, 255, 256, 257, 3_000, 40_000, LINES - 1] {
        fs::write(&file, log(0..LINES - back)).unwrap();
        let before = log(LINES - back - 3..LINES - back);
        fs::write(&file, &before).unwrap();
        let (_, _, place) = read_from(engine, container, START).await;
        fs::write(&file, log(0..LINES)).unwrap();
        let (lines, news, _) = read_from(engine, container, OutputStart::After(place)).await;
        assert_eq!(texts(&lines), expected(LINES - back..LINES), "{back} lines back");
        assert_eq!(news, []);
    }
}

async fn a_first_start_goes_back_to_its_time(lab: &Lab, engine: &Engine, container: &Container) {
    fs::write(lab.log_file("standing"), log(0..9_000)).unwrap();
    // Else nothing in its log could be older.
    let container = Container { created: Timestamp::UNIX_EPOCH, ..container.clone() };
    for from in [8_999, 8_000, 1, 0, -100] {
        let at = Timestamp::from_second(1_700_000_000 + from).unwrap();
        let (lines, news, _) = read_from(engine, &container, OutputStart::Since(at)).await;
        assert_eq!(texts(&lines), expected(from.max(0)..9_000));
        assert_eq!(news, []);
    }
}

async fn a_quiet_stream_that_is_cut_is_no_news(lab: &Lab) {
    let script = "trap 'echo spoken $i; i=$((i+1))' USR1; i=0; echo ready; \
        while true; do /bin/busybox sleep 1000 & wait; done";
    lab.run("quiet", &LABEL, script);
    let (_, container) = lab.found("quiet").await;
    let proxy = Proxy::start(lab.socket());
    let engine = Engine::connect_to(&proxy.docker_host(), false).await.unwrap();
    let mut reader = engine.output(&container, &START, OutputChoice::Both);
    let mut said = Vec::new();
    let read = async {
        for number in 0..4 {
            // Silence is all that comes, whatever is cut meanwhile.
            while said.len() < number + 1 {
                match reader.next().await.unwrap() {
                    OutputBatch::Lines { lines, .. } => said.extend(lines),
                    other => panic!("{other:?}"),
                }
            }
            proxy.cut();
            let cut = tokio::time::timeout(std::time::Duration::from_millis(700), reader.next());
            assert!(cut.await.is_err(), "nothing was said");
            lab.docker(&["kill", "-s", "USR1", "quiet"]);
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    assert_eq!(texts(&said), ["ready", "spoken 0", "spoken 1", "spoken 2"]);
}

async fn across_an_engines_restart(lab: &mut Lab, settings: &str) {
    let name = if settings == "{}" { "stopped" } else { "living" };
    let script = "i=0; while [ $i -lt 100000 ]; do echo line $i; i=$((i+1)); \
        /bin/busybox usleep 20000; done";
    lab.run(name, &[&LABEL[..], &["--init=false", "--stop-signal", "KILL"]].concat(), script);
    let (engine, container) = lab.found(name).await;
    let mut reader = engine.output(&container, &START, OutputChoice::Both);
    let mut all = crate::lab::lines(&mut reader, 20).await;
    lab.restart_engine(settings);
    let more = async {
        while let Ok(batch) = reader.next().await {
            match batch {
                OutputBatch::Lines { lines, .. } => all.extend(lines),
                OutputBatch::News(OutputNews::Trouble(_) | OutputNews::Recovered) => {}
                OutputBatch::News(news) => panic!("{news:?}"),
                OutputBatch::Known(lines) => panic!("nothing is read again: {lines:?}"),
                OutputBatch::Ended => break,
            }
            if settings != "{}" && all.len() > 150 {
                break;
            }
        }
    };
    tokio::time::timeout(DEADLINE, more).await.unwrap();
    assert!(all.len() >= 20);
    for (number, line) in all.iter().enumerate() {
        assert_eq!(line.text, format!("line {number}"));
    }
    lab.docker(&["rm", "-f", name]);
}
