//! From the labels of one jail to its filter: a filter by name, regexes, or both.

use std::sync::Arc;

use super::build::{Draft, at_piece};
use super::keys::Finding;
use super::options::{Options, Piece};
use super::values::MAX_REGEXES;
use super::{Flaw, Severity};
use crate::filter::{
    Filter, FilterFileError, FilterReference, FilterSpec, Library, LoadedFilter, Note, RegexError,
    RegexPlace, Report,
};
use crate::filters::EMBEDDED;
use crate::model::Container;

impl<'a> Draft<'a> {
    /// The jail's filter; `None` if anything is wrong with it, and then there is a finding.
    /// `options` are the jail's own and those that it inherits.
    pub(super) fn filter(
        &mut self,
        container: &'a Container,
        options: &Options,
        library: &mut Library,
    ) -> Option<Arc<Filter>> {
        let wrong = [
            "filter",
            "failregex",
            "successregex",
            "prefregex",
            "datepattern",
            "maxlines",
            "usedns",
        ];
        let spoilt = wrong.iter().any(|option| self.spoilt.contains(option));
        if options.failregex.is_empty() && options.filter.is_none() {
            if !spoilt && !self.misspelt {
                self.about_whole(|span| {
                    Flaw::new(span, "the jail has neither `filter` nor `failregex`").mend(
                        "add one: it says which lines are failures, a failregex with `<HOST>` \
                         where the address is",
                    )
                });
            }
            return None;
        }
        let regexes = options.failregex.iter().chain(&options.ignoreregex);
        if let Some(piece) = regexes.chain(&options.successregex).nth(MAX_REGEXES) {
            let flaw = Flaw::new(0..piece.text.len(), format!("more than {MAX_REGEXES} regexes"))
                .mend("no label can raise that bound; join some with `|`");
            self.findings.extend(at_piece(container, piece, flaw));
            return None;
        }
        let loaded = match &options.filter {
            None => LoadedFilter::default(),
            Some((piece, reference)) => match library.load(&with_logtype(reference, options)) {
                Ok(loaded) => loaded,
                Err(error) => {
                    let flaw = not_loaded(&error, piece, reference, library);
                    self.findings.extend(at_piece(container, piece, flaw));
                    return None;
                }
            },
        };
        self.of_filter = loaded.spec.clone();
        let spec = spec(&loaded, options);
        match library.get(&spec) {
            Ok(_) if spoilt => None,
            Ok(filter) => {
                self.doubt(container, (&spec, &loaded, options), library);
                Some(filter)
            }
            Err(errors) => {
                let found = errors.into_iter().filter_map(|error| {
                    let (piece, flaw) = place(error, &loaded, options)?;
                    at_piece(container, piece, flaw)
                });
                let found: Vec<_> = found.collect();
                self.findings.extend(found);
                None
            }
        }
    }

    /// Warns of what is hardly meant so, in the labels' regexes and in the filters of others.
    fn doubt(
        &mut self,
        container: &'a Container,
        (spec, loaded, options): (&FilterSpec, &LoadedFilter, &Options),
        library: &mut Library,
    ) {
        let only_labels = is_guards_own(loaded);
        let (mut looked_at, mut base) = (spec.clone(), loaded.clone());
        if only_labels {
            looked_at.failregex.drain(..loaded.spec.failregex.len());
            base.spec.failregex.clear();
        }
        if looked_at.failregex.is_empty() {
            return;
        }
        let report = library.report(&looked_at);
        let found = doubts(&report, !options.logpath.is_empty()).filter_map(|(at, flaw)| {
            let Flaw { span, what, remedy } = flaw;
            let (piece, flaw) =
                place(RegexError { place: at, span, what, remedy }, &base, options)?;
            let finding = at_piece(container, piece, flaw)?;
            Some(Finding { severity: Severity::Warning, ..finding })
        });
        let found: Vec<_> = found.collect();
        self.findings.extend(found);
    }
}

/// A filter for the journal's lines, where they come from there.
fn with_logtype(reference: &FilterReference, options: &Options) -> FilterReference {
    let mut reference = reference.clone();
    let given = reference.options.iter().any(|(option, _)| option == "logtype");
    if options.journal.is_some() && !given {
        reference.options.push(("logtype".to_owned(), "journal".to_owned()));
    }
    reference
}

