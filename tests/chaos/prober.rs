//! A banned machine that never stops knocking.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::world::{ATTACKER, CONTAINER, HOST, Namespace, World};

const PORT: u16 = 4000;
/// A datagram to each door this often.
const PACE: Duration = Duration::from_millis(2);
/// Arrivals that are no further apart are of one hole.
const ONE_HOLE: Duration = Duration::from_millis(40);

/// When something arrived at a door.
type Arrivals = Arc<Mutex<Vec<Instant>>>;

/// Knocks on the host (INPUT) and on the container behind it (FORWARD), over both families.
pub(crate) struct Prober {
    ended: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
    doors: Vec<(JoinHandle<()>, Arrivals)>,
}

/// What got in.
#[derive(Debug, Default)]
pub(crate) struct Holes {
    pub(crate) packets: usize,
    pub(crate) count: usize,
    pub(crate) longest: Duration,
}

impl Prober {
    pub(crate) fn start(world: &World) -> Prober {
        let ended = Arc::new(AtomicBool::new(false));
        let mut prober = Prober { ended, senders: Vec::new(), doors: Vec::new() };
        for at in 0..2 {
            for (namespace, address) in [(&world.host, HOST[at]), (&world.container, CONTAINER[at])]
            {
                prober.open(namespace, address);
                prober.knock(&world.outside, ATTACKER[at], address);
            }
        }
        prober
    }

    /// Notes when something arrives; nobody but the banned machine sends there.
    fn open(&mut self, namespace: &Namespace, address: &str) {
        let socket = namespace.inside(|| UdpSocket::bind((address, PORT)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let arrivals = Arrivals::default();
        let (ended, noted) = (Arc::clone(&self.ended), Arc::clone(&arrivals));
        let listen = move || {
            let mut buffer = [0; 16];
            while !ended.load(Ordering::Relaxed) {
                if socket.recv(&mut buffer).is_ok() {
                    noted.lock().unwrap().push(Instant::now());
                }
            }
        };
        self.doors.push((std::thread::spawn(listen), arrivals));
    }

    fn knock(&mut self, outside: &Namespace, from: &str, to: &str) {
        let socket = outside.inside(|| UdpSocket::bind((from, 0)).unwrap());
        let (ended, to) = (Arc::clone(&self.ended), to.to_owned());
        let knock = move || {
            while !ended.load(Ordering::Relaxed) {
                // While the ruleset is gone there may be no way; that is no hole.
                let _ = socket.send_to(b"knock", (to.as_str(), PORT));
                std::thread::sleep(PACE);
            }
        };
        self.senders.push(std::thread::spawn(knock));
    }

    /// Ends it, and says what got in.
    pub(crate) fn end(self) -> Holes {
        self.ended.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.join().unwrap();
        }
        let mut holes = Holes::default();
        for (door, arrivals) in self.doors {
            door.join().unwrap();
            let arrivals = arrivals.lock().unwrap();
            holes.packets += arrivals.len();
            for hole in arrivals.chunk_by(|one, next| next.duration_since(*one) < ONE_HOLE) {
                holes.count += 1;
                let length = hole[hole.len() - 1].duration_since(hole[0]) + PACE;
                holes.longest = holes.longest.max(length);
            }
        }
        holes
    }
}
