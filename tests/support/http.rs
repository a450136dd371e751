//! Just enough HTTP to try a password: what a client of the test bed sees.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

/// How a request ended, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with this status; a datagram's echo counts as 200.
    Answered(u16),
    /// Refused: by an ICMP message, a reset or a closed connection.
    Refused,
    /// No answer in time.
    Silent,
}

impl Outcome {
    /// Was there an answer?
    pub fn is_answer(self) -> bool {
        matches!(self, Outcome::Answered(_))
    }

    /// What an error of a socket means. Panics where it says nothing of the firewall
    /// or the service, but of a mistake in the bed.
    fn of(error: &std::io::Error) -> Outcome {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Outcome::Silent,
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable => Outcome::Refused,
            other => panic!("{other:?}: {error}"),
        }
    }
}

/// An open connection to a service: several requests can be made on it, later.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    deadline: Instant,
}

impl Connection {
    /// Connects from an address of this namespace.
    pub fn open(from: IpAddr, to: SocketAddr, timeout: Duration) -> Result<Connection, Outcome> {
        let stream = connect(from, to, timeout).map_err(|error| Outcome::of(&error))?;
        Ok(Connection { stream, deadline: Instant::now() })
    }

    /// Sends a request (`GET /`) and waits so long for the answer.
    pub fn request(&mut self, what: &str, body: &str, timeout: Duration) -> (Outcome, String) {
        let request =
            format!("{what} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if let Err(error) = self.stream.write_all(request.as_bytes()) {
            return (Outcome::of(&error), String::new());
        }
        self.answer(timeout)
    }

    /// Waits for an answer that is still to come.
    pub fn answer(&mut self, timeout: Duration) -> (Outcome, String) {
        // A refusal of the past says nothing of what comes.
        let _ = self.stream.take_error();
        self.deadline = Instant::now() + timeout;
        self.read_answer().unwrap_or_else(|error| (Outcome::of(&error), String::new()))
    }

    fn read_answer(&mut self) -> std::io::Result<(Outcome, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse().ok());
        let (Some(status), Some(length)) = (status, length) else {
            return Err(std::io::Error::other(format!("no HTTP: {head}")));
        };
        let mut body = vec![0; length];
        self.read_exact(&mut body)?;
        Ok((Outcome::Answered(status), String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Read for Connection {
    /// Reads until the deadline, or until an ICMP message refuses what was sent. The
    /// kernel takes that for a passing trouble on an open connection and goes on trying;
    /// for us the packet was refused.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if let Some(refusal) = self.stream.take_error()? {
                return Err(refusal);
            }
            if Instant::now() >= self.deadline {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}

/// `TcpStream::connect_timeout` from a chosen address.
fn connect(from: IpAddr, to: SocketAddr, timeout: Duration) -> std::io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    match rustix::net::connect(&stream, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    // A refusal comes back so fast, between namespaces, that the kernel is still busy
    // with the socket and only notes it: a blocking connect would notice a second later.
    while stream.peer_addr().is_err() {
        if let Some(refusal) = stream.take_error()? {
            return Err(refusal);
        }
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(2)))?;
    Ok(stream)
}

/// A socket for datagrams between two addresses, which hears of ICMP's refusals.
pub fn datagrams(from: IpAddr, to: SocketAddr, timeout: Duration) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(timeout))?;
    Ok(socket)
}

/// Sends a datagram and waits for its echo.
pub fn ping(socket: &UdpSocket) -> Outcome {
    let mut echo = [0; 16];
    match socket.send(b"ping").and_then(|_| socket.recv(&mut echo)) {
        Ok(_) => Outcome::Answered(200),
        Err(error) => Outcome::of(&error),
    }
}
