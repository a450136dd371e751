//! One guard in a network namespace: two would undo each other's rules.
//!
//! The sign is an abstract socket, which belongs to the network namespace: guards
//! in two containers with the host's network see each other by it, though they
//! share no file, and it is gone with the process however that ends. Nobody is
//! served at it.

mod owner;

use std::os::fd::OwnedFd;

use rustix::fs::Uid;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use owner::{Owner, owner};

const NAME: &[u8] = b"guard";
/// A name that is nobody's and can't be had all the same is tried so often.
const TRIES: u32 = 3;

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
        let mut taken = sign();
        for _ in 1..TRIES {
            if !taken.as_ref().is_err_and(|error| *error == Errno::ADDRINUSE) {
                break;
            }
            if held_by_guard() {
                return Err(AnotherGuard);
            }
            // Whoever had it may be gone by now, and another guard may have come.
            taken = sign();
        }
        match taken {
            Ok(sign) => Ok(Alone { _sign: Some(sign) }),
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
    let is_guards = |user: Uid| user.is_root() || user == rustix::process::geteuid();
    match owner(NAME) {
        Ok(Owner::User(user)) => is_guards(user),
        // Gone in this moment; or the kernel does not tell, and whoever listens must.
        Ok(Owner::Nobody) => false,
        Err(_) => match listener() {
            Ok(Some(user)) => is_guards(user),
            Ok(None) => true,
            Err(_) => false,
        },
    }
}

/// Who listens at the name; `None`: nobody can tell, for it was asked by many, and serves
/// nobody.
fn listener() -> rustix::io::Result<Option<Uid>> {
    let socket = socket()?;
    match connect(&socket, &SocketAddrUnix::new_abstract_name(NAME)?) {
        Ok(()) => socket_peercred(&socket).map(|holder| Some(holder.uid)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}
