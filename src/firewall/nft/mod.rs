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
//! | `choice` | does Docker's set-up ask for nftables? (pure) |
//! | `turn` | the structure's part of the keeper's turn |
//!
//! Structure is written by `nft -f -`, all or none; elements go by netlink. What is
//! there is read by netlink: cheaply, because nf_tables numbers its generations. As
//! long as the number is the one that guard's own last change led to, nobody else
//! has changed anything, be it an element, and nothing has to be read at all.

mod choice;
mod decode;
mod encode;
mod plan;
mod shape;
mod socket;
mod turn;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rustix::io::Errno;

use crate::model::{Network, Timestamp};

use super::iptables::{self, ToolError};
use super::names::Family;
use super::netlink::{Element, ElementChange};
use super::sets::{Refusals, SetError};
use super::socket::SocketError;
pub use choice::DockerFirewall;
use encode::MOST_ELEMENTS;
use plan::Found;
use shape::{parts, set_name};
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
        let chains =
            self.socket.dump(encode::GET_CHAIN, encode::INET, |q| q, decode::chain)?;
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
        let sets = self.socket.dump(
            encode::GET_SET,
            encode::INET,
            |q| q.of_table(&table),
            decode::set,
        )?;
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

    /// The sets of this base name that are there: for which length, and its name.
    fn sets_of(&mut self, base: &str) -> Result<Vec<(Option<u8>, String)>, SocketError> {
        if self.found.is_none() {
            // Not a look, which would make others' changes pass unseen.
            self.found = Some(self.read()?);
        }
        let found = self.found.get_or_insert_default();
        let sets = found.sets.keys().map(|name| (parts(name), name));
        let ours = sets.filter(|((of, _), _)| *of == base);
        Ok(ours.map(|((_, length), name)| (length, name.clone())).collect())
    }

    /// All elements of a jail's sets of one family.
    pub(crate) fn list(&mut self, base: &str) -> Result<Vec<Element>, SetError> {
        let what = || failed(format!("listing set {base}"));
        let mut all = Vec::new();
        for (length, set) in self.sets_of(base).map_err(what())? {
            let table = self.table.clone();
            let parts = self.socket.dump(
                encode::GET_ELEMENT,
                encode::INET,
                |q| q.of_table(&table).of_set(&set),
                |body| decode::elements(body, length),
            );
            all.extend(parts.map_err(what())?.into_iter().flatten());
        }
        Ok(all)
    }

    /// Adds or removes elements of a jail's sets. What is there already, as `ends`
    /// says, is removed and added anew in one batch: before Linux 6.12 adding again
    /// does not prolong.
    pub(crate) fn change(
        &mut self,
        base: &str,
        change: ElementChange,
        elements: &[Element],
        ends: &HashMap<Network, Option<Timestamp>>,
    ) -> Result<Refusals, SetError> {
        let now = Timestamp::now();
        let mut by_length: BTreeMap<u8, Vec<Step>> = BTreeMap::new();
        for element in elements {
            let end = ends.get(&element.network);
            let gone = end.is_some_and(|end| end.is_some_and(|end| is_long_over(end, now)));
            let step = match change {
                // Who has ended by himself need not be removed.
                ElementChange::Remove if gone => continue,
                ElementChange::Remove => Step { remove: true, add: false, element: *element },
                ElementChange::Add => {
                    Step { remove: end.is_some() && !gone, add: true, element: *element }
                }
            };
            by_length.entry(element.network.length()).or_default().push(step);
        }
        let mut refusals = Refusals::default();
        for (length, steps) in by_length {
            let Some(first) = steps.first() else { continue };
            let set = set_name(base, Family::of(first.element.network), length);
            self.change_set(&set, steps, &mut refusals)?;
        }
        Ok(refusals)
    }

    fn change_set(
        &mut self,
        set: &str,
        steps: Vec<Step>,
        refusals: &mut Refusals,
    ) -> Result<(), SetError> {
        let mut waiting: Vec<Vec<Step>> =
            steps.chunks(MOST_ELEMENTS).rev().map(<[Step]>::to_vec).collect();
        while let Some(mut part) = waiting.pop() {
            let (outcome, numbers) =
                self.try_part(set, &part).map_err(failed(format!("changing set {set}")))?;
            let reasons = match outcome {
                Outcome::Done => continue,
                Outcome::Refused(reasons) => reasons,
                Outcome::Unknown if part.len() > 1 => Vec::new(),
                Outcome::Unknown => {
                    return Err(failed(format!("changing set {set}"))(unknown()));
                }
            };
            let gone = leave_out_gone(&mut part, &numbers, &reasons);
            part.retain(|step| step.remove || step.add);
            if part.is_empty() {
                continue;
            }
            if gone {
                waiting.push(part);
                continue;
            }
            if part.len() > 1 {
                let half = part.split_off(part.len() / 2);
                waiting.extend([half, part]);
                continue;
            }
            let code = reasons.first().map_or(0, |(_, code)| *code);
            let network = part[0].element.network;
            if code == Errno::NFILE.raw_os_error() {
                // Each of the rest would be refused for itself.
                let rest = waiting.into_iter().rev().flatten();
                let rest = rest.filter(|step| step.add).map(|step| step.element.network);
                refusals.full.extend(std::iter::once(network).chain(rest));
                return Ok(());
            }
            let error = SocketError::Refused { code, line: None };
            if error.is_denied() || code == Errno::NOENT.raw_os_error() {
                // The set itself is gone.
                return Err(failed(format!("changing set {set}"))(error));
            }
            refusals.odd.push((network, error.to_string()));
        }
        Ok(())
    }

    /// Tries a part; the number of each removal's message.
    fn try_part(
        &mut self,
        set: &str,
        part: &[Step],
    ) -> Result<(Outcome, Vec<Option<u32>>), SocketError> {
        let before = self.generation().ok();
        let table = self.table.clone();
        let adds: Vec<Element> =
            part.iter().filter(|step| step.add).map(|step| step.element).collect();
        let tried = self.socket.carry_out(part.len() + 1, |batch| {
            let mut remove = |step: &Step| batch.remove(&table, set, step.element.network);
            let numbers =
                part.iter().map(|step| step.remove.then(|| remove(step))).collect::<Vec<_>>();
            if !adds.is_empty() {
                batch.add(&table, set, &adds);
            }
            numbers
        });
        let done = matches!(tried, Ok((Outcome::Done, _)));
        self.count(before, done);
        tried
    }

    /// Takes guard's table away, if there is one.
    pub(crate) fn remove_table(&mut self) -> Result<(), SetError> {
        let what = || failed("taking nftables' table inet guard away");
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

/// One element's change.
#[derive(Clone, Copy, Debug)]
struct Step {
    remove: bool,
    add: bool,
    element: Element,
}

/// Whose removal was refused because he is not there, ended by himself: leaves those
/// removals out; were there any?
fn leave_out_gone(
    part: &mut [Step],
    numbers: &[Option<u32>],
    reasons: &[(u32, i32)],
) -> bool {
    let missing: std::collections::BTreeSet<u32> = reasons
        .iter()
        .filter(|(_, code)| *code == Errno::NOENT.raw_os_error())
        .map(|(number, _)| *number)
        .collect();
    let mut any = false;
    for (step, number) in part.iter_mut().zip(numbers) {
        if step.remove && number.is_some_and(|number| missing.contains(&number)) {
            step.remove = false;
            any = true;
        }
    }
    any
}

/// So far apart may guard's clock and the kernel's be on one element.
fn is_long_over(end: Timestamp, now: Timestamp) -> bool {
    const SLACK: jiff::SignedDuration = jiff::SignedDuration::from_secs(3);
    end.checked_add(SLACK).is_ok_and(|end| end < now)
}
