//! What is in guard's sets: listed, added and removed over netlink.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use rustix::io::Errno;

use crate::firewall::names::Family;
use crate::firewall::netlink::{Element, ElementChange};
use crate::firewall::sets::{Refusals, SetError};
use crate::firewall::socket::SocketError;
use crate::model::{Network, Timestamp};

use super::encode::{self, MOST_ELEMENTS};
use super::shape::{parts, set_name};
use super::socket::Outcome;
use super::{Nft, decode, failed, unknown};

impl Nft {
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

    /// Has every element counted over, at a later look.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Is it time to count over? The kernel walks from a set's begin for every page
    /// that it gives, so with very many elements that is never done most of the time,
    /// however often others change their rules.
    pub(super) fn is_to_be_counted(&mut self, others: bool) -> bool {
        self.doubted |= others;
        let now = self.doubted && Instant::now() >= self.next_count;
        self.doubted &= !now;
        now
    }

    /// All elements of a jail's sets of one family.
    pub(crate) fn list(&mut self, base: &str) -> Result<Vec<Element>, SetError> {
        let start = Instant::now();
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
        self.next_count = self.next_count.max(start) + start.elapsed() * 20;
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
            self.change_set(&set, &steps, &mut refusals)?;
        }
        Ok(refusals)
    }

    fn change_set(
        &mut self,
        set: &str,
        steps: &[Step],
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
fn leave_out_gone(part: &mut [Step], numbers: &[Option<u32>], reasons: &[(u32, i32)]) -> bool {
    let missing: BTreeSet<u32> = reasons
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
