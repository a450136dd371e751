//! Looks at the containers that nobody guards, and tries guard's filters on what they
//! have written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::{MAX_CONTAINERS, probe::LINES};
use crate::control::protocol::Reply;
use crate::daemon::jails::DoctorGround;
use crate::docker::{Engine, TimedLine};
use crate::filter::{Filter, FilterReference, Judge, Phase, Verdict, Who};
use crate::filters::Catalog;
use crate::model::{ContainerCheckup, Timestamp};
use crate::suggest::{self, Found, Output};

/// So long is looked; containers whose turn has not come by then are told.
const LONGEST: Duration = Duration::from_secs(120);

/// A filter that is tried on everybody's output.
type Named = (String, Arc<Filter>);

/// What could be guarded, the surest first.
pub(crate) async fn suggestions(ground: &DoctorGround) -> Reply {
    let (mut suggestions, mut notes, mut looked_at) = (Vec::new(), Vec::new(), 0);
    let engine = match &ground.engine {
        Ok(engine) => engine,
        Err(why) => {
            notes.push(why.clone());
            return Reply::Suggested { looked_at, suggestions, notes };
        }
    };
    let began = Instant::now();
    let catalog = ground.filters.clone();
    // Compiling them all takes a second or two.
    let filters = tokio::task::spawn_blocking(move || all(&catalog)).await.unwrap_or_default();
    let prefix = format!("{}.", ground.prefix);
    for id in &ground.unguarded {
        if began.elapsed() > LONGEST || looked_at >= MAX_CONTAINERS as u64 {
            let left = ground.unguarded.len() as u64 - looked_at;
            notes.push(format!("{left} containers were not looked at: there are too many"));
            break;
        }
        looked_at += 1;
        // It may have gone.
        let Ok(checked) = engine.container_checkup(id, &prefix).await else { continue };
        let output = output(engine, &checked, (&filters, &ground.filters), &ground.zone).await;
        suggestions.extend(suggest::suggestion(&checked, &output, &ground.prefix));
    }
    suggestions.sort_by(|a, b| (b.sure, &a.container).cmp(&(a.sure, &b.container)));
    Reply::Suggested { looked_at, suggestions, notes }
}

fn all(catalog: &Catalog) -> Vec<Named> {
    let listed = catalog.list().into_iter().map(|listed| listed.name);
    let named = listed.filter(|name| suggest::is_for_all(name));
    named.filter_map(|name| Some((name.clone(), compiled(catalog, &name)?))).collect()
}

fn compiled(catalog: &Catalog, name: &str) -> Option<Arc<Filter>> {
    let reference: FilterReference = name.parse().ok()?;
    let loaded = catalog.load(&reference).ok()?;
    Filter::new(&loaded.spec).ok().map(Arc::new)
}

/// What a container has written lately, and what filters find in it.
async fn output(
    engine: &Engine,
    checked: &ContainerCheckup,
    (filters, catalog): (&[Named], &Catalog),
    zone: &TimeZone,
) -> Output {
    let lines = match engine.last_lines(&checked.container, LINES).await {
        Ok(lines) => lines,
        Err(error) => {
            return Output { problem: Some(error.sentence()), ..Output::default() };
        }
    };
    let mut filters = filters.to_vec();
    if let Some(known) = suggest::known(&checked.image)
        && filters.iter().all(|(name, _)| name != known.filter)
        && let Some(filter) = compiled(catalog, known.filter)
    {
        filters.push((known.filter.to_owned(), filter));
    }
    let zone = zone.clone();
    let tried = tokio::task::spawn_blocking(move || {
        let found = filters.iter().filter_map(|filter| found(filter, &lines, &zone)).collect();
        Output { lines: lines.len() as u64, found, problem: None }
    });
    tried.await.unwrap_or_default()
}

fn found((name, filter): &Named, lines: &[TimedLine], zone: &TimeZone) -> Option<Found> {
    let mut judge = Judge::new(Arc::clone(filter), zone.clone(), Duration::MAX);
    let now = Timestamp::now();
    let (mut failures, mut example) = (0, "");
    for (at, text) in lines {
        if let Verdict::Failure(hit) = judge.feed_text(text, *at, now, Phase::Replay)
            && matches!(hit.who, Who::Network(_))
        {
            (failures, example) = (failures + 1, text.as_str());
        }
    }
    let example = example.to_owned();
    (failures > 0).then(|| Found { filter: name.clone(), failures, example })
}
