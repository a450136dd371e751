//! A socket in front of the engine's, as a socket proxy is: lets nothing but GET pass,
//! cuts connections, and stalls.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Longest head of a request.
const MAX_HEAD: usize = 64 * 1024;

/// The proxy; ends when dropped.
pub(crate) struct Proxy {
    socket: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    engine: PathBuf,
    /// Both ends of each connection.
    open: Mutex<BTreeMap<u64, [UnixStream; 2]>>,
    count: AtomicU64,
    stalled: Mutex<bool>,
    goes_on: Condvar,
    /// Counts the orders to cut in the middle of something; the latest is for pieces of
    /// this many bytes or more.
    midway: AtomicU64,
    piece: AtomicUsize,
    refused: AtomicU64,
    over: AtomicBool,
}

impl Proxy {
    /// At `socket`, in front of the engine that listens at `engine`.
    pub(crate) fn start(socket: PathBuf, engine: PathBuf) -> Proxy {
        let listener = UnixListener::bind(&socket).expect("nothing is there yet");
        let shared = Arc::new(Shared {
            engine,
            open: Mutex::default(),
            count: AtomicU64::new(0),
            stalled: Mutex::new(false),
            goes_on: Condvar::new(),
            midway: AtomicU64::new(0),
            piece: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.over.load(Ordering::Relaxed) {
                    return;
                }
                serve(&serving, &client);
            }
        });
        Proxy { socket, shared }
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub(crate) fn docker_host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Cuts every connection, or every other one; new ones are served.
    pub(crate) fn cut(&self, all: bool) {
        let open = self.shared.open.lock().expect("no holder panics");
        let chosen = open.values().enumerate().filter(|(place, _)| all || place % 2 == 1);
        for (_, [client, engine]) in chosen {
            let _ = client.shutdown(Shutdown::Both);
            let _ = engine.shutdown(Shutdown::Both);
        }
    }

    /// Cuts each connection in the middle of what comes next on it, or of the next but one,
    /// and so on; what is shorter than `piece` bytes does not count.
    pub(crate) fn cut_midway(&self, piece: usize) {
        self.shared.piece.store(piece, Ordering::Relaxed);
        self.shared.midway.fetch_add(1, Ordering::Relaxed);
    }

    /// Holds back, or lets go on, what the engine says.
    pub(crate) fn stall(&self, stalled: bool) {
        *self.shared.stalled.lock().expect("no holder panics") = stalled;
        self.shared.goes_on.notify_all();
    }

    /// How many requests were refused because they would change something.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        self.stall(false);
        self.cut(true);
    }
}

fn serve(shared: &Arc<Shared>, client: &UnixStream) {
    // An engine that is down: the client sees its connection closed.
    let Some(engine) = connect(&shared.engine) else { return };
    let both = || Some([client.try_clone().ok()?, engine.try_clone().ok()?]);
    let (Some(kept), Some([from_client, to_engine]), Some([to_client, from_engine])) =
        (both(), both(), both())
    else {
        return;
    };
    let id = shared.count.fetch_add(1, Ordering::Relaxed);
    shared.open.lock().expect("no holder panics").insert(id, kept);
    let (asking, answering) = (Arc::clone(shared), Arc::clone(shared));
    std::thread::spawn(move || {
        let mut requests = Requests::default();
        pump(from_client, to_engine, |bytes| {
            let fine = requests.only_ask(bytes);
            asking.refused.fetch_add(u64::from(!fine), Ordering::Relaxed);
            if fine { bytes.len() } else { 0 }
        });
        asking.open.lock().expect("no holder panics").remove(&id);
    });
    std::thread::spawn(move || {
        let orders = answering.midway.load(Ordering::Relaxed);
        let mut left = id % 3;
        pump(from_engine, to_client, |bytes| {
            let stalled = answering.stalled.lock().expect("no holder panics");
            let _going_on = answering.goes_on.wait_while(stalled, |stalled| *stalled);
            let ordered = answering.midway.load(Ordering::Relaxed) != orders;
            if !ordered || bytes.len() < answering.piece.load(Ordering::Relaxed) {
                return bytes.len();
            }
            if left == 0 {
                return bytes.len() / 2;
            }
            left -= 1;
            bytes.len()
        });
    });
}

fn connect(engine: &Path) -> Option<UnixStream> {
    UnixStream::connect(engine).ok()
}

/// Copies until one side ends or `pass` wants only a part of something.
fn pump(mut from: UnixStream, mut to: UnixStream, mut pass: impl FnMut(&[u8]) -> usize) {
    let mut bytes = vec![0; 32 * 1024];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                let passed = pass(&bytes[..count]);
                if to.write_all(&bytes[..passed]).is_err() || passed < count {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// The requests on a connection, one after the other; none has a body.
#[derive(Default)]
struct Requests {
    head: Vec<u8>,
}

impl Requests {
    fn only_ask(&mut self, bytes: &[u8]) -> bool {
        self.head.extend_from_slice(bytes);
        while let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") {
            if !self.head.starts_with(b"GET ") && !self.head.starts_with(b"HEAD ") {
                return false;
            }
            self.head.drain(..end + 4);
        }
        self.head.len() <= MAX_HEAD
    }
}
