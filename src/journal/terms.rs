//! (pure) The match terms, looked up in one file.
//!
//! A field is stored once in a file, however many entries have it: an entry fits if
//! it refers to the right fields, and none of them needs to be read.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::file::{Bytes, Entry, JournalFile};
use super::layout::Damage;
use crate::model::JournalMatch;

/// Where a file has the terms.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// As in [`JournalMatch`]; `None`: not in the file (yet).
    places: Vec<Vec<Vec<Option<u64>>>>,
    /// The file's table of fields is damaged: every entry's fields are read.
    by_content: bool,
}

impl Terms {
    /// Looks for what has not been found yet.
    pub(super) fn find<B: Bytes>(&mut self, file: &JournalFile<B>, wanted: &JournalMatch) {
        let groups = wanted.groups();
        if self.places.is_empty() {
            for fields in groups {
                self.places.push(fields.iter().map(|terms| vec![None; terms.len()]).collect());
            }
        }
        let terms = groups.iter().flatten().flatten();
        let places = self.places.iter_mut().flatten().flatten();
        for (term, place) in terms.zip(places).filter(|(_, place)| place.is_none()) {
            match file.find(term.as_bytes()) {
                Ok(found) => *place = found,
                Err(_) => self.by_content = true,
            }
        }
    }

    /// Can an entry of the file fit at all?
    pub(super) fn possible(&self) -> bool {
        let some = |terms: &Vec<Option<u64>>| terms.iter().any(Option::is_some);
        self.by_content || self.places.iter().any(|fields| fields.iter().all(some))
    }

    /// Does the entry fit?
    pub(super) fn fit<B: Bytes>(
        &self,
        file: &JournalFile<B>,
        wanted: &JournalMatch,
        entry: &Entry,
    ) -> Result<bool, Damage> {
        if self.by_content {
            return fits_by_content(file, wanted, entry);
        }
        let has = |place: &Option<u64>| place.is_some_and(|at| entry.fields.contains(&at));
        Ok(self.places.iter().any(|fields| fields.iter().all(|terms| terms.iter().any(has))))
    }
}

fn fits_by_content<B: Bytes>(
    file: &JournalFile<B>,
    wanted: &JournalMatch,
    entry: &Entry,
) -> Result<bool, Damage> {
    let mut damage = None;
    let fits = wanted.fits(|term| {
        entry.fields.iter().any(|at| match file.is(*at, term.as_bytes()) {
            Ok(is) => is,
            Err(found) => {
                damage = Some(found);
                false
            }
        })
    });
    match damage {
        Some(damage) if !fits => Err(damage),
        _ => Ok(fits),
    }
}
