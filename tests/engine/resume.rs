//! Whatever happens to a container, its log or the connection: no line is lost, and
//! none comes twice.

use guard::docker::{Engine, OutputBatch, OutputChoice, OutputStart};

use crate::lab::{DEADLINE, LABEL, Lab, all_output, in_every_lab, lines};
use crate::proxy::Proxy;

#[test]
fn no_line_is_lost_and_none_comes_twice() {
    in_every_lab("no_line_is_lost_and_none_comes_twice", async |lab| {
        a_restart_goes_on_where_it_was(lab).await;
        rotation_under_the_reader_neither_loses_nor_repeats(lab).await;
        cut_connections_lose_and_double_nothing(lab).await;
    });
}

async fn a_restart_goes_on_where_it_was(lab: &Lab) {
    lab.run(
        "restarted",
        &LABEL,
        // Each run has a name of its own.
        "echo $(/bin/busybox cat /proc/sys/kernel/random/uuid) begins; printf 'no end'; \
         exec /bin/busybox sleep 1000",
    );
    let (engine, container) = lab.found("restarted").await;
    let mut reader = all_output(&engine, &container);
    let first = lines(&mut reader, 1).await;
    assert!(first[0].text.ends_with("begins"));
    lab.docker(&["restart", "-t", "0", "restarted"]);
    // Ends and is made anew, or re-attaches by itself: that depends on who is quicker.
    let mut all = Vec::new();
    let read = async {
        while all.len() < 2 {
            match reader.next().await.unwrap() {
                OutputBatch::Lines { lines, .. } => all.extend(lines),
                OutputBatch::News(news) => panic!("a restart is no news: {news:?}"),
                OutputBatch::Known(lines) => panic!("nothing is read again: {lines:?}"),
                OutputBatch::Ended => {
                    let place = OutputStart::After(reader.position());
                    reader = engine.output(&container, &place, OutputChoice::Both);
                }
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    assert_eq!(all[0].text, "no end");
    assert!(all[1].text.ends_with("begins"), "{}", all[1].text);
    assert_ne!(all[1].text, first[0].text);
}

async fn rotation_under_the_reader_neither_loses_nor_repeats(lab: &Lab) {
    let options = [LABEL, ["--log-opt", "max-size=60k"], ["--log-opt", "max-file=5"]];
    lab.run(
        "rotated",
        &options.concat(),
        "/bin/busybox sleep 1; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); \
         [ $((i%20)) = 0 ] && /bin/busybox usleep 8000; done; exec /bin/busybox sleep 1000",
    );
    let (engine, container) = lab.found("rotated").await;
    let all = lines(&mut all_output(&engine, &container), 3000).await;
    for (number, line) in all.iter().enumerate() {
        assert_eq!(line.text, format!("line {number}"));
    }
}

async fn cut_connections_lose_and_double_nothing(lab: &Lab) {
    lab.run(
        "cut",
        &LABEL,
        "/bin/busybox sleep 1; i=0; while [ $i -lt 400 ]; do echo out $i; echo err $i >&2; i=$((i+1)); \
         /bin/busybox usleep 4000; done; exec /bin/busybox sleep 1000",
    );
    let (_, container) = lab.found("cut").await;
    let proxy = Proxy::start(lab.socket());
    let engine = Engine::connect_to(&proxy.docker_host(), false).await.unwrap();
    let mut reader = all_output(&engine, &container);
    let (mut all, mut cuts) = (Vec::new(), 0);
    let read = async {
        while all.len() < 800 {
            match reader.next().await.unwrap() {
                OutputBatch::Lines { lines, .. } => all.extend(lines),
                OutputBatch::News(news) => panic!("a cut is no news: {news:?}"),
                OutputBatch::Known(lines) => panic!("nothing is read again: {lines:?}"),
                OutputBatch::Ended => panic!("it runs"),
            }
            if all.len() / 100 > cuts {
                cuts = all.len() / 100;
                proxy.cut();
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    assert!(cuts >= 5);
    for stream in ["out", "err"] {
        let texts: Vec<&str> =
            all.iter().map(|l| l.text.as_str()).filter(|t| t.starts_with(stream)).collect();
        let expected: Vec<String> = (0..400).map(|number| format!("{stream} {number}")).collect();
        assert_eq!(texts, expected);
    }
}
