//! Backups, for people.

use super::{Text, line, warn};
use crate::control::protocol::{BackedUp, RestoredView};

/// What a backup holds.
pub(super) fn backed_up(text: &mut Text, backup: &BackedUp) {
    let BackedUp { bytes, schema, bans, history, problem } = backup;
    line(
        &mut text.out,
        format_args!(
            "{} in it, {history} of history: {bytes} bytes, schema {schema}",
            bans_words(*bans)
        ),
    );
    if let Some(why) = problem {
        warn(&mut text.err, &format!("the newest changes are not in it: {why}"));
    }
}

/// What a restore did.
pub(super) fn restored(text: &mut Text, restored: &RestoredView) {
    let RestoredView { standing, over, never, lifted, history, kept, .. } = restored;
    let mut out = |words: std::fmt::Arguments<'_>| line(&mut text.out, words);
    out(format_args!("{} of the backup in force, {history} of history", bans_words(*standing)));
    if *over > 0 {
        out(format_args!("{over} were over, and are not begun again"));
    }
    if *never > 0 {
        out(format_args!("{never} of addresses that are never banned now were left out"));
    }
    if *lifted > 0 {
        out(format_args!("{lifted} that the backup does not have were lifted"));
    }
    out(format_args!("what was remembered before is kept in {}", super::escape(kept)));
    for note in &restored.notes {
        warn(&mut text.err, note);
    }
    super::in_memory(text, restored.only_in_memory.as_deref());
    super::not_there(text, restored.not_in_kernel.as_deref());
}

fn bans_words(bans: u64) -> String {
    if bans == 1 { "1 ban".to_owned() } else { format!("{bans} bans") }
}
