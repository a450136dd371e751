//! Who is logged in by SSH: a ban in INPUT would end those connections, and lock out
//! whoever could mend it.
//!
//! Attackers have connections too while they try passwords, but sshd ends those after
//! `LoginGraceTime`, 120 s unless changed. So only a connection that is older counts, by
//! guard's own looks at the kernel's table, for the kernel tells no connection's age. The
//! socket's inode tells one connection from the next with the same ports. Those that are
//! there when guard starts count at once: whoever restarts guard is logged in, and an
//! attacker's connection among them is ended by sshd soon.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::pump::Command;
use super::settings::ProtectSsh;
use crate::model::Address;

/// The table is looked at so often at least.
const LOOK: Duration = Duration::from_secs(15);
/// So much of a table is read: some 100,000 connections.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// So many connections are kept in mind; sshd has some dozens.
const MOST: usize = 4096;
/// A connection that is established, as the table has it.
const ESTABLISHED: &str = "01";

/// A connection to sshd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    peer: Address,
    /// The ports and the socket's inode.
    rest: (u16, u16, u64),
}

/// The peers of the connections that are there at guard's start.
pub(crate) fn at_start(settings: &ProtectSsh) -> BTreeSet<Address> {
    if settings.ports.is_empty() {
        return BTreeSet::new();
    }
    connections(&settings.ports).into_iter().map(|seen| seen.peer).collect()
}

/// Tells the warden who has long had an SSH connection, whenever that changes.
pub(crate) async fn watch(
    settings: ProtectSsh,
    commands: mpsc::Sender<Command>,
    cancel: CancellationToken,
) {
    if settings.ports.is_empty() {
        return;
    }
    let look = LOOK.min(settings.grace / 2).max(Duration::from_secs(1));
    let mut known: BTreeMap<Seen, Option<Instant>> = BTreeMap::new();
    known.extend(connections(&settings.ports).into_iter().map(|seen| (seen, None)));
    // What was told at the start may be another by now.
    let mut told = None;
    loop {
        let ports = settings.ports.clone();
        let looked = tokio::task::spawn_blocking(move || connections(&ports));
        let Some(Ok(now)) = cancel.run_until_cancelled(looked).await else { return };
        let peers = settled(&mut known, now, Instant::now(), settings.grace);
        if told.as_ref() != Some(&peers) {
            told = Some(peers.clone());
            // The warden ends only after its askers did.
            let _ = commands.send(Command::SshPeers(peers)).await;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(look) => {}
        }
    }
}

/// The peers of the connections that were there `grace` ago, and are; of those known
/// without a time the beginning is long ago.
fn settled(
    known: &mut BTreeMap<Seen, Option<Instant>>,
    now: Vec<Seen>,
    at: Instant,
    grace: Duration,
) -> BTreeSet<Address> {
    let before = std::mem::take(known);
    known.extend(now.into_iter().map(|seen| {
        let since = before.get(&seen).copied().unwrap_or(Some(at));
        (seen, since)
    }));
    let is_old =
        |since: &Option<Instant>| since.is_none_or(|since| at.duration_since(since) >= grace);
    known.iter().filter(|(_, since)| is_old(since)).map(|(seen, _)| seen.peer).collect()
}

/// The established connections to `ports` of this network namespace.
fn connections(ports: &BTreeSet<u16>) -> Vec<Seen> {
    let mut all = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A kernel without IPv6 has no such table.
        let Ok(file) = File::open(table) else { continue };
        let lines = BufReader::new(file.take(MOST_BYTES)).lines().map_while(Result::ok);
        let seen = lines.filter_map(|line| connection(&line, ports));
        all.extend(seen.take(MOST.saturating_sub(all.len())));
    }
    all
}

/// One line of the table: `0: 0100007F:0016 0200007F:D431 01 … inode …`.
fn connection(line: &str, ports: &BTreeSet<u16>) -> Option<Seen> {
    let mut words = line.split_ascii_whitespace();
    let (local, remote) = (words.nth(1)?, words.next()?);
    if words.next()? != ESTABLISHED {
        return None;
    }
    let port = |text: &str| u16::from_str_radix(text.rsplit_once(':')?.1, 16).ok();
    let local = port(local).filter(|port| ports.contains(port))?;
    let peer = Address::new(address(remote.split_once(':')?.0)?);
    let inode = words.nth(5)?.parse().ok()?;
    Some(Seen { peer, rest: (local, port(remote)?, inode) })
}

/// An address as the table has it: words of 32 bits in the machine's own order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernels_table_shows_who_is_connected() {
        for (here, peer) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let listener = TcpListener::bind(here).unwrap();
            let to = listener.local_addr().unwrap();
            let ports = BTreeSet::from([to.port()]);
            assert_eq!(connections(&ports), [], "it only listens");
            let client = TcpStream::connect(to).unwrap();
            let (server, from) = listener.accept().unwrap();
            let seen = connections(&ports);
            assert_eq!(seen.len(), 1, "{seen:?}");
            assert_eq!(seen[0].peer, peer.parse().unwrap());
            assert_eq!((seen[0].rest.0, seen[0].rest.1), (to.port(), from.port()));
            drop((server, client));
            assert_eq!(connections(&ports), [], "it is closed");
        }
    }

    #[test]
    fn only_what_stays_longer_than_a_login_may_take_counts() {
        let seen = |inode| Seen { peer: "192.0.2.1".parse().unwrap(), rest: (22, 4711, inode) };
        let (mut known, start) = (BTreeMap::new(), Instant::now());
        let grace = Duration::from_secs(150);
        let mut look = |second: u64, now: &[Seen]| {
            settled(&mut known, now.to_vec(), start + Duration::from_secs(second), grace).len()
        };
        assert_eq!(look(0, &[seen(1)]), 0);
        assert_eq!(look(149, &[seen(1)]), 0);
        assert_eq!(look(150, &[seen(1), seen(2)]), 1);
        assert_eq!(look(200, &[seen(2)]), 0, "another connection from the same port");
        assert_eq!(look(290, &[]), 0);
        assert_eq!(look(310, &[seen(2)]), 0, "it was gone");
        let mut known = BTreeMap::from([(seen(1), None)]);
        let mut look = |now: &[Seen]| settled(&mut known, now.to_vec(), start, grace).len();
        assert_eq!(look(&[seen(1), seen(2)]), 1, "it was there at the start");
        assert_eq!(look(&[seen(2)]), 0);
        assert_eq!(look(&[seen(1)]), 0, "another one by now");
    }

    #[test]
    fn other_lines_are_passed_over() {
        let ports = BTreeSet::from([22]);
        let line = |local: &str, remote: &str, state: &str| {
            format!(" 1: {local} {remote} {state} 0:0 00:0 0 0 0 99 1 f 20 4 30 10 -1")
        };
        assert!(connection(&line("0100007F:0016", "0200007F:D431", "01"), &ports).is_some());
        for (local, remote, state) in [
            ("0100007F:0017", "0200007F:D431", "01"),
            ("0100007F:0016", "0200007F:D431", "0A"),
            ("0100007F:0016", "0200007:D431", "01"),
            ("0100007F:0016", "é200007:D431", "01"),
            ("0100007F", "0200007F:D431", "01"),
        ] {
            assert_eq!(connection(&line(local, remote, state), &ports), None, "{local} {remote}");
        }
        assert_eq!(connection("  sl  local_address rem_address   st tx_queue", &ports), None);
    }
}
