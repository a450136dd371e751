//! What would have come of a log, for people.

use jiff::tz::TimeZone;

use super::{Text, escape, line, push, span, time, until, warn};
use crate::model::{Timestamp, Tried, TriedBan, TriedJail, Until};

/// Prints it; times in the zone.
pub(super) fn tried(text: &mut Text, tried: &Tried, zone: &TimeZone) {
    for jail in &tried.jails {
        head(text, jail, zone);
    }
    if !tried.bans.is_empty() {
        let all = tried.bans.len() as u64 + tried.more_bans;
        line(&mut text.out, format_args!("\nWould have been banned ({all}):"));
        bans(text, &tried.bans, zone);
    }
    if tried.more_bans > 0 {
        line(&mut text.out, format_args!("  … and {} more, later ones", tried.more_bans));
    }
    if !tried.never.is_empty() {
        line(&mut text.out, format_args!("\nNever banned:"));
    }
    for never in &tried.never {
        line(
            &mut text.out,
            format_args!(
                "  {}  {}  {}: {}",
                never.network,
                never.jail,
                counted(never.failures, "failure"),
                escape(&never.reason)
            ),
        );
    }
    for note in &tried.notes {
        warn(&mut text.err, note);
    }
}

fn head(text: &mut Text, jail: &TriedJail, zone: &TimeZone) {
    let out = &mut text.out;
    line(
        out,
        format_args!(
            "Jail {}: {} failures within {} are a ban",
            jail.name,
            jail.max_retry,
            span(jail.find_time)
        ),
    );
    let (lines, failures) = (counted(jail.lines, "line"), counted(jail.failures, "failure"));
    push(out, format_args!("  {lines}, {failures}"));
    if let (Some(first), Some(last)) = (jail.first, jail.last) {
        let (first, last) = (time(first, zone), time(last, zone));
        let addresses = counted(jail.addresses, "address");
        push(out, format_args!(" of {addresses}, from {first} to {last}"));
    }
    out.push('\n');
    let (bans, banned) = (counted(jail.bans, "ban"), counted(jail.banned, "address"));
    line(out, format_args!("  {bans} of {banned}"));
    if jail.ignored > 0 {
        let ignored = counted(jail.ignored, "failure");
        line(out, format_args!("  {ignored} of addresses that are never banned"));
    }
    if jail.nobody > 0 {
        line(out, format_args!("  {} without an address", counted(jail.nobody, "failure")));
    }
}

/// `1 failure`, `2 failures`, `2 addresses`.
fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ if what.ends_with('s') => format!("{count} {what}es"),
        _ => format!("{count} {what}s"),
    }
}

fn bans(text: &mut Text, bans: &[TriedBan], zone: &TimeZone) {
    for tried in bans {
        let ban = &tried.ban;
        let prolonged = if tried.prolonged { ", prolonged" } else { "" };
        let dry = if tried.dry_run { ", dry run" } else { "" };
        line(
            &mut text.out,
            format_args!(
                "{}  {}  {}  {}{} ({}{prolonged}{dry})",
                time(ban.since, zone),
                ban.jail,
                ban.network,
                length(ban.since, ban.until),
                until(ban.until, zone),
                ban.origin.cause(ban.failures),
            ),
        );
        for shown in &tried.lines {
            line(&mut text.out, format_args!("    | {}", escape(shown)));
        }
    }
}

fn length(since: Timestamp, end: Until) -> String {
    match end {
        Until::Time(end) => {
            let seconds = u64::try_from(end.duration_since(since).as_secs()).unwrap_or(0);
            format!("for {}, ", span(seconds))
        }
        Until::Forever => String::new(),
    }
}
