//! Other machines on the host's network.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use super::http::{Connection, Outcome, datagrams, ping};
use super::{Namespace, ensure, eventually};

/// Long enough for every answer that comes at all, on a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long silence lasts before it counts as such.
const SILENCE: Duration = Duration::from_millis(1200);

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];
}

/// A machine with a cable to a host: `10.98.N.0/24` and `fd98:0:0:N::/64`, in which
/// the host is 1 and the attacker has 2 and those from 4 on.
#[derive(Debug)]
pub struct Attacker {
    namespace: Namespace,
    number: u8,
}

impl Attacker {
    /// How many IPv6 addresses it has; of IPv4 it has all from 4 on.
    const ADDRESSES_V6: u16 = 16;

    /// The attacker of this number, with its cable plugged in.
    pub fn new(host: &Namespace, number: u8) -> Attacker {
        let namespace = Namespace::new(&format!("{}a{number}", host.name()));
        let attacker = Attacker { namespace, number };
        let cable = format!("cable{number}");
        let own = &attacker.namespace;
        let (mut there, mut here) = (Vec::new(), Vec::new());
        there.push(format!("link add {cable} type veth peer name eth0 netns {}", own.name()));
        here.push("link set eth0 up".to_owned());
        for family in Family::ALL {
            let length = if family == Family::V4 { 24 } else { 64 };
            let gateway = attacker.host(family);
            there.push(format!("addr add {gateway}/{length} dev {cable}"));
            here.push(format!("addr add {}/{length} dev eth0", attacker.first(family)));
            here.push(format!("route add default via {gateway}"));
        }
        there.push(format!("link set {cable} up"));
        // All of IPv4's prefix but the host is the attacker, without adding addresses.
        // The kernel accepts no such sources for IPv6.
        for part in ["4/30", "8/29", "16/28", "32/27", "64/26", "128/25"] {
            here.push(format!("route add local 10.98.{number}.{part} dev lo"));
        }
        for n in 4..4 + Self::ADDRESSES_V6 {
            here.push(format!("addr add {}/64 dev eth0", attacker.address(Family::V6, n)));
        }
        host.ip_batch(&there);
        own.ip_batch(&here);
        attacker
    }

    /// The host's address on the cable.
    pub fn host(&self, family: Family) -> IpAddr {
        self.address(family, 1)
    }

    /// One of its addresses; the first is 2.
    pub fn address(&self, family: Family, n: u16) -> IpAddr {
        match family {
            Family::V4 => {
                let last = u8::try_from(n).expect("an address in 10.98.N.0/24");
                Ipv4Addr::new(10, 98, self.number, last).into()
            }
            Family::V6 => Ipv6Addr::new(0xfd98, 0, 0, self.number.into(), 0, 0, 0, n).into(),
        }
    }

    /// Its first address of a family, where requests come from unless said otherwise.
    pub fn first(&self, family: Family) -> IpAddr {
        self.address(family, 2)
    }

    /// The same machine, seen at one of its addresses.
    pub fn at(&self, address: IpAddr) -> Client<'_> {
        let family = if address.is_ipv6() { Family::V6 } else { Family::V4 };
        Client { attacker: self, address, host: self.host(family) }
    }

    /// The machine at its first IPv4 address.
    pub fn v4(&self) -> Client<'_> {
        self.at(self.first(Family::V4))
    }

    /// The machine at its first address of a family.
    pub fn of(&self, family: Family) -> Client<'_> {
        self.at(self.first(family))
    }

    /// Serves: whatever comes on a connection goes back.
    pub fn echo(&self, family: Family) -> Echo {
        let listener = self
            .namespace
            .enter(|| TcpListener::bind((self.first(family), 0)))
            .expect("the attacker's own address");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut bytes = [0; 256];
                    while let Ok(n @ 1..) = client.read(&mut bytes) {
                        if client.write_all(&bytes[..n]).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Echo { address }
    }
}

/// A server on an attacker's machine; its thread ends with the test program.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Where it listens.
    pub address: SocketAddr,
}

