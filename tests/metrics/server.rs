//! The server: what it answers, and that nobody holds it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use guard::report::http::{Answer, Listener, Page, Patience, serve};
use guard::report::metrics::Format;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// So long that nobody is ever hung up on for it.
const NEVER: Duration = Duration::from_secs(100_000);

/// Long enough for everything that comes at all.
const DEADLINE: Duration = Duration::from_secs(30);

struct Server {
    address: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
    cancel: CancellationToken,
}

impl Server {
    async fn start(patience: Patience) -> Server {
        Server::with_pages_of(200_000, patience).await
    }

    async fn with_pages_of(lines: usize, patience: Patience) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let cancel = CancellationToken::new();
        let count = Arc::clone(&asked);
        let classic: Arc<str> = "classic\n".repeat(lines).into();
        let page = move |page| {
            count.fetch_add(1, Ordering::Relaxed);
            let classic = Arc::clone(&classic);
            async move {
                Some(match page {
                    Page::Metrics(Format::OpenMetrics) => {
                        Answer { well: true, text: "open\n# EOF\n".into() }
                    }
                    Page::Metrics(Format::Prometheus) => Answer { well: true, text: classic },
                    Page::Health => Answer { well: false, text: "not well\n".into() },
                })
            }
        };
        tokio::spawn(serve(Listener::Tcp(listener), patience, page, cancel.clone()));
        Server { address, asked, cancel }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The whole answer to a request, head and body, until the server hangs up.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // What was not read of a request makes the end a reset.
    let _ = tokio::time::timeout(DEADLINE, read).await.expect("the server hangs up");
    String::from_utf8(answer).unwrap()
}

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

#[tokio::test]
async fn pages_are_given_out_and_nothing_else() {
    let server = Server::start(Patience::default()).await;
    let answer = server.ask(&get("/metrics", "")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(body, "classic\n".repeat(200_000));
    let accept = "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n";
    let answer = server.ask(&get("/metrics?x=1", accept)).await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nopen\n# EOF\n"), "{answer}");
    let answer = server.ask(&get("/healthz", "")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("not well\n"), "{answer}");
    let answer = server.ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\n"), "{answer}");
    let asked = server.asked.load(Ordering::Relaxed);
    for (request, status) in [
        (get("/", ""), "200"),
        (get("/metrics/", ""), "404"),
        (get("/../etc/passwd", ""), "404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".into(), "405"),
        ("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n".into(), "405"),
        (get("/metrics", &format!("X: {}\r\n", "x".repeat(100_000))), "431"),
        (get("/metrics", &"X: y\r\n".repeat(1000)), "431"),
        (get(&format!("/{}", "x".repeat(100_000)), ""), "4"),
        ("\x16\x03\x01 no HTTP\r\n\r\n".into(), "400"),
    ] {
        let answer = server.ask(&request).await;
        let short: String = request.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{short}: {answer}");
    }
    assert_eq!(server.asked.load(Ordering::Relaxed), asked, "nobody was asked for those");
    server.cancel.cancel();
}

#[tokio::test]
async fn who_is_slow_holds_nobody_up() {
    let patience = Patience {
        head: Duration::from_millis(300),
        all: Duration::from_millis(1500),
        ..Patience::default()
    };
    let server = Server::start(patience).await;
    // More than there is room for: silent ones, slow ones, those that do not read.
    let mut slow = Vec::new();
    for number in 0..48 {
        let mut stream = server.connect().await;
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").await.unwrap(),
            _ => stream.write_all(get("/metrics", "").as_bytes()).await.unwrap(),
        }
        slow.push(stream);
    }
    let answer = server.ask(&get("/healthz", "")).await;
    assert!(answer.ends_with("not well\n"), "{answer}");
    // Each is hung up on, whatever it does.
    for stream in &mut slow {
        rest(stream).await;
    }
    let answer = server.ask(&get("/metrics", "")).await;
    assert!(answer.ends_with("classic\n"));
    server.cancel.cancel();
    let refused = async {
        loop {
            let Ok(mut stream) = TcpStream::connect(server.address).await else { return };
            let _ = stream.write_all(get("/", "").as_bytes()).await;
            if rest(&mut stream).await.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.expect("it ends when it is told to");
}

/// Half a head, and no more for ever, from more clients than are kept.
#[tokio::test]
async fn who_never_asks_keeps_nobody_from_asking() {
    let server = Server::start(Patience { head: NEVER, all: NEVER, ..Patience::default() }).await;
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = server.connect().await;
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").await.unwrap();
        }
        silent.push(stream);
        if number == 64 {
            let answer = server.ask(&get("/healthz", "")).await;
            assert!(answer.ends_with("not well\n"), "{answer}");
        }
    }
    let answer = server.ask(&get("/healthz", "")).await;
    assert!(answer.ends_with("not well\n"), "{answer}");
    // The oldest make way for the newest.
    for stream in &mut silent[..40] {
        rest(stream).await;
    }
    let last = silent.last_mut().unwrap();
    last.write_all(get("/healthz", "").as_bytes()).await.unwrap();
    let answer = rest(last).await;
    assert!(answer.ends_with("not well\n"), "{answer}");
    server.cancel.cancel();
}

/// The page is more than the kernel keeps for a connection.
#[tokio::test]
async fn who_does_not_fetch_his_page_keeps_nobody_from_his() {
    let fetch = Duration::from_millis(200);
    let patience = Patience { head: NEVER, all: NEVER, fetch };
    let server = Server::with_pages_of(4_000_000, patience).await;
    let mut slow = Vec::new();
    for _ in 0..80 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        stream.write_all(get("/metrics", "").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let answer = server.ask(&get("/metrics", "")).await;
    assert!(answer.ends_with("classic\n"));
    server.cancel.cancel();
}
