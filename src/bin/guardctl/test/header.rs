//! What a log is tried with.

use std::path::Path;

use guard::control::print::escape;
use guard::filter::{Carrier, RegexPlace};
use jiff::tz::TimeZone;

use super::progress;
use super::setup::Setup;
use crate::shown::columns;

/// The head of the report on the log called `name`.
pub(super) fn text(setup: &Setup, name: &Path, size: Option<u64>) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, text: String| rows.push([format!("{name}:"), text]);
    let filter = setup.name.as_ref().map(|name| escape(&name.to_string()).into_owned());
    row("filter", filter.unwrap_or_else(|| "none, only the regexes given".to_owned()));
    for file in &setup.files {
        row("read", escape(file).into_owned());
    }
    row("regexes", regexes(setup));
    row("dates", dates(setup));
    if setup.carrier == Carrier::Log {
        row("zone", zone(&setup.zone));
    }
    if setup.spec.max_lines > 1 {
        row("maxlines", setup.spec.max_lines.to_string());
    }
    row("usedns", setup.spec.use_dns.to_string());
    let size = size.map(|size| format!(" ({})", progress::size(size))).unwrap_or_default();
    row("log", format!("{}{size}", escape(&name.to_string_lossy())));
    format!("{}\n", columns(&rows, [false, false]))
}

fn regexes(setup: &Setup) -> String {
    let spec = &setup.spec;
    let pref = if spec.prefregex.is_some() { "prefregex, " } else { "" };
    let (fail, ignore) = (spec.failregex.len(), spec.ignoreregex.len());
    let counts = format!("{pref}{fail} failregex, {ignore} ignoreregex");
    match setup.filter.backtracking() {
        0 => counts,
        1 => format!("{counts}; 1 needs the backtracking engine"),
        n => format!("{counts}; {n} need the backtracking engine"),
    }
}

fn dates(setup: &Setup) -> String {
    if setup.carrier == Carrier::Journal {
        return "none: the journal tells the time, which is now".to_owned();
    }
    match &setup.spec.datepattern {
        None => "the usual ones".to_owned(),
        Some(pattern) => {
            let place = setup.places.told(RegexPlace::Date);
            let lines: Vec<_> = pattern.lines().map(|line| escape(line).into_owned()).collect();
            format!("{} ({place})", lines.join(" | "))
        }
    }
}

fn zone(zone: &TimeZone) -> String {
    match (zone.iana_name(), zone.to_fixed_offset()) {
        (Some(name), _) => name.to_owned(),
        (None, Ok(offset)) => format!("UTC{offset}"),
        (None, Err(_)) => "by the rule given".to_owned(),
    }
}
