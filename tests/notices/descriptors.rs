//! Who asks for metrics of a guard that has no file descriptor left.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::*;
use crate::world::World;

#[test]
fn that_nobody_can_be_accepted_is_said_once() {
    let Some(world) = World::new("that_nobody_can_be_accepted_is_said_once") else { return };
    let (port, nowhere) = (world.free_port(), world.free_port());
    let mut guard = world.guard(
        &format!("http://127.0.0.1:{nowhere}/?events=defect"),
        &[("GUARD_METRICS", &format!("127.0.0.1:{port}"))],
    );
    let count = |words: &str| guard.whole_log().matches(words).count();
    eventually("metrics are served", || ensure(count("metrics are served at") == 1, guard.log()));
    let pid = Pid::from_raw(i32::try_from(guard.pid()).unwrap()).unwrap();
    let none = Rlimit { current: Some(3), ..getrlimit(Resource::Nofile) };
    let before = prlimit(Some(pid), Resource::Nofile, none).unwrap();
    let mut client = world.network.enter(|| TcpStream::connect(("127.0.0.1", port))).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually("it was tried again and again", || {
        let tries = count("still can't accept who asks");
        ensure(tries >= 3, tries)
    });
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    eventually("it is over", || {
        let said = count("who asks for metrics is accepted again");
        ensure(said > 0, said)
    });
    assert_eq!(count(" can't accept who asks") - count("still can't accept who asks"), 1);
    assert_eq!(count("who asks for metrics is accepted again"), 1);
    guard.sigterm();
}
