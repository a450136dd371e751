//! A server at a temporary socket.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use guard::control::protocol::Request;
use guard::control::{Asked, server::Server};
use guard::model::{Event, News};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::replies::reply;

/// A running server.
pub(crate) struct World {
    directory: tempfile::TempDir,
    events: broadcast::Sender<Event>,
    /// What was asked.
    asked: Arc<Mutex<Vec<Request>>>,
    cancel: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(Server::bind(&directory.path().join("guard.sock"))).unwrap();
        let (requests, mut incoming) = mpsc::channel::<Asked>(4);
        let (events, _) = broadcast::channel(64);
        let (asked, cancel) = (Arc::<Mutex<Vec<Request>>>::default(), CancellationToken::new());
        runtime.spawn(server.run(requests, events.clone(), cancel.clone()));
        let log = Arc::clone(&asked);
        runtime.spawn(async move {
            while let Some(Asked { request, answer, .. }) = incoming.recv().await {
                log.lock().unwrap().push(request.clone());
                let _ = answer.send(reply(request));
            }
        });
        World { directory, events, asked, cancel, _runtime: runtime }
    }

    /// The program, with nothing of the tester's environment that it could see.
    pub(crate) fn guardctl(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardctl"));
        command.env_clear().env("TZ", "UTC").env("GUARD_SOCKET", self.socket());
        command
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("guard.sock")
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn happens(&self, at: &str, news: News) {
        let _ = self.events.send(Event { at: at.parse().unwrap(), news });
    }

    /// How many are watching.
    pub(crate) fn watchers(&self) -> usize {
        self.events.receiver_count()
    }

    /// guard stops.
    pub(crate) fn stop(&self) {
        self.cancel.cancel();
    }
}
