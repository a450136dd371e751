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
    #[error("{who} listens at {}; stop it, or set {variable}", path.display())]
    Taken {
        /// Who it is, as far as the kernel tells.
        who: String,
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
            io::ErrorKind::AddrInUse => taken(path, variable, None),
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
        Ok(Ok(stream)) => {
            Err(taken(path, variable, stream.peer_cred().ok().and_then(|peer| peer.pid())))
        }
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
        // It is too busy to answer.
        _ => Err(taken(path, variable, None)),
    }
}

/// The process `listener` listens there.
fn taken(path: &Path, variable: &'static str, listener: Option<i32>) -> BindError {
    let who = listener.and_then(program);
    let who = who.unwrap_or_else(|| {
        // One in another container has no number here. At guard's own socket it is a guard.
        let own = variable == "GUARD_SOCKET";
        if own { "another guard" } else { "another program" }.to_owned()
    });
    BindError::Taken { who, path: path.to_owned(), variable }
}

/// What a process is called.
fn program(pid: i32) -> Option<String> {
    if u32::try_from(pid) == Ok(std::process::id()) {
        return Some("guard itself, with another of its sockets,".to_owned());
    }
    // 0: in a namespace that can't be seen from here.
    let name = (pid > 0).then(|| fs::read_to_string(format!("/proc/{pid}/comm")).ok())??;
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    Some(match name.as_str() {
        "guard" => format!("another guard (process {pid})"),
        name => format!("`{name}` (process {pid})"),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let error = Socket::bind_open(&path, "GUARD_METRICS", 0o666).await.unwrap_err();
        let words = "guard itself, with another of its sockets, listens at ";
        assert!(error.to_string().starts_with(words), "{error}");

        let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        // Until it has become `sleep`, it has this program's name.
        let named = || std::fs::read_to_string(format!("/proc/{}/comm", other.id()));
        for tries in 0.. {
            if named().unwrap().trim() == "sleep" {
                break;
            }
            assert!(tries < 3000, "it is no `sleep` yet");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let told = |pid, variable| taken(&path, variable, pid).to_string();
        let pid = i32::try_from(other.id()).unwrap();
        assert!(told(Some(pid), "GUARD_METRICS").starts_with("`sleep` (process "));
        assert!(told(Some(0), "GUARD_METRICS").starts_with("another program listens at /"));
        assert!(told(None, "GUARD_SOCKET").starts_with("another guard listens at /"));
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
