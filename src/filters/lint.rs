//! `guardctl lint`: what is hardly meant so in filters, without a daemon.

use std::path::PathBuf;

use annotate_snippets::Level;
use serde::Serialize;

use super::Catalog;
use crate::control::print::Outcome;
use crate::filter::{
    Filter, FilterFileError, FilterReference, FilterSpec, Injection, LoadedFilter, Note,
    RegexError, RegexPlace, Report,
};
use crate::labels::{Severity, line_and_column, render};

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Filters by name, each perhaps with options: `sshd[mode=aggressive]`.
    pub filters: Vec<String>,
    /// The failregexes of a filter that is in no file.
    pub failregex: Vec<String>,
    /// Its ignoreregexes.
    pub ignoreregex: Vec<String>,
    /// Its prefregex.
    pub prefregex: Option<String>,
    /// Its datepattern.
    pub datepattern: Option<String>,
    /// Folders that are looked into for filters before all others.
    pub filter_path: Vec<String>,
    /// Is the answer to be JSON?
    pub json: bool,
}

/// A filter with the places of its regexes.
struct Subject {
    name: String,
    loaded: LoadedFilter,
}

#[derive(Serialize)]
struct Finding<'f> {
    filter: &'f str,
    place: String,
    /// The regex.
    regex: &'f str,
    /// Bytes of the regex.
    start: usize,
    end: usize,
    what: &'f str,
    line: Option<&'f str>,
    banned: Option<&'f str>,
    client: Option<&'f str>,
    anchored: Option<&'f str>,
    remedy: Option<&'f str>,
}

/// Looks at what is asked for, and says what to print and how it went: `Refused` if
/// there is something to say, `Usage` if something can't be looked at. `path` is where
/// filters are looked for.
pub fn run(asked: &Asked, path: &str) -> (String, Outcome) {
    let folders = asked.filter_path.iter().flat_map(|path| path.split(':'));
    let folders: Vec<PathBuf> =
        folders.filter(|folder| !folder.is_empty()).map(Into::into).collect();
    if let Some(none) = folders.iter().find(|folder| !folder.is_dir()) {
        let told = format!("guardctl: --filter-path {}: no such folder\n", none.display());
        return (told, Outcome::Usage);
    }
    let catalog = Catalog::new(path).after(folders);
    let subjects = match subjects(asked, &catalog) {
        Ok(subjects) => subjects,
        Err(told) => return (told, Outcome::Usage),
    };
    let wrong: Vec<String> = subjects.iter().flat_map(mistakes).collect();
    if !wrong.is_empty() {
        return (wrong.join("\n\n") + "\n", Outcome::Usage);
    }
    let reports: Vec<(Subject, Report)> = subjects
        .into_iter()
        .map(|subject| {
            let report = Report::of(&subject.loaded.spec);
            (subject, report)
        })
        .collect();
    let clean = reports.iter().all(|(_, report)| report.is_empty());
    let text = if asked.json { as_json(&reports) } else { as_text(&reports) };
    (text, if clean { Outcome::Done } else { Outcome::Refused })
}

fn subjects(asked: &Asked, catalog: &Catalog) -> Result<Vec<Subject>, String> {
    let mut subjects = Vec::new();
    for name in &asked.filters {
        let reference: FilterReference =
            name.parse().map_err(|error| format!("--filter {name}: {error}\n"))?;
        let loaded = catalog.load(&reference).map_err(|error| told(name, &error))?;
        subjects.push(Subject { name: name.clone(), loaded });
    }
    if !asked.failregex.is_empty() {
        let spec = FilterSpec {
            failregex: asked.failregex.clone(),
            ignoreregex: asked.ignoreregex.clone(),
            prefregex: asked.prefregex.clone(),
            datepattern: asked.datepattern.clone(),
            ..FilterSpec::default()
        };
        let loaded = LoadedFilter { spec, ..LoadedFilter::default() };
        subjects.push(Subject { name: String::new(), loaded });
    }
    if subjects.is_empty() {
        return Err("nothing to look at: give --filter or --failregex\n".to_owned());
    }
    Ok(subjects)
}

fn told(name: &str, error: &FilterFileError) -> String {
    match error {
        FilterFileError::Wrong { remedy: Some(remedy), .. } => {
            format!("filter {name}: {error}; {remedy}\n")
        }
        _ => format!("filter {name}: {error}\n"),
    }
}

