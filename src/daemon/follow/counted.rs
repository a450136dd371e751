//! What is counted of files, from what is known of them now and was known before. (pure)

use std::collections::HashMap;

use crate::files::FileState;
use crate::report::metrics::SourceCounters;

/// Adds what is new. A reader tells the numbers of each file since it met it, and forgets
/// them with the file.
pub(super) fn files(counters: &SourceCounters, before: &[FileState], now: &[FileState]) {
    // Without gaps or long lines, which is nearly always, there is nothing to compare.
    if now.iter().all(|file| (file.gaps, file.cut_lines, file.cut_bytes) == (0, 0, 0)) {
        return;
    }
    let known: HashMap<_, _> =
        before.iter().map(|file| ((&file.source, &file.shown), file)).collect();
    let more = |new: u64, old: u64| new.checked_sub(old).unwrap_or(new);
    for file in now {
        let old = known.get(&(&file.source, &file.shown));
        let old = old.map_or((0, 0, 0), |old| (old.gaps, old.cut_lines, old.cut_bytes));
        counters.gaps.add(more(file.gaps, old.0));
        counters.cut_lines.add(more(file.cut_lines, old.1));
        counters.cut_bytes.add(more(file.cut_bytes, old.2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileStatus;
    use crate::report::metrics::Count;

    fn file(shown: &str, gaps: u64, cut_lines: u64, cut_bytes: u64) -> FileState {
        let state = FileState::new(shown.to_owned(), FileStatus::Following);
        FileState { gaps, cut_lines, cut_bytes, ..state }
    }

    #[test]
    fn only_what_is_new_is_added() {
        let counters = SourceCounters::default();
        let states = [
            vec![file("/a", 0, 0, 0)],
            vec![file("/a", 1, 2, 300), file("/b", 0, 1, 5)],
            vec![file("/b", 0, 1, 5), file("/a", 1, 3, 400)],
            vec![file("/b", 0, 1, 5)],
            // Another file by the same name.
            vec![file("/b", 0, 1, 5), file("/a", 1, 0, 0)],
        ];
        for pair in states.windows(2) {
            files(&counters, &pair[0], &pair[1]);
        }
        let counted = [&counters.gaps, &counters.cut_lines, &counters.cut_bytes];
        assert_eq!(counted.map(Count::get), [2, 4, 405]);
    }
}
