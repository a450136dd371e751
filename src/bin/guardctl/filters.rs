//! `guardctl filters`: which filters there are, and how guard reads one.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use guard::control::print::{Outcome, escape, safe_json};
use guard::filter::{Filter, FilterFiles, FilterReference, LoadedFilter, RegexPlace};
use guard::filters::Catalog;
use serde_json::json;

use crate::Failure;
use crate::catalog::{self, Places};
use crate::shown::{columns, head};

/// So much of what a filter says of itself is shown in the list, in characters.
const ABOUT: usize = 100;

/// Shown below the options by `guardctl help filters`.
const EXAMPLES: &str = "\
Examples:
  Which filters are there, and where?
    guardctl filters

  What does guard make of the files of one, after all includes and substitutions?
    guardctl filters 'sshd[mode=aggressive]'";

/// List the filters that there are, or show one as guard reads it
///
/// Filters are files in the folders of --filter-path and of $GUARD_FILTER_PATH, and
/// guard's own, which are in the program: `guard:`. The first folder that has a name
/// counts.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Options {
    /// A filter to show, with options if need be: sshd, 'sshd[mode=aggressive]'
    #[arg(value_name = "NAME[OPTIONS]")]
    name: Option<String>,
    /// A folder with filters, looked into before all others; may be given several times
    #[arg(long, value_name = "DIR")]
    filter_path: Vec<PathBuf>,
}

/// Runs `guardctl filters`.
///
/// # Errors
/// No such filter, or something is wrong with it.
pub(crate) fn run(options: &Options, json: bool) -> Result<Outcome, Failure> {
    let catalog = catalog::catalog(&options.filter_path)?;
    let Some(name) = &options.name else {
        list(&catalog, json)?;
        return Ok(Outcome::Done);
    };
    let reference = catalog::reference(name)?;
    let loaded = catalog::load(&catalog, &reference)?;
    let mut out = io::stdout().lock();
    out.write_all(one(&reference, &loaded, json).as_bytes())?;
    out.flush()?;
    // What is wrong is told below what it is wrong with.
    let LoadedFilter { spec, fail_places, ignore_places, pref_place, date_place, .. } = loaded;
    let places =
        Places { fail: fail_places, ignore: ignore_places, pref: pref_place, date: date_place };
    match Filter::new(&spec) {
        Ok(_) => Ok(Outcome::Done),
        Err(errors) => Err(catalog::mistakes(errors, &spec, &places)),
    }
}

fn list(catalog: &Catalog, json: bool) -> io::Result<()> {
    let listed = catalog.list();
    let mut out = io::stdout().lock();
    if json {
        let all: Vec<_> = listed
            .iter()
            .map(|one| json!({"name": one.name, "folder": one.folder, "about": one.about}))
            .collect();
        return writeln!(out, "{}", safe_json(&serde_json::Value::from(all).to_string()));
    }
    let rows: Vec<_> = listed
        .iter()
        .map(|one| [escape(&one.name).into(), escape(&one.folder).into(), head(&one.about, ABOUT)])
        .collect();
    out.write_all(columns(&rows, [false; 3]).as_bytes())?;
    writeln!(out, "\n{} filters in {}", rows.len(), escape(&catalog.folders().join(", ")))
}

/// One filter, as guard reads it.
fn one(reference: &FilterReference, loaded: &LoadedFilter, json: bool) -> String {
    if json {
        return as_json(reference, loaded);
    }
    let spec = &loaded.spec;
    let mut text = format!("{}\n", escape(&reference.to_string()));
    let mut part = |name: String, place: String, value: &str| {
        text.push_str(&format!("\n{name} ({})\n", escape(&place)));
        for line in value.lines() {
            text.push_str(&format!("  {}\n", escape(line)));
        }
    };
    if let Some(regex) = &spec.prefregex {
        part(RegexPlace::Pref.to_string(), loaded.pref_place.to_string(), regex);
    }
    for (index, (regex, place)) in spec.failregex.iter().zip(&loaded.fail_places).enumerate() {
        part(RegexPlace::Fail(index).to_string(), place.to_string(), regex);
    }
    for (index, (regex, place)) in spec.ignoreregex.iter().zip(&loaded.ignore_places).enumerate() {
        part(RegexPlace::Ignore(index).to_string(), place.to_string(), regex);
    }
    if let Some(pattern) = &spec.datepattern {
        part(RegexPlace::Date.to_string(), loaded.date_place.to_string(), pattern);
    }
    let mut rows: Vec<[String; 2]> =
        loaded.files.iter().map(|file| ["read:".to_owned(), escape(file).into()]).collect();
    if spec.datepattern.is_none() {
        rows.push(["datepattern:".to_owned(), "the usual ones".to_owned()]);
    }
    rows.push(["maxlines:".to_owned(), spec.max_lines.max(1).to_string()]);
    rows.push(["usedns:".to_owned(), spec.use_dns.to_string()]);
    if let Some(terms) = &loaded.journalmatch {
        rows.push(["journalmatch:".to_owned(), escape(terms).into()]);
    }
    format!("{text}\n{}", columns(&rows, [false; 2]))
}

fn as_json(reference: &FilterReference, loaded: &LoadedFilter) -> String {
    let spec = &loaded.spec;
    let regexes = |regexes: &[String], places: &[guard::filter::FilePlace]| {
        let both = regexes.iter().zip(places);
        let one = |(regex, place): (&String, &guard::filter::FilePlace)| json!({"regex": regex, "file": place.file, "line": place.line});
        both.map(one).collect::<Vec<_>>()
    };
    let all = json!({
        "name": reference.to_string(),
        "files": loaded.files,
        "prefregex": spec.prefregex,
        "failregex": regexes(&spec.failregex, &loaded.fail_places),
        "ignoreregex": regexes(&spec.ignoreregex, &loaded.ignore_places),
        "datepattern": spec.datepattern,
        "maxlines": spec.max_lines.max(1),
        "usedns": spec.use_dns.to_string(),
        "journalmatch": loaded.journalmatch,
    });
    format!("{}\n", safe_json(&all.to_string()))
}
