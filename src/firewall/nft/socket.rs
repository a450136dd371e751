//! The netlink socket to nf_tables, in the network namespace of the thread that
//! opens it.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::decode::{Answer, What, read};
use super::encode::{Batch, Question, question};
use crate::firewall::netlink::Garbled;
use crate::firewall::socket::{SocketError, netfilter};

/// A page of a dump, or a refusal with the message that it repeats.
const BUFFER: usize = 128 * 1024;

/// Room for a refusal of each message in a batch.
const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 1 << 20;

/// A dump that something else keeps changing is begun anew so often.
const DUMPS: usize = 5;

/// A socket on which one request after the other is answered.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it was done.
    Done,
    /// Nothing was done, because of these messages, each with an errno.
    Refused(Vec<(u32, i32)>),
    /// Not all answers came: it may be done or not.
    Unknown,
}

impl Socket {
    /// Opens the socket.
    pub(super) fn open() -> Result<Socket, SocketError> {
        let fd = netfilter()?;
        // With the usual sizes it goes, too, only in more steps.
        let _ = set_socket_recv_buffer_size_force(&fd, RECEIVE_BUFFER);
        let _ = set_socket_send_buffer_size_force(&fd, SEND_BUFFER);
        Ok(Socket { fd, buffer: vec![0; BUFFER], sequence: 0 })
    }

    /// Asks for one thing; `None`: it is not there.
    pub(super) fn ask<T>(
        &mut self,
        kind: u16,
        family: u8,
        narrow: impl FnOnce(Question) -> Question,
        take: impl FnOnce(&[u8]) -> Result<T, Garbled>,
    ) -> Result<Option<T>, SocketError> {
        let sequence = self.next(1);
        self.send(&narrow(question(sequence, kind, family)).into_bytes())?;
        loop {
            let length = self.receive(RecvFlags::empty())?;
            for answer in read(&self.buffer[..length])? {
                match answer.what {
                    _ if answer.sequence != sequence => {}
                    What::Part(body) => return Ok(Some(take(body)?)),
                    What::Refused(code) if code == Errno::NOENT.raw_os_error() => return Ok(None),
                    What::Refused(code) => return Err(SocketError::Refused { code, line: None }),
                    What::Done => return Err(Garbled.into()),
                }
            }
        }
    }

    /// Asks for all of something; nothing, if what it would be in is not there.
    pub(super) fn dump<T>(
        &mut self,
        kind: u16,
        family: u8,
        narrow: impl Fn(Question) -> Question,
        take: impl Fn(&[u8]) -> Result<T, Garbled>,
    ) -> Result<Vec<T>, SocketError> {
        for _ in 0..DUMPS {
            let sequence = self.next(1);
            self.send(&narrow(question(sequence, kind, family).all()).into_bytes())?;
            if let Some(all) = self.dumped(sequence, &take)? {
                return Ok(all);
            }
        }
        // Something changes it all the time; the caller tries again later.
        Err(SocketError::Io(Errno::INTR))
    }

    /// The answer to a dump; `None`: something changed in between.
    fn dumped<T>(
        &mut self,
        sequence: u32,
        take: impl Fn(&[u8]) -> Result<T, Garbled>,
    ) -> Result<Option<Vec<T>>, SocketError> {
        let (mut all, mut whole) = (Vec::new(), true);
        loop {
            let length = self.receive(RecvFlags::empty())?;
            let answers = read(&self.buffer[..length])?;
            for Answer { what, interrupted, .. } in
                answers.into_iter().filter(|answer| answer.sequence == sequence)
            {
                whole &= !interrupted;
                match what {
                    What::Part(body) => all.push(take(body)?),
                    What::Done => return Ok(whole.then_some(all)),
                    What::Refused(code) if code == Errno::NOENT.raw_os_error() => {
                        return Ok(Some(Vec::new()));
                    }
                    What::Refused(code) if code == Errno::INTR.raw_os_error() => return Ok(None),
                    What::Refused(code) => return Err(SocketError::Refused { code, line: None }),
                }
            }
        }
    }

    /// Carries out what `fill` puts into a batch of `messages` messages; what `fill`
    /// gave comes back.
    pub(super) fn carry_out<T>(
        &mut self,
        messages: usize,
        fill: impl FnOnce(&mut Batch) -> T,
    ) -> Result<(Outcome, T), SocketError> {
        let first = self.next(messages as u32 + 2);
        let mut batch = Batch::new(first);
        let filled = fill(&mut batch);
        let (bytes, last) = batch.finish();
        self.send(&bytes)?;
        Ok((self.outcome(first, last)?, filled))
    }

    /// The kernel works while the batch is sent: all answers are there by now.
    fn outcome(&mut self, first: u32, last: u32) -> Result<Outcome, SocketError> {
        let (mut refused, mut done) = (Vec::new(), false);
        loop {
            let length = match self.receive(RecvFlags::DONTWAIT) {
                Ok(length) => length,
                Err(SocketError::Io(Errno::AGAIN)) => break,
                // Answers were lost for lack of room.
                Err(SocketError::Io(Errno::NOBUFS)) => return Ok(Outcome::Unknown),
                Err(error) => return Err(error),
            };
            for answer in read(&self.buffer[..length])? {
                let ours = (first..=last.wrapping_add(1)).contains(&answer.sequence);
                match answer.what {
                    _ if !ours => {}
                    What::Done => done |= answer.sequence == last,
                    What::Refused(code) => refused.push((answer.sequence, code)),
                    What::Part(_) => {}
                }
            }
        }
        Ok(match (refused.is_empty(), done) {
            (false, _) => Outcome::Refused(refused),
            (true, true) => Outcome::Done,
            (true, false) => Outcome::Unknown,
        })
    }

    /// The first of so many numbers that no answer on its way bears.
    fn next(&mut self, count: u32) -> u32 {
        // Numbers of a batch must not wrap round in its middle.
        if self.sequence > u32::MAX - count - 1 {
            self.sequence = 0;
        }
        let first = self.sequence + 1;
        self.sequence += count;
        first
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        rustix::io::retry_on_intr(|| send(&self.fd, bytes, SendFlags::empty()))?;
        Ok(())
    }

    /// The length of the next datagram, which is in the buffer then.
    fn receive(&mut self, flags: RecvFlags) -> Result<usize, SocketError> {
        let buffer = &mut self.buffer;
        let flags = flags | RecvFlags::TRUNC;
        let (_, length) =
            rustix::io::retry_on_intr(|| recv(&self.fd, buffer.as_mut_slice(), flags))?;
        if length > self.buffer.len() { Err(Garbled.into()) } else { Ok(length) }
    }
}
