//! Just enough HTTP to try a password: what a client of the test bed sees.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};

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

    /// What an error of a socket means.
    fn of(error: &std::io::Error) -> Outcome {
        match error.kind() {
            // A connect that times out says "in progress".
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Outcome::Silent,
            _ if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                Outcome::Silent
            }
            _ => Outcome::Refused,
        }
    }
}

/// An open connection to a service: several requests can be made on it, later.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects from an address of this namespace.
    pub fn open(from: IpAddr, to: SocketAddr, timeout: Duration) -> Result<Connection, Outcome> {
        let stream = connect(from, to, timeout).map_err(|error| Outcome::of(&error))?;
        Ok(Connection { stream })
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
        let read = self.stream.set_read_timeout(Some(timeout)).and_then(|()| self.read_answer());
        read.unwrap_or_else(|error| (Outcome::of(&error), String::new()))
    }

    fn read_answer(&mut self) -> std::io::Result<(Outcome, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
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
        self.stream.read_exact(&mut body)?;
        Ok((Outcome::Answered(status), String::from_utf8_lossy(&body).into_owned()))
    }
}

/// `TcpStream::connect_timeout` from a chosen address.
fn connect(from: IpAddr, to: SocketAddr, timeout: Duration) -> std::io::Result<TcpStream> {
    let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    // Connecting is sending, as far as the kernel's time limits go.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))?;
    rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
    rustix::net::connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
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
