//! Where notices go, and what came of a test.

use super::super::protocol::{NotifyTried, TargetView};
use super::{BAD, GOOD, Text, bad, escape, line, push};

/// The targets, a line each, in the overview.
pub(super) fn targets(out: &mut String, targets: &[TargetView]) {
    for target in targets {
        let TargetView { name, service, place, sent, failed, waiting, dropped, .. } = target;
        push(
            out,
            format_args!(
                "Notices:\t{} ({} at {}): {sent} sent",
                escape(name),
                escape(service),
                escape(place)
            ),
        );
        let tries = if *failed == 1 { "try failed" } else { "tries failed" };
        for (count, what) in [(waiting, "waiting"), (failed, tries), (dropped, "given up")] {
            if *count > 0 {
                push(out, format_args!(", {count} {what}"));
            }
        }
        if let Some(why) = &target.last_error {
            push(out, format_args!("; {BAD}last try:{BAD:#} {}", escape(why)));
        }
        out.push('\n');
    }
}

/// What came of a test, a line a target.
pub(super) fn tried(text: &mut Text, targets: &[NotifyTried]) {
    for NotifyTried { name, service, place, ok, answer } in targets {
        let who = format!("{} ({} at {})", escape(name), escape(service), escape(place));
        if *ok {
            line(&mut text.out, format_args!("{who}: {GOOD}sent{GOOD:#}, {}", escape(answer)));
        } else {
            bad(&mut text.err, &format!("{who}: {answer}"));
        }
    }
}
