use std::os::unix::net::UnixStream as Blocking;

use tokio::io::{AsyncBufReadExt, BufReader};

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::control::protocol::{decode_reply, encode_request};
use crate::model::News;

/// A server at a socket of its own, with a daemon that answers `version` and
/// leaves `flush` unanswered.
struct World {
    directory: tempfile::TempDir,
    events: broadcast::Sender<Event>,
    cancel: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl World {
    async fn new(patience: Patience) -> World {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server::bind(&directory.path().join("guard.sock")).await.unwrap();
        server.patience = patience;
        let (requests, mut asked) = mpsc::channel::<Asked>(4);
        let (events, _) = broadcast::channel(8);
        let cancel = CancellationToken::new();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(Asked { request, answer, .. }) = asked.recv().await {
                match request {
                    Request::Flush => kept.push(answer),
                    _ => drop(answer.send(Reply::Version { guard: "test".into() })),
                }
            }
        });
        let server = tokio::spawn(server.run(requests, events.clone(), cancel.clone()));
        World { directory, events, cancel, server }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("guard.sock")
    }

    async fn client(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.path()).await.unwrap())
    }
}

/// Short for what a test waits for, long for all else.
fn patience() -> Patience {
    Patience::default()
}

async fn say(client: &mut BufReader<UnixStream>, bytes: &[u8]) {
    client.get_mut().write_all(bytes).await.unwrap();
}

