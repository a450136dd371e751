//! guardctl's end of the socket. Blocking: guardctl has nothing else to do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Reply, Request, Unreadable, Which, decode_reply, encode_request};
use crate::model::Network;

/// Longest silence of a guard that lives: it answers within a minute, and shows
/// a sign of life every 20 s to those who watch.
const PATIENCE: Duration = Duration::from_secs(90);

/// Longest reply: the status of a jail with some million bans.
const MAX_REPLY: u64 = 1 << 30;

/// So many networks fit into a request however they are written (46 bytes each),
/// and are judged fast enough not to keep others waiting.
const NETWORKS_AT_ONCE: usize = 10_000;

/// Why guard could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no guard answers at {}: is it running? (docker compose ps; docker logs guard) If its socket is elsewhere, give --socket or GUARD_SOCKET",
        path.display()
    )]
    NoDaemon {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket is not for this user.
    #[error(
        "{} is not for this user: run guardctl as root, or in guard's container (docker exec guard guardctl …)",
        path.display()
    )]
    NotAllowed {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It went away, or says nothing.
    #[error("guard stopped answering; its log may tell why")]
    Lost(#[source] io::Error),
    /// The answer is of another version, or none.
    #[error("guard's answer is not understood")]
    Unreadable(#[from] Unreadable),
}

/// A connection to guard.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the guard at `path`.
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::NotAllowed { path, source },
                _ => ClientError::NoDaemon { path, source },
            }
        })?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(ClientError::Lost)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(ClientError::Lost)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Asks, and waits for the answer. Long lists of networks are asked in
    /// several requests, and their answers joined; the first refusal ends it.
    pub fn ask(&mut self, request: Request) -> Result<Reply, ClientError> {
        let mut requests = split(request).into_iter();
        let first = requests.next().expect("a request is split into at least one");
        let mut joined = self.ask_once(&first)?;
        for request in requests {
            if matches!(joined, Reply::Refused { .. }) {
                break;
            }
            joined = join(joined, self.ask_once(&request)?);
        }
        Ok(joined)
    }

    /// Asks what takes long; `told` hears how far it is.
    ///
    /// # Errors
    /// guard can't be asked, or is gone.
    pub fn ask_long(
        &mut self,
        request: &Request,
        mut told: impl FnMut(&Reply),
    ) -> Result<Reply, ClientError> {
        let mut reply = self.ask_once(request)?;
        while reply.is_under_way() {
            told(&reply);
            reply = self.receive()?;
        }
        Ok(reply)
    }

    fn ask_once(&mut self, request: &Request) -> Result<Reply, ClientError> {
        // A guard with no place left says so and closes: then the write fails,
        // and the reason waits to be read.
        let sent = self.stream.get_mut().write_all(&encode_request(request));
        match (self.receive(), sent) {
            (Err(ClientError::Lost(_)), Err(error)) => Err(ClientError::Lost(error)),
            (received, _) => received,
        }
    }

    /// Asks to be told what happens.
    pub fn watch(mut self) -> Result<Watched, ClientError> {
        match self.ask_once(&Request::Watch)? {
            Reply::Watching => Ok(Watched::Events(self)),
            reply => Ok(Watched::Refused(Box::new(reply))),
        }
    }

    /// The next reply; empty lines are signs of life.
    fn receive(&mut self) -> Result<Reply, ClientError> {
        let mut line = Vec::new();
        while line.trim_ascii().is_empty() {
            line.clear();
            let mut bounded = (&mut self.stream).take(MAX_REPLY);
            bounded.read_until(b'\n', &mut line).map_err(ClientError::Lost)?;
            if line.last() != Some(&b'\n') {
                return Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(decode_reply(&line)?)
    }
}

/// What became of a wish to watch.
#[derive(Debug)]
pub enum Watched {
    /// Events come: iterate.
    Events(Client),
    /// guard does not want to.
    Refused(Box<Reply>),
}

impl Iterator for Client {
    type Item = Result<Reply, ClientError>;

    /// The next event; it ends with the error that ended the connection.
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.receive())
    }
}

/// Requests of a bounded size that come to the same.
fn split(request: Request) -> Vec<Request> {
    let pieces = |networks: Vec<Network>| -> Vec<Vec<Network>> {
        networks.chunks(NETWORKS_AT_ONCE).map(<[Network]>::to_vec).collect()
    };
    match request {
        Request::Ban { networks, jail, time, force } if networks.len() > NETWORKS_AT_ONCE => {
            let piece = |networks| Request::Ban { networks, jail: jail.clone(), time, force };
            pieces(networks).into_iter().map(piece).collect()
        }
        Request::Unban { which: Which::Networks(networks), jail }
            if networks.len() > NETWORKS_AT_ONCE =>
        {
            let piece =
                |networks| Request::Unban { which: Which::Networks(networks), jail: jail.clone() };
            pieces(networks).into_iter().map(piece).collect()
        }
        request => vec![request],
    }
}

/// Both replies as one; a reply of another kind (a refusal) wins.
fn join(mut joined: Reply, next: Reply) -> Reply {
    match (&mut joined, next) {
        (
            Reply::Ban { banned, refused, only_in_memory, not_in_kernel },
            Reply::Ban {
                banned: more,
                refused: more_refused,
                only_in_memory: why,
                not_in_kernel: held,
            },
        ) => {
            banned.extend(more);
            refused.extend(more_refused);
            *only_in_memory = only_in_memory.take().or(why);
            *not_in_kernel = not_in_kernel.take().or(held);
        }
        (
            Reply::Unban { lifted, absent, covered, only_in_memory, not_in_kernel },
            Reply::Unban {
                lifted: more,
                absent: more_absent,
                covered: more_covered,
                only_in_memory: why,
                not_in_kernel: held,
            },
        ) => {
            lifted.extend(more);
            absent.extend(more_absent);
            covered.extend(more_covered);
            *only_in_memory = only_in_memory.take().or(why);
            *not_in_kernel = not_in_kernel.take().or(held);
        }
        (_, other) => return other,
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{MAX_REQUEST, RefusedKind, decode_request};

    #[test]
    fn long_lists_are_split_into_requests_that_fit() {
        let network: Network = "2001:db8:1111:2222:3333:4444:5555:6660/127".parse().unwrap();
        let networks = vec![network; 2 * NETWORKS_AT_ONCE + 1];
        let request = Request::Ban { networks, jail: None, time: None, force: true };
        let mut total = 0;
        for piece in split(request) {
            let line = encode_request(&piece);
            assert!(line.len() <= MAX_REQUEST, "{}", line.len());
            let Request::Ban { networks, force: true, .. } = decode_request(&line).unwrap() else {
                panic!("another request")
            };
            total += networks.len();
        }
        assert_eq!(total, 2 * NETWORKS_AT_ONCE + 1);
    }

    #[test]
    fn answers_are_joined_and_refusals_win() {
        let absent = |text: &str| Reply::Unban {
            lifted: Vec::new(),
            absent: vec![text.parse().unwrap()],
            covered: Vec::new(),
            only_in_memory: None,
            not_in_kernel: text.ends_with(".2").then(|| "why".to_owned()),
        };
        let Reply::Unban { absent: both, not_in_kernel: Some(_), .. } =
            join(absent("192.0.2.1"), absent("192.0.2.2"))
        else {
            panic!("another reply")
        };
        assert_eq!(both.len(), 2);
        let refused = Reply::refused(RefusedKind::NotFound, "no");
        assert_eq!(join(absent("192.0.2.1"), refused.clone()), refused);
    }
}
