//! Following the host's journal.

use super::reached::Reached;
use super::{Came, Follower, PROGRESS_EVERY, Track};
use crate::filter::{Carrier, Phase};
use crate::journal::{JournalReader, JournalState};
use crate::model::{Line, Mark, Position, Progress, SourceId};

impl Follower {
    /// Follows the journal until the follower is cancelled.
    pub(crate) async fn journal(self, mut reader: JournalReader, known: Option<Progress>) -> Came {
        let source = SourceId::Journal;
        let nowhere = Position::Journal(Vec::new());
        let judged = known.as_ref().map_or(&nowhere, |progress| &progress.judged).clone();
        let reached = known.map_or(Reached::at(nowhere), Reached::after);
        let mut track = Track::new(self.judge().on(Carrier::Journal), reached);
        loop {
            let batch = tokio::select! {
                () = self.cancel.cancelled() => break,
                () = tokio::time::sleep(PROGRESS_EVERY) => {
                    self.progress(&source, &mut track).await;
                    self.journal_state(&reader);
                    continue;
                }
                batch = reader.next() => batch,
            };
            let phase = if batch.live { Phase::Live } else { Phase::Backlog };
            let (known, new): (Vec<Line>, _) =
                batch.lines.into_iter().partition(|line| is_before(&line.mark, &judged));
            track.feed(&known);
            self.judge_lines(&source, &mut track, new, phase).await;
            for place in batch.places.into_iter().map(Mark::Journal) {
                if !is_before(&place, &judged) {
                    let mut position = track.reached.judged().clone();
                    position.advance(&place);
                    track.reached.move_to(position);
                    track.dirty = true;
                }
            }
            if track.reported.elapsed() >= PROGRESS_EVERY {
                self.progress(&source, &mut track).await;
                self.journal_state(&reader);
            }
        }
        self.progress(&source, &mut track).await;
        Came::from([(source, track.progress())])
    }

    fn journal_state(&self, reader: &JournalReader) {
        let state = reader.state();
        let is_new_gap = |known: &JournalState| known.gap != state.gap;
        if state.gap.is_some() && self.state.borrow().journal.as_ref().is_none_or(is_new_gap) {
            self.counters.gaps.add(1);
        }
        let changed = self.state.send_if_modified(|known| {
            let changed = known.journal.as_ref() != Some(&state);
            known.journal = Some(state);
            changed
        });
        if changed {
            self.noticed.notify_one();
        }
    }
}

/// Was an entry with this mark judged already, where that had come to `place`?
fn is_before(mark: &Mark, place: &Position) -> bool {
    let (Mark::Journal(mark), Position::Journal(places)) = (mark, place) else { return false };
    places.iter().any(|place| place.sequence == mark.sequence && mark.number <= place.number)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::tz::TimeZone;
    use tokio::sync::{mpsc, watch};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::daemon::follow::FollowerState;
    use crate::daemon::pump::Report;
    use crate::filter::{FilterSpec, Library};
    use crate::journal::JournalFolders;
    use crate::model::{Failure, Timestamp};

    const PACKED: &[u8] = include_bytes!("../../../tests/journal/samples/zstd.journal.zst");
    const REGEX: &str = r"^\S+ sshd\[\d+\]: .* from <HOST>(?: port \d+)?$";

    /// What a follower of the sample reports: the failures, how far it came at its
    /// end, and its state.
    async fn follow(
        folder: &std::path::Path,
        known: Option<Progress>,
    ) -> (Vec<Failure>, Came, FollowerState) {
        let spec = FilterSpec { failregex: vec![REGEX.into()], ..FilterSpec::default() };
        let (reports, mut reported) = mpsc::channel(100);
        let (state, mut states) = watch::channel(FollowerState::default());
        let cancel = CancellationToken::new();
        let follower = Follower {
            jail: "sshd".parse().unwrap(),
            filter: Library::default().get(&spec).unwrap(),
            find_time: Duration::from_secs(100 * 366 * 86_400),
            zone: TimeZone::UTC,
            reports,
            state,
            noticed: Default::default(),
            counters: Arc::default(),
            cancel: cancel.clone(),
        };
        let folders = JournalFolders { roots: vec![folder.to_owned()], machine: None };
        let place = known.as_ref().map(|progress| progress.resume.clone());
        let terms = "_SYSTEMD_UNIT=ssh.service".parse().unwrap();
        let reader = JournalReader::new(folders, terms, place, Timestamp::UNIX_EPOCH);
        let task = tokio::spawn(follower.journal(reader, known));
        let told = states.wait_for(|state| state.journal.is_some());
        let told = tokio::time::timeout(Duration::from_secs(30), told).await;
        let state = told.expect("a state within a second or two").unwrap().clone();
        cancel.cancel();
        let came = task.await.unwrap();
        let mut failures = Vec::new();
        while let Some(report) = reported.recv().await {
            if let Report::Failures(found, ..) = report {
                failures.extend(found);
            }
        }
        (failures, came, state)
    }

    #[tokio::test]
    async fn failures_bear_the_journals_time_and_place() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut bytes = Vec::new();
        ruzstd::decoding::StreamingDecoder::new(PACKED).unwrap().read_to_end(&mut bytes).unwrap();
        std::fs::write(folder.path().join("system.journal"), bytes).unwrap();

        let (failures, came, state) = follow(folder.path(), None).await;
        let told: Vec<_> = failures.iter().map(|f| (f.network.to_string(), f.at)).collect();
        let at = |microseconds| Timestamp::from_microsecond(microseconds).unwrap();
        let expected = [
            ("192.0.2.1", 1_700_000_001_000_000),
            ("192.0.2.2", 1_700_000_001_750_000),
            ("192.0.2.4", 1_700_000_005_000_000),
            ("192.0.2.5", 1_700_000_012_000_000),
        ];
        assert_eq!(told, expected.map(|(who, when)| (who.to_owned(), at(when))));
        assert!(failures.iter().all(|failure| failure.source == SourceId::Journal));
        let journal = state.journal.unwrap();
        assert_eq!((journal.warnings(), journal.found), (vec![], 1));

        // From the second failure on, the rest comes, and only that.
        let known = Some(failures[1].progress.clone());
        let (failures, again, _) = follow(folder.path(), known).await;
        assert_eq!(failures.len(), 2);
        assert_eq!(again, came);
        let Position::Journal(places) = &came[&SourceId::Journal].judged else {
            panic!("{came:?}")
        };
        assert_eq!((places.len(), places[0].number), (1, 12));
    }
}
