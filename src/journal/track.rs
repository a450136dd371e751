//! One journal file: how far it has been read, and the next entry that fits.

use std::collections::VecDeque;
use std::fs::File;

use super::file::{Entry, JournalFile};
use super::folder::{self, Found};
use super::layout::{Damage, EntryHead};
use super::terms::Terms;
use crate::model::JournalMatch;

/// A file that is read.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) found: Found,
    pub(super) file: JournalFile<File>,
    /// The index of the next entry to look at.
    next: u64,
    /// Where the entries from there on are.
    listed: VecDeque<u64>,
    /// Entries up to this number are not wanted.
    floor: u64,
    terms: Terms,
    /// How many entries there were when the terms were last looked up.
    looked_up: u64,
    /// The next entry that fits.
    pub(super) ready: Option<Entry>,
    /// The last entry can't be read.
    pub(super) torn: bool,
    /// How many entries could not be read.
    pub(super) damaged: u64,
    /// Why a part of the file can't be read.
    pub(super) problem: Option<Damage>,
}

/// Where to begin in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    /// Not with entries up to this number.
    pub(super) number: u64,
    /// Not with older ones: microseconds since 1970.
    pub(super) realtime: u64,
}

impl Track {
    /// Begins to read a file.
    pub(super) fn new(found: Found, mut file: JournalFile<File>, begin: Begin) -> Track {
        let by_number = match begin.number {
            0 => 0,
            number => file.search(|head| head.number <= number),
        };
        let by_time = file.search(|head| head.realtime < begin.realtime);
        Track {
            found,
            file,
            next: by_number.max(by_time),
            listed: VecDeque::new(),
            floor: begin.number,
            terms: Terms::default(),
            looked_up: 0,
            ready: None,
            torn: false,
            damaged: 0,
            problem: None,
        }
    }

    /// Looks whether there is more.
    pub(super) fn refresh(&mut self, wanted: &JournalMatch) {
        if let Err(damage) = self.file.refresh() {
            self.problem = Some(damage);
        }
        let entries = self.file.header().entries;
        if self.next >= entries || self.looked_up == entries {
            return;
        }
        self.looked_up = entries;
        self.terms.find(&self.file, wanted);
        if !self.terms.possible() {
            self.skip_to_end();
        }
    }

    fn skip_to_end(&mut self) {
        self.next = self.file.header().entries;
        self.listed.clear();
    }

    /// The last entry that can be read.
    pub(super) fn last(&mut self) -> Option<EntryHead> {
        let last = self.file.header().entries.checked_sub(1)?;
        let head = self.file.head_of(last).ok();
        self.torn = head.is_none();
        head.or_else(|| {
            let end = self.file.search(|_| true);
            self.file.head_of(end.checked_sub(1)?).ok()
        })
    }

    /// Looks for the next entry that fits; each entry looked at costs 1 of `budget`.
    pub(super) fn advance(&mut self, wanted: &JournalMatch, budget: &mut usize) {
        while self.ready.is_none() && self.next < self.file.header().entries && *budget > 0 {
            *budget -= 1;
            let at = match self.next_place() {
                Ok(at) => at,
                Err(damage) => {
                    // What is linked behind the damage can't be found; what comes
                    // later may mend it.
                    self.problem = Some(damage);
                    let lost = self.file.header().entries - self.next;
                    self.damaged = self.damaged.saturating_add(lost);
                    self.skip_to_end();
                    return;
                }
            };
            self.next += 1;
            let entry = self.file.entry(at).and_then(|entry| {
                let fits = self.terms.fit(&self.file, wanted, &entry)?;
                Ok((fits && entry.head.number > self.floor).then_some(entry))
            });
            match entry {
                Ok(entry) => self.ready = entry,
                Err(damage) => {
                    self.damaged += 1;
                    self.problem = Some(damage);
                }
            }
        }
    }

    fn next_place(&mut self) -> Result<u64, Damage> {
        if self.listed.is_empty() {
            self.listed = self.file.list(self.next)?.into();
        }
        Ok(self.listed.pop_front().unwrap_or(0))
    }

    /// How many entries have not been looked at.
    pub(super) fn behind(&self) -> u64 {
        self.file.header().entries.saturating_sub(self.next) + u64::from(self.ready.is_some())
    }

    /// Has everything been read, and will nothing come any more?
    pub(super) fn is_over(&self) -> bool {
        let closed = self.found.is_archived()
            || self.file.header().archived
            || folder::is_removed(self.file.bytes());
        closed && self.behind() == 0
    }
}