/// An attacker at one of its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    attacker: &'a Attacker,
    /// Where its requests come from.
    pub address: IpAddr,
    host: IpAddr,
}

impl<'a> Client<'a> {
    /// The same machine at another of its addresses of this family.
    pub fn sibling(&self, n: u16) -> Self {
        let family = if self.address.is_ipv6() { Family::V6 } else { Family::V4 };
        self.attacker.at(self.attacker.address(family, n))
    }

    /// Opens a connection to a port of the host.
    pub fn open(&self, port: u16) -> Result<Connection, Outcome> {
        let to = SocketAddr::new(self.host, port);
        self.attacker.namespace.enter(|| Connection::open(self.address, to, TIMEOUT))
    }

    /// One request on a connection of its own: the outcome, and the answer's body.
    pub fn ask(&self, port: u16, what: &str) -> (Outcome, String) {
        self.ask_within(TIMEOUT, port, what)
    }

    fn ask_within(&self, timeout: Duration, port: u16, what: &str) -> (Outcome, String) {
        match self.open(port) {
            Ok(mut connection) => connection.request(what, "", timeout),
            Err(outcome) => (outcome, String::new()),
        }
    }

    /// `GET /`
    pub fn visit(&self, port: u16) -> Outcome {
        self.ask(port, "GET /").0
    }

    /// Tries this many wrong passwords, each of which is answered.
    #[track_caller]
    pub fn fail(&self, port: u16, times: usize) {
        for n in 1..=times {
            let (outcome, _) = self.ask(port, "POST /login?user=bob");
            assert_eq!(outcome, Outcome::Answered(403), "failure {n} of {times}");
        }
    }

    /// Has the service log this line.
    #[track_caller]
    pub fn log(&self, port: u16, line: &str) {
        let mut connection = self.open(port).expect("the service answers");
        let (outcome, _) = connection.request("POST /log", line, TIMEOUT);
        assert_eq!(outcome, Outcome::Answered(200));
    }

    /// One datagram and its echo.
    pub fn ping(&self, port: u16) -> Outcome {
        ping(&self.datagrams(port, TIMEOUT))
    }

    /// A socket for datagrams to a port of the host, on which each waits so long.
    pub fn datagrams(&self, port: u16, timeout: Duration) -> UdpSocket {
        let to = SocketAddr::new(self.host, port);
        let socket = self.attacker.namespace.enter(|| datagrams(self.address, to, timeout));
        socket.expect("the attacker's own address")
    }

    /// Waits until the service answers.
    #[track_caller]
    pub fn is_served(&self, port: u16) {
        eventually(&format!("{} is served on port {port}", self.address), || {
            let outcome = self.visit(port);
            ensure(outcome == Outcome::Answered(200), outcome)
        });
    }

    /// Waits until new connections are refused.
    #[track_caller]
    pub fn is_refused(&self, port: u16) {
        eventually(&format!("{} is refused on port {port}", self.address), || {
            // The ban may come between a request and its answer, which is then awaited in
            // vain: not for longer than a short ban lasts.
            let (outcome, _) = self.ask_within(SILENCE / 2, port, "GET /");
            ensure(outcome == Outcome::Refused, outcome)
        });
    }

    /// Checks that the service answers now, at the first try.
    #[track_caller]
    pub fn is_still_served(&self, port: u16) {
        assert_eq!(self.visit(port), Outcome::Answered(200), "{} on {port}", self.address);
    }

    /// Checks that connections are refused now, at the first try.
    #[track_caller]
    pub fn is_still_refused(&self, port: u16) {
        assert_eq!(self.visit(port), Outcome::Refused, "{} on {port}", self.address);
    }
}

/// Does an open connection get no answer any more?
pub fn is_cut(connection: &mut Connection) -> bool {
    let (outcome, _) = connection.request("GET /", "", SILENCE);
    !outcome.is_answer()
}

/// Does an open connection get answers as ever?
pub fn goes_on(connection: &mut Connection) -> bool {
    let (outcome, _) = connection.request("GET /", "", TIMEOUT);
    outcome == Outcome::Answered(200)
}
