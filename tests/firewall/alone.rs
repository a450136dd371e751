//! Whose the sign is by which a guard shows that it runs.

use std::os::fd::OwnedFd;
use std::process::{Command, Output};

use rustix::fs::Uid;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::world::*;

fn socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
}

/// Takes the sign as this user, and fills its queue, so that it answers nobody.
fn squat(namespace: &Namespace, user: u32) -> Vec<OwnedFd> {
    namespace.inside(|| {
        rustix::thread::set_thread_uid(Uid::from_raw(user)).unwrap();
        let name = SocketAddrUnix::new_abstract_name(b"guard").unwrap();
        let sign = socket();
        bind(&sign, &name).unwrap();
        listen(&sign, 0).unwrap();
        let mut held = vec![sign];
        loop {
            let client = socket();
            match connect(&client, &name) {
                Ok(()) => held.push(client),
                Err(Errno::AGAIN) => return held,
                Err(error) => panic!("{error}"),
            }
        }
    })
}

fn cleanup(namespace: &Namespace) -> Output {
    namespace.inside(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guard"));
        command.arg("cleanup").output().unwrap()
    })
}

#[test]
fn who_cannot_be_a_guard_keeps_nobody_from_work_and_one_that_stands_still_does() {
    if !is_root("who_cannot_be_a_guard_keeps_nobody_from_work_and_one_that_stands_still_does") {
        return;
    }
    let host = Namespace::new();
    let squatter = squat(&host, 65534);
    let output = cleanup(&host);
    assert!(output.status.success(), "{output:?}");
    drop(squatter);

    // A guard that is stopped serves nobody either, and its firewall is its own.
    let frozen = squat(&host, 0);
    let output = cleanup(&host);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("another guard"), "{output:?}");
    drop(frozen);
    assert!(cleanup(&host).status.success());
}
