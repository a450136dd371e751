//! Reads the last lines of a jail's sources, and has its filter tried on them.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use crate::daemon::jails::ProbeGround;
use crate::daemon::start::{log_zone, path_space};
use crate::daemon::wanted::What;
use crate::docker::Engine;
use crate::doctor::{Probe, Prober};
use crate::files::{FileReader, FileStatus};
use crate::model::{Container, Timestamp};

/// So many of the last lines are tried.
pub(super) const LINES: usize = 1000;

/// So long files are read for; of more than can be read in that time, the first count.
const FILES: Duration = Duration::from_secs(3);

/// Files that say nothing for so long were read to their ends.
const QUIET: Duration = Duration::from_millis(300);

/// Tries the jail's filter on what its sources hold; `None`: none of them can be read.
pub(super) async fn probe(
    engine: &Engine,
    sources: &[ProbeGround],
    (own, zone): (Option<&Container>, &TimeZone),
) -> Option<Probe> {
    let first = sources.first()?;
    let mut prober = Prober::new(&first.spec.jail.filter, first.source.clone(), zone.clone());
    let mut read = false;
    let now = Timestamp::now();
    for source in sources {
        match &source.spec.what {
            What::Output(_) => {
                let Ok(lines) = engine.last_lines(&source.container, LINES).await else { continue };
                prober.source(&source.container.name);
                for (at, text) in lines {
                    prober.feed(now, &text, at);
                }
                read = true;
            }
            What::Files(patterns) => {
                let label = source.spec.jail.log_zone.as_ref();
                let zone = log_zone(engine, &source.container, label, zone.clone()).await;
                let space = path_space(&source.container, own);
                let reader = FileReader::new(space, patterns.clone(), HashMap::new());
                let (lines, names) = last_of_files(reader).await;
                if names.is_empty() {
                    continue;
                }
                if !read {
                    let filter = &source.spec.jail.filter;
                    prober = Prober::new(filter, source.source.clone(), zone);
                }
                names.iter().for_each(|name| prober.source(name));
                lines.iter().for_each(|text| prober.feed(now, text, None));
                read = true;
            }
            // It tells by itself what it sees.
            What::Journal(_) => {}
        }
        tokio::task::yield_now().await;
    }
    read.then(|| prober.end())
}

async fn last_of_files(mut reader: FileReader) -> (VecDeque<String>, Vec<String>) {
    let mut last = VecDeque::with_capacity(LINES);
    let began = Instant::now();
    while began.elapsed() < FILES {
        let Ok(batch) = tokio::time::timeout(QUIET, reader.next()).await else { break };
        for line in batch.lines {
            if last.len() >= LINES {
                last.pop_front();
            }
            last.push_back(line.text);
        }
    }
    let followed = reader.states().into_iter().filter(|file| file.status == FileStatus::Following);
    (last, followed.map(|file| file.shown.clone()).collect())
}
