//! Sources that can't be read: told when that begins, and when it is over.
//!
//! By level, like all of the jails' task: what is wrong now, of all followers, is
//! compared with what was told.

use std::collections::{BTreeMap, BTreeSet};

use super::{EngineState, Jails, Running};
use crate::files::FileStatus;
use crate::journal::JournalState;
use crate::model::{About, JailName, News, Timestamp};

/// An output may fail for so many seconds: the engine itself may be restarting.
const PATIENCE: i64 = 30;

/// What was told: a jail's trouble, and how often it was looked for in vain since.
#[derive(Default)]
pub(super) struct Unreadable(BTreeMap<(JailName, String), u8>);

impl Jails {
    /// Tells what can't be read any more.
    pub(super) fn tell_unreadable(&mut self) {
        for trouble in self.unreadable_now() {
            if self.unreadable.0.insert(trouble.clone(), 0).is_none() {
                self.tell_source(&trouble, false);
            }
        }
    }

    /// The same, and what can be read again.
    pub(super) fn tell_sources(&mut self) {
        self.tell_unreadable();
        if !matches!(self.engine, EngineState::Connected(_)) {
            // Nobody can say now what could be read.
            return;
        }
        let now = self.unreadable_now();
        let mut told = std::mem::take(&mut self.unreadable.0);
        told.retain(|trouble, missed| {
            if now.contains(trouble) {
                return true;
            }
            // A follower that was only exchanged for another finds the same again.
            *missed += 1;
            if *missed > 1 {
                self.tell_source(trouble, true);
            }
            *missed <= 1
        });
        self.unreadable.0 = told;
    }

    fn tell_source(&self, (jail, what): &(JailName, String), over: bool) {
        let (jail, what) = (Some(jail.clone()), what.clone());
        self.tell(News::Trouble { about: About::Unreadable, jail, what, over });
    }

    fn unreadable_now(&self) -> BTreeSet<(JailName, String)> {
        let mut all = BTreeSet::new();
        for (key, running) in &self.followers {
            let jail = &key.jail;
            for what in self.troubles_of(running) {
                all.insert((jail.clone(), format!("[{jail}] {what}")));
            }
        }
        all
    }

    fn troubles_of(&self, running: &Running) -> Vec<String> {
        let Some(known) = self.containers.get(&running.spec.container) else { return Vec::new() };
        let (container, runs) = (known.container.name.to_string(), known.container.running);
        let state = running.state.borrow();
        let mut troubles: Vec<String> = Vec::new();
        let connected = matches!(self.engine, EngineState::Connected(_));
        let is_told = |why: &str| self.unreadable.0.keys().any(|(_, what)| what.ends_with(why));
        let lasts = |since: Timestamp| {
            // While the engine was lost nothing could be read, and readers try again by and by.
            let since = since.max(self.answers_since);
            Timestamp::now().duration_since(since).as_secs() > PATIENCE
        };
        let lasting = state.output.trouble.as_ref();
        let lasting = lasting.filter(|(since, why)| connected && (is_told(why) || lasts(*since)));
        for why in state.problem.iter().chain(lasting.map(|(_, why)| why)) {
            troubles.push(format!("output of {container}: {why}"));
        }
        for file in &state.files {
            if let FileStatus::Refused(why) | FileStatus::Unreachable(why) = &file.status {
                let what = format!("{} in {container}: {why}", file.shown);
                // Of a container that is started again at this moment there is no process to
                // ask; that is no news.
                if runs || is_told(&what) {
                    troubles.push(what);
                }
            }
        }
        troubles.extend(state.journal.iter().flat_map(JournalState::warnings));
        troubles
    }
}
