use super::*;

/// A server whose daemon echoes the words; `sleep` is never answered.
struct World {
    directory: tempfile::TempDir,
    cancel: CancellationToken,
}

impl World {
    async fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::bind(&directory.path().join("fail2ban.sock")).await.unwrap();
        let (requests, mut asked) = mpsc::channel::<Asked>(4);
        let cancel = CancellationToken::new();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(Asked { request, answer, .. }) = asked.recv().await {
                match request {
                    Request::Fail2ban { words } if words[0] == "sleep" => kept.push(answer),
                    Request::Fail2ban { words } if words[0] == "status" => {
                        let exception = Exception::UnknownJail;
                        drop(answer.send(Reply::Raised { exception, message: words[1].clone() }));
                    }
                    Request::Fail2ban { words } => {
                        drop(answer.send(Reply::Fail2ban { value: Value::texts(words) }));
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        tokio::spawn(server.run(requests, cancel.clone()));
        World { directory, cancel }
    }

    async fn client(&self) -> UnixStream {
        UnixStream::connect(self.directory.path().join("fail2ban.sock")).await.unwrap()
    }
}

async fn say(client: &mut UnixStream, pickle: &[u8]) {
    client.write_all(pickle).await.unwrap();
    client.write_all(END).await.unwrap();
}

/// The bytes before the next end mark; `None` at the end.
async fn hear(client: &mut UnixStream) -> Option<Vec<u8>> {
    next_request(client, &mut Vec::new()).await.unwrap()
}

fn echoed(words: &[&str]) -> Vec<u8> {
    pickle::answer(&Value::texts(words.iter().copied()))
}

#[tokio::test]
async fn words_come_in_and_a_pickle_goes_out() {
    let world = World::new().await;
    let mut client = world.client().await;
    say(&mut client, b"\x80\x04](\x8c\x04echo\x8c\x01aK\x07e.").await;
    assert_eq!(hear(&mut client).await, Some(echoed(&["echo", "a", "7"])));
    // One after the other, on the same connection.
    say(&mut client, b"(lVping\na.").await;
    assert_eq!(hear(&mut client).await, Some(echoed(&["ping"])));
    say(&mut client, b"](Vstatus\nVx\ne.").await;
    assert_eq!(hear(&mut client).await, Some(pickle::raised(Exception::UnknownJail, "x")));
    say(&mut client, CLOSE).await;
    assert_eq!(hear(&mut client).await, None);
}

#[tokio::test]
async fn hostile_clients_get_nowhere_and_keep_nobody_waiting() {
    let world = World::new().await;
    let mut program = world.client().await;
    say(&mut program, b"cos\nsystem\n(S'id'\ntR.").await;
    let said = hear(&mut program).await.unwrap();
    assert!(String::from_utf8_lossy(&said).contains("only lists, texts and numbers"));
    assert_eq!(hear(&mut program).await, None, "it is hung up on");

    let mut huge = world.client().await;
    // It may be hung up on while it still sends.
    let _ = huge.write_all(&vec![b'a'; 2 * MAX_REQUEST]).await;
    let mut rest = Vec::new();
    let _ = huge.read_to_end(&mut rest).await;
    assert!(rest.is_empty());

    // One that stops in the middle, one whose answer does not come, one half closed.
    let mut slow = world.client().await;
    slow.write_all(b"](Vping").await.unwrap();
    let mut waiting = world.client().await;
    say(&mut waiting, b"](Vsleep\ne.").await;
    let mut half = world.client().await;
    say(&mut half, b"](Vecho\nVhalf\ne.").await;
    half.shutdown().await.unwrap();
    assert_eq!(hear(&mut half).await, Some(echoed(&["echo", "half"])));
    let mut other = world.client().await;
    say(&mut other, b"](Vping\ne.").await;
    assert_eq!(hear(&mut other).await, Some(echoed(&["ping"])));
    slow.write_all(b"\ne.").await.unwrap();
    slow.write_all(END).await.unwrap();
    assert_eq!(hear(&mut slow).await, Some(echoed(&["ping"])));
    world.cancel.cancel();
}

#[tokio::test]
async fn clients_are_bounded_and_the_socket_is_guards_own() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    let path = world.directory.path().join("fail2ban.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut clients = Vec::new();
    for _ in 0..MAX_CLIENTS {
        let mut client = world.client().await;
        say(&mut client, b"](Vping\ne.").await;
        assert!(hear(&mut client).await.is_some());
        clients.push(client);
    }
    let mut one_more = world.client().await;
    let _ = one_more.write_all(b"](Vping\ne.<F2B_END_COMMAND>").await;
    let mut rest = Vec::new();
    let _ = one_more.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    clients.truncate(1);
    say(&mut clients[0], b"](Vping\ne.").await;
    assert!(hear(&mut clients[0]).await.is_some());
}

#[tokio::test]
async fn whatever_others_do_who_asks_is_answered() {
    let world = World::new().await;
    let mut hostile = JoinSet::new();
    for number in 0..MAX_CLIENTS - 1 {
        let mut client = world.client().await;
        hostile.spawn(async move {
            let ask = [&b"](Vping\ne."[..], END].concat();
            loop {
                let sent = match number % 4 {
                    // Marks alone, a pickle without an end, byte by byte, and questions whose
                    // answers are never read.
                    0 => client.write_all(&END.repeat(1000)).await,
                    1 => client.write_all(&[b'('; 64 * 1024]).await,
                    2 => client.write_all(&ask[..1]).await,
                    _ => client.write_all(&ask).await,
                };
                if sent.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let mut client = world.client().await;
    for _ in 0..20 {
        say(&mut client, b"](Vping\ne.").await;
        assert_eq!(hear(&mut client).await, Some(echoed(&["ping"])));
    }
    hostile.abort_all();
    world.cancel.cancel();
}

#[test]
fn any_bytes_are_words_or_refused() {
    use proptest::prelude::*;
    // Instructions that the reader knows, more often than chance would have it.
    let instruction =
        prop::sample::select(b"(]}l)te.aIVKMJU\x8cXq0r\x94hj\x80\x85N\x88\x89d".to_vec());
    let byte = prop_oneof![3 => instruction, 1 => any::<u8>()];
    proptest!(|(bytes in prop::collection::vec(byte, 0..200))| {
        if let Ok(words) = words(&bytes) {
            let long: usize = words.iter().map(String::len).sum();
            prop_assert!(words.len() <= bytes.len() && long <= 4 << 20);
            let _ = crate::control::fail2ban::Command::parse(&words);
        }
    });
}
