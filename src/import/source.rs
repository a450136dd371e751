//! Where a jail's lines come from.

use super::draft::Reader;
use super::filter::Chosen;
use crate::filter::FilePlace;

/// Most paths of one jail.
const MAX_PATHS: usize = 100;

/// Where the lines come from, as the host knows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Log files: absolute paths, perhaps with wildcards.
    Files(Vec<(String, FilePlace)>),
    /// The host's journal.
    Journal(String),
    /// The bans of the other jails.
    Bans,
}

impl Reader<'_> {
    /// The jail's source; `None`: there is none, and a remark says why.
    pub(super) fn source(&mut self, chosen: &Chosen, journal: bool) -> Option<Source> {
        if chosen.recidive {
            let what = "guard counts its own bans: it reads no log for that";
            self.remarks.note(&self.place.clone(), what, "");
            return Some(Source::Bans);
        }
        if journal {
            return self.journal(chosen);
        }
        let setting = self.get("logpath")?.unwrap_or_default();
        let mut paths: Vec<(String, FilePlace)> = Vec::new();
        for (line, place) in &setting.lines {
            let path = self.path(line, place);
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                let what = format!("`logpath`: `{path}` is no absolute path without `..`");
                self.remarks.lost(place, what, "");
            } else if paths.len() == MAX_PATHS {
                self.remarks.lost(place, format!("more than {MAX_PATHS} paths"), "use wildcards");
                break;
            } else if !paths.iter().any(|(known, _)| *known == path) {
                paths.push((path, place.clone()));
            }
        }
        if paths.is_empty() {
            let what = "the jail has no log that guard could read";
            let remedy = "where the host logs to the journal, set `backend = systemd` and import \
                          again";
            self.remarks.lost(&self.place.clone(), what, remedy);
            return None;
        }
        Some(Source::Files(paths))
    }

    fn journal(&mut self, chosen: &Chosen) -> Option<Source> {
        let terms = chosen.journalmatch.as_deref().unwrap_or_default().trim();
        if terms.is_empty() {
            let what = "neither jail nor filter has a `journalmatch`, and guard does not follow \
                        the whole journal";
            let remedy = "add one, such as `journalmatch = _SYSTEMD_UNIT=ssh.service`";
            self.remarks.lost(&self.place.clone(), what, remedy);
            return None;
        }
        Some(Source::Journal(terms.to_owned()))
    }

    /// The path without fail2ban's word for where to begin.
    fn path(&mut self, line: &str, place: &FilePlace) -> String {
        match line.rsplit_once(char::is_whitespace) {
            Some((path, "head")) => path.trim_end().to_owned(),
            Some((path, "tail")) => {
                let what = "`tail`: guard reads a new log back for `findtime`, and then on";
                self.remarks.note(place, what, "");
                path.trim_end().to_owned()
            }
            _ => line.to_owned(),
        }
    }
}
