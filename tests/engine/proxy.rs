//! A socket of one's own in front of an engine's, that can be cut and shut.

use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

pub(crate) struct Proxy {
    engine: PathBuf,
    folder: tempfile::TempDir,
    cuts: broadcast::Sender<()>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// In front of the engine that listens at `engine`.
    pub(crate) fn start(engine: PathBuf) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        let cuts = broadcast::Sender::new(4);
        let task = tokio::spawn(serve(listen(folder.path()), engine.clone(), cuts.clone()));
        Proxy { engine, folder, cuts, task }
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub(crate) fn docker_host(&self) -> String {
        format!("unix://{}", socket(self.folder.path()).display())
    }

    /// Cuts every connection; new ones are served.
    pub(crate) fn cut(&self) {
        // Fails if there is none.
        let _ = self.cuts.send(());
    }

    /// Takes the socket away, and every connection with it.
    pub(crate) async fn shut(&mut self) {
        self.task.abort();
        // Whatever was accepted until now hears of the cut.
        let _ = (&mut self.task).await;
        std::fs::remove_file(socket(self.folder.path())).unwrap();
        self.cut();
    }

    /// Brings the socket back.
    pub(crate) fn open(&mut self) {
        let listener = listen(self.folder.path());
        self.task = tokio::spawn(serve(listener, self.engine.clone(), self.cuts.clone()));
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("docker.sock")
}

fn listen(folder: &Path) -> UnixListener {
    UnixListener::bind(socket(folder)).unwrap()
}

async fn serve(listener: UnixListener, engine: PathBuf, cuts: broadcast::Sender<()>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (engine, mut cut) = (engine.clone(), cuts.subscribe());
        tokio::spawn(async move {
            let mut engine = UnixStream::connect(engine).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut engine) => {}
                _ = cut.recv() => {}
            }
        });
    }
}