/// guard's own filters were looked at by those who wrote them.
fn is_guards_own(loaded: &LoadedFilter) -> bool {
    loaded.files.iter().all(|file| file.starts_with(EMBEDDED))
}

/// What is hardly meant so, and in which regex.
fn doubts(report: &Report, files: bool) -> impl Iterator<Item = (RegexPlace, Flaw)> {
    let injections = report.injections.iter().map(|injection| {
        let flaw = Flaw::new(injection.span.clone(), injection.what.clone());
        let mut proof = injection.proof();
        if injection.anchored.as_ref().is_some_and(|anchored| anchored.contains('$')) {
            proof.push_str(" (in a compose file write `$$` for `$`)");
        }
        (injection.place, flaw.mend(proof))
    });
    let notes = report.notes.iter().filter(move |note| files || !note.files_only).map(|note| {
        let Note { span, what, remedy, .. } = note.clone();
        (note.place, Flaw { span, what, remedy })
    });
    injections.chain(notes)
}

/// The filter's own regexes, then the label's; other labels replace what the filter says.
fn spec(loaded: &LoadedFilter, options: &Options) -> FilterSpec {
    let mut spec = loaded.spec.clone();
    let texts = |pieces: &[Piece]| -> Vec<String> {
        pieces.iter().map(|piece| piece.text.clone()).collect()
    };
    spec.failregex.extend(texts(&options.failregex));
    spec.ignoreregex.extend(texts(&options.ignoreregex));
    spec.successregex.extend(texts(&options.successregex));
    if let Some(piece) = &options.prefregex {
        spec.prefregex = Some(piece.text.clone());
    }
    if let Some(piece) = &options.datepattern {
        spec.datepattern = Some(piece.text.clone());
    }
    spec.max_lines = options.max_lines.unwrap_or(spec.max_lines);
    spec.use_dns = options.use_dns.unwrap_or(spec.use_dns);
    spec
}

fn not_loaded(
    error: &FilterFileError,
    piece: &Piece,
    reference: &FilterReference,
    library: &Library,
) -> Flaw {
    let start = piece.text.find(&reference.name).unwrap_or(0);
    let flaw = Flaw::new(start..start + reference.name.len(), error.to_string());
    match error {
        FilterFileError::NotFound { name, .. } => {
            let known = library.names();
            match super::nearest(name, known.iter().map(String::as_str)) {
                Some(near) => flaw.mend(format!("did you mean `{near}`?")),
                None => flaw.mend("`guardctl filters` lists the filters that there are"),
            }
        }
        FilterFileError::Wrong { remedy: Some(remedy), .. } => flaw.mend(remedy.clone()),
        FilterFileError::Wrong { remedy: None, .. } => flaw,
    }
}

/// A regex's error, as a flaw of the label that it is in. One in a filter's file is told
/// at the filter's name.
fn place<'p>(
    error: RegexError,
    loaded: &LoadedFilter,
    options: &'p Options,
) -> Option<(&'p Piece, Flaw)> {
    let own = |index: usize, files: usize, pieces: &'p [Piece]| {
        index.checked_sub(files).and_then(|index| pieces.get(index))
    };
    let piece = match error.place {
        RegexPlace::Fail(at) => own(at, loaded.spec.failregex.len(), &options.failregex),
        RegexPlace::Ignore(at) => own(at, loaded.spec.ignoreregex.len(), &options.ignoreregex),
        RegexPlace::Success(at) => options.successregex.get(at),
        RegexPlace::Pref => options.prefregex.as_ref(),
        RegexPlace::Date => options.datepattern.as_ref(),
    };
    if let Some(piece) = piece {
        let inside = |at: usize| at.min(piece.text.len());
        let span = inside(error.span.start)..inside(error.span.end);
        return Some((piece, Flaw { span, what: error.what, remedy: error.remedy }));
    }
    let file = match error.place {
        RegexPlace::Fail(at) => loaded.fail_places.get(at)?,
        RegexPlace::Ignore(at) => loaded.ignore_places.get(at)?,
        RegexPlace::Success(_) => return None,
        RegexPlace::Pref => &loaded.pref_place,
        RegexPlace::Date => &loaded.date_place,
    };
    let (piece, reference) = options.filter.as_ref()?;
    let start = piece.text.find(&reference.name).unwrap_or(0);
    let what = format!("{file}: {error}");
    let span = start..start + reference.name.len();
    Some((piece, Flaw { span, what, remedy: error.remedy }))
}