/// The next line, or `None` at the end.
async fn hear(client: &mut BufReader<UnixStream>) -> Option<Reply> {
    let mut line = String::new();
    while line.trim().is_empty() {
        line.clear();
        let read = timeout(Duration::from_secs(60), client.read_line(&mut line));
        if read.await.expect("an answer within a minute").unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(decode_reply(line.as_bytes()).unwrap())
}

fn version() -> Option<Reply> {
    Some(Reply::Version { guard: "test".into() })
}

fn is_refused(reply: Option<Reply>, expected: RefusedKind, words: &str) {
    let Some(Reply::Refused { kind, message }) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(kind, expected);
    assert!(message.contains(words), "{message}");
}

fn event(number: u64) -> Event {
    let what = number.to_string();
    Event { at: crate::model::Timestamp::UNIX_EPOCH, news: News::Repaired { what } }
}

#[tokio::test]
async fn requests_are_answered_in_order() {
    let world = World::new(patience()).await;
    let mut client = world.client().await;
    let ask = encode_request(&Request::Version);
    say(&mut client, &[&ask[..], b"\n", b"nonsense\n", &ask].concat()).await;
    assert_eq!(hear(&mut client).await, version());
    is_refused(hear(&mut client).await, RefusedKind::Usage, "not understood");
    assert_eq!(hear(&mut client).await, version());
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_goes_with_the_server() {
    let world = World::new(patience()).await;
    let mode = fs::metadata(world.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    world.cancel.cancel();
    world.server.await.unwrap();
    assert!(fs::symlink_metadata(world.directory.path().join("guard.sock")).is_err());
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_and_the_rest_not_read_as_requests() {
    let world = World::new(patience()).await;
    let mut client = world.client().await;
    let (read, mut write) = client.get_mut().split();
    let mut garbage = vec![b'x'; 2 << 20];
    garbage.extend(b"\n");
    let mut answer = String::new();
    let mut read = BufReader::new(read);
    let (_, heard) = tokio::join!(
        async {
            let _ = write.write_all(&garbage).await;
            let _ = write.write_all(&encode_request(&Request::Version)).await;
            let _ = write.shutdown().await;
        },
        read.read_line(&mut answer)
    );
    heard.unwrap();
    is_refused(decode_reply(answer.as_bytes()).ok(), RefusedKind::Usage, "1048576 bytes");
    answer.clear();
    assert_eq!(read.read_line(&mut answer).await.unwrap_or(0), 0, "{answer}");
}

#[tokio::test]
async fn the_longest_request_is_still_read() {
    let world = World::new(patience()).await;
    let mut client = world.client().await;
    let mut line = encode_request(&Request::Version);
    line.splice(0..0, vec![b' '; MAX_REQUEST + 1 - line.len()]);
    say(&mut client, &line).await;
    assert_eq!(hear(&mut client).await, version());
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let world = World::new(patience()).await;
    let mut client = world.client().await;
    say(&mut client, b"\xff\xfe\0\x1b[2J\n").await;
    is_refused(hear(&mut client).await, RefusedKind::Usage, "not understood");
}

#[tokio::test]
async fn a_half_closed_client_gets_its_answer_even_without_a_line_end() {
    let world = World::new(patience()).await;
    let mut client = world.client().await;
    say(&mut client, encode_request(&Request::Version).trim_ascii_end()).await;
    client.get_mut().shutdown().await.unwrap();
    assert_eq!(hear(&mut client).await, version());
    assert_eq!(hear(&mut client).await, None);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_let_go() {
    let world = World::new(Patience { request: Duration::from_millis(50), ..patience() }).await;
    let mut client = world.client().await;
    say(&mut client, b"{\"version\":").await;
    assert_eq!(hear(&mut client).await, None);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let world = World::new(Patience { piece: Duration::from_millis(50), ..patience() }).await;
    let mut client = world.client().await;
    // It asks and asks and never reads, until guard stops listening to it.
    let line = encode_request(&Request::Version);
    let flood = async { while client.get_mut().write_all(&line).await.is_ok() {} };
    timeout(Duration::from_secs(60), flood).await.expect("guard lets it go");
    let mut other = world.client().await;
    say(&mut other, &line).await;
    assert_eq!(hear(&mut other).await, version());
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_told() {
    let world = World::new(Patience { answer: Duration::from_millis(50), ..patience() }).await;
    let mut client = world.client().await;
    say(&mut client, &encode_request(&Request::Flush)).await;
    is_refused(hear(&mut client).await, RefusedKind::Busy, "did not answer in time");
}

#[tokio::test]
async fn the_33rd_client_is_turned_away_and_room_is_made_again() {
    let world = World::new(patience()).await;
    let line = encode_request(&Request::Version);
    let mut served = Vec::new();
    for _ in 0..MAX_CLIENTS {
        let mut client = world.client().await;
        say(&mut client, &line).await;
        assert_eq!(hear(&mut client).await, version());
        served.push(client);
    }
    for _ in MAX_CLIENTS..40 {
        let mut client = world.client().await;
        // It may be closed already.
        let _ = client.get_mut().write_all(&line).await;
        is_refused(hear(&mut client).await, RefusedKind::Busy, "32 clients already");
    }
    served.clear();
    let again = async {
        loop {
            let mut client = world.client().await;
            let _ = client.get_mut().write_all(&line).await;
            if hear(&mut client).await == version() {
                break;
            }
        }
    };
    timeout(Duration::from_secs(60), again).await.expect("places come free");
}

#[tokio::test]
async fn watchers_leave_room_for_those_who_ask() {
    let world = World::new(patience()).await;
    let mut watching = Vec::new();
    for _ in 0..MAX_WATCHERS {
        let mut client = world.client().await;
        say(&mut client, &encode_request(&Request::Watch)).await;
        assert_eq!(hear(&mut client).await, Some(Reply::Watching));
        watching.push(client);
    }
    let mut client = world.client().await;
    say(&mut client, &encode_request(&Request::Watch)).await;
    is_refused(hear(&mut client).await, RefusedKind::Busy, "watch already");
}

#[tokio::test]
async fn who_watches_is_told_what_happens_and_what_was_missed() {
    let world = World::new(patience()).await;
    let mut client = world.client().await;
    say(&mut client, &encode_request(&Request::Watch)).await;
    // As `echo … | nc -U` does; it still wants to hear.
    client.get_mut().shutdown().await.unwrap();
    assert_eq!(hear(&mut client).await, Some(Reply::Watching));
    world.events.send(event(1)).unwrap();
    assert_eq!(hear(&mut client).await, Some(Reply::Event(event(1))));
    // The test's runtime has one thread: the watcher's task can't run between these.
    for number in 0..20 {
        world.events.send(event(number)).unwrap();
    }
    assert_eq!(hear(&mut client).await, Some(Reply::Missed { count: 12 }));
    assert_eq!(hear(&mut client).await, Some(Reply::Event(event(12))));
    world.cancel.cancel();
    world.server.await.unwrap();
}

#[tokio::test]
async fn a_watcher_that_is_gone_is_noticed_in_silence() {
    let world = World::new(Patience { silence: Duration::from_millis(20), ..patience() }).await;
    let mut client = world.client().await;
    say(&mut client, &encode_request(&Request::Watch)).await;
    assert_eq!(hear(&mut client).await, Some(Reply::Watching));
    drop(client);
    let gone = async {
        while world.events.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), gone).await.expect("its task ends");
}

#[tokio::test]
async fn a_second_guard_is_refused_and_the_first_goes_on() {
    let world = World::new(patience()).await;
    let error = Server::bind(&world.path()).await.unwrap_err();
    assert!(matches!(error, BindError::Taken { .. }), "{error}");
    let mut client = world.client().await;
    say(&mut client, &encode_request(&Request::Version)).await;
    assert_eq!(hear(&mut client).await, version());
}

#[tokio::test]
async fn a_dead_guards_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/on/the/way/guard.sock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Blocking::connect(&path).is_err());
    let server = Server::bind(&path).await.unwrap();
    Blocking::connect(&path).unwrap();
    drop(server);
}

#[tokio::test]
async fn missing_directories_are_made() {
    let directory = tempfile::tempdir().unwrap();
    Server::bind(&directory.path().join("a/b/guard.sock")).await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.sock");
    fs::write(&path, "precious").unwrap();
    let error = Server::bind(&path).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn an_ended_server_leaves_its_successors_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.sock");
    let first = Server::bind(&path).await.unwrap();
    fs::remove_file(&path).unwrap();
    let _second = Server::bind(&path).await.unwrap();
    drop(first);
    Blocking::connect(&path).unwrap();
}

#[tokio::test]
async fn what_takes_long_shows_signs_of_life_and_ends_with_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard.sock");
    let mut server = Server::bind(&path).await.unwrap();
    server.patience.piece = Duration::from_millis(40);
    let (requests, mut asked) = mpsc::channel::<Asked>(4);
    let (events, _) = broadcast::channel(8);
    let cancel = CancellationToken::new();
    let server = tokio::spawn(server.run(requests, events, cancel.clone()));
    let request = encode_request(&Request::Try {
        service: "web".into(),
        options: vec![("maxretry".into(), "3".into())],
        since: None,
    });
    let mut client = BufReader::new(UnixStream::connect(&path).await.unwrap());
    say(&mut client, &request).await;
    let Asked { mut answer, progress, .. } = asked.recv().await.unwrap();
    progress.unwrap().send(Reply::Trying { lines: 7 }).await.unwrap();
    assert_eq!(hear(&mut client).await, Some(Reply::Trying { lines: 7 }));
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    assert_eq!(line, "\n", "a sign of life");
    drop(client);
    timeout(Duration::from_secs(60), answer.closed()).await.expect("nobody waits any more");

    // An answer is no end: the next request is answered too.
    let mut client = BufReader::new(UnixStream::connect(&path).await.unwrap());
    for _ in 0..2 {
        say(&mut client, &request).await;
        let Asked { answer, .. } = asked.recv().await.unwrap();
        answer.send(Reply::Version { guard: "test".into() }).unwrap();
        assert_eq!(hear(&mut client).await, version());
    }
    cancel.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn lines_are_given_in_order_and_bounded_however_they_come() {
    let text = [vec![b' '; MAX_REQUEST], b"\n".to_vec(), b"a\n\nb\n".repeat(1000)].concat();
    let mut lines = Lines::new(&text[..]);
    let Ok(Input::Line(first)) = lines.next().await else { panic!("no line") };
    assert_eq!(first.len(), MAX_REQUEST);
    for expected in [&b"a"[..], b"", b"b"].iter().cycle().take(3000) {
        let Ok(Input::Line(line)) = lines.next().await else { panic!("no line") };
        assert_eq!(line, *expected);
    }
    assert!(matches!(lines.next().await, Ok(Input::End)));
    assert!(lines.buffer.capacity() < MAX_REQUEST, "a long line is not kept");

    let text = [&vec![b' '; MAX_REQUEST + 1][..], b"\nx\n"].concat();
    assert!(matches!(Lines::new(&text[..]).next().await, Ok(Input::TooLong)));
    let mut endless = Lines::new(tokio::io::repeat(b'x'));
    assert!(matches!(endless.next().await, Ok(Input::TooLong)));
    assert!(endless.buffer.capacity() <= 4 * MAX_REQUEST);
}

#[tokio::test]
async fn json_that_nobody_would_write_is_refused() {
    let world = World::new(patience()).await;
    let mut client = world.client().await;
    let deep = |open: &str, close: &str| {
        format!(
            "{{\"version\":1,\"request\":\"ban\",\"networks\":{}{}}}\n",
            open.repeat(100_000),
            close.repeat(100_000)
        )
    };
    for line in [
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "{\"version\":1,\"request\":\"try\"}\n".to_owned(),
        "{\"version\":1,\"request\":{\"doctor\":1}}\n".to_owned(),
        "{\"version\":1e999,\"request\":\"ping\"}\n".to_owned(),
        "{\"version\":-1,\"request\":\"ping\"}\n".to_owned(),
        "{\"version\":1,\"version\":2,\"request\":\"ping\"}\n".to_owned(),
        "{\"version\":1,\"request\":\"history\",\"limit\":99999999999}\n".to_owned(),
        "{\"version\":1,\"request\":\"ban\",\"networks\":[\"192.0.2.0/33\"]}\n".to_owned(),
        "\u{feff}{\"version\":1,\"request\":\"ping\"}\n".to_owned(),
        "[]\n".to_owned(),
        "null\n".to_owned(),
    ] {
        say(&mut client, line.as_bytes()).await;
        let start = &line[..line.len().min(60)];
        let Some(Reply::Refused { kind: RefusedKind::Usage, message }) = hear(&mut client).await
        else {
            panic!("not refused: {start}")
        };
        assert!(message.len() < 500, "{message}");
    }
    say(&mut client, &encode_request(&Request::Version)).await;
    assert_eq!(hear(&mut client).await, version());
}

#[tokio::test]
async fn whatever_others_do_who_asks_is_answered() {
    let world = World::new(patience()).await;
    let mut hostile = JoinSet::new();
    for number in 0..MAX_CLIENTS - 1 {
        let mut client = UnixStream::connect(world.path()).await.unwrap();
        hostile.spawn(async move {
            let ask = encode_request(&Request::Version);
            loop {
                let sent = match number % 5 {
                    // Garbage with many line ends, garbage without one, byte by byte, questions
                    // whose answers are never read, and one that is never answered.
                    0 => client.write_all(&b"\xff\n\0\n\n".repeat(2000)).await,
                    1 => client.write_all(&[b'x'; 64 * 1024]).await,
                    2 => client.write_all(&ask[..1]).await,
                    3 => client.write_all(&ask).await,
                    _ => client.write_all(&encode_request(&Request::Flush)).await,
                };
                if sent.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..20 {
        let mut client = world.client().await;
        say(&mut client, &encode_request(&Request::Version)).await;
        assert_eq!(hear(&mut client).await, version());
        drop(client);
        // Its place comes free when its task has seen the end.
        tokio::task::yield_now().await;
    }
    hostile.abort_all();
}
