//! A connection that gives no more than so many bytes, and so many lines.
//!
//! lettre keeps a line until it ends, and a server need not end one: so the bound is where
//! the bytes come in, below TLS. And it reads an answer from its beginning with each line
//! that comes, so that many short ones cost seconds.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead as _, AsyncWrite as _};
#[allow(deprecated, reason = "lettre has no other TLS from the first byte for a given stream")]
use lettre::transport::smtp::client::AsyncNetworkStream;
use lettre::transport::smtp::client::{AsyncTokioStream, TlsParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// So much a server may say in a try. A certificate takes a few kilobytes, a mail some
/// hundred bytes.
const MOST_BYTES: usize = 32 * 1024;
/// So many line ends may be in it. In TLS one byte in 256 looks like one, so that these
/// are never too many there.
const MOST_LINES: usize = 500;

/// A connection with a bound. It gives a line at a time: what somebody put behind the
/// answer to STARTTLS must not be taken for something said in TLS.
#[derive(Debug)]
pub(super) struct Bounded {
    stream: TcpStream,
    bytes_left: usize,
    lines_left: usize,
}

impl Bounded {
    /// One that has given nothing yet.
    pub(super) fn new(stream: TcpStream) -> Bounded {
        Bounded { stream, bytes_left: MOST_BYTES, lines_left: MOST_LINES }
    }
}

fn too_much(what: &str) -> Poll<io::Result<()>> {
    Poll::Ready(Err(io::Error::other(format!("the server said more than {what}"))))
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes_left == 0 {
            return too_much(&format!("{} KiB", MOST_BYTES / 1024));
        }
        if self.lines_left == 0 {
            return too_much(&format!("{MOST_LINES} lines"));
        }
        let most = self.bytes_left.min(buffer.remaining());
        let mut ahead = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let there = ready!(self.stream.poll_peek(context, &mut ahead))?;
        let line = memchr::memchr(b'\n', ahead.filled());
        let most = line.map_or(there, |end| end + 1);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let read = part.filled().len();
        self.bytes_left -= read;
        self.lines_left -= usize::from(line.is_some());
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

/// A connection in TLS from the first byte. lettre can make one only of an address.
#[derive(Debug)]
#[allow(deprecated, reason = "as above")]
pub(super) struct Encrypted(AsyncNetworkStream);

#[allow(deprecated, reason = "as above")]
impl Encrypted {
    /// Greets the server, whose certificate must be good.
    pub(super) async fn new(
        stream: Bounded,
        parameters: TlsParameters,
    ) -> Result<Encrypted, lettre::transport::smtp::Error> {
        let mut stream = AsyncNetworkStream::use_existing_tokio1(Box::new(stream));
        stream.upgrade_tls(parameters).await?;
        Ok(Encrypted(stream))
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let free = buffer.initialize_unfilled();
        let read = ready!(Pin::new(&mut self.0).poll_read(context, free))?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}

impl AsyncTokioStream for Encrypted {
    #[allow(deprecated, reason = "as above")]
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}
