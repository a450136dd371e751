//! Which labels would guard a container that has none: by its image, and by what it
//! has written. (pure)
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod table;

use crate::model::{ContainerCheckup, Suggestion, Sure};
pub use table::Known;
use table::{LOOSE, TABLE};

/// So much of a line is shown, in bytes.
const LINE: usize = 200;

/// What a filter found in a container's last lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The filter's name.
    pub filter: String,
    /// How many lines are failures for it.
    pub failures: u64,
    /// The last of them.
    pub example: String,
}

/// A container's output, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// How many lines there were.
    pub lines: u64,
    /// What filters found in them; none where nothing was.
    pub found: Vec<Found>,
    /// Why it can't be read.
    pub problem: Option<String>,
}

/// May a filter be tried on the output of any container? Those that find much that is
/// no failed login are only for images that are known for them.
pub fn is_for_all(filter: &str) -> bool {
    !LOOSE.contains(&filter)
}

/// What is known of an image: `docker.io/library/nginx:1.27`.
pub fn known(image: &str) -> Option<&'static Known> {
    let name = bare(image);
    let fits = |known: &&Known| {
        known.images.iter().any(|known| {
            let rest = name.strip_suffix(known);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        })
    };
    TABLE.iter().find(fits)
}

/// An image's name without registry, tag and digest.
fn bare(image: &str) -> String {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let (path, last) = name.rsplit_once('/').map_or(("", name), |(path, last)| (path, last));
    let last = last.split_once(':').map_or(last, |(last, _)| last);
    let name = if path.is_empty() { last.to_owned() } else { format!("{path}/{last}") };
    name.to_ascii_lowercase()
}

/// The labels for a container, or none: nothing of guard's fits it. `prefix` is what
/// labels begin with, such as `guard`.
pub fn suggestion(checked: &ContainerCheckup, output: &Output, prefix: &str) -> Option<Suggestion> {
    let known = known(&checked.image);
    let most = output.found.iter().max_by_key(|found| {
        (known.is_some_and(|known| known.filter == found.filter), found.failures)
    });
    let (filter, log, sure) = match (most, known) {
        (Some(found), _) => (found.filter.as_str(), None, Sure::Proven),
        (None, Some(known @ Known { log: Some(_), .. })) => (known.filter, known.log, Sure::Guess),
        (None, Some(known)) if output.lines > 0 => (known.filter, None, Sure::Likely),
        (None, Some(known)) => (known.filter, None, Sure::Guess),
        (None, None) => return None,
    };
    let mut notes = Vec::new();
    if let Some(found) = most {
        let example = &found.example[..found.example.floor_char_boundary(LINE)];
        notes.push(format!(
            "{} of its last {} lines are failures, such as: {example}",
            found.failures, output.lines
        ));
    }
    notes.extend(known.filter(|_| most.is_none()).and_then(|known| known.note).map(str::to_owned));
    if let Some(log) = log {
        notes.push(notes_of_file(checked, log));
    } else if most.is_none() {
        notes.push(match &output.problem {
            Some(why) => format!("its output can't be read: {why}"),
            None if output.lines == 0 => "it has written nothing yet".to_owned(),
            None => {
                format!("none of its last {} lines is a failure, so it is untried", output.lines)
            }
        });
    }
    let container = &checked.container;
    let label = |option: &str, value: &str| (format!("{prefix}.{option}"), value.to_owned());
    let mut labels = vec![label("filter", filter)];
    labels.extend(log.map(|log| label("logpath", log)));
    if container.network_mode == "host" {
    } else if container.ports.is_empty() {
        notes.push(
            "it publishes no port: if a proxy is in front, its log must show the clients' addresses"
                .to_owned(),
        );
    } else {
        labels.push(label("port", "published"));
    }
    Some(Suggestion {
        container: container.name.to_string(),
        service: container.service.short().to_owned(),
        image: checked.image.clone(),
        filter: filter.to_owned(),
        sure,
        notes,
        labels,
    })
}

fn notes_of_file(checked: &ContainerCheckup, log: &str) -> String {
    let covers = |destination: &str| {
        let rest = log.strip_prefix(destination.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let mounts = &checked.container.mounts;
    match mounts.iter().any(|mount| covers(&mount.destination)) {
        true => format!("it usually logs to {log}: look whether that file is there"),
        false => {
            let folder = log.rsplit_once('/').map_or("/", |(folder, _)| folder);
            format!(
                "it usually logs to {log}, which is on none of its volumes: put {folder} on one, \
                 so that guard can see it"
            )
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
