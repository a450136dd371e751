//! Filters by name, and what labels add to them.

use super::*;
use crate::filter::{FilterFiles, FilterSpec, UseDns};
use crate::filters::Catalog;

const OWN: &str = "[Definition]
failregex = ^a <HOST>$
            ^b <HOST>$
ignoreregex = ^a 192\\.0\\.2\\.9$
datepattern = %%Y-%%m-%%d
maxlines = 2
";

/// Some filters, good ones and bad ones, and guard's own.
struct Files(Catalog);

const DIR: &str = "DIR";

const FILES: [(&str, &str); 3] = [
    ("own.conf", OWN),
    ("broken.conf", "[Definition]\nfailregex = ^a <HOST>$\n            ^b (<HOST>$\n"),
    ("twice.conf", "[Definition]\nfailregex = a\nfailregex = b\n"),
];

impl FilterFiles for Files {
    fn folders(&self) -> Vec<String> {
        [DIR.to_owned()].into_iter().chain(self.0.folders()).collect()
    }

    fn read(&self, folder: &str, name: &str) -> Result<Option<String>, String> {
        if folder != DIR {
            return self.0.read(folder, name);
        }
        let file = FILES.iter().find(|(known, _)| *known == name);
        Ok(file.map(|(_, text)| (*text).to_owned()))
    }

    fn list(&self, folder: &str, name: &str) -> Result<Vec<String>, String> {
        match (folder, name) {
            (DIR, ".") => Ok(FILES.iter().map(|(known, _)| (*known).to_owned()).collect()),
            (DIR, _) => Ok(Vec::new()),
            _ => FilterFiles::list(&self.0, folder, name),
        }
    }
}

/// What these labels come to where there are some filters.
fn read_with_filters(labels: &[(&str, &str)]) -> (Vec<Jail>, String, Library) {
    let mut library = Library::of(Files(Catalog::new("")));
    let Reading { jails, complaints } =
        read(&container(labels), &Defaults::default(), &mut library);
    let rendered: Vec<String> = complaints.iter().map(Complaint::render).collect();
    (jails, rendered.join("\n"), library)
}

/// The jail of these labels has the filter of `spec`.
#[track_caller]
fn has_filter(labels: &[(&str, &str)], spec: &FilterSpec) {
    let (jails, complaints, mut library) = read_with_filters(labels);
    assert_eq!(complaints, "");
    let filter = library.get(spec).unwrap();
    assert!(std::sync::Arc::ptr_eq(&jails[0].filter, &filter), "another filter than {spec:?}");
}

#[track_caller]
fn refuses(labels: &[(&str, &str)], expected: &[&str]) {
    let (jails, complaints, _) = read_with_filters(labels);
    assert!(jails.is_empty(), "{labels:?}");
    for part in expected {
        assert!(complaints.contains(part), "{part} in\n{complaints}");
    }
}

fn own(regexes: &[&str]) -> Vec<String> {
    regexes.iter().map(|regex| (*regex).to_owned()).collect()
}

#[test]
fn a_filter_by_name_and_what_labels_make_of_it() {
    let spec = FilterSpec {
        failregex: own(&["^a <HOST>$", "^b <HOST>$"]),
        ignoreregex: own(&["^a 192\\.0\\.2\\.9$"]),
        datepattern: Some("%Y-%m-%d".to_owned()),
        max_lines: 2,
        ..FilterSpec::default()
    };
    has_filter(&[("guard.filter", " own ")], &spec);
    let more = FilterSpec {
        failregex: own(&["^a <HOST>$", "^b <HOST>$", "^c <HOST>$"]),
        prefregex: Some("^x <F-CONTENT>.+</F-CONTENT>$".to_owned()),
        datepattern: Some("{NONE}".to_owned()),
        max_lines: 1,
        use_dns: UseDns::Warn,
        ..spec
    };
    let labels = [
        ("guard.filter", "own"),
        ("guard.failregex", "^c <HOST>$"),
        ("guard.prefregex", "^x <F-CONTENT>.+</F-CONTENT>$"),
        ("guard.datepattern", "{NONE}"),
        ("guard.maxlines", "1"),
        ("guard.usedns", "warn"),
    ];
    has_filter(&labels, &more);
}

#[test]
fn guards_own_filters_are_there() {
    let (jails, complaints, _) = read_with_filters(&[("guard.filter", "sshd[mode=aggressive]")]);
    assert_eq!((jails.len(), complaints.as_str()), (1, ""));
}

#[test]
fn mistakes_in_filters_are_told_at_their_name() {
    refuses(&[("guard.filter", "sshdd")], &["no filter `sshdd`", "did you mean `sshd`?"]);
    refuses(&[("guard.filter", "sshd[mode=x")], &["the `]` is missing"]);
    refuses(&[("guard.filter", "../own")], &["can't be a filter's name"]);
    refuses(
        &[("guard.filter", "broken")],
        &["label guard.filter:1:1", "DIR/broken.conf:3: failregex 2: unclosed group"],
    );
    refuses(
        &[("guard.filter", "twice")],
        &["DIR/twice.conf:3: the option `failregex` comes a second time"],
    );
}

#[test]
fn mistakes_in_labels_are_told_there() {
    let with = |label: (&'static str, &'static str)| [("guard.filter", "own"), label];
    refuses(&with(("guard.failregex", "c")), &["label guard.failregex:1:1", "no place for"]);
    refuses(&with(("guard.prefregex", "(")), &["label guard.prefregex:1:1", "unclosed"]);
    refuses(&with(("guard.prefregex", "a\nb")), &["label guard.prefregex:2:1", "a second regex"]);
    refuses(&with(("guard.datepattern", "%Y-%Q")), &["label guard.datepattern:1:4", "%Q"]);
    refuses(&with(("guard.maxlines", "1000")), &["more than 200 lines"]);
    refuses(&with(("guard.usedns", "raw")), &["label guard.usedns:1:1", "not allowed here"]);
}
