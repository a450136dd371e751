//! Which files make a filter, and in which order.

use super::ini::{self, Sections};
use super::{FilePlace, FilterFileError, FilterFiles};

/// Files that make one filter, at most.
const MAX_FILES: usize = 1000;

/// A file of a filter is at most this long, in bytes.
const MAX_FILE: usize = 1 << 20;

/// Files within files, at most.
const MAX_DEPTH: usize = 20;

/// What was read.
pub(super) struct Read {
    /// The files' names, by their numbers.
    pub(super) names: Vec<String>,
    /// What is in each, with its number, in the order in which they count.
    pub(super) files: Vec<(usize, Sections)>,
}

/// All files of the filter `name`.
pub(super) fn read(name: &str, files: &dyn FilterFiles) -> Result<Read, FilterFileError> {
    let folders = files.folders();
    let mut reader = Reader { files, folders: &folders, names: Vec::new(), out: Vec::new() };
    for folder in &folders {
        for file in reader.beside(folder, name)? {
            reader.with_includes(folder, &file, &mut Vec::new())?;
        }
        if !reader.out.is_empty() {
            return Ok(Read { names: reader.names, files: reader.out });
        }
    }
    Err(FilterFileError::NotFound { name: name.to_owned(), folders })
}

/// These files, a folder and a name in it each, with what they include.
pub(super) fn read_these(
    these: &[(String, String)],
    files: &dyn FilterFiles,
) -> Result<Read, FilterFileError> {
    let folders = files.folders();
    let mut reader = Reader { files, folders: &folders, names: Vec::new(), out: Vec::new() };
    for (folder, name) in these {
        if !reader.with_includes(folder, name, &mut Vec::new())? {
            let place = FilePlace { file: shown(folder, name), line: 0 };
            let what = "there is no such file".to_owned();
            return Err(FilterFileError::Wrong { place, what, remedy: None });
        }
    }
    Ok(Read { names: reader.names, files: reader.out })
}

struct Reader<'f> {
    files: &'f dyn FilterFiles,
    folders: &'f [String],
    names: Vec<String>,
    out: Vec<(usize, Sections)>,
}

impl Reader<'_> {
    /// The files that a filter may have in a folder, whether they are there or not.
    fn beside(&self, folder: &str, name: &str) -> Result<Vec<String>, FilterFileError> {
        let dir = format!("{name}.d");
        let mut listed = self.files.list(folder, &dir).map_err(|what| {
            let place = FilePlace { file: shown(folder, &dir), line: 0 };
            FilterFileError::Wrong { place, what, remedy: None }
        })?;
        listed.sort();
        let parts = |ending: &str| {
            let parts = listed.iter().filter(|part| part.ends_with(ending));
            parts.map(|part| format!("{dir}/{part}")).collect::<Vec<_>>()
        };
        let mut all = vec![format!("{name}.conf")];
        all.extend(parts(".conf"));
        all.push(format!("{name}.local"));
        all.extend(parts(".local"));
        Ok(all)
    }

    /// Reads a file, if it is there, and what it includes. `open` are the files that
    /// include it.
    fn with_includes(
        &mut self,
        folder: &str,
        name: &str,
        open: &mut Vec<String>,
    ) -> Result<bool, FilterFileError> {
        let shown = shown(folder, name);
        let wrong = |line: u32, what: String, remedy: Option<&str>| FilterFileError::Wrong {
            place: FilePlace { file: shown.clone(), line },
            what,
            remedy: remedy.map(str::to_owned),
        };
        let text = self.files.read(folder, name).map_err(|what| wrong(0, what, None))?;
        let Some(text) = text else { return Ok(false) };
        if open.contains(&shown) {
            return Ok(true);
        }
        if text.len() > MAX_FILE {
            return Err(wrong(0, format!("the file is longer than {MAX_FILE} bytes"), None));
        }
        if self.names.len() >= MAX_FILES || open.len() >= MAX_DEPTH {
            let what = "too many files, or they include each other".to_owned();
            return Err(wrong(0, what, None));
        }
        let number = self.names.len();
        self.names.push(shown.clone());
        let sections = ini::parse(&text, number)
            .map_err(|mistake| wrong(mistake.line, mistake.what, mistake.remedy))?;
        open.push(shown);
        self.includes(folder, included(&sections, "before"), open)?;
        let after = included(&sections, "after");
        self.out.push((number, sections));
        self.includes(folder, after, open)?;
        open.pop();
        Ok(true)
    }

    /// Reads included files and what is `.local` beside them. What is missing is left
    /// out, as in fail2ban: `common.local` rarely exists.
    fn includes(
        &mut self,
        folder: &str,
        names: Vec<String>,
        open: &mut Vec<String>,
    ) -> Result<(), FilterFileError> {
        for name in names {
            if self.include(folder, &name, open)? || name.starts_with('/') {
                continue;
            }
            let bare = name.rsplit('/').next().unwrap_or(&name);
            for other in self.folders.iter().filter(|other| *other != folder) {
                if self.include(other, bare, open)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Was there such a file, or its `.local`?
    fn include(
        &mut self,
        folder: &str,
        name: &str,
        open: &mut Vec<String>,
    ) -> Result<bool, FilterFileError> {
        let found = self.with_includes(folder, name, open)?;
        let local = name.rsplit_once('.').map(|(stem, _)| format!("{stem}.local"));
        match local.filter(|local| local != name) {
            Some(local) => Ok(self.with_includes(folder, &local, open)? | found),
            None => Ok(found),
        }
    }
}

/// What a file's `[INCLUDES]` name.
fn included(sections: &Sections, when: &str) -> Vec<String> {
    let includes = sections.iter().find(|(name, _)| name == "INCLUDES");
    let option = includes.and_then(|(_, options)| options.iter().find(|(name, _)| name == when));
    let lines = option.map(|(_, text)| text.to_string()).unwrap_or_default();
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn shown(folder: &str, name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("{folder}/{name}") }
}
