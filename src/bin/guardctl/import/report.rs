//! What `guardctl import` prints: compose files for those who go on with them, and, beside
//! them, what came over and what did not.

use std::fmt::Write as _;

use guard::control::print;
use guard::filter::FilePlace;
use guard::import::{Import, Level, Remark};

/// So many jails are named in one remark.
const NAMED: usize = 8;

/// The compose files, each a document of its own.
pub(super) fn compose(import: &Import) -> String {
    let texts: Vec<&str> = import.files.iter().map(|file| file.text.as_str()).collect();
    texts.join("---\n")
}

/// What came over and what did not, for people.
pub(super) fn text(import: &Import, problem: Option<&str>) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", print::escape(text));
    };
    if let Some(why) = problem {
        line(&format!("note: no engine tells whose log a path is, so all are the host's: {why}"));
    }
    for Group { jails, elsewhere, remark } in grouped(&import.remarks) {
        let place = match (&remark.place, elsewhere) {
            (place, _) if *place == FilePlace::default() => String::new(),
            (place, false) => format!("{place}: "),
            (place, true) => format!("{place}, …: "),
        };
        let whose = match jails.len() {
            0 => String::new(),
            1 => format!("jail {}: ", jails[0]),
            count if count <= NAMED => format!("jails {}: ", jails.join(", ")),
            count => format!("{count} jails, {}, …: ", jails[..NAMED].join(", ")),
        };
        line(&format!("{}: {place}{whose}{}", remark.level.word(), remark.what));
        if let Some(remedy) = &remark.remedy {
            line(&format!("    {remedy}"));
        }
    }
    if let Some(told) = several(import) {
        line(&told);
    }
    for taken in &import.jails {
        let project = taken.project.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
        let named = match taken.jail == taken.name {
            true => String::new(),
            false => format!(" as {}", taken.jail),
        };
        line(&format!("jail {}{named}: labels of {project}{}", taken.name, taken.service));
    }
    line(&summary(import));
    out
}

/// The projects of the compose files, as `--project` takes them.
pub(super) fn projects(import: &Import) -> Vec<&str> {
    let files = import.files.iter().filter(|file| !file.outside);
    files.map(|file| file.project.as_deref().unwrap_or("-")).collect()
}

/// Of several files in one: Compose would take them all for services of one project.
fn several(import: &Import) -> Option<String> {
    if import.files.len() < 2 {
        return None;
    }
    let each: Vec<String> =
        projects(import).iter().map(|project| format!("--project {project}")).collect();
    let outside = match import.files.iter().any(|file| file.outside) {
        true => ", and labels of containers that Compose has not made",
        false => "",
    };
    Some(format!(
        "note: what is printed are {} files, which Compose can't take as one: print each of them \
         by {}{outside}",
        import.files.len(),
        each.join(", ")
    ))
}

/// How many jails came over, and how.
fn summary(import: &Import) -> String {
    if import.enabled == 0 {
        return "no jail is enabled (`enabled = true`), so there is nothing to take over"
            .to_owned();
    }
    let (over, whole) = (import.over(), import.whole());
    let enabled = import.enabled;
    let lost = import.remarks.iter().filter(|remark| remark.level == Level::Lost).count();
    match (over == enabled && lost == 0, over) {
        (true, 1) => "the enabled jail came over, whole".to_owned(),
        (true, _) => format!("all {enabled} enabled jails came over, whole"),
        (false, _) => format!(
            "{over} of {enabled} enabled jails came over, {whole} of them whole; see above for \
             what did not"
        ),
    }
}

/// What is said in the same words.
struct Group<'a> {
    /// Of these jails.
    jails: Vec<&'a str>,
    /// In other places, too?
    elsewhere: bool,
    /// The first of them.
    remark: &'a Remark,
}

/// The worst first; what is said of several jails in the same words is said once.
fn grouped(remarks: &[Remark]) -> Vec<Group<'_>> {
    let mut all: Vec<Group<'_>> = Vec::new();
    for remark in remarks {
        let words = |remark: &Remark| (remark.level, remark.what.clone(), remark.remedy.clone());
        match all.iter_mut().find(|group| words(group.remark) == words(remark)) {
            Some(group) => {
                group.elsewhere |= group.remark.place != remark.place;
                group.jails.extend(remark.jail.as_deref());
                group.jails.dedup();
            }
            None => {
                let jails = remark.jail.as_deref().into_iter().collect();
                all.push(Group { jails, elsewhere: false, remark });
            }
        }
    }
    all.sort_by_key(|group| std::cmp::Reverse(group.remark.level));
    all
}

/// The same for programs.
pub(super) fn json(import: &Import, problem: Option<&str>) -> String {
    let jail = |taken: &guard::import::Taken| {
        let labels: serde_json::Map<String, serde_json::Value> =
            taken.labels.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
        serde_json::json!({
            "name": taken.name,
            "jail": taken.jail,
            "project": taken.project,
            "service": taken.service,
            "file": taken.place.file,
            "line": taken.place.line,
            "labels": labels,
        })
    };
    let remark = |remark: &Remark| {
        serde_json::json!({
            "level": remark.level.word(),
            "jail": remark.jail,
            "file": Some(&remark.place.file).filter(|file| !file.is_empty()),
            "line": Some(remark.place.line).filter(|line| *line > 0),
            "what": remark.what,
            "remedy": remark.remedy,
        })
    };
    let files = import.files.iter();
    let files = files.map(|file| {
        serde_json::json!({"project": file.project, "outside": file.outside, "text": file.text})
    });
    let text = serde_json::json!({
        "enabled": import.enabled,
        "over": import.over(),
        "whole": import.whole(),
        "jails": import.jails.iter().map(jail).collect::<Vec<_>>(),
        "compose": files.collect::<Vec<_>>(),
        "remarks": import.remarks.iter().map(remark).collect::<Vec<_>>(),
        "engine_problem": problem,
    });
    format!("{}\n", print::safe_json(&text.to_string()))
}

#[cfg(test)]
mod tests {
    use guard::import::ComposeFile;

    use super::*;

    #[test]
    fn several_files_are_not_one() {
        let file = |project: Option<&str>, outside| ComposeFile {
            project: project.map(str::to_owned),
            outside,
            text: String::new(),
        };
        let all = vec![file(None, false), file(None, true), file(Some("shop"), false)];
        let mut import = Import { files: all, ..Import::default() };
        let told = text(&import, None);
        assert!(told.contains("3 files, which Compose can't take as one"), "{told}");
        assert!(told.contains("--project -, --project shop, and labels of containers"), "{told}");
        super::super::only(&mut import, "shop").unwrap_or_else(|_| panic!("no project shop"));
        assert_eq!(import.files, [file(Some("shop"), false)]);
        assert!(!text(&import, None).contains("as one"));
        assert!(super::super::only(&mut import, "-").is_err());
    }
}
