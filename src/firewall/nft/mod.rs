//! nftables: a table of guard's own, `inet guard`.
//!
//! Used where Docker makes no DOCKER-USER: with its own nftables backend, and where
//! its firewall is off. A drop in any base chain is final, so guard needs no place
//! among Docker's rules.
//!
//! | file | |
//! |---|---|
//! | `shape` | which chains, rules and sets a jail needs (pure) |
//! | `plan` | the table as found, and what to change in it (pure) |
//! | `encode`, `decode` | the bytes of nf_tables' netlink protocol (pure) |
//! | `socket` | asking, and carrying out a batch |
//! | `elements` | what is in the sets: listed, added, removed |
//! | `choice` | does Docker's set-up ask for nftables? (pure) |
//! | `packets` | what the rules have counted |
//! | `own` | whose the table is, and what the kernel shows of Docker |
//! | `beside` | guard's rules in iptables' table, taken away where iptables itself can't |
//! | `turn` | the structure's part of the keeper's turn |
//!
//! Structure is written by `nft -f -`, all or none; elements go by netlink. What is
//! there is read by netlink: cheaply, because nf_tables numbers its generations. As
//! long as the number is the one that guard's own last change led to, nobody else
//! has changed anything, be it an element, and nothing has to be read at all.

mod beside;
mod choice;
mod decode;
mod elements;
mod encode;
mod own;
mod packets;
mod plan;
mod shape;
mod socket;
mod turn;

use std::collections::BTreeMap;
use std::time::Instant;

use rustix::io::Errno;

use super::iptables::{self, ToolError};
use super::sets::SetError;
use super::socket::SocketError;
pub(crate) use beside::take_away;
pub use choice::DockerFirewall;
use plan::Found;
use socket::{Outcome, Socket};

/// The table's name, unless another program has one of that name.
const TABLE: &str = "guard";

/// A table that something keeps changing is read so often.
const LOOKS: usize = 5;

/// guard's table in this network namespace.
#[derive(Debug)]
pub(crate) struct Nft {
    socket: Socket,
    /// Its table's name.
    table: String,
    /// The generation in which all was as guard left or read it.
    clean: Option<u32>,
    /// What was read last; `None`: guard wrote something since.
    found: Option<Found>,
    /// May an element have been changed since the last count over, and when may all
    /// be counted over again?
    doubted: bool,
    next_count: Instant,
    /// Sets of prefixes that are there, and since when nobody needs them.
    idle: BTreeMap<String, Instant>,
    /// Did the last look at the structure end well?
    pub(crate) works: bool,
}

fn failed(what: impl Into<String>) -> impl FnOnce(SocketError) -> SetError {
    let what = what.into();
    move |error| {
        if error.is_denied() {
            SetError::Denied
        } else {
            SetError::Failed { what, why: error.to_string() }
        }
    }
}

fn unknown() -> SocketError {
    SocketError::Io(Errno::NOBUFS)
}

impl Nft {
    /// Opens a socket, and sees that the kernel has nf_tables.
    pub(crate) fn open() -> Result<Nft, SetError> {
        let unusable = |error: SocketError| {
            if error.is_denied() {
                SetError::Denied
            } else {
                SetError::Unusable(format!("nf_tables does not answer: {error}"))
            }
        };
        let mut nft = Nft {
            socket: Socket::open().map_err(unusable)?,
            table: TABLE.to_owned(),
            clean: None,
            found: None,
            doubted: true,
            next_count: Instant::now(),
            idle: BTreeMap::new(),
            works: false,
        };
        nft.generation().map_err(unusable)?;
        Ok(nft)
    }

    fn generation(&mut self) -> Result<u32, SocketError> {
        let asked = self.socket.ask(encode::GET_GENERATION, 0, |q| q, decode::generation)?;
        asked.ok_or(super::netlink::Garbled.into())
    }

    /// What is in guard's table; and did anybody else than guard change anything since
    /// the last look? Also `true` at the first.
    fn look(&mut self) -> Result<(&Found, bool), SocketError> {
        let mut before = self.generation()?;
        let others = self.clean != Some(before);
        if others {
            self.found = None;
        }
        for _ in 0..LOOKS {
            if self.found.is_some() && self.clean == Some(before) {
                break;
            }
            self.found = Some(self.read()?);
            let after = self.generation()?;
            self.clean = (before == after).then_some(after);
            before = after;
        }
        Ok((self.found.get_or_insert_default(), others))
    }

    fn read(&mut self) -> Result<Found, SocketError> {
        let table = self.table.clone();
        let mut found = Found {
            flags: self.socket.ask(
                encode::GET_TABLE,
                encode::INET,
                |q| q.of_table(&table),
                decode::table_flags,
            )?,
            ..Found::default()
        };
        if found.flags.is_none() {
            return Ok(found);
        }
        let chains = self.socket.dump(encode::GET_CHAIN, encode::INET, |q| q, decode::chain)?;
        for chain in chains.into_iter().filter(|chain| chain.table == table) {
            found.chains.entry(chain.name).or_default().base = chain.base;
        }
        let rules = self.socket.dump(
            encode::GET_RULE,
            encode::INET,
            |q| q.of_table(&table),
            decode::rule,
        )?;
        for (chain, rule) in rules {
            if let Some(chain) = found.chains.get_mut(&chain) {
                chain.rules.push(rule);
            }
        }
        let sets =
            self.socket.dump(encode::GET_SET, encode::INET, |q| q.of_table(&table), decode::set)?;
        found.sets.extend(sets);
        Ok(found)
    }

    /// Writes structure, all or none.
    fn write(&mut self, lines: &[String]) -> Result<(), ToolError> {
        let before = self.generation().ok();
        let done = iptables::nft(lines);
        self.found = None;
        self.count(before, done.is_ok());
        done
    }

    /// After a change of guard's own: is the generation the next one? Then nobody else
    /// came between.
    fn count(&mut self, before: Option<u32>, done: bool) {
        let after = self.generation().ok();
        let next = before.map(|generation| match generation.wrapping_add(u32::from(done)) {
            0 => 1,
            next => next,
        });
        if self.clean.is_some() && self.clean == before && after == next {
            self.clean = after;
        } else {
            self.clean = None;
        }
    }

    /// Its table's name.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Takes its table away, if it is there.
    pub(crate) fn remove_table(&mut self) -> Result<(), SetError> {
        let doing = format!("taking nftables' table inet {} away", self.table);
        let what = || failed(doing.clone());
        let (found, _) = self.look().map_err(what())?;
        if found.flags.is_none() || found.is_foreign() {
            return Ok(());
        }
        let table = self.table.clone();
        self.found = None;
        let done = self.socket.carry_out(1, |batch| batch.delete_table(&table));
        match done.map_err(what())?.0 {
            Outcome::Done => Ok(()),
            Outcome::Unknown => Err(what()(unknown())),
            Outcome::Refused(reasons) => {
                let code = reasons.first().map_or(0, |(_, code)| *code);
                Err(what()(SocketError::Refused { code, line: None }))
            }
        }
    }
}
