//! Unix sockets, for guard's own user and root only unless it is said.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Why guard can't listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Someone answers there.
    #[error("another guard runs here: it answers at {}; stop it, or set {variable}", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
        /// The variable that names another place.
        variable: &'static str,
    },
    /// Something else has the name.
    #[error("{} is there and is no socket; remove it, or set {variable}", path.display())]
    NotASocket {
        /// Where.
        path: PathBuf,
        /// The variable that names another place.
        variable: &'static str,
    },
    /// The system does not let us.
    #[error("can't listen at {}; mount a writable directory there, or set {variable}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The variable that names another place.
        variable: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A socket that is listened at.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) listener: UnixListener,
    file: SocketFile,
}

/// A socket's name; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode: a later server's socket is not ours to remove.
    identity: Option<(u64, u64)>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Nothing is lost if it stays: the next server finds nobody there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Socket {
    /// Makes the socket; one that a dead server left is removed first. `variable`
    /// is what sets another place.
    pub(super) async fn bind(path: &Path, variable: &'static str) -> Result<Socket, BindError> {
        Socket::bind_open(path, variable, 0o600).await
    }

    /// The same, for whom its mode lets in.
    pub(crate) async fn bind_open(
        path: &Path,
        variable: &'static str,
        mode: u32,
    ) -> Result<Socket, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), variable, source };
        if let Some(directory) = path.parent().filter(|directory| !directory.is_dir()) {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o755).create(directory).map_err(failed)?;
        }
        remove_stale(path, variable).await?;
        let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
            // Made since we looked: two guards start at once.
            io::ErrorKind::AddrInUse => BindError::Taken { path: path.to_owned(), variable },
            _ => failed(error),
        })?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
        let identity = identity(path);
        Ok(Socket { listener, file: SocketFile { path: path.to_owned(), identity } })
    }

    /// The listener, and the name that is to be kept as long as it.
    pub(crate) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

/// Removes the socket of a server that is dead; one that answers is left alone.
async fn remove_stale(path: &Path, variable: &'static str) -> Result<(), BindError> {
    let failed = |source| BindError::Io { path: path.to_owned(), variable, source };
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !kind.is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned(), variable });
    }
    match timeout(Duration::from_secs(1), UnixStream::connect(path)).await {
        // Reset: it died with this connection in its queue.
        Ok(Err(error))
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
            ) =>
        {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            }
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Err(failed(error)),
        // It answers, or is too busy to.
        _ => Err(BindError::Taken { path: path.to_owned(), variable }),
    }
}

/// Is it guard's own user or root?
pub(super) fn is_allowed(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| {
        let allowed = peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw();
        if !allowed {
            tracing::warn!(uid = peer.uid(), "a client of another user was turned away");
        }
        allowed
    })
}
