//! Output is read line by line, to its last word.

use guard::docker::{DockerError, OutputBatch, OutputChoice, OutputStart};
use guard::model::{Position, Timestamp};

use crate::lab::{DEADLINE, LABEL, Lab, all_output, in_every_lab, texts, to_the_end};

#[test]
fn output_is_read_to_its_last_word() {
    in_every_lab("output_is_read_to_its_last_word", async |lab| {
        for driver in DRIVERS {
            both_streams_are_read_from_any_place(lab, driver).await;
        }
        a_ttys_output_hides_nothing(lab).await;
        an_unreadable_driver_is_named(lab).await;
    });
}

/// Drivers that can be read, the last one by the engine's own copy.
const DRIVERS: [&[&str]; 4] = [
    &["--log-driver", "json-file"],
    &["--log-driver", "local"],
    &["--log-driver", "json-file", "--log-opt", "max-size=30k", "--log-opt", "max-file=9"],
    &["--log-driver", "syslog", "--log-opt", "syslog-address=udp://127.0.0.1:5140"],
];

async fn both_streams_are_read_from_any_place(lab: &Lab, driver: &[&str]) {
    let script = "echo one; echo two >&2; \
        /bin/busybox head -c 40000 /dev/zero | /bin/busybox tr '\\0' x; echo; printf 'last words'";
    lab.run("streams", &[&LABEL, driver].concat(), script);
    let (engine, container) = lab.found("streams").await;
    let mut reader = all_output(&engine, &container);
    let all = to_the_end(&mut reader).await;
    let mut seen = texts(&all);
    // Docker copies each stream for itself: which of the two is first is chance.
    seen.sort_by_key(|text| (text.len(), *text));
    assert_eq!(seen[..3], ["one", "two", "last words"]);
    assert_eq!((seen.len(), seen[3].len()), (4, 40_000));
    let OutputBatch::Ended = reader.next().await.unwrap() else { panic!("it has ended") };

    let start = OutputStart::After(Position::OUTPUT_START);
    for (choice, expected) in [(OutputChoice::Stderr, 1), (OutputChoice::Stdout, 3)] {
        let mut reader = engine.output(&container, &start, choice);
        assert_eq!(to_the_end(&mut reader).await.len(), expected);
    }
    // From any line's place, exactly the lines after it.
    for count in 0..=all.len() {
        let mut position = Position::OUTPUT_START;
        all[..count].iter().for_each(|line| position.advance(&line.mark));
        let mut reader =
            engine.output(&container, &OutputStart::After(position), OutputChoice::Both);
        let rest = to_the_end(&mut reader).await;
        assert_eq!(texts(&rest), texts(&all[count..]));
        assert_eq!(reader.position(), {
            let mut end = Position::OUTPUT_START;
            all.iter().for_each(|line| end.advance(&line.mark));
            end
        });
    }
    let later = OutputStart::Since(Timestamp::now() + jiff::SignedDuration::from_secs(60));
    let mut reader = engine.output(&container, &later, OutputChoice::Both);
    assert_eq!(to_the_end(&mut reader).await, []);
    lab.docker(&["rm", "-f", "streams"]);
}

async fn a_ttys_output_hides_nothing(lab: &Lab) {
    let script = "printf 'one\\n\\001\\000\\000\\000\\000\\000\\000\\377two\\nthree\\n'; \
        /bin/busybox head -c 40000 /dev/zero | /bin/busybox tr '\\0' x; printf '\\nlast\\n'";
    lab.run("tty", &["-t", LABEL[0], LABEL[1]], script);
    let (engine, container) = lab.found("tty").await;
    assert!(container.tty);
    let all = to_the_end(&mut all_output(&engine, &container)).await;
    let seen = texts(&all);
    assert_eq!((seen.len(), seen[0], seen[2], seen[4]), (5, "one", "three", "last"));
    assert!(seen[1].ends_with("two"));
    assert_eq!(seen[3].len(), 40_000);
}

async fn an_unreadable_driver_is_named(lab: &Lab) {
    let options = [LABEL, ["--log-driver", "none"]];
    lab.run("none", &options.concat(), "exec /bin/busybox sleep 1000");
    let (engine, container) = lab.found("none").await;
    let mut reader = all_output(&engine, &container);
    let error = tokio::time::timeout(DEADLINE, reader.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, DockerError::Unreadable { driver, .. } if driver == "none"),
        "{error:?}"
    );
    assert!(error.is_permanent() && error.sentence().contains("logging: {driver: local}"));
}
