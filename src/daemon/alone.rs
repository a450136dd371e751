//! One guard in a network namespace: two would undo each other's rules.
//!
//! The sign is an abstract socket, which belongs to the network namespace: guards
//! in two containers with the host's network see each other by it, though they
//! share no file, and it is gone with the process however that ends. Nobody is
//! served at it.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

const NAME: &[u8] = b"guard";

/// Somebody else holds the sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "another guard keeps this host's firewall, perhaps in another container with \
     network_mode: host: stop it first (docker ps shows it), for two would undo each other's rules"
)]
pub struct AnotherGuard;

/// Held: this is the only guard here. Gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Alone {
    /// `None`: it could not be found out, which must not keep guard from its work.
    _sign: Option<OwnedFd>,
}

impl Alone {
    /// Takes the sign.
    pub(crate) fn claim() -> Result<Alone, AnotherGuard> {
        match sign() {
            Ok(sign) => Ok(Alone { _sign: Some(sign) }),
            Err(Errno::ADDRINUSE) if held_by_guard() => Err(AnotherGuard),
            Err(error) => {
                tracing::warn!("it can't be told whether another guard runs on this host: {error}");
                Ok(Alone { _sign: None })
            }
        }
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn sign() -> rustix::io::Result<OwnedFd> {
    let sign = socket()?;
    bind(&sign, &SocketAddrUnix::new_abstract_name(NAME)?)?;
    listen(&sign, 1)?;
    Ok(sign)
}

/// Anybody can take an abstract name, but only root or guard's own user can be a
/// guard: others must not keep it from starting.
fn held_by_guard() -> bool {
    let holder = || {
        let socket = socket()?;
        match connect(&socket, &SocketAddrUnix::new_abstract_name(NAME)?) {
            Ok(()) => socket_peercred(&socket).map(|holder| Some(holder.uid)),
            // Asked by many, and it serves nobody.
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    };
    match holder() {
        Ok(Some(user)) => user.is_root() || user == rustix::process::geteuid(),
        Ok(None) => true,
        Err(_) => false,
    }
}