/// What keeps the filter from working at all.
fn mistakes(subject: &Subject) -> Vec<String> {
    let Err(errors) = Filter::new(&subject.loaded.spec) else { return Vec::new() };
    let shown = |error: RegexError| {
        let remedy = error.remedy.as_deref().map(|remedy| (Level::HELP, remedy));
        let remedy: Vec<_> = remedy.into_iter().collect();
        subject.show(Severity::Error, error.place, &error.span, &error.what, &remedy)
    };
    errors.into_iter().map(shown).collect()
}

impl Subject {
    fn regex(&self, place: RegexPlace) -> &str {
        let spec = &self.loaded.spec;
        match place {
            RegexPlace::Fail(at) => spec.failregex.get(at).map(String::as_str),
            RegexPlace::Ignore(at) => spec.ignoreregex.get(at).map(String::as_str),
            RegexPlace::Success(at) => spec.successregex.get(at).map(String::as_str),
            RegexPlace::Pref => spec.prefregex.as_deref(),
            RegexPlace::Date => spec.datepattern.as_deref(),
        }
        .unwrap_or_default()
    }

    /// `sshd.conf:12, failregex 3`; without a file only which regex.
    fn place(&self, place: RegexPlace) -> String {
        let loaded = &self.loaded;
        let file = match place {
            RegexPlace::Fail(at) => loaded.fail_places.get(at),
            RegexPlace::Ignore(at) => loaded.ignore_places.get(at),
            RegexPlace::Success(_) => None,
            RegexPlace::Pref => Some(&loaded.pref_place),
            RegexPlace::Date => Some(&loaded.date_place),
        };
        match file.filter(|_| !self.name.is_empty()) {
            Some(file) => format!("{file}, {place}"),
            None => place.to_string(),
        }
    }

    fn show(
        &self,
        severity: Severity,
        place: RegexPlace,
        span: &std::ops::Range<usize>,
        what: &str,
        below: &[(Level<'_>, &str)],
    ) -> String {
        let regex = self.regex(place);
        let (line, column) = line_and_column(regex, span);
        let place = format!("{}:{line}:{column}", self.place(place));
        render(severity, what, (regex, span), &place, below)
    }

    fn injection(&self, injection: &Injection) -> String {
        let Injection { place, span, what, line, banned, client, anchored } = injection;
        let line = format!("a line that would get {banned} banned: {line}");
        let client = format!("the client is {client}");
        let mut below = vec![(Level::NOTE, line.as_str()), (Level::NOTE, client.as_str())];
        let anchored = anchored.as_ref().map(|regex| format!("anchored: {regex}"));
        below.extend(anchored.as_deref().map(|anchored| (Level::HELP, anchored)));
        self.show(Severity::Warning, *place, span, what, &below)
    }

    fn note(&self, note: &Note) -> String {
        let line = note.line.as_ref().map(|line| format!("for example: {line}"));
        let mut below: Vec<(Level<'_>, &str)> = Vec::new();
        below.extend(line.as_deref().map(|line| (Level::NOTE, line)));
        below.extend(note.remedy.as_deref().map(|remedy| (Level::HELP, remedy)));
        self.show(Severity::Warning, note.place, &note.span, &note.what, &below)
    }
}

fn as_text(reports: &[(Subject, Report)]) -> String {
    let shown = reports.iter().flat_map(|(subject, report)| {
        let injections = report.injections.iter().map(|each| subject.injection(each));
        injections.chain(report.notes.iter().map(|each| subject.note(each)))
    });
    let mut shown = shown.collect::<Vec<_>>().join("\n\n");
    if !shown.is_empty() {
        shown.push('\n');
    }
    shown
}

fn as_json(reports: &[(Subject, Report)]) -> String {
    let mut findings = Vec::new();
    for (subject, report) in reports {
        for each in &report.injections {
            findings.push(Finding {
                line: Some(&each.line),
                banned: Some(&each.banned),
                client: Some(&each.client),
                anchored: each.anchored.as_deref(),
                ..finding(subject, each.place, &each.span, &each.what)
            });
        }
        for each in &report.notes {
            findings.push(Finding {
                line: each.line.as_deref(),
                remedy: each.remedy.as_deref(),
                ..finding(subject, each.place, &each.span, &each.what)
            });
        }
    }
    let all = serde_json::json!({ "findings": findings });
    format!("{all:#}\n")
}

fn finding<'f>(
    subject: &'f Subject,
    place: RegexPlace,
    span: &std::ops::Range<usize>,
    what: &'f str,
) -> Finding<'f> {
    Finding {
        filter: &subject.name,
        place: subject.place(place),
        regex: subject.regex(place),
        start: span.start,
        end: span.end,
        what,
        line: None,
        banned: None,
        client: None,
        anchored: None,
        remedy: None,
    }
}
