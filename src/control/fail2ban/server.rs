//! guard's end of fail2ban's socket.
//!
//! A request is a pickled list of words and the mark `<F2B_END_COMMAND>`; so is
//! an answer. Everything that a client sends is bounded in size and time, a
//! pickle can build nothing but lists, texts and numbers, and nobody waits for
//! anybody else.

use std::io;
use std::path::Path;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::pickle;
use super::{Exception, Value};
use crate::control::protocol::{Reply, Request};
use crate::control::server::{Asked, BindError};
use crate::control::socket::{Socket, is_allowed};

const END: &[u8] = b"<F2B_END_COMMAND>";
const CLOSE: &[u8] = b"<F2B_CLOSE_COMMAND>";

/// Longest request: some 50,000 addresses at once.
const MAX_REQUEST: usize = 1 << 20;
/// Most clients at once.
const MAX_CLIENTS: usize = 16;
/// For a whole request, and for the client to take a piece of the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// For the daemon's answer; a ban answers after its commit.
const ANSWER: Duration = Duration::from_secs(60);

/// A socket at which fail2ban's tools find guard.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
}

impl Server {
    /// Makes the socket, for guard's own user and root only; one that a dead server
    /// left is removed first.
    ///
    /// # Errors
    /// Somebody answers there (fail2ban itself, say), or the system does not let us.
    pub async fn bind(path: &Path) -> Result<Server, BindError> {
        Ok(Server { socket: Socket::bind(path, "GUARD_FAIL2BAN_SOCKET").await? })
    }

    /// Serves until `cancel`.
    pub async fn run(self, requests: mpsc::Sender<Asked>, cancel: CancellationToken) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                Some(_) = clients.join_next() => {}
                accepted = self.socket.listener.accept() => match accepted {
                    Ok((stream, _)) if !is_allowed(&stream) => {}
                    // fail2ban's protocol has no word for "too many": it is hung up.
                    Ok(_) if clients.len() >= MAX_CLIENTS => {}
                    Ok((stream, _)) => {
                        let requests = requests.clone();
                        clients.spawn(attend(stream, requests));
                    }
                    Err(error) => {
                        tracing::warn!("can't accept a client on fail2ban's socket: {error}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
    }
}

/// One client, until it closes, is silent for too long, or sends what can't be read.
async fn attend(mut stream: UnixStream, requests: mpsc::Sender<Asked>) {
    let mut buffer = Vec::new();
    loop {
        let read = timeout(PATIENCE, next_request(&mut stream, &mut buffer)).await;
        let Ok(Ok(Some(request))) = read else { return };
        if request == CLOSE {
            return;
        }
        let (answer, readable) = match words(&request) {
            Ok(words) => (ask(words, &requests).await, true),
            Err(why) => (pickle::raised(Exception::Other, &format!("ERROR: {why}")), false),
        };
        if send(&mut stream, &answer).await.is_err() || !readable {
            return;
        }
    }
}

/// The bytes up to the next end mark; `None`: the client is gone, or sent too much.
async fn next_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Vec<u8>>> {
    let mut searched = 0;
    loop {
        if let Some(end) = memmem::find(&buffer[searched..], END) {
            let end = searched + end;
            let rest = buffer.split_off(end + END.len());
            let mut request = std::mem::replace(buffer, rest);
            request.truncate(end);
            return Ok(Some(request));
        }
        // The mark may have come in part.
        searched = buffer.len().saturating_sub(END.len() - 1);
        if buffer.len() > MAX_REQUEST || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The words of a request, a pickled list of them: numbers and truth values are taken as
/// they are written.
///
/// # Errors
/// It is no pickle, or one of something else, in words for people.
pub fn words(request: &[u8]) -> Result<Vec<String>, String> {
    let (Value::List(items) | Value::Tuple(items)) =
        pickle::read(request).map_err(|error| error.to_string())?
    else {
        return Err("a request is a list of words".to_owned());
    };
    let word = |item| match item {
        Value::Text(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(item.to_string()),
        _ => Err("a request is a list of words, and holds no lists".to_owned()),
    };
    items.into_iter().map(word).collect()
}

/// Asks the daemon; its answer as a pickle.
async fn ask(words: Vec<String>, requests: &mpsc::Sender<Asked>) -> Vec<u8> {
    let asked = async {
        let (answer, answered) = oneshot::channel();
        requests
            .send(Asked { request: Request::Fail2ban { words }, answer, progress: None })
            .await
            .ok()?;
        answered.await.ok()
    };
    match timeout(ANSWER, asked).await {
        Ok(Some(Reply::Fail2ban { value })) => pickle::answer(&value),
        Ok(Some(Reply::Raised { exception, message })) => pickle::raised(exception, &message),
        Ok(Some(Reply::Refused { message, .. })) => pickle::raised(Exception::Other, &message),
        Ok(Some(_)) => pickle::raised(Exception::Other, "guard misunderstood itself"),
        Ok(None) => pickle::raised(Exception::Other, "guard is stopping"),
        Err(_) => pickle::raised(Exception::Other, "guard did not answer in time"),
    }
}

/// Sends an answer with its end mark; an error when the client does not take it.
async fn send(stream: &mut UnixStream, answer: &[u8]) -> io::Result<()> {
    for piece in answer.chunks(64 * 1024).chain([END]) {
        timeout(PATIENCE, stream.write_all(piece)).await??;
    }
    Ok(())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
