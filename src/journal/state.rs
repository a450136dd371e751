//! (pure) How the reading of the journal goes, and what a person should know of it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// How the journal is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalState {
    /// The folders in which it was found; empty: guard sees none.
    pub folders: Vec<String>,
    /// How many files there are.
    pub found: usize,
    /// How many of them are read or will be written to.
    pub files: usize,
    /// How many entries have not been looked at.
    pub behind: u64,
    /// Files that can't be read, or parts of them, with the reason.
    pub problems: Vec<String>,
    /// How many entries could not be read.
    pub damaged: u64,
    /// Entries that were removed before they were read.
    pub gap: Option<String>,
}

impl JournalState {
    /// Is there nothing to read?
    pub fn is_unseen(&self) -> bool {
        self.found == 0
    }

    /// What is wrong, a sentence each, with what to do about it.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.folders.is_empty() {
            warnings.push(
                "guard sees no journal: give guard's container `volumes: \
                 [\"/var/log/journal:/var/log/journal:ro\"]`, or \
                 `/run/log/journal:/run/log/journal:ro` where the host keeps its journal in memory \
                 (it has no /var/log/journal then)"
                    .to_owned(),
            );
        } else if self.is_unseen() {
            warnings.push(format!(
                "there is no journal file in {}: the host keeps its journal elsewhere; mount \
                 `/run/log/journal:/run/log/journal:ro` and `/var/log/journal:/var/log/journal:ro` \
                 into guard's container, whichever the host has",
                self.folders.join(" and ")
            ));
        }
        warnings.extend(self.problems.iter().map(|problem| format!("journal file {problem}")));
        if self.damaged > 0 {
            warnings.push(
                "some entries of the journal are damaged, packed with xz, or were removed while \
                 they were read, and have not been judged"
                    .to_owned(),
            );
        }
        warnings.extend(self.gap.clone());
        warnings
    }
}
