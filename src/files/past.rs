//! The files that a path named before, found by what they are called now.
//!
//! While guard was down, or before it first came, a log was rotated any number of
//! times: renamed, or copied and emptied, and packed. What was written meanwhile lies
//! in the files beside it.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::generation::Generation;
use super::known::Known;
use super::rotated::{Rotation, rotation, sort, unpacked};
use super::since::Since;
use super::space::{PathSpace, folder};
use crate::model::{FileMark, LogEncoding};

/// Most files of a directory that are looked at to find one that was renamed.
const MAX_SIBLINGS: usize = 1000;

/// Most files between the one that was read last and the one that the path names now.
const MAX_BETWEEN: usize = 24;

/// Which file it is, by the numbers of its device and of itself.
pub(super) type Identity = (u64, u64);

/// Where to look, and how to read what is found.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) space: &'a PathSpace,
    pub(super) path: &'a str,
    pub(super) encoding: LogEncoding,
    pub(super) now: Instant,
    pub(super) taken: &'a Taken,
}

/// Files that are not to be read here.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Those that are open, or are read under names of their own.
    pub(super) open: Vec<Identity>,
    /// Those that were read, with the places reached. The number of one that is gone may
    /// be another's by now, so their beginnings count, too.
    pub(super) read: Vec<FileMark>,
}

/// What was found of the past, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) generations: Vec<Generation>,
    /// How many files are there that can't be read.
    pub(super) unreadable: usize,
}

/// A file that was rotated away.
struct Rotated {
    path: String,
    rotation: Rotation,
    written: (i64, i64),
}

impl Place<'_> {
    /// The file that is known, and those that the path named after it. `None`: the
    /// one that is known is not there.
    pub(super) fn after(&self, known: &Known) -> Option<Past> {
        let (path, mut generation) = self.find(known)?;
        let mut past = self.later(&path, generation.written());
        if !self.is_taken(&mut generation) {
            past.generations.insert(0, generation);
        }
        mark_archived(&mut past.generations);
        Some(past)
    }

    /// The files that the path named after this one, which was last written then, and may
    /// be gone.
    pub(super) fn after_file(&self, identity: Identity, written: (i64, i64)) -> Past {
        let is_it = |path: &String| {
            let opened = self.space.open(path);
            opened.is_ok_and(|file| (file.device, file.inode) == identity)
        };
        let mut alike = siblings(self.space, self.path).filter(|(_, alike)| *alike);
        let path = alike.by_ref().take(MAX_SIBLINGS).map(|(path, _)| path).find(is_it);
        self.later(path.as_deref().unwrap_or_default(), written)
    }

    /// The files that the path named after the one that has this path now, and was last
    /// written then.
    pub(super) fn later(&self, path: &str, written: (i64, i64)) -> Past {
        let rotated = self.rotated();
        let later = match rotated.iter().position(|file| file.path == path) {
            Some(at) => &rotated[at + 1..],
            None => &rotated[rotated.partition_point(|file| file.written <= written)..],
        };
        self.open(later)
    }

    /// What was written since a time, as far as it has dates.
    pub(super) fn since(&self, since: &mut Since) -> Past {
        let oldest = (since.oldest().as_second(), 0);
        let rotated = self.rotated();
        let first = rotated.iter().position(|file| file.written >= oldest);
        let mut past = self.open(first.map_or(&[], |first| &rotated[first..]));
        past.generations.retain_mut(|generation| since.begin(generation));
        mark_archived(&mut past.generations);
        past
    }

    fn find(&self, known: &Known) -> Option<(String, Generation)> {
        let mut copy = None;
        for (path, alike) in siblings(self.space, self.path).take(MAX_SIBLINGS) {
            let Some(mut generation) = self.generation(&path) else { continue };
            if generation.resume(known) {
                return Some((path, generation));
            }
            if copy.is_none() && alike && generation.copied(known) {
                copy = Some((path, generation));
            }
        }
        copy
    }

    /// The files that the path named once, the oldest first.
    fn rotated(&self) -> Vec<Rotated> {
        let own = name(self.path);
        let names: BTreeSet<String> = siblings(self.space, self.path)
            .filter(|(_, alike)| *alike)
            .map(|(path, _)| path)
            .take(MAX_SIBLINGS)
            .collect();
        let mut rotated: Vec<Rotated> = names
            .iter()
            // While it is packed, a file is there twice.
            .filter(|path| unpacked(path) == *path || !names.contains(unpacked(path)))
            .filter_map(|path| {
                let rotation = rotation(own, name(path))?;
                let opened = self.space.open(path).ok()?;
                let written = Generation::fresh(opened, self.encoding, self.now).written();
                Some(Rotated { path: path.clone(), rotation, written })
            })
            .collect();
        sort(&mut rotated, |file| (&file.rotation, file.written));
        rotated
    }

    fn open(&self, rotated: &[Rotated]) -> Past {
        let too_many = rotated.len().saturating_sub(MAX_BETWEEN);
        let mut past = Past { unreadable: too_many, ..Past::default() };
        for file in &rotated[too_many..] {
            match self.generation(&file.path) {
                Some(mut generation) => {
                    if !self.is_taken(&mut generation) {
                        past.generations.push(generation);
                    }
                }
                None => past.unreadable += 1,
            }
        }
        past
    }

    fn is_taken(&self, generation: &mut Generation) -> bool {
        self.taken.open.contains(&generation.identity())
            || self.taken.read.iter().any(|mark| generation.is(mark))
    }

    /// `None` as well for what is packed in a way that guard does not know.
    fn generation(&self, path: &str) -> Option<Generation> {
        let packed = unpacked(path) != path;
        if packed && !path.ends_with(".gz") {
            return None;
        }
        let opened = self.space.open(path).ok()?;
        Some(if packed {
            Generation::packed(opened, self.encoding, self.now)
        } else {
            Generation::fresh(opened, self.encoding, self.now)
        })
    }
}

/// Only the last one may still be written to.
fn mark_archived(generations: &mut [Generation]) {
    let last = generations.len().saturating_sub(1);
    for (at, generation) in generations.iter_mut().enumerate() {
        generation.archived = at < last || generation.is_packed();
    }
}

/// The other files in the path's directory, those with names like it first; are they?
pub(super) fn siblings(space: &PathSpace, path: &str) -> impl Iterator<Item = (String, bool)> {
    let own = name(path).to_owned();
    let folder = folder(path);
    let names = space.list(folder).unwrap_or_default();
    let mut names: Vec<(String, bool)> = names
        .into_iter()
        .filter(|name| *name != own)
        .map(|name| {
            let alike = name.starts_with(&own) || rotation(&own, &name).is_some();
            (name, alike)
        })
        .collect();
    names.sort_by_key(|(_, alike)| !alike);
    let folder = folder.trim_end_matches('/').to_owned();
    names.into_iter().map(move |(name, alike)| (format!("{folder}/{name}"), alike))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
