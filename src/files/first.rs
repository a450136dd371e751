//! What a path names: a file that was read before, one that got another name, or one
//! that is read for the first time.

use tokio::time::Instant;

use super::generation::Generation;
use super::known::Known;
use super::past::{Identity, Past, Place, Taken};
use super::reader::FileReader;
use super::space::Opened;
use super::{FileBatch, FileStatus};
use crate::model::FileMark;

/// The files that the paths of a jail name, by device and number.
type Identities = [Option<Identity>];

impl FileReader {
    /// A path names this file now.
    pub(super) fn found(
        &mut self,
        index: usize,
        opened: Opened,
        identities: &Identities,
        now: Instant,
    ) {
        let identity = (opened.device, opened.inode);
        let is_it = |generation: &Generation| (generation.device, generation.inode) == identity;
        if self.followers[index].generations.back().is_some_and(is_it) {
            return self.followers[index].confirm();
        }
        let holder = self.followers.iter().position(|f| f.generations.iter().any(is_it));
        match holder {
            // The same file by a second name: one of them is enough.
            Some(holder) if holder != index && identities[holder] == Some(identity) => {
                self.followers[index].status = FileStatus::Following;
            }
            // It was renamed to this path, or back: its place goes with it.
            Some(holder) => {
                let held = &mut self.followers[holder].generations;
                let place = held.iter().position(is_it);
                if let Some(generation) = place.and_then(|place| held.remove(place)) {
                    self.followers[holder].note_read(&generation);
                    if generation.has_begun() {
                        self.tell_place(index, generation.place(), generation.live);
                    }
                    self.followers[index].adopt(generation, now);
                }
            }
            None => {
                let generation = Generation::fresh(opened, self.encoding, now);
                if self.followers[index].generations.is_empty() {
                    let generation = self.place(index, generation, identities, now);
                    return self.followers[index].adopt(generation, now);
                }
                let generation = self.place(index, generation, identities, now);
                self.between(index, identities, now);
                self.followers[index].adopt(generation, now);
            }
        }
    }

    /// A path that named another file a moment ago may have named more since.
    fn between(&mut self, index: usize, identities: &Identities, now: Instant) {
        let Some(newest) = self.followers[index].generations.back() else { return };
        let (identity, written) = (newest.identity(), newest.written());
        let taken = self.taken(index, identities);
        let past = self.beside(index, &taken, now).after_file(identity, written);
        self.adopt_past(index, past, now);
    }

    /// The files that are read under names of their own, or were read.
    fn taken(&self, index: usize, identities: &Identities) -> Taken {
        let mut taken = self.followers[index].taken();
        taken.open.extend(identities.iter().flatten());
        taken
    }

    /// Puts a file that is not open yet to where it is read on.
    fn place(
        &mut self,
        index: usize,
        generation: Generation,
        identities: &Identities,
        now: Instant,
    ) -> Generation {
        let mut generation = generation;
        if self.resume(index, &mut generation) {
            return generation;
        }
        if !self.recover(index, identities, now) && self.followers[index].is_old {
            self.begin(index, &mut generation, identities, now);
        }
        generation
    }

    /// The file from its place in an earlier life, whatever its name was then.
    fn resume(&mut self, index: usize, generation: &mut Generation) -> bool {
        let own = &self.followers[index].source;
        let is_it = |known: &&Known| known.judged.inode == generation.inode;
        let places = self.known.values().chain(&self.left);
        let mut places: Vec<Known> = places.filter(is_it).copied().collect();
        places.sort_by_key(|known| std::cmp::Reverse(known.judged.offset));
        let Some(place) = places.into_iter().find(|known| generation.resume(known)) else {
            return false;
        };
        if self.known.get(own) == Some(&place) {
            self.known.remove(own);
        } else {
            // Another path's: from now on it is known by this one.
            self.tell_place(index, generation.place(), false);
        }
        true
    }

    /// The path names another file than when guard last looked, or none: the one
    /// that it named, and those after it, may lie beside it. False: none was known.
    pub(super) fn recover(&mut self, index: usize, identities: &Identities, now: Instant) -> bool {
        let Some(known) = self.known.remove(&self.followers[index].source) else { return false };
        self.left.push(known);
        match self.beside(index, &self.taken(index, identities), now).after(&known) {
            Some(past) => self.adopt_past(index, past, now),
            None => self.followers[index].gap(
                "the file that was read last is not there any more under any name; what was \
                 written to it since is not known"
                    .to_owned(),
            ),
        }
        true
    }

    /// A file is read for the first time, and so is what was rotated away lately.
    fn begin(
        &mut self,
        index: usize,
        generation: &mut Generation,
        identities: &Identities,
        now: Instant,
    ) {
        let Some(mut since) = self.since.take() else { return };
        let is_dated = since.begin(generation);
        if is_dated && !generation.has_begun() {
            let past = self.beside(index, &self.taken(index, identities), now).since(&mut since);
            self.adopt_past(index, past, now);
        }
        self.since = Some(since);
        // Where it begins is known from now on, even if nothing is ever written to it.
        let oldest = self.followers[index].generations.front().unwrap_or(generation);
        let place = oldest.place();
        self.tell_place(index, place, false);
    }

    fn beside<'a>(&'a self, index: usize, taken: &'a Taken, now: Instant) -> Place<'a> {
        let path = &self.followers[index].path;
        Place { space: &self.space, path, encoding: self.encoding, now, taken }
    }

    fn adopt_past(&mut self, index: usize, past: Past, now: Instant) {
        let follower = &mut self.followers[index];
        for generation in past.generations {
            follower.adopt(generation, now);
        }
        if past.unreadable > 0 {
            follower.gap(format!(
                "{} files that were rotated away since can't be read",
                past.unreadable
            ));
        }
    }

    /// A place that came without lines.
    fn tell_place(&mut self, index: usize, place: FileMark, live: bool) {
        self.moved.push_back(FileBatch {
            source: self.followers[index].source.clone(),
            lines: Vec::new(),
            place: Some(place),
            known: 0,
            live,
            gone: false,
        });
    }
}
